//! What goes wrong on a connection, and what a server's refusal means: for what was asked, and in words for a person.

use std::time::Duration;

use crate::client::ClientError;
use crate::client::link::Denied;
use crate::model::time::in_words;
use crate::protocol::message::RefusalCode;

use super::Session;

/// Why something on a connection did not work.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection has ended.
    Lost,
    /// The server's answer is none to what it was asked.
    Strange,
    /// The server refused.
    Refused { code: RefusalCode, retry_after: Option<Duration> },
    /// Something on this side.
    Local(ClientError),
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Lost => Self::Lost,
            Denied::Refused { code, retry_after } => Self::Refused { code, retry_after },
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Local(error)
    }
}

/// Waits until what was refused for having been asked too often may be asked again. Any other trouble it gives back.
pub(super) async fn wait_out(session: &Session, trouble: Trouble) -> Result<(), Trouble> {
    let Trouble::Refused { code: RefusalCode::Limited, retry_after: Some(wait) } = trouble else {
        return Err(trouble);
    };
    tokio::select! {
        () = session.wire.ended() => Err(Trouble::Lost),
        () = tokio::time::sleep(wait) => Ok(()),
    }
}

/// Whether asking again is no use.
pub(super) fn is_final(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::Invalid
            | RefusalCode::UnknownRecipient
            | RefusalCode::NameReused
            | RefusalCode::TooLarge
            | RefusalCode::NicknameTaken
            | RefusalCode::AccountExists
            | RefusalCode::InviteNeeded
    )
}

/// The error that a refusal is for whoever asked.
pub(in crate::client) fn refused(code: RefusalCode, retry_after: Option<Duration>) -> ClientError {
    match code {
        RefusalCode::Limited => {
            limited("the server has been asked too often by you or from your address", retry_after)
        }
        RefusalCode::InviteNeeded => ClientError::InviteNeeded,
        code => ClientError::Refused { reason: refusal(code).to_owned() },
    }
}

/// The error that too much of something is.
pub(super) fn limited(what: &str, retry_after: Option<Duration>) -> ClientError {
    let wait = retry_after.unwrap_or(Duration::from_secs(60));
    let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    ClientError::Limited { what: what.to_owned(), retry_in_ms }
}

/// What a refusal means, for a person.
pub(super) fn refusal(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Invalid => "it finds the request invalid; a newer version of this program may help",
        RefusalCode::NotLoggedIn | RefusalCode::LoginRefused => {
            "it does not know this profile; its device may have been removed from the account, or the server's data \
             have been replaced: ask whoever runs it"
        }
        RefusalCode::NicknameTaken => "the nickname is taken",
        RefusalCode::AccountExists => "the account exists already, with another registration",
        RefusalCode::UnknownRecipient => "the recipient is no longer in its directory",
        RefusalCode::NameReused => "the message's id was used before for another message; send it again",
        RefusalCode::KeySuperseded => "the recipient's key has been replaced; send it again",
        RefusalCode::BlobMissing => "the sound did not arrive whole; send it again",
        RefusalCode::TooLarge => "it is too large",
        RefusalCode::StorageFailed => "its disk is full or fails; try again later",
        RefusalCode::ShuttingDown => "it is shutting down; try again later",
        RefusalCode::Limited => "it takes only so much from one account in a minute",
        RefusalCode::InviteNeeded => "it takes new accounts by invitation only",
        RefusalCode::MailboxFull => "the recipient's mailbox is full until they fetch their mail",
        RefusalCode::ShareFull => "your share of the recipient's mailbox is full until they fetch their mail",
        RefusalCode::RoomChanged => "the room has changed; send it again",
        RefusalCode::RoomFull => {
            "as many people are in the room, or invited, as may be, or you have as many rooms as you may; somebody has \
             to leave first"
        }
        RefusalCode::NotInRoom => "you are not in the room, or there is none",
        RefusalCode::BlobQuota => {
            "your voice notes of the last day, and older ones that were not fetched yet, take all the room that it has for \
             them"
        }
    }
}

/// That something waits, why, and how long.
pub(super) fn delayed(code: RefusalCode, wait: Duration) -> String {
    let wait = in_words(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let why = refusal(code).trim_end_matches("; try again later");
    format!("the server refused: {why}; it is tried again in {wait}")
}
