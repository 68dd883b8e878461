//! What of a text is spoken. Texts come from others: they are data, never markup, commands or control characters.

use super::content::{AND, GREATER, LESS};

/// Characters of the longest piece that is handed to the speech service at once.
pub const PIECE: usize = 200;

/// The text on one line, without control characters, invisible formatting and anything that a speech
/// service could take for markup or phonemes.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if is_spoken(c) { c } else { ' ' };
        let doubled = matches!(c, '[' | ']' | '{' | '}') && clean.ends_with(c);
        if doubled {
            // espeak reads [[…]] as phonemes.
            clean.pop();
        }
        let c = if doubled { ' ' } else { c };
        if c.is_whitespace() {
            if !clean.is_empty() && !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else {
            clean.push(c);
        }
    }
    clean.truncate(clean.trim_end().len());
    // A line that begins with a dot could be taken for the end of the data (SSIP, "sending text").
    clean.trim_start_matches(['.', ' ']).to_owned()
}

/// Whether there is anything in a text that has a sound.
pub fn has_words(clean: &str) -> bool {
    clean.chars().any(|c| c.is_alphanumeric() || !c.is_ascii() && !c.is_whitespace() && !is_punctuation(c))
}

/// Punctuation that is not ASCII; not what stands for signs that are read as words.
fn is_punctuation(c: char) -> bool {
    let fullwidth = matches!(c,
        '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}');
    matches!(c, '¡' | '«' | '·' | '»' | '¿' | '\u{2010}'..='\u{2027}' | '\u{2032}'..='\u{205e}')
        || matches!(c, '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
        || fullwidth && !matches!(c, LESS | GREATER | AND)
}

/// Cuts a clean text into pieces of at most [`PIECE`] characters, at the ends of sentences if there are any,
/// else between words. Nothing but blanks at the cuts is lost.
pub fn pieces(clean: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = clean.trim();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut(rest));
        if !piece.trim().is_empty() {
            pieces.push(piece.trim().to_owned());
        }
        rest = after.trim_start();
    }
    pieces
}

/// Where the next piece ends.
fn cut(text: &str) -> usize {
    let Some((limit, _)) = text.char_indices().nth(PIECE) else { return text.len() };
    let (mut sentence, mut clause, mut word) = (None, None, None);
    let mut before = ' ';
    for (at, c) in text.char_indices().take_while(|(at, _)| *at <= limit) {
        if c == ' ' {
            word = Some(at);
            match before {
                '.' | '!' | '?' | '…' => sentence = Some(at),
                ',' | ';' | ':' => clause = Some(at),
                _ => {}
            }
        }
        match before {
            '。' | '！' | '？' => sentence = Some(at),
            '，' | '、' | '；' => clause = Some(at),
            _ => {}
        }
        before = c;
    }
    // A short first sentence is no reason to cut a long one at a word.
    let far = |at: &usize| *at > limit / 4;
    sentence.filter(far).or(clause.filter(far)).or(word).filter(|at| *at > 0).unwrap_or(limit)
}

fn is_spoken(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}');
    let noncharacter = u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    !(c.is_control() || invisible || noncharacter || matches!(c, '<' | '>' | '&' | '\\' | '`'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_a_speech_service_could_obey_is_left(text in any::<String>()) {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(char::is_control), "{clean:?}");
            prop_assert!(!clean.contains(['<', '>', '&', '\u{202e}']), "{clean:?}");
            prop_assert!(!clean.contains("[[") && !clean.contains("  "), "{clean:?}");
            prop_assert!(!clean.starts_with(['.', ' ']) && !clean.ends_with(' '), "{clean:?}");
            prop_assert_eq!(super::clean(&clean), clean.clone());
        }

        #[test]
        fn brackets_and_dots_in_any_order_are_harmless(text in "[\\[\\]{}.a \n\\x00<&]{0,30}") {
            let clean = clean(&text);
            prop_assert!(!clean.contains("[[") && !clean.starts_with('.') && !clean.contains('\0'), "{clean:?}");
        }

        #[test]
        fn pieces_are_short_and_hold_every_word(text in "([a-zşğ가-힣你好]{1,80}[.!?。, ]{0,2} ){0,60}") {
            let clean = clean(&text);
            let pieces = pieces(&clean);
            let words = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(words(&pieces.concat()), words(&clean));
            for piece in pieces {
                prop_assert!(!piece.is_empty() && piece.chars().count() <= PIECE + 1);
            }
        }
    }

    #[test]
    fn words_stay_as_they_are() {
        for text in ["Merhaba, nasılsın?", "안녕하세요!", "你好。", "l'été à Noël…", "50 % [1] 3.5 a@b.c"]
        {
            assert_eq!(clean(text), text);
        }
        assert_eq!(clean(" a\r\n.\r\nQUIT\tb "), "a . QUIT b");
        assert_eq!(clean("<speak>hi</speak> &lt; x"), "speak hi /speak lt; x");
        assert_eq!(clean("\u{1b}]0;title\u{7}one\0two"), "]0;title one two");
        assert_eq!(clean("...well"), "well");
        assert!(!has_words(&clean("... <<>> !!")));
        assert!(!has_words("？！…") && !has_words("«—»"));
        assert!(has_words("네") && has_words("7") && has_words("🙂") && has_words("￡") && has_words("＜"));
    }

    #[test]
    fn long_texts_are_cut_between_sentences_where_there_are_any() {
        let sentence = "Bu cümle tam yirmi dört.";
        let text = [sentence; 40].join(" ");
        let cut = pieces(&text);
        assert!(cut.len() > 2 && cut.iter().all(|piece| piece.ends_with("dört.")), "{cut:?}");
        let chinese = pieces(&"今天天气很好。".repeat(100));
        assert!(chinese.iter().all(|piece| piece.ends_with('。')));
        assert_eq!(pieces(&"x".repeat(1000)).len(), 5);
        assert_eq!(pieces("short"), ["short"]);
        assert!(pieces("").is_empty());
    }
}
