//! A drawing: a few kinds of marks on a page, written as SVG or painted as PNG.
//!
//! Lengths are in pixels of a screen at rest, x to the right and y down. Both back ends take the same marks, so the two
//! files show the same picture. Texts are measured with the font that the PNG is painted with, one of the widest there
//! are: where an SVG's viewer has another, texts become shorter and still fit.

mod png;
mod svg;

pub use svg::escape;

use crate::error::Result;
use crate::report::font;
use crate::report::image::Image;

/// A point, x and y.
pub type Point = (f64, f64);

/// What a mark is drawn in. All but [`Colour::Rgb`] have a role, by which a page in dark colours can change them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Colour {
    /// Text and axes.
    Ink,
    /// Less important text.
    Soft,
    /// Grid lines.
    Faint,
    /// What lies under everything.
    Paper,
    /// The `n`-th data series, from 0; repeats after [`SERIES`].
    Series(usize),
    Rgb([u8; 3]),
}

/// Colours of series: seven that colour-blind readers tell apart (Okabe and Ito), and that show on white and on black.
pub const SERIES: [[u8; 3]; 7] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x80, 0x80, 0x80],
];

impl Colour {
    /// The colour on white paper.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Colour::Ink => [0x1f, 0x23, 0x28],
            Colour::Soft => [0x59, 0x63, 0x6e],
            Colour::Faint => [0xd8, 0xde, 0xe4],
            Colour::Paper => [0xff; 3],
            Colour::Series(n) => SERIES[n % SERIES.len()],
            Colour::Rgb(rgb) => rgb,
        }
    }
}

/// How a line is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dash {
    #[default]
    Solid,
    Dashed,
    Dotted,
}

impl Dash {
    /// Lengths of stroke and gap for a line of this width.
    fn pattern(self, width: f64) -> Option<[f64; 2]> {
        match self {
            Dash::Solid => None,
            Dash::Dashed => Some([4.0 * width, 2.5 * width]),
            Dash::Dotted => Some([width, 2.0 * width]),
        }
    }
}

/// Which point of a text lies at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Where the anchor lies on the baseline.
    pub at: Point,
    pub text: String,
    pub size: f64,
    pub bold: bool,
    pub anchor: Anchor,
    pub colour: Colour,
    /// Read from bottom to top.
    pub turned: bool,
}

impl Text {
    /// Plain text in ink.
    pub fn new(at: Point, text: impl Into<String>, size: f64, anchor: Anchor) -> Self {
        Text { at, text: text.into(), size, bold: false, anchor, colour: Colour::Ink, turned: false }
    }

    pub fn width(&self) -> f64 {
        font::width(&self.text, self.size, self.bold)
    }

    /// How far before its place the text starts, along its baseline.
    fn before(&self) -> f64 {
        match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => self.width() / 2.0,
            Anchor::End => self.width(),
        }
    }
}

/// A rectangle along the axes, which both back ends paint without smoothing, so that neighbours leave no seam.
fn upright(points: &[Point]) -> bool {
    points.len() == 4
        && (0..4).all(|i| {
            let (a, b) = (points[i], points[(i + 1) % 4]);
            a.0 == b.0 || a.1 == b.1
        })
}

/// One thing on the page.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    Line {
        points: Vec<Point>,
        colour: Colour,
        width: f64,
        dash: Dash,
    },
    /// A filled area; its opacity is in [0, 1].
    Area {
        points: Vec<Point>,
        colour: Colour,
        opacity: f64,
    },
    Disc {
        centre: Point,
        radius: f64,
        colour: Colour,
    },
    Text(Text),
    /// An image stretched over a rectangle, its pixels left square.
    Image {
        at: Point,
        size: (f64, f64),
        image: Image,
    },
}

/// A page with marks, later ones over earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    /// What it shows, for readers who do not see it.
    pub title: String,
    pub marks: Vec<Mark>,
}

/// How many of a PNG's pixels stand for one of the drawing's.
pub const PNG_SCALE: f64 = 2.0;

impl Drawing {
    pub fn new(width: f64, height: f64, title: impl Into<String>) -> Self {
        Drawing { width, height, title: title.into(), marks: Vec::new() }
    }

