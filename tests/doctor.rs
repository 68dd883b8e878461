//! `tellal doctor` on machines in different states of health.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use support::card::{Card, RATE};
use support::{Profile, Running, Server, schema, signal};

/// What it says of each thing, and its exit code.
fn checks(mut command: Command) -> (BTreeMap<String, Value>, i32) {
    let finished = Running::start(command.arg("--json")).wait();
    let mut checks = BTreeMap::new();
    for line in finished.stdout.lines() {
        let object: Value = serde_json::from_str(line).expect(line);
        if object["kind"] == "error" {
            assert_eq!(object["error"], "check_failed", "{object}");
            continue;
        }
        schema::check(&object, &["check"]);
        assert_eq!(object["ok"].as_bool().unwrap(), object["remedy"].is_null(), "{object}");
        let what = object["what"].as_str().unwrap();
        let name = object["language"].as_str().map_or(what.to_owned(), |tag| format!("{what} {tag}"));
        checks.insert(name, object);
    }
    let failed = finished.stdout.contains("check_failed");
    assert_eq!(failed, finished.code() == 1, "{finished:?}");
    (checks, finished.code())
}

fn names(checks: &BTreeMap<String, Value>, ok: bool) -> Vec<&str> {
    checks.iter().filter(|(_, check)| check["ok"] == ok).map(|(what, _)| what.as_str()).collect()
}

#[test]
fn where_everything_is_well_it_says_so() {
    let (card, server) = (Card::start(), Server::start());
    let zoé = Profile::register(&server, "zoé");
    let (checks, code) = checks(card.command(&zoé, ["doctor"]));
    // That there is no passphrase is said, and is no failure.
    assert_eq!((names(&checks, false), code), (vec!["passphrase"], 0), "{checks:?}");
    let tags = ["ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh"];
    let voices = tags.map(|tag| format!("voice {tag}"));
    let voices = voices.each_ref().map(String::as_str);
    let all = ["clock", "files", "loudspeaker", "microphone", "profile", "server", "speech"];
    assert_eq!(names(&checks, true), [&all[..], &voices].concat());
    zoé.run_with_stdin(["lock", "--set", "--new-passphrase-fd", "0"], b"gizli").ok();
    let mut locked = card.command(&zoé, ["doctor", "--mute", "--passphrase-fd", "0"]);
    let mut locked = Running::start(locked.stdin(std::process::Stdio::piped()));
    std::io::Write::write_all(&mut locked.stdin().unwrap(), b"gizli\n").unwrap();
    let lines = locked.wait();
    assert!(lines.ok().lines().all(|line| line.starts_with("ok  ")), "{lines:?}");
}

#[test]
fn without_sound_and_speech_messaging_is_well() {
    let server = Server::start();
    let zoé = Profile::register(&server, "zoé");
    let mut command = zoé.command(["doctor"]);
    command.env("XDG_RUNTIME_DIR", zoé.home()).env("HOME", zoé.home()).env("SPEECHD_CMD", "/nonexistent");
    let (checks, code) = checks(command);
    assert_eq!(names(&checks, false), ["loudspeaker", "microphone", "passphrase", "speech"]);
    assert_eq!(code, 0);
    assert!(checks["speech"]["remedy"].as_str().unwrap().contains("espeak-ng"), "{}", checks["speech"]);
}

