//! Who may import whom: what `docs/architecture.md` says of each folder of `src`, held against what is written there.
//!
//! Unit tests are not held to it: a client's may start a server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Public in the crate for `load` alone: whoever may import the client does not thereby import this.
const LINK: &str = "client::link";

/// What stands in back quotes in a cell.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// What each folder may import, by the document's table.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let document = std::fs::read_to_string("docs/architecture.md").unwrap();
    let table = document.lines().skip_while(|line| !line.starts_with("| folder | imports |")).skip(2);
    let mut allowed = BTreeMap::new();
    for line in table.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').collect();
        for folder in quoted(cells[1]) {
            allowed.insert(folder, quoted(cells[2]).collect());
        }
    }
    allowed
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The program's own lines of a file: neither comments nor unit tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let own = text.split("#[cfg(test)]\nmod ").next().unwrap();
    own.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The paths from the crate's root in a file, two names of each.
fn paths(code: &str) -> Vec<String> {
    let after = code.split("crate::").skip(1);
    after
        .map(|path| {
            let end = path.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(path.len());
            path[..end].split("::").take(2).filter(|name| !name.is_empty()).collect::<Vec<_>>().join("::")
        })
        .collect()
}

#[test]
fn no_folder_imports_what_the_architecture_does_not_allow_it() {
    let allowed = allowed();
    let entries = std::fs::read_dir("src").unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<String> = entries
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(allowed.keys().cloned().collect::<BTreeSet<_>>(), folders, "the document's table is of src");

    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (folder, allowed) in &allowed {
        for file in files(&Path::new("src").join(folder)) {
            if file.file_name().unwrap().to_string_lossy().ends_with("tests.rs") {
                continue;
            }
            for path in paths(&code(&file)) {
                let name = path.split("::").next().unwrap();
                assert_ne!(name, "", "{}: one import a line can be read here", file.display());
                if name == folder {
                    continue;
                }
                let whole = (path != LINK).then_some(name);
                let by = allowed.iter().find(|by| whole == Some(by.as_str()) || path == **by);
                let by = by.unwrap_or_else(|| panic!("{} imports {path}: {folder} may not", file.display()));
                used.entry(folder).or_default().insert(by);
            }
        }
    }
    for (folder, allowed) in &allowed {
        let unused: Vec<_> = allowed
            .iter()
            .filter(|by| used.get(folder.as_str()).is_none_or(|used| !used.contains(by.as_str())))
            .collect();
        assert!(unused.is_empty(), "{folder} imports none of {unused:?}: the document need not allow it");
    }
}
