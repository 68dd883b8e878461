//! Keys while listening, and the commands of a conversation that do the same: faster, once more, on, more, replies. Heard
//! through a virtual sound card: the real program, the real speech service, which tells what it was asked to say.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::card::RATE;
use support::screen::Screen;
use support::signal::has_ended;
use support::swap::swap;
use support::voice::{Asked, Scene, long};
use support::{Profile, Running, signal};

#[test]
fn keys_stop_repeat_skip_go_on_and_change_the_pace() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", &long());
    let asked = scene.wait_for_asked(1);
    assert!(asked[0].text.starts_with("ayşe: This is sentence number 1 "), "{asked:?}");
    // The sentence begins again, faster.
    listen.type_keys("+");
    let asked = scene.wait_for_asked(2);
    assert_eq!((asked[1].text.as_str(), asked[1].rate), (asked[0].text.as_str(), asked[0].rate + 10));
    listen.type_keys("---");
    let asked = scene
        .wait_until("slower", support::TIMEOUT, |asked| asked.last().unwrap().rate == asked[0].rate - 20);
    assert_eq!(asked.last().unwrap().text, asked[0].text);
    // From its beginning.
    listen.type_keys("r");
    let asked = scene.wait_for_asked(asked.len() + 1);
    assert_eq!(asked.last().unwrap().text, asked[0].text);
    // As fast as it goes, until it says that there is more.
    listen.type_keys("+++++++++++++++++++++");
    let more = "more seconds, press more";
    scene.wait_until(more, 2 * support::TIMEOUT, |asked| asked.last().unwrap().text.contains(more));
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("it has said that there is more", has_ended);
    let before = scene.asked();
    assert!(before.last().unwrap().text.starts_with("and "), "{before:?}");
    listen.type_keys("m");
    let asked = scene.wait_for_asked(before.len() + 1);
    let next = &asked[before.len()].text;
    assert!(
        next.starts_with("This is sentence number") && !before.iter().any(|asked| asked.text == *next),
        "{next}"
    );
    // On to the next.
    scene.ayşe.send("burak", "This is the one after it, and it is short.");
    listen.wait_for("it is short");
    listen.type_keys("n");
    let after = "the one after it";
    scene.wait_until(after, support::TIMEOUT, |asked| asked.last().unwrap().text.contains(after));
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}

#[test]
fn what_ends_by_itself_repeats_and_reads_what_was_not_heard_before_it_does() {
    let scene = Scene::new();
    // One piece, and long enough for two keys to be obeyed while it is read.
    let first = "This is the text that is asked for by its id, and it goes on for a good while without coming to an end, \
                 so that whoever has something to press while it is read has the time for that.";
    let second = "This is one that was not heard.";
    scene.ayşe.send("burak", second);
    // There is nothing to read it with.
    let mut deaf = scene.command(&["receive", "--speak", "--mute"]);
    Running::start(deaf.env("SPEECHD_ADDRESS", "unix_socket:/nonexistent")).wait().ok();
    scene.ayşe.send("burak", first);
    scene.run(&["receive", "--mute"]).ok();
    let mut speak = scene.screen(&["speak", "last", "--mute"]);
    speak.wait_for("(keys:");
    scene.wait_for_asked(1);
    speak.type_keys("r");
    scene.wait_for_asked(2);
    speak.type_keys("u");
    speak.wait_for("(one that was not heard)");
    assert_eq!(speak.finish(), 0);
    let asked = scene.asked();
    let read: Vec<&str> = asked.iter().map(|asked| asked.text.trim_start_matches("ayşe: ")).collect();
    assert_eq!(read, [first, first, second]);
}

