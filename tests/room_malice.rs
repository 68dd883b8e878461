//! Rooms before a server and before members who do not keep to the rules. For each: what the user sees.

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

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use liar::{Liar, Passing, key};
use serde_json::Value;
use support::forge::{Forger, account};
use support::forms::{forms_of_text, is_in};
use support::people::{self, count, receive, strangers, texts};
use support::swap::database;
use support::{Profile, Server, schema};
use tellal::crypto::room::{self, Room};
use tellal::crypto::{MessageSecret, Purpose, envelope};
use tellal::model::{Conversation, Millis, RoomId, RoomRecordKind, RosterId, Signed};
use tellal::protocol::message::{Answer, Push, RefusalCode, Verb};

/// A server, ayşe who has founded a room, and burak who has come into it.
fn garden() -> (Server, Profile, Profile) {
    let (server, ayşe, burak) = strangers();
    founded(&ayşe, "garden");
    comes(&ayşe, &burak, "garden");
    (server, ayşe, burak)
}

fn founded(by: &Profile, name: &str) {
    by.run(["room", "create", name]).ok();
}

/// Somebody is invited by another, and comes in; both know.
fn comes(inviter: &Profile, guest: &Profile, name: &str) {
    inviter.run(["room", "invite", name, &guest.name]).ok();
    guest.receive();
    guest.run(["room", "join", name]).ok();
    inviter.receive();
}

/// Sends to a room.
fn send(from: &Profile, room: &str, text: &str) {
    from.run(["send", &format!("room:{room}"), text]).ok();
}

/// What a mailbox delivers is recorded instead of being delivered.
fn intercept(server: &Server, to: &Profile) -> Vec<(Push, Bytes)> {
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let log = recorded.clone();
    let liar = Liar::start(server, &[to], move |passing, line| match passing {
        Passing::Down(push @ Push::Delivery { .. }, body) => log.lock().unwrap().push((push, body)),
        Passing::Up(request, _) if matches!(request.verb, Verb::Acknowledge { .. }) => {}
        other => line.pass(other),
    });
    to.run(["receive", "--json", "--server", &liar.name]).ok();
    let recorded = recorded.lock().unwrap();
    recorded.clone()
}

/// Delivers these in place of all that waits; what is new to them then: notices, texts.
#[track_caller]
fn deliver(server: &Server, to: &Profile, frames: &[(Push, Bytes)]) -> (Vec<String>, Vec<String>) {
    receive(to, &delivering(server, to, frames).name)
}

/// A server that delivers these in place of all that waits.
fn delivering(server: &Server, to: &Profile, frames: &[(Push, Bytes)]) -> Liar {
    let mut frames = Some(frames.to_vec());
    Liar::start(server, &[to], move |passing, line| {
        match &passing {
            Passing::Down(Push::Delivery { .. }, _) => return,
            Passing::Down(Push::Drained { position: end }, _) => {
                for (mut push, body) in frames.take().unwrap_or_default() {
                    if let Push::Delivery { position, .. } = &mut push {
                        *position = *end;
                    }
                    line.tell(&push, &body);
                }
            }
            _ => {}
        }
        line.pass(passing);
    })
}

/// The one room that the server has.
fn chain(server: &Server) -> Room {
    let db = database(server.data());
    let mut records = db.prepare("SELECT record FROM room_record ORDER BY room, place").unwrap();
    let records = records.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let records: Vec<Signed> = records.map(|record| minicbor::decode(&record.unwrap()).unwrap()).collect();
    Room::read_verified(&records).unwrap()
}

/// The same said to be for something else.
fn moved(frame: &(Push, Bytes), to: Conversation) -> (Push, Bytes) {
    let (mut push, body) = frame.clone();
    if let Push::Delivery { conversation, .. } = &mut push {
        *conversation = to;
    }
    (push, body)
}

fn conversation(frame: &(Push, Bytes)) -> Conversation {
    match &frame.0 {
        Push::Delivery { conversation, .. } => *conversation,
        other => panic!("{other:?}"),
    }
}

