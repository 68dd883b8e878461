//! Who is let in: so many connections at once, in all and from one source, and so many that a source begins in a
//! minute. It is asked before the first byte of a connection is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::limits::{Limits, Source, Windows, lock};

/// Connections that are over a limit, but are told so, at once.
const TOLD: u32 = 32;

/// Those of one source in a minute, where it has begun too many: telling takes a TLS handshake, too.
const TOLD_IN_A_MINUTE: u32 = 60;

/// When a connection that is one too many at once may be tried again.
const FULL: Duration = Duration::from_secs(10);

/// Counts connections.
#[derive(Debug)]
pub struct Gate {
    total: u32,
    per_source: u32,
    begun_in_a_minute: u32,
    begun: Windows<Source>,
    told: Windows<Source>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: u32,
    told: u32,
    by_source: HashMap<Source, u32>,
}

/// What becomes of a connection.
#[derive(Debug)]
pub enum Admission {
    /// It is served.
    Welcome(Place),
    /// There are too many: it is told so, and after which time it may be tried again.
    Full(Place, Duration),
    /// There are too many even of those that are told so.
    TurnedAway,
}

/// A connection that counts, until it is dropped.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    source: Option<Source>,
}

impl Gate {
    /// A gate for so many connections.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            total: limits.connections,
            per_source: limits.connections_per_address,
            begun_in_a_minute: limits.begun,
            begun: Windows::new(limits.minute),
            told: Windows::new(limits.minute),
            open: Mutex::default(),
        })
    }

    /// Counts a connection in.
    pub fn enter(self: &Arc<Self>, source: Source) -> Admission {
        if let Err(wait) = self.begun.count(source, 1, 0, (self.begun_in_a_minute, u64::MAX)) {
            return match self.told.count(source, 1, 0, (TOLD_IN_A_MINUTE, u64::MAX)) {
                Ok(()) => self.tell(&mut lock(&self.open), wait),
                Err(_) => Admission::TurnedAway,
            };
        }
        let mut open = lock(&self.open);
        let of_source = open.by_source.get(&source).copied().unwrap_or(0);
        if open.total >= self.total || of_source >= self.per_source {
            return self.tell(&mut open, FULL);
        }
        open.total += 1;
        open.by_source.insert(source, of_source + 1);
        Admission::Welcome(Place { gate: Arc::clone(self), source: Some(source) })
    }

    /// Lets it be told, unless too many are being told already.
    fn tell(self: &Arc<Self>, open: &mut Open, wait: Duration) -> Admission {
        if open.told >= TOLD {
            return Admission::TurnedAway;
        }
        open.told += 1;
        Admission::Full(Place { gate: Arc::clone(self), source: None }, wait)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.gate.open);
        let Some(source) = self.source else {
            open.told -= 1;
            return;
        };
        open.total -= 1;
        match open.by_source.get_mut(&source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.by_source.remove(&source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn source(address: &str) -> Source {
        SocketAddr::new(address.parse().unwrap(), 1).into()
    }

    #[test]
    fn the_gate_counts_in_and_out() {
        let gate = Gate::new(&Limits { connections: 3, connections_per_address: 2, ..Limits::default() });
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let first = gate.enter(one);
        assert!(matches!(first, Admission::Welcome(_)));
        let _second = gate.enter(one);
        let told = gate.enter(one);
        assert!(matches!(told, Admission::Full(_, FULL)), "two from an address");
        let _third = gate.enter(other);
        assert!(matches!(gate.enter(other), Admission::Full(..)), "three in all");
        drop(first);
        assert!(matches!(gate.enter(one), Admission::Welcome(_)));
        let mut telling = vec![told];
        while let Admission::Full(place, wait) = gate.enter(one) {
            telling.push(Admission::Full(place, wait));
            assert!(telling.len() <= 33);
            if telling.len() == 32 {
                break;
            }
        }
        drop(telling);
        let open = lock(&gate.open);
        assert_eq!((open.total, open.told), (2, 0));
    }

    #[test]
    fn who_begins_too_many_connections_is_told_so_a_few_times_and_then_turned_away() {
        let gate = Gate::new(&Limits { begun: 100, connections_per_address: 1, ..Limits::default() });
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let held = gate.enter(one);
        for _ in 1..100 {
            // What is told that too many are open was begun, too.
            assert!(matches!(gate.enter(one), Admission::Full(_, FULL)));
        }
        drop(held);
        for _ in 0..TOLD_IN_A_MINUTE {
            let Admission::Full(_, wait) = gate.enter(one) else { panic!("not told") };
            assert!(wait > FULL && wait <= Duration::from_secs(60), "{wait:?}");
        }
        assert!(matches!(gate.enter(one), Admission::TurnedAway));
        assert!(matches!(gate.enter(other), Admission::Welcome(_)), "others go on");
        assert_eq!(lock(&gate.open).total, 0);
    }
}
