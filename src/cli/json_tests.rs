//! What `docs/json.md` says, held against values that are hard to come by in tests of the program.

use serde::Serialize;
use serde_json::Value;

use super::device::Removed;
use super::devices;
use super::doctor::Check;
use super::lock::Locked;
use super::output::{Block, Error, Played, Registered, Saved, SentVoice, to_json};
use super::room;
use super::sounds::Listed;
use super::speak::Spoken;
use super::verify::Verified;
use crate::audio::AudioError;
use crate::client::{
    Body, ClientError, Contact, Delivery, KeyChange, Message, OwnDevice, Room, RoomMember, RoomStanding,
    Safety, Status,
};
use crate::model::{AccountId, DeviceId, MessageId, Millis, RoomId};

#[path = "../../tests/support/schema.rs"]
mod schema;

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::from_str(&to_json(value).unwrap()).unwrap()
}

fn message(body: Body, delivery: Option<Delivery>) -> Message {
    Message { delivery, ..Message::example(body) }
}

#[test]
fn messages_are_as_described() {
    let text = || Body::Text { text: "merhaba".to_owned() };
    let voice = Body::voice(1, 8_000, 44, vec![0; 64]);
    let refused = Delivery::Refused { reason: "no".to_owned() };
    schema::check_message(&json(&message(text(), None)));
    schema::check_message(&json(&message(text(), Some(Delivery::Queued))));
    schema::check_message(&json(&message(text(), Some(refused))));
    schema::check_message(&json(&message(Body::Notice { text: "the key changed".to_owned() }, None)));
    let invitation = Body::Invitation { room: "garden".parse().unwrap() };
    schema::check_message(&json(&message(invitation, None)));
    let in_a_room = Message { to: "#garden".parse().unwrap(), ..message(text(), Some(Delivery::Accepted)) };
    assert_eq!(json(&in_a_room)["to"], "room:garden");
    schema::check_message(&json(&message(voice.clone(), None)));
    let message = message(voice, Some(Delivery::Accepted));
    for converted in [None, Some("converted from 8-bit to 16-bit".to_owned())] {
        schema::check_message(&json(&SentVoice { message: &message, converted }));
    }
}

#[test]
fn other_results_are_as_described() {
    let nickname: crate::model::Nickname = "zoé".parse().unwrap();
    let status = Status {
        nickname: nickname.clone(),
        account: AccountId::new([0; 32]),
        fingerprint: String::new(),
        color: "red".parse().unwrap(),
        server: String::new(),
        server_fingerprint: None,
        connected: true,
        queued: 0,
        clock_ahead_ms: None,
    };
    let user = Contact {
        nickname,
        online: true,
        fingerprint: String::new(),
        verified: false,
        color: "red".parse().unwrap(),
        since: Millis(0),
        me: false,
        blocked: true,
        warning: None,
        key_change: None,
    };
    let id = Some(MessageId::from_bytes([1; 16]));
    let saved = Saved { kind: "saved", file: String::new(), size: 0, messages: Some(1), id };
    let error = Error { kind: "error", error: String::new(), message: String::new(), id };
    let change =
        || KeyChange { known: String::new(), shown: String::new(), since: Millis(0), vouched: false };
    let safety = Safety {
        nickname: user.nickname.clone(),
        number: String::new(),
        fingerprint: String::new(),
        own_fingerprint: String::new(),
        verified: false,
        key_change: Some(change()),
        new_number: Some(String::new()),
    };
    let safety = json(&Verified { kind: "safety", safety: &safety });
    schema::check(&safety, &["safety"]);
    schema::check(&safety["key_change"], &["key_change"]);
    let changed = json(&Contact { key_change: Some(change()), ..user.clone() });
    schema::check(&changed, &["user"]);
    schema::check(
        &json(&Locked { kind: "lock", passphrase: true, keyring: false, stopped: false }),
        &["lock"],
    );
    schema::check(&json(&user), &["user"]);
    let block = Block { kind: "block", nickname: String::new(), blocked: true, told: false };
    schema::check(&json(&block), &["block"]);
    schema::check(&json(&Registered::from(status)), &["registered"]);
    let spoken = Spoken { kind: "spoken", id: MessageId::from_bytes([1; 16]), complete: true };
    schema::check(&json(&spoken), &["spoken"]);
    for check in [Check::good("server", "answers"), Check::bad("speech", "none", "install it").essential()] {
        schema::check(&json(&check), &["check"]);
    }
    let sound = Listed {
        kind: "sound",
        sound: "left",
        person: Some("지민".parse().unwrap()),
        file: None,
        duration_ms: 350,
        silent: false,
    };
    schema::check(&json(&sound), &["sound"]);
    let id = DeviceId::new([1; 32]);
    let device =
        OwnDevice { id, short: String::new(), this: true, known: true, since: Millis(0), in_log: true };
    schema::check(&json(&devices::Listed { kind: "device", device: &device }), &["device"]);
    schema::check(&json(&Removed { kind: "device_removed", id }), &["device_removed"]);
    schema::check(&json(&saved), &["saved"]);
    schema::check(&json(&Saved { messages: None, id: None, ..saved }), &["saved"]);
    let played =
        Played { kind: "played", id: MessageId::from_bytes([1; 16]), complete: true, position_ms: 0 };
    schema::check(&json(&played), &["played"]);
    schema::check(&json(&error), &["error"]);
}

