//! Texts between real processes: there and back, kept for later, shown once, and safe to look at.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use support::{Profile, Running, Server, schema, wav};

fn pair(from: &str, text: &str) -> (String, String) {
    (from.to_owned(), text.to_owned())
}

#[test]
fn people_of_four_languages_write_to_each_other() {
    let server = Server::start();
    let [ayşe, burak, 지민, 小明, zoé] =
        ["ayşe", "burak", "지민", "小明", "zoé"].map(|name| Profile::register(&server, name));

    let users = ayşe.run(["users", "--json"]).json();
    users.iter().for_each(|user| schema::check(user, &["user"]));
    let mut names: Vec<&str> = users.iter().map(|user| user["nickname"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ayşe", "burak", "zoé", "小明", "지민"]);
    let me: Vec<&Value> = users.iter().filter(|user| user["me"] == true).collect();
    assert_eq!(me.len(), 1);
    assert_eq!(me[0]["nickname"], "ayşe");
    let listed = ayşe.run(["users"]);
    assert_eq!(listed.ok().lines().count(), 5);
    assert!(listed.ok().contains("you") && listed.ok().contains("not verified"));

    let id = ayşe.send("burak", "Merhaba Burak, nasılsın? Çok özledim 👋🏽");
    지민.send("burak", "안녕하세요, 오늘 저녁에 시간 있어요?");
    小明.send("BURAK", "你好，吃了吗？");
    zoé.send("burak", "Ça va ? On se voit à Noël — «promis».");
    let received = burak.receive();
    received.iter().for_each(schema::check_message);
    assert_eq!(received[0]["id"], id.as_str());
    let texts: Vec<&str> = received.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(
        texts,
        [
            "Merhaba Burak, nasılsın? Çok özledim 👋🏽",
            "안녕하세요, 오늘 저녁에 시간 있어요?",
            "你好，吃了吗？",
            "Ça va ? On se voit à Noël — «promis»."
        ]
    );
    assert!(received.iter().all(|message| message["to"] == "burak" && message["delivery"].is_null()));
    assert_eq!(burak.receive(), Vec::<Value>::new(), "it is shown once");

    burak.send("ayşe", "İyiyim, teşekkürler!");
    burak.send("지민", "네!");
    assert_eq!(ayşe.receive_texts(), [pair("burak", "İyiyim, teşekkürler!")]);
    assert_eq!(지민.receive_texts(), [pair("burak", "네!")]);
    assert_eq!(小明.receive_texts(), []);
}

#[test]
fn what_is_sent_is_told_as_json_too() {
    let server = Server::start();
    let ayşe = Profile::new(&server, "ayşe");
    let register = ["register", "ayşe", "--key-bits", "2048", "--color", "teal", "--json", "--server"];
    let registered = ayşe.run(register.into_iter().chain([server.name().as_str()])).json();
    schema::check(&registered[0], &["registered"]);
    assert_eq!(registered[0]["color"], "teal");
    assert_eq!(registered[0]["server_fingerprint"], server.fingerprint.as_str());
    let burak = Profile::register(&server, "burak");

    let sent = ayşe.run(["send", "burak", "--json", "merhaba"]).json();
    schema::check_message(&sent[0]);
    assert_eq!(sent[0]["delivery"]["state"], "accepted");
    let received = burak.receive();
    assert_eq!((&received[0]["id"], &received[0]["color"]), (&sent[0]["id"], &"teal".into()));
    assert!(received[0]["seq"].is_u64() && sent[0]["seq"].is_null());
}

#[test]
fn a_text_comes_from_an_argument_or_from_stdin() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.run(["send", "burak", "--", "-rf *"]).ok();
    ayşe.run_with_stdin(["send", "burak"], "bir\niki\n".as_bytes()).ok();
    ayşe.run_with_stdin(["send", "burak", "-"], "üç\r\n".as_bytes()).ok();
    ayşe.run(["send", "burak", "--", "--json"]).ok();
    assert!(ayşe.run_with_stdin(["send", "burak"], b"\xff\xfe").failure().contains("UTF-8"));
    assert!(ayşe.run_with_stdin(["send", "burak"], &[b'x'; 200_000]).failure().contains("over the limit"));
    let texts: Vec<String> = burak.receive_texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["-rf *", "bir\niki", "üç", "--json"]);
}

