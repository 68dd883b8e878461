//! What is fuzzed, one function for each kind of input from outside. The fuzzers in `fuzz_targets` call
//! these with made-up bytes, `tests/fuzz_corpus.rs` with the bytes in `corpus`.
//!
//! Nothing may panic, and what was understood has to be understood again, the same, after it was written.

use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use minicbor::bytes::{ByteArray, ByteVec};
use sha2::{Digest as _, Sha256};
use tellal::audio::wav;
use tellal::client::Settings;
use tellal::crypto::chunk::open_chunk;
use tellal::crypto::envelope::{self, Content};
use tellal::crypto::live::{Note, open_group};
use tellal::crypto::room::Room;
use tellal::crypto::{
    LogKey, LogWord, MessageSecret, PrivateKey, PublicKey, Purpose, TwoLogKeys, certificate, proof, record,
};
use tellal::model::{
    AccountId, AccountRecord, DeviceId, Head, KeyId, Leaf, LogCertificate, MessageId, MessageKeyRecord,
    Millis, Nickname, RoomRecord, RoomRecordKind, ServerId, Signed, from_canonical_cbor, invite, to_cbor,
};
use tellal::protocol::frame::{self, Frame, Limit};
use tellal::protocol::message::{Push, Request};
use tellal::server::Config;
use tellal::speech::content::{Stretch, stretches};
use tellal::speech::{Language, language, parts, text};
use tellal::terminal::chat::command::Line;
use tellal::terminal::sanitize;

/// Frames as they come off a connection, before and after login and from a server, and the heads in them.
pub fn frame(data: &[u8]) {
    for limit in [Limit::BEFORE_LOGIN, Limit::FROM_CLIENT, Limit::FROM_SERVER] {
        let mut buffer = BytesMut::from(data);
        while let Ok(Some(taken)) = frame::take(&mut buffer, limit) {
            heads(&taken);
            let mut again = BytesMut::new();
            frame::put(&mut again, &taken.head, &taken.body);
            assert_eq!(frame::take(&mut again, limit), Ok(Some(taken)));
        }
    }
}

fn heads(frame: &Frame) {
    // Heads need not be deterministic: what was decoded is compared after it was encoded, not the bytes.
    if let Ok(request) = minicbor::decode::<Request>(&frame.head) {
        assert_eq!(minicbor::decode::<Request>(&to_cbor(&request)).ok(), Some(request));
    }
    if let Ok(push) = minicbor::decode::<Push>(&frame.head) {
        if let Push::Hello { log: Some(certificate), .. } = &push {
            let _ = certificate::verify(certificate);
        }
        assert_eq!(minicbor::decode::<Push>(&to_cbor(&push)).ok(), Some(push));
    }
}

/// An envelope's body, the content inside a token, and the sound that is too large for it.
pub fn envelope(data: &[u8]) {
    if let Ok(parsed) = envelope::parse(&Bytes::copy_from_slice(data)) {
        let header = parsed.header();
        assert_eq!(from_canonical_cbor(&to_cbor(header)).as_ref(), Ok(header));
        parsed.hash();
    }
    if let Ok(content) = Content::decode(data) {
        let again = content.encode().map(|plain| plain.as_slice() == data);
        assert_eq!(again.ok(), Some(true), "one content, one encoding");
    }
    sound(data);
}

/// A note that is spoken live, by somebody who signs whatever the fuzzer likes.
struct Spoken {
    device: PrivateKey,
    secret: MessageSecret,
    note: Note,
}

/// The groups' place in it.
const PLACE: u32 = 2;

static SPOKEN: LazyLock<Option<Spoken>> = LazyLock::new(|| {
    let note = Note { opening: [0x0c; 32], message: MessageId::from_bytes([0x0d; 16]) };
    let device = PrivateKey::generate(2048).ok()?;
    Some(Spoken { device, secret: MessageSecret::from_bytes(&[0x5c; 32]), note })
});

