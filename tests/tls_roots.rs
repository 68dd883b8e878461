//! Servers with certificates of an authority, which the system's roots vouch for in place of a pinned key.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use std::ffi::OsStr;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use support::{Finished, Profile, Running, Server};

/// An authority that a system may trust.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }
}

/// Files, and the system that trusts one of two authorities.
struct World {
    folder: tempfile::TempDir,
    trusted: Authority,
    other: Authority,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, trusted: Authority::new("trusted"), other: Authority::new("other") };
        std::fs::write(world.file("roots.pem"), &world.trusted.certificate).unwrap();
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Gives the server a new key, and a certificate for this host.
    fn certify(&self, host: &str, authority: &Authority) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        std::fs::write(self.file("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(self.file("key.pem"), key.serialize_pem()).unwrap();
    }

    fn server(&self) -> Server {
        let (certificate, key) = (self.file("cert.pem"), self.file("key.pem"));
        let options =
            [OsStr::new("--tls-cert"), certificate.as_os_str(), OsStr::new("--tls-key"), key.as_os_str()];
        Server::start_with(options)
    }

    /// Runs a command on this system.
    fn run<const N: usize>(&self, profile: &Profile, args: [&str; N]) -> Finished {
        Running::start(profile.command(args).env("SSL_CERT_FILE", self.file("roots.pem"))).wait()
    }
}

#[test]
fn a_server_that_the_roots_vouch_for_may_change_its_key_and_nobody_else_passes_for_it() {
    let world = World::new();
    world.certify("localhost", &world.trusted);
    let mut server = world.server();
    let name = format!("localhost:{}", server.address.port());
    let ayşe = Profile::new(&server, "ayşe");
    let registered = world.run(&ayşe, ["register", "ayşe", "--key-bits", "2048", "--server", &name]);
    assert!(
        registered.ok().contains("this system's roots vouch for the server's certificate"),
        "{registered:?}"
    );
    let burak = Profile::new(&server, "burak");
    let registered =
        world.run(&burak, ["--json", "register", "burak", "--key-bits", "2048", "--server", &name]);
    assert_eq!(registered.json()[0]["server_fingerprint"], serde_json::Value::Null);

    // Renewed, with another key.
    world.certify("localhost", &world.trusted);
    let before = server.fingerprint.clone();
    server.restart_with_another_key();
    assert_ne!(server.fingerprint, before);
    world.run(&ayşe, ["send", "burak", "merhaba"]).ok();
    assert_eq!(world.run(&burak, ["receive", "--json"]).json()[0]["text"], "merhaba");
    let found = world.run(&ayşe, ["doctor", "--json"]);
    let line = found.stdout.lines().find(|line| line.contains(r#""what":"server""#)).unwrap_or_default();
    assert!(line.contains("answers with a certificate that this system's roots vouch for"), "{found:?}");
    // It is the name of the registration that counts, wherever the server is reached.
    let address = server.name();
    world.run(&ayşe, ["users", "--server", &address]).ok();

    // The same key and certificate, where nobody trusts the authority.
    let stranger =
        Running::start(ayşe.command(["users"]).env("SSL_CERT_FILE", world.file("none.pem"))).wait();
    assert!(stranger.failure().contains("is not to be trusted"), "{stranger:?}");
    // Another authority's; one for another host, reached under that host's name, too.
    world.certify("localhost", &world.other);
    server.restart_with_another_key();
    let refused = world.run(&ayşe, ["send", "burak", "secret"]);
    assert!(refused.failure().contains("is not to be trusted"), "{refused:?}");
    let refused = world.run(&ayşe, ["--json", "users"]);
    assert!(refused.stdout.contains(r#""error":"wrong_certificate""#), "{refused:?}");
    assert!(refused.one_line().contains("the certificate that localhost shows is not to be trusted"));
    world.certify("127.0.0.1", &world.trusted);
    server.restart_with_another_key();
    for at in [&name, &address] {
        let refused = world.run(&ayşe, ["users", "--server", at]);
        assert!(refused.failure().contains("the certificate that localhost shows is not to be trusted"));
    }
}

#[test]
fn a_pinned_key_stays_pinned_whatever_the_roots_say() {
    let world = World::new();
    world.certify("localhost", &world.trusted);
    let mut server = world.server();
    let name = format!("localhost:{}", server.address.port());
    // The one was told the fingerprint; to the other, whose system does not know the authority, it was shown.
    let [told, shown] = ["ayşe", "burak"].map(|nick| Profile::new(&server, nick));
    let register = ["--json", "register", "--key-bits", "2048", "--server", &name];
    let [a, b, c, d, e, f] = register;
    let first = world.run(&told, [a, b, c, d, e, f, "--fingerprint", &server.fingerprint, "ayşe"]);
    assert_eq!(first.json()[0]["server_fingerprint"], server.fingerprint.as_str());
    let mut elsewhere = shown.command([a, b, c, d, e, f, "burak"]);
    let second = Running::start(elsewhere.env("SSL_CERT_FILE", world.file("none.pem"))).wait();
    assert_eq!(second.json()[0]["server_fingerprint"], server.fingerprint.as_str());
    world.run(&told, ["users"]).ok();
    world.run(&shown, ["users"]).ok();

    world.certify("localhost", &world.trusted);
    server.restart_with_another_key();
    for profile in [&told, &shown] {
        let refused = world.run(profile, ["users"]);
        assert!(refused.failure().contains("not the expected"), "{refused:?}");
    }
}
