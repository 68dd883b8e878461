//! What a typed line asks for. Parsing only: nothing is done here.

use super::rooms::{self, DEEDS};
use crate::client::MessageRef;
use crate::model::{Address, Nickname, RoomName};
use crate::terminal::dictation::{Options, gain};
use crate::terminal::listening::{Control, read_speed, read_time};
use crate::terminal::names;
use crate::terminal::rooms::Deed;
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
    /// Talk to this person, or in this room, from now on.
    To(Address),
    /// The rooms that there are.
    Rooms,
    /// Who is in a room: in this one, or the one that is talked in.
    Members(Option<RoomName>),
    /// Do something with a room: with this one, or the one that is talked in.
    Room(Option<RoomName>, Deed),
    /// Drop what this person sends, or no longer.
    Block(Nickname, bool),
    /// Record a voice note.
    Voice(Options),
    /// Record one that is heard while it is spoken.
    Live(Options),
    /// Hear what was recorded so far.
    Listen,
    /// Do not send what is being recorded.
    Cancel,
    /// Hear a voice note, at a speed.
    Play(MessageRef, Option<f32>),
    /// Pause what is recorded or played, or go on.
    Pause,
    /// Something else for the note that is played.
    Control(Control),
    /// Pass over what is heard, and go on with what comes next.
    Next,
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
    /// Show and hear what is new: of one conversation, or of all.
    HearUnread(Option<Address>),
    /// Something with what is heard now, or was heard last.
    Heard(Heard),
    /// Record a voice note for the conversation of what was heard last.
    Reply,
    /// Show or change how somebody sounds.
    VoiceOf(Nickname, Wish),
    /// The safety number with whom one talks to, or what was read out as it, or a decision.
    Verify(Verify),
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
    /// Everybody slower.
    Slower,
    /// Everybody faster.
    Faster,
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
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("/help", "", "this list"),
    ("/users", "", "who there is, and who is online"),
    ("/to", "NICK|#ROOM", "talk to this person, or in this room, from now on"),
    ("/rooms", "", "the rooms that you are in, are invited to or were in"),
    ("/members", "[ROOM]", "who is in this room, and who is invited"),
    ("/room", "WHAT …", "create ROOM, join ROOM, leave, invite NICK, remove NICK"),
    ("/voice", "[OPTIONS]", "record a voice note; Enter sends it, /cancel does not"),
    ("/live", "[OPTIONS]", "record one that is heard while you speak"),
    ("/listen", "", "hear what was recorded so far"),
    ("/cancel", "", "do not send what is being recorded, or take it back"),
    ("/play", "[N] [SPEED]", "hear voice note N, or the last one"),
    ("/pause", "", "pause what is recorded or played, or go on; so does space"),
    ("/seek", "TIME|+S|-S", "go to a time, or by seconds; the arrows go by 5"),
    ("/speed", "SPEED", "play faster or slower, 0.5 to 2"),
    ("/next", "", "go on to the next that is to be heard, text or note"),
    ("/speak", "on|off|[N]", "read what arrives aloud, or not; read text N aloud"),
    ("/stop", "", "be silent at once"),
    ("/again", "", "hear the last one again"),
    ("/more", "", "hear more of a long text"),
    ("/slower", "", "everybody speaks slower"),
    ("/faster", "", "everybody speaks faster"),
    ("/reply", "", "record a voice note for whoever was heard last"),
    ("/voice-of", "NICK …", "NICK's voice; higher, slower, other … changes it"),
    ("/history", "[N]", "the last N messages, with their numbers"),
    ("/unread", "[NICK|#ROOM|*]", "what is new; of NICK, ROOM or all (*): hear it"),
    ("/block", "NICK", "drop what this person sends; they can't tell"),
    ("/unblock", "NICK", "take it again"),
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
    match name {
        "verify" => return verify(&words.collect::<String>()).map(Command::Verify),
        "voice" => return voice(words, false).map(Command::Voice),
        "live" => return voice(words, true).map(Command::Live),
        "play" => return play(words),
        "room" => return rooms::parse(words).map(|(room, deed)| Command::Room(room, deed)),
        "voice-of" => {
            let nick = words.next().ok_or("whose? /voice-of NICK; /users lists who there is")?;
            return Ok(Command::VoiceOf(names::nickname(nick)?, Wish::parse(words)?));
        }
        _ => {}
    }
    let argument = words.next();
    if words.next().is_some() && !DEEDS.contains(&name) {
        return Err(format!("/{name} takes one word at most; //{name} … sends it as a text"));
    }
    match (name, argument) {
        ("help" | "?", _) => Ok(Command::Help),
        ("users" | "who", None) => Ok(Command::Users),
        ("to", Some(nick)) => names::address(nick).map(Command::To),
        ("to", None) => Err("to whom? /to NICK; /users lists who there is".to_owned()),
        ("block" | "unblock", Some(nick)) => {
            names::nickname(nick).map(|nick| Command::Block(nick, name == "block"))
        }
        ("block" | "unblock", None) => Err(format!("whom? /{name} NICK; /users lists who there is")),
        ("rooms", None) => Ok(Command::Rooms),
        ("members", room) => Ok(Command::Members(room.map(names::room).transpose()?)),
        ("listen", None) => Ok(Command::Listen),
        ("cancel", None) => Ok(Command::Cancel),
        ("pause" | "resume", None) => Ok(Command::Pause),
        ("next" | "skip", None) => Ok(Command::Next),
        ("seek", Some(to)) => seek(to).map(Command::Control),
        ("seek", None) => Err("to which time? /seek 1:05, or /seek -10".to_owned()),
        ("speed", Some(to)) => read_speed(to).map(|speed| Command::Control(Control::Speed(speed))),
        ("speed", None) => Err("how fast? /speed 1.5".to_owned()),
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
        ("unread" | "new", Some(nick)) => Ok(Command::HearUnread(Some(names::address(nick)?))),
        ("more", None) => Ok(Command::Heard(Heard::More)),
        ("again", None) => Ok(Command::Heard(Heard::Again)),
        ("slower", None) => Ok(Command::Heard(Heard::Slower)),
        ("faster", None) => Ok(Command::Heard(Heard::Faster)),
        ("reply", None) => Ok(Command::Reply),
        ("quit" | "exit" | "q", None) => Ok(Command::Quit),
        (
            "users" | "who" | "rooms" | "listen" | "cancel" | "pause" | "resume" | "next" | "stop" | "more"
            | "again" | "skip" | "slower" | "faster" | "reply" | "quit" | "exit" | "q",
            Some(_),
        ) => Err(format!("/{name} takes nothing; //{name} … sends it as a text")),
        (deed, _) if DEEDS.contains(&deed) => {
            Err(format!("there is no /{name}: /room {name} does that; //{name} sends it as a text"))
        }
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

/// What may follow `/voice` and `/live`: the same as on the command line.
fn voice<'a>(mut words: impl Iterator<Item = &'a str>, live: bool) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let (option, inline) =
            word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        match option {
            "--no-trim" | "--review" | "--even-silent" if live => {
                return Err(format!(
                    "{option} is for /voice: what is heard while you speak can't be changed before it is sent"
                ));
            }
            "--no-trim" => options.trim = false,
            "--review" => options.review = true,
            "--even-silent" => options.even_silent = true,
            "--device" | "--gain" => {
                let value = inline.or_else(|| words.next());
                let value = value.ok_or_else(|| format!("{option} needs a value"))?;
                if option == "--device" {
                    options.recorder.input = Some(value.to_owned());
                } else {
                    options.recorder.gain_db = gain(value)?;
                }
            }
            _ if live => {
                return Err(format!(
                    "{word:?} is not understood: /live [--device NAME] [--gain DB]; //live … sends it as a text"
                ));
            }
            _ => {
                return Err(format!(
                    "{word:?} is not understood: /voice [--device NAME] [--gain DB] [--no-trim] [--review] \
                     [--even-silent]; //voice … sends it as a text"
                ));
            }
        }
    }
    Ok(options)
}

