//! The devices of an account: a thief who has a copy of the profile adds one; its owner is told, sees it, and takes it
//! away.

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

use std::time::{Duration, Instant};

use liar::{Liar, Passing, key};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use raw::{Person, Raw};
use serde_json::Value;
use support::forge::{Forger, account, directory_entry};
use support::people::{error, error_code, friends, profile_json, texts, user};
use support::screen::Screen;
use support::swap::database;
use support::{Profile, Server, TIMEOUT, schema};
use tellal::crypto::envelope::{Content, Delivered, Recipient, parse};
use tellal::crypto::record::{
    Account, announce_message_key, remove_device, revoke, sign_account_record, verify_account,
};
use tellal::crypto::{PrivateKey, Purpose};
use tellal::model::{AccountRecord, AccountRecordKind, DeviceId, Millis, Signed, Wrap};
use tellal::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, Verb};
use tokio::runtime::Runtime;

const ADDED: &str = "was added to your account, and not by this profile";

fn alarms(messages: &[Value]) -> Vec<&str> {
    let texts = messages.iter().map(|message| message["text"].as_str().unwrap());
    texts.filter(|text| text.starts_with("ALARM: ")).collect()
}

fn devices(profile: &Profile) -> Vec<Value> {
    let devices = profile.run(["devices", "--json"]).json();
    devices.iter().for_each(|device| schema::check(device, &["device"]));
    devices
}

/// Somebody with a copy of a profile's keys, who adds a device of their own to the account.
struct Thief {
    device: Person,
    online: Raw,
    runtime: Runtime,
}

impl Thief {
    /// Adds the device, and logs in as that.
    fn break_in(server: &Server, victim: &Profile) -> Self {
        let name = || victim.name.parse().unwrap();
        let stolen = |file: &str| key(&victim.file(&format!("keys/{file}.pem")));
        let old = Person {
            name: name(),
            identity: stolen("identity"),
            device: stolen("device"),
            message: PrivateKey::generate(2048).unwrap(),
        };
        let device = Person { identity: stolen("identity"), ..Person::new(&victim.name) };
        let chain = verify_account(&directory_entry(server, account(victim)).chain).unwrap();
        let (record, message_key) = added(&chain, &old.identity, &device);
        let verb = Verb::PublishRecord { record, message_key: Some(message_key) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let online = runtime.block_on(async {
            // Whose device it is comes back, and ends this connection then.
            let is_there = || {
                let chain = directory_entry(server, account(victim)).chain;
                verify_account(&chain).unwrap().device(&device.device()).is_some()
            };
            while !is_there() {
                let mut raw = Raw::login(server.address, &old).await;
                raw.send(verb.clone(), b"").await;
                while let Some((push, _)) = raw.pushed().await {
                    if let Push::Reply { answer, .. } = push {
                        assert_eq!(answer, Answer::Done);
                        break;
                    }
                }
            }
            Raw::login(server.address, &device).await
        });
        Self { device, online, runtime }
    }

    fn id(&self) -> DeviceId {
        self.device.device()
    }

    /// As much of the id as `devices` shows.
    fn short(&self) -> String {
        self.id().to_string()[..12].to_owned()
    }

    /// Reads the mailbox to its end: what it can open of it.
    fn read(&mut self, sender: &Profile, server: &Server) -> Vec<String> {
        let sender = verify_account(&directory_entry(server, account(sender)).chain).unwrap();
        let me = Recipient { account: self.device.account(), device: self.id() };
        let mut opened = Vec::new();
        self.runtime.block_on(async {
            let answer = self.online.ask(Verb::Subscribe { after: None }, b"").await;
            assert!(matches!(answer, Ok(Answer::Subscribed { .. })), "{answer:?}");
            loop {
                match self.online.pushed().await.expect("the connection ended") {
                    (Push::Delivery { sender: from, device, message, conversation, wrap, .. }, body) => {
                        let delivered = Delivered { sender: from, device, message, conversation };
                        let verified = parse(&body).unwrap().check(&delivered, me, &sender, None).unwrap();
                        match wrap.map(|wrap| verified.open(&self.device.message, &wrap).unwrap().content) {
                            Some(Content::Text(text)) => opened.push(text),
                            // From before it came.
                            None => {}
                            other => panic!("{other:?}"),
                        }
                    }
                    (Push::Drained { .. }, _) => break,
                    _ => {}
                }
            }
        });
        opened
    }

    /// Waits until the server ends the connection, as far as it has not.
    fn thrown_out(&mut self) {
        self.runtime.block_on(async {
            let ended = async { while self.online.pushed().await.is_some() {} };
            tokio::time::timeout(TIMEOUT, ended).await.expect("the connection lasts");
        });
    }

    /// Whether it is let in.
    fn log_in(&self, server: &Server) -> Result<Answer, RefusalCode> {
        self.runtime.block_on(async {
            let mut raw = Raw::connect(server.address).await;
            let login = raw.login_verb(&self.device);
            raw.ask(login, b"").await
        })
    }
}

/// Somebody with a copy of a profile's identity key lets devices come to the account and go, for as long as the server
/// takes that: how often it did. One that came is left.
fn wear_out(server: &Server, victim: &Profile) -> usize {
    let stolen = |file: &str| key(&victim.file(&format!("keys/{file}.pem")));
    let thief =
        Person { identity: stolen("identity"), device: stolen("device"), ..Person::new(&victim.name) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut raw = Raw::login(server.address, &thief).await;
        for changes in 0.. {
            let chain = verify_account(&directory_entry(server, account(victim)).chain).unwrap();
            let (record, message_key) = match chain.devices.get(1) {
                Some(device) => {
                    (remove_device(&chain, &thief.identity, device.id, Millis::now()).unwrap(), None)
                }
                None => {
                    let came = Person::new(&victim.name);
                    let (record, message_key) = added(&chain, &thief.identity, &came);
                    (record, Some(message_key))
                }
            };
            match raw.ask(Verb::PublishRecord { record, message_key }, b"").await {
                Ok(Answer::Done) => {}
                refused => {
                    assert_eq!(refused, Err(RefusalCode::Invalid));
                    return changes;
                }
            }
        }
        unreachable!()
    })
}

