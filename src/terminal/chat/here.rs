//! What the core says, in a conversation's own words: the shell's commands that it names are typed in another way here.

use crate::model::Address;

/// Names commands as they are typed in the conversation with somebody; those that there are only in the shell stay.
pub fn commands(words: &str, with: Option<&Address>) -> String {
    let mut parts = words.split("`tellal ");
    let mut here = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let typed = part.split_once('`').and_then(|(command, rest)| Some((typed(command, with)?, rest)));
        match typed {
            Some((typed, rest)) => here.extend([&typed, rest]),
            None => here.extend(["`tellal ", part]),
        }
    }
    here
}

fn typed(command: &str, with: Option<&Address>) -> Option<String> {
    let words: Vec<&str> = command.split(' ').collect();
    let verify = |nickname: &str, command: &str| match with.and_then(Address::person) {
        Some(with) if with.as_str() == nickname => command.to_owned(),
        _ => format!("/to {nickname} and {command}"),
    };
    match words.as_slice() {
        ["users" | "history" | "play" | "speak" | "voice"] => Some(format!("/{command}")),
        ["room", "list"] => Some("/rooms".to_owned()),
        ["room", "members", room] => Some(format!("/members {room}")),
        ["room", ..] => Some(format!("/{command}")),
        ["verify", nickname] => Some(verify(nickname, "/verify")),
        ["verify", nickname, "--accept-change"] => Some(verify(nickname, "/verify accept")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ClientError, KeyChange};
    use crate::model::{Millis, Nickname};

    #[test]
    fn a_conversation_names_its_own_commands() {
        let ayşe: Nickname = "ayşe".parse().unwrap();
        let (known, shown) = ("SHA256:a".to_owned(), "SHA256:b".to_owned());
        let change = KeyChange { known, shown, since: Millis(0), vouched: false };
        let changed = ClientError::KeyChanged { nickname: ayşe.clone(), change }.to_string();
        let with = commands(&changed, Some(&ayşe.clone().into()));
        assert!(with.contains("safety number (/verify) or accepted the change (/verify accept)"), "{with}");
        let without = commands(&changed, None);
        assert!(without.contains("(/to ayşe and /verify)") && !without.contains("tellal"), "{without}");
        for (error, said) in [
            (ClientError::NoSuchMessage, "no such message: /history lists them with their numbers"),
            (
                ClientError::NotInRoom { room: "garden".parse().unwrap() },
                "you are not a member of #garden: /rooms lists the rooms that there are for you",
            ),
            (ClientError::NotVoice, "that message is not a voice note: /speak reads texts aloud"),
            (
                ClientError::UnknownNickname { nickname: ayşe },
                "nobody is called ayşe on this server: /users lists who there is",
            ),
            (ClientError::NoPassphrase, "the profile has no passphrase: `tellal lock --set` sets one"),
        ] {
            assert_eq!(commands(&error.to_string(), None), said);
        }
        for odd in ["`tellal users", "", "`tellal ", "`", "`tellal verify"] {
            assert_eq!(commands(odd, None), odd);
        }
    }
}
