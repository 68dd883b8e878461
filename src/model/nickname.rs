//! Nicknames: 1 to 32 Unicode characters under PRECIS (RFC 8265), the same person whatever the case.

use std::fmt;
use std::str::FromStr;

use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{GeneralSecurityProfile, MixedScript, skeleton};

/// A name as its owner writes it. Equal to, and hashed like, the same name in another case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Nickname {
    shown: String,
    folded: String,
}

/// Text that can't be a nickname.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NicknameError {
    /// Nothing, or more than 32 characters.
    #[error("a name has 1 to 32 characters")]
    Length,
    /// Begins with what the command line gives another meaning.
    #[error("a name begins with a letter or a digit")]
    Start,
    /// Has a space, a control character, a symbol, or letters that don't go together.
    #[error("a name is made of letters and digits (and - _ . inside it), without spaces or symbols")]
    Characters,
}

impl Nickname {
    /// The most characters that a nickname has.
    pub const MAX_CHARS: usize = 32;

    /// The name as its owner writes it.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The form that names are compared in: PRECIS UsernameCaseMapped.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether the name could be taken for another one: letters of several scripts, or rarely used ones.
    pub fn is_suspicious(&self) -> bool {
        !self.shown.is_single_script() || !self.shown.chars().all(GeneralSecurityProfile::identifier_allowed)
    }

    /// What the name looks like, as it is written and with its case folded: two names that have one of these in
    /// common look alike (skeletons of Unicode TR 39, section 4). It takes both: a capital i looks like a small L, and
    /// a Cyrillic capital i is a Latin one's double in small letters.
    pub fn looks(&self) -> [String; 2] {
        let written: String = skeleton(&self.shown).collect();
        [written.to_lowercase(), skeleton(&self.folded).collect()]
    }
}

impl FromStr for Nickname {
    type Err = NicknameError;

    fn from_str(text: &str) -> Result<Self, NicknameError> {
        // Put together first: some systems write a Hangul syllable as its letters, which PRECIS refuses one by one.
        let text: String = text.nfc().take(Self::MAX_CHARS + 1).collect();
        if text.is_empty() || text.chars().count() > Self::MAX_CHARS {
            return Err(NicknameError::Length);
        }
        let shown = UsernameCasePreserved::enforce(text.as_str()).map_err(|_| NicknameError::Characters)?;
        let folded = UsernameCaseMapped::enforce(text.as_str()).map_err(|_| NicknameError::Characters)?;
        if !shown.chars().all(|c| c.is_alphanumeric() || is_joining(c)) {
            return Err(NicknameError::Characters);
        }
        if !shown.starts_with(char::is_alphanumeric) {
            return Err(NicknameError::Start);
        }
        if shown.chars().count() > Self::MAX_CHARS || folded.chars().count() > Self::MAX_CHARS {
            return Err(NicknameError::Length);
        }
        Ok(Self { shown: shown.into_owned(), folded: folded.into_owned() })
    }
}

/// Characters that may stand inside a name: separators, and the marks that some scripts write vowels with.
fn is_joining(c: char) -> bool {
    matches!(c, '-' | '_' | '.') || unicode_normalization::char::is_combining_mark(c)
}

impl PartialEq for Nickname {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Nickname {}

impl std::hash::Hash for Nickname {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.shown)
    }
}

impl From<Nickname> for String {
    fn from(name: Nickname) -> Self {
        name.shown
    }
}

impl TryFrom<String> for Nickname {
    type Error = NicknameError;

    fn try_from(text: String) -> Result<Self, NicknameError> {
        text.parse()
    }
}

impl<C> minicbor::Encode<C> for Nickname {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.shown)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Nickname {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(minicbor::decode::Error::message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Nickname {
        text.parse().unwrap()
    }

    #[test]
    fn people_of_all_scripts_have_names() {
        for text in ["ayşe", "Zoé", "지민", "小明", "burak.42", "jean-luc", "ж", "अनिल"] {
            assert_eq!(name(text).as_str(), text);
        }
    }

    #[test]
    fn case_does_not_make_another_person() {
        assert_eq!(name("Zoé"), name("ZOÉ"));
        assert_eq!(name("Zoe\u{301}"), name("Zoé"));
        assert_eq!(name("\u{110c}\u{1175}\u{1106}\u{1175}\u{11ab}").as_str(), "지민");
        let decomposed = "\u{1112}\u{1161}\u{11ab}".repeat(32);
        assert_eq!(name(&decomposed).as_str(), "한".repeat(32));
        assert_ne!(name("zoe"), name("zoé"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (text, error) in [
            ("", NicknameError::Length),
            (&*"a".repeat(33), NicknameError::Length),
            ("-rf", NicknameError::Start),
            (".hidden", NicknameError::Start),
            ("#room", NicknameError::Characters),
            ("room:x", NicknameError::Characters),
            ("two words", NicknameError::Characters),
            ("bell\u{7}", NicknameError::Characters),
            ("\u{1b}[31mred", NicknameError::Characters),
            ("../etc", NicknameError::Characters),
        ] {
            assert_eq!(text.parse::<Nickname>().unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn look_alikes_are_told() {
        let alike = |one: &str, other: &str| {
            let (one, other) = (name(one).looks(), name(other).looks());
            one.iter().any(|look| other.contains(look))
        };
        for (one, other) in [
            ("р\u{430}ul", "paul"),           // Cyrillic er and a, then Latin u and l
            ("\u{412}\u{41e}\u{412}", "bob"), // Cyrillic capitals
            ("\u{406}van", "ivan"),           // a Cyrillic capital i
            ("Iiam", "liam"),                 // a capital i
            ("bob0", "bobo"),
            ("barış", "bariş"),
            ("modern", "modem"),
        ] {
            assert!(alike(one, other) && alike(other, one), "{one} {other}");
            assert_ne!(name(one), name(other));
        }
        for (one, other) in [("ayşe", "burak"), ("zoe", "zoé"), ("지민", "小明"), ("ayse", "ayşe")] {
            assert!(!alike(one, other), "{one} {other}");
        }
        assert!(name("р\u{430}ul").is_suspicious());
        assert!(!name("지민").is_suspicious() && !name("ayşe").is_suspicious());
    }
}
