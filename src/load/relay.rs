//! Messages through a server: as many as go, at a given rate, and for somebody who is away.
//!
//! In any [`Language`], so that servers can be compared under the same load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::peer::{Heard, Language, Peer, age, stamped};
use super::{LoadError, Times};

/// Messages after which a receiver acknowledges, if it has not caught up before.
const ACKNOWLEDGE: u64 = 64;

/// Two that write to and read from a server: the sender's connection, whom it writes to, the receiver's.
pub struct Pair<S, L: Language> {
    /// Logged in.
    pub sender: Peer<S, L>,
    /// The receiver, as the sender names it.
    pub to: Arc<L::To>,
    /// Logged in as that.
    pub receiver: Peer<S, L>,
}

/// What came of a load.
#[derive(Debug)]
pub struct Report {
    /// Messages delivered.
    pub messages: u64,
    /// From the first that was sent to the last that was received.
    pub took: Duration,
    /// From sent to received.
    pub latency: Times,
}

impl Report {
    /// Messages in a second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }
}

/// How each pair sends.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many under way at once, as fast as answers come.
    InFlight(u64),
    /// One after each of these spans, whether it was answered or not.
    Every(Duration),
}

/// Sends `each` messages of `size` bytes from each sender to its receiver, and waits until all are there.
///
/// # Errors
/// When a connection ends or the server refuses.
pub async fn relay<S, L>(
    pairs: Vec<Pair<S, L>>,
    each: u64,
    size: usize,
    pace: Pace,
) -> Result<(Report, Vec<Pair<S, L>>), LoadError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    L: Language,
{
    let begun = Instant::now();
    let count = pairs.len() as u64;
    let mut tasks = JoinSet::new();
    for (place, pair) in pairs.into_iter().enumerate() {
        tasks.spawn(async move {
            let Pair { mut sender, to, mut receiver } = pair;
            let offset = match pace {
                // Spread over the span, not all at its beginning.
                Pace::Every(span) => span.mul_f64(place as f64 / count as f64),
                Pace::InFlight(_) => Duration::ZERO,
            };
            let sending = send(&mut sender, &to, each, size, pace, (begun, offset));
            let receiving = receive(&mut receiver, each, begun);
            // Of what was refused nothing would come.
            let ((), received) = tokio::try_join!(sending, receiving)?;
            Ok::<_, LoadError>((Pair { sender, to, receiver }, received))
        });
    }
    let (mut pairs, mut latency) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (pair, times) = done.map_err(|error| LoadError::Answer(error.to_string()))??;
        pairs.push(pair);
        latency.extend(times);
    }
    let report = Report { messages: count * each, took: begun.elapsed(), latency: Times::new(latency) };
    Ok((report, pairs))
}

/// Sends so many messages to somebody, and waits until all are accepted.
///
/// # Errors
/// When the connection ends or the server refuses.
pub async fn send<S, L>(
    sender: &mut Peer<S, L>,
    to: &L::To,
    count: u64,
    size: usize,
    pace: Pace,
    (begun, offset): (Instant, Duration),
) -> Result<(), LoadError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: Language,
{
    let (mut sent, mut accepted) = (0, 0);
    let mut note = |heard| accepted += u64::from(matches!(heard, Heard::Accepted));
    match pace {
        Pace::InFlight(window) => {
            let mut done = 0;
            while done < count {
                while sent < count && sent - done < window {
                    sender.language.submit(&mut sender.out, to, &stamped(size, begun));
                    sent += 1;
                }
                sender.write().await?;
                done += u64::from(matches!(sender.hear().await?, Heard::Accepted));
                while let Some(heard) = sender.ready()? {
                    done += u64::from(matches!(heard, Heard::Accepted));
                }
            }
            return Ok(());
        }
        Pace::Every(span) => {
            let mut due = tokio::time::interval_at((begun + offset).into(), span);
            while sent < count {
                tokio::select! {
                    _ = due.tick() => {
                        sender.language.submit(&mut sender.out, to, &stamped(size, begun));
                        sender.write().await?;
                        sent += 1;
                    }
                    heard = sender.hear() => note(heard?),
                }
            }
        }
    }
    while accepted < count {
        accepted += u64::from(matches!(sender.hear().await?, Heard::Accepted));
    }
    Ok(())
}

/// Receives so many messages, and acknowledges them as a client does; how old each was.
///
/// # Errors
/// When the connection ends.
pub async fn receive<S, L>(
    receiver: &mut Peer<S, L>,
    count: u64,
    begun: Instant,
) -> Result<Vec<Duration>, LoadError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: Language,
{
    let (mut times, mut since) = (Vec::new(), 0);
    let mut newest = 0;
    while (times.len() as u64) < count {
        let mut next = Some(receiver.hear().await?);
        while let Some(heard) = next {
            if let Heard::Message(body, place) = heard {
                times.push(age(&body, begun));
                newest = place;
                since += 1;
            }
            if since >= ACKNOWLEDGE {
                since = 0;
                receiver.language.acknowledge(&mut receiver.out, newest);
            }
            next = receiver.ready()?;
        }
        if since > 0 {
            since = 0;
            receiver.language.acknowledge(&mut receiver.out, newest);
        }
        if !receiver.out.is_empty() {
            receiver.write().await?;
        }
    }
    Ok(times)
}

/// Begins to receive, and waits for the mailbox's end.
///
/// # Errors
/// When the connection ends.
pub async fn subscribe<S, L>(receiver: &mut Peer<S, L>) -> Result<(), LoadError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: Language,
{
    receiver.language.subscribe(&mut receiver.out);
    receiver.write().await?;
    while !matches!(receiver.hear().await?, Heard::End) {}
    Ok(())
}
