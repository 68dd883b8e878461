//! The devices of one's own account.

use serde::{Deserialize, Serialize};

use crate::model::{DeviceId, Millis, Nickname};

use super::ClientError;

/// Digits of an id that are enough to tell devices apart, unless somebody has seen to it that they are not.
const DIGITS: usize = 12;

/// A device of one's own account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwnDevice {
    /// The id of its key.
    pub id: DeviceId,
    /// As much of the id as tells it from the others: 12 hexadecimal digits, or more.
    pub short: String,
    /// Whether it is the one that this profile is.
    pub this: bool,
    /// Whether it is that one, or this profile has added it. Any other was added by somebody else who has the
    /// account's identity key.
    pub known: bool,
    /// When it was added, by the clock of whoever added it.
    pub since: Millis,
    /// Whether the server's transparency log has what its directory says, or there is no log.
    pub in_log: bool,
}

impl OwnDevice {
    /// The device that is meant by the beginning of an id, to be taken from the account.
    ///
    /// # Errors
    /// [`ClientError::NoSuchDevice`], [`ClientError::AmbiguousDevice`]; [`ClientError::LastDevice`],
    /// [`ClientError::ThisDevice`] for the one that this profile is.
    pub fn to_remove<'a>(devices: &'a [Self], id: &str, me: &Nickname) -> Result<&'a Self, ClientError> {
        let wanted = id.trim().to_lowercase();
        let mut found = devices.iter().filter(|device| device.id.to_string().starts_with(&wanted));
        let none = || ClientError::NoSuchDevice { id: id.to_owned() };
        let one = found.next().filter(|_| !wanted.is_empty()).ok_or_else(none)?;
        match (found.next(), one.this, devices.len()) {
            (Some(_), ..) => Err(ClientError::AmbiguousDevice { id: id.to_owned() }),
            (None, true, 1) => Err(ClientError::LastDevice { nickname: me.clone() }),
            (None, true, _) => Err(ClientError::ThisDevice),
            (None, false, _) => Ok(one),
        }
    }
}

/// As much of an id as tells it from the others.
pub(in crate::client) fn short(id: DeviceId, others: impl Iterator<Item = DeviceId>) -> String {
    let digits = id.to_string();
    let shared = |other: DeviceId| {
        let other = other.to_string();
        digits.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
    };
    let most = others.filter(|other| *other != id).map(shared).max().unwrap_or(0);
    digits.chars().take(DIGITS.max(most + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(byte: u8, this: bool) -> OwnDevice {
        let id = DeviceId::new([byte; 32]);
        let short = short(id, std::iter::empty());
        OwnDevice { id, short, this, known: this, since: Millis(0), in_log: true }
    }

    #[test]
    fn the_beginning_of_an_id_names_one_device_that_can_be_removed() {
        let me: Nickname = "ayşe".parse().unwrap();
        let devices = [device(0xab, true), device(0xac, false), device(0x01, false)];
        let named = |id: &str| OwnDevice::to_remove(&devices, id, &me);
        for id in ["ac", "AC", " acac ", &devices[1].short, &devices[1].id.to_string()] {
            assert_eq!(named(id), Ok(&devices[1]), "{id}");
        }
        for id in ["", " ", "b", "ac\u{1b}", &format!("{}0", devices[1].id)] {
            assert_eq!(named(id), Err(ClientError::NoSuchDevice { id: id.to_owned() }));
        }
        assert_eq!(named("a"), Err(ClientError::AmbiguousDevice { id: "a".to_owned() }));
        assert_eq!(named("ab"), Err(ClientError::ThisDevice));
        assert_eq!(
            OwnDevice::to_remove(&devices[..1], "ab", &me),
            Err(ClientError::LastDevice { nickname: me.clone() })
        );
    }

    #[test]
    fn a_short_id_is_as_long_as_it_has_to_be() {
        let id = DeviceId::new([0xab; 32]);
        let mut near = [0xab; 32];
        near[8] = 0xac;
        assert_eq!(short(id, [id, DeviceId::new([1; 32])].into_iter()), "abababababab");
        assert_eq!(short(id, [DeviceId::new(near)].into_iter()), "ab".repeat(9));
    }
}
