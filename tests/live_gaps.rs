//! Voice notes that are heard while they are spoken, of which something is missing: what came is heard on a real
//! loudspeaker, and what did not is said in words. For what is whole: `tests/live_sound.rs`.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::path::{Path, PathBuf};

use support::card::{Card, Heard, RATE};
use support::screen::Screen;
use support::{Profile, Running, signal, wav};

/// Surely it.
const SURE: f32 = 0.9;
/// It, with a hole in it; what is not it was seen to be at 0.5.
const LIKELY: f32 = 0.65;
/// Samples in a group: 400 ms.
const GROUP: usize = 6_400;

/// Says something into the microphone.
fn say(card: &Card, profile: &Profile, wav: &[u8]) {
    let file = profile.file("spoken.wav");
    std::fs::write(&file, wav).unwrap();
    card.speak_into_microphone(&file);
}

/// Begins a note, to be ended with Enter; it records when this returns.
fn begin(card: &Card, profile: &Profile) -> Screen {
    let speaking = card.screen(profile, &["voice", "burak", "--live", "--mute"]);
    speaking.wait_for("speaking to burak");
    speaking
}

fn end(mut speaking: Screen) {
    speaking.type_keys("\r");
    speaking.wait_for("spoken 0:");
    assert_eq!(speaking.finish(), 0);
}

/// Waits until so many seconds of sound have been heard.
fn wait_for_sound(heard: &Heard, seconds: f32) {
    let parts = (seconds * 100.0) as usize;
    heard.wait_until("what is spoken is heard", |samples| {
        samples.chunks(RATE as usize / 100).filter(|part| signal::peak(part) > 0.01).count() > parts
    });
}

/// What was said is in a recording, each quarter of a second in its place. Where a group came late, or the machine, there
/// is a hole, and the rest is later by as much: those that are clear are in order.
#[track_caller]
fn assert_heard(recording: &[f32], said: &[u8]) {
    let quarters = signal::quarters(recording, said);
    eprintln!("measured: said and heard: {quarters:?}");
    let clear: Vec<usize> =
        quarters.iter().filter(|found| found.correlation > SURE).map(|found| found.at).collect();
    assert!(clear.len() * 3 >= quarters.len() && clear.is_sorted(), "{quarters:?}");
    assert!(quarters.iter().all(|found| found.correlation > 0.4), "{quarters:?}");
}

fn saved(profile: &Profile, which: &str) -> Vec<f32> {
    let path = profile.file("saved.wav");
    profile.run(["play", which, "--force", "--save", path.to_str().unwrap()]).ok();
    let (samples, rate) = signal::read(&std::fs::read(path).unwrap());
    assert_eq!(rate, 16_000);
    samples
}

/// The next line that holds something.
#[track_caller]
fn line(running: &mut Running, wanted: &str) -> String {
    loop {
        let line = running.line().unwrap_or_else(|| panic!("no line with {wanted:?}"));
        if line.contains(wanted) {
            return line;
        }
    }
}

/// A folder's files, the oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let mut files: Vec<_> = files
        .filter(|file| file.file_type().unwrap().is_file())
        .map(|file| (file.metadata().unwrap().modified().unwrap(), file.path()))
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// What a chunk takes up in a blob's file: its length in four bytes, and so many.
fn row(blob: &[u8]) -> usize {
    4 + u32::from_be_bytes(blob[..4].try_into().unwrap()) as usize
}

