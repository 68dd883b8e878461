use super::*;
use crate::speech::content;
use crate::speech::voices::Offer;

fn catalogue() -> Catalogue {
    let offers =
        [("Turkish", "tr"), ("Korean", "ko"), ("English", "en-US"), ("French", "fr-FR"), ("German", "de")];
    let variants = [("French+female1", "fr-FR"), ("English+female1", "en-US")];
    let offer = |(name, tag): &(&str, &str)| Offer { name: (*name).to_owned(), tag: (*tag).to_owned() };
    Catalogue::new(offers.iter().chain(&variants).map(offer).collect())
}

fn plan(text: &str, language: Language, name: Option<&str>) -> Vec<(String, String)> {
    let catalogue = catalogue();
    let planner = Planner { catalogue: &catalogue, locale: None, own: Some(Language::TURKISH), habit: None };
    let name = name.map(|name| Name { name, room: None, changed_key: false });
    let pieces = planner.pieces(&content::stretches(text), language, name, Manner::default());
    pieces.into_iter().map(|piece| (piece.voice, piece.text)).collect()
}

fn said(pieces: &[(&str, &str)]) -> Vec<(String, String)> {
    pieces.iter().map(|(voice, text)| ((*voice).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_changed_key_is_said_after_the_name_in_words_that_there_is_a_voice_for() {
    let catalogue = catalogue();
    let said_of = |text: &str, language, name| {
        let planner =
            Planner { catalogue: &catalogue, locale: None, own: Some(Language::TURKISH), habit: None };
        let name = Some(Name { name, room: None, changed_key: true });
        let pieces = planner.pieces(&content::stretches(text), language, name, Manner::default());
        pieces.into_iter().map(|piece| (piece.voice, piece.text)).collect::<Vec<_>>()
    };
    assert_eq!(
        said_of("trust me", Language::ENGLISH, "zoé"),
        said(&[("English", "zoé, under a changed key: trust me")])
    );
    assert_eq!(said_of("", Language::TURKISH, "ayşe"), said(&[("Turkish", "ayşe, değişmiş bir anahtarla")]));
    let german = Language::from_tag("de").unwrap();
    assert_eq!(
        said_of("komm", german, "zoé"),
        said(&[("German", "zoé,"), ("Turkish", "değişmiş bir anahtarla:"), ("German", "komm")])
    );
    assert_eq!(said_of("hi", Language::ENGLISH, ""), said(&[("English", "under a changed key: hi")]));
}

#[test]
fn the_room_is_said_after_the_name_in_the_language_of_the_text() {
    let catalogue = catalogue();
    let said_in = |text: &str, language, changed_key| {
        let planner = Planner { catalogue: &catalogue, locale: None, own: None, habit: None };
        let name = Some(Name { name: "ayşe", room: Some("garden"), changed_key });
        let pieces = planner.pieces(&content::stretches(text), language, name, Manner::default());
        pieces.into_iter().map(|piece| (piece.voice, piece.text)).collect::<Vec<_>>()
    };
    assert_eq!(said_in("come in", Language::ENGLISH, false), said(&[("English", "ayşe in garden: come in")]));
    assert_eq!(
        said_in("gelin", Language::TURKISH, true),
        said(&[("Turkish", "ayşe garden odasında, değişmiş bir anahtarla: gelin")])
    );
    assert_eq!(
        said_in("venez", Language::FRENCH, false),
        said(&[("French", "ayşe dans le salon garden: venez")])
    );
    // Before a voice note, whose words nobody knows.
    assert_eq!(said_in("", Language::ENGLISH, false), said(&[("English", "ayşe in garden")]));
    let korean = said_in("안녕하세요", Language::KOREAN, false);
    assert!(
        korean.iter().any(|(voice, text)| voice == "Korean" && text.contains("방에서: 안녕하세요")),
        "{korean:?}"
    );
    // Without words of its own, in those of a language that there is a voice for.
    let german = Language::from_tag("de").unwrap();
    assert_eq!(
        said_in("komm", german, false),
        said(&[("German", "ayşe"), ("English", "in garden:"), ("German", "komm")])
    );
}

#[test]
fn the_name_comes_first_and_links_and_code_are_announced_in_the_texts_language() {
    let english = plan(
        "look at https://example.org/a, please:\n```\n1\n2\n```\nthanks",
        Language::ENGLISH,
        Some("zoé"),
    );
    assert_eq!(
        english,
        said(&[("English", "zoé: look at link to example.org, please: code, 2 lines. thanks")])
    );
    assert_eq!(
        plan("bak: https://example.org", Language::TURKISH, Some("ayşe")),
        said(&[("Turkish", "ayşe: bak: example.org bağlantısı")])
    );
    // There are no words of German: the reader's own are taken.
    let german = Language::from_tag("de").unwrap();
    assert_eq!(
        plan("sieh: https://example.org", german, None),
        said(&[("German", "sieh:"), ("Turkish", "example.org bağlantısı")])
    );
    assert_eq!(plan("```\nx\n```", Language::KOREAN, None), said(&[("Korean", "코드 한 줄.")]));
    assert_eq!(plan("", Language::KOREAN, Some("지민")), said(&[("Korean", "지민")]));
}

#[test]
fn a_text_in_which_nothing_has_a_sound_is_announced_as_such() {
    let german = Language::from_tag("de").unwrap();
    for text in [":)", "???", "…", "？！", "<>", "... !!", "\u{200b}"] {
        assert_eq!(plan(text, Language::KOREAN, None), said(&[("Korean", "기호뿐")]), "{text}");
        let named = said(&[("English", "zoé: only symbols")]);
        assert_eq!(plan(text, Language::ENGLISH, Some("zoé")), named, "{text}");
        assert_eq!(plan(text, german, None), said(&[("Turkish", "yalnızca simgeler")]), "{text}");
    }
    // There are no words that a voice can say: English ones are better than silence.
    let offers = vec![Offer { name: "German".to_owned(), tag: "de".to_owned() }];
    let catalogue = Catalogue::new(offers);
    let planner = Planner { catalogue: &catalogue, locale: None, own: None, habit: None };
    for (text, words) in [(":)", "only symbols"), ("```\nx\n```", "code, one line.")] {
        let pieces = planner.pieces(&content::stretches(text), german, None, Manner::default());
        assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>(), [words]);
    }
}

#[test]
fn what_follows_a_link_and_signs_are_read_in_the_texts_language() {
    assert_eq!(
        plan("https://example.org를 보세요, 5 < 6", Language::KOREAN, None),
        said(&[("Korean", "example.org 링크 를 보세요, 5 보다 작음 6")])
    );
    assert_eq!(
        plan("R&D: 5 > 4", Language::TURKISH, Some("a＆b")),
        said(&[("Turkish", "a ve b: R ve D: 5 büyüktür 4")])
    );
    // There are no words of German: they are left to the voice.
    assert_eq!(plan("5 < 6", Language::from_tag("de").unwrap(), None), said(&[("German", "5 ＜ 6")]));
}

#[test]
fn each_part_is_spoken_by_a_voice_of_its_language() {
    assert_eq!(
        plan("안녕하세요 everybody 여러분", Language::KOREAN, Some("zoé")),
        said(&[
            ("Turkish", "zoé:"),
            ("Korean", "안녕하세요"),
            ("Turkish", "everybody"),
            ("Korean", "여러분"),
        ])
    );
}

#[test]
fn a_person_has_their_own_variant_where_the_service_has_it() {
    let catalogue = catalogue();
    let planner = Planner { catalogue: &catalogue, locale: None, own: None, habit: None };
    let manner = Manner { pitch: 12, rate: -6, variant: Some("female1") };
    let of =
        |language| planner.pieces(&content::stretches("abc"), language, None, manner).pop_front().unwrap();
    let french = of(Language::FRENCH);
    assert_eq!(
        (french.voice.as_str(), french.tag, french.pitch, french.rate),
        ("French+female1", "fr", 12, -6)
    );
    assert_eq!(of(Language::TURKISH).voice, "Turkish");
}

#[test]
fn long_texts_are_cut_at_a_sentence_and_say_how_much_is_left() {
    let catalogue = catalogue();
    let planner = Planner { catalogue: &catalogue, locale: None, own: None, habit: None };
    let sentence = "This is one of many sentences, and each of them takes a few seconds to be read aloud.";
    let long = [sentence; 16].join(" ");
    let pieces = planner.pieces(&content::stretches(&long), Language::ENGLISH, None, Manner::default());
    let all: Vec<String> = pieces.iter().map(|piece| piece.text.clone()).collect();
    let mut heard = Vec::new();
    let mut rest = Some(planner.rest(pieces, Language::ENGLISH));
    let mut announced = Vec::new();
    while let Some(left) = rest {
        let (mut now, later) = left.share(0);
        if later.is_some() {
            announced.push(now.pop_back().unwrap().text);
            assert!(now.back().unwrap().text.ends_with('.'));
        }
        heard.extend(now.into_iter().map(|piece| piece.text));
        rest = later;
    }
    assert_eq!(heard, all);
    assert_eq!(announced, ["and 60 more seconds, press more", "and 30 more seconds, press more"]);
    // Faster, it is not so long.
    let pieces = planner.pieces(&content::stretches(&long), Language::ENGLISH, None, Manner::default());
    assert_eq!(planner.rest(pieces, Language::ENGLISH).share(100).1.map(|rest| rest.pieces.len()), None);
}
