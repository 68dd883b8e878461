//! Blocking: what a blocked sender submits is accepted and dropped, the sender can't tell, and nobody is told of
//! a gap.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

mod support;

#[path = "support/raw.rs"]
mod raw;

use raw::{Person, Raw, Served};
use serde_json::Value;
use support::{Profile, Server};
use tellal::model::{KeyId, MessageId};
use tellal::protocol::message::{Answer, RefusalCode, Verb};

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["text"].as_str().unwrap()).collect()
}

#[test]
fn what_a_blocked_sender_writes_is_dropped_and_no_gap_is_shown_for_it() {
    let server = Server::start();
    let people = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    let [ayşe, burak, zoé] = &people;
    ayşe.send("burak", "bir");
    assert_eq!(texts(&burak.receive()), ["bir"]);

    let said = burak.run(["block", "Ayşe"]);
    assert!(said.ok().contains("is blocked") && said.stderr.is_empty(), "{said:?}");
    let json = burak.run(["block", "ayşe", "--json"]).json();
    assert_eq!(
        json,
        [serde_json::json!({ "kind": "block", "nickname": "ayşe", "blocked": true, "told": true })]
    );
    // To ayşe all is as before: an id each, exit code 0, nothing on stderr, and no sign in the history.
    for text in ["iki", "üç"] {
        let sent = ayşe.run(["--mute", "send", "burak", text]);
        assert!(sent.ok().len() == 36 && sent.stderr.is_empty(), "{sent:?}");
    }
    let history = ayşe.run(["history", "--json"]).json();
    assert!(history.iter().all(|message| message["delivery"]["state"] == "accepted"), "{history:?}");
    zoé.send("burak", "bonjour");
    assert_eq!(texts(&burak.receive()), ["bonjour"]);
    let users = burak.run(["users", "--json"]).json();
    let blocked: Vec<_> =
        users.iter().filter(|user| user["blocked"] == true).map(|user| &user["nickname"]).collect();
    assert_eq!(blocked, ["ayşe"]);
    let listed = burak.run(["users"]);
    assert!(listed.ok().lines().any(|line| line.starts_with("ayşe") && line.contains("blocked")));
    // Writing to somebody who is blocked works.
    burak.send("ayşe", "selam");
    assert_eq!(texts(&ayşe.receive()), ["selam"]);

    burak.run(["unblock", "ayşe"]).ok();
    ayşe.send("burak", "dört");
    ayşe.send("burak", "beş");
    assert_eq!(texts(&burak.receive()), ["dört", "beş"], "no word of what was dropped");
    let users = burak.run(["users", "--json"]).json();
    assert!(users.iter().all(|user| user["blocked"] == false), "{users:?}");
}

#[test]
fn a_voice_note_of_a_blocked_sender_is_dropped_too_and_somebody_new_can_be_blocked() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    burak.run(["block", "ayşe"]).ok();
    let note = ayşe.file("note.wav");
    std::fs::write(&note, support::wav::tone(60_000)).unwrap();
    ayşe.run(["voice", "burak", "--mute", "--file", note.to_str().unwrap()]).ok();
    ayşe.send("burak", "bir");
    assert_eq!(burak.receive(), [] as [Value; 0]);
    burak.run(["unblock", "ayşe"]).ok();
    ayşe.send("burak", "iki");
    assert_eq!(texts(&burak.receive()), ["iki"]);

    let nobody = burak.run(["block", "nobody"]);
    assert!(nobody.failure().contains("nobody is called"), "{nobody:?}");
    let myself = burak.run(["block", "burak"]);
    assert!(myself.failure().contains("that is you"), "{myself:?}");
    burak.run(["unblock", "ayşe"]).ok();
}

