//! The transparency log: the real program against servers that lie, or whose data was tampered with. For each: what
//! its user sees.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod support;

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use signed_note::{Note, StandardVerifier, VerifierList};
use support::mail::carry_mail;
use support::people::{profile_json, user};
use support::screen::Screen;
use support::swap::database;
use support::{Profile, Server, schema};

const ROLLED_BACK: &str = "was rolled back";
const FORKED: &str = "two transparency logs that contradict each other";
const OWN_NAME: &str = "someone registered a key in your name";
const SECOND_CHAIN: &str = "a second account under the name of";
const NOT_IN_LOG: &str = "its transparency log does not have";
const LOG_LOST: &str = "no longer shows the transparency log";

/// What is new to somebody, as `receive --json` prints it: notices apart from the rest.
fn receive(profile: &Profile, server: &str) -> (Vec<String>, Vec<Value>) {
    let new = profile.run(["receive", "--json", "--server", server]).json();
    new.iter().for_each(schema::check_message);
    let (notices, others): (Vec<Value>, Vec<Value>) =
        new.into_iter().partition(|message| message["kind"] == "notice");
    (notices.iter().map(|notice| notice["text"].as_str().unwrap().to_owned()).collect(), others)
}

#[track_caller]
fn alarms(notices: &[String], expected: &[&str]) {
    let alarms: Vec<&String> = notices.iter().filter(|text| text.starts_with("ALARM: ")).collect();
    assert_eq!(alarms.len(), expected.len(), "{notices:?}");
    for what in expected {
        assert!(alarms.iter().any(|alarm| alarm.contains(what)), "{what}: {notices:?}");
    }
}

/// The warnings in `users --json`, by nickname.
fn warning(profile: &Profile, about: &str) -> Option<String> {
    user(profile, about)["warning"].as_str().map(str::to_owned)
}

/// `audit --json`: what it printed, and whether it was content.
fn audit(profile: &Profile, args: &[&str]) -> (Value, bool) {
    let done = profile.run([&["audit", "--json"], args].concat());
    let line = done.stdout.lines().next().unwrap_or_else(|| panic!("{done:?}"));
    let report: Value = serde_json::from_str(line).unwrap();
    schema::check(&report, &["audit"]);
    report["alarms"].as_array().unwrap().iter().for_each(|alarm| schema::check(alarm, &["alarm"]));
    (report, done.code() == 0)
}

