//! An utterance as pieces for the service: which words, in which language, by which voice; and where a long one is cut.

use std::collections::VecDeque;

use super::Language;
use super::catalogue::Catalogue;
use super::content::Stretch;
use super::manner::Manner;
use super::parts::{self, Part};
use super::service::Piece;
use super::text;
use super::words::Words;

/// Texts that take longer are cut, if they may be.
const LONG: f32 = 45.0;
/// What is said of them at once takes about so many seconds.
const SHARE: f32 = 30.0;

/// What has not been said yet of a text that was cut.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rest {
    pub(super) pieces: VecDeque<Piece>,
    /// Says that there is more.
    end: Option<Piece>,
}

/// What the words of an utterance are turned into pieces with.
pub(super) struct Planner<'a> {
    pub catalogue: &'a Catalogue,
    pub locale: Option<&'a str>,
    /// The reader's own language.
    pub own: Option<Language>,
    /// What the person is known to write.
    pub habit: Option<Language>,
}

/// What comes before the words of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    /// Whose words they are.
    pub name: &'a str,
    /// In which room, if they were said in one.
    pub room: Option<&'a str>,
    /// Whether they came under a changed key.
    pub changed_key: bool,
}

impl Planner<'_> {
    /// The pieces of a text in a language, after the person's name, if it is given.
    pub(super) fn pieces(
        &self,
        stretches: &[Stretch],
        language: Language,
        name: Option<Name<'_>>,
        manner: Manner,
    ) -> VecDeque<Piece> {
        let (beside, words) = self.words(language);
        let mut parts: Vec<Part> = Vec::new();
        // The name begins the first sentence, where the voice is the same.
        let end = if stretches.is_empty() { "" } else { ":" };
        if let Some(Name { name, room, changed_key }) = name {
            let who = (!name.is_empty()).then(|| (language, name.to_owned()));
            let mut said: Vec<Part> =
                who.into_iter().chain(room.map(|room| (beside, words.room(room)))).collect();
            if changed_key {
                said.iter_mut().rev().take(1).for_each(|(_, words)| words.push(','));
                said.push((beside, words.changed_key().to_owned()));
            }
            said.iter_mut().rev().take(1).for_each(|(_, words)| words.push_str(end));
            said.iter().for_each(|(language, words)| self.split(words, *language, &mut parts));
        }
        for stretch in stretches {
            let remark = match stretch {
                Stretch::Words(words) => {
                    self.split(words, language, &mut parts);
                    continue;
                }
                Stretch::Link(host) => words.link(&text::clean(host)),
                Stretch::Code(lines) => format!("{}.", words.code(*lines)),
                Stretch::Symbols => words.symbols().to_owned(),
            };
            join(&mut parts, (beside, remark));
        }
        let parts = parts.into_iter().map(|(language, words)| {
            let said = Words::of(language).map(|said| text::clean(&said.signs(&words)));
            (language, said.unwrap_or(words))
        });
        let pieces = parts.filter(|(_, words)| text::has_words(words)).flat_map(|(language, words)| {
            text::pieces(&words).into_iter().filter_map(move |words| self.piece(words, language, manner))
        });
        pieces.collect()
    }

    /// The rest of a text, all of which may be said piece by piece.
    pub(super) fn rest(&self, pieces: VecDeque<Piece>, language: Language) -> Rest {
        let (beside, words) = self.words(language);
        // The number is put in when it is known.
        let end = self.piece(words.more(MARK), beside, Manner::default());
        Rest { pieces, end }
    }

    /// The program's own words beside a text, and by which voice: where there is none for any of them, English in the text's.
    fn words(&self, language: Language) -> (Language, Words) {
        let words = Words::beside(language, self.own, self.catalogue.languages());
        words.map_or((language, Words::ENGLISH), |words| (words.language(), words))
    }

    fn split(&self, words: &str, language: Language, parts: &mut Vec<Part>) {
        let latin = self.habit.into_iter().chain(self.own).find(|language| language.is_latin());
        for part in parts::split(words, language, latin, self.catalogue.languages()) {
            join(parts, part);
        }
    }

    fn piece(&self, text: String, language: Language, manner: Manner) -> Option<Piece> {
        let voice = self.catalogue.voice(language, manner.variant, self.locale)?;
        // What was joined may be markup where its halves were not.
        let text = text::clean(&text);
        Some(Piece { text, tag: language.tag(), voice, pitch: manner.pitch, rate: manner.rate })
    }
}

/// Stands for the seconds that are left; no text takes so many.
const MARK: u64 = 987_654_321;

impl Rest {
    /// What is said of it now, and what is left then; cut only where it is long at this rate.
    pub(super) fn share(mut self, rate: i32) -> (VecDeque<Piece>, Option<Self>) {
        let total: f32 = self.pieces.iter().map(|piece| seconds(piece, rate)).sum();
        if total <= LONG {
            return (self.pieces, None);
        }
        let (mut now, mut taken) = (VecDeque::new(), 0.0);
        while taken < SHARE {
            let Some(piece) = self.pieces.pop_front() else { break };
            taken += seconds(&piece, rate);
            now.push_back(piece);
        }
        if self.pieces.is_empty() {
            return (now, None);
        }
        if let Some(end) = &self.end {
            // In tens: nobody counts.
            let left = (((total - taken) / 10.0).ceil() as u64).max(1) * 10;
            now.push_back(Piece {
                text: end.text.replace(&MARK.to_string(), &left.to_string()),
                ..end.clone()
            });
        }
        (now, Some(self))
    }
}

/// Puts a part to the ones before it; with the last one, if that is in the same language.
fn join(parts: &mut Vec<Part>, (language, words): Part) {
    match parts.last_mut() {
        Some((last, before)) if *last == language => {
            let closes = |c: char| {
                c.is_ascii_punctuation() && !matches!(c, '(' | '"' | '\'' | '#')
                    || "、。，！？；：）」』”".contains(c)
            };
            let closes = words.starts_with(closes);
            before.push_str(if closes { "" } else { " " });
            before.push_str(&words);
        }
        _ => parts.push((language, words)),
    }
}

/// About how long a piece takes, where everybody speaks at this rate.
fn seconds(piece: &Piece, rate: i32) -> f32 {
    // Syllables of a usual voice: measured with espeak-ng, 175 words a minute.
    let of_char = |c: char| match c {
        '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' => 0.2,
        c if c.is_ascii_digit() => 0.25,
        _ => 0.068,
    };
    let usual: f32 = 0.3 + piece.text.chars().map(of_char).sum::<f32>();
    let rate = (piece.rate + rate).clamp(-100, 100) as f32 / 100.0;
    // speech-dispatcher's measure for espeak: 80 to 449 words.
    usual / if rate < 0.0 { 1.0 + 0.54 * rate } else { 1.0 + 1.57 * rate }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