#[test]
fn a_block_holds_at_once_and_the_server_hears_of_it_later() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "bir");
    assert_eq!(texts(&burak.receive()), ["bir"]);
    ayşe.send("burak", "accepted before the block");
    server.kill();
    let said = burak.run(["block", "ayşe"]);
    assert!(said.ok().contains("is blocked"), "{said:?}");
    assert!(said.one_line().contains("when it next is"), "{said:?}");
    server.restart_on_same_port();
    assert_eq!(burak.receive(), [] as [Value; 0], "what came before the server knew is not shown either");
    ayşe.send("burak", "dropped at the server");
    // Known to the server: also a client that knows nothing of the block gets nothing.
    burak.run(["unblock", "ayşe"]).ok();
    assert_eq!(burak.receive(), [] as [Value; 0]);
    ayşe.send("burak", "son");
    assert_eq!(texts(&burak.receive()), ["son"]);
}

#[test]
fn chat_blocks_and_takes_it_back() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "bir");
    assert_eq!(texts(&burak.receive()), ["bir"]);
    let mut chat =
        support::Running::start(burak.command(["chat", "ayşe"]).stdin(std::process::Stdio::piped()));
    let mut typed = chat.stdin().unwrap();
    use std::io::Write as _;
    typed.write_all("/block ayşe\n".as_bytes()).unwrap();
    // Told to the server when a message does not come through any more.
    let deadline = std::time::Instant::now() + support::TIMEOUT;
    while !burak.run(["users"]).ok().contains("blocked") {
        assert!(std::time::Instant::now() < deadline);
    }
    typed.write_all("/unblock ayşe\n/quit\n".as_bytes()).unwrap();
    drop(typed);
    let finished = chat.wait();
    assert!(finished.stderr.contains("ayşe is blocked"), "{finished:?}");
    ayşe.send("burak", "iki");
    assert_eq!(texts(&burak.receive()), ["iki"]);
}

#[tokio::test]
async fn a_blocked_sender_is_answered_like_any_other() {
    let served = Served::start().await;
    let people = ["ayşe", "burak", "zoé"].map(Person::new);
    let [ayşe, burak, zoé] = &people;
    let mut sender = Raw::register(served.address, ayşe).await;
    let mut blocker = Raw::register(served.address, burak).await;
    let mut friend = Raw::register(served.address, zoé).await;
    let block = Verb::Block { account: ayşe.account() };
    assert_eq!(blocker.ask(block.clone(), b"").await, Ok(Answer::Done));
    assert_eq!(blocker.ask(block, b"").await, Ok(Answer::Done), "again");
    let myself = Verb::Block { account: burak.account() };
    assert_eq!(blocker.ask(myself, b"").await, Err(RefusalCode::Invalid));
    let nobody = Verb::Block { account: Person::new("nobody").account() };
    assert_eq!(blocker.ask(nobody, b"").await, Err(RefusalCode::UnknownRecipient));

    // The same requests of one who is blocked and one who is not have the same answers.
    let mut answers = Vec::new();
    for raw in [&mut sender, &mut friend] {
        let message = MessageId::generate();
        let mut superseded = burak.mailbox();
        superseded.wraps[0].key = KeyId::new([9; 32]);
        let wrong = Verb::Submit {
            message: MessageId::generate(),
            conversation: burak.account().into(),
            recipients: vec![superseded],
            blobs: vec![],
        };
        let mut of_one = Vec::new();
        for (verb, body) in [
            (burak.submit(message), &b"one"[..]),
            (burak.submit(message), b"one"),
            (burak.submit(message), b"other"),
            (wrong, b"x"),
            (burak.submit(MessageId::generate()), b"two"),
        ] {
            let answer = raw.ask(verb, body).await;
            of_one.push(answer.map(|answer| matches!(answer, Answer::Accepted { .. })));
        }
        answers.push(of_one);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        answers[0],
        [Ok(true), Ok(true), Err(RefusalCode::NameReused), Err(RefusalCode::KeySuperseded), Ok(true)]
    );
    let mail = blocker.read_mailbox(None).await;
    assert_eq!(mail.iter().map(|(_, body)| &body[..]).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(mail[1].0.seq, 2, "seq has no hole that would tell of it");
}
