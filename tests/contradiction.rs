//! A server whose directory says otherwise than its transparency log, and one that forks the log and keeps people from
//! comparing it: the real client before a server that lies.

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

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use liar::{Liar, Line, Passing};
use raw::Person;
use serde_json::Value;
use support::clock::move_to_day;
use support::forge::{Forger, account, directory_entry};
use support::people::{count, friends, profile_json, receive, user};
use support::swap::database;
use support::{Profile, Server};
use tellal::crypto::Purpose;
use tellal::crypto::record::{announce_message_key, sign_account_record, verify_account};
use tellal::model::{AccountId, AccountRecord, AccountRecordKind, DirectoryEntry, Head, Millis};
use tellal::protocol::message::{Answer, Push, RefusalCode, Verb};

const NOT_IN_LOG: &str =
    "the server gave out keys for ayşe that its transparency log does not have, or no longer";
const HELD_BACK: &str =
    "A message has come from ayşe, whose keys the server shows otherwise than its transparency log";
const SECOND_CHAIN: &str = "the server's transparency log has a second account under the name of ayşe";
const FORKED: &str = "two transparency logs that contradict each other";

/// Shows these records of the account wherever the directory is asked for them.
fn show(entry: &DirectoryEntry, passing: Passing, line: &mut Line) {
    let id = |chain: &[_]| verify_account(chain).unwrap().id;
    match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Directory { mut entries, more } }, _) => {
            for shown in entries.iter_mut().filter(|shown| id(&shown.chain) == id(&entry.chain)) {
                *shown = entry.clone();
            }
            line.answer(number, Answer::Directory { entries, more });
        }
        other => line.pass(other),
    }
}

/// What was handed in through a liar: for how many devices each.
type Submitted = Arc<Mutex<Vec<usize>>>;

fn note(submitted: &Submitted, passing: &Passing) {
    if let Passing::Up(request, _) = passing
        && let Verb::Submit { recipients, .. } = &request.verb
    {
        submitted.lock().unwrap().push(recipients.iter().map(|recipient| recipient.wraps.len()).sum());
    }
}

#[test]
fn new_keys_that_the_log_has_and_the_directory_hides_stop_what_is_sent_and_what_the_old_ones_sign() {
    let (mut server, ayşe, burak) = friends();
    let (old, thief) = (directory_entry(&server, account(&ayşe)), Forger::new(&server, &ayşe, &burak));
    let before = thief.seal(&thief.draft(Millis::now()), "yolda kalmış");
    ayşe.run(["rekey"]).ok();
    // burak has not seen that yet. Who has stolen the old keys writes, and the server helps.
    let after = thief.seal(&thief.draft(Millis::now()), "bana yaz");
    server.stop();
    thief.put(&server, &before);
    thief.put(&server, &after);
    server.restart_on_same_port();
    let submitted = Submitted::default();
    let log = submitted.clone();
    let liar = Liar::start(&server, &[&burak], move |passing, line| {
        note(&log, &passing);
        show(&old, passing, line);
    });

    let sent = burak.run(["send", "ayşe", "gizli", "--server", &liar.name]);
    let said = sent.failure();
    assert!(said.contains(NOT_IN_LOG) && said.contains("until it shows what the log has"), "{sent:?}");
    assert!(said.contains("waits in the outbox"), "{sent:?}");
    let (notices, messages) = receive(&burak, &liar.name);
    assert_eq!(messages, [] as [&str; 0]);
    assert_eq!((count(&notices, NOT_IN_LOG), count(&notices, HELD_BACK)), (1, 2), "{notices:?}");
    let users = burak.run(["users", "--json", "--server", &liar.name]).json();
    let shown = users.iter().find(|user| user["nickname"] == "ayşe").unwrap();
    assert!(shown["warning"].as_str().unwrap().contains(NOT_IN_LOG), "{shown}");
    // Neither what is asked twice nor a safety number that was compared makes it right.
    burak.run(["send", "ayşe", "sır", "--server", &liar.name]).failure();
    let number = burak.run(["verify", "ayşe", "--json", "--server", &liar.name]).json();
    let code = number[0]["number"].as_str().unwrap().to_owned();
    burak.run(["verify", "ayşe", "--code", &code, "--server", &liar.name]).ok();
    burak.run(["send", "ayşe", "saklı", "--server", &liar.name]).failure();
    assert_eq!(receive(&burak, &liar.name), (vec![], vec![]), "each thing is said once");
    assert_eq!(*submitted.lock().unwrap(), [] as [usize; 0]);

    // Shown what the log has, burak is told of the new key, and decides. Nothing has been lost.
    let (notices, messages) = receive(&burak, &server.name());
    assert_eq!(messages, ["yolda kalmış"], "{notices:?}");
    assert_eq!(count(&notices, "the key of ayşe has changed"), 1, "{notices:?}");
    assert_eq!(
        count(&notices, "could not be opened"),
        1,
        "what the stolen keys have signed since: {notices:?}"
    );
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "sonra");
    assert_eq!(receive(&ayşe, &server.name()).1, ["gizli", "sır", "saklı", "sonra"]);
}

