//! Two friends talk: a real server, a real client process and profile for each of them, real microphones and
//! loudspeakers (virtual ones where the machine has none). Shows the conversation, and checks it.
//!
//! `make demo`, or `cargo build --release && cargo run --release --example two_friends [-- --virtual-sound]`.
//! Exit code 1 when anything that it checks is not so.

#[path = "two_friends/checks.rs"]
mod checks;
#[path = "two_friends/client.rs"]
mod client;
#[path = "two_friends/people.rs"]
mod people;
#[path = "two_friends/server.rs"]
mod server;
#[path = "two_friends/sound.rs"]
mod sound;
#[path = "two_friends/stage.rs"]
mod stage;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use checks::Checks;
use people::Friend;
use server::Server;
use sound::{Card, envelope, likeness};
use stage::Stage;

/// What ayşe says into the microphone where nobody is there to speak.
const SPOKEN: &str = "Merhaba Burak, bu benim ilk sesli mesajım.";
/// How long somebody who is there is to speak.
const NOTE: Duration = Duration::from_secs(6);
/// Silence, after which the next thing is to be heard.
const MOMENT: Duration = Duration::from_millis(400);
/// Silence, after which nothing more is read.
const PAUSE: Duration = Duration::from_millis(1500);
/// Of the program's own sounds so much, in seconds, is to be heard.
const CUE: f64 = 0.06;
/// How long they are at most.
const LONGEST_CUE: f64 = 0.4;

