//! How a recording stands, while it goes on: drawn, or where nothing is drawn said in words now and then.

use std::time::Duration;

use super::dictation::Dictation;
use super::progress::Line;

/// Without anything that is drawn: when the level is first said, and how often after that.
const FIRST: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(30);

/// The time, and the level with a mark at its peak. Leaves nothing behind when it is dropped.
pub struct Gauge {
    drawn: Line,
    plain: bool,
    /// Somebody is there to whom it can be said.
    attended: bool,
    /// After how much of the recording it is said next.
    next: Duration,
}

impl Gauge {
    /// `plain`: in words alone. `attended`: somebody is there to whom they can be said.
    pub fn new(plain: bool, attended: bool) -> Self {
        Self { drawn: Line::draw(!plain), plain, attended, next: FIRST }
    }

    /// Draws how it stands now; what is to be said instead.
    pub fn show(&mut self, taking: &Dictation) -> Option<String> {
        self.drawn.set(taking.line(self.plain));
        let elapsed = taking.elapsed();
        if self.drawn.is_drawn() || !self.attended || elapsed < self.next {
            return None;
        }
        self.next = elapsed + AGAIN;
        Some(taking.line(true))
    }
}