fn kinds(report: &Value) -> Vec<String> {
    let alarms = report["alarms"].as_array().unwrap();
    alarms.iter().map(|alarm| alarm["alarm"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_message_key_is_no_entry_of_the_log_and_new_keys_for_everything_are_one() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let heads = || {
        [&ayşe, &burak].map(|who| {
            let (report, content) = audit(who, &[]);
            assert!(content, "{report}");
            (report["size"].as_u64().unwrap(), report["root"].clone())
        })
    };
    let before = heads();
    assert_eq!(before[0].0, 2);
    let key = profile_json(&ayşe)["message_key"].clone();
    ayşe.run(["rekey", "--message-key"]).ok();
    assert_ne!(profile_json(&ayşe)["message_key"], key);
    assert_eq!(heads(), before, "nothing of it is in the log");
    ayşe.run(["rekey"]).ok();
    assert_eq!(heads().map(|(size, _)| size), [3, 3]);
}

#[test]
fn the_log_holds_everybody_and_an_audit_of_it_all_is_content() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    for (profile, size) in [(&ayşe, 2), (&burak, 2)] {
        let (report, content) = audit(profile, &[]);
        assert!(content, "{report}");
        assert_eq!((&report["size"], &report["rechecked"]), (&size.into(), &true.into()));
    }
    ayşe.send("burak", "merhaba");
    let (notices, messages) = receive(&burak, &server.name());
    assert_eq!((notices.len(), messages[0]["text"].as_str()), (0, Some("merhaba")));
    Profile::register(&server, "지민");
    let said = ayşe.run(["audit"]);
    assert!(said.ok().starts_with("3 entries, verified anew, whole"), "{said:?}");
}

#[test]
fn a_log_rolled_back_from_a_backup_is_detected_and_named() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    server.stop();
    let backup = server.backup();
    server.restart_on_same_port();
    Profile::register(&server, "zoé");
    for profile in [&ayşe, &burak] {
        assert!(warning(profile, "zoé").is_none());
    }
    server.stop();
    server.restore(backup);
    alarms(&receive(&ayşe, &server.name()).0, &[ROLLED_BACK]);
    alarms(&receive(&ayşe, &server.name()).0, &[]);
    assert!(warning(&ayşe, "ayşe").unwrap().contains(ROLLED_BACK));
    assert!(ayşe.run(["users"]).ok().contains(ROLLED_BACK));
    let (report, content) = audit(&ayşe, &[]);
    assert_eq!((kinds(&report), content), (vec!["rolled_back".to_owned()], false));
    assert!(report["evidence"].as_array().unwrap().is_empty(), "an old checkpoint proves nothing by itself");

    // Live, in a conversation.
    let screen = Screen::start(&burak, &["chat", "ayşe", "--mute", "--color", "never"], &[]);
    screen.wait_for("ALARM: the server's transparency log was rolled back");

    // What comes from people whom the known log does not have waits for that.
    let 지민 = Profile::register(&server, "지민");
    지민.send("ayşe", "yeni geldim");
    let (notices, messages) = receive(&ayşe, &server.name());
    assert!(messages.is_empty(), "{messages:?}");
    assert!(notices.iter().any(|notice| notice.contains("waits on the server until the log is in order")));
    assert_eq!(receive(&ayşe, &server.name()).1.len(), 0);

    // Whoever knows what happened goes on.
    let (report, content) = audit(&ayşe, &["--accept"]);
    assert!(content, "{report}");
    assert_eq!((&report["size"], &report["alarms"][0]["accepted"]), (&3.into(), &true.into()));
    let (_, messages) = receive(&ayşe, &server.name());
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["text"], "yeni geldim");
    assert!(warning(&ayşe, "ayşe").is_none());
    Profile::register(&server, "小明");
    ayşe.send("小明", "merhaba");
}

#[test]
fn a_log_that_is_rolled_back_once_more_is_said_once_more() {
    let mut server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    server.stop();
    let backups = [server.backup(), server.backup()];
    server.restart_on_same_port();
    for (backup, name) in backups.into_iter().zip(["zoé", "지민"]) {
        Profile::register(&server, name);
        assert!(warning(&ayşe, name).is_none());
        server.stop();
        server.restore(backup);
        alarms(&receive(&ayşe, &server.name()).0, &[ROLLED_BACK]);
        let (report, content) = audit(&ayşe, &[]);
        assert_eq!((report["alarms"][0]["accepted"].clone(), content), (false.into(), false), "{report}");
        let (report, content) = audit(&ayşe, &["--accept"]);
        assert_eq!((report["size"].clone(), content), (1.into(), true), "{report}");
    }
}

