//! `length: u32`, `JSON length: u32`, JSON, bulk bytes; big-endian, `length` counts all that follows it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::client::{ClientError, Command, Event, Reply, Role};

/// The largest frame: a voice note with room for its command, or a long history.
const LIMIT: u32 = 256 * 1024 * 1024;

/// What a guest says.
#[derive(Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum FromGuest {
    /// First of all: what it is.
    Hello { role: Role },
    /// A command; the bulk bytes are its own.
    Call { number: u64, command: Command },
}

/// What an owner says.
#[derive(Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum FromOwner {
    /// The guest is welcome. Events follow from here on.
    Welcome,
    /// It is not.
    Sorry { error: ClientError },
    /// The answer to a command; the bulk bytes are its own.
    Done { number: u64, result: Result<Reply, ClientError> },
    /// Something happened.
    Event { event: Event },
    /// Something may have happened unseen.
    Resync,
}

/// Writes one frame.
pub(super) async fn write<S, T>(stream: &mut S, message: &T, bulk: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
    T: Serialize,
{
    let json = serde_json::to_vec(message)?;
    let length = |count: usize| u32::try_from(count).ok().filter(|count| *count <= LIMIT);
    let (Some(head), Some(all)) = (length(json.len()), length(4 + json.len() + bulk.len())) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let start = [&all.to_be_bytes()[..], &head.to_be_bytes(), &json].concat();
    stream.write_all(&start).await?;
    stream.write_all(bulk).await?;
    stream.flush().await
}

/// Reads one frame. `None`: the other side has ended. Not to be dropped half way.
pub(super) async fn read<S, T>(stream: &mut S) -> io::Result<Option<(T, Bytes)>>
where
    S: AsyncRead + Unpin,
    T: for<'de> Deserialize<'de>,
{
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let length = match stream.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if !(4..=LIMIT).contains(&length) {
        return Err(invalid());
    }
    let head = stream.read_u32().await?;
    let size = usize::try_from(length - 4).map_err(|_| invalid())?;
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).await?;
    let mut bulk = Bytes::from(bytes);
    let head = usize::try_from(head).ok().filter(|head| *head <= bulk.len()).ok_or_else(invalid)?;
    let json = bulk.split_to(head);
    Ok(Some((serde_json::from_slice(&json)?, bulk)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_read_back_with_their_bulk() {
        let mut bytes = Vec::new();
        let call = FromGuest::Call { number: 7, command: Command::Status };
        write(&mut bytes, &call, b"bulk").await.unwrap();
        write(&mut bytes, &FromGuest::Hello { role: Role::Chat }, b"").await.unwrap();
        let mut stream = bytes.as_slice();
        let (first, bulk) = read::<_, FromGuest>(&mut stream).await.unwrap().unwrap();
        assert!(matches!(first, FromGuest::Call { number: 7, command: Command::Status }));
        assert_eq!(&*bulk, b"bulk");
        let (second, bulk) = read::<_, FromGuest>(&mut stream).await.unwrap().unwrap();
        assert!(matches!(second, FromGuest::Hello { role: Role::Chat }) && bulk.is_empty());
        assert!(read::<_, FromGuest>(&mut stream).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error() {
        for bytes in
            [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x04\0\0\0\x09", b"\0\0\0\x06\0\0\0\x02{}", b"\0\0\0\x09\0"]
        {
            let mut stream = bytes;
            assert!(read::<_, FromGuest>(&mut stream).await.is_err(), "{bytes:?}");
        }
    }
}
