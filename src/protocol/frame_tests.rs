use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::protocol::message::{Push, Request};

const LIMIT: Limit = Limit { frame: 4096, head: 1024 };

fn framed(head: &[u8], body: &[u8]) -> BytesMut {
    let mut buffer = BytesMut::new();
    put(&mut buffer, head, body);
    buffer
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_the_bytes_arrive(
        frames in vec((vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..600)), 1..8),
        step in 1usize..97,
    ) {
        let mut wire = BytesMut::new();
        for (head, body) in &frames {
            put(&mut wire, head, body);
        }
        let (mut buffer, mut out) = (BytesMut::new(), Vec::new());
        for piece in wire.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = take(&mut buffer, LIMIT).unwrap() {
                out.push((frame.head.to_vec(), frame.body.to_vec()));
            }
        }
        prop_assert_eq!(out, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn nothing_comes_out_of_a_frame_that_is_cut_off(
        head in vec(any::<u8>(), 0..200),
        body in vec(any::<u8>(), 0..200),
    ) {
        let whole = framed(&head, &body);
        for length in 0..whole.len() {
            let mut cut = BytesMut::from(&whole[..length]);
            prop_assert_eq!(take(&mut cut, LIMIT), Ok(None));
            prop_assert_eq!(cut.len(), length, "no byte is lost while more are awaited");
        }
    }

    // A frame has no checksum: it travels in TLS, which refuses every bit that is not the sender's. Here a wrong bit makes
    // other frames, or none, and never one beyond its limit.
    #[test]
    fn a_flipped_bit_makes_other_frames_or_none(
        head in vec(any::<u8>(), 0..200),
        body in vec(any::<u8>(), 0..200),
    ) {
        let whole = framed(&head, &body);
        for bit in 0..whole.len() * 8 {
            let mut flipped = BytesMut::from(&whole[..]);
            flipped[bit / 8] ^= 1 << (bit % 8);
            let taken = take(&mut flipped, LIMIT);
            if let Ok(Some(frame)) = &taken {
                prop_assert!(frame.head.len() + frame.body.len() + 4 <= whole.len());
                prop_assert!(frame.head != head || frame.body != body);
            }
            prop_assert!(flipped.capacity() <= 4 * whole.len().max(64), "no room is made for what is announced");
        }
    }

    #[test]
    fn any_bytes_are_frames_or_refused(bytes in vec(any::<u8>(), 0..2000)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = take(&mut buffer, LIMIT) {
            let _ = minicbor::decode::<Request>(&frame.head);
            let _ = minicbor::decode::<Push>(&frame.head);
        }
    }

    #[test]
    fn any_head_is_decoded_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = minicbor::decode::<Request>(&bytes);
        let _ = minicbor::decode::<Push>(&bytes);
    }
}

#[test]
fn what_is_too_large_is_refused_from_the_prefix_alone() {
    for length in [4097, 1 << 20, u32::MAX] {
        let mut prefix = BytesMut::from(&length.to_be_bytes()[..]);
        let error = FrameError::TooLarge { length: length as usize, limit: 4096 };
        assert_eq!(take(&mut prefix, LIMIT), Err(error));
        assert!(prefix.capacity() < 64, "nothing was allocated for it");
    }
}

#[test]
fn a_head_is_inside_its_frame_and_under_its_limit() {
    for (length, head) in [(3, 0), (0, 0), (8, 5), (2000, 1025), (100, u32::MAX)] {
        let mut buffer = BytesMut::new();
        buffer.put_u32(length);
        buffer.put_u32(head);
        buffer.put_slice(&[0; 3000]);
        assert_eq!(take(&mut buffer, LIMIT), Err(FrameError::Head), "{length} {head}");
    }
    assert!(take(&mut framed(&[0; 1024], &[]), LIMIT).unwrap().is_some());
    assert!(take(&mut framed(&[], &[0; 4092]), LIMIT).unwrap().is_some());
}
