//! Which language a text is in: its script where that decides, statistics where they are sure, habit where not.

use std::fmt;

use whatlang::{Detector, Lang, Script};

/// A language that can be told from others by its texts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Language(Lang);

/// Tags (BCP 47) of all languages that can be told apart.
const TAGS: [(Lang, &str); 70] = [
    (Lang::Epo, "eo"),
    (Lang::Eng, "en"),
    (Lang::Rus, "ru"),
    (Lang::Cmn, "zh"),
    (Lang::Spa, "es"),
    (Lang::Por, "pt"),
    (Lang::Ita, "it"),
    (Lang::Ben, "bn"),
    (Lang::Fra, "fr"),
    (Lang::Deu, "de"),
    (Lang::Ukr, "uk"),
    (Lang::Kat, "ka"),
    (Lang::Ara, "ar"),
    (Lang::Hin, "hi"),
    (Lang::Jpn, "ja"),
    (Lang::Heb, "he"),
    (Lang::Yid, "yi"),
    (Lang::Pol, "pl"),
    (Lang::Amh, "am"),
    (Lang::Jav, "jv"),
    (Lang::Kor, "ko"),
    (Lang::Nob, "nb"),
    (Lang::Dan, "da"),
    (Lang::Swe, "sv"),
    (Lang::Fin, "fi"),
    (Lang::Tur, "tr"),
    (Lang::Nld, "nl"),
    (Lang::Hun, "hu"),
    (Lang::Ces, "cs"),
    (Lang::Ell, "el"),
    (Lang::Bul, "bg"),
    (Lang::Bel, "be"),
    (Lang::Mar, "mr"),
    (Lang::Kan, "kn"),
    (Lang::Ron, "ro"),
    (Lang::Slv, "sl"),
    (Lang::Hrv, "hr"),
    (Lang::Srp, "sr"),
    (Lang::Mkd, "mk"),
    (Lang::Lit, "lt"),
    (Lang::Lav, "lv"),
    (Lang::Est, "et"),
    (Lang::Tam, "ta"),
    (Lang::Vie, "vi"),
    (Lang::Urd, "ur"),
    (Lang::Tha, "th"),
    (Lang::Guj, "gu"),
    (Lang::Uzb, "uz"),
    (Lang::Pan, "pa"),
    (Lang::Aze, "az"),
    (Lang::Ind, "id"),
    (Lang::Tel, "te"),
    (Lang::Pes, "fa"),
    (Lang::Mal, "ml"),
    (Lang::Ori, "or"),
    (Lang::Mya, "my"),
    (Lang::Nep, "ne"),
    (Lang::Sin, "si"),
    (Lang::Khm, "km"),
    (Lang::Tuk, "tk"),
    (Lang::Aka, "ak"),
    (Lang::Zul, "zu"),
    (Lang::Sna, "sn"),
    (Lang::Afr, "af"),
    (Lang::Lat, "la"),
    (Lang::Slk, "sk"),
    (Lang::Cat, "ca"),
    (Lang::Tgl, "tl"),
    (Lang::Hye, "hy"),
    (Lang::Cym, "cy"),
];

/// From here on statistics count.
const SURE: f64 = 0.5;
/// Texts of so many letters are long enough to tell even languages that nobody here is known to speak.
const LONG: usize = 40;
/// How sure statistics must be about such a language.
const VERY_SURE: f64 = 0.9;

impl Language {
    /// Turkish.
    pub const TURKISH: Self = Self(Lang::Tur);
    /// Korean.
    pub const KOREAN: Self = Self(Lang::Kor);
    /// Chinese, as spoken in Mandarin.
    pub const CHINESE: Self = Self(Lang::Cmn);
    /// French.
    pub const FRENCH: Self = Self(Lang::Fra);
    /// English.
    pub const ENGLISH: Self = Self(Lang::Eng);
    /// Japanese.
    pub const JAPANESE: Self = Self(Lang::Jpn);

