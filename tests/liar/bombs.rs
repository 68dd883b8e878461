//! Frames that nobody should have to take.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use tellal::model::{AccountId, to_cbor};
use tellal::protocol::frame;
use tellal::protocol::message::{Answer, Push};

use crate::liar::{Liar, Passing};
use crate::support::TIMEOUT;
use crate::{friends, receive, text};

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
    let (server, _ayşe, burak) = friends();
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
    for (what, flood) in floods {
        let flood: Vec<u8> =
            flood.iter().copied().cycle().take(flood.len() * (65_536 / flood.len()).max(1)).collect();
        let liar = Liar::start(&server, &[&burak], move |passing, line| {
            let reply = matches!(passing, Passing::Down(Push::Reply { answer: Answer::LoggedIn, .. }, _));
            line.pass(passing);
            if reply {
                // From now on nothing that the client asks is answered.
                line.flood(flood.clone());
            }
        });
        let mut following = burak.start(["receive", "--follow", "--server", &liar.name]);
        let begun = Instant::now();
        let mut most = 0;
        while begun.elapsed() < Duration::from_secs(4) && following.is_running() {
            most = peak(following.id()).max(most);
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("{what}: {} MiB", most / (1 << 20));
        assert!(most < 200 << 20, "{what}: {most} bytes");
        following.signal("INT");
        let asked = Instant::now();
        following.wait();
        assert!(asked.elapsed() < TIMEOUT);
    }
}