fn play<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Command, String> {
    let which = message(words.next())?;
    let speed = words.next().map(read_speed).transpose()?;
    match words.next() {
        None => Ok(Command::Play(which, speed)),
        Some(_) => {
            Err("/play takes a number and a speed: /play 12 1.5; //play … sends it as a text".to_owned())
        }
    }
}

fn seek(to: &str) -> Result<Control, String> {
    let (sign, time) = match to.strip_prefix('-') {
        Some(time) => (-1.0, time),
        None => (1.0, to.strip_prefix('+').unwrap_or(to)),
    };
    let time_read = read_time(time).ok_or_else(|| format!("{to:?} is no time: /seek 1:05, or /seek -10"))?;
    let by = to.starts_with(['+', '-']);
    Ok(if by { Control::Skip(sign * time_read.as_secs_f64()) } else { Control::To(time_read) })
}

fn message(which: Option<&str>) -> Result<MessageRef, String> {
    which.unwrap_or("last").parse().map_err(|error: crate::client::ClientError| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audio::recorder;
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
        assert_eq!(command("/to #garden"), Command::To("#Garden".parse().unwrap()));
        assert_eq!(command("/unread room:garden"), Command::HearUnread(Some("#garden".parse().unwrap())));
        assert_eq!(command("/rooms"), Command::Rooms);
        assert_eq!(command("/members"), Command::Members(None));
        assert_eq!(command("/members #garden"), Command::Members(Some("garden".parse().unwrap())));
        let garden = Some("garden".parse().unwrap());
        assert_eq!(command("/room leave garden"), Command::Room(garden, Deed::Leave { from: None }));
        assert_eq!(command("/block burak"), Command::Block("burak".parse().unwrap(), true));
        assert_eq!(command("/unblock 지민"), Command::Block("지민".parse().unwrap(), false));
        assert_eq!(command("/play"), Command::Play(MessageRef::Last, None));
        assert_eq!(command("/play 12"), Command::Play(MessageRef::Number(12), None));
        assert_eq!(command("/play #12 1.5"), Command::Play(MessageRef::Number(12), Some(1.5)));
        assert_eq!(command("/seek 1:05"), Command::Control(Control::To(Duration::from_secs(65))));
        assert_eq!(command("/seek -10"), Command::Control(Control::Skip(-10.0)));
        assert_eq!(command("/seek +0:10"), Command::Control(Control::Skip(10.0)));
        assert_eq!(command("/speed 0.75"), Command::Control(Control::Speed(0.75)));
        assert_eq!(command("/pause"), Command::Pause);
        assert_eq!((command("/next"), command("/skip")), (Command::Next, Command::Next));
        assert_eq!(command("/voice"), Command::Voice(Options::default()));
        let recorder =
            recorder::Options { input: Some("desk".to_owned()), gain_db: -6.5, ..Default::default() };
        let options = Options { recorder, trim: false, review: true, even_silent: true };
        assert_eq!(
            command("/voice --device desk --gain=-6.5 --no-trim --review --even-silent"),
            Command::Voice(options)
        );
        let recorder = recorder::Options { gain_db: 3.0, ..Default::default() };
        assert_eq!(command("/live --gain 3"), Command::Live(Options { recorder, ..Options::default() }));
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
        assert_eq!(command("/verify"), Command::Verify(Verify::Show));
        assert_eq!(command("/verify 01234 56789"), Command::Verify(Verify::Code("0123456789".to_owned())));
        assert_eq!(command("/verify accept"), Command::Verify(Verify::Accept));
        assert_eq!(command("/quit"), Command::Quit);
    }

    #[test]
    fn every_listed_command_is_understood() {
        for (name, argument, _) in COMMANDS {
            let example = match *argument {
                "NICK" | "NICK …" | "NICK|#ROOM" => "burak",
                "WHAT …" => "create garden",
                "TEXT" => "x",
                "on|off|[N]" => "on",
                "TIME|+S|-S" => "1:05",
                "SPEED" => "1.5",
                _ => "",
            };
            let line = Line::parse(format!("{name} {example}").trim());
            assert!(!matches!(line, Line::Wrong(_)) || *name == "//", "{name}: {line:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_never_sent() {
        assert!(wrong("/").contains("/help"));
        assert!(wrong("/qiut").contains("there is no /qiut"));
        assert!(wrong("/quit now").contains("//quit"));
        assert!(wrong("/to").contains("/to NICK"));
        assert!(wrong("/to a#room").contains("not a name") && wrong("/to #").contains("not a room's name"));
        assert!(
            wrong("/room").contains("/room create ROOM") && wrong("/rooms now").contains("takes nothing")
        );
        assert!(wrong("/block #room").contains("#room is a room"));
        assert!(
            wrong("/leave").contains("/room leave does that") && wrong("/join garden").contains("/room join")
        );
        assert!(wrong("/voice-of").contains("/voice-of NICK"));
        assert!(wrong("/voice-of zoé louder").contains("higher"));
        assert!(wrong("/to a b").contains("one word"));
        assert!(wrong("/history many").contains("number"));
        assert!(wrong("/history 0").contains("number"));
        assert!(wrong("/verify burak").contains("60 digits"));
        assert!(wrong("/play that").contains("names no message"));
        assert!(wrong("/play 3 9").contains("0.5 to 2"));
        assert!(wrong("/play 3 1 2").contains("//play"));
        assert!(wrong("/seek soon").contains("1:05"));
        assert!(wrong("/speed").contains("/speed 1.5"));
        assert!(wrong("/voice now").contains("--no-trim") && wrong("/voice --gain").contains("value"));
        for option in ["--no-trim", "--review", "--even-silent"] {
            assert!(
                wrong(&format!("/live --gain 3 {option}")).starts_with(&format!("{option} is for /voice"))
            );
        }
        assert!(wrong("/live now").contains("/live [--device NAME]"));
        assert!(wrong("/voice --gain 99").contains("decibels"));
    }
}
