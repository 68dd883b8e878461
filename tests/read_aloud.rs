//! What is read aloud, by which voice and in which language, after whose name, in which order; heard through a virtual
//! sound card: the real program, the real speech service, which tells what it was asked to say.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::time::Duration;

use support::card::RATE;
use support::signal::{has_ended, sounds};
use support::voice::{Asked, Scene, sentences, texts};
use support::{Profile, Running, signal};

fn spoken(asked: &[Asked]) -> Vec<(&str, &str)> {
    asked.iter().map(|asked| (asked.language.as_str(), asked.text.as_str())).collect()
}

#[test]
fn each_part_is_read_by_a_voice_of_its_language_and_the_name_is_not_said_again() {
    let scene = Scene::new();
    scene.ayşe.send("burak", "Merhaba 🙂🙂, bugün hava çok güzel: https://example.org/a/b?c=d");
    scene.ayşe.send("burak", "나는 Python 3.12 을 좋아해요, 정말로.");
    scene.ayşe.send(
        "burak",
        "look at this, please:\n```\nfn main() {\n}\n```\n小明 wrote it for all of us yesterday",
    );
    scene.ayşe.send("burak", "看 https://example.org/a，然后告诉我你怎么想");
    scene.ayşe.send("burak", "We all meet there at 12:30, on the 3rd, and R&D comes with 5 < 6 of us");
    let heard = scene.card.record_loudspeaker();
    scene.run(&["receive", "--speak", "--mute"]).ok();
    assert!(signal::peak(&heard.stop()) > 0.05);
    let asked = scene.asked();
    assert_eq!(
        spoken(&asked),
        [
            ("tr", "ayşe: Merhaba 🙂, bugün hava çok güzel: example.org bağlantısı"),
            ("ko", "나는"),
            ("en", "Python 3.12"),
            ("ko", "을 좋아해요, 정말로."),
            ("en", "look at this, please: code, 2 lines."),
            ("zh", "小明"),
            ("en", "wrote it for all of us yesterday"),
            ("zh", "看 example.org 的链接，然后告诉我你怎么想"),
            // Numbers and times are left to the voice.
            ("en", "We all meet there at 12:30, on the 3rd, and R and D comes with 5 less than 6 of us"),
        ]
    );
    assert!(asked[0].read.contains("hafifçe gülümseyen yüz"), "{}", asked[0].read);
    for (asked, voice) in asked.iter().zip(["Turkish", "Korean", "English (America)", "Korean"]) {
        assert_eq!(asked.module, "espeak-ng");
        assert_eq!(asked.voice.split('+').next(), Some(voice));
    }
    // Another person is named, and so is the first one after them.
    let zoé = Profile::register(&scene.server, "zoé");
    scene.ayşe.send("burak", "and this is the first one of these three");
    zoé.send("burak", "this is the second one of all of these three");
    scene.ayşe.send("burak", "and this is the last one of all of these");
    scene.run(&["receive", "--speak", "--mute"]).ok();
    let asked = scene.asked().split_off(asked.len());
    let named: Vec<&str> = asked.iter().map(|asked| asked.text.split(' ').next().unwrap()).collect();
    assert_eq!(named, ["ayşe:", "zoé:", "ayşe:"]);
}

#[test]
fn the_room_that_something_is_said_in_is_said_after_the_name() {
    let scene = Scene::new();
    scene.ayşe.run(["room", "create", "garden"]).ok();
    scene.ayşe.run(["room", "invite", "garden", "burak"]).ok();
    scene.run(&["receive", "--mute"]).ok();
    scene.run(&["room", "join", "garden", "--mute"]).ok();
    scene.run(&["receive", "--mute"]).ok();
    scene.ayşe.send("#garden", "Merhaba, bugün hava çok güzel ve ben çok mutluyum.");
    scene.ayşe.send("#garden", "Yarın da hava çok güzel olacak diyorlar.");
    // Nobody is to take for the room's what was for them alone.
    scene.ayşe.send("burak", "Bunu yalnızca sana yazıyorum, kimseye söyleme.");
    scene.ayşe.send("#garden", "We all meet there at the gate tomorrow morning.");
    scene.ayşe.send_note("#garden", &support::wav::tone(200));
    scene.run(&["receive", "--speak", "--play", "--mute"]).ok();
    assert_eq!(
        spoken(&scene.asked()),
        [
            ("tr", "ayşe garden odasında: Merhaba, bugün hava çok güzel ve ben çok mutluyum."),
            ("tr", "Yarın da hava çok güzel olacak diyorlar."),
            ("tr", "ayşe: Bunu yalnızca sana yazıyorum, kimseye söyleme."),
            ("en", "ayşe in garden: We all meet there at the gate tomorrow morning."),
        ]
    );
    scene.ayşe.run(["room", "remove", "garden", "burak"]).ok();
    scene.run(&["receive", "--speak", "--mute"]).ok();
    let told = scene.asked().pop().unwrap();
    assert_eq!(told.language, "en");
    assert!(told.text.starts_with("In garden: ayşe has removed you"), "{told:?}");
}

