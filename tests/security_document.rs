//! What the documents say that tests show: each test that they name is one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may"
)]

use std::collections::BTreeSet;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SECURITY: &str = include_str!("../docs/security.md");

/// Names of settings and of pragmas have fewer.
const UNDERSCORES: usize = 3;

/// All `.rs` files in a folder and in those in it.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&Path::new(ROOT).join(folder), &mut files);
    }
    let mut found = BTreeSet::new();
    for file in &files {
        let mut is_test = false;
        for line in file.lines().map(str::trim_start) {
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(promise) = line.strip_prefix("pub async fn ")
                && let Some((name, _)) = promise.split_once("<S: Store>(")
            {
                // Of every store, by the conformance suite.
                found.insert(name.to_owned());
            } else if let Some(function) = function {
                let name = function.split('(').next().unwrap_or_default();
                if std::mem::take(&mut is_test) {
                    found.insert(name.to_owned());
                }
            }
        }
    }
    found
}

/// Whether it could be the name of a test, or the beginning of one.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '…'))
}

/// What stands in backquotes in a text, and could be a test's name.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|name| is_word(name) && name.matches('_').count() >= UNDERSCORES)
}

/// What stands in backquotes where names of tests and of fuzz targets stand, however short: at the beginning of brackets and
/// behind commas there, as in (`blocking`, `a_test`), and in a table's third column.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    let brackets = text.match_indices("(`").filter_map(|(at, _)| Some(text[at + 1..].split_once(')')?.0));
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split('|').nth(3));
    brackets.chain(cells).flat_map(|names| names.split('`').skip(1).step_by(2)).filter(|name| is_word(name))
}

/// Whether there is a test of this name, which may leave off its end: `a_test_with_…`.
fn is_one(name: &str, tests: &BTreeSet<String>) -> bool {
    match name.strip_suffix('…') {
        Some(begins) => tests.iter().any(|test| test.starts_with(begins)),
        None => tests.contains(name),
    }
}

#[test]
fn every_test_that_a_document_names_is_one() {
    let tests = tests();
    assert!(tests.len() > 500 && tests.contains("every_test_that_a_document_names_is_one"));
    assert!(named(SECURITY).count() > 100);
    // The words of json.md are those of errors.
    let documents = [
        "README",
        "docs/architecture",
        "docs/decisions",
        "docs/performance",
        "docs/protocol",
        "docs/security",
    ];
    let is_fuzzed = |name: &str| {
        let target = Path::new(ROOT).join("fuzz/fuzz_targets").join(name).with_extension("rs");
        target.exists()
    };
    let none: Vec<&str> = listed(SECURITY).filter(|name| !is_one(name, &tests) && !is_fuzzed(name)).collect();
    assert!(none.is_empty(), "security.md names what is no test: {none:?}");
    let promises = ["blobs_of_others", "blocking", "sharing"];
    assert!(promises.iter().all(|promise| listed(SECURITY).any(|name| name == *promise)));
    for path in documents.map(|name| Path::new(ROOT).join(name).with_extension("md")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let none: Vec<&str> = named(&text).filter(|name| !is_one(name, &tests)).collect();
        assert!(none.is_empty(), "{} names what is no test: {none:?}", path.display());
    }
}

/// Words that something is claimed by.
const NO: [&str; 6] = ["no", "never", "nothing", "nobody", "none", "neither"];

/// Sentences with such a word that promise nothing, by how they begin: they say what is not there, what somebody may do
/// all the same, or what was done to find out.
const PROMISE_NOTHING: [&str; 14] = [
    "Nobody outside the project has reviewed it",
    "A leaf that names one before it",
    "It need not filter all of it",
    "Two people who are shown two TLS keys",
    "Whoever believes it goes on",
    "A client goes by the log as it has read it",
    "A server that answers nothing about its log",
    "Beyond some 100,000 accounts",
    "None of that is built",
    "Behind a proxy",
    "After about six weeks",
    "None of this covers",
    "Nothing was found",
    // The compiler shows it.
    "No `unsafe` in this crate",
];

