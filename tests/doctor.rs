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
use std::time::Duration;

use serde_json::Value;
use support::card::{Card, Heard, RATE};
use support::voice::{Asked, Scene, give_up};
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
    let scene = Scene::with_log(0);
    let (checks, code) = checks(scene.command(&["doctor"]));
    // That there is no passphrase is said, and is no failure.
    assert_eq!((names(&checks, false), code), (vec!["passphrase"], 0), "{checks:?}");
    let (voices, others): (Vec<&str>, Vec<&str>) =
        names(&checks, true).into_iter().partition(|what| what.starts_with("voice "));
    assert_eq!(others, ["clock", "files", "loudspeaker", "microphone", "profile", "server", "speech"]);
    // All that there are, and more than anybody is likely to miss.
    for tag in
        ["ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh", "uk", "cy"]
    {
        assert!(voices.contains(&format!("voice {tag}").as_str()), "{tag}: {voices:?}");
    }
    let said = checks["speech"]["said"].as_str().unwrap();
    assert!(said.ends_with(&format!("voices for {} languages", voices.len())), "{said}: {voices:?}");
    // Those that are named, and no other: where there is none, what to do is told.
    let (few, _) = self::checks(scene.command(&["doctor", "--mute", "--language", "ko", "--language", "zu"]));
    assert_eq!(
        few.keys().filter(|what| what.starts_with("voice ")).collect::<Vec<_>>(),
        ["voice ko", "voice zu"]
    );
    assert!(few["voice zu"]["remedy"].as_str().unwrap().contains("Zulu"), "{few:?}");
    let wrong = scene.burak.run(["doctor", "--language", "tlh"]);
    assert!(wrong.code() == 2 && wrong.stderr.contains("choose one of eo, en"), "{wrong:?}");
    scene.burak.run_with_stdin(["lock", "--set", "--new-passphrase-fd", "0"], b"gizli").ok();
    let mut locked = scene.command(&["doctor", "--mute", "--passphrase-fd", "0"]);
    let mut locked = Running::start(locked.stdin(std::process::Stdio::piped()));
    std::io::Write::write_all(&mut locked.stdin().unwrap(), b"gizli\n").unwrap();
    let lines = locked.wait();
    assert!(lines.ok().lines().all(|line| line.starts_with("ok  ")), "{lines:?}");
}

#[test]
fn without_sound_and_speech_messaging_is_well() {
    let server = Server::start();
    let zoé = Profile::register(&server, "zoé");
    // A device of the tester's own, which is not for tests.
    let home = tempfile::TempDir::new().unwrap();
    std::fs::write(home.path().join(".asoundrc"), "pcm.!default { type null }\n").unwrap();
    let mut command = zoé.command(["doctor"]);
    command.env("XDG_RUNTIME_DIR", zoé.home()).env("HOME", home.path());
    let (checks, code) = checks(command);
    assert_eq!(names(&checks, false), ["loudspeaker", "microphone", "passphrase", "speech"]);
    assert_eq!(code, 0);
    assert!(checks["speech"]["remedy"].as_str().unwrap().contains("espeak-ng"), "{}", checks["speech"]);
}

/// Where a recording was when each check was told, by what it is about: `voice tr`.
type Ends = Vec<(String, usize)>;

/// Reads what is told to its end.
fn told(doctor: &mut Running, heard: &Heard) -> Ends {
    let mut ends = Vec::new();
    while let Some(line) = doctor.line() {
        assert!(!line.starts_with("no  ") || line.starts_with("no  passphrase"), "{line}");
        let (what, rest) = line[4..].split_once(": ").unwrap();
        let tag = rest.split_once(" (").map_or("", |(_, rest)| rest.split(')').next().unwrap());
        let name = if what == "voice" { format!("{what} {tag}") } else { what.to_owned() };
        assert!(what != "voice" || rest.ends_with("was spoken: was it heard?"), "{line}");
        ends.push((name, heard.so_far().len()));
    }
    ends
}

