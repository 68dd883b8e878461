use bytes::Bytes;
use minicbor::bytes::ByteVec;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::crypto::test_keys::{AYŞE, BURAK, Person, THEN};
use crate::crypto::{CannotOpen, MessageSecret, SealError, record};
use crate::model::{
    AccountId, BlobId, Conversation, DeviceId, EnvelopeHash, Head, MessageId, Millis, Wrap, limits, to_cbor,
};

impl Person {
    pub(super) fn as_recipient(&self) -> Recipient {
        Recipient { account: self.account.id, device: self.message_key.device }
    }
}

/// What ayşe decides of a header to burak.
pub(super) fn draft() -> Draft {
    Draft {
        message: MessageId::from_bytes([7; 16]),
        account: AYŞE.account.id,
        recipient: Conversation::Account(BURAK.account.id),
        counter: Some(3),
        previous: EnvelopeHash::new([5; 32]),
        sent_at: THEN,
        log: None,
    }
}

pub(super) fn text() -> Content {
    Content::Text("Merhaba, 안녕, 你好, salut".to_owned())
}

pub(super) fn sealed(draft: &Draft, content: &Content) -> (SealedEnvelope, Wrap) {
    let sealed = seal(&AYŞE.device, draft, content, MessageSecret::generate()).unwrap();
    let wrap = sealed.wrap_for(&BURAK.message_key).unwrap();
    (sealed, wrap)
}

/// What an honest server says of an envelope.
pub(super) fn delivered(header: &Header) -> Delivered {
    let conversation = header.recipient;
    Delivered { sender: header.account, device: header.device, message: header.message, conversation }
}

/// Everything that burak's device does with what it receives; the server says what the header says.
pub(super) fn receive(body: &Bytes, wrap: &Wrap) -> Result<Opened, String> {
    let parsed = parse(body).map_err(|error| error.to_string())?;
    let delivered = delivered(parsed.header());
    let verified = parsed.check(&delivered, BURAK.as_recipient(), &AYŞE.account, None);
    verified.map_err(|error| error.to_string())?.open(&BURAK.message, wrap).map_err(|error| error.to_string())
}

fn voice(data: VoiceData, size: u64, sha256: [u8; 32]) -> VoiceManifest {
    VoiceManifest {
        data,
        name: "not ⸱ 1.wav".to_owned(),
        media_type: "audio/wav".to_owned(),
        size,
        sha256,
        duration_ms: 1500,
        sample_rate: 16_000,
        peaks: vec![0, 128, 255].into(),
    }
}

fn inline_voice(bytes: Vec<u8>) -> VoiceManifest {
    let sha256 = Sha256::digest(&bytes).into();
    voice(VoiceData::Inline(ByteVec::from(bytes.clone())), bytes.len() as u64, sha256)
}

fn blob_voice(chunks: u32, size: u64) -> VoiceManifest {
    voice(VoiceData::Blob { id: BlobId::new([9; 32]), chunks }, size, [3; 32])
}

#[test]
fn an_envelope_opens_for_whom_it_was_sealed() {
    let (sealed, wrap) = sealed(&draft(), &text());
    let parsed = parse(&sealed.body).unwrap();
    assert_eq!(parsed.hash(), sealed.hash);
    let delivered = delivered(parsed.header());
    let verified = parsed.check(&delivered, BURAK.as_recipient(), &AYŞE.account, None).unwrap();
    assert_eq!((verified.hash(), verified.header().counter), (sealed.hash, Some(3)));
    let opened = verified.open(&BURAK.message, &wrap).unwrap();
    assert_eq!(opened.content, text());
    assert_eq!(opened.secret.expose_key_bytes(), sealed.secret.expose_key_bytes());
}

#[test]
fn an_envelope_fits_its_frame_whatever_it_holds() {
    let longest = Content::Text("ş".repeat(limits::INLINE_CONTENT / 2));
    let loudest = Content::Voice(inline_voice(vec![1; limits::INLINE_CONTENT]));
    for content in [longest, loudest, Content::Void, Content::Voice(blob_voice(3, 150_000))] {
        let (sealed, wrap) = sealed(&draft(), &content);
        assert!(sealed.body.len() < limits::BODY);
        assert_eq!(receive(&sealed.body, &wrap).unwrap().content, content);
    }
}

