//! Rooms: what is written to one reaches everybody who is in it then, once and in order, and nobody else; whatever
//! becomes of the room, of its members' keys, of processes and of the server's word meanwhile.

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

#[path = "support/rooms.rs"]
mod rooms;

use std::path::PathBuf;
use std::sync::mpsc::channel;

use liar::{Liar, Line, Passing};
use rooms::{create, garden, invite, join, leave, members, nick, remove, room, with, with_options};
use serde_json::Value;
use support::{Profile, Server, schema, wav};
use tellal::client::{ClientError, Options, RoomStanding, VoiceNote};
use tellal::model::{Address, Conversation};
use tellal::protocol::message::{Answer, Push, Request, Verb};

/// What is new in #garden: notices, and the texts of messages with their senders.
#[track_caller]
fn receive(profile: &Profile) -> (Vec<String>, Vec<(String, String)>) {
    sorted(&profile.receive())
}

fn sorted(new: &[Value]) -> (Vec<String>, Vec<(String, String)>) {
    let word = |message: &Value, field: &str| message[field].as_str().unwrap_or("(sound)").to_owned();
    let here = new.iter().filter(|message| message["to"] == "room:garden");
    let (notices, messages): (Vec<&Value>, Vec<&Value>) =
        here.partition(|message| message["kind"] == "notice");
    (
        notices.into_iter().map(|notice| word(notice, "text")).collect(),
        messages.into_iter().map(|message| (word(message, "from"), word(message, "text"))).collect(),
    )
}

fn said(from: &str, texts: &[&str]) -> Vec<(String, String)> {
    texts.iter().map(|text| (from.to_owned(), (*text).to_owned())).collect()
}

/// Where one's own messages to #garden stand.
fn states(profile: &Profile) -> Vec<String> {
    let history = profile.run(["history", "--json"]).json();
    let own =
        history.iter().filter(|message| !message["delivery"].is_null() && message["to"] == "room:garden");
    own.map(|message| message["delivery"]["state"].as_str().unwrap().to_owned()).collect()
}

/// What a message says.
fn text(message: &Value) -> &str {
    message["text"].as_str().unwrap_or_default()
}

/// Whether a request submits something to a room.
fn is_to_room(passing: &Passing) -> bool {
    let Passing::Up(Request { verb: Verb::Submit { conversation, .. }, .. }, _) = passing else {
        return false;
    };
    matches!(conversation, Conversation::Room { .. })
}

