//! `tellal users`: who there is.

use anyhow::Result;
use unicode_width::UnicodeWidthStr;

use super::app::App;
use super::deliver;
use crate::client::Contact;
use crate::terminal::{Lines, sanitize};

/// Options of `users`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Lists the directory.
///
/// # Errors
/// When the server can't be reached.
pub async fn run(_: Args, app: App) -> Result<()> {
    let client = app.open().await?;
    let events = client.events();
    let users = client.users().await?;
    let width = users.iter().map(|user| user.nickname.as_str().width()).max().unwrap_or(0);
    for user in &users {
        app.out.put(user, || line(user, width, &app.out.lines))?;
    }
    app.out.flush()?;
    deliver::close(client, events).await;
    Ok(())
}

fn line(user: &Contact, width: usize, lines: &Lines) -> String {
    let padding = " ".repeat(width.saturating_sub(user.nickname.as_str().width()));
    let online = if user.online { "online " } else { "offline" };
    let standing = match (user.me, user.verified) {
        (true, _) => "you",
        (false, true) => "verified",
        (false, false) => "not verified",
    };
    let blocked = if user.blocked { "  blocked" } else { "" };
    let warning = match &user.warning {
        Some(warning) => format!("  warning: {}", sanitize::line(warning)),
        None => String::new(),
    };
    let (name, fingerprint) = (lines.name(&user.nickname, user.color), sanitize::line(&user.fingerprint));
    if lines.plain {
        let (online, warning) = (online.trim_end(), warning.replace("  warning", "; warning"));
        let blocked = if user.blocked { ", blocked" } else { "" };
        return format!("{name}: {online}, {standing}{blocked}; fingerprint {fingerprint}{warning}");
    }
    format!("{name}{padding}  {online}  {fingerprint}  {standing}{blocked}{warning}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;
    use crate::terminal::Palette;

    #[test]
    fn names_of_wide_characters_are_aligned_and_warnings_are_safe() {
        let mut user = Contact {
            nickname: "지민".parse().unwrap(),
            online: true,
            fingerprint: "SHA256:abc".to_owned(),
            verified: false,
            color: "blue".parse().unwrap(),
            since: Millis(0),
            me: false,
            blocked: false,
            warning: None,
            key_change: None,
        };
        let lines = Lines::here(Palette::None);
        assert_eq!(line(&user, 6, &lines), "지민    online   SHA256:abc  not verified");
        user = Contact {
            online: false,
            verified: true,
            blocked: true,
            warning: Some("\u{1b}c".to_owned()),
            ..user
        };
        assert_eq!(line(&user, 4, &lines), "지민  offline  SHA256:abc  verified  blocked  warning: ␛c");
        let lines = Lines { plain: true, ..lines };
        let plain = "지민: offline, verified, blocked; fingerprint SHA256:abc; warning: ␛c";
        assert_eq!(line(&user, 9, &lines), plain);
    }
}