#[test]
fn a_log_forked_for_two_people_shows_when_their_messages_cross_and_is_proven_to_both() {
    let mut one = Server::start();
    let (ayşe, burak) = (Profile::register(&one, "ayşe"), Profile::register(&one, "burak"));
    ayşe.send("burak", "merhaba");
    receive(&burak, &one.name());
    burak.send("ayşe", "selam");
    receive(&ayşe, &one.name());
    one.stop();
    let mut other = Server::start_in(one.backup());
    one.restart_on_same_port();

    // From here on each is shown a log of its own.
    Profile::register(&one, "zoé");
    Profile::register_at(&other.name(), "지민");
    alarms(&receive(&ayşe, &one.name()).0, &[]);
    alarms(&receive(&burak, &other.name()).0, &[]);
    ayşe.send("burak", "one");

    let mut cross = |back: bool| {
        one.stop();
        other.stop();
        let (from, to) = if back { (&other, &one) } else { (&one, &other) };
        carry_mail(from.data(), to.data());
        one.restart_on_same_port();
        other.restart_on_same_port();
        (one.name(), other.name())
    };
    // The message is shown. That its head is another one is nobody's fault yet.
    let (_, others) = cross(false);
    let (notices, messages) = receive(&burak, &others);
    assert_eq!(messages[0]["text"], "one");
    alarms(&notices, &[]);
    // burak's client has sent a signed checkpoint: with that, ayşe's has the proof.
    let (ones, _) = cross(true);
    let (notices, messages) = receive(&ayşe, &ones);
    alarms(&notices, &[FORKED]);
    assert!(messages.is_empty(), "what clients say to each other about the log is not shown: {messages:?}");
    // And sends it to burak's.
    let (_, others) = cross(false);
    alarms(&receive(&burak, &others).0, &[FORKED]);

    assert!(warning(&ayşe, "ayşe").unwrap().contains(FORKED));
    let file = ayşe.file("evidence.json");
    let (report, content) = audit(&ayşe, &["--export", file.to_str().unwrap()]);
    assert_eq!((kinds(&report), content), (vec!["forked".to_owned()], false));
    check_evidence(&std::fs::read_to_string(&file).unwrap());
    // What was proven is not proven again.
    alarms(&receive(&ayşe, &ones).0, &[]);
}

#[test]
fn two_who_have_the_proof_stop_proving_it_to_each_other() {
    let mut one = Server::start();
    let (ayşe, burak) = (Profile::register(&one, "ayşe"), Profile::register(&one, "burak"));
    one.stop();
    let mut other = Server::start_in(one.backup());
    one.restart_on_same_port();
    // Two logs of one size: each of the two can compute the proof.
    Profile::register(&one, "zoé");
    Profile::register_at(&other.name(), "지민");
    alarms(&receive(&ayşe, &one.name()).0, &[]);
    alarms(&receive(&burak, &other.name()).0, &[]);
    other.stop();

    let follow =
        |profile: &Profile| profile.start(["receive", "--follow", "--mute", "--server", &one.name()]);
    let mut screens = [follow(&ayşe), follow(&burak)];
    ayşe.send("burak", "one");
    burak.send("ayşe", "two");
    for (screen, text) in screens.iter_mut().zip(["two", "one"]) {
        let (mut alarmed, mut came) = (false, false);
        while !(alarmed && came) {
            let line = screen.line().expect("it goes on");
            alarmed |= line.contains(FORKED);
            came |= line.ends_with(text);
        }
    }
    let sent = |server: &Server| -> i64 {
        let database = database(server.data());
        database.query_row("SELECT COUNT(*) FROM envelope", [], |row| row.get(0)).unwrap()
    };
    // Time enough for many more of them.
    for number in 0..10 {
        let text = format!("text {number}");
        for (profile, to, screen) in [(&ayşe, "burak", 1), (&burak, "ayşe", 0)] {
            profile.send(to, &text);
            while !screens[screen].line().expect("it goes on").ends_with(&text) {}
        }
    }
    // Beside the texts: each asks the other at most twice, with the heads of its two texts under the two logs.
    let words = sent(&one) - 22;
    assert!((1..=8).contains(&words), "{words}");
}

/// A stranger's check of exported evidence, with the libraries of other logs alone.
fn check_evidence(text: &str) {
    let exported: Value = serde_json::from_str(text).unwrap();
    let key = exported["log_key"].as_str().unwrap();
    let evidence = &exported["evidence"][0];
    schema::check(evidence, &["evidence"]);
    let head = |field: &str| {
        let verifier = StandardVerifier::new(key).unwrap();
        let note = Note::from_bytes(evidence[field].as_str().unwrap().as_bytes()).unwrap();
        note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        (checkpoint.size(), *checkpoint.hash())
    };
    let ((smaller, signed), (larger, root)) = (head("smaller"), head("larger"));
    let hash = |text: &Value| tlog_tiles::Hash::parse_hash(text.as_str().unwrap()).unwrap();
    let prefix = hash(&evidence["root"]);
    let proof = evidence["proof"].as_array().unwrap().iter().map(hash).collect();
    tlog_tiles::check_tree(&proof, larger, root, smaller, prefix).unwrap();
    assert!(prefix != signed, "the two agree");
}

