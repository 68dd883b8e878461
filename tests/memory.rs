//! Nothing from the wire makes this program take more memory than it has sent: what is announced is not believed.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::io::Cursor;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use hound::{SampleFormat, WavSpec, WavWriter};
use minicbor::bytes::ByteArray;
use peak_alloc::PeakAlloc;
use tellal::audio::wav;
use tellal::crypto::envelope::{Content, parse};
use tellal::crypto::record::verify_account;
use tellal::crypto::{Evidence, LogKey, LogWord, PublicKey};
use tellal::model::{
    AccountId, AccountRecord, BlobId, DeviceId, DirectoryEntry, KeyId, Leaf, LogCertificate, MessageId,
    MessageKeyRecord, Millis, Recipient, RoomRecord, ServerId, Signed, Wrap, from_canonical_cbor, to_cbor,
};
use tellal::protocol::frame::{self, Limit};
use tellal::protocol::message::{Answer, Push, Request, Verb};

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

/// Its name, what it makes of bytes that came, and what that may take: however few they are, and for each of them.
type Decoder = (&'static str, fn(&Bytes), usize, usize);

/// All that looks at bytes before anybody has been trusted.
const DECODERS: [Decoder; 14] = [
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
    ("envelope", |bytes| drop(parse(bytes)), SMALL, COPY + CANONICAL),
    ("content", |bytes| drop(Content::decode(bytes)), SMALL, COPY + HASH + CANONICAL),
    ("log word", |bytes| drop(from_canonical_cbor::<LogWord>(bytes)), SMALL, COPY + HASH + CANONICAL),
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
    if let Ok((chain, _)) = minicbor::decode::<(Vec<Signed>, Signed)>(bytes) {
        drop(verify_account(&chain));
    }
}

/// Checkpoints and leaves.
fn log(bytes: &Bytes) {
    drop(Leaf::all(bytes));
    if let Ok(note) = std::str::from_utf8(bytes) {
        let _ = LogKey { server: ServerId::new([0x5e; 32]), public: [0x5e; 32] }.verify(note);
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
    let proof = vec![ByteArray::from([7; 32]); MANY];
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
        wav_file(),
    ]
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
