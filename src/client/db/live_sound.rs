//! Sound of voice notes that are heard while they are spoken, group by group: each is an attachment behind the
//! WAV header, which is written at the end, so that the note is then one as any other.

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use crate::crypto::envelope::duration_ms;
use crate::model::limits;

use super::{Sql, attachments, signed};

/// Where a note that may be under way stands, as stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Stage {
    /// As any other note.
    Whole = 0,
    /// It is being spoken, or still coming.
    Live = 1,
    /// It ends where a fault cut it off.
    CutOff = 2,
}

/// What all of a note's samples are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::client) struct Digest {
    pub size: u64,
    pub sha256: [u8; 32],
    pub peaks: Vec<u8>,
}

/// Points of the waveform.
const PEAKS: usize = 64;
/// Bytes of a WAV header.
const HEADER: u64 = 44;

/// Groups that are here. They come in order.
pub(in crate::client) fn count(db: &Connection, arrival: i64) -> Sql<u32> {
    db.prepare_cached("SELECT COUNT(*) FROM attachments WHERE message = ?1 AND place >= 1")?
        .query_row([arrival], |row| row.get(0))
}

pub(in crate::client) fn put(db: &Connection, arrival: i64, index: u32, samples: &[u8]) -> Sql<()> {
    attachments::put(db, arrival, index.saturating_add(1), samples)
}

pub(in crate::client) fn group(db: &Connection, arrival: i64, index: u32) -> Sql<Option<Vec<u8>>> {
    attachments::piece(db, arrival, index.saturating_add(1))
}

/// The samples of all groups behind the first so many.
pub(in crate::client) fn samples(db: &Connection, arrival: i64, after: u32) -> Sql<Vec<u8>> {
    let mut statement =
        db.prepare_cached("SELECT data FROM attachments WHERE message = ?1 AND place > ?2 ORDER BY place")?;
    let mut rows = statement.query(params![arrival, after])?;
    let mut samples = Vec::new();
    while let Some(row) = rows.next()? {
        samples.extend_from_slice(row.get_ref(0)?.as_blob()?);
    }
    Ok(samples)
}

pub(in crate::client) fn digest(db: &Connection, arrival: i64) -> Sql<Digest> {
    let samples = samples(db, arrival, 0)?;
    let sha256 = Sha256::digest(&samples).into();
    Ok(Digest { size: samples.len() as u64, sha256, peaks: peaks(&samples) })
}

/// The note is what it is now: from here on it has a header, a length and peaks.
pub(in crate::client) fn settle(db: &Connection, arrival: i64, digest: &Digest, stage: Stage) -> Sql<()> {
    attachments::put(db, arrival, 0, &wav_header(digest.size))?;
    db.prepare_cached(
        "UPDATE messages SET live = ?2, duration_ms = ?3, size = ?4, peaks = ?5 WHERE arrival = ?1",
    )?
    .execute(params![
        arrival,
        stage as i64,
        signed(duration_ms(digest.size)),
        signed(HEADER + digest.size),
        digest.peaks,
    ])
    .map(drop)
}

/// It goes on after all.
pub(in crate::client) fn resume(db: &Connection, arrival: i64) -> Sql<()> {
    db.prepare_cached(
        "UPDATE messages SET live = 1, to_hear = MIN(to_hear, 1) WHERE arrival = ?1 AND (live = 2 OR to_hear = 2)",
    )?
    .execute([arrival])
    .map(drop)
}

/// Throws the sound away, and leaves a notice in the note's place.
pub(in crate::client) fn forget(db: &Connection, arrival: i64, notice: &str) -> Sql<()> {
    db.prepare_cached("DELETE FROM attachments WHERE message = ?1")?.execute([arrival])?;
    db.prepare_cached(
        "UPDATE messages SET kind = 3, text = ?2, live = 0, duration_ms = 0, size = 0, peaks = x''
         WHERE arrival = ?1",
    )?
    .execute(params![arrival, notice])
    .map(drop)
}

/// The header of a WAV file with so many bytes of samples: 16 bits, mono, at the rate of live notes.
pub(in crate::client) fn wav_header(size: u64) -> Vec<u8> {
    let size = u32::try_from(size).unwrap_or(u32::MAX - 36);
    let rate = limits::LIVE_RATE;
    let mut header = Vec::with_capacity(44);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&size.saturating_add(36).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    header.extend_from_slice(&rate.to_le_bytes());
    header.extend_from_slice(&(rate * 2).to_le_bytes());
    header.extend_from_slice(b"\x02\0\x10\0data");
    header.extend_from_slice(&size.to_le_bytes());
    header
}

/// The loudest sample of each of 64 equal parts, 255 being full scale.
fn peaks(samples: &[u8]) -> Vec<u8> {
    let frames = samples.len() / 2;
    let part = |place: usize| {
        let start = place * frames / PEAKS;
        let end = ((place + 1) * frames / PEAKS).max(start + 1);
        let part = samples.get(start * 2..end * 2).unwrap_or_default();
        let loudest = part.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair).unsigned_abs()).max();
        u8::try_from(u32::from(loudest.unwrap_or(0)) * 255 / 32768).unwrap_or(u8::MAX)
    };
    (0..PEAKS).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_peaks_are_those_that_a_recording_gets() {
        let samples: Vec<i16> = (0..20_011).map(|at| (at * 37 % 40_000 - 20_000) as i16).collect();
        let mut file = std::io::Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: limits::LIVE_RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
        writer.finalize().unwrap();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let wav = [wav_header(bytes.len() as u64), bytes.clone()].concat();
        assert!(wav == file.into_inner());
        let note =
            crate::audio::wav::read(std::io::Cursor::new(wav), crate::audio::Limits::default()).unwrap();
        assert_eq!((note.peaks, note.duration_ms), (peaks(&bytes), duration_ms(bytes.len() as u64)));
        assert_eq!(peaks(&[]), [0; PEAKS]);
    }
}
