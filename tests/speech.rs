//! Texts, read aloud by one-shot commands and stopped, heard through a virtual sound card: the real program, the real speech service.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::time::{Duration, Instant};

use support::card::RATE;
use support::people::{files, user};
use support::signal::sounds;
use support::swap::swap;
use support::voice::{Scene, give_up, texts};
use support::{Running, signal, wav};

/// Silences within one text are shorter: between two of its sentences, on a machine that has other things to do.
const PAUSE: f32 = 4.0;

/// A text, its language, and its voice as the speech service calls it.
const TEXTS: [(&str, &str, &str); 5] = [
    ("Merhaba, bugün hava çok güzel.", "tr", "Turkish"),
    ("안녕하세요, 오늘 날씨가 좋네요.", "ko", "Korean"),
    ("你好，今天天气很好。", "zh", "Chinese (Mandarin, latin as English)"),
    ("Bonjour, il fait très beau aujourd'hui.", "fr", "French (France)"),
    ("Hello, the weather is very nice today.", "en", "English (America)"),
];

/// Sends a text to burak, who has it read aloud: what is heard.
fn heard(scene: &Scene, text: &str) -> Vec<f32> {
    scene.ayşe.send("burak", text);
    let heard = scene.card.record_loudspeaker();
    scene.run(&["receive", "--speak", "--mute"]).ok();
    let heard = heard.stop();
    assert_eq!(signal::bursts(&heard, RATE, PAUSE).len(), 1, "{text:?}: {:?}", bursts(&heard));
    heard
}

fn bursts(samples: &[f32]) -> Vec<(f32, f32)> {
    signal::bursts(samples, RATE, PAUSE)
}

/// Seconds in which there is sound: less than the sum of the parts where parts sound at once.
fn seconds_of_sound(samples: &[f32]) -> f32 {
    signal::envelope(samples, RATE).iter().filter(|energy| **energy > 0.01).count() as f32 / 100.0
}

#[test]
fn every_language_is_spoken_by_its_own_voice_one_text_after_the_other() {
    let scene = Scene::new();
    let mut singly = 0.0;
    for (text, language, voice) in TEXTS {
        let samples = heard(&scene, text);
        let (begin, end) = bursts(&samples)[0];
        assert!(end - begin > 1.0, "{text:?} took {} s", end - begin);
        println!("{voice}: first word after {begin:.2} s, {:.2} s of speech", end - begin);
        let asked = scene.asked().pop().unwrap();
        assert_eq!(asked.module, "espeak-ng");
        assert_eq!(asked.voice.split('+').next(), Some(voice), "{asked:?}");
        assert_eq!(asked.language, language, "{asked:?}");
        singly += seconds_of_sound(&samples);
    }
    // All of them at once: nothing is said over anything else.
    for (text, ..) in TEXTS {
        scene.ayşe.send("burak", text);
    }
    let heard = scene.card.record_loudspeaker();
    let shown = scene.run(&["receive", "--speak", "--json", "--mute"]).json();
    assert_eq!(shown.len(), TEXTS.len());
    let together = seconds_of_sound(&heard.stop());
    println!("all five: {together:.2} s of sound, {singly:.2} s singly");
    let asked = scene.asked();
    let read: Vec<&str> = asked[asked.len() - TEXTS.len()..]
        .iter()
        .map(|asked| asked.text.trim_start_matches("ayşe: "))
        .collect();
    assert_eq!(read, TEXTS.map(|(text, ..)| text));
    scene.assert_one_at_a_time();
    // The name is said once, and not five times; what is said over something else is missing from the sum.
    assert!((0.8..1.0).contains(&(together / singly)), "{together} s of sound together, {singly} s singly");
}

