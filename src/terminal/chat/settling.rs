//! Messages that stand on the screen, until they count as shown: what the editor has taken it has printed a moment later.

use std::time::Duration;

use tokio::time::Instant;

/// Messages by their numbers. Each waits for as long, and for no more than twice as long however many follow it: they
/// are taken together.
pub(super) struct Settling {
    wait: Duration,
    /// These are due together.
    first: Vec<u64>,
    due: Option<Instant>,
    /// These have come since.
    then: Vec<u64>,
}

impl Settling {
    /// None yet; how long each of them has to stand there.
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, first: Vec::new(), due: None, then: Vec::new() }
    }

    /// These stand on the screen from now on.
    pub(super) fn add(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.then.extend(numbers);
        if self.first.is_empty() {
            self.go_on();
        }
    }

    /// When the next of them are due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Those that are due.
    pub(super) fn take_due(&mut self) -> Vec<u64> {
        let due = std::mem::take(&mut self.first);
        self.go_on();
        due
    }

    /// All of them.
    pub(super) fn take_all(&mut self) -> Vec<u64> {
        let mut all = self.take_due();
        all.extend(self.take_due());
        all
    }

    fn go_on(&mut self) {
        self.first = std::mem::take(&mut self.then);
        self.due = (!self.first.is_empty()).then(|| Instant::now() + self.wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(300);

    #[tokio::test(start_paused = true)]
    async fn what_follows_puts_nothing_off_and_is_not_taken_too_early() {
        let mut settling = Settling::new(WAIT);
        assert_eq!(settling.due(), None);
        let begun = Instant::now();
        for number in 0..8 {
            settling.add([number]);
            tokio::time::advance(WAIT / 4).await;
        }
        // As many as follow, the first is due when it was, and those that came before it is taken wait as long as it did.
        assert_eq!(settling.due(), Some(begun + WAIT));
        assert_eq!(settling.take_due(), [0]);
        assert_eq!(settling.due(), Some(begun + 3 * WAIT));
        settling.add([8]);
        assert_eq!(settling.take_due(), [1, 2, 3, 4, 5, 6, 7]);
        settling.add([9]);
        assert_eq!(settling.take_all(), [8, 9]);
        assert_eq!((settling.due(), settling.take_all()), (None, Vec::new()));
        settling.add([]);
        assert_eq!(settling.due(), None);
    }
}
