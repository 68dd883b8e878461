//! What a text is made of: words, and what is only announced.

use super::text;

/// A stretch of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stretch {
    /// Words, cleaned, without repeated signs.
    Words(String),
    /// A link: the host that it leads to.
    Link(String),
    /// A block of code, fenced as in Markdown: so many lines.
    Code(usize),
}

/// What a fence of a block of code begins with.
const FENCE: &str = "```";

/// Takes a text apart, as it came.
pub fn stretches(text: &str) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut words = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        // A fence of one line is words: `` ```x``` ``.
        let opens = line.trim_start().strip_prefix(FENCE).is_some_and(|rest| !rest.contains(FENCE));
        if opens {
            links(&std::mem::take(&mut words), &mut found);
            let count = lines.by_ref().take_while(|line| !line.trim_start().starts_with(FENCE)).count();
            found.push(Stretch::Code(count));
        } else {
            words.push_str(line);
            words.push('\n');
        }
    }
    links(&words, &mut found);
    found
}

/// Finds the links among words.
fn links(words: &str, found: &mut Vec<Stretch>) {
    let mut plain = String::new();
    for word in words.split_inclusive(char::is_whitespace) {
        match link(word) {
            Some((before, host, after)) => {
                plain.push_str(before);
                push(&std::mem::take(&mut plain), found);
                found.push(Stretch::Link(host.to_owned()));
                plain.push_str(after);
            }
            None => plain.push_str(word),
        }
    }
    push(&plain, found);
}

fn push(words: &str, found: &mut Vec<Stretch>) {
    let clean = text::clean(&once(words));
    if !clean.is_empty() {
        found.push(Stretch::Words(clean));
    }
}

/// A word that is a link: what stands before it, its host, and what stands after it.
fn link(word: &str) -> Option<(&str, &str, &str)> {
    let at = ["https://", "http://", "www."].into_iter().filter_map(|start| word.find(start)).min()?;
    let (before, link) = word.split_at_checked(at)?;
    let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
    let end = rest.find(|c: char| matches!(c, '/' | '?' | '#') || !is_in_host(c)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    // What stands before an @ is a name, even if it looks like a host.
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?.trim_end_matches('.');
    // What ends the sentence is not part of the link.
    let kept = if path.starts_with(['/', '?', '#']) { rest } else { authority };
    let kept = kept.trim_end().trim_end_matches(is_closing).len();
    (!host.is_empty()).then_some((before, host, rest.get(kept..)?))
}

fn is_in_host(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@' | '%')
}

fn is_closing(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '>' | '"' | '\'' | '»' | '”' | '’')
        || matches!(c, '。' | '，' | '！' | '？' | '）' | '」' | '』')
}

/// With signs that repeat said once: nobody wants to hear the name of an emoji ten times.
fn once(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let mut last = None;
    for c in words.chars() {
        // What only changes how the sign before it looks, or stands between two.
        if matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}') {
            continue;
        }
        if last == Some(c) {
            continue;
        }
        if is_sign(c) {
            last = Some(c);
        } else if !c.is_whitespace() {
            last = None;
        }
        kept.push(c);
    }
    kept
}

/// Emoji, arrows and the like.
fn is_sign(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1f1e5}' | '\u{1f200}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(words: &str) -> Stretch {
        Stretch::Words(words.to_owned())
    }

    fn host(host: &str) -> Stretch {
        Stretch::Link(host.to_owned())
    }

    #[test]
    fn of_a_link_only_the_host_is_left() {
        for (text, expected) in [
            (
                "look: https://example.org/a/b?c=d#e now",
                vec![words("look:"), host("example.org"), words("now")],
            ),
            ("https://example.org.", vec![host("example.org")]),
            ("see (http://example.org:8080/x).", vec![words("see ("), host("example.org"), words(").")]),
            ("www.example.org, yes", vec![host("www.example.org"), words(", yes")]),
            ("https://bank.example@evil.example/login", vec![host("evil.example")]),
            ("https://지민.kr/안녕 보세요", vec![host("지민.kr"), words("보세요")]),
            ("https:// nothing", vec![words("https:// nothing")]),
            ("example.org is a name", vec![words("example.org is a name")]),
        ] {
            assert_eq!(stretches(text), expected, "{text}");
        }
    }

    #[test]
    fn blocks_of_code_are_counted_and_not_read() {
        let text = "look:\n```rust\nfn main() {\n}\n```\nthat is it";
        assert_eq!(stretches(text), [words("look:"), Stretch::Code(2), words("that is it")]);
        assert_eq!(stretches("```\na\nb"), [Stretch::Code(2)]);
        assert_eq!(stretches("use ```x``` or `y`"), [words("use x or y")]);
    }

    #[test]
    fn signs_that_repeat_are_said_once() {
        assert_eq!(stretches("😂😂 😂 haha 😂"), [words("😂 haha 😂")]);
        assert_eq!(stretches("👍🏽👍🏿❤️❤️"), [words("👍❤")]);
        assert_eq!(stretches("aaa 111 好好 ㅋㅋㅋ"), [words("aaa 111 好好 ㅋㅋㅋ")]);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart(text in "(https?://|www\\.|```|\n|[ .:@/?#a-z가好😂)]){0,40}") {
            for stretch in stretches(&text) {
                match stretch {
                    Stretch::Words(words) => prop_assert!(!words.is_empty()),
                    Stretch::Link(host) => prop_assert!(!host.is_empty() && !host.contains(char::is_whitespace)),
                    Stretch::Code(_) => {}
                }
            }
        }
    }
}
