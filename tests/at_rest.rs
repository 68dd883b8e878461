//! A profile at rest: its secrets under a passphrase, asked for, changed, removed and forgotten.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

#[cfg(target_os = "linux")]
use std::fs::File;
use std::fs::Permissions;
use std::io::Write;
#[cfg(target_os = "linux")]
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use support::people::{error_code, files};
use support::screen::Screen;
use support::swap::database;
use support::{Finished, Profile, Running, Server, TIMEOUT, openssl};
use tellal::crypto::PrivateKey;
use tellal::crypto::envelope::parse;
use tellal::model::Wrap;

const WORDS: &str = "çok gizli sözler";

/// Runs a command with a passphrase in descriptor 0.
fn with(profile: &Profile, words: &str, args: &[&str]) -> Finished {
    profile.run_with_stdin([args, &["--passphrase-fd", "0"]].concat(), format!("{words}\n").as_bytes())
}

fn set(profile: &Profile, words: &str) {
    let set = profile.run_with_stdin(["lock", "--set", "--new-passphrase-fd", "0"], words.as_bytes());
    assert!(set.ok().contains("sealed now"), "{set:?}");
}

#[test]
fn keys_under_a_passphrase_are_what_openssl_opens_with_it_and_nobody_without() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    ayşe.run(["history"]).ok();
    let before: Vec<(PathBuf, String)> = files(&ayşe.file("keys"))
        .into_iter()
        .map(|path| (path.clone(), openssl(&path, "").unwrap()))
        .collect();
    assert_eq!(before.len(), 3, "identity, device, message key");
    let secrets: Vec<String> = before
        .iter()
        .map(|(path, _)| path.clone())
        .chain([ayşe.file("history.key")])
        // A part that nothing but the secret itself holds.
        .map(|path| {
            std::fs::read_to_string(path).unwrap().trim_end().chars().rev().skip(40).take(24).collect()
        })
        .collect();
    assert_eq!(error_code(&ayşe.run(["lock", "--json"])), "no_passphrase");
    set(&ayşe, WORDS);

    for (path, public) in &before {
        let pem = std::fs::read_to_string(path).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{path:?}");
        assert_eq!(openssl(path, WORDS).as_ref(), Some(public), "{path:?}");
        assert_eq!(openssl(path, "başka"), None);
        let parsed = Command::new("openssl").args(["asn1parse", "-in"]).arg(path).output().unwrap();
        let parsed = String::from_utf8(parsed.stdout).unwrap();
        let integers: Vec<&str> = parsed
            .lines()
            .filter(|line| line.contains("INTEGER"))
            .map(|line| line.rsplit(':').next().unwrap())
            .collect();
        assert!(parsed.contains("PBES2") && parsed.contains("scrypt") && parsed.contains("aes-256-cbc"));
        assert_eq!(integers, ["4000", "08", "05"], "N = 2^14, r = 8, p = 5: {parsed}");
    }
    for file in files(ayşe.home()) {
        let bytes = std::fs::read(&file).unwrap();
        let text: String = String::from_utf8_lossy(&bytes).chars().rev().collect();
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{file:?} holds a secret");
    }
}

