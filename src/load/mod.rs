//! Load on a server, and what it costs: what `tellal bench` and the benches in `benches/` measure with.
//!
//! The server treats envelopes as opaque bytes, and so does this: bodies are made up, wraps have the right shape
//! and no content. What the server checks is real: TLS, signatures of registrations and logins, ids, sizes.
//!
//! - [`people`]: many accounts without waiting for many keys
//! - [`peer`]: one connection, and what it says
//! - [`relay`]: messages through a server: how many, how soon, and for who is away
//! - [`logins`]: logins, and connections that only stay
//! - [`siege`]: connections that never log in, and what everybody else feels of them
//! - [`process`]: what a process has used

pub mod logins;
pub mod peer;
pub mod people;
pub mod process;
pub mod relay;
pub mod siege;

use std::io;
use std::time::Duration;

use crate::client::ClientError;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server can't be reached, or ended a connection.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The same, in the client's words.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// It refused.
    #[error("the server refused: {0}; a server to be measured allows much (server.toml), or none is named")]
    Refused(String),
    /// It answered something else than was asked for.
    #[error("the server answered something else: {0}")]
    Answer(String),
    /// Keys could not be made.
    #[error("no keys: {0}")]
    Keys(String),
    /// `/proc` does not tell what was asked.
    #[error("can't read what process {0} has used")]
    Process(u32),
}

/// Times, sorted.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Sorts them.
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that so many of a thousand do not exceed; 0 of none.
    pub fn permille(&self, permille: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * permille / 1000).min(last)).copied().unwrap_or_default()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
