//! The command line without a server: usage, and what is said about a profile that is not there.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::process::Command;

use support::{Finished, Running, Server, schema};
use tempfile::TempDir;

fn run(home: &TempDir, args: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tellal"));
    command.env_remove("TELLAL_SERVER").env("TELLAL_HOME", home.path()).args(args);
    Running::start(command.stdin(std::process::Stdio::null())).wait()
}

#[test]
fn wrong_usage_ends_with_2_and_says_so_on_stderr() {
    let home = TempDir::new().unwrap();
    for args in [
        &[][..],
        &["dance"],
        &["send"],
        &["send", "burak", "two", "words"],
        &["send", "burak", "-x"],
        &["register"],
        &["register", "ayşe"],
        &["register", "ayşe", "--server", "localhost", "--key-bits", "1024"],
        &["register", "ayşe", "--server", "localhost", "--color", "plaid"],
        &["register", "ayşe", "--server", "localhost", "--fingerprint", "SHA256:short"],
        &["users", "--color", "green"],
        &["room"],
        &["room", "dance"],
        &["room", "create"],
        &["room", "create", "a", "room"],
        &["room", "join", "garden", "--as"],
        &["room", "invite", "garden"],
        &["room", "list", "garden"],
        &["voice", "#garden", "--live", "--seconds", "1"],
        &["receive", "--wait", "soon"],
        &["speak"],
        &["speak", "1", "2"],
        &["listen", "--follow"],
        &["receive", "--wait", "1", "--follow"],
        &["history", "--limit", "many"],
        &["voice", "burak"],
        &["play"],
        &["play", "1", "--force"],
        &["voice", "burak", "--seconds", "0"],
        &["voice", "burak", "--seconds", "601"],
        &["voice", "burak", "--seconds", "2", "--file", "note.wav"],
    ] {
        let finished = run(&home, args);
        assert_eq!(finished.code(), 2, "{args:?}: {finished:?}");
        assert_eq!(finished.stdout, "", "{args:?}");
        assert!(!finished.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let home = TempDir::new().unwrap();
    assert!(run(&home, &["--help"]).ok().contains("register"));
    assert!(run(&home, &["send", "--help"]).ok().contains("NICK"));
    assert_eq!(run(&home, &["--version"]).ok(), concat!("tellal ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_a_profile_every_verb_says_what_to_do() {
    let home = TempDir::new().unwrap();
    let note = home.path().join("note.wav");
    std::fs::write(&note, support::wav::tone(100)).unwrap();
    let note = note.to_str().unwrap();
    for args in [
        &["users"][..],
        &["send", "burak", "hi"],
        &["receive"],
        &["receive", "--wait", "1"],
        &["receive", "--follow"],
        &["history"],
        &["voice", "burak", "--file", note],
        &["play", "1", "--save", "/nonexistent/x.wav"],
        &["speak", "last"],
        &["listen"],
        &["room", "list"],
        &["room", "create", "garden"],
        &["room", "members", "#garden"],
    ] {
        let finished = run(&home, args);
        assert!(finished.failure().contains("tellal register NICK --server HOST"), "{args:?}: {finished:?}");
        let json = run(&home, &[args, &["--json"]].concat());
        let object: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        support::schema::check(&object, &["error"]);
        assert_eq!(object["error"], "not_registered", "{args:?}");
        assert_eq!(format!("tellal: {}", object["message"].as_str().unwrap()), json.one_line());
    }
}

#[test]
fn what_is_no_name_and_no_message_is_said() {
    let home = TempDir::new().unwrap();
    for name in ["two words", "../etc", "bell\u{7}", "", &"a".repeat(33)] {
        let finished = run(&home, &["send", name, "hi"]);
        assert!(finished.failure().contains("is not a name"), "{finished:?}");
        assert!(!finished.stderr.contains('\u{7}'));
    }
    let finished = run(&home, &["play", "yesterday's", "--save", "x.wav"]);
    assert!(finished.failure().contains("names no message"));
    assert!(run(&home, &["send", "burak", " \n"]).failure().contains("the text is empty"));
}

#[test]
fn what_is_no_voice_note_is_said_with_the_reason() {
    let home = TempDir::new().unwrap();
    let tone = support::wav::tone(100);
    let mut unfinished = tone.clone();
    unfinished[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    for (name, bytes, reason) in [
        ("song.mp3", &b"ID3\x04 not what it should be"[..], "is not a WAV file"),
        ("empty.wav", b"", "holds no sound"),
        ("silent.wav", &support::wav::tone(0), "holds no sound"),
        ("cut.wav", &tone[..150], "is cut off (its header promises 200 bytes of sound, 106 are there)"),
        ("head.wav", &tone[..20], "is cut off"),
        ("killed.wav", &unfinished, "is cut off (its recording was never finished)"),
    ] {
        let path = home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let finished = run(&home, &["voice", "burak", "--file", path.to_str().unwrap()]);
        assert!(finished.failure().contains(&format!("{name} {reason}")), "{finished:?}");
    }
    let long = home.path().join("long.wav");
    std::fs::write(&long, support::wav::tone(16_000 * 601)).unwrap();
    let finished = run(&home, &["voice", "burak", "--file", long.to_str().unwrap()]);
    assert!(finished.failure().ends_with("long.wav is 10 min 1 s long: the limit is 10 min"));

    let missing = run(&home, &["voice", "burak", "--file", "/nonexistent/x.wav"]);
    assert!(missing.failure().contains("/nonexistent/x.wav can't be read: No such file"));
    let folder = run(&home, &["voice", "burak", "--file", home.path().to_str().unwrap()]);
    assert!(folder.failure().contains("can't be read: is a directory"));
}

#[test]
fn a_server_speaks_json_where_that_is_asked_for() {
    let server = Server::start_limited("[registration]\nwho = \"invited\"\n");
    let shown = server.beside(["--check-config", "--json"]).json();
    assert_eq!((shown.len(), shown[0]["kind"].as_str()), (1, Some("server_config")));
    schema::check(&shown[0], &["server_config"]);
    assert_eq!(shown[0]["config"]["registration"]["who"], "invited");
    assert_eq!(shown[0]["config"]["connections"]["total"], 10_000);
    assert!(shown[0]["file"].as_str().unwrap().ends_with("server.toml"));

    let made = server.beside(["invite", "--uses", "2", "--json"]).json();
    assert_eq!((made.len(), made[0]["kind"].as_str()), (1, Some("invitation")));
    schema::check(&made[0], &["invitation"]);
    assert_eq!(made[0]["uses"], 2);
    let profile = support::Profile::new(&server, "ayşe");
    let invitation = made[0]["invitation"].as_str().unwrap();
    let register = ["register", "ayşe", "--key-bits", "2048", "--server", &profile.server];
    profile.run([&register[..], &["--invite", invitation]].concat()).ok();

    // The folder is taken.
    let failed = server.beside(["--listen", "127.0.0.1:0", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    schema::check(&error, &["error"]);
    assert_eq!(failed.code(), 1);

    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tellal"));
    command.args(["server", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    let mut running = Running::start(&mut command);
    let ready: serde_json::Value = serde_json::from_str(&running.line().unwrap()).unwrap();
    schema::check(&ready, &["listening"]);
    assert_eq!(ready["kind"], "listening");
    assert!(ready["address"].as_str().unwrap().parse::<std::net::SocketAddr>().unwrap().port() > 0);
    assert!(ready["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    running.kill();
}
