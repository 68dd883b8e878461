//! stdout, for people and for programs. Nothing here panics when the reader has gone.

use std::io::{self, Write};

use serde::Serialize;

use crate::client::{AuditReport, Body, Message, Status};
use crate::model::{Color, MessageId};
use crate::terminal::{Lines, progress, sanitize};

/// Where a verb's results go.
pub struct Output {
    /// One JSON object a line, in place of lines for people.
    pub json: bool,
    /// How lines for people are made.
    pub lines: Lines,
}

impl Output {
    /// An output to stdout.
    pub fn new(json: bool, lines: Lines) -> Self {
        Self { json, lines }
    }

    /// One result: the object for programs, the text for people. The text must be safe to print already.
    ///
    /// # Errors
    /// When stdout can't be written to.
    pub fn put<T: Serialize>(&self, object: &T, text: impl FnOnce() -> String) -> io::Result<()> {
        let line = if self.json { to_json(object)? } else { text() };
        progress::beside(|| writeln!(io::stdout(), "{line}"))
    }

    /// A message.
    ///
    /// # Errors
    /// When stdout can't be written to.
    pub fn message(&self, message: &Message) -> io::Result<()> {
        self.put(message, || self.lines.message(message))
    }

    /// Makes sure that everything has left this process.
    ///
    /// # Errors
    /// When stdout can't be written to.
    pub fn flush(&self) -> io::Result<()> {
        io::stdout().flush()
    }

    /// Something worth saying beside the result, to people. A closed stderr is ignored.
    pub fn note(&self, text: &str) {
        note(text);
    }
}

/// The same, for whoever has no output of their own.
pub fn note(text: &str) {
    let _ = progress::beside(|| writeln!(io::stderr(), "{}", sanitize::line(text)));
}

/// A failure, as the last line of stdout.
#[derive(Debug, Serialize)]
pub struct Error {
    /// `error`.
    pub kind: &'static str,
    /// Which one: a word that stays the same.
    pub error: String,
    /// What happened and what to do.
    pub message: String,
    /// The message it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
}

/// The result of `register`.
#[derive(Debug, Serialize)]
pub struct Registered {
    /// `registered`.
    pub kind: &'static str,
    /// The name.
    pub nickname: String,
    /// The identity key's fingerprint.
    pub fingerprint: String,
    /// The colour.
    pub color: Color,
    /// HOST:PORT.
    pub server: String,
    /// As pinned; null where the system's roots vouch for the server.
    pub server_fingerprint: Option<String>,
}

impl From<Status> for Registered {
    fn from(status: Status) -> Self {
        Self {
            kind: "registered",
            nickname: status.nickname.to_string(),
            fingerprint: status.fingerprint,
            color: status.color,
            server: status.server,
            server_fingerprint: status.server_fingerprint,
        }
    }
}

/// The result of `block` and `unblock`.
#[derive(Debug, Serialize)]
pub struct Block {
    /// `block`.
    pub kind: &'static str,
    /// Whom.
    pub nickname: String,
    /// Whether what they send is dropped.
    pub blocked: bool,
    /// Whether the server knows.
    pub told: bool,
}

/// The result of `voice`: the message, and what was done to the file.
#[derive(Debug, Serialize)]
pub struct SentVoice<'a> {
    /// The message.
    #[serde(flatten)]
    pub message: &'a Message,
    /// What was changed; null when the file was sent as it is.
    pub converted: Option<String>,
}

/// What has become of a voice note that was heard while it was spoken.
#[derive(Debug, Serialize)]
pub struct LiveEnded {
    /// `live_ended`.
    pub kind: &'static str,
    /// The message.
    pub id: MessageId,
    /// Its number.
    pub number: u64,
    /// Who spoke.
    pub from: String,
    /// Its length.
    pub duration_ms: u64,
    /// Whether a fault cut it off.
    pub cut_off: bool,
    /// Why nothing is left of it: it was taken back, or is not to be relied on.
    pub gone: Option<String>,
}

impl LiveEnded {
    /// As a message stands.
    pub fn of(message: &Message) -> Self {
        let (duration_ms, cut_off, gone) = match &message.body {
            Body::Voice { duration_ms, cut_off, .. } => (*duration_ms, *cut_off, None),
            Body::Text { text } | Body::Notice { text } => (0, false, Some(text.clone())),
            Body::Invitation { .. } => (0, false, None),
        };
        let (id, number, from) = (message.id, message.number, message.from.to_string());
        Self { kind: "live_ended", id, number, from, duration_ms, cut_off, gone }
    }
}

/// The result of `play` without `--save`.
#[derive(Debug, Serialize)]
pub struct Played {
    /// `played`.
    pub kind: &'static str,
    /// The message.
    pub id: MessageId,
    /// Whether it was heard to its end.
    pub complete: bool,
    /// Where listening was left off; 0 when it was heard to its end.
    pub position_ms: u64,
}

/// What `/unread` in `chat` tells of one person.
#[derive(Debug, Serialize)]
pub struct Unread {
    /// `unread`.
    pub kind: &'static str,
    /// Whose messages.
    pub nickname: String,
    /// How many of them are new.
    pub count: usize,
    /// How many more were to be heard, and have not been.
    pub unheard: usize,
}

/// How the transparency log stands.
#[derive(Debug, Serialize)]
pub struct Audited<'a> {
    /// `audit`.
    pub kind: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub report: &'a AuditReport,
}

/// A file that was written.
#[derive(Debug, Serialize)]
pub struct Saved {
    /// `saved`.
    pub kind: &'static str,
    /// Where.
    pub file: String,
    /// Bytes written.
    pub size: u64,
    /// Messages in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// The message it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
}

/// JSON on one line, in which everything that a terminal could obey is escaped.
///
/// # Errors
/// When the value has no JSON form, which those of this program have.
pub fn to_json<T: Serialize>(value: &T) -> io::Result<String> {
    let mut json = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, Escaping))?;
    String::from_utf8(json).map_err(io::Error::other)
}

/// Compact, with escapes beyond those that JSON asks for (RFC 8259, section 7).
struct Escaping;

impl serde_json::ser::Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(place) = rest.find(|c| !sanitize::is_plain(c)) {
            let (plain, special) = rest.split_at(place);
            writer.write_all(plain.as_bytes())?;
            let mut special = special.chars();
            for unit in special.next().into_iter().flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = special.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_holds_nothing_that_a_terminal_obeys_and_reads_back(text in any::<String>()) {
            let json = to_json(&text).unwrap();
            prop_assert!(json.chars().all(sanitize::is_plain), "{:?}", json);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn what_json_leaves_raw_is_escaped() {
        assert_eq!(to_json(&"a\u{7f}\u{9b}\u{202e}\u{1b}ş").unwrap(), r#""a\u007f\u009b\u202e\u001bş""#);
    }
}
