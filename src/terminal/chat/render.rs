//! What a conversation looks like. Everything that matters is in words; colour only helps.

use unicode_width::UnicodeWidthStr;

use super::command::COMMANDS;
use super::here;
use super::input::Ask;
use super::people::{People, Person};
use crate::client::{Body, Contact, Message};
use crate::model::{Address, Color, Millis, Nickname};
use crate::terminal::line::{INDENT, invitation, voice};
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
    pub fn message(&mut self, message: &Message, with: Option<&Address>, marks: Marks) -> String {
        self.lines.now = Millis::now();
        let lines = &self.lines;
        let new = if marks.new { " (new)" } else { "" };
        let conversation = message.conversation();
        let from = if message.from == self.me {
            lines.named(&self.me, message.color, "you")
        } else {
            let from = lines.name(&message.from, message.color);
            if message.verified { lines.verified(&from) } else { from }
        };
        let is_to_me = message.from != self.me && conversation == message.from;
        let who = match with {
            Some(with) if *with == conversation => from,
            // A remark about somebody is to nobody.
            _ if is_to_me && matches!(message.body, Body::Notice { .. }) => from,
            // Nobody but oneself reads it, unlike what stands beside it.
            Some(Address::Room(_)) if is_to_me => lines.to(&from, "you"),
            _ if is_to_me => from,
            _ => lines.to(&from, &sanitize::line(&conversation.to_string())),
        };
        let what = match &message.body {
            Body::Text { text } => sanitize::block(text, INDENT),
            Body::Voice { duration_ms, live, cut_off, .. } => {
                format!("{} (/play {})", voice(*duration_ms, *live, *cut_off), message.number)
            }
            Body::Notice { text } => {
                let text = here::commands(text, with);
                let about = lines.about(message, who);
                return lines.notice(message, marks.number, &format!("{about}{new}"), &text);
            }
            Body::Invitation { room } => invitation(message, room, "/room join ", ""),
        };
        format!("{} {who}{}{new}: {what}", lines.begin(message, marks.number), lines.remark(message))
    }

    /// Something that tellal has to say. No message looks like it: those begin with a time.
    pub fn words(&self, words: &str) -> String {
        let mark = if self.lines.plain { "tellal:" } else { "*" };
        format!("{mark} {}", sanitize::line(words))
    }

    /// The prompt while a voice note is being recorded.
    pub fn recording(&self, to: &Address) -> Ask {
        let end = self.prompts_end();
        let prompt = format!("recording for {}, Enter sends{end}", sanitize::line(&to.to_string()));
        Ask { before: String::new(), painted: prompt.clone(), prompt }
    }

    fn prompts_end(&self) -> &'static str {
        if self.lines.plain { ": " } else { "> " }
    }

    /// Somebody's name in their colour.
    pub fn name(&self, person: &Person) -> String {
        match (person.color, &person.address) {
            (Some(color), Address::Person(nickname)) => self.lines.name(nickname, color),
            (_, address) => sanitize::line(&address.to_string()).into_owned(),
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
            let padding = " ".repeat(width.saturating_sub(contact.nickname.as_str().width()));
            let name = self.lines.name(&contact.nickname, contact.color);
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
            let blocked = if contact.blocked { ", blocked" } else { "" };
            if self.lines.plain {
                format!("{name}: {state}{standing}{blocked}{warning}")
            } else {
                format!("  {name}{padding}  {state}{standing}{blocked}{warning}")
            }
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

    /// What was to be heard and was not: how much of whom, and what to do; nothing where there is none.
    pub fn unheard(&self, unheard: &[(Address, usize)]) -> Option<String> {
        let (first, _) = unheard.first()?;
        let person =
            |(address, count): &(Address, usize)| format!("{} {count}", sanitize::line(&address.to_string()));
        let whose = unheard.iter().map(person).collect::<Vec<_>>().join(", ");
        Some(format!("not heard yet: {whose}; /unread {} reads it", sanitize::line(&first.to_string())))
    }

    /// How it stands with the key of whom one talks to.
    fn mark(&self, person: Option<&Person>) -> &'static str {
        match person {
            Some(person) if person.key_changed => " (KEY CHANGED)",
            Some(person) if person.verified && self.lines.plain => " (verified)",
            Some(person) if person.verified => " ✓",
            _ => "",
        }
    }

    /// The prompt: who talks to whom, and whose messages are new.
    pub fn prompt(&self, with: Option<&Address>, people: &People) -> Ask {
        let you = self.lines.named(&self.me, self.color, "you");
        let (mut prompt, mut painted) = match with {
            Some(with) => {
                let name = with.to_string();
                let name = sanitize::line(&name);
                let person = people.find(with);
                let shown = person.map_or_else(|| name.to_string(), |person| self.name(person));
                let mark = self.mark(person);
                (
                    format!("{}{mark}", self.lines.to("you", &name)),
                    format!("{}{mark}", self.lines.to(&you, &shown)),
                )
            }
            None => ("you".to_owned(), you),
        };
        let mut news: Vec<String> = people
            .with_news()
            .take(COUNTED)
            .map(|person| format!("{} {} new", sanitize::line(&person.address.to_string()), person.new.len()))
            .collect();
        let others = people.with_news().count().saturating_sub(COUNTED);
        if others > 0 {
            news.push(format!("{others} more"));
        }
        let (news, end) = (news.join(", "), self.prompts_end());
        let news = match (news.is_empty(), self.lines.plain) {
            (true, _) => end.to_owned(),
            (false, false) => format!(" ({news}){end}"),
            (false, true) => format!(", {news}{end}"),
        };
        prompt.push_str(&news);
        painted.push_str(&news);
        Ask { before: String::new(), prompt, painted }
    }
}

