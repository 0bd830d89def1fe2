//! Charts: lines, points, columns, grouped bars and heat maps. Plain data goes in, a [`Drawing`] comes out.

mod bars;
mod frame;
mod heat;
mod scale;

pub use bars::{Bars, Group};
pub use heat::{HeatMap, shade};
pub use scale::number;

use frame::{Frame, Room, TEXT, Words, widest};
use scale::Scale;

use crate::report::draw::{Colour, Dash, Drawing, Mark, Point};

/// Width and height of a plot that asks for nothing else.
pub const SIZE: (f64, f64) = (520.0, 360.0);

/// An axis of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What is measured, with its unit: `radius (L∞, pixel scale [0, 1])`.
    pub label: String,
    pub log: bool,
    /// The two ends; none: those of the data.
    pub range: Option<(f64, f64)>,
}

/// How values vary around those drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Spread {
    #[default]
    None,
    /// A whisker at each point, from low to high.
    Whiskers(Vec<(f64, f64)>),
    /// A band around the line.
    Band(Vec<(f64, f64)>),
}

/// Named data of a [`Chart`].
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the legend; an empty name is left out there.
    pub name: String,
    pub points: Vec<Point>,
    pub spread: Spread,
    /// The line through the points, if one is drawn.
    pub line: Option<Dash>,
    /// A marker at each point.
    pub markers: bool,
    /// Columns of this width (in units of x) from 0 to each point.
    pub columns: Option<f64>,
    /// The number of its colour and marker; none: its place among the series.
    pub style: Option<usize>,
}

impl Series {
    fn new(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        Series {
            name: name.into(),
            points: points.into_iter().collect(),
            spread: Spread::None,
            line: None,
            markers: false,
            columns: None,
            style: None,
        }
    }

    /// A line through points, in the order given; a value that is not finite leaves a gap.
    pub fn line(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        Series { line: Some(Dash::Solid), ..Series::new(name, points) }
    }

    /// The same with a marker at each point, for measurements that are few.
    pub fn marked(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        Series { markers: true, ..Series::line(name, points) }
    }

    /// Points alone: a scatter plot.
    pub fn points(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        Series { markers: true, ..Series::new(name, points) }
    }

    /// The numbers of finite `values` in `bins` equal parts of `range`, as columns; what lies outside is left out.
    pub fn histogram(name: impl Into<String>, values: &[f64], (low, high): (f64, f64), bins: usize) -> Self {
        let width = (high - low) / bins.max(1) as f64;
        let mut counts = vec![0_usize; bins.max(1)];
        for value in values.iter().filter(|value| (low..=high).contains(*value)) {
            let bin = ((value - low) / width) as usize;
            counts[bin.min(bins.max(1) - 1)] += 1;
        }
        let points =
            counts.iter().enumerate().map(|(i, &count)| (low + (i as f64 + 0.5) * width, count as f64));
        Series { columns: Some(width), ..Series::new(name, points) }
    }

    /// With whiskers from low to high, one for each point.
    pub fn whiskers(mut self, spread: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.spread = Spread::Whiskers(spread.into_iter().collect());
        self
    }

    /// With a band from low to high around the line.
    pub fn band(mut self, spread: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.spread = Spread::Band(spread.into_iter().collect());
        self
    }

    /// With its line dashed.
    pub fn dashed(mut self) -> Self {
        self.line = Some(Dash::Dashed);
        self
    }

    /// With the colour and marker of number `n`.
    pub fn style(mut self, n: usize) -> Self {
        self.style = Some(n);
        self
    }
}

/// Lines, points and columns over two axes of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Dotted level lines: value and name.
    pub references: Vec<(f64, String)>,
    /// Width and height; a long legend makes it higher.
    pub size: (f64, f64),
}

impl Chart {
    /// An empty chart with its words.
    pub fn new(title: impl Into<String>, x: impl Into<String>, y: impl Into<String>) -> Self {
        let axis = |label: String| Axis { label, ..Axis::default() };
        let (x, y) = (axis(x.into()), axis(y.into()));
        Chart { title: title.into(), x, y, series: Vec::new(), references: Vec::new(), size: SIZE }
    }

    /// With a series more.
    pub fn with(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// With a dotted level line at `y`.
    pub fn reference(mut self, y: f64, name: impl Into<String>) -> Self {
        self.references.push((y, name.into()));
        self
    }

    /// With these ends of the x axis.
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.x.range = Some((low, high));
        self
    }