/// What was written in a room, as its member's history has it.
fn history(of: &Profile, room: &str) -> Vec<Value> {
    let messages = of.run(["history", &format!("#{room}"), "--json"]).json();
    messages.iter().for_each(schema::check_message);
    messages
}

/// The nicknames of who is in a room, or invited, as somebody sees it.
fn members(of: &Profile, room: &str) -> Vec<String> {
    let members = of.run(["room", "members", room, "--json"]).json();
    let mut names: Vec<String> =
        members.iter().map(|member| member["nickname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Somebody's device, to sign what no honest program would.
fn device(of: &Profile) -> tellal::crypto::PrivateKey {
    key(&of.file("keys/device.pem"))
}

#[test]
fn what_was_written_to_one_room_is_shown_in_no_other() {
    let (server, ayşe, burak) = garden();
    founded(&ayşe, "kitchen");
    comes(&ayşe, &burak, "kitchen");
    send(&ayşe, "kitchen", "mutfakta");
    let kitchen = intercept(&server, &burak);
    send(&ayşe, "garden", "yalnız bahçede");
    ayşe.send("burak", "yalnız ikimiz");
    let all = intercept(&server, &burak);
    let [_, garden, alone] = &all[..] else { panic!("{all:?}") };
    let (here, there) = (conversation(garden), conversation(&kitchen[0]));
    assert_ne!(here, there);
    // The server says another room, the right room after another's record, one person, and a room for what was for one.
    let (Conversation::Room { room, .. }, Conversation::Room { roster, .. }) = (here, there) else {
        panic!("{here:?} {there:?}")
    };
    let mut frames = vec![
        moved(garden, there),
        moved(garden, Conversation::Room { room, roster }),
        moved(garden, account(&burak).into()),
        moved(alone, here),
    ];
    // The good ones, behind them, are taken in all the same, each where it belongs.
    frames.extend(all.iter().cloned());
    let (notices, seen) = deliver(&server, &burak, &frames);
    assert_eq!(count(&notices, "could not be opened"), 2, "each message once: {notices:?}");
    assert_eq!(seen, ["mutfakta", "yalnız bahçede", "yalnız ikimiz"]);
    assert_eq!(texts(&history(&burak, "garden")), ["yalnız bahçede"]);
    assert_eq!(texts(&history(&burak, "kitchen")), ["mutfakta"]);
    // And again they are nothing new.
    assert_eq!(deliver(&server, &burak, &[garden.clone(), kitchen[0].clone()]).1, [""; 0]);
}

#[test]
fn what_is_for_a_room_is_not_read_by_who_is_not_in_it_whatever_the_server_delivers() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    ayşe.run(["room", "invite", "garden", "zoé"]).ok();
    zoé.receive();
    burak.receive();
    send(&ayşe, "garden", "zoé henüz burada değil");
    let for_burak = intercept(&server, &burak);
    // As it is, and with a wrap that a member has made for her.
    let forger = Forger::new(&server, &burak, &zoé);
    let draft = envelope::Draft { recipient: conversation(&for_burak[0]), ..forger.draft(Millis::now()) };
    let forged = forger.seal(&draft, "içeriden");
    let inside = moved(&forger.delivery(&forged), draft.recipient);
    let (notices, seen) = deliver(&server, &zoé, &[for_burak[0].clone(), inside]);
    assert_eq!(seen, [""; 0]);
    assert_eq!(count(&notices, "could not be opened"), 2, "{notices:?}");
    // Once she has come in she reads what comes from then on, and nothing of before.
    zoé.run(["room", "join", "garden"]).ok();
    send(&ayşe, "garden", "hoş geldin");
    assert_eq!(texts(&zoé.receive()), ["hoş geldin"]);
    assert_eq!(deliver(&server, &zoé, &[for_burak[0].clone()]).1, [""; 0]);
    assert_eq!(texts(&history(&zoé, "garden")), ["hoş geldin"]);
}

#[test]
fn nobody_writes_to_a_room_in_anothers_name_or_two_things_to_two_members() {
    let (server, ayşe, burak) = garden();
    send(&ayşe, "garden", "merhaba");
    let good = intercept(&server, &burak);
    burak.receive();
    let zoé = Profile::register(&server, "zoé");
    comes(&ayşe, &zoé, "garden");
    burak.receive();
    send(&ayşe, "garden", "zoé geldi");
    let now = conversation(&intercept(&server, &burak)[0]);
    burak.receive();
    zoé.receive();
    // Zoé, who is in the room, in ayşe's name: her device is none of ayşe's.
    let forger = Forger::new(&server, &zoé, &burak);
    let stolen = envelope::Draft { account: account(&ayşe), recipient: now, ..forger.draft(Millis::now()) };
    let forged = forger.seal(&stolen, "ayşe diyor ki");
    let (mut push, body) = moved(&forger.delivery(&forged), now);
    if let Push::Delivery { sender, .. } = &mut push {
        *sender = account(&ayşe);
    }
    // A token under one key, with a wrap of another that opens it to something else: it is one message for everybody.
    let (one, other) = (MessageSecret::generate(), MessageSecret::generate());
    let token = other.seal(&envelope::Content::Text("yalnız sana".to_owned()).encode().unwrap()).unwrap();
    let draft = envelope::Draft { recipient: now, ..forger.draft(Millis::now()) };
    let two = forger.assemble(&draft, &token, one.commitment(), &other, Purpose::Envelope);
    let two = moved(&forger.delivery(&two), now);
    let (notices, seen) = deliver(&server, &burak, &[(push, body), two]);
    assert_eq!(seen, [""; 0], "{notices:?}");
    assert_eq!(count(&notices, "could not be opened"), 2, "{notices:?}");
    // What was for the room as it was before is still one message, once.
    assert_eq!(deliver(&server, &burak, &good).1, [""; 0]);
}

#[test]
fn a_member_whom_no_member_has_invited_is_not_believed_and_gets_nothing() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    let room = chain(&server);
    // The server's own record, by somebody who is not in the room, in her own name and in burak's.
    let invite = RoomRecordKind::Invited { account: account(&zoé) };
    let by = |name: &Profile| {
        room::next(&room, &device(&zoé), account(name), invite.clone(), Millis::now()).unwrap()
    };
    for forged in [by(&zoé), by(&burak)] {
        let lie = forged.clone();
        let liar = Liar::start(&server, &[&ayşe], move |mut passing, line| {
            if let Passing::Down(Push::Reply { answer: Answer::Room { records, .. }, .. }, _) = &mut passing {
                records.push(lie.clone());
            }
            line.pass(passing);
        });
        let sent = ayşe.run(["send", "#garden", "kim var orada?", "--server", &liar.name]);
        sent.ok();
        let (notices, _) = receive(&ayşe, &liar.name);
        assert_eq!(count(&notices, "WARNING: what the server shows of #garden"), 1, "{notices:?}");
        assert!(!members(&ayşe, "garden").contains(&"zoé".to_owned()));
    }
    assert_eq!(texts(&burak.receive()), ["kim var orada?", "kim var orada?"]);
    assert_eq!(zoé.receive().len(), 0);
}

#[test]
fn a_room_that_is_shown_differently_to_different_members_is_found_out() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    comes(&ayşe, &zoé, "garden");
    burak.receive();
    zoé.receive();
    ayşe.run(["room", "remove", "garden", "zoé"]).ok();
    send(&ayşe, "garden", "zoé gitti");
    // The server hides that from burak.
    let liar = Liar::start(&server, &[&burak], move |mut passing, line| {
        if let Passing::Down(Push::Reply { answer: Answer::Room { records, .. }, .. }, _) = &mut passing {
            records.truncate(1);
        }
        line.pass(passing);
    });
    let (notices, seen) = receive(&burak, &liar.name);
    assert_eq!(seen, [""; 0]);
    let hidden =
        "WARNING: ayşe has written to #garden after a change of who is in it that the server does not show";
    assert_eq!(count(&notices, hidden), 1, "{notices:?}");
    assert_eq!(count(&receive(&burak, &liar.name).0, hidden), 0, "that is said once");
    drop(liar);
    // Nothing is lost by it: an honest server shows the change, and what was written after it.
    let (notices, seen) = receive(&burak, &server.address.to_string());
    assert_eq!((count(&notices, "ayşe has removed zoé"), &seen[..]), (1, &["zoé gitti".to_owned()][..]));
    assert_eq!(members(&burak, "garden"), ["ayşe", "burak"]);
}