#[test]
fn mail_waits_across_a_restart_of_the_server_and_in_the_outbox() {
    let mut server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "on the server");
    server.stop();

    let waits = ayşe.run(["send", "burak", "in the outbox"]);
    assert!(waits.failure().contains("the message waits in the outbox"), "{waits:?}");
    let waits = ayşe.run(["send", "burak", "in the outbox too", "--json"]);
    assert_eq!(waits.code(), 1);
    let object: Value = serde_json::from_str(&waits.stdout).unwrap();
    schema::check(&object, &["error"]);
    assert_eq!(object["error"], "queued");
    let history = ayşe.run(["history", "--json"]).json();
    assert_eq!(history[2]["id"], object["id"]);
    assert_eq!(history[2]["delivery"]["state"], "queued");
    assert!(burak.run(["receive"]).failure().contains(&server.name()), "it can't be reached");

    server.restart_on_same_port();
    ayşe.send("burak", "and last");
    let texts: Vec<String> = burak.receive_texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["on the server", "in the outbox", "in the outbox too", "and last"]);
    assert_eq!(burak.receive().len(), 0);
    let history = ayşe.run(["history", "burak", "--json"]).json();
    assert!(history.iter().all(|message| message["delivery"]["state"] == "accepted"), "{history:?}");
}

#[test]
fn who_stops_waiting_for_the_server_is_told_that_the_message_leaves_later() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    // This one is connected, and stays so for longer than any of it takes.
    let _connected = ayşe.start(["receive", "--follow", "--mute"]);
    ayşe.send("burak", "first");
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::tone(8_000)).unwrap();
    // It is there, and answers nobody.
    server.signal("STOP");
    for (number, (args, name, code)) in [
        (vec!["send", "burak", "I changed my mind"], "INT", 130),
        (vec!["voice", "burak", "--mute", "--file", note.to_str().unwrap()], "INT", 130),
        (vec!["send", "burak", "and this"], "TERM", 143),
    ]
    .into_iter()
    .enumerate()
    {
        let sending = ayşe.start(&args);
        let deadline = Instant::now() + support::TIMEOUT;
        while ayşe.run(["history", "--json"]).json().len() < number + 2 {
            assert!(Instant::now() < deadline, "it is not in the outbox");
        }
        sending.signal(name);
        let ended = sending.wait();
        assert_eq!((ended.code(), ended.stdout.as_str()), (code, ""), "{ended:?}");
        let said = ended.stderr.lines().last().unwrap_or_default();
        // It knows only once it was told, by the one that has the profile open.
        let known =
            ["tellal: not at the server yet: it waits in the outbox", "tellal: it was not in the outbox yet"];
        assert!(known.iter().any(|known| said.starts_with(known)), "{args:?}: {ended:?}");
    }
    server.signal("CONT");
    ayşe.send("burak", "last");
    let received = burak.receive();
    let texts: Vec<Option<&str>> = received.iter().map(|message| message["text"].as_str()).collect();
    assert_eq!(texts, [Some("first"), Some("I changed my mind"), None, Some("and this"), Some("last")]);
}

#[test]
fn receive_waits_for_one_or_follows() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    assert_eq!(burak.run(["receive", "--wait", "0.2"]).ok(), "");

    let waiting = burak.start(["receive", "--wait", "50", "--json"]);
    ayşe.send("burak", "bir");
    assert_eq!(waiting.wait().json()[0]["text"], "bir");

    let mut following: Running = burak.start(["receive", "--follow", "--json"]);
    for text in ["iki", "üç"] {
        ayşe.send("burak", text);
        let message: Value = serde_json::from_str(&following.line().unwrap()).unwrap();
        assert_eq!(message["text"], text);
    }
    following.signal("INT");
    assert_eq!(following.wait().ok(), "");
    assert_eq!(burak.receive().len(), 0);
}