#[test]
fn what_protects_the_keys_is_said_once_and_what_others_may_read_by_each_command() {
    let server = Server::start();
    let ayşe = Profile::new(&server, "ayşe");
    // A folder that somebody has made as folders are made.
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(ayşe.home(), 0o755);
    let args = ["register", "ayşe", "--key-bits", "2048", "--server", &ayşe.server];
    let registered = ayşe.run(args);
    assert!(!registered.ok().contains("lock"), "it is said beside the result");
    let said = registered.one_line();
    assert!(said.contains("files that only you can read") && said.contains("`tellal lock --set`"), "{said}");
    let json = Profile::register(&server, "burak").run(["users", "--json"]);
    assert_eq!((json.json().len(), json.stderr.as_str()), (2, ""), "nor is it said again");
    assert_eq!(ayşe.run(["users"]).stderr, "", "the folder is its owner's now");

    let key = ayşe.file("keys/identity.pem");
    mode(&key, 0o644);
    for command in [&["history", "--json"][..], &["send", "burak", "selam", "--mute"], &["lock"]] {
        let said = ayşe.run(command).stderr.lines().next().unwrap().to_owned();
        let expected = format!("tellal: others on this machine may read {}; to do: chmod ", key.display());
        assert!(said.starts_with(&expected), "{command:?}: {said}");
    }
    assert_eq!(ayşe.run(["history", "--json"]).json().len(), 1, "that is no failure");
    let said = ayşe.run(["history"]).stderr;
    let to_do = said.trim_end().split("; to do: ").nth(1).unwrap();
    assert!(Command::new("sh").args(["-c", to_do]).status().unwrap().success());
    assert_eq!(ayşe.run(["history"]).stderr, "");
    set(&ayşe, WORDS);
    mode(ayşe.home(), 0o711);
    let said = with(&ayşe, WORDS, &["history"]).stderr;
    assert!(said.contains("others on this machine may read ") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_locked_profile_opens_with_its_passphrase_alone() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    burak.send("ayşe", "önce");
    let open = ayşe.run(["doctor", "--json", "--mute"]);
    assert!(open.stdout.contains("modes of their files alone"), "{open:?}");
    set(&ayşe, WORDS);

    // Nobody to ask: said, nothing hangs.
    let locked = ayşe.run(["receive", "--json"]);
    assert_eq!(error_code(&locked), "locked");
    assert!(locked.stderr.contains("--passphrase-fd"), "{locked:?}");
    assert_eq!(error_code(&with(&ayşe, "yanlış", &["receive", "--json"])), "wrong_passphrase");
    assert_eq!(error_code(&with(&ayşe, "", &["receive", "--json"])), "no_passphrase_read");
    assert_eq!(with(&ayşe, WORDS, &["receive", "--json"]).json()[0]["text"], "önce");
    // What comes behind the passphrase is what stdin says.
    let sent = ayşe.run_with_stdin(
        ["send", "burak", "-", "--passphrase-fd", "0"],
        format!("{WORDS}\nselam\nburak\n").as_bytes(),
    );
    sent.ok();
    assert_eq!(burak.receive_texts(), [("ayşe".to_owned(), "selam\nburak".to_owned())]);

    // Changed.
    let old = ayşe.file("old");
    let new = ayşe.file("new");
    std::fs::write(&old, WORDS).unwrap();
    std::fs::write(&new, "yeni").unwrap();
    let shell = |line: &str| {
        let mut command = ayşe.command([] as [&str; 0]);
        let program = command.get_program().to_owned();
        let mut sh = Command::new("sh");
        sh.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        sh.env("tellal", program).env("old", &old).env("new", &new);
        command = sh;
        Running::start(command.args(["-c", line]).stdin(Stdio::null())).wait()
    };
    let change = r#""$tellal" lock --change --passphrase-fd 3 --new-passphrase-fd 4 3<"$old" 4<"$new""#;
    assert!(shell(change).ok().contains("changed"));
    assert_eq!(error_code(&with(&ayşe, WORDS, &["history", "--json"])), "wrong_passphrase");
    assert_eq!(with(&ayşe, "yeni", &["history", "--json"]).json().len(), 2);
    assert_eq!(error_code(&ayşe.run(["lock", "--set", "--json"])), "has_passphrase");

    // Removed: with the right one alone.
    assert_eq!(error_code(&with(&ayşe, WORDS, &["lock", "--remove", "--json"])), "wrong_passphrase");
    assert!(with(&ayşe, "yeni", &["lock", "--remove"]).ok().contains("removed"));
    assert_eq!(ayşe.run(["history", "--json"]).json().len(), 2);
    let lock = ayşe.run(["lock", "--change", "--json"]);
    assert_eq!(error_code(&lock), "no_passphrase");
}

#[test]
fn a_passphrase_that_nothing_is_sealed_under_seals_nothing() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    // Before there is a history, and where a new key is made.
    with(&ayşe, WORDS, &["history"]).ok();
    with(&ayşe, WORDS, &["rekey", "--message-key"]).ok();
    ayşe.run(["history"]).ok();
    for path in files(&ayşe.file("keys")) {
        assert!(
            std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"),
            "{path:?}"
        );
    }
    set(&ayşe, WORDS);
    assert_eq!(error_code(&ayşe.run(["history", "--json"])), "locked");
}

