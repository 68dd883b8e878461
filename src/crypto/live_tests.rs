use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::crypto::chunk::{open_chunk, seal_chunk};
use crate::crypto::test_keys::{AYŞE, BURAK};

const GROUP: usize = limits::LIVE_GROUP;

/// A note of two whole groups and a short one.
struct Spoken {
    secret: MessageSecret,
    note: Note,
    groups: Vec<Bytes>,
}

impl Spoken {
    fn new(opening: u8) -> Self {
        let (secret, message) = (MessageSecret::generate(), MessageId::generate());
        let note = Note { opening: [opening; 32], message };
        let seal = |index, last, samples: &[u8]| {
            Bytes::from(seal_group(&secret, &AYŞE.device, &note, index, last, samples).unwrap())
        };
        let groups = vec![seal(0, false, &[1; GROUP]), seal(1, false, &[2; GROUP]), seal(2, true, &[3; 500])];
        Self { secret, note, groups }
    }

    fn open(&self, index: u32, group: &Bytes) -> Result<Chunk, CannotOpen> {
        open_group(&self.secret, AYŞE.device.public(), &self.note, index, group)
    }
}

static SPOKEN: LazyLock<Spoken> = LazyLock::new(|| Spoken::new(7));

#[test]
fn groups_come_back_at_their_places_and_nowhere_else() {
    for (index, group) in (0..).zip(&SPOKEN.groups) {
        let opened = SPOKEN.open(index, group).unwrap();
        let (byte, length) = if index == 2 { (3, 500) } else { (index as u8 + 1, GROUP) };
        assert_eq!((opened.last, opened.data.as_slice()), (index == 2, vec![byte; length].as_slice()));
        for other in (0..4).filter(|other| *other != index) {
            assert!(SPOKEN.open(other, group).is_err(), "group {index} at {other}");
        }
    }
    assert!(
        SPOKEN.groups[..2].iter().all(|group| group.len() == SPOKEN.groups[0].len()),
        "chunks of one length"
    );
    assert!(SPOKEN.groups[2].len() < SPOKEN.groups[0].len());
    assert!(SPOKEN.groups[0].len() <= limits::CHUNK);
}

#[test]
fn groups_of_another_note_are_refused_even_under_the_same_key() {
    let other = Spoken::new(7);
    assert!(SPOKEN.open(0, &other.groups[0]).is_err());
    let elsewhere = [
        Note { opening: [8; 32], ..SPOKEN.note },
        Note { message: MessageId::from_bytes([9; 16]), ..SPOKEN.note },
    ];
    for note in elsewhere {
        let group = seal_group(&SPOKEN.secret, &AYŞE.device, &note, 0, false, &[1; GROUP]).unwrap();
        assert!(SPOKEN.open(0, &group.into()).is_err(), "{note:?}");
    }
}

#[test]
fn whoever_knows_the_key_alone_makes_no_sound() {
    let forged = seal_group(&SPOKEN.secret, &BURAK.device, &SPOKEN.note, 0, false, &[1; GROUP]).unwrap();
    assert!(SPOKEN.open(0, &forged.into()).is_err(), "signed by another device");
    // The right signature over another token, and the other way round.
    let other = seal_group(&SPOKEN.secret, &AYŞE.device, &SPOKEN.note, 0, false, &[1; GROUP]).unwrap();
    let split = 2 + AYŞE.device.public().size();
    for (signature, token) in
        [(&other, SPOKEN.groups[0].to_vec()), (&SPOKEN.groups[0].to_vec(), other.clone())]
    {
        let mixed = [&signature[..split], &token[split..]].concat();
        assert!(SPOKEN.open(0, &mixed.into()).is_err());
    }
    let sealed = [&[0, 0][..], &SPOKEN.groups[0][split..]].concat();
    assert!(SPOKEN.open(0, &sealed.into()).is_err(), "no signature");
    let envelope = AYŞE.device.sign(Purpose::Envelope, &[&[7; 32], &[0; 32]]).unwrap();
    let borrowed = [&SPOKEN.groups[0][..2], &envelope, &SPOKEN.groups[0][split..]].concat();
    assert!(SPOKEN.open(0, &borrowed.into()).is_err(), "a signature made for something else");
}

#[test]
fn a_group_is_no_chunk_and_a_chunk_no_group() {
    let note = &SPOKEN.note;
    let token = SPOKEN.groups[0].slice(2 + AYŞE.device.public().size()..);
    assert!(open_chunk(&SPOKEN.secret, &note.message, 0, &token).is_err());
    let chunk = seal_chunk(&SPOKEN.secret, &note.message, 0, false, &[1; GROUP]).unwrap();
    let hash: [u8; 32] = Sha256::digest(&chunk).into();
    let signature = AYŞE.device.sign(Purpose::LiveSound, &[&note.opening, &[0; 4], &hash]).unwrap();
    let signed = [&(signature.len() as u16).to_be_bytes()[..], &signature, &chunk].concat();
    assert!(SPOKEN.open(0, &signed.into()).is_err());
}

#[test]
fn a_group_holds_what_it_may_and_no_other_length() {
    let seal = |last, length| {
        seal_group(&SPOKEN.secret, &AYŞE.device, &SPOKEN.note, 3, last, &vec![0; length]).map(Bytes::from)
    };
    for (last, length) in [(false, GROUP), (true, 0), (true, 2), (true, GROUP - 2)] {
        let opened = SPOKEN.open(3, &seal(last, length).unwrap()).unwrap();
        assert_eq!((opened.last, opened.data.len()), (last, length));
    }
    for (last, length) in [(false, 0), (false, GROUP - 2), (false, GROUP + 2), (true, GROUP), (true, 3)] {
        assert_eq!(seal(last, length), Err(SealError::Content), "{last} {length}");
    }
    let group = GROUP as u64;
    assert_eq!([0, 2, group - 2, group, group + 2].map(count), [1, 1, 1, 2, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_bit_is_accepted(which in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut group = SPOKEN.groups[which].to_vec();
        let at = at.index(group.len());
        group[at] ^= 1 << bit;
        prop_assert!(SPOKEN.open(which as u32, &group.into()).is_err());
    }

    #[test]
    fn anything_else_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(SPOKEN.open(0, &bytes.into()).is_err());
    }

    #[test]
    fn what_is_cut_off_or_continued_is_refused(length in any::<prop::sample::Index>(), more in 1..40_usize) {
        let group = &SPOKEN.groups[2];
        prop_assert!(SPOKEN.open(2, &group.slice(..length.index(group.len()))).is_err());
        prop_assert!(SPOKEN.open(2, &[group.as_ref(), &vec![0; more]].concat().into()).is_err());
    }
}
