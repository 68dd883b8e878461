//! A reply by voice while listening: in the conversation of what was heard last, with single keys. Where the program is told to end
//! meanwhile, by another signal than Ctrl-C, what was recorded is kept as a file.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::app::App;
use super::failure::Interrupted;
use super::output;
use super::stop::Stop;
use crate::audio::{Cue, Note};
use crate::client::{Client, Event, Events, Message, VoiceNote};
use crate::model::Address;
use crate::terminal::dictation::{Dictation, Options, Recorded};
use crate::terminal::floor::Floor;
use crate::terminal::gauge::Gauge;
use crate::terminal::keys::{Keys, Press};
use crate::terminal::{Cues, line, progress, unsent};

/// Held while somebody replies.
static UNDER_WAY: Mutex<()> = Mutex::const_new(());

/// Waits until nobody replies. Once a signal has come that is as soon as it is known what becomes of the recording.
pub async fn over() {
    drop(UNDER_WAY.lock().await);
}

/// Replies that the server does not have yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// What tells of what becomes of each.
static FOLLOWED: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);
/// How long that may take once the profile is closed.
const TELLING: Duration = Duration::from_secs(1);

/// Says how many replies wait for the server, when it is dropped: at the end of what takes replies, however that comes.
pub struct Left;

impl Left {
    /// The profile is closed: waits until it is told what became of each.
    pub async fn told(self) {
        FOLLOWED.close();
        // Then they count as waiting, and nothing is lost.
        let _ = tokio::time::timeout(TELLING, FOLLOWED.wait()).await;
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let waits = match WAITING.load(Ordering::Relaxed) {
            0 => return,
            1 => "1 voice note still waits".to_owned(),
            count => format!("{count} voice notes still wait"),
        };
        output::note(&format!("({waits} for the server, to leave when tellal next runs)"));
    }
}

/// Records until a key, and sends it, or does not. What goes wrong is said, and listening goes on.
pub async fn record(app: &App, client: &Client, cues: &Cues, keys: &mut Keys, to: &Address) {
    if let Err(error) = unsent::check_known(client, to).await {
        return app.out.note(&format!("tellal: nothing is recorded: {error}"));
    }
    // Heeded before it is said that somebody replies.
    let stop = Stop::heed();
    let _under_way = UNDER_WAY.lock().await;
    let floor = Floor::of(&app.home);
    let taken = floor.take();
    let started = async {
        floor.silence().await;
        Dictation::start(Options::default()).await
    };
    let mut taking = match stop.unless(started).await {
        Ok(Ok(taking)) => taking,
        Ok(Err(error)) => return app.out.note(&format!("tellal: {error}")),
        Err(_) => return,
    };
    app.out
        .note(&format!("(recording a reply to {to}: Enter or v sends it, space pauses, c does not send it)"));
    let end = tokio::select! {
        end = follow(app, &mut taking, keys) => end,
        interrupted = stop.asked() => End::Stopped(interrupted),
    };
    match end {
        End::Forget => return app.out.note(FORGOTTEN),
        End::Stopped(interrupted) if interrupted.takes_back() => return app.out.note(FORGOTTEN),
        End::Stopped(_) => {
            let kept = unsent::left(&app.home, taking).await;
            return app.out.note(&format!("tellal: not sent; {kept}"));
        }
        End::Send | End::Over(_) => {}
    }
    let recorded = taking.finish().await;
    drop(taken);
    let Recorded { note, words, silent } = match recorded {
        Ok(recorded) => recorded,
        Err(error) => return app.out.note(&format!("tellal: not sent: {error}")),
    };
    words.iter().for_each(|words| app.out.note(&format!("({words})")));
    let question = match end {
        End::Over(words) if !silent => Some(format!("{words}: Enter or v sends it")),
        _ if silent => Some("nobody is heard in it: Enter or v sends it all the same".to_owned()),
        _ => None,
    };
    if let Some(question) = question {
        app.out.note(&format!("({question}, c does not send it)"));
        let wanted = tokio::select! {
            wanted = is_wanted(keys) => Ok(wanted),
            interrupted = stop.asked() => Err(interrupted),
        };
        match wanted {
            Ok(true) => {}
            Err(interrupted) if !interrupted.takes_back() => {
                let kept = unsent::kept(&app.home, &note.wav);
                return app.out.note(&format!("tellal: not sent; {kept}"));
            }
            Ok(false) | Err(_) => return app.out.note(FORGOTTEN),
        }
    }
    let Note { wav, duration_ms, sample_rate, peaks, .. } = note;
    let mut events = client.events();
    let sent = client.send_voice(to, VoiceNote { wav: wav.clone(), duration_ms, sample_rate, peaks });
    let sent = tokio::select! {
        sent = sent => sent.map_err(|error| error.to_string()),
        _ = stop.asked() => Err("interrupted".to_owned()),
    };
    match sent {
        Ok(message) => {
            events.follow(message.id);
            let waits = !client.status().await.is_ok_and(|status| status.connected);
            let words =
                if waits { "; it waits for the server, and leaves by itself once connected" } else { "" };
            app.out.note(&format!("(a voice note for {to}, {}{words})", line::duration(duration_ms)));
            WAITING.fetch_add(1, Ordering::Relaxed);
            FOLLOWED.spawn(tell_outcome(events, message, waits, cues.clone()));
        }
        Err(error) => {
            let kept = unsent::kept(&app.home, &wav);
            app.out.note(&format!("tellal: not sent: {error}; {kept}"));
        }
    }
}

