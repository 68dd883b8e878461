//! Lies about who somebody is: keys, the end of an account, logins.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tellal::crypto::Purpose;
use tellal::crypto::record::{announce_message_key, verify_account};
use tellal::model::{AccountId, DeviceId, DirectoryEntry, Millis, Signed};
use tellal::protocol::message::{Answer, Push, RefusalCode, Request, Verb};

use crate::liar::{self, Liar, Line, Passing};
use crate::log::about_accounts;
use crate::raw::{Person, Raw};
use crate::support::forge::{account, directory_entry};
use crate::support::people::user;
use crate::support::{Profile, Server, schema};
use crate::{Lie, alarm, friends, receive, text};

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
    let fingerprint = |of: &Profile| {
        let users = of.run(["users", "--json"]).json();
        let of = users.iter().find(|user| user["nickname"] == "burak").unwrap();
        of["fingerprint"].as_str().unwrap().to_owned()
    };
    let (known, shown) = (fingerprint(&burak), fingerprint(&impostor));
    assert_ne!(known, shown);
    let says_both = |text: &str, says: &str| {
        assert!([says, &known, &shown].iter().all(|part| text.contains(part)), "{text}");
    };
    says_both(user["warning"].as_str().unwrap(), "the key has changed");
    let refused = zoé.run(["send", "burak", "gizli", "--server", &liar.name]);
    says_both(refused.failure(), "the key of burak has changed");
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
    let known = user(&ayşe, "burak");
    assert_eq!(known["warning"], Value::Null);
    // burak's chain with one more record, signed by somebody else.
    let mallory = Person::new("mallory");
    let mut entry = directory_entry(&server, account(&burak));
    let body = entry.chain[0].body.clone();
    let signature = mallory.identity.sign(Purpose::AccountRecord, &[&body]).unwrap();
    entry.chain.push(Signed { body, signature: signature.into() });
    let liar = Liar::start(&server, &[&ayşe], with_entry(account(&burak), entry));
    let users = ayşe.run(["users", "--json", "--server", &liar.name]).json();
    // Records that don't verify are nobody's, and what is known of burak stays in force.
    let stays = |users: &[Value]| {
        users.iter().for_each(|user| schema::check(user, &["user"]));
        let shown = users.iter().find(|user| user["nickname"] == "burak").unwrap();
        assert_eq!((&shown["fingerprint"], &shown["online"]), (&known["fingerprint"], &false.into()));
        let warning = shown["warning"].as_str().unwrap();
        assert!(warning.starts_with("the server does not show them now"), "{warning}");
    };
    stays(&users);
    ayşe.run(["send", "burak", "iki", "--server", &liar.name]).ok();
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "iki".to_owned())]);

    // So it does where burak is left out of the directory.
    let out = account(&burak);
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Directory { mut entries, more } }, _) => {
            entries.retain(|entry| verify_account(&entry.chain).unwrap().id != out);
            line.answer(number, Answer::Directory { entries, more });
        }
        other => line.pass(other),
    });
    stays(&ayşe.run(["users", "--json", "--server", &liar.name]).json());
    assert_eq!(user(&ayşe, "burak"), known);
}

/// The files of a profile's keys.
fn key_files(profile: &Profile) -> BTreeSet<OsString> {
    let files = std::fs::read_dir(profile.file("keys")).unwrap();
    files.map(|entry| entry.unwrap().file_name()).collect()
}

/// Says of records that it has taken them, and throws them away.
fn throws_records_away(passing: Passing, line: &mut Line) {
    match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::PublishRecord { .. }) => {
            line.answer(request.number, Answer::Done);
        }
        other => line.pass(other),
    }
}

/// The same, and shows them in an account's directory entry, but not in the log.
fn shows_records_alone(of: AccountId) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    let mut taken = None;
    move |passing, line| match passing {
        Passing::Up(request, body) => match request.verb {
            Verb::PublishRecord { record, .. } => {
                taken = Some(record);
                line.answer(request.number, Answer::Done);
            }
            _ => line.ask(request, &body),
        },
        Passing::Down(Push::Reply { number, answer: Answer::Directory { mut entries, more } }, _) => {
            for shown in &mut entries {
                if verify_account(&shown.chain).unwrap().id == of {
                    shown.chain.extend(taken.clone());
                }
            }
            line.answer(number, Answer::Directory { entries, more });
        }
        other => line.pass(other),
    }
}

