//! Frames that nobody should have to take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tellal::model::{AccountId, to_cbor};
use tellal::protocol::frame::{self, Limit};
use tellal::protocol::message::{Answer, Push};

use crate::liar::{Liar, Passing};
use crate::support::{Profile, Running, Server, TIMEOUT};
use crate::{friends, receive, text};

/// How many bytes of tiny frames a client is sent. Half of them are more than sockets hold for a client that does not
/// read. Busy machines take their time.
const FLOOD: u64 = 10 << 20;

/// More memory than a flooded client may hold, in bytes.
const MOST: u64 = 200 << 20;
/// Fewer bytes for a frame than half of what is kept of it, if it is one pointer.
const NOTHING: u64 = 4;
/// After so long without a byte it reads no more.
const STALLED: Duration = Duration::from_secs(3);

/// The most memory that a process has held, in bytes.
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn frame_of(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame::put(&mut bytes, head, body);
    bytes.to_vec()
}

#[test]
fn bombs_end_the_connection_and_nothing_else() {
    let (server, ayşe, burak) = friends();
    let mut deep = vec![0x81; 100_000];
    deep.extend([0]);
    let bombs: Vec<(&str, Vec<u8>)> = vec![
        ("a head as deep as it goes", frame_of(&deep, b"")),
        ("a reply as deep as it goes", frame_of(&[&[0x82, 1, 0x82, 1][..], &deep].concat(), b"")),
        (
            "an array of 2^64 accounts",
            frame_of(&[&[0x82, 1, 0x82, 1, 0x82, 2, 0x82, 0x9b][..], &[0xff; 8]].concat(), b""),
        ),
        ("a string of 2^62 bytes", frame_of(&[&[0x82, 8, 0x81, 0x5b][..], &[0x3f; 8]].concat(), b"")),
        ("a frame of 4 GiB", vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 4]),
        ("a frame with a head beyond it", vec![0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 0]),
        ("a frame of nothing", vec![0, 0, 0, 0]),
        ("no frame at all", b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
    ];
    for (what, bomb) in bombs {
        let liar = Liar::start(&server, &[&burak], move |passing, line| {
            let reply = matches!(passing, Passing::Down(Push::Reply { answer: Answer::LoggedIn, .. }, _));
            line.pass(passing);
            if reply {
                line.tell_bytes(&bomb);
            }
        });
        let hit = burak.run(["receive", "--server", &liar.name]);
        assert!(hit.failure().contains("the server sent "), "{what}: {hit:?}");
    }
    // Nothing was lost by any of them.
    ayşe.send("burak", "hâlâ buradayım");
    assert_eq!(receive(&burak, &server.name()), [text("hâlâ buradayım")]);
}

#[test]
fn a_flood_of_frames_takes_no_memory_and_is_ended_by_the_user() {
    // Side by side: who is flooded partly waits.
    std::thread::scope(|scope| {
        for (what, flood) in floods() {
            scope.spawn(move || withstands(what, &flood));
        }
        let (what, flood) = floods().remove(0);
        scope.spawn(move || reads_no_more_than_it_can_keep(what, &flood));
    });
}

/// Frames that say nothing.
fn floods() -> Vec<(&'static str, Vec<u8>)> {
    let unknown = |byte: u8| AccountId::from(tellal::model::KeyId::new([byte; 32]));
    vec![
        ("empty news of the log", frame_of(&to_cbor(&Push::LogGrown { size: 1 }), b"")),
        (
            "presence of nobody",
            (0..=255)
                .flat_map(|byte| {
                    frame_of(&to_cbor(&Push::Presence { account: unknown(byte), online: true }), b"")
                })
                .collect(),
        ),
        (
            "answers to nothing",
            frame_of(&to_cbor(&Push::Reply { number: 4_000_000, answer: Answer::Done }), b""),
        ),
    ]
}

/// Somebody's client in a flood.
struct Flooded {
    client: Running,
    frames_per_write: u64,
    bytes_per_write: u64,
    writes: Arc<AtomicU64>,
    _home: (Server, Profile, Liar),
}

