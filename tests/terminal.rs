//! What the program leaves of a terminal: at a prompt that is left, when it is halted and goes on, and when a list is long.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use support::screen::Screen;
use support::{Profile, Server};

const WORDS: &str = "çok gizli sözler";

/// How a terminal is set that nobody has touched.
fn untouched(profile: &Profile) -> String {
    let mut screen = Screen::start(profile, &["--version"], &[]);
    screen.finish();
    screen.modes()
}

/// Waits until a passphrase can be typed.
fn wait_for_prompt(screen: &Screen, prompt: &str) {
    screen.wait_for(prompt);
    screen.wait_for_modes("ready for a passphrase", |modes| !modes.contains("ISIG"));
}

#[test]
fn a_passphrase_prompt_gives_the_terminal_back_however_it_ends() {
    let server = Server::start();
    let [ayşe, _burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let set = ayşe.run_with_stdin(["lock", "--set", "--new-passphrase-fd", "0"], WORDS.as_bytes());
    set.ok();
    let before = untouched(&ayşe);
    let verbs: [&[&str]; 6] =
        [&["users"], &["voice", "burak"], &["play", "last"], &["chat"], &["listen"], &["lock", "--change"]];
    for args in verbs {
        for (end, code) in [("\u{3}", 130), ("TERM", 143), ("HUP", 129)] {
            let mut screen = Screen::start(&ayşe, args, &[]);
            wait_for_prompt(&screen, "passphrase:");
            if end.len() == 1 {
                screen.type_keys(end);
            } else {
                screen.signal(end);
            }
            // What follows has no other end.
            let code = if args == ["listen"] { 0 } else { code };
            assert_eq!(screen.finish(), code, "{args:?} {end:?}:\n{}", screen.lines().join("\n"));
            assert_eq!(screen.modes(), before, "{args:?} {end:?}");
        }
    }
}

#[test]
fn who_leaves_the_prompt_for_a_new_passphrase_is_told_nothing_and_nothing_is_changed() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    let before = untouched(&ayşe);
    for typed in ["", "one\r"] {
        let mut screen = Screen::start(&ayşe, &["lock", "--set"], &[]);
        wait_for_prompt(&screen, "new passphrase");
        screen.type_keys(typed);
        if !typed.is_empty() {
            wait_for_prompt(&screen, "once more:");
        }
        screen.type_keys("\u{3}");
        assert_eq!(screen.finish(), 130, "{:?}", screen.lines());
        assert_eq!(screen.modes(), before);
        assert!(!screen.lines().join("").contains("--new-passphrase-fd"), "{:?}", screen.lines());
    }
    ayşe.run(["history"]).ok();
}

#[test]
fn keys_count_again_after_the_program_was_halted_and_goes_on() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let mut screen = Screen::shell(&burak);
    screen.wait_for_cursor("shell> ");
    let before = screen.modes();
    screen.type_keys("\"$TELLAL\" listen --mute\r");
    screen.wait_for("(keys: space silence");
    let listening = screen.modes();
    assert_ne!(listening, before);
    // What is listened to in the background goes on there.
    for goes_on in ["fg\r", "bg\r"] {
        screen.type_keys("\u{1a}");
        screen.wait_for("Stopped");
        screen.wait_for_cursor("shell> ");
        screen.wait_for_modes("the shell's", |modes| modes == before);
        screen.type_keys("clear\r");
        screen.wait("a clear screen", |parser| !parser.screen().contents().contains("Stopped"));
        screen.type_keys(goes_on);
        if goes_on == "bg\r" {
            ayşe.send("burak", "arkada");
            screen.wait_for("ayşe: arkada");
            assert_eq!(screen.modes(), before, "the shell has the terminal");
            screen.type_keys("fg\r");
        }
        screen.wait_for_modes("set for keys", |modes| modes == listening);
    }
    screen.type_keys("q");
    screen.wait_for_cursor("shell> ");
    assert_eq!(screen.modes(), before);
    screen.type_keys("echo \"code $?\"\r");
    screen.wait_for("code 0");
}

#[test]
fn a_long_list_of_what_can_be_typed_does_not_hold_up_what_arrives() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    let mut screen = Screen::sized(&ayşe, &["chat", "burak", "--mute"], (20, 24));
    screen.wait_for_cursor("you → burak> ");
    screen.type_keys("/\t");
    screen.wait("the end of the list", |parser| {
        let contents = parser.screen().contents();
        contents.contains(" more") || contents.contains("--More--")
    });
    burak.send("ayşe", "selam");
    screen.wait_for("burak: selam");
    screen.wait_for_cursor("you → burak> /");
    // It is still the line that is typed.
    screen.type_keys("qu\t\r");
    assert_eq!(screen.finish(), 0);
}

#[test]
fn what_a_conversation_says_names_its_own_commands() {
    let server = Server::start();
    let [ayşe, burak] = ["ayşe", "burak"].map(|name| Profile::register(&server, name));
    burak.send("ayşe", "selam");
    let mut screen = Screen::start(&ayşe, &["chat", "burak", "--mute"], &[]);
    screen.wait_for("burak: selam");
    screen.type_keys("/play 99\r");
    screen.wait_for("no such message: /history lists them with their numbers");
    screen.type_keys("/play 1\r");
    screen.wait_for("that message is not a voice note: /speak reads texts aloud");
}
