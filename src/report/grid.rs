//! Rows of small images with labels.

use crate::report::draw::{Anchor, Drawing, Mark, Text};
use crate::report::font;
use crate::report::image::Image;

/// Rows of small images, each row with a label, the columns perhaps with headings.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub title: String,
    /// One for each column, or none.
    pub headings: Vec<String>,
    pub rows: Vec<(String, Vec<Image>)>,
    /// Side of an image on the page (its width; the height follows).
    pub cell: f64,
}

impl Grid {
    /// A grid without rows.
    pub fn new(title: impl Into<String>) -> Self {
        Grid { title: title.into(), headings: Vec::new(), rows: Vec::new(), cell: 56.0 }
    }

    /// With a row more.
    pub fn row(mut self, label: impl Into<String>, images: Vec<Image>) -> Self {
        self.rows.push((label.into(), images));
        self
    }

    /// With headings over the columns.
    pub fn headings(mut self, headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.headings = headings.into_iter().map(Into::into).collect();
        self
    }

    /// The picture. Long labels are broken over several lines.
    pub fn drawing(&self) -> Drawing {
        const SIZE: f64 = 12.0;
        const TITLE_SIZE: f64 = 15.0;
        const GAP: f64 = 4.0;
        const MARGIN: f64 = 12.0;
        const LABEL_ROOM: f64 = 150.0;
        let labels: Vec<_> =
            self.rows.iter().map(|(label, _)| font::wrap(label, SIZE, false, LABEL_ROOM)).collect();
        let widest = labels.iter().flatten().map(|line| font::width(line, SIZE, false)).fold(0.0, f64::max);
        let left = MARGIN + if widest > 0.0 { widest + 2.0 * GAP } else { 0.0 };
        let columns = self.rows.iter().map(|(_, images)| images.len()).max().unwrap_or(0);
        let step = self.cell + GAP;
        let width = (left + columns as f64 * step - GAP + MARGIN).max(200.0);
        let title = font::wrap(&self.title, TITLE_SIZE, true, width - 2.0 * MARGIN);
        let headings: Vec<_> = self.headings.iter().map(|h| font::wrap(h, SIZE, false, self.cell)).collect();
        let heading_lines = headings.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let mut y = MARGIN + title.len() as f64 * 1.35 * TITLE_SIZE + heading_lines * 1.25 * SIZE + GAP;
        let tall = |images: &[Image]| {
            let height = |image: &Image| self.cell * image.height() as f64 / image.width() as f64;
            images.iter().map(height).fold(0.0, f64::max)
        };
        let heights: Vec<f64> = self
            .rows
            .iter()
            .zip(&labels)
            .map(|((_, images), lines)| tall(images).max(lines.len() as f64 * 1.25 * SIZE))
            .collect();
        let height = y + heights.iter().map(|h| h + GAP).sum::<f64>() - GAP + MARGIN;
        let mut drawing = Drawing::new(width, height, &self.title);
        for (i, line) in title.into_iter().enumerate() {
            let at = (width / 2.0, MARGIN + (i as f64 + 0.8) * 1.35 * TITLE_SIZE);
            drawing.text(Text { bold: true, ..Text::new(at, line, TITLE_SIZE, Anchor::Middle) });
        }
        for (column, lines) in headings.iter().enumerate() {
            for (i, line) in lines.iter().rev().enumerate() {
                let at =
                    (left + column as f64 * step + self.cell / 2.0, y - GAP - i as f64 * 1.25 * SIZE - 2.0);
                drawing.text(Text::new(at, line, SIZE, Anchor::Middle));
            }
        }
        for (((_, images), lines), height) in self.rows.iter().zip(&labels).zip(heights) {
            let first = y + height / 2.0 + SIZE * (0.35 - 0.625 * (lines.len() as f64 - 1.0));
            for (i, line) in lines.iter().enumerate() {
                let at = (left - 2.0 * GAP, first + i as f64 * 1.25 * SIZE);
                drawing.text(Text::new(at, line, SIZE, Anchor::End));
            }
            for (i, image) in images.iter().enumerate() {
                let size = (self.cell, self.cell * image.height() as f64 / image.width() as f64);
                let at = (left + i as f64 * step, y + (height - size.1) / 2.0);
                drawing.marks.push(Mark::Image { at, size, image: image.clone() });
            }
            y += height + GAP;
        }
        drawing
    }
}
