//! Rooms that change while something is on its way to them: what was written first is shown first, nothing is missed, nothing
//! that was accepted counts as refused, and nothing more is made for whoever has gone.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

#[path = "support/liar.rs"]
mod liar;
#[path = "support/raw.rs"]
mod raw;
mod support;

#[path = "support/rooms.rs"]
mod rooms;

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use liar::{Liar, Line, Passing};
use rooms::{garden, invite, leave, room, with_options};
use support::{Profile, Server, TIMEOUT, wav};
use tellal::client::{Client, Options, VoiceNote};
use tellal::model::{Address, BlobId, Conversation, MessageId, Recipient, RosterId};
use tellal::protocol::message::{Answer, Push, RefusalCode, Request, Verb};

/// What is new in #garden, but for what is said there of who comes and goes: texts, and what is missed.
#[track_caller]
fn texts(profile: &Profile) -> Vec<String> {
    let new = profile.receive();
    let here = new.iter().filter(|message| message["to"] == "room:garden");
    let words = here.map(|message| message["text"].as_str().unwrap_or("(sound)").to_owned());
    let told = ["invited", "joined", "left", "removed", "accepted change"];
    words.filter(|text| !told.iter().any(|word| text.contains(word))).collect()
}

/// Where one's own messages to #garden stand.
fn states(profile: &Profile) -> Vec<String> {
    let history = profile.run(["history", "--json"]).json();
    let own =
        history.iter().filter(|message| !message["delivery"].is_null() && message["to"] == "room:garden");
    own.map(|message| message["delivery"]["state"].as_str().unwrap().to_owned()).collect()
}

fn to_garden() -> Address {
    "#garden".parse().unwrap()
}

fn note() -> VoiceNote {
    VoiceNote { wav: wav::tone(100_000), duration_ms: 6_250, sample_rate: 16_000, peaks: vec![1] }
}

/// Options for whom this liar stands in front of the server.
fn through(liar: &Liar, profile: &Profile) -> Options {
    Options { server: Some(liar.name.clone()), ..Options::new(profile.home()) }
}

/// Waits until something is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "it never is so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many are in #garden, as this profile knows.
async fn until_in_it(client: &Client, count: usize) {
    until(async || {
        let rooms = client.rooms().await.unwrap();
        rooms[0].members.iter().filter(|member| member.joined).count() == count
    })
    .await;
}

/// Brings what waits to the server; all of it leaves, or is given up.
fn send_what_waits(options: Options) {
    with_options(options, async |client| {
        client.drain().await.unwrap();
        until(async || client.status().await.unwrap().queued == 0).await;
    });
}

/// Somebody comes or goes, in a process of their own, before this returns.
fn by(home: &Path, work: impl AsyncFnOnce(&Client) + Send + 'static) {
    let home = home.to_owned();
    std::thread::spawn(move || with_options(Options::new(home), work)).join().unwrap();
}

/// A submission to a room.
fn submission(passing: &Passing) -> Option<(u32, MessageId, RosterId, &[Recipient])> {
    let Passing::Up(Request { number, verb: Verb::Submit { message, conversation, recipients, .. } }, _) =
        passing
    else {
        return None;
    };
    let Conversation::Room { roster, .. } = conversation else { return None };
    Some((*number, *message, *roster, recipients))
}

/// Sends a note and a text, and has the room change while the note is brought to the server, which the sender knows before
/// it is there. The blobs that were made for it, and the chunks that were put.
fn send_note_across(
    server: &Server,
    sender: &Profile,
    then: usize,
    change: impl FnOnce() + Send + 'static,
) -> (usize, usize) {
    let mut change = Some(change);
    let mut held: Option<Passing> = None;
    let seen: Arc<Mutex<(HashSet<BlobId>, usize)>> = Arc::default();
    let put = seen.clone();
    let liar = Liar::start(server, &[sender], move |passing, line| {
        if let Passing::Up(Request { verb: Verb::PutChunk { blob, .. }, .. }, _) = &passing {
            let mut put = put.lock().unwrap();
            put.0.insert(*blob);
            put.1 += 1;
            if let Some(change) = change.take() {
                change();
                held = Some(passing);
                return;
            }
        }
        if let Passing::Up(Request { verb: Verb::ListAccounts { .. }, .. }, _) = &passing {
            held.take().into_iter().for_each(|held| line.pass(held));
        }
        line.pass(passing);
    });
    with_options(through(&liar, sender), async |client| {
        let first = client.send_voice(&to_garden(), note()).await.unwrap().id;
        until_in_it(client, then).await;
        let second = client.send_text(&to_garden(), "sonra").await.unwrap().id;
        // At that the chunk goes on.
        client.users().await.unwrap();
        client.accepted(first).await.unwrap();
        client.accepted(second).await.unwrap();
    });
    let seen = seen.lock().unwrap();
    (seen.0.len(), seen.1)
}