#[test]
fn who_was_removed_from_a_room_writes_to_it_no_more_though_the_server_helps() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    comes(&ayşe, &zoé, "garden");
    burak.receive();
    zoé.receive();
    send(&zoé, "garden", "buradayım");
    let then = conversation(&intercept(&server, &burak)[0]);
    burak.receive();
    ayşe.run(["room", "remove", "garden", "zoé"]).ok();
    burak.receive();
    // The server itself takes nothing more of hers.
    let refused = zoé.run(["send", "#garden", "hâlâ buradayım"]);
    assert_eq!(refused.code(), 1, "{refused:?}");
    // And what it delivers all the same, made two days later, is not shown.
    let forger = Forger::new(&server, &zoé, &burak);
    let later = Millis::now().plus(Duration::from_secs(2 * 24 * 3600));
    let draft = envelope::Draft { recipient: then, ..forger.draft(later) };
    let late = moved(&forger.delivery(&forger.seal(&draft, "hâlâ buradayım")), then);
    let (notices, seen) = deliver(&server, &burak, &[late]);
    assert_eq!(
        (seen.len(), count(&notices, "A message from zoé could not be opened")),
        (0, 1),
        "{notices:?}"
    );
    // Nor does she read what is written from then on.
    send(&ayşe, "garden", "yalnız ikimiz");
    let now = intercept(&server, &burak);
    assert_eq!(deliver(&server, &zoé, &now).1, [""; 0]);
    assert_eq!(texts(&burak.receive()), ["yalnız ikimiz"]);
}