/// The records that add a device to an account, and its message key.
fn added(chain: &Account, identity: &PrivateKey, came: &Person) -> (Signed, Signed) {
    let id = came.device.public().id();
    let parts: [&[u8]; 3] = [chain.id.as_bytes(), &chain.head, id.as_bytes()];
    let kind = AccountRecordKind::DeviceAdded {
        device_key: came.device.public().spki().to_vec().into(),
        consent: came.device.sign(Purpose::Consent, &parts).unwrap().into(),
    };
    let (now, head) = (Millis::now(), chain.head);
    let record = AccountRecord {
        version: 1,
        account: chain.id,
        index: chain.length,
        previous: Some(head.into()),
        made_at: now,
        kind,
    };
    let record = sign_account_record(identity, &record).unwrap();
    let message_key = announce_message_key(&came.device, chain.id, came.message.public(), now, None).unwrap();
    (record, message_key)
}

/// For which devices the newest envelope on the server is wrapped.
fn newest_is_for(server: &Server) -> Vec<DeviceId> {
    let query = "SELECT wraps FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope
                 ORDER BY envelope.id DESC LIMIT 1";
    let wraps: Vec<u8> = database(server.data()).query_row(query, [], |row| row.get(0)).unwrap();
    let wraps: Vec<Wrap> = minicbor::decode(&wraps).unwrap();
    let mut devices: Vec<DeviceId> = wraps.into_iter().map(|wrap| wrap.device).collect();
    devices.sort_unstable();
    devices
}

