//! The passphrase of a profile in the system's keyring: GNOME Keyring on a D-Bus session of its own.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::keyring::Keyring;
use support::people::{error_code, files};
use support::{Finished, Profile, Running, Server, TIMEOUT, give_way, openssl, schema};

fn error(finished: &Finished) -> String {
    finished.one_line();
    error_code(finished)
}

/// Seals the profile under a passphrase in the keyring; the entry and the passphrase, as another program sees them.
fn seal(keyring: &Keyring, profile: &Profile) -> (String, String) {
    let sealed = keyring.run(profile, ["lock", "--keyring", "--json"]).json();
    schema::check(&sealed[0], &["lock"]);
    assert_eq!((&sealed[0]["passphrase"], &sealed[0]["keyring"]), (&true.into(), &true.into()));
    let mut entries = keyring.entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

fn is_plain(profile: &Profile) -> bool {
    let key = std::fs::read(profile.file("history.key")).unwrap();
    key.len() == 64 && key.iter().all(u8::is_ascii_hexdigit)
}

/// A copy of the passphrase through a descriptor, without any session.
fn with_copy(profile: &Profile, words: &str) -> Finished {
    profile.run_with_stdin(["history", "--json", "--passphrase-fd", "0"], format!("{words}\n").as_bytes())
}

#[test]
fn a_profile_that_the_keyring_opens_is_sealed_and_asks_for_nothing() {
    let (server, keyring) = (Server::start(), Keyring::start());
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    burak.send("ayşe", "selam");
    let (entry, words) = seal(&keyring, &ayşe);
    assert_eq!(words.len(), 43, "32 random bytes");

    // Sealed as under any passphrase: the one that the keyring has opens the keys, and nothing else does.
    let keys: Vec<PathBuf> = files(&ayşe.file("keys"));
    assert_eq!(keys.len(), 3, "identity, device, message key");
    for path in keys {
        let pem = std::fs::read_to_string(&path).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{path:?}");
        assert_eq!(
            (openssl(&path, "").is_some(), openssl(&path, &words).is_some()),
            (false, true),
            "{path:?}"
        );
    }
    assert!(!is_plain(&ayşe));
    for file in files(ayşe.home()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(&words), "{file:?} holds the passphrase");
    }

    // No command asks.
    assert_eq!(keyring.run(&ayşe, ["receive", "--json"]).json()[0]["text"], "selam");
    keyring.run(&ayşe, ["send", "burak", "sana da"]).ok();
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "sana da".to_owned())]);
    keyring.run(&ayşe, ["rekey", "--message-key"]).ok();
    let doctor = keyring.run(&ayşe, ["doctor", "--json", "--mute"]);
    let said = format!("a passphrase that the system's keyring keeps (entry {entry})");
    assert!(doctor.stdout.contains(&said), "{doctor:?}");
    let told = keyring.run(&ayşe, ["history", "-vv"]);
    assert!(told.ok().contains("selam") && !told.stderr.is_empty());
    assert!(!told.stderr.contains(&words), "it is in the log");

    // Outside the session nothing opens it but a copy.
    let outside = ayşe.run(["history", "--json"]);
    assert_eq!(error(&outside), "keyring_unavailable");
    assert!(outside.stderr.contains("--passphrase-fd"), "{outside:?}");
    assert_eq!(with_copy(&ayşe, &words).json().len(), 2);
    assert_eq!(error(&with_copy(&ayşe, "başka")), "wrong_passphrase");
}