/// Refuses a device, and lets any other in, to whom it shows this entry of its account. To the server behind it that is
/// the refused one, and the log is what it was.
fn only_new_device(old: DeviceId, entry: DirectoryEntry) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    move |passing, line| match passing {
        Passing::Up(request, body) => match &request.verb {
            Verb::Login { device, .. } if *device == old => {
                let code = RefusalCode::LoginRefused;
                line.tell(&Push::Refusal { number: request.number, code, retry_after: None }, b"");
            }
            Verb::Login { account, .. } => {
                let verb = Verb::Login { account: *account, device: old, signature: vec![].into() };
                line.ask(Request { number: request.number, verb }, b"");
            }
            Verb::LookUpAccount { .. } => {
                let entries = vec![entry.clone()];
                line.answer(request.number, Answer::Directory { entries, more: false });
            }
            _ => line.ask(request, &body),
        },
        other => line.pass(other),
    }
}

/// Passes records on and says that they are refused. What else passes it hands to this, and whether there has been one.
fn refuses_what_it_takes(
    mut lie: impl FnMut(bool, Passing, &mut Line) + Send + 'static,
) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    let mut asked = None;
    move |passing, line| match passing {
        Passing::Up(request, body) if matches!(request.verb, Verb::PublishRecord { .. }) => {
            asked = Some(request.number);
            line.ask(request, &body);
        }
        Passing::Down(Push::Reply { number, answer: Answer::Done }, _) if asked == Some(number) => {
            line.tell(&Push::Refusal { number, code: RefusalCode::Invalid, retry_after: None }, b"");
        }
        other => lie(asked.is_some(), other, line),
    }
}

/// The record with which new keys are to take the old ones' places.
fn pending_record(profile: &Profile) -> Signed {
    let profile: Value =
        serde_json::from_slice(&std::fs::read(profile.file("profile.json")).unwrap()).unwrap();
    let record = STANDARD.decode(profile["pending"]["record"].as_str().unwrap()).unwrap();
    minicbor::decode(&record).unwrap()
}

/// The alarms that an audit tells of, and whether everything was verified.
fn audit(profile: &Profile, server: &str) -> (Vec<String>, bool) {
    let audit = profile.run(["audit", "--json", "--server", server]);
    let report: Value = serde_json::from_str(audit.stdout.lines().next().unwrap()).unwrap();
    let alarms = report["alarms"].as_array().unwrap().iter();
    let open = alarms.filter(|alarm| alarm["accepted"] == false);
    let words = open.map(|alarm| alarm["alarm"].as_str().unwrap().to_owned()).collect();
    (words, report["rechecked"] == true)
}

