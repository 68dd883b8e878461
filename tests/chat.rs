//! `tellal chat` as a person sees it: the real program on a real pseudo-terminal.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::card::{Card, RATE};
use support::screen::Screen;
use support::{Profile, Running, Server, schema, signal, wav};

/// Ayşe's terminal, in conversation with burak; connected.
fn chat(ayşe: &Profile, variables: &[(&str, &str)]) -> Screen {
    let screen = Screen::start(ayşe, &["chat", "burak", "--mute"], variables);
    screen.wait_for("connected; burak is offline: what you write waits on the server");
    screen.wait_for_cursor("you → burak> ");
    screen
}

/// Where a line that holds this stands.
fn place(lines: &[String], text: &str) -> usize {
    let found = lines.iter().position(|line| line.contains(text));
    found.unwrap_or_else(|| panic!("no {text:?} in\n{}", lines.join("\n")))
}

#[test]
fn what_arrives_stands_above_the_line_being_typed_which_stays_as_it_is() {
    let server = Server::start();
    let [ayşe, burak, 지민] = ["ayşe", "burak", "지민"].map(|name| Profile::register(&server, name));
    let mut screen = chat(&ayşe, &[]);

    screen.type_keys("안녕하");
    screen.wait_for_cursor("you → burak> 안녕하");
    burak.send("ayşe", "selam\niki satır");
    screen.wait_for("burak: selam");
    screen.wait_for_cursor("you → burak> 안녕하");
    지민.send("ayşe", "나도 왔어요");
    screen.wait_for("지민: 나도 왔어요");
    screen.wait_for_cursor("you → burak> 안녕하");
    let lines = screen.lines();
    let first = place(&lines, "burak: selam");
    assert_eq!(lines[first + 1], "      iki satır", "further lines are indented");
    assert_eq!(place(&lines, "지민: 나도"), first + 2);
    assert_eq!(place(&lines, "안녕하"), first + 3, "one line is being typed:\n{}", lines.join("\n"));
    assert_eq!(lines.len(), first + 4);

    // The middle of wide characters: 안녕하 → 안하 → 안세하 → sent.
    screen.type_keys("\u{1b}[D\u{7f}");
    screen.wait_for_cursor("you → burak> 안");
    screen.type_keys("세");
    screen.wait_for_cursor("you → burak> 안세");
    screen.wait_for("> 안세하");
    screen.type_keys("\r");
    // The prompt counts what others wrote meanwhile.
    screen.wait_for_cursor("you → burak (지민 1 new)> ");
    assert_eq!(burak.wait_for_texts(), [("ayşe".to_owned(), "안세하".to_owned())]);
    assert_eq!(screen.lines().iter().filter(|line| line.contains("안세하")).count(), 1, "it is shown once");

    // To the other one: no longer new, and said what was said.
    screen.type_keys("/to 지\t");
    screen.wait_for("> /to 지민");
    screen.type_keys("\r");
    screen.wait_for("지민 (new): 나도 왔어요");
    screen.wait_for_cursor("you → 지민> ");
    screen.type_keys("\u{4}");
    assert_eq!(screen.finish(), 0);
    assert_eq!(ayşe.receive_texts(), [], "what stood on the screen counts as shown");
}

#[test]
fn combining_and_doubly_wide_characters_are_edited_as_one() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let mut screen = chat(&ayşe, &[]);
    screen.type_keys("小明e\u{301}x");
    screen.wait_for_cursor("you → burak> 小明e\u{301}x");
    screen.type_keys("\u{7f}\u{7f}");
    screen.wait_for_cursor("you → burak> 小明");
    screen.type_keys("\u{1b}[Hab\u{1b}[F!");
    screen.wait_for_cursor("you → burak> ab小明!");
    // Several lines pasted at once are one message.
    screen.type_keys("\u{15}\u{1b}[200~bir\niki\u{1b}[201~");
    screen.wait_for_cursor("iki");
    screen.type_keys("\r");
    screen.wait_for_cursor("you → burak> ");
    // Given up; nothing of it is sent.
    screen.type_keys("yarım");
    screen.wait_for_cursor("you → burak> yarım");
    screen.type_keys("\u{3}");
    screen.wait_for_cursor("you → burak> ");
    // Typed ahead of the prompt, in one go.
    screen.type_keys("üç\rdört\r//beş\r/quit\r");
    assert_eq!(screen.finish(), 0);
    let texts: Vec<String> = burak.receive_texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["bir\niki", "üç", "dört", "/beş"]);
}

