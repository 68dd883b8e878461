//! Voice notes that are heard while they are spoken, from one process's microphone to another's loudspeaker, through a
//! virtual sound card.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::card::{Card, Heard, RATE};
use support::voice::Scene;
use support::{Profile, Running, schema, signal, wav};

/// Surely it.
const SURE: f32 = 0.9;

/// Something like a voice: never twice the same. Two seconds, 16 kHz.
fn speech() -> Vec<i16> {
    let mut phase = 0.0f64;
    (0..32_000)
        .map(|frame| {
            let time = f64::from(frame) / 16_000.0;
            phase += (220.0 + 130.0 * (time * 5.0).sin() + 90.0 * time * time) / 16_000.0;
            let loud =
                (0.5 + 0.5 * (time * 23.0).sin()) * (time * 20.0).min(1.0) * ((2.0 - time) * 20.0).min(1.0);
            let turn = phase * std::f64::consts::TAU;
            ((turn.sin() + 0.4 * (2.0 * turn).sin() + 0.2 * (3.0 * turn).sin()) * loud * 7_000.0) as i16
        })
        .collect()
}

fn speech_file(profile: &Profile) -> PathBuf {
    let path = profile.file("speech.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    speech().iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    path
}

/// What was spoken, as a loudspeaker gives it.
fn at_the_loudspeaker() -> Vec<f32> {
    let samples: Vec<f32> = speech().iter().map(|sample| f32::from(*sample) / 32768.0).collect();
    signal::at_rate(&samples, 16_000, RATE)
}

/// What was spoken is heard, each 400 ms of it in its place. Where a group came late there is a hole, and the rest is
/// later by as much: two of the five may have one in them.
#[track_caller]
fn assert_heard(recording: &[f32]) {
    let spoken = at_the_loudspeaker();
    let parts = spoken.chunks_exact(RATE as usize * 2 / 5);
    let places: Vec<signal::Found> = parts.map(|part| signal::find(recording, part)).collect();
    eprintln!("measured: spoken and heard live: {places:?}");
    let whole = places.iter().filter(|place| place.correlation > SURE).count();
    assert!(places.len() == 5 && whole >= 3, "{places:?}");
    assert!(places.iter().all(|place| place.correlation > 0.4), "{places:?}");
    assert!(places.windows(2).all(|pair| pair[0].at < pair[1].at), "{places:?}");
}

/// Begins to speak; it records when this returns.
fn begin(card: &Card, profile: &Profile, seconds: &str) -> (Running, Receiver<String>) {
    begin_with(card, profile, seconds, &[])
}

/// The same with further options.
fn begin_with(
    card: &Card,
    profile: &Profile,
    seconds: &str,
    options: &[&str],
) -> (Running, Receiver<String>) {
    let args = [&["voice", "burak", "--live", "--seconds", seconds, "--mute", "--json"], options].concat();
    let (speaking, stderr) = Running::start_with_stderr(&mut card.command(profile, args));
    let line = stderr.recv_timeout(support::TIMEOUT).unwrap();
    assert!(line.starts_with("speaking to burak, from "), "{line}");
    (speaking, stderr)
}

fn wait_for_speech(heard: &Heard) {
    let quarter = RATE as usize / 4;
    heard.wait_until("what is spoken is heard", |samples| {
        samples.chunks(64).filter(|part| signal::peak(part) > 0.02).count() > quarter / 64
    });
}

fn saved(profile: &Profile, id: &Value) -> Vec<f32> {
    let path = profile.file("saved.wav");
    profile.run(["play", id.as_str().unwrap(), "--force", "--save", path.to_str().unwrap()]).ok();
    let (samples, rate) = signal::read(&std::fs::read(path).unwrap());
    assert_eq!(rate, 16_000);
    samples
}

fn json(line: Option<String>) -> Value {
    serde_json::from_str(&line.expect("a line")).unwrap()
}

#[test]
fn what_is_spoken_is_heard_while_it_is_spoken_and_kept_sample_for_sample() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let file = speech_file(&ayşe);
    let mut following = card.start_on(&burak, ["receive", "--follow", "--play", "--mute", "--json"]);
    ayşe.send("burak", "listen");
    assert_eq!(json(following.line())["text"], "listen");

    let (mut speaking, _stderr) = begin(&card, &ayşe, "12");
    let announced = json(following.line());
    schema::check_message(&announced);
    assert_eq!((&announced["live"], &announced["duration_ms"]), (&true.into(), &0.into()));
    let heard = card.record_loudspeaker();
    card.speak_into_microphone(&file);
    wait_for_speech(&heard);
    assert!(speaking.is_running(), "it was heard before its end");
    let sent = speaking.wait().json();
    schema::check_message(&sent[0]);
    assert_eq!((&sent[0]["id"], &sent[0]["duration_ms"]), (&announced["id"], &12_000.into()));
    assert_eq!(sent[0].get("live"), None);

    let ended = json(following.line());
    schema::check(&ended, &["live_ended"]);
    assert_eq!((&ended["id"], &ended["duration_ms"]), (&announced["id"], &12_000.into()));
    assert_eq!((&ended["cut_off"], &ended["gone"]), (&false.into(), &Value::Null));
    assert_heard(&heard.stop());
    following.kill();

    let (recorded, arrived) = (saved(&ayşe, &announced["id"]), saved(&burak, &announced["id"]));
    assert_eq!(recorded.len(), 12 * 16_000);
    assert!(recorded == arrived, "what arrived is not what was recorded");
    let history = burak.run(["history", "--json"]).json();
    assert_eq!(history.len(), 2, "one entry: {history:?}");
}

