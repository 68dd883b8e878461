use std::num::NonZero;

use super::*;

const RATE: usize = 16_000;

fn rate() -> NonZero<u32> {
    NonZero::new(RATE as u32).unwrap()
}

fn mono(samples: Vec<i16>) -> Sound {
    Sound::new(samples, NonZero::<u16>::MIN, rate())
}

/// Something like a voice of a fundamental: pulses through two resonances, rising and falling.
fn voice(fundamental: f64, seconds: usize) -> Vec<i16> {
    let mut phase = 0.0f64;
    let (mut first, mut second) = ((0.0, 0.0), (0.0, 0.0));
    let resonance = |state: &mut (f64, f64), hertz: f64, input: f64| {
        let (radius, angle) = (0.97, std::f64::consts::TAU * hertz / RATE as f64);
        let output = input + 2.0 * radius * angle.cos() * state.0 - radius * radius * state.1;
        *state = (output, state.0);
        output
    };
    let samples: Vec<f64> = (0..RATE * seconds)
        .map(|at| {
            phase += fundamental / RATE as f64;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase = phase.fract();
            let loud = 0.6 + 0.4 * (at as f64 * std::f64::consts::TAU * 3.0 / RATE as f64).sin();
            let low = resonance(&mut first, 700.0, pulse * loud);
            low + 0.5 * resonance(&mut second, 1_200.0, pulse * loud)
        })
        .collect();
    let most = samples.iter().fold(0.0f64, |most, sample| most.max(sample.abs()));
    samples.iter().map(|sample| (sample / most * 20_000.0) as i16).collect()
}

/// The fundamental of a stretch of sound, by autocorrelation, in hertz.
fn pitch(samples: &[f32]) -> f64 {
    let score = |lag: usize| {
        let pairs = samples.iter().zip(samples.iter().skip(lag));
        let product: f64 = pairs.map(|(a, b)| f64::from(a * b)).sum();
        product / (samples.len() - lag) as f64
    };
    let lags = RATE / 300..RATE / 60;
    let most = lags.clone().map(score).fold(0.0, f64::max);
    // Two periods fit as well as one does: the first peak counts.
    let near = lags.clone().find(|lag| score(*lag) > 0.9 * most).unwrap();
    let best = (near..near + 10).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap();
    // Between two samples: a parabola through the neighbours.
    let (left, here, right) = (score(best - 1), score(best), score(best + 1));
    let shift = 0.5 * (left - right) / (left - 2.0 * here + right);
    RATE as f64 / (best as f64 + shift)
}

/// A player and its way to a device.
struct Bench {
    player: Player,
    voice: Voice,
}

impl Bench {
    fn new(sound: Sound, from: Duration, speed: f32) -> Self {
        let mut player = Player::new(Track::new(from, speed), sound);
        let voice = player.enter();
        Self { player, voice }
    }

    /// What the device takes, as much at a time as devices do.
    fn take(&mut self, count: usize) -> Vec<f32> {
        let mut taken = Vec::new();
        while taken.len() < count {
            if let Some(voice) = self.player.turn() {
                self.voice = voice;
            }
            self.player.prepare();
            let part = (count - taken.len()).min(1000);
            let before = taken.len();
            taken.extend(self.voice.by_ref().take(part));
            if taken.len() == before {
                break;
            }
        }
        taken
    }

    fn position(&self) -> Duration {
        self.player.track.position()
    }
}

fn ramp(count: usize) -> Vec<i16> {
    (0..count).map(|at| (at % 30_000) as i16 + 1).collect()
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|sample| f32::from(*sample) / 32768.0).collect()
}

#[test]
fn every_sample_is_given_once_and_it_is_over_only_after_the_silence_behind_them() {
    let samples = ramp(RATE * 2 + 7);
    let mut bench = Bench::new(mono(samples.clone()), Duration::ZERO, 1.0);
    assert_eq!(bench.player.track.stage(), Stage::Waiting);
    assert_eq!(bench.take(samples.len()), floats(&samples));
    assert_eq!(bench.player.track.stage(), Stage::Playing);
    let rest = bench.take(RATE);
    assert_eq!(rest, vec![0.0; RATE * 350 / 1000]);
    assert_eq!((bench.player.track.stage(), bench.position()), (Stage::Over, mono(samples).duration()));
    assert!(bench.take(1).is_empty() && bench.player.track.error().is_none());
    assert!(!bench.player.is_gone(), "the callback still holds it");
    drop(bench.voice);
    assert!(bench.player.is_gone());
}

