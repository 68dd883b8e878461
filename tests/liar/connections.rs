//! What a server says of a connection: its last words, and when to come again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tellal::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, Verb};

use crate::friends;
use crate::liar::{Liar, Line, Passing};
use crate::support::{Profile, TIMEOUT};

#[test]
fn a_command_says_what_the_servers_last_words_were() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "önce");
    burak.receive();
    let goodbyes = [
        (GoodbyeReason::ShuttingDown, "the server is shutting down"),
        (GoodbyeReason::Malformed, "the server did not understand this program"),
        (GoodbyeReason::TooLarge, "the server found something too large"),
        (GoodbyeReason::TimedOut, "the server heard nothing for too long"),
        (GoodbyeReason::Replaced, "this profile has connected from somewhere else"),
        (GoodbyeReason::Limited, "the server has too many connections"),
        (GoodbyeReason::OutOfOrder, "the server was asked something out of order"),
    ];
    for (reason, says) in goodbyes {
        // Once the client is logged in, whatever it waits for then.
        let goodbye = Push::Goodbye { reason, retry_after: None };
        let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
            Passing::Up(request, _) if matches!(request.verb, Verb::ListAccounts { .. }) => {
                line.tell(&goodbye, b"");
            }
            Passing::Down(Push::Reply { answer: Answer::Subscribed { .. }, .. }, _) => {
                line.tell(&goodbye, b"");
            }
            other => line.pass(other),
        });
        for command in ["users", "receive"] {
            let ended = burak.run([command, "--server", &liar.name]);
            assert!(ended.failure().contains(says), "{command}: {ended:?}");
        }
    }
    // In place of the greeting, and of the login's answer.
    for greeted in [false, true] {
        let goodbye = Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None };
        let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
            Passing::Down(Push::Hello { .. }, _) if !greeted => line.tell(&goodbye, b""),
            Passing::Up(request, _) if matches!(request.verb, Verb::Login { .. }) => line.tell(&goodbye, b""),
            other => line.pass(other),
        });
        let ended = ayşe.run(["users", "--server", &liar.name]);
        assert!(ended.failure().contains("the server is shutting down"), "{ended:?}");
        let queued = ayşe.run(["--mute", "send", "burak", "sonra", "--server", &liar.name]);
        let said = queued.failure();
        assert!(said.contains("the server is shutting down; the message waits in the outbox"), "{queued:?}");
    }
    // Of what the client itself finds wrong, too.
    let liar = Liar::start(&server, &[&burak], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::ListAccounts { .. }) => {
            line.answer(request.number, Answer::Done);
        }
        other => line.pass(other),
    });
    let ended = burak.run(["users", "--server", &liar.name]);
    assert!(ended.failure().contains("the server gave an answer to something else"), "{ended:?}");
    let liar = Liar::start(&server, &[&burak], |passing, line| match passing {
        Passing::Down(Push::Reply { number, answer: Answer::Subscribed { .. } }, _) => {
            line.answer(number, Answer::Done);
        }
        other => line.pass(other),
    });
    let ended = burak.run(["receive", "--server", &liar.name]);
    assert!(ended.failure().contains("the server gave an answer to something else"), "{ended:?}");
    // A registration is none before the server has answered.
    let liar = Liar::start(&server, &[], |passing, line| match passing {
        Passing::Up(request, _) if matches!(request.verb, Verb::Register { .. }) => {
            line.tell(&Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None }, b"");
        }
        other => line.pass(other),
    });
    let zoé = Profile::new(&server, "zoé");
    let ended = zoé.run(["register", "zoé", "--key-bits", "2048", "--server", &liar.name]);
    assert!(ended.failure().contains("the server is shutting down; run the same command again"), "{ended:?}");
}

