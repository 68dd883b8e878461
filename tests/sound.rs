//! Sound between real processes, through a virtual sound card: what is spoken into the microphone arrives, and what
//! the loudspeaker plays is what it should, when it should.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use support::card::{Card, Heard, RATE};
use support::screen::Screen;
use support::signal::{self, Found};
use support::{Profile, Running, Server, schema};

/// The built-in sounds by name.
const CUES: [&str; 6] = ["sent", "received", "voice_received", "joined", "left", "error"];

/// Surely it.
const SURE: f32 = 0.9;
/// Surely not it.
const UNLIKE: f32 = 0.7;

/// A built-in sound's samples.
fn cue(name: &str) -> Vec<f32> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("sounds/{name}.wav"));
    let (samples, rate) = signal::read(&std::fs::read(path).unwrap());
    assert_eq!(rate, RATE);
    samples
}

/// Something like a voice: vowels of changing pitch and loudness, never twice the same. One second, 16 kHz.
fn speech() -> Vec<i16> {
    let mut phase = 0.0f64;
    (0..16_000)
        .map(|frame| {
            let time = f64::from(frame) / 16_000.0;
            phase += (220.0 + 130.0 * (time * 5.0).sin() + 90.0 * time * time) / 16_000.0;
            let loud =
                (0.5 + 0.5 * (time * 23.0).sin()) * (time * 20.0).min(1.0) * ((1.0 - time) * 20.0).min(1.0);
            let turn = phase * std::f64::consts::TAU;
            ((turn.sin() + 0.4 * (2.0 * turn).sin() + 0.2 * (3.0 * turn).sin()) * loud * 7_000.0) as i16
        })
        .collect()
}

/// A WAV file of it.
fn speech_wav() -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    speech().iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    file.into_inner()
}

/// Asserts that one of the built-in sounds, and no other, is in a recording; where.
#[track_caller]
fn only(recording: &[f32], name: &str) -> Found {
    let found: Vec<(&str, Found)> =
        CUES.iter().map(|name| (*name, signal::find(recording, &cue(name)))).collect();
    for (other, found) in &found {
        if *other == name {
            assert!(found.correlation > SURE, "{name} is not heard: {found:?}");
        } else {
            assert!(found.correlation < UNLIKE, "{other} is heard, not {name}: {found:?}");
        }
    }
    found.into_iter().find(|(other, _)| *other == name).unwrap().1
}

/// Waits until one of the built-in sounds is heard, whatever else is.
fn wait_for_cue(heard: &Heard, name: &str) {
    heard.wait_until(name, |samples| signal::find(samples, &cue(name)).correlation > SURE);
}

/// Somebody comes, which is heard. Who is there when others begin to listen does not come for them: then they come again.
fn joins(card: &Card, who: &Profile) -> Running {
    for _ in 0..3 {
        // Two sounds at once are neither.
        let before = card.record_loudspeaker();
        before.wait_until("it is quiet", |samples| signal::is_silent(samples, 3.0));
        let heard = card.record_loudspeaker();
        let there = who.start(["receive", "--follow", "--mute"]);
        for _ in 0..20 {
            heard.listen(Duration::from_secs(1));
            if signal::find(&heard.so_far(), &cue("joined")).correlation > SURE {
                return there;
            }
        }
    }
    panic!("it is not heard that somebody comes");
}

/// Waits until a sound has begun, and lets it end.
fn wait_for_sound(heard: &Heard) {
    heard.wait_until("something is heard", |samples| signal::peak(samples) > 0.01);
    heard.listen(Duration::from_millis(500));
}

