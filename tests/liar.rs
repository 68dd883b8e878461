//! A server that lies, in one way at a time: what the users of the real client see.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

#[path = "support/liar.rs"]
mod liar;
#[path = "support/raw.rs"]
mod raw;
mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bytes::{Bytes, BytesMut};
use liar::{Liar, Line, Passing};
use raw::{Person, Raw};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use support::forge::{account, directory_entry, join, parts};
use support::swap::database;
use support::{Profile, Server, TIMEOUT, schema, wav};
use tellal::crypto::record::{announce_message_key, verify_account};
use tellal::crypto::{LogKey, Purpose};
use tellal::model::{
    AccountId, DeviceId, DirectoryEntry, Head, MessageId, Millis, Position, ServerId, Signed, to_cbor,
};
use tellal::protocol::frame;
use tellal::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, Verb};

fn friends() -> (Server, Profile, Profile) {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    (server, ayşe, burak)
}

/// What is new to somebody whom this server serves: kind and text of each.
#[track_caller]
fn receive(profile: &Profile, server: &str) -> Vec<(String, String)> {
    let new = profile.run(["receive", "--json", "--server", server]).json();
    new.iter().for_each(schema::check_message);
    let word = |message: &Value, field: &str| message[field].as_str().unwrap_or_default().to_owned();
    new.iter().map(|message| (word(message, "kind"), word(message, "text"))).collect()
}

fn text(words: &str) -> (String, String) {
    ("text".to_owned(), words.to_owned())
}

fn notice(words: &str) -> (String, String) {
    ("notice".to_owned(), words.to_owned())
}

/// What a server does with what passes by.
type Lie = Box<dyn FnMut(Passing, &mut Line) + Send>;

/// Passes everything on but what comes from the mailbox, which it hands to this.
fn with_mail(
    mut lie: impl FnMut(Push, Bytes, &mut Line) + Send + 'static,
) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    move |passing, line| match passing {
        Passing::Down(push @ (Push::Delivery { .. } | Push::Drained { .. }), body) => lie(push, body, line),
        other => line.pass(other),
    }
}

/// Gives out other records in the place of an account's, wherever they are asked for, and stays with it.
fn with_entry(of: AccountId, entry: DirectoryEntry) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    let false_account = verify_account(&entry.chain).map(|account| account.id).ok();
    move |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::LookUpAccount { account } if Some(account) == false_account) =>
        {
            line.answer(request.number, Answer::Directory { entries: vec![entry.clone()], more: false });
        }
        Passing::Down(Push::Reply { number, answer: Answer::Directory { mut entries, more } }, _) => {
            for shown in &mut entries {
                if verify_account(&shown.chain).unwrap().id == of {
                    *shown = entry.clone();
                }
            }
            line.answer(number, Answer::Directory { entries, more });
        }
        other => line.pass(other),
    }
}

#[test]
fn keys_that_are_swapped_are_not_written_to() {
    let (server, ayşe, burak) = friends();
    let zoé = Profile::register(&server, "zoé");
    zoé.send("burak", "merhaba");
    burak.receive();
    let elsewhere = Server::start();
    let impostor = Profile::register(&elsewhere, "burak");
    let false_entry = directory_entry(&elsewhere, account(&impostor));
    let liar = Liar::start(&server, &[&ayşe, &zoé], with_entry(account(&burak), false_entry.clone()));

    // Who meets burak for the first time is told that the log has no such keys.
    let first = ayşe.run(["send", "burak", "gizli", "--server", &liar.name]);
    assert!(first.failure().contains("keys for burak that its transparency log does not have"), "{first:?}");
    // Who knows burak is told that the key is another one, as soon as it is shown.
    let users = zoé.run(["users", "--json", "--server", &liar.name]).json();
    let user = users.iter().find(|user| user["nickname"] == "burak").unwrap();
    assert!(user["warning"].as_str().unwrap().contains("the key has changed"), "{user}");
    let known = zoé.run(["send", "burak", "gizli", "--server", &liar.name]);
    assert!(known.failure().contains("the key of burak has changed"), "{known:?}");
    assert_eq!(burak.receive_texts(), []);

    // A true chain, with message keys that are not that account's: there is nothing to wrap for.
    let server_entry = directory_entry(&server, account(&burak));
    let 지민 = Profile::register(&server, "지민");
    for message_keys in [false_entry.message_keys, directory_entry(&server, account(&zoé)).message_keys] {
        let entry = DirectoryEntry { message_keys, ..server_entry.clone() };
        let liar = Liar::start(&server, &[&지민], with_entry(account(&burak), entry));
        let sent = 지민.run(["send", "burak", "gizli", "--server", &liar.name]);
        assert!(sent.failure().contains("there is no key to write to"), "{sent:?}");
    }
    assert_eq!(burak.receive_texts(), []);
}

