//! What the program itself says between other people's words, in the language of those words.

use super::Language;
use super::content::{AND, GREATER, LESS};

/// The program's own words in one language.
#[derive(Clone, Copy, Debug)]
pub struct Words(&'static Phrases);

/// `{}` stands for what is put in.
#[derive(Debug)]
struct Phrases {
    language: Language,
    link: &'static str,
    code_line: &'static str,
    code_lines: &'static str,
    more: &'static str,
    less: &'static str,
    greater: &'static str,
    and: &'static str,
    changed_key: &'static str,
    symbols: &'static str,
    room: &'static str,
}

const ENGLISH: Phrases = Phrases {
    language: Language::ENGLISH,
    link: "link to {}",
    code_line: "code, one line",
    code_lines: "code, {} lines",
    more: "and {} more seconds, press more",
    less: "less than",
    greater: "greater than",
    and: "and",
    changed_key: "under a changed key",
    symbols: "only symbols",
    room: "in {}",
};

const ALL: [Phrases; 5] = [
    ENGLISH,
    Phrases {
        language: Language::TURKISH,
        link: "{} bağlantısı",
        code_line: "kod, bir satır",
        code_lines: "kod, {} satır",
        more: "{} saniye daha var, devam tuşuna basın",
        less: "küçüktür",
        greater: "büyüktür",
        and: "ve",
        changed_key: "değişmiş bir anahtarla",
        symbols: "yalnızca simgeler",
        room: "{} odasında",
    },
    Phrases {
        language: Language::KOREAN,
        link: "{} 링크",
        code_line: "코드 한 줄",
        code_lines: "코드 {}줄",
        more: "{}초 더 남았습니다, 더 듣기를 누르세요",
        less: "보다 작음",
        greater: "보다 큼",
        and: "앤드",
        changed_key: "바뀐 키로",
        symbols: "기호뿐",
        room: "{} 방에서",
    },
    Phrases {
        language: Language::CHINESE,
        link: "{} 的链接",
        code_line: "代码，一行",
        code_lines: "代码，{}行",
        more: "还有{}秒，请按更多",
        less: "小于",
        greater: "大于",
        and: "和",
        changed_key: "密钥已更改",
        symbols: "只有符号",
        room: "在 {} 群里",
    },
    Phrases {
        language: Language::FRENCH,
        link: "lien vers {}",
        code_line: "code, une ligne",
        code_lines: "code, {} lignes",
        more: "encore {} secondes, appuyez sur suite",
        less: "inférieur à",
        greater: "supérieur à",
        and: "et",
        changed_key: "avec une clé changée",
        symbols: "seulement des symboles",
        room: "dans le salon {}",
    },
];

impl Words {
    /// In English.
    pub const ENGLISH: Self = Self(&ENGLISH);

    /// The words for a text in this language: in the same one where there are any, so that no sentence is broken,
    /// else in the reader's own, else in English; all among those that have a voice.
    pub fn beside(text: Language, own: Option<Language>, allowed: &[Language]) -> Option<Self> {
        let wanted = [Some(text), own, Some(Language::ENGLISH)].into_iter().flatten();
        wanted.filter(|language| allowed.contains(language)).find_map(Self::of)
    }

    /// The words of this very language, if there are any.
    pub fn of(language: Language) -> Option<Self> {
        ALL.iter().find(|phrases| phrases.language == language).map(Self)
    }

    /// Which language they are in.
    pub fn language(self) -> Language {
        self.0.language
    }

    /// A text with the signs that no service would read in words.
    pub fn signs(self, text: &str) -> String {
        let mut said = String::with_capacity(text.len());
        for c in text.chars() {
            let word = match c {
                LESS => self.0.less,
                GREATER => self.0.greater,
                AND => self.0.and,
                c => {
                    said.push(c);
                    continue;
                }
            };
            said.extend([" ", word, " "]);
        }
        said
    }

    /// In place of a link, of which only where it leads to is said.
    pub fn link(self, host: &str) -> String {
        self.0.link.replace("{}", host)
    }

    /// In place of a block of code.
    pub fn code(self, lines: usize) -> String {
        if lines == 1 {
            self.0.code_line.to_owned()
        } else {
            self.0.code_lines.replace("{}", &lines.to_string())
        }
    }

    /// After the name of somebody whose message came under a changed key.
    pub fn changed_key(self) -> &'static str {
        self.0.changed_key
    }

    /// After the name of somebody who says it in a room.
    pub fn room(self, name: &str) -> String {
        self.0.room.replace("{}", name)
    }

    /// In place of a text in which nothing has a sound.
    pub fn symbols(self) -> &'static str {
        self.0.symbols
    }

    /// After the beginning of a long text.
    pub fn more(self, seconds: u64) -> String {
        self.0.more.replace("{}", &seconds.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_words_are_in_the_texts_language_or_one_the_reader_knows() {
        let all: Vec<Language> = Language::all().collect();
        let words = |text, own, allowed: &[Language]| Words::beside(text, own, allowed).map(Words::language);
        for language in Language::COMMON {
            assert_eq!(words(language, Some(Language::ENGLISH), &all), Some(language));
        }
        let german = Language::from_tag("de").unwrap();
        assert_eq!(words(german, Some(Language::TURKISH), &all), Some(Language::TURKISH));
        assert_eq!(words(german, Some(german), &all), Some(Language::ENGLISH));
        assert_eq!(words(german, None, &[german]), None);
        let english = Words::beside(Language::ENGLISH, None, &all).unwrap();
        assert_eq!(english.link("example.org"), "link to example.org");
        assert_eq!(
            (english.code(1), english.code(12)),
            ("code, one line".to_owned(), "code, 12 lines".to_owned())
        );
        assert_eq!(english.more(40), "and 40 more seconds, press more");
        assert_eq!(english.signs("5＜6, R＆D"), "5 less than 6, R and D");
    }
}
