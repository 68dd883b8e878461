//! Reading the transparency log, and proofs out of it.

use std::sync::Arc;

use bytes::Bytes;

use super::answering;
use crate::model::{Leaf, NameHash, Nickname};
use crate::protocol::message::{Answer, LeafProof};
use crate::server::Shared;
use crate::server::session::{Bulk, Done, Pending};
use crate::store::Store;

/// Leaves in one answer: 118 KiB, which fits into a frame.
const PAGE: usize = 1680;

pub fn read<S: Store>(shared: &Arc<Shared<S>>, bulk: &Bulk, number: u32, from: u64) -> Pending {
    let (shared, bulk) = (Arc::clone(shared), Arc::clone(bulk));
    Box::pin(async move {
        // Never closed.
        let permit = bulk.acquire_owned().await.ok();
        match shared.store.log(from, PAGE).await {
            Ok((head, leaves)) => {
                let checkpoint = shared.log.checkpoint(shared.store.server_id(), head);
                let leaves: Vec<u8> = leaves.iter().flat_map(Leaf::to_bytes).collect();
                Done::Bulky(number, Answer::Log { checkpoint }, Bytes::from(leaves), permit)
            }
            Err(error) => Done::Refusal(number, error),
        }
    })
}

pub fn prove_leaf<S: Store>(shared: &Arc<Shared<S>>, number: u32, name: &Nickname, size: u64) -> Pending {
    let (shared, name) = (Arc::clone(shared), NameHash::of(name));
    answering(number, async move { shared.store.prove_leaf(name, size).await }, |found| Answer::LogLeaf {
        leaf: found.map(|found| LeafProof {
            place: found.place,
            leaf: found.leaf.to_bytes().to_vec().into(),
            proof: found.proof.into_iter().map(Into::into).collect(),
        }),
    })
}

pub fn prove_growth<S: Store>(shared: &Arc<Shared<S>>, number: u32, from: u64, to: u64) -> Pending {
    let shared = Arc::clone(shared);
    answering(number, async move { shared.store.prove_growth(from, to).await }, |proof| Answer::LogGrowth {
        proof: proof.into_iter().map(Into::into).collect(),
    })
}
