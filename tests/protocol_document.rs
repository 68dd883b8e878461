//! Holds `docs/protocol.md` to the program: every test vector in it is what the program makes of those values.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]
#![cfg(feature = "client")]

use bytes::BytesMut;
use tellal::crypto::envelope::{
    Content, Delivered, Header, Invitation, LiveClosing, LiveEnd, LiveManifest, LiveOpening, Recipient as Me,
    VoiceData, VoiceManifest, parse,
};
use tellal::crypto::record::{verify_account, verify_message_key};
use tellal::crypto::safety::{SafetyNumber, Side};
use tellal::crypto::{Evidence, LogWord, MessageSecret, PrivateKey, PublicKey, Purpose, certificate, live};
use tellal::model::{
    AccountId, AccountRecord, AccountRecordKind, BlobId, Conversation, DeviceId, DirectoryEntry,
    EnvelopeHash, Head, KeyId, Leaf, LogCertificate, MessageId, MessageKeyRecord, Millis, NameHash, Position,
    Recipient, RoomId, RoomName, RoomRecord, RoomRecordKind, RosterId, ServerId, Signed, Wrap, to_cbor,
};
use tellal::protocol::frame;
use tellal::protocol::message::{
    Answer, GoodbyeReason, LeafProof, Push, RefusalCode, Request, SessionProof, Verb,
};

const AYŞE: AccountId = AccountId::new([0xa1; 32]);
const AYŞES_DEVICE: DeviceId = DeviceId::new([0xa2; 32]);
const BURAK: AccountId = AccountId::new([0xb1; 32]);
const BURAKS_DEVICE: DeviceId = DeviceId::new([0xb2; 32]);
const BURAKS_KEY: KeyId = KeyId::new([0xb3; 32]);
const SERVER: ServerId = ServerId::new([0x5e; 32]);
const BLOB: BlobId = BlobId::new([0xbb; 32]);
const ROOM: RoomId = RoomId::new([0x40; 32]);
const ROSTER: RosterId = RosterId::new([0x41; 32]);
const TO_ROOM: Conversation = Conversation::Room { room: ROOM, roster: ROSTER };
const MESSAGE: MessageId = MessageId::from_bytes([0x0d; 16]);
const TIME: Millis = Millis(1_795_233_600_000);

/// The bytes of a whole envelope with its keys, for whoever wants to open one.
const ENVELOPE: &str = include_str!("vectors/envelope.json");

fn signed() -> Signed {
    Signed { body: vec![0xa0].into(), signature: vec![0x51, 0x62].into() }
}

fn wrap() -> Wrap {
    Wrap { device: BURAKS_DEVICE, key: BURAKS_KEY, ciphertext: vec![0xc1, 0xc2].into() }
}

fn leaf() -> Leaf {
    Leaf { name: NameHash::of(&"ayşe".parse().unwrap()), previous: None, record: [0x4c; 32] }
}

fn log_certificate() -> LogCertificate {
    LogCertificate {
        server: SERVER,
        log_key: [0x10; 32],
        tls_key: vec![0x30, 0x03].into(),
        scheme: 0x0403,
        signature: vec![0x51, 0x62].into(),
    }
}

fn leaf_proof() -> LeafProof {
    LeafProof { place: 7, leaf: leaf().to_bytes().to_vec().into(), proof: vec![[0x4a; 32].into()] }
}