    /// With these ends of the y axis.
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y.range = Some((low, high));
        self
    }

    /// With x in logarithms: points at 0 or below are left out.
    pub fn log_x(mut self) -> Self {
        self.x.log = true;
        self
    }

    /// With y in logarithms.
    pub fn log_y(mut self) -> Self {
        self.y.log = true;
        self
    }

    /// Of this width and height.
    pub fn size(mut self, width: f64, height: f64) -> Self {
        self.size = (width, height);
        self
    }

    /// The picture.
    pub fn drawing(&self) -> Drawing {
        let (x, y) = self.scales();
        let y_ticks = y.ticks((self.size.1 / 60.0) as usize);
        let x_ticks = x.ticks((self.size.0 / 85.0) as usize);
        let named = |name: &&str| !name.is_empty();
        let names =
            self.series.iter().map(|s| s.name.as_str()).chain(self.references.iter().map(|r| r.1.as_str()));
        let legend = names.filter(named).collect();
        let words = Words { title: &self.title, x: &self.x.label, y: &self.y.label, legend };
        let last = x_ticks.last().map_or("", |(_, text)| text);
        let left = widest(y_ticks.iter().map(|(_, text)| text.as_str()));
        let room = Room { left, below: TEXT, right: widest([last].into_iter()) / 2.0 };
        let mut frame = Frame::new(self.size, &words, room);
        frame.x_axis(&x, &x_ticks);
        frame.y_axis(&y, &y_ticks);
        let mut samples = frame.samples.clone().into_iter();
        for (i, series) in self.series.iter().enumerate() {
            let style = series.style.unwrap_or(i);
            let of = |(px, py): Point| frame.at((x.place(px), y.place(py)));
            let pen = Pen {
                series,
                style,
                inside: Inside::of(&frame),
                base: of((x.low, if y.log { y.low } else { 0.0 })).1,
            };
            let places: Vec<Point> = series.points.iter().map(|point| of(*point)).collect();
            let spread = |spread: &[(f64, f64)]| -> Vec<(f64, f64)> {
                let ends = series.points.iter().zip(spread);
                ends.map(|(point, (low, high))| (of((point.0, *low)).1, of((point.0, *high)).1)).collect()
            };
            let spread = match &series.spread {
                Spread::None => Vec::new(),
                Spread::Whiskers(ends) | Spread::Band(ends) => spread(ends),
            };
            let half = series.columns.map_or(0.0, |width| {
                let unit = (frame.right - frame.left) / (x.high - x.low);
                if x.log { 0.0 } else { width * unit / 2.0 }
            });
            pen.draw(&mut frame.drawing, &places, &spread, half);
            if let Some(at) = (!series.name.is_empty()).then(|| samples.next()).flatten() {
                pen.sample(&mut frame.drawing, at);
            }
        }
        for (value, name) in &self.references {
            let level = frame.at((0.0, y.place(*value))).1;
            if (frame.top - 0.5..=frame.bottom + 0.5).contains(&level) {
                let ends = [(frame.left, level), (frame.right, level)];
                frame.drawing.line(&ends, Colour::Soft, 1.5, Dash::Dotted);
            }
            if let Some((sx, sy)) = (!name.is_empty()).then(|| samples.next()).flatten() {
                frame.drawing.line(&[(sx, sy), (sx + 26.0, sy)], Colour::Soft, 1.5, Dash::Dotted);
            }
        }
        frame.edges();
        let seen = |(x, y): &Point| x.is_finite() && y.is_finite();
        if !self.series.iter().any(|series| series.points.iter().any(seen)) {
            frame.nothing();
        }
        frame.drawing
    }

    /// The axes' ranges: over points, spreads, columns with their base, and references.
    fn scales(&self) -> (Scale, Scale) {
        let points =
            || self.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
        let xs = points().flat_map(|(series, point)| {
            let half = series.columns.unwrap_or(0.0) / 2.0;
            [point.0 - half, point.0 + half]
        });
        let spreads = self.series.iter().flat_map(|series| match &series.spread {
            Spread::None => [].iter(),
            Spread::Whiskers(ends) | Spread::Band(ends) => ends.iter(),
        });
        let bases = self.series.iter().filter(|series| series.columns.is_some()).map(|_| 0.0);
        let ys = points().map(|(_, point)| point.1).chain(spreads.flat_map(|(low, high)| [*low, *high]));
        let ys = ys.chain(bases).chain(self.references.iter().map(|(value, _)| *value));
        (Scale::over(xs, self.x.range, self.x.log), Scale::over(ys, self.y.range, self.y.log))
    }
}

/// The rectangle of the data.
#[derive(Clone, Copy, Debug)]
struct Inside {
    low: Point,
    high: Point,
}

impl Inside {
    fn of(frame: &Frame) -> Self {
        // A marker's worth of slack, so that a point on the edge is drawn.
        Inside { low: (frame.left - 0.5, frame.top - 0.5), high: (frame.right + 0.5, frame.bottom + 0.5) }
    }

    fn has(&self, (x, y): Point) -> bool {
        (self.low.0..=self.high.0).contains(&x) && (self.low.1..=self.high.1).contains(&y)
    }

