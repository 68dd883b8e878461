//! Rooms as people see them: the real program, a real server, three people.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use serde_json::Value;
use support::people::{error_code, texts};
use support::screen::Screen;
use support::{Profile, Server, schema, wav};

fn three() -> (Server, [Profile; 3]) {
    let server = Server::start();
    let people = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    (server, people)
}

/// Ayşe's garden, in which burak and zoé are, too; what has happened until then has been read.
fn garden() -> (Server, [Profile; 3]) {
    let (server, people) = three();
    let [ayşe, burak, zoé] = &people;
    ayşe.run(["room", "create", "garden"]).ok();
    for other in [burak, zoé] {
        ayşe.run(["room", "invite", "garden", &other.name]).ok();
        other.receive();
        other.run(["room", "join", "garden"]).ok();
    }
    people.iter().for_each(|person| drop(person.receive()));
    (server, people)
}

/// What is new to somebody, each checked against its description.
fn receive(person: &Profile) -> Vec<Value> {
    let new = person.receive();
    new.iter().for_each(schema::check_message);
    new
}

fn notices(messages: &[Value]) -> Vec<&str> {
    let notices = messages.iter().filter(|message| message["kind"] == "notice");
    notices.map(|notice| notice["text"].as_str().unwrap()).collect()
}

/// Rooms, as `room list --json` has them.
fn rooms(person: &Profile) -> Vec<Value> {
    let rooms = person.run(["room", "list", "--json"]).json();
    for room in &rooms {
        schema::check(room, &["room"]);
        room["members"].as_array().unwrap().iter().for_each(|member| schema::check(member, &["member"]));
    }
    rooms
}

