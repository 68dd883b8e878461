//! `tellal chat` as a screen reader follows it: what has been said stays as it was said.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use support::card::Card;
use support::follow::Follower;
use support::screen::Screen;
use support::voice::Scene;
use support::{Profile, Server};

/// A way to show things.
struct Style {
    option: &'static [&'static str],
    /// What the prompt begins with: in conversation with burak, with nobody, and while recording.
    prompts: [&'static str; 3],
    /// What ends it.
    end: &'static str,
    /// What stands before tellal's own words.
    mark: &'static str,
}

const USUAL: Style =
    Style { option: &[], prompts: ["you → burak", "you", "recording for"], end: "> ", mark: "* " };
const PLAIN: Style = Style {
    option: &["--plain"],
    prompts: ["you to burak", "you", "recording for"],
    end: ": ",
    mark: "tellal: ",
};

impl Style {
    fn chat(&self, profile: &Profile, variables: &[(&str, &str)]) -> Screen {
        let args = [&["chat", "burak", "--mute"], self.option].concat();
        let screen = Screen::start(profile, &args, variables);
        screen.wait_for("connected; burak is");
        screen.wait_for_cursor(&self.prompt(""));
        screen
    }

    /// The prompt with this typed behind it.
    fn prompt(&self, typed: &str) -> String {
        self.prompt_to("burak", typed)
    }

    /// The same in conversation with somebody else.
    fn prompt_to(&self, with: &str, typed: &str) -> String {
        let prompt = self.prompts[0].replace("burak", with);
        format!("{prompt}{}{typed}", self.end)
    }

    /// The lines that were read, if nothing was ever written over.
    #[track_caller]
    fn read(&self, screen: &Screen) -> Vec<String> {
        let raw = screen.raw();
        let to_ayşe = self.prompts[0].replace("burak", "ayşe");
        let prompts = [&self.prompts[..], &[&to_ayşe]].concat();
        let read = Follower::new(24, 80, &prompts).follow(&raw);
        let read = read.unwrap_or_else(|what| panic!("{what}\n{}", screen.lines().join("\n")));
        if !self.option.is_empty() {
            let said = read.join("\n");
            let drawn = ['→', '✓', '*', '#', '[', ']', '|', '>', '…', '─', '█'];
            // A star and a hash are what is typed after these.
            let typed = |line: &str| line.starts_with("/unread") || line.starts_with("/to");
            let bad = read.iter().find(|line| line.contains(drawn) && !typed(line));
            assert_eq!(bad, None, "{said}");
            let raw = String::from_utf8(raw).unwrap();
            let colors = |rest: &str| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
            };
            assert!(!raw.split("\u{1b}[").skip(1).any(colors), "it has colours: {raw:?}");
        }
        read
    }
}

/// Where a line first ends with this.
#[track_caller]
fn place(read: &[String], end: &str) -> usize {
    let found = read.iter().position(|line| line.ends_with(end));
    found.unwrap_or_else(|| panic!("no {end:?} in\n{}", read.join("\n")))
}

