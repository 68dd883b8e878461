//! Sizes that client and server hold each other to. `docs/protocol.md` explains each.

use std::time::Duration;

/// Plaintext bytes in one chunk of a blob.
pub const CHUNK: usize = 64 * 1024;
/// Samples in a second of a voice note that is heard while it is being spoken: 16 bits each, mono.
pub const LIVE_RATE: u32 = 16_000;
/// Bytes of samples in one signed group of such a note, its last one excepted: 400 ms.
pub const LIVE_GROUP: usize = 12_800;
/// Bytes of samples of the longest such note: 10 minutes.
pub const LIVE_SIZE: u64 = 600 * LIVE_RATE as u64 * 2;
/// Content larger than this goes in chunks, outside the envelope's own token.
pub const INLINE_CONTENT: usize = 48 * 1024;
/// The largest frame, its length prefix not counted, wraps not counted.
pub const FRAME: usize = 128 * 1024;
/// The largest frame head beside its wraps.
pub const HEAD: usize = 4 * 1024;
/// The largest envelope, and the largest sealed chunk: with any head that brings it to a client, one fits into a
/// frame.
pub const BODY: usize = FRAME - HEAD;
/// Bytes of a wrap's ciphertext: those of its key's modulus.
pub const CIPHERTEXT: std::ops::RangeInclusive<usize> = *RSA_BITS.start() / 8..=*RSA_BITS.end() / 8;
/// Wraps in one submission.
pub const WRAPS: usize = 512;
/// The largest frame from a connection that has not logged in.
pub const FRAME_BEFORE_LOGIN: usize = 16 * 1024;
/// Blob bytes that one message may refer to, sealed.
pub const BLOB: u64 = 70 * 1024 * 1024;
/// Bits of an RSA modulus.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// How long the server keeps what not every device has fetched.
pub const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Records in an account's chain: all of them fit into one frame. The last place is for a revocation.
pub const CHAIN: usize = 24;
/// Records in it with which devices may still come and go. The places behind them are for new keys and for the end of
/// the account, so that whoever has copied the identity key can't use up what its owner needs to be rid of them.
pub const CHAIN_OF_DEVICES: usize = 16;
/// Records in a room's chain with which somebody may still be invited or come in. Those behind them only let people go.
pub const ROOM_RECORDS: usize = 1000;
/// How long after somebody is gone from a room, by the clock of whoever has said so, what they have written to it before
/// still counts as written before: clocks are apart.
pub const FAREWELL: Duration = Duration::from_secs(24 * 3600);
/// Accounts that one account may have the server block.
pub const BLOCKS: u64 = 1000;
/// How long a message key may be sent to.
pub const MESSAGE_KEY_LIFE: Duration = Duration::from_secs(37 * 24 * 3600);
