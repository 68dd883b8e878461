//! Recording voice notes from a real microphone, through a virtual sound card: pause, listening before sending, gain,
//! silence, what is too loud, trimming, and devices that go and come.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::card::{Card, RATE};
use support::screen::Screen;
use support::swap::swap;
use support::{Profile, Running, Server, signal, wav};

/// Surely it.
const SURE: f32 = 0.9;

/// Two people with a sound card.
struct Scene {
    card: Card,
    server: Server,
    ayşe: Profile,
    burak: Profile,
}

impl Scene {
    fn new() -> Self {
        let (card, server, ayşe, burak) = Card::with_friends();
        Self { card, server, ayşe, burak }
    }

    fn file(&self, name: &str, wav: &[u8]) -> PathBuf {
        let path = self.ayşe.file(name);
        std::fs::write(&path, wav).unwrap();
        path
    }

    /// Speaks, and waits until the microphone has surely given all of it.
    fn speak(&self, wav: &[u8]) {
        let heard = self.card.record("microphone");
        self.card.speak_into_microphone(&self.file("spoken.wav", wav));
        heard.listen(Duration::from_millis(500));
    }

    /// Records for so many seconds, and speaks meanwhile; what was said on stderr.
    fn record(&self, seconds: &str, options: &[&str], spoken: &[u8]) -> Vec<String> {
        let arguments = [&["voice", "burak", "--mute", "--seconds", seconds], options].concat();
        let (recording, stderr) = Running::start_with_stderr(&mut self.card.command(&self.ayşe, arguments));
        let line = stderr.recv_timeout(support::TIMEOUT).unwrap();
        assert!(line.starts_with("recording "), "{line}");
        self.speak(spoken);
        recording.wait().ok();
        stderr.iter().collect()
    }

    /// The note that has come: its samples.
    fn arrived(&self) -> Vec<f32> {
        let received = self.burak.receive();
        assert_eq!(received.len(), 1, "{received:?}");
        let path = self.burak.file("saved.wav");
        let id = received[0]["id"].as_str().unwrap();
        self.burak.run(["play", id, "--save", path.to_str().unwrap(), "--force"]).ok();
        let (samples, rate) = signal::read(&std::fs::read(path).unwrap());
        assert_eq!(
            (rate, (samples.len() as u64).div_ceil(16)),
            (16_000, received[0]["duration_ms"].as_u64().unwrap())
        );
        samples
    }
}

fn samples(wav: &[u8]) -> Vec<f32> {
    signal::read(wav).0
}

/// Part of a note, in seconds.
fn part(wav: &[u8], from: usize, until: usize) -> Vec<f32> {
    samples(wav)[from * 16_000..until * 16_000].to_vec()
}

/// Where those quarters of a second of a WAV file are that are clear in a recording: not those in which a machine under
/// load stutters.
fn clear(recording: &[f32], wav: &[u8]) -> Vec<usize> {
    let quarters = signal::quarters(recording, wav);
    quarters.iter().filter(|found| found.correlation > SURE).map(|found| found.at).collect()
}

/// A WAV file, nowhere like itself, came out of the loudspeaker.
#[track_caller]
fn assert_heard(recording: &[f32], wav: &[u8]) {
    let (clear, all) = (clear(recording, wav), samples(wav).len() / 4_000);
    assert!(clear.len() >= 2 && clear.len() + 2 >= all && clear.is_sorted(), "{clear:?} of {all}");
}

#[test]
fn keys_pause_let_it_be_heard_and_send_it() {
    let scene = Scene::new();
    let (first, second) = (wav::siren(), wav::voice(140.0, 1));
    let mut taking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute", "--no-trim"]);
    taking.wait_for("Enter sends, space pauses, l listens, Esc or Ctrl-C cancels");
    scene.speak(&first);
    // The level falls again; a mark keeps the peak.
    taking.wait_for("-|-");
    taking.type_keys(" ");
    taking.wait_for("tellal: paused at 0:0");
    scene.speak(&wav::rising(1));
    taking.type_keys(" ");
    taking.wait_for("tellal: recording again from 0:0");
    scene.speak(&second);

    // It is heard as it would be sent, and nothing is recorded meanwhile.
    let heard = scene.card.record_loudspeaker();
    taking.type_keys("l");
    taking.wait_for("tellal: this is it, 0:0");
    taking.wait_for("tellal: that was it");
    let sound = heard.stop();
    assert_heard(&sound, &first);
    // Its quarters are like each other.
    assert!(clear(&sound, &second).len() >= 2);

    taking.type_keys("\r");
    taking.wait_for("recorded 0:0");
    assert_eq!(taking.finish(), 0);
    let note = scene.arrived();
    let places = [&first, &second].map(|said| signal::find(&note, &samples(said)));
    eprintln!("measured: before and after a pause: {places:?}");
    assert!(places.iter().all(|found| found.correlation > SURE), "{places:?}");
    assert!(places[0].at + 16_000 <= places[1].at, "in order: {places:?}");
    let between = signal::find(&note, &samples(&wav::rising(1)));
    assert!(between.correlation < SURE, "what was said in the pause is in it: {between:?}");
    // Not the second of the pause, nor what was listened to.
    assert!(note.len() < 16_000 * 5, "{}", note.len());

    let mut taking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute"]);
    taking.wait_for("Enter sends");
    taking.type_keys("\u{1b}");
    taking.wait_for("tellal: cancelled: nothing was sent");
    assert_eq!(taking.finish(), 130);
    assert!(scene.burak.receive().is_empty());
}

