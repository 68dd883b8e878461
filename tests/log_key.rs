//! Whose the transparency log is, what its key is bound to, and what there is to read of it: the real client before
//! servers that lie about that.

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

use std::collections::VecDeque;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use liar::{Liar, Passing, key};
use raw::{Person, Raw};
use serde_json::Value;
use support::forge::{account, directory_entry};
use support::mail::carry_mail;
use support::people::{count, receive};
use support::swap::database;
use support::{Profile, Server, schema};
use tellal::crypto::envelope::parse;
use tellal::crypto::record::{announce_message_key, register};
use tellal::crypto::{PrivateKey, Purpose, session};
use tellal::model::{AccountId, DirectoryEntry, LogCertificate, Millis};
use tellal::protocol::message::{Answer, Push, SessionProof, Verb};

const TWO_KEYS: &str = "ALARM: the server has signed for two keys of its transparency log";
const CLAIM: &str = "claims to be shown another transparency log than you";
const LOST: &str = "ALARM: the server no longer shows the transparency log";
const NOT_IN_LOG: &str = "that its transparency log does not have";

/// `audit --json`: what it printed, and whether it was content.
fn audit(profile: &Profile) -> (Value, bool) {
    let done = profile.run(["audit", "--json"]);
    let line = done.stdout.lines().next().unwrap_or_else(|| panic!("{done:?}"));
    let report: Value = serde_json::from_str(line).unwrap();
    schema::check(&report, &["audit"]);
    schema::check(&report["log_certificate"], &["log_certificate"]);
    (report, done.code() == 0)
}

/// Two people whom one operator serves from two servers, each with a log of its own that has both of them.
struct Apart {
    one: Server,
    other: Server,
    ayşe: Profile,
    burak: Profile,
}

impl Apart {
    /// The second server makes these keys of its own.
    fn new(keys: &[&str]) -> Self {
        let mut one = Server::start();
        one.stop();
        let copy = one.backup();
        for key in keys {
            std::fs::remove_file(copy.path().join(key)).unwrap();
        }
        let other = Server::start_in(copy);
        one.restart_on_same_port();
        let (ayşe, burak) = (Profile::register(&one, "ayşe"), Profile::register(&other, "burak"));
        introduce(&ayşe, &one, &other);
        introduce(&burak, &other, &one);
        Self { one, other, ayşe, burak }
    }

    /// What each hands in reaches the other.
    fn cross(&mut self) {
        self.one.stop();
        self.other.stop();
        carry_mail(self.one.data(), self.other.data());
        carry_mail(self.other.data(), self.one.data());
        self.one.restart_on_same_port();
        self.other.restart_on_same_port();
    }

    fn receive_both(&self) -> [(Vec<String>, Vec<String>); 2] {
        [receive(&self.ayşe, &self.one.name()), receive(&self.burak, &self.other.name())]
    }
}

/// Registers an account that one server has with another one, as whoever runs both can.
fn introduce(profile: &Profile, from: &Server, to: &Server) {
    let account = account(profile);
    let entry = directory_entry(from, account);
    let device = key(&profile.file("keys/device.pem"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut raw = Raw::connect(to.address).await;
        let proof = SessionProof {
            server: raw.server,
            account,
            device: device.public().id().into(),
            nonce: raw.nonce.into(),
            exporter: raw.exporter.into(),
        };
        let signature = session::sign(&device, Purpose::Registration, &proof).unwrap().into();
        let (record, message_key) = (entry.chain[0].clone(), entry.message_keys[0].clone());
        let verb = Verb::Register { record, message_key, signature, invite: None };
        assert_eq!(raw.ask(verb, b"").await, Ok(Answer::LoggedIn));
    });
}

