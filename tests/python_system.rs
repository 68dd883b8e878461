//! The whole way with stock libraries: `examples/open_envelope.py`, which knows nothing but Python's
//! `cryptography` and a CBOR decoder, opens what a real server holds, and what it seals a real client shows.

#![cfg(all(feature = "client", feature = "server"))]
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

use serde_json::Value;
use support::{Profile, Server};
use tellal::crypto::PrivateKey;
use tellal::model::{AccountId, MessageId, Wrap, to_cbor};

const TEXT: &str = "Sunucu bunu okuyamaz: 아무도 못 읽어요";

fn python<'a>(args: impl IntoIterator<Item = &'a str>) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/open_envelope.py");
    let output = Command::new("/usr/bin/python3").arg(script).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one key file of a profile whose name begins so.
fn key(profile: &Profile, name: &str) -> PathBuf {
    let files = std::fs::read_dir(profile.home().join("keys")).unwrap();
    let mut found = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(name));
    found.next().unwrap_or_else(|| panic!("no key file {name}"))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn python_opens_what_the_server_holds_and_the_client_opens_what_python_seals() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let id = ayşe.send("burak", TEXT);

    // burak has not connected since: the envelope rests on the server.
    let database = server.data().join("server.db");
    let message_key = key(&burak, "message");
    let opened =
        python(["open", "--database", path(&database), "--message", &id, "--key", path(&message_key)]);
    assert_eq!(opened["text"], TEXT);
    assert_eq!(opened["verified"], true);
    assert_eq!(opened["counter"], 0);
    let held: Vec<u8> = ["server.db", "server.db-wal"]
        .iter()
        .flat_map(|file| std::fs::read(server.data().join(file)).unwrap_or_default())
        .collect();
    assert!(!held.windows(6).any(|bytes| bytes == &TEXT.as_bytes()[..6]), "the server can read it");

    // Sealed by Python with ayşe's device key, as the next of her chain, and put where the server keeps mail.
    let device_key = key(&ayşe, "device");
    let (body, wrap) = (burak.file("body"), burak.file("wrap"));
    let (account, to) = (opened["account"].as_str().unwrap(), opened["to"].as_str().unwrap());
    let sealed = python([
        "seal",
        "--device-key",
        path(&device_key),
        "--recipient-key",
        path(&message_key),
        "--account",
        account,
        "--to",
        to,
        "--counter",
        "1",
        "--previous",
        opened["hash"].as_str().unwrap(),
        "--body",
        path(&body),
        "--wrap",
        path(&wrap),
        "Python'dan selam",
    ]);
    server.stop();
    let device = PrivateKey::from_pem(&std::fs::read_to_string(&device_key).unwrap()).unwrap();
    let burak_key = PrivateKey::from_pem(&std::fs::read_to_string(&message_key).unwrap()).unwrap();
    put_into_mailbox(&database, &sealed, &Mail { device, burak_key, account, to, body: &body, wrap: &wrap });
    server.restart_on_same_port();

    let texts = burak.receive_texts();
    let expected = [("ayşe", TEXT), ("ayşe", "Python'dan selam")];
    assert_eq!(texts, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

struct Mail<'a> {
    device: PrivateKey,
    burak_key: PrivateKey,
    account: &'a str,
    to: &'a str,
    body: &'a Path,
    wrap: &'a Path,
}

fn put_into_mailbox(database: &Path, sealed: &Value, mail: &Mail<'_>) {
    let database = rusqlite::Connection::open(database).unwrap();
    let (account, to): (AccountId, AccountId) = (mail.account.parse().unwrap(), mail.to.parse().unwrap());
    let message: MessageId = sealed["message"].as_str().unwrap().parse().unwrap();
    let burak_device: Vec<u8> = database
        .query_row("SELECT id FROM device WHERE account = ?", [to.as_bytes()], |row| row.get(0))
        .unwrap();
    let wraps = vec![Wrap {
        device: burak_device.as_slice().try_into().unwrap(),
        key: mail.burak_key.public().id(),
        ciphertext: std::fs::read(mail.wrap).unwrap().into(),
    }];
    database
        .execute(
            "INSERT INTO envelope (device, message, sender, conversation, hash, accepted_at, body)
             VALUES (?, ?, ?, ?, zeroblob(32), 1795233600000, ?)",
            rusqlite::params![
                mail.device.public().id().as_bytes(),
                message.as_bytes(),
                account.as_bytes(),
                to.as_bytes(),
                std::fs::read(mail.body).unwrap()
            ],
        )
        .unwrap();
    let envelope = database.last_insert_rowid();
    database
        .execute(
            "INSERT INTO mailbox (account, seq, envelope, wraps) VALUES (?, 2, ?, ?)",
            rusqlite::params![to.as_bytes(), envelope, to_cbor(&wraps)],
        )
        .unwrap();
    database.execute("UPDATE account SET newest = 2 WHERE id = ?", [to.as_bytes()]).unwrap();
}
