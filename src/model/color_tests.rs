use super::*;

#[path = "../../examples/make_palette.rs"]
mod make_palette;

use make_palette::{Rgb, VISIONS, contrast};

/// The two colours that are hardest to tell apart, for each way to see.
fn nearest(colors: &[Rgb]) -> Vec<(&'static str, f64)> {
    let pairs = || {
        colors
            .iter()
            .enumerate()
            .flat_map(|(place, one)| colors[..place].iter().map(move |other| (*one, *other)))
    };
    let least = |vision: &make_palette::Vision| {
        pairs().map(|(one, other)| vision.distance(one, other)).fold(f64::INFINITY, f64::min)
    };
    VISIONS.iter().map(|vision| (vision.name, least(vision))).collect()
}

/// The 256 colours of xterm, from 16 on: a cube of 6 by 6 by 6, then 24 greys.
fn xterm(index: u8) -> Rgb {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match index {
        16..=231 => (level((index - 16) / 36), level((index - 16) / 6 % 6), level((index - 16) % 6)),
        _ => [8 + 10 * (index - 232); 3].into(),
    }
}

#[test]
fn every_colour_reads_on_black_and_on_white() {
    for paint in &Color::PALETTE {
        assert!(contrast(paint.rgb) >= 4.5, "{}: {:.2}", paint.name, contrast(paint.rgb));
        let fixed = contrast(xterm(paint.xterm));
        assert!(fixed >= 3.8, "{} of 256: {fixed:.2}", paint.name);
    }
}

#[test]
fn all_twelve_stay_apart_for_everybody() {
    let all = nearest(&Color::PALETTE.map(|paint| paint.rgb));
    eprintln!("measured: the nearest two of twelve: {all:.2?}");
    assert_eq!(all.len(), 4);
    for (vision, distance) in all {
        assert!(distance >= 6.6, "{vision}: {distance:.2}");
    }
    let fixed = nearest(&Color::PALETTE.map(|paint| xterm(paint.xterm)));
    eprintln!("measured: the nearest two of 256: {fixed:.2?}");
    for (vision, distance) in fixed {
        assert!(distance >= 3.8, "{vision} of 256: {distance:.2}");
    }
}

#[test]
fn the_measure_is_the_published_one() {
    // Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data"
    // (2005), pairs 1, 17 and 25.
    use palette::color_difference::Ciede2000;
    use palette::{Lab, white_point::D65};
    let lab = |l, a, b| Lab::<D65, f64>::new(l, a, b);
    for (one, other, distance) in [
        (lab(50.0, 2.6772, -79.7751), lab(50.0, 0.0, -82.7485), 2.0425),
        (lab(50.0, 2.5, 0.0), lab(73.0, 25.0, -18.0), 27.1492),
        (lab(60.2574, -34.0099, 36.2677), lab(60.4626, -34.1751, 39.4387), 1.2644),
    ] {
        assert!((one.difference(other) - distance).abs() < 1e-4, "{}", one.difference(other));
    }
    // Greys are greys to everybody, and red and green of one luminance are not far apart to two of the four.
    for vision in &VISIONS {
        let seen = vision.sees((128, 128, 128));
        assert!(seen.a.hypot(seen.b) < 0.1, "{}: {seen:?}", vision.name);
    }
    let apart = VISIONS.each_ref().map(|vision| vision.distance((0xe9, 0x15, 0x1f), (0x79, 0x79, 0x0f)));
    assert!(apart[0] > 40.0 && apart[2] < 20.0, "{apart:?}");
}
