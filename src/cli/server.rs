//! `tellal server`: serves until it is told to stop.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::server::{self, Options, tls};
use crate::store::SqliteStore;

/// Run a server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:6000")]
    listen: SocketAddr,
    /// Folder for the server's key, its database and voice notes [default: the platform's data folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Certificate chain (PEM) to show instead of one of the server's own making
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// Runs `tellal server` and reports how it ended. Logs go to stderr; `RUST_LOG` says how much of them.
pub async fn main(args: Args) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber =
        tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_env_filter(filter);
    // Only a second start in the same process could fail.
    let _ = subscriber.try_init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failure::report(&error, false),
    }
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the server can't start, or could not close its store.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let data = args.data.map_or_else(default_data, Ok)?;
    make_private_folder(&data)?;
    let _lock = lock(&data)?;
    let identity = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => tls::from_files(certificate, key)?,
        _ => tls::from_folder(&data)?,
    };
    let log = server::LogSigner::from_folder(&data)?;
    let store = SqliteStore::open(&data).with_context(|| {
        format!("can't open the store in {}: is there space and may I write?", data.display())
    })?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!("can't listen on {}: end what uses it, or choose another port with --listen", args.listen)
    })?;
    let address = listener.local_addr().context("no address to listen on")?;
    let shutdown = CancellationToken::new();
    stop_on_signals(shutdown.clone())?;
    let mut out = io::stdout();
    writeln!(out, "listening on {address}, fingerprint {}", identity.fingerprint.fingerprint())?;
    out.flush()?;
    tracing::info!(%address, data = %data.display(), "serving");
    server::run(listener, store, identity.config, log, Options::default(), shutdown)
        .await
        .context("the store could not be closed in good order: the next start will repair it")
}

fn default_data() -> anyhow::Result<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "tellal-server");
    let folder = folders.map(|folders| folders.data_dir().to_owned());
    folder.context("this account has no home folder: say with --data where to keep the server's data")
}

fn make_private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("can't make the folder {}: choose another with --data", folder.display()))
}

/// Two servers on one folder would each answer for half of the mail.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| {
        format!("can't write in {}: choose a folder of your own with --data", data.display())
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another server uses {}: end it, or choose another folder with --data", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("can't lock {}", path.display()))
        }
    }
}

/// The first signal asks for an orderly end, which has its own time limit; a second one ends at once.
fn stop_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("can't handle SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("can't handle SIGTERM")?;
    tokio::spawn(async move {
        for round in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if round > 0 {
                std::process::exit(1);
            }
            tracing::info!("asked to stop");
            shutdown.cancel();
        }
    });
    Ok(())
}