#[test]
fn what_looks_like_a_command_is_only_spoken() {
    let scene = Scene::new();
    let folder = tempfile::TempDir::new().unwrap();
    let text = format!(
        "; touch {0}/x $(touch {0}/y) `touch {0}/z` \r\n.\r\nQUIT\r\n--option -w \u{1b}]0;title\u{7} <speak><break time=\"9s\"/> \
         &amp; [[h@loU]] the end of this text",
        folder.path().display()
    );
    assert!(seconds_of_sound(&heard(&scene, &text)) > 2.0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let log = scene.log();
    assert!(!log.contains('\u{1b}') && !log.contains("[["));
    assert!(!log.contains("<break"), "{log}");
    // A NUL can't be an argument; it comes in through stdin.
    let sent = scene.ayşe.run_with_stdin(["send", "burak", "-"], b"one\0two\xe2\x80\xae three");
    sent.ok();
    let heard = scene.card.record_loudspeaker();
    scene.run(&["receive", "--speak", "--mute"]).ok();
    assert_eq!(signal::bursts(&heard.stop(), RATE, PAUSE).len(), 1);
    scene.ayşe.send("burak", "..... !!! <<<>>>");
    let finished = scene.run(&["receive", "--speak", "--mute"]);
    finished.ok();
    assert_eq!(finished.stderr, "");
}

#[test]
fn what_was_read_aloud_is_not_in_the_list_of_voices_that_is_kept() {
    let scene = Scene::new();
    heard(&scene, "lavanta");
    assert_eq!(scene.asked()[0].text, "ayşe: lavanta");
    let kept = files(&scene.card.env()[0].1.join(".cache"));
    assert!(kept.iter().any(|file| file.ends_with("voices.json")), "{kept:?}");
    for file in kept {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!["lavanta", "ayşe", "burak"].iter().any(|word| text.contains(word)), "{file:?}: {text}");
    }
}

/// Takes a minute to read.
fn long() -> String {
    "This is a long text, and it goes on and on, sentence after sentence. ".repeat(20)
}

/// How long there was sound after this place. Between two sentences it is silent for less.
fn silent_after(heard: support::card::Heard, place: usize) -> f32 {
    heard.listen(Duration::from_secs(2));
    let last = bursts(&heard.stop()).last().unwrap().1;
    last - place as f32 / RATE as f32
}

/// The shortest of so many times until silence: what else the machine has to do delays some, not all. Those that came
/// between two words are none.
fn best(count: usize, mut time: impl FnMut() -> f32) -> f32 {
    let mut times = Vec::new();
    while times.len() < count {
        times.extend(Some(time()).filter(|time| *time > 0.0));
    }
    println!("silent after {times:.3?} s");
    times.into_iter().fold(f32::INFINITY, f32::min)
}

#[test]
fn it_falls_silent_at_once_when_the_program_is_interrupted() {
    let scene = Scene::new();
    let after = best(3, || {
        scene.ayşe.send("burak", &long());
        let heard = scene.card.record_loudspeaker();
        let running = Running::start(&mut scene.command(&["receive", "--speak", "--mute"]));
        heard.wait_until("the text is being read", sounds);
        let place = heard.so_far().len();
        running.signal("INT");
        let asked = Instant::now();
        assert_eq!(running.wait().code(), 130);
        println!("ended {:.2} s after the interrupt", asked.elapsed().as_secs_f32());
        silent_after(heard, place)
    });
    assert!(after < 0.5, "it went on for {after} s");
}

#[test]
fn a_key_stops_what_is_said_and_listening_goes_on() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let after = best(5, || {
        scene.ayşe.send("burak", &long());
        let heard = scene.card.record_loudspeaker();
        heard.wait_until("the text is being read", sounds);
        let place = heard.so_far().len();
        listen.type_keys(" ");
        silent_after(heard, place)
    });
    assert!(after < 0.1, "it went on for {after} s");
    // The next text is read again.
    let heard = scene.card.record_loudspeaker();
    scene.ayşe.send("burak", "Hello again, I am still here.");
    heard.wait_until("the next text is read", sounds);
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}