#[test]
fn silence_at_the_ends_is_cut_off_and_the_gain_counts() {
    let scene = Scene::new();
    let spoken = wav::siren();
    let said = scene.record("4", &[], &spoken);
    assert!(said.iter().any(|line| line.contains(" s of silence at the ends cut off")), "{said:?}");
    let trimmed = scene.arrived();
    let found = signal::find(&trimmed, &samples(&spoken));
    eprintln!("measured: trimmed to {} ms, the voice at {found:?}", trimmed.len() / 16);
    assert!(found.correlation > SURE, "{found:?}");
    // A little of the silence stays.
    assert!((1_250..1_700).contains(&(trimmed.len() / 16)), "{}", trimmed.len());
    assert!(found.at < 6_000, "{found:?}");

    scene.record("3", &["--no-trim", "--gain", "-12"], &spoken);
    let quiet = scene.arrived();
    assert_eq!(quiet.len(), 48_000);
    // By the energy of what was spoken; a single sample may be louder where something begins.
    let [usual, quiet] = [&trimmed, &quiet].map(|note| {
        let at = signal::find(note, &samples(&spoken)).at;
        let part = &note[at..at + 16_000];
        (part.iter().map(|sample| sample * sample).sum::<f32>() / part.len() as f32).sqrt()
    });
    let decibels = 20.0 * (quiet / usual).log10();
    eprintln!("measured: a gain of -12 dB: {decibels:.2} dB");
    assert!((decibels + 12.0).abs() < 0.5, "{usual} {quiet}");

    let said = scene.record("3", &["--gain", "20"], &spoken);
    assert!(said.iter().any(|line| line.contains("too loud: a little further away")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("it is distorted")), "{said:?}");
    assert!(signal::peak(&scene.arrived()) > 0.99);
    for wrong in [["--gain", "99"], ["--gain", "loud"]] {
        assert_eq!(scene.ayşe.run(["voice", "burak", "--seconds", "1", wrong[0], wrong[1]]).code(), 2);
    }
}

#[test]
fn silence_is_said_and_sent_only_when_that_is_wanted() {
    let scene = Scene::new();
    let silent = scene.card.run(&scene.ayşe, ["voice", "burak", "--mute", "--json", "--seconds", "4"]);
    assert_eq!(silent.code(), 1);
    assert!(silent.stderr.contains("nothing is heard: is the microphone muted"), "{silent:?}");
    assert!(
        silent.stdout.contains("\"error\":\"silent\"") && silent.stdout.contains("--even-silent"),
        "{silent:?}"
    );

    let mut taking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute"]);
    taking.wait_for("Enter sends");
    taking.wait_for("0:01 [");
    taking.type_keys("\r");
    taking.wait_for("the recording is silent: Enter sends it all the same");
    taking.type_keys("\u{1b}");
    taking.wait_for("nothing was sent");
    assert_eq!(taking.finish(), 130);
    assert!(scene.burak.receive().is_empty());

    let mut taking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute", "--plain"]);
    taking.wait_for("0:02 recorded, silence: is the microphone muted?");
    taking.type_keys("\r");
    taking.wait_for("the recording is silent: Enter sends it all the same");
    taking.type_keys("\r");
    assert_eq!(taking.finish(), 0);
    assert!(!taking.raw().contains(&0x1b), "nothing is drawn: {:?}", String::from_utf8_lossy(&taking.raw()));
    assert!(scene.arrived().len() > 16_000, "it is not trimmed to nothing");
}

