//! One connection at work: a single task reads and writes; requests go in, replies and pushes come out.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::model::to_cbor;
use crate::protocol::frame::{self, Limit};
use crate::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, Request, Verb};

/// How often the server hears something.
const PING: Duration = Duration::from_secs(30);
/// After this long without a byte the connection is dead.
const SILENCE: Duration = Duration::from_secs(90);
/// The same with a request that has no answer, whatever else comes. What is waited for at the server takes 20 s, and a
/// window of chunks on a slow line some minutes.
const UNANSWERED: Duration = Duration::from_secs(240);
/// Pushed bytes that wait for their reader before reading pauses.
const BACKLOG: usize = 8 * 1024 * 1024;
/// The same while a reply is waited for, which may stand behind them. A server that is one holds far less than this
/// back for a connection; one that floods its clients gets no further.
const FLOOD: usize = 32 * 1024 * 1024;
/// Bytes to write beyond which no further request is taken.
const OUTGOING: usize = 512 * 1024;

/// Asks on a connection. Clones ask on the same one.
#[derive(Clone)]
pub(crate) struct Wire {
    requests: mpsc::Sender<Outgoing>,
    closed: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

/// A push and its body.
pub(crate) struct Pushed {
    pub push: Push,
    pub body: Bytes,
    /// What it takes while it waits.
    weight: usize,
}

/// Pushes, in order. `None`: the connection has ended.
pub(crate) struct Pushes {
    queue: mpsc::UnboundedReceiver<Pushed>,
    backlog: Arc<Backlog>,
}

/// The reply to a request.
pub(crate) type Reply = Result<(Answer, Bytes), Denied>;

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denied {
    /// The server refused.
    Refused { code: RefusalCode, retry_after: Option<Duration> },
    /// The connection has ended. Whether the request was carried out is not known.
    Lost,
}

struct Outgoing {
    verb: Verb,
    body: Bytes,
    reply: Option<oneshot::Sender<Reply>>,
}

/// Bytes that were pushed and not yet taken.
#[derive(Default)]
struct Backlog {
    bytes: AtomicUsize,
    taken: Notify,
}

impl Wire {
    /// A request whose place in the order of requests is fixed when this returns; its reply comes later.
    pub(crate) async fn send(&self, verb: Verb, body: Bytes) -> oneshot::Receiver<Reply> {
        let (reply, receiver) = oneshot::channel();
        // When the connection has ended, the dropped sender says so.
        let _ = self.requests.send(Outgoing { verb, body, reply: Some(reply) }).await;
        receiver
    }

    /// A request and its answer.
    pub(crate) async fn ask(&self, verb: Verb) -> Reply {
        self.ask_with(verb, Bytes::new()).await
    }

    /// A request with a body, and its answer.
    pub(crate) async fn ask_with(&self, verb: Verb, body: Bytes) -> Reply {
        self.send(verb, body).await.await.unwrap_or(Err(Denied::Lost))
    }

    /// A request that has no reply.
    pub(crate) async fn tell(&self, verb: Verb) {
        let _ = self.requests.send(Outgoing { verb, body: Bytes::new(), reply: None }).await;
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) {
        self.closed.cancelled().await;
    }

    /// Why it has ended. Whoever was denied an answer because of it, or has waited for it, can ask.
    pub(crate) fn reason(&self) -> String {
        self.reason.get().cloned().unwrap_or_else(|| "the connection was lost".to_owned())
    }

    /// Whether it has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }
}

impl Pushes {
    pub(crate) async fn next(&mut self) -> Option<Pushed> {
        let pushed = self.queue.recv().await;
        pushed.map(|pushed| self.took(pushed))
    }

    /// The next one if it is here already.
    pub(crate) fn ready(&mut self) -> Option<Pushed> {
        let pushed = self.queue.try_recv().ok();
        pushed.map(|pushed| self.took(pushed))
    }

