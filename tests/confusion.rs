//! Replay, reflection, confusion: the real client before a server that delivers what was not meant so, and before
//! senders who seal what no honest client would. For each: what the user sees.

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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use liar::{Liar, Passing};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::forge::{Forged, Forger, account, join, parts};
use support::people::strangers;
use support::{Profile, Running, Server, schema, wav};
use tellal::crypto::envelope::{Content, Draft, VoiceData, VoiceManifest};
use tellal::crypto::{MessageSecret, Purpose};
use tellal::model::{KeyId, Millis, Wrap};
use tellal::protocol::message::Push;
use tempfile::TempDir;

const NOT_OPENED: &str = "A message from ayşe could not be opened: ask ayşe to send it again";

/// Delivers these at the end of somebody's mailbox; what is new to them then.
#[track_caller]
fn deliver(server: &Server, to: &Profile, frames: &[(Push, Bytes)]) -> Vec<Value> {
    let mut frames = Some(frames.to_vec());
    let liar = Liar::start(server, &[to], move |passing, line| {
        if let Passing::Down(Push::Drained { position: end }, _) = &passing {
            for (mut push, body) in frames.take().unwrap_or_default() {
                if let Push::Delivery { position, .. } = &mut push {
                    *position = *end;
                }
                line.tell(&push, &body);
            }
        }
        line.pass(passing);
    });
    let new = to.run(["receive", "--json", "--server", &liar.name]).json();
    new.iter().for_each(schema::check_message);
    new
}

/// What somebody's mailbox delivers, as it came; they see it, too.
fn record(server: &Server, to: &Profile) -> Vec<(Push, Bytes)> {
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let log = recorded.clone();
    let liar = Liar::start(server, &[to], move |passing, line| {
        if let Passing::Down(push @ Push::Delivery { .. }, body) = &passing {
            log.lock().unwrap().push((push.clone(), body.clone()));
        }
        line.pass(passing);
    });
    to.run(["receive", "--json", "--server", &liar.name]).ok();
    let recorded = recorded.lock().unwrap();
    recorded.clone()
}

/// Kind and text of each.
fn said(messages: &[Value]) -> Vec<(&str, &str)> {
    messages
        .iter()
        .map(|message| (message["kind"].as_str().unwrap(), message["text"].as_str().unwrap_or_default()))
        .collect()
}

/// The wrap of a delivery.
fn wrap_of(push: &mut Push) -> &mut Wrap {
    match push {
        Push::Delivery { wrap: Some(wrap), .. } => wrap,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_delivered_again_is_shown_once() {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "bir");
    let recorded = record(&server, &burak);
    // In another session, more than once, and without the wrap.
    let (mut push, body) = recorded[0].clone();
    if let Push::Delivery { wrap, .. } = &mut push {
        *wrap = None;
    }
    let again = [recorded[0].clone(), recorded[0].clone(), (push, body)];
    assert_eq!(said(&deliver(&server, &burak, &again)), []);
    let shown = burak.run(["history", "--json"]).json();
    assert_eq!(said(&shown), [("text", "bir")]);
}

#[test]
fn what_comes_back_to_the_device_that_made_it_is_not_taken_for_a_message() {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "yalnız burak için");
    let recorded = record(&server, &burak);
    let said_to_ayşe = deliver(&server, &ayşe, &recorded);
    assert_eq!(
        said(&said_to_ayşe),
        [(
            "notice",
            "The server has delivered a message to you that this device has sent: nothing of it was taken in"
        )]
    );
    assert_eq!(said(&deliver(&server, &ayşe, &recorded)), [], "that is said once");
}

#[test]
fn a_note_to_oneself_is_what_this_device_has_signed_for_itself() {
    let (server, ayşe, burak) = strangers();
    let id = ayşe.send("burak", "yalnız burak için");
    let (push, _) = record(&server, &burak).remove(0);
    let Push::Delivery { message, .. } = push else { panic!("{push:?}") };
    assert_eq!(message.to_string(), id);
    // The server makes an envelope of this device to itself, under the name of what was for burak.
    let forger = Forger::new(&server, &ayşe, &ayşe);
    let draft = Draft { message, ..forger.draft(Millis::now()) };
    let secret = MessageSecret::generate();
    let forged = forger.assemble(&draft, b"no token", secret.commitment(), &secret, Purpose::Login);
    let new = deliver(&server, &ayşe, &[forger.delivery(&forged)]);
    let [("notice", text)] = said(&new)[..] else { panic!("{new:?}") };
    assert!(text.contains("that this device has sent"), "{text}");
}

