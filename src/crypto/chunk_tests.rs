use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const CHUNK: usize = limits::CHUNK;

/// A blob of three chunks, sealed once.
struct Sealed {
    secret: MessageSecret,
    message: MessageId,
    data: Vec<u8>,
    expected: Expected,
    chunks: Vec<Vec<u8>>,
}

fn sealed(data: Vec<u8>) -> Sealed {
    let (secret, message) = (MessageSecret::generate(), MessageId::generate());
    let size = data.len() as u64;
    let expected = Expected { size, chunks: count(size), sha256: Sha256::digest(&data).into() };
    let parts = data.chunks(CHUNK).zip(0_u32..);
    let seal = |(part, at)| seal_chunk(&secret, &message, at, at + 1 == expected.chunks, part).unwrap();
    let chunks = parts.map(seal).collect();
    Sealed { secret, message, data, expected, chunks }
}

static BLOB: LazyLock<Sealed> =
    LazyLock::new(|| sealed((0..2 * CHUNK + 1000).map(|at| (at / 7 % 256) as u8).collect()));

impl Sealed {
    fn opener(&self) -> BlobOpener {
        BlobOpener::new(self.secret.clone(), self.message, self.expected)
    }

    /// What comes out when these chunks are fed in this order.
    fn fed<'a>(&self, chunks: impl IntoIterator<Item = &'a Vec<u8>>) -> Result<Vec<u8>, CannotOpen> {
        let mut opener = self.opener();
        let mut data = Vec::new();
        for chunk in chunks {
            data.extend_from_slice(&opener.push(chunk)?);
        }
        opener.finish().map(|()| data)
    }
}

#[test]
fn a_blob_of_any_size_comes_back() {
    for size in [1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5] {
        let blob = sealed(vec![0x5a; size]);
        assert_eq!(blob.chunks.len(), size.div_ceil(CHUNK));
        assert!(blob.chunks.iter().all(|chunk| chunk.len() < limits::BODY));
        assert_eq!(blob.fed(&blob.chunks).unwrap(), blob.data);
    }
}

#[test]
fn chunks_reordered_doubled_dropped_or_cut_off_are_refused() {
    let [a, b, c] = BLOB.chunks.as_slice() else { panic!("three chunks") };
    assert_eq!(BLOB.fed([a, b, c]).unwrap(), BLOB.data);
    let wrong: [&[&Vec<u8>]; 15] = [
        &[],
        &[a],
        &[b],
        &[c],
        &[a, b],
        &[a, c],
        &[b, c],
        &[b, a, c],
        &[a, c, b],
        &[c, b, a],
        &[a, a, b, c],
        &[a, b, b, c],
        &[a, b, c, c],
        &[a, b, c, a],
        &[a, a, c],
    ];
    for chunks in wrong {
        assert_eq!(BLOB.fed(chunks.iter().copied()), Err(CannotOpen));
    }
}

#[test]
fn a_broken_copy_does_not_suppress_the_good_one() {
    let mut opener = BLOB.opener();
    let mut broken = BLOB.chunks[0].clone();
    broken[100] ^= 1;
    assert_eq!(opener.push(&broken), Err(CannotOpen));
    assert_eq!(opener.wanted(), 0);
    for chunk in &BLOB.chunks {
        opener.push(chunk).unwrap();
    }
    assert_eq!(opener.finish(), Ok(()));
}

#[test]
fn chunks_of_another_message_or_key_are_refused() {
    let other = MessageId::generate();
    let chunk = seal_chunk(&BLOB.secret, &other, 0, false, &BLOB.data[..CHUNK]).unwrap();
    assert_eq!(BLOB.opener().push(&chunk), Err(CannotOpen));
    let chunk = seal_chunk(&MessageSecret::generate(), &BLOB.message, 0, false, &BLOB.data[..CHUNK]).unwrap();
    assert_eq!(BLOB.opener().push(&chunk), Err(CannotOpen));
}

