//! Voice notes between real processes: what arrives is what was sent, sample for sample.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use std::os::unix::fs::PermissionsExt;

use support::{Profile, Server, schema, wav};

#[test]
fn a_note_of_any_size_arrives_byte_for_byte() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    // Within the envelope; just over it; many chunks.
    for (count, frames) in [800, 25_000, 16_000 * 30].into_iter().enumerate() {
        let note = wav::tone(frames);
        let path = ayşe.file("note.wav");
        std::fs::write(&path, &note).unwrap();
        let sent = ayşe.run(["voice", "burak", "--json", "--file", path.to_str().unwrap()]);
        assert!(sent.stderr.contains("note.wav") && sent.stderr.contains("sent as it is"), "{sent:?}");
        schema::check_message(&sent.json()[0]);
        assert!(sent.json()[0]["converted"].is_null());

        let received = burak.receive();
        schema::check_message(&received[0]);
        assert_eq!(received[0]["id"], sent.json()[0]["id"]);
        assert_eq!(received[0]["kind"], "voice");
        assert_eq!(received[0]["size"], note.len());
        assert_eq!(received[0]["sample_rate"], 16_000);
        assert_eq!(received[0]["duration_ms"], u64::from(frames).div_ceil(16));
        assert_eq!(received[0]["peaks"].as_array().unwrap().len(), 64);

        let copy = burak.file(&format!("copy{count}.wav"));
        let saved = burak.run(["play", "last", "--json", "--save", copy.to_str().unwrap()]).json();
        schema::check(&saved[0], &["saved"]);
        assert!(std::fs::read(&copy).unwrap() == note, "{frames} frames arrived changed");
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_note_is_converted_and_that_is_said() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let path = ayşe.file("float.wav");
    std::fs::write(&path, wav::float_tone(4_800)).unwrap();
    let sent = ayşe.run(["voice", "burak", "--file", path.to_str().unwrap()]);
    assert!(sent.stderr.contains("converted from 32-bit float to 16-bit"), "{sent:?}");
    let id = sent.ok();

    let shown = burak.run(["receive"]);
    assert!(shown.ok().contains("ayşe: voice note, 0:01 (tellal play "), "{shown:?}");
    let copy = burak.file("copy.wav");
    burak.run(["play", id, "--save", copy.to_str().unwrap()]).ok();
    let reader = hound::WavReader::open(&copy).unwrap();
    assert_eq!(reader.spec().bits_per_sample, 16);
    assert_eq!((reader.spec().channels, reader.spec().sample_rate, reader.duration()), (2, 48_000, 4_800));
}

#[test]
fn a_saved_note_overwrites_nothing_unasked() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let path = ayşe.file("note.wav");
    std::fs::write(&path, wav::tone(100)).unwrap();
    ayşe.run(["voice", "burak", "--file", path.to_str().unwrap()]).ok();
    ayşe.send("burak", "not a voice note");
    let numbers: Vec<String> = burak.receive().iter().map(|message| message["number"].to_string()).collect();

    let taken = burak.file("taken.wav");
    std::fs::write(&taken, "mine").unwrap();
    let save = taken.to_str().unwrap();
    assert!(burak.run(["play", &numbers[0], "--save", save]).failure().contains("exists already"));
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    burak.run(["play", &numbers[0], "--save", save, "--force"]).ok();
    assert_eq!(std::fs::read(&taken).unwrap(), wav::tone(100));

    let text = burak.run(["play", &numbers[1], "--save", "/nonexistent/x.wav"]);
    assert!(text.failure().contains("is not a voice note"));
    assert!(burak.run(["play", "9999", "--save", save]).failure().contains("no such message"));
    let nowhere = burak.run(["play", &numbers[0], "--save", "/nonexistent/x.wav"]);
    assert!(nowhere.failure().contains("can't write /nonexistent/x.wav"));
}
