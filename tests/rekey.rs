//! New keys for everything, the end of an account, and what the old keys are worth afterwards.

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

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use liar::{Liar, Line, Passing};
use serde_json::Value;
use support::forge::Forger;
use support::people::{error, profile_json, strangers, texts, user};
use support::swap::database;
use support::{Profile, Server, schema};
use tellal::model::{AccountId, Millis};
use tellal::protocol::message::{Answer, Push, RefusalCode, Request, Verb};

/// Two people who have written to each other, and have not read it yet.
fn friends() -> (Server, Profile, Profile) {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "merhaba");
    burak.send("ayşe", "selam");
    (server, ayşe, burak)
}

fn keys(profile: &Profile) -> Vec<String> {
    let files = std::fs::read_dir(profile.file("keys")).unwrap();
    let mut names: Vec<String> =
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A second profile folder with the same content: what a thief has.
fn copy(profile: &Profile, server: &Server) -> Profile {
    let thief = Profile::new(server, &profile.name);
    let from = format!("{}/.", profile.home().display());
    assert!(
        std::process::Command::new("cp").args(["-a", &from]).arg(thief.home()).status().unwrap().success()
    );
    thief
}

#[test]
fn contacts_see_a_changed_key_that_the_old_one_vouches_for() {
    let (_server, ayşe, burak) = friends();
    let known = user(&burak, "ayşe")["fingerprint"].clone();
    let (before, files) = (profile_json(&ayşe), keys(&ayşe));
    // What was sent to the old device is not lost.
    burak.send("ayşe", "eski anahtara");
    let rekeyed = ayşe.run(["rekey", "--json"]).json();
    schema::check(&rekeyed[0], &["rekeyed"]);
    let new = rekeyed[0]["fingerprint"].clone();
    assert_ne!(new, known);
    let after = profile_json(&ayşe);
    assert_eq!(before["account"], after["account"], "the account stays");
    for key in ["device", "message_key"] {
        assert_ne!(before[key], after[key], "{key}");
    }
    assert!(keys(&ayşe).iter().all(|name| !files.contains(name)), "nothing is left of the old keys");
    assert_eq!(keys(&ayşe).len(), 3);
    assert_eq!(texts(&ayşe.receive()), ["selam", "eski anahtara"]);
    assert_eq!(user(&ayşe, "ayşe")["fingerprint"], new);
    assert_eq!(user(&ayşe, "ayşe")["key_change"], Value::Null, "one's own new key is no alarm");

    // burak learns of it by what she sends, which is marked.
    ayşe.send("burak", "yeni anahtarla");
    let got = burak.receive();
    assert_eq!(texts(&got), ["merhaba", "yeni anahtarla"]);
    let marked: Vec<bool> = got.iter().map(|message| message["key_changed"].as_bool().unwrap()).collect();
    let notice = got.iter().find(|message| message["kind"] == "notice").expect("a notice");
    let text = notice["text"].as_str().unwrap();
    assert!(
        text.contains("The known key vouches for the new one") && text.contains(new.as_str().unwrap()),
        "{text}"
    );
    assert!(text.contains(known.as_str().unwrap()), "{text}");
    assert!(marked.last().unwrap() & !marked[0], "{got:?}");
    let change = user(&burak, "ayşe")["key_change"].clone();
    assert_eq!((&change["vouched"], &change["known"], &change["shown"]), (&true.into(), &known, &new));
    assert!(burak.run(["send", "ayşe", "olmaz"]).failure().contains("has changed"));

    // Compared: everything goes on, in both directions.
    let number = ayşe.run(["verify", "burak", "--json"]).json()[0]["number"].as_str().unwrap().to_owned();
    assert_eq!(burak.run(["verify", "ayşe", "--code", &number, "--json"]).json()[0]["verified"], true);
    burak.send("ayşe", "tamam");
    assert_eq!(texts(&ayşe.receive()), ["tamam"]);
    ayşe.send("burak", "güzel");
    let got = burak.receive();
    assert_eq!(
        (texts(&got), &got[0]["verified"], &got[0]["key_changed"]),
        (vec!["güzel"], &true.into(), &false.into())
    );
    // What came under the former key of the same account is no impostor's; what came under the new one is compared.
    let history = burak.run(["history", "ayşe", "--json"]).json();
    let marks = history.iter().filter(|message| message["kind"] == "text" && message["from"] == "ayşe");
    let marks: Vec<_> = marks
        .map(|text| (text["text"].clone(), text["verified"].clone(), text["key_changed"].clone()))
        .collect();
    let expected = [("merhaba", false), ("yeni anahtarla", true), ("güzel", true)];
    assert_eq!(marks, expected.map(|(text, verified)| (text.into(), verified.into(), false.into())));
    // And again.
    ayşe.run(["rekey"]).ok();
    assert_eq!(keys(&ayşe).len(), 3);
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "yine");
    assert_eq!(texts(&ayşe.receive()), ["yine"]);
}

