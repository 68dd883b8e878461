//! The format, byte by byte, as another implementation made it (Python's hashlib and cbor2): a change here
//! is a new version.

use sha2::{Digest as _, Sha256};

use super::seal::assemble;
use super::*;
use crate::crypto::test_keys::unhex;
use crate::crypto::{MessageSecret, Purpose};
use crate::model::{
    AccountId, BlobId, Conversation, DeviceId, EnvelopeHash, MessageId, Millis, RoomId, RosterId, to_cbor,
};

fn header() -> Header {
    Header {
        version: 1,
        message: MessageId::from_bytes([1; 16]),
        account: AccountId::new([2; 32]),
        device: DeviceId::new([3; 32]),
        recipient: Conversation::Account(AccountId::new([4; 32])),
        counter: Some(300),
        previous: EnvelopeHash::new([6; 32]),
        commit: [7; 32],
        sent_at: Millis(1_795_233_600_000),
        log: None,
    }
}

#[test]
fn a_header_and_a_body() {
    let ids = [0x02, 0x03].map(|byte: u8| format!("{byte:02x}5820{}", format!("{byte:02x}").repeat(32)));
    let hashes = [0x06, 0x07].map(|byte: u8| format!("{byte:02x}5820{}", format!("{byte:02x}").repeat(32)));
    let expected = [
        "a9",
        "0001",
        &format!("0150{}", "01".repeat(16)),
        &ids.concat(),
        &format!("048200815820{}", "04".repeat(32)),
        "0519012c",
        &hashes.concat(),
        "081b000001a1fc42d200",
    ];
    let bytes = to_cbor(&header());
    assert_eq!(bytes, unhex(&expected.concat()));

    let body = assemble(&bytes, &[0xaa; 256], b"token").unwrap();
    let expected = [&[0, 213], bytes.as_slice(), &[1, 0], &[0xaa; 256], b"token"].concat();
    assert_eq!(body, expected);
    let hash = "2db948c0c11327239a81d2ccff293a29f199d338111f8620adce32c24782ae75";
    assert_eq!(parse(&body).unwrap().hash().to_string(), hash);
}

#[test]
fn a_header_outside_chains() {
    let bytes = to_cbor(&Header { counter: None, ..header() });
    let hash = "320ebe7789d2d60d78dd6e3b94f98590b81951de29b4cdc5f168fcda2d82b780";
    assert_eq!((bytes.len(), Sha256::digest(bytes).as_slice()), (209, unhex(hash).as_slice()));
}

#[test]
fn header_encodings_that_are_not_the_one_are_refused() {
    let good = to_cbor(&header());
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let good = text(&good);
    let wrong = [
        // A key more, a key doubled, a key missing, keys out of order.
        good.replacen("a9", "aa", 1) + "0900",
        good.replacen("a90001", "aa00010001", 1),
        good.replacen("a90001", "a8", 1),
        good.replacen("a90001", "a9", 1) + "0001",
        // A length and numbers that are longer than they need be, an absent value spelt out.
        good.replacen("a9", "b809", 1),
        good.replacen("a90001", "a9001801", 1),
        good.replacen("0519012c", "051a0000012c", 1),
        good.replacen("0519012c", "05f6", 1),
        // An endless map, another kind of conversation, a byte too many.
        good.replacen("a9", "bf", 1) + "ff",
        good.replacen("04820081", "04820181", 1),
        good.clone() + "00",
    ];
    for bytes in wrong {
        assert_ne!(bytes, good);
        let body = assemble(&unhex(&bytes), &[0; 256], b"token").unwrap();
        assert_eq!(parse(&body).unwrap_err(), ParseError::Malformed, "{bytes}");
    }
    assert!(parse(&assemble(&unhex(&good), &[0; 256], b"token").unwrap()).is_ok());
}

#[test]
fn a_header_for_a_room() {
    let recipient = Conversation::Room { room: RoomId::new([5; 32]), roster: RosterId::new([6; 32]) };
    let header = Header { recipient, ..header() };
    let bytes = to_cbor(&header);
    let part = format!("0482018258 20{}5820{}05", "05".repeat(32), "06".repeat(32)).replace(' ', "");
    let part = unhex(&part);
    assert!(bytes.windows(part.len()).any(|window| window == part));
    let body = assemble(&bytes, &[0; 256], b"token").unwrap();
    assert_eq!(*parse(&body).unwrap().header(), header);
    assert_eq!(recipient.chain(), [6; 32]);
}

#[test]
fn an_envelope_for_something_unknown_is_no_envelope() {
    let good = to_cbor(&header());
    let place = good.windows(4).position(|part| part == [0x04, 0x82, 0x00, 0x81]).unwrap();
    for kind in 1..=23 {
        let mut header = good.clone();
        header[place + 2] = kind;
        let body = assemble(&header, &[0; 256], b"token").unwrap();
        assert_eq!(parse(&body).unwrap_err(), ParseError::Malformed, "{kind}");
    }
}

#[test]
fn contents() {
    let padded = |start: &[u8], size: usize| {
        let mut plain = start.to_vec();
        plain.resize(size, 0);
        plain
    };
    let text = Content::Text("hé".to_owned()).encode().unwrap();
    assert_eq!(*text, padded(&[1, 0, 0, 0, 3, b'h', 0xc3, 0xa9], 128));
    assert_eq!(*Content::Void.encode().unwrap(), padded(&[3], 128));

    let manifest = VoiceManifest {
        data: VoiceData::Blob { id: BlobId::new([9; 32]), chunks: 3 },
        name: "a".to_owned(),
        media_type: "audio/wav".to_owned(),
        size: 150_000,
        sha256: [3; 32],
        duration_ms: 1500,
        sample_rate: 16_000,
        peaks: vec![0, 255].into(),
    };
    let rest =
        format!("0161610269617564696f2f776176031a000249f0045820{}051905dc06193e80074200ff", "03".repeat(32));
    let blob = unhex(&format!("a8008200825820{}03{rest}", "09".repeat(32)));
    assert_eq!(to_cbor(&manifest), blob);
    let length = u8::try_from(blob.len()).unwrap();
    let voice = Content::Voice(manifest.clone()).encode().unwrap();
    assert_eq!(*voice, padded(&[&[2, 0, 0, 0, length], blob.as_slice()].concat(), 128));

    let inline = VoiceManifest { data: VoiceData::Inline(b"RIFF".to_vec().into()), ..manifest };
    assert_eq!(to_cbor(&inline), unhex(&format!("a80082018144{:x}{rest}", u32::from_be_bytes(*b"RIFF"))));
}

#[test]
fn commitments_and_hashes() {
    let commitment = "95ff401cc4cc3c7e622338339e55fe068f3bf3f0fcc0851819a45ee3210a85ce";
    assert_eq!(MessageSecret::from_bytes(&[1; 32]).commitment().as_slice(), unhex(commitment));
    let hashes: [[u8; 32]; 2] = [Sha256::digest(to_cbor(&header())).into(), Sha256::digest(b"token").into()];
    let hash = "2db948c0c11327239a81d2ccff293a29f199d338111f8620adce32c24782ae75";
    assert_eq!(Purpose::Envelope.hash(&[&hashes[0], &hashes[1]]).as_slice(), unhex(hash));
}