#[test]
fn texts_of_one_size_class_make_bodies_of_one_size() {
    let size = |length| sealed(&draft(), &Content::Text("x".repeat(length))).0.body.len();
    assert_eq!(size(0), size(123));
    assert_eq!(size(124), size(251));
    assert_eq!(size(252), size(507));
    assert!(size(0) < size(124) && size(124) < size(252));
    assert_eq!(sealed(&draft(), &Content::Void).0.body.len(), size(0));
}

#[test]
fn content_that_contradicts_itself_or_is_too_large_is_not_sealed() {
    let refused = |content| seal(&AYŞE.device, &draft(), &content, MessageSecret::generate()).unwrap_err();
    assert_eq!(refused(Content::Text("x".repeat(limits::INLINE_CONTENT + 1))), SealError::TooLarge);
    let large = inline_voice(vec![1; limits::INLINE_CONTENT + 1]);
    assert_eq!(refused(Content::Voice(large)), SealError::TooLarge);
    for wrong in inconsistent() {
        assert_eq!(refused(Content::Voice(wrong)), SealError::Content);
    }
}

fn inconsistent() -> Vec<VoiceManifest> {
    let good = inline_voice(vec![1; 100]);
    let over = limits::BLOB + 1;
    vec![
        VoiceManifest { size: 99, ..good.clone() },
        VoiceManifest { sha256: [0; 32], ..good.clone() },
        VoiceManifest { name: "x".repeat(256), ..good.clone() },
        VoiceManifest { media_type: "x".repeat(128), ..good.clone() },
        VoiceManifest { peaks: vec![0; 65].into(), ..good },
        blob_voice(0, 0),
        blob_voice(1, limits::CHUNK as u64 + 1),
        blob_voice(3, 2 * limits::CHUNK as u64),
        blob_voice(u32::try_from(over.div_ceil(limits::CHUNK as u64)).unwrap(), over),
    ]
}

/// A member can put anything into a token that they sign: what is not content is refused.
#[test]
fn plaintext_that_is_no_content_is_refused() {
    let plain = |kind: u8, payload: &[u8], size: usize| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut plain = [&[kind], length.as_slice(), payload].concat();
        plain.resize(size.max(plain.len()), 0);
        plain
    };
    assert_eq!(Content::decode(&plain(1, b"merhaba", 128)), Ok(Content::Text("merhaba".to_owned())));
    let mut dirty = plain(1, b"merhaba", 128);
    dirty[127] = 1;
    let mut beyond = plain(1, b"merhaba", 128);
    beyond[1..5].copy_from_slice(&124_u32.to_be_bytes());
    let manifest = to_cbor(&inline_voice(vec![1; 10]));
    let trailing = [manifest.as_slice(), &[0]].concat();
    let mut wrong = vec![
        Vec::new(),
        vec![1],
        dirty,
        beyond,
        plain(1, b"merhaba", 127),
        plain(1, b"merhaba", 256),
        plain(1, b"\xff\xfe", 128),
        plain(1, &vec![b'x'; limits::INLINE_CONTENT + 1], 65536),
        plain(2, b"merhaba", 128),
        plain(2, &trailing, 128),
        plain(3, b"x", 128),
        plain(0, b"", 128),
        plain(4, b"", 128),
        plain(0x10, b"", 128),
    ];
    wrong.extend(inconsistent().iter().map(to_cbor).map(|manifest| {
        let size = (manifest.len() + 5).next_power_of_two();
        plain(2, &manifest, size)
    }));
    for plain in wrong {
        assert_eq!(Content::decode(&plain), Err(CannotOpen));
    }
}

#[test]
fn the_servers_word_has_to_match_the_header() {
    let (sealed, _) = sealed(&draft(), &text());
    let parsed = parse(&sealed.body).unwrap();
    let said = delivered(parsed.header());
    let others = [
        Delivered { sender: BURAK.account.id, ..said },
        Delivered { device: DeviceId::new([1; 32]), ..said },
        Delivered { message: MessageId::from_bytes([1; 16]), ..said },
        Delivered { conversation: AYŞE.account.id.into(), ..said },
    ];
    for other in others {
        let refused = parsed.clone().check(&other, BURAK.as_recipient(), &AYŞE.account, None).unwrap_err();
        assert_eq!(refused, CheckError::Delivery);
    }
}