#[test]
fn a_conversation_goes_on_with_the_new_keys() {
    let (_server, ayşe, burak) = friends();
    let mut following = ayşe.start(["receive", "--follow", "--json", "--mute"]);
    assert!(following.line().unwrap().contains("selam"));
    ayşe.run(["rekey"]).ok();
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "hâlâ orada mısın?");
    let line = following.line().unwrap();
    assert!(line.contains("hâlâ orada mısın?"), "{line}");
    following.signal("INT");
    following.wait().ok();
}

#[test]
fn a_stolen_copy_is_worth_nothing_after_new_keys() {
    let (mut server, ayşe, burak) = friends();
    ayşe.receive();
    let thief = copy(&ayşe, &server);
    burak.receive();
    ayşe.run(["rekey"]).ok();
    // The server: no login, nothing sent.
    let refused = thief.run(["send", "burak", "ben ayşe"]);
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(refused.stderr.contains("does not know this profile"), "{refused:?}");
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.receive();

    // A server that helps the thief: an envelope of the removed device, put right into the mailbox.
    server.stop();
    Forger::new(&server, &thief, &burak).deliver(&server, "ben ayşe", Millis::now());
    // Dated back to when the device was the account's: mail that was on its way looks like that, and is shown.
    let registered = user_since(&thief);
    Forger::new(&server, &thief, &burak).deliver(&server, "yolda kalmış", registered);
    server.restart_on_same_port();
    let got = burak.receive();
    assert_eq!(texts(&got), ["yolda kalmış"], "{got:?}");
    let broken = got.iter().find(|message| message["kind"] == "notice").expect("a notice");
    assert!(broken["text"].as_str().unwrap().contains("could not be opened"));
    // Nor does it open what is written to ayşe from now on.
    burak.send("ayşe", "yalnız sana");
    assert_eq!(texts(&ayşe.receive()), ["yalnız sana"]);
    assert_eq!(thief.run(["receive"]).code(), 1);
}

/// When the profile's message key was made: the account is not younger.
fn user_since(profile: &Profile) -> Millis {
    serde_json::from_value(profile_json(profile)["message_key_from"].clone()).unwrap()
}

#[test]
fn a_new_key_that_the_server_hides_again_stays_known() {
    let (mut server, ayşe, burak) = friends();
    burak.receive();
    ayşe.run(["rekey"]).ok();
    let new = user(&burak, "ayşe")["fingerprint"].clone();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.receive();
    server.stop();
    database(server.data()).execute("DELETE FROM account_record WHERE place > 0", []).unwrap();
    server.restart_on_same_port();
    assert_eq!(user(&burak, "ayşe")["fingerprint"], new);
    // Beside the alarm that they are not what the transparency log has.
    let notices = burak.receive();
    let says = |what: &str| notices.iter().any(|notice| notice["text"].as_str().unwrap().contains(what));
    assert!(
        says("do not continue those known here") && says("its transparency log does not have"),
        "{notices:?}"
    );
    assert_eq!(notices.len(), 2, "{notices:?}");
    burak.run(["users"]).ok();
    assert!(burak.receive().is_empty(), "it is said once");
}

#[test]
fn new_keys_whose_announcement_broke_off_are_taken_up_by_the_next_command() {
    let (mut server, ayşe, burak) = friends();
    let before = profile_json(&ayşe);
    let old = copy(&ayşe, &server);
    ayşe.run(["rekey"]).ok();
    let after = profile_json(&ayşe);
    // As a crash after the server's answer leaves it: the old keys are there, the new ones are too.
    let db = database(server.data());
    let account: AccountId = serde_json::from_value(before["account"].clone()).unwrap();
    let record: Vec<u8> = db
        .query_row(
            "SELECT record FROM account_record WHERE account = ? AND place = 1",
            [account.as_bytes()],
            |row| row.get(0),
        )
        .unwrap();
    let device: tellal::model::DeviceId = serde_json::from_value(after["device"].clone()).unwrap();
    let message_key: Vec<u8> = db
        .query_row("SELECT record FROM message_key WHERE device = ?", [device.as_bytes()], |row| row.get(0))
        .unwrap();
    drop(db);
    let base64 = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let mut crashed = before;
    crashed["pending"] = serde_json::json!({
        "what": "rekey", "record": base64(&record), "message_key": base64(&message_key),
        "identity": after["identity"], "device": after["device"], "key": after["message_key"],
        "from": after["message_key_from"],
    });
    std::fs::write(ayşe.file("profile.json"), crashed.to_string()).unwrap();
    for file in std::fs::read_dir(old.file("keys")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), ayşe.file("keys").join(file.file_name())).unwrap();
    }
    server.restart_on_same_port();
    // That command has nothing to be told of it.
    ayşe.run(["users"]).ok();
    assert_eq!(profile_json(&ayşe), after);
    assert_eq!(keys(&ayşe).len(), 3, "{:?}", keys(&ayşe));
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "oldu mu?");
    assert!(texts(&ayşe.receive()).contains(&"oldu mu?"));
}