/// A chunk or a group of sound: as it comes, and as what is inside a token that its sender has sealed and signed.
fn sound(data: &[u8]) {
    let Some(Spoken { device, secret, note }) = &*SPOKEN else { return };
    let group =
        |group: &[u8]| open_group(secret, device.public(), note, PLACE, &Bytes::copy_from_slice(group));
    assert!(group(data).is_err() && open_chunk(secret, &note.message, PLACE, data).is_err(), "nobody's");
    // What does not begin as either is known to be neither: the time is better spent on what does.
    let (Some(kind @ (0x10 | 0x11)), Ok(token)) = (data.first(), secret.seal(data)) else { return };
    let opened = if *kind == 0x10 {
        open_chunk(secret, &note.message, PLACE, &token)
    } else {
        let hash: [u8; 32] = Sha256::digest(&token).into();
        let signed: [&[u8]; 3] = [&note.opening, &PLACE.to_be_bytes(), &hash];
        let Ok(signature) = device.sign(Purpose::LiveSound, &signed) else { return };
        let length = u16::try_from(signature.len()).unwrap_or_default();
        group(&[&length.to_be_bytes()[..], &signature, &token].concat())
    };
    if let Ok(chunk) = opened {
        let place: [&[u8]; 3] = [&[*kind], note.message.as_bytes(), &PLACE.to_be_bytes()];
        let again = [&place.concat()[..], &[u8::from(chunk.last)], &chunk.data].concat();
        assert_eq!(again, data, "one piece of sound, one encoding");
    }
}

/// A chain of account records and the record of a message key, as a directory gives them, the keys in them, and a
/// room's chain.
pub fn record(data: &[u8]) {
    if let Ok(key) = PublicKey::from_spki(data) {
        assert_eq!(key.spki(), data);
    }
    if let Ok(said) = from_canonical_cbor::<AccountRecord>(data) {
        assert_eq!(to_cbor(&said), data);
    }
    if let Ok(said) = from_canonical_cbor::<MessageKeyRecord>(data) {
        assert_eq!(to_cbor(&said), data);
    }
    if let Ok((chain, key)) = minicbor::decode::<(Vec<Signed>, Signed)>(data)
        && let Ok(account) = record::verify_account(&chain)
    {
        // Fuzzers do not forge signatures: whoever gets here was put into the corpus.
        let _ = record::verify_message_key(&account, &key);
    }
    room(data);
}

/// A chain of a room's records as it comes, and one of whatever four people do.
fn room(data: &[u8]) {
    if let Ok(said) = from_canonical_cbor::<RoomRecord>(data) {
        assert_eq!(to_cbor(&said), data);
    }
    if let Ok(chain) = minicbor::decode::<Vec<Signed>>(data)
        && let Ok(room) = Room::read_verified(&chain)
    {
        assert_eq!(room.members_at(&room.roster()).as_ref(), Some(&room.members));
    }
    let person = |number: u8| AccountId::new([number & 3; 32]);
    let (mut chain, mut room): (Vec<Signed>, Option<Room>) = (Vec::new(), None);
    for did in data.iter().take(48) {
        let other = person(did >> 2);
        let kind = match did >> 4 & 7 {
            0 => RoomRecordKind::Founded { nonce: [*did; 32].into() },
            1 | 5 => RoomRecordKind::Invited { account: other },
            2 | 6 => RoomRecordKind::Joined,
            3 => RoomRecordKind::Left,
            _ => RoomRecordKind::Removed { account: other },
        };
        let record = RoomRecord {
            version: 1,
            room: room.as_ref().map(|room| room.id),
            index: u32::try_from(chain.len()).unwrap_or_default(),
            previous: room.as_ref().map(Room::roster),
            made_at: Millis(u64::from(*did)),
            account: person(*did),
            device: DeviceId::new([0; 32]),
            kind,
        };
        chain.push(Signed { body: to_cbor(&record).into(), signature: Vec::new().into() });
        match Room::read_verified(&chain) {
            Ok(now) => {
                assert_eq!(now.members_at(&now.roster()).as_ref(), Some(&now.members));
                assert!(now.members.iter().all(|member| !now.invited.contains_key(member)));
                let before = room.as_ref();
                let gone = before.map(|before| before.members.difference(&now.members).collect::<Vec<_>>());
                for member in gone.unwrap_or_default() {
                    let since = before.and_then(|before| now.gone_since(member, &before.roster()));
                    assert_eq!(since, Some(record.made_at));
                }
                room = Some(now);
            }
            Err(_) => {
                chain.pop();
            }
        }
    }
}