#[test]
fn a_conversation_asks_without_echo_serves_others_and_is_locked_from_outside() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    set(&ayşe, WORDS);
    let mut chat = Screen::start(&ayşe, &["chat", "burak", "--mute"], &[]);
    chat.wait_for("passphrase:");
    chat.type_keys("yanlış\r");
    chat.wait_for("that is not the passphrase");
    chat.wait_for_cursor("passphrase: ");
    chat.type_keys(&format!("{WORDS}\r"));
    chat.wait_for_cursor("you → burak> ");
    let raw = String::from_utf8_lossy(&chat.raw()).into_owned();
    assert!(!raw.contains("gizli") && !raw.contains("yanlış"), "{raw}");

    // Beside it no passphrase is needed.
    ayşe.send("burak", "yanından");
    assert_eq!(burak.receive_texts().len(), 1);
    let busy = ayşe.run(["lock", "--set", "--json"]);
    assert_eq!(error_code(&busy), "has_passphrase");
    let busy = with(&ayşe, WORDS, &["lock", "--remove", "--json"]);
    assert_eq!(error_code(&busy), "busy");

    let locked = ayşe.run(["lock", "--json"]).json();
    assert_eq!((&locked[0]["stopped"], &locked[0]["passphrase"]), (&true.into(), &true.into()));
    chat.wait_for("the profile is locked now");
    assert_eq!(chat.finish(), 0);
    assert_eq!(error_code(&ayşe.run(["history", "--json"])), "locked");
    assert_eq!(ayşe.run(["lock", "--json"]).json()[0]["stopped"], false);
}

#[test]
fn a_process_that_stands_still_keeps_no_profile_open() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    set(&ayşe, WORDS);
    let mut chat = Screen::start(&ayşe, &["chat", "burak", "--mute"], &[]);
    chat.wait_for("passphrase:");
    chat.type_keys(&format!("{WORDS}\r"));
    chat.wait_for_cursor("you → burak> ");
    // Beside it, and stopped at its terminal: more comes than its socket takes.
    let mut beside = ayşe.start(["receive", "--follow", "--json", "--mute"]);
    burak.send("ayşe", "merhaba");
    beside.line().unwrap();
    beside.signal("STOP");
    let long = "uzun ".repeat(9_000);
    for _ in 0..16 {
        burak.run_with_stdin(["send", "ayşe", "-"], long.as_bytes()).ok();
    }
    burak.send("ayşe", "bitti");
    chat.wait_for("bitti");
    let locked = ayşe.run(["lock", "--json"]).json();
    assert_eq!(locked[0]["stopped"], true);
    // It said so: nobody has the profile open any more.
    chat.wait_for("the profile is locked now");
    assert_eq!(chat.finish(), 0);
    assert_eq!(error_code(&ayşe.run(["history", "--json"])), "locked");
    beside.signal("CONT");
    beside.wait();
}