#[test]
fn nothing_that_others_write_is_obeyed_by_the_terminal() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let screen = chat(&ayşe, &[("NO_COLOR", "1")]);
    burak.send("ayşe", "a\u{1b}]0;owned\u{7}b\u{1b}[2J\u{1b}[31mred\u{9b}5mc\r00:00 zoé: no\u{202e}d");
    screen.wait_for("red");
    let shown = screen.lines();
    let line = place(&shown, "burak: a␛]0;owned␇b␛[2J␛[31mred");
    assert!(shown[line + 1].trim().starts_with("00:00 zoé: no"), "{shown:?}");
    assert!(shown[line + 1].starts_with("      "), "it can't pass for a line of its own");
    let raw = String::from_utf8(screen.raw()).unwrap();
    assert!(!raw.contains("\u{1b}]") && !raw.contains('\u{9b}') && !raw.contains('\u{202e}'));
    assert!(!raw.contains("\u{1b}[2J"));
    // NO_COLOR: no sequence that sets colours (SGR) at all.
    assert!(
        !raw.split("\u{1b}[").skip(1).any(|rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
        })
    );
}

#[test]
fn names_have_their_colours_and_the_option_takes_them_away() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    burak.send("ayşe", "merhaba");
    let mut screen = chat(&ayşe, &[]);
    screen.wait_for("burak: merhaba");
    assert!(String::from_utf8(screen.raw()).unwrap().contains("\u{1b}[38;5;"));
    screen.type_keys("/quit\r");
    assert_eq!(screen.finish(), 0);
    let screen = Screen::start(&ayşe, &["chat", "burak", "--mute", "--color", "never"], &[]);
    screen.wait_for("burak: merhaba");
    assert!(!String::from_utf8(screen.raw()).unwrap().contains("\u{1b}[38;5;"));
}

#[test]
fn listening_gives_the_terminal_back_however_it_ends() {
    let server = Server::start();
    let burak = Profile::register(&server, "burak");
    let mut screen = Screen::start(&burak, &["--version"], &[]);
    screen.finish();
    let before = screen.modes();
    for end in ["q", "\u{3}", "TERM", "HUP"] {
        let mut screen = Screen::start(&burak, &["listen", "--mute"], &[]);
        screen.wait_for("(keys: space silence");
        assert_ne!(screen.modes(), before);
        if end.len() == 1 {
            screen.type_keys(end)
        } else {
            screen.signal(end)
        }
        assert_eq!(screen.finish(), 0, "{end:?}");
        assert_eq!(screen.modes(), before, "{end:?}");
    }
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let server = Server::start();
    let [ayşe, _burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    for end in ["/quit\r", "\u{4}", "TERM", "HUP"] {
        let mut screen = Screen::start(&ayşe, &["--version"], &[]);
        screen.finish();
        let before = screen.modes();
        let mut screen = chat(&ayşe, &[]);
        assert_ne!(screen.modes(), before);
        screen.type_keys("yarım");
        screen.wait_for_cursor("you → burak> yarım");
        if end.chars().all(|c| c.is_ascii_uppercase()) {
            screen.signal(end);
        } else {
            screen.type_keys("\u{15}");
            screen.type_keys(end);
        }
        screen.finish();
        assert_eq!(screen.modes(), before, "after {end:?}");
        screen.wait("pasting is no longer marked", |parser| !parser.screen().bracketed_paste());
    }
}

#[test]
fn a_second_chat_is_refused_and_commands_go_on_beside_it() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let screen = chat(&ayşe, &[]);
    let second = ayşe.run(["chat", "burak", "--mute"]);
    assert_eq!(
        second.failure(),
        "tellal: `tellal chat` already runs on this profile: use it, or end it first"
    );
    ayşe.send("burak", "yandan");
    screen.wait_for("you: yandan");
    screen.wait_for_cursor("you → burak> ");
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "yandan".to_owned())]);
}

#[test]
fn what_is_written_offline_waits_and_arrives_once() {
    let mut server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let mut screen = chat(&ayşe, &[]);
    screen.type_keys("önce\r");
    let before = burak.run(["receive", "--json", "--wait", "50"]).json();
    assert_eq!(before[0]["text"], "önce");
    server.stop();
    screen.wait_for("* not connected: ");
    screen.type_keys("sonra\r");
    screen.wait_for("* waits for the server: it leaves by itself once connected");
    server.restart_on_same_port();
    screen.wait_for("* connected again");
    screen.wait_for("* sent now: 1 message that waited");
    let texts: Vec<String> = burak.receive_texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["sonra"]);
    let lines = screen.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("sonra")).count(), 1, "{}", lines.join("\n"));
    assert_eq!(lines.iter().filter(|line| line.contains("not connected")).count(), 1);
    screen.type_keys("/quit\r");
    assert_eq!(screen.finish(), 0);
    assert_eq!(burak.receive_texts(), []);
}