#[test]
fn a_server_whose_clock_is_wrong_gets_nothing_sealed_for_keys_of_long_ago() {
    let (server, ayşe, burak) = friends();
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    let long_ago = Millis(Millis::now().0 - days(730).as_millis() as u64);
    let with_clock = move |mut lie: Lie| {
        move |passing: Passing, line: &mut Line| match passing {
            Passing::Down(Push::Hello { versions, server, nonce, log, .. }, body) => {
                line.tell(&Push::Hello { versions, server, nonce, time: long_ago, log }, &body);
            }
            other => lie(other, line),
        }
    };
    // By itself it changes nothing.
    let liar = Liar::start(&server, &[&ayşe], with_clock(Box::new(|passing, line| line.pass(passing))));
    ayşe.run(["send", "burak", "bir", "--server", &liar.name]).ok();
    assert_eq!(burak.receive_texts().len(), 1);
    // With a true record of burak's, of a key that somebody may have got hold of by now.
    let stolen = Person::new("burak").message;
    let device = liar::key(&burak.file("keys/device.pem"));
    let record = announce_message_key(&device, account(&burak), stolen.public(), long_ago, None).unwrap();
    let entry = DirectoryEntry { message_keys: vec![record], ..directory_entry(&server, account(&burak)) };
    let zoé = Profile::register(&server, "zoé");
    let lie = with_clock(Box::new(with_entry(account(&burak), entry)));
    let liar = Liar::start(&server, &[&zoé], lie);
    let sent = zoé.run(["send", "burak", "gizli", "--server", &liar.name]);
    assert!(sent.failure().contains("there is no key to write to"), "{sent:?}");
}

#[test]
fn an_end_of_an_account_that_its_owner_has_not_signed_ends_nothing() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "bir");
    assert_eq!(burak.receive_texts().len(), 1);
    // burak's chain with one more record, signed by somebody else.
    let mallory = Person::new("mallory");
    let mut entry = directory_entry(&server, account(&burak));
    let body = entry.chain[0].body.clone();
    let signature = mallory.identity.sign(Purpose::AccountRecord, &[&body]).unwrap();
    entry.chain.push(Signed { body, signature: signature.into() });
    let liar = Liar::start(&server, &[&ayşe], with_entry(account(&burak), entry));
    let users = ayşe.run(["users", "--json", "--server", &liar.name]).json();
    assert!(users.iter().all(|user| user["nickname"] != "burak"), "records that don't verify are nobody's");
    // What is known of burak stays in force.
    ayşe.run(["send", "burak", "iki", "--server", &liar.name]).ok();
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "iki".to_owned())]);
}

#[test]
fn what_is_dropped_is_missed_once_something_later_comes() {
    let (server, ayşe, burak) = friends();
    let mut seen = Vec::new();
    let liar = Liar::start(
        &server,
        &[&burak],
        with_mail(move |push, body, line| {
            if let Push::Delivery { message, .. } = &push {
                if !seen.contains(message) {
                    seen.push(*message);
                }
                // The second one, for good.
                if seen.get(1) == Some(message) {
                    return;
                }
            }
            line.tell(&push, &body);
        }),
    );
    ayşe.send("burak", "bir");
    assert_eq!(receive(&burak, &liar.name), [text("bir")]);
    ayşe.send("burak", "iki");
    assert_eq!(receive(&burak, &liar.name), [], "nothing tells yet: docs/security.md says so");
    ayşe.send("burak", "üç");
    let missing = "1 message from ayşe did not arrive: ask ayşe to send again";
    assert_eq!(receive(&burak, &liar.name), [text("üç"), notice(missing)]);
    assert_eq!(receive(&burak, &liar.name), [], "that is said once");
}

#[test]
fn what_is_doubled_is_shown_once_and_what_is_reordered_is_shown_whole() {
    let (server, ayşe, burak) = friends();
    let twice = Liar::start(
        &server,
        &[&burak],
        with_mail(|push, body, line| {
            line.tell(&push, &body);
            line.tell(&push, &body);
        }),
    );
    ayşe.send("burak", "bir");
    ayşe.send("burak", "iki");
    assert_eq!(receive(&burak, &twice.name), [text("bir"), text("iki")]);

    let mut held: Vec<(Push, Bytes)> = Vec::new();
    let backwards = Liar::start(
        &server,
        &[&burak],
        with_mail(move |push, body, line| match push {
            Push::Delivery { .. } => held.push((push, body)),
            _ => {
                // The last one first; the places in the mailbox as if that were their order.
                let places: Vec<Position> = held.iter().map(|(push, _)| *place(&mut push.clone())).collect();
                for ((mut push, body), at) in held.drain(..).rev().zip(places) {
                    *place(&mut push) = at;
                    line.tell(&push, &body);
                }
                line.tell(&push, &body);
            }
        }),
    );
    for words in ["üç", "dört", "beş"] {
        ayşe.send("burak", words);
    }
    let mut shown = receive(&burak, &backwards.name);
    shown.sort();
    assert_eq!(shown, [text("beş"), text("dört"), text("üç")]);
}