#[test]
fn what_is_written_to_a_room_reaches_each_who_is_in_it_once_and_nobody_else() {
    let (mut server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    let zoé = Profile::register(&server, "zoé");
    // Invited is not in it.
    invite(&ayşe, "garden", "zoé");
    zoé.receive();
    ayşe.send("#garden", "bir");
    let note = wav::tone(100_000);
    ayşe.send_note("room:Garden", &note);
    ayşe.send("#garden", "iki");
    // Whoever is away has it later, whatever becomes of the server.
    server.restart_on_same_port();
    for member in [&burak, &지민] {
        let (notices, messages) = receive(member);
        assert_eq!(notices, ["ayşe has invited zoé"]);
        assert_eq!(messages, said("ayşe", &["bir", "(sound)", "iki"]));
        let copy = member.file("copy.wav");
        member.run(["play", "last", "--force", "--save", copy.to_str().unwrap()]).ok();
        assert!(std::fs::read(&copy).unwrap() == note);
        assert_eq!(receive(member), (vec![], vec![]));
    }
    burak.send("#garden", "merhaba");
    assert_eq!(receive(&ayşe).1, said("burak", &["merhaba"]));
    assert_eq!(receive(&지민).1, said("burak", &["merhaba"]));
    assert_eq!(states(&ayşe), ["accepted"; 3]);
    assert!(zoé.receive().is_empty());
    assert!(
        zoé.run(["send", "#garden", "bonjour"])
            .failure()
            .contains("you are invited to #garden, and not in it yet")
    );
}

#[test]
fn who_comes_and_goes_is_said_in_the_room() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    let people = ["지민", "zoé"].map(|name| Profile::register(&server, name));
    let [지민, zoé] = &people;
    let invited = invite(&burak, "garden", "지민");
    assert_eq!(members(&invited), ["ayşe", "burak"]);
    let listed: Vec<_> =
        invited.members.iter().map(|member| (member.nickname.as_str(), member.joined)).collect();
    assert_eq!(listed, [("ayşe", true), ("burak", true), ("지민", false)]);
    let joined = join(지민, "garden").unwrap();
    assert_eq!((joined.standing, joined.invited_by), (RoomStanding::Member, Some(nick("burak"))));
    invite(&ayşe, "garden", "zoé");
    zoé.receive();
    let turned_down = leave(zoé, "garden").unwrap();
    assert_eq!(turned_down.standing, RoomStanding::Left);
    assert!(matches!(join(zoé, "garden"), Err(ClientError::NotInvited { .. })));
    // Nobody removes people but who has founded the room.
    let refused = remove(&burak, "garden", "ayşe");
    assert!(matches!(refused, Err(ClientError::NotFounder { founder, .. }) if founder == nick("ayşe")));
    remove(&ayşe, "garden", "지민").unwrap();
    assert!(matches!(remove(&ayşe, "garden", "지민"), Err(ClientError::NotOfRoom { .. })));
    invite(&ayşe, "garden", "zoé");
    remove(&ayşe, "garden", "zoé").unwrap();
    leave(&burak, "garden").unwrap();
    assert_eq!(
        receive(&ayşe).0,
        [
            "burak has invited 지민",
            "지민 has joined, invited by burak",
            "zoé has declined the invitation",
            "burak has left",
        ]
    );
    // What she has done herself is no news, and kept.
    let kept = ayşe.run(["history", "#garden", "--json"]).json();
    let own: Vec<&str> = kept.iter().filter(|one| one["from"] == "ayşe").map(text).collect();
    assert_eq!(
        own[own.len() - 4..],
        [
            "You have invited zoé",
            "You have removed 지민",
            "You have invited zoé",
            "You have taken back the invitation of zoé"
        ]
    );
    let by = kept.iter().find(|one| text(one) == "zoé has declined the invitation").unwrap();
    assert_eq!(by["from"], "zoé");
    let (notices, _) = receive(지민);
    assert_eq!(notices.last().unwrap(), "ayşe has removed you: you are not in #garden any more");
    let standing = with(지민, async |client| client.rooms().await.unwrap())[0].standing;
    assert_eq!(standing, RoomStanding::Left);
    // What one has left one comes into again, by the name that it has here.
    invite(&ayşe, "garden", "burak");
    assert_eq!(members(&join(&burak, "garden").unwrap()), ["ayşe", "burak"]);
    ayşe.send("#garden", "tekrar merhaba");
    assert_eq!(receive(&burak).1, said("ayşe", &["tekrar merhaba"]));
}

#[test]
fn names_of_rooms_are_each_profiles_own() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    let again = create(&burak, "cellar").id;
    assert_eq!(create(&burak, "Cellar").id, again, "asked twice, founded once");
    let taken = with(&burak, async |client| client.create_room(&room("garden")).await);
    assert!(matches!(taken, Err(ClientError::RoomNameTaken { .. })));
    let zoé = Profile::register(&server, "zoé");
    create(&zoé, "garden");
    invite(&zoé, "garden", "burak");
    burak.receive();
    let taken = join(&burak, "garden");
    assert!(matches!(taken, Err(ClientError::RoomNameTaken { .. })));
    let other = room("orchard");
    let joined =
        with(&burak, async |client| client.join_room(&room("garden"), Some(&other), None).await).unwrap();
    assert_eq!((joined.name, joined.founder), (other, nick("zoé")));
    zoé.send("#garden", "bonjour");
    ayşe.send("#garden", "merhaba");
    burak.send("#orchard", "salut");
    assert_eq!(receive(&zoé).1, said("burak", &["salut"]));
    let new = burak.receive();
    let places: Vec<_> = new.iter().filter(|message| message["kind"] == "text").collect();
    let places: Vec<_> = places.iter().map(|message| (&message["to"], &message["text"])).collect();
    assert_eq!(
        places,
        [(&"room:orchard".into(), &"bonjour".into()), (&"room:garden".into(), &"merhaba".into())]
    );
}

#[test]
fn nobody_is_written_to_in_a_room_that_nobody_else_is_in() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    create(&ayşe, "garden");
    assert!(ayşe.run(["send", "#garden", "merhaba"]).failure().contains("nobody else is in #garden"));
    invite(&ayşe, "garden", "burak");
    assert!(ayşe.run(["send", "#garden", "merhaba"]).failure().contains("nobody else is in #garden"));
    join(&burak, "garden").unwrap();
    // Without a word to ayşe, whose profile does not know it yet.
    ayşe.send("#garden", "merhaba");
    assert_eq!(receive(&burak).1, said("ayşe", &["merhaba"]));
    assert_eq!(states(&ayşe), ["accepted"]);
}

