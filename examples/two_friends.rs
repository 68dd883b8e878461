//! Two friends talk: a real server, real clients with profiles of their own, a real capture device and a real
//! loudspeaker (virtual ones where the machine has none). Shows the conversation, and checks it.
//!
//! `make demo`, or `cargo build --release && cargo run --release --example two_friends [-- --virtual-sound]`.
//! Exit code 1 when anything that it checks is not so.

#[path = "two_friends/checks.rs"]
mod checks;
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
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use checks::Checks;
use people::Friend;
use server::Server;
use sound::{Card, envelope, likeness};
use stage::Stage;

/// What ayşe says into the microphone where nobody is there to speak.
const SPOKEN: &str = "Merhaba Burak, bu benim ilk sesli mesajım.";
/// How long she records, in seconds.
const NOTE: u64 = 6;

fn main() -> ExitCode {
    let mut checks = Checks::default();
    let done = Stage::set().and_then(|stage| {
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
fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    stage.heading("A server");
    let server = Server::start(stage)?;

    stage.heading("Sound");
    let card = Card::find(stage)?;
    let loudspeaker = card.listen(stage)?;

    stage.heading("Two friends register: three RSA keys each, made here, now");
    let began = Instant::now();
    let (ayşe, burak) = thread::scope(|scope| {
        let ayşe = scope.spawn(|| Friend::register(stage, &card, &server.address, "ayşe", "pink"));
        let burak = scope.spawn(|| Friend::register(stage, &card, &server.address, "burak", "cyan"));
        (ayşe.join(), burak.join())
    });
    let gone = || anyhow::anyhow!("a registration broke off");
    let (ayşe, burak) = (ayşe.map_err(|_| gone())??, burak.map_err(|_| gone())??);
    for friend in [&ayşe, &burak] {
        let command = ["register", &friend.name, "--server", &server.address, "--color", &friend.color];
        friend.told(stage, &command, &friend.registered);
    }
    stage.aside(&format!("both in {:.1} s", began.elapsed().as_secs_f64()));

    stage.heading("They see each other in the directory");
    burak.run(stage, &["users"])?;
    let seen = ayşe.directory()?;
    checks.add(
        "who",
        seen.len() == 2 && [&ayşe, &burak].iter().all(|friend| seen.contains(&friend.fingerprint())),
        format!("{} and {} are in the directory with the keys they registered with", ayşe.name, burak.name),
    );

    stage.heading("Burak is away: what the server holds of a message meanwhile");
    let first = "Merhaba Burak! Nasılsın? Yarın çayda buluşalım mı?";
    let id = ayşe.send(stage, &burak, first)?;
    let held = server.holds(&id)?;
    stage.print(&held.dump());
    checks.add(
        "unreadable",
        held.is_unreadable(first),
        format!("the server holds {} bytes of it; no word of it is anywhere in its files", held.body.len()),
    );

    stage.heading("They write to each other");
    burak.run(stage, &["receive"])?;
    loudspeaker.settle();
    let talk = [
        (&burak, &ayşe, "Merhaba Ayşe, iyiyim! Saat beşte Galata'da olur."),
        (&burak, &ayşe, "안녕하세요! 요즘 한국어를 배우고 있어요."),
        (&ayşe, &burak, "今天天气很好，我们去公园散步吧。"),
        (&ayşe, &burak, "Avec plaisir, à tout à l'heure !"),
    ];
    let mut cues = 0;
    for (from, to, text) in talk {
        let sending = Instant::now();
        from.send(stage, to, text)?;
        loudspeaker.settle();
        cues += usize::from(loudspeaker.heard(sending, Instant::now()).is_sound());
        let receiving = Instant::now();
        to.run(stage, &["receive"])?;
        loudspeaker.settle();
        cues += usize::from(loudspeaker.heard(receiving, Instant::now()).is_sound());
    }
    let expected = 2 * talk.len();
    checks.add("sounds", cues == expected, format!("{cues} of {expected} send and receive sounds heard"));

    stage.heading("Ayşe records a voice note, Burak plays it");
    let spoken = card.record(stage, &ayşe, &burak, SPOKEN, NOTE)?;
    burak.run(stage, &["receive"])?;
    loudspeaker.settle();
    let playing = Instant::now();
    burak.run(stage, &["play", "last"])?;
    loudspeaker.settle();
    let played = loudspeaker.heard(playing, Instant::now());
    let (mine, his) = (ayşe.save(stage, &spoken.id)?, burak.save(stage, &spoken.id)?);
    let same = fs::read(&mine)? == fs::read(&his)?;
    let note = sound::read(&his)?;
    checks.add(
        "voice note",
        same && note.seconds() > 1.0,
        format!("{:.1} s of 16 kHz WAV arrived, byte for byte what was recorded", note.seconds()),
    );
    if let Some(words) = &spoken.words {
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
    burak.send(stage, &ayşe, answer)?;
    loudspeaker.settle();
    let reading = Instant::now();
    ayşe.run(stage, &["--mute", "receive", "--speak"])?;
    loudspeaker.settle();
    let read = loudspeaker.heard(reading, Instant::now());
    checks.add(
        "reading",
        read.loud_for() > 1.5,
        format!("{:.1} s of speech heard when the text was read aloud", read.loud_for()),
    );

    let (hers, his) = (ayşe.history()?, burak.history()?);
    let texts = talk.len() + 2;
    checks.add(
        "messages",
        hers == his && hers.len() == texts + 1,
        format!("{texts} texts and 1 voice note, the same {} messages on both sides", hers.len()),
    );

    let recording = loudspeaker.save(stage)?;
    let whole = sound::read(&recording)?;
    checks.add(
        "loudspeaker",
        whole.is_sound(),
        format!("{:.0} s of what it played: {}", whole.seconds(), recording.display()),
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
