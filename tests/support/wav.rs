//! WAV files for tests.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};

/// A tone of so many frames, 16-bit mono at 16 kHz.
pub fn tone(frames: u32) -> Vec<u8> {
    let spec =
        WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    write(spec, |writer| {
        for frame in 0..frames {
            writer.write_sample((f64::from(frame).sin() * 9_000.0) as i16).unwrap();
        }
    })
}

/// A second of a rising tone, which is like itself in no other place. 16-bit mono at 16 kHz.
pub fn siren() -> Vec<u8> {
    let spec =
        WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    write(spec, |writer| {
        for frame in 0..16_000 {
            let time = f64::from(frame) / 16_000.0;
            let turn = (200.0 + 150.0 * time) * time * std::f64::consts::TAU;
            writer.write_sample((turn.sin() * 9_000.0) as i16).unwrap();
        }
    })
}

/// A tone that rises for so many seconds, loud and soft by turns: each second of it is like no other. 16 kHz.
pub fn rising(seconds: u32) -> Vec<u8> {
    let spec =
        WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    write(spec, |writer| {
        for frame in 0..16_000 * seconds {
            let time = f64::from(frame) / 16_000.0;
            let turn = (200.0 + 30.0 * time) * time * std::f64::consts::TAU;
            let loud = 0.7 + 0.3 * (time * 9.0).sin();
            writer.write_sample((turn.sin() * loud * 9_000.0) as i16).unwrap();
        }
    })
}

/// Noise below a kilohertz for so many seconds: not even the smallest part of it is like any other. 16 kHz.
pub fn noise(seconds: u32) -> Vec<u8> {
    let spec =
        WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    // Numerical Recipes' generator; straight lines between what it gives.
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) * 24_000.0 - 12_000.0
    };
    let (mut from, mut to) = (0.0, next());
    write(spec, |writer| {
        for frame in 0..16_000 * seconds {
            let share = f64::from(frame % 12) / 12.0;
            writer.write_sample((from + (to - from) * share) as i16).unwrap();
            if frame % 12 == 11 {
                (from, to) = (to, next());
            }
        }
    })
}

/// So many seconds of a file, from a second on, as a file.
pub fn part(wav: &[u8], from: u32, seconds: u32) -> Vec<u8> {
    let mut reader = hound::WavReader::new(Cursor::new(wav)).unwrap();
    let spec = reader.spec();
    reader.seek(from * spec.sample_rate).unwrap();
    let samples = reader.samples::<i16>().take((seconds * spec.sample_rate) as usize);
    let samples: Vec<i16> = samples.map(Result::unwrap).collect();
    write(spec, |writer| samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap()))
}

/// Like a voice of a fundamental in hertz, for so many seconds: pulses through two resonances. 16 kHz.
pub fn voice(fundamental: f64, seconds: u32) -> Vec<u8> {
    let spec =
        WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let (mut phase, mut low, mut high) = (0.0f64, (0.0, 0.0), (0.0, 0.0));
    let resonate = |state: &mut (f64, f64), hertz: f64, input: f64| {
        let angle = std::f64::consts::TAU * hertz / 16_000.0;
        let output = input + 1.94 * angle.cos() * state.0 - 0.9409 * state.1;
        *state = (output, state.0);
        output
    };
    write(spec, |writer| {
        for _ in 0..16_000 * seconds {
            phase += fundamental / 16_000.0;
            let pulse = f64::from(u8::from(phase >= 1.0));
            phase = phase.fract();
            let sample = resonate(&mut low, 700.0, pulse) + 0.5 * resonate(&mut high, 1_200.0, pulse);
            writer.write_sample((sample * 3_000.0) as i16).unwrap();
        }
    })
}

/// A tone of so many frames, 32-bit float stereo at 48 kHz.
pub fn float_tone(frames: u32) -> Vec<u8> {
    let spec =
        WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: 32, sample_format: SampleFormat::Float };
    write(spec, |writer| {
        for sample in 0..frames * 2 {
            writer.write_sample(f64::from(sample).sin() as f32 / 2.0).unwrap();
        }
    })
}

fn write(spec: WavSpec, fill: impl FnOnce(&mut WavWriter<&mut Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    fill(&mut writer);
    writer.finalize().unwrap();
    file.into_inner()
}
