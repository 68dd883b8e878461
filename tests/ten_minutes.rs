//! The end of a recording at its limit of ten minutes, which pass in a few seconds here: the microphone gives sound
//! as fast as it is taken.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::Profile;
use support::card::Card;

/// Of Linux: a pipe that is full is not waited for.
const O_NONBLOCK: i32 = 0o4000;

/// Somebody who speaks a hundred times as fast as time goes by, until this is dropped.
struct Speaking(Arc<AtomicBool>);

impl Speaking {
    /// Into a microphone's pipe.
    fn into(pipe: &Path) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let mut pipe = std::fs::File::options().write(true).custom_flags(O_NONBLOCK).open(pipe).unwrap();
        // A tenth of a second of 1 kHz.
        let wave = |sample: u32| (f64::from(sample) * std::f64::consts::TAU / 16.0).sin() * 9_000.0;
        let tone: Vec<u8> = (0..1_600).flat_map(|sample| (wave(sample) as i16).to_le_bytes()).collect();
        std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                // Nobody listens, or not so fast: what is said now is lost.
                let _ = pipe.write(&tone);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self(over)
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The length of the newest message, a note.
fn milliseconds(profile: &Profile) -> u64 {
    profile.run(["history", "--json", "--limit", "1"]).json()[0]["duration_ms"].as_u64().unwrap()
}

#[test]
fn in_a_conversation_it_ends_and_waits_for_what_is_to_become_of_it() {
    let (card, _server, ayşe, _burak) = Card::with_friends();
    let mut chat = card.screen(&ayşe, &["chat", "burak", "--mute"]);
    chat.wait_for("connected; burak is");
    let speaking = Speaking::into(&card.plug_in_hasty());
    chat.type_keys("/voice\r");
    chat.wait_for("* one more minute");
    chat.wait_for("* 10 more seconds");
    chat.wait_for("* this is the limit of 10:00, and the end of the recording");
    // Nothing is added to it, whatever is still said.
    chat.type_keys(" ");
    chat.wait_for("* nothing is being recorded now: Enter sends what there is");
    drop(speaking);
    chat.type_keys("\r");
    chat.wait_for("* voice note for burak, 10:00");
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
    assert_eq!(milliseconds(&ayşe), 600_000);
}

#[test]
fn in_a_conversation_one_that_is_heard_while_it_is_spoken_ends_and_says_so() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let mut chat = card.screen(&ayşe, &["chat", "burak", "--mute"]);
    chat.wait_for("connected; burak is");
    let speaking = Speaking::into(&card.plug_in_hasty());
    chat.type_keys("/live\r");
    chat.wait_for("* speaking to burak: Enter ends it, /cancel takes it back");
    chat.wait_for("* one more minute");
    chat.wait_for("* 10 more seconds");
    chat.wait_for("* this is the limit of 10:00, and the end of the recording");
    chat.wait_for("* spoken to burak, 10:00");
    drop(speaking);
    // It has ended by itself: a line is a text again.
    chat.type_keys("That was all.\r/quit\r");
    assert_eq!(chat.finish(), 0);
    let shown = chat.lines().join("\n");
    assert!(!shown.contains("cut off"), "{shown}");
    let received = burak.receive();
    assert_eq!((received.len(), &received[0]["duration_ms"]), (2, &600_000.into()), "{received:?}");
    assert_eq!((received[0].get("cut_off"), &received[1]["text"]), (None, &"That was all.".into()));
}

#[test]
fn a_reply_while_listening_ends_and_is_sent_when_that_is_wanted() {
    let (card, _server, ayşe, burak) = Card::with_friends();
    let mut listen = card.screen(&burak, &["listen", "--mute"]);
    listen.wait_for("(keys:");
    ayşe.send("burak", "Tell me everything.");
    // It has been its turn.
    listen.wait_for("tellal: no speech service answers");
    let _speaking = Speaking::into(&card.plug_in_hasty());
    listen.type_keys("v");
    listen.wait_for("(recording a reply to ayşe");
    listen.wait_for("(one more minute)");
    listen.wait_for("(10 more seconds)");
    listen.wait_for("(this is the limit of 10:00, and the end of the recording: Enter or v sends");
    listen.type_keys("v");
    listen.wait_for("(a voice note for ayşe, 10:00)");
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
    assert_eq!(milliseconds(&burak), 600_000);
}

#[test]
fn a_note_ends_and_waits_and_one_that_is_heard_while_it_is_spoken_says_that_it_has_ended() {
    let (card, _server, ayşe, _burak) = Card::with_friends();
    let _speaking = Speaking::into(&card.plug_in_hasty());
    let mut voice = card.screen(&ayşe, &["voice", "burak", "--mute"]);
    voice.wait_for("10 more seconds");
    voice.wait_for("this is the limit of 10:00, and the end of the recording: Enter sends it");
    voice.type_keys("\r");
    assert_eq!(voice.finish(), 0);
    assert_eq!(milliseconds(&ayşe), 600_000);

    let mut live = card.screen(&ayşe, &["voice", "burak", "--live", "--mute"]);
    live.wait_for("10 more seconds");
    live.wait_for("this is the limit of 10:00, and the end of the recording");
    assert_eq!(live.finish(), 0);
    assert_eq!(milliseconds(&ayşe), 600_000);
}