fn requests() -> Vec<(&'static str, Verb)> {
    let position = Position { epoch: 7, seq: 300 };
    vec![
        (
            "Register",
            Verb::Register {
                record: signed(),
                message_key: signed(),
                signature: vec![0x51, 0x62].into(),
                invite: None,
            },
        ),
        (
            "Register, with an invitation",
            Verb::Register {
                record: signed(),
                message_key: signed(),
                signature: vec![0x51, 0x62].into(),
                invite: Some("h4kc2-9w0xv-7m3qe-t6r1z".to_owned()),
            },
        ),
        ("Login", Verb::Login { account: AYŞE, device: AYŞES_DEVICE, signature: vec![0x51, 0x62].into() }),
        ("LookUpName", Verb::LookUpName { nickname: "ayşe".parse().unwrap() }),
        ("LookUpAccount", Verb::LookUpAccount { account: AYŞE }),
        ("ListAccounts", Verb::ListAccounts { after: None }),
        ("ListAccounts, next page", Verb::ListAccounts { after: Some("ayşe".parse().unwrap()) }),
        ("PublishMessageKey", Verb::PublishMessageKey { record: signed() }),
        (
            "Submit",
            Verb::Submit {
                message: MESSAGE,
                conversation: BURAK.into(),
                recipients: vec![Recipient { account: BURAK, wraps: vec![wrap()] }],
                blobs: vec![],
            },
        ),
        (
            "Submit, to a room",
            Verb::Submit {
                message: MESSAGE,
                conversation: TO_ROOM,
                recipients: vec![Recipient { account: BURAK, wraps: vec![wrap()] }],
                blobs: vec![],
            },
        ),
        ("Subscribe", Verb::Subscribe { after: None }),
        ("Subscribe, from a position", Verb::Subscribe { after: Some(position) }),
        ("Acknowledge", Verb::Acknowledge { position }),
        ("PutChunk", Verb::PutChunk { blob: BLOB, index: 2 }),
        ("SealBlob", Verb::SealBlob { blob: BLOB, chunks: 3 }),
        ("StatBlob", Verb::StatBlob { blob: BLOB }),
        ("FetchChunk", Verb::FetchChunk { blob: BLOB, index: 2 }),
        ("WatchPresence", Verb::WatchPresence),
        ("ReadLog", Verb::ReadLog { from: 1000 }),
        ("ProveLeaf", Verb::ProveLeaf { nickname: "ayşe".parse().unwrap(), size: 1000 }),
        ("ProveGrowth", Verb::ProveGrowth { from: 300, to: 1000 }),
        ("Ping", Verb::Ping),
        ("AwaitChunk", Verb::AwaitChunk { device: AYŞES_DEVICE, blob: BLOB, index: 2 }),
        ("DropBlob", Verb::DropBlob { blob: BLOB }),
        ("Block", Verb::Block { account: BURAK }),
        ("Unblock", Verb::Unblock { account: BURAK }),
        ("PublishRoomRecord", Verb::PublishRoomRecord { record: signed() }),
        ("ReadRoom", Verb::ReadRoom { room: ROOM, from: 300 }),
        ("PublishRecord", Verb::PublishRecord { record: signed(), message_key: Some(signed()) }),
    ]
}