fn place(push: &mut Push) -> &mut Position {
    match push {
        Push::Delivery { position, .. } => position,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_delayed_is_missed_and_shown_when_it_comes() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "önce");
    burak.receive();
    let mut held = None;
    let mut sessions = 0;
    let liar = Liar::start(
        &server,
        &[&burak],
        with_mail(move |push, body, line| match push {
            Push::Delivery { .. } if held.is_none() && sessions == 0 => held = Some((push, body)),
            Push::Drained { position } => {
                if sessions == 1
                    && let Some((mut late, body)) = held.take()
                {
                    *place(&mut late) = position;
                    line.tell(&late, &body);
                }
                sessions += 1;
                line.tell(&push, &body);
            }
            _ => line.tell(&push, &body),
        }),
    );
    ayşe.send("burak", "bir");
    ayşe.send("burak", "iki");
    let missing = "1 message from ayşe did not arrive: ask ayşe to send again";
    assert_eq!(receive(&burak, &liar.name), [text("iki"), notice(missing)]);
    assert_eq!(receive(&burak, &liar.name), [text("bir")]);
}

#[test]
fn what_is_forged_is_not_believed() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "önce");
    let mallory = Person::new("mallory");
    let mallory_account = mallory.account();
    let ayşe_account = account(&ayşe);
    let liar = Liar::start(
        &server,
        &[&burak],
        with_mail(move |push, body, line| {
            if let Push::Delivery { position, sender, device, conversation, wrap, accepted_at, .. } = &push {
                // In ayşe's name, with the signature of the one who forges.
                let [header, _, token] = parts(&body);
                let signature = mallory.device.sign(Purpose::Envelope, &[&[1; 32], &[2; 32]]).unwrap();
                let forged = join(&[&header, &signature, &token]);
                let again = Push::Delivery {
                    position: *position,
                    sender: *sender,
                    device: *device,
                    message: MessageId::generate(),
                    conversation: *conversation,
                    wrap: wrap.clone(),
                    accepted_at: *accepted_at,
                };
                line.tell(&again, &forged);
                // From nobody that there is; more than once.
                let nobody = |message| Push::Delivery {
                    position: *position,
                    sender: mallory_account,
                    device: mallory.device(),
                    message,
                    conversation: *conversation,
                    wrap: wrap.clone(),
                    accepted_at: Millis::now(),
                };
                let message = MessageId::generate();
                line.tell(&nobody(message), &forged);
                line.tell(&nobody(message), b"");
            }
            line.tell(&push, &body);
            // Somebody who is away is said to be here, and so is somebody who is not at all.
            for account in [ayşe_account, mallory_account] {
                line.tell(&Push::Presence { account, online: true }, b"");
            }
            line.tell(&Push::LogGrown { size: u64::MAX }, b"");
        }),
    );
    assert_eq!(
        receive(&burak, &liar.name),
        [
            notice("A message from ayşe could not be opened: ask ayşe to send it again"),
            notice("A message from an unknown sender could not be opened"),
            text("önce"),
        ]
    );
    // A reason of the server's making ends the connection, and nothing else.
    let liar = Liar::start(&server, &[&burak], |passing, line| match passing {
        Passing::Down(Push::Reply { answer: Answer::Subscribed { .. }, .. }, _) => {
            line.tell(&Push::Goodbye { reason: GoodbyeReason::Replaced, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    ayşe.send("burak", "sonra");
    let refused = burak.run(["receive", "--server", &liar.name]);
    assert!(refused.failure().contains("this profile has connected from somewhere else"), "{refused:?}");
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "sonra".to_owned())]);
}

/// The alarms among what is new.
#[track_caller]
fn alarm(profile: &Profile, server: &str) -> String {
    let new = receive(profile, server);
    let alarms: Vec<&String> =
        new.iter().map(|(_, text)| text).filter(|text| text.contains("ALARM: ")).collect();
    assert_eq!(alarms.len(), 1, "{new:?}");
    assert!(receive(profile, server).iter().all(|(kind, _)| kind != "notice"), "that is said once");
    alarms[0].clone()
}

#[test]
fn a_log_that_is_shown_as_it_was_is_rolled_back() {
    let (server, ayşe, burak) = friends();
    let frozen: Arc<Mutex<Option<String>>> = Arc::default();
    let thaw = Arc::new(AtomicBool::new(true));
    let (kept, honest) = (frozen.clone(), thaw.clone());
    let liar = Liar::start(&server, &[&ayşe, &burak], move |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Log { checkpoint } }, body) => {
            if honest.load(Ordering::SeqCst) {
                kept.lock().unwrap().get_or_insert(checkpoint.clone());
                line.tell(&Push::Reply { number, answer: Answer::Log { checkpoint } }, &body);
            } else {
                let checkpoint = kept.lock().unwrap().clone().unwrap();
                line.answer(number, Answer::Log { checkpoint });
            }
        }
        other => line.pass(other),
    });
    // Seen with two entries through the liar, with three by burak from the server itself.
    assert_eq!(receive(&ayşe, &liar.name), []);
    Profile::register(&server, "zoé");
    assert_eq!(receive(&burak, &server.name()), []);
    thaw.store(false, Ordering::SeqCst);
    let rolled_back = alarm(&burak, &liar.name);
    assert!(rolled_back.contains("was rolled back: it has 2 entries and had 3"), "{rolled_back}");

    // From ayşe the newest entry is hidden: her log has stood still. With burak's message comes that it has not.
    assert_eq!(receive(&ayşe, &liar.name), []);
    burak.send("ayşe", "merhaba");
    assert_eq!(receive(&ayşe, &liar.name), [text("merhaba")], "what comes is shown; its word accuses nobody");
    burak.receive();
    let withheld = alarm(&ayşe, &liar.name);
    assert!(
        withheld.contains("has signed a transparency log of 3 entries, which burak has seen"),
        "{withheld}"
    );
    let audit = ayşe.run(["audit", "--json", "--server", &liar.name]);
    assert_eq!(audit.code(), 1, "{audit:?}");
    let report: Value = serde_json::from_str(audit.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(report["alarms"][0]["alarm"], "withheld", "{report}");
}

