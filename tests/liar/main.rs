//! A server that lies, in one way at a time: what the users of the real client see.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

#[path = "../support/liar.rs"]
mod liar;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod bombs;
mod connections;
mod log;
mod mail;
mod presence;
mod refused;

use bytes::Bytes;
use liar::{Line, Passing};
use serde_json::Value;
use support::{Profile, Server, schema};
use tellal::protocol::message::Push;

fn friends() -> (Server, Profile, Profile) {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    (server, ayşe, burak)
}

/// What is new to somebody whom this server serves: kind and text of each.
#[track_caller]
fn receive(profile: &Profile, server: &str) -> Vec<(String, String)> {
    let new = profile.run(["receive", "--json", "--server", server]).json();
    new.iter().for_each(schema::check_message);
    let word = |message: &Value, field: &str| message[field].as_str().unwrap_or_default().to_owned();
    new.iter().map(|message| (word(message, "kind"), word(message, "text"))).collect()
}

fn text(words: &str) -> (String, String) {
    ("text".to_owned(), words.to_owned())
}

fn notice(words: &str) -> (String, String) {
    ("notice".to_owned(), words.to_owned())
}

/// What a server does with what passes by.
type Lie = Box<dyn FnMut(Passing, &mut Line) + Send>;

/// Passes everything on but what comes from the mailbox, which it hands to this.
fn with_mail(
    mut lie: impl FnMut(Push, Bytes, &mut Line) + Send + 'static,
) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    move |passing, line| match passing {
        Passing::Down(push @ (Push::Delivery { .. } | Push::Drained { .. }), body) => lie(push, body, line),
        other => line.pass(other),
    }
}

/// The alarms among what is new.
#[track_caller]
fn alarm(profile: &Profile, server: &str) -> String {
    let new = receive(profile, server);
    let alarms: Vec<&String> =
        new.iter().map(|(_, text)| text).filter(|text| text.contains("ALARM: ")).collect();
    assert_eq!(alarms.len(), 1, "{new:?}");
    assert!(receive(profile, server).iter().all(|(kind, _)| kind != "notice"), "that is said once");
    alarms[0].clone()
}