/// Tells what becomes of a reply: that it waits, unless that was told, and that it has left then, or never will.
async fn tell_outcome(mut events: Events, message: Message, mut waits: bool, cues: Cues) {
    let to = &message.to;
    let cue = loop {
        match events.next().await {
            Some(Event::Accepted { id, .. }) if id == message.id => {
                if waits {
                    output::note(&format!("(sent now: the voice note for {to} that waited)"));
                }
                break Cue::Sent;
            }
            Some(Event::Refused { id, reason }) if id == message.id => {
                output::note(&format!(
                    "tellal: the voice note for {to} is not sent: the server refused it: {reason}"
                ));
                break Cue::Error;
            }
            Some(Event::Delayed { id, reason, .. }) if id == message.id && !waits => {
                waits = true;
                output::note(&format!("(the voice note for {to} waits: {reason})"));
            }
            Some(Event::Disconnected { .. }) if !waits => {
                waits = true;
                output::note(&format!(
                    "(the voice note for {to} waits for the server, and leaves by itself once connected)"
                ));
            }
            Some(_) => {}
            None => return,
        }
    };
    WAITING.fetch_sub(1, Ordering::Relaxed);
    cues.play(cue, to.person());
}

/// What is said of one that is not sent.
const FORGOTTEN: &str = "(not sent: what was recorded is forgotten)";

/// What ended a recording.
enum End {
    /// It is to be sent.
    Send,
    /// It is not.
    Forget,
    /// There is no microphone any more, or this is the limit: which, in words.
    Over(String),
    /// The program is to end.
    Stopped(Interrupted),
}

/// Shows how it goes until a key says what is to become of it, or it ends by itself.
async fn follow(app: &App, taking: &mut Dictation, keys: &mut Keys) -> End {
    let mut gauge = Gauge::new(app.out.lines.plain, true);
    let mut ticks = tokio::time::interval(progress::DRAW);
    loop {
        tokio::select! {
            () = taking.ended() => return End::Over(taking.end_in_words()),
            _ = ticks.tick() => {
                let words = taking.look().into_iter().chain(gauge.show(taking));
                words.for_each(|words| app.out.note(&format!("({words})")));
            }
            key = keys.press() => match key {
                Press::Enter | Press::Char('v' | 'V') => return End::Send,
                Press::Char('c' | 'C' | 'q' | 'Q') | Press::Escape | Press::End => return End::Forget,
                Press::Char(' ') => app.out.note(&format!("({})", taking.toggle())),
                _ => app.out.note("(still recording: Enter or v sends it, c does not)"),
            },
        }
    }
}

/// Whether a note that nobody has ended, or in which nobody is heard, is to be sent all the same.
async fn is_wanted(keys: &mut Keys) -> bool {
    loop {
        match keys.press().await {
            Press::Enter | Press::Char('v' | 'V') => return true,
            Press::Char('c' | 'C' | 'q' | 'Q') | Press::Escape | Press::End => return false,
            _ => {}
        }
    }
}