#[test]
fn a_log_whose_entries_are_not_what_is_signed_contradicts_itself() {
    let (server, ayşe, _burak) = friends();
    let liar = Liar::start(&server, &[&ayşe], |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Log { checkpoint } }, body) => {
            let mut leaves = body.to_vec();
            if let Some(byte) = leaves.last_mut() {
                *byte ^= 1;
            }
            line.tell(&Push::Reply { number, answer: Answer::Log { checkpoint } }, &leaves);
        }
        other => line.pass(other),
    });
    let said = alarm(&ayşe, &liar.name);
    assert!(said.contains("contradicts itself: its entries are not what it has signed"), "{said}");
    let report = ayşe.run(["audit", "--json", "--server", &liar.name]);
    let report: Value = serde_json::from_str(report.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(report["alarms"][0]["alarm"], "contradicts", "{report}");
}

/// What a server signs its log with, in the hands of whoever runs it.
struct Signer {
    key: LogKey,
    pair: Ed25519KeyPair,
}

impl Signer {
    fn of(server: &Server) -> Self {
        let pem = PrivatePkcs8KeyDer::from_pem_file(server.data().join("log-key.pem")).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pem.secret_pkcs8_der()).unwrap();
        let id: [u8; 32] = database(server.data())
            .query_row("SELECT value FROM meta WHERE name = 'server_id'", [], |row| row.get(0))
            .unwrap();
        let key =
            LogKey { server: ServerId::new(id), public: pair.public_key().as_ref().try_into().unwrap() };
        Self { key, pair }
    }

    /// A good checkpoint of whatever there may be of a log.
    fn checkpoint(&self, head: Head) -> String {
        let text = self.key.text(&head);
        self.key.note(&text, self.pair.sign(text.as_bytes()).as_ref())
    }
}

#[test]
fn a_log_that_is_too_long_to_be_read_or_has_no_end_is_said_and_what_is_known_goes_on() {
    let (server, ayşe, burak) = friends();
    burak.send("ayşe", "bir");
    assert_eq!(receive(&ayşe, &server.name()), [text("bir")]);
    let size = 2_000_000;
    let signer = Signer::of(&server);
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Log { .. } }, _) => {
            let checkpoint = signer.checkpoint(Head { size, root: [7; 32] });
            line.tell(&Push::Reply { number, answer: Answer::Log { checkpoint } }, &[7; 72 * 500]);
        }
        other => line.pass(other),
    });
    burak.send("ayşe", "iki");
    let new = receive(&ayşe, &liar.name);
    let too_long = "ALARM: the server says that its transparency log has 2000000 entries: that is more than can be \
                 verified here, and new accounts can't be relied on";
    assert!(new.iter().any(|(kind, text)| kind == "notice" && text.starts_with(too_long)), "{new:?}");
    assert!(new.contains(&text("iki")), "{new:?}");
    assert!(ayşe.run(["users", "--server", &liar.name]).ok().contains("has 2000000 entries"));
    let audit = ayşe.run(["audit", "--server", &liar.name]);
    assert!(audit.code() == 1 && audit.stdout.contains("has 2000000 entries"), "{audit:?}");
    assert_eq!(receive(&ayşe, &liar.name), [], "that is said once");

    // One entry at a time, and always as many more to come as have come.
    let signer = Signer::of(&server);
    let mut asked = 0;
    let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
        Passing::Up(request, body) => match request.verb {
            Verb::ReadLog { from } => {
                asked += 1;
                // A client that follows it follows it for ever; this one it has lost long before.
                if asked < 1_000 {
                    let checkpoint = signer.checkpoint(Head { size: 2 * from + 10, root: [7; 32] });
                    let answer = Push::Reply { number: request.number, answer: Answer::Log { checkpoint } };
                    line.tell(&answer, &[7; 72]);
                }
            }
            _ => line.ask(request, &body),
        },
        other => line.pass(other),
    });
    let said = alarm(&burak, &liar.name);
    assert!(said.contains("contradicts itself"), "{said}");
    ayşe.send("burak", "üç");
    assert_eq!(receive(&burak, &liar.name), [text("üç")]);
}