#[test]
fn a_note_that_was_on_its_way_as_somebody_joined_is_brought_once_and_shown_before_what_came_after_it() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    let zoé = Profile::register(&server, "zoé");
    invite(&ayşe, "garden", "zoé");
    zoé.receive();
    let home = zoé.home().to_owned();
    let (blobs, chunks) = send_note_across(&server, &ayşe, 3, move || {
        by(&home, async |client| drop(client.join_room(&room("garden"), None, None).await.unwrap()));
    });
    assert_eq!((blobs, chunks), (1, wav::tone(100_000).len().div_ceil(65_536)));
    for member in [&burak, &zoé] {
        assert_eq!(texts(member), ["(sound)", "sonra"], "{}", member.name);
        let copy = member.file("copy.wav");
        member.run(["play", "last", "--force", "--save", copy.to_str().unwrap()]).ok();
        assert!(std::fs::read(&copy).unwrap() == wav::tone(100_000));
    }
    assert_eq!(states(&ayşe), ["accepted"; 2]);
}

#[test]
fn a_note_that_was_on_its_way_as_somebody_left_is_sealed_with_another_key() {
    let (server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    let home = burak.home().to_owned();
    let (blobs, _) = send_note_across(&server, &ayşe, 2, move || {
        by(&home, async |client| drop(client.leave_room(&room("garden"), None).await.unwrap()));
    });
    assert_eq!(blobs, 2);
    assert_eq!(texts(&지민), ["(sound)", "sonra"]);
    assert_eq!(texts(&burak), Vec::<String>::new());
    assert_eq!(states(&ayşe), ["accepted"; 2]);
}

#[test]
fn what_is_refused_for_now_is_not_overtaken_though_the_room_changes_before_it_is_repeated() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    let zoé = Profile::register(&server, "zoé");
    invite(&ayşe, "garden", "zoé");
    zoé.receive();
    let home = zoé.home().to_owned();
    let (mut first, mut refused, mut joined) = (None, false, false);
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| {
        match submission(&passing) {
            Some((number, message, ..)) if first.is_none() => {
                first = Some((number, message));
                return;
            }
            Some((_, message, ..)) if first.is_some_and(|(_, one)| one == message) && !joined => {
                by(&home, async |client| drop(client.join_room(&room("garden"), None, None).await.unwrap()));
                joined = true;
            }
            _ => {}
        }
        // What goes to others does not wait for a room.
        if let Passing::Up(Request { verb: Verb::Submit { conversation, .. }, .. }, _) = &passing
            && matches!(conversation, Conversation::Account(_))
            && !refused
        {
            let (number, _) = first.unwrap();
            let code = RefusalCode::KeySuperseded;
            line.tell(&Push::Refusal { number, code, retry_after: None }, b"");
            refused = true;
        }
        line.pass(passing);
    });
    with_options(through(&liar, &ayşe), async |client| {
        let mut sent = Vec::new();
        for text in ["bir", "iki", "üç"] {
            sent.push(client.send_text(&to_garden(), text).await.unwrap().id);
        }
        client.send_text(&"burak".parse().unwrap(), "selam").await.unwrap();
        for id in sent {
            client.accepted(id).await.unwrap();
        }
    });
    for member in [&burak, &zoé] {
        assert_eq!(texts(member), ["bir", "iki", "üç"], "{}", member.name);
    }
    assert_eq!(states(&ayşe), ["accepted"; 3]);
}

/// Writes to #garden and breaks off before the server's word has come; whether the server has it, the lie decides.
fn break_off(
    server: &Server,
    sender: &Profile,
    text: &str,
    mut lie: impl FnMut(&Sender<()>, Passing, &mut Line) + Send + 'static,
) {
    let (tell, told) = channel();
    let liar = Liar::start(server, &[sender], move |passing, line| lie(&tell, passing, line));
    let mut sending = sender.start(["send", "#garden", text, "--server", &liar.name]);
    told.recv_timeout(TIMEOUT).unwrap();
    sending.kill();
}