#[test]
fn it_is_heard_before_it_is_sent_where_that_is_asked_for() {
    let scene = Scene::new();
    let spoken = wav::siren();
    let heard = scene.card.record_loudspeaker();
    scene.record("2.5", &["--review"], &spoken);
    let sound = heard.stop();
    assert_heard(&sound, &spoken);
    assert!(signal::find(&scene.arrived(), &samples(&spoken)).correlation > SURE);

    let mut taking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute", "--review"]);
    taking.wait_for("Enter sends");
    scene.speak(&spoken);
    taking.type_keys("\r");
    taking.wait_for("this is it, 0:0");
    assert!(scene.burak.receive().is_empty(), "it is not sent before it was heard");
    taking.type_keys("\r");
    assert_eq!(taking.finish(), 0);
    assert!(signal::find(&scene.arrived(), &samples(&spoken)).correlation > SURE);
}

#[test]
fn at_the_limit_it_ends_and_says_so() {
    let scene = Scene::new();
    let mut taking = scene
        .card
        .screen(&scene.ayşe, &["voice", "burak", "--mute", "--no-trim", "--review", "--seconds", "2"]);
    taking.wait_for("recording 2 s");
    scene.speak(&wav::siren());
    taking.wait_for("this is it, 0:02");
    taking.wait_for("that was it");
    // Nothing is added to it any more.
    taking.type_keys(" ");
    taking.wait_for("it has ended");
    taking.type_keys("\r");
    assert_eq!(taking.finish(), 0);
    assert_eq!(scene.arrived().len(), 2 * 16_000);
}

#[test]
fn a_time_that_is_no_whole_number_of_samples_is_reached() {
    let scene = Scene::new();
    let arguments = ["voice", "burak", "--mute", "--even-silent", "--no-trim", "--seconds", "0.3333333"];
    scene.card.run(&scene.ayşe, arguments).ok();
    assert_eq!(scene.arrived().len(), 5_333);
}

#[test]
fn microphones_that_go_and_come_lose_nothing_that_they_gave() {
    let scene = Scene::new();
    let card = &scene.card;
    let speaking = scene.file("speaking.wav", &wav::noise(5));

    // A headset is chosen, and is pulled out while somebody speaks: it goes on with the default one.
    let headset = card.plug_in("headset");
    let chosen = ["voice", "burak", "--mute", "--no-trim", "--seconds", "9", "--device", "headset.monitor"];
    let (recording, stderr) = Running::start_with_stderr(&mut card.command(&scene.ayşe, chosen));
    assert!(stderr.recv_timeout(support::TIMEOUT).unwrap().starts_with("recording 9 s"));
    let given = speak_until_it_is_gone(card, "headset", &speaking, &[&headset]);
    scene.speak(&wav::voice(140.0, 1));
    recording.wait().ok();
    let note = scene.arrived();
    assert_eq!(note.len(), 9 * 16_000);
    let after = assert_kept(&note, &wav::noise(5), &given);
    let found = signal::find(&note[after..], &samples(&wav::voice(140.0, 1)));
    assert!(found.correlation > SURE, "{found:?}");

    // The only one goes, and another comes a while later: what it gave is kept, and that something is missing is said.
    let arguments = ["voice", "burak", "--mute", "--no-trim", "--seconds", "8"];
    let (recording, stderr) = Running::start_with_stderr(&mut card.command(&scene.ayşe, arguments));
    assert!(stderr.recv_timeout(support::TIMEOUT).unwrap().starts_with("recording 8 s"));
    let all = [card.built_in("speaker"), card.built_in("microphone")];
    let given = speak_until_it_is_gone(card, "microphone", &speaking, &all.each_ref().map(String::as_str));
    let mut said = vec![stderr.recv_timeout(support::TIMEOUT).unwrap()];
    card.plug_in("usb");
    card.make_default("source", "usb.monitor");
    while !said.iter().any(|line| line.contains("recording from Monitor of")) {
        said.push(stderr.recv_timeout(support::TIMEOUT).unwrap_or_else(|_| panic!("{said:?}")));
    }
    let then = wav::rising(12);
    card.play_on("usb", &scene.file("second.wav", &then));
    recording.wait().ok();
    said.extend(stderr.iter());
    assert!(said.iter().any(|line| line.contains("the microphone is gone")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("may be missing there")), "{said:?}");
    let note = scene.arrived();
    assert_eq!(note.len(), 8 * 16_000);
    let after = assert_kept(&note, &wav::noise(5), &given);
    // A few of the eight seconds are left for it.
    assert_in_place(&note[after..], &then, 3);
}

/// What a microphone holds at most before it hands it over, in seconds: that is lost with it when it goes.
const HELD: f32 = 0.125;

