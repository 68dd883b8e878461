//! `tellal audit`: the server's transparency log, verified anew, and what was found wrong with it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;

use super::app::App;
use super::failure::Failure;
use super::output::Audited;
use super::{deliver, file};
use crate::client::AuditReport;
use crate::terminal::sanitize;

/// Options of `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the log's key, the newest checkpoint, alarms and proofs to a file, as JSON
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Overwrite that file
    #[arg(long, requires = "export")]
    force: bool,
    /// Take the log as the server shows it now for the one to hold it to, and the alarms as seen
    #[arg(long)]
    accept: bool,
}

/// Verifies the whole log.
///
/// # Errors
/// When the server can't be reached, the file can't be written, or there are alarms that nobody has accepted.
pub async fn run(args: Args, app: App) -> Result<()> {
    let client = app.open().await?;
    let events = client.events();
    let report = client.audit(args.accept).await?;
    if let Some(path) = &args.export {
        let mut text = super::output::to_json(&Audited { kind: "audit", report: &report })?;
        text.push('\n');
        file::write(path, args.force, |file| file.write_all(text.as_bytes()))?;
        app.out.note(&format!("written to {}", path.display()));
    }
    app.out.put(&Audited { kind: "audit", report: &report }, || words(&report))?;
    app.out.flush()?;
    deliver::close(client, events).await;
    let open = report.alarms.iter().filter(|alarm| !alarm.accepted).count();
    if open > 0 {
        let alarms = if open == 1 { "1 alarm".to_owned() } else { format!("{open} alarms") };
        let what = format!(
            "{alarms} about the transparency log: ask whoever runs the server; once you know what happened, \
             `tellal audit --accept` goes on with the log as it is"
        );
        return Err(Failure::new("alarm", what).into());
    }
    if !report.rechecked {
        return Err(Failure::new("alarm", "the transparency log could not be verified").into());
    }
    Ok(())
}

fn words(report: &AuditReport) -> String {
    let mut lines = match (&report.log_key, &report.root) {
        (None, _) => vec!["this server shows no transparency log".to_owned()],
        (Some(_), None) => vec!["nothing of the transparency log could be verified".to_owned()],
        (Some(_), Some(root)) => {
            let how = if report.rechecked { "verified anew, whole" } else { "as verified before" };
            vec![format!("{} entries, {how}, root {root}", report.size)]
        }
    };
    if let Some(certificate) = &report.log_certificate {
        let (log, server) = (&certificate.log_fingerprint, &certificate.tls_fingerprint);
        lines.push(format!("log key {log}, which the server's key {server} vouches for"));
    }
    for alarm in &report.alarms {
        let word = if alarm.accepted { "accepted" } else { "ALARM" };
        lines.push(format!("{word}: {}", sanitize::line(&alarm.text)));
    }
    let proofs = report.evidence.len() + report.two_log_keys.len();
    if proofs > 0 {
        lines.push(format!("{proofs} proofs of it are kept: --export FILE writes them"));
    }
    lines.join("\n")
}
