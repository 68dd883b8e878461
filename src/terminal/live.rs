//! Voice notes that are heard while they are spoken: from a microphone into the core, and out of it to a loudspeaker.

use std::num::NonZero;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::audio::Sound;
use crate::audio::sound::Blocks;
use crate::client::live::Ending;
use crate::client::{Client, ClientError, LiveNote, LiveSound, Message, MessageRef};
use crate::model::limits;

/// What is taken from a microphone at a time, in samples: 50 ms.
pub const BLOCK: usize = limits::LIVE_RATE as usize / 20;
/// What is kept back of a note before it is played, so that a group that is late does not leave a hole.
const LEAD: Duration = Duration::from_millis(200);

/// Speaks what a microphone gives until it gives no more, or until it is said how the note is to end. The message as
/// it stands then; it may not be at the server yet.
///
/// # Errors
/// When the note was ended by the core, which keeps what there is of it, or the profile can't be written.
pub async fn speak(
    mut note: LiveNote,
    mut blocks: Blocks,
    mut ending: oneshot::Receiver<Ending>,
) -> Result<Message, ClientError> {
    let mut ends = None;
    loop {
        let block = tokio::select! {
            biased;
            end = &mut ending, if ends.is_none() => {
                // Whoever would have said is gone: then it is cut off.
                ends = Some(end.unwrap_or(Ending::CutOff));
                if ends == Some(Ending::Withdrawn) {
                    break;
                }
                continue;
            }
            block = blocks.next() => block,
        };
        let Some(block) = block else { break };
        note.push(&block).await?;
    }
    let ends = match ends {
        Some(ends) => ends,
        None => ending.await.unwrap_or(Ending::CutOff),
    };
    // Of nothing there is nothing to send.
    note.end(if blocks.is_empty() { Ending::Withdrawn } else { ends }).await
}

/// The sound of a note that may still be coming, once there is enough of it to begin with. It is complete when the
/// note has ended.
///
/// # Errors
/// When there is no such note, or the profile can't be read.
pub async fn listen(client: &Client, which: MessageRef) -> Result<Sound, ClientError> {
    let rate = NonZero::new(limits::LIVE_RATE).unwrap_or(NonZero::<u32>::MIN);
    let (feed, sound) = Sound::growing(rate);
    let mut coming: LiveSound = client.live_sound(which);
    let mut first = Vec::new();
    while first.is_empty() {
        match coming.next().await? {
            Some(samples) => first = samples,
            // There is none, and will be none.
            None => return Ok(sound),
        }
    }
    feed.push(&first);
    let one_group = first.len() * 2 <= limits::LIVE_GROUP;
    tokio::spawn(async move {
        // When the profile is closed there is no more of it.
        while let Ok(Some(samples)) = coming.next().await {
            feed.push(&samples);
        }
    });
    if one_group && !sound.is_complete() {
        tokio::time::sleep(LEAD).await;
    }
    Ok(sound)
}