fn converse(style: &Style) {
    let server = Server::start();
    let [ayşe, burak, 지민, 小明, zoé] =
        ["ayşe", "burak", "지민", "小明", "zoé"].map(|name| Profile::register(&server, name));
    for number in 0..30 {
        burak.send("ayşe", &format!("earlier {number}"));
    }
    zoé.send("ayşe", "salut");
    ayşe.receive();
    let mut screen = style.chat(&ayşe, &[]);

    // While a line is typed, others write: short, several lines, wider than the terminal.
    screen.type_keys("안녕하");
    screen.wait_for_cursor(&style.prompt("안녕하"));
    burak.send("ayşe", "selam\niki satır");
    screen.wait_for("iki satır");
    screen.wait_for_cursor(&style.prompt("안녕하"));
    小明.send("ayşe", &"你好世界".repeat(20));
    screen.wait_for("小明: 你好");
    screen.wait_for_cursor(&style.prompt("안녕하"));
    // The line becomes longer than the terminal is wide, and goes on changing at its beginning.
    let long = "세요 정말 ".repeat(16);
    screen.type_keys(&long);
    screen
        .wait("the end of the long line", |parser| parser.screen().contents().matches("정말").count() == 16);
    지민.send("ayşe", "나도 왔어요");
    screen.wait_for("지민: 나도 왔어요");
    screen.type_keys("\u{1b}[H아 \u{1b}[F");
    screen.wait_for("아 안녕하");
    burak.send("ayşe", &"uzun ".repeat(40));
    screen.wait_for("burak: uzun");
    screen.type_keys("\r");
    let [(_, sent)]: [(String, String); 1] = burak.wait_for_texts().try_into().unwrap();
    assert_eq!(sent, format!("아 안녕하{long}").trim_end());

    // What is asked for, more of it than there are rows; and who comes and goes.
    screen.type_keys("/users\r");
    screen.wait_for("지민");
    screen.type_keys("/history 30\r");
    screen.wait("the newest of the history", |parser| {
        parser.screen().contents().matches("burak: uzun").count() == 1
    });
    let mut there = zoé.start(["receive", "--follow", "--mute"]);
    screen.wait_for(&format!("{}zoé is online", style.mark));
    screen.type_keys("yarım");
    screen.wait("what was typed", |parser| parser.screen().contents().contains("yarım"));
    there.kill();
    screen.wait_for(&format!("{}zoé is offline", style.mark));
    screen.type_keys("\u{15}/unread\r/to 지민\r/help\r/quit\r");
    assert_eq!(screen.finish(), 0);

    let read = style.read(&screen);
    let first = place(&read, "burak: selam");
    assert_eq!(read[first + 1], "      iki satır");
    for end in ["zoé is online", "zoé is offline"] {
        assert!(read.contains(&format!("{}{end}", style.mark)), "{}", read.join("\n"));
    }
    let asked = read.iter().filter(|line| line.contains("earlier ")).count();
    assert!(asked >= 30, "{}", read.join("\n"));
}

#[test]
fn nothing_that_was_said_is_written_over() {
    converse(&USUAL);
}

#[test]
fn nothing_that_was_said_is_written_over_or_decorated_with_plain() {
    converse(&PLAIN);
}

fn record_and_play(style: &Style) {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let card_env = card.env();
    let variables: Vec<(&str, &str)> =
        card_env.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
    let mut screen = style.chat(&ayşe, &variables);
    screen.type_keys("/voice\r");
    screen.wait_for(&format!("{}recording for burak", style.mark));
    burak.send("ayşe", "konuş konuş");
    screen.wait_for("burak: konuş konuş");
    screen.wait_for("recorded, silence");
    screen.type_keys("\r");
    screen.wait_for("nobody is heard in it");
    screen.type_keys("\r");
    screen.wait_for(&format!("{}voice note for burak", style.mark));
    screen.wait_for_cursor(&style.prompt(""));
    burak.send_note("ayşe", &support::wav::tone(16_000 * 2));
    screen.wait_for("burak: voice note, 0:02");
    screen.type_keys("/play\r");
    screen.wait_for(&format!("{}playing voice note", style.mark));
    screen.type_keys("안녕");
    burak.send("ayşe", "dinle");
    screen.wait_for("burak: dinle");
    screen.wait_for_cursor(&style.prompt("안녕"));
    screen.type_keys("\r/quit\r");
    assert_eq!(screen.finish(), 0);
    let read = style.read(&screen);
    assert!(place(&read, "burak: konuş konuş") < place(&read, "burak: dinle"));
}

