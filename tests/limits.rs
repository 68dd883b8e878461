//! What a server allows and what happens beyond that: a typed refusal that says when to try again, a client that
//! waits and says so, and nobody else who notices.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

mod support;

#[path = "support/raw.rs"]
mod raw;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use raw::{Person, Raw, Served};
use support::people::error_code;
use support::wav;
use support::{Finished, Profile, Running, Server, TIMEOUT};
use tellal::model::{BlobId, MessageId, limits};
use tellal::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, Verb};
use tellal::server::Limits;
use tellal::store::Quotas;
use tempfile::TempDir;

/// The keys of the configuration file, in the order in which they are shown.
const EVERY_LIMIT: [&str; 17] = [
    "total",
    "per_address",
    "per_address_and_minute",
    "login_seconds",
    "idle_seconds",
    "per_address_and_minute",
    "who",
    "per_address_and_hour",
    "messages_per_minute",
    "mib_per_minute",
    "per_minute",
    "changes_per_minute",
    "mailbox_mib",
    "sender_percent",
    "blobs_mib",
    "people",
    "per_account",
];

#[test]
fn check_config_shows_every_limit_and_names_the_line_of_what_is_wrong() {
    let server = Server::start_limited("[registration]\nper_address_and_hour = 7\n");
    let shown = server.beside(["--check-config"]);
    let shown = shown.ok();
    assert!(shown.contains("server.toml"), "{shown}");
    for line in [
        "total = 10000",
        "per_address_and_minute = 1200",
        "per_address_and_hour = 7",
        "who = \"anyone\"",
        "mailbox_mib = 256",
        "changes_per_minute = 600",
        "people = 100",
        "per_account = 200",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in {shown}");
    }
    let keys: Vec<&str> =
        shown.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
    assert_eq!(keys, EVERY_LIMIT);
    // It is a whole file: elsewhere it says the same.
    let copy = server.data().join("copy.toml");
    std::fs::write(&copy, shown).unwrap();
    let again = server.beside(["--check-config", "--config", copy.to_str().unwrap()]);
    let values =
        |shown: &str| shown.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(values(again.ok()), values(shown));
    let wrong = server.data().join("wrong.toml");
    for (text, line, what) in [
        ("[connections]\ntotal = 3\nper_adress = 3\n", 3, "per_adress"),
        ("# nothing\n[sendign]\n", 2, "sendign"),
        ("[storage]\nmailbox_mib = 0\n", 2, "0"),
        ("[rooms]\nper_account = 5\npeople = 513\n", 3, "take 2 to 512"),
        ("[storage\n", 1, ""),
    ] {
        std::fs::write(&wrong, text).unwrap();
        for check in [&["--check-config"][..], &["--listen", "127.0.0.1:0"]] {
            let args = [&["--config", wrong.to_str().unwrap()], check].concat();
            let finished = server.beside(args);
            let said = finished.failure();
            assert!(said.contains(&format!("wrong.toml, line {line}: ")) && said.contains(what), "{said}");
        }
    }
    let missing = server.beside(["--check-config", "--config", "/nowhere/server.toml"]);
    assert!(missing.failure().contains("/nowhere/server.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_told_when_to_come_again_and_others_go_on() {
    let server = Server::start_limited("[connections]\nper_address = 4\n");
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let mut listening = burak.start(["receive", "--follow", "--json"]);
    let mut held = vec![Raw::connect(server.address).await, Raw::connect(server.address).await];
    // Ayşe's place is free still.
    ayşe.send("burak", "merhaba");
    assert!(listening.line().unwrap().contains("merhaba"));

    // The server may still be about to notice that ayşe has gone.
    held.push(loop {
        if let Ok(raw) = Raw::try_connect(server.address).await {
            break raw;
        }
    });
    let Err(goodbye) = Raw::try_connect(server.address).await else { panic!("one too many was let in") };
    let Push::Goodbye { reason: GoodbyeReason::Limited, retry_after: Some(wait) } = goodbye else {
        panic!("{goodbye:?}")
    };
    assert!((1_000..120_000).contains(&wait), "{wait}");
    assert_eq!(error_code(&ayşe.run(["users", "--json"])), "limited");
    let finished = ayşe.run(["--mute", "send", "burak", "not now"]);
    assert_eq!(finished.code(), 1);
    assert!(finished.one_line().contains("takes no more connections for now"), "{finished:?}");
    assert!(finished.one_line().contains("waits in the outbox"), "{finished:?}");

    // A flood of those that are told so is not told so any more.
    let flood: Vec<_> = (0..60).map(|_| TcpStream::connect(server.address)).collect();
    let is_closed = |socket: &TcpStream| is_closed(socket, Duration::from_millis(300));
    let closed = flood.iter().filter(|socket| socket.as_ref().map_or(true, is_closed)).count();
    assert!(closed >= 20, "{closed}");
    drop(flood);

    drop(held);
    let deadline = std::time::Instant::now() + TIMEOUT;
    while ayşe.run(["users"]).code() != 0 {
        assert!(std::time::Instant::now() < deadline, "she is never let in");
    }
    let texts = [listening.line().unwrap()];
    assert!(texts[0].contains("not now"), "what waited has left: {texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_in_all_are_limited_too() {
    let server = Server::start_limited("[connections]\ntotal = 2\n");
    let held = (Raw::connect(server.address).await, Raw::connect(server.address).await);
    let Err(goodbye) = Raw::try_connect(server.address).await else { panic!("one too many was let in") };
    assert!(matches!(goodbye, Push::Goodbye { reason: GoodbyeReason::Limited, .. }), "{goodbye:?}");
    drop(held);
    let deadline = std::time::Instant::now() + TIMEOUT;
    while Raw::try_connect(server.address).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "nobody is let in again");
    }
}

/// Connects from another address than everybody else on this machine.
async fn connect_from_elsewhere(server: std::net::SocketAddr) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_too_many_connections_is_told_so_then_closed_unread_and_others_go_on() {
    let server = Server::start_limited("[connections]\nper_address_and_minute = 20\n");
    let profile = Profile::new(&server, "zoé");
    let (ayşe, burak) = (Person::new("ayşe"), Person::new("burak"));
    let mut writing = Raw::register(server.address, &ayşe).await;
    let mut reading = Raw::register(server.address, &burak).await;
    assert_eq!(reading.read_mailbox(None).await, []);
    let (mut let_in, mut told, mut closed) = (2, 0, 0);
    for _ in 0..100 {
        let Ok(socket) = tokio::net::TcpStream::connect(server.address).await else {
            closed += 1;
            continue;
        };
        match Raw::try_on(socket).await {
            Ok(Ok(_)) => let_in += 1,
            Ok(Err(Push::Goodbye { reason: GoodbyeReason::Limited, retry_after: Some(wait) })) => {
                assert!((1..=60_001).contains(&wait), "{wait}");
                told += 1;
            }
            Ok(Err(other)) => panic!("{other:?}"),
            Err(_) => closed += 1,
        }
    }
    assert_eq!((let_in, told, closed), (20, 60, 22));

    // Not a byte of a handshake comes back, whatever is sent.
    if let Ok(mut socket) = TcpStream::connect(server.address) {
        let _ = socket.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
        assert!(is_closed(&socket, TIMEOUT));
    }
    let finished =
        profile.run(["register", "zoé", "--key-bits", "2048", "--server", &profile.server, "--json"]);
    assert_eq!(error_code(&finished), "unreachable");
    assert!(finished.stdout.contains("may have had too many from here"), "{finished:?}");

    // Whoever is connected, and whoever comes from elsewhere, notices nothing.
    let sent = writing.ask(burak.submit(MessageId::generate()), b"merhaba").await;
    assert!(matches!(sent, Ok(Answer::Accepted { .. })), "{sent:?}");
    assert!(matches!(reading.pushed().await, Some((Push::Delivery { .. }, body)) if body == "merhaba"));
    let elsewhere = Raw::try_on(connect_from_elsewhere(server.address).await).await;
    assert!(matches!(elsewhere, Ok(Ok(_))), "not let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_waits_until_its_address_may_begin_connections_again_and_says_so() {
    let limits = Limits { begun: 12, minute: Duration::from_secs(20), ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let name = served.address.to_string();
    let people = tokio::task::spawn_blocking(move || {
        let (ayşe, burak) = (Profile::register_at(&name, "ayşe"), Profile::register_at(&name, "burak"));
        ayşe.send("burak", "merhaba");
        burak
    });
    let burak = people.await.unwrap();
    // Until there is time left in which a client can come too early.
    loop {
        match Raw::try_connect(served.address).await {
            Ok(_) => {}
            Err(Push::Goodbye { retry_after: Some(12_000..), .. }) => break,
            Err(Push::Goodbye { retry_after: Some(wait), .. }) => {
                tokio::time::sleep(Duration::from_millis(wait.into())).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let mut follow = burak.command(["receive", "--follow", "--mute", "--json"]);
    let (mut following, said) = Running::start_with_stderr(&mut follow);
    let waits = tokio::task::spawn_blocking(move || said.recv_timeout(TIMEOUT).unwrap()).await.unwrap();
    assert!(waits.contains("takes no more connections for now") && waits.contains("trying again"), "{waits}");
    let came = tokio::task::spawn_blocking(move || {
        let line = following.line().unwrap();
        following.kill();
        line
    });
    assert!(came.await.unwrap().contains("merhaba"));
}

#[test]
fn a_family_behind_one_address_is_let_in_again_when_its_server_has_been_away() {
    // 5 for a family of 30, and a quarter of what 30 have by default.
    let mut server = Server::start_limited("[connections]\nper_address_and_minute = 50\n");
    let ayşe = Profile::register(&server, "ayşe");
    let family = ["burak", "지민", "小明", "zoé"].map(|name| Profile::register(&server, name));
    let mut following: Vec<_> = family
        .iter()
        .map(|who| Running::start_with_stderr(&mut who.command(["receive", "--follow", "--mute"])))
        .collect();
    for time in 0..3 {
        server.kill();
        server.restart_on_same_port();
        for (who, (running, _)) in family.iter().zip(&mut following) {
            ayşe.send(&who.name, &format!("geldim {time}"));
            assert!(running.line().unwrap().contains(&format!("geldim {time}")));
        }
    }
    for (mut running, said) in following {
        running.kill();
        let said: Vec<String> = said.iter().collect();
        assert!(!said.iter().any(|line| line.contains("no more connections")), "{said:?}");
    }
}

/// Closed in time, without a byte.
fn is_closed(mut socket: &TcpStream, patience: Duration) -> bool {
    socket.set_read_timeout(Some(patience)).unwrap();
    match socket.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn registrations_are_limited_by_address_and_hour() {
    let server = Server::start_limited("[registration]\nper_address_and_hour = 2\n");
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let zoé = Profile::new(&server, "zoé");
    let register = ["register", "zoé", "--key-bits", "2048", "--server", &zoé.server];
    let finished = zoé.run(register);
    let said = finished.failure();
    assert!(said.contains("too often") && said.contains("try again in 60 min"), "{said}");
    assert_eq!(error_code(&zoé.run(register.iter().chain(&["--json"]))), "limited");
    ayşe.send("burak", "merhaba");
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "merhaba".to_owned())]);
}

#[test]
fn logins_are_limited_by_address_and_minute() {
    let server = Server::start_limited("[logins]\nper_address_and_minute = 3\n");
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let mut listening = burak.start(["receive", "--follow", "--json"]);
    // The third login is in when this is shown. Sending needs a fourth.
    let finished = ayşe.run(["--mute", "send", "burak", "merhaba"]);
    if finished.code() == 0 {
        // Ayşe was faster than burak: then he is the one who waits.
        assert_eq!(error_code(&ayşe.run(["users", "--json"])), "limited");
        return;
    }
    let said = finished.one_line();
    assert!(said.contains("too often") && said.contains("waits in the outbox"), "{said}");
    listening.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_messages_waits_for_a_busy_server() {
    let server = Server::start_limited("[connections]\nper_address = 2\nlogin_seconds = 600\n");
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "merhaba");
    let (mut held, deadline) = (Vec::new(), Instant::now() + TIMEOUT);
    while held.len() < 2 {
        assert!(Instant::now() < deadline, "no place becomes free");
        // The server may still be about to notice that ayşe has gone.
        held.extend(Raw::try_connect(server.address).await);
    }
    assert_eq!(error_code(&burak.run(["receive", "--wait", "5", "--json"])), "limited");
    let mut follow = burak.command(["receive", "--follow", "--mute", "--json"]);
    let (mut following, said) = Running::start_with_stderr(&mut follow);
    let busy = said.recv_timeout(TIMEOUT).unwrap();
    assert!(busy.contains("takes no more connections for now") && busy.contains("trying again"), "{busy}");
    drop(held);
    assert!(following.line().unwrap().contains("merhaba"));
    following.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_refused_until_the_time_is_over() {
    let limits = Limits { logins: 4, minute: Duration::from_secs(10), ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let (ayşe, burak) = (Person::new("ayşe"), Person::new("burak"));
    let mut first = Raw::register(served.address, &ayşe).await;
    let mut raw = Raw::connect(served.address).await;
    for _ in 0..3 {
        // A login with somebody else's name is an attempt as good as any.
        let verb = raw.login_verb(&burak);
        assert_eq!(raw.refusal(verb, b"").await.0, RefusalCode::LoginRefused);
    }
    let verb = raw.login_verb(&burak);
    let (code, retry_after) = raw.refusal(verb, b"").await;
    assert_eq!(code, RefusalCode::Limited);
    assert_eq!(first.ask(Verb::Ping, b"").await, Ok(Answer::Done), "who is logged in does not notice");
    tokio::time::sleep(Duration::from_millis(retry_after.unwrap().into())).await;
    Raw::login(served.address, &ayşe).await;
}

#[test]
fn an_invitation_is_good_for_as_many_as_it_says_and_is_stored_nowhere() {
    let server = Server::start_limited("[registration]\nwho = \"invited\"\n");
    let person = |name: &str| Profile::new(&server, name);
    let register = |who: &Profile, more: &[&str]| {
        let args = ["register", &who.name, "--key-bits", "2048", "--server", &who.server];
        who.run(args.iter().chain(more))
    };
    let (ayşe, burak, zoé) = (person("ayşe"), person("burak"), person("zoé"));
    let refused = register(&ayşe, &[]);
    assert!(refused.failure().contains("--invite"), "{refused:?}");
    let json = register(&ayşe, &["--json", "--invite", "h4kc2-9w0xv-7m3qe-t6r1z"]);
    assert!(json.stdout.contains("invite_needed"), "{json:?}");
    // What was refused may be asked for in another way.
    assert!(register(&ayşe, &["--color", "teal"]).failure().contains("--invite"));

    let once = server.beside(["invite"]).ok().to_owned();
    register(&ayşe, &["--invite", &once.to_uppercase().replace('-', "")]).ok();
    register(&burak, &["--invite", &once]).failure();
    let twice = server.beside(["invite", "--uses", "2", "--days", "1"]).ok().to_owned();
    let args = ["register", "burak", "--key-bits", "2048", "--server", &burak.server, "--invite", "-"];
    burak.run_with_stdin(args, format!("{twice}\n").as_bytes()).ok();
    let args = ["register", "zoé", "--key-bits", "2048", "--server", &zoé.server];
    let mut command = zoé.command(args);
    support::Running::start(command.env("TELLAL_INVITE", &twice)).wait().ok();
    register(&person("小明"), &["--invite", &twice]).failure();
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        for token in [&once, &twice] {
            let plain = token.replace('-', "");
            // As it is shown, and as it may be typed: in letters of any size.
            for form in [token, &plain] {
                let is_it = |window: &[u8]| window.eq_ignore_ascii_case(form.as_bytes());
                assert!(!bytes.windows(form.len()).any(is_it), "{} holds an invitation", path.display());
            }
        }
    }
    ayşe.send("burak", "merhaba");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_waits_says_so_and_everything_arrives_in_order() {
    let limits = Limits { messages: 3, minute: Duration::from_secs(5), ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let people = ["ayşe", "burak", "zoé"].map(|name| Profile::register_at(&address, name));
        let [ayşe, burak, zoé] = &people;
        let lines: String = (0..8).map(|number| format!("{number}\n")).collect();
        let finished = ayşe.run_with_stdin(["--mute", "chat", "burak"], lines.as_bytes());
        assert_eq!(finished.code(), 0, "{finished:?}");
        let waits = finished.stderr.lines().filter(|line| line.contains("waits: ")).count();
        assert!((1..=3).contains(&waits), "said once each time: {finished:?}");
        assert!(finished.stderr.contains("it is tried again in "), "{finished:?}");
        // Somebody else is none the wiser.
        let other = zoé.run(["--mute", "send", "burak", "bonjour"]);
        assert!(other.ok().len() == 36 && other.stderr.is_empty(), "{other:?}");
        let texts = burak.receive_texts();
        let from = |who: &str| {
            let texts = texts.iter().filter(|(from, _)| from == who);
            texts.map(|(_, text)| text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(from("ayşe"), ["0", "1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(from("zoé"), ["bonjour"]);
        assert_eq!(from("burak"), [""; 0], "no gap is spoken of: {texts:?}");
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_the_end_of_a_limit_and_says_so() {
    let limits = Limits { messages: 1, minute: Duration::from_secs(15), ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let zoé = Profile::register_at(&address, "zoé");
        let _burak = Profile::register_at(&address, "burak");
        for number in 0..4 {
            let finished = zoé.run(["--mute", "send", "burak", &number.to_string()]);
            finished.ok();
            let waited = finished.stderr.contains("waits: ");
            if waited {
                assert!(finished.one_line().contains("it is tried again in "), "{finished:?}");
                return true;
            }
        }
        false
    });
    assert!(done.await.unwrap(), "nobody had to wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_over_the_bytes_of_a_minute_goes_on_where_it_was_stopped() {
    let limits = Limits { bytes: 600 * 1024, minute: Duration::from_secs(8), ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let (ayşe, burak) = (Profile::register_at(&address, "ayşe"), Profile::register_at(&address, "burak"));
        let note = ayşe.file("note.wav");
        std::fs::write(&note, wav::tone(600_000)).unwrap();
        let sent = ayşe.run(["voice", "burak", "--mute", "--file", note.to_str().unwrap()]);
        sent.ok();
        assert!(sent.stderr.contains("waits: "), "{sent:?}");
        let got = burak.receive();
        assert_eq!(got.len(), 1, "{got:?}");
        let saved = burak.file("got.wav");
        burak.run(["play", "last", "--save", saved.to_str().unwrap()]).ok();
        assert_eq!(std::fs::read(saved).unwrap(), std::fs::read(note).unwrap());
    });
    done.await.unwrap();
}

/// Sends a text again and again until it is refused; how often it was not, and what was said then.
fn fill(from: &Profile, to: &str, text: &str) -> (usize, Finished) {
    let send = |_| from.run_with_stdin(["--mute", "send", to, "-"], text.as_bytes());
    let refused = (0..10).map(|sent| (sent, send(sent))).find(|(_, finished)| finished.code() != 0);
    refused.expect("it never fills")
}

/// What comes once somebody has had the time to send what waited.
fn arrives_later(from: &Profile, to: &Profile) -> Vec<(String, String)> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        from.run(["users"]).ok();
        let texts = to.receive_texts();
        if !texts.is_empty() {
            return texts;
        }
        assert!(Instant::now() < deadline, "it never left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_holds_up_its_own_conversation_alone() {
    let quotas = Quotas { mailbox: 100 * 1024, ..Quotas::default() };
    let served =
        Served::start_holding(TempDir::new().unwrap(), Served::limited(Limits::default()), quotas).await;
    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let people = ["ayşe", "burak", "zoé"].map(|name| Profile::register_at(&address, name));
        let [ayşe, burak, zoé] = &people;
        let long = "ü".repeat(16 * 1024);
        let (sent, refused) = fill(ayşe, "burak", &long);
        let said = refused.one_line();
        assert!(said.contains("mailbox is full") && said.contains("waits in the outbox"), "{said}");
        assert!(said.contains("it is tried again in 60 s"), "{said}");
        // Beside what waits, the others are written to.
        ayşe.send("zoé", "bonjour");
        assert_eq!(zoé.receive_texts(), [("ayşe".to_owned(), "bonjour".to_owned())]);
        assert_eq!(burak.receive().len(), sent);
        // What was fetched is removed; what waited leaves with the next command that reaches the server.
        let waited = arrives_later(ayşe, burak);
        assert_eq!(waited, [("ayşe".to_owned(), long)], "the one that waited, and no gap");
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sender_fills_a_share_of_a_mailbox_and_others_go_on() {
    let quotas = Quotas { sender: 50 * 1024, ..Quotas::default() };
    let served =
        Served::start_holding(TempDir::new().unwrap(), Served::limited(Limits::default()), quotas).await;
    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let people = ["ayşe", "burak", "zoé"].map(|name| Profile::register_at(&address, name));
        let [ayşe, burak, zoé] = &people;
        let long = "ü".repeat(16 * 1024);
        let (sent, refused) = fill(ayşe, "burak", &long);
        let said = refused.one_line();
        assert!(said.contains("your share of the recipient's mailbox is full"), "{said}");
        assert!(said.contains("waits in the outbox"), "{said}");
        assert!(said.contains("it is tried again in 60 s"), "{said}");
        // Burak is away still.
        zoé.send("burak", "bonjour");
        ayşe.send("zoé", "merhaba");
        let texts = burak.receive_texts();
        assert_eq!(texts.len(), sent + 1);
        assert_eq!(texts.last(), Some(&("zoé".to_owned(), "bonjour".to_owned())));
        let waited = arrives_later(ayşe, burak);
        assert_eq!(waited, [("ayşe".to_owned(), long)], "the one that waited, and no gap");
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_over_the_quota_wait_and_others_do_not() {
    let quotas = Quotas { blobs: 300 * 1024, ..Quotas::default() };
    let served =
        Served::start_holding(TempDir::new().unwrap(), Served::limited(Limits::default()), quotas).await;
    let ayşe = Person::new("ayşe");
    let mut raw = Raw::register(served.address, &ayşe).await;
    let put = |index| Verb::PutChunk { blob: BlobId::new([1; 32]), index };
    for index in 0..5 {
        assert_eq!(raw.ask(put(index), &[7; 65_000]).await, Ok(Answer::Done));
    }
    let refused = raw.refusal(put(5), &[7; 65_000]).await;
    assert_eq!(refused, (RefusalCode::BlobQuota, Some(600_000)));

    let address = served.address.to_string();
    let done = tokio::task::spawn_blocking(move || {
        let people = ["burak", "zoé", "지민"].map(|name| Profile::register_at(&address, name));
        let [burak, zoé, 지민] = &people;
        let note = burak.file("note.wav");
        std::fs::write(&note, wav::tone(400_000)).unwrap();
        let finished = burak.run(["voice", "zoé", "--mute", "--file", note.to_str().unwrap()]);
        assert_eq!(finished.code(), 1, "{finished:?}");
        let said = finished.stderr.lines().last().unwrap();
        assert!(
            said.contains("of the last day, and older ones that were not fetched yet")
                && said.contains("it is tried again in 10 min; the message waits in the outbox"),
            "{said}"
        );
        burak.send("지민", "안녕");
        assert_eq!(지민.receive_texts(), [("burak".to_owned(), "안녕".to_owned())]);
        zoé.send("지민", "bonjour");
    });
    done.await.unwrap();
}

#[tokio::test]
async fn a_request_over_a_limit_is_refused_by_its_type() {
    let limits = Limits { messages: 2, bytes: 1_000, ..Limits::default() };
    let served = Served::start_limited(limits).await;
    let (ayşe, burak) = (Person::new("ayşe"), Person::new("burak"));
    let mut raw = Raw::register(served.address, &ayşe).await;
    let mut other = Raw::register(served.address, &burak).await;
    let submit = || burak.submit(MessageId::generate());
    for _ in 0..2 {
        assert!(matches!(raw.ask(submit(), b"x").await, Ok(Answer::Accepted { .. })));
    }
    let (code, retry_after) = raw.refusal(submit(), b"x").await;
    assert_eq!(code, RefusalCode::Limited);
    assert!((1..=60_001).contains(&retry_after.unwrap()), "{retry_after:?}");
    let submit = || ayşe.submit(MessageId::generate());
    assert!(matches!(other.ask(submit(), &[0; 1_200]).await, Ok(Answer::Accepted { .. })));
    assert_eq!(other.refusal(submit(), b"x").await.0, RefusalCode::Limited, "by bytes");
    assert_eq!(raw.ask(Verb::Ping, b"").await, Ok(Answer::Done));
}

/// Kilobytes of memory that a process holds.
fn resident(process: u32) -> u64 {
    memory(process, "VmRSS:")
}

/// A line of what the system says of a process's memory.
fn memory(process: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What this many connections cost a server, each, in KiB, once it has read what they sent.
const MANY: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_logged_in_costs_less_than_64_kib() {
    let server = Server::start_limited(
        "[connections]\nper_address = 2000\nper_address_and_minute = 5000\nlogin_seconds = 60\n\
         [logins]\nper_address_and_minute = 1000000\n[registration]\nper_address_and_hour = 1000000\n",
    );
    let warm: Vec<Raw> = {
        let mut warm = Vec::new();
        for _ in 0..20 {
            warm.push(Raw::connect(server.address).await);
        }
        warm
    };
    let before = resident(server.id());
    let mut held = Vec::new();
    for _ in 0..MANY {
        let mut raw = Raw::connect(server.address).await;
        // A frame as large as it may be before login, but for its last bytes; the server waits for those.
        let frame = [&16_384u32.to_be_bytes()[..], &16_000u32.to_be_bytes(), &[0; 16_300]].concat();
        raw.send_bytes(&frame).await;
        held.push(raw);
    }
    let frames = settled(server.id(), before);
    let middle = resident(server.id());
    let mut sockets = Vec::new();
    for _ in 0..MANY {
        let mut socket = TcpStream::connect(server.address).unwrap();
        // A hello that says it is as long as TLS lets it be, and goes on for as long as the server listens.
        socket.write_all(&[22, 3, 1, 0x3f, 0xff, 1, 0, 0xff, 0xfb]).unwrap();
        socket.write_all(&[0; 15_000]).unwrap();
        sockets.push(socket);
    }
    let hellos = settled(server.id(), middle);
    let last = resident(server.id());
    let refusals = refused(&server, last).await;
    println!(
        "KiB each: {frames} with most of a frame sent, {hellos} with most of a handshake sent, {refusals} with \
         registrations and logins refused"
    );
    for each in [frames, hellos, refusals] {
        assert!(each < 64, "{each} KiB");
    }
    // Still there for others.
    drop(warm);
    Profile::register(&server, "ayşe").run(["users"]).ok();

    // What goes on beyond that is cut off.
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let _ = socket.write_all(&[22, 3, 1, 0x3f, 0xff, 1, 0, 0xff, 0xfb]);
    let _ = socket.write_all(&[0; 40_000]);
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert!(rest.len() < 100, "closed, perhaps with an alert");
}

/// As many connections, each of which tries to register with what was signed for another one, then to log in again and
/// again, and reads nothing until all have: what each costs at most meanwhile, in KiB.
async fn refused(server: &Server, before: u64) -> u64 {
    let zoé = Person::new("zoé");
    let elsewhere = Raw::connect(server.address).await;
    let (registration, login) = (elsewhere.registration(&zoé), elsewhere.login_verb(&zoé));
    let mut held = Vec::new();
    for _ in 0..MANY {
        held.push(Raw::connect(server.address).await);
    }
    for raw in &mut held {
        raw.send(registration.clone(), b"").await;
    }
    for raw in &mut held {
        for _ in 0..20 {
            raw.send(login.clone(), b"").await;
        }
    }
    for raw in &mut held {
        let mut codes = Vec::new();
        for _ in 0..=20 {
            let Some((Push::Refusal { code, .. }, _)) = raw.next().await else { panic!("no refusal") };
            codes.push(code);
        }
        assert_eq!(codes.remove(0), RefusalCode::Invalid);
        assert_eq!(codes, [RefusalCode::LoginRefused; 20]);
    }
    memory(server.id(), "VmHWM:").saturating_sub(before) / MANY
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_much_and_reads_nothing_costs_little_and_gets_it_all_in_the_end() {
    const HELD: u64 = 12;
    const ASKED: u32 = 120;
    let server = Server::start_limited("");
    let ayşe = Person::new("ayşe");
    let mut raw = Raw::register(server.address, &ayşe).await;
    let blob = BlobId::new([1; 32]);
    let chunk = vec![7; limits::BODY];
    assert_eq!(raw.ask(Verb::PutChunk { blob, index: 0 }, &chunk).await, Ok(Answer::Done));
    assert_eq!(raw.ask(Verb::SealBlob { blob, chunks: 1 }, b"").await, Ok(Answer::Done));
    let before = resident(server.id());
    let mut held = Vec::new();
    for number in 0..HELD {
        let other = Person { name: format!("zoé{number}").parse().unwrap(), ..Person::new("zoé") };
        let mut raw = Raw::register(server.address, &other).await;
        for asked in 0..ASKED {
            // As soon as it is there, which it is; or at once.
            let verb = match asked % 2 {
                0 => Verb::AwaitChunk { device: ayşe.device(), blob, index: 0 },
                _ => Verb::FetchChunk { blob, index: 0 },
            };
            raw.send(verb, b"").await;
        }
        held.push(raw);
    }
    let each = settled(server.id(), before) * MANY / HELD;
    println!("KiB each: {each}");
    assert!(each < 8 * 1024, "{each} KiB for a connection that asked for {ASKED} chunks");
    assert_eq!(raw.ask(Verb::Ping, b"").await, Ok(Answer::Done), "others notice nothing");
    for raw in &mut held {
        for _ in 0..ASKED {
            let (push, body) = raw.pushed().await.unwrap();
            assert!(matches!(push, Push::Reply { answer: Answer::Chunk, .. }), "{push:?}");
            assert_eq!(body, chunk);
        }
    }
}

/// Waits until a process's memory has stopped growing; by how many KiB it has grown for each of [`MANY`].
fn settled(process: u32, before: u64) -> u64 {
    let mut newest = 0;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        let now = resident(process);
        if now == newest {
            break;
        }
        newest = now;
    }
    newest.saturating_sub(before) / MANY
}
