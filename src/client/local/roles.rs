//! Of front ends that show what arrives, a profile has one at a time.

use std::sync::{Arc, Mutex, PoisonError};

use crate::client::{ClientError, Role};

/// Who has the one place.
#[derive(Clone, Default)]
pub(in crate::client) struct Roles(Arc<Mutex<Option<Role>>>);

/// A taken place, until it is dropped.
pub(in crate::client) struct Place {
    roles: Option<Roles>,
}

impl Roles {
    /// Takes the place that a role needs.
    pub(in crate::client) fn take(&self, role: Role) -> Result<Place, ClientError> {
        let what = match role {
            Role::Command => return Ok(Place { roles: None }),
            Role::Chat | Role::Listen => role,
        };
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *taken {
            Some(other) => {
                let what = if other == Role::Listen { "listen" } else { "chat" };
                Err(ClientError::Busy { what: format!("`tellal {what}`") })
            }
            None => {
                *taken = Some(what);
                Ok(Place { roles: Some(self.clone()) })
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(roles) = &self.roles {
            *roles.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chat_or_listen_at_a_time_and_any_number_of_commands() {
        let roles = Roles::default();
        let chat = roles.take(Role::Chat).unwrap();
        let _command = roles.take(Role::Command).unwrap();
        let _another = roles.take(Role::Command).unwrap();
        assert!(matches!(roles.take(Role::Listen), Err(ClientError::Busy { .. })));
        drop(chat);
        assert!(roles.take(Role::Listen).is_ok());
    }
}