#[test]
fn three_people_talk_in_a_room_from_its_beginning_to_its_end() {
    let (_server, [ayşe, burak, zoé]) = three();
    assert_eq!(ayşe.run(["room", "list"]).ok(), "");
    let created = ayşe.run(["room", "create", "#garden", "--json"]).json();
    schema::check(&created[0], &["room"]);
    assert_eq!((&created[0]["name"], &created[0]["standing"]), (&"garden".into(), &"member".into()));
    assert!(ayşe.run(["room", "invite", "garden", "burak"]).ok().contains("burak is invited to #garden"));
    ayşe.run(["room", "invite", "room:garden", "zoé"]).ok();

    // An invitation comes as a message, and is not yet the room.
    let invitation = &receive(&burak)[0];
    assert_eq!(
        (&invitation["kind"], &invitation["from"], &invitation["room"]),
        (&"invitation".into(), &"ayşe".into(), &"garden".into())
    );
    assert!(
        zoé.run(["receive"]).ok().contains("ayşe: invitation to the room #garden (`tellal room join garden`")
    );
    let listed = rooms(&burak);
    assert_eq!((&listed[0]["standing"], &listed[0]["invited_by"]), (&"invited".into(), &"ayşe".into()));
    assert!(
        burak
            .run(["send", "#garden", "hi"])
            .failure()
            .contains("you are invited to #garden, and not in it yet: `tellal room join garden`")
    );
    assert!(burak.run(["chat", "#garden"]).failure().contains("you are invited to #garden"));
    assert!(burak.run(["room", "join", "garden"]).ok().contains("you are in #garden"));
    // Each has names of their own for rooms.
    zoé.run(["room", "create", "garden"]).ok();
    let taken = zoé.run(["room", "join", "garden", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&taken.stdout).unwrap()["error"], "room_name_taken");
    assert!(zoé.run(["room", "join", "garden", "--as", "정원"]).ok().contains("you are in #정원"));

    // Who is in it.
    let members = ayşe.run(["room", "members", "garden", "--json"]).json();
    members.iter().for_each(|member| schema::check(member, &["room_member", "member"]));
    let who: Vec<&str> = members.iter().map(|member| member["nickname"].as_str().unwrap()).collect();
    assert_eq!(who, ["ayşe", "burak", "zoé"]);
    assert!(members.iter().all(|member| member["joined"] == true));
    assert_eq!((&members[0]["founder"], &members[0]["you"]), (&true.into(), &true.into()));
    let shown = burak.run(["room", "members", "#garden"]).ok().to_owned();
    assert!(
        shown.lines().any(|line| line.starts_with("ayşe") && line.ends_with("not verified, founder")),
        "{shown}"
    );

    // What is said in it comes to everybody, under each one's own name for it.
    people_have_read(&[&ayşe, &burak, &zoé]);
    let sent = ayşe.run(["send", "#garden", "who waters the tomatoes?", "--json"]).json();
    schema::check_message(&sent[0]);
    assert_eq!((&sent[0]["to"], &sent[0]["delivery"]["state"]), (&"room:garden".into(), &"accepted".into()));
    for (person, name) in [(&burak, "room:garden"), (&zoé, "room:정원")] {
        let new = receive(person);
        assert_eq!(texts(&new), ["who waters the tomatoes?"]);
        assert_eq!((&new[0]["from"], &new[0]["to"]), (&"ayşe".into(), &name.into()));
    }
    zoé.send("#정원", "moi\u{1b}[2J!");
    let shown = ayşe.run(["receive"]).ok().to_owned();
    assert!(shown.contains("zoé → #garden: moi␛[2J!"), "{shown}");
    burak.send("ayşe", "between us");
    assert_eq!(texts(&receive(&ayşe)), ["between us"]);
    let history = ayşe.run(["history", "room:garden", "--json"]).json();
    assert_eq!(texts(&history), ["who waters the tomatoes?", "moi\u{1b}[2J!"]);
    assert_eq!(texts(&ayşe.run(["history", "burak", "--json"]).json()), ["between us"]);

    // Only the founder removes; who is removed or has left does not hear any more, and is told so.
    assert!(burak.run(["room", "remove", "garden", "zoé"]).failure().contains("only ayşe"));
    ayşe.run(["room", "remove", "garden", "zoé"]).ok();
    ayşe.send("#garden", "after zoé");
    assert_eq!(texts(&receive(&burak)), ["moi\u{1b}[2J!", "after zoé"]);
    let new = receive(&zoé);
    assert_eq!(texts(&new), Vec::<&str>::new());
    assert!(notices(&new).iter().any(|text| text.contains("ayşe has removed you")), "{new:?}");
    assert!(zoé.run(["send", "#정원", "hello?"]).failure().contains("not a member of #정원"));
    assert!(rooms(&zoé).iter().any(|room| room["name"] == "정원" && room["standing"] == "left"));
    burak.run(["room", "leave", "#garden"]).ok();
    let new = receive(&ayşe);
    assert!(notices(&new).contains(&"burak has left"), "{new:?}");
    assert!(new.iter().all(|message| message["to"] == "room:garden"), "{new:?}");
    assert!(ayşe.run(["send", "#garden", "alone"]).failure().contains("nobody else is in #garden"));
}

fn people_have_read(people: &[&Profile]) {
    people.iter().for_each(|person| drop(person.receive()));
}

#[test]
fn a_voice_note_for_a_room_comes_to_everybody_in_it() {
    let (_server, [ayşe, burak, zoé]) = garden();
    let tone = wav::tone(100_000);
    ayşe.send_note("#garden", &tone);
    for person in [&burak, &zoé] {
        let new = receive(person);
        assert_eq!((&new[0]["kind"], &new[0]["to"]), (&"voice".into(), &"room:garden".into()));
        let file = person.file("note.wav");
        let number = new[0]["number"].to_string();
        person.run(["play", &number, "--save", file.to_str().unwrap()]).ok();
        assert_eq!(std::fs::read(file).unwrap(), tone);
    }
    // It is not heard while it is spoken.
    let live = ayşe.run(["voice", "#garden", "--live", "--seconds", "1"]);
    assert_eq!(live.code(), 2);
    assert!(live.stderr.contains("leave --live out"), "{live:?}");
}