#[test]
fn a_device_that_a_thief_has_added_is_alarmed_about_shown_and_taken_away() {
    let (mut server, ayşe, burak) = friends();
    let own: DeviceId = serde_json::from_value(profile_json(&ayşe)["device"].clone()).unwrap();
    let listed = devices(&ayşe);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], own.to_string());
    for (field, expected) in [("this", true), ("known", true), ("in_log", true)] {
        assert_eq!(listed[0][field], expected, "{field}");
    }

    let mut thief = Thief::break_in(&server, &ayşe);
    let said = ayşe.receive();
    let [alarm] = alarms(&said)[..] else { panic!("{said:?}") };
    assert!(alarm.contains(ADDED) && alarm.contains(&thief.short()), "{alarm}");
    assert!(alarm.contains(&format!("`tellal device remove {}`", thief.short())), "{alarm}");
    let audit = ayşe.run(["audit", "--json"]).stdout;
    let report: Value = serde_json::from_str(audit.lines().next().unwrap()).unwrap();
    assert_eq!(report["alarms"][0]["alarm"], "own_account", "{report}");
    assert!(alarms(&ayşe.receive()).is_empty(), "it is said once");

    // From now on everybody writes to it too: that is what the alarm is for.
    burak.run(["users"]).ok();
    burak.send("ayşe", "hırsız da okur");
    let mut both = [own, thief.id()];
    both.sort_unstable();
    assert_eq!(newest_is_for(&server), both);
    assert_eq!(thief.read(&burak, &server), ["hırsız da okur"], "nothing of before");
    assert_eq!(texts(&ayşe.receive()), ["hırsız da okur"]);

    let listed = devices(&ayşe);
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1]["id"], thief.id().to_string());
    assert_eq!((&listed[1]["this"], &listed[1]["known"]), (&false.into(), &false.into()));
    let lines = ayşe.run(["devices"]);
    let line = lines.ok().lines().nth(1).unwrap();
    assert!(line.starts_with(&thief.short()) && line.contains("NOT added by this profile"), "{line}");

    let removed = ayşe.run(["device", "remove", &thief.short()[..8], "--yes", "--json"]).json();
    schema::check(&removed[0], &["device_removed"]);
    assert_eq!(removed[0]["id"], thief.id().to_string());
    assert_eq!(devices(&ayşe).len(), 1);
    thief.thrown_out();
    assert_eq!(thief.log_in(&server), Err(RefusalCode::LoginRefused));

    // burak's client has not looked since: the server tells it that the keys have changed.
    burak.send("ayşe", "yalnız sana");
    assert_eq!(newest_is_for(&server), [own]);
    let said = ayşe.receive();
    assert_eq!(texts(&said), ["yalnız sana"]);
    assert!(alarms(&said).is_empty(), "one's own record is no alarm: {said:?}");
    assert_eq!(profile_json(&ayşe)["removing"], serde_json::json!([]));

    // A server that helps the thief delivers what the device signs now.
    let accomplice = Profile::new(&server, "ayşe");
    std::fs::create_dir(accomplice.file("keys")).unwrap();
    std::fs::copy(ayşe.file("profile.json"), accomplice.file("profile.json")).unwrap();
    std::fs::write(accomplice.file("keys/device.pem"), thief.device.device.to_pem().as_str()).unwrap();
    server.stop();
    Forger::new(&server, &accomplice, &burak).deliver(&server, "ben ayşe", Millis::now());
    server.restart_on_same_port();
    let got = burak.receive();
    assert_eq!(texts(&got), [""; 0], "{got:?}");
    assert!(got[0]["text"].as_str().unwrap().contains("could not be opened"), "{got:?}");

    // The key is still stolen. With a new one the alarm has done its work.
    assert!(user(&ayşe, "ayşe")["warning"].as_str().unwrap().contains(ADDED));
    ayşe.run(["rekey"]).ok();
    assert_eq!(user(&ayşe, "ayşe")["warning"], Value::Null);
}

#[test]
fn a_device_of_a_thief_is_not_ones_own_whatever_is_accepted_and_whenever_the_log_is_read() {
    let server = Server::start();
    // The log is read for the first time when the thief has been there already.
    let ayşe = Profile::register(&server, "ayşe");
    let thief = Thief::break_in(&server, &ayşe);
    let said = ayşe.receive();
    let [alarm] = alarms(&said)[..] else { panic!("{said:?}") };
    assert!(alarm.contains(ADDED) && alarm.contains(&thief.short()), "{alarm}");
    for _ in 0..2 {
        let listed = devices(&ayşe);
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1]["id"], thief.id().to_string());
        assert_eq!((&listed[0]["known"], &listed[1]["known"]), (&true.into(), &false.into()));
        // Going on with the log as it is makes nobody's device one's own.
        let accepted = ayşe.run(["audit", "--accept", "--json"]).json();
        assert_eq!(accepted[0]["alarms"][0]["accepted"], true, "{accepted:?}");
    }
    // Nor is that the end of it.
    drop(thief);
    Thief::break_in(&server, &ayşe);
    assert_eq!(alarms(&ayşe.receive()).len(), 1);
}