#[test]
fn a_note_that_is_still_spoken_is_played_as_far_as_it_is_and_on() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let file = speech_file(&ayşe);
    let (speaking, _stderr) = begin(&card, &ayşe, "15");
    let new = burak.run(["receive", "--wait", "30", "--json"]).json();
    assert_eq!(new[0]["live"], true);
    let playing = card.start_on(&burak, ["play", "last", "--mute", "--json"]);
    let heard = card.record_loudspeaker();
    card.speak_into_microphone(&file);
    wait_for_speech(&heard);
    assert_eq!(speaking.wait().code(), 0);
    let played = playing.wait().json();
    assert_eq!((&played[0]["id"], &played[0]["complete"]), (&new[0]["id"], &true.into()));
    assert_heard(&heard.stop());
}

#[test]
fn a_killed_speaker_is_kept_as_far_as_they_came_and_marked_by_both() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let file = speech_file(&ayşe);
    let mut following = card.start_on(&burak, ["receive", "--follow", "--play", "--mute", "--json"]);
    let (mut speaking, _stderr) = begin(&card, &ayşe, "60");
    let announced = json(following.line());
    let heard = card.record_loudspeaker();
    card.speak_into_microphone(&file);
    wait_for_speech(&heard);
    speaking.kill();

    // As far as can be told without her: nothing more comes.
    let ended = json(following.line());
    assert_eq!((&ended["kind"], &ended["cut_off"]), (&"live_ended".into(), &true.into()));
    assert!(signal::find(&heard.stop(), &at_the_loudspeaker()).correlation > 0.5);

    // Her device says the same once it is back, and has what it recorded.
    let _back = ayşe.start(["receive", "--follow", "--mute"]);
    let ended = json(following.line());
    assert_eq!((&ended["id"], &ended["cut_off"]), (&announced["id"], &true.into()));
    let (recorded, arrived) = (saved(&ayşe, &announced["id"]), saved(&burak, &announced["id"]));
    assert!(recorded == arrived && recorded.len() >= 16_000, "{} {}", recorded.len(), arrived.len());
    assert_eq!(ended["duration_ms"], Value::from(recorded.len() / 16));
    for profile in [&ayşe, &burak] {
        let history = profile.run(["history", "--json"]).json();
        assert_eq!((history.len(), &history[0]["cut_off"]), (1, &true.into()), "{history:?}");
    }
    following.kill();
}

