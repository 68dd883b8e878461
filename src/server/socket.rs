//! A socket that gives a handshake no more than a handshake needs, and reads ahead for who is logged in.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that a TLS handshake may send. A hello with a post-quantum key share takes under 2 KiB, the rest of
/// a client's part 100 bytes; what is sent is held in memory until it is whole.
const HANDSHAKE: usize = 16 * 1024;

/// Bytes that are read at once where TLS asks for less: it asks for 4 KiB at a time.
const AHEAD: usize = 32 * 1024;

/// A TCP connection, read from sparingly until [`Socket::trust`].
pub struct Socket {
    tcp: TcpStream,
    /// Bytes that may still be read; no bound where none is here.
    left: Option<usize>,
    reads_ahead: bool,
    /// What was read and not asked for yet.
    ahead: Bytes,
}

impl Socket {
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, left: Some(HANDSHAKE), reads_ahead: false, ahead: Bytes::new() }
    }

    /// From now on it may hold a few bytes that were not asked for.
    pub fn read_ahead(&mut self) {
        self.reads_ahead = true;
    }

    /// The handshake is done: from now on the protocol above knows its limits.
    pub fn trust(&mut self) {
        self.left = None;
    }

    fn poll_ahead(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let (asked, ahead) = self.ahead.split_at(self.ahead.len().min(buffer.remaining()));
            buffer.put_slice(asked);
            if ahead.is_empty() {
                // Given back.
                self.ahead = Bytes::new();
            } else {
                let asked = asked.len();
                self.ahead.advance(asked);
            }
            return Poll::Ready(Ok(()));
        }
        if !self.reads_ahead {
            return Pin::new(&mut self.tcp).poll_read(context, buffer);
        }
        // On the stack: an idle connection holds no buffer.
        let mut scratch = [MaybeUninit::uninit(); AHEAD];
        let mut read = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.tcp).poll_read(context, &mut read))?;
        let (asked, ahead) = read.filled().split_at(read.filled().len().min(buffer.remaining()));
        buffer.put_slice(asked);
        self.ahead = Bytes::copy_from_slice(ahead);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(left) = self.left else { return self.poll_ahead(context, buffer) };
        if left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too long a handshake")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        self.left = Some(left.saturating_sub(buffer.filled().len() - before));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}
