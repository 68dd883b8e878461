//! Tellal's server beside the floor (see [`floor`]), in turns, under the same load from the same program.
//!
//! `cargo bench --bench relay` prints a table for `docs/performance.md`. `-- --rounds N --messages N` change it.

mod floor;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tellal::load::peer::{Language, Peer, Target};
use tellal::load::relay::{Pace, Pair, receive, relay, send, subscribe};
use tellal::load::{Times, logins, people, process};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};

const PAIRS: usize = 50;
const IN_FLIGHT: u64 = 32;
const SIZE: usize = 1024;
const RATE: u64 = 1_000;
const SECONDS: u64 = 5;

/// Nobody's way is barred: it is the server that is measured, not its limits.
const LIMITS: &str = "connections = { per_address = 10000, per_address_and_minute = 1000000 }
logins = { per_address_and_minute = 1000000 }
registration = { per_address_and_hour = 1000000 }
sending = { messages_per_minute = 100000000, mib_per_minute = 1000000 }
storage = { mailbox_mib = 100000, sender_percent = 100 }
";

/// A server process. Ends with this.
struct Running {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Running {
    fn start(command: impl FnOnce(&Path) -> Result<Command>) -> Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(private).tempdir()?;
        let mut child = command(folder.path())?.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut running = Self { child, address: String::new(), _folder: folder };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready = line.trim().strip_prefix("listening on ").context("no server started")?;
        running.address = ready.split(',').next().unwrap_or_default().to_owned();
        Ok(running)
    }

    fn tellal() -> Result<Self> {
        Self::start(|folder| {
            std::fs::write(folder.join("server.toml"), LIMITS)?;
            let mut command = Command::new(env!("CARGO_BIN_EXE_tellal"));
            command.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(folder).env("RUST_LOG", "warn");
            Ok(command)
        })
    }