    pub fn line(&mut self, points: &[Point], colour: Colour, width: f64, dash: Dash) {
        self.marks.push(Mark::Line { points: points.to_vec(), colour, width, dash });
    }

    /// A filled rectangle between two corners.
    pub fn rectangle(&mut self, (x0, y0): Point, (x1, y1): Point, colour: Colour, opacity: f64) {
        let points = vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1)];
        self.marks.push(Mark::Area { points, colour, opacity });
    }

    pub fn text(&mut self, text: Text) {
        self.marks.push(Mark::Text(text));
    }

    /// Puts another drawing on this one, its corner at `at`.
    pub fn place(&mut self, other: &Drawing, (dx, dy): Point) {
        let moved = |&(x, y): &Point| (x + dx, y + dy);
        let all = |points: &[Point]| points.iter().map(moved).collect::<Vec<_>>();
        self.marks.extend(other.marks.iter().cloned().map(|mark| match mark {
            Mark::Line { points, colour, width, dash } => {
                Mark::Line { points: all(&points), colour, width, dash }
            }
            Mark::Area { points, colour, opacity } => Mark::Area { points: all(&points), colour, opacity },
            Mark::Disc { centre, radius, colour } => Mark::Disc { centre: moved(&centre), radius, colour },
            Mark::Text(text) => Mark::Text(Text { at: moved(&text.at), ..text }),
            Mark::Image { at, size, image } => Mark::Image { at: moved(&at), size, image },
        }));
    }

    /// Several drawings side by side in rows of `columns`, under one title (which may be empty).
    pub fn panels(title: &str, columns: usize, panels: &[Drawing]) -> Drawing {
        const TITLE_SIZE: f64 = 17.0;
        const GAP: f64 = 16.0;
        let rows: Vec<&[Drawing]> = panels.chunks(columns.max(1)).collect();
        let cell = |of: fn(&Drawing) -> f64, row: &[Drawing]| row.iter().map(of).fold(0.0, f64::max);
        let width = cell(|d| d.width, panels);
        let across = rows.first().map_or(0, |row| row.len()) as f64;
        let full = (across * (width + GAP) - GAP).max(1.0);
        let lines = font::wrap(title, TITLE_SIZE, true, full - 2.0 * GAP);
        let mut y = if lines.is_empty() { 0.0 } else { GAP + lines.len() as f64 * 1.35 * TITLE_SIZE };
        let heights: Vec<f64> = rows.iter().map(|row| cell(|d| d.height, row)).collect();
        let height = y + heights.iter().sum::<f64>() + GAP * (rows.len().max(1) - 1) as f64;
        let mut page = Drawing::new(full, height.max(1.0), title);
        for (i, line) in lines.into_iter().enumerate() {
            let at = (full / 2.0, GAP + (i as f64 + 0.8) * 1.35 * TITLE_SIZE);
            page.text(Text { bold: true, ..Text::new(at, line, TITLE_SIZE, Anchor::Middle) });
        }
        for (row, height) in rows.iter().zip(heights) {
            for (i, drawing) in row.iter().enumerate() {
                page.place(drawing, (i as f64 * (width + GAP), y));
            }
            y += height + GAP;
        }
        page
    }

    /// The picture as an SVG document. It needs nothing from elsewhere, and may also stand inside an HTML page.
    pub fn svg(&self) -> String {
        svg::write(self)
    }

    /// The picture as a PNG file, [`PNG_SCALE`] times as large.
    ///
    /// # Errors
    /// [`Error::Run`](crate::Error::Run) for a drawing too large to be painted.
    pub fn png(&self) -> Result<Vec<u8>> {
        png::paint(self, PNG_SCALE)?.png()
    }

    /// The files `STEM.svg` and `STEM.png`.
    ///
    /// # Errors
    /// As [`Drawing::png`].
    pub fn files(&self, stem: &str) -> Result<[(String, Vec<u8>); 2]> {
        Ok([(format!("{stem}.svg"), self.svg().into_bytes()), (format!("{stem}.png"), self.png()?)])
    }
}
