//! The client library against a real server in this process: delivery in both directions, offline, across
//! restarts of the server, through another process's profile, and what must be refused.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tellal::client::{
    Body, Client, ClientError, Command, Delivery, Event, Events, Message, MessageRef, Options, Registration,
    Reply, Role, VoiceNote, register,
};
use tellal::model::{Address, KeyId, MessageId, Nickname};
use tellal::{server, store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Server {
    address: SocketAddr,
    data: PathBuf,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(data: &Path) -> Self {
        Self::start_at(data, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn start_at(data: &Path, address: SocketAddr) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let identity = server::tls::from_folder(data).unwrap();
        let log = server::LogSigner::from_folder(data).unwrap();
        let store = store::sqlite::SqliteStore::open(data).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let options = server::Options::default();
            server::run(listener, store, identity, log, options, stopped).await.unwrap();
        });
        Self { address, data: data.to_owned(), stop, task }
    }

    async fn stop(self) -> (PathBuf, SocketAddr) {
        self.stop.cancel();
        self.task.await.unwrap();
        (self.data, self.address)
    }
}

/// A folder for a server and its clients.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn home(&self, who: &str) -> PathBuf {
        self.folder.path().join(who)
    }

    async fn server(&self) -> Server {
        Server::start(&self.home("server")).await
    }

    fn registration(&self, server: &Server, who: &str) -> Registration {
        Registration {
            home: self.home(who),
            server: server.address.to_string(),
            nickname: name(who),
            color: None,
            key_bits: 2048,
            invite: None,
            fingerprint: None,
        }
    }

    async fn join(&self, server: &Server, who: &str) -> Client {
        register(self.registration(server, who)).await.unwrap();
        self.open(who).await
    }

    async fn open(&self, who: &str) -> Client {
        Client::open(Options::new(self.home(who))).await.unwrap()
    }
}

fn name(text: &str) -> Nickname {
    text.parse().unwrap()
}

fn whom(text: &str) -> Address {
    text.parse().unwrap()
}

/// Nothing takes that long unless it fails.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it takes too long")
}

/// The next received message.
async fn received(events: &mut Events) -> Message {
    soon(async {
        loop {
            if let Event::Message(message) = events.next().await.unwrap() {
                return message;
            }
        }
    })
    .await
}

async fn send(from: &Client, to: &str, text: &str) -> Message {
    soon(async {
        let message = from.send_text(&whom(to), text).await.unwrap();
        from.accepted(message.id).await.unwrap();
        message
    })
    .await
}

fn words(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| match &message.body {
            Body::Text { text } => text.as_str(),
            Body::Voice { .. } => "(voice)",
            Body::Notice { text } => panic!("a notice: {text}"),
            Body::Invitation { room } => panic!("an invitation: {room}"),
        })
        .collect()
}

/// Bytes that compress badly and tell where they are wrong.
fn sound(size: usize) -> Vec<u8> {
    (0..size).map(|place| u8::try_from((place * 31 + place / 251) % 256).unwrap()).collect()
}

