//! What surrounds the data of every plot: title, axes with their texts, legend.

use super::scale::Scale;
use crate::report::draw::{Anchor, Colour, Dash, Drawing, Point, Text};
use crate::report::font;

pub const TEXT: f64 = 12.0;
const LABEL: f64 = 13.0;
const TITLE: f64 = 15.0;
const LINE: f64 = 1.35;
const MARGIN: f64 = 12.0;
const TICK: f64 = 4.0;
/// Width of a legend's sample, with its gap.
const SAMPLE: f64 = 32.0;

/// What is written around a plot.
#[derive(Debug)]
pub struct Words<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    /// Names of what has a sample in the legend.
    pub legend: Vec<&'a str>,
}

/// The room around the ticks' texts.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Of the widest text left of the y axis.
    pub left: f64,
    /// Of the tallest text under the x axis.
    pub below: f64,
    /// Kept free on the right.
    pub right: f64,
}

/// A drawing with a rectangle for data.
#[derive(Debug)]
pub struct Frame {
    pub drawing: Drawing,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    /// Where the samples of the legend stand: the left end of each, in the height of its middle.
    pub samples: Vec<Point>,
}

impl Frame {
    /// Sets the words around a page of `size`; the data get what room is left, but at least half of
    /// `size`'s height: a long legend makes the page longer.
    pub fn new(size: (f64, f64), words: &Words, room: Room) -> Frame {
        let (width, mut height) = size;
        let title = font::wrap(words.title, TITLE, true, width - 2.0 * MARGIN);
        let top = MARGIN + title.len() as f64 * LINE * TITLE + if title.is_empty() { 0.0 } else { 4.0 };
        let y_label = if words.y.is_empty() { 0.0 } else { LINE * LABEL };
        let left = MARGIN + y_label + room.left + 2.0 * TICK;
        let right = width - MARGIN - room.right;
        let (rows, column) = legend_rows(&words.legend, width - 2.0 * MARGIN);
        let x_label = if words.x.is_empty() { 0.0 } else { LINE * LABEL + 2.0 };
        let legend = rows.len() as f64 * LINE * TEXT + if rows.is_empty() { 0.0 } else { 6.0 };
        let under = 2.0 * TICK + room.below + x_label + legend + MARGIN;
        height = height.max(top + under + 0.5 * size.1);
        let bottom = height - under;
        let mut drawing = Drawing::new(width, height, words.title);
        for (i, line) in title.into_iter().enumerate() {
            let at = (width / 2.0, MARGIN + (i as f64 + 0.8) * LINE * TITLE);
            drawing.text(Text { bold: true, ..Text::new(at, line, TITLE, Anchor::Middle) });
        }
        if !words.x.is_empty() {
            let at = ((left + right) / 2.0, bottom + 2.0 * TICK + room.below + LABEL);
            drawing.text(Text::new(at, words.x, LABEL, Anchor::Middle));
        }
        if !words.y.is_empty() {
            let at = (MARGIN + 0.8 * LABEL, (top + bottom) / 2.0);
            drawing.text(Text { turned: true, ..Text::new(at, words.y, LABEL, Anchor::Middle) });
        }
        let mut samples = Vec::new();
        let mut y = height - MARGIN - legend + 6.0 + 0.6 * LINE * TEXT;
        let widths = |row: &[&str]| row.iter().map(|name| column.unwrap_or(entry(name))).sum::<f64>();
        let first = (width - rows.iter().map(|row| widths(row)).fold(0.0, f64::max)) / 2.0;
        for row in rows {
            let mut x = first;
            for name in row {
                samples.push((x, y));
                drawing.text(Text::new((x + SAMPLE, y + 0.35 * TEXT), name, TEXT, Anchor::Start));
                x += column.unwrap_or(entry(name));
            }
            y += LINE * TEXT;
        }
        Frame { drawing, left, right, top, bottom, samples }
    }

    /// The place of shares of the width and of the height, the latter from below.
    pub fn at(&self, (x, y): Point) -> Point {
        (self.left + x * (self.right - self.left), self.bottom - y * (self.bottom - self.top))
    }

    /// Grid lines and texts of the y axis.
    pub fn y_axis(&mut self, scale: &Scale, ticks: &[(f64, String)]) {
        for (value, text) in ticks {
            let y = self.at((0.0, scale.place(*value))).1;
            self.drawing.line(&[(self.left, y), (self.right, y)], Colour::Faint, 1.0, Dash::Solid);
            self.y_text(y, text);
        }
    }

    /// A text left of the data at the height `y`.
    pub fn y_text(&mut self, y: f64, text: &str) {
        let text = Text::new((self.left - 2.0 * TICK, y + 0.35 * TEXT), text, TEXT, Anchor::End);
        self.drawing.text(Text { colour: Colour::Soft, ..text });
    }

    /// Grid lines and texts of the x axis.
    pub fn x_axis(&mut self, scale: &Scale, ticks: &[(f64, String)]) {
        for (value, text) in ticks {
            let x = self.at((scale.place(*value), 0.0)).0;
            self.drawing.line(&[(x, self.top), (x, self.bottom)], Colour::Faint, 1.0, Dash::Solid);
            self.x_text(x, text, false);
        }
    }

    /// A text under the data at `x`, level or turned upwards.
    pub fn x_text(&mut self, x: f64, text: &str, turned: bool) {
        let text = match turned {
            false => Text::new((x, self.bottom + 2.0 * TICK + 0.8 * TEXT), text, TEXT, Anchor::Middle),
            true => {
                let text = Text::new((x + 0.35 * TEXT, self.bottom + 1.5 * TICK), text, TEXT, Anchor::End);
                Text { turned: true, ..text }
            }
        };
        self.drawing.text(Text { colour: Colour::Soft, ..text });
    }

    /// The lines at the left and at the bottom.
    pub fn edges(&mut self) {
        let corners = [(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)];
        self.drawing.line(&corners, Colour::Soft, 1.0, Dash::Solid);
    }

    /// Says in the middle that there is nothing to see.
    pub fn nothing(&mut self) {
        let at = ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0);
        self.drawing.text(Text { colour: Colour::Soft, ..Text::new(at, "no data", LABEL, Anchor::Middle) });
    }
}

/// Width of the widest text.
pub fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> f64 {
    texts.map(|text| font::width(text, TEXT, false)).fold(0.0, f64::max)
}

fn entry(name: &str) -> f64 {
    SAMPLE + font::width(name, TEXT, false) + 18.0
}

/// The names in one row where they fit, else in rows of equally wide columns, whose width comes with them.
fn legend_rows<'a>(names: &[&'a str], room: f64) -> (Vec<Vec<&'a str>>, Option<f64>) {
    let widths = || names.iter().map(|name| entry(name));
    if names.is_empty() || widths().sum::<f64>() <= room {
        return (names.chunks(names.len().max(1)).map(<[_]>::to_vec).collect(), None);
    }
    let column = widths().fold(0.0, f64::max);
    let columns = ((room / column) as usize).max(1);
    (names.chunks(columns).map(<[_]>::to_vec).collect(), Some(column))
}
