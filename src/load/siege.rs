//! Connections that never log in: some say nothing, some go on saying a little.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::LoadError;
use super::peer::Target;

/// Between two bytes of a slow handshake: so many connections write that often, and that is the load's own work.
const SLOWLY: Duration = Duration::from_secs(5);

/// Before a connection that was ended is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// A handshake that has only begun: a record of 512 bytes, of which none come, or one every five seconds.
const BEGINNING: [u8; 9] = [22, 3, 1, 2, 0, 1, 0, 1, 252];

/// Connections to a server that are kept up: each that it ends is begun again.
pub struct Siege {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Siege {
    /// Opens so many connections, all of them before it returns. `slowly`: they go on with a TLS handshake, a byte
    /// every five seconds; otherwise they send nothing.
    ///
    /// # Errors
    /// When the server can't be reached, or this process may not open as many files.
    pub async fn begin(target: &Target, connections: usize, slowly: bool) -> Result<Self, LoadError> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        for _ in 0..connections {
            let socket = connect(target).await?;
            let (target, stop) = (target.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = keep(target, socket, slowly) => {}
                }
            });
        }
        Ok(Self { stop, tasks })
    }

    /// Gives up.
    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn connect(target: &Target) -> Result<TcpStream, LoadError> {
    Ok(TcpStream::connect((target.address.host.as_str(), target.address.port)).await?)
}

/// Holds a connection, and another one when the server has ended it.
async fn keep(target: Target, mut socket: TcpStream, slowly: bool) {
    loop {
        hold(&mut socket, slowly).await;
        tokio::time::sleep(AGAIN).await;
        if let Ok(another) = connect(&target).await {
            socket = another;
        }
    }
}

/// Until the server ends it.
async fn hold(socket: &mut TcpStream, slowly: bool) {
    let (mut reading, mut writing) = socket.split();
    let ended = async {
        let mut scratch = [0; 16];
        while matches!(tokio::io::AsyncReadExt::read(&mut reading, &mut scratch).await, Ok(1..)) {}
    };
    let dripping = async {
        if !slowly || writing.write_all(&BEGINNING).await.is_err() {
            return std::future::pending().await;
        }
        while writing.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(SLOWLY).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = dripping => {}
    }
}
