//! What a text is made of: words, and what is only announced.

use unicode_script::{Script, UnicodeScript};

use super::text;

/// What stands for signs that markup is made of, where they are meant.
pub(super) const LESS: char = '＜';
pub(super) const GREATER: char = '＞';
pub(super) const AND: char = '＆';

/// A stretch of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stretch {
    /// Words, cleaned, without repeated signs.
    Words(String),
    /// A link: the host that it leads to.
    Link(String),
    /// A block of code, fenced as in Markdown: so many lines.
    Code(usize),
    /// All of a text in which nothing has a sound, such as `:)`.
    Symbols,
}

/// What a fence of a block of code begins with.
const FENCE: &str = "```";

/// Takes a text apart, as it came. Only of an empty one nothing is left.
pub fn stretches(message: &str) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut words = String::new();
    let mut lines = message.lines();
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
    let is_silent = |stretch: &Stretch| matches!(stretch, Stretch::Words(words) if !text::has_words(words));
    if !message.is_empty() && found.iter().all(is_silent) {
        return vec![Stretch::Symbols];
    }
    found
}

/// Finds the links among words.
fn links(mut words: &str, found: &mut Vec<Stretch>) {
    while let Some((before, host, after)) = link(words) {
        push(before, found);
        found.push(Stretch::Link(host.to_owned()));
        words = after;
    }
    push(words, found);
}

fn push(words: &str, found: &mut Vec<Stretch>) {
    let clean = text::clean(&signs(&once(words)));
    if !clean.is_empty() {
        found.push(Stretch::Words(clean));
    }
}

/// The first link in a text: what stands before it, its host, and what stands after it.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let mut before = ' ';
    text.char_indices().find_map(|(at, c)| {
        let last = std::mem::replace(&mut before, c);
        let (words, link) = text.split_at_checked(at)?;
        let (host, after) = link_at(link, last)?;
        Some((words, host, after))
    })
}

/// A text that begins with a link, after this character: its host, and what stands after it.
fn link_at(text: &str, before: char) -> Option<(&str, &str)> {
    let after = |start: &str| {
        let (begin, rest) = text.split_at_checked(start.len())?;
        begin.eq_ignore_ascii_case(start).then_some(rest)
    };
    if let Some(rest) = after("https://").or_else(|| after("http://")) {
        return target(rest);
    }
    // Not in the middle of a word, and not without the name of a host.
    after("www.").filter(|_| !before.is_alphanumeric() || runs_on(before))?;
    target(text).filter(|(host, _)| host.split('.').skip(1).filter(|label| !label.is_empty()).count() > 1)
}

/// Where a link leads to, from its authority on: its host, and what stands after it. Who writes without blanks puts none
/// after a link: in doubt something belongs to the text, so that it is read.
fn target(link: &str) -> Option<(&str, &str)> {
    let end = link.find(|c: char| !is_in_host(c)).unwrap_or(link.len());
    let end = link.get(..end).and_then(glued).unwrap_or(end);
    let (authority, path) = link.split_at_checked(end)?;
    // What stands before an @ is a name, even if it looks like a host.
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?.trim_end_matches('.');
    let end = if path.starts_with(['/', '?', '#']) {
        let is_over = |c: char| c.is_whitespace() || runs_on(c) || is_sign(c);
        end + path.find(is_over).unwrap_or(path.len())
    } else {
        end
    };
    // What ends the sentence is not part of the link.
    let kept = link.get(..end)?.trim_end_matches(is_closing).len();
    (!host.is_empty()).then_some((host, link.get(kept..)?))
}

/// Where a host is followed by a word without a blank: in its last label, or its port, after ASCII. A label that is not
/// ASCII from its beginning is the host's own, as is one that another follows: that is where the link leads to.
fn glued(authority: &str) -> Option<usize> {
    let last = authority.trim_end_matches('.').rfind(['.', '@']).map_or(0, |at| at + 1);
    let label = authority.get(last..)?;
    let first = label.find(|c: char| c.is_ascii_alphanumeric())?;
    Some(last + first + label.get(first..)?.find(runs_on)?)
}

