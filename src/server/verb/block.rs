//! Whose mail an account does not want.

use std::sync::Arc;

use super::{answering, refused};
use crate::model::AccountId;
use crate::protocol::message::{Answer, RefusalCode};
use crate::server::Shared;
use crate::server::session::{Pending, Who};
use crate::store::Store;

pub fn set<S: Store>(
    shared: &Arc<Shared<S>>,
    who: Who,
    number: u32,
    other: AccountId,
    blocked: bool,
) -> Pending {
    if other == who.account {
        return refused(number, RefusalCode::Invalid);
    }
    answering(number, shared.store.set_blocked(who.account, other, blocked), |()| Answer::Done)
}