/// Speaks into a device until that is gone in the middle of it; what it gave until then.
fn speak_until_it_is_gone(card: &Card, device: &str, spoken: &Path, unplugged: &[&str]) -> Vec<f32> {
    let given = card.record(device);
    let _speaking = card.begin_to_play_on(device, spoken);
    given.wait_until("somebody speaks", signal::sounds);
    given.listen(Duration::from_secs(2));
    unplugged.iter().for_each(|id| card.unplug(id));
    given.so_far()
}

/// Asserts that a note has all that a microphone gave of a sound until it went, but for what it held then. Where that ends
/// in the note.
#[track_caller]
fn assert_kept(note: &[f32], spoken: &[u8], given: &[f32]) -> usize {
    let (spoken, rate) = signal::read(spoken);
    let given = signal::stretches(&[given], &signal::at_rate(&spoken, rate, RATE), RATE);
    let kept = signal::stretches(&[note], &spoken, rate);
    let given_until = given.last().unwrap().1.until as f32 / RATE as f32;
    let kept_until =
        signal::whole(kept.iter().map(|(_, part)| *part), rate as usize / 40) as f32 / rate as f32;
    eprintln!("measured: {given_until:.2} s were given, {kept_until:.2} s are kept: {kept:?}");
    assert!(given_until > 1.5 && kept_until > given_until - HELD - 0.02, "{given:?} {kept:?}");
    let (_, last) = kept.last().unwrap();
    last.at + last.until - last.from
}

#[test]
fn what_is_paused_waits_for_a_microphone_as_long_as_need_be() {
    let scene = Scene::new();
    let (card, spoken) = (&scene.card, [wav::siren(), wav::voice(140.0, 1)]);
    let mut taking = card.screen(&scene.ayşe, &["voice", "burak", "--mute", "--no-trim"]);
    taking.wait_for("Enter sends, space pauses");
    scene.speak(&spoken[0]);
    taking.type_keys(" ");
    taking.wait_for("tellal: paused at 0:0");
    card.unplug(&card.built_in("speaker"));
    card.unplug(&card.built_in("microphone"));
    // What is not paused ends after 10 s.
    std::thread::sleep(Duration::from_secs(15));
    card.plug_in("usb");
    card.make_default("source", "usb.monitor");
    taking.type_keys(" ");
    let again = "tellal: recording again from 0:0";
    taking.wait_for(again);
    let shown = taking.lines().join("\n");
    let second = shown[shown.find(again).unwrap() + again.len()..][..1].parse::<u32>().unwrap();
    // It records once its time goes on.
    taking.wait_for(&format!("0:0{} [", second + 2));
    let heard = card.record("usb");
    card.play_on("usb", &scene.file("second.wav", &spoken[1]));
    heard.listen(Duration::from_millis(500));
    taking.type_keys("\r");
    assert_eq!(taking.finish(), 0);
    assert!(!taking.lines().join("\n").contains("the microphone stopped"), "{:?}", taking.lines());
    let note = scene.arrived();
    let places = spoken.map(|said| signal::find(&note, &samples(&said)));
    assert!(places.iter().all(|found| found.correlation > SURE) && places[0].at < places[1].at, "{places:?}");
}

#[test]
fn sounds_of_the_program_are_not_heard_while_it_is_recorded_and_one_of_them_afterwards() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    std::fs::create_dir_all(scene.ayşe.file("sounds/zoé")).unwrap();
    std::fs::write(scene.ayşe.file("sounds/zoé/received.wav"), wav::tone(4 * 16_000)).unwrap();
    let mut following = scene.card.start_on(&scene.ayşe, ["receive", "--follow", "--json"]);
    scene.burak.send("ayşe", "this one is heard");
    following.line();
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("the first sound is over", signal::has_ended);
    // One that is heard when somebody begins to record is cut short.
    zoé.send("ayşe", "four seconds");
    following.line();
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("zoé's own sound is heard", signal::sounds);
    let mut taking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute", "--no-trim"]);
    taking.wait_for("Enter sends");
    let begun = heard.listen(Duration::from_millis(500));
    for number in 0..3 {
        scene.burak.send("ayşe", &format!("nothing is heard of number {number}"));
        following.line();
    }
    let until = heard.listen(Duration::from_millis(500));
    assert_eq!(signal::peak(&heard.so_far()[begun..until]), 0.0, "it would be recorded");
    scene.speak(&wav::siren());
    taking.type_keys("\r");
    assert_eq!(taking.finish(), 0);
    let received = samples(&std::fs::read("sounds/received.wav").unwrap());
    heard.wait_until("a sound for all of them is over", |samples| signal::has_ended(&samples[until..]));
    heard.listen(Duration::from_secs(1));
    let sound = heard.stop().split_off(until);
    let found = signal::find(&sound, &received);
    assert!(found.correlation > SURE, "{found:?}");
    assert_eq!(signal::bursts(&sound, RATE, 0.1).len(), 1, "one for all of them");
}

