//! Which sound goes with which event: the same in every front end.

use crate::audio::Cue;
use crate::client::{Body, Event, Message};

/// The sound of an event, if it has one.
pub fn of_event(event: &Event) -> Option<Cue> {
    match event {
        Event::Accepted { .. } => Some(Cue::Sent),
        Event::Refused { .. } => Some(Cue::Error),
        Event::Message(message) => of_message(message),
        Event::Presence { online: true, .. } => Some(Cue::Joined),
        Event::Presence { online: false, .. } => Some(Cue::Left),
        _ => None,
    }
}

/// The sound of a message's arrival. One's own messages and the client's own remarks have none.
pub fn of_message(message: &Message) -> Option<Cue> {
    match (&message.delivery, &message.body) {
        (None, Body::Text { .. }) => Some(Cue::Received),
        (None, Body::Voice { .. }) => Some(Cue::VoiceReceived),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Delivery;
    use crate::model::{MessageId, Millis};

    fn message(body: Body, delivery: Option<Delivery>) -> Message {
        Message {
            id: MessageId::from_bytes([1; 16]),
            number: 1,
            from: "zoé".parse().unwrap(),
            to: "지민".parse().unwrap(),
            body,
            sent_at: Millis(0),
            received_at: None,
            verified: false,
            seq: None,
            delivery,
            late: false,
            key_changed: false,
            color: "red".parse().unwrap(),
        }
    }

    #[test]
    fn what_happens_to_others_and_to_ones_own_sounds_different() {
        let text = || Body::Text { text: "salut".to_owned() };
        let voice = Body::Voice {
            duration_ms: 1,
            sample_rate: 16_000,
            size: 46,
            peaks: vec![],
            live: false,
            cut_off: false,
            listened: false,
            position_ms: 0,
        };
        let notice = Body::Notice { text: "the key changed".to_owned() };
        let id = MessageId::from_bytes([1; 16]);
        let come = |online| Event::Presence { nickname: "小明".parse().unwrap(), online };
        for (event, cue) in [
            (Event::Accepted { id, at: Millis(0) }, Some(Cue::Sent)),
            (Event::Refused { id, reason: "no".to_owned() }, Some(Cue::Error)),
            (Event::Message(message(text(), None)), Some(Cue::Received)),
            (Event::Message(message(voice, None)), Some(Cue::VoiceReceived)),
            (Event::Message(message(text(), Some(Delivery::Accepted))), None),
            (Event::Message(message(notice, None)), None),
            (Event::Queued(message(text(), Some(Delivery::Queued))), None),
            (come(true), Some(Cue::Joined)),
            (come(false), Some(Cue::Left)),
            (Event::Connected, None),
            (Event::Drained, None),
        ] {
            assert_eq!(of_event(&event), cue, "{event:?}");
        }
    }
}
