//! Proofs that a connection belongs to a device: signatures over the server's id and nonce and the
//! connection's TLS exporter (RFC 9266), so that a proof is worth nothing on any other connection.
//!
//! The purpose is [`Purpose::Login`] or [`Purpose::Registration`]; neither stands for the other.

use super::{BadSignature, PublicKey, Purpose};
use crate::model::{DeviceId, to_cbor};
use crate::protocol::message::SessionProof;

/// Checks a proof by the device that it names.
///
/// # Errors
/// [`BadSignature`] when the key is not that device's, or did not sign this for that purpose.
pub fn verify(
    device: &PublicKey,
    purpose: Purpose,
    proof: &SessionProof,
    signature: &[u8],
) -> Result<(), BadSignature> {
    if DeviceId::from(device.id()) != proof.device {
        return Err(BadSignature);
    }
    device.verify(purpose, &[&to_cbor(proof)], signature)
}

/// Makes a proof with the device's key.
///
/// # Errors
/// [`SealError::Sign`](super::SealError::Sign) when the key refuses.
#[cfg(feature = "client")]
pub fn sign(
    device: &super::PrivateKey,
    purpose: Purpose,
    proof: &SessionProof,
) -> Result<Vec<u8>, super::SealError> {
    device.sign(purpose, &[&to_cbor(proof)])
}

#[cfg(test)]
#[cfg(feature = "client")]
mod tests {
    use super::*;
    use crate::crypto::test_keys::{AYŞE, BURAK};
    use crate::model::{AccountId, DeviceId, ServerId};

    #[test]
    fn a_proof_holds_for_one_purpose_one_device_and_one_connection() {
        let device = &AYŞE.device;
        let proof = SessionProof {
            server: ServerId::new([1; 32]),
            account: AYŞE.account.id,
            device: device.public().id().into(),
            nonce: [2; 32].into(),
            exporter: [3; 32].into(),
        };
        let signature = sign(device, Purpose::Login, &proof).unwrap();
        assert_eq!(verify(device.public(), Purpose::Login, &proof, &signature), Ok(()));

        let refused = Err(BadSignature);
        assert_eq!(verify(device.public(), Purpose::Registration, &proof, &signature), refused);
        assert_eq!(verify(BURAK.device.public(), Purpose::Login, &proof, &signature), refused);
        let others = [
            SessionProof { server: ServerId::new([9; 32]), ..proof.clone() },
            SessionProof { account: AccountId::new([9; 32]), ..proof.clone() },
            SessionProof { nonce: [9; 32].into(), ..proof.clone() },
            SessionProof { exporter: [9; 32].into(), ..proof.clone() },
            SessionProof { device: DeviceId::from(BURAK.device.public().id()), ..proof },
        ];
        let for_another = &others[4];
        let by_ayşe = sign(device, Purpose::Login, for_another).unwrap();
        assert_eq!(verify(device.public(), Purpose::Login, for_another, &by_ayşe), refused);
        for other in others {
            assert_eq!(verify(device.public(), Purpose::Login, &other, &signature), refused);
        }
    }
}