#[test]
fn in_a_conversation_it_is_the_same() {
    let scene = Scene::new();
    let spoken = wav::siren();
    let mut chat = scene.card.screen(&scene.ayşe, &["chat", "burak", "--mute"]);
    chat.wait_for("connected; burak is");
    chat.type_keys("/voice --gain -6\r");
    chat.wait_for("* recording for burak: Enter sends it, space pauses");
    scene.speak(&spoken);
    chat.type_keys(" ");
    chat.wait_for("* paused at 0:0");
    let heard = scene.card.record_loudspeaker();
    chat.type_keys("/listen\r");
    chat.wait_for("* this is it, 0:0");
    chat.wait_for("* that was it");
    assert_heard(&heard.stop(), &spoken);
    chat.type_keys("\r");
    chat.wait_for("* voice note for burak, 0:0");
    // One in which nobody is heard is not sent unasked.
    chat.type_keys("/voice\r");
    chat.wait("a second recording", |parser| {
        parser.screen().contents().matches("* recording for burak").count() == 2
    });
    chat.wait_for("recorded, silence");
    chat.type_keys("\r");
    chat.wait_for("* nobody is heard in it: Enter sends it all the same, /cancel forgets it");
    chat.type_keys("/cancel\r");
    chat.wait_for("* not sent: what was recorded is forgotten");
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
    assert!(signal::find(&scene.arrived(), &samples(&spoken)).correlation > SURE);
}

#[test]
fn what_was_recorded_is_not_lost_where_a_conversation_ends_before_it_is_ready() {
    let scene = Scene::new();
    let spoken = wav::siren();
    let kept = || {
        let folder = std::fs::read_dir(scene.ayşe.home()).unwrap().map(|entry| entry.unwrap().file_name());
        folder.filter(|name| name.to_str().unwrap().starts_with("unsent-")).count()
    };
    let is_it = |note: Vec<f32>| assert!(signal::find(&note, &samples(&spoken)).correlation > SURE);
    let chat = |typed: &str| {
        let mut chat = scene.card.screen(&scene.ayşe, &["chat", "burak", "--mute"]);
        chat.wait_for("connected; burak is");
        chat.type_keys(typed);
        chat.wait_for("* recording for burak");
        chat
    };
    // What was begun and given up at once is not taken for what was begun after it.
    let mut ending = chat("/voice\r/cancel\r/voice\r");
    ending.wait("the second one is being recorded", |parser| {
        let shown = parser.screen().contents();
        let given_up = shown.find("* not sent: what was recorded is forgotten");
        given_up.is_some() && shown.rfind("* recording for burak") > given_up
    });
    scene.speak(&spoken);
    // The end is typed ahead.
    ending.type_keys("\r\u{4}");
    assert_eq!(ending.finish(), 0);
    is_it(scene.arrived());

    // Without a terminal stdin ends behind it.
    let mut command = scene.card.command(&scene.ayşe, ["chat", "burak", "--mute"]);
    let (mut piped, stderr) = Running::start_with_stderr(command.stdin(std::process::Stdio::piped()));
    let mut stdin = piped.stdin().unwrap();
    stdin.write_all(b"/voice\n/cancel\n/voice\n").unwrap();
    while !stderr.recv_timeout(support::TIMEOUT).unwrap().contains("recording for burak") {}
    scene.speak(&spoken);
    stdin.write_all(b"\n").unwrap();
    drop(stdin);
    piped.wait().ok();
    is_it(scene.arrived());

    // Nobody can be asked whether one in which nobody is heard is to be sent.
    assert_eq!(kept(), 0);
    let mut ending = chat("/voice\r");
    ending.wait_for("recorded, silence");
    ending.type_keys("\r/quit\r");
    assert_eq!(ending.finish(), 0);
    let shown = ending.lines().join("\n");
    assert!(shown.contains("* nobody is heard in the note for burak, and it is not sent"), "{shown}");
    assert_eq!(kept(), 1);
    // Nor while another is being recorded.
    let mut again = chat("/voice\r");
    again.wait_for("recorded, silence");
    again.type_keys("\r/voice\r");
    again.wait_for("* nobody is heard in");
    again.type_keys("/cancel\r/quit\r");
    assert_eq!(again.finish(), 0);
    assert!(scene.burak.receive().is_empty());
    // What is not ended when the conversation is, is not sent, and that is said.
    let mut left = chat("/voice\r");
    scene.speak(&spoken);
    left.type_keys("/quit\r");
    assert_eq!(left.finish(), 0);
    assert!(left.lines().join("\n").contains("* not sent: what was recorded is forgotten"));
    assert!(scene.burak.receive().is_empty());
}

