//! A message as lines for people: time, who, what. Everything that matters is in words; colour only helps.

use jiff::tz::TimeZone;

use super::{Palette, sanitize};
use crate::client::{Body, Delivery, Message};
use crate::model::Millis;

/// Columns that further lines of a text are indented by: as many as a time takes.
pub const INDENT: usize = 6;

/// How lines are made for one reader.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The colours there are.
    pub palette: Palette,
    /// Where the reader is.
    pub zone: TimeZone,
    /// What time it is: today's messages are shown without their date.
    pub now: Millis,
    /// Whether each message is shown with its number.
    pub numbers: bool,
    /// Without any decoration: no symbols, no bars, nothing that is drawn again. Words alone.
    pub plain: bool,
}

impl Lines {
    /// For a reader here and now.
    pub fn here(palette: Palette) -> Self {
        Self { palette, zone: TimeZone::system(), now: Millis::now(), numbers: false, plain: false }
    }

    /// One message; a newline stands only between its lines.
    pub fn message(&self, message: &Message) -> String {
        let time = self.palette.dim(&self.time(message.sent_at));
        let number = if self.numbers { format!(" #{}", message.number) } else { String::new() };
        let from = self.palette.paint(message.color, &sanitize::line(message.from.as_str()));
        let who = match (&message.delivery, message.verified) {
            (Some(_), _) => format!("{from} → {}", sanitize::line(message.to.as_str())),
            (None, true) => format!("{from} ✓"),
            (None, false) => from,
        };
        let what = match &message.body {
            Body::Text { text } => sanitize::block(text, INDENT),
            Body::Voice { duration_ms, .. } => {
                format!("voice note, {} (tellal play {})", duration(*duration_ms), message.number)
            }
            Body::Notice { text } => {
                return format!("{time}{number} * {who}: {}", sanitize::block(text, INDENT));
            }
        };
        format!("{time}{number} {who}{}: {what}", self.remark(message))
    }

    /// The time of day; with the date when that is not today.
    pub fn time(&self, time: Millis) -> String {
        let local = time.timestamp().to_zoned(self.zone.clone());
        let today = self.now.timestamp().to_zoned(self.zone.clone()).date();
        let format = if local.date() == today { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        local.strftime(format).to_string()
    }

    /// What else there is to say, before the colon, where no text can imitate it.
    pub fn remark(&self, message: &Message) -> String {
        match (&message.delivery, message.received_at) {
            (Some(Delivery::Queued), _) => " (waiting to be sent)".to_owned(),
            (Some(Delivery::Refused { reason }), _) => format!(" (not sent: {})", sanitize::line(reason)),
            (None, Some(at)) if message.late => format!(" (arrived {})", self.time(at)),
            _ => String::new(),
        }
    }
}

/// Minutes and seconds, rounded up, as players show it.
pub fn duration(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageId;

    fn lines(palette: Palette) -> Lines {
        let zone = TimeZone::fixed(jiff::tz::offset(3));
        Lines { palette, zone, now: Millis(1_795_233_600_000), numbers: false, plain: false }
    }

    fn message(body: Body) -> Message {
        Message {
            id: MessageId::from_bytes([1; 16]),
            number: 12,
            from: "ayşe".parse().unwrap(),
            to: "burak".parse().unwrap(),
            body,
            sent_at: Millis(1_795_233_600_000),
            received_at: Some(Millis(1_795_233_601_000)),
            verified: false,
            seq: Some(7),
            delivery: None,
            late: false,
            color: "green".parse().unwrap(),
        }
    }

    fn text(text: &str) -> Message {
        message(Body::Text { text: text.to_owned() })
    }

    #[test]
    fn a_text_is_shown_at_the_readers_own_time() {
        assert_eq!(lines(Palette::None).message(&text("merhaba")), "07:00 ayşe: merhaba");
        let numbered = Lines { numbers: true, ..lines(Palette::None) };
        assert_eq!(numbered.message(&text("merhaba")), "07:00 #12 ayşe: merhaba");
        let yesterday = Message { sent_at: Millis(1_795_147_200_000), late: true, ..text("merhaba") };
        assert_eq!(
            lines(Palette::None).message(&yesterday),
            "2026-11-20 07:00 ayşe (arrived 07:00): merhaba"
        );
    }

    #[test]
    fn further_lines_and_controls_cannot_pass_for_another_message() {
        let message = text("hi\n07:01 burak: yes\u{1b}[2J");
        assert_eq!(lines(Palette::None).message(&message), "07:00 ayşe: hi\n      07:01 burak: yes␛[2J");
    }

    #[test]
    fn what_matters_is_said_in_words() {
        let plain = lines(Palette::None);
        let voice = Body::Voice { duration_ms: 62_400, sample_rate: 16_000, size: 9, peaks: Vec::new() };
        let voice = Message { verified: true, ..message(voice) };
        assert_eq!(plain.message(&voice), "07:00 ayşe ✓: voice note, 1:03 (tellal play 12)");
        let queued = Message { delivery: Some(Delivery::Queued), ..text("hi") };
        assert_eq!(plain.message(&queued), "07:00 ayşe → burak (waiting to be sent): hi");
        let refused = Delivery::Refused { reason: "no\nroom".to_owned() };
        let refused = Message { delivery: Some(refused), ..text("hi") };
        assert_eq!(plain.message(&refused), "07:00 ayşe → burak (not sent: no⏎room): hi");
        let notice = message(Body::Notice { text: "the key changed".to_owned() });
        assert_eq!(plain.message(&notice), "07:00 * ayşe: the key changed");
    }

    #[test]
    fn colour_only_adds_to_the_words() {
        let coloured = lines(Palette::Xterm).message(&text("merhaba"));
        assert_eq!(coloured, "\u{1b}[2m07:00\u{1b}[0m \u{1b}[38;5;28mayşe\u{1b}[0m: merhaba");
    }
}