#[test]
fn a_keyring_that_does_not_open_the_profile_is_said_with_what_to_do() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    let without = ayşe.run(["lock", "--keyring", "--json"]);
    assert_eq!(error(&without), "no_keyring");
    assert!(without.stderr.contains("nothing was changed") && is_plain(&ayşe), "{without:?}");
    assert!(!ayşe.file("keyring").exists());

    let mut keyring = Keyring::start();
    let (entry, words) = seal(&keyring, &ayşe);
    let history = |keyring: &Keyring| keyring.run(&ayşe, ["history", "--json"]);
    history(&keyring).ok();

    // Locked, and there is nobody whom it could ask.
    keyring.lock();
    let locked = history(&keyring);
    assert_eq!(error(&locked), "keyring_unavailable");
    assert!(locked.stderr.contains("is locked, and nobody unlocked it"), "{locked:?}");

    // It has ended: a person who has a copy is asked for it.
    keyring.kill();
    let gone = history(&keyring);
    assert_eq!(error(&gone), "keyring_unavailable");
    assert!(gone.stderr.contains("does not answer"), "{gone:?}");
    let mut screen = keyring.screen(&ayşe, &["history"]);
    screen.wait_for_cursor("passphrase: ");
    let said = String::from_utf8_lossy(&screen.raw()).into_owned();
    assert!(said.contains("is in the system's keyring, which does not answer"), "{said}");
    screen.type_keys(&format!("{words}\r"));
    assert_eq!(screen.finish(), 0);
    with_copy(&ayşe, &words).ok();

    // It kept what it was given; then it stands still.
    keyring.restart();
    history(&keyring).ok();
    keyring.signal("STOP");
    let silent = history(&keyring);
    assert_eq!(error(&silent), "keyring_unavailable");
    assert!(silent.stderr.contains("does not answer (within"), "{silent:?}");
    keyring.signal("CONT");
    history(&keyring).ok();

    // The entry is lost, and with it the profile: but for whoever has a copy, who can put it right.
    keyring.remove(&entry);
    let lost = history(&keyring);
    assert_eq!(error(&lost), "not_in_keyring");
    assert!(lost.stderr.contains(&entry) && lost.stderr.contains("no other way in"), "{lost:?}");
    let doctor = keyring.run(&ayşe, ["doctor", "--json", "--mute"]);
    assert!(
        doctor.code() == 1 && doctor.stdout.contains("no passphrase that opens the profile"),
        "{doctor:?}"
    );
    assert_eq!(error(&keyring.run(&ayşe, ["lock", "--remove", "--json"])), "not_in_keyring");
    let again = ["lock", "--keyring", "--passphrase-fd", "0"];
    keyring.run_with_stdin(&ayşe, again, &format!("{words}\n")).ok();
    history(&keyring).ok();
    assert!(keyring.entries()[0].1 != words, "another one was made up");
}

#[test]
fn another_way_of_sealing_takes_the_passphrase_out_of_the_keyring() {
    let (server, keyring) = (Server::start(), Keyring::start());
    let ayşe = Profile::register(&server, "ayşe");
    let own = |args: &[&str]| {
        let told = keyring.run_with_stdin(&ayşe, args, "kendi sözüm\n");
        told.ok();
        assert!(told.stderr.is_empty(), "{told:?}");
    };
    for set in ["--change", "--set"] {
        seal(&keyring, &ayşe);
        own(&["lock", set, "--new-passphrase-fd", "0"]);
        assert_eq!((keyring.entries(), ayşe.file("keyring").exists()), (vec![], false));
        assert_eq!(error(&keyring.run(&ayşe, ["history", "--json"])), "locked");
        with_copy(&ayşe, "kendi sözüm").ok();
        own(&["lock", "--remove", "--passphrase-fd", "0"]);
    }
    own(&["lock", "--set", "--new-passphrase-fd", "0"]);

    // For somebody who can't open the profile nothing is put in.
    let wrong = ["lock", "--keyring", "--json", "--passphrase-fd", "0"];
    assert_eq!(error(&keyring.run_with_stdin(&ayşe, wrong, "yanlış\n")), "wrong_passphrase");
    assert_eq!(keyring.entries(), []);
    own(&["lock", "--keyring", "--passphrase-fd", "0"]);
    let (before, _) = keyring.entries().remove(0);

    // Once more: another one, in the place of the one before.
    let (now, _) = seal(&keyring, &ayşe);
    assert_ne!(before, now);
    let removed = keyring.run(&ayşe, ["lock", "--remove", "--json"]).json();
    assert_eq!((&removed[0]["passphrase"], &removed[0]["keyring"]), (&false.into(), &false.into()));
    assert_eq!((keyring.entries(), ayşe.file("keyring").exists(), is_plain(&ayşe)), (vec![], false, true));
    ayşe.run(["history"]).ok();
}

