use jiff::civil::time;

use super::*;

fn parse(text: &str) -> (Settings, Vec<String>) {
    Settings::parse(text, Path::new("settings.toml"))
}

/// What is said of a file of which nothing counts.
fn wrong(text: &str) -> String {
    let (settings, warnings) = parse(text);
    assert_eq!(settings, Settings::default());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings[0].clone()
}

#[test]
fn what_is_set_counts_and_the_rest_is_as_ever() {
    let (settings, warnings) = parse("quiet = \"22:00-07:00\"\nvolume = 60\nsilent = [\"joined\"]\n");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(settings.quiet.unwrap().to_string(), "22:00-07:00");
    assert_eq!((settings.volume.percent(), settings.silent), (60, vec!["joined".to_owned()]));
    let (settings, warnings) = parse("");
    assert_eq!((settings.quiet, settings.volume.percent(), warnings.len()), (None, 100, 0));
}

#[test]
fn quiet_hours_may_go_over_midnight() {
    let night: Quiet = "22:00 - 07:00".parse().unwrap();
    for (hour, minute, quiet) in [(21, 59, false), (22, 0, true), (0, 0, true), (6, 59, true), (7, 0, false)]
    {
        assert_eq!(night.holds(time(hour, minute, 30, 0)), quiet, "{hour}:{minute}");
    }
    let noon: Quiet = "12:00-13:30".parse().unwrap();
    for (hour, minute, quiet) in
        [(11, 59, false), (12, 0, true), (13, 29, true), (13, 30, false), (0, 0, false)]
    {
        assert_eq!(noon.holds(time(hour, minute, 0, 0)), quiet, "{hour}:{minute}");
    }
    for bad in ["", "22", "22-07", "25:00-07:00", "22:00", "22:00-22:00", "22:00-07:00-08:00"] {
        assert_eq!(bad.parse::<Quiet>(), Err(NotQuiet), "{bad:?}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_nothing_else_counts() {
    let line = wrong("volume = 60\nquiet = \"nachts\"\n");
    assert!(line.starts_with("settings.toml, line 2: quiet hours look like"), "{line}");
    let line = wrong("\n\nvolume = 101");
    assert!(line.starts_with("settings.toml, line 3: a volume is a number from 0 to 100"), "{line}");
    let line = wrong("volume = = 3");
    assert!(line.starts_with("settings.toml, line 1: "), "{line}");
}

#[test]
fn a_key_without_a_meaning_is_said_and_the_others_count() {
    let (settings, warnings) = parse("volum = 3\nvolume = 50\n[people.\"zoé\"]\npich = 2\n");
    assert_eq!(settings.volume.percent(), 50);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings.iter().any(|line| line.starts_with("settings.toml: volum is no setting")),
        "{warnings:?}"
    );
}

#[test]
fn a_file_that_is_not_there_sets_nothing() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Settings::load(home.path()), (Settings::default(), Vec::new()));
    std::fs::create_dir(home.path().join(FILE)).unwrap();
    let (_, warnings) = Settings::load(home.path());
    assert!(warnings[0].contains("can't be read"), "{warnings:?}");
}
