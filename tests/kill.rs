//! Power cuts: the server and the clients are killed (SIGKILL) at random points while messages are under way,
//! and started again. What was accepted is stored once by its receiver, in order for each sender; nothing
//! that was accepted, and nothing that waited in an outbox, is lost.
//!
//! Each test prints its seed; `TELLAL_SEED=N` repeats it.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod support;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Profile, Running, Server, wav};

/// Who is killed, and how often.
#[derive(Clone, Copy, Default)]
struct Kills {
    server: u32,
    /// The process that owns each sender's profile, and with it the connection.
    sender: u32,
    receiver: u32,
    /// Of the one-shot commands, one in so many is killed before it is done; 0: none.
    command: u32,
}

/// What became of one sender's messages, by their numbers.
#[derive(Default)]
struct Sent {
    /// `send` returned: the server had it.
    accepted: Vec<(u32, String)>,
    /// `send` said that it waits in the outbox.
    queued: Vec<u32>,
}

/// At least so many; senders go on until everybody was killed who is to be.
const MESSAGES: u32 = 24;

/// One in so many is a voice note of several chunks.
const NOTES: u32 = 6;

/// Frames of the shortest note: it takes four chunks. A note's length says its number.
const FRAMES: u32 = 100_000;

#[test]
fn nothing_accepted_is_lost_when_the_server_is_killed() {
    storm(Kills { server: 6, ..Kills::default() });
}

#[test]
fn nothing_accepted_is_lost_when_the_receiver_is_killed() {
    storm(Kills { receiver: 8, ..Kills::default() });
}

#[test]
fn nothing_accepted_is_lost_when_the_senders_are_killed() {
    storm(Kills { sender: 5, command: 4, ..Kills::default() });
}

#[test]
fn nothing_accepted_is_lost_when_everybody_is_killed() {
    storm(Kills { server: 3, sender: 3, receiver: 3, command: 6 });
}