/// A stranger's check of one certificate, with openssl alone.
fn check_certificate(folder: &Profile, certificate: &Value) {
    schema::check(certificate, &["log_certificate"]);
    let bytes = |field: &str| STANDARD.decode(certificate[field].as_str().unwrap()).unwrap();
    assert_eq!(certificate["scheme"], 0x0403, "ECDSA on P-256 with SHA-256, as servers make it by default");
    let server = certificate["server"].as_str().unwrap();
    let server = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&server[at..at + 2], 16).unwrap())
        .collect::<Vec<u8>>();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.file(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let signed = file("signed", &[b"tellal log key v1\0", server.as_slice(), &bytes("log_key")].concat());
    let (key, signature) = (file("key.der", &bytes("tls_key")), file("signature", &bytes("signature")));
    let mut verify = Command::new("openssl");
    verify.args(["dgst", "-sha256", "-keyform", "DER", "-verify"]).arg(key).arg("-signature").arg(signature);
    let done = verify.arg(signed).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn two_people_who_were_given_two_log_keys_are_told_when_their_messages_cross() {
    let mut apart = Apart::new(&["log-key.pem"]);
    for (profile, server) in [(&apart.ayşe, &apart.one), (&apart.burak, &apart.other)] {
        assert!(receive(profile, &server.name()).0.is_empty());
        assert!(audit(profile).1, "each sees a log that is in order");
    }
    apart.ayşe.send("burak", "bir");
    apart.cross();
    // The message is shown. That its head is another one is nobody's fault yet, and its bearer is asked.
    let [_, (notices, messages)] = apart.receive_both();
    assert_eq!((count(&notices, "ALARM"), messages), (0, vec!["bir".to_owned()]), "{notices:?}");
    apart.cross();
    let [(notices, messages), _] = apart.receive_both();
    assert_eq!((count(&notices, TWO_KEYS), notices.len(), messages.len()), (1, 1, 0), "{notices:?}");
    apart.cross();
    let [_, (notices, messages)] = apart.receive_both();
    assert_eq!((count(&notices, TWO_KEYS), notices.len(), messages.len()), (1, 1, 0), "{notices:?}");

    // Both have the proof, which needs nobody's word.
    for profile in [&apart.ayşe, &apart.burak] {
        let (report, content) = audit(profile);
        assert_eq!((&report["alarms"][0]["alarm"], content), (&"two_log_keys".into(), false), "{report}");
        let proven = &report["two_log_keys"][0];
        assert_eq!(proven["one"], report["log_certificate"]);
        assert_eq!(proven["one"]["tls_key"], proven["other"]["tls_key"]);
        assert_eq!(proven["one"]["server"], proven["other"]["server"]);
        assert_ne!(proven["one"]["log_key"], proven["other"]["log_key"]);
        check_certificate(profile, &proven["one"]);
        check_certificate(profile, &proven["other"]);
    }
    // What was proven is not proven again.
    apart.ayşe.send("burak", "iki");
    apart.cross();
    assert_eq!(apart.receive_both().map(|(notices, _)| notices.len()), [0, 0]);
}

#[test]
fn a_friend_whom_another_server_key_serves_is_said_to_claim_that_and_nobody_is_accused() {
    let mut apart = Apart::new(&["log-key.pem", "tls-key.pem", "tls-cert.pem"]);
    apart.ayşe.send("burak", "bir");
    let mut said = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        apart.cross();
        for (said, (notices, _)) in said.iter_mut().zip(apart.receive_both()) {
            said.extend(notices);
        }
    }
    let fingerprints = [&apart.one, &apart.other].map(|server| server.fingerprint.clone());
    for (notices, friend) in said.iter().zip(["burak", "ayşe"]) {
        let [claim] = &notices[..] else { panic!("{notices:?}") };
        assert!(claim.starts_with(friend) && claim.contains(CLAIM), "{claim}");
        assert!(fingerprints.iter().all(|fingerprint| claim.contains(fingerprint)), "{claim}");
    }
    for profile in [&apart.ayşe, &apart.burak] {
        let (report, content) = audit(profile);
        assert!(content, "a mere claim is no alarm: {report}");
    }
}

/// Changes what the server says of its log's key.
fn with_log(
    mut change: impl FnMut(LogCertificate) -> Option<LogCertificate> + Send + 'static,
) -> impl FnMut(Passing, &mut liar::Line) + Send + 'static {
    move |passing, line| match passing {
        Passing::Down(Push::Hello { versions, server, nonce, time, log }, body) => {
            let log = change(log.expect("a server of this version shows its log's key"));
            line.tell(&Push::Hello { versions, server, nonce, time, log }, &body);
        }
        other => line.pass(other),
    }
}

#[test]
fn a_server_that_shows_no_log_at_registration_is_said() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    type Change = fn(LogCertificate) -> Option<LogCertificate>;
    let changes: [Change; 3] = [
        |_| None,
        // Of a key that the server's own does not vouch for.
        |log| Some(LogCertificate { log_key: [7; 32], ..log }),
        // Or another one does.
        |log| {
            Some(LogCertificate {
                tls_key: Ed25519KeyPair::generate().unwrap().public_key().as_ref().to_vec().into(),
                ..log
            })
        },
    ];
    for (change, name) in changes.into_iter().zip(["zoé", "지민", "小明"]) {
        let liar = Liar::start(&server, &[], with_log(change));
        let profile = Profile::new(&server, name);
        let refused = profile.run(["register", name, "--key-bits", "2048", "--server", &liar.name]);
        let said = refused.failure();
        assert!(said.contains("shows no transparency log that its own key vouches for"), "{refused:?}");
        assert!(said.contains("nothing was registered"), "{refused:?}");
        assert!(!profile.file("profile.json").exists());
        // The name stays free for whoever registers where there is one.
        profile.run(["register", name, "--key-bits", "2048", "--server", &server.name()]).ok();

        // Later it is an alarm, and nobody is relied on whom the log was not seen to have.
        let liar = Liar::start(&server, &[&profile], with_log(change));
        let users = profile.run(["users", "--server", &liar.name]);
        assert!(users.ok().contains("no longer shows the transparency log"), "{users:?}");
        let sent = profile.run(["send", "ayşe", "gizli", "--server", &liar.name]);
        assert!(sent.failure().contains(NOT_IN_LOG), "{sent:?}");
        let accepted = profile.run(["audit", "--accept", "--server", &liar.name]);
        assert!(accepted.failure().contains("there is nothing to go on with"), "{accepted:?}");
        let (notices, _) = receive(&profile, &server.name());
        assert_eq!(count(&notices, LOST), 1, "{notices:?}");
        profile.run(["send", "ayşe", "açık", "--server", &server.name()]).ok();
        assert_eq!(receive(&ayşe, &server.name()).1, ["açık"]);
    }
}

