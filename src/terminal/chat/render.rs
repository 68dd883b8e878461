//! What a conversation looks like. Everything that matters is in words; colour only helps.

use unicode_width::UnicodeWidthStr;

use super::command::COMMANDS;
use super::input::Ask;
use super::people::{People, Person, peer};
use crate::client::{Body, Contact, Message};
use crate::model::{Color, Millis, Nickname};
use crate::terminal::line::{INDENT, duration};
use crate::terminal::{Lines, sanitize};

/// People whose new messages are counted in the prompt, at most.
const COUNTED: usize = 3;

/// How a conversation is shown to one reader.
#[derive(Clone, Debug)]
pub struct View {
    /// Colours, and the reader's own time.
    pub lines: Lines,
    /// Who reads.
    pub me: Nickname,
    /// The reader's own colour.
    pub color: Color,
}

/// What to show of a message beside itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// It has not been shown before.
    pub new: bool,
    /// Its number.
    pub number: bool,
}

impl View {
    /// A message. In the conversation with `with`, one's own need no name beside them.
    pub fn message(&mut self, message: &Message, with: Option<&Nickname>, marks: Marks) -> String {
        self.lines.now = Millis::now();
        let lines = &self.lines;
        let time = lines.palette.dim(&lines.time(message.sent_at));
        let number = if marks.number { format!(" #{}", message.number) } else { String::new() };
        let new = if marks.new { " (new)" } else { "" };
        let other = peer(message, &self.me);
        let who = if message.from == self.me {
            let you = lines.palette.paint(message.color, "you");
            if with == Some(other) { you } else { format!("{you} → {}", sanitize::line(other.as_str())) }
        } else {
            let from = lines.palette.paint(message.color, &sanitize::line(message.from.as_str()));
            if message.verified { format!("{from} ✓") } else { from }
        };
        let what = match &message.body {
            Body::Text { text } => sanitize::block(text, INDENT),
            Body::Voice { duration_ms, .. } => {
                format!("voice note, {} (/play {})", duration(*duration_ms), message.number)
            }
            Body::Notice { text } => {
                return format!("{time}{number} * {who}{new}: {}", sanitize::block(text, INDENT));
            }
        };
        format!("{time}{number} {who}{}{new}: {what}", lines.remark(message))
    }

    /// Something that tellal has to say. No message looks like it.
    pub fn words(words: &str) -> String {
        format!("* {}", sanitize::line(words))
    }

    /// Somebody's name in their colour.
    pub fn name(&self, person: &Person) -> String {
        let name = sanitize::line(person.nickname.as_str());
        match person.color {
            Some(color) => self.lines.palette.paint(color, &name),
            None => name.into_owned(),
        }
    }

    /// Names, one after the other.
    pub fn names<'a>(&self, people: impl Iterator<Item = &'a Person>) -> String {
        people.map(|person| self.name(person)).collect::<Vec<_>>().join(", ")
    }

    /// Who there is: those who are online first.
    pub fn users(&self, contacts: &[Contact]) -> String {
        let mut contacts: Vec<&Contact> = contacts.iter().collect();
        contacts.sort_by_key(|contact| (!contact.online, contact.nickname.folded()));
        let width = contacts.iter().map(|contact| contact.nickname.as_str().width()).max().unwrap_or(0);
        let lines = contacts.into_iter().map(|contact| {
            let name = sanitize::line(contact.nickname.as_str());
            let padding = " ".repeat(width.saturating_sub(name.width()));
            let name = self.lines.palette.paint(contact.color, &name);
            let state = if contact.online { "online" } else { "offline" };
            let standing = match (contact.me, contact.verified) {
                (true, _) => ", you",
                (false, true) => ", verified",
                (false, false) => "",
            };
            let warning = match &contact.warning {
                Some(warning) => format!("; warning: {}", sanitize::line(warning)),
                None => String::new(),
            };
            format!("  {name}{padding}  {state}{standing}{warning}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// How much is new, and from whom.
    pub fn news(&self, people: &People) -> String {
        let news: Vec<String> = people
            .with_news()
            .map(|person| format!("{} {} new", self.name(person), person.new.len()))
            .collect();
        if news.is_empty() { "nothing new".to_owned() } else { news.join(", ") }
    }

    /// The prompt: who talks to whom, and whose messages are new.
    pub fn prompt(&self, with: Option<&Nickname>, people: &People) -> Ask {
        let palette = self.lines.palette;
        let (mut prompt, mut painted) = match with {
            Some(with) => {
                let name = sanitize::line(with.as_str()).into_owned();
                let color = people.find(with).and_then(|person| person.color);
                let shown = color.map_or_else(|| name.clone(), |color| palette.paint(color, &name));
                (format!("you → {name}"), format!("{} → {shown}", palette.paint(self.color, "you")))
            }
            None => ("you".to_owned(), palette.paint(self.color, "you")),
        };
        let mut news: Vec<String> = people
            .with_news()
            .take(COUNTED)
            .map(|person| format!("{} {} new", sanitize::line(person.nickname.as_str()), person.new.len()))
            .collect();
        let others = people.with_news().count().saturating_sub(COUNTED);
        if others > 0 {
            news.push(format!("{others} others"));
        }
        let news = if news.is_empty() { "> ".to_owned() } else { format!(" ({})> ", news.join(", ")) };
        prompt.push_str(&news);
        painted.push_str(&news);
        Ask { before: String::new(), prompt, painted }
    }
}

/// What can be typed.
pub fn help() -> String {
    let mut lines: Vec<String> = COMMANDS
        .iter()
        .map(|(name, argument, what)| format!("  {:<20} {what}", format!("{name} {argument}").trim_end()))
        .collect();
    lines.push("  Anything else is sent to the person whom the prompt names.".to_owned());
    lines.push("  Tab completes commands and names; Ctrl-C clears the line; several lines that are pasted".to_owned());
    lines.push("  at once are one message, sent with Enter.".to_owned());
    lines.join("\n")
}
