//! How a person sounds: shown, changed, or made usual again; the same for every front end.

use std::fmt;

use super::aloud::manner;
use crate::client::{Client, ClientError};
use crate::model::Nickname;
use crate::speech::{Change, Manner};

/// What is wanted of somebody's voice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To know it.
    Show,
    /// To have it as it comes of their identity.
    Usual,
    /// To change it.
    Change(Vec<Change>),
}

impl Wish {
    /// Understands words: none, `usual`, or changes.
    ///
    /// # Errors
    /// What can be said, in one line.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let words: Vec<&str> = words.into_iter().collect();
        match words.as_slice() {
            [] => Ok(Self::Show),
            ["usual"] => Ok(Self::Usual),
            words => words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self::Change),
        }
    }
}

/// Somebody's voice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Voice {
    /// How it sounds.
    pub manner: Manner,
    /// Whether that was chosen.
    pub chosen: bool,
}

impl fmt::Display for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.manner, if self.chosen { "as chosen" } else { "as usual" })
    }
}

/// Does what is wanted; the voice as it is then.
///
/// # Errors
/// When nobody of that name is known, or the profile can't be written.
pub async fn of(client: &Client, nickname: &Nickname, wish: &Wish) -> Result<Voice, ClientError> {
    match wish {
        Wish::Show => {}
        Wish::Usual => client.set_voice_of(nickname, None).await?,
        Wish::Change(changes) => {
            let now = manner(nickname, &client.voice_of(nickname).await?);
            let chosen = changes.iter().fold(now, |manner, change| manner.with(*change));
            client.set_voice_of(nickname, Some(chosen.to_string())).await?;
        }
    }
    let voice = client.voice_of(nickname).await?;
    Ok(Voice { manner: manner(nickname, &voice), chosen: voice.chosen.is_some() })
}