#[test]
fn who_is_left_out_of_what_a_member_writes_misses_it() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    comes(&ayşe, &zoé, "garden");
    for person in [&burak, &zoé] {
        person.receive();
    }
    send(&burak, "garden", "bir");
    for person in [&ayşe, &zoé] {
        assert_eq!(texts(&person.receive()), ["bir"]);
    }
    // Burak's program puts the next one into ayşe's mailbox alone.
    let zoés = account(&zoé);
    let liar = Liar::start(&server, &[&burak], move |mut passing, line| {
        if let Passing::Up(request, _) = &mut passing
            && let Verb::Submit { recipients, .. } = &mut request.verb
        {
            recipients.retain(|recipient| recipient.account != zoés);
        }
        line.pass(passing);
    });
    burak.run(["send", "#garden", "zoé duymasın", "--server", &liar.name]).ok();
    drop(liar);
    send(&burak, "garden", "üç");
    assert_eq!(texts(&ayşe.receive()), ["zoé duymasın", "üç"]);
    let (notices, seen) = receive(&zoé, &server.address.to_string());
    assert_eq!(
        (count(&notices, "1 message from burak did not arrive"), &seen[..]),
        (1, &["üç".to_owned()][..])
    );
}

#[test]
fn a_member_who_signs_for_another_record_than_the_server_is_told_holds_up_nobody() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    comes(&ayşe, &zoé, "garden");
    for person in [&burak, &zoé] {
        person.receive();
    }
    // Burak's program signs for a record that there is not, and tells the server the newest one.
    let forger = Forger::new(&server, &burak, &ayşe);
    let liar = Liar::start(&server, &[&burak], move |mut passing, line| {
        if let Passing::Up(request, body) = &mut passing
            && let Verb::Submit { message, conversation: Conversation::Room { room, .. }, .. } = &request.verb
        {
            let recipient = Conversation::Room { room: *room, roster: RosterId::new([9; 32]) };
            let draft = envelope::Draft { message: *message, recipient, ..forger.draft(Millis::now()) };
            *body = forger.seal(&draft, "ters").body;
        }
        line.pass(passing);
    });
    burak.run(["send", "#garden", "ters", "--server", &liar.name]).ok();
    drop(liar);
    send(&burak, "garden", "düz");
    for person in [&ayşe, &zoé] {
        let (notices, seen) = receive(person, &server.address.to_string());
        assert_eq!(count(&notices, "A message from burak could not be opened"), 1, "{notices:?}");
        assert_eq!((count(&notices, "WARNING"), &seen[..]), (0, &["düz".to_owned()][..]), "{notices:?}");
        assert!(intercept(&server, person).is_empty(), "nothing waits to be read again");
    }
}

