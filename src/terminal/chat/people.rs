//! Whom one talks with, people and rooms: colours, who is online, and what of theirs is new.

use crate::client::{Contact, KeyStanding, Message};
use crate::model::{Address, Color, Nickname};

/// Somebody, or a room: of a room nothing is known but its name, whether there was talk, and what is new.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Who, or which room.
    pub address: Address,
    /// The colour, once it is known.
    pub color: Option<Color>,
    /// Whether they are connected, as far as known.
    pub online: bool,
    /// Whether their key was compared and found right.
    pub verified: bool,
    /// Whether their key has changed, and nobody has decided.
    pub key_changed: bool,
    /// Whether there is a conversation with them.
    pub talked: bool,
    /// Numbers of their messages that came while one talked to someone else.
    pub new: Vec<u64>,
}

/// Everybody who came up.
#[derive(Clone, Default, Debug)]
pub struct People(Vec<Person>);

impl People {
    /// Somebody by name, or a room, that comes up now if not before.
    pub fn get_or_add(&mut self, address: &Address) -> &mut Person {
        let place = self.0.iter().position(|person| person.address == *address);
        let place = place.unwrap_or_else(|| {
            self.0.push(Person {
                address: address.clone(),
                color: None,
                online: false,
                verified: false,
                key_changed: false,
                talked: false,
                new: Vec::new(),
            });
            self.0.len() - 1
        });
        #[allow(clippy::indexing_slicing, reason = "it was found, or added, just now")]
        &mut self.0[place]
    }

    /// Somebody by name, or a room.
    pub fn find(&self, address: &Address) -> Option<&Person> {
        self.0.iter().find(|person| person.address == *address)
    }

    /// Learns from the directory. The name as its owner writes it is the directory's.
    pub fn learn(&mut self, contact: &Contact) {
        let address: Address = contact.nickname.clone().into();
        let person = self.get_or_add(&address);
        person.address = address;
        person.color = Some(contact.color);
        person.online = contact.online;
    }

    /// Learns how it stands with somebody's key.
    pub fn judge(&mut self, standing: &KeyStanding) {
        let person = self.get_or_add(&standing.nickname.clone().into());
        person.verified = standing.verified;
        person.key_changed = standing.key_change.is_some();
    }

    /// Learns from a message of its conversation.
    pub fn met(&mut self, message: &Message) {
        let person = self.get_or_add(&message.conversation());
        person.talked = true;
        if person.address == message.from {
            person.color = Some(message.color);
        }
    }

    /// Whether somebody is online, as far as known.
    pub fn is_online(&self, nickname: &Nickname) -> bool {
        self.find(&nickname.clone().into()).is_some_and(|person| person.online)
    }

    /// All conversations with something new, in the order in which they came up.
    pub fn with_news(&self) -> impl Iterator<Item = &Person> {
        self.0.iter().filter(|person| !person.new.is_empty())
    }

    /// Takes messages for known by their numbers.
    pub fn forget(&mut self, known: impl Fn(u64) -> bool) {
        self.0.iter_mut().for_each(|person| person.new.retain(|number| !known(*number)));
    }

    /// Everybody whom one has talked with, and every room.
    pub fn talked(&self) -> impl Iterator<Item = &Person> {
        self.0.iter().filter(|person| person.talked)
    }
}
