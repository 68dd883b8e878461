//! Whether a key is whose it is said to be: safety numbers, a server that lies about a key, and what is decided.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::people::{error_code, user};
use support::screen::Screen;
use support::swap::{database, swap};
use support::{Profile, Server, schema};

fn friends() -> (Server, Profile, Profile) {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    (server, ayşe, burak)
}

/// What `verify` says.
fn safety(profile: &Profile, args: &[&str]) -> Value {
    let printed = profile.run([&["verify", "--json"], args].concat()).json();
    assert_eq!(printed.len(), 1);
    schema::check(&printed[0], &["safety"]);
    printed[0].clone()
}

/// What is new, but for alarms of the transparency log: a swapped key is not in it, which `tests/log.rs` is about.
fn heard(profile: &Profile) -> Vec<Value> {
    let mut new = profile.receive();
    new.retain(|message| !message["text"].as_str().is_some_and(|text| text.starts_with("ALARM: ")));
    new
}

#[test]
fn both_sides_see_the_same_safety_number_and_it_marks_as_verified() {
    let (_server, ayşe, burak) = friends();
    let (hers, his) = (safety(&ayşe, &["burak"]), safety(&burak, &["ayşe"]));
    assert_eq!(hers["number"], his["number"]);
    assert_eq!(
        (&hers["fingerprint"], &hers["own_fingerprint"]),
        (&his["own_fingerprint"], &his["fingerprint"])
    );
    assert_eq!((&hers["verified"], &hers["key_change"]), (&Value::Bool(false), &Value::Null));

    // As it is read out: groups of five.
    let shown = ayşe.run(["verify", "BURAK"]);
    let groups: Vec<&str> = shown
        .ok()
        .split_whitespace()
        .filter(|word| word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    let number = groups.concat();
    assert_eq!((groups.len(), number.as_str()), (12, hers["number"].as_str().unwrap()));

    // Wrong: said, not marked.
    let last = if number.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &number[..59]);
    let failed = ayşe.run(["verify", "burak", "--code", &wrong]);
    assert!(failed.failure().contains("not the safety number of you and burak"), "{failed:?}");
    // What is none says nothing about anybody's key.
    let more = format!("{number}x");
    for (wrong, digits) in [(&number[..59], 59), (&number[..3], 3), ("", 0), ("what", 0), (&more, 60)] {
        let failed = ayşe.run(["verify", "burak", "--code", wrong]);
        let said = format!("a safety number is 60 digits and nothing else, and this has {digits}");
        assert!(failed.failure().contains(&said), "{failed:?}");
        let told = ayşe.run(["verify", "burak", "--json", "--code", wrong]);
        assert!(told.stdout.contains("\"error\":\"not_a_code\""), "{told:?}");
    }
    assert_eq!(user(&ayşe, "burak")["verified"], false);
    burak.send("ayşe", "önce");
    assert_eq!(ayşe.receive()[0]["verified"], false);

    // Right, as it is read: with whatever white space, in one word or several.
    let spaced = format!(" {}\t{}\n", groups[..6].join(" "), groups[6..].join("  "));
    assert_eq!(safety(&ayşe, &["burak", "--code", &spaced])["verified"], true);
    let words = [&["verify", "ayşe", "--code"], groups.as_slice()].concat();
    assert!(burak.run(words).ok().contains("ayşe is verified"));

    // And from then on everywhere.
    assert_eq!(user(&ayşe, "burak")["verified"], true);
    burak.send("ayşe", "sonra");
    let shown = ayşe.run(["receive", "--color", "never"]);
    assert!(shown.ok().ends_with(" burak ✓: sonra"), "{shown:?}");
    let history = ayşe.run(["history", "--json"]).json();
    assert!(history.iter().all(|message| message["verified"] == true), "{history:?}");
    assert!(ayşe.run(["users", "--color", "never"]).ok().contains("  verified"));

    let oneself = ayşe.run(["verify", "ayşe"]);
    assert!(oneself.failure().contains("that is you"));
    assert!(ayşe.run(["verify", "zoé"]).failure().contains("nobody is called zoé"));
}

