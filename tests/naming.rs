//! Hands-free: who is named before what, where notes and texts come by turns.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use support::card::RATE;
use support::voice::Scene;
use support::{Profile, signal, wav};

/// What is not quite in its place, in seconds.
const ABOUT: f32 = 0.1;

/// Where a note is heard, in seconds: its beginning and its end.
#[track_caller]
fn place(recording: &[f32], note: &[u8]) -> (f32, f32) {
    let quarters = signal::quarters(recording, note);
    eprintln!("measured: a note is heard at {quarters:?}");
    let clear = quarters.iter().filter(|found| found.correlation > 0.9).count();
    assert!(clear + 1 >= quarters.len() && quarters.is_sorted_by_key(|found| found.at), "{quarters:?}");
    let seconds = |found: &signal::Found| found.at as f32 / RATE as f32;
    (seconds(&quarters[0]), seconds(quarters.last().unwrap()) + 0.25)
}

/// How loud it is in a stretch of a recording, but for its ends.
fn loud(recording: &[f32], from: f32, until: f32) -> f32 {
    let sample = |seconds: f32| (seconds * RATE as f32) as usize;
    signal::peak(&recording[sample(from + ABOUT)..sample((until - ABOUT).max(from + ABOUT))])
}

#[test]
fn a_sender_is_named_before_a_note_unless_they_go_on() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    let notes = [0, 1, 2, 3, 4].map(|number| wav::part(&wav::rising(5), number, 1));
    let note = |from: &Profile, number: usize| from.send_note("burak", &notes[number]);
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let heard = scene.card.record_loudspeaker();
    note(&scene.ayşe, 0);
    note(&scene.ayşe, 1);
    note(&zoé, 2);
    zoé.send("burak", "This is still me who speaks.");
    scene.ayşe.send("burak", "This is me once more.");
    note(&scene.ayşe, 3);
    note(&zoé, 4);
    let asked = scene.wait_for_asked(5);
    heard.wait_until("the last note is over", |samples| {
        signal::has_ended(samples) && {
            let late = &samples[samples.len().saturating_sub(4 * RATE as usize)..];
            signal::quarters(late, &notes[4]).iter().any(|found| found.correlation > 0.9)
        }
    });
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);

    let texts: Vec<&str> = asked.iter().map(|asked| asked.text.as_str()).collect();
    let said = ["ayşe", "zoé", "This is still me who speaks.", "ayşe: This is me once more.", "zoé"];
    assert_eq!(texts, said);
    assert_eq!(scene.asked().len(), said.len());
    // Each in its place, and of nobody more than what was said of them.
    let sound = heard.stop();
    let places = notes.each_ref().map(|note| place(&sound, note));
    assert!(places.windows(2).all(|pair| pair[0].1 < pair[1].0), "{places:?}");
    let before = |number: usize| {
        let from = if number == 0 { 0.0 } else { places[number - 1].1 };
        loud(&sound, from, places[number].0)
    };
    let spoken = [0, 1, 2, 3, 4].map(|number| before(number) > 0.05);
    assert_eq!(spoken, [true, false, true, true, true], "{places:?}");
    assert!(before(1) < 0.01, "{}", before(1));
}
