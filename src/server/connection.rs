//! One connection, one task: bytes in, frames to the session, frames out.
//!
//! Reading and writing share the task and the stream, so that an idle connection costs one task and no
//! buffers. What is gathered is written at once. When a client reads too slowly, nothing more is read from
//! it or from its mailbox until it has caught up.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::gate::Place;
use super::handshake::shake_hands;
use super::session::{Done, Pending, Session};
use super::socket::Socket;
use crate::protocol::frame::{self, FrameError, Limit};
use crate::protocol::message::{GoodbyeReason, Push};
use crate::protocol::{EXPORTER_LABEL, frame::Frame};
use crate::store::Store;

/// Bytes that wait to be written, above which nothing is added that can wait.
pub const HIGH_WATER: usize = 256 * 1024;

/// The same for a connection that has not logged in: room for its greeting and a few answers.
const HIGH_WATER_BEFORE_LOGIN: usize = 4 * 1024;

/// Bytes that are gathered before they are written, if more is there. Two TLS records: larger buffers only take longer
/// to get and to give back.
const GATHERED: usize = 32 * 1024;

/// Encrypted bytes of such a connection that wait to be written.
const TLS_BEFORE_LOGIN: usize = 16 * 1024;

/// Encrypted bytes that wait to be written.
const TLS_WAITING: usize = 64 * 1024;

/// Requests of one connection under way at once.
const UNDER_WAY: usize = 128;

/// Bytes of the frames that they came in, above which no more are taken.
const UNDER_WAY_BYTES: usize = 1024 * 1024;

/// Taking leave of a client that may not be listening.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a connection ends.
enum End {
    /// It is gone, or was closed in good order.
    Gone,
    /// The server ends it, and says why.
    Goodbye(GoodbyeReason),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Bytes that have moved.
enum Moved {
    Read(usize),
    Written,
}

/// A request under way.
struct UnderWay {
    pending: Pending,
    /// Of the frame that it came in.
    bytes: usize,
}

impl Future for UnderWay {
    type Output = (Done, usize);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(self.pending.as_mut().poll(context));
        Poll::Ready((done, self.bytes))
    }
}

/// A connection whose TLS handshake is done.
pub struct Connection<S: Store> {
    shared: Arc<Shared<S>>,
    tls: TlsStream<Socket>,
    inbox: BytesMut,
    outbox: BytesMut,
    flushed: bool,
    session: Session<S>,
    pending: FuturesUnordered<UnderWay>,
    /// Bytes of the frames that those came in.
    under_way: usize,
    heard: Instant,
    _place: Place,
}

