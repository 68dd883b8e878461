//! What Tab completes: commands at the beginning of a line, and names.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Address;

use super::command::COMMANDS;
use super::rooms::DEEDS;

/// The names that can be completed. Clones are the same list.
#[derive(Clone, Default, Debug)]
pub struct Names(Arc<Mutex<Vec<Address>>>);

impl Names {
    /// Adds those that are not there yet.
    pub fn add<'a>(&self, names: impl IntoIterator<Item = &'a Address>) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if !list.contains(name) {
                list.push(name.clone());
            }
        }
        list.sort_by_cached_key(Address::folded);
    }

    /// Completions of the word that ends at a byte position: where it begins, and what it may become.
    pub fn complete(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = line.get(..position).unwrap_or(line);
        let begin = before.rfind(char::is_whitespace).map_or(0, |place| {
            place + before.get(place..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        let word = before.get(begin..).unwrap_or_default();
        if begin == 0 && word.starts_with('/') {
            let commands = COMMANDS.iter().map(|(name, ..)| *name).filter(|name| *name != "//");
            return (
                0,
                commands.filter(|name| name.starts_with(word)).map(|name| format!("{name} ")).collect(),
            );
        }
        let argument = before.get(..begin).unwrap_or_default();
        if argument.trim_end() == "/speak" {
            let choices = ["on", "off"].into_iter().filter(|choice| choice.starts_with(word));
            return (begin, choices.map(str::to_owned).collect());
        }
        if argument.trim_end() == "/room" {
            let deeds = DEEDS.into_iter().filter(|deed| deed.starts_with(word));
            return (begin, deeds.map(|deed| format!("{deed} ")).collect());
        }
        let naming = argument.trim_end() == "/to";
        // Where a room is looked for it need not be marked.
        let bare =
            ["/to ", "/unread ", "/members ", "/room "].iter().any(|command| argument.starts_with(command));
        if word.is_empty() && !naming {
            return (position, Vec::new());
        }
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let folded = word.to_lowercase();
        let begins = |name: &&Address| match name {
            Address::Person(name) => name.folded().starts_with(&folded),
            Address::Room(name) => {
                format!("#{}", name.folded()).starts_with(&folded)
                    || bare && name.folded().starts_with(&folded)
            }
        };
        let found = list.iter().filter(begins);
        (begin, found.map(Address::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let names = Names::default();
        let people: Vec<Address> = ["zoé", "burak", "지민", "小明", "ayşe", "Burcu"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        names.add(&people);
        names.add(&people);
        names
    }

    fn complete(line: &str) -> (usize, Vec<String>) {
        names().complete(line, line.len())
    }

    fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
        words.map(str::to_owned).to_vec()
    }

    #[test]
    fn commands_are_completed_at_the_beginning_only() {
        assert_eq!(complete("/h"), (0, words(["/help ", "/history "])));
        assert_eq!(complete("/q"), (0, words(["/quit "])));
        assert_eq!(complete("look: /q").1, words([]));
        assert_eq!(complete("/speak o"), (7, words(["on", "off"])));
    }

    #[test]
    fn names_are_completed_everywhere_whatever_the_case() {
        assert_eq!(complete("/to bu"), (4, words(["burak", "Burcu"])));
        assert_eq!(complete("/to BURA"), (4, words(["burak"])));
        assert_eq!(complete("selam 지"), (6, words(["지민"])));
        assert_eq!(complete("小"), (0, words(["小明"])));
        assert_eq!(complete("ZO"), (0, words(["zoé"])));
        assert_eq!(complete("/to ").1.len(), 6);
        assert_eq!(complete("merhaba ").1, words([]));
        let names = names();
        names.add(&["#Garden".parse().unwrap()]);
        assert_eq!(names.complete("/to #g", 6), (4, words(["#Garden"])));
        assert_eq!(names.complete("/to g", 5), (4, words(["#Garden"])));
        assert_eq!(names.complete("/room invite g", 14), (13, words(["#Garden"])));
        assert_eq!(names.complete("the g", 5).1, words([]), "in a text it is marked");
        assert_eq!(names.complete("/room inv", 9), (6, words(["invite "])));
        assert_eq!(names.complete("/room invite #", 14), (13, words(["#Garden"])));
    }

    #[test]
    fn the_middle_of_a_line_is_completed_too() {
        assert_eq!(names().complete("/to bur, merhaba", 7), (4, words(["burak", "Burcu"])));
    }
}