/// Someone who knows the key makes chunks of their own: the flag, the sizes and the hash still hold.
#[test]
fn a_members_own_chunks_are_refused() {
    let make = |index, last, data: &[u8]| seal_chunk(&BLOB.secret, &BLOB.message, index, last, data).unwrap();
    let [a, b, c] = BLOB.chunks.as_slice() else { panic!("three chunks") };
    let end = &BLOB.data[2 * CHUNK..];

    let early_end = make(1, true, &BLOB.data[CHUNK..2 * CHUNK]);
    assert_eq!(BLOB.fed([a, &early_end]), Err(CannotOpen));
    let endless = make(2, false, end);
    assert_eq!(BLOB.fed([a, b, &endless]), Err(CannotOpen));
    let short = make(1, false, &BLOB.data[CHUNK..2 * CHUNK - 1]);
    assert_eq!(BLOB.fed([a, &short]), Err(CannotOpen));
    let short_end = make(2, true, &end[1..]);
    assert_eq!(BLOB.fed([a, b, &short_end]), Err(CannotOpen));
    let empty_end = make(2, true, &[]);
    assert_eq!(BLOB.fed([a, b, &empty_end]), Err(CannotOpen));
    let other_content = make(1, false, &[0; CHUNK]);
    assert_eq!(BLOB.fed([a, &other_content, c]), Err(CannotOpen));
    // More than the manifest says is refused as it comes, not at the end.
    let mut opener = BLOB.opener();
    opener.push(a).unwrap();
    assert_eq!(opener.push(&short), Err(CannotOpen));
    opener.push(b).unwrap();
    let longer_end = make(2, true, &[end, &[0]].concat());
    assert_eq!(opener.push(&longer_end), Err(CannotOpen));
    opener.push(c).unwrap();
    let more = make(3, true, end);
    assert_eq!(opener.push(&more), Err(CannotOpen));
    assert_eq!(opener.finish(), Ok(()));
    assert_eq!(BLOB.fed([a, b, c, &more]), Err(CannotOpen));
}

#[test]
fn plaintext_that_is_no_chunk_is_refused() {
    let (secret, message) = (&BLOB.secret, &BLOB.message);
    let good = [&[TYPE], message.as_bytes().as_slice(), &[0; 4], &[1], b"data"].concat();
    assert!(open_chunk(secret, message, 0, &secret.seal(&good).unwrap()).unwrap().last);
    let mut wrong_type = good.clone();
    wrong_type[0] = 1;
    let mut wrong_flag = good.clone();
    wrong_flag[HEAD - 1] = 2;
    let too_long = [good.as_slice(), &[0; CHUNK]].concat();
    for plain in [&wrong_type, &wrong_flag, &too_long, &good[..HEAD - 1].to_vec(), &Vec::new()] {
        assert!(open_chunk(secret, message, 0, &secret.seal(plain).unwrap()).is_err());
    }
    assert_eq!(seal_chunk(secret, message, 0, true, &[0; CHUNK + 1]), Err(SealError::TooLarge));
}

#[test]
fn debug_shows_no_content() {
    let chunk = open_chunk(&BLOB.secret, &BLOB.message, 2, &BLOB.chunks[2]).unwrap();
    assert_eq!(format!("{chunk:?}"), "Chunk(1000 bytes, last)");
    assert_eq!(format!("{:?}", BLOB.opener()), "BlobOpener(0 of 3 chunks)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_the_whole_blob_in_order_is_accepted(order in prop::collection::vec(0..3_usize, 0..6)) {
        let fed = BLOB.fed(order.iter().map(|at| &BLOB.chunks[*at]));
        prop_assert_eq!(fed.is_ok(), order == [0, 1, 2]);
    }

    #[test]
    fn no_changed_bit_is_accepted(chunk in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut chunks = BLOB.chunks.clone();
        let at = at.index(chunks[chunk].len());
        chunks[chunk][at] ^= 1 << bit;
        prop_assert_eq!(BLOB.fed(&chunks), Err(CannotOpen));
    }
}
