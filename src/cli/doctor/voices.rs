//! The speech service, and what it speaks.

use super::Check;
use crate::speech::{Language, Speech, language};

/// Whether there is a voice for each of the common languages and the reader's own.
pub async fn look(speech: &Speech) -> Check {
    let what = "speech";
    match speech.voices().await {
        Ok(voices) => judge(&voices, language::of_locale(|name| std::env::var(name).ok())),
        Err(why) => Check::error(what, &why),
    }
}

fn judge(voices: &[Language], own: Option<Language>) -> Check {
    let what = "speech";
    let own = own.filter(|own| !Language::COMMON.contains(own));
    let wanted: Vec<Language> = Language::COMMON.into_iter().chain(own).collect();
    let names = |languages: &[Language]| {
        languages
            .iter()
            .map(|language| format!("{} ({language})", language.name()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (there, missing): (Vec<Language>, Vec<Language>) =
        wanted.into_iter().partition(|language| voices.contains(language));
    let more = voices.len().saturating_sub(there.len());
    if missing.is_empty() {
        return Check::good(what, format!("voices for {} and {more} more languages", names(&there)));
    }
    let said = format!("no voice for {}; {} languages have one", names(&missing), voices.len());
    Check::bad(what, said, "apt-get install speech-dispatcher-espeak-ng")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_voice_is_named() {
        let all: Vec<Language> = Language::all().collect();
        let good = judge(&all, Language::from_tag("de_DE"));
        assert!(
            good.ok && good.said.contains("Turkish (tr)") && good.said.contains("German (de)"),
            "{good:?}"
        );
        let few = judge(&[Language::ENGLISH], Some(Language::ENGLISH));
        assert!(!few.ok && few.said.contains("Chinese (zh)") && !few.said.contains("English"), "{few:?}");
        assert!(!few.essential);
    }
}