#[test]
fn nothing_counts_as_shown_that_did_not_leave() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "merhaba");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = burak.command(["receive"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((gone.status.code(), gone.stderr.as_slice()), (Some(0), &b""[..]), "a broken pipe is silent");

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let full = burak.command(["receive"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&full.stderr).lines().count(), 1);

    assert_eq!(burak.receive_texts(), [pair("ayşe", "merhaba")]);
}

#[test]
fn controls_from_others_are_never_printed_raw() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let hostile =
        "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m a\u{202e}b\u{2028}12:00 zoé: hi\r12:01 zoé: \u{7f}\u{8}\tend";
    let safe = |line: &str| {
        line.chars()
            .all(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}'))
    };
    ayşe.send("burak", hostile);
    let json = burak.run(["receive", "--json"]);
    assert!(json.ok().lines().all(safe), "{json:?}");
    assert_eq!(json.json()[0]["text"], hostile);

    ayşe.send("burak", hostile);
    let shown = burak.run(["receive", "--color", "never"]);
    assert!(shown.ok().lines().all(safe), "{shown:?}");
    let lines: Vec<&str> = shown.ok().lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains(" ayşe: ␛]0;title␇␛[2J"), "{lines:?}");
    assert!(lines[1..].iter().all(|line| line.starts_with("      12:0")), "{lines:?}");
    let history = burak.run(["history", "--color", "never"]);
    assert!(history.ok().lines().all(safe), "{history:?}");
}

#[test]
fn colour_is_asked_for_or_left_out() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "merhaba");
    assert!(!burak.run(["history"]).ok().contains('\u{1b}'), "a pipe is no terminal");
    let history = |term, color| {
        burak.run(["receive"]).ok();
        let mut command = burak.command(["history", "--color", "always"]);
        Running::start(command.env("TERM", term).env("COLORTERM", color)).wait().stdout
    };
    assert!(history("linux", "").contains("\u{1b}["));
    assert!(history("xterm-256color", "").contains("\u{1b}[38;5;"));
    assert!(history("xterm-256color", "truecolor").contains("\u{1b}[38;2;"));
}

#[test]
fn history_is_searched_limited_and_exported() {
    let server = Server::start();
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    for text in ["elma ve armut", "yalnız armut", "kiraz"] {
        ayşe.send("burak", text);
    }
    zoé.send("burak", "pomme, armut ?");
    burak.receive();
    let texts = |args: &[&str]| -> Vec<String> {
        let messages = burak.run(args.iter().copied().chain(["--json"])).json();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&["history"]).len(), 4);
    assert_eq!(texts(&["history", "--limit", "2"]), ["kiraz", "pomme, armut ?"]);
    assert_eq!(texts(&["history", "AYŞE", "--search", "armut"]), ["elma ve armut", "yalnız armut"]);
    assert_eq!(texts(&["history", "--search", "armut elma"]), ["elma ve armut"]);
    assert!(burak.run(["history", "zoé"]).ok().contains("#4 zoé: pomme"));

    let file = burak.file("export.jsonl");
    let export = ["history", "--export", file.to_str().unwrap(), "--json"];
    let saved = burak.run(export).json();
    schema::check(&saved[0], &["saved"]);
    assert_eq!(saved[0]["messages"], 4);
    let content = std::fs::read_to_string(&file).unwrap();
    assert_eq!(saved[0]["size"], content.len());
    let messages: Vec<Value> = content.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    messages.iter().for_each(schema::check_message);
    assert_eq!(messages.len(), 4);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = burak.run(["history", "--export", file.to_str().unwrap()]);
    assert!(again.failure().contains("exists already"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
}