#[test]
fn what_can_not_be_opened_is_not_said_without_end() {
    let (server, ayşe, burak) = strangers();
    let others = ["zoé", "지민", "小明", "مريم"].map(|name| Profile::register(&server, name));
    for sender in others.iter().chain([&ayşe]) {
        sender.send("burak", "tanışalım");
    }
    burak.receive();
    let broken_of = |sender: &Profile, count: usize| -> Vec<(Push, Bytes)> {
        let forger = Forger::new(&server, sender, &burak);
        let broken = |_| {
            let mut forged = forger.seal(&forger.draft(Millis::now()), "bozuk");
            forged.body = forged.body.slice(..40);
            forger.delivery(&forged)
        };
        (0..count).map(broken).collect()
    };
    // Nobody uses up what there is to be said of others.
    let flood = broken_of(&ayşe, 200).into_iter().chain(broken_of(&others[0], 1)).collect::<Vec<_>>();
    let new = deliver(&server, &burak, &flood);
    let new = said(&new);
    assert_eq!(new.len(), 17, "{new:?}");
    assert!(new[15].1.ends_with("No more of this kind is told of ayşe for an hour"), "{new:?}");
    assert!(new[16].1.contains("zoé"), "{new:?}");
    // Nor is it without end for the server, which can name anybody.
    let flood: Vec<_> = others.iter().chain([&ayşe]).flat_map(|sender| broken_of(sender, 40)).collect();
    let new = deliver(&server, &burak, &flood);
    assert_eq!(new.len(), 64);
    let last = said(&new).last().unwrap().1;
    assert!(last.ends_with("No more of this kind is told for an hour"), "{last}");
    ayşe.send("burak", "hâlâ buradayım");
    assert_eq!(said(&burak.receive()), [("text", "hâlâ buradayım")]);
}

#[test]
fn what_is_for_somebody_else_does_not_open() {
    let (server, ayşe, burak) = strangers();
    let zoé = Profile::register(&server, "zoé");
    ayşe.send("zoé", "merhaba zoé");
    let zoés = record(&server, &zoé);
    ayşe.send("burak", "yalnız burak için");
    let (mut push, body) = record(&server, &burak).remove(0);
    // As it is.
    assert_eq!(
        said(&deliver(&server, &zoé, &[(push.clone(), body.clone())])),
        [("notice", NOT_OPENED)],
        "it is addressed to burak"
    );
    // Said to be for zoé, with the wrap under her device's name: by itself, and with the wrap of what was for her.
    let mut of_zoé = zoés[0].0.clone();
    let wrap = wrap_of(&mut of_zoé).clone();
    if let Push::Delivery { conversation, .. } = &mut push {
        *conversation = account(&zoé).into();
    }
    let burak_wrap = wrap_of(&mut push).ciphertext.clone();
    *wrap_of(&mut push) = Wrap { ciphertext: burak_wrap, ..wrap.clone() };
    let mut other = push.clone();
    *wrap_of(&mut other) = wrap;
    let frames = [(push, body.clone()), (other, body)];
    assert_eq!(said(&deliver(&server, &zoé, &frames)), [], "it was said of this message");
    assert_eq!(said(&zoé.run(["history", "--json"]).json()).len(), 2, "merhaba, and the one notice");
}

#[test]
fn broken_copies_of_every_kind_suppress_no_good_one() {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "tanışalım");
    burak.receive();
    ayşe.send("burak", "bir");
    ayşe.send("burak", "iki");
    // Recorded on the way, and not delivered.
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let log = recorded.clone();
    let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
        Passing::Down(push @ Push::Delivery { .. }, body) => log.lock().unwrap().push((push, body)),
        Passing::Up(request, _)
            if matches!(request.verb, tellal::protocol::message::Verb::Acknowledge { .. }) => {}
        other => line.pass(other),
    });
    assert_eq!(said(&burak.run(["receive", "--json", "--server", &liar.name]).json()), []);
    let recorded = recorded.lock().unwrap().clone();
    let [one, two] = &recorded[..] else { panic!("{recorded:?}") };

    let ([header, signature, token], [header2, signature2, token2]) = (parts(&one.1), parts(&two.1));
    let mut broken: Vec<(Push, Bytes)> = [
        join(&[&header, &signature, &token2]),
        join(&[&header, &signature2, &token]),
        join(&[&header2, &signature, &token]),
        join(&[&header, &[], &token]),
        join(&[&header, &signature, &token[..token.len() - 1]]),
        one.1.slice(..one.1.len() / 2),
        Bytes::new(),
    ]
    .into_iter()
    .map(|body| (one.0.clone(), body))
    .collect();
    // The other one's wrap, a wrap for a key that there is not, one of another length, none.
    let mut swapped = one.clone();
    *wrap_of(&mut swapped.0) = wrap_of(&mut two.0.clone()).clone();
    broken.push(swapped);
    let mut cut = one.clone();
    wrap_of(&mut cut.0).ciphertext.pop();
    broken.push(cut);
    let mut stranger = one.clone();
    wrap_of(&mut stranger.0).key = KeyId::new([9; 32]);
    broken.push(stranger);
    let mut none = one.clone();
    if let Push::Delivery { wrap, .. } = &mut none.0 {
        *wrap = None;
    }
    broken.push(none);
    // One bit of each part.
    for at in [10, header.len() + 40, one.1.len() - 3] {
        let mut flipped = one.1.to_vec();
        flipped[at] ^= 1;
        broken.push((one.0.clone(), flipped.into()));
    }
    let count = broken.len();
    broken.extend([one.clone(), two.clone()]);
    let shown = deliver(&server, &burak, &broken);
    let mut shown = said(&shown);
    shown.sort_unstable();
    assert_eq!(
        shown,
        [("notice", NOT_OPENED), ("text", "bir"), ("text", "iki")],
        "{count} broken copies, said once, and the good ones"
    );
}