#[test]
fn what_was_changed_is_said_later_where_the_server_goes_before_it_can_be_asked() {
    let (server, ayşe, _burak) = friends();
    let thief = Thief::break_in(&server, &ayşe);
    let own = account(&ayşe);
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
        Passing::Up(request, _) if request.verb == (Verb::LookUpAccount { account: own }) => {
            line.tell(&Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    assert_eq!(ayşe.run(["receive", "--server", &liar.name]).code(), 1);
    let later = ayşe.receive();
    assert!(alarms(&later).iter().any(|alarm| alarm.contains(&thief.short())), "{later:?}");
    assert_eq!(alarms(&ayşe.receive()), [""; 0]);
}

#[test]
fn a_device_is_removed_beside_a_conversation_that_shows_the_alarm_as_it_comes() {
    let (server, ayşe, burak) = friends();
    let screen = Screen::start(&ayşe, &["chat", "burak", "--mute", "--color", "never"], &[]);
    screen.wait_for("connected; burak is");
    // The keys alone: whoever logs in as ayşe's device ends her connection, which comes back.
    let mut thief = Thief::break_in(&server, &ayşe);
    screen.wait_for("ALARM: ");
    screen.wait_for(&thief.short());

    // On a terminal somebody is asked.
    let mut asked = Screen::start(&ayşe, &["device", "remove", &thief.short()], &[]);
    asked.wait_for("for good? [y/N]");
    asked.type_keys("n\r");
    asked.wait_for("nothing was removed");
    assert_eq!(asked.finish(), 1);
    assert_eq!(devices(&ayşe).len(), 2);
    let mut asked = Screen::start(&ayşe, &["device", "remove", &thief.short()], &[]);
    asked.wait_for("for good? [y/N]");
    asked.type_keys("y\r");
    asked.wait_for("can't log in any more");
    asked.wait_for("tellal rekey");
    assert_eq!(asked.finish(), 0);
    thief.thrown_out();
    assert_eq!(devices(&ayşe).len(), 1);
    burak.send("ayşe", "hâlâ buradayım");
    screen.wait_for("hâlâ buradayım");
}

#[test]
fn what_can_not_be_removed_is_said_with_what_to_do() {
    let (server, ayşe, _burak) = friends();
    let own = devices(&ayşe)[0]["short"].as_str().unwrap().to_owned();
    let refused = |args: &[&str], code: &str, says: &str| {
        let done = ayşe.run([&["device", "remove", "--json"], args].concat());
        assert_eq!(error_code(&done), code);
        assert!(done.one_line().contains(says), "{done:?}");
    };
    refused(&[&own, "--yes"], "last_device", "`tellal rekey --revoke ayşe` ends it");
    refused(&["xyz", "--yes"], "no_such_device", "`tellal devices` lists them");
    let thief = Thief::break_in(&server, &ayşe);
    refused(&[&own, "--yes"], "this_device", "this very device");
    refused(&["", "--yes"], "no_such_device", "begins with");
    refused(&[&thief.short()], "not_confirmed", "--yes");
    assert_eq!(devices(&ayşe).len(), 2);
    assert_eq!(ayşe.run(["device"]).code(), 2);
    assert_eq!(ayşe.run(["device", "remove"]).code(), 2);
}

#[test]
fn a_thief_who_lets_devices_come_and_go_without_end_does_not_keep_the_owner_from_new_keys() {
    let (server, ayşe, burak) = friends();
    let own = devices(&ayşe)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(wear_out(&server, &ayşe), 15, "behind the registration: 16 places are for devices");
    let listed = devices(&ayşe);
    assert_eq!((listed.len(), &listed[1]["known"]), (2, &false.into()), "{listed:?}");
    let theirs = listed[1]["short"].as_str().unwrap();
    // Their removal has no place either: that is said, and what does it instead.
    let refused = ayşe.run(["device", "remove", theirs, "--yes", "--json"]);
    let error = error(&refused);
    assert_eq!(error["error"], "no_place_for_devices", "{error}");
    assert!(error["message"].as_str().unwrap().contains("`tellal rekey`"), "{error}");
    assert_eq!(profile_json(&ayşe)["removing"], serde_json::json!([]));

    let stolen = key(&ayşe.file("keys/identity.pem"));
    ayşe.run(["rekey"]).ok();
    let left = devices(&ayşe);
    assert_eq!((left.len(), &left[0]["this"]), (1, &true.into()), "{left:?}");
    assert_ne!(left[0]["id"], own.as_str());
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "yalnız sana");
    assert_eq!(newest_is_for(&server).len(), 1);
    assert!(texts(&ayşe.receive()).contains(&"yalnız sana"));
    // The stolen key signs nothing any more; and the end of the account has its place, too.
    let chain = verify_account(&directory_entry(&server, account(&ayşe)).chain).unwrap();
    let end = revoke(&chain, &stolen, Millis::now()).unwrap();
    let mut forged = directory_entry(&server, account(&ayşe)).chain;
    forged.push(end);
    assert!(verify_account(&forged).is_err());
    ayşe.run(["rekey", "--revoke", "ayşe"]).ok();
}

#[test]
fn a_removal_that_the_server_only_claims_is_not_believed() {
    let (server, ayşe, _burak) = friends();
    let mut thief = Thief::break_in(&server, &ayşe);
    let liar = Liar::start(&server, &[&ayşe], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::PublishRecord { .. }) => {
            line.answer(request.number, Answer::Done);
        }
        other => line.pass(other),
    });
    let done = ayşe.run(["device", "remove", &thief.short(), "--yes", "--server", &liar.name]);
    assert!(done.failure().contains("its directory still has the device"), "{done:?}");
    assert_eq!(devices(&ayşe).len(), 2);
    ayşe.run(["device", "remove", &thief.short(), "--yes"]).ok();
    thief.thrown_out();
    assert_eq!(alarms(&ayşe.receive()).len(), 1, "that the thief came, and no more");
}