#[test]
fn a_killed_speaker_was_heard_as_far_as_they_came_and_that_is_said_in_words() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let said = wav::rising(3);
    let mut chat = card.screen(&burak, &["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    let args = ["voice", "burak", "--live", "--seconds", "60", "--mute"];
    let mut speaking = card.start_on(&ayşe, args);
    chat.wait_for("voice note, live (/play 1)");
    let heard = card.record_loudspeaker();
    say(&card, &ayşe, &said);
    wait_for_sound(&heard, 2.2);
    speaking.kill();
    // Nothing more comes.
    chat.wait_for("* ayşe has ended: voice note, cut off after 0:0");
    assert_heard(&heard.stop(), &wav::part(&said, 0, 2));
    // That is what there is of it from now on.
    let heard = card.record_loudspeaker();
    chat.type_keys("/play 1\r");
    chat.wait_for("* playing voice note 1 from ayşe, 0:0");
    wait_for_sound(&heard, 1.8);
    heard.wait_until("it is over", signal::has_ended);
    assert_heard(&heard.stop(), &wav::part(&said, 0, 2));
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
    let history = burak.run(["history"]);
    assert!(history.ok().contains(" ayşe: voice note, cut off after 0:0"), "{history:?}");
}

#[test]
fn notes_end_where_the_server_has_lost_something_and_that_is_said_in_words() {
    let (card, mut server, ayşe, burak) = Card::with_friends();
    let said = [0, 3].map(|from| wav::part(&wav::rising(6), from, 3));
    for said in &said {
        let speaking = begin(&card, &ayşe);
        say(&card, &ayşe, said);
        end(speaking);
    }
    server.stop();
    // Of the one a group in the middle, of the other all from there on.
    const LOST: usize = 5;
    let blobs = files(&server.data().join("blobs"));
    assert_eq!(blobs.len(), 2);
    for (place, blob) in blobs.iter().enumerate() {
        let mut bytes = std::fs::read(blob).unwrap();
        let row = row(&bytes);
        assert!(bytes.len() > (LOST + 2) * row);
        let until = if place == 0 { (LOST + 1) * row } else { bytes.len() };
        bytes.drain(LOST * row..until);
        std::fs::write(blob, bytes).unwrap();
    }
    server.restart_on_same_port();

    let heard = card.record_loudspeaker();
    let mut following = card.start_on(&burak, ["receive", "--follow", "--play", "--mute"]);
    let mut ends = [1, 2].map(|which| format!("#{which} * ayşe: voice note, cut off after 0:02")).to_vec();
    while !ends.is_empty() {
        let line = line(&mut following, " * ayşe: voice note, cut off");
        ends.retain(|end| !line.ends_with(end.as_str()));
    }
    heard.wait_until("both are over", |samples| {
        signal::bursts(samples, RATE, 0.3).len() >= 2 && signal::has_ended(samples)
    });
    following.kill();
    let sound = heard.stop();
    for (said, which) in said.iter().zip(["1", "2"]) {
        let (whole, came) = (saved(&ayşe, which), saved(&burak, which));
        assert!(came == whole[..LOST * GROUP], "{} of {}", came.len(), whole.len());
        let places = signal::read(said).0;
        let places = places.chunks_exact(4_000).map(|quarter| signal::find(&whole, quarter).at);
        let places: Vec<usize> = places.collect();
        let quarters = signal::quarters(&sound, said);
        eprintln!("measured: lost from {} on, of {places:?}: {quarters:?}", LOST * GROUP);
        let heard = |range: &dyn Fn(usize) -> bool| -> (usize, usize) {
            let these = places.iter().zip(&quarters).filter(|(place, _)| range(**place));
            let these: Vec<bool> = these.map(|(_, found)| found.correlation > LIKELY).collect();
            (these.len(), these.iter().filter(|heard| **heard).count())
        };
        let (came, of_it) = heard(&|place| place + 4_000 <= LOST * GROUP);
        assert!(came >= 3 && of_it + 1 >= came, "{of_it} of {came}");
        let (lost, of_it) = heard(&|place| place >= LOST * GROUP);
        assert!(lost >= 3 && of_it == 0, "{of_it} of {lost}");
    }
    let history = burak.run(["history"]);
    assert_eq!(history.ok().matches("ayşe: voice note, cut off after 0:02").count(), 2, "{history:?}");
    let notice = "Part of a voice note from ayşe was not made by ayşe's device: what came before it is kept";
    assert_eq!(history.ok().matches(notice).count(), 1, "{history:?}");
}

#[test]
fn a_server_that_falls_and_loses_what_came_last_costs_nothing_but_time() {
    let (card, mut server, ayşe, burak) = Card::with_friends();
    let said = [0, 2].map(|from| wav::part(&wav::rising(4), from, 2));
    let mut following = card.start_on(&burak, ["receive", "--follow", "--play", "--mute"]);
    ayşe.send("burak", "Listen.");
    line(&mut following, "Listen.");
    let speaking = begin(&card, &ayşe);
    line(&mut following, "ayşe: voice note, live");
    let heard = card.record_loudspeaker();
    say(&card, &ayşe, &said[0]);
    wait_for_sound(&heard, 1.5);
    // As a power cut would: the newest group is not on the disk.
    server.kill();
    let blobs = files(&server.data().join("blobs/partial"));
    assert_eq!(blobs.len(), 1);
    let mut bytes = std::fs::read(&blobs[0]).unwrap();
    let row = row(&bytes);
    bytes.truncate((bytes.len() / row - 1) * row);
    std::fs::write(&blobs[0], bytes).unwrap();
    // Nobody can hear this yet.
    say(&card, &ayşe, &said[1]);
    server.restart_on_same_port();
    wait_for_sound(&heard, 3.5);
    end(speaking);
    let ended = line(&mut following, "ayşe: voice note, 0:");
    assert!(!ended.contains("cut off"), "{ended}");
    heard.wait_until("it is over", signal::has_ended);
    following.kill();
    assert_heard(&heard.stop(), &wav::rising(4));
    assert!(saved(&ayşe, "2") == saved(&burak, "2"), "what arrived is not what was recorded");
}