#[test]
fn new_keys_that_the_server_does_not_show_are_no_end_of_the_old_ones() {
    let (server, ayşe, burak) = friends();
    burak.send("ayşe", "önce");
    assert_eq!(receive(&ayşe, &server.name()), [text("önce")]);
    ayşe.send("burak", "selam");
    burak.receive();
    let (ayşes, old_keys) = (account(&ayşe), key_files(&ayşe));
    let not_shown = "does not show them in its directory and its log; the old ones are kept";
    let keeps = |how: &str| {
        let kept = key_files(&ayşe);
        assert!(kept.is_superset(&old_keys), "{how}: {kept:?}");
    };

    // Taken, it says, and throws them away.
    let liar = Liar::start(&server, &[&ayşe], throws_records_away);
    let done = ayşe.run(["rekey", "--server", &liar.name]);
    assert!(done.failure().contains(not_shown), "{done:?}");
    keeps("thrown away");
    burak.send("ayşe", "eskilere");
    assert_eq!(receive(&ayşe, &liar.name), [text("eskilere")], "what is sent to the old keys opens");
    keeps("after the next connection");
    assert_eq!(audit(&ayşe, &liar.name), (vec![], true), "what was never taken is nothing alarming");

    // Shown, but not what its log has.
    let liar = Liar::start(&server, &[&ayşe], shows_records_alone(ayşes));
    let done = ayşe.run(["rekey", "--server", &liar.name]);
    assert!(done.failure().contains(not_shown), "{done:?}");
    keeps("shown alone");
    assert_eq!(audit(&ayşe, &liar.name), (vec!["own_missing".to_owned()], false));
    let said = alarm(&ayşe, &liar.name);
    assert!(said.contains("log lacks the newest record of your own account"), "{said}");

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
fn a_server_that_lets_only_the_new_keys_in_has_to_show_them_in_its_log_too() {
    let (server, ayşe, burak) = friends();
    burak.send("ayşe", "önce");
    assert_eq!(receive(&ayşe, &server.name()), [text("önce")]);
    let (old_keys, entry) = (key_files(&ayşe), directory_entry(&server, account(&ayşe)));
    let old_device: DeviceId = liar::key(&ayşe.file("keys/device.pem")).public().id().into();
    let liar = Liar::start(&server, &[&ayşe], throws_records_away);
    ayşe.run(["rekey", "--server", &liar.name]).failure();
    // The old device is not known any more, it says; the new one is, and the log has none of it.
    let mut shown = entry.clone();
    shown.chain.push(pending_record(&ayşe));
    for shown in [shown, entry] {
        let liar = Liar::start(&server, &[&ayşe], only_new_device(old_device, shown));
        for command in ["users", "audit"] {
            let done = ayşe.run([command, "--server", &liar.name]);
            let not_shown = "does not show them in its directory and its log; the old ones are kept";
            assert!(done.failure().contains(not_shown), "{command}: {done:?}");
            assert!(key_files(&ayşe).is_superset(&old_keys), "{:?}", key_files(&ayşe));
        }
    }
    // What was sent to the old ones opens, and the server itself takes the new ones.
    burak.send("ayşe", "eskilere");
    ayşe.run(["rekey"]).ok();
    assert_eq!(receive(&ayşe, &server.name()), [text("eskilere")]);
    assert!(key_files(&ayşe).is_disjoint(&old_keys), "{:?}", key_files(&ayşe));
    assert_eq!(audit(&ayşe, &server.name()), (vec![], true));
}

#[test]
fn new_keys_that_the_server_refuses_and_has_taken_all_the_same_are_not_lost() {
    let (server, ayşe, burak) = friends();
    burak.send("ayşe", "önce");
    assert_eq!(receive(&ayşe, &server.name()), [text("önce")]);
    let (ayşes, old_keys) = (account(&ayşe), key_files(&ayşe));
    // Taken, refused in words, and shown.
    let liar = Liar::start(&server, &[&ayşe], refuses_what_it_takes(|_, passing, line| line.pass(passing)));
    let rekeyed = ayşe.run(["rekey", "--server", &liar.name]);
    assert!(rekeyed.ok().starts_with("all keys are new"), "{rekeyed:?}");
    assert!(key_files(&ayşe).is_disjoint(&old_keys), "{:?}", key_files(&ayşe));
    assert_eq!(audit(&ayşe, &server.name()), (vec![], true));

    // Taken, refused, and hidden: directory and log stand still as they were.
    let (old_keys, old_entry) = (key_files(&ayşe), directory_entry(&server, ayşes));
    let mut before: Option<String> = None;
    let liar = Liar::start(
        &server,
        &[&ayşe],
        refuses_what_it_takes(move |taken, passing, line| match passing {
            Passing::Down(Push::Reply { number, answer: Answer::Log { checkpoint } }, body) => {
                if taken {
                    let checkpoint = before.clone().unwrap();
                    line.answer(number, Answer::Log { checkpoint });
                } else {
                    before = Some(checkpoint.clone());
                    line.tell(&Push::Reply { number, answer: Answer::Log { checkpoint } }, &body);
                }
            }
            Passing::Down(Push::Reply { number, answer: Answer::Directory { mut entries, more } }, _) => {
                for shown in &mut entries {
                    if verify_account(&shown.chain).unwrap().id == ayşes {
                        *shown = old_entry.clone();
                    }
                }
                line.answer(number, Answer::Directory { entries, more });
            }
            other => line.pass(other),
        }),
    );
    assert_eq!(audit(&ayşe, &liar.name), (vec![], true));
    let refused = ayşe.run(["rekey", "--server", &liar.name]);
    assert!(refused.failure().contains("does not accept the new keys, and the old ones stay"), "{refused:?}");
    assert!(key_files(&ayşe).is_superset(&old_keys), "{:?}", key_files(&ayşe));
    // The old ones are worth nothing to it any more; the new ones are there, and what they get opens.
    ayşe.run(["users"]).ok();
    assert!(key_files(&ayşe).is_disjoint(&old_keys), "{:?}", key_files(&ayşe));
    assert_eq!(key_files(&ayşe).len(), 3, "{:?}", key_files(&ayşe));
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "yenilere");
    assert_eq!(receive(&ayşe, &server.name()), [text("yenilere")]);
    assert_eq!(audit(&ayşe, &server.name()), (vec![], true));
}

