//! What a server allows, as its operator writes it: one TOML file, every key of which may be left out.

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Limits, Options};
use crate::model::limits;
use crate::store::Quotas;

/// The whole file. What it leaves out is as in [`Config::default`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who may connect, and for how long.
    pub connections: Connections,
    /// How often somebody may try to log in.
    pub logins: Logins,
    /// Who may begin an account.
    pub registration: Registration,
    /// How much one account may send.
    pub sending: Sending,
    /// How much one account may ask.
    pub requests: Requests,
    /// How much is kept for one account.
    pub storage: Storage,
    /// How large rooms may be, and how many there may be.
    pub rooms: Rooms,
}

/// Who may connect, and for how long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// At once, in all.
    pub total: NonZeroU32,
    /// At once, from one IPv4 address or one IPv6 network of 64 bits.
    pub per_address: NonZeroU32,
    /// Begun in a minute, from one of those.
    pub per_address_and_minute: NonZeroU32,
    /// TLS handshake and login together.
    pub login_seconds: NonZeroU32,
    /// Silence after which a connection is ended. Clients say something every 30 seconds.
    pub idle_seconds: NonZeroU32,
}

/// How often somebody may try to log in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logins {
    /// Attempts in a minute, good or bad, from one address.
    pub per_address_and_minute: NonZeroU32,
}

/// Who may begin an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Everybody, or who has an invitation.
    pub who: Who,
    /// Attempts in an hour, good or bad, from one address.
    pub per_address_and_hour: NonZeroU32,
}

/// Who may begin an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Everybody who reaches the server.
    Anyone,
    /// Who has an invitation that `tellal server invite` has made.
    Invited,
}

/// How much one account may send.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sending {
    /// Messages in a minute; one to a room counts as one for every ten people, begun.
    pub messages_per_minute: NonZeroU32,
    /// Messages and chunks of voice notes in a minute, in MiB.
    pub mib_per_minute: NonZeroU32,
}

/// How much one account may ask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// In a minute, beside messages: questions, and chunks of voice notes put or fetched.
    pub per_minute: NonZeroU32,
    /// In a minute, of those that change what is kept: keys, records, rooms, blocks, voice notes sealed or dropped.
    pub changes_per_minute: NonZeroU32,
}

/// How much is kept for one account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Mail that waits for it, in MiB.
    pub mailbox_mib: NonZeroU32,
    /// How much of that one sender may fill, in percent.
    pub sender_percent: NonZeroU32,
    /// Voice notes that it has sent in the last day, and older ones that somebody has not fetched, in MiB.
    pub blobs_mib: NonZeroU32,
}

/// How large rooms may be, and how many there may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// In one room, or invited.
    pub people: NonZeroU32,
    /// Rooms that one account is in, or has begun.
    pub per_account: NonZeroU32,
}

/// How large rooms may be allowed to be: a message to everybody in one has to fit into a submission.
const PEOPLE: RangeInclusive<u32> = 2..=limits::WRAPS as u32;

/// A number that is known not to be 0.
const fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(number.saturating_sub(1))
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            total: nonzero(10_000),
            per_address: nonzero(256),
            per_address_and_minute: nonzero(1_200),
            login_seconds: nonzero(10),
            idle_seconds: nonzero(90),
        }
    }
}

impl Default for Logins {
    fn default() -> Self {
        Self { per_address_and_minute: nonzero(600) }
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self { who: Who::Anyone, per_address_and_hour: nonzero(60) }
    }
}

impl Default for Sending {
    fn default() -> Self {
        Self { messages_per_minute: nonzero(1_200), mib_per_minute: nonzero(256) }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self { per_minute: nonzero(30_000), changes_per_minute: nonzero(600) }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { mailbox_mib: nonzero(256), sender_percent: nonzero(25), blobs_mib: nonzero(1_024) }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self { people: nonzero(100), per_account: nonzero(200) }
    }
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("can't read {path}: {cause}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// It says what can't be.
    #[error("{path}, line {line}: {what}", path = path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read, and with the line when it holds an unknown key or a value that can't be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), cause: error.to_string() })?;
        Self::parse(&text).map_err(|(line, what)| ConfigError::Wrong { path: path.to_owned(), line, what })
    }

