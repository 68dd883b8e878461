//! How long the things take that everybody does every day. Real processes, real TLS, real disk.
//!
//! `cargo bench --bench everyday` prints a table for `docs/performance.md`.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use tellal::client::{Client, Options};
use tellal::crypto::{MessageSecret, PrivateKey, Purpose};
use tempfile::TempDir;

/// Each number is the median of so many runs.
const STARTS: usize = 31;
const REGISTRATIONS: usize = 15;
const MESSAGES: usize = 201;
const OPERATIONS: usize = 101;
const ROTATIONS: usize = 21;

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
    shown.row("a text: sent by one connected client to shown by `receive --follow`, 3072 bits");
    let [replaced, sent] = runtime.block_on(rotation(ayşe.path(), burak.path()))?;
    replaced.row("`rekey --message-key`, 3072 bits: process start to end");
    sent.row("the first text to somebody whose message key was just replaced: sent to shown");
    Times::of(STARTS, |_| prompt(ayşe.path()))?.row("`chat`: process start to prompt");
    let entered = entered(ayşe.path(), burak.path())?;
    entered.row("a text: Enter in one `chat` to shown in another, 3072 bits");
    println!();
    for (what, times) in [("sent by a program", &shown), ("typed", &entered)] {
        let (median, over) = (times.median(), times.median() - rsa);
        println!("A text {what}: {median:.2} ms, {over:.2} ms over its RSA operations ({rsa:.2} ms).");
    }
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

/// A connected client, and somebody who sees on a terminal what it sends.
struct Pair {
    client: Client,
    lines: Option<BufReader<ChildStdout>>,
    _reader: Running,
}

impl Pair {
    async fn begin(from: &Path, to: &Path) -> Result<Self> {
        let mut reader = tellal(to);
        let mut reader = reader.args(["receive", "--follow", "--mute"]).stdout(Stdio::piped()).spawn()?;
        let lines = Some(BufReader::new(reader.stdout.take().context("a pipe")?));
        let reader = Running(reader);
        let client = Client::open(Options::new(from)).await?;
        client.drain().await?;
        Ok(Self { client, lines, _reader: reader })
    }

    /// From the words' being handed to the client core to the line on the other one's terminal.
    async fn send(&mut self, text: &str) -> Result<Duration> {
        let mut lines = self.lines.take().context("the lines of before")?;
        let began = Instant::now();
        self.client.send_text(&"person1".parse()?, text).await?;
        let (line, rest) = tokio::task::spawn_blocking(move || (line(&mut lines), lines)).await?;
        let took = began.elapsed();
        self.lines = Some(rest);
        ensure!(line?.contains(text), "another message came");
        Ok(took)
    }
}

async fn messages(from: &Path, to: &Path) -> Result<Times> {
    let mut pair = Pair::begin(from, to).await?;
    let mut times = Vec::new();
    // The first ones look people up, and wait for the other one to have connected.
    for number in 0..MESSAGES + 5 {
        times.push(pair.send(&format!("This is message {number}")).await?);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pair.client.close().await;
    let mut times = times.split_off(5).into_iter();
    Times::of(MESSAGES, |_| times.next().context("a time"))
}

/// A message key replaced, beside a process that has the profile open; and the first text to its owner after that, which
/// the sender wraps for the old key, and once more for the new one.
async fn rotation(from: &Path, to: &Path) -> Result<[Times; 2]> {
    let mut pair = Pair::begin(from, to).await?;
    for number in 0..5 {
        pair.send(&format!("Before message {number}")).await?;
    }
    let (mut replaced, mut sent) = (Vec::new(), Vec::new());
    for number in 0..ROTATIONS {
        let mut command = tellal(to);
        command.args(["rekey", "--message-key"]);
        replaced.push(tokio::task::spawn_blocking(move || timed(&mut command)).await??);
        sent.push(pair.send(&format!("Behind a new key {number}")).await?);
    }
    pair.client.close().await;
    let times = |times: Vec<Duration>| {
        let mut times = times.into_iter();
        Times::of(ROTATIONS, |_| times.next().context("a time"))
    };
    Ok([times(replaced)?, times(sent)?])
}

fn line(lines: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    ensure!(lines.read_line(&mut line)? > 0, "the receiver has ended");
    Ok(line)
}

/// A program on a terminal of its own. Ends with the bench.
struct Terminal {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    seen: String,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn open(home: &Path, arguments: &[&str]) -> Result<Self> {
        let pair = native_pty_system().openpty(PtySize { rows: 40, cols: 120, ..PtySize::default() })?;
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_tellal"));
        command.args(arguments);
        command.env("TELLAL_HOME", home);
        command.env("TERM", "xterm");
        let child = pair.slave.spawn_command(command)?;
        let mut reader = pair.master.try_clone_reader()?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes.get(..count).unwrap_or_default().to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = pair.master.take_writer()?;
        Ok(Self { child, keys, output, seen: String::new(), _master: pair.master })
    }

    /// Until this stands on the terminal.
    fn until(&mut self, text: &str) -> Result<()> {
        while !self.seen.contains(text) {
            let bytes = self.output.recv_timeout(Duration::from_secs(20));
            let bytes = bytes.with_context(|| format!("{text:?} does not come: {}", self.seen))?;
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.seen.clear();
        Ok(())
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From process start to prompt.
fn prompt(home: &Path) -> Result<Duration> {
    let began = Instant::now();
    let mut chat = Terminal::open(home, &["chat", "person1", "--color", "never"])?;
    chat.until("person1> ")?;
    let took = began.elapsed();
    // Its end is none of what is measured, and the next one finds the profile free.
    chat.press("\x04")?;
    chat.child.wait()?;
    Ok(took)
}

/// From Enter in one `chat` to the words on the terminal of another.
fn entered(from: &Path, to: &Path) -> Result<Times> {
    let mut writer = Terminal::open(from, &["chat", "person1", "--color", "never", "--mute"])?;
    let mut reader = Terminal::open(to, &["chat", "person0", "--color", "never", "--mute"])?;
    writer.until("person1> ")?;
    reader.until("person0> ")?;
    let mut times = Vec::new();
    // The first ones look people up, and wait for both to be connected.
    for number in 0..MESSAGES + 5 {
        let text = format!("entered {number} words");
        writer.press(&text)?;
        writer.until("words")?;
        let began = Instant::now();
        writer.press("\r")?;
        reader.until(&text)?;
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut times = times.split_off(5).into_iter();
    Times::of(MESSAGES, |_| times.next().context("a time"))
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
