//! A message as lines for people: time, who, what. Everything that matters is in words; colour only helps.

use jiff::tz::TimeZone;

use super::color::Looks;
use super::{Palette, sanitize};
use crate::client::{Body, Delivery, Message};
use crate::model::{Address, Color, Millis, Nickname, RoomName};

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
    /// Who looks how.
    pub looks: Looks,
}

impl Lines {
    /// For a reader here and now.
    pub fn here(palette: Palette) -> Self {
        Self::at(palette, TimeZone::system(), Millis::now())
    }

    /// For a reader somewhere, some time.
    pub fn at(palette: Palette, zone: TimeZone, now: Millis) -> Self {
        Self { palette, zone, now, numbers: false, plain: false, looks: Looks::default() }
    }

    /// One message; a newline stands only between its lines.
    pub fn message(&self, message: &Message) -> String {
        let from = self.name(&message.from, message.color);
        let from = if message.verified && message.delivery.is_none() { self.verified(&from) } else { from };
        let who = match (&message.to, &message.delivery) {
            (Address::Person(_), None) => from,
            (to, _) => self.to(&from, &sanitize::line(&to.to_string())),
        };
        let what = match &message.body {
            Body::Text { text } => sanitize::block(text, INDENT),
            Body::Voice { duration_ms, live, cut_off, .. } => {
                format!("{} (tellal play {})", voice(*duration_ms, *live, *cut_off), message.number)
            }
            Body::Notice { text } => {
                return self.notice(message, self.numbers, &self.about(message, who), text);
            }
            Body::Invitation { room } => invitation(message, room, "`tellal room join ", "`"),
        };
        format!("{} {who}{}: {what}", self.begin(message, self.numbers), self.remark(message))
    }

    /// What a message's line begins with: when it was sent, and if wanted its number.
    pub fn begin(&self, message: &Message, number: bool) -> String {
        let time = self.palette.dim(&self.time(message.sent_at));
        match (number, self.plain) {
            (false, _) => time,
            (true, false) => format!("{time} #{}", message.number),
            (true, true) => format!("{time} number {}", message.number),
        }
    }

    /// A remark of the client's own about a conversation.
    pub fn notice(&self, message: &Message, number: bool, who: &str, text: &str) -> String {
        format!("{} {} {who}: {}", self.begin(message, number), self.mark(), sanitize::block(text, INDENT))
    }

    /// What a remark is about: its room, or whom it names.
    pub fn about(&self, message: &Message, who: String) -> String {
        match &message.to {
            Address::Room(_) => sanitize::line(&message.to.to_string()).into_owned(),
            Address::Person(_) => who,
        }
    }

    fn mark(&self) -> &'static str {
        if self.plain { "notice," } else { "*" }
    }

    /// Somebody's name in their colour.
    pub fn name(&self, nickname: &Nickname, color: Color) -> String {
        self.named(nickname, color, &sanitize::line(nickname.as_str()))
    }

    /// What somebody is called here, in their colour; safe to print already.
    pub fn named(&self, nickname: &Nickname, color: Color, called: &str) -> String {
        self.palette.paint(color, self.looks.mark(nickname, color), called)
    }

    /// Who writes to whom.
    pub fn to(&self, from: &str, to: &str) -> String {
        if self.plain { format!("{from} to {to}") } else { format!("{from} → {to}") }
    }

    /// Somebody whose fingerprint was compared.
    pub fn verified(&self, name: &str) -> String {
        if self.plain { format!("{name} (verified)") } else { format!("{name} ✓") }
    }

    /// What has become of a voice note that was heard while it was spoken.
    pub fn ended(&self, message: &Message) -> String {
        let from = sanitize::line(message.from.as_str());
        let what = match &message.body {
            Body::Voice { duration_ms, live, cut_off, .. } => voice(*duration_ms, *live, *cut_off),
            Body::Text { text } | Body::Notice { text } => sanitize::block(text, INDENT),
            Body::Invitation { room } => invitation(message, room, "`tellal room join ", "`"),
        };
        let ended = Message { sent_at: Millis::now(), ..message.clone() };
        format!("{} {} {from}: {what}", self.begin(&ended, true), self.mark())
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
            (None, Some(at)) if message.late => {
                format!("{} (arrived {})", Self::key_remark(message), self.time(at))
            }
            (None, _) => Self::key_remark(message).to_owned(),
            _ => String::new(),
        }
    }

    fn key_remark(message: &Message) -> &'static str {
        if message.key_changed { " (UNDER A CHANGED KEY)" } else { "" }
    }
}

