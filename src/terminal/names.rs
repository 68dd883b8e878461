//! Names as they are typed: of people, and of rooms.

use crate::model::{Address, Nickname, RoomName};

/// What stands before a room's name, for people and for scripts.
const MARKS: [&str; 2] = ["#", "room:"];

/// Reads a person's nickname.
///
/// # Errors
/// What is wrong with it, in words.
pub fn nickname(text: &str) -> Result<Nickname, String> {
    match text.parse::<Address>() {
        Ok(Address::Room(room)) => Err(format!("#{room} is a room: this takes the nickname of one person")),
        Ok(Address::Person(nickname)) => Ok(nickname),
        Err(error) => Err(format!("{text:?} is not a name: {error}")),
    }
}

/// Reads a room's name: `garden`, `#garden` or `room:garden`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn room(text: &str) -> Result<RoomName, String> {
    let bare = MARKS.iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text);
    bare.parse().map_err(|error| format!("{text:?} is not a room's name: {error}"))
}

/// Reads whom something is for: a nickname, or a room's name behind its mark.
///
/// # Errors
/// What is wrong with it, in words.
pub fn address(text: &str) -> Result<Address, String> {
    if is_of_room(text) { room(text).map(Into::into) } else { nickname(text).map(Into::into) }
}

/// Whether what is typed is meant for a room's name.
pub fn is_of_room(text: &str) -> bool {
    MARKS.iter().any(|mark| text.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_name_is_taken_with_its_mark_and_without() {
        for text in ["garden", "#garden", "room:garden", "GARDEN"] {
            assert_eq!(room(text).unwrap().folded(), "garden");
        }
        for text in ["", "#", "room:", "a garden", "##garden", "room:#x", "\u{1b}[2J"] {
            let error = room(text).map(|name| name.to_string()).unwrap_err();
            assert!(error.contains("is not a room's name") && !error.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_of_what_was_meant() {
        let wrong = |text| address(text).map(|address| address.to_string()).unwrap_err();
        assert_eq!(wrong("#"), "\"#\" is not a room's name: a name has 1 to 32 characters");
        assert_eq!(
            wrong("room:-x"),
            "\"room:-x\" is not a room's name: a name begins with a letter or a digit"
        );
        assert!(wrong("a b").starts_with("\"a b\" is not a name: a name is made of letters and digits"));
        assert_eq!(address("room:garden"), Ok("#garden".parse().unwrap()));
        assert_eq!(address("zoé"), Ok("zoé".parse().unwrap()));
        let room = nickname("#plaza").map(|name| name.to_string());
        assert_eq!(room, Err("#plaza is a room: this takes the nickname of one person".to_owned()));
    }
}