#[test]
fn what_is_spoken_into_the_microphone_arrives_sample_for_sample() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let spoken = ayşe.file("spoken.wav");
    std::fs::write(&spoken, speech_wav()).unwrap();

    // It says that it records once it does; then somebody speaks.
    let mut command =
        card.command(&ayşe, ["voice", "burak", "--seconds", "2", "--no-trim", "--mute", "--json"]);
    let (recording, stderr) = Running::start_with_stderr(&mut command);
    let line = stderr.recv_timeout(support::TIMEOUT).unwrap();
    assert!(line.starts_with("recording 2 s from "), "{line}");
    card.speak_into_microphone(&spoken);
    let sent = recording.wait().json();
    schema::check_message(&sent[0]);
    assert_eq!((&sent[0]["duration_ms"], &sent[0]["sample_rate"]), (&2_000.into(), &16_000.into()));
    let said: Vec<String> = stderr.iter().collect();
    assert_eq!(said, ["recorded 0:02"], "nothing is drawn without a terminal, and it was not silent");

    let received = burak.receive();
    assert_eq!(received[0]["id"], sent[0]["id"]);
    let save = |profile: &Profile| {
        let path = profile.file("saved.wav");
        let id = sent[0]["id"].as_str().unwrap();
        profile.run(["play", id, "--save", path.to_str().unwrap()]).ok();
        std::fs::read(path).unwrap()
    };
    let (recorded, arrived) = (save(&ayşe), save(&burak));
    assert!(recorded == arrived, "what arrived is not what was recorded");
    let (samples, rate) = signal::read(&arrived);
    assert_eq!((samples.len(), rate), (32_000, 16_000));
    let spoken: Vec<f32> = speech().iter().map(|sample| f32::from(*sample) / 32768.0).collect();
    let found = signal::find(&samples, &spoken);
    eprintln!("measured: spoken and recorded: {found:?}");
    assert!(found.correlation > SURE, "{found:?}");
}

#[test]
fn sent_is_heard_when_the_server_has_accepted_and_not_before() {
    let (card, server, ayşe, burak) = Card::with_friends();
    // Somebody holds the connection, so that the message leaves at once and only the answer is missing.
    let mut following = ayşe.start(["receive", "--follow", "--mute"]);
    ayşe.send("burak", "first, so that keys are known");
    let heard = card.record_loudspeaker();
    server.signal("STOP");
    let sending = card.start_on(&ayşe, ["send", "burak", "merhaba"]);
    let before = heard.listen(Duration::from_secs(2));
    assert!(
        signal::peak(&heard.so_far()[..before]) < 1e-4,
        "something is heard before the server has accepted"
    );
    server.signal("CONT");
    sending.wait().ok();
    let sound = heard.stop();
    let found = only(&sound, "sent");
    eprintln!("measured: sent: {found:?}, the server went on at {before}");
    assert!(found.at >= before);
    // The command has waited until all of it was heard.
    assert!(found.at + cue("sent").len() < sound.len());
    following.kill();

    // An answer of refusal, and no answer, sound otherwise.
    let heard = card.record_loudspeaker();
    card.run(&ayşe, ["send", "nobody", "hello"]).failure();
    only(&heard.stop(), "error");
    assert_eq!(burak.receive().len(), 2);
}

#[test]
fn in_a_conversation_sent_is_heard_when_the_server_has_accepted_and_not_before() {
    let (card, server, ayşe, burak) = Card::with_friends();
    let mut chat = card.screen(&ayşe, &["chat", "burak"]);
    chat.wait_for("connected; burak is");
    chat.wait_for_cursor("you → burak> ");
    let heard = card.record_loudspeaker();
    server.signal("STOP");
    chat.type_keys("merhaba\r");
    chat.wait_for("merhaba");
    chat.wait_for_cursor("you → burak> ");
    let before = heard.listen(Duration::from_secs(2));
    assert!(signal::peak(&heard.so_far()[..before]) < 1e-4, "heard before the server has accepted");
    server.signal("CONT");
    wait_for_sound(&heard);
    assert!(only(&heard.stop(), "sent").at >= before);
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
    assert_eq!(burak.receive().len(), 1);
}

#[test]
fn what_comes_and_who_comes_and_goes_is_heard() {
    let (card, _server, ayşe, burak) = Card::with_friends();

    // Texts that waited are heard as one.
    ayşe.send("burak", "merhaba");
    ayşe.send("burak", "nasılsın");
    let heard = card.record_loudspeaker();
    card.run(&burak, ["receive"]).ok();
    let sound = heard.stop();
    only(&sound, "received");
    assert_eq!(signal::bursts(&sound, RATE, 0.1).len(), 1);

    ayşe.send_note("burak", &speech_wav());
    let heard = card.record_loudspeaker();
    card.run(&burak, ["receive"]).ok();
    only(&heard.stop(), "voice_received");

    // As they happen.
    let mut following = card.start_on(&burak, ["receive", "--follow"]);
    ayşe.send("burak", "are you there?");
    assert!(following.line().unwrap().ends_with("are you there?"));
    let mut there = joins(&card, &ayşe);
    let heard = card.record_loudspeaker();
    there.signal("INT");
    wait_for_cue(&heard, "left");
    there.kill();
    following.kill();
}

