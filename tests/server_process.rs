//! The server as a process: what it speaks, how it ends, what it logs.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::disk::Disk;
use support::{Profile, Server, wav};

#[test]
fn it_ends_in_good_order_when_it_is_asked_to_and_says_so() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    for signal in ["INT", "TERM"] {
        // Somebody is connected.
        let mut following = burak.start(["receive", "--follow", "--mute"]);
        ayşe.send("burak", signal);
        assert!(following.line().unwrap().contains(signal));
        let log = server.stop_by(signal);
        assert!(log.contains("asked to stop") && log.contains("stopped"), "{log}");
        following.kill();
        server.restart_on_same_port();
    }
    ayşe.send("burak", "sonra");
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "sonra".to_owned())]);
}

#[test]
fn its_log_holds_no_words_no_keys_and_no_invitations() {
    let mut server = Server::start_with([OsStr::new("-vv")]);
    let invite = server.beside(["invite"]).ok().to_owned();
    let ayşe = Profile::new(&server, "ayşe");
    ayşe
        .run(["register", "ayşe", "--key-bits", "2048", "--server", &server.name(), "--invite", &invite])
        .ok();
    let burak = Profile::register(&server, "burak");
    ayşe.send("burak", "bu aramızda kalsın");
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::rising(6)).unwrap();
    ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok();
    burak.receive();
    // Something that it has something to say about.
    let mut broken = TcpStream::connect(server.address).unwrap();
    broken.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    broken.read_to_end(&mut Vec::new()).unwrap_or(0);
    let log = server.stop_by("TERM");
    assert!(log.contains("registered") && log.contains("DEBUG"), "{log}");
    for secret in ["aramızda", "PRIVATE", "BEGIN", invite.as_str()] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for profile in [&ayşe, &burak] {
        for key in std::fs::read_dir(profile.file("keys")).unwrap() {
            let pem = std::fs::read_to_string(key.unwrap().path()).unwrap();
            for line in pem.lines().filter(|line| line.len() > 40) {
                assert!(!log.contains(&line[..40]));
            }
        }
    }
}

/// Folders and files, each with its mode.
fn modes(folder: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut found = vec![(folder.to_owned(), true, mode(folder))];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(modes(&path));
        } else {
            found.push((path.clone(), false, mode(&path)));
        }
    }
    found
}

#[test]
fn all_that_a_server_makes_is_its_users_alone_and_a_folder_of_others_is_said() {
    let mut server = Server::start_without_umask();
    let (ayşe, _burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "merhaba");
    ayşe.send_note("burak", &wav::rising(6));
    server.beside(["invite"]).ok();
    let found = modes(server.data());
    for (path, is_folder, mode) in &found {
        assert_eq!(*mode, if *is_folder { 0o700 } else { 0o600 }, "{}", path.display());
    }
    let is_there = |name: &str| found.iter().any(|(path, ..)| path.ends_with(name));
    for name in ["server.db", "server.db-wal", "tls-key.pem", "log-key.pem", "lock"] {
        assert!(is_there(name), "{name} is not among {found:?}");
    }
    let blobs = server.data().join("blobs");
    assert!(
        found.iter().any(|(path, is_folder, _)| !is_folder && path.parent() == Some(&blobs)),
        "{found:?}"
    );
    let words = "others on this machine may look into ";
    assert!(!server.stop_by("TERM").contains(words));

    std::fs::set_permissions(server.data(), Permissions::from_mode(0o755)).unwrap();
    server.restart_on_same_port();
    let said = server.stop_by("TERM");
    let remedy = format!("to do: chmod -R go-rwx '{}'", server.data().display());
    assert!(said.contains("WARN") && said.contains(words) && said.contains(&remedy), "{said}");
    let done = Command::new("sh").args(["-c", remedy.strip_prefix("to do: ").unwrap()]).status().unwrap();
    assert!(done.success());
    server.restart_on_same_port();
    assert!(!server.stop_by("TERM").contains(words));
    assert_eq!(modes(server.data())[0].2, 0o700);
}

