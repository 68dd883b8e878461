use super::*;
use crate::client::db::{attachments, memory, messages};
use crate::client::{Body, Message};
use crate::model::{Nickname, limits};

const PHONE: DeviceId = DeviceId::new([7; 32]);
const LAPTOP: DeviceId = DeviceId::new([8; 32]);
const PLACE: Position = Position { epoch: 3, seq: 9 };
const GROUP: usize = limits::LIVE_GROUP;

/// A note that has begun to come; its row.
fn begun(db: &Connection, device: DeviceId, id: MessageId) -> i64 {
    let from: Nickname = "burak".parse().unwrap();
    let (peer, to) = (from.clone().into(), "ayşe".parse().unwrap());
    let body = Body::live(limits::LIVE_RATE);
    let new = messages::New {
        id,
        sent_at: Millis(1),
        received_at: Some(Millis(2)),
        seq: Some(1),
        ..messages::New::told(device, "teal".parse().unwrap(), &from, (&peer, &to), &body)
    };
    let arrival = messages::insert(db, &new).unwrap();
    messages::release(db, arrival).unwrap();
    let opening = LiveOpening { blob: BlobId::new([1; 32]), sample_rate: limits::LIVE_RATE };
    let secret = MessageSecret::generate();
    begin(db, arrival, &AccountId::new([5; 32]), &opening, &[6; 32], &secret).unwrap();
    arrival
}

fn manifest(samples: &[u8]) -> LiveManifest {
    use sha2::Digest as _;
    let sha256 = sha2::Sha256::digest(samples).into();
    LiveManifest { size: samples.len() as u64, sha256, peaks: vec![1, 2].into() }
}

fn stored(db: &Connection, arrival: i64) -> Message {
    messages::by_arrival(db, arrival).unwrap()
}

#[test]
fn a_note_is_whole_when_all_that_was_signed_is_what_was_heard() {
    let db = memory();
    let id = MessageId::generate();
    let arrival = begun(&db, PHONE, id);
    let samples = [vec![1; GROUP], vec![2; 10]].concat();
    add(&db, arrival, 0, &samples[..GROUP], false).unwrap();
    add(&db, arrival, 1, &samples[GROUP..], true).unwrap();
    let closing = LiveClosing { opening: id, end: LiveEnd::Done(manifest(&samples)) };
    assert_eq!(close(&db, &PHONE, &closing, PLACE).unwrap(), Some(arrival));
    assert!(any_over(&db).unwrap());
    assert_eq!(
        crate::client::db::fetches::keep_from(&db, 3).unwrap(),
        Some(9),
        "the server keeps it until then"
    );
    let note = of(&db, arrival).unwrap().unwrap();
    assert!(note.last && note.here == 2 && note.manifest().unwrap().0.groups() == 2);
    assert!(finish(&db, &note, note.manifest().unwrap().0, false, "burak").unwrap());
    let Body::Voice { live: false, cut_off: false, size, ref peaks, .. } = stored(&db, arrival).body else {
        panic!("{:?}", stored(&db, arrival))
    };
    assert_eq!((size, peaks.as_slice()), (44 + samples.len() as u64, &[1, 2][..]));
    assert_eq!(attachments::all(&db, arrival).unwrap()[44..], samples);
    assert!(of(&db, arrival).unwrap().is_none() && !any_over(&db).unwrap());
}

#[test]
fn a_note_that_was_another_when_it_was_heard_is_thrown_away_loudly() {
    let db = memory();
    let arrival = begun(&db, PHONE, MessageId::generate());
    add(&db, arrival, 0, &[1; 20], true).unwrap();
    for signed in [manifest(&[2; 20]), manifest(&[1; 22])] {
        let note = of(&db, arrival).unwrap();
        let Some(note) = note else { break };
        assert!(!finish(&db, &note, &signed, false, "burak").unwrap());
    }
    let Body::Notice { text } = stored(&db, arrival).body else { panic!("{:?}", stored(&db, arrival)) };
    assert!(text.contains("burak's device") && text.contains("do not rely"), "{text}");
    assert!(attachments::all(&db, arrival).unwrap().is_empty());
}

#[test]
fn a_note_is_cut_off_where_nothing_comes_and_goes_on_when_more_does() {
    let db = memory();
    let arrival = begun(&db, PHONE, MessageId::generate());
    add(&db, arrival, 0, &[1; GROUP], false).unwrap();
    assert!(cut_off_stale(&db, Millis(1)).unwrap().is_empty());
    let later = Millis(Millis::now().0 + 1);
    assert_eq!(cut_off_stale(&db, later).unwrap(), [arrival]);
    assert!(matches!(
        stored(&db, arrival).body,
        Body::Voice { live: false, cut_off: true, duration_ms: 400, .. }
    ));
    assert!(cut_off_stale(&db, later).unwrap().is_empty(), "said once");
    add(&db, arrival, 1, &[1; GROUP], false).unwrap();
    assert!(matches!(stored(&db, arrival).body, Body::Voice { live: true, cut_off: false, .. }));
    give_up(&db, arrival).unwrap();
    assert!(matches!(
        stored(&db, arrival).body,
        Body::Voice { live: false, cut_off: true, duration_ms: 800, .. }
    ));
}

