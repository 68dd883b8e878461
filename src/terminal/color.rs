//! Which colours a terminal shows, and names in them. Colour is never the only carrier of meaning.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use owo_colors::{AnsiColors, OwoColorize, Style, XtermColors};

use crate::model::{Color, Nickname};

/// When to use colour, as `--color` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum When {
    /// On a terminal that shows colours, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Even into a file or a pipe.
    Always,
    /// Not at all.
    Never,
}

/// The colours there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Palette {
    /// None.
    None,
    /// The 16 of ECMA-48 and aixterm.
    Ansi,
    /// The 256 of xterm.
    Xterm,
    /// 24 bits.
    True,
}

impl Palette {
    /// Decides from the option, from whether the output is a terminal, and from the environment.
    ///
    /// 1. `--color never`, or `auto` without a terminal, with a non-empty `NO_COLOR` (<https://no-color.org>)
    ///    or with `TERM` unset, empty or `dumb`: none
    /// 2. `COLORTERM` is `truecolor` or `24bit`, or `TERM` ends in `-direct`: 24 bits
    /// 3. `TERM` holds `256color`: 256
    /// 4. otherwise: 16
    pub fn detect(when: When, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name| variable(name).unwrap_or_default();
        let term = variable("TERM");
        let wanted = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                is_terminal && variable("NO_COLOR").is_empty() && !matches!(term.as_str(), "" | "dumb")
            }
        };
        if !wanted {
            Self::None
        } else if matches!(variable("COLORTERM").as_str(), "truecolor" | "24bit") || term.ends_with("-direct")
        {
            Self::True
        } else if term.contains("256color") {
            Self::Xterm
        } else {
            Self::Ansi
        }
    }

    /// A name in a person's colour.
    pub fn paint(self, color: Color, mark: Mark, name: &str) -> String {
        let paint = color.paint();
        let style = Style::new();
        let style = match self {
            Self::None => return name.to_owned(),
            Self::Ansi => style.color(ansi(paint.ansi)),
            Self::Xterm => style.color(XtermColors::from(paint.xterm)),
            Self::True => style.truecolor(paint.rgb.0, paint.rgb.1, paint.rgb.2),
        };
        let style = if mark.underline { style.underline() } else { style };
        let style = if mark.reverse { style.reversed() } else { style };
        let style = if mark.italic { style.italic() } else { style };
        name.style(style).to_string()
    }

    /// Text that is less important than what is around it.
    pub fn dim(self, text: &str) -> String {
        if self == Self::None { text.to_owned() } else { text.dimmed().to_string() }
    }
}

/// What tells names of one colour apart, beside the names. Never bold, which many terminals show as another, brighter
/// colour. Reversed, the contrast is the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mark {
    /// A line below.
    underline: bool,
    /// Foreground and background swapped.
    reverse: bool,
    /// Slanted; the last to be taken, since not every terminal can.
    italic: bool,
}

impl Mark {
    /// Of somebody before whom so many of the same colour have come up: eight in a row differ.
    fn of_place(place: usize) -> Self {
        let has = |bit: usize| place & bit != 0;
        Self { underline: has(1), reverse: has(2), italic: has(4) }
    }
}

/// Who looks how. A person's colour is the same on every machine; there are fewer colours than people. Of several who
/// share one, all but the first to come up here have a mark. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Looks(Arc<Mutex<HashMap<Color, Vec<Nickname>>>>);

impl Looks {
    /// The mark of somebody of this colour. Stays what it was.
    pub fn mark(&self, nickname: &Nickname, color: Color) -> Mark {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sharing = looks.entry(color).or_default();
        let place = sharing.iter().position(|other| other == nickname);
        let place = place.unwrap_or_else(|| {
            sharing.push(nickname.clone());
            sharing.len() - 1
        });
        Mark::of_place(place)
    }
}

