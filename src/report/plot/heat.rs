//! A matrix as coloured cells, with a colour bar.

use super::SIZE;
use super::frame::{Frame, Room, TEXT, Words, widest};
use super::scale::Scale;
use crate::report::draw::{Anchor, Colour, Drawing, Text};

/// A matrix, its first row at the top.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    pub title: String,
    pub x: String,
    pub y: String,
    /// What a cell's number is, with its unit.
    pub unit: String,
    /// Row by row, all of one length. Not finite: grey.
    pub values: Vec<Vec<f64>>,
    /// Names of columns and of rows; none: their numbers from 1.
    pub columns: Vec<String>,
    pub rows: Vec<String>,
    /// The values of the darkest and the lightest colour; none: the least and the largest.
    pub range: Option<(f64, f64)>,
    /// Write the numbers into the cells, with so many decimals.
    pub decimals: Option<usize>,
    pub size: (f64, f64),
}

impl HeatMap {
    /// A matrix with its words.
    pub fn new(
        title: impl Into<String>,
        x: impl Into<String>,
        y: impl Into<String>,
        unit: impl Into<String>,
        values: Vec<Vec<f64>>,
    ) -> Self {
        HeatMap {
            title: title.into(),
            x: x.into(),
            y: y.into(),
            unit: unit.into(),
            values,
            columns: Vec::new(),
            rows: Vec::new(),
            range: None,
            decimals: None,
            size: SIZE,
        }
    }

    /// With these names of the columns.
    pub fn columns(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.columns = names.into_iter().map(Into::into).collect();
        self
    }

    /// With these names of the rows.
    pub fn rows(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rows = names.into_iter().map(Into::into).collect();
        self
    }

    /// With these values at the ends of the colours.
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// With numbers in the cells.
    pub fn numbers(mut self, decimals: usize) -> Self {
        self.decimals = Some(decimals);
        self
    }

    /// Of this width and height.
    pub fn size(mut self, width: f64, height: f64) -> Self {
        self.size = (width, height);
        self
    }

    /// The picture. Where names are too many, every second, fifth, ... one is written.
    pub fn drawing(&self) -> Drawing {
        const BAR: f64 = 14.0;
        let (high, wide) =
            (self.values.len().max(1), self.values.iter().map(Vec::len).max().unwrap_or(0).max(1));
        let ends = self.values.iter().flatten().copied().filter(|value| value.is_finite());
        let (low, top) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let range = self.range.or((low < top).then_some((low, top)));
        let scale = Scale::over(self.values.iter().flatten().copied(), range, false);
        let ticks = scale.ticks((self.size.1 / 60.0) as usize);
        let name = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_else(|| (i + 1).to_string());
        let column_names: Vec<_> = (0..wide).map(|i| name(&self.columns, i)).collect();
        let row_names: Vec<_> = (0..high).map(|i| name(&self.rows, i)).collect();
        let tick_room = widest(ticks.iter().map(|(_, text)| text.as_str()));
        let unit_room = if self.unit.is_empty() { 0.0 } else { 1.5 * TEXT };
        let room = Room {
            left: widest(row_names.iter().map(String::as_str)),
            below: TEXT,
            right: 12.0 + BAR + 6.0 + tick_room + unit_room,
        };
        let words = Words { title: &self.title, x: &self.x, y: &self.y, legend: Vec::new() };
        let mut frame = Frame::new(self.size, &words, room);
        let cell = ((frame.right - frame.left) / wide as f64, (frame.bottom - frame.top) / high as f64);
        let at = |row: usize, column: usize| {
            (frame.left + column as f64 * cell.0, frame.top + row as f64 * cell.1)
        };
        for (i, row) in self.values.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let rgb = shade(scale.place(*value));
                let (corner, opposite) = (at(i, j), at(i + 1, j + 1));
                frame.drawing.rectangle(corner, opposite, Colour::Rgb(rgb), 1.0);
                if let Some(decimals) = self.decimals.filter(|_| value.is_finite()) {
                    let size = TEXT.min(0.6 * cell.1).min(0.42 * cell.0);
                    let middle = ((corner.0 + opposite.0) / 2.0, (corner.1 + opposite.1) / 2.0 + 0.35 * size);
                    let colour = if light(rgb) { Colour::Rgb([0; 3]) } else { Colour::Rgb([255; 3]) };
                    let text = Text::new(middle, format!("{value:.decimals$}"), size, Anchor::Middle);
                    frame.drawing.text(Text { colour, ..text });
                }
            }
        }
        let (middle_x, middle_y) = (frame.left + cell.0 / 2.0, frame.top + cell.1 / 2.0);
        let widest_column = widest(column_names.iter().map(String::as_str));
        for (j, text) in some(&column_names, (widest_column + 8.0) / cell.0) {
            frame.x_text(middle_x + j as f64 * cell.0, text, false);
        }
        for (i, text) in some(&row_names, 1.3 * TEXT / cell.1) {
            frame.y_text(middle_y + i as f64 * cell.1, text);
        }
        let left = frame.right + 12.0;
        self.colour_bar(&mut frame, &scale, &ticks, (left, left + BAR));
        if self.values.iter().all(Vec::is_empty) {
            frame.nothing();
        }
        frame.drawing
    }

    fn colour_bar(
        &self,
        frame: &mut Frame,
        scale: &Scale,
        ticks: &[(f64, String)],
        (left, right): (f64, f64),
    ) {
        const STEPS: usize = 64;
        let height = |share: f64| frame.bottom - share * (frame.bottom - frame.top);
        for i in 0..STEPS {
            let (low, high) = (i as f64 / STEPS as f64, (i + 1) as f64 / STEPS as f64);
            let colour = Colour::Rgb(shade((low + high) / 2.0));
            frame.drawing.rectangle((left, height(high)), (right, height(low)), colour, 1.0);
        }
        for (value, text) in ticks {
            let at = (right + 6.0, height(scale.place(*value)) + 0.35 * TEXT);
            frame.drawing.text(Text { colour: Colour::Soft, ..Text::new(at, text, TEXT, Anchor::Start) });
        }
        let at = (frame.drawing.width - 12.0, (frame.top + frame.bottom) / 2.0);
        frame.drawing.text(Text { turned: true, ..Text::new(at, &self.unit, TEXT, Anchor::Middle) });
    }
}

/// Every `n`-th name, `n` the first of 1, 2, 5, 10, ... that is at least `least`.
fn some(names: &[String], least: f64) -> impl Iterator<Item = (usize, &String)> {
    let round = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)));
    let every = round.take(18).find(|n| *n as f64 >= least).unwrap_or(usize::MAX);
    names.iter().enumerate().step_by(every)
}

/// The colour of a share in [0, 1]: from dark violet over green to yellow, evenly lighter, as Matplotlib's viridis.
/// Grey for NaN.
pub fn shade(share: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 6] = [
        [68.0, 1.0, 84.0],
        [65.0, 68.0, 135.0],
        [42.0, 120.0, 142.0],
        [34.0, 168.0, 132.0],
        [122.0, 209.0, 81.0],
        [253.0, 231.0, 37.0],
    ];
    if share.is_nan() {
        return [0x99; 3];
    }
    let along = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let stop = (along as usize).min(STOPS.len() - 2);
    let part = along - stop as f64;
    [0, 1, 2].map(|c| (STOPS[stop][c] * (1.0 - part) + STOPS[stop + 1][c] * part).round() as u8)
}

/// Black reads better on it than white.
fn light([r, g, b]: [u8; 3]) -> bool {
    0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b) > 140.0
}