    fn took(&self, pushed: Pushed) -> Pushed {
        self.backlog.bytes.fetch_sub(pushed.weight, Ordering::Relaxed);
        self.backlog.taken.notify_one();
        pushed
    }
}

/// A wire over a stream, its pushes, and the task that must be run for both. The task ends with the reason.
pub(crate) fn wire<S>(stream: S) -> (Wire, Pushes, impl Future<Output = String> + Send)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (requests, receiver) = mpsc::channel(64);
    let (sender, queue) = mpsc::unbounded_channel();
    let backlog = Arc::new(Backlog::default());
    let closed = CancellationToken::new();
    let mut pump = Pump {
        io: Io {
            stream,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            unflushed: false,
            broken: None,
        },
        requests: receiver,
        pushes: sender,
        backlog: backlog.clone(),
        pending: HashMap::new(),
        number: 0,
    };
    let wire = Wire { requests, closed: closed.clone(), reason: Arc::default() };
    let told = wire.reason.clone();
    let run = async move {
        // Cancelled also when the task itself is dropped.
        let ended = closed.clone().drop_guard();
        let reason = pump.run(closed).await;
        // Known before those who wait learn that there is no answer.
        let reason = told.get_or_init(|| reason).clone();
        let Pump { io, mut requests, pushes, pending, .. } = pump;
        drop((io, pushes, pending, ended));
        // Who has a place in the queue by now still puts a request there: it would stay, and its reply be waited for.
        requests.close();
        while requests.recv().await.is_some() {}
        reason
    };
    (wire, Pushes { queue, backlog }, run)
}

struct Pump<S> {
    io: Io<S>,
    requests: mpsc::Receiver<Outgoing>,
    pushes: mpsc::UnboundedSender<Pushed>,
    backlog: Arc<Backlog>,
    /// Requests without an answer, and since when.
    pending: HashMap<u32, (Instant, oneshot::Sender<Reply>)>,
    number: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    async fn run(&mut self, closed: CancellationToken) -> String {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            // Replies come on the same stream: while one is waited for, reading goes on.
            let most = if self.pending.is_empty() { BACKLOG } else { FLOOD };
            let may_read = self.backlog.bytes.load(Ordering::Relaxed) < most;
            tokio::select! {
                biased;
                () = closed.cancelled() => {
                    self.finish().await;
                    return "the connection was closed".to_owned();
                }
                request = self.requests.recv(), if self.io.outgoing.len() < OUTGOING => {
                    let Some(request) = request else { return "the connection was closed".to_owned() };
                    self.put(request);
                }
                progress = poll_fn(|context| self.io.poll(may_read, context)) => match progress {
                    Ok(Progress::Read(0)) => return "the server closed the connection".to_owned(),
                    Ok(Progress::Read(_)) => {
                        heard = Instant::now();
                        if let Err(reason) = self.take() {
                            return reason;
                        }
                    }
                    Ok(Progress::Written) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return "the connection broke off".to_owned();
                    }
                    Err(error) => return error.to_string(),
                },
                () = self.backlog.taken.notified(), if !may_read => {}
                now = ping.tick() => {
                    if now.duration_since(heard) >= SILENCE {
                        return "the server has fallen silent".to_owned();
                    }
                    if self.pending.values().any(|(asked, _)| now.duration_since(*asked) >= UNANSWERED) {
                        return "the server does not answer what it is asked".to_owned();
                    }
                    self.put(Outgoing { verb: Verb::Ping, body: Bytes::new(), reply: None });
                }
            }
        }
    }

    fn put(&mut self, request: Outgoing) {
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        let head = to_cbor(&Request { number, verb: request.verb });
        frame::put(&mut self.io.outgoing, &head, &request.body);
        if let Some(reply) = request.reply {
            self.pending.insert(number, (Instant::now(), reply));
        }
    }

    /// Takes all whole frames out of what was read.
    fn take(&mut self) -> Result<(), String> {
        let strange = |what: &str| format!("the server sent {what}");
        while let Some(frame) = frame::take(&mut self.io.incoming, Limit::FROM_SERVER)
            .map_err(|error| strange(&error.to_string()))?
        {
            let push = minicbor::decode(&frame.head).map_err(|_| strange("what is no message"))?;
            let length = frame.head.len() + frame.body.len();
            match push {
                Push::Reply { number, answer } => {
                    // Where a subscription, or a list of who is online, begins among the pushes is for their reader
                    // to know.
                    if let Answer::Subscribed { .. } | Answer::Online { .. } = answer {
                        self.push(Push::Reply { number, answer: answer.clone() }, Bytes::new(), length);
                    }
                    self.answer(number, Ok((answer, frame.body)));
                }
                Push::Refusal { number, code, retry_after } => {
                    let retry_after = retry_after.map(wait);
                    self.answer(number, Err(Denied::Refused { code, retry_after }));
                }
                Push::Goodbye { reason, retry_after } => {
                    // Who waits for a greeting wants to know when to come again.
                    self.push(Push::Goodbye { reason, retry_after }, Bytes::new(), length);
                    return Err(goodbye(reason).to_owned());
                }
                push => self.push(push, frame.body, length),
            }
        }
        Ok(())
    }

    /// Hands on what came in so many bytes.
    fn push(&mut self, push: Push, body: Bytes, length: usize) {
        // One without a body isn't free either.
        let weight = length + size_of::<Pushed>();
        self.backlog.bytes.fetch_add(weight, Ordering::Relaxed);
        // When nobody takes them any more, the connection is about to be closed.
        let _ = self.pushes.send(Pushed { push, body, weight });
    }

    fn answer(&mut self, number: u32, reply: Reply) {
        if let Some((_, sender)) = self.pending.remove(&number) {
            // Whoever asked may have gone.
            let _ = sender.send(reply);
        }
    }

    /// Writes out what was asked before the end, as far as that goes without waiting long.
    async fn finish(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            self.put(request);
        }
        let written = async {
            while !self.io.outgoing.is_empty() || self.io.unflushed {
                poll_fn(|context| self.io.poll(false, context)).await?;
            }
            poll_fn(|context| Pin::new(&mut self.io.stream).poll_shutdown(context)).await
        };
        let _: Result<io::Result<()>, _> = tokio::time::timeout(Duration::from_secs(1), written).await;
    }
}

