//! Lies about mail: dropped, doubled, delayed, made up; sound that is not what was sent; a success that was none.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tellal::crypto::Purpose;
use tellal::model::{MessageId, Millis, Position};
use tellal::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, Request, Verb};

use crate::liar::{Liar, Passing};
use crate::raw::Person;
use crate::support::forge::{account, join, parts};
use crate::support::{Profile, TIMEOUT, give_way, schema, wav};
use crate::{friends, notice, receive, text, with_mail};

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
fn what_is_dropped_while_somebody_follows_is_missed_without_their_connecting_anew() {
    let (server, ayşe, burak) = friends();
    let mut delivered = 0;
    let liar = Liar::start(
        &server,
        &[&burak],
        with_mail(move |push, body, line| {
            delivered += usize::from(matches!(push, Push::Delivery { .. }));
            // The second one, for good. From then on nothing tells of the mailbox's end, either.
            match push {
                Push::Delivery { .. } if delivered == 2 => {}
                Push::Drained { .. } if delivered >= 2 => {}
                push => line.tell(&push, &body),
            }
        }),
    );
    let mut following = burak.start(["receive", "--follow", "--json", "--mute", "--server", &liar.name]);
    let mut next = || -> (String, String) {
        let message: Value = serde_json::from_str(&following.line().unwrap()).unwrap();
        schema::check_message(&message);
        let word = |field: &str| message[field].as_str().unwrap().to_owned();
        (word("kind"), word("text"))
    };
    ayşe.send("burak", "bir");
    assert_eq!(next(), text("bir"));
    ayşe.send("burak", "iki");
    ayşe.send("burak", "üç");
    let missing = "1 message from ayşe did not arrive: ask ayşe to send again";
    assert_eq!([next(), next()], [text("üç"), notice(missing)]);
    ayşe.send("burak", "dört");
    assert_eq!(next(), text("dört"), "that is said once");
    following.signal("INT");
    following.wait().ok();
}

#[test]
fn what_is_doubled_is_shown_once_and_what_is_reordered_is_shown_in_the_order_it_was_written_in() {
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
    let turned = Liar::start(
        &server,
        &[&burak],
        with_mail(move |push, body, line| match push {
            Push::Delivery { .. } => held.push((push, body)),
            _ => {
                backwards(&mut held).iter().for_each(|(push, body)| line.tell(push, body));
                line.tell(&push, &body);
            }
        }),
    );
    for words in ["üç", "dört", "beş"] {
        ayşe.send("burak", words);
    }
    assert_eq!(receive(&burak, &turned.name), [text("üç"), text("dört"), text("beş")]);
    let kept = burak.run(["history", "ayşe", "--json"]).json();
    let kept: Vec<&str> = kept.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(kept, ["bir", "iki", "üç", "dört", "beş"]);

    // One of them is not there at all.
    let mut held: Vec<(Push, Bytes)> = Vec::new();
    let some = Liar::start(
        &server,
        &[&burak],
        with_mail(move |push, body, line| match push {
            Push::Delivery { .. } => held.push((push, body)),
            _ => {
                let mut turned = backwards(&mut held);
                turned.remove(1);
                turned.iter().for_each(|(push, body)| line.tell(push, body));
                line.tell(&push, &body);
            }
        }),
    );
    for words in ["altı", "yedi", "sekiz"] {
        ayşe.send("burak", words);
    }
    let missing = "1 message from ayşe did not arrive: ask ayşe to send again";
    assert_eq!(receive(&burak, &some.name), [text("altı"), text("sekiz"), notice(missing)]);
}

/// The last one first; the places in the mailbox as if that were their order.
fn backwards(held: &mut Vec<(Push, Bytes)>) -> Vec<(Push, Bytes)> {
    let places: Vec<Position> = held.iter().map(|(push, _)| *place(&mut push.clone())).collect();
    let turned = held.drain(..).rev().zip(places).map(|((mut push, body), at)| {
        *place(&mut push) = at;
        (push, body)
    });
    turned.collect()
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
    let before = kept(&burak);
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
    assert_eq!(kept(&burak), before, "presence and news of the log change nothing");
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
    assert_eq!(kept(&burak), before, "nor does a goodbye");
}

