//! How a person sounds: what sets one voice apart from another of the same language.

use std::fmt;
use std::str::FromStr;

/// Ways to speak a voice that are as easy to understand as the voice itself. espeak calls them variants.
pub const VARIANTS: [&str; 13] = [
    "male1", "male2", "male3", "male4", "male5", "male6", "male7", "male8", "female1", "female2", "female3",
    "female4", "female5",
];

/// How a person sounds, in whichever language they write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    /// -100 to 100; 0 is the voice's own.
    pub pitch: i32,
    /// -100 to 100; 0 is as fast as the reader has it.
    pub rate: i32,
    /// One of [`VARIANTS`], where the speech service has it; the voice itself where not.
    pub variant: Option<&'static str>,
}

/// What is changed of somebody's manner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A quarter of an octave up or so.
    Higher,
    /// The same down.
    Lower,
    /// A little.
    Faster,
    /// A little.
    Slower,
    /// The next of [`VARIANTS`].
    Other,
    /// To this pitch.
    Pitch(i32),
    /// To this rate.
    Rate(i32),
    /// To this variant.
    Variant(Option<&'static str>),
}

/// How far one change goes.
const STEP: i32 = 15;

impl Manner {
    /// The manner of a person who was given none: always the same for the same identity.
    pub fn of(identity: &[u8]) -> Self {
        const PITCHES: [i32; 7] = [0, 12, -12, 24, -24, 36, -36];
        const RATES: [i32; 3] = [0, 6, -6];
        // FNV-1a: identities are hashes already, names are not.
        let hash = identity.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let pick = |count: usize, place: u32| {
            usize::try_from(hash.rotate_right(place)).unwrap_or(usize::MAX).checked_rem(count).unwrap_or(0)
        };
        Self {
            pitch: PITCHES.get(pick(PITCHES.len(), 0)).copied().unwrap_or(0),
            rate: RATES.get(pick(RATES.len(), 21)).copied().unwrap_or(0),
            // As often the voice itself as any of the others.
            variant: VARIANTS.get(pick(VARIANTS.len() + 1, 42)).copied(),
        }
    }

    /// With a change.
    #[must_use]
    pub fn with(self, change: Change) -> Self {
        let within = |value: i32| value.clamp(-100, 100);
        match change {
            Change::Higher => Self { pitch: within(self.pitch + STEP), ..self },
            Change::Lower => Self { pitch: within(self.pitch - STEP), ..self },
            Change::Faster => Self { rate: within(self.rate + STEP), ..self },
            Change::Slower => Self { rate: within(self.rate - STEP), ..self },
            Change::Other => {
                let now = VARIANTS.iter().position(|variant| Some(*variant) == self.variant);
                Self { variant: VARIANTS.get(now.map_or(0, |now| now + 1)).copied(), ..self }
            }
            Change::Pitch(pitch) => Self { pitch: within(pitch), ..self },
            Change::Rate(rate) => Self { rate: within(rate), ..self },
            Change::Variant(variant) => Self { variant, ..self },
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pitch={} rate={} variant={}", self.pitch, self.rate, self.variant.unwrap_or("none"))
    }
}

impl FromStr for Manner {
    type Err = String;

    /// From changes to the usual manner, as they are displayed: `pitch=20 rate=0 variant=none`.
    fn from_str(text: &str) -> Result<Self, String> {
        text.split_whitespace().try_fold(Self::default(), |manner, word| Ok(manner.with(word.parse()?)))
    }
}

impl FromStr for Change {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let number = |value: &str| value.parse().ok().filter(|value| (-100..=100).contains(value));
        let change = match (word, word.split_once('=')) {
            ("higher", _) => Some(Self::Higher),
            ("lower", _) => Some(Self::Lower),
            ("faster", _) => Some(Self::Faster),
            ("slower", _) => Some(Self::Slower),
            ("other", _) => Some(Self::Other),
            (_, Some(("pitch", value))) => number(value).map(Self::Pitch),
            (_, Some(("rate", value))) => number(value).map(Self::Rate),
            (_, Some(("variant", "none"))) => Some(Self::Variant(None)),
            (_, Some(("variant", value))) => {
                let known = VARIANTS.iter().find(|variant| **variant == value);
                known.map(|variant| Self::Variant(Some(variant)))
            }
            _ => None,
        };
        change.ok_or_else(|| {
            format!(
                "{word:?} changes no voice: say higher, lower, faster, slower, other, pitch=N, rate=N (-100 to 100), \
                 or variant= none, male1 to male8, female1 to female5"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_sounds_like_themselves_every_time_and_seldom_like_another() {
        let people: Vec<Manner> = (0u8..40).map(|person| Manner::of(&[person; 32])).collect();
        let again: Vec<Manner> = (0u8..40).map(|person| Manner::of(&[person; 32])).collect();
        assert_eq!(people, again);
        // Held for good: a person is known by their voice.
        assert_eq!(Manner::of(&[7; 32]).to_string(), "pitch=-24 rate=6 variant=male6");
        let different: std::collections::HashSet<String> = people.iter().map(ToString::to_string).collect();
        assert!(different.len() >= 36, "{} of 40", different.len());
    }

    #[test]
    fn a_manner_is_kept_as_text_and_changed_by_words() {
        let manner = Manner { pitch: -24, rate: 6, variant: Some("female2") };
        assert_eq!(manner.to_string().parse(), Ok(manner));
        assert_eq!("".parse(), Ok(Manner::default()));
        let higher = manner.with("higher".parse().unwrap());
        assert_eq!(higher.pitch, -9);
        assert_eq!(manner.with("pitch=100".parse().unwrap()).with(Change::Higher).pitch, 100);
        assert_eq!(manner.with(Change::Other).variant, Some("female3"));
        assert_eq!(manner.with("variant=none".parse().unwrap()).with(Change::Other).variant, Some("male1"));
        for wrong in ["louder", "pitch=200", "pitch=x", "variant=whisper", "variant=", "rate"] {
            assert!(wrong.parse::<Change>().unwrap_err().contains("higher"), "{wrong}");
        }
    }
}
