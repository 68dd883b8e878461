//! What was meant by a name that is nobody's, or by a room that one is only invited to: said where the error is shown.

use anyhow::Result;

use super::failure::Failure;
use crate::client::{Client, ClientError, Room, RoomStanding};
use crate::terminal::rooms;

/// What was done; where it failed for such a name, the error says what may have been meant.
///
/// # Errors
/// The same, in other words.
pub async fn or<T>(client: &Client, done: Result<T>) -> Result<T> {
    let error = match done {
        Err(error) => error,
        done => return done,
    };
    let Some(because) = error.downcast_ref::<ClientError>() else { return Err(error) };
    let known = match because {
        // Where nothing can be read any more, the error is all there is.
        ClientError::UnknownNickname { .. } | ClientError::NotInRoom { .. } => {
            client.rooms().await.unwrap_or_default()
        }
        _ => return Err(error),
    };
    Err(meant(because, &known).map_or(error, Into::into))
}

fn meant(error: &ClientError, known: &[Room]) -> Option<Failure> {
    match error {
        ClientError::UnknownNickname { nickname } => {
            let room = known.iter().find(|room| room.name.folded() == nickname.folded())?;
            let room = rooms::name(&room.name);
            Some(Failure::new(
                "unknown_nickname",
                format!("nobody is called {nickname} on this server: did you mean '{room}'?"),
            ))
        }
        ClientError::NotInRoom { room } => {
            let invited = |known: &&Room| known.name == *room && known.standing == RoomStanding::Invited;
            let room = known.iter().find(invited)?;
            Some(Failure::new("not_in_room", rooms::only_invited(room, "`tellal room join ", "`")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::rooms::tests::garden;

    #[test]
    fn what_was_meant_by_a_name_is_said() {
        let nobody = ClientError::UnknownNickname { nickname: "Garden".parse().unwrap() };
        assert!(meant(&nobody, &[]).is_none());
        let failure = meant(&nobody, &[garden()]).unwrap();
        assert_eq!(failure.code, "unknown_nickname");
        assert!(failure.message.ends_with("did you mean '#garden'?"), "{failure}");
        let outside = ClientError::NotInRoom { room: "garden".parse().unwrap() };
        assert!(meant(&outside, &[garden()]).is_none());
        let failure = meant(&outside, &[Room { standing: RoomStanding::Invited, ..garden() }]).unwrap();
        assert_eq!(failure.code, "not_in_room");
        assert_eq!(
            failure.message,
            "you are invited to #garden, and not in it yet: `tellal room join garden` goes in"
        );
    }
}
