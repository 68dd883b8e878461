//! Message keys over weeks: replaced, sent to for 37 days, destroyed once nothing can be under way for them. The real
//! program and the real server, with their clocks moved.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

#[path = "support/liar.rs"]
mod liar;
#[path = "support/raw.rs"]
mod raw;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use liar::{Liar, Passing};
use serde_json::Value;
use support::clock::move_to_day;
use support::pages::holds;
use support::people::{profile_json, strangers};
use support::swap::database;
use support::{Finished, Profile, Server, TIMEOUT, schema, wav};
use tellal::crypto::PrivateKey;
use tellal::crypto::envelope::{Content, Delivered, Opened, Recipient, parse};
use tellal::crypto::record::verify_account;
use tellal::model::{AccountId, Conversation, DeviceId, KeyId, MessageId, Millis, Position, Signed, Wrap};
use tellal::protocol::message::{Answer, Push, RefusalCode, Verb};

fn friends() -> (Server, Profile, Profile) {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "gün 0");
    assert_eq!(texts(&burak), ["gün 0"]);
    (server, ayşe, burak)
}

/// Moves everybody's clock.
fn day(server: &mut Server, days: u32) {
    move_to_day(days);
    server.restart_on_same_port();
}

fn texts(profile: &Profile) -> Vec<String> {
    profile.receive_texts().into_iter().map(|(_, text)| text).collect()
}

/// The message key that the profile shows others now.
fn key(profile: &Profile) -> String {
    profile_json(profile)["message_key"].as_str().unwrap().to_owned()
}

/// The private message keys that the profile holds.
fn kept(profile: &Profile) -> Vec<String> {
    let files = std::fs::read_dir(profile.file("keys")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_prefix("message-")?.strip_suffix(".pem")?.to_owned())).collect()
}

/// Is online until something is so.
fn online_until(profile: &Profile, what: &str, wanted: impl Fn() -> bool) {
    go_on_until(|| profile.run(["users"]), what, wanted);
}

/// Does something that reaches the server until something is so.
fn go_on_until(online: impl Fn() -> Finished, what: &str, wanted: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !wanted() {
        assert!(Instant::now() < deadline, "it is not so that {what}");
        online().ok();
    }
}

#[test]
fn after_ten_days_away_everything_is_here_and_the_key_is_replaced() {
    let (mut server, ayşe, burak) = friends();
    let first = key(&burak);
    for days in [3, 10] {
        day(&mut server, days);
        ayşe.send("burak", &format!("gün {days}"));
    }
    assert_eq!(texts(&burak), ["gün 3", "gün 10"]);
    online_until(&burak, "the key is replaced", || key(&burak) != first);
    // ayşe still knows the first key: the server refuses it, and she wraps anew.
    ayşe.send("burak", "yeni anahtara");
    assert_eq!(texts(&burak), ["yeni anahtara"]);
    assert!(kept(&burak).contains(&first), "for what may be under way");
}

#[test]
fn after_thirty_six_days_what_the_server_kept_is_here_and_the_rest_is_missed() {
    let (mut server, ayşe, burak) = friends();
    for days in [1, 7, 35, 36] {
        day(&mut server, days);
        ayşe.send("burak", &format!("gün {days}"));
    }
    let got = burak.receive();
    let said: Vec<&str> = got.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert!(
        said.iter().any(|text| text.contains("gone from the server that this profile has not had")),
        "{said:?}"
    );
    let days: Vec<&&str> = said.iter().filter(|text| text.starts_with("gün")).collect();
    assert_eq!(days, [&"gün 7", &"gün 35", &"gün 36"]);
}

#[test]
fn after_sixty_days_mail_has_waited_with_its_sender() {
    let (mut server, ayşe, burak) = friends();
    let first = key(&burak);
    day(&mut server, 60);
    let waits = ayşe.run(["send", "burak", "gün 60"]);
    assert!(waits.failure().contains("no key to write to"), "{waits:?}");
    online_until(&burak, "the key is replaced", || key(&burak) != first);
    assert!(texts(&burak).is_empty());
    // It leaves with the next thing that she does.
    let deadline = Instant::now() + TIMEOUT;
    let mut got = Vec::new();
    while got.is_empty() {
        assert!(Instant::now() < deadline, "it does not leave");
        ayşe.run(["users"]).ok();
        got = texts(&burak);
    }
    assert_eq!(got, ["gün 60"]);
}

