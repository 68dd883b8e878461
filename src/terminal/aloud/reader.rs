//! The task that takes one turn after the other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::queue::{Job, Shared, What};
use super::{GOES_ON, Outcome, Tell, manner, tell};
use crate::audio::{Playback, Speaker, Start};
use crate::client::{Body, Client, ClientError, Message, MessageRef};
use crate::model::{Address, Nickname, RoomName};
use crate::speech::{self, Language, Manner, Speech, Utterance};
use crate::terminal::floor::Floor;
use crate::terminal::listening::left_off;
use crate::terminal::{live, progress};

/// Takes one turn after the other.
pub(super) struct Reader {
    client: Client,
    floor: Floor,
    speaker: Speaker,
    shared: Arc<Shared>,
    tell: Tell,
    /// What has been told since it last went well.
    told: HashSet<(Means, String)>,
}

/// What something is heard with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Means {
    Voice,
    Loudspeaker,
}

/// Why a turn is over.
enum End {
    /// It ended, or was ended.
    Over(Outcome),
    /// Somebody has begun to record.
    Interrupted,
}

impl Reader {
    pub(super) fn new(
        client: Client,
        floor: Floor,
        speaker: Speaker,
        shared: Arc<Shared>,
        tell: Tell,
    ) -> Self {
        Self { client, floor, speaker, shared, tell, told: HashSet::new() }
    }

    pub(super) async fn run(mut self) {
        loop {
            let next = {
                let mut state = self.shared.state();
                let next = state.next();
                self.shared.tell(&state);
                if next.is_none() && state.over {
                    return;
                }
                next
            };
            match next {
                Some((job, one)) => self.take(job, one).await,
                None => self.shared.wake.notified().await,
            }
        }
    }

    async fn take(&mut self, job: Job, one: CancellationToken) {
        let Job { what, named, anew, .. } = job;
        let (floor, shared) = (self.floor.clone(), self.shared.clone());
        let taken = async {
            let seen = async {
                floor.free().await;
                floor.taken().await;
            };
            tokio::select! {
                () = shared.way.notified() => {}
                () = seen => {}
            }
        };
        // In this order: a note that is stopped has no more to play, as has one that was heard to its end.
        let end = tokio::select! {
            biased;
            () = one.cancelled() => End::Over(Outcome::Stopped),
            outcome = self.perform(&what, named, anew) => End::Over(outcome),
            () = taken, if !matches!(what, What::Mark) => End::Interrupted,
        };
        let (played, skipped) = {
            let mut state = self.shared.state();
            if matches!(end, End::Interrupted) {
                // Before anything else: they are about to be recorded.
                self.shared.speech().into_iter().for_each(Speech::stop_all);
            }
            (state.playing.take(), state.skipped)
        };
        if let What::Message(message, _) = &what {
            let heard = matches!(end, End::Over(Outcome::Heard));
            if let Err(error) = self.keep(message, played.as_ref(), heard, skipped).await {
                tracing::warn!(%error, "whether something was heard is not kept");
            }
        }
        // Not before that is kept: otherwise it seems to have been forgotten.
        let done = {
            let mut state = self.shared.state();
            state.now = None;
            self.shared.tell(&state);
            state.done.take()
        };
        match end {
            End::Over(outcome) => {
                let means = if what.is_note() { Means::Loudspeaker } else { Means::Voice };
                match &outcome {
                    Outcome::Unavailable(why) => self.trouble(means, why.clone()),
                    Outcome::Heard if !matches!(what, What::Mark) => self.works(means),
                    Outcome::Heard | Outcome::Stopped => {}
                }
                tell(done, outcome);
            }
            // It was stopped while it was kept how far it was heard.
            End::Interrupted if one.is_cancelled() => tell(done, Outcome::Stopped),
            End::Interrupted => {
                let mut state = self.shared.state();
                self.shared.hush(&state);
                // Once the recording has ended a text is read from its beginning, and a note goes on.
                state.queue.push_front(Job { what, named: true, anew: false, done });
            }
        }
    }

