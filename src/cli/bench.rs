//! `tellal bench`: load on a server, and what it bears.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::app::App;
use crate::load::peer::{Stream, Target, Tellal};
use crate::load::people::{self, Person};
use crate::load::relay::{self, Pace, Pair, relay, subscribe};
use crate::load::siege::{Means, Siege};
use crate::load::{Times, logins, process};

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure, one or more [default: all but siege]
    #[arg(value_enum, value_name = "WHAT")]
    what: Vec<What>,
    /// Pairs of a sender and a receiver
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pairs: u64,
    /// Messages under way at once for each sender (relay, offline)
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=128))]
    in_flight: u64,
    /// Messages in all (relay, offline)
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    messages: u64,
    /// Bytes of each message
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(8..=131_072))]
    size: u64,
    /// Messages in a second, of all senders together (latency)
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// How long messages are sent at that rate (latency, siege)
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Connections (logins, idle, siege)
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    connections: u64,
    /// The server's process on this machine, for what it uses; known where no server is named
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Where to start a server of one's own, where none is named with --server [default: a folder that is removed]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leave connections to a server of one's own the limits that they have by default (siege)
    #[arg(long)]
    connection_limits: bool,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum What {
    /// Messages in a second, and processor time for them
    Relay,
    /// From sent to received, at a given rate
    Latency,
    /// For somebody who is away: putting into a mailbox, and reading it later
    Offline,
    /// Logins in a second, and processor time for each
    Logins,
    /// Memory of a connection that is logged in and silent
    Idle,
    /// What everybody else feels of connections that never log in
    Siege,
}

/// One figure.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// `bench`.
    pub kind: &'static str,
    /// What was measured.
    pub what: &'static str,
    /// Which number it is.
    pub figure: &'static str,
    /// The number.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// Logins at once, when they are counted.
const LOGINS_AT_ONCE: usize = 32;

/// Messages in a second of the pair that is watched during a siege.
const WATCHED: u64 = 200;

/// Measures, and prints a line for each figure.
///
/// # Errors
/// When the server can't be reached, or refuses: one that is to be measured has to allow it.
pub async fn run(args: Args, app: App) -> Result<()> {
    let all = [What::Relay, What::Latency, What::Offline, What::Logins, What::Idle];
    let what = if args.what.is_empty() { &all[..] } else { &args.what };
    let (server, own) = match &app.server {
        Some(server) => (server.clone(), None),
        None => {
            let own = Own::start(args.data.as_deref(), args.connection_limits)?;
            (own.address.clone(), Some(own))
        }
    };
    raise_open_files();
    let pid = args.pid.or(own.as_ref().map(|own| own.child.id()));
    let target = Target::new(&server).await?;
    let needed = what.iter().map(|what| args.people(*what)).max().unwrap_or(0);
    app.out.note(&format!("tellal: making {needed} people and registering them"));
    let people = tokio::task::spawn_blocking(move || people::make(needed)).await??;
    logins::register(&target, &people).await?;
    let bench = Bench { args: &args, app: &app, target, people, pid };
    for what in what {
        bench.measure(*what).await?;
    }
    Ok(app.out.flush()?)
}

impl Args {
    /// How many accounts a measurement needs.
    fn people(&self, what: What) -> usize {
        let count = match what {
            What::Relay | What::Latency => self.pairs * 2,
            What::Offline => self.pairs + 1,
            What::Logins | What::Idle => self.connections,
            What::Siege => 2,
        };
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

struct Bench<'a> {
    args: &'a Args,
    app: &'a App,
    target: Target,
    people: Vec<Arc<Person>>,
    pid: Option<u32>,
}

impl Bench<'_> {
    async fn measure(&self, what: What) -> Result<()> {
        match what {
            What::Relay => self.relay().await,
            What::Latency => self.latency().await,
            What::Offline => self.offline().await,
            What::Logins => self.logins().await,
            What::Idle => self.idle().await,
            What::Siege => self.siege().await,
        }
    }

    fn put(&self, what: &'static str, figure: &'static str, value: f64, unit: &'static str) -> Result<()> {
        let object = Figure { kind: "bench", what, figure, value, unit };
        self.app.out.put(&object, || format!("{what:8} {figure:28} {value:12.2} {unit}"))?;
        Ok(self.app.out.flush()?)
    }

