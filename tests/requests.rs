//! What is asked too often: each request is refused for now by its type, and a client waits and goes on.

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

use std::time::Duration;

use raw::{Person, Raw, Served};
use support::{Profile, TIMEOUT, wav};
use tellal::model::{BlobId, MessageId, RoomId, Signed};
use tellal::protocol::message::{Answer, RefusalCode, Verb};
use tellal::server::Limits;

/// A number out of the server's database.
fn sqlite_number(served: &Served, query: &str) -> u64 {
    let connection = rusqlite::Connection::open(served.folder.path().join("server.db")).unwrap();
    let number: i64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
    number.try_into().unwrap()
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_whatever_they_ask() {
    let limits = Limits { requests: 3, changes: 2, ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let (ayşe, burak) = (Person::new("ayşe"), Person::new("burak"));
    let mut raw = Raw::register(served.address, &ayşe).await;
    let mut other = Raw::register(served.address, &burak).await;
    let blob = BlobId::new([1; 32]);
    for _ in 0..3 {
        assert!(raw.ask(Verb::StatBlob { blob }, b"").await.is_ok());
    }
    let questions = [
        Verb::LookUpName { nickname: "burak".parse().unwrap() },
        Verb::LookUpAccount { account: burak.account() },
        Verb::ListAccounts { after: None },
        Verb::Subscribe { after: None },
        Verb::PutChunk { blob, index: 0 },
        Verb::StatBlob { blob },
        Verb::FetchChunk { blob, index: 0 },
        Verb::WatchPresence,
        Verb::AwaitChunk { device: burak.device(), blob, index: 0 },
        Verb::ReadLog { from: 0 },
        Verb::ProveLeaf { nickname: "burak".parse().unwrap(), size: 1 },
        Verb::ProveGrowth { from: 1, to: 2 },
        Verb::ReadRoom { room: RoomId::new([1; 32]), from: 0 },
    ];
    // Also on another connection of the same account.
    let mut raw = [raw, Raw::login(served.address, &ayşe).await].into_iter().last().unwrap();
    for verb in questions {
        let (code, retry_after) = raw.refusal(verb.clone(), b"x").await;
        assert_eq!(code, RefusalCode::Limited, "{verb:?}");
        assert!((1..=60_001).contains(&retry_after.unwrap()), "{verb:?}: {retry_after:?}");
    }
    // Changes are counted for themselves.
    for verb in [Verb::Block { account: burak.account() }, Verb::Unblock { account: burak.account() }] {
        assert_eq!(raw.ask(verb, b"").await, Ok(Answer::Done));
    }
    let record = || Signed { body: vec![1].into(), signature: vec![2].into() };
    let changes = [
        Verb::Block { account: burak.account() },
        Verb::Unblock { account: burak.account() },
        Verb::SealBlob { blob, chunks: 1 },
        Verb::DropBlob { blob },
        Verb::PublishMessageKey { record: record() },
        Verb::PublishRecord { record: record(), message_key: None },
        Verb::PublishRoomRecord { record: record() },
    ];
    for verb in changes {
        let (code, retry_after) = raw.refusal(verb.clone(), b"").await;
        assert_eq!(code, RefusalCode::Limited, "{verb:?}");
        assert!((1..=60_001).contains(&retry_after.unwrap()), "{verb:?}: {retry_after:?}");
    }
    // What is none of these goes on, and so does everybody else.
    assert_eq!(raw.ask(Verb::Ping, b"").await, Ok(Answer::Done));
    assert!(raw.ask(burak.submit(MessageId::generate()), b"x").await.is_ok());
    assert_eq!(other.read_mailbox(None).await.len(), 1);
}

#[tokio::test]
async fn who_acknowledges_without_end_is_heard_for_the_furthest() {
    let served = Served::start_limited(Limits { requests: 10, ..Limits::default() }).await;
    let (ayşe, burak) = (Person::new("ayşe"), Person::new("burak"));
    let mut sending = Raw::register(served.address, &ayşe).await;
    let mut reading = Raw::register(served.address, &burak).await;
    for _ in 0..20 {
        assert!(sending.ask(burak.submit(MessageId::generate()), b"x").await.is_ok());
    }
    let mail = reading.read_mailbox(None).await;
    for round in 0..3_000 {
        // Back and forth.
        let (position, _) = mail[(round * 7) % 19];
        reading.send(Verb::Acknowledge { position }, b"").await;
    }
    assert_eq!(reading.ask(Verb::Ping, b"").await, Ok(Answer::Done), "he is not held up by it");
    // The last word counts too, however soon he goes.
    for place in [3, 19] {
        reading.send(Verb::Acknowledge { position: mail[place].0 }, b"").await;
    }
    drop(reading);
    let deadline = std::time::Instant::now() + TIMEOUT;
    loop {
        let kept = sqlite_number(&served, "SELECT count(*) FROM mailbox");
        if kept == 0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{kept} of 20 are kept still");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_too_often_waits_and_loses_nothing() {
    let limits = Limits { requests: 16, changes: 1, minute: Duration::from_secs(3), ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let (ayşe, burak) = (Profile::register_at(&address, "ayşe"), Profile::register_at(&address, "burak"));
        // They stay connected: what is refused to them is asked again by themselves.
        let mut reading = burak.start(["receive", "--follow", "--mute", "--json"]);
        let _writing = ayşe.start(["receive", "--follow", "--mute", "--json"]);
        let note = ayşe.file("note.wav");
        std::fs::write(&note, wav::tone(900_000)).unwrap();
        let mut waited = false;
        for text in ["bir", "iki"] {
            ayşe.run(["--mute", "send", "burak", text]).ok();
            let sent = ayşe.run(["voice", "burak", "--mute", "--file", note.to_str().unwrap()]);
            sent.ok();
            waited |= sent.stderr.contains("waits: ");
        }
        assert!(waited, "28 chunks fit into 16 requests");
        let kinds: Vec<String> = std::iter::from_fn(|| reading.line())
            .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap())
            .map(|message| message["kind"].as_str().unwrap().to_owned())
            .take(4)
            .collect();
        assert_eq!(kinds, ["text", "voice", "text", "voice"]);
        let saved = burak.file("got.wav");
        burak.run(["play", "last", "--save", saved.to_str().unwrap()]).ok();
        assert_eq!(std::fs::read(saved).unwrap(), std::fs::read(note).unwrap());
        // Two at once: the server takes one, and the other one when it may.
        for name in ["burak", "ayşe"] {
            let who = if name == "burak" { &ayşe } else { &burak };
            who.run(["block", name]).ok();
            who.run(["unblock", name]).ok();
            who.run(["block", name]).ok();
        }
        served
    });
    let served = done.await.unwrap();
    let deadline = std::time::Instant::now() + TIMEOUT;
    while sqlite_number(&served, "SELECT count(*) FROM block") < 2 {
        assert!(std::time::Instant::now() < deadline, "the server never learns of a block");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_key_that_is_refused_for_now_is_said_to_be_and_is_published_later() {
    let limits = Limits { changes: 1, minute: Duration::from_secs(8), ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let ayşe = Profile::register_at(&address, "ayşe");
        let renew = ["rekey", "--message-key", "--json"];
        let deadline = std::time::Instant::now() + TIMEOUT;
        while ayşe.run(renew).code() == 0 {
            assert!(std::time::Instant::now() < deadline, "it is never refused");
        }
        assert_eq!(ayşe.run(["users"]).code(), 0, "only that has to wait");
        loop {
            let finished = ayşe.run(renew);
            if finished.code() == 0 {
                break;
            }
            let last: serde_json::Value =
                serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
            assert_eq!(last["error"], "limited", "{finished:?}");
            assert!(std::time::Instant::now() < deadline, "it is never taken");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    done.await.unwrap();
}