#[test]
fn an_end_of_an_account_that_the_server_does_not_show_is_none() {
    let (server, ayşe, burak) = friends();
    let not_shown = "says that the account has ended, but does not show that in its directory and its log";
    let thrown_away = Liar::start(&server, &[&ayşe], throws_records_away);
    let shown_alone = Liar::start(&server, &[&ayşe], shows_records_alone(account(&ayşe)));
    for liar in [&thrown_away, &shown_alone] {
        let ended = ayşe.run(["rekey", "--revoke", "ayşe", "--server", &liar.name]);
        assert!(ended.failure().contains(not_shown), "{ended:?}");
        burak.send("ayşe", "orada mısın?");
        let got = receive(&ayşe, &server.name());
        assert!(got.contains(&text("orada mısın?")), "{got:?}");
    }
    let ended = ayşe.run(["rekey", "--revoke", "ayşe"]);
    assert!(ended.ok().starts_with("the account has ended"), "{ended:?}");
    burak.run(["users"]).ok();
    let new = receive(&burak, &server.name());
    assert!(new.iter().any(|(_, text)| text.contains("ayşe has ended the account")), "{new:?}");
}

#[test]
fn a_log_without_ones_new_keys_is_said_and_proves_nothing() {
    let mut server = Server::start();
    let (ayşe, zoé) = (Profile::register(&server, "ayşe"), Profile::register(&server, "zoé"));
    assert_eq!(receive(&ayşe, &server.name()), []);
    server.stop();
    let other = Server::start_in(server.backup());
    server.restart_on_same_port();
    ayşe.run(["rekey"]).ok();
    assert_eq!(audit(&ayşe, &server.name()), (vec![], true));
    // Everybody is shown directory and log as they were before, under which ayşe's old keys are good. Those are asked
    // in zoé's name.
    let zoés = account(&zoé);
    let zoé_device = liar::key(&zoé.file("keys/device.pem")).public().id();
    let liar = Liar::with_two([&server, &other], &[&ayşe, &zoé], move |passing, line| match passing {
        Passing::Down(push @ Push::Hello { .. }, body) => {
            let verb = Verb::Login { account: zoés, device: zoé_device.into(), signature: vec![].into() };
            line.ask_aside(Request { number: 0, verb }, b"");
            line.tell(&push, &body);
        }
        Passing::Up(request, body) if about_accounts(&request.verb) => line.ask_aside(request, &body),
        Passing::Aside(Push::Reply { answer: Answer::LoggedIn, .. }, _) => {}
        Passing::Aside(push @ (Push::Reply { .. } | Push::Refusal { .. }), body) => line.tell(&push, &body),
        other => line.pass(other),
    });
    let (alarms, rechecked) = audit(&ayşe, &liar.name);
    assert!(alarms.contains(&"rolled_back".to_owned()) && !rechecked, "{alarms:?}");
    // Even if somebody goes on with it.
    let accepted = ayşe.run(["audit", "--accept", "--server", &liar.name]);
    assert_eq!(accepted.code(), 1, "{accepted:?}");
    assert_eq!(audit(&ayşe, &liar.name), (vec!["own_missing".to_owned()], false));
    let new = receive(&ayşe, &liar.name);
    assert!(
        new.iter().any(|(_, text)| text.contains("your account without the keys of this profile")),
        "{new:?}"
    );
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