fn seed() -> u64 {
    let seed = std::env::var("TELLAL_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or_else(rand::random)
}

fn storm(kills: Kills) {
    let seed = seed();
    println!("TELLAL_SEED={seed}");
    let server = Server::start();
    let senders = ["ayşe", "지민"].map(|name| Profile::register(&server, name));
    let burak = Profile::register(&server, "burak");
    let server = Mutex::new(server);
    let sending = AtomicBool::new(true);
    let [by_sender, by_receiver, by_server] =
        [kills.sender, kills.receiver, kills.server].map(|kills| kills > 0);
    let killing = usize::from(by_sender) * senders.len() + usize::from(by_receiver) + usize::from(by_server);
    let killing = AtomicUsize::new(killing);
    let sent = thread::scope(|scope| {
        let mut workers = Vec::new();
        for (place, profile) in senders.iter().enumerate() {
            let random = StdRng::seed_from_u64(seed ^ (place as u64 + 1));
            let (sending, killing) = (&sending, &killing);
            workers.push(scope.spawn(move || send_messages(profile, kills.command, killing, random)));
            let random = StdRng::seed_from_u64(seed ^ (place as u64 + 11));
            scope.spawn(move || keep_killing(profile, kills.sender, sending, killing, random));
        }
        let random = StdRng::seed_from_u64(seed ^ 21);
        let (sending, killing, burak, server) = (&sending, &killing, &burak, &server);
        scope.spawn(move || keep_killing(burak, kills.receiver, sending, killing, random));
        scope.spawn(move || {
            let mut random = StdRng::seed_from_u64(seed ^ 31);
            for left in (0..kills.server).rev() {
                // Not for readiness: the fault comes at a random time.
                thread::sleep(Duration::from_millis(random.random_range(50..900)));
                assert!(sending.load(Ordering::Acquire), "nobody was sending");
                server.lock().unwrap().restart_on_same_port();
                killed(left, killing);
            }
        });
        let sent: Vec<Sent> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        sending.store(false, Ordering::Release);
        sent
    });
    // What still waits in an outbox leaves before this, in order.
    for sender in &senders {
        sender.send("burak", "the end");
    }
    burak.receive();
    let history = burak.run(["history", "--json", "--limit", "10000"]).json();
    for (sender, sent) in senders.iter().zip(&sent) {
        check(&sender.name, sent, &history);
    }
    for message in history.iter().filter(|message| message["kind"] == "voice") {
        let (id, copy) = (message["id"].as_str().unwrap(), burak.file("copy.wav"));
        burak.run(["play", id, "--force", "--save", copy.to_str().unwrap()]).ok();
        assert!(std::fs::read(&copy).unwrap() == wav::tone(frames(message)), "{message} arrived changed");
    }
}

/// Sends numbered messages one after the other, until everybody was killed as often as is meant; some of the commands
/// are killed half-way.
fn send_messages(profile: &Profile, command_kills: u32, killing: &AtomicUsize, mut random: StdRng) -> Sent {
    let mut sent = Sent::default();
    let note = profile.file("note.wav");
    for number in (0..).take_while(|number| *number < MESSAGES || killing.load(Ordering::Acquire) > 0) {
        let text = format!("{number}");
        let args = if number % NOTES == NOTES - 1 {
            std::fs::write(&note, wav::tone(FRAMES + number)).unwrap();
            ["voice", "burak", "--file", note.to_str().unwrap()]
        } else {
            ["send", "burak", "--", &text]
        };
        if command_kills > 0 && random.random_ratio(1, command_kills) {
            let mut running = profile.start(args);
            // Not for readiness: the fault comes at a random time.
            thread::sleep(Duration::from_millis(random.random_range(0..120)));
            running.kill();
            continue;
        }
        let done = profile.run(args);
        match done.code() {
            0 => sent.accepted.push((number, done.ok().to_owned())),
            1 if done.stderr.contains("waits") => sent.queued.push(number),
            _ => panic!("{done:?}"),
        }
    }
    sent
}

/// Keeps a process on a profile that holds its connection, and kills it at random times.
fn keep_killing(
    profile: &Profile,
    kills: u32,
    sending: &AtomicBool,
    killing: &AtomicUsize,
    mut random: StdRng,
) {
    let start = || -> Running { profile.start(["receive", "--follow", "--json"]) };
    for left in (0..kills).rev() {
        let mut owner = start();
        // As above.
        thread::sleep(Duration::from_millis(random.random_range(50..700)));
        assert!(sending.load(Ordering::Acquire), "nobody was sending");
        owner.kill();
        killed(left, killing);
    }
    let _owner = start();
    while sending.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Somebody was killed and will be so many times more.
fn killed(left: u32, killing: &AtomicUsize) {
    if left == 0 {
        killing.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The frames of a note of 16-bit samples, out of its file's size.
fn frames(note: &serde_json::Value) -> u32 {
    (note["size"].as_u64().unwrap() as u32 - wav::tone(0).len() as u32) / 2
}

fn number(message: &serde_json::Value) -> Option<u32> {
    match message["kind"].as_str().unwrap() {
        "voice" => Some(frames(message) - FRAMES),
        _ => message["text"].as_str().unwrap().parse().ok(),
    }
}

fn check(sender: &str, sent: &Sent, history: &[serde_json::Value]) {
    let from: Vec<&serde_json::Value> =
        history.iter().filter(|message| message["from"] == sender && message["kind"] != "notice").collect();
    let notices: Vec<_> = history.iter().filter(|message| message["kind"] == "notice").collect();
    assert!(notices.is_empty(), "a gap or a fork was announced: {notices:?}");
    let mut ids = HashMap::new();
    for message in &from {
        *ids.entry(message["id"].as_str().unwrap()).or_insert(0) += 1;
    }
    for (number, id) in &sent.accepted {
        assert_eq!(ids.get(id.as_str()), Some(&1), "{sender} {number}, accepted as {id}");
    }
    let numbers: Vec<u32> = from.iter().filter_map(|message| number(message)).collect();
    let mut once = numbers.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), numbers.len(), "{sender}: not once each: {numbers:?}");
    for number in &sent.queued {
        assert!(numbers.contains(number), "{sender} {number} waited in the outbox and is gone: {numbers:?}");
    }
    // What a killed command had begun may come after what a later one said: it never had its place confirmed.
    let confirmed = |number: &&u32| {
        sent.queued.contains(number) || sent.accepted.iter().any(|(accepted, _)| accepted == *number)
    };
    let confirmed: Vec<&u32> = numbers.iter().filter(confirmed).collect();
    assert!(confirmed.is_sorted(), "{sender}: not in order: {numbers:?}");
    assert_eq!(from.last().map(|message| &message["text"]), Some(&"the end".into()));
}