#[test]
fn who_comes_is_heard_also_when_another_process_that_had_the_profile_open_has_ended() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let mut first = burak.start(["receive", "--follow", "--mute"]);
    ayşe.send("burak", "one");
    assert!(first.line().unwrap().ends_with("one"));
    let mut following = card.start_on(&burak, ["listen"]);
    joins(&card, &ayşe).kill();
    first.kill();
    ayşe.send("burak", "two");
    assert!(following.line().unwrap().ends_with("two"));
    joins(&card, &ayşe).kill();
    following.kill();
}

#[test]
fn a_note_is_played_and_so_are_new_ones_in_order() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    for note in [speech_wav(), support::wav::float_tone(24_000)] {
        ayşe.send_note("burak", &note);
    }
    let spoken: Vec<f32> = speech().iter().map(|sample| f32::from(*sample) / 32768.0).collect();
    let spoken = signal::at_rate(&spoken, 16_000, RATE);

    let heard = card.record_loudspeaker();
    card.run(&burak, ["receive", "--play", "--mute"]).ok();
    let sound = heard.stop();
    let found = signal::find(&sound, &spoken);
    eprintln!("measured: played note: {found:?}");
    assert!(found.correlation > SURE, "{found:?}");
    let bursts = signal::bursts(&sound, RATE, 0.15);
    assert_eq!(bursts.len(), 2, "one after the other: {bursts:?}");
    assert!((bursts[1].1 - bursts[1].0 - 0.5).abs() < 0.05, "all of the second: {bursts:?}");
    assert!(found.at < (bursts[1].0 * RATE as f32) as usize, "in the order of arrival");

    let heard = card.record_loudspeaker();
    let played = card.run(&burak, ["play", "1", "--json"]).json();
    schema::check(&played[0], &["played"]);
    assert_eq!(played[0]["complete"], true);
    assert!(signal::find(&heard.stop(), &spoken).correlation > SURE);

    // Stopped, it is silent at once, and the exit code says so.
    let heard = card.record_loudspeaker();
    let playing = card.start_on(&burak, ["play", "1"]);
    heard.wait_until("the note is heard", |samples| signal::peak(samples) > 0.01);
    playing.signal("INT");
    assert_eq!(playing.wait().code(), 130);
    let bursts = signal::bursts(&heard.stop(), RATE, 0.15);
    assert!(bursts[0].1 - bursts[0].0 < 0.8, "{bursts:?}");
}

#[test]
fn mute_is_silent_and_ones_own_sounds_replace_the_built_in_ones() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let heard = card.record_loudspeaker();
    card.run(&ayşe, ["send", "burak", "merhaba", "--mute"]).ok();
    card.run(&burak, ["receive", "--mute"]).ok();
    card.run(&burak, ["send", "nobody", "hello", "--mute"]).failure();
    let sound = heard.stop();
    assert!(signal::peak(&sound) < 1e-4 && sound.len() > RATE as usize / 4);

    let own = ayşe.file("sounds");
    std::fs::create_dir(&own).unwrap();
    std::fs::copy("sounds/left.wav", own.join("sent.wav")).unwrap();
    std::fs::write(own.join("error.wav"), "not a sound").unwrap();
    let heard = card.record_loudspeaker();
    let sent = card.run(&ayşe, ["send", "burak", "merhaba"]);
    sent.ok();
    assert!(sent.one_line().contains("error.wav is not a WAV file"), "{sent:?}");
    only(&heard.stop(), "left");
}

#[test]
fn on_a_terminal_it_is_shown_how_far_a_note_is_while_it_plays() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    ayşe.send_note("burak", &support::wav::tone(16_000 * 6));
    let card_env = card.env();
    let variables: Vec<(&str, &str)> =
        card_env.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
    for args in [&["receive", "--play", "--mute"][..], &["play", "last"]] {
        let mut screen = Screen::start(&burak, args, &variables);
        for position in ["0:01 of 0:06 █", "0:03 of 0:06 ██", "0:05 of 0:06 ███"] {
            screen.wait_for(position);
        }
        assert_eq!(screen.finish(), 0);
        screen.wait("nothing of it left", |parser| !parser.screen().contents().contains(" of 0:06"));
    }
}

