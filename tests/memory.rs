//! Nothing from the wire makes this program take more memory than it has sent: what is announced is not believed.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[allow(dead_code, reason = "what is typed does not come from the wire")]
#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;

use bytes::BytesMut;
use peak_alloc::PeakAlloc;
use tellal::crypto::envelope::parse;
use tellal::model::{AccountRecord, MessageKeyRecord, from_canonical_cbor};
use tellal::protocol::frame::{self, Limit};
use tellal::protocol::message::{Push, Request};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What decoded values may take for each byte that was sent, and in all: vectors grow by doubling, ids are copied.
const FACTOR: usize = 64;
const SMALL: usize = 4 * 1024;

/// What a converter of sample rates needs, however short the sound is.
const RESAMPLER: usize = 1024 * 1024;

/// What sealing and signing take, however short the sound is.
const SEALING: usize = 16 * 1024;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 5] = [
    ("frame", targets::frame),
    ("envelope", targets::envelope),
    ("record", targets::record),
    ("proof", targets::proof),
    ("wav", targets::wav),
];

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

// One test: what is measured is the whole process's.
#[test]
fn nothing_from_the_wire_allocates_more_than_it_has_sent() {
    for bomb in bombs() {
        let taken = peak(|| {
            // Whether any of them decodes does not matter here.
            let _ = minicbor::decode::<Request>(&bomb);
            let _ = minicbor::decode::<Push>(&bomb);
            let _ = from_canonical_cbor::<AccountRecord>(&bomb);
            let _ = from_canonical_cbor::<MessageKeyRecord>(&bomb);
            let _ = parse(&bomb.clone().into());
        });
        let most = SMALL + FACTOR * bomb.len();
        assert!(taken < most, "{} bytes took {taken}: {:02x?}", bomb.len(), bomb.get(..12));
    }

    // A key pair that everybody's sound is signed with is made once.
    targets::envelope(&[0x11]);
    // All that was worth keeping for fuzzers, understood and written again, and those announcements in its place.
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let files =
            std::fs::read_dir(&folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let mut worst = 0;
        for input in bombs().into_iter().chain(files) {
            let taken = peak(|| target(&input));
            let small = match name {
                "wav" => RESAMPLER,
                // What a fuzzer makes up is sealed and signed for it.
                "envelope" => SEALING + SMALL,
                _ => SMALL,
            };
            assert!(taken < small + FACTOR * input.len(), "{name}: {} bytes took {taken}", input.len());
            worst = worst.max(taken / input.len().max(64));
        }
        println!("{name}: at most {worst} bytes for each that was sent, of inputs of 64 and more");
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
