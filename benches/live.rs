//! From the mouth to the ear: how long after it was spoken a live voice note is heard. Real processes, real TLS, real disk,
//! a virtual sound card: its microphone and its loudspeaker are recorded at the same time.
//!
//! `cargo bench --bench live` prints a table for `docs/performance.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared with the tests"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use support::card::{Card, RATE};
use support::{Profile, Running, Server, signal};

/// Notes, and tones in each of them.
const NOTES: usize = 7;
const TONES: usize = 4;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (card, server) = (Card::start(), Server::start());
    let (ayşe, burak) = (register(&server, "ayşe"), register(&server, "burak"));
    let tones = ayşe.file("tones.wav");
    write_tones(&tones);
    let mut following = card.start_on(&burak, ["receive", "--follow", "--play", "--mute"]);
    // A connection that is there already, as chat's.
    let _connected = ayşe.start(["receive", "--follow", "--mute"]);
    let (mut times, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..NOTES {
        let args = ["voice", "burak", "--live", "--seconds", "10", "--mute"];
        let (speaking, stderr) = Running::start_with_stderr(&mut card.command(&ayşe, args));
        assert!(stderr.recv_timeout(support::TIMEOUT).unwrap().starts_with("speaking to burak"));
        let (mouth, ear) = (card.record("microphone"), card.record_loudspeaker());
        card.speak_into_microphone(&tones);
        ear.wait_until("all of it is heard", |samples| signal::bursts(samples, RATE, 0.3).len() >= TONES);
        ear.listen(Duration::from_millis(500));
        let found = |heard: &support::card::Heard| {
            let bursts = signal::bursts(&heard.so_far(), RATE, 0.3);
            bursts.iter().map(|burst| heard.time_of((burst.0 * RATE as f32) as usize)).collect::<Vec<_>>()
        };
        let note: Vec<Duration> =
            found(&mouth).iter().zip(found(&ear)).map(|(spoken, heard)| heard - *spoken).collect();
        assert_eq!(note.len(), TONES, "a tone was torn apart or lost");
        eprintln!("{note:?}");
        seconds.push(note[0]);
        times.extend(note);
        speaking.wait().ok();
        // Its beginning and its end.
        following.line().unwrap();
        following.line().unwrap();
    }
    following.kill();
    println!("| what | median ms | min–max ms | runs |\n| --- | --- | --- | --- |");
    row("mouth to ear, the first tone of a note", seconds);
    row("mouth to ear, every tone", times);
}

fn row(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |place: usize| times[place].as_secs_f64() * 1000.0;
    println!(
        "| {what} | {:.0} | {:.0}–{:.0} | {} |",
        at(times.len() / 2),
        at(0),
        at(times.len() - 1),
        times.len()
    );
}

/// With keys of the usual size.
fn register(server: &Server, name: &str) -> Profile {
    let profile = Profile::new(server, name);
    profile.run(["register", name, "--server", &server.name()]).ok();
    profile
}

/// Tones of a tenth of a second, at distances that don't go into 400 ms.
fn write_tones(path: &std::path::Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for tone in 0..TONES {
        for frame in 0..RATE / 10 {
            let turn = f64::from(frame) * 900.0 * std::f64::consts::TAU / f64::from(RATE);
            writer.write_sample((turn.sin() * 12_000.0) as i16).unwrap();
        }
        for _ in 0..RATE * (13 + 2 * tone as u32) / 10 {
            writer.write_sample(0_i16).unwrap();
        }
    }
    writer.finalize().unwrap();
}