/// What is proven about the transparency log: checkpoints, leaves and their paths, growth, evidence.
pub fn proof(data: &[u8]) {
    let key = LogKey { server: ServerId::new([0x5e; 32]), public: [0x5e; 32] };
    if let Ok(note) = std::str::from_utf8(data) {
        assert!(key.verify(note).is_err(), "nobody has that key");
    }
    for leaf in Leaf::all(data).unwrap_or_default() {
        assert_eq!(Leaf::from_bytes(&leaf.to_bytes()), leaf);
    }
    if let Ok(word) = from_canonical_cbor::<LogWord>(data) {
        assert_eq!(to_cbor(&word), data);
        assert!(word.evidence.is_none_or(|evidence| evidence.check(&key).is_none()));
        let other = LogCertificate {
            log_key: word.certificate.log_key.map(|byte| !byte),
            ..word.certificate.clone()
        };
        let _ = (certificate::verify(&word.certificate), TwoLogKeys { one: word.certificate, other }.check());
    }
    type Held = (Head, u64, ByteVec, Vec<ByteArray<32>>);
    if let Ok((head, place, leaf, path)) = minicbor::decode::<Held>(data)
        && proof::holds(&head, place, &leaf, &path)
    {
        let other = [leaf.as_slice(), &[0]].concat();
        assert!(!proof::holds(&head, place, &other, &path), "one place, one leaf");
    }
    if let Ok((from, to, path)) = minicbor::decode::<(Head, Head, Vec<ByteArray<32>>)>(data)
        && proof::has_grown(&from, &to, &path)
    {
        let root = from.root.map(|byte| !byte);
        assert!(!proof::has_grown(&Head { root, ..from }, &to, &path), "out of one log alone");
    }
}

/// A file that is said to be a WAV file.
pub fn wav(data: &[u8]) {
    if let Ok(note) = wav::read(Cursor::new(data), wav::Limits::default()) {
        assert!(note.peaks.len() == wav::PEAKS && wav::RATES.contains(&note.sample_rate));
        let again = wav::read(Cursor::new(&note.wav), wav::Limits::default());
        assert_eq!(again.map(|again| (again.wav == note.wav, again.converted)).ok(), Some((true, None)));
    }
}

/// A line that was typed into a conversation or for a command, a text that came from somebody else, a file that
/// somebody has written by hand.
pub fn line(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = Line::parse(&text);
    if let Ok(name) = text.parse::<Nickname>() {
        assert_eq!(name.as_str().parse(), Ok(name));
    }
    if let Ok(id) = KeyId::from_fingerprint(&text) {
        assert_eq!(KeyId::from_fingerprint(&id.fingerprint()), Ok(id));
    }
    assert_eq!(invite::hash(&text), invite::hash(&text.replace('-', " ")));
    let _ = (Settings::parse(&text, Path::new("settings.toml")), Config::parse(&text));
    assert!(sanitize::line(&text).chars().all(|c| !c.is_control()));
    assert!(sanitize::block(&text, 4).chars().all(|c| c == '\n' || !c.is_control()));
    let clean = text::clean(&text);
    for piece in text::pieces(&clean) {
        assert!(is_speakable(&piece), "nothing for a speech service to stumble over");
    }
    spoken(&text);
}

fn is_speakable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control())
}

/// A text that is taken apart to be read aloud.
fn spoken(text: &str) {
    for stretch in stretches(text) {
        match stretch {
            Stretch::Words(words) => {
                let main = language::detect_at(&words, &Language::COMMON, None, None);
                let main = main.unwrap_or(Language::ENGLISH);
                for (_, part) in parts::split(&words, main, Some(Language::TURKISH), &Language::COMMON) {
                    assert!(is_speakable(&part) && !part.is_empty());
                }
            }
            Stretch::Link(host) => assert!(is_speakable(&host) && !host.is_empty()),
            Stretch::Code(_) | Stretch::Symbols => {}
        }
    }
}
