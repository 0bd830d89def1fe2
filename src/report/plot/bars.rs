//! Bars side by side for a few named categories.

use super::frame::{Frame, Room, TEXT, Words, widest};
use super::scale::Scale;
use super::{Axis, SIZE};
use crate::report::draw::{Colour, Dash, Drawing};

/// One bar for each category.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// In the legend.
    pub name: String,
    pub values: Vec<f64>,
    /// A whisker from low to high for each bar, or none.
    pub spread: Vec<(f64, f64)>,
}

/// Grouped bars over named categories.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    pub title: String,
    pub x: String,
    pub y: Axis,
    pub categories: Vec<String>,
    pub groups: Vec<Group>,
    /// Dotted level lines: value and name.
    pub references: Vec<(f64, String)>,
    pub size: (f64, f64),
}

impl Bars {
    /// Categories with no bars yet.
    pub fn new(
        title: impl Into<String>,
        x: impl Into<String>,
        y: impl Into<String>,
        categories: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Bars {
            title: title.into(),
            x: x.into(),
            y: Axis { label: y.into(), ..Axis::default() },
            categories: categories.into_iter().map(Into::into).collect(),
            groups: Vec::new(),
            references: Vec::new(),
            size: SIZE,
        }
    }

    /// With a bar more in every category.
    pub fn with(mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        self.groups.push(Group {
            name: name.into(),
            values: values.into_iter().collect(),
            spread: Vec::new(),
        });
        self
    }

    /// The last bars with whiskers from low to high.
    pub fn whiskers(mut self, spread: impl IntoIterator<Item = (f64, f64)>) -> Self {
        if let Some(group) = self.groups.last_mut() {
            group.spread = spread.into_iter().collect();
        }
        self
    }

    /// With a dotted level line.
    pub fn reference(mut self, y: f64, name: impl Into<String>) -> Self {
        self.references.push((y, name.into()));
        self
    }

    /// With these ends of the y axis.
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y.range = Some((low, high));
        self
    }

    /// Of this width and height.
    pub fn size(mut self, width: f64, height: f64) -> Self {
        self.size = (width, height);
        self
    }

    /// The picture. Bars stand on 0; names that do not fit under their bars are turned.
    pub fn drawing(&self) -> Drawing {
        let values = self.groups.iter().flat_map(|group| group.values.iter().copied());
        let spreads =
            self.groups.iter().flat_map(|group| group.spread.iter().flat_map(|ends| [ends.0, ends.1]));
        let levels = self.references.iter().map(|(value, _)| *value);
        let y = Scale::over(values.clone().chain(spreads).chain(levels).chain([0.0]), self.y.range, false);
        let y_ticks = y.ticks((self.size.1 / 60.0) as usize);
        let left = widest(y_ticks.iter().map(|(_, text)| text.as_str()));
        let count = self.categories.len().max(1) as f64;
        let tallest = widest(self.categories.iter().map(String::as_str));
        let turned = tallest + 6.0 > (self.size.0 - left - 60.0) / count;
        let names =
            self.groups.iter().map(|g| g.name.as_str()).chain(self.references.iter().map(|r| r.1.as_str()));
        let legend = names.filter(|name| !name.is_empty()).collect();
        let words = Words { title: &self.title, x: &self.x, y: &self.y.label, legend };
        let room = Room { left, below: if turned { tallest } else { TEXT }, right: 0.0 };
        let mut frame = Frame::new(self.size, &words, room);
        frame.y_axis(&y, &y_ticks);
        let share = 0.8 / (count * self.groups.len().max(1) as f64);
        for (i, name) in self.categories.iter().enumerate() {
            let start = (i as f64 + 0.1) / count;
            for (k, group) in self.groups.iter().enumerate() {
                let Some(value) = group.values.get(i).copied().filter(|value| value.is_finite()) else {
                    continue;
                };
                let from = start + k as f64 * share;
                let height = |value: f64| y.place(value).clamp(0.0, 1.0);
                let corners = (frame.at((from, height(0.0))), frame.at((from + share * 0.94, height(value))));
                frame.drawing.rectangle(corners.0, corners.1, Colour::Series(k), 1.0);
                if let Some((low, high)) = group.spread.get(i) {
                    let x = (corners.0.0 + corners.1.0) / 2.0;
                    let (low, high) = (frame.at((0.0, height(*low))).1, frame.at((0.0, height(*high))).1);
                    for line in [
                        [(x, low), (x, high)],
                        [(x - 3.0, low), (x + 3.0, low)],
                        [(x - 3.0, high), (x + 3.0, high)],
                    ] {
                        frame.drawing.line(&line, Colour::Ink, 1.2, Dash::Solid);
                    }
                }
            }
            let middle = frame.at(((i as f64 + 0.5) / count, 0.0)).0;
            frame.x_text(middle, name, turned);
        }
        self.finish(&mut frame, &y);
        if !values.into_iter().any(f64::is_finite) {
            frame.nothing();
        }
        frame.drawing
    }

    /// Level lines, samples of the legend, edges.
    fn finish(&self, frame: &mut Frame, y: &Scale) {
        let mut samples = frame.samples.clone().into_iter();
        for (k, _) in self.groups.iter().enumerate().filter(|(_, group)| !group.name.is_empty()) {
            if let Some((x, y)) = samples.next() {
                frame.drawing.rectangle((x + 8.0, y - 5.0), (x + 26.0, y + 5.0), Colour::Series(k), 1.0);
            }
        }
        for (value, name) in &self.references {
            let level = frame.at((0.0, y.place(*value))).1;
            if (frame.top - 0.5..=frame.bottom + 0.5).contains(&level) {
                frame.drawing.line(
                    &[(frame.left, level), (frame.right, level)],
                    Colour::Ink,
                    1.5,
                    Dash::Dotted,
                );
            }
            if let Some((x, y)) = (!name.is_empty()).then(|| samples.next()).flatten() {
                frame.drawing.line(&[(x, y), (x + 26.0, y)], Colour::Ink, 1.5, Dash::Dotted);
            }
        }
        frame.edges();
    }
}
