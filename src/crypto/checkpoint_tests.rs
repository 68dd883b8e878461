use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> (Ed25519KeyPair, LogKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    (pair, LogKey { server: ServerId::new([0x5e; 32]), public })
}

fn signed(seed: u8, head: &Head) -> String {
    let (pair, key) = key(seed);
    let text = key.text(head);
    key.note(&text, pair.sign(text.as_bytes()).as_ref())
}

const HEAD: Head = Head { size: 923_748, root: [7; 32] };

#[test]
fn a_checkpoint_reads_back_and_other_tools_verify_it() {
    let (_, key) = key(1);
    let note = signed(1, &HEAD);
    assert_eq!(key.verify(&note), Ok(HEAD));
    let verifier = signed_note::StandardVerifier::new(&key.verifier_key()).unwrap();
    let parsed = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let verifiers = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let (verified, unverified) = parsed.verify(&verifiers).unwrap();
    assert!(verified.len() == 1 && unverified.is_empty());
    assert_eq!(tlog_tiles::Checkpoint::from_bytes(parsed.text()).unwrap().size(), HEAD.size);
}

#[test]
fn signatures_of_others_are_passed_over_and_count_for_nothing() {
    let (_, one) = key(1);
    let other = signed(2, &HEAD);
    assert_eq!(one.verify(&other), Err(BadSignature));
    let (text, line) = other.split_once("\n\n").unwrap();
    let note = signed(1, &HEAD);
    let both = format!("{note}{line}");
    assert_eq!(one.verify(&both), Ok(HEAD));
    assert_eq!(one.verify(&format!("{text}\n")), Err(BadSignature));
    let elsewhere = LogKey { server: ServerId::new([0x5f; 32]), ..one };
    assert_eq!(elsewhere.verify(&note), Err(BadSignature));
}

proptest! {
    #[test]
    fn no_changed_byte_is_accepted(at in 0_usize..240, to in any::<u8>()) {
        let (_, key) = key(1);
        let mut note = signed(1, &HEAD).into_bytes();
        let at = at % note.len();
        prop_assume!(note[at] != to);
        note[at] = to;
        if let Ok(note) = String::from_utf8(note) {
            prop_assert_eq!(key.verify(&note), Err(BadSignature));
        }
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "(tellal/|[0-9a-f]|\n|— |[A-Za-z+/=]){0,200}") {
        prop_assert_eq!(key(1).1.verify(&text), Err(BadSignature));
    }
}
