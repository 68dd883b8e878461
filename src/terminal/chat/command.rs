//! What a typed line asks for. Parsing only: nothing is done here.

use crate::client::MessageRef;
use crate::model::Nickname;

/// Messages that `/history` shows where nobody said how many.
pub const HISTORY: u32 = 20;

/// A line, understood.
#[derive(Clone, PartialEq, Debug)]
pub enum Line {
    /// Nothing was typed.
    Empty,
    /// Words for the person one talks to.
    Text(String),
    /// Something to be done.
    Command(Command),
    /// What can't be understood, and why.
    Wrong(String),
}

/// What `/…` asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// What can be typed.
    Help,
    /// Who there is, and who of them is online.
    Users,
    /// Talk to this person from now on.
    To(Nickname),
    /// Record a voice note.
    Voice,
    /// Record one that is heard while it is spoken.
    VoiceLive,
    /// Do not send what is being recorded.
    Cancel,
    /// Hear a voice note.
    Play(MessageRef),
    /// Read what arrives aloud, or no longer.
    Speak(bool),
    /// Read one text aloud.
    SpeakOne(MessageRef),
    /// Be silent at once.
    Stop,
    /// What was said before.
    History(u32),
    /// How much is new, and from whom.
    Unread,
    /// The safety number with whom one talks to, or what was read out as it, or a decision.
    Verify(Verify),
    /// End.
    Quit,
}

/// What `/verify` can say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verify {
    /// Show the safety number.
    Show,
    /// Compare it with these digits.
    Code(String),
    /// Take a changed key for theirs.
    Accept,
}

/// Every command: its name, what may follow it, and what it does.
pub const COMMANDS: [(&str, &str, &str); 14] = [
    ("/help", "", "this list"),
    ("/users", "", "who there is, and who is online"),
    ("/to", "NICK", "talk to this person from now on"),
    ("/voice", "", "record a voice note; Enter sends it, /cancel does not"),
    ("/live", "", "record one that is heard while you speak"),
    ("/cancel", "", "do not send what is being recorded, or take it back"),
    ("/play", "[N]", "hear voice note N, or the last one"),
    ("/speak", "on|off|[N]", "read what arrives aloud, or not; read text N aloud"),
    ("/stop", "", "be silent at once"),
    ("/history", "[N]", "the last N messages, with their numbers"),
    ("/unread", "", "how much is new, and from whom"),
    ("/verify", "[NUMBER|accept]", "the safety number; NUMBER marks it as right"),
    ("/quit", "", "end; Ctrl-D does the same"),
    ("//", "TEXT", "send a text that begins with a slash"),
];

impl Line {
    /// Understands a line as it was typed.
    pub fn parse(typed: &str) -> Self {
        if typed.trim().is_empty() {
            return Self::Empty;
        }
        match typed.strip_prefix('/') {
            None => Self::Text(typed.to_owned()),
            Some(text) if text.starts_with('/') => Self::Text(text.to_owned()),
            Some(command) => match parse(command) {
                Ok(command) => Self::Command(command),
                Err(reason) => Self::Wrong(reason),
            },
        }
    }
}

fn parse(command: &str) -> Result<Command, String> {
    let mut words = command.split_whitespace();
    let name = words.next().unwrap_or_default();
    if name == "verify" {
        return verify(&words.collect::<String>()).map(Command::Verify);
    }
    let argument = words.next();
    if words.next().is_some() {
        return Err(format!("/{name} takes one word at most; //{name} … sends it as a text"));
    }
    match (name, argument) {
        ("help" | "?", _) => Ok(Command::Help),
        ("users" | "who", None) => Ok(Command::Users),
        ("to", Some(nick)) => match nick.parse() {
            Ok(nick) => Ok(Command::To(nick)),
            Err(error) => Err(format!("{nick:?} is not a name: {error}")),
        },
        ("to", None) => Err("to whom? /to NICK; /users lists who there is".to_owned()),
        ("voice", None) => Ok(Command::Voice),
        ("voice", Some("live")) | ("live", None) => Ok(Command::VoiceLive),
        ("voice", Some(_)) => Err("/voice records, /voice live is heard while you speak".to_owned()),
        ("cancel", None) => Ok(Command::Cancel),
        ("play", which) => message(which).map(Command::Play),
        ("speak", Some("on")) => Ok(Command::Speak(true)),
        ("speak", Some("off")) => Ok(Command::Speak(false)),
        ("speak", which) => message(which).map(Command::SpeakOne),
        ("stop", None) => Ok(Command::Stop),
        ("history", None) => Ok(Command::History(HISTORY)),
        ("history", Some(count)) => match count.parse() {
            Ok(count) if count > 0 => Ok(Command::History(count)),
            _ => Err(format!("{count:?} is not a number of messages: /history {HISTORY}")),
        },
        ("unread" | "new", None) => Ok(Command::Unread),
        ("quit" | "exit" | "q", None) => Ok(Command::Quit),
        (
            "users" | "who" | "live" | "cancel" | "stop" | "unread" | "new" | "quit" | "exit" | "q",
            Some(_),
        ) => Err(format!("/{name} takes nothing; //{name} … sends it as a text")),
        _ => Err(format!("there is no /{name}: /help lists what there is; //{name} sends it as a text")),
    }
}