#[test]
fn people_are_found_and_strangers_are_not_written_to() {
    let server = Server::start();
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    let _burak = Screen::start(&burak, &["chat", "--mute"], &[]);
    _burak.wait_for("nobody else is online");
    zoé.send("ayşe", "salut");
    let mut screen = Screen::start(&ayşe, &["chat", "nobody", "--mute"], &[]);
    screen.wait_for("* nobody is called nobody on this server");
    screen.type_keys("kimse var mı\r");
    screen.wait_for("* not sent");
    screen.type_keys("/users\r");
    screen.wait_for("burak  online");
    screen.wait_for("zoé    offline");
    screen.type_keys("/to stranger\r");
    screen.wait_for("* nobody is called stranger on this server: /users lists who there is");
    screen.type_keys("/unread\r");
    screen.wait_for("zoé 1 new");
    screen.type_keys("/to BUR\t\r");
    screen.wait_for("* you talk to burak now, who is online");
    screen.wait_for_cursor("you → burak (zoé 1 new)> ");
    screen.type_keys("/help\r");
    screen.wait_for("/history [N]");
    screen.type_keys("/nonsense\r");
    screen.wait_for("* there is no /nonsense: /help lists what there is");
}

#[test]
fn a_text_goes_to_whom_the_prompt_names_also_where_nothing_could_be_recorded() {
    let server = Server::start();
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    zoé.send_note("ayşe", &wav::tone(8_000));
    let mut screen = chat(&ayşe, &[]);
    screen.type_keys("/play\r");
    screen.wait_for("* playing voice note 1 from zoé");
    screen.wait_for_cursor("you → burak (zoé 1 new)> ");
    // There is no microphone, which is said before the next line is asked for.
    screen.type_keys("/reply\r");
    screen.wait_for("no microphone");
    screen.wait_for_cursor("you → burak (zoé 1 new)> ");
    assert!(!screen.lines().iter().any(|line| line.contains("recording for zoé")), "{:?}", screen.lines());
    screen.type_keys("yazıyorum\r");
    screen.type_keys("/to zoé\r");
    screen.wait_for_cursor("you → zoé> ");
    screen.type_keys("ona yazdım\r");
    assert_eq!(zoé.wait_for_texts(), [("ayşe".to_owned(), "ona yazdım".to_owned())]);
    assert_eq!(burak.wait_for_texts(), [("ayşe".to_owned(), "yazıyorum".to_owned())]);
}

#[test]
fn a_server_that_falls_silent_holds_nothing_up() {
    let server = Server::start();
    let [ayşe, _burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let mut screen = chat(&ayşe, &[]);
    // It is there, and answers nobody.
    server.signal("STOP");
    screen.type_keys("selam\r");
    screen.type_keys("/voice-of stranger\r");
    screen.wait_for("* the server does not answer");
    screen.type_keys("/to stranger\r");
    screen.wait_for("* you talk to stranger now");
    screen.wait_for_cursor("you → stranger> ");
    screen.signal("TERM");
    screen.wait_for("tellal: 1 message still waits in the outbox, to leave when tellal next runs");
    screen.finish();
    server.signal("CONT");
}

#[test]
fn without_a_terminal_lines_are_messages_and_results_are_plain() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    burak.send("ayşe", "\u{1b}[31mmerhaba");
    let mut talking = Running::start(ayşe.command(["chat", "burak", "--mute"]).stdin(Stdio::piped()));
    // It waits on the server until the conversation begins, and is shown as soon as it has come.
    let shown = talking.line().unwrap();
    assert!(shown.ends_with(" burak: ␛[31mmerhaba"), "{shown:?}");
    let mut stdin = talking.stdin().unwrap();
    stdin.write_all("bir\n\n안녕\n/history 1\n//üç".as_bytes()).unwrap();
    drop(stdin);
    let done = talking.wait();
    // /history shows one line of what was said; what is sent is not repeated.
    assert_eq!(done.ok().lines().count(), 1, "{done:?}");
    assert!(!done.stdout.contains('\u{1b}'));
    let texts: Vec<String> = burak.receive_texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["bir", "안녕", "/üç"]);

    let failed = ayşe.run_with_stdin(["chat", "nobody", "--mute"], b"hello\n");
    assert_eq!(failed.code(), 1);
    assert!(failed.one_line().contains("nobody is called nobody"));

    let mut listening =
        Running::start(ayşe.command(["chat", "burak", "--mute", "--json"]).stdin(Stdio::piped()));
    let id = burak.send("ayşe", "json");
    let line = loop {
        let line = listening.line().unwrap();
        if line.contains(&id) {
            break line;
        }
    };
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["text"], "json");
}

