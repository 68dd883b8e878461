//! Everything that fuzzers have found worth keeping (`fuzz/corpus`) goes through the same functions once
//! more. `cargo +nightly fuzz run NAME` looks for more.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// Files of a corpus, of which there have to be some.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut count = 0;
    for file in fs::read_dir(&folder).expect("a folder") {
        let file = file.expect("a file").path();
        let data = fs::read(&file).expect("a file");
        // The name of the input that fails is what one needs to know.
        println!("{}", file.display());
        target(&data);
        count += 1;
    }
    assert!(count > 9, "{count} inputs in {}", folder.display());
}

#[test]
fn frames() {
    replay("frame", targets::frame);
}

#[test]
fn envelopes() {
    replay("envelope", targets::envelope);
}

#[test]
fn records() {
    replay("record", targets::record);
}

#[test]
fn proofs() {
    replay("proof", targets::proof);
}

#[test]
fn wav_files() {
    replay("wav", targets::wav);
}

#[test]
fn lines() {
    replay("line", targets::line);
}