#[test]
fn in_a_conversation_every_key_stops_what_is_said_and_what_comes_later_is_read() {
    let scene = Scene::new();
    let mut screen = scene.screen(&["chat", "ayşe", "--mute"]);
    screen.wait_for_cursor("you → ayşe> ");
    screen.type_keys("/speak on\r");
    screen.wait_for("what arrives is read aloud");
    screen.wait_for_cursor("you → ayşe> ");
    // In the middle of a line, and a key that changes nothing on an empty one.
    for (line, key, after) in [("mer", "h", "merh"), ("", "\u{1b}[D", "")] {
        let mut round = 0;
        let silent = best(3, || {
            round += 1;
            screen.type_keys("\u{15}");
            screen.type_keys(line);
            screen.wait_for_cursor(&format!("you → ayşe> {line}"));
            let heard = scene.card.record_loudspeaker();
            scene.ayşe.send("burak", &long());
            let last = format!("This one waits for its turn, {round}, before {after:?}.");
            scene.ayşe.send("burak", &last);
            screen.wait_for(&last);
            heard.wait_until("the first text is being read", sounds);
            let place = heard.so_far().len();
            screen.type_keys(key);
            silent_after(heard, place)
        });
        assert!(silent < 0.5, "it went on for {silent} s after {key:?}");
        // The line is as it was typed, and does not keep the next text from being read.
        screen.wait_for_cursor(&format!("you → ayşe> {after}"));
        let heard = scene.card.record_loudspeaker();
        scene.ayşe.send("burak", "Hello again.");
        heard.wait_until("the next text is read", sounds);
        screen.type_keys("\u{1b}[D\u{1b}[C");
    }
}

#[test]
fn notes_and_texts_take_turns() {
    let scene = Scene::new();
    scene.ayşe.send("burak", "Hello, I am going to send you a voice note now.");
    scene.ayşe.send_note("burak", &wav::siren());
    scene.ayşe.send("burak", "That was the voice note, and this is a text.");
    let heard = scene.card.record_loudspeaker();
    scene.run(&["receive", "--play", "--speak", "--mute"]).ok();
    let samples = heard.stop();
    let (played, rate) = signal::read(&wav::siren());
    let played = signal::at_rate(&played, rate, RATE);
    // Spoken over, it would not be found like this.
    let found = signal::find(&samples, &played);
    assert!(found.correlation > 0.9, "{found:?}");
    let at = |place: usize| place as f32 / RATE as f32;
    let stretches = signal::bursts(&samples, RATE, 0.25);
    assert!(stretches.first().unwrap().1 < at(found.at), "{found:?}: {stretches:?}");
    // The second text follows at once: its writer is not named again.
    assert!(stretches.last().unwrap().1 > at(found.at + played.len()) + 1.0, "{found:?}: {stretches:?}");
}

#[test]
fn who_writes_under_a_changed_key_is_said_to_each_time() {
    let mut scene = Scene::new();
    let read = |scene: &Scene| -> Vec<String> {
        let before = scene.asked().len();
        scene.run(&["receive", "--play", "--speak", "--mute"]).ok();
        scene.asked().split_off(before).into_iter().map(|asked| asked.text).collect()
    };
    scene.ayşe.send("burak", "Merhaba, bugün hava çok güzel.");
    assert_eq!(read(&scene), ["ayşe: Merhaba, bugün hava çok güzel."]);

    let impostor = swap(&mut scene.server, "ayşe");
    // The warning is read aloud as well, for minutes: once both keys have been named it is stopped, and what else is new
    // only shown.
    let change = user(&scene.burak, "ayşe")["key_change"].clone();
    let before = scene.asked().len();
    let reading = Running::start(&mut scene.command(&["receive", "--speak", "--mute"]));
    let key = |which: &str| change[which].as_str().unwrap();
    let warning = format!("WARNING: the key of ayşe has changed. Known: {} (never compared).", key("known"));
    let (since, shown) = (format!("Shown since {}", &key("since")[..10]), format!("Z: {}.", key("shown")));
    scene.wait_until("the warning", Duration::from_secs(180), |asked| {
        let said = texts(&asked[before..]).join(" ");
        said.contains(&warning) && said.contains(&since) && said.contains(&shown)
    });
    reading.signal("INT");
    assert_eq!(reading.wait().code(), 130);
    scene.burak.receive();
    let note = impostor.file("note.wav");
    std::fs::write(&note, wav::siren()).unwrap();
    impostor.send("burak", "Bana güvenebilirsin, ben gerçekten buyum.");
    impostor.send("burak", "Yeni hesap numaramı birazdan yazacağım.");
    impostor.run(["voice", "burak", "--mute", "--file", note.to_str().unwrap()]).ok();
    let named = "ayşe, değişmiş bir anahtarla";
    let expected = [
        format!("{named}: Bana güvenebilirsin, ben gerçekten buyum."),
        format!("{named}: Yeni hesap numaramı birazdan yazacağım."),
        named.to_owned(),
    ];
    assert_eq!(read(&scene), expected);
    // And when it is asked for once more.
    let before = scene.asked().len();
    scene.run(&["speak", "last", "--mute"]).ok();
    assert_eq!(scene.asked()[before].text, expected[1]);
}

