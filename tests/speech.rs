//! Reading aloud, heard through a virtual sound card: the real program, the real speech service.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use support::card::{Card, RATE};
use support::{Profile, Running, Server, signal};

/// Silence in speech is shorter than this, between two texts the sender's name is said.
const PAUSE: f32 = 1.0;

/// A text and its language: the name of its voice, as the speech service calls it.
const TEXTS: [(&str, &str); 5] = [
    ("Merhaba, bugün hava çok güzel.", "Turkish"),
    ("안녕하세요, 오늘 날씨가 좋네요.", "Korean"),
    ("你好，今天天气很好。", "Chinese (Mandarin, latin as English)"),
    ("Bonjour, il fait très beau aujourd'hui.", "French (France)"),
    ("Hello, the weather is very nice today.", "English (America)"),
];

/// Two people, a card, and a speech service that writes down what it is asked for.
struct Scene {
    card: Card,
    _server: Server,
    ayşe: Profile,
    burak: Profile,
}

impl Scene {
    fn new() -> Self {
        let card = Card::start();
        let service = card.env()[0].1.join("service");
        std::fs::write(&service, "#!/bin/sh\nexec /usr/bin/speech-dispatcher -l 5 -t 60 \"$@\"\n").unwrap();
        std::fs::set_permissions(&service, std::fs::Permissions::from_mode(0o700)).unwrap();
        let server = Server::start();
        let ayşe = Profile::register(&server, "ayşe");
        let burak = Profile::register(&server, "burak");
        Self { card, _server: server, ayşe, burak }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.card.command(&self.burak, args);
        command.env("SPEECHD_CMD", self.card.env()[0].1.join("service"));
        command
    }

    fn run(&self, args: &[&str]) -> support::Finished {
        Running::start(&mut self.command(args)).wait()
    }

    /// What the speech service was asked for so far.
    fn log(&self) -> String {
        let log = self.card.env()[0].1.join("speech-dispatcher/log/speech-dispatcher.log");
        String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
    }

    /// Sends a text to burak, who has it read aloud: what is heard, in seconds.
    fn heard(&self, text: &str) -> (f32, f32) {
        self.ayşe.send("burak", text);
        let heard = self.card.record_loudspeaker();
        self.run(&["receive", "--speak"]).ok();
        let bursts = signal::bursts(&heard.stop(), RATE, PAUSE);
        assert_eq!(bursts.len(), 1, "{text:?}: {bursts:?}");
        bursts[0]
    }
}

#[test]
fn every_language_is_spoken_by_its_own_voice_one_text_after_the_other() {
    let scene = Scene::new();
    let mut single = 0.0;
    for (text, voice) in TEXTS {
        let before = scene.log_length();
        let (begin, end) = scene.heard(text);
        assert!(end - begin > 1.0, "{text:?} took {} s", end - begin);
        println!("{voice}: first word after {begin:.2} s, {:.2} s of speech", end - begin);
        let log = scene.log().split_off(before);
        let asked = format!("SYNTHESIS_VOICE {voice}");
        assert!(log.contains(&asked), "{asked} is not in the service's log:\n{log}");
        single += end - begin;
    }
    // All of them at once: nothing is said over anything else, so that it takes as long as one by one.
    for (text, _) in TEXTS {
        scene.ayşe.send("burak", text);
    }
    let heard = scene.card.record_loudspeaker();
    let shown = scene.run(&["receive", "--speak", "--json"]).json();
    assert_eq!(shown.len(), TEXTS.len());
    let bursts = signal::bursts(&heard.stop(), RATE, 0.15);
    let together: f32 = bursts.iter().map(|(begin, end)| end - begin).sum();
    let (begin, end) = (bursts.first().unwrap().0, bursts.last().unwrap().1);
    println!("all five: first word after {begin:.2} s, over after {end:.2} s, {together:.2} s of sound");
    assert!(end - begin > single * 0.95, "{} s together, {single} s singly: {bursts:?}", end - begin);
}