impl<S: Store> Connection<S> {
    /// Serves a connection from its first byte to its last.
    pub async fn serve(
        shared: Arc<Shared<S>>,
        acceptor: TlsAcceptor,
        socket: TcpStream,
        peer: SocketAddr,
        place: Place,
    ) {
        let deadline = Instant::now() + shared.options.login;
        // Each part in a box of its own: the one that is over takes no room from then on.
        let Some(mut tls) = Box::pin(shake_hands(&shared, acceptor, socket, deadline)).await else {
            return tracing::debug!(%peer, "no TLS handshake");
        };
        tls.get_mut().1.set_buffer_limit(Some(TLS_BEFORE_LOGIN));
        let exporter = tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None);
        let Ok(exporter) = exporter else { return tracing::warn!(%peer, "no TLS exporter") };
        let connection = Self {
            session: Session::new(Arc::clone(&shared), exporter, peer.into()),
            shared,
            tls,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            flushed: true,
            pending: FuturesUnordered::new(),
            under_way: 0,
            heard: Instant::now(),
            _place: place,
        };
        Box::pin(connection.live(deadline, peer)).await;
    }

    async fn live(mut self, login_deadline: Instant, peer: SocketAddr) {
        let end = self.run(login_deadline).await;
        if let End::Goodbye(reason) = end {
            tracing::info!(%peer, ?reason, "a connection was ended");
            // Whether it arrives is up to the client.
            let _ = timeout(GOODBYE, self.take_leave(reason)).await;
        }
    }

    async fn run(&mut self, login_deadline: Instant) -> End {
        self.put(&self.session.hello());
        let timer = tokio::time::sleep_until(login_deadline);
        let shutdown = self.shared.shutdown.clone().cancelled_owned();
        let replaced = self.session.replaced();
        tokio::pin!(timer, shutdown, replaced);
        loop {
            if let Err(end) = self.take_frames() {
                return end;
            }
            if self.session.has_failed() {
                return End::Gone;
            }
            if self.outbox.len() < HIGH_WATER {
                self.session.sent();
            }
            let read = self.session.next_read(self.outbox.len() < HIGH_WATER);
            self.begin(read, 0);
            let room = self.outbox.len() < self.high_water();
            let reading = room && self.takes_more();
            let left = GATHERED.saturating_sub(self.outbox.len());
            let Self { tls, inbox, outbox, flushed, session, pending, .. } = self;
            // What waits to be sent is gathered first, then written at once.
            tokio::select! {
                biased;
                () = &mut shutdown => return self.drain().await,
                () = &mut replaced => return End::Goodbye(GoodbyeReason::Replaced),
                Some((done, bytes)) = pending.next() => {
                    let logging_in = session.is_logging_in();
                    self.finish(done, bytes);
                    // A group of requests is done at once: so are its answers sent.
                    while self.outbox.len() < GATHERED.min(self.high_water())
                        && let Some(Some((done, bytes))) = self.pending.next().now_or_never()
                    {
                        self.finish(done, bytes);
                    }
                    if logging_in {
                        replaced.set(self.session.replaced());
                    }
                }
                frames = session.unasked(left), if left > 0 => {
                    for (head, body) in &frames {
                        self.put_with(head, body);
                    }
                }
                moved = poll_fn(|context| transfer(tls, inbox, outbox, flushed, reading, context)) => {
                    match moved {
                        Ok(Moved::Read(0)) | Err(_) => {
                            if !self.inbox.is_empty() {
                                tracing::info!(bytes = self.inbox.len(), "a frame was cut off");
                            }
                            return End::Gone;
                        }
                        Ok(Moved::Read(_)) => self.heard = Instant::now(),
                        Ok(Moved::Written) => {}
                    }
                }
                () = &mut timer => {
                    let due = self.heard + self.shared.options.idle;
                    if !self.session.is_logged_in() || due <= Instant::now() {
                        return End::Goodbye(GoodbyeReason::TimedOut);
                    }
                    timer.as_mut().reset(due);
                }
            }
        }
    }

    /// Takes in what has come of a request that came in a frame of so many bytes.
    fn finish(&mut self, done: Done, bytes: usize) {
        self.under_way -= bytes;
        let (pushes, more) = self.session.done(done);
        if self.session.is_logged_in() {
            let (socket, tls) = self.tls.get_mut();
            socket.read_ahead();
            tls.set_buffer_limit(Some(TLS_WAITING));
        }
        for (head, body) in &pushes {
            self.put_with(head, body);
        }
        self.begin(more, 0);
    }

    /// Hands complete frames to the session, as many as may be under way.
    fn take_frames(&mut self) -> Result<(), End> {
        while self.outbox.len() < self.high_water() && self.takes_more() {
            let limit = if self.session.is_logged_in() { Limit::FROM_CLIENT } else { Limit::BEFORE_LOGIN };
            let frame = match frame::take(&mut self.inbox, limit) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(FrameError::TooLarge { .. }) => return Err(End::Goodbye(GoodbyeReason::TooLarge)),
                Err(FrameError::Head) => return Err(End::Goodbye(GoodbyeReason::Malformed)),
            };
            self.ask(frame)?;
        }
        if self.inbox.is_empty() {
            // Given back while idle.
            self.inbox = BytesMut::new();
        }
        Ok(())
    }

    fn ask(&mut self, frame: Frame) -> Result<(), End> {
        let mut decoder = minicbor::Decoder::new(&frame.head);
        let request = decoder.decode().map_err(|_| End::Goodbye(GoodbyeReason::Malformed))?;
        if decoder.position() != frame.head.len() {
            return Err(End::Goodbye(GoodbyeReason::Malformed));
        }
        let bytes = frame.head.len() + frame.body.len();
        let (push, pending) = self.session.ask(request, bytes, frame.body);
        if let Some(push) = push {
            self.put(&push);
        }
        self.begin(pending, bytes);
        if self.session.is_out_of_order() {
            return Err(End::Goodbye(GoodbyeReason::OutOfOrder));
        }
        Ok(())
    }

    /// Something is under way from now on, asked for in a frame of so many bytes.
    fn begin(&mut self, pending: Option<Pending>, bytes: usize) {
        if let Some(pending) = pending {
            self.under_way += bytes;
            self.pending.push(UnderWay { pending, bytes });
        }
    }

    /// Whether one more request may be under way.
    fn takes_more(&self) -> bool {
        self.pending.len() < UNDER_WAY && self.under_way < UNDER_WAY_BYTES && !self.session.is_logging_in()
    }

    /// Bytes that may wait to be written: few for who may be anybody.
    fn high_water(&self) -> usize {
        if self.session.is_logged_in() { HIGH_WATER } else { HIGH_WATER_BEFORE_LOGIN }
    }

    fn put(&mut self, head: &Push) {
        self.put_with(head, &[]);
    }

    fn put_with(&mut self, head: &Push, body: &[u8]) {
        frame::put_encoded(&mut self.outbox, head, body);
    }

    /// The server stops: what was asked is finished and answered, nothing more is read.
    async fn drain(&mut self) -> End {
        let limit = self.shared.options.drain;
        let answers = async {
            while let Some((done, bytes)) = self.pending.next().await {
                self.finish(done, bytes);
                self.session.sent();
            }
        };
        // Whoever has no answer by then submits again after the restart.
        let _ = timeout(limit, answers).await;
        End::Goodbye(GoodbyeReason::ShuttingDown)
    }

    async fn take_leave(&mut self, reason: GoodbyeReason) -> io::Result<()> {
        self.put(&Push::Goodbye { reason, retry_after: None });
        let gathered = self.outbox.split();
        self.tls.write_all(&gathered).await?;
        self.tls.shutdown().await
    }
}