#[test]
fn without_a_speech_service_one_line_says_so_and_texts_go_on() {
    let scene = Scene::new();
    scene.ayşe.send("burak", "merhaba");
    scene.ayşe.send("burak", "nasılsın");
    // There is nothing to start.
    let mut absent = scene.card.command(&scene.burak, ["receive", "--speak", "--mute"]);
    let finished = Running::start(&mut absent).wait();
    assert_eq!(finished.ok().lines().count(), 2);
    assert!(finished.one_line().contains("`tellal doctor` says what to install"), "{finished:?}");
    // There is something that never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("inet_socket:127.0.0.1:{}", silent.local_addr().unwrap().port());
    let mut stuck = scene.card.command(&scene.burak, ["speak", "last", "--json"]);
    let began = Instant::now();
    let finished = Running::start(stuck.env("SPEECHD_ADDRESS", address)).wait();
    assert_eq!(finished.code(), 1);
    assert!(finished.one_line().contains("no speech service answers"), "{finished:?}");
    assert!(finished.stdout.contains("\"no_speech\""), "{finished:?}");
    println!("a service that never answers is given up after {:.1} s", began.elapsed().as_secs_f32());
}

#[test]
fn a_safety_number_is_read_out_slowly_group_by_group() {
    let scene = Scene::new();
    let heard = scene.card.record_loudspeaker();
    let reading = Running::start(&mut scene.command(&["verify", "ayşe", "--speak", "--json", "--mute"]));
    // It takes most of a minute, and more on a machine that stutters.
    scene.wait_for_asked(6);
    scene.wait_for_asked(12);
    let shown = reading.wait().json();
    assert_eq!(shown[0]["number"].as_str().unwrap().len(), 60);
    let groups = signal::bursts(&heard.stop(), RATE, 0.7);
    println!("read out in {:.1} s: {groups:?}", groups.last().unwrap().1);
    // Each is asked for by itself; a machine that stutters makes more pieces of them, and no fewer.
    assert_eq!(scene.asked().len(), 12);
    assert!(groups.len() >= 12, "{groups:?}");
    let spoken: f32 = groups.iter().map(|(begin, end)| end - begin).sum();
    assert!(spoken > 24.0, "five digits take two seconds: {groups:?}");
}

#[test]
fn a_safety_number_is_read_digit_by_digit_and_not_while_somebody_records() {
    let scene = Scene::new();
    let number =
        scene.burak.run(["verify", "ayşe", "--json"]).json()[0]["number"].as_str().unwrap().to_owned();
    let group = |group: &[u8]| group.iter().map(|digit| char::from(*digit).to_string()).collect::<Vec<_>>();
    let groups: Vec<String> = number.as_bytes().chunks(5).map(|part| group(part).join(", ") + ".").collect();
    let mut reading = Running::start(&mut scene.command(&["verify", "ayşe", "--speak", "--no-qr"]));
    scene.wait_for_asked(1);
    let heard = scene.card.record_loudspeaker();
    let taking = scene.begin_to_record();
    // Between two groups there is less than a second.
    heard.wait_until("it falls silent", |samples| signal::is_silent(samples, 2.0));
    let (before, silent) = (scene.asked().len(), heard.so_far().len());
    let until = heard.listen(Duration::from_secs(2));
    assert_eq!(signal::peak(&heard.so_far()[silent..until]), 0.0, "it would be recorded");
    assert_eq!(scene.asked().len(), before);
    give_up(taking);
    let asked = scene.wait_for_asked(before + 2);
    reading.kill();
    let read: Vec<&str> = asked.iter().map(|asked| asked.text.as_str()).collect();
    assert_eq!(read[..before], groups[..before]);
    // The one that was cut short is read again, unless it was cut between two.
    let again = before - usize::from(read[before] == read[before - 1]);
    assert_eq!(read[before..before + 2], groups[again..again + 2]);
}