#[test]
fn who_leaves_a_room_right_behind_a_note_has_said_it_before() {
    let scene = Scene::new();
    let spoken = wav::siren();
    let Scene { ayşe, burak, .. } = &scene;
    burak.run(["room", "create", "garden"]).ok();
    burak.run(["room", "invite", "garden", "ayşe"]).ok();
    ayşe.run(["room", "join", "garden"]).ok();
    for one in [ayşe, burak] {
        one.receive();
    }
    let mut chat = scene.card.screen(ayşe, &["chat", "#garden", "--mute"]);
    chat.wait_for("connected; you write to #garden");
    chat.type_keys("/voice\r");
    chat.wait_for("* recording for #garden");
    scene.speak(&spoken);
    // The note is still being finished when the room is to be left.
    chat.type_keys("\r/room leave\r");
    chat.wait_for("* you are not in #garden");
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
    let shown = chat.lines().join("\n");
    assert!(!shown.contains("not sent"), "{shown}");
    let new = burak.receive();
    let of = |kind: &str| new.iter().find(|message| message["kind"] == kind).unwrap();
    assert_eq!((new.len(), &of("voice")["to"]), (2, &"room:garden".into()), "{new:?}");
    assert_eq!(of("notice")["text"], "ayşe has left");
}

#[test]
fn a_recording_that_a_signal_ends_is_kept_and_by_ctrl_c_given_up_and_the_terminal_given_back() {
    let scene = Scene::new();
    let spoken = wav::siren();
    let mut screen = Screen::start(&scene.ayşe, &["--version"], &[]);
    screen.finish();
    let before = screen.modes();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut taking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute"]);
        taking.wait_for("Enter sends, space pauses");
        assert_ne!(taking.modes(), before);
        scene.speak(&spoken);
        taking.signal(signal);
        assert_eq!(taking.finish(), code, "{signal}");
        if signal == "INT" {
            taking.wait_for("tellal: cancelled: nothing was sent");
            assert_eq!(kept(&scene.ayşe).len(), 0);
        } else {
            taking.wait_for("tellal: nothing was sent; the recording is kept in ");
            assert_file_kept(&scene.ayşe, &spoken);
        }
        assert_eq!(taking.modes(), before, "{signal}");
    }
    // Nor is one lost about which a question is open.
    let mut asking = scene.card.screen(&scene.ayşe, &["voice", "burak", "--mute"]);
    asking.wait_for("0:01 [");
    asking.type_keys("\r");
    asking.wait_for("the recording is silent: Enter sends it all the same");
    asking.signal("TERM");
    assert_eq!(asking.finish(), 143);
    asking.wait_for("tellal: nothing was sent; the recording is kept in ");
    assert_eq!(kept(&scene.ayşe).len(), 1);
    assert!(scene.burak.receive().is_empty());
}

#[test]
fn a_recording_is_kept_where_a_conversation_or_listening_is_told_to_end() {
    let scene = Scene::new();
    let spoken = wav::siren();
    // Where a terminal is closed its input ends, too, and perhaps before the signal comes.
    for end in ["TERM", "HUP", "Ctrl-D"] {
        let mut chat = scene.card.screen(&scene.ayşe, &["chat", "burak", "--mute"]);
        chat.wait_for("connected; burak is");
        chat.type_keys("/voice\r");
        chat.wait_for("* recording for burak");
        scene.speak(&spoken);
        match end {
            "Ctrl-D" => chat.type_keys("\u{4}"),
            signal => chat.signal(signal),
        }
        assert_eq!(chat.finish(), 0, "{end}");
        chat.wait_for("* the note for burak is not sent: the recording is kept in ");
        assert_file_kept(&scene.ayşe, &spoken);
    }
    assert!(scene.burak.receive().is_empty());

    let file = scene.file("note.wav", &wav::voice(140.0, 1));
    for signal in ["INT", "TERM", "HUP"] {
        scene.ayşe.run(["voice", "burak", "--mute", "--file", file.to_str().unwrap()]).ok();
        let heard = scene.card.record_loudspeaker();
        let mut listening = scene.card.screen(&scene.burak, &["listen", "--mute"]);
        heard.wait_until("the note is over", signal::has_ended);
        listening.type_keys("v");
        listening.wait_for("(recording a reply to ayşe");
        scene.speak(&spoken);
        listening.signal(signal);
        assert_eq!(listening.finish(), 0, "{signal}");
        if signal == "INT" {
            listening.wait_for("(not sent: what was recorded is forgotten)");
            assert_eq!(kept(&scene.burak).len(), 0);
        } else {
            listening.wait_for("tellal: not sent; the recording is kept in ");
            assert_file_kept(&scene.burak, &spoken);
        }
    }
    assert!(scene.ayşe.receive().is_empty());
}

