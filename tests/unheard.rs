//! What was to be heard and was not is kept until it has been, however the process ends. Without any sound.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use support::{Profile, Running, Server, schema};

/// A command of somebody's who has no speech service.
fn silent(profile: &Profile, args: &[&str]) -> Command {
    let mut command = profile.command(args);
    command.env("XDG_RUNTIME_DIR", profile.home()).env("HOME", profile.home());
    command
}

/// What is not heard yet, as the next process has it.
fn unheard(profile: &Profile, from: &[&str]) -> Vec<String> {
    let args = [&["listen", "--unread"], from, &["--mute", "--json"]].concat();
    let messages = Running::start(&mut silent(profile, &args)).wait().json();
    messages.iter().for_each(schema::check_message);
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_killed_process_has_kept_back_is_there_for_the_next_in_order_and_by_person() {
    let server = Server::start();
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    // All day, and all night.
    let quiet = ["listen", "--mute", "--json", "--quiet", "00:00-23:59"];
    let mut listen = Running::start(&mut silent(&burak, &quiet));
    ayşe.send("burak", "one");
    zoé.send("burak", "two");
    ayşe.send("burak", "three");
    (0..3).for_each(|_| drop(listen.line().unwrap()));
    // Once this is shown, those before it count as shown.
    zoé.send("burak", "four");
    assert!(listen.line().unwrap().contains("four"));
    listen.kill();
    let new: Vec<String> = burak.receive_texts().into_iter().map(|(_, text)| text).collect();
    assert!(new.is_empty() || new == ["four"], "{new:?}");
    assert_eq!(unheard(&burak, &["zoé"])[0], "two");
    assert_eq!(unheard(&burak, &["ayşe"]), ["one", "three"]);
    // There is nothing to hear them with: they stay.
    assert_eq!(unheard(&burak, &[])[..3], ["one", "two", "three"]);
    assert_eq!(unheard(&burak, &[])[..3], ["one", "two", "three"]);
    // What begins to listen is told of them.
    let (mut listen, told) = Running::start_with_stderr(&mut silent(&burak, &quiet));
    let line = told.recv_timeout(support::TIMEOUT).unwrap();
    assert!(line.contains("from before not heard yet: `tellal listen --unread`"), "{line}");
    listen.kill();
}

#[test]
fn in_a_conversation_what_was_not_heard_of_whom_one_talks_to_is_told_of() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let mut chat = silent(&burak, &["chat", "ayşe", "--mute", "--json"]);
    let (mut chat, told) = Running::start_with_stderr(chat.stdin(Stdio::piped()));
    let mut stdin = chat.stdin().unwrap();
    stdin.write_all("/speak on\n".as_bytes()).unwrap();
    while !told.recv_timeout(support::TIMEOUT).unwrap().contains("what arrives is read aloud") {}
    ayşe.send("burak", "merhaba");
    assert!(chat.line().unwrap().contains("merhaba"));
    while !told.recv_timeout(support::TIMEOUT).unwrap().contains("no speech service answers") {}
    stdin.write_all("/unread\n".as_bytes()).unwrap();
    let unread = serde_json::from_str::<Value>(&chat.line().unwrap()).unwrap();
    schema::check(&unread, &["unread"]);
    let counts = [&unread["nickname"], &unread["count"], &unread["unheard"]];
    assert_eq!(counts, [&"ayşe".into(), &0.into(), &Value::from(1)]);
    // Also to whoever begins to listen.
    stdin.write_all("/speak on\n".as_bytes()).unwrap();
    while !told
        .recv_timeout(support::TIMEOUT)
        .unwrap()
        .contains("not heard yet: ayşe 1; /unread ayşe reads it")
    {}
    drop(stdin);
    chat.wait().ok();
}

#[test]
fn what_was_only_shown_is_not_to_be_heard() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "merhaba");
    assert_eq!(burak.receive_texts().len(), 1);
    assert_eq!(unheard(&burak, &[]), Vec::<String>::new());
}