/// The files of a profile's keys.
fn key_files(profile: &Profile) -> BTreeSet<OsString> {
    let files = std::fs::read_dir(profile.file("keys")).unwrap();
    files.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn new_keys_that_the_server_does_not_show_are_no_end_of_the_old_ones() {
    let (server, ayşe, burak) = friends();
    burak.send("ayşe", "önce");
    assert_eq!(receive(&ayşe, &server.name()), [text("önce")]);
    ayşe.send("burak", "selam");
    burak.receive();
    let (ayşes, old_keys) = (account(&ayşe), key_files(&ayşe));
    let old_entry = directory_entry(&server, ayşes);
    let old_device: DeviceId = liar::key(&ayşe.file("keys/device.pem")).public().id().into();
    let not_shown = "does not show them in its directory and its log; the old ones are kept";
    let keeps = |how: &str| {
        let kept = key_files(&ayşe);
        assert!(kept.is_superset(&old_keys), "{how}: {kept:?}");
    };

    // Taken, it says, and throws them away.
    let liar = Liar::start(&server, &[&ayşe], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::PublishRecord { .. }) => {
            line.answer(request.number, Answer::Done);
        }
        other => line.pass(other),
    });
    let done = ayşe.run(["rekey", "--server", &liar.name]);
    assert!(done.failure().contains(not_shown), "{done:?}");
    keeps("thrown away");
    burak.send("ayşe", "eskilere");
    assert_eq!(receive(&ayşe, &liar.name), [text("eskilere")], "what is sent to the old keys opens");
    keeps("after the next connection");

    // Shown, but not what its log has.
    let mut taken = None;
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
        Passing::Up(request, body) => match request.verb {
            Verb::PublishRecord { record, .. } => {
                taken = Some(record);
                line.answer(request.number, Answer::Done);
            }
            _ => line.ask(request, &body),
        },
        Passing::Down(Push::Reply { number, answer: Answer::Directory { mut entries, more } }, _) => {
            for shown in &mut entries {
                if verify_account(&shown.chain).unwrap().id == ayşes {
                    shown.chain.extend(taken.clone());
                }
            }
            line.answer(number, Answer::Directory { entries, more });
        }
        other => line.pass(other),
    });
    let done = ayşe.run(["rekey", "--server", &liar.name]);
    assert!(done.failure().contains(not_shown), "{done:?}");
    keeps("shown alone");

    // The old device is not known any more, it says; the new one is, without a record of it.
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
        Passing::Up(request, body) => match request.verb {
            Verb::Login { device, .. } if device == old_device => {
                let code = RefusalCode::LoginRefused;
                line.tell(&Push::Refusal { number: request.number, code, retry_after: None }, b"");
            }
            Verb::Login { .. } => line.answer(request.number, Answer::LoggedIn),
            Verb::LookUpAccount { .. } => {
                let entries = vec![old_entry.clone()];
                line.answer(request.number, Answer::Directory { entries, more: false });
            }
            _ => line.ask(request, &body),
        },
        other => line.pass(other),
    });
    let done = ayşe.run(["users", "--server", &liar.name]);
    assert!(done.failure().contains(not_shown), "{done:?}");
    keeps("not let in");

    // The server itself takes them.
    burak.send("ayşe", "yine eskilere");
    ayşe.run(["rekey"]).ok();
    assert_eq!(receive(&ayşe, &server.name()), [text("yine eskilere")]);
    assert!(key_files(&ayşe).is_disjoint(&old_keys), "{:?}", key_files(&ayşe));
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "yenilere");
    assert_eq!(receive(&ayşe, &server.name()), [text("yenilere")]);
}

