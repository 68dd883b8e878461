//! The program's own sounds: whose they are, how loud, when there are none, and what `tellal sounds` says of them.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::card::{Card, RATE};
use support::{Profile, Server, schema, signal};

/// Of the built-in sounds, the one that is heard; its peak.
#[track_caller]
fn heard(recording: &[f32]) -> (&'static str, f32) {
    let all = ["sent", "received", "voice_received", "joined", "left", "error"];
    let found = all.map(|name| {
        let (samples, rate) = signal::read(&std::fs::read(format!("sounds/{name}.wav")).unwrap());
        (name, signal::find(recording, &signal::at_rate(&samples, rate, RATE)).correlation)
    });
    let best = found.iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
    assert!(best.1 > 0.85, "none is heard: {found:?}");
    (best.0, signal::peak(recording))
}

fn put(profile: &Profile, path: &str, sound: &str) {
    let path = profile.file(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::copy(Path::new("sounds").join(sound), path).unwrap();
}

/// A span of hours around now, as settings have it. Tests run in UTC.
fn now_is_quiet() -> String {
    let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let hour = seconds / 3600 % 24;
    format!("quiet = \"{:02}:00-{:02}:00\"\n", (hour + 23) % 24, (hour + 2) % 24)
}

#[test]
fn everybody_can_have_sounds_of_their_own_softer_or_none() {
    let (card, server) = (Card::start(), Server::start());
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    put(&burak, "sounds/ayşe/received.wav", "left.wav");
    let receive = |from: &Profile| {
        from.send("burak", "merhaba");
        let recording = card.record_loudspeaker();
        let received = card.run(&burak, ["receive"]);
        received.ok();
        (recording.stop(), received.stderr)
    };
    let (sound, said) = receive(&ayşe);
    let (name, loud) = heard(&sound);
    assert_eq!((name, said.as_str()), ("left", ""));
    assert_eq!(heard(&receive(&zoé).0).0, "received");

    std::fs::write(burak.file("settings.toml"), "volume = 25\nvolum = 3\n").unwrap();
    let (sound, said) = receive(&ayşe);
    let (name, soft) = heard(&sound);
    assert_eq!(name, "left");
    assert!((0.2..0.3).contains(&(soft / loud)), "{soft} of {loud}");
    assert!(said.contains("volum is no setting"), "{said}");

    std::fs::write(burak.file("settings.toml"), "silent = [\"received\"]\n").unwrap();
    assert!(signal::peak(&receive(&zoé).0) < 1e-4);
    std::fs::write(burak.file("settings.toml"), now_is_quiet()).unwrap();
    assert!(signal::peak(&receive(&ayşe).0) < 1e-4);

    // Asked for, they are heard all the same.
    let recording = card.record_loudspeaker();
    let played = card.run(&burak, ["sounds", "--play", "received", "--for", "AYŞE", "--json"]).json();
    assert_eq!((played.len(), heard(&recording.stop()).0), (1, "left"));
    schema::check(&played[0], &["sound"]);
    let recording = card.record_loudspeaker();
    let played = card.run(&burak, ["sounds", "--play", "all"]);
    assert_eq!(played.ok().lines().count(), 6, "{played:?}");
    assert_eq!(signal::bursts(&recording.stop(), RATE, 0.1).len(), 6, "one after the other");
}

#[test]
fn the_list_says_where_each_is_from_and_what_is_wrong() {
    let server = Server::start();
    let burak = Profile::new(&server, "burak");
    let list = |args: &[&str]| burak.run([&["sounds", "--json"], args].concat());
    let files = |lines: &[Value]| lines.iter().filter(|line| !line["file"].is_null()).count();
    let all = list(&[]).json();
    assert_eq!((all.len(), files(&all)), (6, 0));
    all.iter().for_each(|line| schema::check(line, &["sound"]));

    put(&burak, "sounds/left.wav", "sent.wav");
    put(&burak, "sounds/지민/joined.wav", "sent.wav");
    put(&burak, "sounds/not a name/joined.wav", "sent.wav");
    std::fs::write(burak.file("sounds/sent.wav"), support::wav::tone(16_000 * 6)).unwrap();
    let finished = list(&[]);
    let all = finished.json();
    assert_eq!((all.len(), files(&all)), (7, 2), "{finished:?}");
    let own = all.last().unwrap();
    assert_eq!((&own["for"], &own["sound"]), (&"지민".into(), &"joined".into()));
    assert!(
        finished.one_line().contains("sent.wav is 6 s long: the limit is 5 s; the built-in sound is used")
    );
    // What is said of somebody are all that are heard for them.
    let theirs = list(&["--for", "지민"]).json();
    assert_eq!((theirs.len(), files(&theirs)), (6, 2));

    let words = burak.run(["sounds", "--plain"]);
    assert!(words.ok().lines().next().unwrap().starts_with("sent: 0."), "{words:?}");
    assert!(words.ok().contains("joined for 지민: "), "{words:?}");
    assert_eq!(burak.run(["sounds", "--play", "nothing"]).code(), 2);
    let failed = burak.run(["sounds", "--play", "left"]);
    assert_eq!(failed.code(), 1);
    assert!(failed.stderr.contains("no loudspeaker"), "{failed:?}");
}
