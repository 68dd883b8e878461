//! Nothing from the wire makes this program take more memory than it has sent: what is announced is not believed.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use hound::{SampleFormat, WavSpec, WavWriter};
use minicbor::bytes::{ByteArray, ByteVec};
use peak_alloc::PeakAlloc;
use tellal::audio::wav;
use tellal::crypto::chunk::{open_chunk, seal_chunk};
use tellal::crypto::envelope::{Content, parse};
use tellal::crypto::live::{Note, open_group, seal_group};
use tellal::crypto::record::{verify_account, verify_message_key};
use tellal::crypto::room::{Room, roster_id};
use tellal::crypto::{
    Evidence, LogKey, LogWord, MessageSecret, PrivateKey, PublicKey, TwoLogKeys, certificate, proof,
};
use tellal::model::{
    AccountId, AccountRecord, BlobId, DeviceId, DirectoryEntry, Head, KeyId, Leaf, LogCertificate, MessageId,
    MessageKeyRecord, Millis, Recipient, RoomId, RoomRecord, RoomRecordKind, ServerId, Signed, Wrap,
    from_canonical_cbor, limits, to_cbor,
};
use tellal::protocol::frame::{self, Limit};
use tellal::protocol::message::{Answer, Push, Request, Verb};
use tellal::server::{LogSigner, tls};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What is the same however much comes: the text of an error, the first room of a vector.
const SMALL: usize = 1024;

/// Bytes are copied out of what they came in, once.
const COPY: usize = 1;

/// A vector doubles its room when it is full. Meanwhile there are both, and what it has then may be half empty.
const GROWTH: usize = 3;

/// What must have been encoded in one way alone is encoded again, into a vector of bytes, and compared.
const CANONICAL: usize = GROWTH;

/// What a list takes for each byte of its smallest possible items, which have so many on the wire.
const fn items<T>(wire: usize) -> usize {
    GROWTH * size_of::<T>().div_ceil(wire)
}

/// A record and a signature, both empty: the item of a list that is shortest on the wire for what it takes.
const SIGNED: usize = items::<Signed>(3);

/// A recipient without wraps: an id and an empty list. Wraps and blobs take less for each of their bytes.
const RECIPIENT: usize = items::<Recipient>(36);

/// A hash in a proof.
const HASH: usize = items::<ByteArray<32>>(34);

/// A Fernet token is put into base64 for the library (four bytes for three), which decodes it, takes it apart and decrypts
/// it.
const TOKEN: usize = 6;