/// Recordings that were not sent.
fn kept(profile: &Profile) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(profile.home()).unwrap().map(|entry| entry.unwrap().path());
    folder.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("unsent-")).collect()
}

/// Asserts that there is one, and that this is heard in it; takes it away.
#[track_caller]
fn assert_file_kept(profile: &Profile, spoken: &[u8]) {
    let kept = kept(profile);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let found = signal::find(&samples(&std::fs::read(&kept[0]).unwrap()), &samples(spoken));
    assert!(found.correlation > SURE, "{found:?}");
    std::fs::remove_file(&kept[0]).unwrap();
}

#[test]
fn where_the_key_has_changed_nothing_is_recorded_and_what_was_is_kept() {
    let mut scene = Scene::new();
    // Her key is known before it changes.
    scene.burak.send("ayşe", "merhaba");
    let spoken = wav::siren();
    let mut chat = scene.card.screen(&scene.ayşe, &["chat", "burak", "--mute"]);
    chat.wait_for("connected; burak is");
    chat.type_keys("/voice\r");
    chat.wait_for("* recording for burak: Enter sends it");
    scene.speak(&spoken);
    let impostor = swap(&mut scene.server, "burak");
    impostor.send("ayşe", "I am burak, of course");
    chat.wait_for("I am burak, of course");
    chat.type_keys("\r");
    chat.wait_for("* not sent to burak: the key of burak has changed");
    chat.wait_for("* the recording is kept in ");
    let folder = std::fs::read_dir(scene.ayşe.home()).unwrap().map(|entry| entry.unwrap().path());
    let is_kept = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("unsent-");
    let kept: Vec<PathBuf> = folder.filter(is_kept).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let found = signal::find(&samples(&std::fs::read(&kept[0]).unwrap()), &samples(&spoken));
    assert!(found.correlation > SURE, "{found:?}");
    // From now on that is said before anybody speaks.
    chat.type_keys("/voice\r");
    chat.wait_for("* nothing is recorded: the key of burak has changed");
    chat.type_keys("/quit\r");
    chat.finish();
    for options in [&[][..], &["--live"]] {
        let arguments = [&["voice", "burak", "--mute", "--seconds", "1"], options].concat();
        let refused = scene.card.run(&scene.ayşe, arguments);
        assert!(refused.failure().contains("the key of burak has changed"), "{refused:?}");
        assert!(!refused.stderr.contains("recording 1 s") && !refused.stderr.contains("speaking to"));
    }
}

#[test]
fn what_cant_be_heard_before_it_is_sent_is_not_taken_for_heard() {
    let scene = Scene::new();
    let (card, spoken) = (&scene.card, wav::siren());
    let mut taking = card.screen(&scene.ayşe, &["voice", "burak", "--mute", "--no-trim"]);
    taking.wait_for("Enter sends, space pauses");
    scene.speak(&spoken);
    taking.type_keys(" ");
    taking.wait_for("tellal: paused at 0:0");
    // A microphone is left, and no loudspeaker.
    card.plug_in_silent_microphone("desk");
    card.make_default("source", "desk");
    card.unplug(&card.built_in("speaker"));
    card.unplug(&card.built_in("microphone"));
    taking.type_keys("l");
    taking.wait_for("tellal: it could not be heard: no loudspeaker");
    taking.type_keys("\r");
    taking.wait_for("recorded 0:0");
    assert_eq!(taking.finish(), 0);
    let shown = taking.lines().join("\n");
    assert!(!shown.contains("that was it") && shown.matches("no loudspeaker").count() == 1, "{shown}");
    assert!(signal::find(&scene.arrived(), &samples(&spoken)).correlation > SURE);

    // Without keys nobody can be asked whether it is to be sent all the same.
    let arguments = ["voice", "burak", "--mute", "--seconds", "1", "--review", "--even-silent", "--json"];
    let unheard = card.run(&scene.ayşe, arguments);
    assert!(unheard.code() == 1 && unheard.stdout.contains("\"error\":\"no_loudspeaker\""), "{unheard:?}");
    let kept =
        ["nothing was sent, because it could not be heard before: no loudspeaker", "kept in ", "unsent-"];
    assert!(kept.iter().all(|words| unheard.stderr.contains(words)), "{unheard:?}");
    assert!(scene.burak.receive().is_empty());
}

