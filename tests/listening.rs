//! Hands-free, heard through a virtual sound card: the real program, the real speech service, which tells what it was
//! asked to say, in which language and by which voice.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::card::RATE;
use support::screen::Screen;
use support::signal::{has_ended, sounds};
use support::swap::swap;
use support::voice::{Asked, Scene};
use support::{Profile, Running, signal};

fn texts(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.text.as_str()).collect()
}

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

/// Sentences that are known by their numbers, each of four seconds and a half.
fn sentences(count: usize) -> String {
    let sentence = |number| format!("This is sentence number {number} of a text that is long and goes on.");
    (1..=count).map(sentence).collect::<Vec<_>>().join(" ")
}

/// Takes a minute and a half to read.
fn long() -> String {
    sentences(24)
}

#[test]
fn keys_stop_repeat_skip_go_on_and_change_the_pace() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", &long());
    let asked = scene.wait_for_asked(1);
    assert!(asked[0].text.starts_with("ayşe: This is sentence number 1 "), "{asked:?}");
    // The sentence begins again, faster.
    listen.type_keys("+");
    let asked = scene.wait_for_asked(2);
    assert_eq!((asked[1].text.as_str(), asked[1].rate), (asked[0].text.as_str(), asked[0].rate + 10));
    listen.type_keys("---");
    let asked = scene
        .wait_until("slower", support::TIMEOUT, |asked| asked.last().unwrap().rate == asked[0].rate - 20);
    assert_eq!(asked.last().unwrap().text, asked[0].text);
    // From its beginning.
    listen.type_keys("r");
    let asked = scene.wait_for_asked(asked.len() + 1);
    assert_eq!(asked.last().unwrap().text, asked[0].text);
    // As fast as it goes, until it says that there is more.
    listen.type_keys("+++++++++++++++++++++");
    let more = "more seconds, press more";
    scene.wait_until(more, 2 * support::TIMEOUT, |asked| asked.last().unwrap().text.contains(more));
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("it has said that there is more", has_ended);
    let before = scene.asked();
    assert!(before.last().unwrap().text.starts_with("and "), "{before:?}");
    listen.type_keys("m");
    let asked = scene.wait_for_asked(before.len() + 1);
    let next = &asked[before.len()].text;
    assert!(
        next.starts_with("This is sentence number") && !before.iter().any(|asked| asked.text == *next),
        "{next}"
    );
    // On to the next.
    scene.ayşe.send("burak", "This is the one after it, and it is short.");
    listen.wait_for("it is short");
    listen.type_keys("n");
    let after = "the one after it";
    scene.wait_until(after, support::TIMEOUT, |asked| asked.last().unwrap().text.contains(after));
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}