    async fn perform(&mut self, what: &What, named: bool, anew: bool) -> Outcome {
        if matches!(what, What::Mark) {
            return Outcome::Heard;
        }
        let _sounding = self.floor.sound().await;
        match what {
            What::Mark => Outcome::Heard,
            What::Name(nickname) => self.say_name(nickname, None, false).await,
            What::More(message, rest) => match self.shared.speech() {
                Some(speech) => {
                    let outcome = speech.more(rest.clone()).done().await;
                    self.said(message, outcome)
                }
                None => Outcome::Heard,
            },
            What::Message(message, wav) => match &message.body {
                Body::Text { text } => self.say(message, text, named).await,
                Body::Notice { text } => self.remark(message, text).await,
                Body::Invitation { room } => self.remark(message, &invited(&message.from, room)).await,
                Body::Voice { live: true, .. } => self.live(message, named, anew).await,
                Body::Voice { peaks, .. } => {
                    let wav = match wav {
                        Some(wav) => wav.to_vec(),
                        None => match self.client.audio(MessageRef::Number(message.number)).await {
                            Ok((_, wav)) => wav,
                            Err(error) => return Outcome::Unavailable(error.to_string()),
                        },
                    };
                    if self.is_named(message, named) {
                        let outcome = self.announce(message).await;
                        if !self.is_named_now(outcome) {
                            return Outcome::Stopped;
                        }
                    }
                    self.after_sounds().await;
                    let from = self.left_off(message, anew).await;
                    let start = |speed| Start { from, speed };
                    let outcome =
                        self.play(|speaker, speed| speaker.play_from(wav, start(speed)), peaks).await;
                    self.heard(message);
                    outcome
                }
            },
        }
    }

    /// A note that is being spoken, as it comes. Its sound begins to come while its sender is named.
    async fn live(&mut self, message: &Message, named: bool, anew: bool) -> Outcome {
        let which = MessageRef::Number(message.number);
        let name = async {
            let outcome = match self.is_named(message, named) {
                true => Some(self.announce(message).await),
                false => None,
            };
            self.after_sounds().await;
            outcome
        };
        let (named, sound) = tokio::join!(name, live::listen(&self.client, which));
        if named.is_some_and(|outcome| !self.is_named_now(outcome)) {
            return Outcome::Stopped;
        }
        let from = self.left_off(message, anew).await;
        let outcome = match sound {
            Ok(sound) => {
                let start = |speed| Start { from, speed };
                let played = self.play(|speaker, speed| speaker.play_sound(sound, start(speed)), &[]).await;
                if played == Outcome::Heard {
                    self.shared.state().so_far.insert(message.number);
                }
                played
            }
            Err(error) => Outcome::Unavailable(error.to_string()),
        };
        self.heard(message);
        outcome
    }

    /// Where a note goes on: it may have been heard in part since it came.
    async fn left_off(&self, message: &Message, anew: bool) -> Duration {
        match self.client.message(MessageRef::Number(message.number)).await.map(|message| message.body) {
            Ok(Body::Voice { position_ms, .. }) if !anew => Duration::from_millis(position_ms),
            _ => Duration::ZERO,
        }
    }

    /// The program's own sounds are short, and a voice reads on beside them; a note begins when they are over.
    async fn after_sounds(&self) {
        self.speaker.idle().await;
    }

    async fn say(&self, message: &Message, text: &str, named: bool) -> Outcome {
        let Some(speech) = self.shared.speech() else { return Outcome::Heard };
        let utterance = Utterance {
            text: text.to_owned(),
            language: None,
            person: Some(message.from.as_str().to_owned()),
            named: self.is_named(message, named),
            room: message.to.room().map(|room| room.as_str().to_owned()),
            changed_key: message.key_changed,
            manner: self.manner(&message.from).await,
            cut: self.shared.state().cut,
        };
        let outcome = speech.say(utterance).done().await;
        self.said(message, outcome)
    }

    /// The program's own words, which are English.
    async fn remark(&self, message: &Message, text: &str) -> Outcome {
        let Some(speech) = self.shared.speech() else { return Outcome::Heard };
        let text = match &message.to {
            Address::Room(room) => format!("In {room}: {text}"),
            Address::Person(_) => text.to_owned(),
        };
        let utterance = Utterance { language: Some(Language::ENGLISH), ..Utterance::new(text) };
        let outcome = speech.say(utterance).done().await;
        self.shared.state().named = None;
        self.said(message, outcome)
    }

    /// Whose note comes now, and in which room.
    async fn announce(&self, message: &Message) -> Outcome {
        self.say_name(&message.from, message.to.room(), message.key_changed).await
    }