/// Its name, what it makes of bytes that came, and what that may take: however few they are, and for each of them.
type Decoder = (&'static str, fn(&Bytes), usize, usize);

/// All that looks at bytes before anybody has been trusted, as in `fuzz/targets.rs`.
const DECODERS: [Decoder; 19] = [
    ("request", |bytes| drop(minicbor::decode::<Request>(bytes)), SMALL, COPY + RECIPIENT),
    ("push", |bytes| drop(minicbor::decode::<Push>(bytes)), SMALL, COPY + SIGNED),
    ("frames", frames, SMALL, 2 * COPY + SIGNED),
    ("chain", |bytes| drop(minicbor::decode::<Vec<Signed>>(bytes)), SMALL, COPY + SIGNED),
    // Big numbers of a few RSA keys, whatever their records say beside them.
    ("verified chain", verified, 64 * 1024, COPY + SIGNED + CANONICAL),
    ("key", |bytes| drop(PublicKey::from_spki(bytes)), 16 * 1024, COPY + CANONICAL),
    ("account record", |bytes| drop(from_canonical_cbor::<AccountRecord>(bytes)), SMALL, COPY + CANONICAL),
    ("message key", |bytes| drop(from_canonical_cbor::<MessageKeyRecord>(bytes)), SMALL, COPY + CANONICAL),
    ("room record", |bytes| drop(from_canonical_cbor::<RoomRecord>(bytes)), SMALL, COPY + CANONICAL),
    ("room", room, SMALL, COPY + SIGNED),
    ("envelope", |bytes| drop(parse(bytes)), SMALL, COPY + CANONICAL),
    ("content", |bytes| drop(Content::decode(bytes)), SMALL, COPY + HASH + CANONICAL),
    ("log word", |bytes| drop(from_canonical_cbor::<LogWord>(bytes)), SMALL, COPY + HASH + CANONICAL),
    // What the library of a signature takes for the largest keys and signatures that are looked at.
    ("certificate", certified, 16 * 1024, COPY + SIGNED),
    // The nodes on the way through the largest tree that there can be.
    ("proof", proven, 8 * 1024, COPY + HASH + CANONICAL),
    ("chunk", chunk, SMALL, TOKEN),
    ("group", group, 16 * 1024, TOKEN),
    ("log", log, SMALL, size_of::<Leaf>().div_ceil(Leaf::SIZE) + COPY),
    // Sound of eight bits at another rate becomes samples of four bytes, at ours. The converter has its own room.
    ("wav", sound, 1024 * 1024, 4 * GROWTH + COPY),
];

/// Frames off a connection, before and after login and from a server, and the heads in them.
fn frames(bytes: &Bytes) {
    for limit in [Limit::BEFORE_LOGIN, Limit::FROM_CLIENT, Limit::FROM_SERVER] {
        let mut buffer = BytesMut::from(bytes.as_ref());
        while let Ok(Some(taken)) = frame::take(&mut buffer, limit) {
            drop(minicbor::decode::<Request>(&taken.head));
            drop(minicbor::decode::<Push>(&taken.head));
        }
    }
}

fn verified(bytes: &Bytes) {
    if let Ok((chain, key)) = minicbor::decode::<(Vec<Signed>, Signed)>(bytes)
        && let Ok(account) = verify_account(&chain)
    {
        drop(verify_message_key(&account, &key));
    }
}

/// Who is in a room.
fn room(bytes: &Bytes) {
    if let Ok(chain) = minicbor::decode::<Vec<Signed>>(bytes) {
        drop(Room::read_verified(&chain));
    }
}

/// The certificates of logs' keys, where they come.
fn certified(bytes: &Bytes) {
    if let Ok(Push::Hello { log: Some(certificate), .. }) = minicbor::decode(bytes) {
        let _ = certificate::verify(&certificate);
    }
    if let Ok(LogWord { certificate, .. }) = from_canonical_cbor(bytes) {
        let _ = certificate::verify(&certificate);
        let other = LogCertificate { log_key: [0; 32], ..certificate.clone() };
        let _ = TwoLogKeys { one: certificate, other }.check();
    }
}

/// That an entry is in a log, that a log has grown, that two of its heads contradict each other.
fn proven(bytes: &Bytes) {
    type Held = (Head, u64, ByteVec, Vec<ByteArray<32>>);
    if let Ok((head, place, leaf, path)) = minicbor::decode::<Held>(bytes) {
        proof::holds(&head, place, &leaf, &path);
    }
    if let Ok((from, to, path)) = minicbor::decode::<(Head, Head, Vec<ByteArray<32>>)>(bytes) {
        proof::has_grown(&from, &to, &path);
    }
    if let Ok(LogWord { evidence: Some(evidence), .. }) = from_canonical_cbor(bytes) {
        let _ = evidence.check(&LOG_KEY);
    }
}

const LOG_KEY: LogKey = LogKey { server: ServerId::new([0x5e; 32]), public: [0x5e; 32] };

/// A device, and a note of its that is spoken or sent in parts.
struct Spoken {
    device: PrivateKey,
    secret: MessageSecret,
    note: Note,
}

static SPOKEN: LazyLock<Spoken> = LazyLock::new(|| Spoken {
    device: PrivateKey::generate(2048).unwrap(),
    secret: MessageSecret::from_bytes(&[0x5c; 32]),
    note: Note { opening: [0x0c; 32], message: MessageId::from_bytes([0x0d; 16]) },
});

fn chunk(bytes: &Bytes) {
    drop(open_chunk(&SPOKEN.secret, &SPOKEN.note.message, 0, bytes));
}

fn group(bytes: &Bytes) {
    drop(open_group(&SPOKEN.secret, SPOKEN.device.public(), &SPOKEN.note, 0, bytes));
}

/// Checkpoints and leaves.
fn log(bytes: &Bytes) {
    drop(Leaf::all(bytes));
    if let Ok(note) = std::str::from_utf8(bytes) {
        let _ = LOG_KEY.verify(note);
    }
}

fn sound(bytes: &Bytes) {
    drop(wav::read(Cursor::new(bytes), wav::Limits::default()));
}

/// The most bytes that were held at once while this ran, beyond what was held before.
fn peak(work: impl FnOnce()) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    work();
    ALLOCATED.peak_usage().saturating_sub(before)
}