#[test]
fn a_key_made_by_a_clock_far_ahead_is_replaced_once_the_clock_is_right() {
    let (_server, ayşe, burak) = friends();
    let first = key(&burak);
    // burak's clock alone.
    move_to_day(60);
    online_until(&burak, "the key is replaced", || key(&burak) != first);
    let ahead = key(&burak);
    move_to_day(0);
    online_until(&burak, "that is replaced, too", || key(&burak) != ahead);
    ayşe.send("burak", "saatin doğru mu?");
    assert_eq!(texts(&burak), ["saatin doğru mu?"]);
}

#[test]
fn a_clock_that_is_behind_throws_no_good_key_away() {
    move_to_day(60);
    let (_server, ayşe, burak) = friends();
    let first = key(&burak);
    // burak's clock alone, as of a machine that has none of its own and was just started. Each time there is time to
    // replace a key.
    move_to_day(0);
    let mut following = burak.start(["receive", "--follow", "--mute"]);
    for text in ["bir", "iki", "üç"] {
        move_to_day(60);
        ayşe.send("burak", text);
        assert!(following.line().unwrap().contains(text));
        move_to_day(0);
        burak.run(["users"]).ok();
        assert_eq!(key(&burak), first);
    }
}

/// An envelope as somebody who watched the server has it.
struct Recorded {
    body: bytes::Bytes,
    wrap: Wrap,
    delivered: Delivered,
    sender: Vec<Signed>,
}

impl Recorded {
    /// The newest in the server's database.
    fn newest(server: &Server) -> Self {
        let db = database(server.data());
        type Row = (Vec<u8>, Vec<u8>, [u8; 32], [u8; 32], [u8; 16], [u8; 32]);
        let row: Row = db
            .query_row(
                "SELECT body, wraps, sender, device, message, conversation
                 FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope ORDER BY envelope.id DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
            )
            .unwrap();
        let (body, wraps, sender, device, message, conversation) = row;
        let wraps: Vec<Wrap> = minicbor::decode(&wraps).unwrap();
        let records = db
            .prepare("SELECT record FROM account_record WHERE account = ? ORDER BY place")
            .unwrap()
            .query_map([sender], |row| row.get(0))
            .unwrap()
            .map(|record: Result<Vec<u8>, _>| minicbor::decode(&record.unwrap()).unwrap())
            .collect();
        let delivered = Delivered {
            sender: AccountId::new(sender),
            device: DeviceId::new(device),
            message: MessageId::from_bytes(message),
            conversation: AccountId::new(conversation).into(),
        };
        Self { body: body.into(), wrap: wraps[0].clone(), delivered, sender: records }
    }

    /// The frame that delivers it.
    fn push(&self) -> Push {
        let Delivered { sender, device, message, conversation } = self.delivered;
        let (position, wrap) = (Position::default(), Some(self.wrap.clone()));
        Push::Delivery { position, sender, device, message, conversation, wrap, accepted_at: Millis::now() }
    }

    /// What it is to whoever has somebody's files.
    fn opened_with(&self, thief: &Profile) -> Option<Opened> {
        let sender = verify_account(&self.sender).unwrap();
        let Conversation::Account(account) = self.delivered.conversation else { panic!("for a room") };
        let me = Recipient { account, device: self.wrap.device };
        let verified = parse(&self.body).unwrap().check(&self.delivered, me, &sender, None).unwrap();
        std::fs::read_dir(thief.file("keys")).unwrap().find_map(|entry| {
            let pem = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let key = PrivateKey::from_pem(&pem).ok()?;
            // Under whatever name: the key itself decides.
            let wrap = Wrap { key: key.public().id(), ..self.wrap.clone() };
            verified.open(&key, &wrap).ok()
        })
    }

    /// What it says to them.
    fn open_with(&self, thief: &Profile) -> Option<String> {
        self.opened_with(thief).map(|opened| match opened.content {
            Content::Text(text) => text,
            other => panic!("{other:?}"),
        })
    }
}

