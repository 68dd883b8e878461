//! What is in a recording: loudness over time, and where a known sound is.

use std::io::Cursor;

/// Where a sound was found, and how surely.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// In samples from the beginning.
    pub at: usize,
    /// 1.0: exactly this sound, at whatever loudness; about 0: nothing of it.
    pub correlation: f32,
}

/// The samples of a WAV file of 16 bits, its channels mixed, and its samples per second.
pub fn read(wav: &[u8]) -> (Vec<f32>, u32) {
    let reader = hound::WavReader::new(Cursor::new(wav)).unwrap();
    let (channels, rate) = (usize::from(reader.spec().channels), reader.spec().sample_rate);
    let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
    let mean = |frame: &[i16]| frame.iter().map(|sample| f32::from(*sample)).sum::<f32>() / channels as f32;
    (samples.chunks_exact(channels).map(|frame| mean(frame) / 32768.0).collect(), rate)
}

/// At another rate, by drawing straight lines: good enough to look for sounds far below either rate.
pub fn at_rate(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let step = f64::from(from) / f64::from(to);
    let count = (samples.len() as f64 / step) as usize;
    (0..count)
        .map(|place| {
            let at = place as f64 * step;
            let (left, share) = (at as usize, at.fract() as f32);
            let right = samples.get(left + 1).copied().unwrap_or(0.0);
            samples[left] * (1.0 - share) + right * share
        })
        .collect()
}

/// The fundamental of a stretch of voice in hertz, by autocorrelation: 60 to 300.
pub fn pitch(samples: &[f32], rate: u32) -> f64 {
    let score = |lag: usize| {
        let product: f64 = samples.iter().zip(&samples[lag..]).map(|(a, b)| f64::from(a * b)).sum();
        product / (samples.len() - lag) as f64
    };
    let scores: Vec<f64> = (0..rate as usize / 60).map(score).collect();
    let first = rate as usize / 300;
    let most = scores[first..].iter().copied().fold(0.0, f64::max);
    // Two periods fit as well as one does: the first peak counts.
    let near = (first..scores.len()).find(|lag| scores[*lag] > 0.9 * most).unwrap();
    let until = (near + rate as usize / 1_000).min(scores.len());
    let best = (near..until).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
    f64::from(rate) / best as f64
}

/// The loudest sample.
pub fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}

/// The energy (root of the mean square) of each hundredth of a second.
pub fn envelope(samples: &[f32], rate: u32) -> Vec<f32> {
    samples.chunks(rate as usize / 100).map(energy).collect()
}

/// Where there is sound: beginning and end of each stretch in seconds, silences of up to `gap` seconds in it.
pub fn bursts(samples: &[f32], rate: u32, gap: f32) -> Vec<(f32, f32)> {
    let mut bursts: Vec<(f32, f32)> = Vec::new();
    for (place, energy) in envelope(samples, rate).iter().enumerate() {
        let (start, end) = (place as f32 / 100.0, (place + 1) as f32 / 100.0);
        match bursts.last_mut() {
            _ if *energy < 0.003 => {}
            Some(last) if start - last.1 <= gap => last.1 = end,
            _ => bursts.push((start, end)),
        }
    }
    bursts
}

/// Whether there was sound just now, at [`super::card::RATE`].
pub fn sounds(samples: &[f32]) -> bool {
    peak(&samples[samples.len().saturating_sub(4_410)..]) > 0.05
}

/// Whether there was none for so many seconds, at [`super::card::RATE`].
pub fn is_silent(samples: &[f32], seconds: f32) -> bool {
    let count = (seconds * super::card::RATE as f32) as usize;
    samples.len() >= count && peak(&samples[samples.len() - count..]) < 0.003
}

/// Whether there was none for half a second, after some, at [`super::card::RATE`]. Asked again and again of a recording
/// that grows, so that it looks from its end.
pub fn has_ended(samples: &[f32]) -> bool {
    let silence = super::card::RATE as usize / 2;
    let (before, last) = samples.split_at(samples.len().saturating_sub(silence));
    let is_loud = |part: &[f32]| energy(part) >= 0.003;
    !last.chunks(441).any(is_loud) && before.rchunks(441).any(is_loud)
}

/// Where each quarter of a second of a WAV file is in a recording at [`super::card::RATE`]: a machine under load
/// stutters, and what is around that is there all the same.
pub fn quarters(recording: &[f32], wav: &[u8]) -> Vec<Found> {
    let (samples, rate) = read(wav);
    let sound = at_rate(&samples, rate, super::card::RATE);
    sound.chunks_exact(super::card::RATE as usize / 4).map(|quarter| find(recording, quarter)).collect()
}

