//! The examples do what they say.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Profile, Running, Server, wav};
use tellal::client::{Body, Client, Options};

#[test]
fn the_bot_says_back_what_it_is_told_and_voice_notes_too() {
    let built =
        Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "echo_bot"]).status().unwrap();
    assert!(built.success());
    let bot = Path::new(env!("CARGO_BIN_EXE_tellal")).with_file_name("examples").join("echo_bot");
    let server = Server::start();
    let (ayşe, echo) = (Profile::register(&server, "ayşe"), Profile::register(&server, "echo"));
    ayşe.send("echo", "önceden yazılmış");
    let mut running = Running::start(Command::new(bot).arg(echo.home()));
    assert_eq!(running.line().as_deref(), Some("I am echo"));
    let said = || ayşe.run(["receive", "--wait", "60", "--json"]).json();
    assert_eq!(said()[0]["text"], "önceden yazılmış");
    ayşe.send("echo", "안녕하세요 👋");
    assert_eq!(said()[0]["text"], "안녕하세요 👋");
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::rising(6)).unwrap();
    ayşe.run(["voice", "echo", "--file", note.to_str().unwrap()]).ok();
    let back = said();
    assert_eq!((&back[0]["kind"], &back[0]["duration_ms"]), (&"voice".into(), &6_000.into()));
    let saved = ayşe.file("back.wav");
    ayşe.run(["play", "last", "--save", saved.to_str().unwrap()]).ok();
    assert!(std::fs::read(saved).unwrap() == std::fs::read(note).unwrap(), "the same sound");
    // One that is heard while it is spoken is said back once it has ended.
    let samples: Vec<i16> = (0..16_000).map(|at| (at * 7 % 32_749) as i16).collect();
    let speak = async {
        let speaker = Client::open(Options::new(ayşe.home())).await.unwrap();
        let mut live = speaker.begin_live(&"echo".parse().unwrap()).await.unwrap();
        live.push(&samples[..6_400]).await.unwrap();
        // The bot has the beginning of it.
        speaker.send_text(&"echo".parse().unwrap(), "nasıl?").await.unwrap();
        let mut events = speaker.events();
        while !speaker
            .unshown()
            .await
            .unwrap()
            .iter()
            .any(|message| matches!(message.body, Body::Text { .. }))
        {
            events.next().await.unwrap();
        }
        live.push(&samples[6_400..]).await.unwrap();
        live.finish().await.unwrap();
        speaker.close().await;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { tokio::time::timeout(support::TIMEOUT, speak).await.unwrap() });
    assert_eq!(said()[0]["text"], "nasıl?");
    let back = said();
    assert_eq!((&back[0]["kind"], &back[0]["duration_ms"]), (&"voice".into(), &1_000.into()));
    running.signal("INT");
    running.wait().ok();
}
