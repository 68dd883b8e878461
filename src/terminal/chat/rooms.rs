//! Rooms in a conversation: what is typed about them, and doing it.

use tokio::time::timeout;

use super::talk::{Done, Talk};
use super::typed::ASKING;
use super::{ChatError, here};
use crate::client::{Client, ClientError, Room, RoomStanding};
use crate::model::{Address, Nickname, RoomName};
use crate::terminal::rooms::{self, Deed};
use crate::terminal::{known, names};

/// What rooms are looked up for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// To know their names.
    Names,
    /// To be listed.
    List,
    /// To show who is in this one.
    Members(RoomName),
}

/// What was done with a room, or why not: in words, and the room or the error.
pub(super) type Acted = Result<(String, Room), (String, ClientError)>;

/// What `/room` can be followed by.
pub(super) const DEEDS: [&str; 5] = ["create", "join", "leave", "invite", "remove"];

/// How `/room` is used.
const HOW: &str = "/room create ROOM, join ROOM [--as OTHER] [--from NICK], leave [ROOM [--from NICK]], invite [ROOM] NICK, remove [ROOM] NICK; /rooms lists \
     them, /members [ROOM] who is in one";

/// Understands what follows `/room`. Where no room is named, it is the one that is talked in.
pub(super) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<(Option<RoomName>, Deed), String> {
    let words: Vec<&str> = words.collect();
    Ok(match words.as_slice() {
        ["create", room] => (Some(names::room(room)?), Deed::Create),
        ["join", room, options @ ..] => (Some(names::room(room)?), join(options)?),
        ["leave"] => (None, Deed::Leave { from: None }),
        ["leave", room] => (Some(names::room(room)?), Deed::Leave { from: None }),
        ["leave", room, "--from", nick] => {
            (Some(names::room(room)?), Deed::Leave { from: Some(names::nickname(nick)?) })
        }
        ["invite", nick] => (None, Deed::Invite(names::nickname(nick)?)),
        ["invite", room, nick] => (Some(names::room(room)?), Deed::Invite(names::nickname(nick)?)),
        ["remove", nick] => (None, Deed::Remove(names::nickname(nick)?)),
        ["remove", room, nick] => (Some(names::room(room)?), Deed::Remove(names::nickname(nick)?)),
        _ => return Err(HOW.to_owned()),
    })
}

/// Understands what follows the room that is to be joined.
fn join(options: &[&str]) -> Result<Deed, String> {
    let (mut as_name, mut from) = (None, None);
    for option in options.chunks(2) {
        match option {
            ["--as", other] => as_name = Some(names::room(other)?),
            ["--from", nick] => from = Some(names::nickname(nick)?),
            _ => return Err(HOW.to_owned()),
        }
    }
    Ok(Deed::Join { as_name, from })
}

impl Talk {
    /// Learns which rooms there are, or shows them, or who is in one.
    pub(super) fn look_at_rooms(&mut self, look: Look) {
        self.under_way += 1;
        self.spawn(|client| async move {
            let blocked = match &look {
                Look::Members(_) => known::blocked(&client, ASKING).await,
                Look::Names | Look::List => None,
            };
            Done::Rooms { look, blocked, result: client.rooms().await }
        });
    }

    /// Shows who is in a room: in this one, or the one that is talked in.
    pub(super) fn members(&mut self, room: Option<RoomName>) {
        if let Some(room) = self.room_or_here(room) {
            self.look_at_rooms(Look::Members(room));
        }
    }

    /// The room that is named, or else the one that is talked in; where there is none, that is said.
    fn room_or_here(&mut self, room: Option<RoomName>) -> Option<RoomName> {
        let room = room.or_else(|| self.with.as_ref().and_then(Address::room).cloned());
        if room.is_none() {
            self.words("which room? name it, or /to #ROOM first; /rooms lists them");
        }
        room
    }

    /// Does something with a room.
    pub(super) fn room(&mut self, room: Option<RoomName>, deed: Deed) {
        let Some(room) = self.room_or_here(room) else { return };
        self.under_way += 1;
        self.deeds += 1;
        // What was written before is for those who were in it then; what can't leave now does not hold this up.
        let address = Address::Room(room.clone());
        let written = self.unsent.values().filter(|pending| pending.to == address && !pending.told);
        let recorded = self.finishing.iter().filter(|(to, _)| *to == address).map(|(_, until)| until.clone());
        let written: Vec<_> = written.map(|pending| pending.under_way.subscribe()).chain(recorded).collect();
        self.spawn(|client| async move {
            let settled = async {
                for mut one in written {
                    // It ends with an error, once the other end is gone.
                    while one.changed().await.is_ok() {}
                }
            };
            // What can't be sent now leaves as well without having waited any longer.
            let _ = timeout(ASKING, settled).await;
            let done = deed.carry_out(&client, &room).await;
            Done::Room(match done {
                Ok(done) => Ok((deed.said(&done), done)),
                Err(error) => Err((deed.failed(&room, &error), error)),
            })
        });
    }

