//! Where the sound lies in a RIFF WAVE file, and whether all of it is there.
//!
//! Layout: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0 (1991), "RIFF".

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::WavError;

/// More chunks than any recorder writes before the sound.
const CHUNKS: usize = 1000;
/// More than any known `fmt ` chunk takes.
const FORMAT: u32 = 1024;
/// The size that a recorder leaves which could not go back and fill it in.
const UNFINISHED: u32 = u32::MAX;

/// The parts of a file that matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Container {
    /// Content of the `fmt ` chunk.
    format: Vec<u8>,
    /// Where the content of the `data` chunk begins.
    pub data_at: u64,
    /// How long it is; all of it is in the file.
    pub data_len: u64,
    /// Bytes of the whole file.
    pub file_len: u64,
}

impl Container {
    /// Walks the chunks up to the sound.
    pub fn find<R: Read + Seek>(source: &mut R) -> Result<Self, WavError> {
        let file_len = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let mut start = Vec::new();
        source.take(12).read_to_end(&mut start)?;
        let promised = match start.as_slice() {
            [] => return Err(WavError::Empty),
            [b'R', b'I', b'F', b'F', size @ .., b'W', b'A', b'V', b'E'] => little_endian(size),
            [b'R', b'F', b'6', b'4', ..] | [b'R', b'I', b'F', b'X', ..] => {
                let what = "RF64 or RIFX, not RIFF".to_owned();
                return Err(WavError::Unsupported { what });
            }
            cut if cut.len() < 12 && (b"RIFF".starts_with(cut) || cut.starts_with(b"RIFF")) => {
                return Err(cut_off("not even its header is complete"));
            }
            _ => return Err(WavError::NotWav),
        };

        let mut format = None;
        for _ in 0..CHUNKS {
            let (name, size) = chunk_header(source)?;
            let at = source.stream_position()?;
            match &name {
                b"fmt " if size > FORMAT => return Err(WavError::NotWav),
                b"fmt " => {
                    let mut content = vec![0; size as usize];
                    source.read_exact(&mut content).map_err(at_end)?;
                    format = Some(content);
                }
                b"data" => {
                    let format = format.ok_or(WavError::NotWav)?;
                    let whole_file = u64::from(promised) + 8 == file_len;
                    let data_len = data_len(size, file_len.saturating_sub(at), whole_file)?;
                    return Ok(Self { format, data_at: at, data_len, file_len });
                }
                _ => {}
            }
            // Chunks are padded to even lengths, which their sizes don't count.
            source.seek(SeekFrom::Start(at + u64::from(size) + u64::from(size % 2)))?;
        }
        Err(WavError::NotWav)
    }

    /// A header with nothing but these two chunks, to stand before the sound.
    pub fn header(&self) -> Vec<u8> {
        let format_len = self.format.len() as u32;
        let data_len = self.data_len as u32;
        let riff_len = data_len.saturating_add(format_len).saturating_add(20);
        let mut header = Vec::with_capacity(self.format.len() + 28);
        header.extend_from_slice(b"RIFF");
        header.extend_from_slice(&riff_len.to_le_bytes());
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&format_len.to_le_bytes());
        header.extend_from_slice(&self.format);
        header.extend_from_slice(b"data");
        header.extend_from_slice(&data_len.to_le_bytes());
        header
    }
}

/// Checks a `data` chunk's size against what is there.
fn data_len(size: u32, there: u64, whole_file: bool) -> Result<u64, WavError> {
    if size == UNFINISHED || (size == 0 && there > 0 && !whole_file) {
        return Err(cut_off("its recording was never finished"));
    }
    if u64::from(size) > there {
        let what = format!("its header promises {size} bytes of sound, {there} are there");
        return Err(WavError::Truncated { what });
    }
    if size == 0 { Err(WavError::Empty) } else { Ok(u64::from(size)) }
}

fn chunk_header<R: Read>(source: &mut R) -> Result<([u8; 4], u32), WavError> {
    let (mut name, mut size) = ([0; 4], [0; 4]);
    source.read_exact(&mut name).map_err(at_end)?;
    source.read_exact(&mut size).map_err(at_end)?;
    Ok((name, u32::from_le_bytes(size)))
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn at_end(error: io::Error) -> WavError {
    match error.kind() {
        ErrorKind::UnexpectedEof => cut_off("it ends before its sound"),
        _ => WavError::Io(error),
    }
}

fn cut_off(what: &str) -> WavError {
    WavError::Truncated { what: what.to_owned() }
}