#[test]
fn an_older_head_of_the_same_log_is_lag_about_which_nothing_is_said_or_sent() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "bir");
    let sent: Vec<u8> = database(server.data())
        .query_row("SELECT body FROM envelope ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
        .unwrap();
    let head = parse(&sent.into()).unwrap().header().log.expect("a head");
    Profile::register(&server, "zoé");
    let (report, content) = audit(&burak);
    assert!(content && head.size == 2 && report["size"] == 3, "{head:?}, {report}");
    let submitted = Arc::new(AtomicUsize::new(0));
    let seen = submitted.clone();
    let liar = Liar::start(&server, &[&burak], move |passing, line| {
        if let Passing::Up(request, _) = &passing
            && matches!(request.verb, Verb::Submit { .. })
        {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        line.pass(passing);
    });
    assert_eq!(receive(&burak, &liar.name), (vec![], vec!["bir".to_owned()]));
    // Once more, so that whatever the first left undone is done.
    assert_eq!(receive(&burak, &liar.name), (vec![], vec![]));
    assert_eq!(submitted.load(Ordering::SeqCst), 0, "nobody is asked about it");
    assert!(audit(&burak).1);
}

#[test]
fn a_directory_that_lists_more_accounts_than_the_log_has_names_is_not_read_on() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "bir");
    let mallory = Person::new("mallory");
    let entry = |number: usize| {
        let (name, now) = (format!("kişi{number:04}").parse().unwrap(), Millis::now());
        let record = register(&mallory.identity, mallory.device.public(), name, None, now).unwrap();
        let key = mallory.message.public();
        let message_key = announce_message_key(&mallory.device, mallory.account(), key, now, None).unwrap();
        DirectoryEntry { chain: vec![record], message_keys: vec![message_key], online: false }
    };
    let made_up: Vec<DirectoryEntry> = (0..75).map(entry).collect();
    let (account, pages) = (mallory.account(), Arc::new(Mutex::new(0)));
    let (asked, mut to_look_up) = (pages.clone(), VecDeque::new());
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| {
        let Passing::Up(request, _) = &passing else { return line.pass(passing) };
        let entries = match &request.verb {
            Verb::ListAccounts { .. } => {
                *asked.lock().unwrap() += 1;
                to_look_up.extend(made_up.iter().cloned());
                made_up.clone()
            }
            Verb::LookUpAccount { account: of } if *of == account => {
                to_look_up.pop_front().into_iter().collect()
            }
            _ => return line.pass(passing),
        };
        line.answer(request.number, Answer::Directory { entries, more: true });
    });
    ayşe.run(["users", "--server", &liar.name]).ok();
    assert_eq!(*pages.lock().unwrap(), 1, "the list is not read on");
    let (notices, _) = receive(&ayşe, &server.name());
    assert_eq!(count(&notices, "lists more accounts than its transparency log has names"), 1, "{notices:?}");
    assert_eq!(count(&notices, NOT_IN_LOG), 64, "{notices:?}");
    // What is known goes on.
    ayşe.send("burak", "iki");
    assert_eq!(receive(&burak, &server.name()).1, ["bir", "iki"]);
}

#[test]
fn false_keys_without_end_for_one_name_are_not_said_without_end() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    ayşe.send("burak", "bir");
    let mallory = Person::new("mallory");
    let (accounts, false_keys): (Vec<AccountId>, Vec<DirectoryEntry>) = (0..75)
        .map(|_| {
            let identity = PrivateKey::generate(2048).unwrap();
            let (name, now) = ("burak".parse().unwrap(), Millis::now());
            let record = register(&identity, mallory.device.public(), name, None, now).unwrap();
            let of = AccountId::from(identity.public().id());
            let message_key =
                announce_message_key(&mallory.device, of, mallory.message.public(), now, None).unwrap();
            (of, DirectoryEntry { chain: vec![record], message_keys: vec![message_key], online: false })
        })
        .unzip();
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| {
        let Passing::Up(request, _) = &passing else { return line.pass(passing) };
        let entries = match &request.verb {
            Verb::ListAccounts { .. } => false_keys.clone(),
            Verb::LookUpAccount { account } if accounts.contains(account) => {
                let of = accounts.iter().position(|of| of == account).unwrap();
                vec![false_keys[of].clone()]
            }
            _ => return line.pass(passing),
        };
        line.answer(request.number, Answer::Directory { entries, more: false });
    });
    ayşe.run(["users", "--server", &liar.name]).ok();
    let (notices, _) = receive(&ayşe, &server.name());
    let said = count(&notices, NOT_IN_LOG) + count(&notices, "WARNING");
    assert!((2..=64).contains(&said), "{notices:?}");
    // What is known goes on.
    ayşe.send("burak", "iki");
    assert_eq!(receive(&burak, &server.name()).1, ["bir", "iki"]);
}
