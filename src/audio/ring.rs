//! A queue of samples between a device's callback and the thread that works on them, in either direction: nobody
//! waits, locks or allocates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

struct Ring {
    slots: Box<[AtomicU32]>,
    /// Samples written since the beginning; only the writer changes it.
    written: AtomicUsize,
    /// Samples read since the beginning; only the reader changes it.
    read: AtomicUsize,
    /// Samples that found it full.
    lost: AtomicU64,
}

/// The end that adds.
pub(super) struct Writer(Arc<Ring>);

/// The end that takes.
pub(super) struct Reader(Arc<Ring>);

/// A queue with room for so many samples.
pub(super) fn ring(room: usize) -> (Writer, Reader) {
    let slots = (0..room.max(1).next_power_of_two()).map(|_| AtomicU32::new(0)).collect();
    let (written, read, lost) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
    let ring = Arc::new(Ring { slots, written, read, lost });
    (Writer(ring.clone()), Reader(ring))
}

impl Writer {
    /// Adds a sample, or counts it as lost when the reader is too far behind.
    pub fn push(&mut self, sample: f32) {
        let ring = &*self.0;
        let written = ring.written.load(Ordering::Relaxed);
        let full = written.wrapping_sub(ring.read.load(Ordering::Acquire)) >= ring.slots.len();
        // The length is a power of two, so the counters may wrap.
        match ring.slots.get(written & (ring.slots.len() - 1)) {
            Some(slot) if !full => {
                slot.store(sample.to_bits(), Ordering::Relaxed);
                ring.written.store(written.wrapping_add(1), Ordering::Release);
            }
            _ => {
                ring.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Writer {
    /// How many samples wait to be read.
    pub fn waiting(&self) -> usize {
        self.0.written.load(Ordering::Relaxed).wrapping_sub(self.0.read.load(Ordering::Acquire))
    }

    /// Whether the reader has gone.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Reader {
    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.0.written.load(Ordering::Acquire).wrapping_sub(self.0.read.load(Ordering::Relaxed))
    }

    /// Takes the next sample.
    pub fn pop(&mut self) -> Option<f32> {
        let ring = &*self.0;
        let read = ring.read.load(Ordering::Relaxed);
        if read == ring.written.load(Ordering::Acquire) {
            return None;
        }
        let sample = ring.slots.get(read & (ring.slots.len() - 1))?.load(Ordering::Relaxed);
        ring.read.store(read.wrapping_add(1), Ordering::Release);
        Some(f32::from_bits(sample))
    }

    /// Moves everything that is there to the end of `samples`.
    pub fn drain(&mut self, samples: &mut Vec<f32>) {
        let ring = &*self.0;
        let written = ring.written.load(Ordering::Acquire);
        let mut read = ring.read.load(Ordering::Relaxed);
        while read != written {
            if let Some(slot) = ring.slots.get(read & (ring.slots.len() - 1)) {
                samples.push(f32::from_bits(slot.load(Ordering::Relaxed)));
            }
            read = read.wrapping_add(1);
        }
        ring.read.store(read, Ordering::Release);
    }

    /// How many samples were lost.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_out_in_order_and_what_does_not_fit_is_counted() {
        let (mut writer, mut reader) = ring(4);
        let mut samples = Vec::new();
        for round in 0..10u8 {
            for sample in 0..3 {
                writer.push(f32::from(round * 3 + sample));
            }
            reader.drain(&mut samples);
        }
        assert_eq!(samples, (0..30u8).map(f32::from).collect::<Vec<_>>());
        (0..6).for_each(|_| writer.push(0.0));
        assert_eq!(reader.lost(), 2);
    }

    #[test]
    fn nothing_is_lost_or_doubled_between_threads() {
        let (mut writer, mut reader) = ring(64);
        let count = 200_000;
        let writing = std::thread::spawn(move || {
            let mut next = 0u32;
            while next < count {
                let full =
                    writer.0.written.load(Ordering::Relaxed) - writer.0.read.load(Ordering::Acquire) >= 64;
                if full {
                    std::thread::yield_now();
                } else {
                    writer.push(next as f32);
                    next += 1;
                }
            }
        });
        let mut samples = Vec::new();
        while samples.len() < count as usize {
            reader.drain(&mut samples);
        }
        writing.join().unwrap();
        assert!(samples.iter().enumerate().all(|(place, sample)| place as f32 == *sample));
        assert_eq!(reader.lost(), 0);
    }
}
