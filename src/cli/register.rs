//! `tellal register`: a profile, its keys, and its place in the server's directory.

use std::io::{BufRead as _, Read as _, stdin};

use anyhow::Result;
use clap::error::ErrorKind;

use super::app::{App, nickname, usage};
use super::output::Registered;
use crate::client::{
    ClientError, DEFAULT_KEY_BITS, Registration, Sealing, Status, register, registered, sealing,
};
use crate::model::{Color, KeyId, limits};
use crate::terminal::{Lines, sanitize};

/// What protects the keys of a profile that has just been made.
const UNSEALED: &str = "tellal: your keys lie in files that only you can read, and whoever gets at the disk or a backup of it; \
                        `tellal lock --set` seals them under a passphrase";

/// Options of `register`. The person's own colour comes with the global `--color`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to be called: 1 to 32 letters and digits of any script
    #[arg(value_name = "NICK")]
    pub nickname: String,
    /// Bits of each RSA key, 2048 to 4096
    #[arg(long, value_name = "BITS", default_value_t = DEFAULT_KEY_BITS, value_parser = key_bits)]
    pub key_bits: usize,
    /// The server's fingerprint, as `tellal server` prints it; without it a certificate that the system's roots
    /// vouch for is trusted, or else the first answer
    #[arg(long, value_name = "SHA256:…", value_parser = KeyId::from_fingerprint)]
    pub fingerprint: Option<KeyId>,
    /// An invitation, where the server asks for one; `-` reads it from stdin
    #[arg(long, value_name = "TOKEN", env = "TELLAL_INVITE", hide_env_values = true)]
    pub invite: Option<String>,
}

/// Registers, and tells both fingerprints.
///
/// # Errors
/// See [`register`].
pub async fn run(args: Args, app: App, color: Option<Color>) -> Result<()> {
    let Some(server) = app.server else {
        if let Some(nickname) = registered(&app.home)? {
            return Err(ClientError::AlreadyRegistered { nickname }.into());
        }
        usage(ErrorKind::MissingRequiredArgument, "name the server with --server HOST[:PORT]").exit();
    };
    let trusted = args.fingerprint.is_none();
    let invite = match args.invite.as_deref() {
        Some("-") => Some(tokio::task::spawn_blocking(read_invite).await??),
        _ => args.invite,
    };
    let home = app.home.clone();
    let registration = Registration {
        home: app.home,
        server,
        nickname: nickname(&args.nickname)?,
        color,
        key_bits: args.key_bits,
        fingerprint: args.fingerprint,
        invite,
    };
    let status = register(registration).await?;
    let sealing = sealing(&home)?;
    app.out.put(&Registered::from(status.clone()), || told(&status, &app.out.lines, trusted))?;
    app.out.flush()?;
    if sealing == Sealing::Open {
        app.out.note(UNSEALED);
    }
    Ok(())
}

fn told(status: &Status, lines: &Lines, trusted: bool) -> String {
    let name = lines.name(&status.nickname, status.color);
    let mut text = format!(
        "registered as {name} ({}) on {}\nyour fingerprint is {}",
        status.color,
        sanitize::line(&status.server),
        status.fingerprint
    );
    match &status.server_fingerprint {
        Some(server) if trusted => text.push_str(&format!(
            "\nthe server's is {server}, from now on no other is accepted: \
             compare it with the line that the server printed"
        )),
        Some(server) => text.push_str(&format!("\nthe server's is {server}")),
        None => text.push_str(
            "\nthis system's roots vouch for the server's certificate, and have to from now on: \
             its key may change",
        ),
    }
    text
}

/// One line of stdin.
fn read_invite() -> Result<String> {
    let mut line = String::new();
    stdin().lock().take(1024).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn key_bits(text: &str) -> Result<usize, String> {
    let bits = text.parse().ok().filter(|bits| limits::RSA_BITS.contains(bits) && bits % 1024 == 0);
    bits.ok_or_else(|| "2048, 3072 or 4096".to_owned())
}