    /// Reads text.
    ///
    /// # Errors
    /// What is wrong with it, and in which line, counted from 1.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            (before.matches('\n').count() + 1, error.message().replace('\n', " "))
        })?;
        let wrong = |key: &str, value: NonZeroU32, why: &str| {
            let line = text.lines().position(|line| line.trim_start().starts_with(key));
            Err((line.map_or(1, |line| line + 1), format!("{key} = {value}: {why}")))
        };
        let (idle, percent) = (config.connections.idle_seconds, config.storage.sender_percent);
        if idle < nonzero(40) {
            return wrong("idle_seconds", idle, "clients say something every 30 seconds, take 40 or more");
        }
        if percent > nonzero(100) {
            return wrong("sender_percent", percent, "take 100 or less");
        }
        let people = config.rooms.people;
        if !PEOPLE.contains(&people.get()) {
            return wrong("people", people, &format!("take {} to {}", PEOPLE.start(), PEOPLE.end()));
        }
        Ok(config)
    }

    /// The file that would say all this.
    pub fn to_toml(&self) -> String {
        // Numbers and one word: there is nothing in it that has no form.
        toml::to_string(self).unwrap_or_default()
    }

    /// What connections are held to.
    pub fn options(&self) -> Options {
        let seconds = |number: NonZeroU32| Duration::from_secs(number.get().into());
        Options {
            login: seconds(self.connections.login_seconds),
            idle: seconds(self.connections.idle_seconds),
            limits: Limits {
                connections: self.connections.total.get(),
                connections_per_address: self.connections.per_address.get(),
                begun: self.connections.per_address_and_minute.get(),
                logins: self.logins.per_address_and_minute.get(),
                registrations: self.registration.per_address_and_hour.get(),
                invited: self.registration.who == Who::Invited,
                messages: self.sending.messages_per_minute.get(),
                bytes: mib(self.sending.mib_per_minute),
                requests: self.requests.per_minute.get(),
                changes: self.requests.changes_per_minute.get(),
                room: self.rooms.people.get(),
                ..Limits::default()
            },
            ..Options::default()
        }
    }

    /// What the store is held to.
    pub fn quotas(&self) -> Quotas {
        let mailbox = mib(self.storage.mailbox_mib);
        let sender = mailbox * u64::from(self.storage.sender_percent.get()) / 100;
        let rooms = self.rooms.per_account.get();
        Quotas { mailbox, sender, blobs: mib(self.storage.blobs_mib), rooms }
    }
}

fn mib(number: NonZeroU32) -> u64 {
    NonZeroU64::from(number).get() * 1024 * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back_and_what_is_left_out_has_a_default() {
        let config = Config::default();
        assert_eq!(Config::parse(&config.to_toml()), Ok(config.clone()));
        assert_eq!(Config::parse(""), Ok(config));
        let some = Config::parse("[registration]\nwho = \"invited\"\n").unwrap();
        assert!(some.options().limits.invited);
        assert_eq!(some.options().limits.registrations, 60);
    }

    /// Each key with a value of its own: two that were taken for each other would show.
    #[test]
    fn every_key_sets_what_it_names_and_nothing_else() {
        let written = "
            [connections]
            total = 1001
            per_address = 102
            per_address_and_minute = 103
            login_seconds = 104
            idle_seconds = 105
            [logins]
            per_address_and_minute = 106
            [registration]
            who = \"invited\"
            per_address_and_hour = 107
            [sending]
            messages_per_minute = 108
            mib_per_minute = 109
            [requests]
            per_minute = 110
            changes_per_minute = 111
            [storage]
            mailbox_mib = 1200
            sender_percent = 13
            blobs_mib = 114
            [rooms]
            people = 115
            per_account = 116";
        let config = Config::parse(written).unwrap();
        let keys = |text: &str| text.lines().filter(|line| line.contains('=')).count();
        assert_eq!(keys(written), keys(&config.to_toml()), "every key is there");
        let seconds = Duration::from_secs;
        let options = Options {
            login: seconds(104),
            idle: seconds(105),
            // Nobody needs to set these.
            drain: seconds(10),
            prune: seconds(60),
            limits: Limits {
                connections: 1001,
                connections_per_address: 102,
                begun: 103,
                logins: 106,
                registrations: 107,
                invited: true,
                messages: 108,
                bytes: 109 * 1024 * 1024,
                requests: 110,
                changes: 111,
                room: 115,
                minute: seconds(60),
                hour: seconds(3600),
            },
        };
        assert_eq!(config.options(), options);
        const MIB: u64 = 1024 * 1024;
        let quotas = Quotas { mailbox: 1200 * MIB, sender: 156 * MIB, blobs: 114 * MIB, rooms: 116 };
        assert_eq!(config.quotas(), quotas);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let wrong = |text: &str| Config::parse(text).unwrap_err();
        let (line, what) = wrong("[connections]\ntotal = 5\nper_adress = 3\n");
        assert!(line == 3 && what.contains("per_adress") && what.contains("per_address"), "{line}: {what}");
        let (line, what) = wrong("\n[sendign]\n");
        assert!(line == 2 && what.contains("sendign"), "{line}: {what}");
        let (line, what) = wrong("[storage]\nblobs_mib = 0\n");
        assert!(line == 2 && what.contains('0'), "{line}: {what}");
        assert_eq!(wrong("[connections]\n\nidle_seconds = 5\n").0, 3);
        assert_eq!(wrong("[storage]\nsender_percent = 101\n").0, 2);
        assert_eq!(wrong("[rooms]\n\npeople = 1\n").0, 3);
        assert_eq!(wrong("[rooms]\npeople = 513\n").0, 2);
        assert_eq!(wrong("[rooms]\nper_account = 0\n").0, 2);
        assert_eq!(wrong("[registration]\nwho = \"friends\"\n").0, 2);
    }

    #[test]
    fn the_file_in_the_readme_says_what_the_defaults_are() {
        let readme = include_str!("../../README.md");
        let file = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(Config::parse(file), Ok(Config::default()));
        let keys = |text: &str| text.lines().filter(|line| line.contains('=')).count();
        assert_eq!(keys(file), keys(&Config::default().to_toml()), "every key is there");
    }

    #[test]
    fn the_options_without_a_file_are_the_defaults() {
        assert_eq!(Config::default().options(), Options::default());
        assert_eq!(Config::default().quotas(), Quotas::default());
    }
}