fn pushes() -> Vec<(&'static str, Push)> {
    let position = Position { epoch: 7, seq: 300 };
    let reply = |answer| Push::Reply { number: 1, answer };
    let entry = DirectoryEntry { chain: vec![signed()], message_keys: vec![signed()], online: true };
    let refusal = |code, retry_after| Push::Refusal { number: 1, code, retry_after };
    vec![
        (
            "Hello",
            Push::Hello {
                versions: vec![1],
                server: SERVER,
                nonce: [0x0e; 32].into(),
                time: TIME,
                log: None,
            },
        ),
        (
            "Hello, with a log",
            Push::Hello {
                versions: vec![1],
                server: SERVER,
                nonce: [0x0e; 32].into(),
                time: TIME,
                log: Some(log_certificate()),
            },
        ),
        ("Reply Done", reply(Answer::Done)),
        ("Reply LoggedIn", reply(Answer::LoggedIn)),
        ("Reply Directory", reply(Answer::Directory { entries: vec![entry], more: false })),
        ("Reply Accepted", reply(Answer::Accepted { at: TIME, left_out: vec![] })),
        ("Reply Accepted, but for one", reply(Answer::Accepted { at: TIME, left_out: vec![BURAK] })),
        ("Reply Room", reply(Answer::Room { records: vec![signed()], more: true })),
        ("RoomChanged", Push::RoomChanged { room: ROOM }),
        ("Reply Subscribed", reply(Answer::Subscribed { oldest: Position { epoch: 7, seq: 12 } })),
        ("Reply Blob", reply(Answer::Blob { chunks: 2, sealed: false })),
        ("Reply Chunk", reply(Answer::Chunk)),
        ("Reply Online", reply(Answer::Online { accounts: vec![AYŞE], more: false })),
        ("Refusal", refusal(RefusalCode::KeySuperseded, None)),
        ("Refusal, over a limit", refusal(RefusalCode::Limited, Some(12_000))),
        ("Refusal, to be tried again", refusal(RefusalCode::StorageFailed, Some(5000))),
        (
            "Delivery",
            Push::Delivery {
                position,
                sender: AYŞE,
                device: AYŞES_DEVICE,
                message: MESSAGE,
                conversation: BURAK.into(),
                wrap: Some(wrap()),
                accepted_at: TIME,
            },
        ),
        ("Drained", Push::Drained { position }),
        ("Presence", Push::Presence { account: AYŞE, online: true }),
        ("LogGrown", Push::LogGrown { size: 1000 }),
        ("Reply Log", reply(Answer::Log { checkpoint: "note".to_owned() })),
        ("Reply LogLeaf, none", reply(Answer::LogLeaf { leaf: None })),
        ("Reply LogLeaf", reply(Answer::LogLeaf { leaf: Some(leaf_proof()) })),
        ("Reply LogGrowth", reply(Answer::LogGrowth { proof: vec![[0x4a; 32].into()] })),
        ("Goodbye", Push::Goodbye { reason: GoodbyeReason::Replaced, retry_after: None }),
        (
            "Goodbye, to come again",
            Push::Goodbye { reason: GoodbyeReason::Limited, retry_after: Some(10_000) },
        ),
    ]
}

