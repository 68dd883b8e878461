//! Which voice speaks a language. Voices are named by the service; those with a `+` are variants of others.

use serde::{Deserialize, Serialize};

use super::Language;

/// A voice of the service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Its name: `Turkish`.
    pub name: String,
    /// What it speaks (BCP 47): `tr`, `en-GB`, `cmn`.
    pub tag: String,
}

/// The voice for a language: by the reader's own region, then by exact tag, then by a usual region, then by
/// any region. Its place in the list.
pub fn choose(offers: &[Offer], language: Language, locale: Option<&str>) -> Option<usize> {
    let wanted = tags(language, locale);
    let base = |tag: &str| format!("{tag}-");
    let exact = wanted.iter().find_map(|tag| place(offers, |offer| offer.eq_ignore_ascii_case(tag)));
    exact.or_else(|| {
        let region = base(language.tag());
        place(offers, |offer| {
            offer.len() == region.len() + 2
                && offer.get(..region.len()).is_some_and(|start| start.eq_ignore_ascii_case(&region))
        })
    })
}

/// The languages that have a voice.
pub fn languages(offers: &[Offer]) -> Vec<Language> {
    Language::all().filter(|language| choose(offers, *language, None).is_some()).collect()
}

fn place(offers: &[Offer], fits: impl Fn(&str) -> bool) -> Option<usize> {
    offers.iter().position(|offer| !offer.name.contains('+') && fits(&offer.tag))
}

/// The tags a language's voice may have, the best first.
fn tags(language: Language, locale: Option<&str>) -> Vec<String> {
    let tag = language.tag();
    let own = locale
        .filter(|locale| Language::from_tag(locale) == Some(language))
        .and_then(|locale| locale.split(['.', '@']).next())
        .map(|locale| locale.replace('_', "-"));
    let usual: &[&str] = match tag {
        "en" => &["en-US", "en-GB"],
        "fr" => &["fr-FR"],
        "pt" => &["pt-PT", "pt-BR"],
        "zh" => &["cmn", "zh-CN"],
        "nb" => &["no"],
        "fa" => &["fa-IR"],
        _ => &[],
    };
    own.into_iter().chain([tag.to_owned()]).chain(usual.iter().map(|tag| (*tag).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As speech-dispatcher with espeak-ng lists them.
    fn offers() -> Vec<Offer> {
        [
            ("Chinese (Mandarin, latin as English)", "cmn"),
            ("Chinese (Mandarin, latin as Pinyin)", "cmn-LATN-PINYIN"),
            ("English (Caribbean)", "en-029"),
            ("English (Great Britain)", "en-GB"),
            ("English (America)", "en-US"),
            ("French (Belgium)", "fr-BE"),
            ("French (France)", "fr-FR"),
            ("Lingua Franca Nova", "lfn"),
            ("Turkish+Adam", "tr"),
            ("Turkish", "tr"),
            ("Korean+Adam", "ko"),
            ("Vietnamese (Central)", "vi-VN-X-CENTRAL"),
            ("German (Austria)", "de-AT"),
        ]
        .map(|(name, tag)| Offer { name: name.to_owned(), tag: tag.to_owned() })
        .into()
    }

    fn chosen(language: Language, locale: Option<&str>) -> Option<String> {
        let offers = offers();
        choose(&offers, language, locale).map(|place| offers[place].name.clone())
    }

    #[test]
    fn a_voice_of_the_language_is_chosen_and_no_variant() {
        let name = |language| chosen(language, None);
        assert_eq!(name(Language::TURKISH).as_deref(), Some("Turkish"));
        assert_eq!(name(Language::CHINESE).as_deref(), Some("Chinese (Mandarin, latin as English)"));
        assert_eq!(name(Language::FRENCH).as_deref(), Some("French (France)"));
        assert_eq!(name(Language::ENGLISH).as_deref(), Some("English (America)"));
        assert_eq!(name(Language::from_tag("de").unwrap()).as_deref(), Some("German (Austria)"));
        assert_eq!(name(Language::KOREAN), None);
        assert_eq!(name(Language::from_tag("vi").unwrap()), None);
    }

    #[test]
    fn the_readers_own_region_comes_first() {
        assert_eq!(chosen(Language::FRENCH, Some("fr_BE.UTF-8")).as_deref(), Some("French (Belgium)"));
        assert_eq!(chosen(Language::ENGLISH, Some("en_GB")).as_deref(), Some("English (Great Britain)"));
        assert_eq!(chosen(Language::ENGLISH, Some("fr_FR")).as_deref(), Some("English (America)"));
        assert_eq!(chosen(Language::ENGLISH, Some("en_ZA")).as_deref(), Some("English (America)"));
    }

    #[test]
    fn languages_are_those_with_a_voice() {
        let mut tags: Vec<_> = languages(&offers()).into_iter().map(Language::tag).collect();
        tags.sort_unstable();
        assert_eq!(tags, ["de", "en", "fr", "tr", "zh"]);
    }
}