#[test]
fn in_a_conversation_commands_do_what_keys_do() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    zoé.send("burak", "This was written before, by zoé, and is not read yet.");
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/unread zoé\r");
    let asked = scene.wait_for_asked(1);
    assert_eq!(asked[0].text, "zoé: This was written before, by zoé, and is not read yet.");
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("it has been read", has_ended);
    // A reply goes to whoever was heard last, and not to the one the conversation is with.
    chat.type_keys("/reply\r");
    chat.wait_for("* recording for zoé: Enter sends it");
    let note = scene.ayşe.file("note.wav");
    std::fs::write(&note, support::wav::tone(32_000)).unwrap();
    scene.card.speak_into_microphone(&note);
    chat.type_keys("\r");
    chat.wait_for("* voice note for zoé, 0:0");
    assert_eq!(zoé.run(["receive", "--wait", "60", "--json"]).json()[0]["kind"], "voice");

    // How somebody sounds is shown, changed, and heard.
    chat.type_keys("/voice-of ayşe\r");
    chat.wait_for("* ayşe sounds like this: pitch=");
    let asked = scene.wait_until("the name", support::TIMEOUT, |asked| asked.last().unwrap().text == "ayşe");
    let (count, before) = (asked.len(), asked.last().unwrap().pitch);
    chat.type_keys("/voice-of ayşe higher\r");
    let asked = scene.wait_for_asked(count + 1);
    assert_eq!((asked[count].text.as_str(), asked[count].pitch), ("ayşe", before + 15));

    // What arrives is read; the rest of what is long on request, and all of it once more.
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    scene.ayşe.send("burak", &long());
    chat.wait_for("This is sentence number 1 ");
    scene.wait_for_asked(count + 2);
    // As fast as it goes.
    chat.type_keys(&"/faster\r".repeat(20));
    let more = "more seconds, press more";
    let asked =
        scene.wait_until(more, 2 * support::TIMEOUT, |asked| asked.last().unwrap().text.contains(more));
    let first = asked.iter().find(|asked| asked.text.contains("sentence number 1 ")).unwrap();
    assert_eq!(first.pitch, before + 15);
    let heard = scene.card.record_loudspeaker();
    // Between two sentences there may be half a second, too.
    heard.wait_until("it has said that there is more", |samples| {
        has_ended(samples) && signal::is_silent(samples, 1.5)
    });
    chat.type_keys("/more\r");
    let asked = scene.wait_for_asked(asked.len() + 1);
    let next = asked.last().unwrap().text.clone();
    assert!(next.starts_with("This is sentence number") && next != first.text, "{next}");
    chat.type_keys("/again\r");
    let asked = scene.wait_for_asked(asked.len() + 1);
    assert!(asked.last().unwrap().text.contains("This is sentence number"), "{asked:?}");
    chat.type_keys("/stop\r");
    heard.wait_until("it is silent", has_ended);
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn in_a_conversation_a_command_silences_nothing_before_it_is_given() {
    let scene = Scene::new();
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    scene.ayşe.send("burak", &long());
    scene.ayşe.send("burak", "And this is what comes after it.");
    let first = scene.wait_for_asked(1)[0].clone();
    chat.wait_for("And this is what comes after it.");
    // The sentence begins again, at another pace.
    for (command, step) in [("/slower\r", -10), ("/faster\r", 10)] {
        let before = scene.asked();
        chat.type_keys(command);
        let asked = scene.wait_for_asked(before.len() + 1);
        let (before, now) = (&before[before.len() - 1], &asked[before.len()]);
        assert_eq!((&now.text, now.rate), (&before.text, before.rate + step), "{command}");
    }
    assert_eq!(scene.asked().last().unwrap().rate, first.rate);
    chat.type_keys("/next\r");
    let after = |asked: &[Asked]| asked.last().unwrap().text.contains("what comes after it");
    scene.wait_until("what comes after it", support::TIMEOUT, after);
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn in_a_conversation_what_was_silenced_is_kept_and_so_is_the_pace() {
    let scene = Scene::new();
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    chat.type_keys("/faster\r".repeat(8).as_str());
    scene.ayşe.send("burak", &long());
    let first = scene.wait_for_asked(1)[0].clone();
    // The first key silences it.
    chat.type_keys("/speak off\r");
    chat.wait_for("what arrives is not read aloud any more");
    let count = scene.asked().len();
    chat.type_keys("/unread *\r");
    let asked = scene.wait_for_asked(count + 1);
    assert_eq!((asked[count].text.as_str(), asked[count].rate), (first.text.as_str(), first.rate));
    // Notes are as fast: what takes four seconds takes two.
    chat.type_keys("/stop\r/speak on\r");
    chat.wait("it is on again", |parser| {
        let shown = parser.screen().contents();
        shown.rsplit_once("/unread *").is_some_and(|(_, after)| after.contains("what arrives is read aloud"))
    });
    let heard = scene.card.record_loudspeaker();
    for _ in 0..2 {
        scene.ayşe.send_note("burak", &support::wav::tone(4 * 16_000));
    }
    // That they were heard to their ends is kept a moment after that.
    let deadline = Instant::now() + support::TIMEOUT;
    let listened =
        || scene.burak.run(["history", "--json"]).json().into_iter().filter(|note| note["listened"] == true);
    while listened().count() < 2 {
        assert!(Instant::now() < deadline, "it is not kept that the notes were heard");
    }
    // All that sounded, the sender's name among it, however often it was broken off by a busy machine.
    let bursts = signal::bursts(&heard.stop(), RATE, 0.15).into_iter();
    let seconds: f32 = bursts.map(|(from, until)| until - from).sum();
    assert!((3.0..6.5).contains(&seconds), "two notes of four seconds took {seconds} s");
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
    // The next process has what was silenced, and not what was heard. It has nothing to read it with.
    let mut left = scene.command(&["listen", "--unread", "--mute"]);
    let left = Running::start(left.env("SPEECHD_ADDRESS", "unix_socket:/nonexistent")).wait();
    assert!(left.ok().contains("sentence number 1 ") && left.ok().lines().count() == 1, "{left:?}");
}

#[test]
fn a_reply_in_which_nobody_is_heard_is_asked_about_and_one_that_cant_leave_is_kept() {
    let mut scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", "Say something.");
    scene.wait_for_asked(1);
    let begun = |listen: &Screen, count: usize| {
        listen.wait(&format!("{count} recordings"), |parser| {
            parser.screen().contents().matches("(recording a reply to ayşe").count() == count
        });
    };
    let said = scene.ayşe.file("note.wav");
    std::fs::write(&said, support::wav::siren()).unwrap();

    listen.type_keys("v");
    begun(&listen, 1);
    scene.card.record("microphone").listen(Duration::from_secs(1));
    listen.type_keys("v");
    listen.wait_for("(nobody is heard in it: Enter or v sends it all the same");
    listen.type_keys("c");
    listen.wait_for("(not sent: what was recorded is forgotten)");

    // Without the server it waits in the outbox.
    scene.server.kill();
    listen.type_keys("v");
    begun(&listen, 2);
    scene.card.speak_into_microphone(&said);
    listen.type_keys("v");
    listen.wait_for("(a voice note for ayşe, 0:0");
    listen.wait_for("waits for the server, and leaves by itself once connected)");
    assert!(scene.ayşe.run(["receive"]).failure().contains("can't reach"));
    scene.server.restart_on_same_port();
    listen.wait_for("(sent now: the voice note for ayşe that waited)");
    let received = scene.ayşe.run(["receive", "--wait", "60", "--json"]).json();
    assert_eq!(received.len(), 1, "what was silent was not sent: {received:?}");
    assert_eq!(received[0]["kind"], "voice");

    // One that still waits at the end is told of.
    scene.server.kill();
    listen.type_keys("v");
    begun(&listen, 3);
    scene.card.speak_into_microphone(&said);
    listen.type_keys("v");
    listen.wait("another voice note", |parser| {
        parser.screen().contents().matches("(a voice note for ayşe, 0:0").count() == 2
    });
    listen.type_keys("q");
    listen.wait_for("(1 voice note still waits for the server, to leave when tellal next runs)");
    assert_eq!(listen.finish(), 0);
    scene.server.restart_on_same_port();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let count = scene.asked().len();
    scene.ayşe.send("burak", "Say something else.");
    scene.wait_for_asked(count + 1);

    // With another key in the place of hers it can't be sent at all.
    listen.type_keys("v");
    begun(&listen, 1);
    let impostor = swap(&mut scene.server, "ayşe");
    impostor.send("burak", "I am ayşe, of course");
    listen.wait_for("I am ayşe, of course");
    scene.card.speak_into_microphone(&said);
    listen.type_keys("v");
    listen.wait_for("the recording is kept in ");
    let folder = std::fs::read_dir(scene.burak.home()).unwrap().map(|entry| entry.unwrap().path());
    let is_kept = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("unsent-");
    let kept: Vec<PathBuf> = folder.filter(is_kept).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let samples = |path: &PathBuf| signal::read(&std::fs::read(path).unwrap()).0;
    let found = signal::find(&samples(&kept[0]), &samples(&said));
    assert!(found.correlation > 0.9, "{found:?}");
    listen.type_keys("q");
    listen.finish();
}
