//! What someone between two people, or a member who holds the keys, may try.

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};

use super::seal::assemble;
use super::tests::{delivered, draft, receive, sealed, text};
use super::*;
use crate::crypto::test_keys::{AYŞE, BURAK};
use crate::crypto::{CannotOpen, MessageSecret, Purpose};
use crate::model::{MessageId, Wrap, to_cbor};

/// Header, signature and token of a body.
fn parts(body: &Bytes) -> [Bytes; 3] {
    let mut rest = body.clone();
    let header = rest.get_u16();
    let header = rest.split_to(header.into());
    let signature = rest.get_u16();
    let signature = rest.split_to(signature.into());
    [header, signature, rest]
}

#[test]
fn no_changed_bit_of_a_body_is_accepted() {
    let (sealed, wrap) = sealed(&draft(), &text());
    assert!(receive(&sealed.body, &wrap).is_ok());
    let mut body = sealed.body.to_vec();
    for at in 0..body.len() {
        for bit in 0..8 {
            body[at] ^= 1 << bit;
            let refused = receive(&Bytes::copy_from_slice(&body), &wrap);
            assert!(refused.is_err(), "bit {bit} of byte {at}");
            body[at] ^= 1 << bit;
        }
    }
}

#[test]
fn no_changed_bit_of_a_wrap_is_accepted() {
    let (sealed, wrap) = sealed(&draft(), &text());
    for at in 0..wrap.ciphertext.len() {
        for bit in 0..8 {
            let mut broken = wrap.clone();
            broken.ciphertext[at] ^= 1 << bit;
            assert!(receive(&sealed.body, &broken).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert!(receive(&sealed.body, &wrap).is_ok());
}

#[test]
fn no_body_that_is_cut_off_or_continued_is_accepted() {
    let (sealed, wrap) = sealed(&draft(), &text());
    for length in 0..sealed.body.len() {
        assert!(receive(&sealed.body.slice(..length), &wrap).is_err(), "{length} bytes");
    }
    for more in 1..40 {
        let longer = [sealed.body.as_ref(), &vec![0; more]].concat();
        assert!(receive(&longer.into(), &wrap).is_err(), "{more} bytes more");
    }
}

#[test]
fn parts_of_two_envelopes_do_not_mix() {
    let other = Draft { message: MessageId::from_bytes([8; 16]), counter: Some(4), ..draft() };
    let (first, first_wrap) = sealed(&draft(), &text());
    let (second, second_wrap) = sealed(&other, &Content::Text("hayır".to_owned()));
    let (a, b) = (parts(&first.body), parts(&second.body));
    for choice in 0..16_u8 {
        let pick = |part: usize| if choice & (1 << part) == 0 { &a[part] } else { &b[part] };
        let wrap = if choice & 8 == 0 { &first_wrap } else { &second_wrap };
        let body = assemble(pick(0), pick(1), pick(2)).unwrap();
        let whole = choice == 0 || choice == 15;
        assert_eq!(receive(&body, wrap).is_ok(), whole, "choice {choice:04b}");
    }
}

/// The two halves of a Fernet key are independent: a token authenticated under one signing half passes
/// under every encryption half. Someone could seal one token that says different things to two readers.
/// Plain Fernet accepts it; the header's commitment does not.
#[test]
fn a_token_that_opens_under_two_keys_opens_under_one() {
    let first = MessageSecret::generate();
    let token = first.seal(&[0; 128]).unwrap();
    // Under another encryption half the padding is right for about one key in 256.
    let second = std::iter::repeat_with(|| {
        let mut key = *first.expose_key_bytes();
        rand::fill(&mut key[16..]);
        MessageSecret::from_bytes(&key)
    })
    .find(|key| key.open(&token).is_ok())
    .unwrap();
    let (one, two) = (first.open(&token).unwrap(), second.open(&token).unwrap());
    assert_ne!(one, two, "plain Fernet reads one token in two ways");
    assert_ne!(first.commitment(), second.commitment());

    let body = signed(first.commitment(), &token);
    let open = |secret: &MessageSecret| unwrapped(&body, secret);
    assert_eq!(open(&first).unwrap().expose_key_bytes(), first.expose_key_bytes());
    assert_eq!(open(&second).unwrap_err(), CannotOpen);
}

/// As above, with everything right but the commitment, so that nothing else can be what refuses it.
#[test]
fn a_key_that_the_header_does_not_commit_to_opens_nothing() {
    let (first, second) = (MessageSecret::generate(), MessageSecret::generate());
    let token = second.seal(&text().encode().unwrap()).unwrap();
    let receive_with = |commit| {
        let body = signed(commit, &token);
        receive(&body, &wrap_of(&body, &second))
    };
    assert_eq!(receive_with(second.commitment()).unwrap().content, text());
    assert!(receive_with(first.commitment()).is_err());
}

/// An envelope by ayşe with a token and a commitment of her choosing.
fn signed(commit: [u8; 32], token: &[u8]) -> Bytes {
    let (usual, _) = sealed(&draft(), &text());
    let header = to_cbor(&Header { commit, ..parse(&usual.body).unwrap().header().clone() });
    let hashes: [[u8; 32]; 2] = [Sha256::digest(&header).into(), Sha256::digest(token).into()];
    let signature = AYŞE.device.sign(Purpose::Envelope, &[&hashes[0], &hashes[1]]).unwrap();
    assemble(&header, &signature, token).unwrap()
}

fn wrap_of(body: &Bytes, secret: &MessageSecret) -> Wrap {
    let [header, ..] = parts(body);
    wrap(secret, &Sha256::digest(&header).into(), &BURAK.message_key).unwrap()
}

/// The key that burak gets out of an envelope's wrap before the token is touched.
fn unwrapped(body: &Bytes, secret: &MessageSecret) -> Result<MessageSecret, CannotOpen> {
    let parsed = parse(body).unwrap();
    let delivered = delivered(parsed.header());
    let verified = parsed.check(&delivered, BURAK.as_recipient(), &AYŞE.account, None).unwrap();
    verified.unwrap_key(&BURAK.message, &wrap_of(body, secret))
}

#[test]
fn a_broken_copy_does_not_suppress_the_good_one() {
    let (sealed, wrap) = sealed(&draft(), &text());
    let mut broken = wrap.clone();
    broken.ciphertext[17] ^= 1;
    assert!(receive(&sealed.body, &broken).is_err());
    assert_eq!(receive(&sealed.body, &wrap).unwrap().content, text());
}

#[test]
fn an_envelope_can_be_wrapped_anew() {
    let (sealed, _) = sealed(&draft(), &text());
    let again = wrap(&sealed.secret, &sealed.header_hash, &BURAK.message_key).unwrap();
    assert_eq!(receive(&sealed.body, &again).unwrap().content, text());
}
