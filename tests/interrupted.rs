//! What comes between reading and its end, and that nothing is lost by it: recordings, quiet hours, a program that is
//! killed, a speech service that dies, devices that go. Heard through a virtual sound card: the real program, the real
//! speech service, which tells what it was asked to say.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::time::{Duration, Instant};

use support::signal::{has_ended, sounds};
use support::voice::{Asked, Scene, long, texts};
use support::{Profile, Running};

#[test]
fn a_speech_service_that_dies_is_said_once_texts_go_on_and_it_comes_back() {
    let scene = Scene::new();
    let (mut listen, told) =
        Running::start_with_stderr(&mut scene.command(&["receive", "--follow", "--speak", "--mute"]));
    let heard = scene.card.record_loudspeaker();
    let text = "This is a text of some length, during which the speech service is going to die.";
    scene.ayşe.send("burak", text);
    heard.wait_until("the text is being read", sounds);
    scene.kill_service();
    scene.ayşe.send("burak", "And this is what was written meanwhile.");
    assert!(listen.line().unwrap().contains("some length"));
    assert!(listen.line().unwrap().contains("meanwhile"));
    let told_line = || told.recv_timeout(support::TIMEOUT).unwrap();
    assert_eq!(
        told_line(),
        "tellal: the speech service has ended in mid-sentence; it is started again, texts go on meanwhile"
    );
    assert_eq!(told_line(), "tellal: the speech service is back: what was cut off is read again");
    let meanwhile = "And this is what was written meanwhile.";
    scene.wait_until(meanwhile, support::TIMEOUT, |asked| texts(asked).contains(&meanwhile));
    // The service's log is begun anew with it.
    let asked = scene.asked();
    assert!(texts(&asked).iter().any(|said| said.ends_with(text)), "{asked:?}");
    heard.wait_until("that has been read", has_ended);
    listen.kill();
    assert_eq!(told.iter().collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_speech_service_that_comes_late_or_goes_twice_is_told_of_as_it_is() {
    let scene = Scene::new();
    let service = scene.card.env()[0].1.join("service");
    let (there, away) = (service.clone(), service.with_extension("away"));
    std::fs::rename(&there, &away).unwrap();
    let (mut listen, told) =
        Running::start_with_stderr(&mut scene.command(&["receive", "--follow", "--speak", "--mute"]));
    let absent =
        "tellal: no speech service answers, so nothing is read aloud; `tellal doctor` says what to install";
    scene.ayşe.send("burak", "This can't be read yet.");
    assert_eq!(told.recv_timeout(support::TIMEOUT).unwrap(), absent);
    // It comes, and is found after a while; what was not read is not said to be.
    std::fs::rename(&away, &there).unwrap();
    let deadline = Instant::now() + support::TIMEOUT;
    let line = loop {
        assert!(Instant::now() < deadline, "it is not found");
        scene.ayşe.send("burak", "Is anybody there?");
        if let Ok(line) = told.recv_timeout(Duration::from_secs(3)) {
            break line;
        }
    };
    assert!(
        line.starts_with("tellal: the speech service is there now; what was not read meanwhile is kept: "),
        "{line}"
    );
    let heard = scene.card.record_loudspeaker();
    assert_eq!(texts(&scene.wait_for_asked(1))[0], "ayşe: Is anybody there?");
    heard.wait_until("that has been read", has_ended);
    // It goes once more, days later perhaps: that is told again.
    std::fs::rename(&there, &away).unwrap();
    scene.end_service();
    scene.ayşe.send("burak", "And this can't be read either.");
    assert_eq!(told.recv_timeout(support::TIMEOUT).unwrap(), absent);
    listen.kill();
    // As was said, it is kept.
    std::fs::rename(&away, &there).unwrap();
    scene.run(&["listen", "--unread", "--mute"]).ok();
    let asked = scene.asked();
    let read = texts(&asked);
    let first = read.iter().position(|text| *text == "ayşe: This can't be read yet.");
    assert!(first.is_some_and(|first| first + 1 < read.len()), "{read:?}");
    assert_eq!(read.last(), Some(&"And this can't be read either."), "{read:?}");
}

#[test]
fn in_quiet_hours_nothing_is_heard_until_it_is_asked_for() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    // Now is in it, whatever time it is.
    let at = |hours: i64| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M").to_string()
    };
    let settings = format!("quiet = \"{}-{}\"\n", at(-2), at(10));
    std::fs::write(scene.burak.file("settings.toml"), settings).unwrap();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", "This is for later, and not for now.");
    listen.wait_for("not for now");
    // The other one's hours are others.
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
    assert_eq!(texts(&scene.asked()), Vec::<&str>::new());
    // Another process has it, once: what has been heard is not to be heard any more.
    let heard = scene.run(&["listen", "--unread", "--mute"]);
    assert!(heard.ok().contains("for later, and not for now"), "{heard:?}");
    assert_eq!(texts(&scene.asked()), ["ayşe: This is for later, and not for now."], "{heard:?}");
    assert_eq!(scene.run(&["listen", "--unread", "--mute"]).ok(), "");
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    zoé.send("burak", "This is from zoé, for later as well.");
    listen.wait_for("for later as well");
    // It is kept a moment after it is shown.
    let deadline = Instant::now() + support::TIMEOUT;
    while scene.asked().len() < 2 {
        assert!(Instant::now() < deadline, "it is not heard: {:#?}", listen.lines());
        listen.type_keys("u");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(texts(&scene.wait_for_asked(2))[1..], ["zoé: This is from zoé, for later as well."]);
    // Passed over, it is not to be heard any more.
    listen.type_keys("n");
    listen.type_keys("q");
    listen.finish();
    let quiet = format!("{}-{}", at(2), at(4));
    let mut listen = scene.screen(&["listen", "--mute", "--quiet", &quiet]);
    listen.wait_for("(keys:");
    zoé.send("burak", "These are not the quiet hours any more.");
    assert_eq!(texts(&scene.wait_for_asked(3))[2], "zoé: These are not the quiet hours any more.");
    listen.type_keys("n");
    listen.type_keys("q");
    listen.finish();
    // What is asked for is heard at any hour: of one person first.
    scene.ayşe.send("burak", "This is unread, and it is from ayşe.");
    zoé.send("burak", "This is unread, and it is from zoé.");
    assert!(scene.run(&["listen", "--unread", "zoé", "--mute"]).ok().contains("from zoé"));
    assert_eq!(texts(&scene.asked())[3..], ["zoé: This is unread, and it is from zoé."]);
    assert!(scene.run(&["listen", "--unread", "--mute"]).ok().contains("from ayşe"));
    assert_eq!(texts(&scene.asked())[4..], ["ayşe: This is unread, and it is from ayşe."]);
}

#[test]
fn what_a_killed_process_was_reading_is_read_by_the_next() {
    let scene = Scene::new();
    let mut listen = Running::start(&mut scene.command(&["receive", "--follow", "--speak", "--mute"]));
    scene.ayşe.send("burak", "This is read to its end.");
    scene.wait_for_asked(1);
    let long = "This is read when the program is killed, in the middle of a sentence that is a long one.";
    scene.ayşe.send("burak", long);
    scene.ayşe.send("burak", "This has to wait.");
    (0..3).for_each(|_| drop(listen.line().unwrap()));
    scene.wait_for_asked(2);
    listen.kill();
    let before = scene.asked().len();
    let shown = scene.run(&["listen", "--unread", "--mute"]);
    let texts: Vec<String> = scene.asked().split_off(before).into_iter().map(|asked| asked.text).collect();
    assert_eq!(texts, [format!("ayşe: {long}"), "This has to wait.".to_owned()]);
    assert_eq!(shown.ok().lines().count(), 2, "{shown:?}");
    assert_eq!(scene.run(&["listen", "--unread", "--mute"]).ok(), "");
}

#[test]
fn on_headphones_that_are_pulled_out_and_plugged_in_reading_goes_on() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let heard = scene.card.record_loudspeaker();
    scene.ayşe.send("burak", &long());
    heard.wait_until("it is being read", sounds);
    // Plugged in, and the default from now on.
    let headphones = scene.card.plug_in("headphones");
    scene.card.make_default("sink", "headphones");
    let on_headphones = scene.card.record("headphones");
    on_headphones.wait_until("it goes on there", sounds);
    // And pulled out again in mid-sentence.
    let before = scene.asked().len();
    let back = scene.card.record_loudspeaker();
    scene.card.unplug(&headphones);
    scene.wait_for_asked(before + 2);
    back.wait_until("it goes on here", sounds);
    // No sentence is left out: what was cut off is read again, or the next one is.
    let numbers = |asked: &Asked| -> Vec<usize> {
        let behind = asked.text.split("sentence number ").skip(1);
        behind.map(|words| words.split(' ').next().unwrap().parse().unwrap()).collect()
    };
    let pieces: Vec<Vec<usize>> =
        scene.asked().iter().map(numbers).filter(|piece| !piece.is_empty()).collect();
    let follows = |two: &[Vec<usize>]| two[1][0] <= two[0].last().unwrap() + 1;
    assert!(pieces[0][0] == 1 && pieces.windows(2).all(follows), "{pieces:?}");
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}

