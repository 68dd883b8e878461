use super::*;

#[path = "../../examples/make_sounds.rs"]
mod make_sounds;

#[test]
fn the_sounds_are_those_that_the_example_makes() {
    let made = make_sounds::sounds();
    assert_eq!(made.len(), Cue::ALL.len());
    for cue in Cue::ALL {
        let (_, file) = made.iter().find(|(name, _)| *name == cue.name()).unwrap();
        assert!(file == cue.built_in(), "{}: run `cargo run --example make_sounds`", cue.name());
    }
}

#[test]
fn the_sounds_are_short_soft_and_distinct() {
    for cue in Cue::ALL {
        let samples: Vec<i16> =
            hound::WavReader::new(cue.built_in()).unwrap().into_samples().map(Result::unwrap).collect();
        let sound = Sounds::built_in().get(cue).unwrap();
        assert!(sound.duration() < Duration::from_millis(400), "{cue:?}: {:?}", sound.duration());
        let loudest = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((4_000..16_000).contains(&loudest), "{cue:?}: {loudest}");
        // No click at either end, and none in between: at most what a tone of 2 kHz at this loudness does.
        assert!(samples[0] == 0 && samples[samples.len() - 1].abs() < 50, "{cue:?}");
        let step =
            samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap();
        assert!(step < 4_000, "{cue:?}: {step}");
        for other in Cue::ALL {
            assert!(cue == other || cue.built_in() != other.built_in());
        }
    }
}

#[test]
fn a_file_of_the_same_name_replaces_a_sound_and_a_bad_one_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let silence = |frames: u32| wav::recorded(&vec![0; frames as usize], 16_000).unwrap().wav;
    put("sent.wav", Cue::Left.built_in());
    put("error.wav", b"not a sound");
    put("joined.wav", &silence(16_000 * 5 + 1));
    std::fs::create_dir(folder.path().join("left.wav")).unwrap();
    let (sounds, warnings) = Sounds::built_in().replaced_by(folder.path());
    let length = |cue: Cue| sounds.get(cue).unwrap().duration();
    let built_in = |cue: Cue| Sounds::built_in().get(cue).unwrap().duration();
    assert_eq!(length(Cue::Sent), built_in(Cue::Left));
    for cue in [Cue::Error, Cue::Joined, Cue::Left, Cue::Received] {
        assert_eq!(length(cue), built_in(cue), "{cue:?}");
    }
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("joined.wav is 5 s long") || warnings[0].contains("joined.wav is 6 s long"));
    assert!(warnings[1].contains("left.wav can't be read: not a file"));
    assert!(warnings[2].ends_with("the built-in sound is used") && warnings[2].contains("is not a WAV file"));

    let (_, none) = sounds.replaced_by(&folder.path().join("nothing"));
    assert!(none.is_empty());
    assert_eq!(sounds.file(Cue::Sent), Some(folder.path().join("sent.wav").as_path()));
    assert_eq!(sounds.file(Cue::Error), None);

    // Somebody's own folder goes before it, and what is not there is as before.
    let own = tempfile::tempdir().unwrap();
    std::fs::write(own.path().join("error.wav"), Cue::Joined.built_in()).unwrap();
    std::fs::write(own.path().join("sent.wav"), "").unwrap();
    std::fs::write(own.path().join("recieved.wav"), Cue::Joined.built_in()).unwrap();
    std::fs::write(own.path().join("notes.txt"), "").unwrap();
    let (theirs, warnings) = sounds.replaced_by(own.path());
    assert_eq!(theirs.get(Cue::Error).unwrap().duration(), built_in(Cue::Joined));
    assert_eq!(theirs.file(Cue::Sent), sounds.file(Cue::Sent));
    let [cut, misspelt] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(cut.ends_with("the usual sound is used"), "{cut}");
    assert!(
        misspelt.contains("recieved.wav is never played: sounds are sent.wav, received.wav"),
        "{misspelt}"
    );
}

#[test]
fn the_volume_is_that_of_all_sounds() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sent.wav"), Cue::Left.built_in()).unwrap();
    let loudest = |sounds: &Sounds, cue| {
        let samples = sounds.get(cue).unwrap().read_at(0, usize::MAX);
        samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap()
    };
    let sounds = |percent| Sounds::at_volume(percent).replaced_by(folder.path()).0;
    for cue in [Cue::Sent, Cue::Received] {
        let (full, half) = (loudest(&sounds(100), cue), loudest(&sounds(50), cue));
        assert!(full.abs_diff(2 * half) <= 2, "{cue:?}: {full} {half}");
        assert_eq!(loudest(&sounds(0), cue), 0);
    }
}