#[test]
fn a_new_passphrase_is_typed_twice() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    let mut different = Screen::start(&ayşe, &["lock", "--set"], &[]);
    different.wait_for("new passphrase");
    different.type_keys("bir\r");
    different.wait_for("once more:");
    different.type_keys("iki\r");
    different.wait_for("differ: nothing was changed");
    assert_eq!(different.finish(), 1);
    assert!(ayşe.run(["history"]).code() == 0);
    let mut same = Screen::start(&ayşe, &["lock", "--set"], &[]);
    same.wait_for("new passphrase");
    same.type_keys("bir\r");
    same.wait_for("once more:");
    same.type_keys("bir\r");
    same.wait_for("sealed now");
    assert_eq!(same.finish(), 0);
    assert!(with(&ayşe, "bir", &["history"]).code() == 0);
    let mut changed = Screen::start(&ayşe, &["lock", "--change"], &[]);
    changed.wait_for_cursor("passphrase: ");
    changed.type_keys("bir\r");
    changed.wait_for("new passphrase");
    changed.type_keys("üç\r");
    changed.wait_for("once more:");
    changed.type_keys("üç\r");
    changed.wait_for("is changed");
    assert_eq!(changed.finish(), 0);
    assert!(with(&ayşe, "üç", &["history"]).code() == 0);
    for (screen, typed) in [(different, ["bir", "iki"]), (same, ["bir"; 2]), (changed, ["bir", "üç"])] {
        let raw = String::from_utf8_lossy(&screen.raw()).into_owned();
        assert!(!typed.iter().any(|typed| raw.contains(typed)), "what is typed is not echoed: {raw}");
    }
}

/// Follows what comes, with the passphrase.
fn follow(profile: &Profile) -> Running {
    let mut command = profile.command(["receive", "--follow", "--json", "--mute", "--passphrase-fd", "0"]);
    let mut following = Running::start(command.stdin(Stdio::piped()));
    following.stdin().unwrap().write_all(format!("{WORDS}\n").as_bytes()).unwrap();
    following
}

#[test]
fn listening_ends_when_it_is_locked() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    set(&ayşe, WORDS);
    let mut following = follow(&ayşe);
    let burak = Profile::register(&server, "burak");
    burak.send("ayşe", "selam");
    assert!(following.line().unwrap().contains("selam"));
    assert_eq!(ayşe.run(["lock", "--json"]).json()[0]["stopped"], true);
    let ended = following.wait();
    assert_eq!((ended.code(), ended.stderr.contains("locked now")), (0, true), "{ended:?}");
}

#[test]
fn who_waits_for_the_server_is_told_what_becomes_of_the_message_when_the_profile_is_locked() {
    let server = Server::start_limited("[sending]\nmessages_per_minute = 1\n");
    let (ayşe, _burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    set(&ayşe, WORDS);
    with(&ayşe, WORDS, &["send", "burak", "bir", "--mute"]).ok();
    let mut command = ayşe.command(["send", "burak", "iki", "--mute", "--passphrase-fd", "0"]);
    let (mut sending, told) = Running::start_with_stderr(command.stdin(Stdio::piped()));
    sending.stdin().unwrap().write_all(format!("{WORDS}\n").as_bytes()).unwrap();
    let line = || told.recv_timeout(TIMEOUT).unwrap();
    let waits = line();
    assert!(waits.contains("waits: "), "{waits}");
    assert_eq!(ayşe.run(["lock", "--json"]).json()[0]["stopped"], true);
    let kept = line();
    assert!(kept.contains("is locked") && kept.contains("the message waits in the outbox"), "{kept}");
    assert_eq!(sending.wait().code(), 1);
}

#[test]
fn who_can_not_go_on_when_the_one_who_has_the_profile_open_ends_says_why() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let mut following = ayşe.start(["receive", "--follow", "--mute"]);
    burak.send("ayşe", "bir");
    following.line().unwrap();
    let mut chat = Screen::start(&ayşe, &["chat", "burak", "--mute"], &[]);
    chat.wait_for_cursor("you → burak> ");
    std::fs::rename(ayşe.file("history.key"), ayşe.file("elsewhere")).unwrap();
    following.kill();
    chat.wait_for("history.key");
    assert_eq!(chat.finish(), 1);
}