#[test]
fn what_an_honest_client_would_never_seal_is_refused() {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "tanışalım");
    burak.receive();
    let forger = Forger::new(&server, &ayşe, &burak);
    let draft = || forger.draft(Millis::now());
    let secret = MessageSecret::generate();
    let token = |secret: &MessageSecret| {
        let content = tellal::crypto::envelope::Content::Text("iki anlamlı".to_owned());
        secret.seal(&content.encode().unwrap()).unwrap()
    };
    // Made in the same way, and right: what follows is refused for what is wrong with it.
    let good = forger.assemble(&draft(), &token(&secret), secret.commitment(), &secret, Purpose::Envelope);
    assert_eq!(said(&deliver(&server, &burak, &[forger.delivery(&good)])), [("text", "iki anlamlı")]);
    let refused = |what: &str, forged: &Forged| {
        let shown = deliver(&server, &burak, &[forger.delivery(forged)]);
        assert_eq!(said(&shown), [("notice", NOT_OPENED)], "{what}");
    };

    // A token that opens, under another key than the header commits to.
    let other = MessageSecret::generate();
    let committed_to_another =
        forger.assemble(&draft(), &token(&secret), other.commitment(), &secret, Purpose::Envelope);
    refused("a key that the header does not commit to", &committed_to_another);
    // A token that opens under two keys: Fernet authenticates with one half of a key and encrypts with the other.
    let ambiguous = secret.seal(&[0; 128]).unwrap();
    let second = std::iter::repeat_with(|| {
        let mut key = *secret.expose_key_bytes();
        key[16..].copy_from_slice(&MessageSecret::generate().expose_key_bytes()[16..]);
        MessageSecret::from_bytes(&key)
    })
    .find(|key| key.open(&ambiguous).is_ok())
    .unwrap();
    let two_keys = forger.assemble(&draft(), &ambiguous, secret.commitment(), &second, Purpose::Envelope);
    refused("a token under its second key", &two_keys);

    // Signed by the right key, for another purpose.
    for &purpose in Purpose::ALL.iter().filter(|purpose| **purpose != Purpose::Envelope) {
        let forged = forger.assemble(&draft(), &token(&secret), secret.commitment(), &secret, purpose);
        refused(&format!("a signature for {purpose:?}"), &forged);
    }
}

#[test]
fn a_name_that_is_used_twice_is_said_and_the_first_one_kept() {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "tanışalım");
    burak.receive();
    let forger = Forger::new(&server, &ayşe, &burak);
    let draft = forger.draft(Millis::now());
    let (first, second) = (forger.seal(&draft, "evet"), forger.seal(&draft, "hayır"));
    assert_eq!(said(&deliver(&server, &burak, &[forger.delivery(&first)])), [("text", "evet")]);
    let shown = deliver(&server, &burak, &[forger.delivery(&second), forger.delivery(&first)]);
    let [("notice", text)] = said(&shown)[..] else { panic!("{shown:?}") };
    assert!(text.starts_with("ayşe's device has sent two different messages under one id"), "{text}");
    assert_eq!(said(&deliver(&server, &burak, &[forger.delivery(&second)])), [], "that is said once");
    let kept = burak.run(["history", "ayşe", "--search", "hayır", "--json"]).json();
    assert!(kept.is_empty(), "{kept:?}");
    // Both at once: one of them, and the same words.
    let draft = forger.draft(Millis::now());
    let (first, second) = (forger.seal(&draft, "bir"), forger.seal(&draft, "iki"));
    let shown = deliver(&server, &burak, &[forger.delivery(&first), forger.delivery(&second)]);
    assert_eq!(said(&shown).iter().filter(|(kind, _)| *kind == "text").count(), 1, "{shown:?}");
    assert_eq!(said(&shown)[0], ("text", "bir"));
}

