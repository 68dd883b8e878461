//! How much is said of what is wrong with what others, or the server, send: not without end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::AccountId;

/// So many things are said in so much time.
pub(super) const MOST_SAID: u32 = 64;
/// So many of them about what one account sends: nobody uses up what there is to be said of others.
pub(super) const MOST_OF_ONE: u32 = 16;
const SAID_IN: Duration = Duration::from_secs(3600);

/// What may still be said, and until when.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    left: u32,
    /// What was said about whom.
    said: HashMap<AccountId, u32>,
    until: Instant,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: MOST_SAID, said: HashMap::new(), until: Instant::now() + SAID_IN }
    }
}

impl Allowance {
    /// How much may be said now.
    pub(super) fn left(&mut self) -> u32 {
        if self.until <= Instant::now() {
            *self = Self::default();
        }
        self.left
    }

    /// How much of that about what an account sends.
    pub(super) fn left_of(&mut self, account: &AccountId) -> u32 {
        let left = self.left();
        left.min(MOST_OF_ONE.saturating_sub(self.said.get(account).copied().unwrap_or_default()))
    }

    /// So many were said.
    pub(super) fn spend(&mut self, said: u32) {
        self.left = self.left.saturating_sub(said);
    }

    /// Whether one thing more may be said now.
    pub(super) fn any_left(&mut self) -> bool {
        self.left() > 0
    }

    /// One was said.
    pub(super) fn use_up(&mut self) {
        self.spend(1);
    }

    /// One was said about what an account sends.
    pub(super) fn use_up_of(&mut self, account: AccountId) {
        self.use_up();
        *self.said.entry(account).or_default() += 1;
    }
}
