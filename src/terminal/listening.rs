//! A voice note that is being heard: what may be asked of it, and how it is shown. The same in every front end.

use std::time::Duration;

use super::keys::Press;
use super::line;
use crate::audio::{Playback, SPEEDS};

/// Seconds that an arrow goes back or ahead.
pub const STEP: f64 = 5.0;
/// How much faster or slower a key makes it.
const FASTER: f32 = 0.25;
/// What is heard again when listening goes on later: words have a beginning.
const AGAIN: Duration = Duration::from_millis(500);
/// The waveform's columns, at most.
const COLUMNS: usize = 32;
/// How high a column of the waveform may be.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What may be asked of a note that is heard.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Control {
    /// To pause, or to go on.
    Toggle,
    /// To go ahead, or back, by so many seconds.
    Skip(f64),
    /// To go on from a time.
    To(Duration),
    /// To go on from so many tenths of it.
    Tenth(u8),
    /// To be slower or faster by so much.
    Change(f32),
    /// To be played at a speed.
    Speed(f32),
}

/// How a note stands, for showing it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Standing<'a> {
    /// Where it is.
    pub position: Duration,
    /// How long it is.
    pub duration: Duration,
    /// How fast it is played.
    pub speed: f32,
    /// Whether it is paused.
    pub paused: bool,
    /// Its loudness over time, 0 to 255; empty where that is not known.
    pub peaks: &'a [u8],
}

impl Control {
    /// What a key asks for.
    pub fn of_key(key: Press) -> Option<Self> {
        Some(match key {
            Press::Char(' ') => Self::Toggle,
            Press::Left => Self::Skip(-STEP),
            Press::Right => Self::Skip(STEP),
            Press::Char('<' | '-' | ',') => Self::Change(-FASTER),
            Press::Char('>' | '+' | '.') => Self::Change(FASTER),
            Press::Char(digit @ '0'..='9') => Self::Tenth(digit.to_digit(10)? as u8),
            _ => return None,
        })
    }

    /// Does it, and tells in words how it stands then.
    pub fn apply(self, playback: &Playback) -> String {
        match self {
            Self::Toggle if playback.is_paused() => {
                playback.resume();
                return format!("going on at {}", time(playback.position()));
            }
            Self::Toggle => {
                playback.pause();
                return format!("paused at {}", time(playback.position()));
            }
            Self::Skip(seconds) => playback.skip(seconds),
            Self::To(to) => playback.seek(to),
            Self::Tenth(tenth) => playback.seek(playback.duration() * u32::from(tenth) / 10),
            Self::Change(by) => {
                playback.set_speed(playback.speed() + by);
                return speed(playback.speed());
            }
            Self::Speed(to) => {
                playback.set_speed(to);
                return speed(playback.speed());
            }
        }
        format!("at {} of {}", time(playback.position()), time(playback.duration()))
    }
}

impl<'a> Standing<'a> {
    /// How a note stands now.
    pub fn of(playback: &Playback, peaks: &'a [u8]) -> Self {
        Self {
            position: playback.position(),
            duration: playback.duration(),
            speed: playback.speed(),
            paused: playback.is_paused(),
            peaks,
        }
    }

    /// In one line. `plain`: words alone, no waveform.
    pub fn line(&self, plain: bool) -> String {
        let mut line = format!("{} of {}", time(self.position), time(self.duration));
        if !plain && !self.peaks.is_empty() {
            line = format!("{line} {}", self.wave());
        }
        if self.speed != 1.0 {
            line = format!("{line}, {}", speed(self.speed));
        }
        if self.paused {
            line.push_str(", paused");
        }
        line
    }

    /// The waveform, with a bar where it is.
    fn wave(&self) -> String {
        let together = self.peaks.len().div_ceil(COLUMNS).max(1);
        let peaks: Vec<u8> =
            self.peaks.chunks(together).filter_map(|part| part.iter().max().copied()).collect();
        let columns = peaks.len();
        let share = self.position.as_secs_f64() / self.duration.as_secs_f64().max(0.001);
        let here = ((share * columns as f64) as usize).min(columns);
        // Quiet voices are drawn as high as loud ones.
        let loudest = peaks.iter().copied().max().unwrap_or(0).max(1);
        let column = |peak: &u8| {
            let height = usize::from(*peak) * (HEIGHTS.len() - 1) / usize::from(loudest);
            HEIGHTS.get(height).copied().unwrap_or(' ')
        };
        let before = peaks.iter().take(here).map(column);
        before.chain(['|']).chain(peaks.iter().skip(here).map(column)).collect()
    }
}

