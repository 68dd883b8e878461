//! How long the things take that everybody does every day. Real processes, real TLS, real disk.
//!
//! `cargo bench --bench everyday` prints a table for `docs/performance.md`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tellal::client::{Client, Options};
use tellal::crypto::{MessageSecret, PrivateKey, Purpose};
use tempfile::TempDir;

/// Each number is the median of so many runs.
const STARTS: usize = 31;
const REGISTRATIONS: usize = 15;
const MESSAGES: usize = 201;
const OPERATIONS: usize = 101;

/// Ends with the bench.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Times of one thing.
struct Times(Vec<Duration>);

impl Times {
    fn of(count: usize, mut run: impl FnMut(usize) -> Result<Duration>) -> Result<Self> {
        let mut times = (0..count).map(&mut run).collect::<Result<Vec<_>>>()?;
        times.sort();
        Ok(Self(times))
    }

    fn median(&self) -> f64 {
        self.at(self.0.len() / 2)
    }

    fn at(&self, place: usize) -> f64 {
        self.0.get(place).map_or(0.0, Duration::as_secs_f64) * 1000.0
    }

    fn row(&self, what: &str) {
        let last = self.0.len().saturating_sub(1);
        let (median, least, most) = (self.median(), self.at(0), self.at(last));
        println!("| {what} | {median:.2} | {least:.2}–{most:.2} | {} |", self.0.len());
    }
}

fn main() -> Result<()> {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let folder = tempfile::Builder::new().prefix("tellal-").tempdir()?;
    let (_server, address) = serve(folder.path())?;
    machine()?;
    println!("\n| what | median ms | min–max ms | runs |\n| --- | --- | --- | --- |");

    let homes: Vec<TempDir> = (0..REGISTRATIONS).map(|_| TempDir::new()).collect::<Result<_, _>>()?;
    let mut people = homes.iter().enumerate();
    Times::of(REGISTRATIONS, |_| {
        let (number, home) = people.next().context("a home")?;
        let mut command = tellal(home.path());
        command.args(["register", &format!("person{number}"), "--server", &address]);
        timed(&mut command)
    })?
    .row("`register`, 3072-bit keys: process start to end");

    let [ayşe, burak, ..] = homes.as_slice() else { return Ok(()) };
    let rsa = operations()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shown = runtime.block_on(messages(ayşe.path(), burak.path()))?;
    shown.row("a text: sent by one connected client to shown by another, 3072 bits");
    let nothing = Times::of(STARTS, |_| to_output(&["true"], ayşe.path(), None))?;
    nothing.row("a terminal made by `script`, with nothing in it");
    let prompt = Times::of(STARTS, |_| {
        let chat = [env!("CARGO_BIN_EXE_tellal"), "chat", "person1", "--color", "never"];
        to_output(&chat, ayşe.path(), Some("person1> "))
    })?;
    prompt.row("`chat`: process start to prompt, terminal included");

    println!("\n`chat`, without the terminal's share: {:.0} ms.", prompt.median() - nothing.median());
    println!("A text, over its RSA operations ({rsa:.2} ms): {:.2} ms.", shown.median() - rsa);
    Ok(())
}

/// Sign, wrap, verify, unwrap: what one text to one device costs.
fn operations() -> Result<f64> {
    let (device, message) = (PrivateKey::generate(3072)?, PrivateKey::generate(3072)?);
    let (secret, hash) = (MessageSecret::generate(), [7; 32]);
    let signature = device.sign(Purpose::Envelope, &[&hash])?;
    let wrapped = message.public().wrap(&hash, &secret)?;
    let all = [
        ("PSS sign", time(|| device.sign(Purpose::Envelope, &[&hash]).is_ok())?),
        ("OAEP wrap", time(|| message.public().wrap(&hash, &secret).is_ok())?),
        ("PSS verify", time(|| device.public().verify(Purpose::Envelope, &[&hash], &signature).is_ok())?),
        ("OAEP unwrap", time(|| message.unwrap_key(&hash, &wrapped).is_ok())?),
    ];
    all.iter().for_each(|(what, times)| times.row(&format!("RSA-3072 {what}")));
    Ok(all.iter().map(|(_, times)| times.median()).sum())
}

fn time(operation: impl Fn() -> bool) -> Result<Times> {
    Times::of(OPERATIONS, |_| {
        let began = Instant::now();
        ensure!(operation(), "an operation failed");
        Ok(began.elapsed())
    })
}

/// From the words' being handed to the client core to the line on the other one's terminal.
async fn messages(from: &Path, to: &Path) -> Result<Times> {
    let mut reader = tellal(to);
    let mut reader = reader.args(["receive", "--follow", "--mute"]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(reader.stdout.take().context("a pipe")?);
    let _reader = Running(reader);
    let client = Client::open(Options::new(from)).await?;
    client.drain().await?;
    let to = "person1".parse()?;
    let mut times = Vec::new();
    // The first ones look people up, and wait for the other one to have connected.
    for number in 0..MESSAGES + 5 {
        let text = format!("This is message {number}");
        let began = Instant::now();
        client.send_text(&to, &text).await?;
        let (line, rest) = tokio::task::spawn_blocking(move || {
            let line = line(&mut lines);
            (line, lines)
        })
        .await?;
        lines = rest;
        ensure!(line?.contains(&text), "another message came");
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.close().await;
    let mut times = times.split_off(5).into_iter();
    Times::of(MESSAGES, |_| times.next().context("a time"))
}

fn line(lines: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    ensure!(lines.read_line(&mut line)? > 0, "the receiver has ended");
    Ok(line)
}

/// Starts something on a terminal of its own, and takes the time until it has written this, or has ended.
fn to_output(command: &[&str], home: &Path, expected: Option<&str>) -> Result<Duration> {
    let began = Instant::now();
    let mut process = Command::new("script");
    process.args(["-qfec", &command.join(" "), "/dev/null"]).env("TELLAL_HOME", home).env("TERM", "xterm");
    let process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut process = Running(process.context("`script` is missing (package bsdutils)")?);
    let mut output = process.0.stdout.take().context("a pipe")?;
    let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        let count = output.read(&mut bytes)?;
        seen.extend_from_slice(bytes.get(..count).unwrap_or_default());
        let text = String::from_utf8_lossy(&seen);
        if expected.is_some_and(|expected| text.contains(expected)) {
            return Ok(began.elapsed());
        }
        if count == 0 {
            ensure!(expected.is_none(), "it ended without a prompt: {text}");
            return Ok(began.elapsed());
        }
    }
}

fn tellal(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tellal"));
    command.env("TELLAL_HOME", home).env_remove("TELLAL_SERVER").stdin(Stdio::null());
    command
}

fn timed(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(began.elapsed())
}

fn serve(folder: &Path) -> Result<(Running, String)> {
    let mut command = tellal(folder);
    command.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(folder);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("a pipe")?);
    let server = Running(server);
    let ready = line(&mut lines)?;
    let address = ready.strip_prefix("listening on ").and_then(|rest| rest.split_once(','));
    Ok((server, address.context("the server did not start")?.0.to_owned()))
}

fn machine() -> Result<()> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    let today = jiff::Zoned::now().date();
    println!("{today}, {cores} cores of {model}, tellal {}", env!("CARGO_PKG_VERSION"));
    Ok(())
}