#[test]
fn rooms_are_as_described() {
    let member = RoomMember {
        nickname: "zoé".parse().unwrap(),
        color: "red".parse().unwrap(),
        joined: true,
        fingerprint: String::new(),
        verified: false,
        key_change: None,
        you: false,
    };
    let room = Room {
        name: "garden".parse().unwrap(),
        id: RoomId::new([1; 32]),
        standing: RoomStanding::Invited,
        founder: "zoé".parse().unwrap(),
        invited_by: Some("zoé".parse().unwrap()),
        members: vec![member],
        since: Millis(0),
    };
    let shown = json(&room::Shown { kind: "room", room: &room });
    schema::check(&shown, &["room"]);
    schema::check(&shown["members"][0], &["member"]);
    assert_eq!((&shown["standing"], &shown["name"]), (&"invited".into(), &"garden".into()));
    let member = json(&room::Member::all(&room, Some(&[])).next().unwrap());
    schema::check(&member, &["room_member", "member"]);
    assert_eq!(member["founder"], true);
}

#[test]
fn every_error_of_the_devices_is_listed() {
    let cause = String::new();
    let listed = schema::errors();
    for error in [
        AudioError::NoOutput { cause: cause.clone() },
        AudioError::OutputLost { cause: cause.clone() },
        AudioError::NoInput { cause: cause.clone() },
        AudioError::UnknownInput { name: cause.clone(), known: cause.clone() },
        AudioError::InputLost { cause: cause.clone() },
        AudioError::NothingRecorded,
        AudioError::Unreadable(cause),
    ] {
        assert!(listed.contains(&error.code().to_owned()), "{error:?} is not listed");
    }
}

#[test]
fn every_error_of_the_core_is_listed() {
    let nickname: crate::model::Nickname = "zoé".parse().unwrap();
    let (home, path) = (String::new(), String::new());
    let (what, cause) = (String::new(), String::new());
    let room = || "garden".parse().unwrap();
    let listed = schema::errors();
    let change = KeyChange { known: String::new(), shown: String::new(), since: Millis(0), vouched: false };
    for error in [
        ClientError::NotRegistered { home: home.clone() },
        ClientError::AlreadyRegistered { nickname: nickname.clone() },
        ClientError::NicknameTaken { nickname: nickname.clone() },
        ClientError::NotInRoom { room: room() },
        ClientError::RoomNameTaken { room: room() },
        ClientError::RoomNamed { room: room() },
        ClientError::NotInvited { room: room() },
        ClientError::SeveralInvitations { room: room(), inviters: Vec::new() },
        ClientError::NotFounder { room: room(), founder: nickname.clone() },
        ClientError::NotOfRoom { room: room(), nickname: nickname.clone() },
        ClientError::AloneInRoom { room: room() },
        ClientError::RoomAtItsEnd { room: room() },
        ClientError::RoomContradicted { room: room() },
        ClientError::UnknownNickname { nickname: nickname.clone() },
        ClientError::Unreachable { server: home.clone(), cause: cause.clone() },
        ClientError::WrongFingerprint { server: home.clone(), expected: home.clone(), found: home.clone() },
        ClientError::WrongCertificate { server: home.clone(), cause: cause.clone() },
        ClientError::Busy { what: what.clone() },
        ClientError::NotUnderstood,
        ClientError::NoSuchMessage,
        ClientError::NotVoice,
        ClientError::NoteEnded,
        ClientError::NotAMessageRef { text: what.clone() },
        ClientError::TooLarge { what: what.clone(), limit: what.clone() },
        ClientError::Refused { reason: what.clone() },
        ClientError::NotInLog { nickname: nickname.clone() },
        ClientError::Limited { what: what.clone(), retry_in_ms: 1 },
        ClientError::InviteNeeded,
        ClientError::KeyChanged { nickname: nickname.clone(), change },
        ClientError::WrongCode { nickname: nickname.clone() },
        ClientError::NotACode { digits: 3 },
        ClientError::OwnNickname,
        ClientError::NoSuchDevice { id: what.clone() },
        ClientError::AmbiguousDevice { id: what.clone() },
        ClientError::LastDevice { nickname },
        ClientError::ThisDevice,
        ClientError::Locked { home: home.clone() },
        ClientError::WrongPassphrase,
        ClientError::KeyringUnavailable { home: home.clone(), cause: cause.clone() },
        ClientError::NotInKeyring { home: home.clone(), entry: what.clone() },
        ClientError::NoKeyring { cause: cause.clone() },
        ClientError::NoPassphrase,
        ClientError::HasPassphrase,
        ClientError::DiskFull { home },
        ClientError::Damaged { what, path: path.clone() },
        ClientError::File { path, cause },
        ClientError::Internal(String::new()),
    ] {
        let code = super::failure::code(&error.into());
        assert!(listed.contains(&code), "{code} is not listed");
    }
}
