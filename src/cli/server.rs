//! `tellal server`: serves until it is told to stop.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::modes;
use crate::model::{Millis, invite};
use crate::server::{self, Config, tls};
use crate::store::{NewInvite, SqliteStore, Store as _};

/// Open files that are no connections: the store's, blobs being read, logs.
const OTHER_FILES: u64 = 600;

/// Run a server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:6000")]
    listen: SocketAddr,
    /// Folder for the server's key, its database and voice notes [default: the platform's data folder]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// What is allowed and how much [default: server.toml in the folder, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show what is allowed, by the file and by default, and end
    #[arg(long)]
    check_config: bool,
    /// Say that the folder was restored from a backup: clients read their mailboxes anew. For the first start after it
    #[arg(long)]
    restored: bool,
    /// Certificate chain (PEM) to show instead of one of the server's own making
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What else to do than to serve.
    #[command(subcommand)]
    action: Option<Action>,
}

/// What can be done beside a server that runs.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an invitation and print it: good for one registration, for a week
    Invite {
        /// For how many registrations
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// For how many days
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
    },
}

/// The server takes connections.
#[derive(Debug, Serialize)]
pub struct Listening {
    /// `listening`.
    pub kind: &'static str,
    /// ADDR:PORT.
    pub address: String,
    /// The fingerprint of its key, `SHA256:…`.
    pub fingerprint: String,
}

/// The result of `server invite`.
#[derive(Debug, Serialize)]
pub struct Invitation {
    /// `invitation`.
    pub kind: &'static str,
    /// What `register --invite` takes.
    pub invitation: String,
    /// For how many registrations.
    pub uses: u32,
    /// Until when.
    pub expires_at: Millis,
}

/// The result of `server --check-config`.
#[derive(Debug, Serialize)]
pub struct Allowed<'a> {
    /// `server_config`.
    pub kind: &'static str,
    /// The file that says so, if there is one.
    pub file: Option<String>,
    /// What is allowed, as that file would say it.
    pub config: &'a Config,
}

/// Runs `tellal server` and reports how it ended. Logs go to stderr; `verbose` or, more finely, `RUST_LOG` say how much
/// of them. `json`: results are objects.
pub async fn main(args: Args, json: bool, verbose: u8) -> ExitCode {
    let usual = match verbose {
        0 => "info",
        1 => "info,tellal=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let subscriber =
        tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_env_filter(filter);
    // Only a second start in the same process could fail.
    let _ = subscriber.try_init();
    match run(args, json).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failure::report(&error, json),
    }
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the server can't start, its store stops working, or could not be closed.
pub async fn run(args: Args, json: bool) -> anyhow::Result<()> {
    let data = args.data.map_or_else(default_data, Ok)?;
    if let Some(Action::Invite { uses, days }) = args.action {
        return invite(&data, uses, days, json).await;
    }
    let (config, source) = configuration(args.config, &data)?;
    if args.check_config {
        return show(&config, source.as_deref(), json);
    }
    if args.restored {
        has_store(&data)?;
    }
    make_private_folder(&data)?;
    warn_of_others(&data);
    raise_open_files(&config);
    let _lock = lock(&data)?;
    let identity = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => tls::from_files(certificate, key)?,
        _ => tls::from_folder(&data)?,
    };
    let log = server::LogSigner::from_folder(&data)?;
    if args.restored {
        begin_epoch(&data)?;
    }
    let store = SqliteStore::open_with(&data, config.quotas()).with_context(|| {
        format!("can't open the store in {}: is there space and may I write?", data.display())
    })?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!("can't listen on {}: end what uses it, or choose another port with --listen", args.listen)
    })?;
    let address = listener.local_addr().context("no address to listen on")?;
    let shutdown = CancellationToken::new();
    stop_on_signals(shutdown.clone())?;
    let fingerprint = identity.fingerprint.fingerprint();
    let listening = Listening { kind: "listening", address: address.to_string(), fingerprint };
    put(json, &listening, || format!("listening on {address}, fingerprint {}\n", listening.fingerprint))?;
    tracing::info!(%address, data = %data.display(), "serving");
    Ok(server::run(listener, store, identity, log, config.options(), shutdown).await?)
}