#[test]
fn a_command_says_what_the_servers_last_words_were() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "önce");
    burak.receive();
    let goodbyes = [
        (GoodbyeReason::ShuttingDown, "the server is shutting down"),
        (GoodbyeReason::Malformed, "the server did not understand this program"),
        (GoodbyeReason::TooLarge, "the server found something too large"),
        (GoodbyeReason::TimedOut, "the server heard nothing for too long"),
        (GoodbyeReason::Replaced, "this profile has connected from somewhere else"),
        (GoodbyeReason::Limited, "the server has too many connections"),
    ];
    for (reason, says) in goodbyes {
        // Once the client is logged in, whatever it waits for then.
        let goodbye = Push::Goodbye { reason, retry_after: None };
        let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
            Passing::Up(request, _) if matches!(request.verb, Verb::ListAccounts { .. }) => {
                line.tell(&goodbye, b"");
            }
            Passing::Down(Push::Reply { answer: Answer::Subscribed { .. }, .. }, _) => {
                line.tell(&goodbye, b"");
            }
            other => line.pass(other),
        });
        for command in ["users", "receive"] {
            let ended = burak.run([command, "--server", &liar.name]);
            assert!(ended.failure().contains(says), "{command}: {ended:?}");
        }
    }
    // In place of the greeting, and of the login's answer.
    for greeted in [false, true] {
        let goodbye = Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None };
        let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
            Passing::Down(Push::Hello { .. }, _) if !greeted => line.tell(&goodbye, b""),
            Passing::Up(request, _) if matches!(request.verb, Verb::Login { .. }) => line.tell(&goodbye, b""),
            other => line.pass(other),
        });
        let ended = ayşe.run(["users", "--server", &liar.name]);
        assert!(ended.failure().contains("the server is shutting down"), "{ended:?}");
        let queued = ayşe.run(["--mute", "send", "burak", "sonra", "--server", &liar.name]);
        let said = queued.failure();
        assert!(said.contains("the server is shutting down; the message waits in the outbox"), "{queued:?}");
    }
    // Of what the client itself finds wrong, too.
    let liar = Liar::start(&server, &[&burak], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::ListAccounts { .. }) => {
            line.answer(request.number, Answer::Done);
        }
        other => line.pass(other),
    });
    let ended = burak.run(["users", "--server", &liar.name]);
    assert!(ended.failure().contains("the server gave an answer to something else"), "{ended:?}");
    let liar = Liar::start(&server, &[&burak], |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Subscribed { .. } }, _) => {
            line.answer(number, Answer::Done);
        }
        other => line.pass(other),
    });
    let ended = burak.run(["receive", "--server", &liar.name]);
    assert!(ended.failure().contains("the server gave an answer to something else"), "{ended:?}");
    // A registration is none before the server has answered.
    let liar = Liar::start(&server, &[], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::Register { .. }) => {
            line.tell(&Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    let zoé = Profile::new(&server, "zoé");
    let ended = zoé.run(["register", "zoé", "--key-bits", "2048", "--server", &liar.name]);
    assert!(ended.failure().contains("the server is shutting down; run the same command again"), "{ended:?}");
}

#[test]
fn a_time_to_come_again_is_at_least_a_second_and_at_most_an_hour() {
    let (server, ayşe, _burak) = friends();
    for (retry_after, says) in [(Some(0), "1 s"), (Some(30_000), "30 s"), (Some(u32::MAX), "60 min")] {
        let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
            Passing::Down(Push::Hello { .. }, _) => {
                line.tell(&Push::Goodbye { reason: GoodbyeReason::Limited, retry_after }, b"");
            }
            other => line.pass(other),
        });
        let refused = ayşe.run(["users", "--server", &liar.name]);
        let says = format!("as many connections as it takes, in all or from here: try again in {says}");
        assert!(refused.failure().ends_with(&says), "{refused:?}");
        // The same in the answer to a login.
        let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
            Passing::Up(request, _) if matches!(request.verb, Verb::Login { .. }) => {
                let (number, code) = (request.number, RefusalCode::Limited);
                line.tell(&Push::Refusal { number, code, retry_after }, b"");
            }
            other => line.pass(other),
        });
        let refused = ayşe.run(["users", "--server", &liar.name]);
        let says = says.replace(
            "as many connections as it takes, in all or from here",
            "asked too often by you or from your address",
        );
        assert!(refused.failure().ends_with(&says), "{refused:?}");
    }
}

/// When each connection was ended before it had begun.
type Ends = Arc<Mutex<Vec<Instant>>>;

/// Ends the first connection with the first message, so many further ones before they begin, with this, and no more.
fn away_for(most: usize, goodbye: Push, ends: &Ends) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    let (ends, mut begun) = (ends.clone(), false);
    move |passing, line| match passing {
        Passing::Down(Push::Delivery { .. }, _) if !begun => {
            begun = true;
            line.tell(&Push::Goodbye { reason: GoodbyeReason::TimedOut, retry_after: None }, b"");
        }
        Passing::Down(push @ Push::Hello { .. }, body) => {
            let mut ends = ends.lock().unwrap();
            if begun && ends.len() <= most {
                ends.push(Instant::now());
            }
            if begun && ends.len() <= most {
                line.tell(&goodbye, b"");
            } else {
                line.tell(&push, &body);
            }
        }
        other => line.pass(other),
    }
}

/// Follows through such a server until what was sent meanwhile has come; the pauses between connections.
fn pauses(most: usize, goodbye: Push, meanwhile: impl Fn(&Profile, &str, &Ends)) -> Vec<Duration> {
    let (server, ayşe, burak) = friends();
    let ends = Ends::default();
    let liar = Liar::start(&server, &[&burak], away_for(most, goodbye, &ends));
    let mut following = burak.start(["receive", "--follow", "--json", "--mute", "--server", &liar.name]);
    ayşe.send("burak", "bir");
    meanwhile(&burak, &liar.name, &ends);
    assert!(following.line().unwrap().contains("bir"), "nothing is lost");
    following.signal("INT");
    following.wait().ok();
    let ends = ends.lock().unwrap();
    assert_eq!(ends.len(), most + 1, "{ends:?}");
    ends.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect()
}

#[test]
fn a_server_that_is_not_there_is_tried_again_less_and_less_often() {
    let goodbye = Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None };
    let pauses = pauses(3, goodbye, |_, _, _| {});
    // Each is no shorter than half of what it may be at most, which doubles. How much longer it was, others have a
    // say in.
    for (pause, least) in pauses.iter().zip([250, 500, 1000]) {
        assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
    }
}