fn note(size: usize) -> VoiceNote {
    VoiceNote { wav: sound(size), duration_ms: 1000, sample_rate: 16_000, peaks: vec![1, 200, 3] }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_write_to_each_other() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    let (mut to_ayşe, mut to_burak) = (ayşe.events(), burak.events());

    let sent = send(&ayşe, "burak", "Merhaba, nasılsın?").await;
    let got = received(&mut to_burak).await;
    assert_eq!(got.body, Body::Text { text: "Merhaba, nasılsın?".to_owned() });
    assert_eq!((got.id, &got.from, &got.to), (sent.id, &name("ayşe"), &whom("burak")));
    assert!(got.seq.is_some() && got.delivery.is_none() && !got.late);
    send(&burak, "AYŞE", "İyiyim 안녕 你好").await;
    assert_eq!(words(&[received(&mut to_ayşe).await]), ["İyiyim 안녕 你好"]);

    let history = ayşe.history(Some(&whom("burak")), None, 10).await.unwrap();
    assert_eq!(words(&history), ["Merhaba, nasılsın?", "İyiyim 안녕 你好"]);
    assert_eq!(history.first().unwrap().delivery, Some(Delivery::Accepted));
    assert_eq!(burak.unread().await.unwrap(), [(whom("ayşe"), 1)]);
    burak.mark_shown(&[got.number]).await.unwrap();
    assert!(burak.unshown().await.unwrap().is_empty());

    let users = ayşe.users().await.unwrap();
    let seen: Vec<_> = users.iter().map(|user| (user.nickname.as_str(), user.online, user.me)).collect();
    assert_eq!(seen, [("ayşe", true, true), ("burak", true, false)]);
    assert!(users.iter().all(|user| user.warning.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_for_who_is_away_and_keeps_its_order() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    burak.close().await;
    let texts: Vec<String> = (0..40).map(|number| format!("number {number}")).collect();
    let mut last = None;
    for text in &texts {
        last = Some(ayşe.send_text(&whom("burak"), text).await.unwrap());
    }
    soon(ayşe.accepted(last.unwrap().id)).await.unwrap();
    let burak = world.open("burak").await;
    soon(burak.drain()).await.unwrap();
    assert_eq!(words(&burak.unshown().await.unwrap()), texts);
    // Everything is here: nothing more comes, and nothing again.
    soon(burak.drain()).await.unwrap();
    burak.close().await;
    let burak = world.open("burak").await;
    soon(burak.drain()).await.unwrap();
    assert_eq!(burak.unshown().await.unwrap().len(), texts.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_come_back_when_the_server_does() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    let (mut to_ayşe, mut to_burak) = (ayşe.events(), burak.events());
    send(&ayşe, "burak", "before").await;
    assert_eq!(words(&[received(&mut to_burak).await]), ["before"]);
    let (data, address) = server.stop().await;
    soon(async { while !matches!(to_ayşe.next().await.unwrap(), Event::Disconnected { .. }) {} }).await;
    // Written while there is no server: to someone known, and to someone never met.
    let known = ayşe.send_text(&whom("burak"), "meanwhile").await.unwrap();
    let unknown = ayşe.send_text(&whom("zoé"), "are you there?").await.unwrap();
    assert_eq!(known.delivery, Some(Delivery::Queued));
    assert!(matches!(soon(ayşe.users()).await, Err(ClientError::Unreachable { .. })));
    assert_eq!(ayşe.status().await.unwrap().queued, 2);

    let _server = Server::start_at(&data, address).await;
    soon(ayşe.accepted(known.id)).await.unwrap();
    assert_eq!(words(&[received(&mut to_burak).await]), ["meanwhile"]);
    let refused = soon(ayşe.accepted(unknown.id)).await;
    assert!(matches!(refused, Err(ClientError::Refused { reason }) if reason.contains("zoé")));
    send(&ayşe, "burak", "after").await;
    assert_eq!(words(&[received(&mut to_burak).await]), ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_notes_of_any_size_arrive_whole_and_in_their_place() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    let mut to_burak = burak.events();
    let sizes = [44, 48 * 1024, 48 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 1_000_000];
    for size in sizes {
        ayşe.send_voice(&whom("burak"), note(size)).await.unwrap();
        ayşe.send_text(&whom("burak"), "did you hear?").await.unwrap();
    }
    for size in sizes {
        let got = received(&mut to_burak).await;
        let Body::Voice { size: said, ref peaks, .. } = got.body else { panic!("out of order: {got:?}") };
        assert_eq!((said, peaks.as_slice()), (size as u64, &[1, 200, 3][..]));
        let (_, wav) = burak.audio(MessageRef::Number(got.number)).await.unwrap();
        assert!(wav == sound(size), "{size} bytes came out different");
        assert_eq!(words(&[received(&mut to_burak).await]), ["did you hear?"]);
    }
    let text = burak.audio(MessageRef::Number(2)).await;
    assert!(matches!(text, Err(ClientError::NotVoice)));
    let long = VoiceNote { duration_ms: 600_001, ..note(10) };
    assert!(matches!(ayşe.send_voice(&whom("burak"), long).await, Err(ClientError::TooLarge { .. })));
    assert!(matches!(
        ayşe.send_text(&whom("burak"), &"x".repeat(48 * 1024 + 1)).await,
        Err(ClientError::TooLarge { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opening_goes_through_the_first_and_outlives_it() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    ayşe.close().await;
    let open = |role| Client::open(Options { role, ..Options::new(world.home("ayşe")) });
    let owner = open(Role::Chat).await.unwrap();
    let guest = open(Role::Command).await.unwrap();
    assert!(matches!(open(Role::Chat).await, Err(ClientError::Busy { .. })));
    assert!(matches!(open(Role::Listen).await, Err(ClientError::Busy { .. })));
    let socket = std::fs::metadata(world.home("ayşe").join("owner.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);

    let (mut heard, mut to_burak) = (guest.events(), burak.events());
    send(&guest, "burak", "through the owner").await;
    assert_eq!(words(&[received(&mut to_burak).await]), ["through the owner"]);
    let voice = guest.send_voice(&whom("burak"), note(200_000)).await.unwrap();
    soon(guest.accepted(voice.id)).await.unwrap();
    let (_, wav) = guest.audio(MessageRef::Id(voice.id)).await.unwrap();
    assert!(wav == sound(200_000));
    send(&burak, "ayşe", "one").await;
    assert_eq!(words(&[received(&mut heard).await]), ["one"]);
    assert!(matches!(
        guest.send_text(&whom("nobody"), "hello?").await,
        Err(ClientError::UnknownNickname { .. })
    ));

    // The owner ends: the guest takes its place, and its subscribers miss nothing.
    owner.close().await;
    send(&burak, "ayşe", "two").await;
    assert_eq!(words(&[received(&mut heard).await]), ["two"]);
    send(&guest, "burak", "on my own").await;
    // And with the guest an owner, another chat may begin.
    let chat = soon(open(Role::Chat)).await.unwrap();
    assert_eq!(words(&chat.history(None, Some("own"), 1).await.unwrap()), ["on my own"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_the_same_message_twice_sends_it_once() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    let id = MessageId::generate();
    let command = Command::SendText { id, to: whom("burak"), text: "once".to_owned() };
    let first = ayşe.call(command.clone()).await.unwrap();
    let again = ayşe.call(command.clone()).await.unwrap();
    let (Reply::Message(first), Reply::Message(again)) = (first, again) else { panic!("another reply") };
    assert_eq!(first.number, again.number);
    soon(ayşe.accepted(id)).await.unwrap();
    let Reply::Message(later) = ayşe.call(command).await.unwrap() else { panic!("another reply") };
    assert_eq!(later.delivery, Some(Delivery::Accepted));
    send(&ayşe, "burak", "the end").await;
    soon(burak.drain()).await.unwrap();
    assert_eq!(words(&burak.unshown().await.unwrap()), ["once", "the end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_to_oneself_comes_back() {
    let world = World::new();
    let server = world.server().await;
    let ayşe = world.join(&server, "ayşe").await;
    let mut events = ayşe.events();
    send(&ayşe, "ayşe", "buy bread").await;
    let got = received(&mut events).await;
    assert_eq!((words(std::slice::from_ref(&got)), got.delivery.clone()), (vec!["buy bread"], None));
    let voice = ayşe.send_voice(&whom("ayşe"), note(100_000)).await.unwrap();
    let got = received(&mut events).await;
    assert_eq!(got.id, voice.id);
    let (_, wav) = ayşe.audio(MessageRef::Number(got.number)).await.unwrap();
    assert!(wav == sound(100_000));
    soon(ayşe.accepted(voice.id)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_than_the_expected_is_not_registered_with() {
    let world = World::new();
    let server = world.server().await;
    let expected = KeyId::new([9; 32]);
    let wrong = Registration { fingerprint: Some(expected), ..world.registration(&server, "ayşe") };
    let refused = register(wrong.clone()).await;
    let Err(ClientError::WrongFingerprint { found, .. }) = refused else { panic!("{refused:?}") };
    let right = Registration { fingerprint: Some(KeyId::from_fingerprint(&found).unwrap()), ..wrong };
    assert_eq!(register(right).await.unwrap().server_fingerprint, Some(found));

    // A server with another key in the same place is not talked to.
    let (_, address) = server.stop().await;
    let _other = Server::start_at(&world.home("impostor"), address).await;
    let ayşe = world.open("ayşe").await;
    let refused = soon(ayşe.send_text(&whom("burak"), "secret")).await;
    assert!(matches!(refused, Err(ClientError::WrongFingerprint { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_leaves_a_profile_that_can_take_another() {
    let world = World::new();
    let server = world.server().await;
    let _burak = world.join(&server, "burak").await;
    let taken = Registration { nickname: name("BURAK"), ..world.registration(&server, "ayşe") };
    let refused = register(taken).await;
    assert!(matches!(refused, Err(ClientError::NicknameTaken { .. })), "{refused:?}");
    let open = Client::open(Options::new(world.home("ayşe"))).await;
    assert!(matches!(open.err(), Some(ClientError::NotRegistered { .. })));
    let ayşe = world.join(&server, "ayşe").await;
    assert_eq!(ayşe.status().await.unwrap().nickname, name("ayşe"));
    let again = register(world.registration(&server, "ayşe")).await;
    assert!(matches!(again, Err(ClientError::AlreadyRegistered { .. })), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_broke_off_is_finished_by_the_next_one() {
    let world = World::new();
    let server = world.server().await;
    let registration = world.registration(&server, "ayşe");
    // As a crash after the server's answer and before the last write leaves it.
    let profile = world.home("ayşe").join("profile.json");
    let begun = soon(async {
        let task = tokio::spawn(register(registration.clone()));
        // The intent is on disk before anything is published; the copy is what a crash would leave.
        let begun = loop {
            match std::fs::read(&profile) {
                Ok(bytes) => break bytes,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        task.await.unwrap().unwrap();
        begun
    })
    .await;
    let finished = std::fs::read(&profile).unwrap();
    assert_ne!(begun, finished);
    std::fs::write(&profile, &begun).unwrap();
    assert!(Client::open(Options::new(world.home("ayşe"))).await.is_err());
    let status = register(registration.clone()).await.unwrap();
    assert_eq!(std::fs::read(&profile).unwrap(), finished, "the same account");
    let ayşe = world.open("ayşe").await;
    assert_eq!(ayşe.status().await.unwrap().account, status.account);
    send(&ayşe, "ayşe", "it works").await;
    ayşe.close().await;

    // Somebody who wants something else the second time keeps the account that there is: its keys are nowhere else.
    let begin_again = || std::fs::write(&profile, &begun).unwrap();
    for other in [
        Registration { nickname: name("zoé"), ..registration.clone() },
        Registration { key_bits: 3072, ..registration },
    ] {
        begin_again();
        let refused = register(other).await;
        assert!(
            matches!(&refused, Err(ClientError::AlreadyRegistered { nickname }) if *nickname == name("ayşe")),
            "{refused:?}"
        );
        assert_eq!(std::fs::read(&profile).unwrap(), finished, "the same account");
    }
    begin_again();
    register(world.registration(&server, "ayşe")).await.unwrap();
    send(&world.open("ayşe").await, "ayşe", "it works").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_message_key_is_replaced_and_senders_follow() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    send(&ayşe, "burak", "for the first key").await;
    burak.close().await;
    let path = world.home("burak").join("profile.json");
    let read = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path).unwrap()).unwrap();
    let mut profile = read();
    let first = profile["message_key"].clone();
    profile["message_key_from"] = "2026-01-01T00:00:00.000Z".into();
    std::fs::write(&path, profile.to_string()).unwrap();

    let burak = world.open("burak").await;
    let mut events = burak.events();
    soon(async {
        while read()["message_key"] == first {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // ayşe still has the first key; the server refuses it, and she wraps for the second.
    send(&ayşe, "burak", "for the second").await;
    while words(&[received(&mut events).await]) != ["for the second"] {}
    assert_eq!(words(&burak.unshown().await.unwrap()), ["for the first key", "for the second"]);
    assert_eq!(read()["replaced"][0]["key"], first);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_is_told() {
    let world = World::new();
    let server = world.server().await;
    let (ayşe, burak) = (world.join(&server, "ayşe").await, world.join(&server, "burak").await);
    burak.close().await;
    let mut events = ayşe.events();
    ayşe.watch_presence().await.unwrap();
    let burak = world.open("burak").await;
    let mut presence = async || {
        soon(async {
            loop {
                match events.next().await.unwrap() {
                    Event::Presence { nickname, online } if nickname == name("burak") => return online,
                    _ => {}
                }
            }
        })
        .await
    };
    assert!(presence().await || presence().await, "burak came");
    burak.close().await;
    assert!(!presence().await, "burak went");
}
