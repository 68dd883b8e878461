//! What is fuzzed, one function for each kind of input from outside. The fuzzers in `fuzz_targets` call
//! these with made-up bytes, `tests/fuzz_corpus.rs` with the bytes in `corpus`.
//!
//! Nothing may panic, and what was understood has to be understood again, the same, after it was written.

use std::io::Cursor;

use bytes::{Bytes, BytesMut};
use minicbor::bytes::{ByteArray, ByteVec};
use tellal::audio::wav;
use tellal::crypto::envelope::{self, Content};
use tellal::crypto::{LogKey, LogWord, TwoLogKeys, certificate, proof, record};
use tellal::model::{
    AccountRecord, Head, Leaf, LogCertificate, MessageKeyRecord, Nickname, ServerId, Signed,
    from_canonical_cbor, to_cbor,
};
use tellal::protocol::frame::{self, Frame, Limit};
use tellal::protocol::message::{Push, Request};
use tellal::speech::text;
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
        assert_eq!(minicbor::decode::<Push>(&to_cbor(&push)).ok(), Some(push));
    }
}

/// An envelope's body, and the content inside a token.
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
}

/// A chain of account records and the record of a message key, as a directory gives them.
pub fn record(data: &[u8]) {
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

/// A line that was typed into a conversation, or a text that came from somebody else.
pub fn line(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = Line::parse(&text);
    if let Ok(name) = text.parse::<Nickname>() {
        assert_eq!(name.as_str().parse(), Ok(name));
    }
    assert!(sanitize::line(&text).chars().all(|c| !c.is_control()));
    assert!(sanitize::block(&text, 4).chars().all(|c| c == '\n' || !c.is_control()));
    let clean = text::clean(&text);
    for piece in text::pieces(&clean) {
        assert!(piece.chars().all(|c| !c.is_control()), "nothing for a speech service to stumble over");
    }
}