/// What a server that takes no records for a while was asked: when it refused, and how often somebody had logged in by
/// then; the same for what it took.
#[derive(Default)]
struct Asked {
    logins: u32,
    refused: Vec<(Instant, u32)>,
    taken: Vec<(Instant, u32)>,
}

/// Refuses so many records for so long, as a server does that takes only so many changes in a minute.
fn busy(
    most: usize,
    wait_ms: u32,
    asked: &Arc<Mutex<Asked>>,
) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    let asked = asked.clone();
    move |passing, line| {
        let mut asked = asked.lock().unwrap();
        match &passing {
            Passing::Up(request, _) if matches!(request.verb, Verb::PublishRecord { .. }) => {
                let now = (Instant::now(), asked.logins);
                if asked.refused.len() < most {
                    asked.refused.push(now);
                    let (number, code) = (request.number, RefusalCode::Limited);
                    return line.tell(&Push::Refusal { number, code, retry_after: Some(wait_ms) }, b"");
                }
                asked.taken.push(now);
            }
            Passing::Up(request, _) if matches!(request.verb, Verb::Login { .. }) => asked.logins += 1,
            _ => {}
        }
        line.pass(passing);
    }
}

#[test]
fn new_keys_wait_for_a_server_that_takes_no_more_for_now_and_say_so() {
    let (server, ayşe, burak) = friends();
    burak.receive();
    let before = keys(&ayşe);
    let asked = Arc::default();
    let liar = Liar::start(&server, &[&ayşe], busy(2, 1_500, &asked));
    let rekeyed = ayşe.run(["rekey", "--server", &liar.name]);
    assert!(rekeyed.ok().starts_with("all keys are new"), "{rekeyed:?}");
    let lines: Vec<&str> = rekeyed.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "each time: {rekeyed:?}");
    for line in lines {
        assert!(line.starts_with("tellal: waits: ") && line.ends_with("it is tried again in 2 s"), "{line}");
    }
    {
        let asked = asked.lock().unwrap();
        let times = [asked.refused[0], asked.refused[1], asked.taken[0]];
        for pair in times.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(1_500), "asked again too soon");
            assert_eq!(pair[0].1, pair[1].1, "the connection lasts meanwhile");
        }
        assert_eq!(asked.taken.len(), 1, "one set of new keys");
    }
    assert!(keys(&ayşe).iter().all(|name| !before.contains(name)));

    // Where it would take too long, it is said when; and what has been begun is finished later, by whatever is run.
    let old = keys(&ayşe);
    let asked = Arc::default();
    let liar = Liar::start(&server, &[&ayşe], busy(1, 1_800_000, &asked));
    let later = ayşe.run(["rekey", "--json", "--server", &liar.name]);
    let error = error(&later);
    assert_eq!(error["error"], "limited", "{error}");
    assert!(error["message"].as_str().unwrap().ends_with("try again in 30 min"), "{error}");
    assert!(keys(&ayşe).iter().filter(|name| old.contains(name)).count() == 3, "the old keys are kept");
    let deadline = Instant::now() + support::TIMEOUT;
    while keys(&ayşe).iter().any(|name| old.contains(name)) {
        assert!(Instant::now() < deadline, "{:?}", keys(&ayşe));
        ayşe.run(["users"]);
    }
    // So is the end of an account waited for.
    let asked = Arc::default();
    let liar = Liar::start(&server, &[&ayşe], busy(1, 1_500, &asked));
    let ended = ayşe.run(["rekey", "--revoke", "ayşe", "--server", &liar.name]);
    assert!(ended.ok().starts_with("the account has ended") && ended.stderr.contains("waits: "), "{ended:?}");
}