#[test]
fn a_member_whose_key_was_compared_is_marked_in_the_room() {
    let (_server, [ayşe, burak, zoé]) = garden();
    let number = ayşe.run(["verify", "burak", "--json"]).json()[0]["number"].as_str().unwrap().to_owned();
    ayşe.run(["verify", "burak", "--code", &number]).ok();

    let members = ayşe.run(["room", "members", "garden", "--json"]).json();
    members.iter().for_each(|member| schema::check(member, &["room_member", "member"]));
    let marks: Vec<_> =
        members.iter().map(|member| (member["nickname"].as_str().unwrap(), &member["verified"])).collect();
    let (no, yes) = (Value::from(false), Value::from(true));
    assert_eq!(marks, [("ayşe", &no), ("burak", &yes), ("zoé", &no)]);
    let shown = ayşe.run(["room", "members", "garden"]).ok().to_owned();
    let ends = |name: &str, end: &str| {
        shown.lines().any(|line| line.starts_with(name) && line.ends_with(&format!("  {end}")))
    };
    assert!(ends("burak", "verified") && ends("zoé", "not verified"), "{shown}");
    let listed = &rooms(&ayşe)[0];
    let listed = listed["members"].as_array().unwrap().iter().find(|member| member["nickname"] == "burak");
    assert_eq!(listed.unwrap()["verified"], true);

    // What each of them says in it, now and in the history.
    burak.send("#garden", "selam");
    zoé.send("#garden", "salut");
    let new = receive(&ayşe);
    let marks: Vec<_> =
        new.iter().map(|message| (message["text"].as_str().unwrap(), &message["verified"])).collect();
    assert_eq!(marks, [("selam", &yes), ("salut", &no)]);
    let shown = ayşe.run(["history", "#garden", "--color", "never"]).ok().to_owned();
    assert!(
        shown.contains(" burak ✓ → #garden: selam") && shown.contains(" zoé → #garden: salut"),
        "{shown}"
    );
    let mut screen = Screen::start(&ayşe, &["chat", "#garden", "--mute"], &[]);
    screen.wait_for(" burak ✓: selam");
    screen.wait_for(" zoé: salut");
    screen.type_keys("\u{4}");
    assert_eq!(screen.finish(), 0);
}

#[test]
fn what_is_asked_of_rooms_that_there_are_not_is_said_in_one_line() {
    let (_server, [ayşe, burak, _zoé]) = garden();
    for (args, said) in [
        (&["room", "create", "a room"][..], "is not a room's name"),
        (&["room", "create", "garden"], "here already"),
        (&["room", "join", "nowhere"], "no invitation into #nowhere"),
        (&["room", "leave", "nowhere"], "not a member of #nowhere"),
        (&["room", "members", "nowhere"], "not a member of #nowhere"),
        (&["room", "invite", "garden", "nobody"], "nobody is called nobody"),
        (&["room", "invite", "nowhere", "burak"], "not a member of #nowhere"),
        (&["room", "remove", "garden", "nobody"], "is not in #garden"),
        (&["send", "room:nowhere", "hi"], "not a member of #nowhere"),
        (&["send", "#\u{1b}[2J", "hi"], "is not a room's name"),
        (&["send", "#", "hi"], "\"#\" is not a room's name: a name has 1 to 32 characters"),
        (&["send", "garden", "hi"], "nobody is called garden on this server: did you mean '#garden'?"),
        (&["history", "garden"], "did you mean '#garden'?"),
        (&["history", "#nowhere"], "not a member of #nowhere"),
        (&["listen", "--unread", "#nowhere"], "not a member of #nowhere"),
        (&["block", "#garden"], "#garden is a room"),
        (&["verify", "#garden"], "#garden is a room"),
        (&["voice-of", "#garden"], "#garden is a room"),
        (&["sounds", "--for", "#garden"], "#garden is a room"),
        (&["room", "remove", "garden", "ayşe"], "that is you: `tellal room leave garden` leaves it"),
        (&["chat", "#nowhere"], "not a member of #nowhere"),
    ] {
        let finished = ayşe.run(args);
        assert!(finished.failure().contains(said), "{args:?}: {finished:?}");
        assert!(!finished.stderr.contains('\u{1b}'));
    }
    // A person is not a room, nor the other way round, whatever they are called.
    burak.run(["room", "create", "ayşe"]).ok();
    burak.send("ayşe", "to the person");
    assert_eq!(texts(&receive(&ayşe)), ["to the person"]);
}