#[test]
fn it_is_heard_the_microphone_and_a_sentence_in_each_language_that_has_a_voice() {
    let scene = Scene::new();
    let mut command = scene.command(&["doctor", "--sound"]);
    let heard = scene.card.record_loudspeaker();
    let (mut doctor, stderr) = Running::start_with_stderr(&mut command);
    let said = stderr.recv_timeout(support::TIMEOUT).unwrap();
    assert!(said.starts_with("say something: two seconds"), "{said}");
    scene.card.speak_into_microphone(std::path::Path::new("sounds/joined.wav"));
    let ends = told(&mut doctor, &heard);
    assert_eq!(doctor.wait().code(), 0);
    let sound = heard.stop();
    let place = |what: &str| {
        let found = ends.iter().find(|(name, _)| name == what);
        found.unwrap_or_else(|| panic!("{what} is not in {ends:?}")).1
    };
    let (samples, rate) = signal::read(&std::fs::read("sounds/joined.wav").unwrap());
    let spoken = signal::at_rate(&samples, rate, RATE);
    let back = signal::find(&sound[place("loudspeaker")..place("playback")], &spoken);
    eprintln!("measured: what the microphone got, at the loudspeaker: {back:?}");
    assert!(back.correlation > 0.85, "{back:?}");
    // The usual ones first, each in its own language, and each of them is heard.
    let mut from = place("speech");
    let voices: Vec<&(String, usize)> = ends.iter().filter(|(what, _)| what.starts_with("voice ")).collect();
    let tags: Vec<&str> = voices.iter().map(|(what, _)| &what["voice ".len()..]).collect();
    assert_eq!(
        tags[..15],
        ["tr", "ko", "zh", "fr", "en", "de", "es", "it", "pt", "nl", "pl", "ru", "ar", "hi", "ja"]
    );
    assert!(tags.len() > 50, "{tags:?}");
    let asked = scene.asked();
    for ((_, until), tag) in voices.iter().zip(&tags) {
        let loud =
            signal::envelope(&sound[from..*until], RATE).iter().filter(|energy| **energy > 0.01).count();
        let asked: Vec<_> = asked.iter().filter(|asked| asked.language == *tag).collect();
        eprintln!("measured: {tag}: {:.2} s of speech: {asked:?}", loud as f32 / 100.0);
        assert!(loud > 50, "{tag}: {loud} hundredths of a second");
        assert!(
            !asked.is_empty() && asked.iter().all(|asked| asked.module == "espeak-ng"),
            "{tag}: {asked:?}"
        );
        from = *until;
    }
}

#[test]
fn on_a_terminal_a_key_says_that_enough_was_heard() {
    let scene = Scene::new();
    let mut doctor =
        scene.screen(&["doctor", "--sound", "--language", "tr", "--language", "ko", "--language", "fr"]);
    doctor.wait_for("each language that has a voice says a sentence: Enter or q, and that is enough");
    scene.wait_for_asked(1);
    doctor.type_keys("q");
    for name in ["Turkish (tr)", "Korean (ko)", "French (fr)"] {
        doctor.wait_for(&format!("ok  voice: {name} has one"));
    }
    assert_eq!(doctor.finish(), 0);
    assert_eq!(scene.asked().len(), 1);
}

#[test]
fn a_muted_microphone_is_told_with_what_to_do() {
    let (card, server) = (Card::start(), Server::start());
    let zoé = Profile::register(&server, "zoé");
    // What it would say in all languages is another matter, and takes its time.
    let command = card.command(&zoé, ["doctor", "--sound"]);
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
        command.env("XDG_RUNTIME_DIR", zoé.home()).env("HOME", zoé.home());
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

#[test]
fn it_falls_silent_while_somebody_records_and_says_the_sentence_again_after_that() {
    let scene = Scene::new();
    let doctor =
        Running::start(&mut scene.command(&["doctor", "--sound", "--language", "tr", "--language", "fr"]));
    scene.wait_for_asked(1);
    let heard = scene.card.record_loudspeaker();
    let taking = scene.begin_to_record();
    heard.wait_until("it falls silent", |samples| signal::is_silent(samples, 1.5));
    let (asked, silent) = (scene.asked(), heard.so_far().len());
    let until = heard.listen(Duration::from_secs(2));
    assert_eq!(signal::peak(&heard.so_far()[silent..until]), 0.0, "it would be recorded");
    give_up(taking);
    let told = doctor.wait();
    for name in ["Turkish (tr)", "French (fr)"] {
        assert!(told.ok().contains(&format!("ok  voice: {name} was spoken: was it heard?")), "{told:?}");
    }
    assert!(told.stderr.contains("a voice note is being recorded: this waits"), "{told:?}");
    let texts = |asked: &[Asked]| asked.iter().map(|asked| asked.text.clone()).collect::<Vec<_>>();
    let (before, after) = (texts(&asked), texts(&scene.asked()));
    assert_eq!(after[before.len()], before[before.len() - 1], "it is said again: {after:?}");
    assert_eq!(after.len(), 3, "each is said once to its end: {after:?}");
}