    fn put_times(&self, what: &'static str, times: &Times) -> Result<()> {
        for (figure, permille) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
            self.put(what, figure, times.permille(permille).as_secs_f64() * 1e3, "ms")?;
        }
        Ok(())
    }

    /// Processor time that the server has used since, if that can be known.
    fn cpu_since(&self, before: Option<Duration>) -> Option<Duration> {
        Some(self.cpu()?.saturating_sub(before?))
    }

    fn cpu(&self) -> Option<Duration> {
        process::cpu(self.pid?).ok()
    }

    /// So many pairs, logged in, the receivers' mailboxes read to their ends.
    async fn pairs(&self, count: u64) -> Result<Vec<Pair<Stream, Tellal>>> {
        let mut pairs = Vec::new();
        for two in self.people.chunks_exact(2).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            let [sender, to] = two else { continue };
            let mut receiver = self.target.log_in(to).await?;
            subscribe(&mut receiver).await?;
            pairs.push(Pair { sender: self.target.log_in(sender).await?, to: Arc::clone(to), receiver });
        }
        Ok(pairs)
    }

    fn size(&self) -> usize {
        usize::try_from(self.args.size).unwrap_or(usize::MAX)
    }

    async fn relay(&self) -> Result<()> {
        let pairs = self.pairs(self.args.pairs).await?;
        let each = (self.args.messages / self.args.pairs).max(1);
        let before = self.cpu();
        let (report, _) = relay(pairs, each, self.size(), Pace::InFlight(self.args.in_flight)).await?;
        self.put("relay", "delivered", report.rate(), "messages/s")?;
        if let Some(cpu) = self.cpu_since(before) {
            let for_100k = cpu.as_secs_f64() * 100_000.0 / report.messages as f64;
            self.put("relay", "server cpu for 100,000", for_100k, "s")?;
        }
        Ok(())
    }

    async fn latency(&self) -> Result<()> {
        let pairs = self.pairs(self.args.pairs).await?;
        let span = Duration::from_secs_f64(self.args.pairs as f64 / self.args.rate as f64);
        let each = (self.args.rate * self.args.seconds / self.args.pairs).max(1);
        let (report, _) = relay(pairs, each, self.size(), Pace::Every(span)).await?;
        self.put_times("latency", &report.latency)
    }

    async fn offline(&self) -> Result<()> {
        let Some((away, senders)) = self.people.split_first() else { return Ok(()) };
        let each = (self.args.messages / self.args.pairs).max(1);
        let pairs = usize::try_from(self.args.pairs).unwrap_or(usize::MAX);
        let mut connections = Vec::new();
        for sender in senders.iter().take(pairs) {
            connections.push(self.target.log_in(sender).await?);
        }
        let begun = Instant::now();
        let (size, pace) = (self.size(), Pace::InFlight(self.args.in_flight));
        let mut sending = tokio::task::JoinSet::new();
        for mut sender in connections {
            let away = Arc::clone(away);
            sending.spawn(async move {
                relay::send(&mut sender, &away, each, size, pace, (begun, Duration::ZERO)).await
            });
        }
        let count = each * sending.len() as u64;
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        self.put("offline", "deposited", count as f64 / begun.elapsed().as_secs_f64(), "messages/s")?;
        let mut receiver = self.target.log_in(away).await?;
        let begun = Instant::now();
        crate::load::peer::Language::subscribe(&mut receiver.language, &mut receiver.out);
        receiver.write().await?;
        relay::receive(&mut receiver, count, begun).await?;
        self.put("offline", "drained", count as f64 / begun.elapsed().as_secs_f64(), "messages/s")
    }

    async fn logins(&self) -> Result<()> {
        let count = self.args.people(What::Logins);
        let Some(people) = self.people.get(..count) else { return Ok(()) };
        let before = self.cpu();
        let (times, took) = logins::log_in_and_out(&self.target, people, LOGINS_AT_ONCE).await?;
        self.put("logins", "logins", count as f64 / took.as_secs_f64(), "/s")?;
        self.put_times("logins", &times)?;
        if let Some(cpu) = self.cpu_since(before) {
            self.put("logins", "server cpu for each", cpu.as_secs_f64() * 1e3 / count as f64, "ms")?;
        }
        Ok(())
    }

    async fn idle(&self) -> Result<()> {
        let Some(pid) = self.pid else { bail!("name the server's process with --pid to learn its memory") };
        let count = self.args.people(What::Idle);
        let Some(people) = self.people.get(..count) else { return Ok(()) };
        // The first of them take the room that what was before has left: what the others add is counted.
        let (first, others) = people.split_at(count / 2);
        let held = logins::stay(&self.target, first).await?;
        let before = process::memory(pid)?;
        let more = logins::stay(&self.target, others).await?;
        let grown = process::memory(pid)?.saturating_sub(before);
        self.put("idle", "connections", (held.len() + more.len()) as f64, "")?;
        self.put("idle", "server memory for each", grown as f64 / 1024.0 / more.len().max(1) as f64, "KiB")?;
        Ok(())
    }

    async fn siege(&self) -> Result<()> {
        let connections = usize::try_from(self.args.connections).unwrap_or(usize::MAX);
        let mut pairs = self.pairs(1).await?;
        let each = WATCHED * self.args.seconds;
        let pace = Pace::Every(Duration::from_secs_f64(1.0 / WATCHED as f64));
        let before = self.pid.and_then(|pid| process::memory(pid).ok());
        for (what, means) in [
            ("quiet", None),
            ("half-open", Some(Means::Silence)),
            ("slow", Some(Means::Slowness)),
            ("handshakes", Some(Means::Handshakes)),
            ("quiet again", None),
        ] {
            let siege = match means {
                Some(means) => Some(Siege::begin(&self.target, connections, means).await?),
                None => None,
            };
            let at_first = siege.as_ref().map(Siege::outcome);
            let (cpu, begun) = (self.cpu(), Instant::now());
            let (report, again) = relay(pairs, each, self.size(), pace).await?;
            pairs = again;
            self.put_times(what, &report.latency)?;
            if let Some(cpu) = self.cpu_since(cpu) {
                let share = cpu.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
                self.put(what, "server cpu of one core", share, "%")?;
            }
            let (Some(siege), Some(at_first)) = (siege, at_first) else { continue };
            let (outcome, seconds) = (siege.outcome(), begun.elapsed().as_secs_f64());
            self.put(what, "refused", (outcome.refused - at_first.refused) as f64 / seconds, "/s")?;
            if means == Some(Means::Handshakes) {
                self.put(what, "answered", (outcome.answered - at_first.answered) as f64 / seconds, "/s")?;
            } else {
                self.put(what, "held", outcome.held as f64, "")?;
                // Of some that come and go it would say nothing.
                if outcome.held == connections
                    && let (Some(before), Some(Ok(now))) = (before, self.pid.map(process::memory))
                {
                    let each = now.saturating_sub(before) as f64 / 1024.0 / connections as f64;
                    self.put(what, "server memory for each", each, "KiB")?;
                }
            }
            siege.end().await;
        }
        Ok(())
    }
}