#[test]
fn a_reply_shows_its_level_and_is_not_sent_unasked_where_it_ends_by_itself() {
    let scene = Scene::new();
    let (card, spoken) = (&scene.card, wav::siren());
    scene.ayşe.send_note("burak", &spoken);
    let listen = |args: &[&str]| card.screen(&scene.burak, args);
    let heard = card.record_loudspeaker();
    let mut listening = listen(&["listen", "--mute", "--plain"]);
    heard.wait_until("the note is over", signal::has_ended);
    listening.type_keys("v");
    listening.wait_for("(0:02 recorded, silence: is the microphone muted?)");
    listening.type_keys("c");
    listening.wait_for("(not sent: what was recorded is forgotten)");
    listening.type_keys("q");
    assert_eq!(listening.finish(), 0);
    assert!(!listening.raw().contains(&0x1b), "{:?}", String::from_utf8_lossy(&listening.raw()));

    let mut listening = listen(&["listen", "--mute"]);
    listening.wait_for("(keys:");
    scene.ayşe.send_note("burak", &spoken);
    let heard = card.record_loudspeaker();
    heard.wait_until("the note is over", signal::has_ended);
    listening.type_keys("v");
    listening.wait_for("(recording a reply to ayşe");
    listening.wait_for("0:01 [");
    scene.speak(&wav::voice(140.0, 1));
    card.unplug(&card.built_in("speaker"));
    card.unplug(&card.built_in("microphone"));
    listening.wait_for("(the microphone is gone: waiting for another)");
    listening.wait_for("Enter or v sends it, c does not send it)");
    let shown = listening.lines().join("\n");
    assert!(
        shown.contains("(the microphone stopped after 0:0") && !shown.contains("recording from"),
        "{shown}"
    );
    listening.type_keys("x");
    assert!(scene.ayşe.receive().is_empty(), "nobody has said that it is to be sent");
    listening.type_keys("v");
    listening.wait_for("(a voice note for ayşe, 0:0");
    let received = scene.ayşe.run(["receive", "--wait", "60", "--json"]).json();
    let (id, path) = (received[0]["id"].as_str().unwrap(), scene.ayşe.file("saved.wav"));
    scene.ayşe.run(["play", id, "--save", path.to_str().unwrap()]).ok();
    let reply = samples(&std::fs::read(path).unwrap());
    assert!(signal::find(&reply, &samples(&wav::voice(140.0, 1))).correlation > SURE);
    listening.type_keys("q");
    assert_eq!(listening.finish(), 0);
}

#[test]
fn a_microphone_that_becomes_the_default_one_takes_over_and_nothing_is_missing_after_that() {
    let scene = Scene::new();
    let (card, spoken) = (&scene.card, wav::rising(6));
    let arguments = ["voice", "burak", "--mute", "--no-trim", "--seconds", "15"];
    let (recording, stderr) = Running::start_with_stderr(&mut card.command(&scene.ayşe, arguments));
    assert!(stderr.recv_timeout(support::TIMEOUT).unwrap().starts_with("recording 15 s"));
    scene.speak(&wav::siren());
    card.plug_in("headset");
    card.make_default("source", "headset.monitor");
    card.play_on("headset", &scene.file("second.wav", &spoken));
    recording.wait().ok();
    let note = scene.arrived();
    assert_eq!(note.len(), 15 * 16_000);
    let before = signal::find(&note, &samples(&wav::siren()));
    assert!(before.correlation > SURE, "{before:?}");
    assert_in_place(&note[before.at + 16_000..], &spoken, 6);
}

/// Asserts that each of so many seconds of what was spoken is in a note, each a second after the one before.
#[track_caller]
fn assert_in_place(note: &[f32], spoken: &[u8], seconds: usize) {
    let places: Vec<signal::Found> =
        (0..seconds).map(|second| signal::find(note, &part(spoken, second, second + 1))).collect();
    eprintln!("measured: each second of what was spoken: {places:?}");
    assert!(places.iter().all(|found| found.correlation > SURE), "{places:?}");
    let steps = places.windows(2).map(|two| two[1].at as i64 - two[0].at as i64);
    assert!(steps.into_iter().all(|step| (step - 16_000).abs() < 800), "{places:?}");
}