/// What can be typed; without decoration, words in place of columns and brackets.
pub fn help(plain: bool) -> String {
    let line = |(name, argument, what): &(&str, &str, &str)| {
        if plain {
            let argument = argument.replace('|', " or ").replace("or [", "or ").replace(['[', ']'], "");
            // What is left of signs is to be typed.
            format!("{}: {what}", format!("{name} {argument}").trim_end()).replace('…', "and so on")
        } else {
            format!("  {:<20} {what}", format!("{name} {argument}").trim_end())
        }
    };
    let mut lines: Vec<String> = COMMANDS.iter().map(line).collect();
    let rest = [
        "  Anything else is sent to whom the prompt names. Tab completes commands",
        "  and names, Ctrl-C clears the line. Several lines that are pasted at",
        "  once are one message, sent with Enter.",
    ];
    lines.extend(rest.map(|line| if plain { line.trim() } else { line }.to_owned()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::client::Delivery;
    use crate::terminal::Palette;

    fn name(text: &str) -> Nickname {
        text.parse().unwrap()
    }

    fn to(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn view(palette: Palette) -> View {
        let lines = Lines::at(palette, TimeZone::UTC, Millis(0));
        View { lines, me: name("ayşe"), color: "green".parse().unwrap() }
    }

    fn text(from: &str, to: &str, text: &str) -> Message {
        Message {
            from: name(from),
            to: to.parse().unwrap(),
            delivery: (from == "ayşe").then_some(Delivery::Accepted),
            color: "blue".parse().unwrap(),
            ..Message::example(Body::Text { text: text.to_owned() })
        }
    }

    /// Without its time, which depends on the day.
    fn line(message: &Message, with: &str, marks: Marks) -> String {
        let line = view(Palette::None).message(message, Some(&to(with)), marks);
        line.split_once("04:00 ").unwrap().1.to_owned()
    }

    #[test]
    fn who_wrote_to_whom_is_said_as_briefly_as_it_can_be() {
        let none = Marks::default();
        assert_eq!(line(&text("burak", "ayşe", "selam"), "burak", none), "burak: selam");
        assert_eq!(line(&text("ayşe", "burak", "selam"), "burak", none), "you: selam");
        assert_eq!(line(&text("ayşe", "zoé", "salut"), "burak", none), "you → zoé: salut");
        let verified = Message { verified: true, ..text("burak", "ayşe", "selam") };
        assert_eq!(line(&verified, "burak", none), "burak ✓: selam");
    }

    #[test]
    fn a_room_is_named_where_one_talks_elsewhere() {
        let none = Marks::default();
        let to_garden = |from| text(from, "#garden", "selam");
        assert_eq!(line(&to_garden("burak"), "#garden", none), "burak: selam");
        assert_eq!(line(&to_garden("burak"), "burak", none), "burak → #garden: selam");
        assert_eq!(line(&to_garden("ayşe"), "#garden", none), "you: selam");
        assert_eq!(line(&to_garden("ayşe"), "burak", none), "you → #garden: selam");
        let private = text("burak", "ayşe", "psst");
        assert_eq!(line(&private, "#garden", none), "burak → you: psst");
        assert_eq!(line(&private, "zoé", none), "burak: psst");
        assert_eq!(line(&private, "burak", none), "burak: psst");
        assert!(view(Palette::None).message(&private, None, none).ends_with(" burak: psst"));
        let mut plain = view(Palette::None);
        plain.lines.plain = true;
        let plainly = plain.message(&private, Some(&to("#garden")), none);
        assert!(plainly.ends_with(" burak to you: psst"), "{plainly:?}");
        let body = Body::Notice { text: "the key changed".to_owned() };
        assert_eq!(line(&Message { body, ..private }, "#garden", none), "* burak: the key changed");
        let body = Body::Notice { text: "zoé has joined".to_owned() };
        let notice = Message { body, ..to_garden("burak") };
        assert_eq!(line(&notice, "#garden", none), "* #garden: zoé has joined");
        let body = Body::Invitation { room: "garden".parse().unwrap() };
        let invitation = Message { body, ..text("burak", "ayşe", "") };
        assert_eq!(
            line(&invitation, "burak", none),
            "burak: invitation to the room #garden (/room join garden goes in)"
        );
        let view = view(Palette::None);
        let mut people = People::default();
        people.get_or_add(&to("#garden")).new = vec![1];
        assert_eq!(view.prompt(Some(&to("burak")), &people).prompt, "you → burak (#garden 1 new)> ");
        assert_eq!(view.prompt(Some(&to("#Garden")), &People::default()).prompt, "you → #Garden> ");
        assert_eq!(view.recording(&to("#garden")).prompt, "recording for #garden, Enter sends> ");
        assert_eq!(
            view.unheard(&[(to("#garden"), 2)]).unwrap(),
            "not heard yet: #garden 2; /unread #garden reads it"
        );
    }

    #[test]
    fn marks_stand_before_the_colon_where_no_text_can_imitate_them() {
        let marks = Marks { new: true, number: true };
        assert_eq!(
            line(&text("burak", "ayşe", "a\nb\u{1b}c"), "burak", marks),
            "#12 burak (new): a\n      b␛c"
        );
        let body = Body::voice(6_100, 16_000, 9, Vec::new());
        let voice = Message { body, ..text("burak", "ayşe", "") };
        assert_eq!(line(&voice, "burak", Marks::default()), "burak: voice note, 0:07 (/play 12)");
        let body = Body::Notice { text: "the key changed".to_owned() };
        let notice = Message { body, ..text("burak", "ayşe", "") };
        assert_eq!(line(&notice, "burak", Marks::default()), "* burak: the key changed");
        let queued = Message { delivery: Some(Delivery::Queued), ..text("ayşe", "burak", "selam") };
        assert_eq!(line(&queued, "burak", Marks::default()), "you (waiting to be sent): selam");
    }

    #[test]
    fn the_prompt_counts_what_others_wrote() {
        let mut people = People::default();
        let view = view(Palette::Xterm);
        let prompt = |people: &People, with: Option<&str>| view.prompt(with.map(to).as_ref(), people);
        assert_eq!(prompt(&people, None).prompt, "you> ");
        assert_eq!(prompt(&people, Some("burak")).prompt, "you → burak> ");
        people.met(&text("burak", "ayşe", "selam"));
        assert_eq!(
            prompt(&people, Some("burak")).painted,
            "\u{1b}[38;5;65myou\u{1b}[0m → \u{1b}[38;5;27mburak\u{1b}[0m> "
        );
        people.get_or_add(&to("burak")).verified = true;
        assert_eq!(prompt(&people, Some("burak")).prompt, "you → burak ✓> ");
        people.get_or_add(&to("burak")).key_changed = true;
        assert_eq!(prompt(&people, Some("burak")).prompt, "you → burak (KEY CHANGED)> ");
        *people.get_or_add(&to("burak")) =
            Person { verified: false, key_changed: false, ..people.find(&to("burak")).unwrap().clone() };
        people.get_or_add(&to("zoé")).new = vec![1, 2];
        assert_eq!(prompt(&people, Some("burak")).prompt, "you → burak (zoé 2 new)> ");
        for other in ["지민", "小明", "jo"] {
            people.get_or_add(&to(other)).new = vec![3];
        }
        let asked = prompt(&people, Some("burak"));
        assert_eq!(asked.prompt, "you → burak (zoé 2 new, 지민 1 new, 小明 1 new, 1 more)> ");
    }

    #[test]
    fn without_decoration_there_are_words_in_place_of_symbols() {
        let mut view = view(Palette::None);
        view.lines.plain = true;
        let marks = Marks { new: true, number: true };
        let shown = view.message(&text("ayşe", "zoé", "salut"), Some(&to("burak")), marks);
        assert!(shown.ends_with(" number 12 you to zoé (new): salut"), "{shown}");
        let verified = Message { verified: true, ..text("burak", "ayşe", "selam") };
        let shown = view.message(&verified, Some(&to("burak")), Marks::default());
        assert!(shown.ends_with(" burak (verified): selam"), "{shown}");
        let mut people = People::default();
        assert_eq!(view.prompt(Some(&to("burak")), &people).prompt, "you to burak: ");
        people.get_or_add(&to("zoé")).new = vec![1, 2];
        assert_eq!(view.prompt(Some(&to("burak")), &people).prompt, "you to burak, zoé 2 new: ");
        assert_eq!(view.prompt(None, &People::default()).painted, "you: ");
        assert_eq!(view.recording(&to("burak")).prompt, "recording for burak, Enter sends: ");
        assert_eq!(view.words("connected"), "tellal: connected");
        let help = help(true);
        assert!(help.contains("/speak on or off or N: read"), "{help}");
        assert!(!help.contains(['[', ']', '|']) && !help.contains("  "), "{help}");
    }

    #[test]
    fn who_is_online_comes_first_and_names_are_aligned() {
        let contact = |nick: &str, online, me| Contact {
            nickname: name(nick),
            online,
            fingerprint: String::new(),
            verified: false,
            color: "blue".parse().unwrap(),
            since: Millis(0),
            me,
            blocked: false,
            warning: None,
            key_change: None,
        };
        let mut contacts =
            vec![contact("burak", false, false), contact("지민", true, false), contact("ayşe", true, true)];
        contacts[0].warning = Some("looks like\u{1b} bürak".to_owned());
        assert_eq!(
            view(Palette::None).users(&contacts),
            "  ayşe   online, you\n  지민   online\n  burak  offline; warning: looks like␛ bürak"
        );
    }

    #[test]
    fn the_help_names_every_command() {
        for (name, ..) in COMMANDS {
            assert!(help(false).contains(name));
        }
        assert!(help(false).lines().all(|line| line.width() <= 80), "{}", help(false));
    }
}
