//! Hands-free in `tellal chat`, heard through a virtual sound card: the real program, the real speech service, which tells
//! what it was asked to say.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::time::Duration;

use support::card::RATE;
use support::screen::Screen;
use support::signal::{has_ended, sounds};
use support::voice::{Asked, Scene, long, sentences};
use support::{Profile, TIMEOUT, signal, wav};

const PROMPT: &str = "you → ayşe> ";

/// Burak's terminal, in conversation with ayşe; what arrives is read aloud.
fn speaking(scene: &Scene) -> Screen {
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    chat.wait_for_cursor(PROMPT);
    chat
}

/// Waits until this stands below the last line with that.
#[track_caller]
fn wait_below(chat: &Screen, above: &str, text: &str) {
    chat.wait(&format!("{text:?} below {above:?}"), |parser| {
        let shown = parser.screen().contents();
        shown.rsplit_once(above).is_some_and(|(_, below)| below.contains(text))
    });
}

fn said(asked: &Asked) -> &str {
    asked.text.split_once(": ").map_or(asked.text.as_str(), |(_, text)| text)
}

#[test]
fn what_a_recording_interrupts_is_read_afterwards_and_so_is_what_waited() {
    let scene = Scene::new();
    let mut chat = speaking(&scene);
    for command in ["/voice", "/reply", "/live"] {
        let before = scene.asked().len();
        let first =
            format!("This is being read when {command} is typed, and it goes on for some time after that.");
        let second = format!("And this waited for {command} all the while.");
        let heard = scene.card.record_loudspeaker();
        scene.ayşe.send("burak", &first);
        scene.ayşe.send("burak", &second);
        chat.wait_for(&second);
        scene.wait_for_asked(before + 1);
        heard.wait_until("the first is being read", sounds);
        chat.type_keys(&format!("{command}\r"));
        chat.wait_for_cursor("recording for ayşe, Enter sends> ");
        heard.wait_until("it is silent", has_ended);
        let silent = scene.asked().len();
        assert_eq!(silent, before + 1, "the first is not to be over yet: {:#?}", scene.asked());
        heard.listen(Duration::from_secs(2));
        assert_eq!(scene.asked().len(), silent, "it goes on while {command} records");
        chat.type_keys("/cancel\r");
        chat.wait_for_cursor(PROMPT);
        let asked = scene.wait_for_asked(silent + 2);
        let read: Vec<&str> = asked[silent..].iter().map(said).collect();
        assert_eq!(read, [first, second]);
        heard.wait_until("both have been read", has_ended);
    }
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn what_more_of_a_text_cuts_short_is_read_after_it() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", &sentences(12));
    scene.wait_for_asked(1);
    // As fast as it goes.
    listen.type_keys("+++++++++++++++++++++");
    let more = "more seconds, press more";
    scene.wait_until(more, 2 * TIMEOUT, |asked| asked.last().unwrap().text.contains(more));
    zoé.send("burak", "This is another text, by somebody else, which is being read when more of the first one is asked for.");
    let another = |asked: &Asked| asked.text.starts_with("zoé: This is another text");
    let asked = scene.wait_until("the other text", TIMEOUT, |asked| asked.last().is_some_and(another));
    listen.type_keys("m");
    let count = asked.len();
    let after = |asked: &[Asked]| asked.len() > count && asked.last().is_some_and(another);
    let asked = scene.wait_until("the other text, again", TIMEOUT, after);
    let rest = &asked[count..asked.len() - 1];
    assert!(rest.iter().all(|asked| asked.text.contains("sentence number")), "{rest:#?}");
    assert!(rest.last().unwrap().text.contains("sentence number 12 "), "{rest:#?}");
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}

