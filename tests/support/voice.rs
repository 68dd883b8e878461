//! Three people, a sound card, and the real speech service, which writes down what it is asked for.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::card::Card;
use super::screen::Screen;
use super::{Finished, Profile, Running, Server, TIMEOUT, give_way};

/// The people, the card, the service.
pub struct Scene {
    /// Where it is heard.
    pub card: Card,
    /// Where the messages are.
    pub server: Server,
    /// Who writes.
    pub ayşe: Profile,
    /// Who listens.
    pub burak: Profile,
}

/// What the service handed to one of its modules: the last word on which voice reads what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Such as `espeak-ng`.
    pub module: String,
    /// The language (BCP 47).
    pub language: String,
    /// The voice.
    pub voice: String,
    /// -100 to 100.
    pub pitch: i32,
    /// -100 to 100.
    pub rate: i32,
    /// The words, as the service got them.
    pub text: String,
    /// The same with emoji by name.
    pub read: String,
}

impl Scene {
    /// Ayşe writes, Burak listens.
    pub fn new() -> Self {
        Self::with_log(5)
    }

    /// The same with a service that writes down so much, 0 to 5.
    pub fn with_log(level: u8) -> Self {
        let (card, server, ayşe, burak) = Card::with_friends();
        let service = card.env()[0].1.join("service");
        let script = format!("#!/bin/sh\nexec /usr/bin/speech-dispatcher -l {level} -t 60 \"$@\"\n");
        std::fs::write(&service, script).unwrap();
        std::fs::set_permissions(&service, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { card, server, ayşe, burak }
    }

    /// A command of burak's, with speech.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.card.command(&self.burak, args);
        command.env("SPEECHD_CMD", self.card.env()[0].1.join("service"));
        command
    }

    /// Runs a command of burak's, with speech.
    pub fn run(&self, args: &[&str]) -> Finished {
        Running::start(&mut self.command(args)).wait()
    }

    /// A command of burak's on a terminal, with speech.
    pub fn screen(&self, args: &[&str]) -> Screen {
        let mut variables = self.card.env().to_vec();
        variables.push(("SPEECHD_CMD", self.card.env()[0].1.join("service")));
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
        Screen::start(&self.burak, args, &variables)
    }

    /// Burak begins to record, on another terminal: it records when this returns, until it is given up.
    pub fn begin_to_record(&self) -> Screen {
        let taking = self.screen(&["voice", "ayşe", "--mute"]);
        taking.wait_for("Enter sends");
        taking
    }

    fn folder(&self) -> PathBuf {
        self.card.env()[0].1.join("speech-dispatcher")
    }

    /// What the service wrote so far.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder().join("log/speech-dispatcher.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Kills the service as a fault would.
    #[track_caller]
    pub fn kill_service(&self) {
        let pid = std::fs::read_to_string(self.folder().join("pid/speech-dispatcher.pid")).unwrap();
        assert!(Command::new("kill").args(["-s", "KILL", pid.trim()]).status().unwrap().success());
    }

    /// Ends the service, and waits until it has: it is started again by whoever speaks next.
    pub fn end_service(&self) {
        let path = self.folder().join("pid/speech-dispatcher.pid");
        let Ok(pid) = std::fs::read_to_string(&path) else { return };
        let _ = Command::new("kill").args(["-s", "TERM", pid.trim()]).status();
        let deadline = Instant::now() + TIMEOUT;
        while path.exists() {
            assert!(Instant::now() < deadline, "the speech service does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What was read aloud so far, or is being read.
    pub fn asked(&self) -> Vec<Asked> {
        asked(&self.log())
    }

    /// Waits until so many pieces have been handed to the service; all of them.
    #[track_caller]
    pub fn wait_for_asked(&self, count: usize) -> Vec<Asked> {
        self.wait_until(&format!("{count} pieces"), TIMEOUT, |asked| asked.len() >= count)
    }

    /// Waits until what has been handed to the service is as wanted; all of it.
    #[track_caller]
    pub fn wait_until(&self, what: &str, longest: Duration, wanted: impl Fn(&[Asked]) -> bool) -> Vec<Asked> {
        let deadline = Instant::now() + longest;
        loop {
            let begun = Instant::now();
            let asked = self.asked();
            if wanted(&asked) {
                return asked;
            }
            assert!(Instant::now() < deadline, "{what} not read: {asked:#?}");
            give_way(begun, Duration::from_millis(50));
        }
    }

    /// Nothing was handed to the service before the one before it had ended.
    #[track_caller]
    pub fn assert_one_at_a_time(&self) {
        let mut under_way = 0usize;
        for line in self.log().lines() {
            under_way += usize::from(line.contains("Queueing message |"));
            assert!(under_way <= 1, "{line}");
            let over =
                line.contains("while speaking: |702 END") || line.contains("while speaking: |703 STOP");
            under_way -= usize::from(over);
        }
    }
}

/// What is being recorded is not sent.
pub fn give_up(mut taking: Screen) {
    taking.type_keys("\u{1b}");
    assert_eq!(taking.finish(), 130);
}

/// The words alone.
pub fn texts(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.text.as_str()).collect()
}

/// Sentences that are known by their numbers, each of four seconds and a half.
pub fn sentences(count: usize) -> String {
    let sentence = |number| format!("This is sentence number {number} of a text that is long and goes on.");
    (1..=count).map(sentence).collect::<Vec<_>>().join(" ")
}

/// Takes a minute and a half to read.
pub fn long() -> String {
    sentences(24)
}

/// From the service's log at level 5.
fn asked(log: &str) -> Vec<Asked> {
    let mut all = Vec::new();
    let (mut module, mut text, mut read) = (String::new(), String::new(), String::new());
    let between = |line: &str, start: &str, end: &str| -> Option<String> {
        let (_, rest) = line.split_once(start)?;
        Some(rest.rsplit_once(end)?.0.to_owned())
    };
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if let Some((_, name)) = line.split_once("In queue_message desired output module is ") {
            module = name.to_owned();
        } else if let Some(queued) = between(line, "Queueing message |", "| with priority") {
            text = queued;
        } else if let Some(incoming) = between(line, "Incoming text: |<speak>", "</speak>|") {
            read = incoming;
        } else if line.contains("Command sent to output module: |pitch=") {
            let first = line.rsplit_once('|').unwrap().1;
            let settings: Vec<(&str, &str)> = std::iter::once(first)
                .chain(lines.by_ref().take_while(|line| line.contains('=')))
                .filter_map(|line| line.split_once('='))
                .collect();
            let setting = |name| settings.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
            all.push(Asked {
                module: module.clone(),
                language: setting("language").to_owned(),
                voice: setting("synthesis_voice").to_owned(),
                pitch: setting("pitch").parse().unwrap(),
                rate: setting("rate").parse().unwrap(),
                text: text.clone(),
                read: read.clone(),
            });
        }
    }
    all
}
