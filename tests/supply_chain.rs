//! What the program is built of: `deny.toml` says what may come in, and here every build is held to it. Advisories are
//! the one thing that `cargo deny check` looks at beside these: they are published elsewhere.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseReq};

/// A crate that the program is built of, or with.
struct Package {
    name: String,
    version: String,
    license: String,
    source: String,
}

const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// What `cargo` prints.
fn cargo<const N: usize>(args: [&str; N]) -> String {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(args).args(["--locked", "--offline", "--all-features"]);
    let done = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn packages() -> Vec<Package> {
    // `metadata` knows of all that could be built, `tree` of what is. What tests alone need ships with nothing.
    let tree = cargo([
        "tree",
        "--edges",
        "normal,build",
        "--target",
        PLATFORM,
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let built: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata = cargo(["metadata", "--format-version", "1", "--filter-platform", PLATFORM]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let text = |what: &str| package[what].as_str().unwrap_or_default().to_owned();
        Package {
            name: text("name"),
            version: text("version"),
            license: text("license"),
            source: text("source"),
        }
    });
    let is_built = |package: &Package| built.contains(&(&*package.name, &*package.version));
    let packages: Vec<_> = packages.filter(|package| package.name != "tellal" && is_built(package)).collect();
    assert!(
        packages.len() > 100 && packages.len() + 1 == built.len(),
        "{} of {}",
        packages.len(),
        built.len()
    );
    packages
}

fn rules() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The entries of a list of tables.
fn tables<'a>(part: &'a toml::Value, list: &str) -> Vec<&'a toml::Table> {
    part[list].as_array().unwrap().iter().map(|entry| entry.as_table().unwrap()).collect()
}

#[test]
fn every_licence_is_one_that_lets_the_program_be_mit_or_apache() {
    let rules = &rules()["licenses"];
    let names = |list: &toml::Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let everywhere = names(&rules["allow"]);
    let mut used = BTreeSet::new();
    for package in packages() {
        let clarified =
            tables(rules, "clarify").into_iter().find(|rule| rule["crate"].as_str() == Some(&package.name));
        let expression = clarified.map_or(&*package.license, |rule| rule["expression"].as_str().unwrap());
        let expression = Expression::parse_mode(expression, spdx::ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{} {}: {error}", package.name, package.license));
        let exception = tables(rules, "exceptions")
            .into_iter()
            .find(|rule| rule["crate"].as_str() == Some(&package.name));
        let more = exception.map(|rule| names(&rule["allow"])).unwrap_or_default();
        let mut allowed = |requirement: &LicenseReq| {
            let name = requirement.license.to_string();
            if everywhere.contains(&name) {
                used.insert(name.clone());
            }
            everywhere.contains(&name) || more.contains(&name)
        };
        assert!(
            expression.evaluate(|requirement| allowed(requirement)),
            "{} {} is under {expression}",
            package.name,
            package.version
        );
    }
    assert_eq!(used, everywhere, "licences are allowed that nothing is under");
}

#[test]
fn default_features_are_on_where_they_are_used_and_nowhere_else() {
    let metadata = cargo(["metadata", "--format-version", "1", "--filter-platform", PLATFORM]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let list = |value: &Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_default() };
    let packages = list(&metadata["packages"]);
    let all = |name: &str| packages.iter().filter(|package| package["name"] == *name).collect::<Vec<_>>();
    let nodes = list(&metadata["resolve"]["nodes"]);
    let root = nodes.iter().find(|node| node["id"] == metadata["resolve"]["root"]).unwrap();
    let direct: Vec<Value> = list(&root["deps"]).iter().map(|dependency| dependency["pkg"].clone()).collect();
    let mut brought: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in all("tellal") {
        let with_defaults = |dependency: &&Value| dependency["uses_default_features"] == true;
        for dependency in
            list(&package["dependencies"]).iter().filter(|one| one["kind"] != "dev").filter(with_defaults)
        {
            let of = all(dependency["name"].as_str().unwrap());
            let of = of.iter().filter(|package| direct.contains(&package["id"]));
            let defaults = of.flat_map(|package| list(&package["features"]["default"]));
            let defaults = defaults.map(|feature| feature.as_str().unwrap().to_owned());
            let more: BTreeSet<String> =
                defaults.filter(|feature| !["std", "alloc"].contains(&feature.as_str())).collect();
            if !more.is_empty() {
                brought.insert(dependency["name"].as_str().unwrap().to_owned(), more);
            }
        }
    }
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let document = std::fs::read_to_string(document).unwrap();
    let rows = document.lines().skip_while(|line| !line.starts_with("| crate | default features |")).skip(2);
    let said = rows.take_while(|line| line.starts_with('|')).map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(!cells[3].is_empty(), "{row} gives no reason");
        (cells[1].trim_matches('`').to_owned(), cells[2].split(", ").map(str::to_owned).collect())
    });
    assert_eq!(brought, said.collect::<BTreeMap<String, BTreeSet<String>>>());
}

#[test]
fn no_crate_comes_twice_but_those_with_a_reason_and_none_from_elsewhere() {
    let rules = &rules()["bans"];
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let Package { name, version, source, .. } = package;
        assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name} {version}");
        versions.entry(name).or_default().insert(version);
    }
    for rule in tables(rules, "deny") {
        let name = rule["crate"].as_str().unwrap();
        assert!(!versions.contains_key(name), "{name}: {}", rule["reason"]);
    }
    for rule in tables(rules, "skip") {
        let (name, start) = rule["crate"].as_str().unwrap().split_once('@').unwrap();
        let of = versions.get_mut(name).unwrap_or_else(|| panic!("nothing brings {name} any more"));
        assert!(of.len() > 1, "{name} no longer comes twice");
        let is_it = |version: &String| version.strip_prefix(start).is_some_and(|rest| rest.starts_with('.'));
        assert!(of.iter().any(is_it), "{name} no longer comes in {start}");
        of.retain(|version| !is_it(version));
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