/// What the named file says, or the one in the folder, or the defaults; and which file it was.
fn configuration(named: Option<PathBuf>, data: &Path) -> anyhow::Result<(Config, Option<PathBuf>)> {
    let usual = data.join("server.toml");
    let Some(path) = named.or_else(|| usual.exists().then_some(usual)) else {
        return Ok((Config::default(), None));
    };
    Ok((Config::read(&path)?, Some(path)))
}

fn show(config: &Config, source: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let file = source.map(|path| path.display().to_string());
    let allowed = Allowed { kind: "server_config", file, config };
    let text = || {
        let from = match &allowed.file {
            Some(path) => format!("# {path}, and defaults for what it leaves out"),
            None => "# no file: all of this is by default".to_owned(),
        };
        format!("{from}\n\n{}", config.to_toml())
    };
    Ok(put(json, &allowed, text)?)
}

/// One result: the object for programs, the lines for people.
fn put<T: Serialize>(json: bool, object: &T, text: impl FnOnce() -> String) -> io::Result<()> {
    let mut out = io::stdout();
    #[cfg(feature = "client")]
    if json {
        writeln!(out, "{}", super::output::to_json(object)?)?;
        return out.flush();
    }
    // Without a client there is no `--json`.
    #[cfg(not(feature = "client"))]
    let _ = (json, object);
    out.write_all(text().as_bytes())?;
    out.flush()
}

/// Makes an invitation beside a server that runs, or before it first does.
async fn invite(data: &Path, uses: u32, days: u64, json: bool) -> anyhow::Result<()> {
    has_store(data)?;
    let unusable = || format!("can't open the store in {}", data.display());
    // A server of before that still runs would not know that its tables are others now.
    let _alone = match SqliteStore::is_current(data).with_context(unusable)? {
        true => None,
        false => Some(lock(data).context("the store is an older version's: start its server anew first")?),
    };
    let store = SqliteStore::open(data).with_context(unusable)?;
    let token = invite::generate();
    let expires_at = Millis::now().plus(Duration::from_secs(days * 24 * 3600));
    store.invite(NewInvite { hash: invite::hash(&token), uses, expires_at }).await?;
    store.close().await?;
    let invitation = Invitation { kind: "invitation", invitation: token, uses, expires_at };
    Ok(put(json, &invitation, || format!("{}\n", invitation.invitation))?)
}

/// What was restored is no continuation of what clients have seen: without a new epoch they would ask for what
/// comes behind the places that they know, and pass over new mail that was given those places.
fn begin_epoch(data: &Path) -> anyhow::Result<()> {
    SqliteStore::begin_epoch(data)
        .with_context(|| format!("can't write to the store in {}", data.display()))?;
    tracing::warn!(
        "restored from a backup: mailboxes begin a new epoch, and clients read them anew; leave --restored out from \
         the next start on"
    );
    Ok(())
}

fn has_store(data: &Path) -> anyhow::Result<()> {
    if !data.join("server.db").exists() {
        bail!("there is no server's data in {}: say with --data where it is", data.display());
    }
    Ok(())
}

/// Every connection is an open file, and the usual limit is for programs that have few.
fn raise_open_files(config: &Config) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = u64::from(config.connections.total.get()) + OTHER_FILES;
    let raised = wanted.min(hard).max(soft);
    let given = if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft };
    if given < wanted {
        tracing::warn!(
            "the system allows this process {given} open files: it takes {wanted} for connections.total = {}; \
             raise the limit (LimitNOFILE= of systemd, ulimit -Hn), or lower connections.total",
            config.connections.total
        );
    }
}

fn default_data() -> anyhow::Result<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "tellal-server");
    let folder = folders.map(|folders| folders.data_dir().to_owned());
    folder.context("this account has no home folder: say with --data where to keep the server's data")
}

fn make_private_folder(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("can't make the folder {}: choose another with --data", folder.display()))
}

/// A folder that was there already keeps the mode that somebody has given it: what the server makes in it is its own
/// user's alone all the same, but not what was copied into it.
fn warn_of_others(data: &Path) {
    if fs::metadata(data).is_ok_and(|folder| folder.permissions().mode() & 0o077 != 0) {
        tracing::warn!(
            "others on this machine may look into {}; to do: {}",
            data.display(),
            modes::remedy(data)
        );
    }
}

/// Two servers on one folder would each answer for half of the mail.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
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