#[test]
fn what_the_server_has_taken_under_the_old_keys_is_not_sent_once_more_under_the_new() {
    let (server, ayşe, burak) = friends();
    ayşe.receive();
    ayşe.run(["room", "create", "garden"]).ok();
    ayşe.run(["room", "invite", "garden", "burak"]).ok();
    burak.run(["room", "join", "garden"]).ok();
    burak.receive();
    // Its word that it has taken something is lost, unless it was only asked whether it has.
    let (mut under_way, mut limited, (tell, told)) = (HashMap::new(), false, mpsc::channel());
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| {
        match &passing {
            Passing::Up(Request { verb: Verb::Login { .. }, .. }, _) => under_way.clear(),
            Passing::Up(Request { number, verb: Verb::Submit { message, recipients, .. } }, _) => {
                let mut wraps = recipients.iter().flat_map(|recipient| &recipient.wraps);
                if wraps.any(|wrap| wrap.ciphertext.iter().any(|byte| *byte != 0)) {
                    under_way.insert(*number, *message);
                } else if !std::mem::replace(&mut limited, true) {
                    let (number, code) = (*number, RefusalCode::Limited);
                    return line.tell(&Push::Refusal { number, code, retry_after: Some(1_000) }, b"");
                }
            }
            Passing::Down(Push::Reply { number, answer: Answer::Accepted { .. } }, _) => {
                if let Some(message) = under_way.remove(number) {
                    let _ = tell.send(message);
                    return;
                }
            }
            _ => {}
        }
        line.pass(passing);
    });
    let mut taken = HashSet::new();
    for (to, text) in [("burak", "bir"), ("#garden", "iki")] {
        let sending = ayşe.start(["send", to, text, "--server", &liar.name]);
        // What was there before is given to it once more.
        while !taken.insert(told.recv_timeout(support::TIMEOUT).unwrap()) {}
        sending.signal("KILL");
        sending.wait();
    }
    let rekeyed = ayşe.run(["rekey", "--server", &liar.name]);
    rekeyed.ok();
    assert!(rekeyed.stderr.contains("tellal: waits: "), "{rekeyed:?}");
    ayşe.send("burak", "üç");
    assert_eq!(texts(&burak.receive()), ["bir", "iki", "üç"]);
    let history = ayşe.run(["history", "--json"]).json();
    let own = history.iter().filter(|message| message["kind"] == "text" && message["from"] == "ayşe");
    let states: Vec<_> = own.map(|message| message["delivery"]["state"].clone()).collect();
    assert_eq!(states, ["accepted"; 4], "{history:?}");
}

#[test]
fn what_is_waited_for_ends_no_connection_of_what_runs_beside_it() {
    let (server, ayşe, burak) = friends();
    burak.receive();
    let asked: Arc<Mutex<Asked>> = Arc::default();
    // A server that takes no more today.
    let liar = Liar::start(&server, &[&ayşe], busy(usize::MAX, 3_000_000, &asked));
    let mut following = ayşe.start(["receive", "--follow", "--json", "--mute", "--server", &liar.name]);
    assert!(following.line().unwrap().contains("selam"));
    let refused = ayşe.run(["rekey"]);
    assert!(refused.failure().ends_with("try again in 50 min"), "{refused:?}");
    // Begun, and taken up by the next process that has the profile open, which goes on all the same.
    following.signal("INT");
    following.wait().ok();
    let begun = asked.lock().unwrap().refused.len();
    let mut following = ayşe.start(["receive", "--follow", "--json", "--mute", "--server", &liar.name]);
    let deadline = Instant::now() + support::TIMEOUT;
    while asked.lock().unwrap().refused.len() == begun {
        assert!(Instant::now() < deadline, "it is not taken up");
        std::thread::sleep(Duration::from_millis(20));
    }
    burak.send("ayşe", "hâlâ orada mısın?");
    let line = following.line().unwrap();
    assert!(line.contains("hâlâ orada mısın?"), "{line}");
    following.signal("INT");
    let ended = following.wait();
    assert_eq!((ended.code(), ended.stderr.contains("trying again")), (0, false), "{ended:?}");
    assert_eq!(asked.lock().unwrap().logins, 2, "one for each process");
}

#[test]
fn an_account_that_has_ended_is_said_to_be_and_written_to_no_more() {
    let (_server, ayşe, burak) = friends();
    burak.receive();
    let mistake = ayşe.run(["rekey", "--revoke", "burak"]);
    assert!(mistake.failure().contains("nothing was ended"), "{mistake:?}");
    let ended = ayşe.run(["rekey", "--revoke", "ayşe", "--json"]).json();
    assert_eq!(ended[0]["what"], "none");
    burak.run(["users"]).ok();
    let notice = burak.receive();
    assert!(notice[0]["text"].as_str().unwrap().contains("ayşe has ended the account"), "{notice:?}");
    let refused = burak.run(["send", "ayşe", "orada mısın?"]);
    assert!(refused.stderr.contains("has ended the account"), "{refused:?}");
    // Its name is nobody else's, its history stays.
    let zoé = Profile::new(&_server, "ayşe");
    let taken = zoé.run(["register", "ayşe", "--key-bits", "2048", "--server", &_server.name()]);
    assert!(taken.failure().contains("taken"), "{taken:?}");
    assert!(ayşe.run(["history"]).ok().contains("merhaba"));
    assert_eq!(ayşe.run(["send", "burak", "yine ben"]).code(), 1);
}