#[test]
fn what_was_written_after_a_change_is_read_though_what_came_before_it_needed_no_asking() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    send(&ayşe, "garden", "önce");
    ayşe.run(["room", "invite", "garden", "zoé"]).ok();
    zoé.receive();
    zoé.run(["room", "join", "garden"]).ok();
    send(&ayşe, "garden", "sonra");
    // Burak has read the room's records just before the change, and both messages come together.
    let (mut first, mut drained, mut held) = (true, false, Vec::new());
    let liar = Liar::start(&server, &[&burak], move |mut passing, line| {
        match &mut passing {
            Passing::Down(push @ (Push::Delivery { .. } | Push::Drained { .. }), body) => {
                drained |= matches!(push, Push::Drained { .. });
                held.push((push.clone(), body.clone()));
            }
            Passing::Down(Push::Reply { answer: Answer::Room { records, .. }, .. }, _) if first => {
                records.truncate(1);
                first = false;
                line.pass(passing);
            }
            _ => line.pass(passing),
        }
        if drained && !first {
            held.drain(..).for_each(|(push, body)| line.tell(&push, &body));
        }
    });
    let (notices, seen) = receive(&burak, &liar.name);
    assert_eq!((count(&notices, "WARNING"), &seen[..]), (0, &["önce".to_owned(), "sonra".to_owned()][..]));
    assert_eq!(count(&notices, "zoé has joined"), 1, "{notices:?}");
}

#[test]
fn a_strangers_invitation_by_the_same_name_keeps_nobody_out_of_a_room() {
    let (server, ayşe, burak) = garden();
    let zoé = Profile::register(&server, "zoé");
    ayşe.run(["room", "invite", "garden", "zoé"]).ok();
    zoé.receive();
    let 지민 = Profile::register(&server, "지민");
    // Into a room that there is not, into ayşe's of which 지민 knows the id, and after that into one that is 지민's own.
    let forger = Forger::new(&server, &지민, &zoé);
    let bogus = [RoomId::new([9; 32]), chain(&server).id].map(|room| {
        let way = envelope::Invitation { room, name: "Garden".parse().unwrap() };
        let way = forger.seal_content(&forger.draft(Millis::now()), &envelope::Content::Invitation(way));
        forger.delivery(&way)
    });
    let liar = delivering(&server, &zoé, &bogus);
    let new = zoé.run(["receive", "--json", "--server", &liar.name]).json();
    assert_eq!(new.iter().map(|one| &one["kind"]).collect::<Vec<_>>(), ["invitation"; 2], "{new:?}");
    drop(liar);
    let listed = zoé.run(["room", "list", "--json"]).json();
    assert_eq!((listed.len(), &listed[0]["name"]), (1, &"garden".into()), "{listed:?}");
    zoé.run(["room", "join", "garden"]).ok();
    assert_eq!(members(&zoé, "garden"), ["ayşe", "burak", "zoé"]);
    send(&burak, "garden", "hoş geldin");
    assert_eq!(texts(&zoé.receive()), ["hoş geldin"]);
}