fn sealed_parts() -> Vec<(&'static str, Vec<u8>)> {
    let header = Header {
        version: 1,
        message: MESSAGE,
        account: AYŞE,
        device: AYŞES_DEVICE,
        recipient: Conversation::Account(BURAK),
        counter: Some(300),
        previous: EnvelopeHash::new([0x0f; 32]),
        commit: MessageSecret::from_bytes(&[0x5c; 32]).commitment(),
        sent_at: TIME,
        log: None,
    };
    let manifest = VoiceManifest {
        data: VoiceData::Blob { id: BLOB, chunks: 3 },
        name: "note.wav".to_owned(),
        media_type: "audio/wav".to_owned(),
        size: 150_000,
        sha256: [0x25; 32],
        duration_ms: 4_686,
        sample_rate: 16_000,
        peaks: vec![0, 128, 255].into(),
    };
    let inline = VoiceManifest { data: VoiceData::Inline(b"RIFF".to_vec().into()), ..manifest.clone() };
    let registration = AccountRecord {
        version: 1,
        account: AYŞE,
        index: 0,
        previous: None,
        made_at: TIME,
        kind: AccountRecordKind::Registration {
            nickname: "ayşe".parse().unwrap(),
            identity_key: vec![0x30, 0x01].into(),
            device_key: vec![0x30, 0x02].into(),
            color: Some("teal".parse().unwrap()),
        },
    };
    let following =
        |kind| AccountRecord { index: 1, previous: Some([0x0f; 32].into()), kind, ..registration.clone() };
    let key = |number| vec![0x30, number].into();
    let consent = || vec![0x51, 0x62].into();
    let message_key = MessageKeyRecord {
        version: 1,
        account: AYŞE,
        device: AYŞES_DEVICE,
        key: vec![0x30, 0x03].into(),
        from: TIME,
        until: Millis(TIME.0 + 37 * 24 * 3_600_000),
        supersedes: None,
    };
    let proof = SessionProof {
        server: SERVER,
        account: AYŞE,
        device: AYŞES_DEVICE,
        nonce: [0x0e; 32].into(),
        exporter: [0xe0; 32].into(),
    };
    let head = Head { size: 1000, root: [0x4d; 32] };
    let evidence = Evidence {
        smaller: "one".to_owned(),
        larger: "other".to_owned(),
        root: [0x4e; 32].into(),
        proof: vec![[0x4a; 32].into()],
    };
    let word = LogWord {
        checkpoint: "note".to_owned(),
        evidence: Some(evidence),
        asks: true,
        certificate: log_certificate(),
    };
    let founded = RoomRecord {
        version: 1,
        room: None,
        index: 0,
        previous: None,
        made_at: TIME,
        account: AYŞE,
        device: AYŞES_DEVICE,
        kind: RoomRecordKind::Founded { nonce: [0x0e; 32].into() },
    };
    let of_room =
        |index, kind| RoomRecord { room: Some(ROOM), index, previous: Some(ROSTER), kind, ..founded.clone() };
    let garden: RoomName = "garden".parse().unwrap();
    let live = LiveManifest { size: 150_000, sha256: [0x25; 32], peaks: vec![0, 128, 255].into() };
    let closing = |end| to_cbor(&LiveClosing { opening: MESSAGE, end });
    // Header, signature and token are those of nobody: only how they are put together is shown.
    let live_sound = [Purpose::LiveSound.tag(), &[0], &[0x4e; 32], &[0, 0, 0, 2], &[0x70; 32]].concat();
    let mut login = [Purpose::Login.tag(), &[0]].concat();
    login.extend(to_cbor(&proof));
    vec![
        ("AccountRecord", to_cbor(&registration)),
        (
            "Rekey",
            to_cbor(&following(AccountRecordKind::Rekey {
                identity_key: key(4),
                device_key: key(5),
                consent: consent(),
            })),
        ),
        (
            "DeviceAdded",
            to_cbor(&following(AccountRecordKind::DeviceAdded { device_key: key(5), consent: consent() })),
        ),
        ("DeviceRemoved", to_cbor(&following(AccountRecordKind::DeviceRemoved { device: AYŞES_DEVICE }))),
        ("Revocation", to_cbor(&following(AccountRecordKind::Revocation))),
        ("MessageKeyRecord", to_cbor(&message_key)),
        ("SessionProof", to_cbor(&proof)),
        ("what a login signs", login),
        ("header", to_cbor(&header)),
        ("header to a room", to_cbor(&Header { recipient: TO_ROOM, ..header.clone() })),
        ("Founded", to_cbor(&founded)),
        ("Invited", to_cbor(&of_room(1, RoomRecordKind::Invited { account: BURAK }))),
        ("Joined", to_cbor(&of_room(2, RoomRecordKind::Joined))),
        ("Left", to_cbor(&of_room(2, RoomRecordKind::Left))),
        ("Removed", to_cbor(&of_room(2, RoomRecordKind::Removed { account: BURAK }))),
        ("invitation", to_cbor(&Invitation { room: ROOM, name: garden })),
        ("header with a head", to_cbor(&Header { log: Some(head), ..header })),
        ("a leaf's name", NameHash::of(&"ayşe".parse().unwrap()).0.to_vec()),
        ("a leaf", leaf().to_bytes().to_vec()),
        ("a word about the log", to_cbor(&word)),
        ("what a TLS key signs of a log's", certificate::input(SERVER, &[0x10; 32])),
        ("manifest of a blob", to_cbor(&manifest)),
        ("manifest with its sound", to_cbor(&inline)),
        ("live opening", to_cbor(&LiveOpening { blob: BLOB, sample_rate: 16_000 })),
        ("live closing", closing(LiveEnd::Done(live.clone()))),
        ("live closing, cut off", closing(LiveEnd::CutOff(live))),
        ("live closing, withdrawn", closing(LiveEnd::Withdrawn)),
        ("what a group of live sound signs", live_sound),
    ]
}