/// What a scanner reads on a terminal: each character is two modules, one above the other, of which the light ones are
/// drawn.
fn scan(lines: &[String]) -> String {
    // With the margin of light modules around it, which is as wide on both sides.
    let code: Vec<Vec<char>> = lines
        .iter()
        .map(|line| line.chars().collect())
        .filter(|line: &Vec<char>| line.starts_with(&['█'; 4]))
        .collect();
    let margin = code.iter().find_map(|line| line.iter().position(|c| *c != '█')).unwrap();
    let side = code[0].len() - 2 * margin;
    let is_dark = |x: usize, y: usize| match code[(y + margin) / 2].get(x + margin) {
        Some('█') => false,
        Some('▀') => (y + margin) % 2 == 1,
        Some('▄') => (y + margin).is_multiple_of(2),
        _ => true,
    };
    let grid = rqrr::Grid::new(rqrr::SimpleGrid::from_func(side, is_dark));
    grid.decode().unwrap().1
}

#[test]
fn on_a_terminal_the_number_is_a_qr_code_too() {
    let (_server, ayşe, _burak) = friends();
    let mut screen = Screen::start(&ayşe, &["verify", "burak"], &[]);
    screen.wait_for("--code NUMBER");
    let number = safety(&ayşe, &["burak"])["number"].as_str().unwrap().to_owned();
    assert_eq!(scan(&screen.lines()), number);
    assert_eq!(screen.finish(), 0);
    let mut plain = Screen::start(&ayşe, &["verify", "burak", "--no-qr"], &[]);
    plain.wait_for("--code NUMBER");
    assert_eq!(plain.finish(), 0);
    assert!(!plain.lines().join("\n").contains('█'));
}

/// As JSON has times, which sort as they follow each other.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[test]
fn a_key_that_changes_is_said_in_the_middle_of_a_conversation_and_to_who_listens() {
    let (mut server, ayşe, burak) = friends();
    let jimin = Profile::register(&server, "지민");
    for friend in [&ayşe, &jimin] {
        friend.send("burak", "merhaba");
    }
    let known = user(&ayşe, "burak")["fingerprint"].as_str().unwrap().to_owned();
    drop(burak);
    // As wide as the warning, which is one line.
    let wide = (800, 24);
    let mut chat = Screen::sized(&ayşe, &["chat", "burak", "--mute"], wide);
    chat.wait_for("connected; burak is");
    chat.wait_for_cursor("you → burak> ");
    let listening = Screen::sized(&jimin, &["listen", "--mute"], wide);
    listening.wait_for("(keys:");

    let impostor = swap(&mut server, "burak");
    let shown = user(&impostor, "burak")["fingerprint"].as_str().unwrap().to_owned();
    assert_ne!(known, shown);
    for friend in ["ayşe", "지민"] {
        impostor.send(friend, "bana güven");
    }
    let warning =
        format!("WARNING: the key of burak has changed. Known: {known} (never compared). Shown since 2");
    let key = format!("Z: {shown}. ");
    for screen in [&chat, &listening] {
        screen.wait(&format!("{warning}…{key}"), |parser| {
            let lines = parser.screen().contents();
            lines.lines().any(|line| line.contains(&warning) && line.contains(&key))
        });
    }
    chat.wait_for("burak (UNDER A CHANGED KEY): bana güven");
    chat.type_keys("\r");
    chat.wait_for_cursor("you → burak (KEY CHANGED)> ");
    // What stands there can be accepted, and is said.
    chat.type_keys("/verify accept\r");
    chat.wait_for("the key of burak is accepted, not verified: SHA256:");
}

