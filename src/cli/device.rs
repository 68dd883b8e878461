//! `tellal device remove`: taking a device from one's own account.

use std::io::{self, IsTerminal as _, Write as _, stdin};

use anyhow::Result;
use serde::Serialize;

use super::app::App;
use super::deliver;
use super::failure::Failure;
use crate::client::{Client, Events, OwnDevice};
use crate::model::DeviceId;
use crate::terminal::Lines;

/// Options of `device`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done with a device.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Take a device from the account: it can't log in any more, and nothing is sealed for it from then on
    Remove {
        /// Which: the beginning of its id, as `devices` lists it
        #[arg(value_name = "ID")]
        id: String,
        /// Do it unasked
        #[arg(long)]
        yes: bool,
    },
}

/// The result of `device remove`.
#[derive(Debug, Serialize)]
pub struct Removed {
    /// `device_removed`.
    pub kind: &'static str,
    /// Which.
    pub id: DeviceId,
}

/// Removes a device.
///
/// # Errors
/// When there is none of that id, it is this one, nobody agrees, or the server can't be reached or refuses.
pub async fn run(args: Args, app: App) -> Result<()> {
    let Verb::Remove { id, yes } = args.verb;
    let client = app.open().await?;
    let mut events = client.events();
    let done = remove(&client, &mut events, &app, &id, yes).await;
    deliver::close(client, events).await;
    done
}

async fn remove(client: &Client, events: &mut Events, app: &App, id: &str, yes: bool) -> Result<()> {
    let me = client.status().await?;
    let devices = client.devices().await?;
    let device = OwnDevice::to_remove(&devices, id, &me.nickname)?;
    if !yes {
        confirm(device, &app.out.lines).await?;
    }
    deliver::patiently(events, client.remove_device(device.id)).await?;
    app.out.put(&Removed { kind: "device_removed", id: device.id }, || said(device))?;
    Ok(app.out.flush()?)
}

fn said(device: &OwnDevice) -> String {
    let done = format!(
        "the device {} is removed: it can't log in any more, and nothing is sealed for it from now on",
        device.short
    );
    if device.known {
        return done;
    }
    format!(
        "{done}\nthis profile had not added it: whoever did has your identity key and can add another, until \
         you make new keys (tellal rekey)"
    )
}

/// Asks whoever sits at the terminal.
async fn confirm(device: &OwnDevice, lines: &Lines) -> Result<()> {
    let no = |what: &str| Failure::new("not_confirmed", format!("{what}: nothing was removed"));
    if !stdin().is_terminal() {
        return Err(no("there is nobody to ask, and --yes was not given").into());
    }
    let since = lines.time(device.since);
    let question = format!("remove the device {}, yours since {since}, for good? [y/N] ", device.short);
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        io::stderr().write_all(question.as_bytes())?;
        stdin().read_line(&mut answer).map(|_| answer)
    });
    match answer.await??.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(no("you did not say yes").into()),
    }
}