#[test]
fn a_time_to_come_again_is_at_least_a_second_and_at_most_an_hour() {
    let (server, ayşe, _burak) = friends();
    for (retry_after, says) in [(Some(0), "1 s"), (Some(30_000), "30 s"), (Some(u32::MAX), "60 min")] {
        let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
            Passing::Down(Push::Hello { .. }, _) => {
                line.tell(&Push::Goodbye { reason: GoodbyeReason::Limited, retry_after }, b"");
            }
            other => line.pass(other),
        });
        let refused = ayşe.run(["users", "--server", &liar.name]);
        let says = format!("takes no more connections for now, in all or from here: try again in {says}");
        assert!(refused.failure().ends_with(&says), "{refused:?}");
        // The same in the answer to a login.
        let liar = Liar::start(&server, &[&ayşe], move |passing, line| match passing {
            Passing::Up(request, _) if matches!(request.verb, Verb::Login { .. }) => {
                let (number, code) = (request.number, RefusalCode::Limited);
                line.tell(&Push::Refusal { number, code, retry_after }, b"");
            }
            other => line.pass(other),
        });
        let refused = ayşe.run(["users", "--server", &liar.name]);
        let says = says.replace(
            "takes no more connections for now, in all or from here",
            "asked too often by you or from your address",
        );
        assert!(refused.failure().ends_with(&says), "{refused:?}");
    }
}

/// When each connection was ended before it had begun.
type Ends = Arc<Mutex<Vec<Instant>>>;

/// Ends the first connection with the first message, so many further ones before they begin, with this, and no more.
fn away_for(most: usize, goodbye: Push, ends: &Ends) -> impl FnMut(Passing, &mut Line) + Send + 'static {
    let (ends, mut begun) = (ends.clone(), false);
    move |passing, line| match passing {
        Passing::Down(Push::Delivery { .. }, _) if !begun => {
            begun = true;
            line.tell(&Push::Goodbye { reason: GoodbyeReason::TimedOut, retry_after: None }, b"");
        }
        Passing::Down(push @ Push::Hello { .. }, body) => {
            let mut ends = ends.lock().unwrap();
            if begun && ends.len() <= most {
                ends.push(Instant::now());
            }
            if begun && ends.len() <= most {
                line.tell(&goodbye, b"");
            } else {
                line.tell(&push, &body);
            }
        }
        other => line.pass(other),
    }
}

/// Follows through such a server until what was sent meanwhile has come; the pauses between connections.
fn pauses(most: usize, goodbye: Push, meanwhile: impl Fn(&Profile, &str, &Ends)) -> Vec<Duration> {
    let (server, ayşe, burak) = friends();
    let ends = Ends::default();
    let liar = Liar::start(&server, &[&burak], away_for(most, goodbye, &ends));
    let mut following = burak.start(["receive", "--follow", "--json", "--mute", "--server", &liar.name]);
    ayşe.send("burak", "bir");
    meanwhile(&burak, &liar.name, &ends);
    assert!(following.line().unwrap().contains("bir"), "nothing is lost");
    following.signal("INT");
    following.wait().ok();
    let ends = ends.lock().unwrap();
    assert_eq!(ends.len(), most + 1, "{ends:?}");
    ends.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect()
}

#[test]
fn a_server_that_is_not_there_is_tried_again_less_and_less_often() {
    let goodbye = Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None };
    let pauses = pauses(3, goodbye, |_, _, _| {});
    // Each is no shorter than half of what it may be at most, which doubles. How much longer it was, others have a
    // say in.
    for (pause, least) in pauses.iter().zip([250, 500, 1000]) {
        assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
    }
}

#[test]
fn a_server_that_says_when_to_come_again_is_left_alone_until_then() {
    let goodbye = Push::Goodbye { reason: GoodbyeReason::Limited, retry_after: Some(3_000) };
    let pauses = pauses(1, goodbye, |burak, server, ends| {
        let deadline = Instant::now() + TIMEOUT;
        while ends.lock().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "it never came again");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Nor does somebody in a hurry make it come sooner.
        burak.run(["users", "--server", server]);
    });
    assert!(pauses[0] >= Duration::from_secs(3), "{pauses:?}");
}