/// What there is of a voice note, in words.
pub fn voice(duration_ms: u64, live: bool, cut_off: bool) -> String {
    match (live, cut_off) {
        (true, _) => "voice note, live".to_owned(),
        (false, true) => format!("voice note, cut off after {}", duration(duration_ms)),
        (false, false) => format!("voice note, {}", duration(duration_ms)),
    }
}

/// An invitation; one that was received with what is typed to come in, in which the name stands between these.
pub fn invitation(message: &Message, room: &RoomName, before: &str, behind: &str) -> String {
    let name = sanitize::line(room.as_str());
    if message.delivery.is_some() {
        return format!("invitation to the room #{name}");
    }
    format!("invitation to the room #{name} ({before}{name}{behind} goes in)")
}

/// Minutes and seconds, rounded up, as players show it.
pub fn duration(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(palette: Palette) -> Lines {
        let zone = TimeZone::fixed(jiff::tz::offset(3));
        Lines::at(palette, zone, Millis(1_795_233_600_000))
    }

    fn text(text: &str) -> Message {
        Message::example(Body::Text { text: text.to_owned() })
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
        let voice = Body::voice(62_400, 16_000, 9, Vec::new());
        let voice = Message { verified: true, ..Message::example(voice) };
        assert_eq!(plain.message(&voice), "07:00 ayşe ✓: voice note, 1:03 (tellal play 12)");
        let queued = Message { delivery: Some(Delivery::Queued), ..text("hi") };
        assert_eq!(plain.message(&queued), "07:00 ayşe → burak (waiting to be sent): hi");
        let foreign = Message { key_changed: true, ..text("hi") };
        assert_eq!(plain.message(&foreign), "07:00 ayşe (UNDER A CHANGED KEY): hi");
        let refused = Delivery::Refused { reason: "no\nroom".to_owned() };
        let refused = Message { delivery: Some(refused), ..text("hi") };
        assert_eq!(plain.message(&refused), "07:00 ayşe → burak (not sent: no⏎room): hi");
        let notice = Message::example(Body::Notice { text: "the key changed".to_owned() });
        assert_eq!(plain.message(&notice), "07:00 * ayşe: the key changed");
        let invitation = Message::example(Body::Invitation { room: "garden".parse().unwrap() });
        assert_eq!(
            plain.message(&invitation),
            "07:00 ayşe: invitation to the room #garden (`tellal room join garden` goes in)"
        );
        let own = Message { delivery: Some(Delivery::Accepted), ..invitation };
        assert_eq!(plain.message(&own), "07:00 ayşe → burak: invitation to the room #garden");
    }

    #[test]
    fn where_it_was_said_stands_behind_who_has_said_it() {
        let in_garden = |message| Message { to: "#garden".parse().unwrap(), verified: true, ..message };
        let (shown, plain) = (lines(Palette::None), Lines { plain: true, ..lines(Palette::None) });
        assert_eq!(shown.message(&in_garden(text("hi"))), "07:00 ayşe ✓ → #garden: hi");
        assert_eq!(plain.message(&in_garden(text("hi"))), "07:00 ayşe (verified) to #garden: hi");
        let notice = Message::example(Body::Notice { text: "zoé has joined".to_owned() });
        assert_eq!(shown.message(&in_garden(notice)), "07:00 * #garden: zoé has joined");
        let own = Message { delivery: Some(Delivery::Accepted), verified: false, ..in_garden(text("hi")) };
        assert_eq!(shown.message(&own), "07:00 ayşe → #garden: hi");
        let coloured = lines(Palette::Xterm).message(&in_garden(text("hi")));
        assert!(coloured.contains("mayşe\u{1b}[0m ✓ → #garden: hi"), "{coloured:?}");
    }

    #[test]
    fn without_decoration_there_are_words_in_place_of_symbols() {
        let plain = Lines { plain: true, numbers: true, ..lines(Palette::None) };
        let own = Message { delivery: Some(Delivery::Accepted), ..text("hi") };
        assert_eq!(plain.message(&own), "07:00 number 12 ayşe to burak: hi");
        let verified = Message { verified: true, ..text("hi") };
        assert_eq!(plain.message(&verified), "07:00 number 12 ayşe (verified): hi");
        let notice = Message::example(Body::Notice { text: "the key changed".to_owned() });
        assert_eq!(plain.message(&notice), "07:00 number 12 notice, ayşe: the key changed");
    }

    #[test]
    fn colour_only_adds_to_the_words() {
        let coloured = lines(Palette::Xterm).message(&text("merhaba"));
        assert_eq!(coloured, "\u{1b}[2m07:00\u{1b}[0m \u{1b}[38;5;65mayşe\u{1b}[0m: merhaba");
    }
}
