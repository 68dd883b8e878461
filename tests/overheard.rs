//! What somebody sees who records what passes over the network, and what lies on a server's disk: neither words nor
//! sound, in none of the forms that they might be hidden in.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use support::forms::{forms, forms_of_text, is_in};
use support::{Profile, Server, wav};

const WORDS: &str = "gökyüzü bu akşam çok güzel görünüyor";

/// What passed in one direction of one connection.
type Stream = Arc<Mutex<Vec<u8>>>;

/// Passes bytes on between whoever connects and a server, and keeps them.
struct Tap {
    name: String,
    heard: Arc<Mutex<Vec<Stream>>>,
}

impl Tap {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let streams = Arc::clone(&heard);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(server).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let stream = Stream::default();
                    streams.lock().unwrap().push(Arc::clone(&stream));
                    std::thread::spawn(move || pass(from, to, &stream));
                }
            }
        });
        Self { name, heard }
    }

    /// All that has passed.
    fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().iter().map(|stream| stream.lock().unwrap().clone()).collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, heard: &Stream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        heard.lock().unwrap().extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Whoever has ended it already does not mind.
    let _ = to.shutdown(Shutdown::Write);
}

/// A text, a note that fits into its envelope and one that does not, from ayşe to burak; what nobody else may see of them.
fn say(ayşe: &Profile) -> Vec<Vec<u8>> {
    ayşe.send("burak", WORDS);
    let mut secrets = forms_of_text(WORDS);
    // Parts of it, too: what is written in pieces is not found whole.
    secrets.extend(["gökyüzü", "görünüyor"].iter().flat_map(|word| forms_of_text(word)));
    for seconds in [1, 6] {
        let sound = wav::rising(seconds);
        let note = ayşe.file("note.wav");
        std::fs::write(&note, &sound).unwrap();
        ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok();
        secrets.extend(forms(&sound[sound.len() / 2..][..24]));
    }
    secrets
}

#[test]
fn what_passes_over_the_network_shows_no_words_no_sound_and_no_names() {
    let server = Server::start();
    let tap = Tap::start(server.address);
    let ayşe = Profile::register_at(&tap.name, "gülümsüyorum");
    let burak = Profile::register_at(&tap.name, "burak");
    let mut secrets = say(&ayşe);
    secrets.extend(forms_of_text("gülümsüyorum"));
    let new = burak.receive();
    assert_eq!((new.len(), new[0]["text"].as_str()), (3, Some(WORDS)));

    let heard = tap.heard();
    for secret in &secrets {
        assert!(!heard.iter().any(|stream| is_in(secret, stream)), "{:?}", String::from_utf8_lossy(secret));
    }
    // It is all here: the sound went through twice, and the protocol's name can be read.
    let sound = wav::rising(6).len();
    assert!(heard.iter().filter(|stream| stream.len() > sound).count() > 1);
    assert!(heard.iter().any(|stream| is_in(b"tellal/1", stream)));
}

#[test]
fn what_a_server_keeps_shows_no_words_and_no_sound() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let secrets = say(&ayşe);
    let look = |server: &Server| {
        let kept = files(server.data());
        for secret in &secrets {
            for (name, bytes) in &kept {
                assert!(!is_in(secret, bytes), "{name} shows {:?}", String::from_utf8_lossy(secret));
            }
        }
        kept
    };
    // While it waits for its receiver: the sound is here, and what is not hidden is found.
    let kept = look(&server);
    assert!(kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > wav::rising(6).len());
    assert!(kept.iter().any(|(_, bytes)| is_in("burak".as_bytes(), bytes)));
    // Once it has been fetched, and when the server has ended.
    assert_eq!(burak.receive().len(), 3);
    look(&server);
    server.stop();
    look(&server);
}

/// All files in a folder and in those in it.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            // One that is gone meanwhile shows nothing.
            found.push((path.display().to_string(), bytes));
        }
    }
    found
}
