//! `tellal rekey`: new keys; or none any more.

use anyhow::Result;
use serde::Serialize;

use super::app::{App, nickname};
use super::deliver;
use super::failure::Failure;

/// Options of `rekey`. Without any: new keys for everything.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Replace the message key alone, which is replaced every week by itself; contacts notice nothing
    #[arg(long)]
    pub message_key: bool,
    /// End the account for good. Name it, so that nobody does it by mistake
    #[arg(long, value_name = "NICK", conflicts_with = "message_key")]
    pub revoke: Option<String>,
}

/// The result of `rekey`.
#[derive(Debug, Serialize)]
pub struct Rekeyed {
    /// `rekeyed`.
    pub kind: &'static str,
    /// Which keys: `message`; `all`; `none`, after the end of the account.
    pub what: &'static str,
    /// The identity key's fingerprint now.
    pub fingerprint: String,
}

/// Replaces keys, or ends the account.
///
/// # Errors
/// When the server can't be reached or refuses.
pub async fn run(args: Args, app: App) -> Result<()> {
    let client = app.open().await?;
    let mut events = client.events();
    let me = client.status().await?;
    let (what, said) = if args.message_key {
        client.renew_message_key().await?;
        ("message", "the message key is replaced".to_owned())
    } else if let Some(name) = args.revoke {
        if nickname(&name)? != me.nickname {
            let what = format!("this profile is {}, not {name}: nothing was ended", me.nickname);
            return Err(Failure::new("another_nickname", what).into());
        }
        deliver::patiently(&mut events, client.revoke()).await?;
        let said = "the account has ended: its keys are revoked, its nickname stays taken, and what was said stays \
                    in this profile's history";
        ("none", said.to_owned())
    } else {
        deliver::patiently(&mut events, client.rekey()).await?;
        let now = client.status().await?.fingerprint;
        let said = format!(
            "all keys are new\nyour fingerprint was {}\nand is now {now}: whoever you talk to is told that it has \
             changed, and has to compare or accept it (tellal verify)",
            me.fingerprint
        );
        ("all", said)
    };
    let fingerprint = client.status().await?.fingerprint;
    app.out.put(&Rekeyed { kind: "rekeyed", what, fingerprint }, || said)?;
    app.out.flush()?;
    deliver::close(client, events).await;
    Ok(())
}
