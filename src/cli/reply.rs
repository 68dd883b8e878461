//! A reply by voice while listening: to whoever was heard last, with single keys.

use super::app::App;
use crate::audio::recorder::Options;
use crate::audio::{Cue, Note, Recorder, Speaker};
use crate::client::{Client, VoiceNote};
use crate::model::Nickname;
use crate::terminal::floor::Floor;
use crate::terminal::keys::{Key, Keys};
use crate::terminal::line;

/// Records until a key, and sends it, or does not. What goes wrong is said, and listening goes on.
pub async fn record(app: &App, client: &Client, speaker: &Speaker, keys: &mut Keys, to: &Nickname) {
    let taken = Floor::of(&app.home).take();
    let mut recording = match Recorder::start(Options::default()).await {
        Ok(recording) => recording,
        Err(error) => return app.out.note(&format!("tellal: {error}")),
    };
    app.out.note(&format!("(recording a reply to {to}: Enter or v sends it, c does not)"));
    let send = loop {
        tokio::select! {
            () = recording.ended() => break true,
            key = keys.pressed() => match key {
                Key::Enter | Key::Char('v') => break true,
                Key::Char('c' | 'q') | Key::Escape | Key::End => break false,
                _ => app.out.note("(still recording: Enter or v sends it, c does not)"),
            },
        }
    };
    if !send {
        recording.cancel();
        return app.out.note("(not sent: what was recorded is forgotten)");
    }
    let note = recording.finish().await.and_then(|take| take.trimmed().note());
    drop(taken);
    let note = match note {
        Ok(note) => note,
        Err(error) => return app.out.note(&format!("tellal: not sent: {error}")),
    };
    if note.is_silent() {
        app.out.note("tellal: the recording is silent: check that the microphone is not muted");
    }
    let Note { wav, duration_ms, sample_rate, peaks, .. } = note;
    match client.send_voice(to, VoiceNote { wav, duration_ms, sample_rate, peaks }).await {
        Ok(message) => {
            app.out.note(&format!("(a voice note for {to}, {})", line::duration(duration_ms)));
            let (client, speaker) = (client.clone(), speaker.clone());
            tokio::spawn(async move {
                let accepted = client.accepted(message.id).await.is_ok();
                speaker.cue(if accepted { Cue::Sent } else { Cue::Error });
            });
        }
        Err(error) => app.out.note(&format!("tellal: not sent: {error}")),
    }
}
