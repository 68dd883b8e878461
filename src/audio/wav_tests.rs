use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
    WavSpec { channels, sample_rate, bits_per_sample, sample_format }
}

/// A file of so many frames: a sine in the left channel, a softer one in the right.
fn sine(spec: WavSpec, frames: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    for frame in 0..frames {
        for channel in 0..spec.channels {
            let value = (f64::from(frame) * 0.05).sin() * 0.8 / f64::from(channel + 1);
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(value as f32).unwrap(),
                SampleFormat::Int => {
                    let full = f64::from(1u32 << (spec.bits_per_sample - 1));
                    writer.write_sample((value * full) as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
    file.into_inner()
}

fn small() -> Vec<u8> {
    sine(spec(1, 16_000, 16, SampleFormat::Int), 100)
}

fn read_bytes(bytes: &[u8]) -> Result<Note, WavError> {
    read(Cursor::new(bytes), Limits::default())
}

fn reason(bytes: &[u8]) -> String {
    read_bytes(bytes).unwrap_err().to_string()
}

fn samples_of(wav: &[u8]) -> Vec<i16> {
    WavReader::new(Cursor::new(wav)).unwrap().into_samples::<i16>().map(Result::unwrap).collect()
}

/// A RIFF file of these chunks, padded as they should be.
fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WAVE".to_vec();
    for (name, content) in chunks {
        body.extend_from_slice(*name);
        body.extend_from_slice(&(content.len() as u32).to_le_bytes());
        body.extend_from_slice(content);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&(body.len() as u32).to_le_bytes());
    file.extend_from_slice(&body);
    file
}

const FORMAT_16_MONO: &[u8] = &[1, 0, 1, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0];

#[test]
fn every_depth_rate_and_channel_count_is_read() {
    let formats = [
        (8, SampleFormat::Int),
        (16, SampleFormat::Int),
        (24, SampleFormat::Int),
        (32, SampleFormat::Int),
        (32, SampleFormat::Float),
    ];
    let rates =
        [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000];
    for (bits, format) in formats {
        for rate in rates {
            for channels in [1, 2] {
                let spec = spec(channels, rate, bits, format);
                let file = sine(spec, rate / 10);
                let note = read_bytes(&file).unwrap();
                assert_eq!((note.sample_rate, note.duration_ms), (rate, 100), "{spec:?}");
                assert_eq!(note.peaks.len(), PEAKS);
                assert!((200..=206).contains(&note.peaks.iter().copied().max().unwrap()), "{spec:?}");

                let reader = WavReader::new(Cursor::new(&note.wav)).unwrap();
                let expected = super::tests::spec(channels, rate, 16, SampleFormat::Int);
                assert_eq!((reader.spec(), reader.duration()), (expected, rate / 10));
                match note.converted {
                    None => assert!(note.wav == file && bits == 16),
                    Some(conversion) => {
                        assert_ne!(bits, 16);
                        assert_eq!(conversion.to, Format::Int(16));
                    }
                }
            }
        }
    }
}

#[test]
fn a_conversion_keeps_the_sound_to_within_one_step() {
    let exact = samples_of(&sine(spec(2, 48_000, 16, SampleFormat::Int), 4_800));
    for (bits, format, tolerance) in [
        (8, SampleFormat::Int, 256),
        (24, SampleFormat::Int, 1),
        (32, SampleFormat::Int, 1),
        (32, SampleFormat::Float, 1),
    ] {
        let note = read_bytes(&sine(spec(2, 48_000, bits, format), 4_800)).unwrap();
        let converted = samples_of(&note.wav);
        assert_eq!(converted.len(), exact.len());
        let worst = converted.iter().zip(&exact).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max();
        assert!(worst.unwrap() <= tolerance, "{bits} {format:?}: {worst:?}");
    }
}

#[test]
fn what_was_done_is_said() {
    let float = read_bytes(&sine(spec(1, 44_100, 32, SampleFormat::Float), 10)).unwrap();
    assert_eq!(float.converted.unwrap().to_string(), "converted from 32-bit float to 16-bit");
    let wide = read_bytes(&sine(spec(1, 44_100, 24, SampleFormat::Int), 10)).unwrap();
    assert_eq!(wide.converted.unwrap().to_string(), "converted from 24-bit to 16-bit");
}

#[test]
fn rounding_is_plain_and_clips() {
    assert_eq!([0x7f, -0x80, 1].map(|v| from_int(v, 8)), [0x7f00, -0x8000, 0x100]);
    assert_eq!([0x7f, 0x80, -0x80, -0x81].map(|v| from_int(v, 24)), [0, 1, 0, -1]);
    assert_eq!([i32::MAX, i32::MIN, 0x8000, 0x7fff].map(|v| from_int(v, 32)), [i16::MAX, i16::MIN, 1, 0]);
    assert_eq!(
        [1.0, -1.0, 7.5, f32::NAN, f32::NEG_INFINITY, 0.5].map(from_float),
        [i16::MAX, i16::MIN, i16::MAX, 0, i16::MIN, 0x4000]
    );
}

#[test]
fn peaks_follow_the_loudness_over_time() {
    let quiet_then_loud: Vec<i16> = (0..6_400).map(|n| if n < 3_200 { 0 } else { i16::MIN }).collect();
    let peaks = peaks(&quiet_then_loud, 1);
    assert!(peaks[..32].iter().all(|peak| *peak == 0) && peaks[32..].iter().all(|peak| *peak == 255));
    assert_eq!(super::peaks(&[i16::MAX], 1), vec![254; PEAKS]);
    assert_eq!(super::peaks(&[], 2), vec![0; PEAKS]);
}

#[test]
fn what_is_no_wav_file_is_refused_with_the_reason() {
    assert!(reason(b"").contains("holds no sound"));
    assert!(reason(b"ID3\x04 this is an mp3 file").contains("is not a WAV file"));
    assert!(reason(b"hello").contains("is not a WAV file"));
    assert!(reason(b"RIFF\0\0\0\0AVI LIST").contains("is not a WAV file"));
    assert!(reason(b"RF64\xff\xff\xff\xffWAVEds64").contains("RF64"));
    assert!(reason(&riff(&[(b"data", &[0; 4])])).contains("is not a WAV file"));
    assert!(reason(&riff(&[(b"fmt ", FORMAT_16_MONO), (b"data", &[])])).contains("holds no sound"));
}

#[test]
fn kinds_that_are_not_understood_are_named() {
    let with = |place: usize, value: u8| {
        let mut format = FORMAT_16_MONO.to_vec();
        format[place] = value;
        reason(&riff(&[(b"fmt ", &format), (b"data", &[0; 8])]))
    };
    assert!(with(0, 6).contains("unsupported kind (not PCM)"));
    assert!(with(2, 0).contains("zero channels"));
    assert!(with(14, 0).contains("bits per sample is 0"));
    let three = sine(spec(3, 16_000, 16, SampleFormat::Int), 10);
    assert!(reason(&three).contains("3 channels"));
    let slow = sine(spec(1, 7_999, 16, SampleFormat::Int), 10);
    assert!(reason(&slow).contains("7999 samples per second"));
}

#[test]
fn every_truncation_is_noticed() {
    for file in [small(), sine(spec(2, 8_000, 24, SampleFormat::Int), 50)] {
        for length in 1..file.len() {
            let error = read_bytes(&file[..length]).unwrap_err();
            assert!(matches!(error, WavError::Truncated { .. }), "{length}: {error}");
        }
    }
}

#[test]
fn a_recording_that_was_never_finished_is_called_so() {
    for size in [0, u32::MAX] {
        let mut file = small();
        file[4..8].copy_from_slice(&size.to_le_bytes());
        file[40..44].copy_from_slice(&size.to_le_bytes());
        assert!(reason(&file).contains("never finished"), "{size}");
    }
    let mut file = small();
    file[40..44].copy_from_slice(&0x7fff_0000u32.to_le_bytes());
    assert!(reason(&file).contains("2147418112 bytes of sound, 200 are there"));
}

#[test]
fn other_chunks_do_no_harm() {
    let sound: Vec<u8> = (0..200).collect();
    let even = riff(&[(b"fmt ", FORMAT_16_MONO), (b"LIST", b"text"), (b"data", &sound), (b"id3 ", b"x")]);
    let note = read_bytes(&even).unwrap();
    assert!(note.converted.is_none() && note.wav == even);

    let odd = riff(&[(b"junk", b"odd"), (b"fmt ", FORMAT_16_MONO), (b"data", &sound)]);
    let note = read_bytes(&odd).unwrap();
    assert_eq!(note.converted.unwrap().to_string(), "sound unchanged, header rewritten");
    assert_eq!(note.wav[44..], sound);
}

#[test]
fn the_limits_are_checked_before_the_sound_is_read() {
    /// A file whose sound must not be read.
    struct Guarded(Cursor<Vec<u8>>);
    impl Read for Guarded {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(self.0.position() < 60, "the sound was read");
            self.0.read(buffer)
        }
    }
    impl Seek for Guarded {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    let guarded = |format, frames| Guarded(Cursor::new(sine(spec(1, 8_000, 16, format), frames)));
    let limits = Limits { duration: Duration::from_secs(1), bytes: 1024 * 1024 };
    let error = read(guarded(SampleFormat::Int, 10_000), limits).unwrap_err();
    assert_eq!(error.to_string(), "is 2 s long: the limit is 1 s");

    let limits = Limits { duration: Duration::from_secs(600), bytes: 1024 * 1024 };
    let error = read(guarded(SampleFormat::Int, 800_000), limits).unwrap_err();
    assert_eq!(error.to_string(), "takes 1.5 MiB as a note: the limit is 1 MiB");

    let limits = Limits::default();
    assert_eq!((minutes(limits.duration), mebibytes(limits.bytes)), ("10 min".into(), "64 MiB".into()));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn random_chunks_never_panic(
        format in proptest::collection::vec(any::<u8>(), 0..44),
        sound in proptest::collection::vec(any::<u8>(), 0..300),
        size in any::<u32>(),
    ) {
        let _ = read_bytes(&riff(&[(b"fmt ", &format), (b"data", &sound)]));
        let mut file = riff(&[(b"fmt ", &format), (b"data", &sound)]);
        file[16..20].copy_from_slice(&size.to_le_bytes());
        let _ = read_bytes(&file);
    }

    #[test]
    fn a_changed_byte_never_panics(place in 0..144usize, value in any::<u8>()) {
        let mut file = sine(spec(1, 16_000, 16, SampleFormat::Int), 50);
        file[place] = value;
        if let Ok(note) = read_bytes(&file) {
            prop_assert!(WavReader::new(Cursor::new(&note.wav)).is_ok());
        }
    }
}