#[test]
fn a_swapped_key_is_said_everywhere_and_stops_what_is_sent() {
    let (mut server, ayşe, burak) = friends();
    ayşe.send("burak", "merhaba");
    let number = safety(&ayşe, &["burak"])["number"].as_str().unwrap().to_owned();
    assert_eq!(safety(&ayşe, &["burak", "--code", &number])["verified"], true);
    let known = user(&ayşe, "burak")["fingerprint"].clone();
    drop(burak);

    let began = now();
    let impostor = swap(&mut server, "burak");
    let shown = impostor.run(["users", "--json"]).json();
    let shown = shown.iter().find(|user| user["nickname"] == "burak").unwrap()["fingerprint"].clone();
    assert_ne!(known, shown);
    let says_both = |text: &str| {
        assert!(text.contains(known.as_str().unwrap()) && text.contains(shown.as_str().unwrap()), "{text}");
    };

    // On its way before anybody knew: it waits, and the reason is said.
    let waiting = ayşe.run(["send", "burak", "gizli"]);
    says_both(waiting.failure());
    assert!(waiting.stderr.contains("waits in the outbox"), "{waiting:?}");
    // Once it is known nothing more is taken in.
    let refused = ayşe.run(["send", "burak", "sır", "--json"]);
    says_both(&refused.stderr);
    assert_eq!(error_code(&refused), "key_changed");

    // In every place where one looks.
    let notice = heard(&ayşe);
    assert_eq!((notice.len(), &notice[0]["kind"]), (1, &Value::from("notice")), "{notice:?}");
    let text = notice[0]["text"].as_str().unwrap();
    says_both(text);
    assert!(
        text.starts_with("WARNING: the key of burak has changed. Known: ") && text.contains("(verified)")
    );
    let burak = user(&ayşe, "burak");
    schema::check(&burak["key_change"], &["key_change"]);
    assert_eq!((&burak["key_change"]["known"], &burak["key_change"]["shown"]), (&known, &shown));
    let since = burak["key_change"]["since"].clone();
    assert!(began.as_str() <= since.as_str().unwrap() && since.as_str().unwrap() <= &*now(), "{since}");
    assert_eq!(user(&ayşe, "burak")["key_change"]["since"], since, "since when does not move");
    assert_eq!((&burak["verified"], &burak["key_change"]["vouched"]), (&false.into(), &false.into()));
    says_both(burak["warning"].as_str().unwrap());
    says_both(ayşe.run(["verify", "burak"]).ok());
    let chat = Screen::start(&ayşe, &["chat", "burak"], &[]);
    chat.wait_for_cursor("you → burak (KEY CHANGED)> ");
    chat.wait_for("WARNING: the key of burak has changed");
    drop(chat);

    // What arrives under the new key is marked.
    impostor.send("ayşe", "bana güven");
    let got = heard(&ayşe);
    let marks = |message: &Value| (message["text"].clone(), message["key_changed"].clone());
    assert_eq!(got.iter().map(marks).collect::<Vec<_>>(), [("bana güven".into(), true.into())]);
    assert_eq!(got[0]["verified"], false);
    let history = ayşe.run(["history", "burak", "--color", "never"]);
    assert!(history.ok().contains("burak (UNDER A CHANGED KEY): bana güven"), "{history:?}");
    assert!(heard(&impostor).is_empty(), "nothing has left");

    // Neither the old number nor a wrong one accepts the new key, and only one's own word does.
    let new = safety(&ayşe, &["burak"])["new_number"].as_str().unwrap().to_owned();
    assert_ne!(new, number);
    assert_eq!(safety(&impostor, &["ayşe"])["number"], new.as_str());
    let accepted = safety(&ayşe, &["burak", "--accept-change"]);
    assert_eq!((&accepted["fingerprint"], &accepted["key_change"]), (&shown, &Value::Null));
    assert_eq!(accepted["verified"], false);
    ayşe.send("burak", "kimsin?");
    let texts: Vec<_> = heard(&impostor).into_iter().map(|message| message["text"].clone()).collect();
    assert_eq!(texts, ["gizli", "kimsin?"], "what waited leaves, in order");
    assert_eq!(user(&ayşe, "burak")["warning"], Value::Null);
    impostor.send("ayşe", "benim");
    assert_eq!(ayşe.receive()[0]["key_changed"], false);
}

#[test]
fn comparing_the_new_number_ends_the_doubt_too() {
    let (mut server, ayşe, burak) = friends();
    ayşe.send("burak", "merhaba");
    drop(burak);
    let new_burak = swap(&mut server, "burak");
    assert_ne!(user(&ayşe, "burak")["key_change"], Value::Null);
    let number = safety(&new_burak, &["ayşe"])["number"].as_str().unwrap().to_owned();
    assert_eq!(safety(&ayşe, &["burak", "--code", &number])["verified"], true);
    ayşe.send("burak", "yeniden merhaba");
    let new = heard(&new_burak);
    assert_eq!((new.len(), &new[0]["from"], &new[0]["text"]), (1, &"ayşe".into(), &"yeniden merhaba".into()));
    assert_eq!(user(&ayşe, "burak")["verified"], true);
}