#[test]
fn a_server_that_goes_over_to_another_log_convicts_itself() {
    let mut one = Server::start();
    let (ayşe, burak) = (Profile::register(&one, "ayşe"), Profile::register(&one, "burak"));
    one.stop();
    let mut other = Server::start_in(one.backup());
    one.restart_on_same_port();
    Profile::register(&one, "zoé");
    assert!(warning(&ayşe, "ayşe").is_none());
    Profile::register_at(&other.name(), "지민");
    Profile::register_at(&other.name(), "小明");
    alarms(&receive(&ayşe, &other.name()).0, &[FORKED]);
    let (report, _) = audit(&ayşe, &[]);
    assert_eq!(kinds(&report), ["forked"]);
    check_evidence(&report.to_string());
    // Who has seen nothing of the first log has nothing against the second.
    alarms(&receive(&burak, &other.name()).0, &[]);
    other.stop();
}

#[test]
fn a_second_registration_in_ones_own_name_alarms_its_owner_and_everybody_else() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    burak.send("ayşe", "merhaba");
    receive(&ayşe, &server.name());
    server.stop();
    let changed =
        database(server.data()).execute("UPDATE account SET nickname = 'eski' WHERE nickname = 'ayşe'", []);
    assert_eq!(changed, Ok(1));
    server.restart_on_same_port();
    let impostor = Profile::register(&server, "ayşe");

    alarms(&receive(&ayşe, &server.name()).0, &[OWN_NAME, SECOND_CHAIN]);
    let said = warning(&ayşe, "ayşe").unwrap();
    assert!(said.contains(OWN_NAME), "{said}");
    let notices = receive(&burak, &server.name()).0;
    assert!(
        notices.iter().any(|text| text.contains("a second account under the name of ayşe")),
        "{notices:?}"
    );
    assert!(warning(&burak, "ayşe").unwrap().contains(SECOND_CHAIN));
    let (report, content) = audit(&burak, &[]);
    assert!(!content && kinds(&report).contains(&"second_chain".to_owned()), "{report}");
    // Even somebody new finds out, before anything is sent to either.
    let zoé = Profile::register(&server, "zoé");
    let done = zoé.run(["send", "ayşe", "--json", "--", "merhaba"]);
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.stdout.contains("not_in_log"), "{done:?}");
    assert!(impostor.run(["receive", "--json"]).json().iter().all(|message| message["kind"] == "notice"));
}

/// Puts an account of one server into another one's directory under its name, but not into its log.
fn smuggle(from: &Path, to: &Path, nickname: &str) {
    let to = database(to);
    to.execute("UPDATE account SET nickname = 'eski' WHERE nickname = ?1", [nickname]).unwrap();
    to.execute("ATTACH ?1 AS other", [from.join("server.db").to_str().unwrap()]).unwrap();
    to.execute_batch(&format!(
        "INSERT INTO account (id, nickname) SELECT id, nickname FROM other.account WHERE nickname = '{nickname}';
         INSERT INTO account_record SELECT * FROM other.account_record;
         INSERT INTO device (id, account) SELECT id, account FROM other.device;
         INSERT INTO message_key SELECT * FROM other.message_key;"
    ))
    .unwrap();
}

