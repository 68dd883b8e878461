use std::time::Instant;

use super::*;

fn meter(level: f32, peak: f32) -> Meter {
    Meter { level, peak, since: None }
}

#[test]
fn the_level_is_drawn_in_decibels_with_a_mark_at_the_loudest() {
    assert_eq!(meter(0.0, 0.0).draw(), "[----------------] -48 dB");
    assert_eq!(meter(1.0, 1.0).draw(), "[################]   0 dB too loud");
    assert_eq!(meter(0.5, 0.5).draw(), "[##############--]  -6 dB");
    assert_eq!(meter(f32::NAN, 0.5).draw(), "[-------------|--]  -6 dB");
    assert_eq!(meter(0.01, 0.1).draw(), "[###------|------] -20 dB");
}

#[test]
fn the_mark_stays_for_a_while_and_then_falls() {
    let (mut meter, now) = (Meter::default(), Instant::now());
    meter.see(0.5, 0.8, now);
    assert_eq!((meter.level, meter.peak), (0.8, 0.8));
    meter.see(0.1, 0.1, now + Duration::from_secs(1));
    assert_eq!((meter.level, meter.peak), (0.1, 0.8));
    meter.see(0.1, 0.2, now + Duration::from_secs(2));
    assert_eq!(meter.peak, 0.2);
}

#[test]
fn the_level_is_said_in_words() {
    assert!(level(0.0).contains("muted"));
    assert!(level(0.01).contains("quiet"));
    assert_eq!(level(0.3), "level good");
    assert!(level(1.0).contains("loud"));
}

/// What is said when so much was recorded, at a loudness.
fn said(watch: &mut Watch, seconds: u64, loudest: f32, clipped: u64) -> Vec<String> {
    let mut words = Vec::new();
    let elapsed = Duration::from_secs(seconds);
    watch.look(&Seen { elapsed, loudest, clipped, away: false, device: "desk".to_owned() }, &mut words);
    words
}

fn watch() -> Watch {
    Watch::new(LIMIT, "desk".to_owned())
}

#[test]
fn silence_is_said_once_and_again_after_somebody_spoke() {
    let mut watch = watch();
    assert!(said(&mut watch, 2, 0.0, 0).is_empty());
    assert!(said(&mut watch, 3, 0.001, 0)[0].contains("nothing is heard"));
    assert!(said(&mut watch, 9, 0.0, 0).is_empty());
    assert!(said(&mut watch, 10, 0.2, 0).is_empty());
    assert!(said(&mut watch, 24, 0.0, 0).is_empty());
    assert_eq!(said(&mut watch, 25, 0.0, 0).len(), 1);
}

#[test]
fn too_loud_is_said_once_unless_it_becomes_much_worse() {
    let mut watch = watch();
    assert!(said(&mut watch, 1, 0.9, 100).is_empty());
    assert!(said(&mut watch, 2, 1.0, 200)[0].starts_with("too loud: "));
    assert!(said(&mut watch, 3, 1.0, 700).is_empty());
    assert!(said(&mut watch, 4, 1.0, 1_000)[0].contains("still"));
}

#[test]
fn the_limit_is_told_beforehand_if_there_is_time_for_that() {
    let mut watch = watch();
    assert!(said(&mut watch, 539, 0.2, 0).is_empty());
    assert_eq!(said(&mut watch, 540, 0.2, 0), ["one more minute"]);
    assert!(said(&mut watch, 580, 0.2, 0).is_empty());
    assert_eq!(said(&mut watch, 591, 0.2, 0), ["10 more seconds"]);
    let mut short = Watch::new(Duration::from_secs(5), "desk".to_owned());
    assert!(said(&mut short, 4, 0.2, 0).is_empty());
}

#[test]
fn another_microphone_is_told() {
    let mut watch = watch();
    let seen = |away, device: &str| Seen {
        elapsed: Duration::from_secs(1),
        loudest: 0.2,
        clipped: 0,
        away,
        device: device.to_owned(),
    };
    let mut words = Vec::new();
    watch.look(&seen(true, "desk"), &mut words);
    watch.look(&seen(true, "desk"), &mut words);
    watch.look(&seen(false, "headset"), &mut words);
    watch.look(&seen(false, "headset"), &mut words);
    assert_eq!(words, ["the microphone is gone: waiting for another", "recording from headset now"]);
    words.clear();
    watch.look(&seen(true, "headset"), &mut words);
    watch.look(&seen(false, "headset"), &mut words);
    assert_eq!(words.len(), 2, "the same one is told, too: {words:?}");
}
