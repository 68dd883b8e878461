//! A profile's history as it lies on the disk, page by page, without its encryption: also what no query finds any more.

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::Profile;

/// Bytes of SQLCipher's page; what it keeps of each for an IV and an HMAC; the salt that the first one begins with.
const PAGE: usize = 4096;
const RESERVED: usize = 80;
const SALT: usize = 16;
/// What the write-ahead log begins with, and each page in it (<https://www.sqlite.org/fileformat2.html#walformat>).
const LOG_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;

/// Whether these bytes are anywhere in the database, or in the write-ahead log beside it, in force or not.
pub fn holds(profile: &Profile, bytes: &[u8]) -> bool {
    pages(profile).iter().any(|page| page.windows(bytes.len()).any(|window| window == bytes))
}

fn pages(profile: &Profile) -> Vec<Vec<u8>> {
    let digits = std::fs::read_to_string(profile.file("history.key")).unwrap();
    let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let key: Vec<u8> = (0..digits.len()).step_by(2).map(digit).collect();
    let database = std::fs::read(profile.file("history.db")).unwrap();
    // It is gone while nobody has the profile open.
    let log = std::fs::read(profile.file("history.db-wal")).unwrap_or_default();
    let frames = log.get(LOG_HEAD..).unwrap_or_default().chunks_exact(FRAME_HEAD + PAGE).map(|frame| {
        let number = u32::from_be_bytes(frame[..4].try_into().unwrap());
        (number, &frame[FRAME_HEAD..])
    });
    let all = (1..).zip(database.chunks_exact(PAGE)).chain(frames);
    all.map(|(number, page)| open(&key, number, page)).collect()
}

/// AES-256-CBC under the raw key (<https://www.zetetic.net/sqlcipher/design/>).
fn open(key: &[u8], number: u32, page: &[u8]) -> Vec<u8> {
    let (sealed, reserved) = page.split_at(PAGE - RESERVED);
    let mut plain = sealed[if number == 1 { SALT } else { 0 }..].to_vec();
    let iv: [u8; 16] = reserved[..16].try_into().unwrap();
    let key = DecryptingKey::cbc(UnboundCipherKey::new(&AES_256, key).unwrap()).unwrap();
    key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(iv))).unwrap();
    plain
}