#[test]
fn a_microphone_that_is_pulled_out_is_replaced_and_what_is_said_goes_on() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let (file, siren) = (speech_file(&ayşe), ayşe.file("siren.wav"));
    std::fs::write(&siren, wav::siren()).unwrap();
    let mut following = card.start_on(&burak, ["receive", "--follow", "--play", "--mute", "--json"]);
    let headset = card.plug_in("headset");
    let (speaking, stderr) = begin_with(&card, &ayşe, "12", &["--device", "headset.monitor"]);
    let announced = json(following.line());
    let heard = card.record_loudspeaker();
    card.play_on("headset", &siren);
    card.unplug(&headset);
    card.speak_into_microphone(&file);
    wait_for_speech(&heard);
    let sent = speaking.wait().json();
    drop(stderr);
    assert_eq!(sent[0]["id"], announced["id"]);
    let ended = json(following.line());
    assert_eq!((&ended["id"], &ended["cut_off"]), (&announced["id"], &false.into()));
    following.kill();

    let (recorded, arrived) = (saved(&ayşe, &announced["id"]), saved(&burak, &announced["id"]));
    assert!(recorded == arrived, "what arrived is not what was recorded");
    let spoken: Vec<f32> = speech().iter().map(|sample| f32::from(*sample) / 32768.0).collect();
    let places = [signal::read(&wav::siren()).0, spoken].map(|said| signal::find(&arrived, &said));
    eprintln!("measured: before and after the headset went: {places:?}");
    assert!(places.iter().all(|found| found.correlation > SURE) && places[0].at < places[1].at, "{places:?}");
    assert_heard(&heard.stop());
}

#[test]
fn a_speaker_whose_only_microphone_goes_is_kept_as_far_as_they_came() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let file = speech_file(&ayşe);
    let mut following = burak.start(["receive", "--follow", "--mute", "--json"]);
    let (speaking, stderr) = begin(&card, &ayşe, "120");
    let announced = json(following.line());
    card.speak_into_microphone(&file);
    card.unplug(&card.built_in("speaker"));
    card.unplug(&card.built_in("microphone"));
    // Nobody plugs another one in: it ends by itself, long before its time.
    let sent = speaking.wait().json();
    let said: Vec<String> = stderr.iter().collect();
    assert!(said.iter().any(|line| line.contains("what was said is kept and marked")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("recording from")), "{said:?}");
    assert_eq!((&sent[0]["id"], &sent[0]["cut_off"]), (&announced["id"], &true.into()));
    let ended = json(following.line());
    assert_eq!((&ended["id"], &ended["cut_off"]), (&announced["id"], &true.into()));
    following.kill();
    let (recorded, arrived) = (saved(&ayşe, &announced["id"]), saved(&burak, &announced["id"]));
    assert!(recorded == arrived, "what arrived is not what was recorded");
    let spoken: Vec<f32> = speech().iter().map(|sample| f32::from(*sample) / 32768.0).collect();
    let found = signal::find(&arrived, &spoken);
    assert!(found.correlation > SURE, "{found:?}");
}

#[test]
fn an_interrupted_speaker_takes_it_back() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let mut following = burak.start(["receive", "--follow", "--mute"]);
    let (speaking, stderr) = begin(&card, &ayşe, "60");
    assert!(following.line().unwrap().contains("voice note, live"));
    speaking.signal("INT");
    let finished = speaking.wait();
    assert_eq!((finished.code(), finished.stdout.as_str()), (130, ""));
    let said: Vec<String> = stderr.iter().collect();
    assert_eq!(said, ["tellal: taken back: what was heard was heard, and nothing is kept"]);
    let line = following.line().unwrap();
    assert!(line.contains("ayşe took this voice note back"), "{line}");
    following.kill();
}

#[test]
fn a_speaker_who_is_told_to_end_is_kept_as_far_as_they_came_and_marked_by_both() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let file = speech_file(&ayşe);
    let spoken: Vec<f32> = speech().iter().map(|sample| f32::from(*sample) / 32768.0).collect();
    let mut following = burak.start(["receive", "--follow", "--mute", "--json"]);
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        let (speaking, stderr) = begin(&card, &ayşe, "60");
        let announced = json(following.line());
        let heard = card.record("microphone");
        card.speak_into_microphone(&file);
        heard.listen(Duration::from_millis(500));
        speaking.signal(signal);
        let finished = speaking.wait();
        assert_eq!((finished.code(), finished.stdout.as_str()), (code, ""), "{finished:?}");
        let said: Vec<String> = stderr.iter().collect();
        assert!(said.last().unwrap().contains("what was said is kept and marked"), "{said:?}");
        let ended = json(following.line());
        assert_eq!((&ended["id"], &ended["cut_off"]), (&announced["id"], &true.into()));
        assert_eq!(ended["gone"], Value::Null);
        let (recorded, arrived) = (saved(&ayşe, &announced["id"]), saved(&burak, &announced["id"]));
        assert!(recorded == arrived, "what arrived is not what was recorded");
        let found = signal::find(&arrived, &spoken);
        assert!(found.correlation > SURE, "{found:?}");
    }
    following.kill();
}