#[test]
fn a_pause_is_silent_and_the_very_next_sample_follows_on_both_channels() {
    let samples = ramp(RATE);
    let stereo = Sound::new(samples.clone(), NonZero::new(2).unwrap(), rate());
    let mut bench = Bench::new(stereo, Duration::ZERO, 1.0);
    let mut heard = bench.take(3_333);
    bench.player.track.pause(true);
    // What was begun of a frame is given.
    heard.extend(bench.take(1));
    assert_eq!(bench.take(5_001), vec![0.0; 5_001]);
    let at = bench.position();
    assert_eq!(bench.take(5_001), vec![0.0; 5_001]);
    assert_eq!((bench.position(), bench.player.track.stage()), (at, Stage::Playing));
    bench.player.track.pause(false);
    heard.extend(bench.take(RATE).into_iter().take(RATE - heard.len()));
    assert_eq!(heard, floats(&samples));
}

#[test]
fn seeking_goes_on_from_the_very_sample_forwards_and_back() {
    let samples = ramp(RATE * 10);
    let mut bench = Bench::new(mono(samples.clone()), Duration::from_secs(2), 1.0);
    assert_eq!(bench.take(500), floats(&samples[2 * RATE..][..500]));
    for seconds in [7, 1, 0] {
        bench.player.track.seek(Duration::from_secs(seconds));
        assert_eq!(bench.position(), Duration::from_secs(seconds), "told at once");
        assert_eq!(bench.take(3_000), floats(&samples[seconds as usize * RATE..][..3_000]));
        assert_eq!(bench.position(), Duration::from_secs(seconds) + Duration::from_micros(187_500));
    }
    // From the end there is nothing but the silence behind it; from there one can still go back.
    bench.player.track.seek(Duration::from_secs(11));
    assert_eq!(bench.take(100), vec![0.0; 100]);
    bench.player.track.seek(Duration::from_secs(9));
    assert_eq!(bench.take(100), floats(&samples[9 * RATE..][..100]));
}

#[test]
fn another_device_goes_on_without_a_gap() {
    let samples = ramp(RATE * 3);
    let mut bench = Bench::new(mono(samples.clone()), Duration::ZERO, 1.0);
    bench.take(RATE);
    bench.voice = bench.player.enter();
    let held = RATE * 300 / 1000;
    assert_eq!(bench.take(RATE), floats(&samples[RATE - held..][..RATE]));
}

#[test]
fn another_speed_keeps_the_pitch_and_has_the_right_length() {
    for fundamental in [85.0, 104.0, 190.0] {
        let spoken = voice(fundamental, 3);
        let before = pitch(&floats(&spoken[RATE..][..RATE]));
        assert!((before / fundamental - 1.0).abs() < 0.01, "{before}");
        for speed in [0.5, 1.5, 2.0] {
            let mut bench = Bench::new(mono(spoken.clone()), Duration::ZERO, speed);
            let mut heard = bench.take(RATE * 20);
            heard.truncate(heard.len() - RATE * 350 / 1000);
            let wanted = spoken.len() as f32 / speed;
            assert!((heard.len() as f32 - wanted).abs() < 2.0, "{} of {wanted}", heard.len());
            let pitches: Vec<f64> = heard[RATE / 5..].chunks_exact(RATE / 5).map(pitch).collect();
            let worst = pitches.iter().map(|pitch| (pitch / before - 1.0).abs()).fold(0.0, f64::max);
            eprintln!("measured: {fundamental} Hz at speed {speed}: off by {:.2} % at worst", worst * 100.0);
            assert!(worst < 0.03, "{fundamental} Hz at {speed}: {pitches:?}");
        }
    }
}

