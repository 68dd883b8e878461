//! What Tab lists where several completions are possible: no more than the screen holds, since the editor asks before it
//! goes on with a longer list, and nothing that arrives is shown until somebody answers.

use rustyline::completion::{Pair, longest_common_prefix};
use terminal_size::{Height, Width, terminal_size};
use unicode_width::UnicodeWidthStr;

/// Columns between two choices.
const GAP: usize = 2;
/// Lines that are not the list's: the one being typed, and the one that the list begins behind.
const OTHER_LINES: usize = 2;
/// Where nobody knows how large the screen is: columns and lines.
const USUAL: (usize, usize) = (80, 24);

/// As many as fit on the screen, and how many more there are.
pub fn that_fit(completions: Vec<String>) -> Vec<Pair> {
    let size = terminal_size().map(|(Width(columns), Height(lines))| (columns.into(), lines.into()));
    fitting(completions, size.unwrap_or(USUAL))
}

fn fitting(completions: Vec<String>, (columns, lines): (usize, usize)) -> Vec<Pair> {
    let width = |text: &str| text.width() + GAP;
    let rest = format!("and {} more", completions.len());
    let widest = completions.iter().map(|text| width(text)).max().unwrap_or(0).max(width(&rest));
    let room = (columns / widest).max(1) * lines.saturating_sub(OTHER_LINES).max(2);
    if completions.len() <= room {
        return completions
            .into_iter()
            .map(|text| Pair { display: text.clone(), replacement: text })
            .collect();
    }
    // What all of them begin with is typed, not only what those on the screen begin with.
    let common = longest_common_prefix(&completions).unwrap_or_default().to_owned();
    let more = completions.len() + 1 - room;
    let shown = completions.into_iter().take(room - 1);
    shown
        .map(|text| Pair { display: text.clone(), replacement: text })
        .chain([Pair { display: format!("and {more} more"), replacement: common }])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("friend{number:04}")).collect()
    }

    #[test]
    fn a_list_is_as_long_as_the_screen_allows() {
        // "and 160 more" and a gap are the widest: one in 20 columns, five in 80.
        for (size, room) in [((20, 24), 22), ((80, 24), 5 * 22), ((20, 3), 2), ((1, 1), 2)] {
            let all = fitting(texts(room), size);
            assert_eq!(all.len(), room, "{size:?}");
            assert!(all.iter().all(|choice| choice.display == choice.replacement));
            let texts = texts(room + 50);
            let common = longest_common_prefix(&texts).unwrap().to_owned();
            let some = fitting(texts, size);
            assert_eq!(some.len(), room, "{size:?}");
            assert_eq!(some.last().unwrap().display, "and 51 more");
            assert_eq!(longest_common_prefix(&some), Some(common.as_str()), "{size:?}");
        }
        assert!(fitting(Vec::new(), (80, 24)).is_empty());
    }
}
