//! Voice notes that are heard while they are spoken, between client cores and a real server process: what comes
//! when, what is kept of it when something fails, and what is refused. With microphones: `tests/live_sound.rs`.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::future::Future;
use std::io::Cursor;
use std::net::SocketAddr;

use support::{Profile, Server, TIMEOUT};
use tellal::client::{
    Body, Client, ClientError, Delivery, Event, Events, LiveNote, LiveSound, Message, MessageRef, Options,
};
use tellal::model::Nickname;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Samples in a group: 400 ms.
const GROUP: usize = 6_400;

fn name(text: &str) -> Nickname {
    text.parse().unwrap()
}

async fn open(profile: &Profile) -> Client {
    Client::open(Options::new(profile.home())).await.unwrap()
}

async fn open_at(profile: &Profile, server: SocketAddr) -> Client {
    let options = Options { server: Some(server.to_string()), ..Options::new(profile.home()) };
    Client::open(options).await.unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, work).await.expect("it takes too long")
}

/// Samples that are nowhere twice the same.
fn spoken(from: usize, count: usize) -> Vec<i16> {
    (from..from + count).map(|at| (at * 7 % 65_521) as u16 as i16).collect()
}

/// Says so many groups more.
async fn say(note: &mut LiveNote, from: usize, groups: usize) {
    for group in from..from + groups {
        note.push(&spoken(group * GROUP, GROUP)).await.unwrap();
    }
}

/// Waits for the next note that begins.
async fn begun(events: &mut Events) -> Message {
    soon(async {
        loop {
            if let Event::Message(message) = events.next().await.unwrap() {
                match message.body {
                    Body::Voice { .. } => return message,
                    other => panic!("{other:?}"),
                }
            }
        }
    })
    .await
}

/// Waits until a note has ended.
async fn ended(events: &mut Events) -> Message {
    soon(async {
        loop {
            if let Event::LiveEnded(message) = events.next().await.unwrap() {
                return message;
            }
        }
    })
    .await
}

/// Hears on until there are so many samples.
async fn hear(sound: &mut LiveSound, heard: &mut Vec<i16>, until: usize) {
    soon(async {
        while heard.len() < until {
            heard.extend(sound.next().await.unwrap().expect("it has not ended"));
        }
    })
    .await;
}

/// Hears on to the end.
async fn hear_out(sound: &mut LiveSound, heard: &mut Vec<i16>) {
    soon(async {
        while let Some(samples) = sound.next().await.unwrap() {
            heard.extend(samples);
        }
    })
    .await;
}

/// A note as any other, sample for sample.
async fn assert_whole(client: &Client, note: &Message, samples: &[i16], cut_off_there: bool) {
    let (message, wav) = client.audio(MessageRef::Id(note.id)).await.unwrap();
    let Body::Voice { duration_ms, sample_rate, size, ref peaks, live, cut_off, .. } = message.body else {
        panic!("{message:?}")
    };
    assert_eq!((live, cut_off, sample_rate, peaks.len()), (false, cut_off_there, 16_000, 64));
    assert_eq!(size, wav.len() as u64);
    assert_eq!(duration_ms, (samples.len() as u64 * 1000).div_ceil(16_000));
    let reader = hound::WavReader::new(Cursor::new(wav)).unwrap();
    let stored: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
    assert!(stored == samples, "{} samples, not those {} that were spoken", stored.len(), samples.len());
}

/// The server's way out can be cut and mended.
struct Way {
    address: SocketAddr,
    server: SocketAddr,
    cut: CancellationToken,
    task: JoinHandle<()>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        Self::open("127.0.0.1:0".parse().unwrap(), server).await
    }

    async fn open(at: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let (address, cut) = (listener.local_addr().unwrap(), CancellationToken::new());
        let all = cut.clone();
        let task = tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = all.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let (mut from, one) = (accepted.unwrap().0, all.clone());
                tokio::spawn(async move {
                    let Ok(mut to) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        () = one.cancelled() => {}
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                    }
                });
            }
        });
        Self { address, server, cut, task }
    }

    async fn cut(self) -> (SocketAddr, SocketAddr) {
        self.cut.cancel();
        self.task.await.unwrap();
        (self.address, self.server)
    }
}