/// Every connection is an open file.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If that is too few, a connection will say so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// A server of one's own. It ends, and its folder goes, with this.
struct Own {
    child: Child,
    address: String,
    folder: PathBuf,
    keep: bool,
}

/// Limits that are in nobody's way. Who has not logged in may stay for a while, so that it can be measured.
const CONNECTIONS: &str = "[connections]
total = 100000
per_address = 100000
per_address_and_minute = 100000000
login_seconds = 60
";

/// The same for what is done on connections.
const EVERYTHING_ELSE: &str = "
[logins]
per_address_and_minute = 1000000

[registration]
per_address_and_hour = 1000000

[sending]
messages_per_minute = 100000000
mib_per_minute = 1000000

[requests]
per_minute = 100000000
changes_per_minute = 100000000

[storage]
mailbox_mib = 100000
sender_percent = 100
blobs_mib = 100000
";

impl Own {
    fn start(data: Option<&Path>, connection_limits: bool) -> Result<Self> {
        let temporary = std::env::temp_dir().join(format!("tellal-bench-{}", std::process::id()));
        let (folder, keep) = data.map_or((temporary, false), |data| (data.to_owned(), true));
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let config = folder.join("bench.toml");
        let limits = if connection_limits { "" } else { CONNECTIONS };
        fs::write(&config, [limits, EVERYTHING_ELSE].concat())
            .with_context(|| format!("can't write {}", config.display()))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["server", "--listen", "127.0.0.1:0", "--data"])
            .arg(&folder)
            .arg("--config")
            .arg(&config)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start a server: name one with --server")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut own = Self { child, address: String::new(), folder, keep };
        let ready = line.strip_prefix("listening on ").and_then(|line| line.split_once(", "));
        let Some((address, _)) = ready else {
            bail!("can't start a server: this program may be without one; name one with --server")
        };
        own.address = address.to_owned();
        Ok(own)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.keep {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