fn main() -> ExitCode {
    let mut checks = Checks::default();
    let done = Stage::set().map(Arc::new).and_then(|stage| {
        let played = play(&stage, &mut checks);
        stage.clear();
        stage.heading("Checked");
        checks.print(&stage);
        played
    });
    match done {
        Ok(()) if checks.hold() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("two_friends: it broke off: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The whole play.
fn play(stage: &Arc<Stage>, checks: &mut Checks) -> Result<()> {
    stage.heading("A server");
    let server = Server::start(stage)?;

    stage.heading("Sound");
    let (her_card, his_card) = (Card::find(stage, "ayşe")?, Card::find(stage, "burak")?);
    let (her_speaker, his_speaker) = (her_card.listen(stage)?, his_card.listen(stage)?);

    stage.heading("Two friends register: three RSA keys each, made here, now");
    let began = Instant::now();
    let (ayşe, burak) = thread::scope(|scope| {
        let ayşe = scope.spawn(|| Friend::register(stage, &her_card, &server.address, "ayşe", "pink"));
        let burak = scope.spawn(|| Friend::register(stage, &his_card, &server.address, "burak", "cyan"));
        (ayşe.join(), burak.join())
    });
    let gone = || anyhow::anyhow!("a registration broke off");
    let (mut ayşe, mut burak) = (ayşe.map_err(|_| gone())??, burak.map_err(|_| gone())??);
    for friend in [&ayşe, &burak] {
        let command = ["register", &friend.name, "--server", &server.address, "--color", &friend.color];
        friend.told(stage, &command, &friend.registered);
    }
    stage.aside(&format!("both in {:.1} s", began.elapsed().as_secs_f64()));

    stage.heading("Ayşe begins a conversation, in a process that stays, and sees who there is");
    ayşe.begin(stage, "burak")?;
    ayşe.says(stage, "/users")?;
    ayşe.sees("burak")?;
    let seen = ayşe.directory()?;
    checks.add(
        "who",
        seen.len() == 2 && [&ayşe, &burak].iter().all(|friend| seen.contains(&friend.fingerprint())),
        format!("{} and {} are in the directory with the keys they registered with", ayşe.name, burak.name),
    );

    stage.heading("Burak is away: what the server holds of a message meanwhile");
    let first = "Merhaba Burak! Nasılsın? Yarın çayda buluşalım mı?";
    let id = ayşe.send(stage, "burak", first)?;
    ayşe.sees(first)?;
    let held = server.holds(&id)?;
    stage.print(&held.dump());
    checks.add(
        "unreadable",
        held.is_unreadable(first),
        format!("the server holds {} bytes of it; no word of it is anywhere in its files", held.body.len()),
    );

    stage.heading("Burak comes, and they write to each other");
    burak.begin(stage, "ayşe")?;
    burak.sees(first)?;
    ayşe.sees("burak is online")?;
    let talk = [
        (false, "Merhaba Ayşe, iyiyim! Saat beşte Galata'da olur."),
        (false, "안녕하세요! 요즘 한국어를 배우고 있어요."),
        (true, "今天天气很好，我们去公园散步吧。"),
        (true, "Avec plaisir, à tout à l'heure !"),
    ];
    let mut cues = 0;
    for (hers, text) in talk {
        his_speaker.settle(MOMENT);
        her_speaker.settle(MOMENT);
        let began = Instant::now();
        let (from, to) = if hers { (&mut ayşe, &mut burak) } else { (&mut burak, &mut ayşe) };
        from.says(stage, text)?;
        to.sees(text)?;
        cues += usize::from(her_speaker.plays(began, CUE)) + usize::from(his_speaker.plays(began, CUE));
    }
    let expected = 2 * talk.len();
    checks.add("sounds", cues == expected, format!("{cues} of {expected} send and receive sounds heard"));

    stage.heading("Ayşe records a voice note, Burak plays it");
    ayşe.says(stage, "/voice --even-silent")?;
    ayşe.sees("recording for burak: ")?;
    let words = her_card.say(stage, SPOKEN, NOTE)?;
    ayşe.says(stage, "")?;
    burak.sees("voice note, ")?;
    let spoken = burak.newest_note()?;
    let (mine, his) = (ayşe.save(stage, &spoken)?, burak.save(stage, &spoken)?);
    let same = fs::read(&mine)? == fs::read(&his)?;
    let note = sound::read(&his)?;
    his_speaker.settle(MOMENT);
    let playing = Instant::now();
    burak.says(stage, "/play")?;
    burak.sees("playing voice note")?;
    his_speaker.plays(playing, CUE);
    his_speaker.listen(note.seconds());
    let played = his_speaker.heard(playing, Instant::now());
    checks.add(
        "voice note",
        same && note.seconds() > 1.0,
        format!("{:.1} s of 16 kHz WAV arrived, byte for byte what was recorded", note.seconds()),
    );
    if let Some(words) = &words {
        let alike = likeness(&envelope(words), &envelope(&note));
        checks.add(
            "microphone",
            alike > 0.7,
            format!("it is what was said into the microphone ({alike:.2})"),
        );
    }
    let alike = likeness(&envelope(&note), &envelope(&played));
    checks.add("playing", alike > 0.7, format!("it was heard on the loudspeaker ({alike:.2})"));

    stage.heading("Burak answers, Ayşe has it read aloud");
    let answer = "Sesli mesajını dinledim, çok güzel olmuş. Yarın görüşürüz!";
    ayşe.says(stage, "/speak on")?;
    ayşe.sees("what arrives is read aloud")?;
    her_speaker.settle(MOMENT);
    let reading = Instant::now();
    burak.says(stage, answer)?;
    ayşe.sees(answer)?;
    her_speaker.plays(reading, 1.5 + LONGEST_CUE);
    her_speaker.settle(PAUSE);
    let read = her_speaker.heard(reading, Instant::now()).loud_for() - LONGEST_CUE;
    checks.add("reading", read > 1.5, format!("{read:.1} s of speech heard when the text was read aloud"));

    let (hers, his) = (ayşe.history()?, burak.history()?);
    let texts = talk.len() + 2;
    checks.add(
        "messages",
        hers == his && hers.len() == texts + 1,
        format!("{texts} texts and 1 voice note, the same {} messages on both sides", hers.len()),
    );

    stage.heading("They part");
    let ended = [&mut ayşe, &mut burak].map(|friend| friend.ends(stage));
    checks.add(
        "clients",
        ended == [true, true],
        "each of them talked, recorded and listened in one process that stayed to the end".to_owned(),
    );
    let (hers, his) = (her_speaker.save(stage, "ayşe")?, his_speaker.save(stage, "burak")?);
    let (her_sound, his_sound) = (sound::read(&hers)?, sound::read(&his)?);
    checks.add(
        "loudspeaker",
        her_sound.is_sound() && his_sound.is_sound(),
        format!("{:.0} s of what they played: {} and {}", her_sound.seconds(), hers.display(), his.display()),
    );
    server.stop(stage)
}

/// Fails with what a command said when it did not succeed.
fn succeeded(output: &std::process::Output, what: &str) -> Result<String> {
    if !output.status.success() {
        bail!("{what} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout.clone()).context("not UTF-8")?;
    ensure!(!output.stderr.windows(8).any(|word| word == b"panicked"), "{what} panicked");
    Ok(text)
}
