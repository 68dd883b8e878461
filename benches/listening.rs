//! How soon a message is heard, how soon it is silent, and what listening costs while nothing comes. Real processes, the
//! real speech service, a virtual sound card whose loudspeaker is recorded.
//!
//! `cargo bench --bench listening` prints a table for `docs/performance.md`; it takes about five minutes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails the bench"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::Running;
use support::card::{Heard, RATE};
use support::voice::Scene;

/// Each number is the median of so many.
const COLD: usize = 9;
const WARM: usize = 41;
const STOPS: usize = 25;
/// How long an idle program is watched.
const IDLE: Duration = Duration::from_secs(60);
/// How long after the sender's name has begun a note surely has.
const NAMED: Duration = Duration::from_secs(3);
/// What is louder is sound.
const SOUND: f32 = 0.01;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let scene = Scene::with_log(1);
    println!("{}, tellal {}", jiff::Zoned::now().date(), env!("CARGO_PKG_VERSION"));
    println!("\n| what | median ms | min–max ms | runs |\n| --- | --- | --- | --- |");
    let mut first = Vec::new();
    for run in 0..=COLD {
        let took = one_shot(&scene);
        // The first one of the day lists the voices.
        if run == 0 {
            row("`receive --speak`: process start to first word, the day's first", vec![took]);
        } else {
            first.push(took);
        }
        scene.end_service();
    }
    row("`receive --speak`: process start to first word, speech service not running", first);
    one_shot(&scene);
    let running = (0..COLD).map(|_| one_shot(&scene)).collect();
    row("`receive --speak`: process start to first word, speech service running", running);
    let mut listen = Running::start(&mut scene.command(&["listen", "--mute", "--json"]));
    // Whatever is done once is done.
    arrival(&scene, &mut listen);
    let muted = (0..WARM).map(|_| arrival(&scene, &mut listen)).collect();
    row("`listen --mute`: arrival to first word", muted);
    let idle = idle(listen.id());
    drop(listen);
    // Who comes and goes to send is not what is measured; nothing else sounds before the first word.
    std::fs::write(scene.burak.file("settings.toml"), "silent = [\"joined\", \"left\"]\n").unwrap();
    let mut listen = Running::start(&mut scene.command(&["listen", "--json"]));
    arrival(&scene, &mut listen);
    row("`listen`: arrival to first word", (0..WARM).map(|_| arrival(&scene, &mut listen)).collect());
    drop(listen);
    let text = "This is a long text, and it goes on and on, sentence after sentence. ".repeat(9);
    row(
        "`listen`: key to silence, in a text",
        stops(&scene, Duration::from_millis(700), || drop(scene.ayşe.send("burak", &text))),
    );
    let note = scene.ayşe.file("note.wav");
    std::fs::write(&note, support::wav::rising(30)).unwrap();
    let note = note.to_str().unwrap();
    row(
        "`listen`: key to silence, in a note",
        stops(&scene, NAMED, || drop(scene.ayşe.run(["voice", "burak", "--mute", "--file", note]))),
    );
    println!("\n{idle}");
}

fn row(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let (least, most) = (times[0], times[times.len() - 1]);
    println!("| {what} | {:.0} | {least:.0}–{most:.0} | {} |", times[times.len() / 2], times.len());
}

/// Milliseconds from a place in the recording to the first sound after it.
fn until_sound(heard: &Heard, place: usize) -> f64 {
    let first = |samples: &[f32]| samples.iter().skip(place).position(|sample| sample.abs() > SOUND);
    heard.wait_until("something is heard", |samples| first(samples).is_some());
    first(&heard.so_far()).unwrap() as f64 * 1000.0 / f64::from(RATE)
}

/// Until there was no sound for a while.
fn until_silence(heard: &Heard) {
    heard.wait_until("it is silent", |samples| {
        let last = samples.iter().rposition(|sample| sample.abs() > SOUND);
        last.is_some_and(|last| samples.len() - last > RATE as usize)
    });
}

fn one_shot(scene: &Scene) -> f64 {
    scene.ayşe.send("burak", "Hello, the weather is very nice today.");
    let heard = scene.card.record_loudspeaker();
    let place = heard.so_far().len();
    let running = Running::start(&mut scene.command(&["receive", "--speak", "--mute"]));
    let took = until_sound(&heard, place);
    running.wait().ok();
    took
}

/// From the line on standard output to the first sound at the loudspeaker.
fn arrival(scene: &Scene, listen: &mut Running) -> f64 {
    let heard = scene.card.record_loudspeaker();
    // Not waited for: it may end after the first word.
    let sending = scene.ayşe.start(["send", "burak", "--", "Hello, the weather is nice."]);
    listen.line().unwrap();
    let place = heard.so_far().len();
    let took = until_sound(&heard, place);
    until_silence(&heard);
    sending.wait().ok();
    took
}

/// From the key to the last sound at the loudspeaker; the key is pressed so long after the first.
fn stops(scene: &Scene, begun: Duration, send: impl Fn()) -> Vec<f64> {
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let stop = |_| {
        send();
        let heard = scene.card.record_loudspeaker();
        until_sound(&heard, 0);
        heard.listen(begun);
        let place = heard.so_far().len();
        listen.type_keys(" ");
        until_silence(&heard);
        let last = heard.so_far().iter().rposition(|sample| sample.abs() > SOUND).unwrap();
        last.saturating_sub(place) as f64 * 1000.0 / f64::from(RATE)
    };
    (0..STOPS).map(stop).collect()
}

/// What a process costs while nothing comes, and its memory.
fn idle(id: u32) -> String {
    // What is closed a while after its use is closed.
    std::thread::sleep(Duration::from_secs(10));
    let ticks = || -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // utime and stime; see proc(5). A tick is a hundredth of a second on Linux.
        fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
    };
    let (before, began) = (ticks(), Instant::now());
    std::thread::sleep(IDLE);
    let share = (ticks() - before) / began.elapsed().as_secs_f64();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim();
    format!(
        "`listen` while nothing comes: {share:.2} % of a core over {} s; memory (VmRSS) {memory}.",
        IDLE.as_secs()
    )
}