#[test]
fn an_end_that_comes_before_its_beginning_waits_for_it() {
    let db = memory();
    let id = MessageId::generate();
    let closing = LiveClosing { opening: id, end: LiveEnd::Withdrawn };
    assert_eq!(close(&db, &PHONE, &closing, PLACE).unwrap(), None);
    let arrival = begun(&db, PHONE, id);
    assert_eq!(early_closing(&db, &LAPTOP, &id).unwrap(), None, "another device says nothing about it");
    assert_eq!(early_closing(&db, &PHONE, &id).unwrap(), Some(closing.clone()));
    assert_eq!(early_closing(&db, &PHONE, &id).unwrap(), None);
    assert_eq!(close(&db, &LAPTOP, &closing, PLACE).unwrap(), None);
    withdraw(&db, arrival, "burak").unwrap();
    assert!(matches!(stored(&db, arrival).body, Body::Notice { .. }));
}

#[test]
fn of_each_device_the_newest_is_listened_to() {
    let db = memory();
    let ids: Vec<MessageId> = (0..4).map(|_| MessageId::generate()).collect();
    let rows: Vec<i64> =
        [PHONE, LAPTOP, PHONE, PHONE].iter().zip(&ids).map(|(d, id)| begun(&db, *d, *id)).collect();
    let listened = || due(&db, 8, 8).unwrap().iter().map(|note| note.arrival).collect::<Vec<_>>();
    assert_eq!(listened(), [rows[3], rows[1]]);
    assert!(is_superseded(&db, &of(&db, rows[0]).unwrap().unwrap()).unwrap());
    assert!(!is_superseded(&db, &of(&db, rows[1]).unwrap().unwrap()).unwrap());
    let closing = LiveClosing { opening: ids[0], end: LiveEnd::Done(manifest(&[])) };
    close(&db, &PHONE, &closing, PLACE).unwrap();
    assert_eq!(listened(), [rows[0], rows[3], rows[1]], "what is over is fetched all the same");
}

#[test]
fn what_was_heard_as_far_as_it_had_come_is_to_be_heard_once_more_comes() {
    let db = memory();
    let id = MessageId::generate();
    let arrival = begun(&db, PHONE, id);
    let number = stored(&db, arrival).number;
    let standing = |db: &Connection| match stored(db, arrival).body {
        Body::Voice { listened, position_ms, .. } => {
            (listened, position_ms, messages::to_hear(db, None).unwrap().len())
        }
        other => panic!("{other:?}"),
    };
    messages::mark_to_hear(&db, &[number], true).unwrap();
    let samples = [vec![1; GROUP], vec![2; GROUP]].concat();
    add(&db, arrival, 0, &samples[..GROUP], false).unwrap();
    assert_eq!(cut_off_stale(&db, Millis(u64::MAX >> 1)).unwrap(), [arrival]);
    messages::mark_heard(&db, number, 400, true).unwrap();
    assert_eq!(standing(&db), (false, 0, 0), "whoever asks for it hears all that there is");

    // The rest comes: it is heard from where that was left.
    add(&db, arrival, 1, &samples[GROUP..], true).unwrap();
    assert_eq!(standing(&db), (false, 400, 1));
    let closing = LiveClosing { opening: id, end: LiveEnd::Done(manifest(&samples)) };
    close(&db, &PHONE, &closing, PLACE).unwrap();
    let note = of(&db, arrival).unwrap().unwrap();
    assert!(finish(&db, &note, note.manifest().unwrap().0, false, "burak").unwrap());
    assert_eq!(standing(&db), (false, 400, 1));
    messages::mark_heard(&db, number, 900, true).unwrap();
    assert_eq!(standing(&db), (true, 0, 0));
}

#[test]
fn what_was_heard_as_far_as_it_had_come_was_heard_to_its_end_if_no_more_comes() {
    let db = memory();
    let arrival = begun(&db, PHONE, MessageId::generate());
    let number = stored(&db, arrival).number;
    add(&db, arrival, 0, &[1; GROUP], false).unwrap();
    cut_off_stale(&db, Millis(u64::MAX >> 1)).unwrap();
    messages::mark_heard(&db, number, 400, true).unwrap();
    give_up(&db, arrival).unwrap();
    let Body::Voice { listened, position_ms, .. } = stored(&db, arrival).body else { panic!("no note") };
    assert_eq!((listened, position_ms), (true, 0));
}

#[test]
fn ends_of_notes_that_never_come_are_not_kept_without_bound() {
    let db = memory();
    let ids: Vec<MessageId> = std::iter::repeat_with(MessageId::generate).take(20).collect();
    for id in &ids {
        close(&db, &PHONE, &LiveClosing { opening: *id, end: LiveEnd::Withdrawn }, PLACE).unwrap();
    }
    let other = LiveClosing { opening: ids[0], end: LiveEnd::Withdrawn };
    close(&db, &LAPTOP, &other, PLACE).unwrap();
    let kept = |device| ids.iter().filter(|id| early_closing(&db, device, id).unwrap().is_some()).count();
    assert_eq!((kept(&PHONE), kept(&LAPTOP)), (16, 1));
}