    /// Those that short texts are told apart by, beside the reader's own.
    pub const COMMON: [Self; 5] = [Self::TURKISH, Self::KOREAN, Self::CHINESE, Self::FRENCH, Self::ENGLISH];

    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        TAGS.iter().map(|(language, _)| Self(*language))
    }

    /// The language of a BCP 47 tag or of a locale's name (`tr`, `en-GB`, `zh_CN.UTF-8`).
    pub fn from_tag(tag: &str) -> Option<Self> {
        let first = tag.split(['-', '_', '.', '@']).next().unwrap_or_default().to_lowercase();
        let first = match first.as_str() {
            "cmn" => "zh",
            "no" => "nb",
            other => other,
        };
        TAGS.iter().find(|(_, tag)| *tag == first).map(|(language, _)| Self(*language))
    }

    /// Its tag (BCP 47): `tr`, `zh`.
    pub fn tag(self) -> &'static str {
        TAGS.iter().find(|(language, _)| *language == self.0).map_or("und", |(_, tag)| tag)
    }

    /// Whether it is written in Latin letters.
    pub fn is_latin(self) -> bool {
        Script::Latin.langs().contains(&self.0)
    }

    /// Its name in English.
    pub fn name(self) -> &'static str {
        if self == Self::CHINESE { "Chinese" } else { self.0.eng_name() }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.tag())
    }
}

/// The language of this process's locale, if it names one: `LC_ALL`, then `LC_MESSAGES`, then `LANG`.
pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Option<Language> {
    Language::from_tag(&locale(variable)?)
}

/// The locale's name: `tr_TR.UTF-8`.
pub(super) fn locale(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty())
}

/// What a text tells about its language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// It is in this one.
    Sure(Language),
    /// It may be in this one.
    Guess(Language),
}

/// The language of a text by itself, among those allowed. `own` are those that the reader and the people at
/// hand are known to speak.
pub fn find(text: &str, allowed: &[Language], own: &[Language]) -> Option<Finding> {
    if let Some(language) = by_script(text)
        && allowed.contains(&language)
    {
        return Some(Finding::Sure(language));
    }
    let statistics = |languages: Vec<Lang>| {
        // Scripts of one language are told whether or not that is allowed.
        let found =
            if languages.is_empty() { None } else { Detector::with_allowlist(languages).detect(text) };
        found.filter(|found| allowed.contains(&Language(found.lang())))
    };
    let all = statistics(allowed.iter().map(|language| language.0).collect());
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if let Some(found) = &all
        && (found.script() != Script::Latin || (letters >= LONG && found.confidence() >= VERY_SURE))
    {
        return Some(Finding::Sure(Language(found.lang())));
    }
    let few = Language::COMMON.iter().chain(own).filter(|language| allowed.contains(language));
    let found = statistics(few.map(|language| language.0).collect())?;
    let language = Language(found.lang());
    Some(if found.confidence() >= SURE { Finding::Sure(language) } else { Finding::Guess(language) })
}

/// The language to read a text in: its own if that is sure, else the hint, else the locale's, else English,
/// else whichever there is. `None` when none is allowed.
pub fn detect(text: &str, allowed: &[Language], hint: Option<Language>) -> Option<Language> {
    detect_at(text, allowed, hint, of_locale(|name| std::env::var(name).ok()))
}

/// See [`detect`]; with the locale's language handed in.
pub fn detect_at(
    text: &str,
    allowed: &[Language],
    hint: Option<Language>,
    locale: Option<Language>,
) -> Option<Language> {
    let own: Vec<Language> = hint.into_iter().chain(locale).collect();
    if let Some(Finding::Sure(language)) = find(text, allowed, &own) {
        return Some(language);
    }
    let fallbacks = [hint, locale, Some(Language::ENGLISH)].into_iter().flatten();
    let fallback = fallbacks.into_iter().find(|language| allowed.contains(language));
    fallback.or_else(|| allowed.first().copied())
}

/// Scripts of one language. A foreign name in the text does not change it: one Han character says about as
/// much as three Latin letters, a Hangul syllable or a Kana as two.
fn by_script(text: &str) -> Option<Language> {
    let (mut hangul, mut kana, mut han, mut other) = (0, 0, 0, 0);
    for c in text.chars() {
        match c {
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7ff}' => hangul += 2,
            '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9d}' => kana += 2,
            '\u{2e80}'..='\u{2fdf}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => han += 3,
            '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => han += 3,
            c if c.is_alphabetic() => other += 1,
            _ => {}
        }
    }
    if hangul + kana + han <= other {
        None
    } else if hangul >= kana && (hangul > 0 && hangul * 2 >= han) {
        Some(Language::KOREAN)
    } else if kana * 4 >= han && kana > 0 {
        Some(Language::JAPANESE)
    } else {
        Some(Language::CHINESE)
    }
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