impl Scene {
    fn log_length(&self) -> usize {
        let log = self.card.env()[0].1.join("speech-dispatcher/log/speech-dispatcher.log");
        if log.exists() { self.log().len() } else { 0 }
    }
}

#[test]
fn what_looks_like_a_command_is_only_spoken() {
    let scene = Scene::new();
    let folder = tempfile::TempDir::new().unwrap();
    let text = format!(
        "; touch {0}/x $(touch {0}/y) `touch {0}/z` \r\n.\r\nQUIT\r\n--option -w \u{1b}]0;title\u{7} <speak><break time=\"9s\"/> \
         &amp; [[h@loU]] the end of this text",
        folder.path().display()
    );
    let (begin, end) = scene.heard(&text);
    assert!(end - begin > 2.0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let log = scene.log();
    assert!(!log.contains('\u{1b}') && !log.contains("[["));
    assert!(!log.contains("<break"), "{log}");
    // A NUL can't be an argument; it comes in through stdin.
    let sent = scene.ayşe.run_with_stdin(["send", "burak", "-"], b"one\0two\xe2\x80\xae three");
    sent.ok();
    let heard = scene.card.record_loudspeaker();
    scene.run(&["receive", "--speak"]).ok();
    assert_eq!(signal::bursts(&heard.stop(), RATE, PAUSE).len(), 1);
    scene.ayşe.send("burak", "..... !!! <<<>>>");
    let finished = scene.run(&["receive", "--speak"]);
    finished.ok();
    assert_eq!(finished.stderr, "");
}

#[test]
fn it_falls_silent_at_once_when_it_is_told_to() {
    let scene = Scene::new();
    let long = "This is a long text, and it goes on and on, sentence after sentence. ".repeat(20);
    scene.ayşe.send("burak", &long);
    let heard = scene.card.record_loudspeaker();
    let running = Running::start(&mut scene.command(&["receive", "--speak"]));
    let spoken = |samples: &[f32]| signal::peak(&samples[samples.len().saturating_sub(4_410)..]) > 0.05;
    heard.wait_until("the text is being read", spoken);
    let stopped = heard.so_far().len();
    running.signal("INT");
    let asked = Instant::now();
    assert_eq!(running.wait().code(), 130);
    println!("ended {:.2} s after it was told to", asked.elapsed().as_secs_f32());
    heard.listen(Duration::from_secs(3));
    let last = signal::bursts(&heard.stop(), RATE, PAUSE).last().unwrap().1;
    let after = last - stopped as f32 / RATE as f32;
    println!("silent {after:.2} s after it was told to");
    assert!(after < 2.0, "it went on for {after} s");
}

#[test]
fn without_a_speech_service_one_line_says_so_and_texts_go_on() {
    let scene = Scene::new();
    scene.ayşe.send("burak", "merhaba");
    scene.ayşe.send("burak", "nasılsın");
    // Nothing to start; or something that is there and never answers.
    let mut absent = scene.card.command(&scene.burak, ["receive", "--speak"]);
    let finished = Running::start(absent.env("SPEECHD_CMD", "/nonexistent")).wait();
    assert_eq!(finished.ok().lines().count(), 2);
    assert!(finished.one_line().contains("apt-get install speech-dispatcher"), "{finished:?}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("inet_socket:127.0.0.1:{}", silent.local_addr().unwrap().port());
    let mut stuck = scene.card.command(&scene.burak, ["speak", "last"]);
    let began = Instant::now();
    let finished = Running::start(stuck.env("SPEECHD_ADDRESS", address)).wait();
    assert_eq!(finished.code(), 1);
    assert!(finished.one_line().contains("no speech service answers"), "{finished:?}");
    println!("a service that never answers is given up after {:.1} s", began.elapsed().as_secs_f32());
}
