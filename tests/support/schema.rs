//! `docs/json.md`, read as the schema it is.

use std::collections::BTreeMap;

use serde_json::Value;

/// The document.
const DOCUMENT: &str = include_str!("../../docs/json.md");

/// The fields of a section, and whether each must be there.
fn section(name: &str) -> BTreeMap<String, bool> {
    let mut lines = DOCUMENT.lines();
    lines.by_ref().find(|line| line.trim_start_matches('#').trim() == name && line.starts_with('#')).unwrap();
    let table = lines.skip_while(|line| !line.starts_with("| field")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let field = row.split('`').nth(1).unwrap().to_owned();
        (field, !row.contains("*optional*"))
    })
    .collect()
}

/// The errors that the document lists.
pub fn errors() -> Vec<String> {
    let lines = DOCUMENT.lines().skip_while(|line| !line.starts_with("| `error` |")).skip(2);
    lines
        .flat_map(|row| row.split('|').nth(1).unwrap_or("").split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// Checks one printed object against these sections: every field is described, none that must be there is absent.
pub fn check(object: &Value, sections: &[&str]) {
    let described: BTreeMap<String, bool> = sections.iter().flat_map(|name| section(name)).collect();
    let printed = object.as_object().expect("an object");
    for field in printed.keys() {
        assert!(described.contains_key(field), "{field} is not described in {sections:?}: {object}");
    }
    for (field, _) in described.iter().filter(|(_, required)| **required) {
        assert!(printed.contains_key(field), "{field} is absent: {object}");
    }
}

/// Checks a message, by its kind.
pub fn check_message(object: &Value) {
    let kind = object["kind"].as_str().expect("a kind");
    assert!(["text", "voice", "invitation", "notice"].contains(&kind), "{object}");
    // What `server invite` prints has its name, too.
    let section = if kind == "invitation" { "room_invitation" } else { kind };
    check(object, &["message", section]);
    if !object["delivery"].is_null() {
        check(&object["delivery"], &["delivery"]);
    }
}