#[test]
fn a_device_that_the_log_does_not_have_is_neither_written_to_nor_believed() {
    let (server, ayşe, burak) = friends();
    let rogue = Person::new("ayşe");
    let identity = liar::key(&ayşe.file("keys/identity.pem"));
    let honest = directory_entry(&server, account(&ayşe));
    let known = verify_account(&honest.chain).unwrap();
    let (device, device_id) = (rogue.device.public(), rogue.device.public().id());
    let parts: [&[u8]; 3] = [known.id.as_bytes(), &known.head, device_id.as_bytes()];
    let record = AccountRecord {
        version: 1,
        account: known.id,
        index: known.length,
        previous: Some(known.head.into()),
        made_at: Millis::now(),
        kind: AccountRecordKind::DeviceAdded {
            device_key: device.spki().to_vec().into(),
            consent: rogue.device.sign(Purpose::Consent, &parts).unwrap().into(),
        },
    };
    let mut entry = honest;
    entry.chain.push(sign_account_record(&identity, &record).unwrap());
    assert_eq!(verify_account(&entry.chain).unwrap().devices.len(), 2, "the stolen key has signed for it");
    let key = rogue.message.public();
    entry.message_keys.push(announce_message_key(&rogue.device, known.id, key, Millis::now(), None).unwrap());

    let mut forger = Forger::new(&server, &ayşe, &burak);
    forger.device = rogue.device;
    let forged = forger.seal(&forger.draft(Millis::now()), "yeni telefonumdan");
    let mut delivery = Some(forger.delivery(&forged));
    let (submitted, mut refused) = (Submitted::default(), false);
    let log = submitted.clone();
    let liar = Liar::start(&server, &[&burak], move |passing, line| {
        note(&log, &passing);
        match passing {
            // Has burak's client ask for the keys anew.
            Passing::Up(request, _) if !refused && matches!(request.verb, Verb::Submit { .. }) => {
                refused = true;
                let (number, code) = (request.number, RefusalCode::KeySuperseded);
                line.tell(&Push::Refusal { number, code, retry_after: None }, b"");
            }
            Passing::Down(push @ Push::Drained { .. }, body) => {
                let Push::Drained { position: end } = push else { unreachable!() };
                if let Some((
                    Push::Delivery { mut position, sender, device, message, conversation, wrap, accepted_at },
                    body,
                )) = delivery.take()
                {
                    position.epoch = end.epoch;
                    position.seq = end.seq + 1;
                    let push =
                        Push::Delivery { position, sender, device, message, conversation, wrap, accepted_at };
                    line.tell(&push, &body);
                }
                line.tell(&push, &body);
            }
            other => show(&entry, other, line),
        }
    });
    let sent = burak.run(["send", "ayşe", "gizli", "--server", &liar.name]);
    assert!(sent.failure().contains(NOT_IN_LOG), "{sent:?}");
    let (notices, messages) = receive(&burak, &liar.name);
    assert_eq!(messages, [] as [&str; 0]);
    assert_eq!((count(&notices, NOT_IN_LOG), count(&notices, HELD_BACK)), (1, 1), "{notices:?}");
    assert!(submitted.lock().unwrap().iter().all(|devices| *devices == 1), "{submitted:?}");

    burak.send("ayşe", "sonra");
    assert_eq!(receive(&ayşe, &server.name()).1, ["gizli", "sonra"]);
}

