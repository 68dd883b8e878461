//! What a server promises to whoever speaks its protocol, and what it does to whoever doesn't.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(dead_code, reason = "parts of the support that other tests use")]

#[path = "support/raw.rs"]
mod raw;

use std::sync::LazyLock;
use std::time::Duration;

use bytes::BytesMut;
use raw::{Person, Raw, Served, blob};
use tellal::crypto::record;
use tellal::model::{MessageId, Millis, Position, Wrap, limits, to_cbor};
use tellal::protocol::frame;
use tellal::protocol::message::{Answer, GoodbyeReason, Push, RefusalCode, Request, Verb};
use tellal::server::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

static AYŞE: LazyLock<Person> = LazyLock::new(|| Person::new("ayşe"));
static BURAK: LazyLock<Person> = LazyLock::new(|| Person::new("burak"));

async fn friends(served: &Served) -> (Raw, Raw) {
    (Raw::register(served.address, &AYŞE).await, Raw::register(served.address, &BURAK).await)
}

fn goodbye(reason: GoodbyeReason) -> Push {
    Push::Goodbye { reason, retry_after: None }
}

fn id() -> MessageId {
    MessageId::generate()
}

#[tokio::test]
async fn offline_mail_waits_across_a_restart_and_is_read_from_the_cursor() {
    let served = Served::start().await;
    let (mut ayşe, burak) = friends(&served).await;
    drop(burak);
    for text in ["bir", "iki", "üç"] {
        let accepted = ayşe.ask(BURAK.submit(id()), text.as_bytes()).await;
        assert!(matches!(accepted, Ok(Answer::Accepted { .. })), "{accepted:?}");
    }
    let served = Served::start_in(served.stop().await, Options::default()).await;
    let mut burak = Raw::login(served.address, &BURAK).await;
    let mail = burak.read_mailbox(None).await;
    assert_eq!(
        mail.iter().map(|(_, body)| &**body).collect::<Vec<_>>(),
        [&b"bir"[..], b"iki", "üç".as_bytes()]
    );
    assert_eq!(mail.iter().map(|(place, _)| place.seq).collect::<Vec<_>>(), [1, 2, 3]);

    let (second, _) = mail[1];
    let mut burak = Raw::login(served.address, &BURAK).await;
    assert_eq!(burak.read_mailbox(Some(second)).await.len(), 1, "only what is behind the cursor");
    let mut burak = Raw::login(served.address, &BURAK).await;
    let other_epoch = Position { epoch: second.epoch ^ 1, ..second };
    assert_eq!(burak.read_mailbox(Some(other_epoch)).await.len(), 3, "another epoch: from the beginning");
    let mut burak = Raw::login(served.address, &BURAK).await;
    let ahead = Position { seq: 99, ..second };
    assert_eq!(burak.read_mailbox(Some(ahead)).await.len(), 3, "a cursor from a lost future");
}

