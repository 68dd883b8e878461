//! Safety numbers: 60 digits that two people compare, to know that each has the other's identity key.
//!
//! Made as Signal makes them (the iterated hash of its `NumericFingerprint`), of what this program's records
//! hold: the identity key's id and the nickname of each side. Thirty digits for each side, so that finding a key
//! that gives the same digits takes some 2^100 key pairs, each hashed 5,200 times.

use std::fmt;

use sha2::{Digest as _, Sha512};

use super::Purpose;
use crate::model::{KeyId, Nickname};

/// How often each side is hashed.
const ROUNDS: usize = 5200;
/// Digits that are read as one.
const GROUP: usize = 5;
/// Groups for each side.
const GROUPS: usize = 6;

/// The number of two people, the same on both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SafetyNumber(String);

/// One side: whose identity key is said to be whose.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The id of the identity key.
    pub identity: KeyId,
    /// The name that it is known under.
    pub nickname: &'a Nickname,
}

impl SafetyNumber {
    /// The number of these two, in either order. Takes a few milliseconds.
    pub fn of(one: Side<'_>, other: Side<'_>) -> Self {
        let (one, other) = (half(one), half(other));
        Self(if one <= other { one + &other } else { other + &one })
    }

    /// The 60 digits in a row.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The digits in groups of five.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        (0..self.0.len()).step_by(GROUP).filter_map(|at| self.0.get(at..at + GROUP))
    }

    /// Whether this could be a safety number: 60 digits, with white space anywhere. Otherwise how many digits it has.
    ///
    /// # Errors
    /// The count.
    pub fn check(typed: &str) -> Result<(), usize> {
        let mut typed = typed.chars().filter(|c| !c.is_whitespace());
        let digits = typed.clone().filter(char::is_ascii_digit).count();
        if digits == 2 * GROUPS * GROUP && typed.all(|c| c.is_ascii_digit()) { Ok(()) } else { Err(digits) }
    }

    /// Whether these are its digits; white space between them counts for nothing.
    pub fn matches(&self, typed: &str) -> bool {
        typed.chars().filter(|c| !c.is_whitespace()).eq(self.0.chars())
    }
}

/// Groups of five with spaces between them.
impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.groups().collect::<Vec<_>>().join(" "))
    }
}

/// One side's thirty digits: the first 30 bytes of the hash, five bytes for five digits.
fn half(side: Side<'_>) -> String {
    let identity = side.identity.as_bytes();
    let folded = side.nickname.folded().as_bytes();
    let mut hash = Sha512::digest(Purpose::SafetyNumber.input(&[identity, folded]));
    for _ in 1..ROUNDS {
        hash = Sha512::new().chain_update(hash).chain_update(identity).finalize();
    }
    let groups = hash.chunks_exact(GROUP).take(GROUPS).map(|bytes| {
        let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{:05}", number % 100_000)
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(byte: u8, name: &Nickname) -> Side<'_> {
        Side { identity: KeyId::new([byte; 32]), nickname: name }
    }

    #[test]
    fn both_sides_have_the_same_sixty_digits_and_nobody_else_has() {
        let [ayşe, burak, zoé]: [Nickname; 3] = ["ayşe", "burak", "zoé"].map(|name| name.parse().unwrap());
        let number = SafetyNumber::of(side(1, &ayşe), side(2, &burak));
        assert_eq!(number, SafetyNumber::of(side(2, &burak), side(1, &ayşe)));
        assert_eq!(number.digits().len(), 60);
        assert!(number.digits().bytes().all(|digit| digit.is_ascii_digit()));
        assert_eq!(number.groups().count(), 12);
        let upper = "BURAK".parse().unwrap();
        assert_eq!(number, SafetyNumber::of(side(1, &ayşe), side(2, &upper)), "a name in any case");
        for other in [
            SafetyNumber::of(side(1, &ayşe), side(3, &burak)),
            SafetyNumber::of(side(3, &ayşe), side(2, &burak)),
            SafetyNumber::of(side(1, &ayşe), side(2, &zoé)),
            SafetyNumber::of(side(2, &ayşe), side(1, &burak)),
        ] {
            assert_ne!(number, other);
        }
    }

    #[test]
    fn what_is_typed_is_compared_without_its_white_space() {
        let name: Nickname = "지민".parse().unwrap();
        let number = SafetyNumber::of(side(1, &name), side(2, &name));
        assert!(number.matches(number.digits()) && number.matches(&number.to_string()));
        assert!(number.matches(&format!(" {}\n", number.to_string().replace(' ', "\t\u{a0}"))));
        for wrong in ["", &number.digits()[1..], &format!("{number} 1"), &number.digits().replace('1', "2")] {
            assert!(!number.matches(wrong), "{wrong}");
        }
    }
}
