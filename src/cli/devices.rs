//! `tellal devices`: the devices of one's own account.

use anyhow::Result;
use serde::Serialize;

use super::app::App;
use super::deliver;
use crate::client::OwnDevice;
use crate::terminal::Lines;

/// Options of `devices`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// One of them.
#[derive(Debug, Serialize)]
pub struct Listed<'a> {
    /// `device`.
    pub kind: &'static str,
    /// What is known of it.
    #[serde(flatten)]
    pub device: &'a OwnDevice,
}

/// Lists the devices.
///
/// # Errors
/// When the server can't be reached.
pub async fn run(_: Args, app: App) -> Result<()> {
    let client = app.open().await?;
    let events = client.events();
    let devices = client.devices().await?;
    for device in &devices {
        app.out.put(&Listed { kind: "device", device }, || line(device, &app.out.lines))?;
    }
    app.out.flush()?;
    deliver::close(client, events).await;
    Ok(())
}

fn line(device: &OwnDevice, lines: &Lines) -> String {
    let which = match (device.this, device.known) {
        (true, _) => "this device",
        (false, true) => "another device",
        (false, false) => "another device, NOT added by this profile",
    };
    let log = if device.in_log { "" } else { "; warning: the server's transparency log has it otherwise" };
    let (id, since) = (&device.short, lines.time(device.since));
    if lines.plain {
        return format!("{id}: {which}, since {since}{log}");
    }
    format!("{id}  {which}, since {since}{log}")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::{DeviceId, Millis};
    use crate::terminal::Palette;

    #[test]
    fn a_device_that_somebody_else_added_stands_out_in_words() {
        let this = OwnDevice {
            id: DeviceId::new([0xab; 32]),
            short: "abababababab".to_owned(),
            this: true,
            known: true,
            since: Millis(0),
            in_log: true,
        };
        let lines = Lines::at(Palette::None, TimeZone::UTC, Millis(u64::MAX));
        assert_eq!(line(&this, &lines), "abababababab  this device, since 1970-01-01 00:00");
        let other = OwnDevice { this: false, known: false, in_log: false, ..this };
        let lines = Lines { plain: true, ..lines };
        assert_eq!(
            line(&other, &lines),
            "abababababab: another device, NOT added by this profile, since 1970-01-01 00:00; warning: the server's \
             transparency log has it otherwise"
        );
    }
}