#[test]
fn a_server_that_says_when_to_come_again_is_left_alone_until_then() {
    let goodbye = Push::Goodbye { reason: GoodbyeReason::Limited, retry_after: Some(3_000) };
    let pauses = pauses(1, goodbye, |burak, server, ends| {
        let deadline = Instant::now() + TIMEOUT;
        while ends.lock().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "it never came again");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Nor does somebody in a hurry make it come sooner.
        burak.run(["users", "--server", server]);
    });
    assert!(pauses[0] >= Duration::from_secs(3), "{pauses:?}");
}

/// Whether a request is about the directory or the log.
fn about_accounts(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::ReadLog { .. }
            | Verb::ProveLeaf { .. }
            | Verb::ProveGrowth { .. }
            | Verb::LookUpName { .. }
            | Verb::LookUpAccount { .. }
            | Verb::ListAccounts { .. }
    )
}

#[test]
fn a_log_forked_for_one_user_is_proven_to_both_sides() {
    let (mut server, ayşe, burak) = friends();
    ayşe.send("burak", "merhaba");
    receive(&burak, &server.name());
    burak.send("ayşe", "selam");
    receive(&ayşe, &server.name());
    server.stop();
    let other = Server::start_in(server.backup());
    server.restart_on_same_port();
    // From here on the directory and the log that burak is shown are others; the mail is the same.
    Profile::register(&server, "zoé");
    Profile::register(&other, "지민");
    let liar = Liar::with_two([&server, &other], &[&burak], |passing, line| match passing {
        Passing::Up(request, body) => {
            let is_login = matches!(request.verb, Verb::Login { .. });
            if is_login || about_accounts(&request.verb) {
                line.ask_aside(request.clone(), &body);
            }
            if is_login || !about_accounts(&request.verb) {
                line.ask(request, &body);
            }
        }
        // Both have logged in: one says so.
        Passing::Aside(Push::Reply { answer: Answer::LoggedIn, .. }, _) => {}
        Passing::Aside(push @ (Push::Reply { .. } | Push::Refusal { .. }), body) => line.tell(&push, &body),
        other => line.pass(other),
    });
    assert_eq!(receive(&burak, &liar.name), [], "nothing contradicts what burak saw before");
    assert_eq!(receive(&ayşe, &server.name()), []);
    ayşe.send("burak", "bir");
    assert_eq!(receive(&burak, &liar.name), [text("bir")], "shown at once; a head alone is no proof");
    let forked = "two transparency logs that contradict each other";
    let said = alarm(&ayşe, &server.name());
    assert!(said.contains(forked), "{said}");
    let said = alarm(&burak, &liar.name);
    assert!(said.contains(forked), "{said}");
    for (profile, server) in [(&ayşe, server.name()), (&burak, liar.name.clone())] {
        let file = profile.file("evidence.json");
        let report = profile.run(["audit", "--export", file.to_str().unwrap(), "--server", &server]);
        assert_eq!(report.code(), 1, "{report:?}");
        let evidence: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(evidence["evidence"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_log_without_ones_own_account_is_said() {
    let mut server = Server::start();
    server.stop();
    let other = Server::start_in(server.backup());
    server.restart_on_same_port();
    let zoé = Profile::register(&other, "zoé");
    let ayşe = Profile::new(&server, "ayşe");
    // ayşe is registered here; the log that she is shown is the other one's, which is asked in zoé's name.
    let zoés = account(&zoé);
    let zoé_device = liar::key(&zoé.file("keys/device.pem")).public().id();
    let liar = Liar::with_two([&server, &other], &[&ayşe, &zoé], move |passing, line| match passing {
        Passing::Down(push @ Push::Hello { .. }, body) => {
            let verb = Verb::Login { account: zoés, device: zoé_device.into(), signature: vec![].into() };
            line.ask_aside(tellal::protocol::message::Request { number: 0, verb }, b"");
            line.tell(&push, &body);
        }
        Passing::Up(request, body) => match request.verb {
            Verb::ReadLog { .. } | Verb::ProveLeaf { .. } | Verb::ProveGrowth { .. } => {
                line.ask_aside(request, &body);
            }
            _ => line.ask(request, &body),
        },
        Passing::Aside(Push::Reply { answer: Answer::LoggedIn, .. }, _) => {}
        Passing::Aside(push @ (Push::Reply { .. } | Push::Refusal { .. }), body) => line.tell(&push, &body),
        other => line.pass(other),
    });
    ayşe.run(["register", "ayşe", "--key-bits", "2048", "--server", &liar.name]).ok();
    let new = receive(&ayşe, &liar.name);
    let lacks = "transparency log lacks your own account";
    assert!(new.iter().any(|(_, text)| text.contains(lacks)), "{new:?}");
    let report = ayşe.run(["audit", "--json", "--server", &liar.name]);
    let report: Value = serde_json::from_str(report.stdout.lines().next().unwrap()).unwrap();
    let alarms: Vec<&str> =
        report["alarms"].as_array().unwrap().iter().map(|alarm| alarm["alarm"].as_str().unwrap()).collect();
    assert!(alarms.contains(&"own_missing"), "{report}");
}

#[test]
fn a_login_is_worth_nothing_on_another_connection() {
    let (server, ayşe, _burak) = friends();
    let stolen: Arc<Mutex<Option<Verb>>> = Arc::default();
    let kept = stolen.clone();
    let liar = Liar::start(&server, &[], move |passing, line| match passing {
        Passing::Up(request, body) => {
            if let Verb::Login { .. } = request.verb {
                kept.lock().unwrap().get_or_insert(request.verb.clone());
            }
            line.ask(request, &body);
        }
        other => line.pass(other),
    });
    // Somebody in between who only passes it on gets nowhere, and the user is told.
    let through = ayşe.run(["receive", "--server", &liar.name]);
    assert!(through.failure().contains("refused"), "{through:?}");
    // Nor does a server that keeps it for another connection.
    let login = stolen.lock().unwrap().clone().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let replayed = runtime.block_on(async { Raw::connect(server.address).await.ask(login, b"").await });
    assert_eq!(replayed, Err(RefusalCode::LoginRefused));
}

#[test]
fn sound_that_is_cut_swapped_or_withheld_is_said_to_be_and_never_played() {
    let (server, ayşe, burak) = friends();
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::rising(6)).unwrap();
    type Alter = fn(Vec<u8>, &mut Vec<Vec<u8>>) -> Vec<u8>;
    let lies: [(&str, Alter); 4] = [
        ("cut", |mut chunk, _| {
            chunk.truncate(chunk.len() / 2);
            chunk
        }),
        ("empty", |_, _| Vec::new()),
        ("another place's", |chunk, before| {
            before.push(chunk);
            before[0].clone()
        }),
        ("one bit", |mut chunk, _| {
            chunk[100] ^= 4;
            chunk
        }),
    ];
    for (what, alter) in lies {
        let id = ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok().to_owned();
        let mut before = Vec::new();
        let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
            Passing::Down(push @ Push::Reply { answer: Answer::Chunk, .. }, body) => {
                line.tell(&push, &alter(body.to_vec(), &mut before));
            }
            other => line.pass(other),
        });
        let new = receive(&burak, &liar.name);
        let damaged = "The sound of this voice note is damaged: ask for it again";
        assert_eq!(new, [notice(damaged)], "{what}");
        let played = burak.run(["play", &id, "--save", burak.file("kept.wav").to_str().unwrap()]);
        assert_eq!(played.code(), 1, "{what}: {played:?}");
        assert!(!burak.file("kept.wav").exists());
    }
    // The server has dropped it.
    ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok();
    let liar = Liar::start(&server, &[&burak], |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Chunk }, _) => {
            line.tell(&Push::Refusal { number, code: RefusalCode::BlobMissing, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    let gone = "The sound of this voice note is no longer on the server: ask for it again";
    assert_eq!(receive(&burak, &liar.name), [notice(gone)]);
}

#[test]
fn a_success_that_was_none_is_found_out_by_whoever_waits_for_it() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "önce");
    burak.receive();
    // A text: accepted, and thrown away.
    let liar = Liar::start(&server, &[&ayşe], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::Submit { .. }) => {
            line.answer(request.number, Answer::Accepted { at: Millis::now() });
        }
        other => line.pass(other),
    });
    ayşe.run(["send", "burak", "kayıp", "--server", &liar.name]).ok();
    assert_eq!(receive(&burak, &server.name()), [], "nothing tells yet");
    ayşe.send("burak", "sonra");
    let missing = "1 message from ayşe did not arrive: ask ayşe to send again";
    assert_eq!(receive(&burak, &server.name()), [text("sonra"), notice(missing)]);

    // The sound of a note: taken, and thrown away.
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::rising(6)).unwrap();
    let liar = Liar::start(&server, &[&ayşe], |passing, line| match passing {
        Passing::Up(request, body) => match request.verb {
            Verb::PutChunk { .. } | Verb::SealBlob { .. } => line.answer(request.number, Answer::Done),
            // The real server would ask for the sound.
            Verb::Submit { message, conversation, recipients, .. } => {
                let verb = Verb::Submit { message, conversation, recipients, blobs: Vec::new() };
                line.ask(tellal::protocol::message::Request { verb, ..request }, &body);
            }
            _ => line.ask(request, &body),
        },
        other => line.pass(other),
    });
    ayşe.run(["voice", "burak", "--file", note.to_str().unwrap(), "--server", &liar.name]).ok();
    let gone = "The sound of this voice note is no longer on the server: ask for it again";
    assert_eq!(receive(&burak, &server.name()), [notice(gone)]);

    // A registration: the server knows no such profile.
    let liar = Liar::start(&server, &[], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::Register { .. }) => {
            line.answer(request.number, Answer::LoggedIn);
        }
        other => line.pass(other),
    });
    let zoé = Profile::new(&server, "zoé");
    let registered = zoé.run(["register", "zoé", "--key-bits", "2048", "--server", &liar.name]);
    registered.ok();
    let found = zoé.run(["receive", "--server", &server.name()]);
    assert!(found.failure().contains("it does not know this profile"), "{found:?}");
}

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
