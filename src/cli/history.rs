//! `tellal history`: what was said before, from this profile's own disk.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Result;

use super::app::{App, address};
use super::file;
use super::meant;
use super::output::{Saved, to_json};
use crate::terminal::{Lines, known, sanitize};

/// How many messages are shown where nobody said.
const LIMIT: u32 = 50;

/// Options of `history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only with this person, or in this room: `#garden` or `room:garden`
    #[arg(value_name = "NICK|ROOM")]
    pub with: Option<String>,
    /// Only messages with all these words
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// The newest so many [default: 50; with --export: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Write them into a new file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
}

/// Shows the history, or exports it.
///
/// # Errors
/// When the profile can't be read, nobody has that name, or the file exists or can't be written.
pub async fn run(args: Args, app: App) -> Result<()> {
    let with = args.with.as_deref().map(address).transpose()?;
    let limit = args.limit.unwrap_or(if args.export.is_some() { u32::MAX } else { LIMIT });
    let client = app.open().await?;
    let messages = client.history(with.as_ref(), args.search.as_deref(), limit).await?;
    if let Some(with) = with.as_ref().filter(|_| messages.is_empty()) {
        meant::or(&client, known::check(&client, with).await.map_err(Into::into)).await?;
    }
    if let Some(path) = args.export {
        let mut size = 0;
        file::write(&path, false, |file| {
            let mut file = BufWriter::new(file);
            for message in &messages {
                let line = to_json(message)?;
                size += line.len() as u64 + 1;
                writeln!(file, "{line}")?;
            }
            file.flush()
        })?;
        let file = path.display().to_string();
        let count = messages.len() as u64;
        let saved = Saved { kind: "saved", file, size, messages: Some(count), id: None };
        app.out.put(&saved, || format!("{count} messages saved in {}", sanitize::line(&saved.file)))?;
    } else {
        let lines = Lines { numbers: true, ..app.out.lines.clone() };
        for message in &messages {
            app.out.put(message, || lines.message(message))?;
        }
        if messages.is_empty() && !app.out.json {
            app.out.note("tellal: no messages");
        }
    }
    app.out.flush()?;
    client.close().await;
    Ok(())
}
