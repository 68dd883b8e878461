//! `tellal chat` without a terminal: what is piped into it is sent, and what it prints is what `docs/json.md` says.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Finished, Profile, Running, Server, TIMEOUT, schema};
use tellal::client::{Body, Client, Delivery, Options};
use tellal::model::Nickname;

/// The error that a command ended with, to programs.
fn error(finished: &Finished) -> Value {
    assert_eq!(finished.code(), 1, "{finished:?}");
    let object: Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
    schema::check(&object, &["error"]);
    assert!(schema::errors().contains(&object["error"].as_str().unwrap().to_owned()), "{object}");
    object
}

fn texts(received: Vec<(String, String)>) -> Vec<String> {
    received.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn lines_before_one_that_is_not_utf8_are_sent_and_the_error_says_which_it_is() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let stdin = b"m1\nm2\nm3\n\xff\nm5\n";
    for json in [true, false] {
        let args = ["chat", "burak", "--mute", "--json"];
        let ended = ayşe.run_with_stdin(&args[..if json { 4 } else { 3 }], stdin);
        if json {
            assert_eq!(error(&ended)["error"], "not_utf8");
        }
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.one_line().starts_with("tellal: line 4 of stdin is not UTF-8: "), "{ended:?}");
        assert_eq!(texts(burak.receive_texts()), ["m1", "m2", "m3"]);
    }
}

#[test]
fn what_could_not_be_sent_before_the_end_waits_and_programs_are_told() {
    let mut server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    // A key that is known already.
    ayşe.send("burak", "önce");
    server.stop();
    let ended = ayşe.run_with_stdin(["chat", "burak", "--mute", "--json"], b"sonra\nyine\n");
    assert_eq!(error(&ended)["error"], "queued");
    assert!(ended.stderr.contains("2 of the messages wait in the outbox"), "{ended:?}");
    let ended = ayşe.run_with_stdin(["chat", "burak", "--mute", "--json"], b"son\n\xff\n");
    assert_eq!(error(&ended)["error"], "not_utf8");
    assert!(ended.stderr.contains("1 of the messages wait in the outbox"), "{ended:?}");
    server.restart_on_same_port();
    ayşe.send("burak", "şimdi");
    assert_eq!(texts(burak.receive_texts()), ["önce", "sonra", "yine", "son", "şimdi"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_turned_to_has_what_is_new_of_them_shown() {
    let server = Server::start();
    let [ayşe, burak, zoé, 지민] =
        ["ayşe", "burak", "zoé", "지민"].map(|name| Profile::register(&server, name));
    for friend in [&burak, &zoé, &지민] {
        friend.send("ayşe", &format!("selam, {}", friend.name));
    }
    // It is here, and nothing has shown it.
    let client = Client::open(Options::new(ayşe.home())).await.unwrap();
    client.drain().await.unwrap();
    client.close().await;
    let talked = ayşe.run_with_stdin(["chat", "burak", "--mute", "--json"], "/to zoé\n/to zoé\n".as_bytes());
    let shown = talked.json();
    shown.iter().for_each(schema::check_message);
    let shown: Vec<&str> = shown.iter().map(|message| message["from"].as_str().unwrap()).collect();
    assert_eq!(shown, ["burak", "zoé"], "each once");
    assert_eq!(texts(ayşe.receive_texts()), ["selam, 지민"], "what was shown is not new any more");
}

#[test]
fn every_form_of_verify_prints_how_it_stands_then() {
    let server = Server::start();
    let [ayşe, _burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let mut talking =
        Running::start(ayşe.command(["chat", "burak", "--mute", "--json"]).stdin(Stdio::piped()));
    let mut stdin = talking.stdin().unwrap();
    let mut next = |line: &str| {
        writeln!(stdin, "{line}").unwrap();
        let safety: Value = serde_json::from_str(&talking.line().unwrap()).unwrap();
        schema::check(&safety, &["safety"]);
        safety
    };
    let shown = next("/verify");
    assert_eq!(shown["verified"], false);
    let number = shown["number"].as_str().unwrap();
    assert_eq!(next(&format!("/verify {number}"))["verified"], true);
    assert_eq!(next("/verify accept")["number"], *number);
}

/// More than a subscriber of events may leave unread before some are lost.
const MANY_EVENTS: usize = 1100;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reader_who_is_slow_does_not_keep_it_from_learning_that_everything_was_sent() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    // More than a pipe takes.
    for _ in 0..4 {
        ayşe.send("burak", &"uzun ".repeat(6_000));
    }
    burak.send("ayşe", "selam");
    let mut chat = ayşe
        .command(["chat", "burak", "--mute", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(chat.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.contains("selam"), "{first}");
    let mut stdin = chat.stdin.take().unwrap();
    stdin.write_all(b"m1\n/history 20\n").unwrap();
    drop(stdin);

    // Through the same process, as a command beside it.
    let beside = Client::open(Options::new(ayşe.home())).await.unwrap();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let newest = beside.history(None, None, 1).await.unwrap().pop().unwrap();
        let is_it = matches!(&newest.body, Body::Text { text } if text == "m1");
        if is_it && newest.delivery == Some(Delivery::Accepted) {
            break;
        }
        assert!(Instant::now() < deadline, "it is not sent: {newest:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let burak: Nickname = "burak".parse().unwrap();
    let number = beside.safety(&burak).await.unwrap().number;
    let mut verifying = tokio::task::JoinSet::new();
    for _ in 0..MANY_EVENTS {
        let (beside, burak, number) = (beside.clone(), burak.clone(), number.clone());
        verifying.spawn(async move { beside.verify(&burak, &number).await });
    }
    while let Some(verified) = verifying.join_next().await {
        verified.unwrap().unwrap();
    }
    beside.close().await;
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(chat.wait().unwrap().success(), "{}", rest.lines().last().unwrap_or_default());
    assert!(rest.lines().count() >= 5, "the history is printed");
}
