//! Makes text from others safe to print.
//!
//! A terminal obeys control characters: they move the cursor, recolour, rename the window, answer with the
//! reader's own input. Invisible direction marks make text read as what it is not (Trojan Source,
//! CVE-2021-42574). Neither reaches the terminal: controls are shown as pictures (␛), the others as �.

use std::borrow::Cow;

/// Text on one line: line breaks are shown as ⏎, tabs as spaces.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in unify_breaks(text).chars() {
        match c {
            '\n' => safe.push('⏎'),
            c => push(&mut safe, c),
        }
    }
    Cow::Owned(safe)
}

/// Text on one or more lines: those after the first are indented by so many columns, so that none of them can
/// pass for a line of its own. Line breaks at the end are left out.
pub fn block(text: &str, indent: usize) -> String {
    let text = unify_breaks(text);
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.trim_end_matches('\n').chars() {
        match c {
            '\n' => {
                safe.push('\n');
                safe.extend(std::iter::repeat_n(' ', indent.max(1)));
            }
            c => push(&mut safe, c),
        }
    }
    safe
}

/// Whether a character is safe to print as it is.
pub fn is_plain(c: char) -> bool {
    !c.is_control() && !is_deceptive(c) && !is_break(c)
}

/// Every kind of line break becomes one newline (Unicode 16, section 5.8).
fn unify_breaks(text: &str) -> String {
    text.replace("\r\n", "\n").replace(is_break, "\n")
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn push(safe: &mut String, c: char) {
    match c {
        '\t' => safe.push_str("    "),
        // The block "Control Pictures" has a picture for each C0 control, in their order.
        '\0'..='\u{1f}' => safe.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
        '\u{7f}' => safe.push('␡'),
        c if c.is_control() || is_deceptive(c) => safe.push('\u{fffd}'),
        c => safe.push(c),
    }
}

/// Characters that are not seen but change how others are: embeddings, overrides and isolates (Unicode
/// annex 9), their deprecated kin, and the marks of interlinear annotation. The joiners that many scripts and
/// emoji need are left alone.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_text_of_all_scripts_is_left_alone() {
        for text in
            ["merhaba, nasılsın?", "안녕하세요 👋🏽", "你好，小明", "ça va ? «très bien»", "👩‍👩‍👧 नमस्ते שלום"]
        {
            assert_eq!(line(text), text);
            assert_eq!(block(text, 4), text);
        }
    }

    #[test]
    fn escape_sequences_are_seen_and_not_obeyed() {
        assert_eq!(line("\u{1b}[31mred\u{7}"), "␛[31mred␇");
        assert_eq!(line("\u{9b}31m\u{7f}"), "\u{fffd}31m␡");
        assert_eq!(line("a\u{202e}cod.exe\u{2066}"), "a\u{fffd}cod.exe\u{fffd}");
    }

    #[test]
    fn no_line_of_a_text_passes_for_a_message() {
        let text = "hi\r\n12:00 burak: I owe you 100\u{2028}really\rtruly\n\n";
        assert_eq!(block(text, 3), "hi\n   12:00 burak: I owe you 100\n   really\n   truly");
        assert_eq!(line("one\ntwo\tthree"), "one⏎two    three");
    }

    proptest! {
        #[test]
        fn nothing_but_our_own_newlines_controls_the_terminal(text in any::<String>(), indent in 0..9usize) {
            prop_assert!(line(&text).chars().all(is_plain));
            let block = block(&text, indent);
            prop_assert!(block.chars().all(|c| c == '\n' || is_plain(c)));
            let mut lines = block.split('\n').skip(1);
            prop_assert!(lines.all(|line| line.starts_with(' ')));
        }

        #[test]
        fn what_is_safe_already_stays_the_same(text in any::<String>()) {
            let once = line(&text).into_owned();
            prop_assert!(line(&once) == once);
        }
    }
}