#[test]
fn whose_room_is_meant_is_asked_where_two_have_invited_somebody_by_one_name() {
    let (server, ayşe, _burak) = garden();
    let (zoé, 지민) = (Profile::register(&server, "zoé"), Profile::register(&server, "지민"));
    founded(&지민, "garden");
    for inviter in [&ayşe, &지민] {
        inviter.run(["room", "invite", "garden", "zoé"]).ok();
        zoé.receive();
    }
    let asked = zoé.run(["room", "join", "garden", "--json"]);
    let error = people::error(&asked);
    assert_eq!(error["error"], "several_invitations");
    let said = error.to_string();
    assert!(said.contains("ayşe") && said.contains("지민") && said.contains("--from"), "{said}");
    let nobodys = zoé.run(["room", "join", "garden", "--from", "burak", "--json"]);
    assert_eq!(people::error_code(&nobodys), "not_invited");
    zoé.run(["room", "join", "garden", "--from", "ayşe"]).ok();
    assert_eq!(members(&zoé, "garden"), ["ayşe", "burak", "zoé"]);
    // The other one is still there, and is declined or joined by another name.
    assert_eq!(people::error_code(&zoé.run(["room", "join", "garden", "--json"])), "room_name_taken");
    zoé.run(["room", "join", "garden", "--as", "bahçe"]).ok();
    assert_eq!(members(&zoé, "bahçe"), ["zoé", "지민"]);
}

#[test]
fn a_room_that_the_server_has_taken_and_says_it_has_not_is_founded_once() {
    let (server, ayşe, _burak) = strangers();
    let mut asked = None;
    let liar = Liar::start(&server, &[&ayşe], move |mut passing, line| {
        match &mut passing {
            Passing::Up(request, _) if matches!(request.verb, Verb::PublishRoomRecord { .. }) => {
                asked = Some(request.number);
            }
            Passing::Down(push @ Push::Reply { .. }, _) => {
                if let Push::Reply { number, .. } = *push
                    && asked == Some(number)
                {
                    *push = Push::Refusal { number, code: RefusalCode::StorageFailed, retry_after: None };
                }
            }
            _ => {}
        }
        line.pass(passing);
    });
    let refused = ayşe.run(["room", "create", "garden", "--server", &liar.name]);
    assert_eq!(refused.code(), 1, "{refused:?}");
    drop(liar);
    founded(&ayşe, "garden");
    assert_eq!((chain(&server).changes.len(), members(&ayşe, "garden")), (1, vec!["ayşe".to_owned()]));
}

#[test]
fn the_server_never_learns_what_a_room_is_called() {
    let mut server = Server::start_with(["-vv".as_ref()]);
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let secrets: Vec<Vec<u8>> = ["gizlibahçe", "gizlibah", "kimse bilmesin", "bilmesin"]
        .iter()
        .flat_map(|&text| forms_of_text(text))
        .collect();
    let look = |what: &str, bytes: &[u8]| {
        for secret in &secrets {
            assert!(!is_in(secret, bytes), "{what} shows {:?}", String::from_utf8_lossy(secret));
        }
    };
    let look_at_files = |server: &Server| {
        let files = people::files(server.data());
        // One that is gone meanwhile shows nothing.
        let kept: Vec<(String, Vec<u8>)> = files
            .iter()
            .filter_map(|file| Some((file.display().to_string(), std::fs::read(file).ok()?)))
            .collect();
        kept.iter().for_each(|(name, bytes)| look(name, bytes));
        assert!(kept.iter().any(|(_, bytes)| is_in(b"burak", bytes)), "what is not hidden is found");
    };
    founded(&ayşe, "gizlibahçe");
    ayşe.run(["room", "invite", "gizlibahçe", "burak"]).ok();
    // While the invitation waits, and what is written.
    look_at_files(&server);
    burak.receive();
    burak.run(["room", "join", "gizlibahçe"]).ok();
    ayşe.receive();
    send(&ayşe, "gizlibahçe", "kimse bilmesin");
    look_at_files(&server);
    assert_eq!(texts(&burak.receive()), ["kimse bilmesin"]);
    // Something that it says at this level alone.
    let mut broken = TcpStream::connect(server.address).unwrap();
    broken.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    broken.read_to_end(&mut Vec::new()).unwrap_or(0);
    let log = server.stop_by("TERM");
    assert!(log.contains("record of a room") && log.contains("DEBUG"), "{log}");
    look("the log", log.as_bytes());
    look_at_files(&server);
}