/// The words of a text in small letters, without what stands in backquotes.
fn words(text: &str) -> impl Iterator<Item = String> {
    let spoken: String = text.split('`').step_by(2).collect();
    let words: Vec<String> = spoken.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
    words.into_iter()
}

/// The sentences of a document that stand in no table and are no heading.
fn sentences(document: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in document.lines().map(str::trim) {
        let item = line.strip_prefix("- ");
        if item.is_some() || line.is_empty() || line.starts_with(['|', '#']) {
            paragraphs.push(String::new());
        }
        if let (Some(paragraph), false) = (paragraphs.last_mut(), line.starts_with(['|', '#'])) {
            paragraph.push_str(item.unwrap_or(line));
            paragraph.push(' ');
        }
    }
    let mut sentences = Vec::new();
    for paragraph in paragraphs {
        let mut rest = paragraph.trim();
        while let Some((end, _)) = rest.match_indices(". ").find(|(end, _)| {
            let next = rest.get(end + 2..).and_then(|rest| rest.chars().next());
            next.is_none_or(|next| next.is_uppercase() || matches!(next, '`' | '*'))
        }) {
            sentences.push(rest[..end].to_owned());
            rest = &rest[end + 2..];
        }
        sentences.push(rest.to_owned());
    }
    sentences
}

#[test]
fn every_no_in_a_sentence_of_the_security_document_names_a_test() {
    let tests = tests();
    let (mut count, mut excused, mut bare) = (0, BTreeSet::new(), Vec::new());
    for sentence in sentences(SECURITY) {
        if !words(&sentence).any(|word| NO.contains(&word.as_str())) {
            continue;
        }
        count += 1;
        if let Some(begins) = PROMISE_NOTHING.iter().find(|begins| sentence.starts_with(**begins)) {
            excused.insert(*begins);
        } else if !named(&sentence).any(|name| is_one(name, &tests)) {
            bare.push(sentence);
        }
    }
    assert!(bare.is_empty(), "no test shows: {bare:#?}");
    assert!(count > 20, "{count}");
    let stale: Vec<_> = PROMISE_NOTHING.iter().filter(|begins| !excused.contains(**begins)).collect();
    assert!(stale.is_empty(), "nothing begins so any more: {stale:?}");
}

/// Cells with such a word that promise nothing, by how they begin.
const CELLS_PROMISE_NOTHING: [&str; 3] =
    ["yes: neither is signed", "yes: `profile.json`", "yes: signatures are not deniable"];

#[test]
fn every_no_in_a_table_of_the_security_document_names_a_test() {
    let tests = tests();
    let (mut count, mut excused) = (0, BTreeSet::new());
    for line in SECURITY.lines().filter(|line| line.starts_with("| ")) {
        let Some(says) = line.split('|').nth(2).map(str::trim) else { continue };
        if !words(says).any(|word| word == "not" || NO.contains(&word.as_str())) {
            continue;
        }
        count += 1;
        match CELLS_PROMISE_NOTHING.iter().find(|begins| says.starts_with(**begins)) {
            Some(begins) => drop(excused.insert(*begins)),
            None => {
                assert!(named(line).any(|name| is_one(name, &tests)), "no test shows it: {line}");
            }
        }
    }
    assert!(count > 60, "{count}");
    assert_eq!(excused.len(), CELLS_PROMISE_NOTHING.len(), "some begin so no more: {excused:?}");
}

#[test]
fn every_file_that_the_security_document_names_is_there() {
    let quoted = SECURITY.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let files = quoted.filter(|name| name.starts_with("tests/") || name.starts_with("fuzz/"));
    for file in files {
        assert!(Path::new(ROOT).join(file).exists(), "{file}");
    }
}
