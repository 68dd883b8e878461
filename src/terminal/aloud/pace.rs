//! How fast everything is: people and notes.

use crate::audio::SPEEDS;

/// One step faster or slower, of 100.
pub(super) const STEP: i32 = 10;
/// So much of that is once the speed of a note.
const ONCE: f32 = 80.0;

/// How fast a queue is. What is made faster and slower again is as it was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    /// How fast everybody speaks, -100 to 100.
    rate: i32,
    /// How fast notes would be played if everybody spoke as usual; possibly beyond what can be played.
    base: f32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rate: 0, base: 1.0 }
    }
}

impl Pace {
    /// How fast everybody speaks, -100 to 100.
    pub fn rate(self) -> i32 {
        self.rate
    }

    /// How fast notes are played.
    pub fn speed(self) -> f32 {
        (self.base + self.rate as f32 / ONCE).clamp(*SPEEDS.start(), *SPEEDS.end())
    }

    /// How fast notes are to be played.
    pub fn set_speed(&mut self, speed: f32) {
        self.base = speed - self.rate as f32 / ONCE;
    }

    /// Everybody speaks faster by so much, or slower, and so do notes; whether that changes anything.
    pub(super) fn change(&mut self, step: i32) -> bool {
        let rate = (self.rate + step).clamp(-100, 100);
        std::mem::replace(&mut self.rate, rate) != rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_faster_and_slower_again_is_as_it_was() {
        for speed in [0.5, 1.0, 1.5, 2.0] {
            for (step, there) in [(STEP, 3), (STEP, 10), (-STEP, 3), (-STEP, 10)] {
                let mut pace = Pace::default();
                pace.set_speed(speed);
                (0..there).for_each(|_| assert!(pace.change(step)));
                assert_eq!(pace.change(step), there < 10, "there is an end");
                (0..there.min(9) + 1).for_each(|_| assert!(pace.change(-step)));
                assert_eq!((pace.rate(), pace.speed()), (0, speed), "{there} steps of {step} and back");
            }
        }
    }

    #[test]
    fn notes_are_as_fast_as_was_said_whatever_the_pace() {
        let mut pace = Pace::default();
        assert!(pace.change(2 * STEP));
        assert_eq!((pace.rate(), pace.speed()), (20, 1.25));
        pace.set_speed(1.0);
        assert_eq!((pace.rate(), pace.speed()), (20, 1.0));
        assert!(pace.change(-2 * STEP));
        assert_eq!((pace.rate(), pace.speed()), (0, 0.75));
        (0..10).for_each(|_| assert!(pace.change(STEP)));
        assert_eq!((pace.rate(), pace.speed()), (100, 2.0));
    }
}
