//! What a receiver is told when the server has refused, lost or forgotten something: real clients on a real server
//! whose database was changed while it did not run.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use support::{Profile, Server, TIMEOUT};
use tellal::client::{Client, ClientError, Command, Options};
use tellal::model::{MessageId, Millis};
use tellal::store::{SqliteStore, Store as _};

const MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

fn database(server: &Server) -> PathBuf {
    server.data().join("server.db")
}

/// Texts, and remarks of the client's own in brackets.
fn told(profile: &Profile) -> Vec<String> {
    let messages = profile.receive();
    let word = |message: &serde_json::Value| {
        let text = message["text"].as_str().unwrap();
        if message["kind"] == "notice" { format!("[{text}]") } else { text.to_owned() }
    };
    messages.iter().map(word).collect()
}

/// What has been stored for good, as the README has a backup take it.
fn copy_database(from: &Path, to: &Path) {
    let connection = Connection::open(from).unwrap();
    connection.execute("VACUUM INTO ?", [to.to_str().unwrap()]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_server_refuses_for_good_leaves_no_gap() {
    let mut server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    ayşe.send("burak", "bir");
    assert_eq!(told(&burak), ["bir"]);

    // The server knows the name of the next message, with another content: it will refuse it.
    server.stop();
    let (refused, last) = (MessageId::generate(), MessageId::generate());
    let connection = Connection::open(database(&server)).unwrap();
    let copied = connection.execute(
        "INSERT INTO envelope (device, message, sender, conversation, hash, accepted_at)
         SELECT device, ?, sender, conversation, randomblob(32), accepted_at FROM envelope",
        [refused.as_bytes()],
    );
    assert_eq!(copied.unwrap(), 1);
    drop(connection);
    server.restart_on_same_port();

    let client = Client::open(Options::new(ayşe.home())).await.unwrap();
    let to = "burak".parse::<tellal::model::Nickname>().unwrap();
    for (id, text) in [(refused, "iki"), (last, "üç")] {
        client.call(Command::SendText { id, to: to.clone().into(), text: text.to_owned() }).await.unwrap();
    }
    let answer = tokio::time::timeout(TIMEOUT, client.accepted(refused)).await.unwrap();
    assert!(matches!(answer, Err(ClientError::Refused { .. })), "{answer:?}");
    tokio::time::timeout(TIMEOUT, client.accepted(last)).await.unwrap().unwrap();
    // Something was sent in its place, which only says that there is nothing.
    let stored = || -> i64 {
        let connection = Connection::open(database(&server)).unwrap();
        connection
            .query_row(
                "SELECT coalesce(max(seq), 0) FROM mailbox JOIN account ON account.id = account
                 WHERE nickname = 'burak'",
                [],
                |row| row.get(0),
            )
            .unwrap()
    };
    let deadline = Instant::now() + TIMEOUT;
    while stored() < 3 {
        assert!(Instant::now() < deadline, "nothing fills the gap");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.close().await;

    assert_eq!(told(&burak), ["üç"]);
    ayşe.send("burak", "dört");
    assert_eq!(told(&burak), ["dört"], "and the chain goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_too_long_is_said_to_be_gone() {
    let mut server = Server::start();
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    ayşe.send("burak", "bir");
    assert_eq!(told(&burak), ["bir"]);
    for to in ["burak", "zoé"] {
        for text in ["iki", "üç"] {
            ayşe.send(to, text);
        }
    }
    server.stop();
    let connection = Connection::open(database(&server)).unwrap();
    let month = i64::try_from(MONTH.as_millis()).unwrap();
    connection.execute("UPDATE envelope SET accepted_at = accepted_at - ?", [month]).unwrap();
    drop(connection);
    let store = SqliteStore::open(server.data()).unwrap();
    store.prune(Millis::now()).await.unwrap();
    store.close().await.unwrap();
    server.restart_on_same_port();
    ayşe.send("burak", "dört");
    ayşe.send("zoé", "dört");

    // zoé has never asked for her mail before.
    for profile in [&burak, &zoé] {
        let told = told(profile);
        let expired = told.iter().filter(|line| line.starts_with("[2 messages have gone from the server"));
        assert_eq!(expired.count(), 1, "{told:?}");
        assert!(told.contains(&"dört".to_owned()) && !told.contains(&"iki".to_owned()), "{told:?}");
        assert_eq!(self::told(profile), [""; 0], "and it is said once");
    }
}

#[test]
fn a_mailbox_of_a_new_epoch_is_read_again_and_nothing_is_shown_twice() {
    let mut server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    for text in ["bir", "iki", "üç"] {
        ayşe.send("burak", text);
    }
    // Beside the server that runs.
    let backup = server.data().join("backup.db");
    copy_database(&database(&server), &backup);
    assert_eq!(told(&burak), ["bir", "iki", "üç"]);
    ayşe.send("burak", "dört");
    assert_eq!(told(&burak), ["dört"]);
    // This one is in the mailbox when that is lost, and not in the backup.
    ayşe.send("burak", "beş");

    // The disk died; what the operator restores is older, and begins a new epoch.
    server.kill();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(server.data().join(format!("server.db{suffix}")));
    }
    std::fs::rename(&backup, database(&server)).unwrap();
    server.restart_restored();
    let history = |profile: &Profile| -> Vec<String> {
        let messages = profile.run(["history", "--json"]).json();
        let texts = messages.iter().filter(|message| message["kind"] == "text");
        texts.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told(&burak), [""; 0], "he has all that is there");
    ayşe.send("burak", "altı");
    let told = told(&burak);
    assert_eq!(told.iter().filter(|line| !line.starts_with('[')).collect::<Vec<_>>(), ["altı"]);
    assert!(told.iter().any(|line| line.starts_with("[1 message from ayşe did not arrive")), "{told:?}");
    assert_eq!(history(&burak), ["bir", "iki", "üç", "dört", "altı"]);
}

#[test]
fn a_restored_server_gives_everybody_what_comes_afterwards() {
    for told_so in [false, true] {
        let mut server = Server::start();
        let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
        let send = |texts: &[&str]| texts.iter().for_each(|text| drop(ayşe.send("burak", text)));
        send(&["bir", "iki", "üç"]);
        assert_eq!(told(&burak), ["bir", "iki", "üç"]);
        server.stop();
        let backup = server.backup();
        server.restart_on_same_port();
        send(&["dört", "beş"]);
        assert_eq!(told(&burak), ["dört", "beş"], "he has read further than the backup goes");
        server.stop();
        if told_so {
            server.restore_as_such(backup)
        } else {
            server.restore(backup)
        }
        send(&["altı", "yedi", "sekiz"]);
        let told = told(&burak);
        let texts: Vec<_> = told.iter().filter(|line| !line.starts_with('[')).collect();
        if told_so {
            assert_eq!(texts, ["altı", "yedi", "sekiz"]);
            assert_eq!(self::told(&burak), [""; 0], "each once");
        } else {
            assert_eq!(texts, ["sekiz"], "the others stand in places that he has read");
        }
    }
}