#[test]
fn the_position_is_right_at_every_speed_and_nothing_jumps_where_it_changes() {
    let spoken = voice(120.0, 6);
    let mut bench = Bench::new(mono(spoken.clone()), Duration::ZERO, 1.0);
    let mut heard = bench.take(RATE);
    let mut wanted = 1.0;
    for speed in [1.5, 0.75, 1.0, 2.0] {
        bench.player.track.set_speed(speed);
        // What was prepared before comes first, at the speed it was prepared for.
        let ahead = bench.player.given as usize - heard.len();
        heard.extend(bench.take(ahead));
        let before = bench.position().as_secs_f64();
        heard.extend(bench.take(RATE / 2));
        let after = bench.position().as_secs_f64();
        let pitch = pitch(&heard[heard.len() - RATE / 2..]);
        assert!((pitch / 120.0 - 1.0).abs() < 0.03, "{pitch} Hz at {speed}, of 120");
        assert!((after - before - f64::from(speed) / 2.0).abs() < 0.001, "{before} {after} at {speed}");
        wanted = after;
    }
    assert!(wanted > 3.0);
    let step = |samples: &[f32]| samples.windows(2).map(|two| (two[1] - two[0]).abs()).fold(0.0, f32::max);
    let (usual, now) = (step(&floats(&spoken)), step(&heard));
    assert!(now < usual * 1.3, "a step of {now}, where {usual} is usual");
}

#[test]
fn a_growing_sound_is_silent_where_there_is_nothing_yet_and_loses_nothing() {
    for speed in [1.0, 1.5] {
        let (feed, sound) = Sound::growing(rate());
        let mut bench = Bench::new(sound, Duration::ZERO, speed);
        assert_eq!(bench.take(2_000), vec![0.0; 2_000]);
        let spoken = voice(110.0, 3);
        let mut heard = Vec::new();
        for part in spoken.chunks(RATE / 4) {
            feed.push(part);
            heard.extend(bench.take(RATE / 2));
        }
        assert_eq!(bench.player.track.stage(), Stage::Playing, "it may still grow");
        drop(feed);
        heard.extend(bench.take(RATE * 2));
        assert_eq!(bench.player.track.stage(), Stage::Over);
        assert_eq!(bench.position(), Duration::from_secs(3));
        if speed == 1.0 {
            heard.retain(|sample| *sample != 0.0);
            let said: Vec<f32> = floats(&spoken).into_iter().filter(|sample| *sample != 0.0).collect();
            assert!(heard == said);
        }
    }
}

/// The longest silence in it, in samples.
fn longest_silence(samples: &[f32]) -> usize {
    samples.split(|sample| *sample != 0.0).map(<[f32]>::len).max().unwrap_or_default()
}

#[test]
fn what_is_being_spoken_has_no_holes_at_any_speed_and_what_waits_is_caught_up_with() {
    let (spoken, group) = (voice(110.0, 14), RATE * 2 / 5);
    for speed in [1.25, 2.0] {
        // How much is there before it is begun with: half a group when it is followed as it is spoken, or seconds of it.
        for waiting in [group / 2, RATE * 3] {
            let (feed, sound) = Sound::growing(rate());
            feed.push(&spoken[..waiting]);
            let mut bench = Bench::new(sound, Duration::ZERO, speed);
            let mut heard = Vec::new();
            for part in spoken[waiting..].chunks(group) {
                feed.push(part);
                heard.extend(bench.take(part.len()));
            }
            let hole = longest_silence(&heard[RATE / 10..]);
            assert!(hole < RATE / 50, "at {speed}: a hole of {} ms", hole * 1000 / RATE);
            let behind = 14.0 - bench.position().as_secs_f64();
            eprintln!("measured: {} ms waited, {behind:.2} s behind at speed {speed}", waiting * 1000 / RATE);
            assert!(behind < 2.0, "{behind} s behind at {speed}");
            // Its end is there: it is as fast as was asked for.
            drop(feed);
            bench.player.track.seek(Duration::from_secs(2));
            bench.take(RATE);
            assert_eq!(bench.position(), Duration::from_secs_f32(2.0 + speed), "at {speed}");
        }
    }
}