    fn floor() -> Result<Self> {
        Self::start(|folder| {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--floor").arg(folder);
            Ok(command)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one round of one server came to.
#[derive(Default)]
struct Round {
    relayed: f64,
    cpu_per_100k: f64,
    latency: Times,
    deposited: f64,
    drained: f64,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, folder] = args.as_slice()
        && first == "--floor"
    {
        return floor::serve(Path::new(folder));
    }
    // `cargo test --benches` only wants to know that it starts.
    if !args.iter().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let option = |name: &str, default: u64| -> Result<u64> {
        let place = args.iter().position(|arg| arg == name);
        let value = place.and_then(|place| args.get(place + 1));
        value.map_or(Ok(default), |value| Ok(value.parse()?))
    };
    let (rounds, messages) = (option("--rounds", 3)?, option("--messages", 100_000)?);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare(rounds, messages))
}

async fn compare(rounds: u64, messages: u64) -> Result<()> {
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    let everybody = tokio::task::spawn_blocking(|| people::make(PAIRS * 2 + 1)).await??;
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        floors.push(measure_floor(messages).await?);
        ours.push(measure_tellal(&everybody, messages).await?);
    }
    println!("| what | tellal | floor | ratio |\n| --- | --- | --- | --- |");
    let row = |what: &str, of: &dyn Fn(&Round) -> f64| {
        let (tellal, floor) = (median(&ours, of), median(&floors, of));
        println!("| {what} | {tellal:.2} | {floor:.2} | {:.2} |", tellal / floor);
    };
    row("relayed, messages/s", &|round| round.relayed);
    row("server CPU for 100,000 messages, s", &|round| round.cpu_per_100k);
    for (what, permille) in [("p50", 500), ("p99", 990)] {
        let of = |round: &Round| round.latency.permille(permille).as_secs_f64() * 1e3;
        row(&format!("latency at {RATE} messages/s, {what}, ms"), &of);
    }
    row("deposited for one who is away, messages/s", &|round| round.deposited);
    row("drained, messages/s", &|round| round.drained);
    Ok(())
}

fn median(rounds: &[Round], of: &dyn Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn measure_tellal(everybody: &[Arc<people::Person>], messages: u64) -> Result<Round> {
    let server = Running::tellal()?;
    let target = Target::new(&server.address).await?;
    logins::register(&target, everybody).await?;
    let (mut pairs, mut senders) = (Vec::new(), Vec::new());
    let Some((away, rest)) = everybody.split_first() else { bail!("nobody is there") };
    for two in rest.chunks_exact(2) {
        let [sender, to] = two else { continue };
        let mut receiver = target.log_in(to).await?;
        subscribe(&mut receiver).await?;
        pairs.push(Pair { sender: target.log_in(sender).await?, to: Arc::clone(to), receiver });
    }
    let (mut round, pairs) = online(pairs, messages, server.child.id()).await?;
    senders.extend(pairs.into_iter().map(|pair| pair.sender));
    round.deposited = deposit(senders, Arc::clone(away), messages).await?;
    round.drained = drain(target.log_in(away).await?, messages).await?;
    Ok(round)
}

async fn measure_floor(messages: u64) -> Result<Round> {
    let server = Running::floor()?;
    let address = server.address.parse()?;
    let mut pairs = Vec::new();
    for number in 1..=u32::try_from(PAIRS)? {
        let to = number * 2;
        let mut receiver = floor::enter(address, to).await?;
        subscribe(&mut receiver).await?;
        pairs.push(Pair { sender: floor::enter(address, to + 1).await?, to: Arc::new(to), receiver });
    }
    let (mut round, pairs) = online(pairs, messages, server.child.id()).await?;
    let senders = pairs.into_iter().map(|pair| pair.sender).collect();
    round.deposited = deposit(senders, Arc::new(1), messages).await?;
    round.drained = drain(floor::enter(address, 1).await?, messages).await?;
    Ok(round)
}

/// As fast as it goes, then at a given rate.
async fn online<S, L>(pairs: Vec<Pair<S, L>>, messages: u64, server: u32) -> Result<(Round, Vec<Pair<S, L>>)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    L: Language,
{
    let count = pairs.len() as u64;
    let cpu = process::cpu(server)?;
    let (report, pairs) = relay(pairs, messages / count, SIZE, Pace::InFlight(IN_FLIGHT)).await?;
    let cpu = process::cpu(server)?.saturating_sub(cpu);
    let span = Duration::from_secs_f64(count as f64 / RATE as f64);
    let (timed, pairs) = relay(pairs, RATE * SECONDS / count, SIZE, Pace::Every(span)).await?;
    let round = Round {
        relayed: report.rate(),
        cpu_per_100k: cpu.as_secs_f64() * 100_000.0 / report.messages as f64,
        latency: timed.latency,
        ..Round::default()
    };
    Ok((round, pairs))
}

/// Messages in a second that are accepted for somebody who is away.
async fn deposit<S, L>(senders: Vec<Peer<S, L>>, to: Arc<L::To>, messages: u64) -> Result<f64>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    L: Language,
{
    let begun = Instant::now();
    let each = messages / senders.len() as u64;
    let mut tasks = tokio::task::JoinSet::new();
    for mut sender in senders {
        let to = Arc::clone(&to);
        tasks.spawn(async move {
            let pace = Pace::InFlight(IN_FLIGHT);
            send(&mut sender, &to, each, SIZE, pace, (begun, Duration::ZERO)).await
        });
    }
    let count = each * tasks.len() as u64;
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Messages in a second that somebody who was away receives and acknowledges.
async fn drain<S, L>(mut receiver: Peer<S, L>, messages: u64) -> Result<f64>
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: Language,
{
    let count = messages / PAIRS as u64 * PAIRS as u64;
    let begun = Instant::now();
    receiver.language.subscribe(&mut receiver.out);
    receiver.write().await?;
    receive(&mut receiver, count, begun).await?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}
