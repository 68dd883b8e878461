//! `tellal room`: rooms, conversations of several people.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::app::{App, nickname};
use super::deliver;
use super::failure::Failure;
use crate::client::{ClientError, Room, RoomMember, RoomStanding};
use crate::model::{Nickname, RoomName};
use crate::terminal::rooms::{self, Deed};
use crate::terminal::{known, names};

/// How long the server may take to say whom one has blocked.
const ASKING: Duration = Duration::from_secs(2);

/// Options of `room`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done with rooms. A room's name is taken as `garden`, `#garden` or `room:garden`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Found a room: you are in it, and can invite others
    Create {
        /// What it is to be called: 1 to 32 letters and digits, and - _ . inside; the server never learns it
        #[arg(value_name = "ROOM")]
        room: String,
    },
    /// Come into a room that you are invited to
    Join {
        /// What the invitation calls it
        #[arg(value_name = "ROOM")]
        room: String,
        /// What it is to be called here, where you have another room of that name
        #[arg(long = "as", value_name = "OTHER")]
        as_name: Option<String>,
        /// Whose invitation you mean, where several people have invited you into rooms of that name
        #[arg(long, value_name = "NICK")]
        from: Option<String>,
    },
    /// Leave a room, or decline an invitation
    Leave {
        /// Which
        #[arg(value_name = "ROOM")]
        room: String,
        /// Decline the invitation of this one, though you are in a room of that name
        #[arg(long, value_name = "NICK")]
        from: Option<String>,
    },
    /// Invite somebody into a room that you are in
    Invite {
        /// Into which
        #[arg(value_name = "ROOM")]
        room: String,
        /// Whom
        #[arg(value_name = "NICK")]
        nickname: String,
    },
    /// Remove somebody from a room that you have founded, or take their invitation back
    Remove {
        /// From which
        #[arg(value_name = "ROOM")]
        room: String,
        /// Whom
        #[arg(value_name = "NICK")]
        nickname: String,
    },
    /// The rooms that you are in, invited to, or were in
    List,
    /// Who is in a room, and who is invited: fingerprints, verified
    Members {
        /// Which
        #[arg(value_name = "ROOM")]
        room: String,
    },
}

/// A room, as `room` prints it.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    /// `room`.
    pub kind: &'static str,
    /// How it stands.
    #[serde(flatten)]
    pub room: &'a Room,
}

/// Somebody in a room, as `room members` prints them.
#[derive(Debug, Serialize)]
pub struct Member<'a> {
    /// `room_member`.
    pub kind: &'static str,
    /// In which room.
    pub room: &'a RoomName,
    /// Whether they have founded it.
    pub founder: bool,
    /// Whether what they send is dropped, where that is known.
    pub blocked: Option<bool>,
    /// Who.
    #[serde(flatten)]
    pub member: &'a RoomMember,
}

impl<'a> Member<'a> {
    /// All of a room.
    pub fn all(room: &'a Room, blocked: Option<&'a [Nickname]>) -> impl Iterator<Item = Self> {
        room.members.iter().map(move |member| Self {
            kind: "room_member",
            room: &room.name,
            founder: rooms::is_founder(member, room),
            blocked: blocked.map(|blocked| blocked.contains(&member.nickname)),
            member,
        })
    }
}

/// Does something with rooms.
///
/// # Errors
/// When there is no such room or person, one may not, or the server can't be reached or refuses.
pub async fn run(args: Args, app: App) -> Result<()> {
    let (room, deed) = match args.verb {
        Verb::List => return shown(&app, None).await,
        Verb::Members { room } => return shown(&app, Some(named(&room)?)).await,
        Verb::Create { room } => (room, Deed::Create),
        Verb::Join { room, as_name, from } => {
            let as_name = as_name.as_deref().map(named).transpose()?;
            let from = from.as_deref().map(nickname).transpose()?;
            (room, Deed::Join { as_name, from })
        }
        Verb::Leave { room, from } => {
            let from = from.as_deref().map(nickname).transpose()?;
            (room, Deed::Leave { from })
        }
        Verb::Invite { room, nickname: whom } => (room, Deed::Invite(nickname(&whom)?)),
        Verb::Remove { room, nickname: whom } => (room, Deed::Remove(nickname(&whom)?)),
    };
    let room = named(&room)?;
    let client = app.open().await?;
    let mut events = client.events();
    if matches!(deed, Deed::Join { .. } | Deed::Leave { .. }) {
        // The invitation may have come only now. That the server can't be asked is seen again at once.
        let _ = client.drain().await;
    }
    let done = deliver::patiently(&mut events, deed.carry_out(&client, &room)).await;
    if let Ok(room) = &done {
        app.out.put(&Shown { kind: "room", room }, || deed.said(room))?;
        app.out.flush()?;
    }
    // An invitation that was just made is on its way.
    deliver::close(client, events).await;
    match (done, &deed) {
        (Err(error @ ClientError::OwnNickname), Deed::Remove(_)) => {
            Err(Failure::new("own_nickname", deed.failed(&room, &error)).into())
        }
        (done, _) => Ok(done.map(drop)?),
    }
}

/// Shows which rooms there are, or who is in one.
async fn shown(app: &App, members_of: Option<RoomName>) -> Result<()> {
    let client = app.open().await?;
    let events = client.events();
    let asked = client.drain().await;
    if let Err(error) = &asked {
        // Rooms are shown as they are known here.
        app.out.note(&format!("tellal: {error}; this is what is known here"));
    }
    let rooms = client.rooms().await?;
    let shown = match members_of {
        None => list(&rooms, app),
        Some(name) => {
            let blocked = if asked.is_ok() { known::blocked(&client, ASKING).await } else { None };
            members(&rooms, app, &name, blocked.as_deref())
        }
    };
    deliver::close(client, events).await;
    shown
}

fn list(rooms: &[Room], app: &App) -> Result<()> {
    let lines = rooms::list(rooms, "tellal room join", &app.out.lines);
    for (room, line) in rooms.iter().zip(lines) {
        app.out.put(&Shown { kind: "room", room }, || line)?;
    }
    if rooms.is_empty() && !app.out.json {
        app.out.note("tellal: no rooms: `tellal room create ROOM` founds one");
    }
    Ok(app.out.flush()?)
}

fn members(rooms: &[Room], app: &App, name: &RoomName, blocked: Option<&[Nickname]>) -> Result<()> {
    let found = rooms.iter().find(|room| room.name == *name);
    let Some(room) = found else { return Err(ClientError::NotInRoom { room: name.clone() }.into()) };
    let lines = rooms::members(room, blocked.unwrap_or_default(), &app.out.lines);
    for (member, line) in Member::all(room, blocked).zip(lines) {
        app.out.put(&member, || line)?;
    }
    if room.standing == RoomStanding::Left {
        app.out.note("tellal: you are not in it any more: this is as it was when you were");
    }
    Ok(app.out.flush()?)
}

/// Reads a room's name.
fn named(text: &str) -> Result<RoomName> {
    Ok(names::room(text).map_err(|wrong| Failure::new("invalid_room_name", wrong))?)
}