fn is_in_host(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@' | '%')
}

/// Letters that are written without blanks between words, and the punctuation of those who write so.
fn runs_on(c: char) -> bool {
    let script = c.script();
    matches!(script, Script::Han | Script::Hiragana | Script::Katakana | Script::Bopomofo | Script::Hangul)
        || matches!(script, Script::Thai | Script::Lao | Script::Khmer | Script::Myanmar)
        || matches!(c, '\u{3001}'..='\u{303f}' | '\u{30fb}' | '\u{30fc}' | '\u{ff00}'..='\u{ffef}')
        || matches!(c, '“' | '”' | '‘' | '…' | '—')
}

fn is_closing(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '>' | '"' | '\'' | '»' | '”' | '’')
        || matches!(c, '。' | '，' | '！' | '？' | '）' | '」' | '』')
}

/// Signs that mean something by themselves, in a form that no service takes for markup: `<` and `>` where they compare, `&`
/// between words. Others of them are markup, quotes, arrows: left out later.
pub(super) fn signs(words: &str) -> String {
    let mut before = '\n';
    let mut chars = words.chars().peekable();
    std::iter::from_fn(|| {
        let c = chars.next()?;
        let (last, next) = (std::mem::replace(&mut before, c), chars.peek().copied().unwrap_or('\n'));
        let apart = |c: char| matches!(c, ' ' | '\t');
        let between = apart(last) && apart(next) || last.is_alphanumeric() && next.is_alphanumeric();
        let of_number = last.is_ascii_digit() || next.is_ascii_digit();
        let compares = apart(last) && (apart(next) || next == '=')
            || of_number
                && !last.is_ascii_punctuation()
                && (next.is_alphanumeric() || matches!(next, ' ' | '='));
        Some(match c {
            '<' if compares => LESS,
            '>' if compares => GREATER,
            '&' if between => AND,
            c => c,
        })
    })
    .collect()
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
            ("https:// nothing", vec![words("https:// nothing")]),
            ("HTTPS://Example.org/A", vec![host("Example.org")]),
            ("https://a.example/b https://c.example", vec![host("a.example"), host("c.example")]),
            ("example.org is a name", vec![words("example.org is a name")]),
        ] {
            assert_eq!(stretches(text), expected, "{text}");
        }
    }

    #[test]
    fn what_follows_a_link_without_a_blank_is_read() {
        for (text, expected) in [
            (
                "看 https://example.org/a，然后告诉我你怎么想",
                vec![words("看"), host("example.org"), words("，然后告诉我你怎么想")],
            ),
            ("https://example.org/看完告诉我", vec![host("example.org"), words("看完告诉我")]),
            ("看https://example.org/a看完说", vec![words("看"), host("example.org"), words("看完说")]),
            ("https://example.org를 보세요", vec![host("example.org"), words("를 보세요")]),
            ("https://example.org/a?b=c#d를 봐", vec![host("example.org"), words("를 봐")]),
            ("http://example.org:8080에서", vec![host("example.org"), words("에서")]),
            ("（www.example.org）です", vec![words("（"), host("www.example.org"), words("）です")]),
            ("“https://example.org/a”是什么", vec![words("“"), host("example.org"), words("”是什么")]),
            (
                "https://a.example/1、https://b.example/2。",
                vec![host("a.example"), words("、"), host("b.example"), words("。")],
            ),
            ("ดู https://example.org/aแล้ว", vec![words("ดู"), host("example.org"), words("แล้ว")]),
            ("https://example.org/a😂", vec![host("example.org"), words("😂")]),
        ] {
            assert_eq!(stretches(text), expected, "{text}");
        }
    }

    #[test]
    fn a_host_in_letters_of_its_own_is_said_as_it_is() {
        for (text, expected) in [
            ("https://지민.kr/안녕 보세요", vec![host("지민.kr"), words("안녕 보세요")]),
            ("https://지민.한국/a", vec![host("지민.한국")]),
            ("https://3d打印.com 好", vec![host("3d打印.com"), words("好")]),
            // Where it leads to, and not where it seems to.
            ("https://bank.example看.evil.example", vec![host("bank.example看.evil.example")]),
            ("https://bank.example看@16843009/", vec![host("16843009")]),
        ] {
            assert_eq!(stretches(text), expected, "{text}");
        }
    }

    #[test]
    fn www_in_the_middle_of_a_word_and_without_a_host_is_no_link() {
        for text in ["Awww... that is sweet", "Awww.example.org", "www. what?", "www...", "ＷＷＷ www.x"] {
            assert_eq!(stretches(text), [words(text)], "{text}");
        }
        assert_eq!(stretches("Awww... https://example.org"), [words("Awww..."), host("example.org")]);
        assert_eq!(stretches("(WWW.Example.org)"), [words("("), host("WWW.Example.org"), words(")")]);
    }

    #[test]
    fn signs_that_mean_something_are_kept_in_a_form_that_is_no_markup() {
        for (text, kept) in [
            ("5 < 6, x > y", "5 ＜ 6, x ＞ y"),
            ("5<6 and x>3, <5 or >18", "5＜6 and x＞3, ＜5 or ＞18"),
            ("5 <= 6", "5 ＜= 6"),
            ("R&D, you & me", "R＆D, you ＆ me"),
            // Quotes, arrows, markup.
            ("> said", "said"),
            ("a -> b => c <- d", "a - b = c - d"),
            ("<b>hi</b> &amp; &&", "b hi /b amp;"),
        ] {
            assert_eq!(stretches(text), [words(kept)], "{text}");
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
    fn of_a_text_without_a_sound_it_is_left_that_there_is_one() {
        for text in [":)", "???", "…", "？！", "<>", "\u{200b}", " \n", "-- !!"] {
            assert_eq!(stretches(text), [Stretch::Symbols], "{text}");
        }
        assert_eq!(stretches(""), []);
        assert_eq!(stretches("🙂"), [words("🙂")]);
        assert_eq!(stretches(":) https://example.org"), [words(":)"), host("example.org")]);
    }

    #[test]
    fn signs_that_repeat_are_said_once() {
        assert_eq!(stretches("😂😂 😂 haha 😂"), [words("😂 haha 😂")]);
        assert_eq!(stretches("👍🏽👍🏿❤️❤️"), [words("👍❤")]);
        assert_eq!(stretches("aaa 111 好好 ㅋㅋㅋ"), [words("aaa 111 好好 ㅋㅋㅋ")]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_written_without_blanks_is_lost(text in "(https?://|www\\.|[ ./?#a-z0가好，。]){0,40}") {
            let of = |text: &str| text.chars().filter(|c| matches!(c, '가' | '好')).collect::<String>();
            let kept = stretches(&text).into_iter().map(|stretch| match stretch {
                Stretch::Words(words) | Stretch::Link(words) => of(&words),
                Stretch::Code(_) | Stretch::Symbols => String::new(),
            });
            prop_assert_eq!(kept.collect::<String>(), of(&text));
        }

        #[test]
        fn any_text_is_taken_apart(text in "(https?://|www\\.|```|\n|[ .:@/?#a-z가好😂)]){0,40}") {
            for stretch in stretches(&text) {
                match stretch {
                    Stretch::Words(words) => prop_assert!(!words.is_empty()),
                    Stretch::Link(host) => prop_assert!(!host.is_empty() && !host.contains(char::is_whitespace)),
                    Stretch::Code(_) | Stretch::Symbols => {}
                }
            }
        }
    }
}