/// Puts a leaf of an impostor's account under somebody's name into the log. The directory shows the true one again.
fn put_leaf_under(name: &str, server: &mut Server) {
    let renamed = "UPDATE account SET nickname = 'eski' WHERE nickname = ?1";
    server.stop();
    assert_eq!(database(server.data()).execute(renamed, [name]), Ok(1));
    server.restart_on_same_port();
    Profile::register(server, name);
    server.stop();
    let false_one = format!("(SELECT id FROM account WHERE nickname = '{name}')");
    database(server.data())
        .execute_batch(&format!(
            "DELETE FROM message_key WHERE device IN (SELECT id FROM device WHERE account = {false_one});
             DELETE FROM device WHERE account = {false_one};
             DELETE FROM account_record WHERE account = {false_one};
             DELETE FROM account WHERE nickname = '{name}';
             UPDATE account SET nickname = '{name}' WHERE nickname = 'eski';"
        ))
        .unwrap();
    server.restart_on_same_port();
}

#[test]
fn a_leaf_that_begins_another_account_stops_what_is_sent_until_the_known_key_is_compared_again() {
    let (mut server, ayşe, burak) = friends();
    let compare = || {
        let number = ayşe.run(["verify", "burak", "--json"]).json()[0]["number"].as_str().unwrap().to_owned();
        burak.run(["verify", "ayşe", "--code", &number, "--json"]).json()[0].clone()
    };
    let ayşes = || user(&burak, "ayşe");
    // The second time it is another leaf, which nobody has decided about.
    for (first, second, third) in [("bir", "iki", "üç"), ("dört", "beş", "altı")] {
        put_leaf_under("ayşe", &mut server);
        let held = burak.run(["send", "ayşe", first]);
        assert!(held.failure().contains("until it shows what the log has"), "{held:?}");
        ayşe.send("burak", second);
        let (notices, messages) = receive(&burak, &server.name());
        assert_eq!((messages, count(&notices, HELD_BACK)), (vec![], 1), "{notices:?}");
        if first == "bir" {
            assert!(ayşes()["warning"].as_str().unwrap().contains(SECOND_CHAIN), "that is said once");
        }
        assert_eq!(compare()["verified"], true);
        assert_eq!((&ayşes()["verified"], &ayşes()["warning"]), (&true.into(), &Value::Null));
        burak.send("ayşe", third);
        assert_eq!(receive(&ayşe, &server.name()).1, [first, third]);
        let got = burak.receive();
        let got: Vec<&Value> = got.iter().filter(|message| message["kind"] == "text").collect();
        assert_eq!(got.len(), 1, "{got:?}");
        assert_eq!((&got[0]["text"], &got[0]["verified"]), (&second.into(), &true.into()));
        // Whoever goes on with the log as it is, need not compare again.
        burak.run(["audit", "--accept"]);
        burak.send("ayşe", "sonra");
        assert_eq!(receive(&ayşe, &server.name()).1, ["sonra"]);
    }
}

/// Says that it takes message keys, and does not.
fn claims_of(server: &Server, profile: &Profile) -> Liar {
    Liar::start(server, &[profile], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::PublishMessageKey { .. }) => {
            line.answer(request.number, Answer::Done);
        }
        other => line.pass(other),
    })
}

