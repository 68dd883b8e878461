use super::*;

const COMMON: &[Language] = &Language::COMMON;

fn all() -> Vec<Language> {
    Language::all().collect()
}

/// Nothing known of writer or reader.
fn found(text: &str) -> Option<Language> {
    detect_at(text, &all(), None, None)
}

#[test]
fn texts_of_some_length_are_told_apart() {
    for (text, language) in [
        ("Merhaba, bugün hava çok güzel. Akşam sinemaya gidelim mi?", Language::TURKISH),
        ("Bonjour, il fait très beau aujourd'hui. On va au cinéma ce soir ?", Language::FRENCH),
        ("Hello, the weather is very nice today. Shall we go to the cinema?", Language::ENGLISH),
        ("안녕하세요, 오늘 날씨가 좋네요.", Language::KOREAN),
        ("你好，今天天气很好。", Language::CHINESE),
        ("こんにちは、今日は天気がいいですね。", Language::JAPANESE),
        ("Привет, сегодня хорошая погода.", Language(Lang::Rus)),
        (
            "Guten Tag, das Wetter ist heute wirklich sehr schön, wollen wir spazieren gehen?",
            Language(Lang::Deu),
        ),
    ] {
        assert_eq!(found(text), Some(language), "{text}");
    }
}

#[test]
fn scripts_decide_by_themselves_even_in_a_word_and_beside_foreign_names() {
    for (text, language) in [
        ("네", Language::KOREAN),
        ("ㅋㅋㅋ", Language::KOREAN),
        ("好", Language::CHINESE),
        ("はい", Language::JAPANESE),
        ("我用 Python 写程序", Language::CHINESE),
        ("Zoé 님 안녕하세요", Language::KOREAN),
        ("東京へ行く", Language::JAPANESE),
    ] {
        assert_eq!(detect_at(text, &all(), Some(Language::FRENCH), None), Some(language), "{text}");
    }
    assert_eq!(found("My friend 小明 says hello to all of you"), Some(Language::ENGLISH));
}

#[test]
fn short_texts_are_read_in_the_language_that_the_writer_was_last_sure_to_use() {
    for text in ["Merhaba", "ok", "tamam", "12", ":-)", ""] {
        let hinted = detect_at(text, &all(), Some(Language::TURKISH), Some(Language::FRENCH));
        assert_eq!(hinted, Some(Language::TURKISH), "{text}");
    }
    assert_eq!(detect_at("ok", &all(), None, Some(Language::FRENCH)), Some(Language::FRENCH));
    assert_eq!(found("12"), Some(Language::ENGLISH));
}

#[test]
fn a_short_greeting_is_never_taken_for_a_language_that_nobody_here_speaks() {
    for text in ["Merhaba", "Bonjour", "Hello", "Salut", "Selam", "Good morning", "İyi geceler", "Ça va ?"]
    {
        let language = found(text).unwrap();
        assert!(COMMON.contains(&language), "{text}: {language}");
    }
}

#[test]
fn only_languages_with_a_voice_are_found() {
    assert_eq!(detect_at("안녕하세요", &[Language::ENGLISH], None, None), Some(Language::ENGLISH));
    assert_eq!(detect_at("merhaba", &[Language::KOREAN], None, None), Some(Language::KOREAN));
    assert_eq!(detect_at("merhaba", &[], None, None), None);
}

#[test]
fn every_language_has_a_tag_of_its_own_and_locales_are_read() {
    let tags: std::collections::HashSet<_> = all().into_iter().map(Language::tag).collect();
    assert_eq!(tags.len(), Lang::all().len());
    assert!(all().into_iter().all(|language| Language::from_tag(language.tag()) == Some(language)));
    assert_eq!(Language::from_tag("cmn"), Some(Language::CHINESE));
    let locale = |set: &'static [(&str, &str)]| {
        of_locale(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    };
    assert_eq!(locale(&[("LANG", "tr_TR.UTF-8")]), Some(Language::TURKISH));
    assert_eq!(locale(&[("LANG", "tr_TR.UTF-8"), ("LC_ALL", "fr_FR")]), Some(Language::FRENCH));
    assert_eq!(locale(&[("LC_ALL", ""), ("LC_MESSAGES", "zh_CN"), ("LANG", "C")]), Some(Language::CHINESE));
    assert_eq!(locale(&[("LANG", "C.UTF-8")]), None);
    assert_eq!(locale(&[]), None);
}