#[test]
fn who_has_a_changed_key_is_left_out_until_somebody_has_accepted_it_and_that_is_said_once() {
    let (server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    burak.run(["rekey"]).ok();
    ayşe.run(["users"]).ok();
    ayşe.send("#garden", "bir");
    ayşe.send("#garden", "iki");
    let (notices, _) = receive(&ayşe);
    assert_eq!(notices.iter().filter(|text| text.contains("burak does not get what you write")).count(), 1);
    assert!(notices.iter().any(|text| text.contains("`tellal verify burak`")), "{notices:?}");
    assert_eq!(receive(&지민).1, said("ayşe", &["bir", "iki"]));
    assert_eq!(receive(&burak), (vec![], vec![]));
    // Among the members, too.
    let change = || {
        let members = ayşe.run(["room", "members", "garden", "--json"]).json();
        let burak = members.iter().find(|member| member["nickname"] == "burak").unwrap();
        schema::check(burak, &["room_member", "member"]);
        burak["key_change"].clone()
    };
    let changed = change();
    let shown = ayşe.run(["room", "members", "garden"]);
    let line = shown.ok().lines().find(|line| line.contains("; THE KEY HAS CHANGED: known ")).unwrap();
    for fingerprint in [&changed["known"], &changed["shown"]] {
        assert!(line.contains(fingerprint.as_str().unwrap()), "{line}");
    }
    ayşe.run(["verify", "burak", "--accept-change"]).ok();
    assert!(change().is_null());
    ayşe.send("#garden", "üç");
    let (notices, messages) = receive(&burak);
    assert_eq!(messages, said("ayşe", &["üç"]));
    assert_eq!(notices, ["2 messages from ayşe did not arrive: ask ayşe to send again"]);
    // With new keys one is in one's rooms as before, in chains that begin.
    burak.send("#garden", "buradayım");
    let new = 지민.receive();
    let text = new.iter().find(|message| message["text"] == "buradayım").unwrap();
    assert_eq!((&text["to"], &text["key_changed"]), (&"room:garden".into(), &true.into()));
    let new = ayşe.receive();
    assert!(new.iter().any(|message| message["text"] == "buradayım" && message["key_changed"] == false));
    // What the device that burak had before has signed goes on to count, for whoever comes later, too.
    let zoé = Profile::register(&server, "zoé");
    invite(&burak, "garden", "zoé");
    assert_eq!(members(&join(&zoé, "garden").unwrap()), ["ayşe", "burak", "지민", "zoé"]);
    burak.send("#garden", "hoş geldin");
    assert_eq!(receive(&zoé).1, said("burak", &["hoş geldin"]));
}

#[test]
fn whose_mailbox_is_full_is_left_out_and_that_is_said_once() {
    let server = Server::start_limited("[storage]\nmailbox_mib = 1\nsender_percent = 5\n");
    let (_server, [ayşe, burak, 지민]) = rooms::garden_at(server, ["ayşe", "burak", "지민"]);
    let long = "ü".repeat(16 * 1024);
    while ayşe.run(["send", "burak", &long]).code() == 0 {}
    ayşe.send("#garden", "bir");
    ayşe.send("#garden", "iki");
    let (notices, _) = receive(&ayşe);
    let [notice] = &notices[..] else { panic!("{notices:?}") };
    assert!(
        notice.starts_with("burak does not get what you write to #garden: the mailbox of burak is full"),
        "{notice}"
    );
    assert_eq!(receive(&지민).1, said("ayşe", &["bir", "iki"]));
    assert_eq!(states(&ayşe), ["accepted", "accepted"]);
    assert!(burak.receive().iter().all(|message| message["to"] == "burak"));
}

#[test]
fn what_the_server_has_taken_counts_as_sent_though_its_word_was_lost_and_one_has_left_since() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    let (tell, told) = channel();
    let liar = Liar::start(&server, &[&burak], move |passing, line| match &passing {
        Passing::Down(Push::Reply { answer: Answer::Accepted { .. }, .. }, _) => tell.send(()).unwrap(),
        _ => line.pass(passing),
    });
    let mut sending = burak.start(["send", "#garden", "hoşça kalın", "--server", &liar.name]);
    told.recv_timeout(support::TIMEOUT).unwrap();
    sending.kill();
    drop(liar);
    remove(&ayşe, "garden", "burak").unwrap();
    burak.receive();
    burak.send("ayşe", "geldi mi");
    assert_eq!(states(&burak), ["accepted"]);
    assert_eq!(receive(&ayşe).1, said("burak", &["hoşça kalın"]));
}