/// What somebody's profile has of people and of the log, beside messages: whom it knows under which keys, who is online,
/// the verified checkpoint, what was found wrong.
fn kept(profile: &Profile) -> [Vec<Value>; 2] {
    [["users", "--json"], ["audit", "--json"]].map(|command| profile.run(command).json())
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
    let gone = "The sound of this voice note is no longer on the server: ask for it again";
    ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok();
    let liar = Liar::start(&server, &[&burak], |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Chunk }, _) => {
            line.tell(&Push::Refusal { number, code: RefusalCode::BlobMissing, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    assert_eq!(receive(&burak, &liar.name), [notice(gone)]);
}

#[test]
fn sound_that_lacks_whole_chunks_is_said_to_be_and_none_of_the_rest_is_played() {
    let (server, ayşe, burak) = friends();
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::rising(6)).unwrap();
    let (damaged, gone) = (
        "The sound of this voice note is damaged: ask for it again",
        "The sound of this voice note is no longer on the server: ask for it again",
    );
    // What is asked of the server in the place of each chunk; nothing: it has none of that place.
    type Shift = fn(u32) -> Option<u32>;
    let lies: [(&str, Shift, &str); 4] = [
        ("the last one", |index| (index < LAST).then_some(index), gone),
        ("the first one", |index| Some(index + 1), damaged),
        ("one in the middle", |index| Some(if index == 1 { LAST } else { index }), damaged),
        ("all but the last one, said to be the first", |index| (index == 0).then_some(LAST), damaged),
    ];
    for (what, shift, says) in lies {
        let id = ayşe.run(["voice", "burak", "--file", note.to_str().unwrap()]).ok().to_owned();
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let indices = asked.clone();
        let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
            Passing::Up(Request { number, verb: Verb::FetchChunk { blob, index } }, body) => {
                indices.lock().unwrap().insert(index);
                let there = shift(index).filter(|index| *index <= LAST);
                match there.map(|index| Verb::FetchChunk { blob, index }) {
                    Some(verb) => line.ask(Request { number, verb }, &body),
                    None => {
                        let code = RefusalCode::BlobMissing;
                        line.tell(&Push::Refusal { number, code, retry_after: None }, b"");
                    }
                }
            }
            other => line.pass(other),
        });
        assert_eq!(receive(&burak, &liar.name), [notice(says)], "{what}");
        let asked = asked.lock().unwrap();
        assert!(asked.contains(&0) && asked.iter().all(|index| *index <= LAST), "{what}: {asked:?}");
        // Nor does the server itself make it whole afterwards: what was said is what there is.
        let kept = burak.file("kept.wav");
        let played = burak.run(["play", &id, "--save", kept.to_str().unwrap()]);
        assert_eq!(played.code(), 1, "{what}: {played:?}");
        assert!(!kept.exists(), "{what}");
        assert_eq!(receive(&burak, &server.name()), [], "{what}");
    }
}

/// The index of the last of a note's chunks: 6 s at 16 kHz are 192,044 bytes.
const LAST: u32 = 2;

#[test]
fn a_success_that_was_none_is_found_out_by_whoever_waits_for_it() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "önce");
    burak.receive();
    // A text: accepted, and thrown away.
    let liar = Liar::start(&server, &[&ayşe], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::Submit { .. }) => {
            line.answer(request.number, Answer::Accepted { at: Millis::now(), left_out: Vec::new() });
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
                line.ask(Request { verb, ..request }, &body);
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

#[test]
fn what_goes_to_one_person_does_not_wait_for_sound_that_goes_to_another() {
    let (server, ayşe, burak) = friends();
    let zoé = Profile::register(&server, "zoé");
    let note = ayşe.file("note.wav");
    std::fs::write(&note, wav::rising(6)).unwrap();
    // Keys that are known already.
    for friend in [&burak, &zoé] {
        ayşe.send(&friend.name, "önce");
        friend.receive();
    }
    let nobody = ["--server", "127.0.0.1:1"];
    for what in [
        &["voice", "burak", "--file", note.to_str().unwrap()][..],
        &["send", "burak", "sonra"],
        &["send", "zoé", "hemen"],
    ] {
        let queued = ayşe.run(what.iter().chain(&nobody));
        assert!(queued.stderr.contains("waits in the outbox"), "{queued:?}");
    }
    // From the second one on the sound waits at this server, until something else was sent.
    let submitted = Arc::new(AtomicU64::new(0));
    let (submissions, mut waiting) = (submitted.clone(), Vec::new());
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
        Passing::Up(Request { number, verb: Verb::PutChunk { blob, index: index @ 1.. } }, body)
            if submissions.load(Ordering::SeqCst) == 0 =>
        {
            waiting.push((Request { number, verb: Verb::PutChunk { blob, index } }, body));
        }
        Passing::Up(request, body) => {
            let submission = matches!(request.verb, Verb::Submit { .. });
            line.ask(request, &body);
            if submission {
                submissions.fetch_add(1, Ordering::SeqCst);
                waiting.drain(..).for_each(|(request, body)| line.ask(request, &body));
            }
        }
        other => line.pass(other),
    });
    let leaving = ayşe.start(["receive", "--follow", "--server", &liar.name]);
    let deadline = Instant::now() + TIMEOUT;
    while submitted.load(Ordering::SeqCst) < 3 {
        assert!(Instant::now() < deadline, "one waits for another: {submitted:?}");
        give_way(Instant::now(), Duration::from_millis(10));
    }
    leaving.signal("INT");
    assert_eq!(leaving.wait().code(), 0);
    assert_eq!(receive(&zoé, &server.name()), [text("hemen")]);
    let [voice, sonra] = <[_; 2]>::try_from(receive(&burak, &server.name())).unwrap();
    assert_eq!(voice.0, "voice");
    assert_eq!(sonra, text("sonra"), "what goes to the same person keeps its order");
}
