//! What of a text is spoken. Texts come from others: they are data, never markup, commands or control characters.

/// Characters of the longest piece that is handed to the speech service at once.
pub const PIECE: usize = 400;

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
    clean.chars().any(|c| c.is_alphanumeric() || !c.is_ascii() && !c.is_whitespace())
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
