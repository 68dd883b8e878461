//! Registrations that a server refuses: what is kept of them.

use tellal::protocol::message::{Answer, GoodbyeReason, Push};

use crate::liar::{Liar, Passing};
use crate::support::{Finished, Profile, Server};

fn register(who: &Profile, server: &str) -> Finished {
    who.run(["register", &who.name, "--key-bits", "2048", "--server", server])
}

#[test]
fn nothing_is_pinned_or_kept_by_a_registration_that_was_refused() {
    let invited = Server::start_limited("[registration]\nwho = \"invited\"\n");
    let limited = Server::start_limited("[registration]\nper_address_and_hour = 1\n");
    Profile::register(&limited, "ayşe");
    let taken = Server::start();
    Profile::register(&taken, "zoé");
    let open = Server::start();
    let refusals = [
        (&invited, "지민", "asks for an invitation"),
        (&limited, "小明", "try again in"),
        (&taken, "zoé", "is taken"),
    ];
    for (server, name, says) in refusals {
        let profile = Profile::new(server, name);
        let refused = register(&profile, &server.name());
        assert!(refused.failure().contains(says), "{refused:?}");
        assert!(!profile.file("profile.json").exists(), "{says}");
        assert_eq!(std::fs::read_dir(profile.file("keys")).unwrap().count(), 0, "{says}");
        // Another server is met as if there had been none before.
        let elsewhere = register(&profile, &open.name());
        assert!(elsewhere.ok().contains(&open.fingerprint), "{elsewhere:?}");
        assert_eq!(profile.receive(), Vec::<serde_json::Value>::new(), "{says}");
        profile.run(["audit"]).ok();
    }
}

#[test]
fn a_registration_whose_answer_was_lost_is_not_taken_back_for_a_refusal() {
    let server = Server::start_limited("[registration]\nper_address_and_hour = 1\n");
    let zoé = Profile::new(&server, "zoé");
    let mut is_first = true;
    let liar = Liar::start(&server, &[&zoé], move |passing, line| match passing {
        Passing::Down(Push::Reply { answer: Answer::LoggedIn, .. }, _) if is_first => {
            is_first = false;
            line.tell(&Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    let lost = register(&zoé, &liar.name);
    assert!(lost.failure().contains("run the same command again"), "{lost:?}");
    let account = |profile: &Profile| crate::support::forge::account(profile);
    let begun = account(&zoé);
    // The server takes no more registrations this hour, whoever asks; but it has this one.
    register(&zoé, &liar.name).ok();
    assert_eq!(account(&zoé), begun);
    zoé.send("zoé", "buradayım");
}

#[test]
fn a_registration_that_is_finished_under_another_address_remembers_that_one() {
    let server = Server::start();
    let zoé = Profile::new(&server, "zoé");
    let liar = Liar::start(&server, &[&zoé], |passing, line| match passing {
        Passing::Down(Push::Reply { answer: Answer::LoggedIn, .. }, _) => {
            line.tell(&Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    let lost = register(&zoé, &liar.name);
    assert!(lost.failure().contains("run the same command again"), "{lost:?}");
    drop(liar);
    let finished = register(&zoé, &server.name());
    assert!(finished.ok().contains(&server.name()), "{finished:?}");
    zoé.run(["users"]).ok();
}