fn verify(rest: &str) -> Result<Verify, String> {
    match rest {
        "" => Ok(Verify::Show),
        "accept" => Ok(Verify::Accept),
        digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => Ok(Verify::Code(digits.to_owned())),
        _ => Err("/verify shows the safety number; /verify NUMBER compares it with 60 digits".to_owned()),
    }
}

fn message(which: Option<&str>) -> Result<MessageRef, String> {
    which.unwrap_or("last").parse().map_err(|error: crate::client::ClientError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(typed: &str) -> Command {
        match Line::parse(typed) {
            Line::Command(command) => command,
            other => panic!("{typed:?}: {other:?}"),
        }
    }

    fn wrong(typed: &str) -> String {
        match Line::parse(typed) {
            Line::Wrong(reason) => reason,
            other => panic!("{typed:?}: {other:?}"),
        }
    }

    #[test]
    fn what_does_not_begin_with_a_slash_is_said() {
        for text in ["merhaba", " 안녕", "a/b", "one\n/quit", "-- x"] {
            assert_eq!(Line::parse(text), Line::Text(text.to_owned()));
        }
        assert_eq!(Line::parse("//quit now"), Line::Text("/quit now".to_owned()));
        assert_eq!(Line::parse("///"), Line::Text("//".to_owned()));
        assert_eq!(Line::parse(" \t"), Line::Empty);
    }

    #[test]
    fn commands_are_understood() {
        assert_eq!(command("/help"), Command::Help);
        assert_eq!(command("/voice"), Command::Voice);
        assert_eq!((command("/voice live"), command("/live")), (Command::VoiceLive, Command::VoiceLive));
        assert_eq!(command("/users "), Command::Users);
        assert_eq!(command("/to 지민"), Command::To("지민".parse().unwrap()));
        assert_eq!(command("/to  ZOÉ"), Command::To("zoé".parse().unwrap()));
        assert_eq!(command("/play"), Command::Play(MessageRef::Last));
        assert_eq!(command("/play 12"), Command::Play(MessageRef::Number(12)));
        assert_eq!(command("/play #12"), Command::Play(MessageRef::Number(12)));
        assert_eq!(command("/speak on"), Command::Speak(true));
        assert_eq!(command("/speak off"), Command::Speak(false));
        assert_eq!(command("/speak"), Command::SpeakOne(MessageRef::Last));
        assert_eq!(command("/history"), Command::History(HISTORY));
        assert_eq!(command("/history 3"), Command::History(3));
        assert_eq!(command("/unread"), Command::Unread);
        assert_eq!(command("/verify"), Command::Verify(Verify::Show));
        assert_eq!(command("/verify 01234 56789"), Command::Verify(Verify::Code("0123456789".to_owned())));
        assert_eq!(command("/verify accept"), Command::Verify(Verify::Accept));
        assert_eq!(command("/quit"), Command::Quit);
    }

    #[test]
    fn every_listed_command_is_understood() {
        for (name, argument, _) in COMMANDS {
            let example = match argument {
                "NICK" => "burak",
                "TEXT" => "x",
                "on|off|[N]" => "on",
                _ => "",
            };
            let line = Line::parse(format!("{name} {example}").trim());
            assert!(!matches!(line, Line::Wrong(_)) || name == "//", "{name}: {line:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_never_sent() {
        assert!(wrong("/").contains("/help"));
        assert!(wrong("/qiut").contains("there is no /qiut"));
        assert!(wrong("/quit now").contains("//quit"));
        assert!(wrong("/voice now").contains("/voice live"));
        assert!(wrong("/to").contains("/to NICK"));
        assert!(wrong("/to #room").contains("not a name"));
        assert!(wrong("/to a b").contains("one word"));
        assert!(wrong("/history many").contains("number"));
        assert!(wrong("/history 0").contains("number"));
        assert!(wrong("/verify burak").contains("60 digits"));
        assert!(wrong("/play that").contains("names no message"));
    }
}