#[test]
fn with_json_a_conversation_is_json_lines_and_nothing_else() {
    let server = Server::start();
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    let mut talking =
        Running::start(ayşe.command(["chat", "burak", "--mute", "--json"]).stdin(Stdio::piped()));
    let mut stdin = talking.stdin().unwrap();
    let mut next = || serde_json::from_str::<Value>(&talking.line().unwrap()).unwrap();
    for (from, text) in [(&burak, "merhaba"), (&zoé, "salut")] {
        from.send("ayşe", text);
        let (message, from) = (next(), from.name.as_str());
        schema::check_message(&message);
        assert_eq!((&message["from"], &message["text"]), (&from.into(), &text.into()));
    }
    stdin.write_all("/users\n".as_bytes()).unwrap();
    let mut names: Vec<String> = (0..3)
        .map(|_| {
            let user = next();
            schema::check(&user, &["user"]);
            user["nickname"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["ayşe", "burak", "zoé"]);
    stdin.write_all("/unread\n".as_bytes()).unwrap();
    let unread = next();
    schema::check(&unread, &["unread"]);
    assert_eq!((&unread["kind"], &unread["nickname"]), (&"unread".into(), &"zoé".into()));
    assert_eq!(unread["count"], 1);
    stdin.write_all("/help\n/history 2\n".as_bytes()).unwrap();
    drop(stdin);
    let done = talking.wait();
    let shown = done.json();
    assert_eq!(shown.len(), 1, "/help is for people: {done:?}");
    schema::check_message(&shown[0]);
    assert!(done.stderr.contains("/history [N]"), "{done:?}");
}

#[test]
fn a_voice_note_is_recorded_in_one_conversation_and_played_in_the_other() {
    let (card, server, ayşe, burak) = Card::with_friends();
    let zoé = Profile::register(&server, "zoé");
    let card_env = card.env();
    let variables: Vec<(&str, &str)> =
        card_env.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
    let mut speaking = chat(&ayşe, &variables);
    let mut hearing = Screen::start(&burak, &["chat", "ayşe", "--mute"], &variables);
    hearing.wait_for("connected; ayşe is online");

    // Begun and given up.
    speaking.type_keys("/voice\r");
    speaking.wait_for("* recording for burak: Enter sends it, space pauses, /listen plays it");
    speaking.wait_for_cursor("recording for burak, Enter sends> ");
    // Whoever is talked to otherwise: what is typed is sent to the one whom the prompt names.
    speaking.type_keys("/to zoé\rfor burak alone\r");
    hearing.wait_for("ayşe: for burak alone");
    assert!(zoé.receive_texts().is_empty());
    speaking.type_keys("/cancel\r");
    speaking.wait_for("* not sent: what was recorded is forgotten");
    speaking.type_keys("/to burak\r");

    speaking.type_keys("/voice\r");
    speaking.wait("the second recording", |parser| {
        parser.screen().contents().matches("* recording for burak: ").count() == 2
    });
    let said = ayşe.file("said.wav");
    std::fs::write(&said, wav::siren()).unwrap();
    card.speak_into_microphone(&said);
    speaking.wait_for(" recorded, ");
    speaking.type_keys("\r");
    speaking.wait_for("* voice note for burak, 0:0");
    hearing.wait_for("ayşe: voice note, 0:0");

    // What was said is in what arrived, and is what the loudspeaker plays.
    let (said, rate) = signal::read(&wav::siren());
    let arrived = burak.file("arrived.wav");
    burak.run(["play", "last", "--save", arrived.to_str().unwrap()]).ok();
    let (arrived, arrived_rate) = signal::read(&std::fs::read(&arrived).unwrap());
    assert_eq!(arrived_rate, rate);
    let found = signal::find(&arrived, &said);
    assert!(found.correlation > 0.9, "{found:?}");
    assert!(signal::peak(&arrived) > 0.1, "it arrives as loud as it was said, or nearly");
    let heard = card.record_loudspeaker();
    hearing.type_keys("/play\r");
    hearing.wait_for("* playing voice note 2 from ayşe, 0:0");
    heard.wait_until("the note is played", |samples| signal::peak(samples) > 0.1);
    // A recording of a loudspeaker comes a little behind it.
    heard.listen(Duration::from_secs_f64(1.0 + arrived.len() as f64 / f64::from(rate)));
    let heard = heard.stop();
    // By tenths of a second: a machine under load stutters, and what is around a hole is there all the same.
    let said = signal::at_rate(&said, rate, RATE);
    let tenths: Vec<signal::Found> =
        said.chunks_exact(RATE as usize / 10).map(|tenth| signal::find(&heard, tenth)).collect();
    let clear: Vec<usize> =
        tenths.iter().filter(|found| found.correlation > 0.9).map(|found| found.at).collect();
    assert!(clear.len() + 3 >= tenths.len() && clear.is_sorted(), "{tenths:?}");
    // Every message still stands once.
    assert_eq!(hearing.lines().iter().filter(|line| line.contains("ayşe: voice note")).count(), 1);
}