#[test]
fn a_message_key_that_the_server_only_claims_to_have_taken_is_no_end_of_the_old_one() {
    let (mut server, ayşe, burak) = friends();
    let profile = || profile_json(&burak);
    let before = profile()["message_key"].clone();
    let done = burak.run(["rekey", "--message-key", "--server", &claims_of(&server, &burak).name]);
    assert!(done.failure().contains("does not show it in its directory; the old one is kept"), "{done:?}");
    assert_eq!((&profile()["message_key"], &profile()["replaced"]), (&before, &Value::Array(vec![])));
    ayşe.send("burak", "eskisine");
    let liar = claims_of(&server, &burak);
    assert_eq!(receive(&burak, &liar.name), (vec![], vec!["eskisine".to_owned()]));

    // After weeks of that somebody has to know.
    move_to_day(8);
    server.restart_on_same_port();
    let (notices, _) = receive(&burak, &claims_of(&server, &burak).name);
    assert_eq!(count(&notices, "your message key is of"), 0, "{notices:?}");
    move_to_day(22);
    server.restart_on_same_port();
    let mut said = Vec::new();
    for _ in 0..2 {
        let liar = claims_of(&server, &burak);
        burak.run(["users", "--server", &liar.name]).ok();
        said.extend(receive(&burak, &liar.name).0);
    }
    assert_eq!(count(&said, "your message key is of"), 1, "{said:?}");
    assert_eq!(profile()["message_key"], before);
    burak.run(["rekey", "--message-key"]).ok();
    assert_ne!(profile()["message_key"], before);
    ayşe.send("burak", "yenisine");
    assert_eq!(receive(&burak, &server.name()).1, ["yenisine"]);
}

/// Two people who are shown two logs, and the mail of one server.
struct Fork {
    server: Server,
    other: Server,
    mallory: Profile,
    ayşe: Profile,
    burak: Profile,
}

impl Fork {
    fn new() -> Self {
        let (mut server, ayşe, burak) = friends();
        let mallory = Profile::register(&server, "mallory");
        server.stop();
        let other = Server::start_in(server.backup());
        server.restart_on_same_port();
        Profile::register(&server, "zoé");
        Profile::register(&other, "지민");
        Self { server, other, mallory, ayşe, burak }
    }

    /// What burak is served by: directory and log are the other server's, after this has looked at what passes.
    fn liar(&self, mut look: impl FnMut(Passing, &mut Line) -> Option<Passing> + Send + 'static) -> Liar {
        Liar::with_two([&self.server, &self.other], &[&self.burak], move |passing, line| {
            let Some(passing) = look(passing, line) else { return };
            match passing {
                Passing::Up(request, body) => {
                    let is_login = matches!(request.verb, Verb::Login { .. });
                    let aside = matches!(
                        request.verb,
                        Verb::ReadLog { .. }
                            | Verb::ProveLeaf { .. }
                            | Verb::ProveGrowth { .. }
                            | Verb::LookUpName { .. }
                            | Verb::LookUpAccount { .. }
                            | Verb::ListAccounts { .. }
                    );
                    if is_login || aside {
                        line.ask_aside(request.clone(), &body);
                    }
                    if is_login || !aside {
                        line.ask(request, &body);
                    }
                }
                // Both have logged in: one says so.
                Passing::Aside(Push::Reply { answer: Answer::LoggedIn, .. }, _) => {}
                Passing::Aside(push @ (Push::Reply { .. } | Push::Refusal { .. }), body) => {
                    line.tell(&push, &body);
                }
                other => line.pass(other),
            }
        })
    }

    /// What is said to both in the end, with proof.
    fn is_proven(&self, liar: &Liar) {
        for (profile, server) in [(&self.ayşe, self.server.name()), (&self.burak, liar.name.clone())] {
            let (notices, _) = receive(profile, &server);
            assert_eq!(count(&notices, FORKED), 1, "{}: {notices:?}", profile.name);
        }
    }
}