fn framed(number: u32, verb: Verb, body: &[u8]) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    frame::put(&mut buffer, &to_cbor(&Request { number, verb }), body);
    buffer.to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vectors() -> Vec<(String, Vec<u8>)> {
    let heads = requests().into_iter().map(|(name, verb)| (name, to_cbor(&Request { number: 1, verb })));
    let pushes = pushes().into_iter().map(|(name, push)| (name, to_cbor(&push)));
    let frame = [("a frame of Ping", framed(1, Verb::Ping, &[]))];
    let all = heads.chain(pushes).chain(sealed_parts()).chain(frame);
    all.map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

#[test]
fn every_vector_of_the_document_is_what_the_program_makes() {
    let document = include_str!("../docs/protocol.md");
    let squeezed: String = document.chars().filter(|c| !c.is_whitespace()).collect();
    for (name, bytes) in vectors() {
        let hex = hex(&bytes);
        assert!(squeezed.contains(&hex), "docs/protocol.md lacks {name}: {hex}");
    }
}

#[test]
fn the_documents_safety_number_is_what_the_program_makes() {
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| name.parse().unwrap());
    let number = SafetyNumber::of(
        Side { identity: AYŞE.into(), nickname: &ayşe },
        Side { identity: BURAK.into(), nickname: &burak },
    );
    let document = include_str!("../docs/protocol.md");
    for half in [&number.digits()[..30], &number.digits()[30..]] {
        assert!(document.contains(half), "docs/protocol.md lacks {half}");
    }
}

#[test]
fn the_documents_envelope_opens() {
    let vector: serde_json::Value = serde_json::from_str(ENVELOPE).unwrap();
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    let bytes = |name: &str| unhex(&text(name));
    let records: Vec<Signed> = ["sender_record", "recipient_record", "recipient_message_key_record"]
        .map(|name| minicbor::decode(&bytes(name)).unwrap())
        .to_vec();
    let sender = verify_account(&records[..1]).unwrap();
    let recipient = verify_account(&records[1..2]).unwrap();
    let key = verify_message_key(&recipient, &records[2]).unwrap();
    let parsed = parse(&bytes("body").into()).unwrap();
    assert_eq!(parsed.hash().to_string(), text("hash"));
    let header = parsed.header().clone();
    let delivered = Delivered {
        sender: sender.id,
        device: header.device,
        message: header.message,
        conversation: recipient.id.into(),
    };
    let me = Me { account: recipient.id, device: key.device };
    let private = PrivateKey::from_pem(&text("recipient_message_key")).unwrap();
    let wrap = Wrap { device: key.device, key: key.key.id(), ciphertext: bytes("wrap").into() };
    let opened = parsed.check(&delivered, me, &sender, None).unwrap().open(&private, &wrap).unwrap();
    assert_eq!(hex(opened.secret.expose_key_bytes()), text("fernet_key"));
    assert_eq!(opened.content, Content::Text(text("text")));
}

/// A group of sound that is heard while it is spoken, with what it takes to check and open it.
const LIVE_GROUP: &str = include_str!("vectors/live_group.json");

#[test]
fn the_documents_group_of_live_sound_opens() {
    let vector: serde_json::Value = serde_json::from_str(LIVE_GROUP).unwrap();
    let bytes = |name: &str| unhex(vector[name].as_str().unwrap());
    let secret = MessageSecret::from_bytes(&bytes("fernet_key").try_into().unwrap());
    let device = PublicKey::from_spki(&bytes("device_key")).unwrap();
    let note = live::Note {
        opening: bytes("opening_header_hash").try_into().unwrap(),
        message: MessageId::from_bytes(bytes("message").try_into().unwrap()),
    };
    let index = u32::try_from(vector["index"].as_u64().unwrap()).unwrap();
    let opened = live::open_group(&secret, &device, &note, index, &bytes("group").into()).unwrap();
    assert_eq!((opened.last, opened.data.as_slice()), (true, bytes("samples").as_slice()));
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}