#[test]
fn a_recorded_envelope_no_longer_opens_once_its_key_is_destroyed() {
    let (mut server, ayşe, burak) = friends();
    ayşe.send("burak", "kaydedildi");
    let recorded = Recorded::newest(&server);
    let first = key(&burak);
    assert_eq!(recorded.wrap.key, first.parse::<KeyId>().unwrap());
    assert_eq!(texts(&burak), ["kaydedildi"]);
    assert_eq!(
        recorded.open_with(&burak).as_deref(),
        Some("kaydedildi"),
        "who steals the profile now reads it"
    );
    let path = burak.file(&format!("keys/message-{first}.pem"));
    let pem = std::fs::read_to_string(&path).unwrap();
    // The file itself, beyond its name.
    let linked = burak.file("the same file");
    std::fs::hard_link(&path, &linked).unwrap();

    // Replaced after a week; kept for what may still be on the server.
    day(&mut server, 8);
    online_until(&burak, "the key is replaced", || key(&burak) != first);
    day(&mut server, 37);
    burak.receive();
    assert!(kept(&burak).contains(&first));
    // 31 days after the replacement.
    day(&mut server, 39);
    online_until(&burak, "the old key is destroyed", || !kept(&burak).contains(&first));
    assert_eq!(recorded.open_with(&burak), None);
    assert_eq!(std::fs::read(&linked).unwrap(), vec![0; pem.len()], "overwritten, not only unlinked");
    // One's own history stays.
    assert!(burak.run(["history", "--search", "kaydedildi"]).ok().contains("kaydedildi"));
}

/// What only the private half of a key has, as its file has it and as it is: from its private exponent on.
fn private_half(profile: &Profile, key: &str) -> Vec<Vec<u8>> {
    const EXPONENT: usize = 320;
    let pem = std::fs::read_to_string(profile.file(&format!("keys/message-{key}.pem"))).unwrap();
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(lines.concat()).unwrap();
    let text = lines.iter().skip(EXPONENT / 48 + 1).map(|line| line.as_bytes().to_vec());
    der[EXPONENT..].chunks_exact(32).map(<[u8]>::to_vec).chain(text).collect()
}

#[test]
fn nothing_of_what_was_destroyed_is_left_in_the_history_or_in_its_log() {
    let (mut server, ayşe, burak) = friends();
    let first = key(&burak);
    let half = private_half(&burak, &first);
    day(&mut server, 8);
    online_until(&burak, "the key is replaced", || key(&burak) != first);
    day(&mut server, 20);
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::rising(6)).unwrap();
    ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok();
    let opened = Recorded::newest(&server).opened_with(&burak).unwrap();
    let secret = opened.secret.expose_key_bytes();
    let until = |what: &str, wanted: &dyn Fn() -> bool| {
        let deadline = Instant::now() + TIMEOUT;
        while !wanted() {
            assert!(Instant::now() < deadline, "it is not so that {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // A server that hands out no sound, and a client that is killed.
    let liar = Liar::start(&server, &[&burak], |passing, line| match &passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::FetchChunk { .. }) => {}
        _ => line.pass(passing),
    });
    let mut following = burak.start(["receive", "--follow", "--server", &liar.name]);
    until("the sound's key is kept for as long as the sound is fetched", &|| holds(&burak, secret));
    following.kill();

    // Weeks later the sound comes, and only then the mailbox's end.
    day(&mut server, 39);
    let is_open = Arc::new(AtomicBool::new(false));
    let (open, mut held) = (is_open.clone(), Vec::new());
    let liar = Liar::start(&server, &[&burak], move |passing, line| {
        held.push(passing);
        for passing in std::mem::take(&mut held) {
            match &passing {
                Passing::Down(Push::Drained { .. }, _) if !open.load(Ordering::SeqCst) => held.push(passing),
                _ => line.pass(passing),
            }
        }
    });
    let mut following = burak.start(["receive", "--follow", "--json", "--server", &liar.name]);
    until("the sound is here", &|| {
        burak.run(["history", "--json"]).json().iter().any(|message| message["kind"] == "voice")
    });
    assert!(kept(&burak).contains(&first), "the mailbox has not been read to its end");
    is_open.store(true, Ordering::SeqCst);
    ayşe.send("burak", "hepsi bu kadar");
    until("the old key is destroyed", &|| !kept(&burak).contains(&first));
    // Without the program's end, which takes the log away.
    until("the sound's key is gone from the history's pages", &|| !holds(&burak, secret));
    assert!(following.is_running());
    for piece in &half {
        assert!(!holds(&burak, piece), "a piece of the private half");
    }
    assert!(holds(&burak, "hepsi bu kadar".as_bytes()), "what is kept is found so");
}

