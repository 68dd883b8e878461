//! The speech service, and what it speaks.

use super::Check;
use super::packages::Platform;
use crate::speech::{Language, Outcome, Speech, Utterance, language};

/// What is said in each language that is looked at. Numbers are read in every one.
const SENTENCES: [(&str, &str); 15] = [
    ("tr", "Merhaba, şimdi Türkçe konuşuyorum."),
    ("ko", "안녕하세요, 지금 한국어로 말하고 있습니다."),
    ("zh", "你好，我现在说的是中文。"),
    ("fr", "Bonjour, je parle français maintenant."),
    ("en", "Hello, I am speaking English now."),
    ("de", "Guten Tag, ich spreche jetzt Deutsch."),
    ("es", "Hola, ahora hablo español."),
    ("it", "Buongiorno, adesso parlo italiano."),
    ("pt", "Olá, agora falo português."),
    ("nl", "Hallo, ik spreek nu Nederlands."),
    ("pl", "Dzień dobry, teraz mówię po polsku."),
    ("ru", "Здравствуйте, сейчас я говорю по-русски."),
    ("ar", "مرحبا، أنا أتكلم العربية الآن."),
    ("hi", "नमस्ते, अब मैं हिन्दी बोल रही हूँ।"),
    ("ja", "こんにちは、いま日本語を話しています。"),
];
const NUMBERS: &str = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10.";

/// Whether there is a voice for each of these languages and the reader's own. `aloud`: each that there is says a
/// sentence, one after the other, and its check is told once it has.
///
/// # Errors
/// When what was found can't be told.
pub async fn look(
    speech: &Speech,
    aloud: bool,
    tell: &mut impl FnMut(Check) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let platform = Platform::here();
    let voices = match speech.voices().await {
        Ok(voices) => voices,
        Err(why) => {
            return tell(Check {
                remedy: Some(platform.speech().to_owned()),
                ..Check::error("speech", &why)
            });
        }
    };
    tell(Check::good(
        "speech",
        format!("the speech service answers; it has voices for {} languages", voices.len()),
    ))?;
    for language in wanted(language::of_locale(|name| std::env::var(name).ok())) {
        let check = judge(language, &voices, platform);
        let check = if check.ok && aloud { say(speech, language).await } else { check };
        tell(check)?;
    }
    Ok(())
}

/// Those with a sentence, and the reader's own.
fn wanted(own: Option<Language>) -> Vec<Language> {
    let mut wanted: Vec<Language> = SENTENCES.iter().filter_map(|(tag, _)| Language::from_tag(tag)).collect();
    wanted.extend(own.filter(|own| !wanted.contains(own)));
    wanted
}

fn judge(language: Language, voices: &[Language], platform: Platform) -> Check {
    let check = if voices.contains(&language) {
        Check::good("voice", format!("{} ({language}) has one", language.name()))
    } else {
        let said = format!("{} ({language}) has none", language.name());
        Check::bad("voice", said, platform.voice(language))
    };
    Check { language: Some(language.tag()), ..check }
}

async fn say(speech: &Speech, language: Language) -> Check {
    let name = language.name();
    let utterance = Utterance { language: Some(language), ..Utterance::new(sentence(language)) };
    let check = match speech.say(utterance).done().await {
        Outcome::Spoken | Outcome::Cut(_) => {
            Check::good("voice", format!("{name} ({language}) was spoken: was it heard?"))
        }
        Outcome::Stopped => Check::bad("voice", format!("{name} ({language}) was stopped"), "try again"),
        Outcome::Unavailable(why) => Check::error("voice", &format!("{name} ({language}): {why}")),
    };
    Check { language: Some(language.tag()), ..check }
}

/// A sentence in a language, or what is read in any.
fn sentence(language: Language) -> &'static str {
    SENTENCES.iter().find(|(tag, _)| *tag == language.tag()).map_or(NUMBERS, |(_, sentence)| sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_without_a_voice_is_told_with_what_to_do() {
        let swedish = Language::from_tag("sv_SE").unwrap();
        let languages = wanted(Some(swedish));
        assert_eq!((languages.len(), wanted(Some(Language::FRENCH)).len()), (16, 15));
        assert_eq!((sentence(swedish), sentence(Language::FRENCH)), (NUMBERS, SENTENCES[3].1));
        let checks: Vec<Check> = languages
            .iter()
            .map(|language| judge(*language, &[Language::ENGLISH], Platform::Debian))
            .collect();
        for (check, language) in checks.iter().zip(&languages) {
            assert_eq!((check.ok, check.language), (*language == Language::ENGLISH, Some(language.tag())));
            assert!(check.said.contains(language.name()) && !check.essential, "{check:?}");
            assert_eq!(check.remedy.is_none(), check.ok);
        }
        assert!(checks[0].remedy.as_ref().unwrap().contains("espeak-ng, which speaks Turkish"), "{checks:?}");
    }
}