    async fn say_name(&self, nickname: &Nickname, room: Option<&RoomName>, changed_key: bool) -> Outcome {
        let Some(speech) = self.shared.speech() else { return Outcome::Heard };
        let utterance = Utterance {
            person: Some(nickname.as_str().to_owned()),
            named: true,
            room: room.map(|room| room.as_str().to_owned()),
            changed_key,
            manner: self.manner(nickname).await,
            ..Utterance::default()
        };
        match speech.say(utterance).done().await {
            speech::Outcome::Spoken | speech::Outcome::Cut(_) => Outcome::Heard,
            speech::Outcome::Stopped => Outcome::Stopped,
            speech::Outcome::Unavailable(why) => Outcome::Unavailable(why),
        }
    }

    /// What became of a text.
    fn said(&self, message: &Message, outcome: speech::Outcome) -> Outcome {
        match outcome {
            speech::Outcome::Spoken => {
                self.heard(message);
                Outcome::Heard
            }
            speech::Outcome::Cut(rest) => {
                self.heard(message);
                self.shared.state().rest = Some((message.clone(), rest));
                Outcome::Heard
            }
            speech::Outcome::Stopped => Outcome::Stopped,
            speech::Outcome::Unavailable(why) => Outcome::Unavailable(why),
        }
    }

    /// Keeps in the profile that something was heard, how far a note was, or that it need not be.
    async fn keep(
        &self,
        message: &Message,
        played: Option<&Playback>,
        heard: bool,
        skipped: bool,
    ) -> Result<(), ClientError> {
        let left = played.map(|played| {
            played.stop();
            left_off(played.position())
        });
        if heard || left.is_some() {
            self.client.mark_heard(message.number, left.unwrap_or_default(), heard).await?;
        }
        if skipped {
            self.client.mark_to_hear(&[message.number], false).await?;
        }
        Ok(())
    }

    /// Plays what is begun, at the speed given with the loudspeaker.
    async fn play(&self, begin: impl FnOnce(&Speaker, f32) -> Playback, peaks: &[u8]) -> Outcome {
        let playback = {
            let mut state = self.shared.state();
            // Stopped between the name and the note.
            if state.one.is_cancelled() {
                return Outcome::Stopped;
            }
            let speed = state.pace.speed();
            state.playing.insert(begin(&self.speaker, speed)).clone()
        };
        let draw = self.shared.state().draw;
        let played = if draw { progress::show(&playback, peaks).await } else { playback.wait().await };
        match played {
            Ok(()) => Outcome::Heard,
            Err(error) => {
                // It is told here.
                drop(self.speaker.take_trouble());
                Outcome::Unavailable(error.to_string())
            }
        }
    }

    /// Whether the sender is to be named: not again while they go on in the same conversation, but always where it may be somebody else.
    fn is_named(&self, message: &Message, asked: bool) -> bool {
        let state = self.shared.state();
        let conversation = message.conversation();
        let goes_on = |(last, place, when): &(Nickname, Address, Instant)| {
            *last == message.from && *place == conversation && when.elapsed() < GOES_ON
        };
        asked || message.key_changed || !state.named.as_ref().is_some_and(goes_on)
    }

    fn heard(&self, message: &Message) {
        let named = (message.from.clone(), message.conversation(), Instant::now());
        // Nobody goes on who was somebody else, perhaps.
        self.shared.state().named = (!message.key_changed).then_some(named);
    }

    async fn manner(&self, nickname: &Nickname) -> Manner {
        // Asked each time: it may have been changed on another terminal.
        match self.client.voice_of(nickname).await {
            Ok(voice) => manner(nickname, &voice),
            Err(_) => Manner::of(nickname.folded().as_bytes()),
        }
    }

    /// What became of a name before a note: whether the note is to be played. Without its name it is, too.
    fn is_named_now(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Stopped => return false,
            Outcome::Unavailable(why) => self.trouble(Means::Voice, why),
            Outcome::Heard => self.works(Means::Voice),
        }
        true
    }

    /// Tells what is wrong, once.
    fn trouble(&mut self, means: Means, line: String) {
        if self.told.insert((means, line.clone())) {
            (self.tell)(&line);
        }
    }

    /// What goes wrong from now on is something else, and told anew.
    fn works(&mut self, means: Means) {
        self.told.retain(|(with, _)| *with != means);
    }
}

/// An invitation in the program's own words.
fn invited(from: &Nickname, room: &RoomName) -> String {
    format!("{from} invites you to the room {room}.")
}