#[test]
fn a_conversation_in_a_room_shows_who_says_what_where() {
    let (_server, [ayşe, burak, zoé]) = garden();
    let mut screen = Screen::start(&ayşe, &["chat", "#garden", "--mute"], &[]);
    screen.wait_for("connected; you write to #garden");
    screen.wait_for_cursor("you → #garden> ");
    burak.send("#garden", "selam");
    screen.wait_for(" burak: selam");
    screen.wait_for_cursor("you → #garden> ");
    zoé.send("ayşe", "psst");
    screen.wait_for(" zoé → you: psst");
    screen.type_keys("hello, both\r");
    screen.wait_for_cursor("you → #garden (zoé 1 new)> ");
    assert_eq!(zoé.wait_for_texts().last().unwrap(), &("ayşe".to_owned(), "hello, both".to_owned()));

    // In the conversation with somebody it is said where the rest is from.
    screen.type_keys("/to zoé\r");
    screen.wait_for_cursor("you → zoé> ");
    burak.send("#garden", "anybody?");
    screen.wait_for("burak → #garden: anybody?");
    screen.type_keys("/members #garden\r");
    screen.wait_for("not verified");
    screen.type_keys("/to #ga\t");
    screen.wait_for("> /to #garden");
    screen.type_keys("\r");
    screen.wait_for("you write to #garden now, burak, zoé are in it, too");
    screen.wait_for("burak (new): anybody?");
    screen.wait_for_cursor("you → #garden> ");

    // What is done with rooms.
    screen.type_keys("/live\r");
    screen.wait_for("a room hears a voice note once it is recorded");
    screen.type_keys("/room remove burak\r");
    screen.wait_for("* burak is not in #garden any more, nor invited");
    screen.type_keys("/to #nowhere\r");
    screen.wait_for("you are not a member of #nowhere: /rooms lists");
    screen.type_keys("/rooms\r");
    screen.wait_for("#garden  2 people; founded by you");
    zoé.run(["room", "leave", "garden"]).ok();
    screen.wait_for("* #garden: zoé has left");
    zoé.run(["room", "create", "kitchen"]).ok();
    zoé.run(["room", "invite", "kitchen", "ayşe"]).ok();
    screen.wait_for("zoé → you: invitation to the room #kitchen (/room join kitchen goes in)");
    screen.type_keys("/room join kitchen\r");
    screen.wait_for("* #kitchen: You have joined #kitchen: zoé is in it");
    screen.type_keys("\u{4}");
    assert_eq!(screen.finish(), 0);
    assert_eq!(ayşe.receive_texts(), [], "what stood on the screen counts as shown");
}

