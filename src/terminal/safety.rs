//! Safety numbers for people: to look at, to scan, to be read out.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::sanitize;
use crate::client::{KeyChange, Safety};

/// Whether to show a QR code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Qr {
    /// Yes.
    Yes,
    /// No: nobody can see it, or wants to.
    No,
}

/// Digits in a group.
const GROUP: usize = 5;
/// Groups in a line.
const LINE: usize = 4;

/// Everything there is to say about somebody's key; `then` is what marks it as compared.
pub fn shown(safety: &Safety, qr: Qr, then: &str) -> String {
    let name = sanitize::line(safety.nickname.as_str()).into_owned();
    let mut lines = Vec::new();
    match (&safety.key_change, &safety.new_number) {
        (Some(change), Some(new)) => {
            lines.push(changed(&name, change));
            lines.push(format!("safety number with {name}, for the known key:"));
            lines.push(block(&safety.number));
            lines.push("for the new one:".to_owned());
            lines.push(block(new));
        }
        _ => {
            let standing = if safety.verified { "verified" } else { "not verified" };
            lines.push(format!("safety number with {name}, {standing}:"));
            lines.push(block(&safety.number));
        }
    }
    if qr == Qr::Yes {
        lines.extend(code(safety.new_number.as_deref().unwrap_or(&safety.number)));
    }
    lines.push(format!(
        "{name} must see the same digits: compare them face to face or over the phone, not through tellal. Then: \
         {then}"
    ));
    lines.join("\n")
}

/// What was decided.
pub fn decided(safety: &Safety) -> String {
    let name = sanitize::line(safety.nickname.as_str());
    match (&safety.key_change, safety.verified) {
        (Some(change), _) => changed(&name, change),
        (None, true) => format!("{name} is verified: {}", safety.fingerprint),
        (None, false) => format!("the key of {name} is accepted, not verified: {}", safety.fingerprint),
    }
}

/// A changed key in one line.
pub fn changed(name: &str, change: &KeyChange) -> String {
    let vouched =
        if change.vouched { "the known key vouches for it" } else { "the known key does not vouch for it" };
    format!(
        "WARNING: the key of {name} has changed: known {}, since {} {} ({vouched}); nothing is sent until you \
         decide",
        change.known, change.since, change.shown
    )
}

/// The groups of a number for the voice: digits with pauses between them.
pub fn spoken(number: &str) -> impl Iterator<Item = String> {
    groups(number).map(|group| group.chars().map(String::from).collect::<Vec<_>>().join(", ") + ".")
}

/// A number in groups, on lines that fit every terminal.
pub fn block(number: &str) -> String {
    let groups: Vec<&str> = groups(number).collect();
    let lines = groups.chunks(LINE).map(|line| format!("  {}", line.join(" ")));
    lines.collect::<Vec<_>>().join("\n")
}

fn groups(number: &str) -> impl Iterator<Item = &str> {
    (0..number.len()).step_by(GROUP).filter_map(|at| number.get(at..at + GROUP))
}

/// A QR code (ISO/IEC 18004) of the digits. Its light modules are drawn, margin included: most terminals are dark, and
/// not every scanner reads a code whose light and dark are exchanged.
fn code(number: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(number, EcLevel::L).ok()?;
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    const NUMBER: &str = "012345678901234567890123456789012345678901234567890123456789";

    fn safety() -> Safety {
        Safety {
            nickname: "burak".parse().unwrap(),
            number: NUMBER.to_owned(),
            fingerprint: "SHA256:old".to_owned(),
            own_fingerprint: "SHA256:own".to_owned(),
            verified: false,
            key_change: None,
            new_number: None,
        }
    }

    #[test]
    fn digits_are_shown_in_groups_of_five() {
        assert_eq!(
            block(NUMBER),
            "  01234 56789 01234 56789\n  01234 56789 01234 56789\n  01234 56789 01234 56789"
        );
        assert!(
            shown(&safety(), Qr::No, "/verify NUMBER")
                .starts_with("safety number with burak, not verified:\n  01234 56789")
        );
        assert!(!shown(&safety(), Qr::No, "/verify NUMBER").contains('█'));
        assert!(shown(&safety(), Qr::Yes, "/verify NUMBER").contains('█'));
    }

    #[test]
    fn digits_are_spoken_one_by_one() {
        let spoken: Vec<String> = spoken(NUMBER).collect();
        assert_eq!(spoken.len(), 12);
        assert_eq!(spoken[0], "0, 1, 2, 3, 4.");
    }

    #[test]
    fn a_changed_key_is_told_with_both_fingerprints_and_since_when() {
        let (known, shown) = ("SHA256:old".to_owned(), "SHA256:new".to_owned());
        let change = KeyChange { known, shown, since: Millis(0), vouched: false };
        let safety =
            Safety { key_change: Some(change), new_number: Some(NUMBER.replace('0', "9")), ..safety() };
        let text = super::shown(&safety, Qr::No, "");
        for part in ["SHA256:old", "SHA256:new", "1970-01-01", "does not vouch", "01234 56789", "91234 56789"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