/// The server has it; its word is lost.
fn take(tell: &Sender<()>, passing: Passing, line: &mut Line) {
    match &passing {
        Passing::Down(Push::Reply { answer: Answer::Accepted { .. }, .. }, _) => tell.send(()).unwrap(),
        _ => line.pass(passing),
    }
}

/// The server does not have it.
fn lose(tell: &Sender<()>, passing: Passing, line: &mut Line) {
    match submission(&passing) {
        Some(_) => tell.send(()).unwrap(),
        None => line.pass(passing),
    }
}

/// The sender meets everybody's keys, and knows that so many are in #garden; nothing to it leaves meanwhile.
fn learn(server: &Server, sender: &Profile, count: usize) {
    let liar = Liar::start(server, &[sender], |passing, line| {
        if submission(&passing).is_none() {
            line.pass(passing);
        }
    });
    with_options(through(&liar, sender), async |client| {
        client.users().await.unwrap();
        until_in_it(client, count).await;
    });
}

/// Those who had wraps, and those who had none, in each submission to a room.
type Submitted = Receiver<(RosterId, usize, usize)>;

/// Stands in front of the server and looks.
fn look(server: &Server, sender: &Profile) -> (Liar, Submitted) {
    let (tell, told) = channel();
    let liar = Liar::start(server, &[sender], move |passing, line| {
        if let Some((_, _, roster, recipients)) = submission(&passing) {
            let with = recipients.iter().filter(|recipient| !recipient.wraps.is_empty()).count();
            tell.send((roster, with, recipients.len() - with)).unwrap();
        }
        line.pass(passing);
    });
    (liar, told)
}

fn counts(submitted: &Submitted) -> Vec<(usize, usize)> {
    submitted.try_iter().map(|(_, with, without)| (with, without)).collect()
}

#[test]
fn nothing_is_wrapped_for_whoever_has_gone_since() {
    let (server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    break_off(&server, &ayşe, "bir", lose);
    leave(&burak, "garden").unwrap();
    learn(&server, &ayşe, 2);
    let (liar, submitted) = look(&server, &ayşe);
    send_what_waits(through(&liar, &ayşe));
    // As it was sealed, which the server might have; then for who is left.
    assert_eq!(counts(&submitted), [(1, 1), (1, 0)]);
    drop(liar);
    assert_eq!(texts(&지민), ["bir"]);
    assert_eq!(texts(&burak), Vec::<String>::new());
}

#[test]
fn what_the_server_has_counts_as_accepted_though_everybody_has_gone_since() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    break_off(&server, &ayşe, "bir", take);
    leave(&burak, "garden").unwrap();
    learn(&server, &ayşe, 1);
    let (liar, submitted) = look(&server, &ayşe);
    send_what_waits(through(&liar, &ayşe));
    assert_eq!(counts(&submitted), [(0, 1)], "all it is asked is whether it has it");
    assert_eq!(states(&ayşe), ["accepted"]);
}

#[test]
fn what_the_server_has_counts_as_accepted_though_nobody_can_be_written_to_by_now() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    break_off(&server, &ayşe, "bir", take);
    burak.run(["rekey"]).ok();
    learn(&server, &ayşe, 2);
    let (liar, submitted) = look(&server, &ayşe);
    send_what_waits(through(&liar, &ayşe));
    assert_eq!(counts(&submitted), [(0, 1)], "all it is asked is whether it has it");
    assert_eq!(states(&ayşe), ["accepted"]);
}

#[test]
fn what_the_server_has_not_waits_until_somebody_can_be_written_to() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    break_off(&server, &ayşe, "bir", lose);
    burak.run(["rekey"]).ok();
    learn(&server, &ayşe, 2);
    let (liar, submitted) = look(&server, &ayşe);
    with_options(through(&liar, &ayşe), async |client| {
        client.drain().await.unwrap();
        until(async || !counts(&submitted).is_empty()).await;
        assert_eq!(client.status().await.unwrap().queued, 1);
    });
    drop(liar);
    ayşe.run(["verify", "burak", "--accept-change"]).ok();
    send_what_waits(Options::new(ayşe.home()));
    assert_eq!(states(&ayşe), ["accepted"]);
    assert_eq!(texts(&burak), ["bir"]);
}
