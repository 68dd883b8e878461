//! Lies about the transparency log.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tellal::crypto::LogKey;
use tellal::model::{Head, ServerId};
use tellal::protocol::message::{Answer, Push, Verb};

use crate::liar::{self, Liar, Passing};
use crate::support::forge::account;
use crate::support::swap::database;
use crate::support::{Profile, Server, TIMEOUT, give_way};
use crate::{alarm, friends, receive, text};

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

/// What a server does that keeps its answers about the log back.
#[derive(Default)]
struct Withholding {
    withholds: AtomicBool,
    asked: AtomicUsize,
    accepted: AtomicUsize,
    /// The log as it was when it was last shown.
    shown: Mutex<Option<String>>,
}

/// Waits until something is so.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to that");
        give_way(Instant::now(), Duration::from_millis(5));
    }
}

#[test]
fn a_message_is_shown_while_the_log_that_its_head_is_compared_with_is_withheld() {
    let (server, ayşe, burak) = friends();
    burak.send("ayşe", "önce");
    assert_eq!(receive(&ayşe, &server.name()), [text("önce")]);
    let server_does = Arc::new(Withholding::default());
    let (does, mut held) = (server_does.clone(), Vec::new());
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
        Passing::Up(request, body) => match request.verb {
            Verb::ReadLog { .. } if does.withholds.load(Ordering::SeqCst) => {
                held.push(request.number);
                does.asked.fetch_add(1, Ordering::SeqCst);
            }
            _ => line.ask(request, &body),
        },
        // That there is more is not said, either: that comes with the message alone.
        Passing::Down(Push::LogGrown { .. }, _) => {}
        Passing::Down(Push::Reply { number, answer: Answer::Log { checkpoint } }, body) => {
            let shown = does.shown.lock().unwrap().get_or_insert(checkpoint.clone()).clone();
            let body = if shown == checkpoint { body } else { bytes::Bytes::new() };
            line.tell(&Push::Reply { number, answer: Answer::Log { checkpoint: shown } }, &body);
        }
        Passing::Down(push, body) => {
            if matches!(push, Push::Reply { answer: Answer::Accepted { .. }, .. }) {
                does.accepted.fetch_add(1, Ordering::SeqCst);
            }
            line.tell(&push, &body);
            // With the next message after it was told to: what it has had to say all the time.
            if !does.withholds.load(Ordering::SeqCst) {
                for number in held.drain(..) {
                    let checkpoint = does.shown.lock().unwrap().clone().unwrap();
                    line.answer(number, Answer::Log { checkpoint });
                }
            }
        }
        other => line.pass(other),
    });
    let mut following = ayşe.start(["receive", "--follow", "--mute", "--server", &liar.name]);
    wait_until(|| server_does.shown.lock().unwrap().is_some());
    server_does.withholds.store(true, Ordering::SeqCst);
    Profile::register(&server, "zoé");
    assert_eq!(receive(&burak, &server.name()), [], "burak has seen a log of three entries, ayşe one of two");
    burak.send("ayşe", "bir");
    let shown = following.line().unwrap();
    assert!(shown.ends_with("burak: bir"), "{shown}");
    wait_until(|| server_does.asked.load(Ordering::SeqCst) > 0);
    burak.send("ayşe", "iki");
    let shown = following.line().unwrap();
    assert!(shown.ends_with("burak: iki"), "{shown}");
    assert_eq!(server_does.accepted.load(Ordering::SeqCst), 0, "nobody was asked: nothing was compared yet");

    // The answer comes, and lacks what burak has seen: the head is compared now, and its bearer asked for proof.
    server_does.withholds.store(false, Ordering::SeqCst);
    burak.send("ayşe", "üç");
    let shown = following.line().unwrap();
    assert!(shown.ends_with("burak: üç"), "{shown}");
    wait_until(|| server_does.accepted.load(Ordering::SeqCst) > 0);
    receive(&burak, &server.name());
    let alarm = following.line().unwrap();
    let withheld = "has signed a transparency log of 3 entries, which burak has seen";
    assert!(alarm.contains("ALARM: ") && alarm.contains(withheld), "{alarm}");
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

/// Whether a request is about the directory or the log.
pub fn about_accounts(verb: &Verb) -> bool {
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