#[tokio::test]
async fn a_subscription_gets_nothing_that_was_read_for_an_earlier_one() {
    const SUBSCRIPTIONS: u64 = 60;
    const ENTRIES: u64 = 40;
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    for _ in 0..ENTRIES {
        assert!(ayşe.ask(BURAK.submit(id()), &[7; 9_000]).await.is_ok());
    }
    // None is waited for: most begin while something is being read for the one before.
    for _ in 0..SUBSCRIPTIONS {
        burak.send(Verb::Subscribe { after: None }, b"").await;
    }
    let (mut subscribed, mut next) = (0, 1);
    loop {
        match burak.pushed().await.unwrap().0 {
            Push::Reply { answer: Answer::Subscribed { .. }, .. } => (subscribed, next) = (subscribed + 1, 1),
            Push::Delivery { position, .. } => {
                assert_eq!(position.seq, next, "of subscription {subscribed}");
                next += 1;
            }
            Push::Drained { .. } if subscribed == SUBSCRIPTIONS => break,
            Push::Drained { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next, ENTRIES + 1, "the last one gets all of it");
}

#[tokio::test]
async fn what_comes_in_is_pushed_at_once_and_in_order() {
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    assert_eq!(burak.read_mailbox(None).await, []);
    for number in 0..300u32 {
        // Many under way at once.
        ayşe.send(BURAK.submit(id()), &number.to_be_bytes()).await;
    }
    for number in 0..300u32 {
        let (position, wrap, sender, body) = loop {
            match burak.pushed().await.unwrap() {
                (Push::Delivery { position, wrap, sender, .. }, body) => {
                    break (position, wrap, sender, body);
                }
                // It fell behind, read the mailbox to its end, and says so.
                (Push::Drained { .. }, _) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(body, number.to_be_bytes()[..]);
        assert_eq!(position.seq, u64::from(number) + 1);
        assert_eq!(sender, AYŞE.account());
        assert_eq!(wrap.unwrap().device, BURAK.device());
    }
}

#[tokio::test]
async fn a_repeated_submission_is_stored_once_and_a_reused_name_is_refused() {
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    let message = id();
    let first = ayşe.ask(BURAK.submit(message), b"merhaba").await;
    assert!(matches!(first, Ok(Answer::Accepted { .. })));
    assert_eq!(
        ayşe.ask(BURAK.submit(message), b"merhaba").await,
        first,
        "accepted when it was accepted first"
    );
    assert_eq!(ayşe.ask(BURAK.submit(message), b"elveda").await, Err(RefusalCode::NameReused));
    let accepted = burak.ask(AYŞE.submit(message), b"another device may use the id").await;
    assert!(matches!(accepted, Ok(Answer::Accepted { .. })));
    assert_eq!(burak.read_mailbox(None).await.len(), 1);
}

#[tokio::test]
async fn a_submission_that_can_not_be_delivered_is_refused_with_the_reason() {
    let served = Served::start().await;
    let (mut ayşe, _burak) = friends(&served).await;
    let zoé = Person::new("zoé");
    assert_eq!(ayşe.ask(zoé.submit(id()), b"x").await, Err(RefusalCode::UnknownRecipient));

    let change = |change: &dyn Fn(&mut Verb)| {
        let mut verb = BURAK.submit(id());
        change(&mut verb);
        verb
    };
    let wrong_key = change(&|verb| {
        let Verb::Submit { recipients, .. } = verb else { return };
        recipients[0].wraps[0].key = AYŞE.key();
    });
    assert_eq!(ayşe.ask(wrong_key, b"x").await, Err(RefusalCode::KeySuperseded));
    let wrong_device = change(&|verb| {
        let Verb::Submit { recipients, .. } = verb else { return };
        recipients[0].wraps[0].device = AYŞE.device();
    });
    assert_eq!(ayşe.ask(wrong_device, b"x").await, Err(RefusalCode::Invalid));
    let elsewhere = change(&|verb| {
        let Verb::Submit { conversation, .. } = verb else { return };
        *conversation = AYŞE.account().into();
    });
    assert_eq!(ayşe.ask(elsewhere, b"x").await, Err(RefusalCode::Invalid));
    let nowhere = change(&|verb| {
        let Verb::Submit { recipients, .. } = verb else { return };
        recipients.clear();
    });
    assert_eq!(ayşe.ask(nowhere, b"x").await, Err(RefusalCode::Invalid));
    let no_blob = change(&|verb| {
        let Verb::Submit { blobs, .. } = verb else { return };
        blobs.push(blob(1));
    });
    assert_eq!(ayşe.ask(no_blob, b"x").await, Err(RefusalCode::BlobMissing));
    assert_eq!(ayşe.ask(BURAK.submit(id()), b"").await, Err(RefusalCode::Invalid), "nothing in it");
}

#[tokio::test]
async fn what_would_come_in_a_frame_that_is_too_large_is_refused_and_the_mailbox_stays_readable() {
    let served = Served::start().await;
    let (mut ayşe, burak) = friends(&served).await;
    drop(burak);
    let accepted = |answer| matches!(answer, Ok(Answer::Accepted { .. }));
    let wrapped = |change: &dyn Fn(&mut Vec<Wrap>)| {
        let mut verb = BURAK.submit(id());
        if let Verb::Submit { recipients, .. } = &mut verb {
            change(&mut recipients[0].wraps);
        }
        verb
    };
    let long = |length| wrapped(&|wraps| wraps[0].ciphertext = vec![7; length].into());

    // As large as they may be: body and wrap both.
    assert!(accepted(ayşe.ask(long(512), &[1; limits::BODY]).await));
    for length in [limits::BODY + 1, limits::FRAME, limits::FRAME + 1] {
        let refused = ayşe.ask(BURAK.submit(id()), &vec![2; length]).await;
        assert_eq!(refused, Err(RefusalCode::TooLarge), "an envelope of {length}");
    }
    for length in [513, 100_000, 300_000] {
        assert_eq!(ayşe.ask(long(length), b"x").await, Err(RefusalCode::TooLarge), "a wrap of {length}");
    }
    for length in [0, 255] {
        assert_eq!(ayşe.ask(long(length), b"x").await, Err(RefusalCode::Invalid), "a wrap of {length}");
    }
    let twice = wrapped(&|wraps| wraps.push(wraps[0].clone()));
    assert_eq!(ayşe.ask(twice, b"x").await, Err(RefusalCode::Invalid));
    assert!(accepted(ayşe.ask(BURAK.submit(id()), b"son").await));

    let put = |number| Verb::PutChunk { blob: blob(number), index: 0 };
    assert_eq!(ayşe.ask(put(1), &[3; limits::BODY]).await, Ok(Answer::Done));
    for length in [limits::BODY + 1, 400_000] {
        assert_eq!(ayşe.ask(put(2), &vec![3; length]).await, Err(RefusalCode::TooLarge), "{length}");
    }
    let nothing = ayşe.ask(Verb::StatBlob { blob: blob(2) }, b"").await;
    assert_eq!(nothing, Ok(Answer::Blob { chunks: 0, sealed: false }));
    assert_eq!(ayşe.ask(Verb::SealBlob { blob: blob(1), chunks: 1 }, b"").await, Ok(Answer::Done));

    // A reader that holds the server to its limits.
    let mut burak = Raw::login(served.address, &BURAK).await;
    let mail = burak.read_mailbox(None).await;
    assert_eq!(mail.iter().map(|(_, body)| body.len()).collect::<Vec<_>>(), [limits::BODY, 3]);
    let fetch = Verb::FetchChunk { blob: blob(1), index: 0 };
    let (answer, chunk) = burak.ask_for_body(fetch, b"").await.unwrap();
    assert_eq!((answer, chunk.len()), (Answer::Chunk, limits::BODY));
    let wait = Verb::AwaitChunk { device: AYŞE.device(), blob: blob(1), index: 0 };
    let (answer, chunk) = burak.ask_for_body(wait, b"").await.unwrap();
    assert_eq!((answer, chunk.len()), (Answer::Chunk, limits::BODY));
}

#[tokio::test]
async fn what_a_store_holds_that_fits_into_no_frame_is_passed_over() {
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    for text in ["bir", "iki", "üç", "dört"] {
        assert!(ayşe.ask(BURAK.submit(id()), text.as_bytes()).await.is_ok());
    }
    let mail = burak.read_mailbox(None).await;
    let ends = (mail[0].0, mail[3].0);
    drop(burak);
    let folder = served.stop().await;
    // What was taken before there was a limit: a body and a wrap that are too large.
    let connection = rusqlite::Connection::open(folder.path().join("server.db")).unwrap();
    let body = vec![1; limits::FRAME];
    let changed =
        connection.execute("UPDATE envelope SET body = ? WHERE body = CAST('iki' AS BLOB)", [&body]);
    assert_eq!(changed.unwrap(), 1);
    let wrap = Wrap { device: BURAK.device(), key: BURAK.key(), ciphertext: vec![7; 200_000].into() };
    let changed = connection.execute("UPDATE mailbox SET wraps = ? WHERE seq = 3", [to_cbor(&vec![wrap])]);
    assert_eq!(changed.unwrap(), 1);
    drop(connection);

    let served = Served::start_in(folder, Options::default()).await;
    let mut burak = Raw::login(served.address, &BURAK).await;
    let mail = burak.read_mailbox(None).await;
    let texts: Vec<_> = mail.iter().map(|(_, body)| &**body).collect();
    assert_eq!(texts, [&b"bir"[..], "dört".as_bytes()]);
    assert_eq!((mail[0].0, mail[1].0), ends, "and their places are what they were");
    let mut ayşe = Raw::login(served.address, &AYŞE).await;
    assert!(ayşe.ask(BURAK.submit(id()), "beş".as_bytes()).await.is_ok());
    let Some((Push::Delivery { .. }, body)) = burak.pushed().await else { panic!() };
    assert_eq!(body, "beş".as_bytes());
}

#[tokio::test]
async fn a_superseded_message_key_is_refused_and_its_successor_taken() {
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    let fresh = Person::new("burak");
    let publish = |supersedes| {
        let record = record::announce_message_key(
            &BURAK.device,
            BURAK.account(),
            fresh.message.public(),
            Millis::now(),
            supersedes,
        );
        Verb::PublishMessageKey { record: record.unwrap() }
    };
    assert_eq!(
        burak.ask(publish(Some(fresh.device.public().id())), b"").await,
        Err(RefusalCode::KeySuperseded)
    );
    assert_eq!(ayşe.ask(publish(Some(BURAK.key())), b"").await, Err(RefusalCode::Invalid), "not her device");
    let verb = publish(Some(BURAK.key()));
    assert_eq!(burak.ask(verb.clone(), b"").await, Ok(Answer::Done));
    assert_eq!(burak.ask(verb, b"").await, Ok(Answer::Done), "again");
    assert_eq!(ayşe.ask(BURAK.submit(id()), b"x").await, Err(RefusalCode::KeySuperseded));
    let mut verb = BURAK.submit(id());
    if let Verb::Submit { recipients, .. } = &mut verb {
        recipients[0].wraps[0].key = fresh.key();
    }
    assert!(matches!(ayşe.ask(verb, b"x").await, Ok(Answer::Accepted { .. })));
}

#[tokio::test]
async fn a_login_proves_the_device_on_this_connection_alone() {
    let served = Served::start().await;
    drop(friends(&served).await);
    let first = Raw::connect(served.address).await;
    let recorded = first.login_verb(&AYŞE);
    let mut second = Raw::connect(served.address).await;
    assert_eq!(second.ask(recorded, b"").await, Err(RefusalCode::LoginRefused), "replayed");
    let Verb::Login { signature, .. } = second.login_verb(&BURAK) else { panic!() };
    let stolen = Verb::Login { account: AYŞE.account(), device: AYŞE.device(), signature };
    assert_eq!(second.ask(stolen, b"").await, Err(RefusalCode::LoginRefused), "another's key");
    let stranger = Person::new("小明");
    let unknown = second.login_verb(&stranger);
    assert_eq!(second.ask(unknown, b"").await, Err(RefusalCode::LoginRefused), "unknown");
    let right = second.login_verb(&AYŞE);
    assert_eq!(second.ask(right, b"").await, Ok(Answer::LoggedIn));
}

#[tokio::test]
async fn what_is_asked_out_of_order_is_refused_and_ends_the_connection() {
    let served = Served::start().await;
    let mut going_on = Raw::register(served.address, &BURAK).await;
    for verb in [Verb::Ping, Verb::ListAccounts { after: None }, Verb::WatchPresence] {
        let mut nobody = Raw::connect(served.address).await;
        assert_eq!(nobody.ask(verb, b"").await, Err(RefusalCode::NotLoggedIn));
        assert_eq!(nobody.pushed().await.unwrap().0, goodbye(GoodbyeReason::OutOfOrder));
        assert!(nobody.pushed().await.is_none());
    }
    let mut twice = Raw::register(served.address, &AYŞE).await;
    let again = twice.login_verb(&AYŞE);
    assert_eq!(twice.ask(again, b"").await, Err(RefusalCode::Invalid));
    assert_eq!(twice.pushed().await.unwrap().0, goodbye(GoodbyeReason::OutOfOrder));
    assert_eq!(going_on.ask(Verb::Ping, b"").await, Ok(Answer::Done));
}

#[tokio::test]
async fn names_are_first_come_first_served_in_any_case() {
    let served = Served::start().await;
    let mut ayşe = Raw::register(served.address, &AYŞE).await;
    let mut other = Raw::connect(served.address).await;
    let taken = other.registration(&Person::new("Ayşe"));
    assert_eq!(other.ask(taken, b"").await, Err(RefusalCode::NicknameTaken));
    let mut again = Raw::connect(served.address).await;
    let changed = again.registration(&AYŞE);
    assert_eq!(again.ask(changed, b"").await, Err(RefusalCode::AccountExists), "made at another time");
    let Ok(Answer::Directory { entries, more }) =
        ayşe.ask(Verb::LookUpName { nickname: "AYŞE".parse().unwrap() }, b"").await
    else {
        panic!()
    };
    assert!(!more && entries.len() == 1 && entries[0].online);
    let account = record::verify_account(&entries[0].chain).unwrap();
    assert_eq!(account.id, AYŞE.account());
    record::verify_message_key(&account, &entries[0].message_keys[0]).unwrap();
}

#[tokio::test]
async fn a_registration_that_says_what_can_not_be_is_refused() {
    let served = Served::start().await;
    let mut raw = Raw::connect(served.address).await;
    let Verb::Register { record, message_key, signature, .. } = raw.registration(&AYŞE) else { panic!() };
    let Verb::Register { message_key: burak_key, .. } = raw.registration(&BURAK) else { panic!() };
    let mut forged = record.clone();
    forged.signature[0] ^= 1;
    let mut other_nonce = Raw::connect(served.address).await;
    let Verb::Register { signature: elsewhere, .. } = other_nonce.registration(&AYŞE) else { panic!() };
    for (record, message_key, signature) in [
        (forged, message_key.clone(), signature.clone()),
        (record.clone(), burak_key, signature.clone()),
        (record.clone(), message_key.clone(), elsewhere),
    ] {
        let verb = Verb::Register { record, message_key, signature, invite: None };
        assert_eq!(raw.ask(verb, b"").await, Err(RefusalCode::Invalid));
    }
    let verb = Verb::Register { record, message_key, signature, invite: None };
    assert_eq!(raw.ask(verb.clone(), b"").await, Ok(Answer::LoggedIn));
    // The same again, as after an answer that was lost; only the proof is this connection's own.
    let Verb::Register { record, message_key, .. } = verb else { panic!() };
    let Verb::Register { signature, .. } = other_nonce.registration(&AYŞE) else { panic!() };
    let verb = Verb::Register { record, message_key, signature, invite: None };
    assert_eq!(other_nonce.ask(verb, b"").await, Ok(Answer::LoggedIn));
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_their_connection_and_no_other() {
    let served = Served::start().await;
    let (_, mut burak) = friends(&served).await;
    burak.read_mailbox(None).await;
    let whole = |head: &[u8], body: &[u8]| {
        let mut frame = BytesMut::new();
        frame::put(&mut frame, head, body);
        frame.to_vec()
    };
    let ping = to_cbor(&Request { number: 1, verb: Verb::Ping });
    let with = |bytes: &[u8]| [&ping[..], bytes].concat();
    let deep = [vec![0x81; 4000], vec![0x80]].concat();
    let (malformed, too_large) = (GoodbyeReason::Malformed, GoodbyeReason::TooLarge);
    let cases: Vec<(&str, Vec<u8>, GoodbyeReason)> = vec![
        ("a length of 4 GiB", vec![0xff; 8], too_large),
        ("a length of 2 MiB", [0x0020_0000u32.to_be_bytes(), [0; 4]].concat(), too_large),
        ("a length of nothing", vec![0; 8], malformed),
        ("a length that ends inside the prefix", [3u32.to_be_bytes(), [0; 4]].concat(), malformed),
        (
            "a head that reaches beyond the frame",
            [8u32.to_be_bytes(), 99u32.to_be_bytes()].concat(),
            malformed,
        ),
        ("a head over its limit", [400_000u32.to_be_bytes(), 390_000u32.to_be_bytes()].concat(), malformed),
        ("an empty head", whole(b"", b""), malformed),
        ("a head that is no CBOR", whole(&[0xff; 40], b""), malformed),
        ("a head of another type", whole(&to_cbor(&7u32), b""), malformed),
        ("a head cut off", whole(&ping[..ping.len() - 1], b""), malformed),
        ("a head with a byte too many", whole(&with(&[0]), b""), malformed),
        ("an unknown verb", whole(&[0x82, 1, 0x82, 0x18, 99, 0x80], b""), malformed),
        ("CBOR nested 4000 deep", whole(&deep, b""), malformed),
        (
            "an array of 2^63 elements",
            whole(&[0x9b, 0x7f, 255, 255, 255, 255, 255, 255, 255], b""),
            malformed,
        ),
        ("text instead of a number", whole(&[0x82, 0x61, b'x', 0x82, 14, 0x80], b""), malformed),
        ("a nickname that is none", whole(&[0x82, 1, 0x82, 2, 0x81, 0x61, 7], b""), malformed),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: tellal\r\n\r\n".to_vec(), too_large),
    ];
    for (what, bytes, reason) in cases {
        for logged_in in [false, true] {
            let mut bad = match logged_in {
                true => Raw::login(served.address, &AYŞE).await,
                false => Raw::connect(served.address).await,
            };
            bad.send_bytes(&bytes).await;
            let (end, _) = bad.pushed().await.unwrap_or_else(|| panic!("{what}: no reason given"));
            let Push::Goodbye { reason: given, .. } = end else { panic!("{what}: {end:?}") };
            // What is over the limit before login may be merely malformed behind it.
            assert!(given == reason || !logged_in && given == too_large, "{what}: {given:?}");
            assert!(bad.pushed().await.is_none(), "{what}: the connection goes on");
        }
    }
    // Cut off inside a frame: gone, without a word.
    let mut cut = Raw::connect(served.address).await;
    cut.send_bytes(&whole(&ping, b"body")[..9]).await;
    drop(cut);
    // burak has noticed nothing, and ayşe goes on.
    let mut ayşe = Raw::login(served.address, &AYŞE).await;
    assert!(ayşe.ask(BURAK.submit(id()), b"hala buradayim").await.is_ok());
    let Some((Push::Delivery { .. }, body)) = burak.pushed().await else { panic!() };
    assert_eq!(&*body, b"hala buradayim");
}

#[tokio::test]
async fn a_voice_note_goes_up_in_chunks_goes_on_after_a_break_and_comes_down_again() {
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    let chunk = |byte: u8, length: usize| vec![byte; length];
    let put = |index| Verb::PutChunk { blob: blob(1), index };
    let stat = Verb::StatBlob { blob: blob(1) };
    assert_eq!(ayşe.ask(stat.clone(), b"").await, Ok(Answer::Blob { chunks: 0, sealed: false }));
    assert_eq!(ayşe.ask(put(1), &chunk(1, 1000)).await, Err(RefusalCode::Invalid), "out of order");
    assert_eq!(ayşe.ask(put(0), &chunk(0, 1000)).await, Ok(Answer::Done));
    assert_eq!(ayşe.ask(put(0), &chunk(0, 1000)).await, Ok(Answer::Done), "the newest again");
    assert_eq!(ayşe.ask(put(1), &chunk(1, 1001)).await, Err(RefusalCode::Invalid), "longer than the first");
    assert_eq!(ayşe.ask(put(1), &chunk(1, 1000)).await, Ok(Answer::Done));
    assert_eq!(ayşe.ask(put(0), &chunk(9, 1000)).await, Err(RefusalCode::Invalid), "an older one");
    let mut ayşe = Raw::login(served.address, &AYŞE).await;
    assert_eq!(ayşe.ask(stat.clone(), b"").await, Ok(Answer::Blob { chunks: 2, sealed: false }));
    assert_eq!(burak.ask(stat.clone(), b"").await, Ok(Answer::Blob { chunks: 0, sealed: false }), "not his");
    assert_eq!(ayşe.ask(put(2), &chunk(2, 10)).await, Ok(Answer::Done));
    assert_eq!(ayşe.ask(put(3), &chunk(3, 10)).await, Err(RefusalCode::Invalid), "behind the last");
    let fetch = |index| Verb::FetchChunk { blob: blob(1), index };
    assert_eq!(burak.ask(fetch(0), b"").await, Err(RefusalCode::BlobMissing), "not sealed yet");
    assert_eq!(ayşe.ask(Verb::SealBlob { blob: blob(1), chunks: 2 }, b"").await, Err(RefusalCode::Invalid));
    let seal = Verb::SealBlob { blob: blob(1), chunks: 3 };
    assert_eq!(ayşe.ask(seal.clone(), b"").await, Ok(Answer::Done));
    assert_eq!(ayşe.ask(seal, b"").await, Ok(Answer::Done), "again");
    assert_eq!(ayşe.ask(put(3), &chunk(3, 10)).await, Err(RefusalCode::Invalid), "sealed");
    assert_eq!(ayşe.ask(stat, b"").await, Ok(Answer::Blob { chunks: 3, sealed: true }));
    for (index, length) in [(0, 1000), (1, 1000), (2, 10)] {
        let (answer, body) = burak.ask_for_body(fetch(index), b"").await.unwrap();
        assert_eq!((answer, &*body), (Answer::Chunk, &chunk(index as u8, length)[..]));
    }
    assert_eq!(burak.ask(fetch(3), b"").await, Err(RefusalCode::BlobMissing));
}

#[tokio::test]
async fn chunks_and_the_seal_behind_them_may_be_sent_without_waiting() {
    let served = Served::start().await;
    let (mut ayşe, _burak) = friends(&served).await;
    const CHUNKS: u32 = 100;
    for index in 0..CHUNKS {
        ayşe.send(Verb::PutChunk { blob: blob(1), index }, &[7; 5000]).await;
    }
    // Answered only after all of them.
    assert_eq!(ayşe.ask(Verb::SealBlob { blob: blob(1), chunks: CHUNKS }, b"").await, Ok(Answer::Done));
    let state = ayşe.ask(Verb::StatBlob { blob: blob(1) }, b"").await;
    assert_eq!(state, Ok(Answer::Blob { chunks: CHUNKS, sealed: true }));
}

#[tokio::test]
async fn chunks_that_are_waited_for_come_as_they_are_put_and_hold_up_nothing() {
    let served = Served::start().await;
    let people = [Person::new("ayşe"), Person::new("burak")];
    let mut ayşe = Raw::register(served.address, &people[0]).await;
    let mut burak = Raw::register(served.address, &people[1]).await;
    let wait = |index| Verb::AwaitChunk { device: people[0].device(), blob: blob(1), index };
    let (first, second) = (burak.send(wait(0), b"").await, burak.send(wait(1), b"").await);
    assert_eq!(burak.ask(Verb::Ping, b"").await, Ok(Answer::Done), "what comes behind them does not wait");
    for (index, asked) in [(0, first), (1, second)] {
        let put = Verb::PutChunk { blob: blob(1), index };
        assert_eq!(ayşe.ask(put, &[index as u8; 100]).await, Ok(Answer::Done));
        let (push, chunk) = burak.pushed().await.unwrap();
        assert_eq!(push, Push::Reply { number: asked, answer: Answer::Chunk });
        assert_eq!(chunk, vec![index as u8; 100]);
    }
    assert_eq!(
        burak.ask(Verb::FetchChunk { blob: blob(1), index: 0 }, b"").await,
        Err(RefusalCode::BlobMissing)
    );
    // Another device's blob of that name is another blob.
    assert_eq!(burak.ask(Verb::DropBlob { blob: blob(1) }, b"").await, Ok(Answer::Done));
    assert_eq!(ayşe.ask(Verb::SealBlob { blob: blob(1), chunks: 2 }, b"").await, Ok(Answer::Done));
    assert_eq!(burak.ask(wait(2), b"").await, Ok(Answer::Blob { chunks: 2, sealed: true }));

    // A server that stops lets nobody wait.
    let asked =
        burak.send(Verb::AwaitChunk { device: people[0].device(), blob: blob(2), index: 0 }, b"").await;
    assert_eq!(burak.ask(Verb::Ping, b"").await, Ok(Answer::Done));
    served.ask_to_stop();
    let refusal = Push::Refusal { number: asked, code: RefusalCode::ShuttingDown, retry_after: Some(1_000) };
    assert_eq!(burak.pushed().await.unwrap().0, refusal);
}

#[tokio::test]
async fn who_comes_and_goes_is_told_to_who_asked() {
    let served = Served::start().await;
    let (mut ayşe, burak) = friends(&served).await;
    let Ok(Answer::Online { accounts, more: false }) = ayşe.ask(Verb::WatchPresence, b"").await else {
        panic!()
    };
    assert!(accounts.contains(&BURAK.account()) && accounts.contains(&AYŞE.account()));
    drop(burak);
    let gone = Push::Presence { account: BURAK.account(), online: false };
    assert_eq!(ayşe.pushed().await.unwrap().0, gone);
    let _burak = Raw::login(served.address, &BURAK).await;
    let came = Push::Presence { account: BURAK.account(), online: true };
    assert_eq!(ayşe.pushed().await.unwrap().0, came);
}

#[tokio::test]
async fn a_device_that_logs_in_again_ends_its_earlier_session() {
    let served = Served::start().await;
    let mut first = Raw::register(served.address, &AYŞE).await;
    let mut second = Raw::login(served.address, &AYŞE).await;
    assert_eq!(first.pushed().await.unwrap().0, goodbye(GoodbyeReason::Replaced));
    assert_eq!(second.ask(Verb::Ping, b"").await, Ok(Answer::Done));
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nobody_up() {
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    let zoé = Person::new("zoé");
    let mut listening = Raw::register(served.address, &zoé).await;
    listening.read_mailbox(None).await;
    assert!(burak.ask(Verb::Subscribe { after: None }, b"").await.is_ok());
    // Far more than socket buffers and the server's own bound hold; burak reads none of it for now.
    let body = vec![7; 100_000];
    for _ in 0..200 {
        assert!(ayşe.ask(BURAK.submit(id()), &body).await.is_ok());
    }
    assert!(ayşe.ask(zoé.submit(id()), b"bonjour").await.is_ok());
    let Some((Push::Delivery { .. }, text)) = listening.pushed().await else { panic!() };
    assert_eq!(&*text, b"bonjour");
    let mut seen = 0;
    while seen < 200 {
        match burak.pushed().await.unwrap() {
            (Push::Delivery { position, .. }, _) => {
                seen += 1;
                assert_eq!(position.seq, seen, "in order, none missing");
            }
            (Push::Drained { .. }, _) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_sends_more_than_may_be_under_way_is_answered_for_all_of_it() {
    let served = Served::start().await;
    let (mut ayşe, mut burak) = friends(&served).await;
    const COUNT: u32 = 60;
    // Far more than a mebibyte, none of it waited for.
    let mut asked = Vec::new();
    for number in 0..COUNT {
        asked.push(ayşe.send(BURAK.submit(id()), &vec![number as u8; limits::BODY]).await);
    }
    let mut answered = Vec::new();
    for _ in 0..COUNT {
        let (push, _) = ayşe.pushed().await.unwrap();
        let Push::Reply { number, answer: Answer::Accepted { .. } } = push else { panic!("{push:?}") };
        answered.push(number);
    }
    answered.sort_unstable();
    assert_eq!(answered, asked);
    let mail = burak.read_mailbox(None).await;
    assert_eq!(
        mail.iter().map(|(_, body)| u32::from(body[0])).collect::<Vec<_>>(),
        (0..COUNT).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_was_asked_before_a_stop_is_answered_and_the_reason_given() {
    let served = Served::start().await;
    let (mut ayşe, _burak) = friends(&served).await;
    for _ in 0..20 {
        ayşe.send(BURAK.submit(id()), b"son").await;
    }
    // The last of them is known to be read once a later request is answered.
    assert_eq!(ayşe.ask(Verb::Ping, b"").await, Ok(Answer::Done));
    served.ask_to_stop();
    let mut accepted = 0;
    loop {
        match ayşe.pushed().await.expect("a reason comes before the end").0 {
            Push::Reply { answer: Answer::Accepted { .. }, .. } => accepted += 1,
            Push::Goodbye { reason, .. } => break assert_eq!(reason, GoodbyeReason::ShuttingDown),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 20);
    served.stop().await;
}

#[tokio::test]
async fn who_does_not_log_in_in_time_is_sent_away() {
    let options = Options { login: Duration::from_millis(200), ..Options::default() };
    let served = Served::start_with(options).await;
    let mut nobody = Raw::connect(served.address).await;
    assert_eq!(nobody.pushed().await.unwrap().0, goodbye(GoodbyeReason::TimedOut));
    // Nor does a handshake that was begun last any longer: nothing can be said in it yet.
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    assert_eq!(timeout(Duration::from_secs(30), slow.read(&mut [0; 16])).await.unwrap().unwrap_or(0), 0);
    let options = Options { idle: Duration::from_millis(200), ..Options::default() };
    let served = Served::start_with(options).await;
    let mut silent = Raw::register(served.address, &AYŞE).await;
    assert_eq!(silent.pushed().await.unwrap().0, goodbye(GoodbyeReason::TimedOut));
}

#[tokio::test]
async fn what_every_device_has_is_pruned_and_its_name_is_still_known() {
    let served = Served::start_with(Options { prune: Duration::from_millis(20), ..Options::default() }).await;
    let (mut ayşe, mut burak) = friends(&served).await;
    let message = id();
    let first = ayşe.ask(BURAK.submit(message), b"merhaba").await;
    let mail = burak.read_mailbox(None).await;
    let (position, _) = mail[0];
    burak.send(Verb::Acknowledge { position }, b"").await;
    loop {
        // Asked again and again until the server has pruned: each time anew from the beginning.
        let mut again = Raw::login(served.address, &BURAK).await;
        let Ok(Answer::Subscribed { oldest }) = again.ask(Verb::Subscribe { after: None }, b"").await else {
            panic!()
        };
        if oldest == position {
            let Some((Push::Drained { position: end }, _)) = again.pushed().await else { panic!() };
            break assert_eq!(end, position);
        }
    }
    assert_eq!(ayşe.ask(BURAK.submit(message), b"merhaba").await, first);
    assert_eq!(ayşe.ask(BURAK.submit(message), b"elveda").await, Err(RefusalCode::NameReused));
}
