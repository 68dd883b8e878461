//! Whether there is somebody of a name that was typed, or a room.

use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::model::{Address, Nickname};

/// How long the server may take to say so, where nothing else is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether somebody has this name, as far as the server says so in time.
///
/// # Errors
/// [`ClientError::UnknownNickname`].
pub async fn exists(client: &Client, nickname: &Nickname, patience: Duration) -> Result<(), ClientError> {
    match tokio::time::timeout(patience, client.users()).await {
        Ok(Ok(users)) if !users.iter().any(|user| user.nickname == *nickname) => {
            Err(ClientError::UnknownNickname { nickname: nickname.clone() })
        }
        _ => Ok(()),
    }
}

/// Whom one has blocked, as far as the server says in time who there is.
pub async fn blocked(client: &Client, patience: Duration) -> Option<Vec<Nickname>> {
    let users = tokio::time::timeout(patience, client.users()).await.ok()?.ok()?;
    Some(users.into_iter().filter(|user| user.blocked).map(|user| user.nickname).collect())
}

/// The same of somebody, or of a room, of whom nothing was found; where there are messages with them the server is not
/// asked.
///
/// # Errors
/// [`ClientError::UnknownNickname`], [`ClientError::NotInRoom`]; when the profile can't be read.
pub async fn check(client: &Client, with: &Address) -> Result<(), ClientError> {
    match with {
        Address::Person(nickname) if client.history(Some(with), None, 1).await?.is_empty() => {
            exists(client, nickname, PATIENCE).await
        }
        Address::Room(room) if !client.rooms().await?.iter().any(|known| known.name == *room) => {
            Err(ClientError::NotInRoom { room: room.clone() })
        }
        Address::Person(_) | Address::Room(_) => Ok(()),
    }
}