#[test]
fn each_person_has_a_voice_of_their_own_that_stays_until_it_is_changed() {
    let scene = Scene::new();
    let voice_of = |words: &[&str]| {
        let mut args = vec!["voice-of", "--json", "--mute", "ayşe"];
        args.extend(words);
        let voice = scene.run(&args).json().pop().unwrap();
        support::schema::check(&voice, &["voice_of"]);
        let number = |field: &str| voice[field].as_i64().unwrap() as i32;
        let variant = voice["variant"].as_str().map(|variant| format!("+{variant}")).unwrap_or_default();
        (number("pitch"), number("rate"), format!("Turkish{variant}"), voice["chosen"].as_bool().unwrap())
    };
    let heard = || {
        scene.ayşe.send("burak", "Merhaba, bugün hava çok güzel.");
        scene.run(&["receive", "--speak", "--mute"]).ok();
        let asked = scene.asked().pop().unwrap();
        (asked.pitch, asked.rate, asked.voice)
    };
    // Nobody of that name has been met before the first message.
    let first = heard();
    let usual = voice_of(&[]);
    assert_eq!(usual, (first.0, first.1, first.2.clone(), false));
    assert_eq!(heard(), first);
    let chosen = voice_of(&["pitch=40", "rate=20", "variant=female2", "higher"]);
    assert_eq!(chosen, (55, 20, "Turkish+female2".to_owned(), true));
    assert_eq!(heard(), (55, 20, "Turkish+female2".to_owned()));
    assert_eq!(voice_of(&["usual"]), usual);
    assert_eq!(heard(), first);
    let finished = scene.run(&["voice-of", "ayşe", "louder"]);
    assert_eq!(finished.code(), 2);
    assert!(finished.stderr.contains("higher, lower"), "{finished:?}");
    assert!(scene.run(&["voice-of", "nobody"]).failure().contains("nobody"));
}

#[test]
fn a_short_text_is_in_the_language_its_sender_writes_and_a_strangers_in_the_readers_own() {
    let scene = Scene::new();
    scene.ayşe.send("burak", "Merhaba, bugün hava çok güzel ve ben çok mutluyum.");
    scene.run(&["receive", "--mute"]).ok();
    scene.ayşe.send("burak", "ok");
    scene.run(&["receive", "--speak", "--mute"]).ok();
    assert_eq!(spoken(&scene.asked()), [("tr", "ayşe: ok")]);
    // In which nothing has a sound: it is not passed over.
    scene.ayşe.send("burak", ":)");
    scene.run(&["receive", "--speak", "--mute"]).ok();
    assert_eq!(spoken(&scene.asked())[1..], [("tr", "ayşe: yalnızca simgeler")]);
    let zoé = Profile::register(&scene.server, "zoé");
    zoé.send("burak", "ok");
    let mut french = scene.command(&["receive", "--speak", "--mute"]);
    french.env_remove("LC_ALL").env("LANG", "fr_FR.UTF-8");
    Running::start(&mut french).wait().ok();
    assert_eq!(spoken(&scene.asked())[2..], [("fr", "zoé: ok")]);
}

#[test]
fn what_is_read_at_once_is_announced_by_its_senders_name_and_by_a_sound_only_where_it_cant_be_read() {
    let scene = Scene::new();
    let (received, rate) = signal::read(&std::fs::read("sounds/received.wav").unwrap());
    assert_eq!(rate, RATE);
    let likeness = |samples: &[f32]| signal::find(samples, &received).correlation;
    scene.ayşe.send("burak", "This is read as soon as it is here.");
    let heard = scene.card.record_loudspeaker();
    scene.run(&["receive", "--speak"]).ok();
    let sound = heard.stop();
    assert_eq!(texts(&scene.asked()), ["ayşe: This is read as soon as it is here."]);
    assert!(signal::peak(&sound) > 0.05);
    assert!(likeness(&sound) < 0.7, "{}", likeness(&sound));
    // There is nothing to read it with.
    scene.ayşe.send("burak", "This is not read.");
    let heard = scene.card.record_loudspeaker();
    Running::start(scene.command(&["receive", "--speak"]).env("SPEECHD_ADDRESS", "unix_socket:/nonexistent"))
        .wait()
        .ok();
    let sound = heard.stop();
    assert!(likeness(&sound) > 0.9, "{}", likeness(&sound));
}