#[test]
fn the_wait_for_a_server_that_does_not_answer_can_be_interrupted() {
    let (card, server, ayşe, _burak) = Card::with_friends();
    let mut speaking = card.screen(&ayşe, &["voice", "burak", "--live", "--mute"]);
    speaking.wait_for("speaking to burak");
    server.signal("STOP");
    speaking.type_keys("\r");
    speaking.wait_for("nobody is heard in these");
    speaking.signal("INT");
    speaking.wait_for("tellal: not at the server yet: it waits in the outbox");
    assert_eq!(speaking.finish(), 130);
    server.signal("CONT");
}

#[test]
fn in_a_conversation_it_is_the_same() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let file = speech_file(&ayşe);
    let mut following = card.start_on(&burak, ["receive", "--follow", "--play", "--mute", "--json"]);
    let mut chat = card.screen(&ayşe, &["chat", "burak", "--mute"]);
    chat.wait_for("connected; burak is");
    // On a machine under load it is whole in one of a few attempts.
    let mut spoken = || {
        chat.type_keys("/live\r");
        chat.wait_for("* speaking to burak: Enter ends it, /cancel takes it back");
        let announced = json(following.line());
        assert_eq!(announced["live"], true);
        let heard = card.record_loudspeaker();
        card.speak_into_microphone(&file);
        wait_for_speech(&heard);
        chat.type_keys("/pause\r");
        chat.wait_for("can't be paused");
        chat.type_keys("\r");
        chat.wait_for("* spoken to burak, 0:0");
        let ended = json(following.line());
        assert_eq!((&ended["id"], &ended["cut_off"]), (&announced["id"], &false.into()));
        // What is heard is behind what is spoken.
        heard.wait_until("all of it is heard", |samples| signal::is_silent(samples, 2.0));
        heard.stop()
    };
    let is_heard = |sound: Vec<f32>| catch_unwind(|| assert_heard(&sound)).is_ok();
    if !(0..2).any(|_| is_heard(spoken())) {
        assert_heard(&spoken());
    }

    chat.type_keys("/live\r");
    assert_eq!(json(following.line())["live"], true);
    chat.type_keys("/cancel\r");
    chat.wait_for("* taken back: what was heard was heard, and nothing is kept");
    assert!(json(following.line())["gone"].as_str().unwrap().contains("took this voice note back"));
    // The end is typed ahead: it is ended, and not cut off.
    chat.type_keys("/live\r");
    let announced = json(following.line());
    card.speak_into_microphone(&file);
    chat.type_keys("\r\u{4}");
    assert_eq!(chat.finish(), 0);
    let ended = json(following.line());
    assert_eq!((&ended["id"], &ended["cut_off"]), (&announced["id"], &false.into()));
    following.kill();
    assert!(saved(&ayşe, &announced["id"]) == saved(&burak, &announced["id"]));
}

#[test]
fn hands_free_it_is_heard_behind_its_speakers_name_and_without_holes_at_any_pace() {
    let scene = Scene::new();
    let (speech, rising) = (speech_file(&scene.ayşe), scene.ayşe.file("rising.wav"));
    std::fs::write(&rising, wav::rising(RISING)).unwrap();
    let zoé = Profile::register(&scene.server, "zoé");
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    // A quarter slower than it is spoken, as it is spoken, and a quarter faster: each is two keys from the one before.
    let mut attempts = 0;
    // A machine under load stutters: what is made without holes is without them in one of a few attempts.
    let mut hear = |pace: f32| {
        // The speech service begins with the first word; and who is named before is somebody else.
        attempts += 1;
        let before = scene.asked().len();
        zoé.send("burak", "Listen to this.");
        scene.wait_for_asked(before + 1);
        let heard = scene.card.record_loudspeaker();
        heard.wait_until("it has been read", |samples| signal::is_silent(samples, 1.0));
        let heard = scene.card.record_loudspeaker();
        let mut speaking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--live", "--mute"]);
        speaking.wait_for("speaking to burak");
        let asked = scene.wait_for_asked(before + 2);
        assert_eq!(asked.last().unwrap().text, "ayşe");
        heard.wait_until("the name has been said", signal::has_ended);
        let named = heard.so_far().len();
        scene.card.speak_into_microphone(if pace < 1.0 { &rising } else { &speech });
        // What is heard is behind what is spoken, on a machine under load by seconds.
        let all = if pace < 1.0 { RISING as f32 / pace } else { seconds_of_sound(&at_the_loudspeaker()) };
        heard.wait_until("all of it is heard", |samples| {
            signal::is_silent(samples, 4.0) && seconds_of_sound(&samples[named..]) > 0.5 * all
        });
        speaking.type_keys("\r");
        assert_eq!(speaking.finish(), 0);
        let sound = heard.stop().split_off(named);
        if pace < 1.0 { assert_rising_heard(&sound, pace) } else { assert_heard(&sound) }
    };
    for (keys, pace) in [("--", 0.75), ("++", 1.0), ("++", 1.25)] {
        listen.type_keys(keys);
        let once = (0..2).any(|_| catch_unwind(AssertUnwindSafe(|| hear(pace))).is_ok());
        if !once {
            hear(pace);
        }
    }
    // Each is heard to its end, which is silent.
    let deadline = Instant::now() + support::TIMEOUT;
    let history = || scene.burak.run(["history", "--json"]).json();
    while !history().iter().filter(|message| message["kind"] == "voice").all(|note| note["listened"] == true)
    {
        assert!(Instant::now() < deadline, "it is not kept that they were heard: {:?}", history());
    }
    assert_eq!(scene.asked().len(), 2 * attempts);
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}

