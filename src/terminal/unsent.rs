//! That no recording is lost: nobody records one that can't be sent, and one that can't be stored is kept as a file. The
//! same in every front end.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::{Client, ClientError, Room, RoomStanding};
use crate::model::{Address, Millis, Nickname};

use super::dictation::Dictation;
use super::known;

/// How long the server may take to say who there is, before a recording.
const ASKING: Duration = Duration::from_secs(1);

/// Whether a voice note for somebody or a room could be sent, as far as is known before it is recorded. Where the server can't
/// be asked who there is, that is seen later.
///
/// # Errors
/// [`ClientError::UnknownNickname`]; otherwise as for [`check_known`].
pub async fn check(client: &Client, to: &Address) -> Result<(), ClientError> {
    check_known(client, to).await?;
    match to {
        Address::Person(nickname) => known::exists(client, nickname, ASKING).await,
        Address::Room(_) => Ok(()),
    }
}

/// Whether one is in the room, or their key is the known one, as far as is known here, without asking the server.
///
/// # Errors
/// [`ClientError::NotInRoom`]; otherwise as for [`check_key`].
pub async fn check_known(client: &Client, to: &Address) -> Result<(), ClientError> {
    match to {
        Address::Person(nickname) => check_key(client, nickname).await,
        Address::Room(room) => {
            let is_in = |known: &Room| known.name == *room && known.standing == RoomStanding::Member;
            let known = client.rooms().await?.iter().any(is_in);
            if known { Ok(()) } else { Err(ClientError::NotInRoom { room: room.clone() }) }
        }
    }
}

/// Whether their key is the known one, as far as is known here, without asking the server.
///
/// # Errors
/// [`ClientError::KeyChanged`]; when the profile can't be read.
pub async fn check_key(client: &Client, to: &Nickname) -> Result<(), ClientError> {
    let standings = client.standings().await?;
    if !standings.iter().any(|standing| standing.nickname == *to && standing.key_change.is_some()) {
        return Ok(());
    }
    // Asked for once more as what is shown: that is what may be accepted.
    match client.safety(to).await?.key_change {
        Some(change) => Err(ClientError::KeyChanged { nickname: to.clone(), change }),
        None => Ok(()),
    }
}

/// Keeps a recording that could not be put into the outbox, in the profile's folder: where.
///
/// # Errors
/// When it can't be written.
pub fn keep(home: &Path, wav: &[u8]) -> io::Result<PathBuf> {
    let path = home.join(format!("unsent-{}.wav", Millis::now().0));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    if let Err(error) = file.write_all(wav).and_then(|()| file.sync_all()) {
        // Half of it is of no use.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(path)
}

/// Ends a recording of which nobody can say any more what is to become of it, and keeps it; in words.
pub async fn left(home: &Path, recording: Dictation) -> String {
    match recording.finish().await {
        Ok(recorded) => kept(home, &recorded.note.wav),
        Err(error) => error.to_string(),
    }
}

/// What there is to say about one that could not be put into the outbox, which is kept.
pub fn kept(home: &Path, wav: &[u8]) -> String {
    match keep(home, wav) {
        Ok(path) => format!("the recording is kept in {}", path.display()),
        Err(error) => format!("the recording can't be kept either: {error}"),
    }
}