#[test]
fn whoever_joins_between_two_messages_gets_what_comes_after_and_nothing_is_lost_or_doubled() {
    let (server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    let zoé = Profile::register(&server, "zoé");
    invite(&ayşe, "garden", "zoé");
    zoé.receive();
    // Once the first message has been accepted, and before anything else of ayşe's comes to the server, zoé joins.
    let home: PathBuf = zoé.home().to_owned();
    let mut waiting: Vec<Passing> = Vec::new();
    let (mut first, mut joined) = (None, false);
    let lie = move |passing: Passing, line: &mut Line| match &passing {
        Passing::Up(request, _) if is_to_room(&passing) && !joined => {
            if first.is_none() {
                first = Some(request.number);
                line.pass(passing);
            } else {
                waiting.push(passing);
            }
        }
        Passing::Down(Push::Reply { number, answer: Answer::Accepted { .. } }, _)
            if first == Some(*number) =>
        {
            let home = home.clone();
            let joining = std::thread::spawn(move || {
                with_options(Options::new(home), async |client| {
                    client.join_room(&room("garden"), None, None).await
                })
            });
            joining.join().unwrap().unwrap();
            joined = true;
            line.pass(passing);
            waiting.drain(..).for_each(|held| line.pass(held));
        }
        _ => line.pass(passing),
    };
    let liar = Liar::start(&server, &[&ayşe], lie);
    let garden: Address = "#garden".parse().unwrap();
    let options = Options { server: Some(liar.name.clone()), ..Options::new(ayşe.home()) };
    with_options(options, async |client| {
        let mut sent = Vec::new();
        for text in ["bir", "iki", "üç"] {
            sent.push(client.send_text(&garden, text).await.unwrap().id);
        }
        // Sealed for the room as it was, brought to the server, and sealed anew.
        let (wav, peaks) = (wav::tone(100_000), vec![1]);
        let note = VoiceNote { wav, duration_ms: 6_250, sample_rate: 16_000, peaks };
        sent.push(client.send_voice(&garden, note).await.unwrap().id);
        for id in sent {
            client.accepted(id).await.unwrap();
        }
    });
    let (all, later) = (["bir", "iki", "üç", "(sound)"], ["iki", "üç", "(sound)"]);
    for (member, texts) in [(&burak, &all[..]), (&지민, &all), (&zoé, &later)] {
        let (notices, messages) = receive(member);
        assert_eq!(messages, said("ayşe", texts), "{}", member.name);
        let gaps = notices.iter().filter(|notice| notice.contains("did not arrive"));
        assert_eq!(gaps.count(), 0, "{notices:?}");
        let copy = member.file("copy.wav");
        member.run(["play", "last", "--force", "--save", copy.to_str().unwrap()]).ok();
        assert!(std::fs::read(&copy).unwrap() == wav::tone(100_000));
    }
    assert_eq!(states(&ayşe), ["accepted"; 4]);
    assert_eq!(receive(&ayşe).0, ["zoé has joined, invited by you"]);
}

#[test]
fn a_sender_killed_before_the_servers_word_came_sends_nothing_twice_whatever_has_become_of_the_room() {
    let (server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    let zoé = Profile::register(&server, "zoé");
    invite(&ayşe, "garden", "zoé");
    let (tell, told) = channel();
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| match &passing {
        // The server has it; ayşe does not learn that.
        Passing::Down(Push::Reply { answer: Answer::Accepted { .. }, .. }, _) => tell.send(()).unwrap(),
        _ => line.pass(passing),
    });
    let mut sending = ayşe.start(["send", "#garden", "bir", "--server", &liar.name]);
    told.recv_timeout(support::TIMEOUT).unwrap();
    sending.kill();
    drop(liar);
    join(&zoé, "garden").unwrap();
    ayşe.send("#garden", "iki");
    assert_eq!(states(&ayşe), ["accepted", "accepted"]);
    for member in [&burak, &지민] {
        assert_eq!(receive(member).1, said("ayşe", &["bir", "iki"]));
        assert_eq!(receive(member), (vec![], vec![]));
    }
    assert_eq!(receive(&zoé).1, said("ayşe", &["iki"]));
}

#[test]
fn who_was_removed_writes_no_more_whatever_their_profile_knows_of_it() {
    let (server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    remove(&ayşe, "garden", "burak").unwrap();
    // burak's profile does not learn of it before it writes.
    let liar = Liar::start(&server, &[&burak], |passing, line| match &passing {
        Passing::Up(Request { number, verb: Verb::ReadRoom { .. } }, _) => {
            line.answer(*number, Answer::Room { records: Vec::new(), more: false });
        }
        _ => line.pass(passing),
    });
    let refused = burak.run(["send", "#garden", "hâlâ buradayım", "--server", &liar.name]);
    assert!(refused.failure().contains("you are not in #garden any more"), "{refused:?}");
    drop(liar);
    let (notices, _) = receive(&burak);
    assert_eq!(notices.last().unwrap(), "ayşe has removed you: you are not in #garden any more");
    assert!(burak.run(["send", "#garden", "ya şimdi"]).failure().contains("not a member of #garden"));
    ayşe.send("#garden", "bizbize");
    assert_eq!(receive(&지민).1, said("ayşe", &["bizbize"]));
    assert_eq!(receive(&burak), (vec![], vec![]));
    assert_eq!(receive(&ayşe).1, []);
}

#[test]
fn a_server_that_hides_who_has_come_is_found_out_and_nothing_is_lost() {
    let (server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    let known = 3;
    let zoé = Profile::register(&server, "zoé");
    invite(&ayşe, "garden", "zoé");
    join(&zoé, "garden").unwrap();
    ayşe.send("#garden", "hoş geldin");
    ayşe.send("#garden", "nasılsın");
    let mut reading = None;
    let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
        Passing::Up(request, body) => {
            if let Verb::ReadRoom { from, .. } = request.verb {
                reading = Some((request.number, from as usize));
            }
            line.ask(request, &body);
        }
        Passing::Down(Push::Reply { number, answer: Answer::Room { mut records, .. } }, _) => {
            let (_, from) = reading.filter(|(asked, _)| *asked == number).unwrap();
            records.truncate(known - from);
            line.answer(number, Answer::Room { records, more: false });
        }
        other => line.pass(other),
    });
    let new = burak.run(["receive", "--json", "--server", &liar.name]).json();
    let (notices, messages) = sorted(&new);
    assert_eq!(messages, []);
    assert!(
        notices.len() == 1 && notices[0].starts_with("WARNING: ayşe has written to #garden"),
        "{notices:?}"
    );
    drop(liar);
    let (notices, messages) = receive(&burak);
    assert_eq!(notices, ["ayşe has invited zoé", "zoé has joined, invited by ayşe"]);
    assert_eq!(messages, said("ayşe", &["hoş geldin", "nasılsın"]));
}

#[test]
fn a_server_that_has_forgotten_or_changed_records_is_not_believed() {
    let (mut server, [ayşe, burak]) = garden(["ayşe", "burak"]);
    let people = ["지민", "zoé"].map(|name| Profile::register(&server, name));
    server.stop();
    let backup = server.backup();
    server.restart_on_same_port();
    invite(&ayşe, "garden", "지민");
    burak.receive();
    server.restore(backup);
    // Where ayşe's and burak's profiles know of 지민, the server has zoé.
    let refused = with(&ayşe, async |client| client.invite(&room("garden"), &nick("zoé")).await);
    assert!(matches!(refused, Err(ClientError::RoomContradicted { .. })), "{refused:?}");
    let warned = |profile: &Profile| {
        let (notices, _) = receive(profile);
        notices.iter().filter(|text| text.starts_with("WARNING: what the server shows of #garden")).count()
    };
    assert_eq!((warned(&ayşe), warned(&ayşe)), (1, 0));
    assert_eq!((warned(&burak), warned(&burak)), (1, 0));
    let told = with(&ayşe, async |client| client.rooms().await.unwrap());
    assert!(told[0].members.iter().any(|member| member.nickname == nick("지민")), "what is known stays");
    // One can go all the same.
    assert_eq!(leave(&burak, "garden").unwrap().standing, RoomStanding::Left);
    assert!(burak.run(["send", "#garden", "merhaba"]).failure().contains("not a member"));
    drop(people);
}

#[test]
fn who_is_blocked_is_not_heard_in_a_room_either_and_nobody_is_told_of_a_gap() {
    let (_server, [ayşe, burak, 지민]) = garden(["ayşe", "burak", "지민"]);
    burak.run(["block", "ayşe"]).ok();
    ayşe.send("#garden", "bir");
    지민.send("#garden", "둘");
    assert_eq!(receive(&burak), (vec![], said("지민", &["둘"])));
    burak.run(["unblock", "ayşe"]).ok();
    ayşe.send("#garden", "üç");
    assert_eq!(receive(&burak), (vec![], said("ayşe", &["üç"])));
    assert_eq!(receive(&지민).1, said("ayşe", &["bir", "üç"]));
}