/// The colour of an SGR foreground code: 30 to 37, and 90 to 97.
fn ansi(code: u8) -> AnsiColors {
    match code {
        31 => AnsiColors::Red,
        32 => AnsiColors::Green,
        33 => AnsiColors::Yellow,
        34 => AnsiColors::Blue,
        35 => AnsiColors::Magenta,
        36 => AnsiColors::Cyan,
        91 => AnsiColors::BrightRed,
        92 => AnsiColors::BrightGreen,
        93 => AnsiColors::BrightYellow,
        94 => AnsiColors::BrightBlue,
        95 => AnsiColors::BrightMagenta,
        96 => AnsiColors::BrightCyan,
        _ => AnsiColors::Default,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::model::AccountId;

    fn detect(when: When, is_terminal: bool, variables: &[(&str, &str)]) -> Palette {
        Palette::detect(when, is_terminal, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_terminal_decides_how_many_colours_there_are() {
        let auto = |variables| detect(When::Auto, true, variables);
        assert_eq!(auto(&[("TERM", "linux")]), Palette::Ansi);
        assert_eq!(auto(&[("TERM", "xterm-256color")]), Palette::Xterm);
        assert_eq!(auto(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Palette::True);
        assert_eq!(auto(&[("TERM", "xterm-direct")]), Palette::True);
        assert_eq!(auto(&[("TERM", "dumb")]), Palette::None);
        assert_eq!(auto(&[]), Palette::None);
    }

    #[test]
    fn no_color_and_the_option_have_their_say() {
        let xterm = ("TERM", "xterm-256color");
        assert_eq!(detect(When::Auto, true, &[xterm, ("NO_COLOR", "1")]), Palette::None);
        assert_eq!(detect(When::Auto, true, &[xterm, ("NO_COLOR", "")]), Palette::Xterm);
        assert_eq!(detect(When::Auto, false, &[xterm]), Palette::None);
        assert_eq!(detect(When::Always, false, &[xterm, ("NO_COLOR", "1")]), Palette::Xterm);
        assert_eq!(detect(When::Always, false, &[]), Palette::Ansi);
        assert_eq!(detect(When::Never, true, &[xterm]), Palette::None);
    }

    #[test]
    fn a_name_is_painted_in_the_colours_there_are() {
        let blue: Color = "blue".parse().unwrap();
        let name = |palette: Palette| palette.paint(blue, Mark::default(), "ayşe");
        assert_eq!(name(Palette::None), "ayşe");
        assert_eq!(name(Palette::Ansi), "\u{1b}[34mayşe\u{1b}[0m");
        assert_eq!(name(Palette::Xterm), "\u{1b}[38;5;27mayşe\u{1b}[0m");
        assert_eq!(name(Palette::True), "\u{1b}[38;2;0;107;252mayşe\u{1b}[0m");
    }

    #[test]
    fn who_shares_a_colour_is_marked_and_stays_so() {
        let (blue, red): (Color, Color) = ("blue".parse().unwrap(), "red".parse().unwrap());
        let looks = Looks::default();
        let mark = |nick: &str, color| looks.clone().mark(&nick.parse().unwrap(), color);
        let [none, underline, reverse, both] = [0, 1, 2, 3].map(Mark::of_place);
        assert_eq!((mark("ayşe", blue), mark("burak", red)), (none, none));
        assert_eq!((mark("지민", blue), mark("小明", blue)), (underline, reverse));
        assert_eq!((mark("zoé", blue), mark("AYŞE", blue)), (both, none));
        assert_eq!((mark("지민", blue), mark("zoé", red)), (underline, underline));
        assert_eq!(Palette::Ansi.paint(blue, underline, "지민"), "\u{1b}[34;4m지민\u{1b}[0m");
        assert_eq!(Palette::None.paint(blue, both, "zoé"), "zoé");
    }

    #[test]
    fn eight_people_never_look_alike_and_twelve_as_good_as_never() {
        // People who chose no colour, as they come: their accounts are hashes.
        let account = |number: u64| AccountId::new(Sha256::digest(number.to_be_bytes()).into());
        let differ = |accounts: &[Color]| -> bool {
            let looks = Looks::default();
            let all: HashSet<String> = accounts
                .iter()
                .enumerate()
                .map(|(place, color)| {
                    let nickname = format!("person{place}").parse().unwrap();
                    Palette::Xterm.paint(*color, looks.mark(&nickname, *color), "x")
                })
                .collect();
            all.len() == accounts.len()
        };
        for group in 0..1_000 {
            let colors = |count: u64| -> Vec<Color> {
                (0..count).map(|place| Color::derived(&account(group * 12 + place))).collect()
            };
            assert!(differ(&colors(8)) && differ(&colors(12)), "group {group}");
        }
        // All of one colour.
        assert!(differ(&["blue".parse().unwrap(); 8]));
    }

    #[test]
    fn every_colour_of_the_palette_has_one_of_the_sixteen_to_itself() {
        for paint in &Color::PALETTE {
            assert_ne!(ansi(paint.ansi), AnsiColors::Default, "{}", paint.name);
            let same = Color::PALETTE.iter().filter(|other| other.ansi == paint.ansi).count();
            assert_eq!(same, 1, "{}", paint.name);
        }
    }
}