#[test]
fn what_is_dated_far_off_is_shown_and_marked() {
    let (server, ayşe, burak) = strangers();
    ayşe.send("burak", "tanışalım");
    burak.receive();
    let forger = Forger::new(&server, &ayşe, &burak);
    let now = Millis::now();
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    let dated = [
        ("gelecekten", now.plus(days(700)), true),
        ("şimdi", now, false),
        // From before there was such an account, or such a program.
        ("geçmişten", Millis(now.0 - u64::try_from(days(7_000).as_millis()).unwrap()), true),
        ("zamanın başından", Millis(0), true),
        ("zamanın sonundan", Millis(u64::MAX), true),
    ];
    let frames = dated.map(|(text, at, _)| forger.delivery(&forger.seal(&forger.draft(at), text)));
    let shown = deliver(&server, &burak, &frames);
    let marks: Vec<(&str, bool)> = shown
        .iter()
        .map(|message| (message["text"].as_str().unwrap(), message["late"].as_bool().unwrap()))
        .collect();
    assert_eq!(marks, dated.map(|(text, _, late)| (text, late)));
    let lines = burak.run(["history", "ayşe"]);
    for (text, _, late) in dated {
        let line = lines.ok().lines().find(|line| line.contains(text)).unwrap();
        assert_eq!(line.contains("(arrived "), late, "{line}");
    }
}

/// All files in a folder and in those in it, with what is in them.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.insert(path, bytes);
        }
    }
    found
}

/// The same of a profile, but for its history, and the lock of whoever is heard.
fn files_of(profile: &Profile) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = files(profile.home());
    all.retain(|path, _| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !name.starts_with("history.db") && name != "sounding"
    });
    all
}

#[test]
fn what_a_voice_note_is_called_is_no_place_to_write_to() {
    let (server, ayşe, burak) = strangers();
    let forger = Forger::new(&server, &ayşe, &burak);
    let world = TempDir::new().unwrap();
    let [here, house, kept] = ["a/b/here", "house", "kept"].map(|name| world.path().join(name));
    [&here, &house, &kept].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    let absolute = house.join("kaçak.wav");
    let names = [
        absolute.to_str().unwrap(),
        "../../kaçak.wav",
        "../kaçak.wav",
        "kaçak.wav",
        "~/kaçak.wav",
        "profile.json",
        "keys/identity.pem",
        "settings.toml",
        "a\u{1b}]0;kaçak\u{7}\r\n\u{202e}b",
        "kaçak\0.wav",
        "--save=kaçak.wav",
        "$(touch kaçak)",
        "..",
        "",
    ];
    let sound = wav::tone(100);
    let frames = names.map(|name| {
        let content = Content::Voice(VoiceManifest {
            data: VoiceData::Inline(sound.clone().into()),
            name: name.to_owned(),
            media_type: "audio/wav\u{1b}[31m".to_owned(),
            size: sound.len() as u64,
            sha256: Sha256::digest(&sound).into(),
            duration_ms: 6,
            sample_rate: 16_000,
            peaks: vec![255; 64].into(),
        });
        forger.delivery(&forger.seal_content(&forger.draft(Millis::now()), &content))
    });
    let project = || {
        let names = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
        names.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let (profile, beside) = (files_of(&burak), project());
    let new = deliver(&server, &burak, &frames);
    assert_eq!(new.len(), names.len(), "{new:?}");

    let run = |args: &[&str]| {
        let mut command = burak.command(args);
        let done = Running::start(command.current_dir(&here).env("HOME", &house)).wait();
        for text in [&done.stdout, &done.stderr] {
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
        done
    };
    run(&["history", "ayşe"]).ok();
    run(&["history", "ayşe", "--json"]).ok();
    for (at, message) in new.iter().enumerate() {
        let id = message["id"].as_str().unwrap();
        run(&["play", id]);
        let file = kept.join(format!("{at}.wav"));
        run(&["play", id, "--save", file.to_str().unwrap()]).ok();
        assert_eq!(std::fs::read(&file).unwrap(), sound);
    }
    let saved: Vec<PathBuf> = files(world.path()).into_keys().collect();
    assert_eq!(saved.len(), names.len(), "{saved:?}");
    assert!(saved.iter().all(|path| path.starts_with(&kept)), "{saved:?}");
    assert_eq!(files_of(&burak), profile);
    assert_eq!(project(), beside);
}
