//! What people get wrong, and what goes wrong around them: one line that says what happened and what to do.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use support::people::files;
use support::{Profile, Server};

/// A fingerprint that no server has.
const OTHER: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn names_that_nobody_or_somebody_else_has() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    let unknown = ayşe.run(["send", "nobody", "hi"]);
    assert!(unknown.failure().contains("nobody is called nobody"), "{unknown:?}");
    assert_eq!(ayşe.run(["history"]).ok(), "", "nothing was kept");
    let file = ayşe.file("export.jsonl");
    let asked = [
        &["history", "nobody"][..],
        &["history", "nobody", "--search", "hi"],
        &["history", "nobody", "--export", file.to_str().unwrap()],
        &["listen", "--unread", "nobody", "--mute"],
    ];
    for args in asked {
        let unknown = ayşe.run(args);
        assert!(unknown.failure().contains("nobody is called nobody"), "{args:?}: {unknown:?}");
    }
    assert!(!file.exists());
    assert!(ayşe.run(["history", "ayşe"]).stderr.contains("no messages"), "there is somebody of this name");
    assert_eq!(ayşe.run(["listen", "--unread", "ayşe", "--mute"]).code(), 0);

    let other = Profile::new(&server, "AYŞE");
    let register =
        |name: &str| other.run(["register", name, "--key-bits", "2048", "--server", &other.server]);
    let taken = register("AYŞE");
    assert!(taken.failure().contains("is taken: choose another"), "{taken:?}");
    assert!(register("no spaces").failure().contains("is not a name"));
    register("zoé").ok();
    assert_eq!(ayşe.run(["users"]).ok().lines().count(), 2);
}

#[test]
fn a_second_registration_on_a_profile_changes_nothing() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    for name in ["ayşe", "burak"] {
        let again = ayşe.run(["register", name, "--key-bits", "2048", "--server", &ayşe.server]);
        assert!(again.failure().contains("already registered as ayşe"), "{again:?}");
    }
    let unnamed = ayşe.run(["register", "burak"]);
    assert!(unnamed.failure().contains("already registered as ayşe"), "{unnamed:?}");
    assert_eq!(ayşe.run(["users", "--json"]).json().len(), 1);
}

#[test]
fn a_server_that_is_not_there() {
    let mut server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    server.kill();
    for args in [&["users"][..], &["receive"], &["receive", "--wait", "0.5"]] {
        let finished = ayşe.run(args);
        let line = finished.failure();
        assert!(line.contains(&format!("can't reach {}", server.name())), "{line}");
        assert!(!line.contains("outbox"), "nothing was to be sent: {line}");
    }
    assert_eq!(ayşe.run(["history"]).ok(), "", "what is here needs no server");
    let burak = Profile::new(&server, "burak");
    let refused = burak.run(["register", "burak", "--key-bits", "2048", "--server", &burak.server]);
    assert!(refused.failure().contains("can't reach") && !refused.stderr.contains("outbox"), "{refused:?}");

    server.restart_on_same_port();
    burak.run(["register", "burak", "--key-bits", "2048", "--server", &burak.server]).ok();
    assert_eq!(ayşe.run(["users", "--json"]).json().len(), 2);
}

#[test]
fn a_server_with_another_key_is_not_talked_to() {
    let server = Server::start();
    let burak = Profile::new(&server, "burak");
    let register = |fingerprint: &str| {
        let args = ["register", "burak", "--key-bits", "2048", "--fingerprint", fingerprint, "--server"];
        burak.run(args.into_iter().chain([burak.server.as_str()]))
    };
    let wrong = register(OTHER);
    let line = wrong.failure();
    assert!(line.contains(OTHER) && line.contains(&server.fingerprint) && line.contains("attack"), "{line}");
    register(&server.fingerprint).ok();

    let impostor = Server::start();
    for args in [&["users"][..], &["receive"], &["receive", "--wait", "30"], &["send", "burak", "hi"]] {
        let name = impostor.name();
        let finished = burak.run(args.iter().copied().chain(["--server", &name]));
        let line = finished.failure();
        assert!(line.contains(&impostor.fingerprint) && line.contains(&server.fingerprint), "{line}");
    }
}

#[test]
fn a_damaged_profile_is_told_and_never_a_panic_and_loses_nothing() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    burak.send("ayşe", "kept");
    assert_eq!(ayşe.receive().len(), 1);
    server.kill();
    assert!(ayşe.run(["send", "burak", "waits"]).failure().contains("outbox"));
    let history = ayşe.run(["history", "--json"]).ok().to_owned();
    assert!(history.contains("kept") && history.contains("waits"), "{history}");

    let mut told = BTreeSet::new();
    for path in files(ayşe.home()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (whole, mode) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().permissions());
        let half = whole.get(..whole.len() / 2).unwrap_or_default();
        for damaged in [Some(b"".as_slice()), Some(b"\xff garbage \0"), Some(half), None] {
            match damaged {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let finished = ayşe.run(["history"]);
            let matters = MATTER.iter().any(|start| name.starts_with(start));
            if matters {
                let line = finished.failure();
                // Without a profile.json there is no profile.
                let remedy = if damaged.is_none() && name == "profile.json" { "register" } else { "backup" };
                assert!(line.contains(remedy), "{name}: {line}");
                told.insert(name.clone());
            } else if finished.code() != 0 {
                finished.failure();
            }
            assert!(!matters || damaged.is_some() || !path.exists(), "{name} was made anew");
            fs::write(&path, &whole).unwrap();
            fs::set_permissions(&path, mode.clone()).unwrap();
        }
    }
    assert_eq!(told.len(), MATTER.len(), "{told:?}");
    assert_eq!(ayşe.run(["history", "--json"]).ok(), history, "nothing was lost");
    server.restart_on_same_port();
    ayşe.run(["receive", "--wait", "1"]).ok();
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "waits".to_owned())]);
}

/// Files of a profile without which there is no going on.
const MATTER: [&str; 5] = ["profile.json", "history.key", "history.db", "device", "message-"];

#[test]
fn what_cant_be_read_or_written_is_said_with_what_to_do() {
    let server = Server::start();
    let (ayşe, _burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let (there, not_there) = (ayşe.file("folder"), ayşe.file("nowhere/note.wav"));
    fs::create_dir(&there).unwrap();
    let [there, not_there] = [&there, &not_there].map(|path| path.to_str().unwrap());
    for (args, remedy) in [
        (vec!["voice", "burak", "--file", not_there], "name a WAV file that is there and that you may read"),
        (vec!["voice", "burak", "--file", there], "name a WAV file that is there and that you may read"),
        (vec!["history", "--export", not_there], "choose another place, where you may write"),
        (
            vec!["--home", "/proc/x", "register", "zoé", "--key-bits", "2048", "--server", &ayşe.server],
            "see that you may read and write it, and the folder that it is in",
        ),
    ] {
        let failed = ayşe.run(&args);
        assert!(failed.failure().contains(remedy), "{args:?}: {failed:?}");
    }
}