#[test]
fn an_envelope_is_for_its_recipient_and_the_senders_other_devices() {
    let (sealed, _) = sealed(&draft(), &text());
    let parsed = parse(&sealed.body).unwrap();
    let said = delivered(parsed.header());
    let check = |me| parsed.clone().check(&said, me, &AYŞE.account, None).map(|_| ());
    let other_device = DeviceId::new([1; 32]);
    assert_eq!(check(BURAK.as_recipient()), Ok(()));
    assert_eq!(check(Recipient { account: AYŞE.account.id, device: other_device }), Ok(()));
    let zoé = Recipient { account: AccountId::new([2; 32]), device: other_device };
    assert_eq!(check(zoé), Err(CheckError::NotForMe));
    assert_eq!(check(AYŞE.as_recipient()), Err(CheckError::Reflected));
    let reflected = Recipient { account: BURAK.account.id, device: AYŞE.message_key.device };
    assert_eq!(check(reflected), Err(CheckError::Reflected));
}

#[test]
fn only_a_certified_device_of_the_sender_counts() {
    let check = |sender: &Person, draft: &Draft, account: &record::Account| {
        let sealed = seal(&sender.device, draft, &text(), MessageSecret::generate()).unwrap();
        let parsed = parse(&sealed.body).unwrap();
        let said = delivered(parsed.header());
        let me = Recipient { account: BURAK.account.id, device: DeviceId::new([1; 32]) };
        parsed.check(&said, me, account, None).map(|_| ())
    };
    assert_eq!(check(&AYŞE, &draft(), &AYŞE.account), Ok(()));
    // burak's device under ayşe's account, and ayşe's envelope held against another account.
    assert_eq!(check(&BURAK, &draft(), &AYŞE.account), Err(CheckError::UncertifiedDevice));
    assert_eq!(check(&AYŞE, &draft(), &BURAK.account), Err(CheckError::UncertifiedDevice));
    // An account that claims ayşe's device as its own.
    let name = "zoé".parse().unwrap();
    let claim = record::register(&BURAK.identity, AYŞE.device.public(), name, None, THEN).unwrap();
    let claimant = record::verify_account(&[claim]).unwrap();
    assert_eq!(check(&AYŞE, &draft(), &claimant), Err(CheckError::UncertifiedDevice));
    let stolen = Draft { account: BURAK.account.id, ..draft() };
    assert_eq!(check(&AYŞE, &stolen, &BURAK.account), Err(CheckError::UncertifiedDevice));
}

/// The first check that fails is the one that is named: signature behind addressing, opening behind all.
#[test]
fn checks_come_in_their_order() {
    let (sealed, wrap) = sealed(&draft(), &text());
    let mut body = sealed.body.to_vec();
    let last = body.len() - 1;
    body[last] ^= 1;
    let parsed = parse(&body.into()).unwrap();
    let said = delivered(parsed.header());
    let check = |delivered, me, account| parsed.clone().check(delivered, me, account, None).unwrap_err();
    assert_eq!(check(&said, BURAK.as_recipient(), &AYŞE.account), CheckError::Signature);
    assert_eq!(check(&said, BURAK.as_recipient(), &BURAK.account), CheckError::UncertifiedDevice);
    assert_eq!(check(&said, AYŞE.as_recipient(), &BURAK.account), CheckError::Reflected);
    let wrong = Delivered { sender: BURAK.account.id, ..said };
    assert_eq!(check(&wrong, AYŞE.as_recipient(), &BURAK.account), CheckError::Delivery);

    let parsed = parse(&sealed.body).unwrap();
    let verified = parsed.check(&said, BURAK.as_recipient(), &AYŞE.account, None).unwrap();
    let for_other = Wrap { device: AYŞE.message_key.device, ..wrap.clone() };
    let under_other = Wrap { key: AYŞE.message.public().id(), ..wrap.clone() };
    assert_eq!(verified.open(&BURAK.message, &for_other).unwrap_err(), CannotOpen);
    assert_eq!(verified.open(&BURAK.message, &under_other).unwrap_err(), CannotOpen);
    assert_eq!(verified.open(&AYŞE.message, &wrap).unwrap_err(), CannotOpen);
    // What failed leaves nothing behind: the good wrap opens afterwards.
    assert_eq!(verified.open(&BURAK.message, &wrap).unwrap().content, text());
}

