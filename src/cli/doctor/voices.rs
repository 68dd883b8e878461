//! The speech service, and what it speaks.

use super::Check;
use super::packages::Platform;
use super::sentences::{USUAL, sentence};
use crate::cli::app::App;
use crate::cli::record::pressed;
use crate::speech::{Language, Outcome, Speech, Utterance, language};
use crate::terminal::keys::{Keys, Press};

/// How fast those are spoken that nobody is known to ask for, of 100: it is only to be heard that they have a voice.
const FAST: i32 = 50;

/// What is to be known of voices.
pub struct Wish {
    /// Each voice says a sentence.
    pub aloud: bool,
    /// Of these languages alone; of none: the reader's own, the usual ones, and all others that have a voice.
    pub languages: Vec<Language>,
}

/// Which languages have a voice. Those that are to be heard say a sentence one after the other, and each check is told
/// once that is over; on a terminal until a key says that it is enough.
///
/// # Errors
/// When what was found can't be told.
pub async fn look(
    speech: &Speech,
    wish: Wish,
    app: &App,
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
    let Wish { mut aloud, languages } = wish;
    let (asked, others) = if languages.is_empty() {
        wanted(language::of_locale(|name| std::env::var(name).ok()), &voices)
    } else {
        (languages, Vec::new())
    };
    let mut keys = if aloud { Keys::watch() } else { None };
    if keys.is_some() {
        app.out.note("each language that has a voice says a sentence: Enter or q, and that is enough");
    }
    for (place, language) in asked.iter().chain(&others).enumerate() {
        if place == asked.len() {
            speech.set_rate(FAST);
        }
        let mut check = judge(*language, &voices, platform);
        if check.ok && aloud {
            tokio::select! {
                said = say(app, speech, *language) => check = said,
                () = enough(&mut keys) => {
                    aloud = false;
                    speech.stop_all();
                }
            }
        }
        tell(check)?;
    }
    Ok(())
}

/// The reader's own language and the usual ones; all others that have a voice.
fn wanted(own: Option<Language>, voices: &[Language]) -> (Vec<Language>, Vec<Language>) {
    let mut first: Vec<Language> = own.into_iter().collect();
    first.extend(
        USUAL.iter().filter_map(|(tag, _)| Language::from_tag(tag)).filter(|usual| Some(*usual) != own),
    );
    let others = Language::all().filter(|other| voices.contains(other) && !first.contains(other)).collect();
    (first, others)
}

/// Waits for the key that says so; for ever where there are none.
async fn enough(keys: &mut Option<Keys>) {
    while !matches!(pressed(keys).await, Press::Enter | Press::Escape | Press::End | Press::Char('q' | 'Q')) {
    }
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

async fn say(app: &App, speech: &Speech, language: Language) -> Check {
    let name = language.name();
    let utterance = Utterance { language: Some(language), ..Utterance::new(sentence(language)) };
    let heard = app.aloud(async || speech.say(utterance.clone()).done().await, || speech.stop_all());
    let check = match heard.await {
        Outcome::Spoken | Outcome::Cut(_) => {
            Check::good("voice", format!("{name} ({language}) was spoken: was it heard?"))
        }
        Outcome::Stopped => Check::bad("voice", format!("{name} ({language}) was stopped"), "try again"),
        Outcome::Unavailable(why) => Check::error("voice", &format!("{name} ({language}): {why}")),
    };
    Check { language: Some(language.tag()), ..check }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_without_a_voice_is_told_with_what_to_do() {
        let [swedish, latin] = ["sv_SE", "la"].map(|tag| Language::from_tag(tag).unwrap());
        let (languages, others) = wanted(Some(swedish), &[Language::ENGLISH, latin, swedish]);
        assert_eq!((languages[0], languages.len(), others), (swedish, 16, vec![latin]));
        let (languages, others) = wanted(Some(Language::FRENCH), &[Language::ENGLISH]);
        assert_eq!((languages[0], languages.len(), others), (Language::FRENCH, 15, vec![]));
        assert_eq!(languages[1], Language::TURKISH);
        let checks: Vec<Check> = languages
            .iter()
            .map(|language| judge(*language, &[Language::ENGLISH], Platform::Debian))
            .collect();
        for (check, language) in checks.iter().zip(&languages) {
            assert_eq!((check.ok, check.language), (*language == Language::ENGLISH, Some(language.tag())));
            assert!(check.said.contains(language.name()) && !check.essential, "{check:?}");
            assert_eq!(check.remedy.is_none(), check.ok);
        }
        assert!(checks[1].remedy.as_ref().unwrap().contains("espeak-ng, which speaks Turkish"), "{checks:?}");
    }
}
