//! How much is said of what is wrong with what others, or the server, send: not without end.

use std::time::{Duration, Instant};

/// So many things are said in so much time.
pub(super) const MOST_SAID: u32 = 64;
const SAID_IN: Duration = Duration::from_secs(3600);

/// What may still be said, and until when.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    until: Instant,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: MOST_SAID, until: Instant::now() + SAID_IN }
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

    /// So much is left of it.
    pub(super) fn leave(&mut self, left: u32) {
        self.left = left;
    }

    /// Whether one thing more may be said now.
    pub(super) fn any_left(&mut self) -> bool {
        self.left() > 0
    }

    /// One was said.
    pub(super) fn use_up(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}
