//! The font in `assets/fonts`, and how wide a text is in it.

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId};

pub const REGULAR_FILE: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
pub const BOLD_FILE: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-Bold.ttf");

static REGULAR: LazyLock<Face> = LazyLock::new(|| face(REGULAR_FILE));
static BOLD: LazyLock<Face> = LazyLock::new(|| face(BOLD_FILE));

fn face(bytes: &'static [u8]) -> Face<'static> {
    Face::parse(bytes, 0).expect("the font is part of the program")
}

/// The width of `text` in units of the font's `size`.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    let face = if bold { &*BOLD } else { &*REGULAR };
    let em = f64::from(face.units_per_em());
    let advance =
        |letter| face.glyph_hor_advance(face.glyph_index(letter).unwrap_or(GlyphId(0))).unwrap_or(0);
    text.chars().map(|letter| f64::from(advance(letter)) / em * size).sum()
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
