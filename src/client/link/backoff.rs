//! How long to wait before connecting again: longer after each failure, and for no two clients the same, so that they
//! don't all come at once to a server that is back.

use std::time::Duration;

/// The first pause, at most; each further one is twice the one before.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// After a connection that lasted this long, pauses begin anew. What fails at once fails for a reason that lasts: a
/// full disk, a copy of this profile.
const LASTING: Duration = Duration::from_secs(5);

/// The pauses between attempts to connect.
#[derive(Debug)]
pub(crate) struct Backoff {
    /// The next one, at most.
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// A connection was made, and has ended after this time.
    pub(crate) fn lasted(&mut self, time: Duration) {
        if time >= LASTING {
            *self = Self::default();
        }
    }

    /// The pause after a failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(LONGEST);
        most.mul_f64(rand::random_range(0.5..1.0))
    }

    /// The pause after a failure where the server has named one: no shorter than that, and not for all to the moment.
    pub(crate) fn told(&mut self, wait: Duration) -> Duration {
        self.pause();
        wait.mul_f64(rand::random_range(1.0..1.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_ceiling_and_begin_anew_after_a_connection_that_lasted() {
        let mut backoff = Backoff::default();
        let mut most = Duration::from_millis(250);
        for _ in 0..20 {
            let pause = backoff.pause();
            assert!((most / 2..most).contains(&pause), "{pause:?}, of at most {most:?}");
            most = (most * 2).min(Duration::from_secs(30));
        }
        // One that fails as soon as it is made is no good one.
        backoff.lasted(Duration::from_millis(100));
        assert!(backoff.pause() >= Duration::from_secs(15));
        backoff.lasted(Duration::from_secs(60));
        assert!(backoff.pause() < Duration::from_millis(250));
    }

    #[test]
    fn a_family_behind_one_address_connects_anew_far_less_often_than_a_server_lets_it() {
        const DEVICES: usize = 30;
        // `per_address_and_minute` of a server's connections, by default.
        const LET_IN: usize = 1_200;
        for _ in 0..1_000 {
            let (mut backoff, mut passed, mut attempts) = (Backoff::default(), Duration::ZERO, 0);
            while passed < Duration::from_secs(60) {
                attempts += 1;
                passed += backoff.pause();
            }
            assert!(DEVICES * attempts <= LET_IN / 4, "{attempts} attempts in a minute");
        }
    }

    #[test]
    fn no_two_clients_come_again_together() {
        let pauses = || {
            let mut backoff = Backoff::default();
            (0..8).map(|_| backoff.pause()).collect::<Vec<_>>()
        };
        let (one, other) = (pauses(), pauses());
        assert!(one.iter().zip(&other).all(|(one, other)| one != other), "{one:?} {other:?}");
        let told = || Backoff::default().told(Duration::from_secs(60));
        assert_ne!(told(), told());
    }

    #[test]
    fn a_time_that_the_server_names_is_kept_to_and_failures_count_all_the_same() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            let wait = Duration::from_secs(2);
            assert!((wait..wait * 2).contains(&backoff.told(wait)));
        }
        assert!(backoff.pause() >= Duration::from_secs(15));
    }
}