/// Waits for a state of the profile's files. Fails when it takes too long.
fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !reached() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        give_way(Instant::now(), Duration::from_millis(1));
    }
}

#[test]
fn a_change_that_is_killed_leaves_a_profile_that_opens_and_nothing_behind() {
    let (server, keyring) = (Server::start(), Keyring::start());
    let ayşe = Profile::register(&server, "ayşe");
    ayşe.run(["history"]).ok();
    let there_is = |name: &str| ayşe.file(name).exists();
    let begun =
        || files(&ayşe.file("keys")).iter().any(|file| file.extension().is_some_and(|end| end == "next"));
    let is_sealed =
        || std::fs::read_to_string(ayşe.file("history.key")).is_ok_and(|key| key.starts_with("keyring "));
    let check = |after: &str| {
        keyring.run(&ayşe, ["history"]).ok();
        let kept = usize::from(!is_plain(&ayşe));
        assert_eq!(keyring.entries().len(), kept, "{after}");
        assert!(
            files(ayşe.home())
                .iter()
                .all(|file| file.extension().is_none_or(|extension| extension != "next")),
            "{after}"
        );
    };
    let points: [(&str, &dyn Fn() -> bool); 5] = [
        ("the entry is noted", &|| there_is("keyring")),
        ("the entry is there", &|| !keyring.entries().is_empty()),
        ("keys are sealed beside", &|| begun() || is_sealed()),
        ("files take each other's place", &|| there_is("relocking") || is_sealed()),
        ("all is sealed", &is_sealed),
    ];
    for (what, reached) in points {
        let mut sealing = keyring.start_on(&ayşe, ["lock", "--keyring"]);
        wait_until(what, reached);
        sealing.kill();
        check(what);
        if !is_plain(&ayşe) {
            keyring.run(&ayşe, ["lock", "--remove"]).ok();
        }
    }

    // Out of the keyring again: at any time, and when all is done but taking the passphrase out.
    let (_, words) = seal(&keyring, &ayşe);
    let mut removing = keyring.start_on(&ayşe, ["lock", "--remove"]);
    wait_until("keys are opened beside", || begun() || is_plain(&ayşe));
    removing.kill();
    check("keys were opened beside");
    if is_plain(&ayşe) {
        seal(&keyring, &ayşe);
    } else {
        with_copy(&ayşe, &words).ok();
    }
    let mut removing = keyring.start_on(&ayşe, ["lock", "--remove"]);
    wait_until("keys are opened beside", begun);
    keyring.signal("STOP");
    wait_until("the files are in their places", || is_plain(&ayşe) && !there_is("relocking"));
    removing.kill();
    ayşe.run(["history"]).ok();
    keyring.signal("CONT");
    check("the passphrase was not taken out");
    assert!(is_plain(&ayşe) && !ayşe.file("keyring").exists());
}

#[test]
fn locking_ends_all_that_runs_even_though_the_keyring_would_open_it_again() {
    let (server, keyring) = (Server::start(), Keyring::start());
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    seal(&keyring, &ayşe);
    let follow = ["receive", "--follow", "--json", "--mute"];
    let mut owner = Running::start(keyring.command(&ayşe, follow).stdin(Stdio::null()));
    burak.send("ayşe", "bir");
    assert!(owner.line().unwrap().contains("bir"));
    let mut guest = keyring.screen(&ayşe, &["chat", "burak", "--mute"]);
    guest.wait_for_cursor("you → burak> ");
    assert_eq!(keyring.run(&ayşe, ["lock", "--json"]).json()[0]["stopped"], true);
    let owner = owner.wait();
    assert_eq!((owner.code(), owner.stderr.contains("locked now")), (0, true), "{owner:?}");
    guest.wait_for("the profile is locked now");
    assert_eq!(guest.finish(), 0);
    let again = keyring.run(&ayşe, ["lock"]);
    assert!(again.ok().contains("nothing runs on the profile; the keyring opens it again"), "{again:?}");
    assert_eq!(keyring.run(&ayşe, ["history", "--json"]).json().len(), 1);
}