/// The place where a recording is most like a sound of the same rate.
pub fn find(recording: &[f32], sound: &[f32]) -> Found {
    // First roughly, on means of a few samples, then exactly around the best place.
    const COARSE: usize = 16;
    let mean = |samples: &[f32]| -> Vec<f32> {
        samples.chunks(COARSE).map(|part| part.iter().sum::<f32>() / COARSE as f32).collect()
    };
    let (coarse, wanted) = (mean(recording), mean(sound));
    let products = products(&coarse, &wanted);
    let rough = best(&coarse, &wanted, 0..usize::MAX, |at| products[at]);
    let around = (rough.at * COARSE).saturating_sub(12 * COARSE)..(rough.at + 12) * COARSE;
    best(recording, sound, around, |at| {
        recording[at..at + sound.len()].iter().zip(sound).map(|(a, b)| a * b).sum()
    })
}

/// Part of a sound that a recording has without a break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// From which sample of the sound on.
    pub from: usize,
    /// Up to which.
    pub until: usize,
    /// Where that begins in the recording.
    pub at: usize,
}

/// In which stretches a sound that is nowhere like itself is in recordings of the same rate, in the order of the sound,
/// each with the recording's place: each stretch ends, to a hundredth of a second, where what follows is missing or comes
/// later. Those under a fifth of a second may not be found.
pub fn stretches(recordings: &[&[f32]], sound: &[f32], rate: u32) -> Vec<(usize, Stretch)> {
    let rate = rate as usize;
    let mut stretches: Vec<(usize, Stretch)> = Vec::new();
    // Roughly first: there are few, unless a machine under load has stuttered.
    for hop in [rate / 2, rate / 16] {
        for start in (0..sound.len() - rate / 8).step_by(hop) {
            let is_known =
                |(_, known): &(usize, Stretch)| known.from <= start && start + hop / 4 < known.until;
            if stretches.iter().any(is_known) {
                continue;
            }
            for (which, recording) in recordings.iter().enumerate() {
                let Some(found) = stretch(recording, sound, start, rate) else { continue };
                // Its ends may have been too short to be known.
                let is_it = |(on, known): &(usize, Stretch)| {
                    *on == which && known.at.abs_diff(found.at) == known.from.abs_diff(found.from)
                };
                if !stretches.iter().any(is_it) {
                    stretches.push((which, found));
                }
            }
        }
    }
    stretches.sort_by_key(|(_, stretch)| stretch.from);
    stretches
}

/// The stretch that the eighth of a second of a sound from a place on belongs to.
fn stretch(recording: &[f32], sound: &[f32], start: usize, rate: usize) -> Option<Stretch> {
    let (piece, step) = (rate / 8, rate / 100);
    let found = find(recording, &sound[start..start + piece]);
    if found.correlation < 0.95 {
        return None;
    }
    let fits = |from: usize| {
        let here = (found.at + from).checked_sub(start).and_then(|at| recording.get(at..at + step));
        let (Some(here), Some(wanted)) = (here, sound.get(from..from + step)) else { return false };
        let product: f32 = here.iter().zip(wanted).map(|(a, b)| a * b).sum();
        product / step as f32 > 0.9 * energy(here) * energy(wanted) && energy(here) > 0.003
    };
    let (mut from, mut until) = (start, start + piece);
    while from >= step && fits(from - step) {
        from -= step;
    }
    while fits(until) {
        until += step;
    }
    Some(Stretch { from, until, at: found.at - (start - from) })
}

/// How far a sound is there from its beginning, where no more than so many samples are left out between two stretches.
pub fn whole(stretches: impl IntoIterator<Item = Stretch>, most: usize) -> usize {
    stretches.into_iter().fold(0, |reached, stretch| {
        if stretch.from > reached + most { reached } else { reached.max(stretch.until) }
    })
}

/// The product of a sound with a recording, from each place on: by their spectra, since there are many places.
fn products(recording: &[f32], sound: &[f32]) -> Vec<f32> {
    let length = (recording.len() + sound.len()).next_power_of_two();
    let mut planner = realfft::RealFftPlanner::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let spectrum = |samples: &[f32]| {
        let mut padded = [samples, &vec![0.0; length - samples.len()]].concat();
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum).unwrap();
        spectrum
    };
    let mut product: Vec<_> =
        spectrum(recording).iter().zip(spectrum(sound)).map(|(a, b)| a * b.conj()).collect();
    let mut products = inverse.make_output_vec();
    inverse.process(&mut product, &mut products).unwrap();
    products.iter().map(|product| product / length as f32).collect()
}

fn best(
    recording: &[f32],
    sound: &[f32],
    places: std::ops::Range<usize>,
    product: impl Fn(usize) -> f32,
) -> Found {
    let loud: f64 = sound.iter().map(square).sum();
    let last = (recording.len() + 1).saturating_sub(sound.len()).min(places.end);
    let mut best = Found { at: 0, correlation: 0.0 };
    let mut part: f64 = recording.iter().skip(places.start).take(sound.len()).map(square).sum();
    for at in places.start..last {
        // Nothing is like silence.
        if part > loud * 1e-4 {
            let correlation = (f64::from(product(at)) / (loud * part).sqrt()) as f32;
            if correlation > best.correlation {
                best = Found { at, correlation };
            }
        }
        part += recording.get(at + sound.len()).map_or(0.0, square) - square(&recording[at]);
    }
    best
}

fn square(sample: &f32) -> f64 {
    f64::from(*sample).powi(2)
}

fn energy(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}
