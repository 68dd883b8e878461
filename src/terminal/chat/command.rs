//! What a typed line asks for. Parsing only: nothing is done here.

use crate::client::MessageRef;
use crate::model::Nickname;
use crate::terminal::voice_of::Wish;

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
    /// Show and hear what is new: of one person, or of all.
    HearUnread(Option<Nickname>),
    /// Something with what is heard now, or was heard last.
    Heard(Heard),
    /// Record a voice note for whoever was heard last.
    Reply,
    /// Show or change how somebody sounds.
    VoiceOf(Nickname, Wish),
    /// End.
    Quit,
}

/// What is done with what is heard now, or was heard last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// More of a long text.
    More,
    /// Once more from its beginning.
    Again,
    /// On to the next.
    Skip,
    /// Everybody slower.
    Slower,
    /// Everybody faster.
    Faster,
}

/// Every command: its name, what may follow it, and what it does.
pub const COMMANDS: [(&str, &str, &str); 19] = [
    ("/help", "", "this list"),
    ("/users", "", "who there is, and who is online"),
    ("/to", "NICK", "talk to this person from now on"),
    ("/voice", "", "record a voice note; Enter sends it, /cancel does not"),
    ("/cancel", "", "do not send what is being recorded"),
    ("/play", "[N]", "hear voice note N, or the last one"),
    ("/speak", "on|off|[N]", "read what arrives aloud, or not; read text N aloud"),
    ("/stop", "", "be silent at once"),
    ("/skip", "", "go on to the next that is to be heard"),
    ("/again", "", "hear the last one again"),
    ("/more", "", "hear more of a long text"),
    ("/slower", "", "everybody speaks slower"),
    ("/faster", "", "everybody speaks faster"),
    ("/reply", "", "record a voice note for whoever was heard last"),
    ("/voice-of", "NICK …", "NICK's voice; higher, slower, other … changes it"),
    ("/history", "[N]", "the last N messages, with their numbers"),
    ("/unread", "[NICK|*]", "how much is new; hear what is new of NICK, or of all (*)"),
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
    if name == "voice-of" {
        let nick = words.next().ok_or("whose? /voice-of NICK; /users lists who there is")?;
        return Ok(Command::VoiceOf(nickname(nick)?, Wish::parse(words)?));
    }
    let argument = words.next();
    if words.next().is_some() {
        return Err(format!("/{name} takes one word at most; //{name} … sends it as a text"));
    }
    match (name, argument) {
        ("help" | "?", _) => Ok(Command::Help),
        ("users" | "who", None) => Ok(Command::Users),
        ("to", Some(nick)) => nickname(nick).map(Command::To),
        ("to", None) => Err("to whom? /to NICK; /users lists who there is".to_owned()),
        ("voice", None) => Ok(Command::Voice),
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
        ("unread" | "new", Some("*")) => Ok(Command::HearUnread(None)),
        ("unread" | "new", Some(nick)) => Ok(Command::HearUnread(Some(nickname(nick)?))),
        ("more", None) => Ok(Command::Heard(Heard::More)),
        ("again", None) => Ok(Command::Heard(Heard::Again)),
        ("skip", None) => Ok(Command::Heard(Heard::Skip)),
        ("slower", None) => Ok(Command::Heard(Heard::Slower)),
        ("faster", None) => Ok(Command::Heard(Heard::Faster)),
        ("reply", None) => Ok(Command::Reply),
        ("quit" | "exit" | "q", None) => Ok(Command::Quit),
        (
            "users" | "who" | "voice" | "cancel" | "stop" | "more" | "again" | "skip" | "slower" | "faster"
            | "reply" | "quit" | "exit" | "q",
            Some(_),
        ) => Err(format!("/{name} takes nothing; //{name} … sends it as a text")),
        _ => Err(format!("there is no /{name}: /help lists what there is; //{name} sends it as a text")),
    }
}

fn nickname(nick: &str) -> Result<Nickname, String> {
    nick.parse().map_err(|error| format!("{nick:?} is not a name: {error}"))
}

fn message(which: Option<&str>) -> Result<MessageRef, String> {
    which.unwrap_or("last").parse().map_err(|error: crate::client::ClientError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::Change;

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
        assert_eq!(command("/unread *"), Command::HearUnread(None));
        assert_eq!(command("/unread 지민"), Command::HearUnread(Some("지민".parse().unwrap())));
        assert_eq!(command("/more"), Command::Heard(Heard::More));
        let zoé = || "zoé".parse().unwrap();
        assert_eq!(command("/voice-of zoé"), Command::VoiceOf(zoé(), Wish::Show));
        let changes = vec![Change::Higher, Change::Rate(-20)];
        assert_eq!(command("/voice-of zoé higher rate=-20"), Command::VoiceOf(zoé(), Wish::Change(changes)));
        assert_eq!(command("/quit"), Command::Quit);
    }

    #[test]
    fn every_listed_command_is_understood() {
        for (name, argument, _) in COMMANDS {
            let example = match argument {
                "NICK" | "NICK …" => "burak",
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
        assert!(wrong("/to").contains("/to NICK"));
        assert!(wrong("/to #room").contains("not a name"));
        assert!(wrong("/voice-of").contains("/voice-of NICK"));
        assert!(wrong("/voice-of zoé louder").contains("higher"));
        assert!(wrong("/to a b").contains("one word"));
        assert!(wrong("/history many").contains("number"));
        assert!(wrong("/history 0").contains("number"));
        assert!(wrong("/play that").contains("names no message"));
    }
}