/// Bytes that announce much: arrays, byte strings, texts and maps of up to 2^64 items, and many of them in each
/// other.
fn bombs() -> Vec<Vec<u8>> {
    let mut bombs = Vec::new();
    // Major types 2 to 5, with lengths of 1, 2, 4 and 8 bytes.
    for major in 2..=5u8 {
        for (more, bytes) in [(24u8, 1usize), (25, 2), (26, 4), (27, 8)] {
            let announced = [&[major << 5 | more][..], &vec![0xff; bytes]].concat();
            bombs.push(announced.clone());
            // Where a request, a push and a record have theirs.
            for before in [
                &[0x82, 0x01, 0x82, 0x06, 0x84][..],
                &[0x82, 0x01, 0x82, 0x00, 0x83],
                &[0x82, 0x00, 0x84],
                &[0x82, 0x01, 0x82, 0x01, 0x82, 0x02, 0x82],
                &[0x82, 0x01, 0x82, 0x01, 0x82, 0x07, 0x81],
                &[0xa6, 0x00, 0x01, 0x01],
                &[0x82],
            ] {
                bombs.push([before, &announced].concat());
            }
        }
    }
    // As deep as it goes, and without an end.
    for byte in [0x81, 0x9f, 0xbf, 0x5f, 0x7f, 0xc0, 0xa1] {
        bombs.push(vec![byte; 16_000]);
        bombs.push([&[0x82, 0x01, 0x82, 0x06, 0x84][..], &vec![byte; 16_000]].concat());
    }
    bombs
}

/// Lists that take as much as they can for what they are on the wire.
fn lists() -> Vec<Vec<u8>> {
    const MANY: usize = 1_500;
    let id = KeyId::new([7; 32]);
    let none = Signed { body: Vec::new().into(), signature: Vec::new().into() };
    let nobody = DirectoryEntry { chain: Vec::new(), message_keys: Vec::new(), online: false };
    let push = |answer| to_cbor(&Push::Reply { number: 1, answer });
    let directory = |entries| push(Answer::Directory { entries, more: false });
    let submit = |recipients, blobs| {
        let (message, conversation) = (MessageId::from_bytes([1; 16]), AccountId::from(id).into());
        to_cbor(&Request { number: 1, verb: Verb::Submit { message, conversation, recipients, blobs } })
    };
    let recipient = |wraps| Recipient { account: id.into(), wraps };
    let wrap = Wrap { device: id.into(), key: id, ciphertext: Vec::new().into() };
    let proof = hashes(MANY);
    let evidence =
        Evidence { smaller: "a".repeat(9_000), larger: String::new(), root: [7; 32].into(), proof };
    let certificate = LogCertificate {
        server: ServerId::new([7; 32]),
        log_key: [7; 32],
        tls_key: vec![7; 9_000].into(),
        scheme: 7,
        signature: vec![7; 9_000].into(),
    };
    let record = MessageKeyRecord {
        version: 1,
        account: id.into(),
        device: DeviceId::from(id),
        key: vec![7; 50_000].into(),
        from: Millis(1),
        until: Millis(2),
        supersedes: None,
    };
    let word = LogWord { checkpoint: "b".repeat(9_000), evidence: Some(evidence), asks: true, certificate };
    vec![
        directory(vec![nobody.clone(); MANY]),
        directory(vec![DirectoryEntry { chain: vec![none.clone(); MANY], ..nobody.clone() }]),
        directory(vec![DirectoryEntry { message_keys: vec![none.clone(); MANY], ..nobody }]),
        push(Answer::Accepted { at: Millis(1), left_out: vec![id.into(); MANY] }),
        push(Answer::Room { records: vec![none.clone(); MANY], more: false }),
        push(Answer::Online { accounts: vec![id.into(); MANY], more: false }),
        push(Answer::LogGrowth { proof: word.evidence.as_ref().unwrap().proof.clone() }),
        to_cbor(&vec![none.clone(); MANY]),
        to_cbor(&(vec![none.clone(); MANY], none)),
        submit(vec![recipient(Vec::new()); MANY], Vec::new()),
        submit(vec![recipient(vec![wrap; MANY])], Vec::new()),
        submit(Vec::new(), vec![BlobId::new([7; 32]); MANY]),
        to_cbor(&record),
        to_cbor(&word),
        Content::Text("ş".repeat(24_000)).encode().unwrap().to_vec(),
        Content::Log(Box::new(word)).encode().map_or_else(|_| Vec::new(), |plain| plain.to_vec()),
        vec![7; Leaf::SIZE * MANY],
        to_cbor(&(Head { size: u64::MAX, root: [7; 32] }, 5u64, ByteVec::from(vec![7; 9_000]), hashes(MANY))),
        to_cbor(&(Head { size: 5, root: [7; 32] }, Head { size: u64::MAX, root: [7; 32] }, hashes(MANY))),
        hello(),
        room_chain(),
        sealed_chunk(),
        sealed_group(),
        wav_file(),
    ]
}

fn hashes(many: usize) -> Vec<ByteArray<32>> {
    vec![ByteArray::from([7; 32]); many]
}

/// What a server begins with.
fn hello() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerId::new([7; 32]);
    let identity = tls::from_folder(folder.path()).unwrap();
    let certificate = LogSigner::from_folder(folder.path()).unwrap().certify(server, &identity).unwrap();
    assert!(certificate::verify(&certificate).is_ok());
    let log = Some(certificate);
    to_cbor(&Push::Hello { versions: vec![1], server, nonce: [7; 32].into(), time: Millis(1), log })
}

