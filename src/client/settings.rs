//! What a person has set for a profile: `settings.toml` in its folder, written by hand.
//!
//! ```toml
//! quiet = "22:00-07:00"         # no sounds, and nothing read aloud
//! volume = 60                   # of the program's own sounds, 0 to 100
//! silent = ["joined", "left"]   # sounds that are never played
//! message_key_days = 7          # how old the message key becomes, 1 to 30
//! ```
//!
//! A file that is not there sets nothing. One that can't be understood sets nothing either, and that is said; so is
//! every key that has no meaning here, which is more often a slip than a wish. Names that are not ASCII stand in quotes, as
//! TOML has it.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::Zoned;
use jiff::civil::Time;
use serde::Deserialize;

/// The file's name, in the profile's folder.
pub const FILE: &str = "settings.toml";

/// What can be set.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// When nothing is to be heard by itself.
    pub quiet: Option<Quiet>,
    /// How loud the program's own sounds are.
    pub volume: Volume,
    /// The kinds of sound that are never played, by name.
    pub silent: Vec<String>,
    /// How old a message key becomes before it is replaced.
    pub message_key_days: Days,
}

/// A part of each day, by the local clock: `22:00-07:00`. Its end is no longer part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Quiet {
    from: Time,
    until: Time,
}

/// Loudness in percent of how a sound was recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub struct Volume(u8);

/// The age of a message key, in days: 1 to 30, so that there always is one that can be sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub struct Days(u8);

impl Default for Days {
    fn default() -> Self {
        Self(7)
    }
}

impl TryFrom<i64> for Days {
    type Error = String;

    fn try_from(days: i64) -> Result<Self, String> {
        let fits = u8::try_from(days).ok().filter(|days| (1..=30).contains(days));
        fits.map(Self).ok_or_else(|| "message_key_days is 1 to 30".to_owned())
    }
}

impl From<Days> for Duration {
    fn from(days: Days) -> Self {
        Self::from_secs(u64::from(days.0) * 24 * 3600)
    }
}

impl Settings {
    /// What is set in a profile's folder; for everything that is wrong with it a line that says what and what to do.
    ///
    /// ```
    /// # let home = tempfile::tempdir()?;
    /// # let home = home.path();
    /// use tellal::client::{Settings, settings::FILE};
    ///
    /// std::fs::write(home.join(FILE), "volume = 60\nvolumne = 70\n")?;
    /// let (settings, warnings) = Settings::load(home);
    /// assert_eq!(settings.volume.percent(), 60);
    /// assert!(warnings[0].contains("volumne is no setting"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn load(home: &Path) -> (Self, Vec<String>) {
        let path = home.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Self::default(), Vec::new()),
            Err(error) => {
                let warning = format!("{} can't be read: {error}; nothing in it counts", path.display());
                (Self::default(), vec![warning])
            }
        }
    }

    /// What this text sets, and what is wrong with it, in lines that name the file.
    pub fn parse(text: &str, path: &Path) -> (Self, Vec<String>) {
        let file = path.display();
        let mut unknown = Vec::new();
        let settings = toml::Deserializer::parse(text)
            .and_then(|source| serde_ignored::deserialize(source, |key| unknown.push(key.to_string())));
        match settings {
            Ok(settings) => {
                let warn = |key| format!("{file}: {key} is no setting: it is ignored; look for a slip");
                (settings, unknown.into_iter().map(warn).collect())
            }
            Err(error) => {
                let line = error.span().and_then(|span| text.get(..span.start));
                let line = line.map_or(1, |before| before.matches('\n').count() + 1);
                let what = error.message();
                let warning =
                    format!("{file}, line {line}: {what}; nothing in it counts until that is mended");
                (Self::default(), vec![warning])
            }
        }
    }
}

impl Quiet {
    /// Whether it is now, by this machine's clock.
    pub fn is_now(self) -> bool {
        self.holds(Zoned::now().time())
    }

    /// Whether this time of day is in it.
    fn holds(self, time: Time) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&time)
        } else {
            time >= self.from || time < self.until
        }
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.until.strftime("%H:%M"))
    }
}

/// Text that names no part of a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("quiet hours look like \"22:00-07:00\", from one time of day to another")]
pub struct NotQuiet;

impl FromStr for Quiet {
    type Err = NotQuiet;

    fn from_str(text: &str) -> Result<Self, NotQuiet> {
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| NotQuiet);
        let (from, until) = text.split_once('-').ok_or(NotQuiet)?;
        let quiet = Self { from: time(from)?, until: time(until)? };
        if quiet.from == quiet.until { Err(NotQuiet) } else { Ok(quiet) }
    }
}

impl TryFrom<String> for Quiet {
    type Error = NotQuiet;

    fn try_from(text: String) -> Result<Self, NotQuiet> {
        text.parse()
    }
}

impl Volume {
    /// In percent, 0 to 100.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl Default for Volume {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<i64> for Volume {
    type Error = &'static str;

    fn try_from(percent: i64) -> Result<Self, Self::Error> {
        let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        percent.map(Self).ok_or("a volume is a number from 0 to 100")
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
