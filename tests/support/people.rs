//! People on a server: what they are told, and what their profiles show and hold.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Finished, Profile, Server, schema};

/// A server, and two people who are registered there and have never written to each other.
pub fn strangers() -> (Server, Profile, Profile) {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    (server, ayşe, burak)
}

/// The same who know each other's keys: each has read something of the other's.
pub fn friends() -> (Server, Profile, Profile) {
    let (server, ayşe, burak) = strangers();
    for (from, to, text) in [(&ayşe, &burak, "merhaba"), (&burak, &ayşe, "selam")] {
        from.send(&to.name, text);
        assert_eq!(texts(&to.receive()), [text]);
    }
    (server, ayşe, burak)
}

/// The texts among messages.
pub fn texts(messages: &[Value]) -> Vec<&str> {
    let texts = messages.iter().filter(|message| message["kind"] == "text");
    texts.map(|message| message["text"].as_str().unwrap()).collect()
}

/// What is new to somebody whom this server serves: notices, and the texts of messages.
#[track_caller]
pub fn receive(profile: &Profile, server: &str) -> (Vec<String>, Vec<String>) {
    let new = profile.run(["receive", "--json", "--server", server]).json();
    new.iter().for_each(schema::check_message);
    let (notices, messages): (Vec<&Value>, Vec<&Value>) =
        new.iter().partition(|message| message["kind"] == "notice");
    let texts = |of: Vec<&Value>| of.iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect();
    (texts(notices), texts(messages))
}

/// How many notices say this.
pub fn count(notices: &[String], what: &str) -> usize {
    notices.iter().filter(|notice| notice.contains(what)).count()
}

/// Somebody, as `users --json` shows them.
#[track_caller]
pub fn user(profile: &Profile, name: &str) -> Value {
    let users = profile.run(["users", "--json"]).json();
    users.iter().for_each(|user| schema::check(user, &["user"]));
    users.into_iter().find(|user| user["nickname"] == name).expect("that user")
}

/// What `profile.json` holds.
pub fn profile_json(profile: &Profile) -> Value {
    serde_json::from_slice(&std::fs::read(profile.file("profile.json")).unwrap()).unwrap()
}

/// The files of a folder and of those in it.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.is_file());
    files.chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

/// The error that a command that must have failed printed last with `--json`: exit code 1.
#[track_caller]
pub fn error(finished: &Finished) -> Value {
    assert_eq!(finished.code(), 1, "{finished:?}");
    let error: Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
    schema::check(&error, &["error"]);
    let code = error["error"].as_str().unwrap();
    assert!(schema::errors().iter().any(|listed| listed == code), "{code}");
    error
}

/// Its code.
#[track_caller]
pub fn error_code(finished: &Finished) -> String {
    error(finished)["error"].as_str().unwrap().to_owned()
}