#[test]
fn a_replaced_key_is_kept_until_the_mailbox_has_been_read_to_its_end_and_destroyed_then() {
    let (mut server, ayşe, burak) = friends();
    let first = key(&burak);
    ayşe.send("burak", "yolda");
    let recorded = Recorded::newest(&server);
    assert_eq!(recorded.wrap.key, first.parse::<KeyId>().unwrap());
    // A server that hands out no mail, and never says that there is no more; until it is let.
    let drains = Arc::new(AtomicBool::new(false));
    let (open, delivered) = (drains.clone(), recorded.push());
    let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
        Passing::Down(Push::Delivery { .. }, _) => {}
        Passing::Down(Push::Drained { .. }, _) if !open.load(Ordering::SeqCst) => {}
        Passing::Down(Push::Drained { position: end }, body) => {
            let mut late = delivered.clone();
            if let Push::Delivery { position, .. } = &mut late {
                *position = end;
            }
            line.tell(&late, &recorded.body);
            line.tell(&Push::Drained { position: end }, &body);
        }
        other => line.pass(other),
    });
    let online = || burak.run(["users", "--server", &liar.name]);
    day(&mut server, 8);
    go_on_until(online, "the key is replaced", || key(&burak) != first);
    let second = key(&burak);

    // 31 days after that. Whoever replaces a key then also looks which ones have had their time.
    day(&mut server, 39);
    go_on_until(online, "the key is replaced again", || key(&burak) != second);
    for _ in 0..3 {
        online().ok();
        assert!(kept(&burak).contains(&first), "something that was sealed for it may still come");
    }
    // It does, and opens.
    drains.store(true, Ordering::SeqCst);
    let got = burak.run(["receive", "--json", "--server", &liar.name]).json();
    let got: Vec<(&str, bool)> = got
        .iter()
        .filter(|message| message["kind"] == "text")
        .map(|message| (message["text"].as_str().unwrap(), message["late"].as_bool().unwrap()))
        .collect();
    assert_eq!(got, [("yolda", true)]);
    go_on_until(online, "the old key is destroyed", || !kept(&burak).contains(&first));
    assert!(kept(&burak).contains(&second), "replaced only now");
}

#[test]
fn what_was_written_weeks_ago_or_by_a_clock_that_is_weeks_ahead_is_shown_and_marked() {
    let (mut server, ayşe, burak) = friends();
    let marks = |messages: &[Value]| -> Vec<(String, bool)> {
        let mark = |message: &Value| {
            (message["text"].as_str().unwrap().to_owned(), message["late"].as_bool().unwrap())
        };
        messages.iter().map(mark).collect()
    };
    // Her clock alone is ahead.
    move_to_day(20);
    ayşe.send("burak", "yarından");
    move_to_day(0);
    ayşe.send("burak", "bugünden");
    let got = burak.receive();
    got.iter().for_each(schema::check_message);
    assert_eq!(marks(&got), [("yarından".to_owned(), true), ("bugünden".to_owned(), false)]);
    let ahead: Millis = serde_json::from_value(got[0]["sent_at"].clone()).unwrap();
    assert!(ahead > Millis::now(), "the date is its sender's");

    // He was away for three weeks.
    ayşe.send("burak", "bekledi");
    day(&mut server, 21);
    ayşe.send("burak", "yeni");
    let lines = burak.run(["receive"]);
    let line = |what: &str| lines.ok().lines().find(|line| line.contains(what)).unwrap().to_owned();
    let old = line("bekledi");
    let (date, rest) = old.split_once(' ').unwrap();
    assert!(date.len() == "2026-11-21".len() && date.starts_with("20"), "{old}");
    assert!(rest.contains("(arrived ") && rest.find("(arrived ") < rest.find("bekledi"), "{old}");
    assert!(!line("yeni").contains("(arrived "), "{lines:?}");
    let kept = burak.run(["history", "ayşe", "--json"]).json();
    let kept = marks(&kept);
    let late = |what: &str| kept.iter().find(|(text, _)| text == what).unwrap().1;
    assert!(late("bekledi") && late("yarından") && !late("yeni"), "{kept:?}");
}