/// Gives the name of one account in the server's directory to another, or to nobody yet.
fn rename(server: &mut Server, names: &[(&str, &str)]) {
    server.stop();
    let here = database(server.data());
    for (from, to) in names {
        let renamed = here.execute("UPDATE account SET nickname = ?2 WHERE nickname = ?1", [from, to]);
        assert_eq!(renamed, Ok(1), "{from}");
    }
    here.close().unwrap();
    server.restart_on_same_port();
}

#[test]
fn only_a_key_that_was_shown_is_accepted_though_the_server_shows_another_by_then() {
    let (mut server, ayşe, _burak) = friends();
    ayşe.send("burak", "merhaba");
    let known = user(&ayşe, "burak")["fingerprint"].clone();
    rename(&mut server, &[("burak", "eski")]);
    let _first = Profile::register(&server, "burak");
    let first = user(&ayşe, "burak")["key_change"]["shown"].clone();

    // Then it shows another one, which does not reach the screen.
    rename(&mut server, &[("burak", "birinci")]);
    let second = Profile::register(&server, "burak");
    second.send("ayşe", "benim");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let unseen = ayşe.command(["receive", "--json"]).stdout(full).stderr(Stdio::null()).status();
    assert!(!unseen.unwrap().success(), "nothing can be shown");

    let refused = ayşe.run(["verify", "burak", "--accept-change", "--json"]);
    assert_eq!(refused.code(), 1, "{refused:?}");
    let error: Value = serde_json::from_str(refused.stdout.trim()).unwrap();
    assert_eq!(error["error"], "key_changed");
    let now = safety(&ayşe, &["burak"]);
    assert_eq!(now["fingerprint"], known, "nothing was accepted");
    let shown = now["key_change"]["shown"].as_str().unwrap();
    assert_ne!(first, shown);
    assert!(refused.stderr.contains(shown), "{refused:?}");

    // That one has been seen now.
    let accepted = ayşe.run(["verify", "burak", "--accept-change"]);
    assert!(
        accepted.ok().contains("is accepted, not verified") && accepted.ok().contains(shown),
        "{accepted:?}"
    );
    assert_eq!(user(&ayşe, "burak")["fingerprint"], shown);
}

/// What there is of texts and notices: the words, whether they are verified, whether they came under a changed key.
fn marks(messages: &[Value]) -> Vec<(&str, bool, bool)> {
    let mark = |message: &Value, which: &str| message[which].as_bool().unwrap();
    let texts = messages.iter().filter(|message| message["kind"] == "text");
    texts
        .map(|text| (text["text"].as_str().unwrap(), mark(text, "verified"), mark(text, "key_changed")))
        .collect()
}

#[test]
fn a_message_is_marked_by_the_key_that_it_came_under_whatever_is_decided_later() {
    let (mut server, ayşe, burak) = friends();
    let compare = || {
        let number = safety(&burak, &["ayşe"])["number"].as_str().unwrap().to_owned();
        assert_eq!(safety(&ayşe, &["burak", "--code", &number])["verified"], true);
    };
    let history = || ayşe.run(["history", "burak", "--json"]).json();
    ayşe.send("burak", "benim");
    burak.send("ayşe", "gerçek");
    ayşe.receive();
    compare();
    assert_eq!(marks(&history()), [("benim", false, false), ("gerçek", true, false)]);

    // An impostor, who is taken for burak; then they are found out.
    rename(&mut server, &[("burak", "eski")]);
    let impostor = Profile::register(&server, "burak");
    assert_ne!(user(&ayşe, "burak")["key_change"], Value::Null);
    safety(&ayşe, &["burak", "--accept-change"]);
    impostor.send("ayşe", "sahte");
    assert_eq!(marks(&heard(&ayşe)), [("sahte", false, false)]);
    assert_eq!(
        marks(&history()),
        [("benim", false, false), ("gerçek", false, true), ("sahte", false, false)],
        "by the key that is known now"
    );
    rename(&mut server, &[("burak", "sahte"), ("eski", "burak")]);
    assert_ne!(user(&ayşe, "burak")["key_change"], Value::Null);
    burak.send("ayşe", "yine gerçek");
    assert_eq!(marks(&heard(&ayşe)), [("yine gerçek", false, true)]);
    compare();
    let expected = [
        ("benim", false, false),
        ("gerçek", true, false),
        ("sahte", false, true),
        ("yine gerçek", true, false),
    ];
    let kept = history();
    assert_eq!(marks(&kept), expected);
    let notices: Vec<&Value> = kept.iter().filter(|message| message["kind"] == "notice").collect();
    assert!(!notices.is_empty() && notices.iter().all(|notice| notice["verified"] == false), "{notices:?}");

    // In every place where one looks.
    let file = ayşe.file("history.jsonl");
    ayşe.run(["history", "burak", "--export", file.to_str().unwrap()]).ok();
    let exported = std::fs::read_to_string(&file).unwrap();
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(marks(&exported), expected);
    let shown = ayşe.run(["history", "burak", "--color", "never"]);
    for line in ["burak ✓: gerçek", "burak (UNDER A CHANGED KEY): sahte", "burak ✓: yine gerçek"] {
        assert!(shown.ok().contains(line), "{line}: {shown:?}");
    }
    assert!(!shown.ok().contains("✓: WARNING") && !shown.ok().contains("✓: ALARM"), "{shown:?}");
    let mut chat = Screen::start(&ayşe, &["chat", "burak", "--mute"], &[]);
    chat.wait_for_cursor("you → burak ✓> ");
    chat.type_keys("/history\r");
    chat.wait_for("burak (UNDER A CHANGED KEY): sahte");
    chat.wait_for("burak ✓: yine gerçek");
}

