//! Who is online, told in parts and told anew: what a client makes of it, and what a server does for one who is slow.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

#[path = "support/liar.rs"]
mod liar;
#[path = "support/raw.rs"]
mod raw;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use liar::{Liar, Passing};
use raw::{Person, Raw, Served};
use support::{Profile, Server, TIMEOUT, forge};
use tellal::client::{Client, Event, Options};
use tellal::model::{AccountId, KeyId, MessageId};
use tellal::protocol::message::{Answer, Push, Verb};
use tellal::server;

/// Accounts that there are not.
fn strangers(from: u8) -> Vec<AccountId> {
    (0..80).map(|number| KeyId::new([[from, number]; 16].concat().try_into().unwrap()).into()).collect()
}

#[test]
fn a_list_in_parts_is_one_list_and_one_that_comes_anew_tells_the_difference() {
    let server = Server::start();
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(|name| Profile::register(&server, name));
    let [burak, zoé] = [&burak, &zoé].map(forge::account);
    let stage = Arc::new(AtomicU32::new(0));
    let (seen, mut watch) = (stage.clone(), None);
    let lists = [
        vec![[strangers(1), vec![zoé]].concat(), strangers(2), vec![burak]],
        vec![[strangers(1), vec![zoé]].concat(), vec![]],
        vec![vec![zoé], vec![burak]],
    ];
    let liar = Liar::start(&server, &[&ayşe], move |passing, line| {
        let mut tell = |number, list: &[Vec<AccountId>]| {
            for (place, accounts) in list.iter().enumerate() {
                let more = place + 1 < list.len();
                line.answer(number, Answer::Online { accounts: accounts.clone(), more });
            }
        };
        if let Passing::Down(Push::Reply { number, answer: Answer::Online { .. } }, _) = passing {
            watch = Some(number);
            return tell(number, &lists[0]);
        }
        if let (Some(number), told @ 1..) = (watch, seen.swap(0, Ordering::Relaxed)) {
            tell(number, &lists[told as usize]);
        }
        line.pass(passing);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = Options { server: Some(liar.name.clone()), ..Options::new(ayşe.home()) };
        let client = Client::open(options).await.unwrap();
        let mut events = client.events();
        let mut next = async || {
            let presence = async {
                loop {
                    if let Event::Presence { nickname, online } = events.next().await.unwrap() {
                        return (nickname.to_string(), online);
                    }
                }
            };
            tokio::time::timeout(TIMEOUT, presence).await.expect("somebody comes or goes")
        };
        let here = client.watch_presence().await.unwrap();
        let mut here: Vec<String> = here.iter().map(|contact| contact.nickname.to_string()).collect();
        here.sort();
        assert_eq!(here, ["burak", "zoé"], "from all parts, and who there is");
        // Whatever is asked next brings the list anew: of those in it only who came or went is told.
        for (list, told) in [(1, ("burak".to_owned(), false)), (2, ("burak".to_owned(), true))] {
            stage.store(list, Ordering::Relaxed);
            client.users().await.unwrap();
            assert_eq!(next().await, told);
        }
        client.close().await;
    });
}

#[tokio::test]
async fn a_watcher_who_falls_behind_is_told_the_list_anew_and_stays_connected() {
    // However long it takes him.
    let served = Served::start_with(server::Options { idle: TIMEOUT * 20, ..Default::default() }).await;
    let [ayşe, burak, zoé] = ["ayşe", "burak", "zoé"].map(Person::new);
    let mut sending = Raw::register(served.address, &ayşe).await;
    let mut slow = Raw::register(served.address, &burak).await;
    drop(Raw::register(served.address, &zoé).await);
    let Ok(Answer::Online { accounts, .. }) = sending.ask(Verb::WatchPresence, b"").await else { panic!() };
    if accounts.contains(&zoé.account()) {
        said(&mut sending, &zoé, false).await;
    }
    let asked = slow.send(Verb::WatchPresence, b"").await;
    assert!(matches!(slow.pushed().await.unwrap().0, Push::Reply { number, .. } if number == asked));
    assert!(slow.ask(Verb::Subscribe { after: None }, b"").await.is_ok());
    // More than sockets and the server's own bound hold, of which he reads nothing.
    for _ in 0..200 {
        let submit = burak.submit(MessageId::generate());
        assert!(sending.ask(submit, &[7; 100_000]).await.is_ok());
    }
    // And then more coming and going than the server keeps for him.
    for _ in 0..200 {
        let coming = Raw::login(served.address, &zoé).await;
        said(&mut sending, &zoé, true).await;
        drop(coming);
        said(&mut sending, &zoé, false).await;
    }
    let mut deliveries = 0;
    let anew = loop {
        match slow.pushed().await.expect("he stays connected").0 {
            Push::Delivery { .. } => deliveries += 1,
            Push::Reply { number, answer: Answer::Online { accounts, more: false } } if number == asked => {
                break accounts;
            }
            Push::Drained { .. } | Push::Presence { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(deliveries > 0 && anew.contains(&ayşe.account()) && anew.contains(&burak.account()));
    assert!(!anew.contains(&zoé.account()), "as it is now");
    let _zoé = Raw::login(served.address, &zoé).await;
    said(&mut slow, &zoé, true).await;
}

/// Waits until it is said of somebody.
async fn said(watching: &mut Raw, who: &Person, online: bool) {
    let said = Push::Presence { account: who.account(), online };
    while watching.pushed().await.expect("the connection ended").0 != said {}
}