/// Tells a connection that there are too many already, and when to come again.
pub async fn turn_away<S: Store>(
    shared: Arc<Shared<S>>,
    acceptor: TlsAcceptor,
    socket: TcpStream,
    (_place, wait): (Place, Duration),
) {
    let deadline = Instant::now() + GOODBYE;
    let Some(mut tls) = shake_hands(&shared, acceptor, socket, deadline).await else { return };
    let retry_after = Some(super::retry_after(wait));
    let goodbye = Push::Goodbye { reason: GoodbyeReason::Limited, retry_after };
    let mut outbox = BytesMut::new();
    frame::put_encoded(&mut outbox, &goodbye, &[]);
    let told = async {
        tls.write_all(&outbox).await?;
        tls.shutdown().await
    };
    // Whether it arrives is up to the client.
    let _ = tokio::time::timeout_at(deadline, told).await;
}

/// Moves bytes in whichever direction is ready. Nothing is lost when it is dropped half-way: what has been
/// read is in `inbox`, what has been written is gone from `outbox`.
fn transfer(
    tls: &mut TlsStream<Socket>,
    inbox: &mut BytesMut,
    outbox: &mut BytesMut,
    flushed: &mut bool,
    reading: bool,
    context: &mut Context<'_>,
) -> Poll<io::Result<Moved>> {
    if !outbox.is_empty() {
        if let Poll::Ready(written) = Pin::new(&mut *tls).poll_write(context, outbox) {
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => outbox.advance(written),
            }
            if outbox.is_empty() {
                *outbox = BytesMut::new();
            }
            *flushed = false;
            return Poll::Ready(Ok(Moved::Written));
        }
    } else if !*flushed && let Poll::Ready(done) = Pin::new(&mut *tls).poll_flush(context) {
        done?;
        *flushed = true;
    }
    if !reading {
        return Poll::Pending;
    }
    // On the stack: an idle connection holds no buffer.
    let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
    let mut buffer = ReadBuf::uninit(&mut scratch);
    ready!(Pin::new(tls).poll_read(context, &mut buffer))?;
    inbox.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(Moved::Read(buffer.filled().len())))
}