/// A room to which as many are invited as its chain has places for.
fn room_chain() -> Vec<u8> {
    let founder = AccountId::new([7; 32]);
    let mut chain: Vec<Signed> = Vec::new();
    for index in 0..limits::ROOM_RECORDS as u32 {
        let mut invited = [9; 32];
        invited[..4].copy_from_slice(&index.to_be_bytes());
        let record = RoomRecord {
            version: 1,
            room: chain.first().map(|first| RoomId::new(*roster_id(first).as_bytes())),
            index,
            previous: chain.last().map(roster_id),
            made_at: Millis(1),
            account: founder,
            device: DeviceId::new([7; 32]),
            kind: match index {
                0 => RoomRecordKind::Founded { nonce: [7; 32].into() },
                _ => RoomRecordKind::Invited { account: AccountId::new(invited) },
            },
        };
        chain.push(Signed { body: to_cbor(&record).into(), signature: Vec::new().into() });
    }
    let read = Room::read_verified(&chain).unwrap();
    assert_eq!(read.invited.len() + 1, limits::ROOM_RECORDS);
    to_cbor(&chain)
}

/// As much sound as goes into a chunk.
fn sealed_chunk() -> Vec<u8> {
    let Spoken { secret, note, .. } = &*SPOKEN;
    let sealed = seal_chunk(secret, &note.message, 0, false, &vec![7; limits::CHUNK]).unwrap();
    assert!(open_chunk(secret, &note.message, 0, &sealed).is_ok());
    sealed
}

/// As much as is spoken in 400 ms.
fn sealed_group() -> Vec<u8> {
    let Spoken { device, secret, note } = &*SPOKEN;
    let sealed = seal_group(secret, device, note, 0, false, &vec![7; limits::LIVE_GROUP]).unwrap();
    assert!(open_group(secret, device.public(), note, 0, &sealed.clone().into()).is_ok());
    sealed
}

/// A minute of sound that has to be converted.
fn wav_file() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let spec =
        WavSpec { channels: 1, sample_rate: 11_025, bits_per_sample: 8, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    (0..11_025 * 60).for_each(|sample| writer.write_sample(sample % 100).unwrap());
    writer.finalize().unwrap();
    assert!(
        wav::read(Cursor::new(file.get_ref()), wav::Limits::default())
            .is_ok_and(|note| note.converted.is_some())
    );
    file.into_inner()
}

/// All that was worth keeping for fuzzers, who know every field.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folders = ["frame", "envelope", "record", "proof", "wav"].map(|name| folder.join(name));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

// One test: what is measured is the whole process's.
#[test]
fn nothing_from_the_wire_allocates_more_than_it_has_sent() {
    let inputs: Vec<Bytes> = bombs().into_iter().chain(lists()).chain(corpus()).map(Bytes::from).collect();
    let mut framed: Vec<Bytes> = Vec::new();
    for head in lists() {
        let mut buffer = BytesMut::new();
        frame::put(&mut buffer, &head, b"");
        framed.push(buffer.freeze());
    }
    for (name, decode, small, each) in DECODERS {
        // What is made once, for all.
        decode(&Bytes::from_static(b"\x82\x80\x82\x40\x40"));
        let mut worst = (0, 0);
        for input in inputs.iter().chain(&framed) {
            let taken = peak(|| decode(input));
            let begins: &[u8] = &input[..input.len().min(12)];
            assert!(
                taken <= small + each * input.len(),
                "{name}: {} bytes took {taken}: {begins:02x?}",
                input.len()
            );
            worst = worst.max((taken.saturating_sub(small) * 10 / input.len().max(1), taken));
        }
        println!("{name}: at most {}.{} of {each} bytes for each that was sent", worst.0 / 10, worst.0 % 10);
    }

    // A frame's buffer grows with what comes, whatever its prefix announces.
    for limit in [Limit::BEFORE_LOGIN, Limit::FROM_CLIENT, Limit::FROM_SERVER] {
        let length = u32::try_from(limit.frame).unwrap();
        let mut buffer = BytesMut::new();
        let taken = peak(|| {
            buffer.extend_from_slice(&length.to_be_bytes());
            buffer.extend_from_slice(&100u32.to_be_bytes());
            for _ in 0..100 {
                assert_eq!(frame::take(&mut buffer, limit), Ok(None));
                buffer.extend_from_slice(&[0; 16]);
            }
        });
        assert!(taken < 8 * 1024, "{limit:?}: {taken}");
        let beyond = (length + 1).to_be_bytes();
        let taken = peak(|| assert!(frame::take(&mut BytesMut::from(&beyond[..]), limit).is_err()));
        assert!(taken < 1024, "{limit:?}: {taken}");
    }
}
