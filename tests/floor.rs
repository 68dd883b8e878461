//! Whoever records has the floor: no command of the same profile is heard meanwhile, and each gives way to a recording
//! that begins in the middle of it. For `listen` and the program's own sounds: `tests/interrupted.rs`,
//! `tests/recording.rs`.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::sync::mpsc::Receiver;
use std::time::Duration;

use support::card::Heard;
use support::voice::{Scene, give_up};
use support::{Running, signal, wav};

/// Waits until a command says that it waits.
#[track_caller]
fn assert_waits(told: &Receiver<String>) {
    let waits = "a voice note is being recorded: this waits until that is over";
    while !told.recv_timeout(support::TIMEOUT).expect("it says that it waits").contains(waits) {}
}

/// What it was about to say, and what the device holds, is over soon; then nothing is heard.
#[track_caller]
fn assert_silent(heard: &Heard) {
    let begun = heard.listen(Duration::from_millis(800));
    let until = heard.listen(Duration::from_millis(500));
    assert_eq!(signal::peak(&heard.so_far()[begun..until]), 0.0, "it would be recorded");
}

/// Waits until it is heard from now on.
fn wait_for_sound(heard: &Heard) {
    let from = heard.so_far().len();
    heard.wait_until("it is heard", |samples| signal::sounds(&samples[from..]));
}

/// Starts a command while somebody records: it is heard once that is over, and not before.
#[track_caller]
fn start(scene: &Scene, args: &[&str], heard: &Heard) -> (Running, Receiver<String>) {
    let asked = scene.asked().len();
    let taking = scene.begin_to_record();
    let (running, told) = Running::start_with_stderr(&mut scene.command(args));
    assert_waits(&told);
    assert_silent(heard);
    assert_eq!(scene.asked().len(), asked, "{args:?}");
    give_up(taking);
    wait_for_sound(heard);
    (running, told)
}

/// Somebody records in the middle of it: it is silent meanwhile, and goes on afterwards.
#[track_caller]
fn interrupt(scene: &Scene, told: &Receiver<String>, heard: &Heard) {
    let taking = scene.begin_to_record();
    assert_waits(told);
    assert_silent(heard);
    give_up(taking);
    wait_for_sound(heard);
}

/// The same of what is spoken in pieces: the one that is cut short is spoken again.
#[track_caller]
fn interrupt_speech(scene: &Scene, told: &Receiver<String>, heard: &Heard) {
    // On a slow machine somebody may begin between two of them.
    let again = (0..4).any(|_| {
        scene.wait_for_asked(scene.asked().len() + 1);
        let taking = scene.begin_to_record();
        assert_waits(told);
        assert_silent(heard);
        let asked = scene.asked();
        give_up(taking);
        let after = scene.wait_for_asked(asked.len() + 1);
        wait_for_sound(heard);
        after[asked.len()].text == asked.last().unwrap().text
    });
    assert!(again, "nothing was cut short: {:#?}", scene.asked());
}

#[test]
fn what_is_played_waits_for_a_recording_and_gives_way_to_one() {
    let scene = Scene::new();
    scene.ayşe.send_note("burak", &wav::rising(60));
    scene.burak.receive();
    // As long as a sound may be, each.
    std::fs::create_dir(scene.burak.file("sounds")).unwrap();
    for name in ["sent", "received", "voice_received", "joined", "left", "error"] {
        std::fs::write(scene.burak.file(&format!("sounds/{name}.wav")), wav::rising(5)).unwrap();
    }
    for args in [["play", "1"], ["sounds", "--play=all"]] {
        let heard = scene.card.record_loudspeaker();
        let (mut running, told) = start(&scene, &args, &heard);
        interrupt(&scene, &told, &heard);
        assert!(running.is_running(), "{args:?}");
        running.kill();
        heard.wait_until("it is silent", signal::has_ended);
    }
}

#[test]
fn what_is_spoken_waits_for_a_recording_and_gives_way_to_one() {
    let scene = Scene::new();
    let heard = scene.card.record_loudspeaker();
    let (named, _told) = start(&scene, &["voice-of", "ayşe", "higher"], &heard);
    named.wait().ok();
    assert_eq!(scene.asked().last().unwrap().text, "ayşe");

    let (mut verify, told) = start(&scene, &["verify", "ayşe", "--speak"], &heard);
    interrupt_speech(&scene, &told, &heard);
    assert!(verify.is_running());
    verify.kill();
}

#[test]
fn a_doctor_waits_for_a_recording_and_gives_way_to_one() {
    let scene = Scene::new();
    let heard = scene.card.record_loudspeaker();
    let languages = ["tr", "ko", "fr", "de", "es", "it", "pt", "nl"].map(|tag| format!("--language={tag}"));
    let mut args = vec!["doctor", "--sound"];
    args.extend(languages.iter().map(String::as_str));
    let (mut doctor, told) = start(&scene, &args, &heard);
    interrupt_speech(&scene, &told, &heard);
    assert!(doctor.is_running());
    doctor.kill();
}

#[test]
fn what_was_heard_when_a_recording_began_is_not_in_it() {
    let scene = Scene::new();
    // A microphone right beside the loudspeaker.
    scene.card.make_default("source", "speaker.monitor");
    let file = scene.ayşe.file("note.wav");
    std::fs::write(&file, wav::siren()).unwrap();
    scene.ayşe.run(["voice", "burak", "--mute", "--file", file.to_str().unwrap()]).ok();
    scene.burak.receive();
    let heard = scene.card.record_loudspeaker();
    let assert_silent_recording = || {
        wait_for_sound(&heard);
        let recording = ["voice", "ayşe", "--mute", "--even-silent", "--no-trim", "--seconds", "1"];
        scene.run(&recording).ok();
        let received = scene.ayşe.run(["receive", "--json"]).json();
        let id = received[0]["id"].as_str().unwrap();
        let note = scene.ayşe.file(&format!("{id}.wav"));
        scene.ayşe.run(["play", id, "--save", note.to_str().unwrap()]).ok();
        let (samples, _) = signal::read(&std::fs::read(note).unwrap());
        assert!(samples.len() > 15_000);
        assert_eq!(signal::peak(&samples), 0.0);
    };

    let mut play = Running::start(&mut scene.command(&["play", "1"]));
    assert_silent_recording();
    play.kill();
    heard.wait_until("it is silent", signal::has_ended);

    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let text = "Every word of this is read, and none of it is to be recorded. ".repeat(4);
    scene.ayşe.send("burak", &text);
    assert_silent_recording();
    // It is read again, from its beginning.
    wait_for_sound(&heard);
    listen.type_keys("v");
    listen.wait_for("(recording a reply to ayşe");
    heard.listen(Duration::from_millis(500));
    listen.type_keys("v");
    listen.wait_for("(nobody is heard in it: Enter or v sends it all the same");
    listen.type_keys("c");
    listen.wait_for("(not sent: what was recorded is forgotten)");
    listen.type_keys("q");
    listen.finish();
}