fn seconds_of_sound(recording: &[f32]) -> f32 {
    signal::bursts(recording, RATE, 0.05).iter().map(|(from, until)| until - from).sum()
}

/// How many seconds a tone rises that is heard at another pace than it was spoken at.
const RISING: u32 = 3;

/// The tone that rises is heard at a pace below 1. At the pitch at which it was spoken, which tells of each tenth of a
/// second which time of it that is: they follow each other at the pace. Where a group came late there is a hole.
#[track_caller]
fn assert_rising_heard(recording: &[f32], pace: f32) {
    let is_loud = |sample: &f32| sample.abs() > 0.01;
    let (from, until) = (recording.iter().position(is_loud), recording.iter().rposition(is_loud));
    let sound = &recording[from.unwrap()..until.unwrap()];
    let (stretches, seconds) = (signal::bursts(sound, RATE, 0.05), seconds_of_sound(sound));
    let whole = sound.chunks_exact(RATE as usize / 10);
    let whole = whole.filter(|part| signal::envelope(part, RATE).iter().all(|energy| *energy > 0.01));
    let times: Vec<f32> = whole.map(|part| (frequency(part) - 200.0) / 60.0).collect();
    eprintln!("measured: at pace {pace}: {stretches:?}, of which {times:.2?}");
    let wanted = RISING as f32 / pace;
    assert!((seconds / wanted - 1.0).abs() < 0.05, "{seconds} s of {wanted}: {stretches:?}");
    assert!(stretches.len() <= 3, "{stretches:?}");
    assert!(times[0] < 0.3 && *times.last().unwrap() > RISING as f32 - 0.3, "{times:?}");
    // One in which a machine under load stutters has no pitch to go by.
    let back = times.windows(2).filter(|two| two[1] <= two[0]).count();
    assert!(back <= 2, "in order: {times:?}");
    let steps = times.windows(2).filter(|two| (two[1] - two[0] - pace / 10.0).abs() < 0.03).count();
    assert!(steps * 4 >= times.len() * 3, "{steps} of {}: {times:?}", times.len());
}

/// Of a tone in hertz, by where it crosses zero upwards.
fn frequency(tone: &[f32]) -> f32 {
    let crossings = tone.windows(2).enumerate().filter(|(_, two)| two[0] < 0.0 && two[1] >= 0.0);
    let places: Vec<f32> = crossings.map(|(at, two)| at as f32 + two[0] / (two[0] - two[1])).collect();
    (places.len() - 1) as f32 * RATE as f32 / (places.last().unwrap() - places[0])
}

#[test]
fn in_words_alone_its_level_is_said_while_it_is_spoken() {
    let (card, _server, ayşe, _burak) = Card::with_friends();
    let mut speaking = card.screen(&ayşe, &["voice", "burak", "--live", "--mute", "--plain"]);
    speaking.wait_for("speaking to burak");
    speaking.wait_for("0:02 recorded, silence: is the microphone muted?");
    speaking.type_keys("\r");
    speaking.wait_for("nobody is heard in these");
    assert_eq!(speaking.finish(), 0);
    assert!(!speaking.raw().contains(&0x1b), "{:?}", String::from_utf8_lossy(&speaking.raw()));
}