#[test]
fn nicknames_that_look_alike_are_warned_of_by_users() {
    let server = Server::start();
    let zoé = Profile::register(&server, "zoé");
    // A Cyrillic a; an s with a comma beneath, not a cedilla.
    let of_ayşe = ["ayşe", "\u{430}yşe", "ay\u{219}e"];
    let of_barış = ["barış", "bariş"];
    // A small L; a capital i.
    let of_liam = ["liam", "Iiam"];
    let alone = "p\u{430}vel";
    let groups = [&of_ayşe[..], &of_barış, &of_liam];
    groups.concat().iter().chain([&alone]).for_each(|name| drop(Profile::register(&server, name)));
    // Who is somebody already is nobody else in other letters of the same name.
    let taken = Profile::new(&server, "LIAM");
    let taken = taken.run(["register", "LIAM", "--key-bits", "2048", "--server", &server.name()]);
    assert!(taken.failure().contains("taken"), "{taken:?}");

    let users = zoé.run(["users", "--json"]).json();
    users.iter().for_each(|user| schema::check(user, &["user"]));
    let warning = |name: &str| {
        let user = users.iter().find(|user| user["nickname"] == name).unwrap();
        user["warning"].as_str().map(str::to_owned)
    };
    for group in groups {
        for name in group {
            let said = warning(name).unwrap_or_default();
            let other = said.strip_prefix("looks like ").unwrap_or_else(|| panic!("{name}: {said}"));
            assert!(other != *name && group.contains(&other), "{name}: {said}");
        }
    }
    assert_eq!(warning(alone).unwrap(), "has letters of several scripts");
    assert_eq!(warning("zoé"), None);
    let shown = zoé.run(["users"]);
    let line = shown.ok().lines().find(|line| line.starts_with("bariş")).unwrap();
    assert!(line.ends_with("warning: looks like barış"), "{line}");
}

#[test]
fn a_conversation_shows_the_number_takes_it_and_marks_its_prompt() {
    let (_server, ayşe, burak) = friends();
    let number = safety(&burak, &["ayşe"])["number"].as_str().unwrap().to_owned();
    let mut chat = Screen::start(&ayşe, &["chat", "burak"], &[]);
    chat.wait_for_cursor("you → burak> ");
    chat.type_keys("/verify\r");
    chat.wait_for(&number[..5]);
    chat.wait_for("/verify NUMBER");
    chat.type_keys("/verify 12345\r");
    chat.wait_for("this has 5 digits");
    chat.type_keys(&format!("/verify {number}\r"));
    chat.wait_for("* the key of burak is verified");
    chat.type_keys("\r");
    chat.wait_for_cursor("you → burak ✓> ");
    burak.send("ayşe", "selam");
    chat.wait_for("burak ✓: selam");
}