/// How long, and how short, a server may have its clients wait, whatever it says.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The time to wait that a server has named.
pub(crate) fn wait(retry_after: u32) -> Duration {
    Duration::from_millis(retry_after.into()).clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

fn goodbye(reason: GoodbyeReason) -> &'static str {
    match reason {
        GoodbyeReason::ShuttingDown => "the server is shutting down",
        GoodbyeReason::Malformed => "the server did not understand this program",
        GoodbyeReason::TooLarge => "the server found something too large",
        GoodbyeReason::TimedOut => "the server heard nothing for too long",
        GoodbyeReason::Replaced => "this profile has connected from somewhere else",
        GoodbyeReason::OutOfOrder => "the server was asked something out of order",
        GoodbyeReason::Limited => "the server has too many connections",
    }
}

struct Io<S> {
    stream: S,
    incoming: BytesMut,
    outgoing: BytesMut,
    unflushed: bool,
    /// What became of writing. What was said before that may still be there to be read, and say why.
    broken: Option<io::Error>,
}

enum Progress {
    Read(usize),
    Written,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    /// Writes what there is to write and reads what there is to read. Dropping it between polls loses nothing.
    fn poll(&mut self, may_read: bool, context: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        let mut written = false;
        if self.broken.is_none() {
            match self.write(context) {
                Ok(some) => written = some,
                Err(error) => self.broken = Some(error),
            }
        }
        if may_read {
            self.incoming.reserve(16 * 1024);
            match (pin!(self.stream.read_buf(&mut self.incoming)).poll(context), &mut self.broken) {
                (Poll::Ready(Ok(count)), None) => return Poll::Ready(Ok(Progress::Read(count))),
                (Poll::Ready(Ok(count)), Some(_)) if count > 0 => {
                    return Poll::Ready(Ok(Progress::Read(count)));
                }
                (Poll::Ready(Err(error)), None) => return Poll::Ready(Err(error)),
                _ => {}
            }
        }
        match self.broken.take() {
            Some(error) => Poll::Ready(Err(error)),
            None if written => Poll::Ready(Ok(Progress::Written)),
            None => Poll::Pending,
        }
    }

    /// Writes what goes without waiting; whether that was anything.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut written = false;
        while !self.outgoing.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.outgoing)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => {
                    self.outgoing.advance(count);
                    self.unflushed = true;
                    written = true;
                }
                Poll::Pending => break,
            }
        }
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            self.unflushed = false;
            written = true;
        }
        Ok(written)
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
