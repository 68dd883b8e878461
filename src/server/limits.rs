//! How much is allowed, and how often things may be done: counters in windows of time.
//!
//! A window begins with its first use and ends a fixed time later. Once something is refused it stays refused
//! until then, so that what is asked in order is also accepted in order.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at once, in all.
    pub connections: u32,
    /// Connections at once from one source: an IPv4 address, or an IPv6 network of 64 bits.
    pub connections_per_address: u32,
    /// Connections that a source may begin in a minute.
    pub begun: u32,
    /// Logins that a source may try in a minute.
    pub logins: u32,
    /// Registrations that a source may try in an hour.
    pub registrations: u32,
    /// Whether a registration needs an invitation.
    pub invited: bool,
    /// Messages of an account in a minute; one to a room counts as one for every ten mailboxes, begun.
    pub messages: u32,
    /// Bytes of an account, of messages and chunks with their heads, in a minute.
    pub bytes: u64,
    /// Requests of an account in a minute, beside messages: questions, and chunks put or fetched.
    pub requests: u32,
    /// Requests of an account in a minute that change what is kept: keys, records, rooms, blocks, blobs sealed or dropped.
    pub changes: u32,
    /// People in a room, and invited.
    pub room: u32,
    /// What counts as a minute.
    pub minute: Duration,
    /// What counts as an hour.
    pub hour: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            // Twice the logins: who logs in too often is told so by those, with an answer of their own.
            begun: 1_200,
            logins: 600,
            registrations: 60,
            invited: false,
            messages: 1_200,
            bytes: 256 * 1024 * 1024,
            requests: 30_000,
            changes: 600,
            room: 100,
            minute: Duration::from_secs(60),
            hour: Duration::from_secs(3600),
        }
    }
}

/// Where a connection comes from, as far as limits go: an IPv4 address, or an IPv6 network of 64 bits, since
/// that is what one customer gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Source(IpAddr);

impl From<SocketAddr> for Source {
    fn from(peer: SocketAddr) -> Self {
        Self(match peer.ip().to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }
}

/// What was used, by whom, in the present window of each.
#[derive(Debug)]
pub struct Windows<K> {
    span: Duration,
    used: Mutex<Used<K>>,
}

#[derive(Debug)]
struct Used<K> {
    windows: HashMap<K, Window>,
    /// At how many windows those that are over are looked for.
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    count: u32,
    bytes: u64,
}

/// So many windows are not worth sweeping.
const FEW: usize = 1024;

impl<K: Copy + Eq + Hash> Windows<K> {
    /// Windows of this length.
    pub fn new(span: Duration) -> Self {
        Self { span, used: Mutex::new(Used { windows: HashMap::new(), sweep_at: FEW }) }
    }

    /// Uses one, and so many bytes, unless the window has used up either.
    ///
    /// # Errors
    /// The time until the window is over.
    pub fn count(&self, who: K, times: u32, bytes: u64, most: (u32, u64)) -> Result<(), Duration> {
        self.count_at(Instant::now(), who, (times, bytes), most)
    }

    fn count_at(
        &self,
        now: Instant,
        who: K,
        (times, bytes): (u32, u64),
        most: (u32, u64),
    ) -> Result<(), Duration> {
        let mut used = lock(&self.used);
        if used.windows.len() >= used.sweep_at {
            used.windows.retain(|_, window| now.duration_since(window.began) < self.span);
            used.sweep_at = FEW.max(used.windows.len() * 2);
        }
        let window = used.windows.entry(who).or_insert(Window { began: now, count: 0, bytes: 0 });
        let age = now.duration_since(window.began);
        if age >= self.span {
            *window = Window { began: now, count: 0, bytes: 0 };
        } else if window.count >= most.0 || window.bytes >= most.1 {
            return Err(self.span - age);
        }
        window.count = window.count.saturating_add(times);
        window.bytes = window.bytes.saturating_add(bytes);
        Ok(())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        SocketAddr::new(address.parse().unwrap(), 1).into()
    }

    #[test]
    fn an_ipv6_customer_is_one_source_however_many_addresses_it_takes() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn a_window_refuses_until_it_is_over_and_says_how_long_that_is() {
        let windows = Windows::new(Duration::from_secs(60));
        let begun = Instant::now();
        let use_one = |after: u64, who: u8, bytes| {
            windows.count_at(begun + Duration::from_secs(after), who, (1, bytes), (2, 100))
        };
        assert_eq!(use_one(0, 1, 1), Ok(()));
        assert_eq!(use_one(10, 1, 1), Ok(()));
        assert_eq!(use_one(10, 1, 1), Err(Duration::from_secs(50)));
        assert_eq!(use_one(10, 2, 500), Ok(()), "one that is larger than all there is goes first or never");
        assert_eq!(use_one(10, 2, 1), Err(Duration::from_secs(60)));
        assert_eq!(use_one(60, 1, 1), Ok(()));
    }

    #[test]
    fn windows_that_are_over_take_no_memory_for_ever() {
        let windows = Windows::new(Duration::from_secs(60));
        let begun = Instant::now();
        for round in 0..10 {
            for who in 0..2_000 {
                let now = begun + Duration::from_secs(round * 61);
                windows.count_at(now, (round, who), (1, 0), (1, 1)).unwrap();
            }
        }
        assert!(lock(&windows.used).windows.len() < 8_000);
    }
}