/// How often each of these stands in a process's memory.
#[cfg(target_os = "linux")]
fn in_memory(process: &Running, forms: &[Vec<u8>]) -> Vec<usize> {
    const PAGE: usize = 4096;
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.id())).unwrap();
    let memory = File::open(format!("/proc/{}/mem", process.id())).unwrap();
    let mut begins = [false; 256];
    forms.iter().for_each(|form| begins[usize::from(form[0])] = true);
    let mut counts = vec![0; forms.len()];
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, may) = (words.next().unwrap(), words.next().unwrap());
        if !may.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|place| u64::from_str_radix(place, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if memory.read_exact_at(&mut bytes, from).is_err() {
            // Gone since, or the system's own.
            continue;
        }
        for page in (0..bytes.len()).step_by(PAGE) {
            // What has never been used needs no search.
            if bytes[page..page + PAGE] == [0; PAGE] {
                continue;
            }
            for at in (page..page + PAGE).filter(|at| begins[usize::from(bytes[*at])]) {
                for (form, count) in forms.iter().zip(&mut counts) {
                    *count += usize::from(bytes[at..].starts_with(form));
                }
            }
        }
    }
    counts
}

#[test]
#[cfg(target_os = "linux")]
fn an_open_profile_has_its_passphrase_once_in_memory_and_nothing_of_the_identity_key() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let pem = std::fs::read_to_string(ayşe.file("keys/identity.pem")).unwrap();
    let device = std::fs::read_to_string(ayşe.file("keys/device.pem")).unwrap();
    set(&ayşe, WORDS);
    let mut following = follow(&ayşe);
    burak.send("ayşe", "selam");
    assert!(following.line().unwrap().contains("selam"));
    assert_eq!(
        in_memory(&following, &[WORDS.into()]),
        [1],
        "for the keys that are to come, and no copy of what it was read into"
    );
    assert_eq!(in_memory(&following, &private_parts(&pem)), [0; 9], "nothing was signed with it");
    for form in in_memory(&following, &private_parts(&device)).chunks(3) {
        let [text, der, number] = form else { panic!("{form:?}") };
        assert!(*text > 0 && *number > 0, "a key that is worked with is found");
        assert_eq!(*der, 0, "but not what it was read through");
    }
    // Signed with, beside what follows, which then works with new keys.
    let rekeyed = with(&ayşe, WORDS, &["rekey"]);
    rekeyed.ok();
    burak.run(["users"]).ok();
    burak.run(["verify", "ayşe", "--accept-change"]).ok();
    burak.send("ayşe", "yeni anahtara");
    assert!(following.line().unwrap().contains("yeni anahtara"));
    assert_eq!(in_memory(&following, &private_parts(&pem)), [0; 9], "nor is anything left of it");
}

#[test]
#[cfg(target_os = "linux")]
fn an_open_profile_has_nothing_in_memory_of_what_its_keys_are_sealed_under() {
    let server = Server::start();
    let ayşe = Profile::register(&server, "ayşe");
    let history_key = std::fs::read_to_string(ayşe.file("history.key")).unwrap().trim_end().to_owned();
    set(&ayşe, WORDS);
    let sealed = files(&ayşe.file("keys")).into_iter().chain([ayşe.file("history.key")]);
    let sealing: Vec<Vec<u8>> = sealed.map(|path| derived(&path)).collect();
    assert_eq!(sealing.len(), 4, "identity, device, message key, history");
    assert_eq!(
        opened(&ayşe.file("history.key"), &sealing[3]),
        history_key,
        "this is what it is sealed under"
    );
    let mut following = follow(&ayşe);
    Profile::register(&server, "burak").send("ayşe", "selam");
    assert!(following.line().unwrap().contains("selam"));
    // Made of the passphrase and each file's salt; and the words in which the history is told its key.
    assert_eq!(in_memory(&following, &sealing), [0; 4]);
    assert_eq!(in_memory(&following, &[history_key.into()]), [0]);
}

#[test]
#[cfg(target_os = "linux")]
fn an_open_profile_has_no_fernet_key_in_memory_of_messages_that_it_has_opened() {
    let server = Server::start();
    let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
    let key = message_key(&ayşe);
    set(&ayşe, WORDS);
    let mut following = follow(&ayşe);
    burak.send("ayşe", "selam");
    assert!(following.line().unwrap().contains("selam"));
    burak.send("ayşe", "nasılsın");
    assert!(following.line().unwrap().contains("nasılsın"));
    let fernet = fernet_keys(&server, &key);
    assert_eq!(fernet.len(), 2);
    assert_eq!(in_memory(&following, &fernet), [0; 2]);
}

