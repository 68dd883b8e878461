//! Many accounts. A key takes a tenth of a second to make, and ten thousand people need two each; so the keys
//! here share primes: any two of a pool make a modulus that no other two make. **Worthless as keys**, since a
//! common divisor gives two of them away, and exactly as much work for a server as good ones.

use std::sync::Arc;

use rayon::prelude::*;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rsa::traits::PrivateKeyParts as _;
use rsa::{BoxedUint, RsaPrivateKey};

use super::LoadError;
use crate::crypto::PrivateKey;
use crate::model::{AccountId, DeviceId, KeyId, Nickname, Recipient, Wrap};

/// Bits of each key.
const BITS: usize = 2048;

/// Somebody who can register, log in, and be written to.
#[derive(Debug)]
pub struct Person {
    /// The name.
    pub nickname: Nickname,
    pub(super) identity: PrivateKey,
    pub(super) device: PrivateKey,
    /// The same one for everybody: nobody opens anything.
    pub(super) message: Arc<PrivateKey>,
}

impl Person {
    /// The account.
    pub fn account(&self) -> AccountId {
        self.identity.public().id().into()
    }

    /// Its only device.
    pub fn device(&self) -> DeviceId {
        self.device.public().id().into()
    }

    /// A mailbox to put something into, with a wrap of the right shape.
    pub fn mailbox(&self) -> Recipient {
        let key: KeyId = self.message.public().id();
        let wrap = Wrap { device: self.device(), key, ciphertext: vec![7; BITS / 8].into() };
        Recipient { account: self.account(), wraps: vec![wrap] }
    }
}

/// Makes so many people. Names are drawn, so that several runs on one server don't meet.
///
/// # Errors
/// When a key can't be made.
pub fn make(count: usize) -> Result<Vec<Arc<Person>>, LoadError> {
    let failed = |error: &dyn std::fmt::Display| LoadError::Keys(error.to_string());
    // Of n primes there are n (n - 1) / 2 pairs, of which about a third are a bit too small.
    let mut pairs = 4;
    while pairs * (2 * pairs - 1) / 2 < count * 2 + 10 {
        pairs += 1;
    }
    let made: Vec<RsaPrivateKey> = (0..pairs)
        .into_par_iter()
        .map(|_| RsaPrivateKey::new(&mut rand::rng(), BITS))
        .collect::<Result<_, _>>()
        .map_err(|error| failed(&error))?;
    let primes: Vec<BoxedUint> =
        made.iter().flat_map(|key| key.primes().iter().map(|prime| prime.as_ref().clone())).collect();
    let pairs: Vec<(&BoxedUint, &BoxedUint)> = primes
        .iter()
        .enumerate()
        .flat_map(|(place, first)| primes.iter().skip(place + 1).map(move |second| (first, second)))
        .collect();
    let mut keys: Vec<PrivateKey> = pairs.into_par_iter().filter_map(|(p, q)| combine(p, q)).collect();
    let message = keys.pop().map(Arc::new).ok_or_else(|| failed(&"none were made"))?;
    let run: u32 = rand::random();
    let people: Vec<_> = (0..count)
        .map_while(|number| {
            let nickname = format!("load-{run:08x}-{number}").parse().ok()?;
            let message = Arc::clone(&message);
            Some(Arc::new(Person { nickname, identity: keys.pop()?, device: keys.pop()?, message }))
        })
        .collect();
    if people.len() == count { Ok(people) } else { Err(failed(&"too few primes")) }
}

/// The key of two primes, if it has as many bits as are asked for.
fn combine(p: &BoxedUint, q: &BoxedUint) -> Option<PrivateKey> {
    let key = RsaPrivateKey::from_p_q(p.clone(), q.clone(), BoxedUint::from(65_537_u64)).ok()?;
    PrivateKey::from_pem(&key.to_pkcs8_pem(LineEnding::LF).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_somebody_else() {
        let people = make(6).unwrap();
        let mut ids: Vec<_> =
            people.iter().flat_map(|p| [*p.account().as_bytes(), *p.device().as_bytes()]).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 12);
    }
}