#[test]
fn it_is_heard_the_microphone_and_a_sentence_in_each_language() {
    let (card, server) = (Card::start(), Server::start());
    let zoé = Profile::register(&server, "zoé");
    let mut command = card.command(&zoé, ["doctor", "--sound"]);
    let heard = card.record_loudspeaker();
    let (mut doctor, stderr) = Running::start_with_stderr(&mut command);
    let said = stderr.recv_timeout(support::TIMEOUT).unwrap();
    assert!(said.starts_with("say something: two seconds"), "{said}");
    card.speak_into_microphone(std::path::Path::new("sounds/joined.wav"));
    // Where each was in what is heard, once it had been.
    let mut ends = std::collections::BTreeMap::new();
    while let Some(line) = doctor.line() {
        assert!(!line.starts_with("no  ") || line.starts_with("no  passphrase"), "{line}");
        let what: String = line.chars().skip(4).take_while(|c| *c != '(').collect();
        ends.insert(what, heard.so_far().len());
    }
    assert_eq!(doctor.wait().code(), 0);
    let sound = heard.stop();
    let place = |what: &str| {
        let found = ends.iter().find(|(name, _)| name.starts_with(what));
        *found.unwrap_or_else(|| panic!("{what} is not in {ends:?}")).1
    };
    let (samples, rate) = signal::read(&std::fs::read("sounds/joined.wav").unwrap());
    let spoken = signal::at_rate(&samples, rate, RATE);
    let back = signal::find(&sound[place("loudspeaker")..place("playback")], &spoken);
    eprintln!("measured: what the microphone got, at the loudspeaker: {back:?}");
    assert!(back.correlation > 0.85, "{back:?}");
    let mut from = place("playback");
    for language in [
        "Turkish",
        "Korean",
        "Chinese",
        "French",
        "English",
        "German",
        "Spanish",
        "Italian",
        "Portuguese",
        "Dutch",
        "Polish",
        "Russian",
        "Arabic",
        "Hindi",
        "Japanese",
    ] {
        let until = place(&format!("voice: {language}"));
        let loud =
            signal::envelope(&sound[from..until], RATE).iter().filter(|energy| **energy > 0.01).count();
        eprintln!("measured: {language}: {:.2} s of speech", loud as f32 / 100.0);
        assert!(loud > 50, "{language}: {loud} hundredths of a second");
        from = until;
    }
}

#[test]
fn a_muted_microphone_is_told_with_what_to_do() {
    let (card, server) = (Card::start(), Server::start());
    let zoé = Profile::register(&server, "zoé");
    // What it would say in fifteen languages is another matter, and takes its time.
    let mut command = card.command(&zoé, ["doctor", "--sound"]);
    command.env("SPEECHD_CMD", "/nonexistent");
    let (checks, code) = checks(command);
    assert_eq!((checks["playback"]["ok"].as_bool(), code), (Some(false), 0), "{checks:?}");
    assert!(checks["playback"]["remedy"].as_str().unwrap().contains("not muted"));
}

#[test]
fn what_nothing_works_without_is_told_with_what_to_do() {
    let mut server = Server::start();
    let zoé = Profile::register(&server, "zoé");
    let nobody = Profile::new(&server, "nobody");
    let command = |profile: &Profile| {
        let mut command = profile.command(["doctor", "--mute"]);
        command.env("XDG_RUNTIME_DIR", zoé.home()).env("HOME", zoé.home()).env("SPEECHD_CMD", "/nonexistent");
        command
    };
    let (unregistered, code) = checks(command(&nobody));
    assert_eq!(code, 1);
    assert!(unregistered["profile"]["remedy"].as_str().unwrap().contains("tellal register NICK"));

    let key = zoé.file("keys/identity.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (readable, code) = checks(command(&zoé));
    assert_eq!((readable["files"]["ok"].as_bool(), code), (Some(false), 1));
    // What it says to do helps.
    let remedy = readable["files"]["remedy"].as_str().unwrap();
    assert!(Command::new("sh").args(["-c", remedy]).status().unwrap().success());
    assert_eq!(checks(command(&zoé)).1, 0);

    server.kill();
    let (unreachable, code) = checks(command(&zoé));
    assert_eq!((unreachable["server"]["ok"].as_bool(), code), (Some(false), 1));
    let said = unreachable["server"]["said"].as_str().unwrap();
    assert!(said.contains(&server.name()), "{said}");

    std::fs::write(zoé.file("profile.json"), "{").unwrap();
    let (damaged, code) = checks(command(&zoé));
    assert_eq!((damaged["profile"]["ok"].as_bool(), code), (Some(false), 1));
    assert!(damaged["profile"]["said"].as_str().unwrap().contains("damaged"), "{}", damaged["profile"]);
}