#[test]
fn a_head_that_somebody_else_has_sent_before_is_compared_all_the_same() {
    let mut fork = Fork::new();
    let report = fork.ayşe.run(["audit", "--json"]).json();
    let root = report[0]["root"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&root[at..at + 2], 16).unwrap()).collect();
    let head = Head { size: report[0]["size"].as_u64().unwrap(), root: bytes.try_into().unwrap() };
    // mallory is in both views, helps the server, and answers nothing.
    let forger = Forger::new(&fork.server, &fork.mallory, &fork.burak);
    let mut draft = forger.draft(Millis::now());
    draft.log = Some(head);
    fork.server.stop();
    forger.put(&fork.server, &forger.seal(&draft, "ben mallory"));
    fork.server.restart_on_same_port();
    fork.ayşe.send("burak", "bir");
    let liar = fork.liar(|passing, _| Some(passing));
    let (notices, messages) = receive(&fork.burak, &liar.name);
    assert_eq!((messages, count(&notices, "ALARM")), (vec!["ben mallory".to_owned(), "bir".to_owned()], 0));
    fork.is_proven(&liar);
}

#[test]
fn a_word_about_the_log_is_sealed_anew_for_a_key_that_was_replaced_meanwhile() {
    let fork = Fork::new();
    let ayşes: AccountId = account(&fork.ayşe);
    fork.ayşe.run(["rekey", "--message-key"]).ok();
    let message_keys = directory_entry(&fork.server, ayşes).message_keys;
    fork.ayşe.send("burak", "bir");
    // Message keys are not in the log: this server has no reason to hide them.
    let superseded = Arc::new(AtomicBool::new(false));
    let seen = superseded.clone();
    let liar = fork.liar(move |passing, line| match passing {
        Passing::Aside(Push::Reply { number, answer: Answer::Directory { mut entries, more } }, _) => {
            for shown in &mut entries {
                if verify_account(&shown.chain).unwrap().id == ayşes {
                    shown.message_keys.clone_from(&message_keys);
                }
            }
            line.answer(number, Answer::Directory { entries, more });
            None
        }
        other => {
            if let Passing::Down(Push::Refusal { code: RefusalCode::KeySuperseded, .. }, _) = &other {
                seen.store(true, Ordering::SeqCst);
            }
            Some(other)
        }
    });
    assert_eq!(receive(&fork.burak, &liar.name).1, ["bir"]);
    assert!(superseded.load(Ordering::SeqCst), "burak's client knew the old key");
    fork.is_proven(&liar);
}

#[test]
fn a_word_about_the_log_that_the_server_can_not_take_now_is_sent_later() {
    let fork = Fork::new();
    fork.ayşe.send("burak", "bir");
    let busy = Arc::new(AtomicBool::new(true));
    let refuse = move |busy: &AtomicBool, passing: &Passing, line: &mut Line, code, retry_after| {
        let Passing::Up(request, _) = passing else { return false };
        let refused = busy.load(Ordering::SeqCst) && matches!(request.verb, Verb::Submit { .. });
        if refused {
            line.tell(&Push::Refusal { number: request.number, code, retry_after }, b"");
        }
        refused
    };
    let is_busy = busy.clone();
    let liar = fork.liar(move |passing, line| {
        (!refuse(&is_busy, &passing, line, RefusalCode::StorageFailed, None)).then_some(passing)
    });
    // What asks is refused, and asked again.
    assert_eq!(receive(&fork.burak, &liar.name).1, ["bir"]);
    assert_eq!(receive(&fork.ayşe, &fork.server.name()).0, [] as [&str; 0], "nothing has come");
    busy.store(false, Ordering::SeqCst);
    receive(&fork.burak, &liar.name);

    // What answers is refused, and said again.
    busy.store(true, Ordering::SeqCst);
    let is_busy = busy.clone();
    let for_ayşe = Liar::start(&fork.server, &[&fork.ayşe], move |passing, line| {
        let wait = Some(1_000);
        if !refuse(&is_busy, &passing, line, RefusalCode::Limited, wait) {
            line.pass(passing);
        }
    });
    let (notices, _) = receive(&fork.ayşe, &for_ayşe.name);
    assert_eq!(count(&notices, FORKED), 1, "{notices:?}");
    assert_eq!(receive(&fork.burak, &liar.name).0, [] as [&str; 0], "nothing has come");
    busy.store(false, Ordering::SeqCst);
    receive(&fork.ayşe, &for_ayşe.name);
    assert_eq!(count(&receive(&fork.burak, &liar.name).0, FORKED), 1);
}