#[test]
fn a_body_over_what_servers_take_is_not_looked_at() {
    let (sealed, _) = sealed(&draft(), &text());
    let header = to_cbor(parse(&sealed.body).unwrap().header());
    let body = |token| seal::assemble(&header, &[0; 256], &vec![0; token]).unwrap();
    // One limit: what a server refuses to take, a client refuses to look at, and nothing else.
    let room = limits::BODY - body(0).len();
    assert!(parse(&body(room)).is_ok());
    assert_eq!(parse(&body(room + 1)).unwrap_err(), ParseError::TooLarge);
    assert_eq!(parse(&body(0)).unwrap_err(), ParseError::Malformed);
}

#[test]
fn another_version_is_named() {
    let (sealed, _) = sealed(&draft(), &text());
    let header = parse(&sealed.body).unwrap().header().clone();
    let newer = to_cbor(&Header { version: 2, ..header });
    let body = seal::assemble(&newer, &[0; 256], &[0; 200]).unwrap();
    assert_eq!(parse(&body).unwrap_err(), ParseError::Version(2));
}

#[test]
fn debug_shows_no_content() {
    let (sealed, wrap) = sealed(&draft(), &text());
    let opened = receive(&sealed.body, &wrap).unwrap();
    let expected = "Opened { content: Text(30 bytes), secret: MessageSecret(hidden) }";
    assert_eq!(format!("{opened:?}"), expected);
    let note = Content::Voice(inline_voice(vec![0x41; 10]));
    assert_eq!(format!("{note:?}"), "Voice(10 bytes, inline)");
    assert_eq!(format!("{:?}", blob_voice(2, 70_000)), "Voice(70000 bytes, 2 chunks)");
    let sealed = format!("{sealed:?}");
    assert!(sealed.contains("MessageSecret(hidden)"));
}

fn any_header() -> impl Strategy<Value = Header> {
    let ids = any::<([u8; 16], [u8; 32], [u8; 32], [u8; 32])>();
    let rest = any::<(Option<u64>, [u8; 32], [u8; 32], u64)>();
    (ids, rest).prop_map(|((message, account, device, to), (counter, previous, commit, sent_at))| Header {
        version: 1,
        message: MessageId::from_bytes(message),
        account: AccountId::new(account),
        device: DeviceId::new(device),
        recipient: Conversation::Account(AccountId::new(to)),
        counter,
        previous: EnvelopeHash::new(previous),
        commit,
        sent_at: Millis(sent_at),
        log: (sent_at % 2 == 0).then_some(Head { size: sent_at, root: commit }),
    })
}

fn any_content() -> impl Strategy<Value = Content> {
    prop_oneof![
        ".{0,300}".prop_map(Content::Text),
        prop::collection::vec(any::<u8>(), 0..3000).prop_map(|bytes| Content::Voice(inline_voice(bytes))),
        (1..limits::BLOB).prop_map(|size| {
            Content::Voice(blob_voice(u32::try_from(size.div_ceil(limits::CHUNK as u64)).unwrap(), size))
        }),
        Just(Content::Void),
    ]
}

proptest! {
    #[test]
    fn a_header_comes_back(header in any_header()) {
        let body = seal::assemble(&to_cbor(&header), &[0; 256], &[0; 200]).unwrap();
        let parsed = parse(&body).unwrap();
        prop_assert_eq!(parsed.header(), &header);
    }

    #[test]
    fn content_comes_back(content in any_content()) {
        let plain = content.encode().unwrap();
        prop_assert!(plain.len().is_power_of_two() && plain.len() >= 128);
        prop_assert_eq!(Content::decode(&plain), Ok(content));
    }

    #[test]
    fn no_bytes_make_parsing_panic(
        body in prop::collection::vec(any::<u8>(), 0..700),
        header in any_header(),
        at in any::<prop::sample::Index>(),
    ) {
        let _ = Content::decode(&body);
        let _ = parse(&Bytes::from(body.clone()));
        let mut mixed = seal::assemble(&to_cbor(&header), &[0; 256], &[0; 200]).unwrap().to_vec();
        let at = at.index(mixed.len());
        mixed.splice(at.., body);
        let _ = parse(&Bytes::from(mixed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_envelope_comes_back(content in any_content(), header in any_header()) {
        let draft = Draft {
            message: header.message,
            account: AYŞE.account.id,
            recipient: Conversation::Account(BURAK.account.id),
            counter: header.counter,
            previous: header.previous,
            sent_at: header.sent_at,
            log: header.log,
        };
        let (sealed, wrap) = sealed(&draft, &content);
        prop_assert_eq!(receive(&sealed.body, &wrap).unwrap().content, content);
    }
}