#[test]
fn what_ends_by_itself_reads_a_long_text_to_its_end() {
    let scene = Scene::new();
    // Longer than what is cut elsewhere.
    scene.ayşe.send("burak", &sentences(12));
    scene.run(&["receive", "--mute"]).ok();
    let mut speak = scene.screen(&["speak", "last", "--mute"]);
    speak.wait_for("(keys:");
    scene.wait_for_asked(1);
    // As fast as it goes.
    speak.type_keys("+++++++++++++++++++++");
    let last = "sentence number 12 ";
    scene.wait_until(last, 3 * support::TIMEOUT, |asked| asked.last().unwrap().text.contains(last));
    assert_eq!(speak.finish(), 0);
    assert!(!scene.asked().iter().any(|asked| asked.text.contains("press more")));
}

/// What is said quickly: ba, ban, bas, be, ….
fn syllables() -> impl Iterator<Item = String> {
    let begun = "bdfgklmnprstvz".chars().flat_map(|first| "aeiou".chars().map(move |vowel| (first, vowel)));
    begun.flat_map(|(first, vowel)| ["", "n", "s"].map(|last| format!("{first}{vowel}{last}")))
}

#[test]
fn two_hundred_messages_at_once_are_read_in_order_one_at_a_time_until_they_are_stopped() {
    const COUNT: usize = 200;
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    listen.type_keys("++++++++++");
    let syllables: Vec<String> = syllables().take(COUNT).collect();
    scene.ayşe.run_with_stdin(["chat", "burak", "--mute"], (syllables.join("\n") + "\n").as_bytes()).ok();
    let heard = scene.card.record_loudspeaker();
    let asked = scene.wait_until("all of them", 10 * support::TIMEOUT, |asked| asked.len() >= COUNT);
    heard.wait_until("the last one has been read", has_ended);
    let read: Vec<&str> = asked.iter().map(|asked| asked.text.trim_start_matches("ayşe: ")).collect();
    assert_eq!(read, syllables);
    scene.assert_one_at_a_time();
    let samples = heard.so_far();
    println!("{:.1} s for {COUNT}", samples.len() as f32 / RATE as f32);
    // And again, what takes longer; a key, and nothing more is said.
    let lines: String = (0..COUNT).map(|number| format!("{number}\n")).collect();
    scene.ayşe.run_with_stdin(["chat", "burak", "--mute"], lines.as_bytes()).ok();
    scene.wait_for_asked(COUNT + 3);
    listen.wait_for(": 199");
    let heard = scene.card.record_loudspeaker();
    let mut times = Vec::new();
    // Until five keys have come in the middle of a word: between two, silence takes no time.
    loop {
        heard.wait_until("it is being read", sounds);
        let place = heard.so_far().len() as f32 / RATE as f32;
        listen.type_keys(" ");
        heard.wait_until("it is silent", has_ended);
        let last = signal::bursts(&heard.so_far(), RATE, 0.3).last().unwrap().1;
        println!("silent {:.3} s after the key", last - place);
        times.extend(Some(last - place).filter(|time| *time > 0.0));
        if times.len() == 5 {
            break;
        }
        listen.type_keys("u");
    }
    // What else the machine has to do delays some, not all.
    let best = times.iter().copied().fold(f32::INFINITY, f32::min);
    assert!(best < 0.1, "{times:?}");
    let count = scene.asked().len();
    assert!(count < 2 * COUNT);
    heard.listen(Duration::from_secs(3));
    assert_eq!(scene.asked().len(), count, "it goes on");
    // What was not heard is kept.
    listen.type_keys("u");
    listen.wait_for("that were not heard");
    let asked = scene.wait_for_asked(count + 2);
    let number = |asked: &Asked| asked.text.trim_start_matches("ayşe: ").parse::<usize>().unwrap();
    // The one that was cut short, unless the key came between two.
    let (last, next) = (number(&asked[count - 1]), number(&asked[count]));
    assert!(next == last || next == last + 1, "{last}, {next}");
    listen.type_keys("q");
    listen.finish();
}

#[test]
fn after_half_a_minute_somebody_is_named_again() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let heard = scene.card.record_loudspeaker();
    for (number, text) in
        ["This is the first of three.", "This is the second.", "This is the third."].iter().enumerate()
    {
        if number == 2 {
            // Counted by the loudspeaker, and a little more: the program has seen the end of the last one a moment later.
            heard.listen(Duration::from_secs(34));
        }
        scene.ayşe.send("burak", text);
        scene.wait_for_asked(number + 1);
        heard.wait_until("it has been read", has_ended);
    }
    let asked = scene.asked();
    assert_eq!(
        texts(&asked),
        ["ayşe: This is the first of three.", "This is the second.", "ayşe: This is the third."]
    );
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}
