//! The server, and a look into what it keeps.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, OpenFlags};

use crate::stage::Stage;

/// A server process.
pub struct Server {
    /// HOST:PORT.
    pub address: String,
    data: PathBuf,
    process: usize,
}

/// What the server has of one message.
pub struct Held {
    /// The envelope.
    pub body: Vec<u8>,
    /// All of the server's files.
    files: Vec<Vec<u8>>,
}

impl Server {
    /// Starts it on port 6000, or on a free one where that is taken.
    pub fn start(stage: &Stage) -> Result<Self> {
        let data = stage.folder("server")?;
        let port = if TcpListener::bind("127.0.0.1:6000").is_ok() { 6000 } else { 0 };
        if port == 0 {
            stage.aside("port 6000 is taken: another, free one is used");
        }
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new(&stage.tellal);
        command.args(["server", "--listen", &listen, "--data"]).arg(&data);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn()?;
        let stdout = process.stdout.take().context("a pipe")?;
        let process = stage.keep(process);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready = line.strip_prefix("listening on ").and_then(|line| line.split_once(','));
        let address = ready.context("the server did not start")?.0.to_owned();
        stage.print(&format!("{}\n{line}", stage.paint("2", &format!("$ tellal server --listen {listen}"))));
        Ok(Self { address, data, process })
    }

    /// What it has of a message.
    pub fn holds(&self, id: &str) -> Result<Held> {
        let database = self.data.join("server.db");
        let connection = Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let id: tellal::model::MessageId = id.parse()?;
        let body =
            connection.query_row("SELECT body FROM envelope WHERE message = ?", [id.as_bytes()], |row| {
                row.get(0)
            })?;
        let mut files = Vec::new();
        read_all(&self.data, &mut files)?;
        Ok(Held { body, files })
    }

    /// Stops it in good order.
    pub fn stop(&self, stage: &Stage) -> Result<()> {
        ensure!(stage.end(self.process), "the server did not stop in good order");
        Ok(())
    }
}

fn read_all(folder: &Path, files: &mut Vec<Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, files)?;
        } else {
            files.push(fs::read(path)?);
        }
    }
    Ok(())
}

impl Held {
    /// Whether no word of a text is anywhere.
    pub fn is_unreadable(&self, text: &str) -> bool {
        let words: Vec<&str> = text.split_whitespace().filter(|word| word.len() > 4).collect();
        // That something is found where it has to be shows that looking works.
        let looks = self.files.iter().any(|file| contains(file, &self.body));
        looks && !words.iter().any(|word| self.files.iter().any(|file| contains(file, word.as_bytes())))
    }

    /// Its end, where the words are, as `hexdump -C` shows bytes.
    pub fn dump(&self) -> String {
        const ROWS: usize = 6;
        let skipped = self.body.len().saturating_sub(ROWS * 16);
        let mut text = String::new();
        for (row, bytes) in self.body.get(skipped..).unwrap_or_default().chunks(16).enumerate() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
            let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
            let letters: String = bytes.iter().map(shown).collect();
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {:06x}  {hex:<48} {letters}", skipped + row * 16);
        }
        text
    }
}

fn contains(file: &[u8], what: &[u8]) -> bool {
    file.windows(what.len()).any(|window| window == what)
}
