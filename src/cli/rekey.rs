//! `tellal rekey`: new keys.

use anyhow::Result;
use serde::Serialize;

use super::app::App;
use super::deliver;

/// Options of `rekey`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Replace the message key, which is replaced every week by itself; contacts notice nothing
    #[arg(long, required = true)]
    pub message_key: bool,
}

/// The result of `rekey`.
#[derive(Debug, Serialize)]
pub struct Rekeyed {
    /// `rekeyed`.
    pub kind: &'static str,
    /// Which keys: `message`.
    pub what: &'static str,
    /// The identity key's fingerprint now.
    pub fingerprint: String,
}

/// Replaces keys.
///
/// # Errors
/// When the server can't be reached or refuses.
pub async fn run(_: Args, app: App) -> Result<()> {
    let client = app.open().await?;
    let events = client.events();
    client.renew_message_key().await?;
    let fingerprint = client.status().await?.fingerprint;
    let done = Rekeyed { kind: "rekeyed", what: "message", fingerprint };
    app.out.put(&done, || "the message key is replaced".to_owned())?;
    app.out.flush()?;
    deliver::close(client, events).await;
    Ok(())
}