impl Flooded {
    /// From the push on that is this one, nothing that the client asks is answered.
    fn from(push: fn(&Push) -> bool, flood: &[u8]) -> Self {
        let server = Server::start();
        let profile = Profile::register(&server, "burak");
        let (frames, times) = (frames_in(flood), (65_536 / flood.len()).max(1));
        let flood: Vec<u8> = flood.iter().copied().cycle().take(flood.len() * times).collect();
        let (frames_per_write, bytes_per_write) = ((frames * times) as u64, flood.len() as u64);
        let writes = Arc::new(AtomicU64::new(0));
        let said = writes.clone();
        let liar = Liar::start(&server, &[&profile], move |passing, line| {
            let now = matches!(&passing, Passing::Down(down, _) if push(down));
            line.pass(passing);
            if now {
                line.flood(flood.clone(), said.clone());
            }
        });
        let client = profile.start(["receive", "--follow", "--server", &liar.name]);
        Self { client, frames_per_write, bytes_per_write, writes, _home: (server, profile, liar) }
    }

    fn frames(&self) -> u64 {
        self.writes.load(Ordering::SeqCst) * self.frames_per_write
    }

    fn bytes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst) * self.bytes_per_write
    }

    fn end(self) {
        self.client.signal("INT");
        let asked = Instant::now();
        self.client.wait();
        assert!(asked.elapsed() < TIMEOUT);
    }
}

fn withstands(what: &str, flood: &[u8]) {
    let mut flooded = Flooded::from(|push| matches!(push, Push::Drained { .. }), flood);
    let begun = Instant::now();
    let mut until = |bytes: u64| {
        while flooded.bytes() < bytes {
            let frames = flooded.frames();
            assert!(begun.elapsed() < 5 * TIMEOUT, "{what}: the client takes no more than {frames} frames");
            assert!(flooded.client.is_running(), "{what}: {}", flooded.client.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        (flooded.frames(), peak(flooded.client.id()))
    };
    // Some may wait for its reader. Whatever kept each frame would grow on and on: if it has room in advance, by half of
    // what is kept at least, each time that there are three times as many.
    let mut marks = Vec::new();
    let settled = (1..=9).any(|halves| {
        let after = until(halves * FLOOD / 2);
        marks.push(after);
        assert!(after.1 < MOST, "{what}: {} bytes", after.1);
        if halves % 3 > 0 {
            return false;
        }
        let before = marks[marks.len() / 3 - 1];
        // The system's figure is not exact: it may be a little less afterwards.
        let (more, grown) = (after.0 - before.0, after.1.saturating_sub(before.1));
        println!(
            "{what}: {} frames, {} MiB, {} KiB for the last {more}",
            after.0,
            after.1 >> 20,
            grown >> 10
        );
        grown < NOTHING * more
    });
    assert!(settled, "{what}: it takes more and more");
    flooded.end();
}

/// What is pushed before the answer that it stands behind waits for it.
fn reads_no_more_than_it_can_keep(what: &str, flood: &[u8]) {
    let mut flooded =
        Flooded::from(|push| matches!(push, Push::Reply { answer: Answer::LoggedIn, .. }), flood);
    let (mut moved, mut writes) = (Instant::now(), 0);
    let begun = moved;
    while writes == 0 || moved.elapsed() < STALLED {
        let now = flooded.writes.load(Ordering::SeqCst);
        if now != writes {
            (moved, writes) = (Instant::now(), now);
        }
        assert!(writes > 0 || begun.elapsed() < TIMEOUT, "{what}: nobody comes");
        assert!(flooded.client.is_running(), "{what}: {}", flooded.client.stderr());
        assert!(flooded.bytes() < 4 * FLOOD, "{what}: it reads on and on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let held = peak(flooded.client.id());
    println!("{what}, unanswered: {} frames, {} MiB", flooded.frames(), held >> 20);
    assert!(held < MOST, "{what}: {held} bytes");
    flooded.end();
}

/// How many frames these bytes are.
fn frames_in(bytes: &[u8]) -> usize {
    let mut buffer = BytesMut::from(bytes);
    let mut count = 0;
    while frame::take(&mut buffer, Limit::FROM_SERVER).unwrap().is_some() {
        count += 1;
    }
    assert!(buffer.is_empty());
    count
}
