//! Connections that never log in: some say nothing, some go on saying a little, some have the server compute.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::LoadError;
use super::peer::Target;
use crate::protocol::ALPN;

/// Between two bytes of a slow handshake: so many connections write that often, and that is the load's own work.
const SLOWLY: Duration = Duration::from_secs(5);

/// Before a connection that was ended is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is ended within this time was not served. A server waits for a login for longer.
const REFUSED: Duration = Duration::from_secs(5);

/// A handshake that has only begun: a record of 512 bytes, of which none come, or one every five seconds.
const BEGINNING: [u8; 9] = [22, 3, 1, 2, 0, 1, 0, 1, 252];

/// What the connections do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// They say nothing.
    Silence,
    /// They go on with a TLS handshake, a byte every five seconds.
    Slowness,
    /// They have the server compute its part of a TLS handshake, and are gone.
    Handshakes,
}

/// Connections to a server that are kept up: each that it ends is begun again, a second later.
pub struct Siege {
    stop: CancellationToken,
    tasks: TaskTracker,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    held: AtomicUsize,
    answered: AtomicU64,
    refused: AtomicU64,
}

/// What has come of them.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Connections that the server holds at this moment.
    pub held: usize,
    /// Handshakes that it has answered so far.
    pub answered: u64,
    /// Connections that it has ended as soon as they were begun.
    pub refused: u64,
}

impl Siege {
    /// Opens so many connections, each of them once before it returns.
    ///
    /// # Errors
    /// When this process may not open as many files.
    pub async fn begin(target: &Target, connections: usize, means: Means) -> Result<Self, LoadError> {
        let (stop, tasks, counts) =
            (CancellationToken::new(), TaskTracker::new(), Arc::new(Counts::default()));
        let hello: Arc<[u8]> = match means {
            Means::Silence => Arc::default(),
            Means::Slowness => BEGINNING.into(),
            Means::Handshakes => hello()?.into(),
        };
        for _ in 0..connections {
            let socket = match connect(target).await {
                // Neither a descriptor nor a port is left: that is no word of the server's.
                Err(error) if !is_refusal(&error) => return Err(error.into()),
                socket => socket,
            };
            let besieger = Besieger { target: target.clone(), hello: hello.clone(), means };
            let (counts, stop) = (counts.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = besieger.keep(socket, &counts) => {}
                }
            });
        }
        Ok(Self { stop, tasks, counts })
    }

    /// What has come of it so far.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            held: self.counts.held.load(Ordering::Relaxed),
            answered: self.counts.answered.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }

    /// Gives up.
    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The first bytes of a client as ours is, with its key shares.
fn hello() -> Result<Vec<u8>, LoadError> {
    let failed = |error: rustls::Error| LoadError::Keys(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let name = ServerName::try_from("tellal").map_err(|error| LoadError::Keys(error.to_string()))?;
    let mut client = ClientConnection::new(Arc::new(config), name).map_err(failed)?;
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes)?;
    Ok(bytes)
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((target.address.host.as_str(), target.address.port)).await?;
    // What is closed is forgotten, here too: ports don't run out.
    socket.set_zero_linger()?;
    Ok(socket)
}

/// Whether it is the server that has ended the connection.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection of many.
struct Besieger {
    target: Target,
    /// What it says first.
    hello: Arc<[u8]>,
    means: Means,
}

impl Besieger {
    /// Holds a connection, and another one when the server has ended it.
    async fn keep(self, mut socket: io::Result<TcpStream>, counts: &Counts) {
        loop {
            match socket {
                Ok(held) => {
                    let (begun, holding) = (Instant::now(), Holding::begin(&counts.held));
                    let answered = self.hold(held).await;
                    drop(holding);
                    if answered {
                        counts.answered.fetch_add(1, Ordering::Relaxed);
                    } else if begun.elapsed() < REFUSED {
                        counts.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(_) => drop(counts.refused.fetch_add(1, Ordering::Relaxed)),
            }
            tokio::time::sleep(AGAIN).await;
            socket = connect(&self.target).await;
        }
    }

    /// Until the server ends it; or until it has answered a handshake, where that is all that is wanted.
    async fn hold(&self, mut socket: TcpStream) -> bool {
        let (mut reading, mut writing) = socket.split();
        let answered = async {
            let mut scratch = [0; 16];
            while matches!(reading.read(&mut scratch).await, Ok(1..)) {
                if self.means == Means::Handshakes {
                    return true;
                }
            }
            false
        };
        let dripping = async {
            if writing.write_all(&self.hello).await.is_ok() && self.means == Means::Slowness {
                while writing.write_all(&[0]).await.is_ok() {
                    tokio::time::sleep(SLOWLY).await;
                }
            }
            // Reading tells of the end.
            std::future::pending().await
        };
        tokio::select! {
            answered = answered => answered,
            () = dripping => false,
        }
    }
}

/// A connection that is held, until it is dropped.
struct Holding<'a>(&'a AtomicUsize);

impl<'a> Holding<'a> {
    fn begin(held: &'a AtomicUsize) -> Self {
        held.fetch_add(1, Ordering::Relaxed);
        Self(held)
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