#[test]
fn a_second_server_on_its_folder_is_refused_and_it_goes_on() {
    let server = Server::start();
    for more in [&[][..], &["--restored"]] {
        let second = server.beside([&["--listen", "127.0.0.1:0"], more].concat());
        assert_eq!((second.code(), &*second.stdout), (1, ""), "{second:?}");
        let said = second.stderr.lines().last().unwrap();
        assert!(said.starts_with("tellal: another server uses ") && said.contains("--data"), "{said}");
    }
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "merhaba");
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "merhaba".to_owned())]);
}

#[test]
fn nothing_is_restored_where_there_is_no_store() {
    let mut server = Server::start();
    server.stop();
    std::fs::remove_file(server.data().join("server.db")).unwrap();
    let finished = server.beside(["--restored", "--listen", "127.0.0.1:0"]);
    assert!(finished.failure().contains("there is no server's data in "), "{finished:?}");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "sums that overflow panic in debug builds alone")]
fn it_ends_when_nothing_can_be_written_any_more_and_says_so() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    server.stop();
    let set_newest = |server: &Server, newest: i64| {
        let connection = rusqlite::Connection::open(server.data().join("server.db")).unwrap();
        let changed = connection.execute("UPDATE account SET newest = ? WHERE nickname = 'burak'", [newest]);
        assert_eq!(changed.unwrap(), 1);
    };
    // A damaged row: there is no number behind this one, and the thread that writes dies of it.
    set_newest(&server, -1);
    server.restart_on_same_port();
    let mut following = ayşe.start(["receive", "--follow", "--mute"]);
    let _sending = ayşe.start(["--mute", "send", "burak", "merhaba"]);
    let (code, log) = server.ends();
    assert_eq!(code, Some(1), "{log}");
    let said = log.lines().last().unwrap();
    assert!(said.starts_with("tellal: the store has stopped working: ") && said.contains("again"), "{log}");
    // It comes back, and nothing was lost.
    set_newest(&server, 0);
    server.restart_on_same_port();
    assert_eq!(burak.wait_for_texts(), [("ayşe".to_owned(), "merhaba".to_owned())]);
    following.kill();
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_answered_signed_or_delivered_before_the_disk_has_it_for_good() {
    let disk = Disk::new();
    let server = Server::start_on(&disk);
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let holds = |what: &str| {
        let written = std::fs::read(server.data().join("server.db-wal")).unwrap();
        written.windows(what.len()).any(|bytes| bytes == what.as_bytes())
    };
    // What the server has signed of its log, and what is in its directory.
    let size = || burak.run(["audit", "--json"]).json()[0]["size"].clone();
    let names = || {
        let users = burak.run(["users", "--json"]).json();
        users.iter().map(|user| user["nickname"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    disk.hold();
    let zoé = Profile::new(&server, "zoé");
    let mut registering = zoé.start(["register", "zoé", "--key-bits", "2048", "--server", &server.name()]);
    disk.wait_until_held();
    assert!(holds("zoé"), "it is written");
    assert_eq!((size(), names()), (2.into(), vec!["ayşe".to_owned(), "burak".to_owned()]));
    assert!(registering.is_running(), "nobody has answered");
    disk.release();
    assert!(registering.line().is_some());
    registering.wait().ok();
    assert_eq!((size(), names().len()), (3.into(), 3));

    burak.receive();
    disk.hold();
    let mut sending = ayşe.start(["send", "burak", "merhaba"]);
    disk.wait_until_held();
    assert!(burak.receive().is_empty() && sending.is_running(), "neither delivered nor accepted");
    disk.release();
    sending.wait().ok();
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "merhaba".to_owned())]);
}

#[test]
fn it_speaks_tls_1_3_and_nothing_older() {
    let server = Server::start();
    let shakes = |version: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &server.name(), "-alpn", "tellal/1", version]);
        let done = openssl.stdin(Stdio::null()).output().expect("openssl is installed");
        String::from_utf8_lossy(&done.stdout).contains("New, TLSv1.3")
    };
    assert!(shakes("-tls1_3"));
    assert!(!shakes("-tls1_2"));
}