#[test]
fn nothing_is_heard_while_a_note_is_recorded_on_whichever_terminal() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", &long());
    scene.wait_for_asked(1);
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("the text is being read", sounds);
    let (recording, told) = Running::start_with_stderr(&mut scene.command(&[
        "voice",
        "ayşe",
        "--mute",
        "--even-silent",
        "--seconds",
        "4",
    ]));
    while !told.recv_timeout(support::TIMEOUT).unwrap().contains("recording 4 s") {}
    // What was being read is over soon; then nothing is heard until the recording has ended.
    heard.wait_until("it is silent", has_ended);
    let silent = scene.asked().len();
    heard.listen(Duration::from_secs(2));
    assert_eq!(scene.asked().len(), silent);
    recording.wait().ok();
    // Then it is read from its beginning.
    let asked = scene.wait_for_asked(silent + 1);
    assert_eq!(asked[silent].text, asked[0].text);
    // A reply by voice, with keys.
    listen.type_keys("v");
    listen.wait_for("(recording a reply to ayşe");
    heard.wait_until("it is silent", has_ended);
    let silent = scene.asked().len();
    let note = scene.ayşe.file("note.wav");
    std::fs::write(&note, support::wav::tone(32_000)).unwrap();
    scene.card.speak_into_microphone(&note);
    listen.type_keys("v");
    listen.wait_for("(a voice note for ayşe");
    scene.wait_for_asked(silent + 1);
    listen.type_keys("q");
    listen.finish();
    let received = scene.ayşe.receive();
    assert_eq!(received.iter().filter(|message| message["kind"] == "voice").count(), 2, "{received:?}");
}
