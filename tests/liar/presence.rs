//! Lies about who is online: what somebody in a conversation sees of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tellal::model::{AccountId, KeyId};
use tellal::protocol::message::Push;

use crate::friends;
use crate::liar::{Liar, Passing};
use crate::support::forge::account;
use crate::support::screen::Screen;

/// How many come and go.
const MANY: u32 = 1_000;

/// An account that there is not.
fn nobody(number: u32) -> AccountId {
    let mut id = [0x6e; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    KeyId::new(id).into()
}

#[test]
fn who_is_said_to_be_online_is_said_so_once_and_who_does_not_exist_is_not() {
    let (server, ayşe, burak) = friends();
    ayşe.send("burak", "önce");
    burak.receive();
    let ayşes = account(&ayşe);
    let delivered = Arc::new(AtomicU32::new(0));
    let count = delivered.clone();
    let liar = Liar::start(&server, &[&burak], move |passing, line| match passing {
        // What is true is not said.
        Passing::Down(Push::Presence { .. }, _) => {}
        Passing::Down(push @ Push::Delivery { .. }, body) => {
            let mut say = |account, online| line.tell(&Push::Presence { account, online }, b"");
            match count.fetch_add(1, Ordering::SeqCst) {
                // Somebody who is away is said to be here, and so is somebody who is not at all.
                0 => {
                    say(nobody(0), true);
                    say(ayşes, true);
                }
                1 => {
                    for number in 1..=MANY {
                        say(ayşes, false);
                        say(ayşes, true);
                        say(nobody(number), true);
                        say(nobody(number), number % 100 == 0);
                    }
                }
                _ => say(ayşes, false),
            }
            line.tell(&push, &body);
        }
        other => line.pass(other),
    });
    let mut chat = Screen::start(&burak, &["chat", "ayşe", "--mute", "--server", &liar.name], &[]);
    chat.wait_for("connected; ayşe is offline: what you write waits on the server");
    ayşe.send("burak", "bir");
    chat.wait_for("ayşe: bir");
    chat.wait_for("ayşe is online");
    ayşe.send("burak", "iki");
    chat.wait_for("ayşe: iki");
    ayşe.send("burak", "üç");
    chat.wait_for("ayşe: üç");
    chat.wait("who went", |screen| screen.screen().contents().matches("ayşe is offline").count() > 1);
    chat.type_keys("/users\r");
    chat.wait_for("online, you");
    chat.type_keys("\u{4}");
    assert_eq!(chat.finish(), 0);
    assert_eq!(delivered.load(Ordering::SeqCst), 3);

    let seen = String::from_utf8(chat.raw()).unwrap();
    let told = |what: &str| seen.matches(what).count();
    // Once each. On a machine that stands still for seconds in the middle of the thousand, somebody has been away.
    let (came, went) = (told("ayşe is online"), told("ayşe is offline") - 1);
    assert!(came == went && came < 5, "{came} times here, {went} times gone:\n{seen}");
    assert!(!seen.contains("6e6e6e") && told(" is online") == came, "nobody else is named:\n{seen}");
}