#[test]
fn a_short_text_is_in_the_language_its_sender_writes_and_a_strangers_in_the_readers_own() {
    let scene = Scene::new();
    scene.ayşe.send("burak", "Merhaba, bugün hava çok güzel ve ben çok mutluyum.");
    scene.run(&["receive", "--mute"]).ok();
    scene.ayşe.send("burak", "ok");
    scene.run(&["receive", "--speak", "--mute"]).ok();
    assert_eq!(spoken(&scene.asked()), [("tr", "ayşe: ok")]);
    let zoé = Profile::register(&scene.server, "zoé");
    zoé.send("burak", "ok");
    let mut french = scene.command(&["receive", "--speak", "--mute"]);
    french.env_remove("LC_ALL").env("LANG", "fr_FR.UTF-8");
    Running::start(&mut french).wait().ok();
    assert_eq!(spoken(&scene.asked())[1..], [("fr", "zoé: ok")]);
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

#[test]
fn in_a_conversation_commands_do_what_keys_do() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    zoé.send("burak", "This was written before, by zoé, and is not read yet.");
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/unread zoé\r");
    let asked = scene.wait_for_asked(1);
    assert_eq!(asked[0].text, "zoé: This was written before, by zoé, and is not read yet.");
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("it has been read", has_ended);
    // A reply goes to whoever was heard last, and not to the one the conversation is with.
    chat.type_keys("/reply\r");
    chat.wait_for("* recording for zoé: Enter sends it");
    let note = scene.ayşe.file("note.wav");
    std::fs::write(&note, support::wav::tone(32_000)).unwrap();
    scene.card.speak_into_microphone(&note);
    chat.type_keys("\r");
    chat.wait_for("* voice note for zoé, 0:0");
    assert_eq!(zoé.run(["receive", "--wait", "60", "--json"]).json()[0]["kind"], "voice");

    // How somebody sounds is shown, changed, and heard.
    chat.type_keys("/voice-of ayşe\r");
    chat.wait_for("* ayşe sounds like this: pitch=");
    let asked = scene.wait_until("the name", support::TIMEOUT, |asked| asked.last().unwrap().text == "ayşe");
    let (count, before) = (asked.len(), asked.last().unwrap().pitch);
    chat.type_keys("/voice-of ayşe higher\r");
    let asked = scene.wait_for_asked(count + 1);
    assert_eq!((asked[count].text.as_str(), asked[count].pitch), ("ayşe", before + 15));

    // What arrives is read; the rest of what is long on request, and all of it once more.
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    // Any key is silence: what is typed is typed before.
    for _ in 0..10 {
        chat.type_keys("/faster\r");
    }
    scene.ayşe.send("burak", &[long(), long(), long()].join(" "));
    chat.wait_for("This is sentence number 1 ");
    let more = "more seconds, press more";
    let asked =
        scene.wait_until(more, 2 * support::TIMEOUT, |asked| asked.last().unwrap().text.contains(more));
    let first = asked.iter().find(|asked| asked.text.contains("sentence number 1 ")).unwrap();
    assert_eq!(first.pitch, before + 15);
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("it has said that there is more", has_ended);
    chat.type_keys("/more\r");
    let asked = scene.wait_for_asked(asked.len() + 1);
    let next = asked.last().unwrap().text.clone();
    assert!(next.starts_with("This is sentence number") && next != first.text, "{next}");
    chat.type_keys("/again\r");
    let asked = scene.wait_for_asked(asked.len() + 1);
    assert!(asked.last().unwrap().text.contains("This is sentence number"), "{asked:?}");
    chat.type_keys("/stop\r");
    heard.wait_until("it is silent", has_ended);
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn in_a_conversation_a_command_silences_nothing_before_it_is_given() {
    let scene = Scene::new();
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    scene.ayşe.send("burak", &long());
    scene.ayşe.send("burak", "And this is what comes after it.");
    scene.wait_for_asked(1);
    chat.wait_for("And this is what comes after it.");
    chat.type_keys("/skip\r");
    let after = |asked: &[Asked]| asked.last().unwrap().text.contains("what comes after it");
    scene.wait_until("what comes after it", support::TIMEOUT, after);
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
}

#[test]
fn in_a_conversation_what_was_silenced_is_kept_and_so_is_the_pace() {
    let scene = Scene::new();
    let mut chat = scene.screen(&["chat", "ayşe", "--mute"]);
    chat.wait_for("connected; ayşe is");
    chat.type_keys("/speak on\r");
    chat.wait_for("what arrives is read aloud");
    chat.type_keys("/faster\r".repeat(8).as_str());
    scene.ayşe.send("burak", &long());
    let first = scene.wait_for_asked(1)[0].clone();
    // The first key silences it.
    chat.type_keys("/speak off\r");
    chat.wait_for("what arrives is not read aloud any more");
    let count = scene.asked().len();
    chat.type_keys("/unread *\r");
    let asked = scene.wait_for_asked(count + 1);
    assert_eq!((asked[count].text.as_str(), asked[count].rate), (first.text.as_str(), first.rate));
    // Notes are as fast: what takes four seconds takes two.
    chat.type_keys("/stop\r/speak on\r");
    chat.wait("it is on again", |parser| {
        let shown = parser.screen().contents();
        shown.rsplit_once("/unread *").is_some_and(|(_, after)| after.contains("what arrives is read aloud"))
    });
    let note = scene.ayşe.file("note.wav");
    std::fs::write(&note, support::wav::tone(4 * 16_000)).unwrap();
    let heard = scene.card.record_loudspeaker();
    for _ in 0..2 {
        scene.ayşe.run(["voice", "burak", "--mute", "--file", note.to_str().unwrap()]).ok();
    }
    // That they were heard to their ends is kept a moment after that.
    let deadline = Instant::now() + support::TIMEOUT;
    let listened =
        || scene.burak.run(["history", "--json"]).json().into_iter().filter(|note| note["listened"] == true);
    while listened().count() < 2 {
        assert!(Instant::now() < deadline, "it is not kept that the notes were heard");
    }
    // All that sounded, the sender's name among it, however often it was broken off by a busy machine.
    let bursts = signal::bursts(&heard.stop(), RATE, 0.15).into_iter();
    let seconds: f32 = bursts.map(|(from, until)| until - from).sum();
    assert!((3.0..6.5).contains(&seconds), "two notes of four seconds took {seconds} s");
    chat.type_keys("/quit\r");
    assert_eq!(chat.finish(), 0);
    // The next process has what was silenced, and not what was heard. It has nothing to read it with.
    let mut left = scene.command(&["listen", "--unread", "--mute"]);
    let left = Running::start(left.env("SPEECHD_ADDRESS", "unix_socket:/nonexistent")).wait();
    assert!(left.ok().contains("sentence number 1 ") && left.ok().lines().count() == 1, "{left:?}");
}

#[test]
fn two_hundred_messages_at_once_are_read_in_order_one_at_a_time_until_they_are_stopped() {
    const COUNT: usize = 200;
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    listen.type_keys("++++++++++");
    let lines: String = (0..COUNT).map(|number| format!("{number}\n")).collect();
    scene.ayşe.run_with_stdin(["chat", "burak", "--mute"], lines.as_bytes()).ok();
    let heard = scene.card.record_loudspeaker();
    let asked = scene.wait_until("all of them", 10 * support::TIMEOUT, |asked| asked.len() >= COUNT);
    heard.wait_until("the last one has been read", has_ended);
    let numbers: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    let read: Vec<&str> = asked.iter().map(|asked| asked.text.trim_start_matches("ayşe: ")).collect();
    assert_eq!(read, numbers);
    scene.assert_one_at_a_time();
    let samples = heard.so_far();
    println!("{:.1} s for {COUNT}", samples.len() as f32 / RATE as f32);
    // And again; a key, and nothing more is said.
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
fn a_speech_service_that_dies_is_said_once_texts_go_on_and_it_comes_back() {
    let scene = Scene::new();
    let (mut listen, told) =
        Running::start_with_stderr(&mut scene.command(&["receive", "--follow", "--speak", "--mute"]));
    let heard = scene.card.record_loudspeaker();
    let text = "This is a text of some length, during which the speech service is going to die.";
    scene.ayşe.send("burak", text);
    heard.wait_until("the text is being read", sounds);
    scene.kill_service();
    scene.ayşe.send("burak", "And this is what was written meanwhile.");
    assert!(listen.line().unwrap().contains("some length"));
    assert!(listen.line().unwrap().contains("meanwhile"));
    let told_line = || told.recv_timeout(support::TIMEOUT).unwrap();
    assert_eq!(
        told_line(),
        "tellal: the speech service has ended in mid-sentence; it is started again, texts go on meanwhile"
    );
    assert_eq!(told_line(), "tellal: the speech service is back: what was cut off is read again");
    let meanwhile = "And this is what was written meanwhile.";
    scene.wait_until(meanwhile, support::TIMEOUT, |asked| texts(asked).contains(&meanwhile));
    // The service's log is begun anew with it.
    let asked = scene.asked();
    assert!(texts(&asked).iter().any(|said| said.ends_with(text)), "{asked:?}");
    heard.wait_until("that has been read", has_ended);
    listen.kill();
    assert_eq!(told.iter().collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_speech_service_that_comes_late_or_goes_twice_is_told_of_as_it_is() {
    let scene = Scene::new();
    let service = scene.card.env()[0].1.join("service");
    let (there, away) = (service.clone(), service.with_extension("away"));
    std::fs::rename(&there, &away).unwrap();
    let (mut listen, told) =
        Running::start_with_stderr(&mut scene.command(&["receive", "--follow", "--speak", "--mute"]));
    let absent =
        "tellal: no speech service answers, so nothing is read aloud; `tellal doctor` says what to install";
    scene.ayşe.send("burak", "This can't be read yet.");
    assert_eq!(told.recv_timeout(support::TIMEOUT).unwrap(), absent);
    // It comes, and is found after a while; what was not read is not said to be.
    std::fs::rename(&away, &there).unwrap();
    let deadline = Instant::now() + support::TIMEOUT;
    let line = loop {
        assert!(Instant::now() < deadline, "it is not found");
        scene.ayşe.send("burak", "Is anybody there?");
        if let Ok(line) = told.recv_timeout(Duration::from_secs(3)) {
            break line;
        }
    };
    assert!(
        line.starts_with("tellal: the speech service is there now; what was not read meanwhile is kept: "),
        "{line}"
    );
    let heard = scene.card.record_loudspeaker();
    assert_eq!(texts(&scene.wait_for_asked(1))[0], "ayşe: Is anybody there?");
    heard.wait_until("that has been read", has_ended);
    // It goes once more, days later perhaps: that is told again.
    std::fs::rename(&there, &away).unwrap();
    scene.end_service();
    scene.ayşe.send("burak", "And this can't be read either.");
    assert_eq!(told.recv_timeout(support::TIMEOUT).unwrap(), absent);
    listen.kill();
    // As was said, it is kept.
    std::fs::rename(&away, &there).unwrap();
    scene.run(&["listen", "--unread", "--mute"]).ok();
    let asked = scene.asked();
    let read = texts(&asked);
    let first = read.iter().position(|text| *text == "ayşe: This can't be read yet.");
    assert!(first.is_some_and(|first| first + 1 < read.len()), "{read:?}");
    assert_eq!(read.last(), Some(&"And this can't be read either."), "{read:?}");
}

#[test]
fn in_quiet_hours_nothing_is_heard_until_it_is_asked_for() {
    let scene = Scene::new();
    let zoé = Profile::register(&scene.server, "zoé");
    // Now is in it, whatever time it is.
    let at = |hours: i64| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M").to_string()
    };
    let settings = format!("quiet = \"{}-{}\"\n", at(-2), at(10));
    std::fs::write(scene.burak.file("settings.toml"), settings).unwrap();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", "This is for later, and not for now.");
    listen.wait_for("not for now");
    // The other one's hours are others.
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
    assert_eq!(texts(&scene.asked()), Vec::<&str>::new());
    // Another process has it, once: what has been heard is not to be heard any more.
    let heard = scene.run(&["listen", "--unread", "--mute"]);
    assert!(heard.ok().contains("for later, and not for now"), "{heard:?}");
    assert_eq!(texts(&scene.asked()), ["ayşe: This is for later, and not for now."], "{heard:?}");
    assert_eq!(scene.run(&["listen", "--unread", "--mute"]).ok(), "");
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    zoé.send("burak", "This is from zoé, for later as well.");
    listen.wait_for("for later as well");
    // It is kept a moment after it is shown.
    let deadline = Instant::now() + support::TIMEOUT;
    while scene.asked().len() < 2 {
        assert!(Instant::now() < deadline, "it is not heard: {:#?}", listen.lines());
        listen.type_keys("u");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(texts(&scene.wait_for_asked(2))[1..], ["zoé: This is from zoé, for later as well."]);
    // Passed over, it is not to be heard any more.
    listen.type_keys("n");
    listen.type_keys("q");
    listen.finish();
    let quiet = format!("{}-{}", at(2), at(4));
    let mut listen = scene.screen(&["listen", "--mute", "--quiet", &quiet]);
    listen.wait_for("(keys:");
    zoé.send("burak", "These are not the quiet hours any more.");
    assert_eq!(texts(&scene.wait_for_asked(3))[2], "zoé: These are not the quiet hours any more.");
    listen.type_keys("n");
    listen.type_keys("q");
    listen.finish();
    // What is asked for is heard at any hour: of one person first.
    scene.ayşe.send("burak", "This is unread, and it is from ayşe.");
    zoé.send("burak", "This is unread, and it is from zoé.");
    assert!(scene.run(&["listen", "--unread", "zoé", "--mute"]).ok().contains("from zoé"));
    assert_eq!(texts(&scene.asked())[3..], ["zoé: This is unread, and it is from zoé."]);
    assert!(scene.run(&["listen", "--unread", "--mute"]).ok().contains("from ayşe"));
    assert_eq!(texts(&scene.asked())[4..], ["ayşe: This is unread, and it is from ayşe."]);
}

#[test]
fn what_a_killed_process_was_reading_is_read_by_the_next() {
    let scene = Scene::new();
    let mut listen = Running::start(&mut scene.command(&["receive", "--follow", "--speak", "--mute"]));
    scene.ayşe.send("burak", "This is read to its end.");
    scene.wait_for_asked(1);
    let long = "This is read when the program is killed, in the middle of a sentence that is a long one.";
    scene.ayşe.send("burak", long);
    scene.ayşe.send("burak", "This has to wait.");
    (0..3).for_each(|_| drop(listen.line().unwrap()));
    scene.wait_for_asked(2);
    listen.kill();
    let before = scene.asked().len();
    let shown = scene.run(&["listen", "--unread", "--mute"]);
    let texts: Vec<String> = scene.asked().split_off(before).into_iter().map(|asked| asked.text).collect();
    assert_eq!(texts, [format!("ayşe: {long}"), "This has to wait.".to_owned()]);
    assert_eq!(shown.ok().lines().count(), 2, "{shown:?}");
    assert_eq!(scene.run(&["listen", "--unread", "--mute"]).ok(), "");
}

#[test]
fn a_reply_in_which_nobody_is_heard_is_asked_about_and_one_that_cant_leave_is_kept() {
    let mut scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", "Say something.");
    scene.wait_for_asked(1);
    let begun = |listen: &Screen, count: usize| {
        listen.wait(&format!("{count} recordings"), |parser| {
            parser.screen().contents().matches("(recording a reply to ayşe").count() == count
        });
    };
    let said = scene.ayşe.file("note.wav");
    std::fs::write(&said, support::wav::siren()).unwrap();

    listen.type_keys("v");
    begun(&listen, 1);
    scene.card.record("microphone").listen(Duration::from_secs(1));
    listen.type_keys("v");
    listen.wait_for("(nobody is heard in it: Enter or v sends it all the same");
    listen.type_keys("c");
    listen.wait_for("(not sent: what was recorded is forgotten)");

    // Without the server it waits in the outbox.
    scene.server.kill();
    listen.type_keys("v");
    begun(&listen, 2);
    scene.card.speak_into_microphone(&said);
    listen.type_keys("v");
    listen.wait_for("(a voice note for ayşe, 0:0");
    assert!(scene.ayşe.run(["receive"]).failure().contains("can't reach"));
    scene.server.restart_on_same_port();
    let received = scene.ayşe.run(["receive", "--wait", "60", "--json"]).json();
    assert_eq!(received.len(), 1, "what was silent was not sent: {received:?}");
    assert_eq!(received[0]["kind"], "voice");

    // With another key in the place of hers it can't be sent at all.
    listen.type_keys("v");
    begun(&listen, 3);
    let impostor = swap(&mut scene.server, "ayşe");
    impostor.send("burak", "I am ayşe, of course");
    listen.wait_for("I am ayşe, of course");
    scene.card.speak_into_microphone(&said);
    listen.type_keys("v");
    listen.wait_for("the recording is kept in ");
    let folder = std::fs::read_dir(scene.burak.home()).unwrap().map(|entry| entry.unwrap().path());
    let is_kept = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("unsent-");
    let kept: Vec<PathBuf> = folder.filter(is_kept).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let samples = |path: &PathBuf| signal::read(&std::fs::read(path).unwrap()).0;
    let found = signal::find(&samples(&kept[0]), &samples(&said));
    assert!(found.correlation > 0.9, "{found:?}");
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
            heard.listen(Duration::from_secs(31));
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

#[test]
fn on_headphones_that_are_pulled_out_and_plugged_in_reading_goes_on() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    let heard = scene.card.record_loudspeaker();
    scene.ayşe.send("burak", &long());
    heard.wait_until("it is being read", sounds);
    // Plugged in, and the default from now on.
    let headphones = scene.card.plug_in("headphones");
    scene.card.make_default("sink", "headphones");
    let on_headphones = scene.card.record("headphones");
    on_headphones.wait_until("it goes on there", sounds);
    // And pulled out again in mid-sentence.
    let before = scene.asked().len();
    let back = scene.card.record_loudspeaker();
    scene.card.unplug(&headphones);
    scene.wait_for_asked(before + 2);
    back.wait_until("it goes on here", sounds);
    // No sentence is left out: what was cut off is read again, or the next one is.
    let numbers = |asked: &Asked| -> Vec<usize> {
        let behind = asked.text.split("sentence number ").skip(1);
        behind.map(|words| words.split(' ').next().unwrap().parse().unwrap()).collect()
    };
    let pieces: Vec<Vec<usize>> =
        scene.asked().iter().map(numbers).filter(|piece| !piece.is_empty()).collect();
    let follows = |two: &[Vec<usize>]| two[1][0] <= two[0].last().unwrap() + 1;
    assert!(pieces[0][0] == 1 && pieces.windows(2).all(follows), "{pieces:?}");
    listen.type_keys("q");
    assert_eq!(listen.finish(), 0);
}

#[test]
fn nothing_is_heard_while_a_note_is_recorded_on_whichever_terminal() {
    let scene = Scene::new();
    let mut listen = scene.screen(&["listen", "--mute"]);
    listen.wait_for("(keys:");
    scene.ayşe.send("burak", &long());
    scene.wait_for_asked(1);
    let heard = scene.card.record_loudspeaker();
    heard.wait_until("the text is being read", sounds);
    let (recording, told) = Running::start_with_stderr(&mut scene.command(&[
        "voice",
        "ayşe",
        "--mute",
        "--even-silent",
        "--seconds",
        "4",
    ]));
    while !told.recv_timeout(support::TIMEOUT).unwrap().contains("recording 4 s") {}
    // What was being read is over soon; then nothing is heard until the recording has ended.
    heard.wait_until("it is silent", has_ended);
    let silent = scene.asked().len();
    heard.listen(Duration::from_secs(2));
    assert_eq!(scene.asked().len(), silent);
    recording.wait().ok();
    // Then it is read from its beginning.
    let asked = scene.wait_for_asked(silent + 1);
    assert_eq!(asked[silent].text, asked[0].text);
    // A reply by voice, with keys.
    listen.type_keys("v");
    listen.wait_for("(recording a reply to ayşe");
    heard.wait_until("it is silent", has_ended);
    let silent = scene.asked().len();
    let note = scene.ayşe.file("note.wav");
    std::fs::write(&note, support::wav::tone(32_000)).unwrap();
    scene.card.speak_into_microphone(&note);
    listen.type_keys("v");
    listen.wait_for("(a voice note for ayşe");
    scene.wait_for_asked(silent + 1);
    listen.type_keys("q");
    listen.finish();
    let received = scene.ayşe.receive();
    assert_eq!(received.iter().filter(|message| message["kind"] == "voice").count(), 2, "{received:?}");
}