fn friends(server: &Server) -> (Profile, Profile) {
    (Profile::register(server, "ayşe"), Profile::register(server, "burak"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_heard_while_it_is_spoken_and_is_then_one_as_any_other() {
    let server = Server::start();
    let (ayşe, burak) = friends(&server);
    let (ayşe, burak) = (open(&ayşe).await, open(&burak).await);
    let mut events = burak.events();
    soon(burak.drain()).await.unwrap();

    let mut note = ayşe.begin_live(&name("burak")).await.unwrap();
    let message = begun(&mut events).await;
    assert_eq!((message.id, message.number), (note.message().id, 1));
    assert!(matches!(message.body, Body::Voice { live: true, cut_off: false, duration_ms: 0, .. }));
    let (mut sound, mut heard) = (burak.live_sound(MessageRef::Id(message.id)), Vec::new());
    for group in 0..3 {
        say(&mut note, group, 1).await;
        hear(&mut sound, &mut heard, (group + 1) * GROUP).await;
    }
    assert!(heard == spoken(0, 3 * GROUP), "before it was closed");
    // What is written meanwhile does not wait for its end.
    let text = ayşe.send_text(&name("burak").into(), "one more thing").await.unwrap();
    soon(ayşe.accepted(text.id)).await.unwrap();
    soon(async {
        while !matches!(events.next().await.unwrap(), Event::Message(Message { body: Body::Text { .. }, .. }))
        {
        }
    })
    .await;
    note.push(&spoken(3 * GROUP, 1_000)).await.unwrap();
    let queued = note.finish().await.unwrap();
    soon(ayşe.accepted(queued.id)).await.unwrap();
    let over = ended(&mut events).await;
    assert_eq!((over.id, over.number), (message.id, 1));
    hear_out(&mut sound, &mut heard).await;

    let samples = spoken(0, 3 * GROUP + 1_000);
    assert!(heard == samples);
    assert_whole(&ayşe, &queued, &samples, false).await;
    assert_whole(&burak, &queued, &samples, false).await;
    let history = burak.history(None, None, 10).await.unwrap();
    assert_eq!(history.len(), 2, "one entry, and no gap: {history:?}");
    let sent = ayşe.message(MessageRef::Id(queued.id)).await.unwrap();
    assert_eq!(sent.delivery, Some(Delivery::Accepted));
    assert_eq!(ayşe.status().await.unwrap().queued, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_in_the_middle_hears_all_of_it_and_who_comes_later_the_whole() {
    let server = Server::start();
    let (ayşes, buraks) = friends(&server);
    let ayşe = open(&ayşes).await;
    // Spoken by a guest of the process that owns the profile.
    let guest = open(&ayşes).await;
    let mut note = guest.begin_live(&name("burak")).await.unwrap();
    say(&mut note, 0, 5).await;

    let burak = open(&buraks).await;
    let mut events = burak.events();
    let message = begun(&mut events).await;
    let (mut sound, mut heard) = (burak.live_sound(MessageRef::Number(message.number)), Vec::new());
    hear(&mut sound, &mut heard, 5 * GROUP).await;
    say(&mut note, 5, 2).await;
    hear(&mut sound, &mut heard, 7 * GROUP).await;
    let first = note.finish().await.unwrap();
    hear_out(&mut sound, &mut heard).await;
    assert!(heard == spoken(0, 7 * GROUP));
    assert_whole(&burak, &first, &heard, false).await;
    burak.close().await;

    // Nobody listens, and it is long enough for several questions at a time.
    let mut note = ayşe.begin_live(&name("burak")).await.unwrap();
    say(&mut note, 0, 40).await;
    let second = note.finish().await.unwrap();
    soon(ayşe.accepted(second.id)).await.unwrap();
    let burak = open(&buraks).await;
    soon(burak.drain()).await.unwrap();
    let unshown = burak.unshown().await.unwrap();
    let body = &unshown.last().unwrap().body;
    assert!(matches!(body, Body::Voice { live: false, cut_off: false, duration_ms: 16_000, .. }), "{body:?}");
    assert_whole(&burak, &second, &spoken(0, 40 * GROUP), false).await;
    assert_eq!(burak.history(None, None, 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_goes_on_over_a_killed_server_and_a_cut_connection() {
    let mut server = Server::start();
    let (ayşe, burak) = friends(&server);
    let way = Way::to(server.address).await;
    let (ayşe, burak) = (open_at(&ayşe, way.address).await, open(&burak).await);
    let mut events = burak.events();
    let mut note = ayşe.begin_live(&name("burak")).await.unwrap();
    let message = begun(&mut events).await;
    let (mut sound, mut heard) = (burak.live_sound(MessageRef::Id(message.id)), Vec::new());
    say(&mut note, 0, 2).await;
    hear(&mut sound, &mut heard, 2 * GROUP).await;

    // As a power cut would; what is said meanwhile is kept here.
    server.kill();
    say(&mut note, 2, 3).await;
    server.restart_on_same_port();
    hear(&mut sound, &mut heard, 5 * GROUP).await;

    let (address, to) = way.cut().await;
    say(&mut note, 5, 4).await;
    let _way = Way::open(address, to).await;
    hear(&mut sound, &mut heard, 9 * GROUP).await;
    note.push(&spoken(9 * GROUP, 77)).await.unwrap();
    let sent = note.finish().await.unwrap();
    soon(ayşe.accepted(sent.id)).await.unwrap();
    hear_out(&mut sound, &mut heard).await;
    assert!(heard == spoken(0, 9 * GROUP + 77));
    assert_whole(&burak, &sent, &heard, false).await;
    assert_eq!(burak.history(None, None, 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_whose_speaker_is_gone_is_kept_as_far_as_it_came_and_marked() {
    let server = Server::start();
    let (ayşes, buraks) = friends(&server);
    let (ayşe, burak) = (open(&ayşes).await, open(&buraks).await);
    let mut events = burak.events();
    let mut note = ayşe.begin_live(&name("burak")).await.unwrap();
    let message = begun(&mut events).await;
    let (mut sound, mut heard) = (burak.live_sound(MessageRef::Id(message.id)), Vec::new());
    say(&mut note, 0, 3).await;
    hear(&mut sound, &mut heard, 3 * GROUP).await;
    ayşe.close().await;
    // 300 ms of it never made a group: they were not heard, and are not kept.
    assert!(note.push(&spoken(3 * GROUP, GROUP)).await.is_err());
    drop(note);

    // As far as can be told without her.
    let over = ended(&mut events).await;
    assert!(
        matches!(over.body, Body::Voice { live: false, cut_off: true, duration_ms: 1_200, .. }),
        "{over:?}"
    );
    assert_whole(&burak, &over, &spoken(0, 3 * GROUP), true).await;

    // She is back, and so says her device; what came is what there was.
    let ayşe = open(&ayşes).await;
    soon(ayşe.accepted(message.id)).await.unwrap();
    let over = ended(&mut events).await;
    assert_eq!(over.id, message.id);
    for client in [&ayşe, &burak] {
        assert_whole(client, &over, &spoken(0, 3 * GROUP), true).await;
        assert_eq!(client.history(None, None, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_is_taken_back_is_gone_and_that_is_said() {
    let server = Server::start();
    let (ayşes, buraks) = friends(&server);
    let (ayşe, burak) = (open(&ayşes).await, open(&buraks).await);
    let mut events = burak.events();
    let mut note = ayşe.begin_live(&name("burak")).await.unwrap();
    let message = begun(&mut events).await;
    let (mut sound, mut heard) = (burak.live_sound(MessageRef::Id(message.id)), Vec::new());
    say(&mut note, 0, 2).await;
    hear(&mut sound, &mut heard, 2 * GROUP).await;
    let withdrawn = note.withdraw().await.unwrap();
    soon(ayşe.accepted(withdrawn.id)).await.unwrap();
    let over = ended(&mut events).await;
    let Body::Notice { text } = &over.body else { panic!("{over:?}") };
    assert!(over.id == message.id && text.contains("ayşe took this voice note back"), "{text}");
    hear_out(&mut sound, &mut heard).await;
    for client in [&ayşe, &burak] {
        assert_eq!(client.audio(MessageRef::Id(message.id)).await.err(), Some(ClientError::NotVoice));
        assert_eq!(client.history(None, None, 10).await.unwrap().len(), 1);
    }
    let partial = std::fs::read_dir(server.data().join("blobs/partial")).unwrap();
    assert_eq!(partial.count(), 0, "nothing of it stays on the server");

    let refused = ayşe.begin_live(&name("ayşe")).await.err();
    assert!(matches!(refused, Some(ClientError::Refused { .. })), "{refused:?}");
    let nobody = ayşe.begin_live(&name("nobody")).await.err();
    assert!(matches!(nobody, Some(ClientError::UnknownNickname { .. })), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_a_server_has_swapped_are_not_heard() {
    let server = Server::start();
    let (ayşes, buraks) = friends(&server);
    let ayşe = open(&ayşes).await;
    let mut note = ayşe.begin_live(&name("burak")).await.unwrap();
    say(&mut note, 0, 5).await;
    let sent = note.finish().await.unwrap();
    soon(ayşe.accepted(sent.id)).await.unwrap();

    // The third and the fourth row of the blob's file change places.
    let files = std::fs::read_dir(server.data().join("blobs")).unwrap();
    let blob = files.map(|file| file.unwrap().path()).find(|path| path.is_file()).unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    let row = 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let (before, after) = bytes.split_at_mut(3 * row);
    before[2 * row..].swap_with_slice(&mut after[..row]);
    std::fs::write(&blob, bytes).unwrap();

    let burak = open(&buraks).await;
    soon(burak.drain()).await.unwrap();
    let history = burak.history(None, None, 10).await.unwrap();
    assert_eq!(history.len(), 2, "{history:?}");
    assert_whole(&burak, &sent, &spoken(0, 2 * GROUP), true).await;
    let Body::Notice { text } = &history[1].body else { panic!("{history:?}") };
    assert!(text.contains("was not made by ayşe's device"), "{text}");
}
