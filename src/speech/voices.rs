//! Which voice speaks a language. Voices are named by the service; those with a `+` are variants of others.

use super::Language;

/// A voice of the service.
#[derive(Clone, PartialEq, Eq, Debug)]
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