    /// Something was done with a room, or was not; in words, where the room itself does not say it.
    pub(super) fn room_done(&mut self, done: Acted) -> Result<(), ChatError> {
        let line = |talk: &Self, words: &str| talk.view.words(&here::commands(words, talk.with.as_ref()));
        match done {
            Ok((said, room)) => {
                self.names.add([&Address::Room(room.name.clone())]);
                let line = line(self, &said);
                self.face.room(&room, line)?;
            }
            Err((why, error)) => {
                let line = line(self, &why);
                self.face.room_failed(&error, line)?;
            }
        }
        Ok(())
    }

    /// Rooms are known.
    pub(super) fn rooms_known(
        &mut self,
        look: Look,
        blocked: Option<&[Nickname]>,
        result: Result<Vec<Room>, ClientError>,
    ) -> Result<(), ChatError> {
        let rooms = match result {
            Ok(rooms) => rooms,
            Err(error) => {
                self.words(&error.to_string());
                return Ok(());
            }
        };
        let addresses: Vec<Address> = rooms.iter().map(|room| room.name.clone().into()).collect();
        self.names.add(&addresses);
        match look {
            Look::Names => {}
            Look::List if rooms.is_empty() => self.words("no rooms: /room create ROOM founds one"),
            Look::List => {
                let lines = rooms::list(&rooms, "/room join", &self.view.lines).join("\n");
                self.face.rooms(&rooms, lines)?;
            }
            Look::Members(name) => match rooms.iter().find(|room| room.name == name) {
                Some(room) => {
                    let lines = rooms::members(room, blocked.unwrap_or_default(), &self.view.lines);
                    let lines = here::commands(&lines.join("\n"), self.with.as_ref());
                    self.face.members(room, blocked, lines)?;
                }
                None => self.words(&ClientError::NotInRoom { room: name }.to_string()),
            },
        }
        Ok(())
    }

    /// Writes to a room from now on.
    pub(super) async fn turn_to_room(&mut self, name: RoomName) -> Result<(), ChatError> {
        let rooms = self.client.rooms().await?;
        let Some(room) = rooms.into_iter().find(|room| room.name == name) else {
            self.words(&ClientError::NotInRoom { room: name }.to_string());
            return Ok(());
        };
        let to = Address::Room(room.name.clone());
        let words = match room.standing {
            RoomStanding::Invited => {
                self.words(&rooms::only_invited(&room, "/room join ", ""));
                return Ok(());
            }
            RoomStanding::Member => format!("you write to {to} now{}", others(&room)),
            RoomStanding::Left => format!("you are not in {to} any more: what was said there stays"),
        };
        self.with = Some(to.clone());
        if !self.face.is_terminal() {
            return self.show_all_new().await;
        }
        self.words(&words);
        self.turn_to(&to).await
    }
}

/// The room that a conversation begins in, as it is called here.
///
/// # Errors
/// [`ClientError::NotInRoom`] for one that one has never been in.
pub(super) async fn known(client: &Client, name: &RoomName) -> Result<Address, ClientError> {
    let rooms = client.rooms().await?;
    let found = rooms.into_iter().find(|room| room.name == *name && room.standing != RoomStanding::Invited);
    found.map(|room| room.name.into()).ok_or_else(|| ClientError::NotInRoom { room: name.clone() })
}

/// Who else is in a room, to be added to a sentence.
fn others(room: &Room) -> String {
    let others = room.members.iter().filter(|member| member.joined && !member.you);
    let others: Vec<&str> = others.map(|member| member.nickname.as_str()).collect();
    match others.as_slice() {
        [] => ", nobody else is in it yet".to_owned(),
        [other] => format!(", {other} is in it, too"),
        others => format!(", {} are in it, too", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<(Option<RoomName>, Deed), String> {
        parse(words.split_whitespace())
    }

    #[test]
    fn a_room_is_named_or_is_the_one_that_is_talked_in() {
        let garden = || Some("garden".parse().unwrap());
        let zoé = || "zoé".parse().unwrap();
        assert_eq!(parsed("create #garden"), Ok((garden(), Deed::Create)));
        let join = |as_name, from| Ok((garden(), Deed::Join { as_name, from }));
        assert_eq!(parsed("join room:garden"), join(None, None));
        assert_eq!(parsed("join Garden --as 정원"), join(Some("정원".parse().unwrap()), None));
        assert_eq!(parsed("join garden --from zoé"), join(None, Some(zoé())));
        assert_eq!(
            parsed("join garden --from zoé --as 정원"),
            join(Some("정원".parse().unwrap()), Some(zoé()))
        );
        assert_eq!(
            (parsed("leave"), parsed("leave garden")),
            (Ok((None, Deed::Leave { from: None })), Ok((garden(), Deed::Leave { from: None })))
        );
        assert_eq!(parsed("invite zoé"), Ok((None, Deed::Invite(zoé()))));
        assert_eq!(parsed("invite #garden zoé"), Ok((garden(), Deed::Invite(zoé()))));
        assert_eq!(parsed("remove garden zoé"), Ok((garden(), Deed::Remove(zoé()))));
        for wrong in
            ["", "dance", "create", "create a b", "join", "join a b", "join a --as", "invite", "invite a b c"]
        {
            assert_eq!(parsed(wrong), Err(HOW.to_owned()), "{wrong:?}");
        }
        assert!(parsed("create a#b").unwrap_err().contains("not a room's name"));
        assert!(parsed("invite garden #zoé").unwrap_err().contains("#zoé is a room"));
    }
}
