//! A text of several scripts, taken apart: each part is for a voice that can read it.

use unicode_script::{Script, UnicodeScript};

use super::Language;
use super::language::{Finding, find};

/// Words in one language.
pub type Part = (Language, String);

/// Letters of another script that are worth another voice.
const WORTH: usize = 2;
/// Letters from which on statistics tell the language of a part.
const TELLING: usize = 20;

/// Takes a clean text apart. `main` is the language of the whole; parts in another script are in a language of their
/// own, among those allowed. `latin` is the one that the people at hand write in Latin letters. Digits, blanks and
/// punctuation stay with what is before them.
pub fn split(text: &str, main: Language, latin: Option<Language>, allowed: &[Language]) -> Vec<Part> {
    let own = own_script(text, main);
    let japanese = main == Language::JAPANESE;
    let mut parts: Vec<Part> = Vec::new();
    for (script, run) in runs(text, own) {
        let language = match script {
            Some(Script::Han) if japanese => main,
            Some(script) if Some(script) != own => of_run(&run, script, latin, allowed).unwrap_or(main),
            _ => main,
        };
        match parts.last_mut() {
            Some((last, words)) if *last == language => words.push_str(&run),
            _ => parts.push((language, run)),
        }
    }
    parts.iter_mut().for_each(|(_, words)| *words = words.trim().to_owned());
    parts.retain(|(_, words)| !words.is_empty());
    parts
}

/// Stretches of one script each; `None` where there are no letters at all. Single letters of a foreign script are names
/// of things, and stay where they are.
fn runs(text: &str, own: Option<Script>) -> Vec<(Option<Script>, String)> {
    let mut runs: Vec<(Option<Script>, String)> = Vec::new();
    for c in text.chars() {
        let script = script(c);
        match runs.last_mut() {
            Some((before, run)) if script.is_none() || before.is_none() || *before == script => {
                *before = before.or(script);
                run.push(c);
            }
            _ => runs.push((script, c.to_string())),
        }
    }
    for (script, run) in &mut runs {
        let letters = run.chars().filter(|c| c.is_alphabetic()).count();
        if *script != own && letters < WORTH && !matches!(script, Some(Script::Han)) {
            *script = own;
        }
    }
    runs
}

fn script(c: char) -> Option<Script> {
    if !c.is_alphabetic() {
        return None;
    }
    match c.script() {
        Script::Common | Script::Inherited | Script::Unknown => None,
        Script::Hiragana | Script::Katakana => Some(Script::Hiragana),
        Script::Bopomofo => Some(Script::Han),
        script => Some(script),
    }
}

/// The script that the text's own language is written in here.
fn own_script(text: &str, main: Language) -> Option<Script> {
    match main.tag() {
        "ko" => return Some(Script::Hangul),
        "zh" => return Some(Script::Han),
        // It is written in Han as well.
        "ja" => return Some(Script::Hiragana),
        _ if main.is_latin() => return Some(Script::Latin),
        _ => {}
    }
    // What there is most of.
    let mut counts: Vec<(Script, usize)> = Vec::new();
    for script in text.chars().filter_map(script) {
        match counts.iter_mut().find(|(known, _)| *known == script) {
            Some((_, count)) => *count += 1,
            None => counts.push((script, 1)),
        }
    }
    let foreign = [Script::Hangul, Script::Han, Script::Hiragana, Script::Latin];
    let own = counts.into_iter().filter(|(script, _)| !foreign.contains(script));
    own.max_by_key(|(_, count)| *count).map(|(script, _)| script)
}

fn of_run(run: &str, script: Script, latin: Option<Language>, allowed: &[Language]) -> Option<Language> {
    let found = match find(run, allowed, &[]) {
        Some(Finding::Sure(language)) => Some(language),
        _ => None,
    };
    if script != Script::Latin {
        return found;
    }
    let letters = run.chars().filter(|c| c.is_alphabetic()).count();
    let fallback = [latin, Some(Language::ENGLISH)].into_iter().flatten();
    let found = found.filter(|_| letters >= TELLING);
    found.or_else(|| fallback.into_iter().find(|language| allowed.contains(language)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, main: Language) -> Vec<(&'static str, String)> {
        let all: Vec<Language> = Language::all().collect();
        split(text, main, None, &all).into_iter().map(|(language, words)| (language.tag(), words)).collect()
    }

    fn of(parts: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        parts.iter().map(|(tag, words)| (*tag, (*words).to_owned())).collect()
    }

    #[test]
    fn each_script_is_for_a_voice_that_reads_it() {
        for (text, main, expected) in [
            ("merhaba, nasılsın?", Language::TURKISH, vec![("tr", "merhaba, nasılsın?")]),
            ("zoé: 안녕하세요!", Language::KOREAN, vec![("en", "zoé:"), ("ko", "안녕하세요!")]),
            ("小明: hello there", Language::ENGLISH, vec![("zh", "小明:"), ("en", "hello there")]),
            (
                "나는 Python 3.12 을 좋아해",
                Language::KOREAN,
                vec![("ko", "나는"), ("en", "Python 3.12"), ("ko", "을 좋아해")],
            ),
            ("我在 Istanbul 呢", Language::CHINESE, vec![("zh", "我在"), ("en", "Istanbul"), ("zh", "呢")]),
            ("東京へ行く", Language::JAPANESE, vec![("ja", "東京へ行く")]),
            (
                "Bugün 안녕하세요 dedi, sonra сегодня хорошая погода dedi.",
                Language::TURKISH,
                vec![
                    ("tr", "Bugün"),
                    ("ko", "안녕하세요"),
                    ("tr", "dedi, sonra"),
                    ("ru", "сегодня хорошая погода"),
                    ("tr", "dedi."),
                ],
            ),
            ("A팀 2조", Language::KOREAN, vec![("ko", "A팀 2조")]),
            (
                "Привет, my friend!",
                Language::from_tag("ru").unwrap(),
                vec![("ru", "Привет,"), ("en", "my friend!")],
            ),
            ("12:30 🙂", Language::FRENCH, vec![("fr", "12:30 🙂")]),
        ] {
            assert_eq!(parts(text, main), of(&expected), "{text}");
        }
    }

    #[test]
    fn parts_without_a_voice_stay_with_the_rest() {
        let few = [Language::TURKISH];
        assert_eq!(
            split("안녕 merhaba", Language::TURKISH, None, &few),
            [(Language::TURKISH, "안녕 merhaba".to_owned())]
        );
        let (latin, all) = (Some(Language::FRENCH), Language::all().collect::<Vec<_>>());
        assert_eq!(
            split("zoé: 네", Language::KOREAN, latin, &all).first(),
            Some(&(Language::FRENCH, "zoé:".to_owned()))
        );
        assert!(split("", Language::TURKISH, None, &few).is_empty());
    }
}
