//! A full disk on either side: it is said, everything goes on, and nothing that was accepted or stored is lost.
//!
//! The disk is a real one: a small tmpfs in a mount namespace of its own.

#![cfg(all(feature = "client", feature = "server", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Profile, Running, Server, wav};
use tempfile::TempDir;

/// A small file system, for as long as this lives.
struct SmallDisk {
    holder: Running,
    folder: TempDir,
}

impl SmallDisk {
    fn new(kilobytes: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let script = "mount -t tmpfs -o size=$1k tmpfs \"$0\" && echo mounted && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script]).arg(folder.path()).arg(kilobytes.to_string());
        let mut holder = Running::start(&mut command);
        assert_eq!(holder.line().as_deref(), Some("mounted"), "{}", holder.stderr());
        Self { holder, folder }
    }

    /// Its folder, as a command inside sees it.
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of it, as this process sees it.
    fn file(&self, name: &str) -> PathBuf {
        let inside = self.folder().join(name);
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(inside.strip_prefix("/").unwrap())
    }

    /// The same command, run where the disk is.
    fn inside(&self, command: &Command) -> Command {
        let mut entering = Command::new("nsenter");
        let pid = self.holder.id().to_string();
        entering.args(["-t", &pid, "-U", "-m", "--preserve-credentials", "--"]);
        entering.arg(command.get_program()).args(command.get_args());
        entering.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        entering.env("PATH", std::env::var_os("PATH").unwrap());
        entering
    }

    /// Takes up all the space that is left.
    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast =
            std::fs::File::options().create(true).append(true).open(self.file("ballast")).unwrap();
        while ballast.write_all(&[0; 1024]).is_ok() {}
    }

    /// Gives it back.
    fn free(&self) {
        std::fs::remove_file(self.file("ballast")).unwrap();
    }
}

#[test]
fn a_server_whose_disk_is_full_says_so_goes_on_and_takes_the_mail_later() {
    let disk = SmallDisk::new(8_000);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tellal"));
    command.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(disk.folder());
    let mut running = Running::start(&mut disk.inside(&command));
    let ready = running.line().unwrap();
    let address = ready.strip_prefix("listening on ").unwrap().split(',').next().unwrap().to_owned();
    let (ayşe, burak) = (Profile::register_at(&address, "ayşe"), Profile::register_at(&address, "burak"));
    ayşe.send("burak", "before");

    disk.fill();
    let refused = ayşe.run(["send", "burak", "while it is full"]);
    let said = refused.failure();
    assert!(said.contains("disk is full") && said.contains("outbox"), "{said}");
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::tone(200_000)).unwrap();
    let refused = ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]);
    // Beside the line that says how the file is sent.
    let said = refused.stderr.lines().last().unwrap();
    assert!(refused.code() == 1 && said.contains("disk is full") && said.contains("outbox"), "{refused:?}");
    let zoé = Profile::new_at(&address, "zoé");
    let register = || zoé.run(["register", "zoé", "--key-bits", "2048", "--server", &address]);
    assert!(register().failure().contains("disk is full"));
    // What was accepted can be read, and the server answers.
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "before".to_owned())]);

    disk.free();
    ayşe.send("burak", "after");
    let received = burak.receive();
    let texts: Vec<_> = received.iter().filter_map(|message| message["text"].as_str()).collect();
    assert_eq!(texts, ["while it is full", "after"]);
    let (id, copy) = (received[1]["id"].as_str().unwrap(), burak.file("copy.wav"));
    burak.run(["play", id, "--save", copy.to_str().unwrap()]).ok();
    assert!(std::fs::read(copy).unwrap() == std::fs::read(note).unwrap(), "the note arrived changed");
    register().ok();
}

#[test]
fn a_client_whose_disk_is_full_says_so_and_loses_nothing() {
    let server = Server::start();
    let disk = SmallDisk::new(8_000);
    let ayşe = Profile::register(&server, "ayşe");
    let burak = Profile::new(&server, "burak");
    let on_disk = |args: &[&str]| {
        let mut command = burak.command(args);
        command.env("TELLAL_HOME", disk.folder());
        Running::start(&mut disk.inside(&command)).wait()
    };
    on_disk(&["register", "burak", "--key-bits", "2048", "--server", &server.name()]).ok();
    on_disk(&["send", "ayşe", "before"]).ok();

    disk.fill();
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::tone(200_000)).unwrap();
    for args in [["send", "ayşe", "no room"].as_slice(), &["voice", "ayşe", "--file", note.to_str().unwrap()]]
    {
        let refused = on_disk(args);
        let said = refused.failure();
        assert!(said.contains("no space left"), "{said}");
    }
    ayşe.send("burak", "for later");
    ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok();
    let receiving = on_disk(&["receive"]);
    assert_eq!(receiving.code(), 1, "{receiving:?}");
    assert!(receiving.one_line().contains("no space left"), "{receiving:?}");

    disk.free();
    let received = on_disk(&["receive", "--json"]).json();
    assert_eq!(received.len(), 2, "{received:?}");
    assert_eq!(received[0]["text"], "for later");
    let copy = ayşe.file("copy.wav");
    on_disk(&["play", "last", "--save", copy.to_str().unwrap()]).ok();
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(&note).unwrap());
    on_disk(&["send", "ayşe", "after"]).ok();
    assert_eq!(ayşe.receive().len(), 2, "what was refused was not sent");
}
