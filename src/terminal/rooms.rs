//! Rooms: what is done with them, and as lines for people which there are and who is in one; the same for every front end.

use unicode_width::UnicodeWidthStr;

use super::{Lines, sanitize};
use crate::client::{Client, ClientError, KeyChange, Room, RoomMember, RoomStanding};
use crate::model::{Nickname, RoomName};

/// What is done with a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// To found it.
    Create,
    /// To come into it.
    Join {
        /// Under another name.
        as_name: Option<RoomName>,
        /// By the invitation of this one.
        from: Option<Nickname>,
    },
    /// To leave it, or to decline an invitation.
    Leave {
        /// That of this one.
        from: Option<Nickname>,
    },
    /// To invite somebody.
    Invite(Nickname),
    /// To remove somebody, or to take their invitation back.
    Remove(Nickname),
}

impl Deed {
    /// Does it; the room as it is then.
    ///
    /// # Errors
    /// What the core says.
    pub async fn carry_out(&self, client: &Client, room: &RoomName) -> Result<Room, ClientError> {
        match self {
            Self::Create => client.create_room(room).await,
            Self::Join { as_name, from } => client.join_room(room, as_name.as_ref(), from.as_ref()).await,
            Self::Leave { from } => client.leave_room(room, from.as_ref()).await,
            Self::Invite(nickname) => client.invite(room, nickname).await,
            Self::Remove(nickname) => client.remove_from_room(room, nickname).await,
        }
    }

    /// Why it is not done, in words.
    pub fn failed(&self, room: &RoomName, error: &ClientError) -> String {
        match (self, error) {
            (Self::Remove(_), ClientError::OwnNickname) => {
                format!("that is you: `tellal room leave {}` leaves it", sanitize::line(room.as_str()))
            }
            _ => error.to_string(),
        }
    }

    /// That it is done, in words.
    pub fn said(&self, room: &Room) -> String {
        let shown = name(&room.name);
        match self {
            Self::Create => {
                let invite = format!("`tellal room invite {} NICK`", sanitize::line(room.name.as_str()));
                format!("{shown} is there, and you are in it: {invite} invites others")
            }
            Self::Join { .. } => {
                let others = room.members.iter().filter(|member| member.joined && !member.you);
                match others.count() {
                    0 => format!("you are in {shown}; nobody else is"),
                    1 => format!("you are in {shown}; 1 other is, too"),
                    others => format!("you are in {shown}; {others} others are, too"),
                }
            }
            Self::Leave { from: None } => format!("you are not in {shown}"),
            Self::Leave { from: Some(from) } => {
                format!("the invitation into {shown} by {} is declined", sanitize::line(from.as_str()))
            }
            Self::Invite(nickname) => {
                let member = room.members.iter().find(|member| member.nickname == *nickname);
                let who = sanitize::line(member.map_or(nickname, |member| &member.nickname).as_str());
                if member.is_some_and(|member| member.joined) {
                    format!("{who} is in {shown} already, and is shown the way once more")
                } else {
                    format!("{who} is invited to {shown}")
                }
            }
            Self::Remove(nickname) => {
                format!("{} is not in {shown} any more, nor invited", sanitize::line(nickname.as_str()))
            }
        }
    }
}

/// A room's name as people are shown it.
pub fn name(name: &RoomName) -> String {
    format!("#{}", sanitize::line(name.as_str()))
}

/// That one may come into a room and has not; what is typed to come in has the name between these.
pub fn only_invited(room: &Room, before: &str, behind: &str) -> String {
    let bare = sanitize::line(room.name.as_str());
    format!("you are invited to {}, and not in it yet: {before}{bare}{behind} goes in", name(&room.name))
}

/// How many people, in words.
fn people(count: usize) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

/// Rooms, a line each; `join` is what is typed before the name of a room to come into it.
pub fn list(rooms: &[Room], join: &str, lines: &Lines) -> Vec<String> {
    let width = rooms.iter().map(|room| name(&room.name).width()).max().unwrap_or(0);
    rooms.iter().map(|room| line(room, width, join, lines)).collect()
}

fn line(room: &Room, width: usize, join: &str, lines: &Lines) -> String {
    let shown = name(&room.name);
    let joined = people(room.members.iter().filter(|member| member.joined).count());
    let invited = match room.members.iter().filter(|member| !member.joined).count() {
        0 => String::new(),
        count => format!(", {count} invited"),
    };
    let by = |nickname| sanitize::line(nickname).into_owned();
    let standing = match (room.standing, &room.invited_by) {
        (RoomStanding::Member, _)
            if room.members.iter().any(|member| member.you && is_founder(member, room)) =>
        {
            format!("{joined}{invited}; founded by you")
        }
        (RoomStanding::Member, _) => format!("{joined}{invited}; founded by {}", by(room.founder.as_str())),
        (RoomStanding::Invited, inviter) => {
            let inviter = inviter.as_ref().unwrap_or(&room.founder);
            let by = by(inviter.as_str());
            format!("invited by {by}; {joined} in it: {join} {} goes in", sanitize::line(room.name.as_str()))
        }
        (RoomStanding::Left, _) => format!("not in it any more, since {}", lines.time(room.since)),
    };
    if lines.plain {
        return format!("{shown}: {standing}");
    }
    format!("{shown}{}  {standing}", " ".repeat(width.saturating_sub(shown.width())))
}

