//! `tellal bench` measures what it says it does. How much that is, is not for a test to say.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

mod support;

use support::{Profile, Server};

/// The figures, by what was measured and which number it is.
fn figures(profile: &Profile, args: &[&str]) -> Vec<(String, String, f64)> {
    let lines = profile.run([&["bench", "--json"], args].concat()).json();
    lines
        .iter()
        .map(|line| {
            support::schema::check(line, &["bench"]);
            let word = |field: &str| line[field].as_str().unwrap().to_owned();
            (word("what"), word("figure"), line["value"].as_f64().unwrap())
        })
        .collect()
}

#[test]
fn everything_is_measured_on_a_server_of_its_own() {
    let server = Server::start();
    let nobody = Profile::new(&server, "nobody");
    let small =
        ["--pairs", "2", "--messages", "200", "--connections", "20", "--seconds", "1", "--rate", "50"];
    let all = ["relay", "latency", "offline", "logins", "idle", "siege"];
    let found = figures(&nobody, &[&all[..], &small].concat());
    for (what, figure) in [
        ("relay", "delivered"),
        ("relay", "server cpu for 100,000"),
        ("latency", "p50"),
        ("latency", "p99"),
        ("offline", "deposited"),
        ("offline", "drained"),
        ("logins", "logins"),
        ("logins", "server cpu for each"),
        ("idle", "connections"),
        ("quiet", "p99"),
        ("half-open", "p99"),
        ("half-open", "held"),
        ("slow", "p99"),
        ("slow", "held"),
        ("handshakes", "p99"),
        ("handshakes", "answered"),
    ] {
        let value = found.iter().find(|(w, f, _)| w == what && f == figure).map(|(.., value)| *value);
        assert!(
            value.is_some_and(|value| value > 0.0 || figure.contains("cpu")),
            "{what} {figure}: {found:?}"
        );
    }
}

#[test]
fn a_siege_of_a_server_that_limits_connections_says_what_it_refuses() {
    let server = Server::start();
    let nobody = Profile::new(&server, "nobody");
    let found = figures(&nobody, &["siege", "--connection-limits", "--connections", "400", "--seconds", "3"]);
    let value = |what: &str, figure: &str| {
        found.iter().find(|(w, f, _)| w == what && f == figure).map(|(.., value)| *value).unwrap()
    };
    // 256 from one address, of which the pair has two; others count until it is noticed that they were turned away.
    assert!((1.0..400.0).contains(&value("half-open", "held")), "{found:?}");
    assert!(value("half-open", "refused") > 0.0, "{found:?}");
    assert!(value("half-open", "p99") > 0.0, "{found:?}");
}

#[test]
fn a_server_that_does_not_allow_it_says_so() {
    let server = Server::start_limited("[registration]\nper_address_and_hour = 3\n");
    let nobody = Profile::new(&server, "nobody");
    let refused =
        nobody.run(["bench", "relay", "--pairs", "4", "--messages", "40", "--server", &server.name()]);
    assert_eq!(refused.code(), 1, "{refused:?}");
    let said = refused.stderr.lines().last().unwrap();
    assert!(said.contains("Limited") && said.contains("server.toml"), "{said}");
    let open = Server::start();
    let measured = figures(
        &nobody,
        &["latency", "--pairs", "1", "--rate", "20", "--seconds", "1", "--server", &open.name()],
    );
    assert_eq!(measured.len(), 3, "{measured:?}");
}
