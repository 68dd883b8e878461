//! What can go wrong in the core, each in one line for a person: what happened, and what to do.

use serde::{Deserialize, Serialize};

use crate::model::{Nickname, RoomName};

use super::KeyChange;

/// An error of the client core. It can travel between processes, and never holds content or keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientError {
    /// The profile has not been registered.
    #[error("no profile in {home}: run `tellal register NICK --server HOST` first")]
    NotRegistered {
        /// The profile's folder.
        home: String,
    },
    /// The profile has been registered already.
    #[error(
        "this profile is already registered as {nickname}: use another folder with --home to be someone else"
    )]
    AlreadyRegistered {
        /// As whom.
        nickname: Nickname,
    },
    /// The name belongs to someone else.
    #[error("the nickname {nickname} is taken: choose another")]
    NicknameTaken {
        /// The name.
        nickname: Nickname,
    },
    /// Nobody has this name.
    #[error("nobody is called {nickname} on this server: `tellal users` lists who there is")]
    UnknownNickname {
        /// The name.
        nickname: Nickname,
    },
    /// One is not in this room.
    #[error("you are not a member of #{room}: `tellal room list` lists the rooms that there are for you")]
    NotInRoom {
        /// What was given as its name.
        room: RoomName,
    },
    /// A room has that name here.
    #[error(
        "a room called #{room} is here already, see `tellal room list`: choose another name (to join one, \
         `tellal room join {room} --as OTHER`)"
    )]
    RoomNameTaken {
        /// The name.
        room: RoomName,
    },
    /// A room keeps the name that it has here.
    #[error("it is called #{room} here, and keeps that name: leave out --as")]
    RoomNamed {
        /// What it is called.
        room: RoomName,
    },
    /// Nobody has invited this profile, as far as the server shows.
    #[error(
        "there is no invitation into #{room} for you, or not any more: ask whoever is in it to invite you (again)"
    )]
    NotInvited {
        /// What was given as its name.
        room: RoomName,
    },
    /// There are invitations into several rooms that are called the same.
    #[error(
        "there are invitations into different rooms called #{room}, by {}: say whose you mean (`tellal room join {room} \
         --from NICK`; that is the newest of theirs)",
        inviters.join(", ")
    )]
    SeveralInvitations {
        /// What the rooms are called.
        room: RoomName,
        /// Who has invited this profile, in words.
        inviters: Vec<String>,
    },
    /// Only the founder removes people.
    #[error("only {founder}, who has founded #{room}, can remove somebody from it")]
    NotFounder {
        /// Which room.
        room: RoomName,
        /// Who has founded it.
        founder: Nickname,
    },
    /// Somebody is not in a room, nor invited.
    #[error("{nickname} is not in #{room}, nor invited")]
    NotOfRoom {
        /// Which room.
        room: RoomName,
        /// Who.
        nickname: Nickname,
    },
    /// There is nobody in the room to write to.
    #[error(
        "nobody else is in #{room}: invite somebody (`tellal room invite {room} NICK`), and write once they have joined"
    )]
    AloneInRoom {
        /// Which room.
        room: RoomName,
    },
    /// So much has happened in the room that its chain of records has no place left for anybody to come in.
    #[error("people have come to #{room} and gone as often as they can: found another room")]
    RoomAtItsEnd {
        /// Which room.
        room: RoomName,
    },
    /// The server shows records of the room that are not those which are known here.
    #[error(
        "what the server shows of #{room} does not continue what is known of it here, and is not believed: ask the others \
         what they see, and whoever runs the server"
    )]
    RoomContradicted {
        /// Which room.
        room: RoomName,
    },
    /// A voice note that was being spoken has been ended.
    #[error("the voice note has ended: it was silent for too long, or could not be sent")]
    NoteEnded,
    /// The server can't be reached.
    #[error("can't reach {server}: {cause}; check the address and that the server runs")]
    Unreachable {
        /// HOST:PORT.
        server: String,
        /// What the system says.
        cause: String,
    },
    /// The server shows no key of a transparency log, or none that its own key certifies.
    #[error(
        "{server} shows no transparency log that its own key vouches for, so that nobody could tell whether its \
         directory lies: nothing was registered; ask whoever runs it, or choose another server"
    )]
    NoLog {
        /// HOST:PORT.
        server: String,
    },
    /// The server shows another key than the pinned one.
    #[error(
        "{server} shows the key {found}, not the expected {expected}: \
         this may be another server or an attack; ask whoever runs it before you go on"
    )]
    WrongFingerprint {
        /// HOST:PORT.
        server: String,
        /// `SHA256:…`
        expected: String,
        /// `SHA256:…`
        found: String,
    },
    /// The system's roots do not vouch for the server, though they did at registration.
    #[error(
        "the certificate that {server} shows is not to be trusted ({cause}): \
         this may be another server or an attack; ask whoever runs it before you go on"
    )]
    WrongCertificate {
        /// The host's name.
        server: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Another `chat` or `listen` runs on this profile.
    #[error("{what} already runs on this profile: use it, or end it first")]
    Busy {
        /// Which.
        what: String,
    },
    /// The process that has the profile open does not understand this one, or the other way round.
    #[error(
        "the tellal that has this profile open ends the connection instead of answering: perhaps it is of another version; \
         end it (`chat` or `listen`, say) and try again"
    )]
    NotUnderstood,
    /// The message does not exist.
    #[error("no such message: `tellal history` lists them with their numbers")]
    NoSuchMessage,
    /// The message has no sound.
    #[error("that message is not a voice note: `tellal speak` reads texts aloud")]
    NotVoice,
    /// Text that names no message.
    #[error("{text:?} names no message: give its number, its id, or `last`")]
    NotAMessageRef {
        /// What was typed.
        text: String,
    },
    /// Over a limit.
    #[error("{what} is over the limit of {limit}: nothing was sent")]
    TooLarge {
        /// What.
        what: String,
        /// The limit, in words.
        limit: String,
    },
    /// The server refused.
    #[error("the server refused: {reason}")]
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// The server takes no more for now.
    #[error("{what}: try again in {}", crate::model::time::in_words(*retry_in_ms))]
    Limited {
        /// Of what there is too much.
        what: String,
        /// When it takes more, in milliseconds from now.
        retry_in_ms: u64,
    },
    /// The server takes new accounts by invitation only.
    #[error(
        "this server asks for an invitation, and takes each only so often and so long: \
         ask whoever runs it for one, and register with --invite"
    )]
    InviteNeeded,
    /// The identity key of a contact changed.
    #[error(
        "the key of {nickname} has changed (known {}, since {} {}): nothing is sent until you have compared the \
         safety number (`tellal verify {nickname}`) or accepted the change (`tellal verify {nickname} --accept-change`)",
        change.known, change.since, change.shown
    )]
    KeyChanged {
        /// Whose.
        nickname: Nickname,
        /// From what to what.
        change: KeyChange,
    },
    /// The server's answer for a name is not what its transparency log has.
    #[error(
        "the server gave out keys for {nickname} that its transparency log does not have, or no longer: nothing is \
         sent to {nickname} until it shows what the log has. Ask whoever runs the server; `tellal audit` says more"
    )]
    NotInLog {
        /// Whose.
        nickname: Nickname,
    },
    /// The profile's secrets are sealed, and no passphrase was given.
    #[error(
        "the profile in {home} is locked: its passphrase is needed, typed on a terminal or through --passphrase-fd"
    )]
    Locked {
        /// The profile's folder.
        home: String,
    },
    /// The passphrase does not open the profile.
    #[error("that is not the profile's passphrase: try again; a forgotten one can't be recovered")]
    WrongPassphrase,
    /// The keyring that has the profile's passphrase does not give it.
    #[error(
        "the passphrase of the profile in {home} is in the system's keyring, which {cause}; start or unlock it and try \
         again, or give a copy of the passphrase through --passphrase-fd"
    )]
    KeyringUnavailable {
        /// The profile's folder.
        home: String,
        /// What is the matter with it.
        cause: String,
    },
    /// The keyring that should have the profile's passphrase does not have it.
    #[error(
        "the system's keyring has no passphrase that opens the profile in {home} (entry {entry}); log in as whoever has \
         it, restore the keyring from a backup, or give a copy of the passphrase through --passphrase-fd: there is no \
         other way in"
    )]
    NotInKeyring {
        /// The profile's folder.
        home: String,
        /// Under which entry it should have it.
        entry: String,
    },
    /// There is no keyring to keep a passphrase in.
    #[error(
        "the system's keyring {cause}: nothing was changed; start or unlock one (GNOME Keyring, KWallet, KeePassXC) and \
         try again, or set a passphrase of your own with `tellal lock --set`"
    )]
    NoKeyring {
        /// What is the matter with it.
        cause: String,
    },
    /// There is no passphrase to forget or to change.
    #[error("the profile has no passphrase: `tellal lock --set` sets one")]
    NoPassphrase,
    /// There is one already.
    #[error("the profile has a passphrase already: `tellal lock --change` changes it")]
    HasPassphrase,
    /// What was typed is not the safety number.
    #[error(
        "that is not the safety number of you and {nickname}: nothing was marked; if you read it right on both \
         sides, one of you was given a false key"
    )]
    WrongCode {
        /// With whom.
        nickname: Nickname,
    },
    /// What was typed is no safety number at all.
    #[error(
        "a safety number is 60 digits and nothing else, and this has {digits} digits: nothing was marked; give all \
         12 groups of five"
    )]
    NotACode {
        /// How many there were.
        digits: usize,
    },
    /// No device of the account has that id.
    #[error("no device of yours has an id that begins with {id:?}: `tellal devices` lists them")]
    NoSuchDevice {
        /// What was typed.
        id: String,
    },
    /// Several have.
    #[error("several of your devices have an id that begins with {id:?}: give more of it")]
    AmbiguousDevice {
        /// What was typed.
        id: String,
    },
    /// The account's last device.
    #[error(
        "that is the account's last device, and without one nobody could ever use the account again: \
         `tellal rekey --revoke {nickname}` ends it, `tellal rekey` makes new keys"
    )]
    LastDevice {
        /// Whose account.
        nickname: Nickname,
    },
    /// The device that this is.
    #[error(
        "that is this very device, and the account would be left to the others: remove it on one of those; \
         or remove those, and keep this one"
    )]
    ThisDevice,
    /// The account's chain of records has no place left for changes of its devices.
    #[error(
        "devices have come to this account and gone from it as often as they can: `tellal rekey` makes new keys and \
         takes all devices but this one away"
    )]
    NoPlaceForDevices,
    /// The account's chain of records has no place left for new keys.
    #[error(
        "this account has had new keys as often as it can: `tellal rekey --revoke {nickname}` is what is left, and an \
         account under another nickname"
    )]
    NoPlaceForKeys {
        /// Whose account.
        nickname: Nickname,
    },
    /// One's own name where another is meant: nobody verifies or blocks themselves.
    #[error("that is you: name somebody else")]
    OwnNickname,
    /// The profile's disk is full.
    #[error("no space left for the profile in {home}: free some and try again; nothing was lost")]
    DiskFull {
        /// The profile's folder.
        home: String,
    },
    /// The profile can't be read.
    #[error(
        "the profile is damaged: {what}; restore the whole profile from a backup and run `tellal rekey`, or register anew with another --home (it is about {path})"
    )]
    Damaged {
        /// What is wrong.
        what: String,
        /// The file.
        path: String,
    },
    /// A file of the profile can't be used.
    #[error(
        "can't use {path}: {cause}; see that you may read and write it, and the folder that it is in, or choose another \
         folder with --home"
    )]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// A fault of the program itself.
    #[error("{0}: this is a fault of tellal, please report it")]
    Internal(String),
}

impl ClientError {
    /// Whether the passphrase is what is missing, or wrong: with the right one the profile would open.
    pub fn is_of_a_locked_profile(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. }
                | Self::WrongPassphrase
                | Self::KeyringUnavailable { .. }
                | Self::NotInKeyring { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_every_shape_travel_between_processes() {
        for error in [
            ClientError::NoSuchMessage,
            ClientError::Internal("a fault".to_owned()),
            ClientError::UnknownNickname { nickname: "지민".parse().unwrap() },
        ] {
            let json = serde_json::to_string(&error).unwrap();
            assert_eq!(serde_json::from_str::<ClientError>(&json).unwrap(), error);
        }
    }
}