/// Whether somebody has founded a room.
pub fn is_founder(member: &RoomMember, room: &Room) -> bool {
    member.nickname == room.founder
}

/// Who is in a room and who is invited, a line each; `blocked` are those whom one has blocked.
pub fn members(room: &Room, blocked: &[Nickname], lines: &Lines) -> Vec<String> {
    let width = room.members.iter().map(|member| member.nickname.as_str().width()).max().unwrap_or(0);
    room.members.iter().map(|member| person(member, room, blocked, width, lines)).collect()
}

fn person(member: &RoomMember, room: &Room, blocked: &[Nickname], width: usize, lines: &Lines) -> String {
    let standing = match (member.you, member.verified) {
        (true, _) => "you",
        (false, true) => "verified",
        (false, false) => "not verified",
    };
    let founder = if is_founder(member, room) { ", founder" } else { "" };
    let invited = if member.joined { "" } else { ", invited" };
    let blocked = if blocked.contains(&member.nickname) { ", blocked" } else { "" };
    let change = member.key_change.as_ref().map_or_else(String::new, |KeyChange { known, shown, since, .. }| {
        sanitize::line(&format!(
            "; THE KEY HAS CHANGED: known {known}, since {since} {shown}; nothing is sent to them until you decide \
             (`tellal verify {}`)",
            member.nickname
        ))
        .into_owned()
    });
    let (shown, fingerprint) =
        (lines.name(&member.nickname, member.color), sanitize::line(&member.fingerprint));
    if lines.plain {
        return format!("{shown}: {standing}{founder}{invited}{blocked}; fingerprint {fingerprint}{change}");
    }
    let padding = " ".repeat(width.saturating_sub(member.nickname.as_str().width()));
    format!("{shown}{padding}  {fingerprint}  {standing}{founder}{invited}{blocked}{change}")
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::{Millis, RoomId};
    use crate::terminal::Palette;

    fn member(nickname: &str, joined: bool, you: bool) -> RoomMember {
        RoomMember {
            nickname: nickname.parse().unwrap(),
            color: "blue".parse().unwrap(),
            joined,
            fingerprint: "SHA256:abc".to_owned(),
            verified: nickname == "burak",
            key_change: None,
            you,
        }
    }

    /// One that ayşe, who reads, has founded.
    pub(crate) fn garden() -> Room {
        Room {
            name: "garden".parse().unwrap(),
            id: RoomId::new([1; 32]),
            standing: RoomStanding::Member,
            founder: "ayşe".parse().unwrap(),
            invited_by: None,
            members: vec![
                member("ayşe", true, true),
                member("burak", true, false),
                member("지민", false, false),
            ],
            since: Millis(0),
        }
    }

    fn lines() -> Lines {
        Lines::at(Palette::None, TimeZone::UTC, Millis(1_795_233_600_000))
    }

    #[test]
    fn how_one_stands_to_a_room_is_said_in_words() {
        let (name, inviter) = ("정원".parse().unwrap(), "zoé".parse().unwrap());
        let invited = Room { name, standing: RoomStanding::Invited, invited_by: Some(inviter), ..garden() };
        let left = Room { standing: RoomStanding::Left, ..garden() };
        let others = Room { founder: "burak".parse().unwrap(), ..garden() };
        assert_eq!(
            list(&[garden(), invited.clone(), left, others], "/room join", &lines()),
            [
                "#garden  2 people, 1 invited; founded by you",
                "#정원    invited by zoé; 2 people in it: /room join 정원 goes in",
                "#garden  not in it any more, since 1970-01-01 00:00",
                "#garden  2 people, 1 invited; founded by burak",
            ]
        );
        let plain = Lines { plain: true, ..lines() };
        assert_eq!(
            list(&[invited], "tellal room join", &plain),
            ["#정원: invited by zoé; 2 people in it: tellal room join 정원 goes in"]
        );
    }

    #[test]
    fn whoever_removes_themselves_is_told_how_to_leave() {
        let remove = Deed::Remove("ayşe".parse().unwrap());
        let failed = |error| remove.failed(&"garden".parse().unwrap(), &error);
        assert_eq!(failed(ClientError::OwnNickname), "that is you: `tellal room leave garden` leaves it");
        assert_eq!(failed(ClientError::NoSuchMessage), ClientError::NoSuchMessage.to_string());
    }

    #[test]
    fn who_is_in_a_room_is_shown_with_what_is_known_of_their_keys() {
        assert_eq!(
            members(&garden(), &[], &lines()),
            [
                "ayşe   SHA256:abc  you, founder",
                "burak  SHA256:abc  verified",
                "지민   SHA256:abc  not verified, invited",
            ]
        );
        let blocked = members(&garden(), &["Burak".parse().unwrap()], &lines());
        assert_eq!(blocked[1], "burak  SHA256:abc  verified, blocked");
        let plain = members(&garden(), &[], &Lines { plain: true, ..lines() });
        assert_eq!(plain[2], "지민: not verified, invited; fingerprint SHA256:abc");
        let coloured = members(&garden(), &[], &Lines { palette: Palette::Xterm, ..lines() });
        assert!(coloured[0].starts_with("\u{1b}[38;5;27mayşe\u{1b}[0m   SHA256"), "{coloured:?}");
    }
}