/// Runs something until the profile has finished what was begun.
fn finish_removals(profile: &Profile) {
    let deadline = Instant::now() + TIMEOUT;
    while profile_json(profile)["removing"] != serde_json::json!([]) {
        assert!(Instant::now() < deadline, "{}", profile_json(profile));
        profile.run(["users"]).ok();
    }
}

#[test]
fn a_removal_that_broke_off_anywhere_is_finished_by_what_comes_next() {
    let seed = std::env::var("TELLAL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("TELLAL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (server, ayşe, burak) = friends();

    // Noted, and nothing else done yet.
    let mut thief = Thief::break_in(&server, &ayşe);
    let mut crashed = profile_json(&ayşe);
    crashed["removing"] = serde_json::json!([thief.id()]);
    std::fs::write(ayşe.file("profile.json"), crashed.to_string()).unwrap();
    finish_removals(&ayşe);
    thief.thrown_out();
    // Done, and the server's word lost.
    std::fs::write(ayşe.file("profile.json"), crashed.to_string()).unwrap();
    finish_removals(&ayşe);
    assert_eq!(devices(&ayşe).len(), 1);

    // Anywhere.
    for round in 0..6 {
        let mut thief = Thief::break_in(&server, &ayşe);
        let mut removing = ayşe.start(["device", "remove", &thief.id().to_string(), "--yes"]);
        // Not for readiness: the fault comes at any time.
        std::thread::sleep(Duration::from_millis(random.random_range(0..600)));
        removing.kill();
        drop(removing);
        let begun = profile_json(&ayşe)["removing"] != serde_json::json!([]);
        finish_removals(&ayşe);
        let gone = devices(&ayşe).len() == 1;
        println!("round {round}: begun {begun}, gone {gone}");
        assert!(gone || !begun, "what was begun is finished");
        if !gone {
            ayşe.run(["device", "remove", &thief.short(), "--yes"]).ok();
        }
        thief.thrown_out();
        assert_eq!(thief.log_in(&server), Err(RefusalCode::LoginRefused));
        let text = format!("tur {round}");
        burak.send("ayşe", &text);
        let said = ayşe.receive();
        assert_eq!(texts(&said), [text.as_str()]);
    }
    let listed = devices(&ayşe);
    assert_eq!((listed.len(), &listed[0]["this"]), (1, &true.into()));
    let report = ayşe.run(["audit", "--json"]).stdout;
    let report: Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    let alarms = report["alarms"].as_array().unwrap();
    assert_eq!(
        alarms.len(),
        7,
        "one for each device of the thief's, none for what was made here: {alarms:?}"
    );
    assert!(alarms.iter().all(|alarm| alarm["text"].as_str().unwrap().contains(ADDED)), "{alarms:?}");
}
