//! What the speech service offers, kept from one run to the next: listing it is what took the longest.
//!
//! The cache is no secret and nothing rests on it: one that is old, of other modules, or damaged is made anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Language;
use super::manner::VARIANTS;
use super::voices::{self, Offer};

/// How long a list holds: voices that are installed later are found the day after, or by `tellal doctor`.
const HOLDS: Duration = Duration::from_secs(24 * 3600);

/// The voices of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Catalogue {
    offers: Vec<Offer>,
    /// The voices that can be varied, by name, and how.
    variants: BTreeSet<String>,
    #[serde(skip)]
    languages: Vec<Language>,
}

/// What the cache holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    modules: Vec<String>,
    catalogue: Catalogue,
}

impl Catalogue {
    /// Of all voices and their variants, which have a `+` in their names.
    pub(super) fn new(all: Vec<Offer>) -> Self {
        let all = all.into_iter().filter(|offer| is_plain(&offer.name) && is_plain(&offer.tag));
        let (varied, offers): (Vec<Offer>, Vec<Offer>) = all.partition(|offer| offer.name.contains('+'));
        let of_ours = |name: &String| VARIANTS.iter().any(|variant| name.ends_with(&format!("+{variant}")));
        let variants = varied.into_iter().map(|offer| offer.name).filter(of_ours).collect();
        let languages = voices::languages(&offers);
        Self { offers, variants, languages }
    }

    /// The languages that have a voice.
    pub(super) fn languages(&self) -> &[Language] {
        &self.languages
    }

    /// The name of the voice for a language, in a variant of it if there is that.
    pub(super) fn voice(
        &self,
        language: Language,
        variant: Option<&str>,
        locale: Option<&str>,
    ) -> Option<String> {
        let place = voices::choose(&self.offers, language, locale)?;
        let name = self.offers.get(place)?.name.clone();
        let varied = variant.map(|variant| format!("{name}+{variant}"));
        Some(varied.filter(|varied| self.variants.contains(varied)).unwrap_or(name))
    }

    /// What was listed not long ago, with the same modules.
    pub(super) fn load(path: &Path, modules: &[String]) -> Option<Self> {
        let written = fs::metadata(path).ok()?.modified().ok()?;
        if written.elapsed().ok()? > HOLDS {
            return None;
        }
        let kept: Kept = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let all = kept.catalogue.variants.into_iter().map(|name| Offer { name, tag: "und".to_owned() });
        let known = Self::new(kept.catalogue.offers.into_iter().chain(all).collect());
        (kept.modules == modules && !known.languages.is_empty()).then_some(known)
    }

    /// Keeps it. Where that is not possible, it is listed again the next time.
    pub(super) fn store(&self, path: &Path, modules: &[String]) {
        let kept = Kept { modules: modules.to_vec(), catalogue: self.clone() };
        let Ok(bytes) = serde_json::to_vec(&kept) else { return };
        // Two processes may do so at once.
        let aside = path.with_extension(std::process::id().to_string());
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let stored = folder.and_then(|()| fs::write(&aside, bytes)).and_then(|()| fs::rename(&aside, path));
        if stored.is_err() {
            let _ = fs::remove_file(&aside);
        }
    }
}

/// Names are handed to the service in a line of its protocol.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let offers = [
            ("Turkish", "tr"),
            ("Turkish+female1", "tr"),
            ("Turkish+whisper", "tr"),
            ("Korean", "ko"),
            ("x\nSET self RATE 100", "en"),
        ];
        let offer = |(name, tag): (&str, &str)| Offer { name: name.to_owned(), tag: tag.to_owned() };
        Catalogue::new(offers.map(offer).into())
    }

    #[test]
    fn a_variant_is_taken_where_the_service_has_it() {
        let known = catalogue();
        let voice = |language, variant| known.voice(language, variant, None);
        assert_eq!(known.languages(), [Language::KOREAN, Language::TURKISH]);
        assert_eq!(voice(Language::TURKISH, Some("female1")).as_deref(), Some("Turkish+female1"));
        assert_eq!(voice(Language::TURKISH, Some("male1")).as_deref(), Some("Turkish"));
        assert_eq!(voice(Language::TURKISH, Some("whisper")).as_deref(), Some("Turkish"));
        assert_eq!(voice(Language::KOREAN, Some("female1")).as_deref(), Some("Korean"));
        assert_eq!(voice(Language::ENGLISH, None), None);
    }

    #[test]
    fn what_was_listed_is_known_the_next_time_unless_the_service_is_another() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("cache/voices.json");
        let modules = ["espeak-ng".to_owned()];
        assert_eq!(Catalogue::load(&path, &modules), None);
        catalogue().store(&path, &modules);
        assert_eq!(Catalogue::load(&path, &modules), Some(catalogue()));
        assert_eq!(Catalogue::load(&path, &["rhvoice".to_owned()]), None);
        fs::write(&path, b"{").unwrap();
        assert_eq!(Catalogue::load(&path, &modules), None);
        let file = fs::File::options().write(true).open(&path).unwrap();
        catalogue().store(&path, &modules);
        drop(file);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * HOLDS).unwrap();
        assert_eq!(Catalogue::load(&path, &modules), None);
    }
}