/// Where to go on listening another time.
pub fn left_off(position: Duration) -> Duration {
    position.saturating_sub(AGAIN)
}

/// A speed in words.
pub fn speed(speed: f32) -> String {
    if speed == 1.0 { "normal speed".to_owned() } else { format!("speed {speed}") }
}

/// Minutes and seconds that are over.
pub fn time(time: Duration) -> String {
    line::duration(time.as_secs() * 1000)
}

/// Reads a time: `65`, `1:05`, `1:00:05`, each with a fraction if need be.
pub fn read_time(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut parts = text.split(':').peekable();
    while let Some(part) = parts.next() {
        let number: f64 = part.parse().ok().filter(|_| part.starts_with(|c: char| c.is_ascii_digit()))?;
        let whole = parts.peek().is_none() || number.fract() == 0.0;
        let fits = seconds == 0.0 || number < 60.0;
        if !whole || !fits {
            return None;
        }
        seconds = seconds * 60.0 + number;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads a speed: `1.5`, also as `1.5x`.
///
/// # Errors
/// With the rule that it breaks, in words.
pub fn read_speed(text: &str) -> Result<f32, String> {
    let number = text.trim_end_matches(['x', '×']).parse().ok().filter(|speed| SPEEDS.contains(speed));
    number.ok_or_else(|| format!("a speed is a number from {} to {}", SPEEDS.start(), SPEEDS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEAKS: [u8; 8] = [0, 10, 20, 40, 80, 60, 30, 0];

    fn standing(seconds: u64) -> Standing<'static> {
        let (position, duration) = (Duration::from_secs(seconds), Duration::from_secs(8));
        Standing { position, duration, speed: 1.0, paused: false, peaks: &PEAKS }
    }

    #[test]
    fn the_position_stands_in_the_waveform_and_everything_is_words_too() {
        assert_eq!(standing(0).line(false), "0:00 of 0:08 |▁▁▂▄█▆▃▁");
        assert_eq!(standing(4).line(false), "0:04 of 0:08 ▁▁▂▄|█▆▃▁");
        assert_eq!(standing(8).line(false), "0:08 of 0:08 ▁▁▂▄█▆▃▁|");
        let odd = Standing { speed: 1.5, paused: true, ..standing(4) };
        assert_eq!(odd.line(true), "0:04 of 0:08, speed 1.5, paused");
        assert!(odd.line(false).ends_with("▁, speed 1.5, paused"));
        let unknown = Standing { peaks: &[], duration: Duration::ZERO, ..standing(0) };
        assert_eq!(unknown.line(false), "0:00 of 0:00");
        let long = Standing { peaks: &[9; 64], ..standing(4) };
        assert_eq!(long.line(false).chars().filter(|c| *c == '█').count(), 32);
        let silent = Standing { peaks: &[0; 3], duration: Duration::ZERO, ..standing(9) };
        assert_eq!(silent.line(false), "0:09 of 0:00 ▁▁▁|");
    }

    #[test]
    fn times_and_speeds_are_read_as_people_write_them() {
        for (text, seconds) in
            [("65", 65.0), ("1:05", 65.0), ("0:00", 0.0), ("1:00:05.5", 3605.5), ("90:00", 5400.0)]
        {
            assert_eq!(read_time(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for wrong in ["", ":", "1:", "1:75", "-3", "+3", "1.5:00", "a", "1:2:99", "inf", "NaN", "1e400"] {
            assert_eq!(read_time(wrong), None, "{wrong}");
        }
        assert_eq!((read_speed("1.5"), read_speed("2x")), (Ok(1.5), Ok(2.0)));
        for wrong in ["3", "0.4", "-1", "NaN", "fast", ""] {
            assert!(read_speed(wrong).unwrap_err().contains("0.5 to 2"), "{wrong}");
        }
    }

    #[test]
    fn what_was_left_off_begins_a_little_earlier() {
        assert_eq!(left_off(Duration::from_secs(3)), Duration::from_millis(2_500));
        assert_eq!(left_off(Duration::ZERO), Duration::ZERO);
    }
}