#[test]
fn keys_that_the_log_does_not_have_are_refused_and_nothing_is_sent_to_them() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let mut elsewhere = Server::start();
    Profile::register(&elsewhere, "burak");
    server.stop();
    elsewhere.stop();
    smuggle(elsewhere.data(), server.data(), "burak");
    server.restart_on_same_port();

    let done = ayşe.run(["send", "burak", "--", "merhaba"]);
    assert!(done.failure().contains("gave out keys for burak"), "{done:?}");
    alarms(&receive(&ayşe, &server.name()).0, &[NOT_IN_LOG]);
    assert!(warning(&ayşe, "burak").unwrap().contains(NOT_IN_LOG));
    let (report, content) = audit(&ayşe, &[]);
    assert!(!content && kinds(&report).contains(&"not_in_log".to_owned()), "{report}");
    assert!(receive(&burak, &server.name()).1.is_empty());
    let mail: i64 =
        database(server.data()).query_row("SELECT COUNT(*) FROM envelope", [], |row| row.get(0)).unwrap();
    assert_eq!(mail, 0, "nothing was sent to anybody");
}

#[test]
fn a_log_under_another_key_is_not_taken_for_the_known_one() {
    let mut server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    assert!(warning(&ayşe, "ayşe").is_none());
    server.stop();
    std::fs::remove_file(server.data().join("log-key.pem")).unwrap();
    server.restart_on_same_port();
    alarms(&receive(&ayşe, &server.name()).0, &[LOG_LOST]);
    let (report, content) = audit(&ayşe, &[]);
    assert_eq!((kinds(&report), content), (vec!["log_lost".to_owned()], false));
    // The server's own key has signed for both: that is proof, should it say that nothing has changed.
    let proven = &report["two_log_keys"][0];
    schema::check(proven, &["two_log_keys"]);
    assert_eq!(proven["one"], report["log_certificate"], "{report}");
    for field in ["one", "other"] {
        let fingerprint = proven[field]["log_fingerprint"].as_str().unwrap();
        assert!(report["alarms"][0]["text"].as_str().unwrap().contains(fingerprint), "{report}");
    }
    let other = proven["other"].clone();

    // Whoever knows what happened goes on, with the other key.
    let (report, content) = audit(&ayşe, &["--accept"]);
    assert!(content, "{report}");
    assert_eq!((&report["size"], &report["alarms"][0]["accepted"]), (&1.into(), &true.into()));
    assert_eq!(report["log_certificate"], other);
    let said = ayşe.run(["audit"]);
    let fingerprint = other["log_fingerprint"].as_str().unwrap();
    assert!(
        said.ok().contains(&format!("log key {fingerprint}, which the server's key SHA256:")),
        "{said:?}"
    );
    assert!(warning(&ayşe, "ayşe").is_none());
    Profile::register(&server, "burak");
    ayşe.send("burak", "merhaba");
}

#[test]
fn a_profile_of_before_the_log_pins_its_key_and_audits_all_of_it() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    let path = ayşe.file("profile.json");
    let mut profile: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let pinned = profile.as_object_mut().unwrap().remove("log_certificate").unwrap();
    std::fs::write(&path, profile.to_string()).unwrap();
    let (report, content) = audit(&ayşe, &[]);
    assert!(content && report["size"] == 1, "{report}");
    let profile: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(profile["log_certificate"], pinned);
}

#[test]
fn a_server_killed_between_a_leaf_and_its_checkpoint_loses_neither() {
    let mut server = Server::start();
    let watcher = Profile::register(&server, "ayşe");
    for round in 0..4 {
        let name = format!("kişi{round}");
        let profile = Profile::new(&server, &name);
        let args = ["register", &name, "--key-bits", "2048", "--server", &profile.server];
        let mut registering = profile.start(args);
        if round == 0 {
            // Killed when the answer has come: there is a leaf, and nobody has asked for a checkpoint.
            assert!(registering.line().is_some());
        } else {
            // Not for readiness: the fault comes at any time.
            thread::sleep(Duration::from_millis(150 * round));
        }
        server.kill();
        registering.wait();
        server.restart_on_same_port();
        let again = profile.run(args);
        assert!(again.code() == 0 || again.stderr.contains("already registered"), "{again:?}");
        for auditor in [&watcher, &profile] {
            let (report, content) = audit(auditor, &[]);
            assert!(content, "{report}");
            assert_eq!((&report["size"], &report["rechecked"]), (&(round + 2).into(), &true.into()));
        }
    }
}