#[test]
fn whoever_is_invited_comes_in_at_once() {
    let (_server, [ayşe, burak, zoé]) = three();
    ayşe.run(["room", "create", "garden"]).ok();
    for other in [&burak, &zoé] {
        ayşe.run(["room", "invite", "garden", &other.name]).ok();
    }
    // Nothing has fetched the invitation yet.
    assert!(burak.run(["room", "join", "garden"]).ok().contains("you are in #garden"));
    assert!(zoé.run(["room", "leave", "garden"]).ok().contains("you are not in #garden"));
    assert_eq!(rooms(&ayşe)[0]["members"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_typed_behind_something_done_with_a_room_is_done_behind_it() {
    let (_server, [ayşe, burak, _zoé]) = three();
    ayşe.run(["room", "create", "garden"]).ok();
    ayşe.run(["room", "invite", "garden", "burak"]).ok();
    burak.receive();
    let joined = b"/room join garden\n/to #garden\nhello from inside\n/room leave\n/room create kitchen\n/members #kitchen\n";
    let piped = burak.run_with_stdin(["chat", "--mute"], joined);
    let (shown, said) = (piped.ok(), &piped.stderr);
    assert!(!said.contains("not sent") && !said.contains("not a member"), "{said}");
    assert!(shown.lines().any(|line| line.starts_with("burak") && line.ends_with("you, founder")), "{shown}");
    let new = receive(&ayşe);
    assert_eq!(texts(&new), ["hello from inside"]);
    assert!(notices(&new).contains(&"burak has left"), "{new:?}");

    // On a terminal, too, where it is typed ahead.
    let mut screen = Screen::start(&ayşe, &["chat", "--mute"], &[]);
    screen.wait_for("connected");
    screen.type_keys("/room create orchard\r/to #orchard\r");
    screen.wait_for("you write to #orchard now, nobody else is in it yet");
    screen.wait_for_cursor("you → #orchard> ");
}

#[test]
fn a_program_talks_in_a_room_through_pipes() {
    let (_server, [ayşe, burak, _zoé]) = garden();
    let piped = ayşe
        .run_with_stdin(["chat", "room:garden", "--json", "--mute"], b"from a script\n/members\n/rooms\n");
    let printed = piped.json();
    printed.iter().filter(|object| object["kind"] == "room_member").for_each(|member| {
        schema::check(member, &["room_member", "member"]);
        assert_eq!(member["blocked"], false);
    });
    let of = |kind: &str| printed.iter().filter(|object| object["kind"] == kind).count();
    assert_eq!((of("room_member"), of("room")), (3, 1), "{printed:?}");
    let new = receive(&burak);
    assert_eq!(texts(&new), ["from a script"]);
    assert_eq!(new[0]["to"], "room:garden");

    // What is done with rooms is told on stdout as the command line tells it, and so is what can't be done.
    burak.run(["block", "zoé"]).ok();
    let piped = burak.run_with_stdin(
        ["chat", "--json", "--mute"],
        b"/room create kitchen\n/room join nowhere\n/members #garden\n",
    );
    let printed = piped.json();
    let of = |kind: &str| printed.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("room").len(), &of("room")[0]["name"]), (1, &"kitchen".into()), "{printed:?}");
    assert_eq!((of("error").len(), &of("error")[0]["error"]), (1, &"not_invited".into()), "{printed:?}");
    schema::check(of("room")[0], &["room"]);
    schema::check(of("error")[0], &["error"]);
    let blocked = |member: &&Value| member["blocked"] == true;
    let blocked: Vec<&Value> = of("room_member").into_iter().filter(blocked).collect();
    assert_eq!((blocked.len(), &blocked[0]["nickname"]), (1, &"zoé".into()), "{printed:?}");
    assert!(burak.run(["room", "members", "garden"]).ok().contains("not verified, blocked"));
}

#[test]
fn who_finds_a_room_full_is_told_so_and_goes_on_once_somebody_has_left() {
    let server = Server::start_limited("[rooms]\npeople = 2\nper_account = 1\n");
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    ayşe.run(["room", "create", "garden"]).ok();
    ayşe.run(["room", "invite", "garden", "burak"]).ok();
    // Nothing is said of a time: who is invited may stay for ever.
    let full = "tellal: the server refused: as many people are in the room, or invited, as may be, or you have as many \
                rooms as you may; somebody has to leave first";
    assert_eq!(ayşe.run(["room", "invite", "garden", "zoé"]).failure(), full);
    assert_eq!(ayşe.run(["room", "create", "kitchen"]).failure(), full);
    assert_eq!(error_code(&ayşe.run(["room", "invite", "garden", "zoé", "--json"])), "refused");
    // Nobody was invited by halves, and no room was begun.
    assert_eq!(receive(&zoé), [] as [Value; 0]);
    assert_eq!(rooms(&ayşe).len(), 1);

    burak.run(["room", "leave", "garden"]).ok();
    ayşe.run(["room", "invite", "garden", "zoé"]).ok();
    zoé.run(["room", "join", "garden"]).ok();
    ayşe.send("room:garden", "hoş geldin");
    assert_eq!(texts(&receive(&zoé)), ["hoş geldin"]);
}