fn speak(style: &Style) {
    let scene = Scene::new();
    let ayşe = &scene.ayşe;
    let args = [&["chat", "ayşe", "--mute"], style.option].concat();
    let mut screen = scene.screen(&args);
    screen.wait_for("connected; ayşe is");
    screen.wait_for_cursor(&style.prompt_to("ayşe", ""));
    screen.type_keys("/speak on\r");
    screen.wait_for(&format!("{}what arrives is read aloud", style.mark));
    ayşe.send("burak", "This is read while the next one is being shown.");
    scene.wait_for_asked(1);
    screen.type_keys("안녕");
    ayşe.send("burak", "And this comes while a line is typed, I am quite sure.");
    screen.wait_for("quite sure");
    screen.wait_for_cursor(&style.prompt_to("ayşe", "안녕"));
    let note = ayşe.file("siren.wav");
    std::fs::write(&note, support::wav::siren()).unwrap();
    ayşe.run(["voice", "burak", "--mute", "--file", note.to_str().unwrap()]).ok();
    screen.wait_for("ayşe: voice note, 0:01");
    screen.type_keys("\u{15}/unread\r");
    screen.wait_for_cursor(&style.prompt_to("ayşe", ""));
    screen.type_keys("/live\r");
    screen.wait_for(&format!("{}speaking to ayşe", style.mark));
    scene.card.speak_into_microphone(&note);
    ayşe.send("burak", "I hear you.");
    screen.wait_for("I hear you");
    screen.type_keys("\r");
    screen.wait_for(&format!("{}spoken to ayşe, 0:0", style.mark));
    screen.type_keys("/speak off\r/quit\r");
    assert_eq!(screen.finish(), 0);
    let read = style.read(&screen);
    assert!(place(&read, "quite sure.") < place(&read, "ayşe: I hear you."));
}

#[test]
fn reading_aloud_and_speaking_only_add_lines() {
    speak(&USUAL);
}

#[test]
fn reading_aloud_and_speaking_only_add_lines_with_plain() {
    speak(&PLAIN);
}

#[test]
fn recording_and_playing_only_add_lines() {
    record_and_play(&USUAL);
}

#[test]
fn recording_and_playing_only_add_lines_with_plain() {
    record_and_play(&PLAIN);
}

#[test]
fn with_plain_commands_answer_in_words_alone() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    burak.send_note("ayşe", &support::wav::tone(16_000 * 2));
    ayşe.send("burak", "merhaba");
    ayşe.run(["receive", "--mute"]).ok();
    let card_env = card.env();
    let variables: Vec<(&str, &str)> =
        card_env.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
    for (command, word) in [
        (&["users"][..], "offline"),
        (&["history"], "number "),
        (&["doctor", "--mute"], "loudspeaker"),
        (&["play", "last"], "space pauses"),
    ] {
        let mut screen = Screen::start(&ayşe, &[command, &["--plain"]].concat(), &variables);
        assert_eq!(screen.finish(), 0, "{command:?}");
        let raw = screen.raw();
        let read = String::from_utf8(raw).unwrap();
        assert!(read.contains(word), "{command:?}: {read}");
        let decoration = read.find(|c: char| "→←✓#█[\u{1b}".contains(c));
        assert_eq!(decoration, None, "{command:?}: {read}");
    }
}

#[test]
fn what_is_written_over_is_found() {
    let follow = |output: &str| Follower::new(4, 20, &[">"]).follow(output.as_bytes());
    assert_eq!(follow("one\r\n> a\r\x1b[K> ab\r\ntwo\r\n> ").unwrap(), ["one", "> ab", "two"]);
    // The line being typed takes two rows, and is drawn again below what comes.
    let wrapped = "one\r\n> 0123456789012345678901\x1b[1A\r\x1b[Jtwo\r\n> 0123456789012345678901\r\n> ";
    assert_eq!(follow(wrapped).unwrap(), ["one", "two", "> 012345678901234567", "8901"]);
    let scrolled: String = (0..9).map(|line| format!("line {line}\r\n")).collect();
    assert_eq!(follow(&format!("{scrolled}> ")).unwrap().len(), 9);
    for bad in
        ["one\r\n> \x1b[1A\rtwo", "one\r\n> \x1b[2J", "one\r\n> \x1b7\x1b[1;1H\x1b8", "one\r\n> \x1b[?1049h"]
    {
        assert!(follow(bad).is_err(), "{bad:?}");
    }
    // The same once more is something said twice.
    assert!(follow("one\r\n> \x1b[1A\rone").is_err());
}
