//! Frames that nobody should have to take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tellal::model::{AccountId, to_cbor};
use tellal::protocol::frame::{self, Limit};
use tellal::protocol::message::{Answer, Push};

use crate::liar::{Liar, Passing};
use crate::support::{Profile, Server, TIMEOUT};
use crate::{friends, receive, text};

/// How many bytes of tiny frames a client is sent. Half of them are more than sockets hold for a client that does not
/// read. Busy machines take their time.
const FLOOD: u64 = 10 << 20;

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
    let unknown = |byte: u8| AccountId::from(tellal::model::KeyId::new([byte; 32]));
    let floods: Vec<(&str, Vec<u8>)> = vec![
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
    ];
    // Side by side: who is flooded mostly waits.
    std::thread::scope(|scope| {
        for (what, flood) in floods {
            scope.spawn(move || withstands(what, &flood));
        }
    });
}

/// Floods somebody's client, and ends it.
fn withstands(what: &str, flood: &[u8]) {
    let server = Server::start();
    let profile = Profile::register(&server, "burak");
    let frames = frames_in(flood);
    let times = (65_536 / flood.len()).max(1);
    let flood: Vec<u8> = flood.iter().copied().cycle().take(flood.len() * times).collect();
    let (per_write, length) = ((frames * times) as u64, flood.len() as u64);
    let writes = Arc::new(AtomicU64::new(0));
    let said = writes.clone();
    let liar = Liar::start(&server, &[&profile], move |passing, line| {
        let reply = matches!(passing, Passing::Down(Push::Reply { answer: Answer::LoggedIn, .. }, _));
        line.pass(passing);
        if reply {
            // From now on nothing that the client asks is answered.
            line.flood(flood.clone(), said.clone());
        }
    });
    let mut following = profile.start(["receive", "--follow", "--server", &liar.name]);
    let begun = Instant::now();
    let sent = || writes.load(Ordering::SeqCst) * per_write;
    let bytes = || writes.load(Ordering::SeqCst) * length;
    let mut half = None;
    while bytes() < FLOOD {
        assert!(begun.elapsed() < 5 * TIMEOUT, "{what}: the client takes no more than {} frames", sent());
        assert!(following.is_running(), "{what}: {}", following.stderr());
        if half.is_none() && bytes() > FLOOD / 2 {
            half = Some((sent(), peak(following.id())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let ((first, before), after) = (half.unwrap(), peak(following.id()));
    let (more, grown) = (sent() - first, after.saturating_sub(before));
    println!(
        "{what}: {} frames, {} MiB, of which {} KiB for the last {more}",
        sent(),
        after >> 20,
        grown >> 10
    );
    assert!(after < 200 << 20, "{what}: {after} bytes");
    // Whatever kept each frame would have grown by more.
    assert!(grown < 40 * more, "{what}: {grown} bytes for {more} frames");
    following.signal("INT");
    let asked = Instant::now();
    following.wait();
    assert!(asked.elapsed() < TIMEOUT);
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
