//! Makes the files of `sounds/`: `cargo run --example make_sounds`. The same bytes everywhere, always.

#![allow(dead_code, reason = "a test takes the sounds from here")]
#![allow(clippy::expect_used, reason = "writing to memory does not fail")]

use std::io::Cursor;
use std::path::Path;

/// Samples per second.
const RATE: u32 = 44_100;
/// The loudest a single note gets, of 32,767: well below what startles.
const LOUD: f64 = 9_000.0;

/// A note: Hertz, when it begins and how long it takes in seconds.
type Tone = (f64, f64, f64);

/// Each file's name and notes. Rising is arriving or leaving well, falling is going, low is wrong.
const SOUNDS: [(&str, &[Tone]); 6] = [
    ("sent", &[(659.26, 0.0, 0.09), (987.77, 0.07, 0.13)]),
    ("received", &[(880.0, 0.0, 0.16), (739.99, 0.11, 0.2)]),
    ("voice_received", &[(523.25, 0.0, 0.14), (698.46, 0.1, 0.14), (830.61, 0.2, 0.18)]),
    ("joined", &[(440.0, 0.0, 0.18), (587.33, 0.14, 0.22)]),
    ("left", &[(493.88, 0.0, 0.18), (369.99, 0.14, 0.22)]),
    ("error", &[(220.0, 0.0, 0.16), (207.65, 0.18, 0.2)]),
];

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sounds");
    std::fs::create_dir_all(&folder)?;
    for (name, file) in sounds() {
        std::fs::write(folder.join(format!("{name}.wav")), file)?;
        println!("sounds/{name}.wav");
    }
    Ok(())
}

/// Each file's name and content.
pub fn sounds() -> Vec<(&'static str, Vec<u8>)> {
    SOUNDS.iter().map(|(name, tones)| (*name, wav(&mix(tones)))).collect()
}

fn mix(tones: &[Tone]) -> Vec<f64> {
    let at = |seconds: f64| (seconds * f64::from(RATE)) as usize;
    let end = tones.iter().map(|(_, start, long)| at(start + long)).max().unwrap_or(0);
    let mut samples = vec![0.0; end];
    for (frequency, start, long) in tones {
        for (frame, sample) in samples.iter_mut().skip(at(*start)).take(at(*long)).enumerate() {
            let time = frame as f64 / f64::from(RATE);
            let turns = frequency * time;
            // A little of the octave and the twelfth makes it a chime and no beep.
            let sound = sine(turns) + 0.22 * sine(2.0 * turns) + 0.06 * sine(3.0 * turns);
            *sample += LOUD * sound * envelope(time, *long);
        }
    }
    samples
}

/// Rises within 12 ms and dies away, both without a corner.
fn envelope(time: f64, long: f64) -> f64 {
    let rise = (time / 0.012).min(1.0);
    let left = 1.0 - time / long;
    rise * rise * (3.0 - 2.0 * rise) * left * left
}

/// The sine of so many full turns, by its Taylor series: other than the system's function, which differs in its
/// last bit from machine to machine, this is only multiplied and added.
fn sine(turns: f64) -> f64 {
    let mut x = turns - turns.floor();
    if x > 0.5 {
        x -= 1.0;
    }
    // From the outer quarters to the inner ones, where the series is good.
    if x > 0.25 {
        x = 0.5 - x;
    } else if x < -0.25 {
        x = -0.5 - x;
    }
    let x = x * std::f64::consts::TAU;
    let (mut term, mut sum) = (x, x);
    for k in 1..10 {
        term *= -x * x / f64::from((2 * k) * (2 * k + 1));
        sum += term;
    }
    sum
}

fn wav(samples: &[f64]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("writing to memory");
    for sample in samples {
        writer.write_sample(sample.round() as i16).expect("writing to memory");
    }
    writer.finalize().expect("writing to memory");
    file.into_inner()
}
