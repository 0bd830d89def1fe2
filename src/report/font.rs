//! The font in `assets/fonts`: how wide a text is, and the outlines of its letters.

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

static REGULAR: LazyLock<Face> = LazyLock::new(|| face(include_bytes!("../../assets/fonts/DejaVuSans.ttf")));
static BOLD: LazyLock<Face> =
    LazyLock::new(|| face(include_bytes!("../../assets/fonts/DejaVuSans-Bold.ttf")));

fn face(bytes: &'static [u8]) -> Face<'static> {
    Face::parse(bytes, 0).expect("the font is part of the program")
}

fn of(bold: bool) -> &'static Face<'static> {
    if bold { &BOLD } else { &REGULAR }
}

/// The glyphs of `text`, a box for what the font has not got, each with its distance from the start in ems.
fn glyphs(face: &'static Face, text: &str) -> impl Iterator<Item = (GlyphId, f64)> {
    let em = f64::from(face.units_per_em());
    text.chars().scan(0.0, move |at, letter| {
        let glyph = face.glyph_index(letter).unwrap_or(GlyphId(0));
        let here = *at;
        *at += f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) / em;
        Some((glyph, here))
    })
}

/// The width of `text` in units of the font's `size`.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    let face = of(bold);
    let em = f64::from(face.units_per_em());
    let advance =
        |letter| face.glyph_hor_advance(face.glyph_index(letter).unwrap_or(GlyphId(0))).unwrap_or(0);
    text.chars().map(|letter| f64::from(advance(letter)) / em * size).sum()
}

/// Gives `sink` the outlines of `text` of font size 1, its baseline the x axis and y upwards; `place` is told where
/// each letter starts before it comes.
pub fn outline<S: OutlineBuilder>(text: &str, bold: bool, sink: &mut S, place: impl Fn(&mut S, f64, f64)) {
    let face = of(bold);
    let unit = 1.0 / f64::from(face.units_per_em());
    for (glyph, at) in glyphs(face, text) {
        place(sink, at, unit);
        face.outline_glyph(glyph, sink);
    }
}

/// `text` in lines no wider than `room`, broken at spaces; a longer word has a line of its own.
pub fn wrap(text: &str, size: f64, bold: bool, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size, bold) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_what_plots_write() {
        for letter in "Aaz09%µμγβε∞×±−²⁻⁵₂·≤→°‖".chars() {
            assert!(REGULAR.glyph_index(letter).is_some(), "{letter}");
            assert!(BOLD.glyph_index(letter).is_some(), "{letter}");
        }
        assert!(width("mm", 10.0, false) > width("ll", 10.0, false));
        assert!(width("mm", 10.0, true) > width("mm", 10.0, false));
        assert_eq!(width("", 10.0, false), 0.0);
    }

    #[test]
    fn wraps_at_spaces() {
        let room = width("one two", 12.0, false);
        assert_eq!(wrap("one two three", 12.0, false, room), ["one two", "three"]);
        assert_eq!(wrap("incomprehensibilities", 12.0, false, 1.0), ["incomprehensibilities"]);
        assert!(wrap("", 12.0, false, 1.0).is_empty());
    }
}