#[test]
fn what_was_read_as_it_came_is_not_new_and_what_was_silenced_is_told_of() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    let mut chat = speaking(&scene);
    let heard = scene.card.record_loudspeaker();
    zoé.send("burak", "This is from zoé, who is not the one talked to.");
    scene.wait_for_asked(1);
    heard.wait_until("it has been read", has_ended);
    chat.type_keys("/unread\r");
    wait_below(&chat, "/unread", "nothing new");
    chat.wait_for_cursor(PROMPT);
    chat.type_keys("/unread *\r");
    wait_below(&chat, "/unread *", "nothing is unread");
    assert_eq!(scene.asked().len(), 1);
    // Silenced, and not by her whom the prompt would count.
    let silenced = "This one is going to be silenced by a key, since it is in the way of something else.";
    scene.ayşe.send("burak", silenced);
    scene.wait_for_asked(2);
    chat.wait_for("something else.");
    chat.type_keys("x\u{15}");
    heard.wait_until("it is silent", has_ended);
    chat.wait_for_cursor(PROMPT);
    chat.type_keys("/unread\r");
    let left = "not heard yet: ayşe 1; /unread ayşe reads it";
    wait_below(&chat, "> /unread", left);
    chat.type_keys("/speak off\r/speak on\r");
    wait_below(&chat, "/speak off", left);
    chat.type_keys("/unread ayşe\r");
    let asked = scene.wait_for_asked(3);
    assert_eq!(asked.iter().map(said).skip(1).collect::<Vec<_>>(), [silenced; 2]);
    heard.wait_until("it has been read", has_ended);
    chat.type_keys("/unread\r");
    wait_below(&chat, "/unread ayşe", "nothing new");
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn in_quiet_hours_a_conversation_is_silent_until_something_is_asked_for() {
    let scene = Scene::new();
    // Now is in it, whatever time it is.
    let at = |hours: i64| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M").to_string()
    };
    let settings = format!("quiet = \"{}-{}\"\n", at(-2), at(10));
    std::fs::write(scene.burak.file("settings.toml"), settings).unwrap();
    let mut chat = speaking(&scene);
    let heard = scene.card.record_loudspeaker();
    scene.ayşe.send("burak", "This is for later.");
    scene.ayşe.send_note("burak", &wav::siren());
    chat.wait_for("ayşe: voice note, 0:01");
    heard.listen(Duration::from_secs(2));
    assert!(signal::peak(&heard.so_far()) < 0.01);
    assert_eq!(scene.asked(), []);
    chat.type_keys("/unread\r");
    chat.wait_for("not heard yet: ayşe 2; /unread ayşe reads it");
    chat.type_keys("/unread ayşe\r");
    assert_eq!(said(&scene.wait_for_asked(1)[0]), "This is for later.");
    let (siren, rate) = signal::read(&wav::siren());
    let siren = signal::at_rate(&siren, rate, RATE);
    heard.wait_until("the note is over", |samples| {
        has_ended(samples) && signal::find(samples, &siren[..RATE as usize / 4]).correlation > 0.9
    });
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn notes_and_texts_are_heard_in_the_order_of_arrival() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    let mut chat = speaking(&scene);
    let heard = scene.card.record_loudspeaker();
    scene.ayşe.send("burak", "Hello, I am going to send you a voice note now.");
    scene.ayşe.send_note("burak", &wav::siren());
    zoé.send("burak", "That was a voice note, and this is a text.");
    let asked = scene.wait_for_asked(2);
    let (siren, rate) = signal::read(&wav::siren());
    let siren = signal::at_rate(&siren, rate, RATE);
    // By a quarter: a machine under load stutters in others.
    let quarter = &siren[..RATE as usize / 4];
    // The last word is heard well after the note.
    heard.wait_until("all of it has been heard", |samples| {
        let note = signal::find(samples, quarter);
        let end = note.at + siren.len();
        note.correlation > 0.9
            && has_ended(samples)
            && samples.len() > end
            && signal::peak(&samples[end..]) > 0.05
    });
    let samples = heard.stop();
    let texts: Vec<&str> = asked.iter().map(|asked| asked.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "ayşe: Hello, I am going to send you a voice note now.",
            "zoé: That was a voice note, and this is a text."
        ]
    );
    let at = |place: usize| place as f32 / RATE as f32;
    let note = signal::find(&samples, quarter);
    let stretches = signal::bursts(&samples, RATE, 0.25);
    assert!(stretches.first().unwrap().1 < at(note.at), "{note:?}: {stretches:?}");
    assert!(stretches.last().unwrap().1 > at(note.at + siren.len()) + 1.0, "{note:?}: {stretches:?}");
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn next_passes_over_what_is_heard_and_goes_on_with_what_comes_next_text_or_note() {
    let scene = Scene::new();
    let mut chat = speaking(&scene);
    let (first, second) = (long(), format!("Another one. {}", long()));
    scene.ayşe.send("burak", &first);
    scene.ayşe.send("burak", &second);
    scene.ayşe.send_note("burak", &wav::rising(30));
    scene.ayşe.send("burak", "This is the last one of these four.");
    let asked = scene.wait_for_asked(1);
    chat.wait_for("the last one of these four");
    assert!(first.starts_with(said(&asked[0])), "{asked:?}");
    let count = scene.asked().len();
    chat.type_keys("/next\r");
    let asked = scene.wait_for_asked(count + 1);
    assert!(second.starts_with(said(&asked[count])), "{asked:?}");
    // The note comes before what was written after it.
    let heard = scene.card.record_loudspeaker();
    chat.type_keys("/next\r");
    let (note, rate) = signal::read(&wav::rising(1));
    let quarter = &signal::at_rate(&note, rate, RATE)[..RATE as usize / 4];
    heard.wait_until("the note is being played", |samples| {
        sounds(samples) && signal::find(samples, quarter).correlation > 0.9
    });
    let count = scene.asked().len();
    chat.type_keys("/next\r");
    let asked = scene.wait_for_asked(count + 1);
    assert_eq!(said(&asked[count]), "This is the last one of these four.");
    heard.wait_until("it has been read", has_ended);
    // What was passed over is not to be heard any more, and nothing else was lost.
    chat.type_keys("/unread *\r");
    wait_below(&chat, "/unread *", "nothing is unread");
    // There is nothing to go on to.
    chat.type_keys("/next\r");
    wait_below(&chat, "/next", "that was the last one");
    assert_eq!(scene.asked().len(), count + 1);
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn a_note_is_played_on_when_a_voice_is_asked_for() {
    let scene = Scene::new();
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    let note = wav::rising(8);
    scene.ayşe.send_note("burak", &note);
    chat.wait_for("ayşe: voice note, 0:08");
    let heard = scene.card.record_loudspeaker();
    chat.type_keys("/play\r");
    heard.wait_until("the note is being played", sounds);
    chat.type_keys("/voice-of ayşe\r/speak on\r");
    chat.wait_for("ayşe sounds like this: ");
    chat.wait_for("what arrives is read aloud");
    let asked = scene.wait_for_asked(1);
    assert_eq!(asked[0].text, "ayşe");
    let samples = heard.stop();
    let (note, rate) = signal::read(&note);
    let note = signal::at_rate(&note, rate, RATE);
    // By quarters of a second: a machine under load stutters in some.
    let quarters: Vec<signal::Found> =
        note.chunks_exact(RATE as usize / 4).map(|quarter| signal::find(&samples, quarter)).collect();
    let clear = quarters.iter().filter(|found| found.correlation > 0.9).count();
    assert!(clear + 4 >= quarters.len(), "{clear} of {}: {quarters:?}", quarters.len());
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}
