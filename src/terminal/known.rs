//! Whether there is somebody of a name that was typed.

use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::model::Nickname;

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

/// The same of somebody of whom nothing was found; where there are messages with them the server is not asked.
///
/// # Errors
/// [`ClientError::UnknownNickname`]; when the profile can't be read.
pub async fn check(client: &Client, nickname: &Nickname) -> Result<(), ClientError> {
    if client.history(Some(&nickname.clone().into()), None, 1).await?.is_empty() {
        return exists(client, nickname, PATIENCE).await;
    }
    Ok(())
}
