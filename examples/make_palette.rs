//! Searches for the colours of people: twelve that stay as far apart as they can for everybody, and are readable on
//! black and on white. `cargo run --release --example make_palette` prints what it finds, after some minutes.
//!
//! Far apart: the least CIEDE2000 distance between any two, as seen with normal vision, without L cones (protanopia),
//! without M cones (deuteranopia) and without S cones (tritanopia). Readable: WCAG 2.2, success criterion 1.4.3, a contrast
//! of 4.5 : 1. That on black and on white at once leaves luminances from 0.175 to 0.1833 and so takes lightness away from
//! what could tell colours apart; what can be reached with hue and chroma alone is what this finds.

#![allow(dead_code, reason = "a test takes the measures from here")]
#![allow(clippy::indexing_slicing, reason = "every place is below the length")]

use palette::color_difference::Ciede2000;
use palette::white_point::D65;
use palette::{IntoColor, Lab, LinSrgb, Srgb};

/// Red, green, blue: sRGB.
pub type Rgb = (u8, u8, u8);

/// How somebody sees: a matrix on linear sRGB.
pub struct Vision {
    /// What it is called.
    pub name: &'static str,
    matrix: [[f64; 3]; 3],
}

/// Normal vision, and dichromacy of the three kinds: Machado, Oliveira, Fernandes, *A Physiologically-based Model for
/// Simulation of Color Vision Deficiency* (IEEE TVCG 15(6), 2009), severity 1.0.
pub const VISIONS: [Vision; 4] = [
    Vision { name: "normal vision", matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] },
    Vision {
        name: "protanopia",
        matrix: [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
    },
    Vision {
        name: "deuteranopia",
        matrix: [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    },
    Vision {
        name: "tritanopia",
        matrix: [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    },
];

/// A colour as it is perceived: CIE L*a*b* under D65.
pub type Seen = Lab<D65, f64>;

impl Vision {
    /// What a colour is to this eye.
    pub fn sees(&self, color: Rgb) -> Seen {
        let light = linear(color);
        let row = |row: &[f64; 3]| {
            let [red, green, blue] = row;
            (red * light.red + green * light.green + blue * light.blue).clamp(0.0, 1.0)
        };
        let [red, green, blue] = &self.matrix;
        LinSrgb::new(row(red), row(green), row(blue)).into_color()
    }

    /// How far apart two colours are to it: CIEDE2000. About 1 can just be told apart side by side.
    pub fn distance(&self, one: Rgb, other: Rgb) -> f64 {
        self.sees(one).difference(self.sees(other))
    }
}

fn linear((red, green, blue): Rgb) -> LinSrgb<f64> {
    Srgb::new(red, green, blue).into_format::<f64>().into_linear()
}

/// The lesser of a colour's contrasts, that on black and that on white (WCAG 2.2).
pub fn contrast(color: Rgb) -> f64 {
    let light = linear(color);
    let luminance = 0.2126 * light.red + 0.7152 * light.green + 0.0722 * light.blue;
    ((luminance + 0.05) / 0.05).min(1.05 / (luminance + 0.05))
}

/// What may bear a name: hues from and to, chromas from and to, of L*a*b* at this lightness.
const NAMES: [(&str, [f64; 4]); 12] = [
    ("red", [20.0, 46.0, 70.0, 200.0]),
    ("green", [128.0, 152.0, 40.0, 200.0]),
    ("blue", [272.0, 302.0, 45.0, 200.0]),
    ("magenta", [316.0, 336.0, 60.0, 200.0]),
    ("cyan", [185.0, 262.0, 18.0, 200.0]),
    ("orange", [44.0, 72.0, 48.0, 200.0]),
    ("violet", [292.0, 319.0, 30.0, 200.0]),
    ("pink", [336.0, 378.0, 30.0, 200.0]),
    ("olive", [88.0, 124.0, 25.0, 75.0]),
    ("teal", [148.0, 205.0, 14.0, 200.0]),
    ("slate", [240.0, 305.0, 4.0, 32.0]),
    ("brown", [40.0, 90.0, 6.0, 45.0]),
];

/// Between the reds and the blues that are tried.
const STEP: usize = 4;
/// Searches, each from colours drawn anew, and the changes that each tries.
const RUNS: usize = 8;
const CHANGES: usize = 250_000;

/// A colour that may be taken, to each eye.
struct Candidate {
    color: Rgb,
    seen: [Seen; 4],
}

impl Candidate {
    fn is(&self, [from, to, dull, vivid]: [f64; 4]) -> bool {
        let Lab { a, b, .. } = self.seen[0];
        let hue = b.atan2(a).to_degrees().rem_euclid(360.0);
        let fits = (from..=to).contains(&hue) || (from..=to).contains(&(hue + 360.0));
        fits && (dull..=vivid).contains(&a.hypot(b))
    }

    fn distance(&self, other: &Self) -> f64 {
        let each = self.seen.iter().zip(&other.seen).map(|(one, other)| one.difference(*other));
        each.fold(f64::INFINITY, f64::min)
    }
}

/// One colour of every mixture of red and blue that can be made readable with green.
fn candidates() -> Vec<Candidate> {
    let levels = || (0..=u8::MAX).step_by(STEP);
    let mixtures = levels().flat_map(|red| levels().map(move |blue| (red, blue)));
    let readable = mixtures.filter_map(|(red, blue)| {
        (0..=u8::MAX).map(|green| (red, green, blue)).find(|color| contrast(*color) >= 4.502)
    });
    readable
        .map(|color| Candidate { color, seen: VISIONS.each_ref().map(|vision| vision.sees(color)) })
        .collect()
}

/// The least distance, and what is searched for the most of: its soft form, in which every near pair counts.
fn score(chosen: &[&Candidate]) -> (f64, f64) {
    let pairs = chosen
        .iter()
        .enumerate()
        .flat_map(|(place, one)| chosen[..place].iter().map(move |other| (one, other)));
    let (least, sum) = pairs.fold((f64::INFINITY, 0.0), |(least, sum): (f64, f64), (one, other)| {
        let distance = one.distance(other);
        (least.min(distance), sum + (-distance / 0.5).exp())
    });
    (least, -sum.ln())
}

/// The same numbers each time: xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Simulated annealing.
fn main() {
    let candidates = candidates();
    let choices = NAMES.map(|(_, window)| {
        candidates.iter().filter(|candidate| candidate.is(window)).collect::<Vec<&Candidate>>()
    });
    let mut random = Random(88_172_645_463_325_252);
    let mut best = (0.0, Vec::new());
    for _ in 0..RUNS {
        let mut chosen: Vec<&Candidate> =
            choices.iter().map(|choice| choice[random.below(choice.len())]).collect();
        let (mut now, mut heat) = (score(&chosen), 1.0_f64);
        for _ in 0..CHANGES {
            let place = random.below(NAMES.len());
            let other = choices[place][random.below(choices[place].len())];
            let before = std::mem::replace(&mut chosen[place], other);
            let then = score(&chosen);
            if then.1 >= now.1 || random.share() < ((then.1 - now.1) / heat).exp() {
                now = then;
            } else {
                chosen[place] = before;
            }
            if now.0 > best.0 {
                best = (now.0, chosen.clone());
            }
            heat *= 0.99996;
        }
        eprintln!("so far: {:.2} apart", best.0);
    }
    for ((name, _), Candidate { color, .. }) in NAMES.iter().zip(best.1) {
        let (red, green, blue) = color;
        println!("{name:<8} 0x{red:02x}, 0x{green:02x}, 0x{blue:02x}  contrast {:.2}", contrast(*color));
    }
}