    /// The part of the segment that lies inside (Liang and Barsky).
    fn clip(&self, a: Point, b: Point) -> Option<(Point, Point)> {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let (mut from, mut to) = (0.0_f64, 1.0_f64);
        let sides = [
            (-dx, a.0 - self.low.0),
            (dx, self.high.0 - a.0),
            (-dy, a.1 - self.low.1),
            (dy, self.high.1 - a.1),
        ];
        for (towards, room) in sides {
            if towards == 0.0 && room < 0.0 || !towards.is_finite() || !room.is_finite() {
                return None;
            }
            match towards {
                t if t < 0.0 => from = from.max(room / t),
                t if t > 0.0 => to = to.min(room / t),
                _ => {}
            }
        }
        let at = |t: f64| (a.0 + t * dx, a.1 + t * dy);
        (from <= to).then(|| (at(from), at(to)))
    }
}

/// Draws one series.
struct Pen<'a> {
    series: &'a Series,
    style: usize,
    inside: Inside,
    /// The height of 0.
    base: f64,
}

const WIDTH: f64 = 2.0;

impl Pen<'_> {
    fn draw(&self, drawing: &mut Drawing, places: &[Point], spread: &[(f64, f64)], half: f64) {
        let colour = Colour::Series(self.style);
        let clamp = |y: f64| y.clamp(self.inside.low.1, self.inside.high.1);
        if self.series.columns.is_some() {
            for &(x, y) in places.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
                let side = |x: f64| x.clamp(self.inside.low.0, self.inside.high.0);
                let (left, right) = (side(x - half), side(x + half));
                drawing.rectangle((left, clamp(y)), (right, clamp(self.base)), colour, 0.5);
            }
        }
        if let Spread::Band(_) = self.series.spread {
            let band = places.iter().zip(spread).filter(|(place, ends)| {
                self.inside.has((place.0, self.inside.low.1)) && ends.0.is_finite() && ends.1.is_finite()
            });
            let lower = band.clone().map(|(place, ends)| (place.0, clamp(ends.0)));
            let upper = band.map(|(place, ends)| (place.0, clamp(ends.1)));
            let points = lower.chain(upper.rev()).collect();
            drawing.marks.push(Mark::Area { points, colour, opacity: 0.22 });
        }
        if let Some(dash) = self.series.line {
            for piece in self.pieces(places) {
                drawing.line(&piece, colour, WIDTH, dash);
            }
        }
        if let Spread::Whiskers(_) = self.series.spread {
            for (&(x, _), &(low, high)) in places.iter().zip(spread) {
                if let Some((a, b)) = self.inside.clip((x, low), (x, high)) {
                    for line in [[a, b], [(x - 3.5, a.1), (x + 3.5, a.1)], [(x - 3.5, b.1), (x + 3.5, b.1)]] {
                        drawing.line(&line, colour, 1.3, Dash::Solid);
                    }
                }
            }
        }
        if self.series.markers {
            for &place in places.iter().filter(|place| self.inside.has(**place)) {
                marker(drawing, place, self.style);
            }
        }
    }

    /// The line in connected pieces: broken where a point has no place or lies outside.
    fn pieces(&self, places: &[Point]) -> Vec<Vec<Point>> {
        let mut pieces: Vec<Vec<Point>> = Vec::new();
        for pair in places.windows(2) {
            let Some((a, b)) = self.inside.clip(pair[0], pair[1]) else { continue };
            match pieces.last_mut() {
                Some(piece) if piece.last() == Some(&a) => piece.push(b),
                _ => pieces.push(vec![a, b]),
            }
        }
        pieces
    }

    /// The legend's sample.
    fn sample(&self, drawing: &mut Drawing, (x, y): Point) {
        let colour = Colour::Series(self.style);
        match (self.series.columns, &self.series.spread) {
            (Some(_), _) => drawing.rectangle((x + 8.0, y - 5.0), (x + 26.0, y + 5.0), colour, 0.5),
            (None, Spread::Band(_)) => drawing.rectangle((x, y - 5.0), (x + 26.0, y + 5.0), colour, 0.22),
            _ => {}
        }
        if let Some(dash) = self.series.line {
            drawing.line(&[(x, y), (x + 26.0, y)], colour, WIDTH, dash);
        }
        if self.series.markers {
            marker(drawing, (x + 13.0, y), self.style);
        }
    }
}

/// The marker of style `n`: shapes differ as well as colours.
fn marker(drawing: &mut Drawing, (x, y): Point, n: usize) {
    let colour = Colour::Series(n);
    let corners: &[Point] = match n % 5 {
        0 => {
            drawing.marks.push(Mark::Disc { centre: (x, y), radius: 3.8, colour });
            return;
        }
        1 => &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
        2 => &[(0.0, -4.8), (4.6, 3.4), (-4.6, 3.4)],
        3 => &[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)],
        _ => &[(0.0, 4.8), (4.6, -3.4), (-4.6, -3.4)],
    };
    let points = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
    drawing.marks.push(Mark::Area { points, colour, opacity: 1.0 });
}

#[cfg(test)]
mod tests;