/// The private message key of a profile without a passphrase.
#[cfg(target_os = "linux")]
fn message_key(profile: &Profile) -> PrivateKey {
    let all = files(&profile.file("keys"));
    let file = all.iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with("message-"));
    PrivateKey::from_pem(&std::fs::read_to_string(file.unwrap()).unwrap()).unwrap()
}

/// The Fernet keys of the messages that a server has, out of the wraps that this key opens.
#[cfg(target_os = "linux")]
fn fernet_keys(server: &Server, key: &PrivateKey) -> Vec<Vec<u8>> {
    let database = database(server.data());
    let query = "SELECT body, wraps FROM envelope JOIN mailbox ON mailbox.envelope = envelope.id";
    let mut envelopes = database.prepare(query).unwrap();
    let rows =
        envelopes.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
    let mut found = Vec::new();
    for (body, wraps) in rows.map(Result::unwrap) {
        let header_hash = parse(&body.into()).unwrap().header_hash();
        for wrap in minicbor::decode::<Vec<Wrap>>(&wraps).unwrap() {
            let opened = key.unwrap_key(&header_hash, &wrap.ciphertext).unwrap();
            found.push(opened.expose_key_bytes().to_vec());
        }
    }
    found
}

/// What a sealed PEM holds.
#[cfg(target_os = "linux")]
fn der(path: &Path) -> Vec<u8> {
    let pem = std::fs::read_to_string(path).unwrap();
    let base64: String = pem.lines().filter(|line| !line.contains("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

#[cfg(target_os = "linux")]
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of 64 bytes that was sealed under a key, by openssl.
#[cfg(target_os = "linux")]
fn opened(path: &Path, key: &[u8]) -> String {
    // At the end there are the IV and, with its padding, the text; each is an OCTET STRING.
    let der = der(path);
    let (head, sealed) = der.split_at(der.len() - 80);
    let iv = &head[head.len() - 18..head.len() - 2];
    let mut openssl = Command::new("openssl");
    openssl.args(["enc", "-d", "-aes-256-cbc", "-K", &hex(key), "-iv", &hex(iv)]);
    let mut child = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(sealed).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// The key that a file is sealed under: scrypt of the passphrase and the salt that it begins with.
#[cfg(target_os = "linux")]
fn derived(path: &Path) -> Vec<u8> {
    let der = der(path);
    // An OCTET STRING of 16 bytes in front of N = 2^14.
    let place = der.windows(6).position(|bytes| bytes == [0x02, 0x02, 0x40, 0x00, 0x02, 0x01]).unwrap();
    assert_eq!(der[place - 18..place - 16], [0x04, 0x10]);
    let salt = hex(&der[place - 16..place]);
    let mut openssl = Command::new("openssl");
    openssl.args(["kdf", "-keylen", "32", "-kdfopt", &format!("pass:{WORDS}"), "-kdfopt"]);
    openssl.arg(format!("hexsalt:{salt}")).args(["-kdfopt", "n:16384", "-kdfopt", "r:8", "-kdfopt", "p:5"]);
    let said = openssl.arg("SCRYPT").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// What tells an RSA key of 2048 bits: bytes of its private exponent and of both its primes, each as a PEM has them, in
/// its DER, and in words of little end.
#[cfg(target_os = "linux")]
fn private_parts(pem: &str) -> Vec<Vec<u8>> {
    // Lines of 48 bytes: the modulus begins at 37, the exponent at 303, the primes at 563 and 695, give or take three.
    let lines = [8, 12, 15].map(|line| pem.lines().nth(1 + line).unwrap());
    let forms = lines.map(|line| {
        let der = base64::engine::general_purpose::STANDARD.decode(line).unwrap();
        let reversed = der.iter().rev().copied().collect();
        [line.into(), der, reversed]
    });
    forms.into_iter().flatten().collect()
}