#[test]
fn without_any_sound_device_text_goes_on() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let sent = ayşe.run(["send", "burak", "merhaba"]);
    // Nobody asked for a sound: there is nothing to say.
    assert_eq!((sent.code(), sent.stderr.as_str()), (0, ""));
    let received = burak.run(["receive"]);
    assert!(received.ok().ends_with("ayşe: merhaba"));
    assert_eq!(received.stderr, "");

    let recording = ayşe.run(["voice", "burak", "--seconds", "1"]);
    assert!(recording.failure().contains("no microphone"), "{recording:?}");
    ayşe.send_note("burak", &speech_wav());
    let playing = burak.run(["receive", "--play", "--mute"]);
    assert!(playing.ok().contains("voice note"), "{playing:?}");
    assert!(playing.one_line().contains("no loudspeaker"), "{playing:?}");
    let playing = burak.run(["play", "last"]);
    assert!(playing.failure().contains("no loudspeaker"), "{playing:?}");
}

#[test]
fn a_recording_is_cancelled_or_silent_or_from_a_microphone_that_is_not_there() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let mut command = card.command(&ayşe, ["voice", "burak", "--seconds", "60"]);
    let (recording, stderr) = Running::start_with_stderr(&mut command);
    assert!(stderr.recv_timeout(support::TIMEOUT).unwrap().starts_with("recording 60 s"));
    recording.signal("INT");
    let finished = recording.wait();
    assert_eq!((finished.code(), finished.stdout.as_str()), (130, ""));
    assert_eq!(stderr.iter().collect::<Vec<_>>(), ["tellal: cancelled: nothing was sent"]);
    assert!(burak.receive().is_empty());

    let silent = card.run(&ayşe, ["voice", "burak", "--seconds", "0.5", "--input", "microphone.monitor"]);
    assert_eq!((silent.code(), silent.stdout.as_str()), (1, ""));
    assert!(silent.stderr.contains("the recording is silent, and was not sent"), "{silent:?}");
    assert!(burak.receive().is_empty());
    card.run(&ayşe, ["voice", "burak", "--seconds", "0.5", "--even-silent"]).ok();
    assert_eq!(burak.receive()[0]["duration_ms"], 500, "it is not trimmed to nothing");

    let nowhere = card.run(&ayşe, ["voice", "burak", "--seconds", "1", "--input", "pocket"]);
    let told = nowhere.failure();
    assert!(
        told.contains("no microphone is called \"pocket\"") && told.contains("microphone.monitor"),
        "{told}"
    );
    let nobody = card.run(&ayşe, ["voice", "nobody", "--seconds", "60"]);
    assert!(nobody.failure().contains("nobody is called nobody"), "before it records: {nobody:?}");
}

#[test]
fn devices_that_go_away_are_said_once_and_nothing_hangs() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    ayşe.send_note("burak", &support::wav::tone(16_000 * 60));
    burak.receive();

    let heard = card.record_loudspeaker();
    let playing = card.start_on(&burak, ["play", "last"]);
    heard.wait_until("the note is heard", |samples| signal::peak(samples) > 0.01);
    let mut command = card.command(&ayşe, ["voice", "burak", "--seconds", "60"]);
    let (recording, stderr) = Running::start_with_stderr(&mut command);
    assert!(stderr.recv_timeout(support::TIMEOUT).unwrap().starts_with("recording 60 s"));
    heard.listen(Duration::from_millis(500));
    drop((heard, card));

    let finished = recording.wait();
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    let said: Vec<String> = stderr.iter().collect();
    // Another one is waited for, a while.
    let (gone, stopped) = (said.first().unwrap(), said.last().unwrap());
    assert!(said.len() == 2 && gone.contains("the microphone is gone"), "{said:?}");
    assert!(stopped.contains("the microphone stopped") && stopped.contains("nothing was sent"), "{said:?}");
    assert!(stopped.contains("the recording is kept in ") && stopped.contains("unsent-"), "{said:?}");
    assert!(burak.receive().is_empty());
    let finished = playing.wait();
    assert_eq!(finished.code(), 1, "{finished:?}");
    assert_eq!(finished.stderr.matches("tellal: ").count(), 1, "{finished:?}");
    assert!(finished.stderr.contains("the loudspeaker stopped"), "{finished:?}");
}