#[test]
fn what_is_refused_for_a_replaced_key_is_wrapped_anew_and_is_the_same_envelope() {
    let (server, ayşe, burak) = friends();
    let old = key(&burak);
    burak.run(["rekey", "--message-key"]).ok();
    let new = key(&burak);
    assert_ne!(old, new);
    // What ayşe's client submits, and what becomes of it.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| {
        match &passing {
            Passing::Up(request, body) => {
                if let Verb::Submit { message, recipients, .. } = &request.verb {
                    let keys = recipients.iter().flat_map(|to| &to.wraps).map(|wrap| wrap.key.to_string());
                    let submitted = (message.to_string(), keys.collect::<Vec<_>>(), body.to_vec());
                    seeing.lock().unwrap().push((request.number, submitted, None));
                }
            }
            Passing::Down(Push::Refusal { number, code, .. }, _) => {
                let mut seen = seeing.lock().unwrap();
                seen.iter_mut().filter(|(of, ..)| of == number).for_each(|(.., end)| *end = Some(Err(*code)));
            }
            Passing::Down(Push::Reply { number, answer }, _) => {
                let mut seen = seeing.lock().unwrap();
                seen.iter_mut()
                    .filter(|(of, ..)| of == number)
                    .for_each(|(.., end)| *end = Some(Ok(answer.clone())));
            }
            _ => {}
        }
        line.pass(passing);
    });
    ayşe.run(["send", "burak", "yeni anahtara", "--server", &liar.name]).ok();
    let seen = seen.lock().unwrap();
    let to_burak: Vec<_> =
        seen.iter().filter(|(_, (_, keys, _), _)| keys.contains(&old) || keys.contains(&new)).collect();
    let [(_, (name, first, body), refused), (_, (again, second, same), accepted)] = to_burak[..] else {
        panic!("{} submissions", to_burak.len())
    };
    assert!(matches!(refused, Some(Err(RefusalCode::KeySuperseded))), "{refused:?}");
    assert!(matches!(accepted, Some(Ok(Answer::Accepted { .. }))), "{accepted:?}");
    assert_eq!((name, body), (again, same), "header, token and signature are as they were");
    assert!(first.contains(&old) && !first.contains(&new), "{first:?}");
    assert!(second.contains(&new) && !second.contains(&old), "{second:?}");
    assert_eq!(texts(&burak), ["yeni anahtara"]);
}

#[test]
fn a_key_that_was_replaced_early_is_kept_for_as_long_as_anybody_may_seal_for_it() {
    let (mut server, _ayşe, burak) = friends();
    let first = key(&burak);
    burak.run(["rekey", "--message-key"]).ok();
    let second = key(&burak);
    // Nothing of then is on the server any more; but it may have gone on showing the first key to others.
    day(&mut server, 36);
    online_until(&burak, "the second key is replaced", || key(&burak) != second);
    burak.receive();
    assert!(kept(&burak).contains(&first));
    day(&mut server, 39);
    online_until(&burak, "the first key is destroyed", || !kept(&burak).contains(&first));
}

#[test]
fn keys_are_replaced_by_command_and_as_often_as_is_set() {
    let (mut server, ayşe, burak) = friends();
    let first = key(&burak);
    let rekeyed = burak.run(["rekey", "--message-key", "--json"]).json();
    schema::check(&rekeyed[0], &["rekeyed"]);
    assert_eq!(rekeyed[0]["what"], "message");
    let second = key(&burak);
    assert_ne!(first, second);
    ayşe.send("burak", "ikinciye");
    assert_eq!(texts(&burak), ["ikinciye"]);

    std::fs::write(burak.file("settings.toml"), "message_key_days = 2\n").unwrap();
    day(&mut server, 1);
    burak.run(["users"]).ok();
    assert_eq!(key(&burak), second);
    day(&mut server, 3);
    online_until(&burak, "the key is replaced", || key(&burak) != second);

    // Under a passphrase a new key is sealed like the others.
    burak.run_with_stdin(["lock", "--set", "--new-passphrase-fd", "0"], b"gizli").ok();
    burak.run_with_stdin(["rekey", "--message-key", "--passphrase-fd", "0"], b"gizli\n").ok();
    let pem = std::fs::read_to_string(burak.file(&format!("keys/message-{}.pem", key(&burak)))).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
}
