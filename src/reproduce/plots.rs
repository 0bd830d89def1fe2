//! A figure's plots: each as data (CSV) and as a picture of the same data (SVG and PNG).

use crate::error::Result;
use crate::report::{Bars, Chart, Drawing, Series};

use super::estimate::Estimate;
use super::lab::Lab;

/// A named curve.
#[derive(Debug, Clone)]
pub struct Line {
    pub label: String,
    /// x and what was measured there.
    pub points: Vec<(f64, Estimate)>,
}

/// The words of a plot.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
}

/// Bars of a histogram.
const BINS: usize = 40;

fn number(x: f64) -> String {
    format!("{x:.4}")
}

impl Lab {
    /// Percentages against something, with whiskers of a standard deviation where there are several seeds. `levels`
    /// are drawn as dotted lines all the way.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming the file that cannot be written; so for the other plots.
    pub fn curves(&self, name: &str, words: Words, lines: &[Line], levels: &[(String, f64)]) -> Result<()> {
        let measured = lines.iter().flat_map(|line| {
            line.points.iter().map(|(x, y)| {
                vec![
                    line.label.clone(),
                    x.to_string(),
                    number(y.mean),
                    number(y.deviation),
                    y.count.to_string(),
                ]
            })
        });
        let level = |(label, level): &(String, f64)| {
            vec![label.clone(), String::new(), number(*level), String::new(), String::new()]
        };
        let rows: Vec<Vec<String>> = measured.chain(levels.iter().map(level)).collect();
        self.csv(name, &["series", "x", "mean", "deviation", "count"], &rows)?;
        let mut chart = Chart::new(words.title, words.x, words.y).y_range(0.0, 100.0);
        for line in lines {
            let series = Series::marked(&line.label, line.points.iter().map(|(x, y)| (*x, y.mean)));
            let ends = line.points.iter().map(|(_, y)| (y.mean - y.deviation, y.mean + y.deviation));
            let several = line.points.iter().any(|(_, y)| y.count > 1);
            chart = chart.with(if several { series.whiskers(ends) } else { series });
        }
        for (label, level) in levels {
            chart = chart.reference(*level, label);
        }
        self.picture(name, &chart.drawing())
    }

    /// Groups of bars, one of `series` beside the other, and a named dotted level.
    pub fn bars(
        &self,
        name: &str,
        words: Words,
        series: &[&str],
        groups: &[(String, Vec<f64>)],
        level: (f64, &str),
    ) -> Result<()> {
        let row = |(group, values): &(String, Vec<f64>)| {
            std::iter::once(group.clone()).chain(values.iter().copied().map(number)).collect()
        };
        let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
        self.csv(name, &[&["group"], series].concat(), &rows)?;
        let mut bars =
            Bars::new(words.title, words.x, words.y, groups.iter().map(|(group, _)| group.as_str()));
        for (i, label) in series.iter().enumerate() {
            bars = bars.with(*label, groups.iter().map(|(_, values)| values[i]));
        }
        self.picture(name, &bars.y_range(0.0, 100.0).reference(level.0, level.1).drawing())
    }

    /// Histograms of several samples over one range.
    pub fn histogram(&self, name: &str, words: Words, samples: &[(String, Vec<f64>)]) -> Result<()> {
        let rows: Vec<Vec<String>> = samples
            .iter()
            .flat_map(|(label, values)| values.iter().map(|value| vec![label.clone(), format!("{value:.6}")]))
            .collect();
        self.csv(name, &["series", "value"], &rows)?;
        let highest = samples.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max);
        let mut chart = Chart::new(words.title, words.x, words.y);
        for (label, values) in samples {
            chart = chart.with(Series::histogram(label.clone(), values, (0.0, highest), BINS));
        }
        self.picture(name, &chart.drawing())
    }

    /// A picture beside its data.
    pub fn picture(&self, name: &str, drawing: &Drawing) -> Result<()> {
        self.panels(name, "", 1, std::slice::from_ref(drawing))
    }

    /// Pictures in so many columns of one file.
    pub fn panels(&self, name: &str, title: &str, columns: usize, panels: &[Drawing]) -> Result<()> {
        let files = match panels {
            [one] => one.files(name)?,
            several => Drawing::panels(title, columns, several).files(name)?,
        };
        files.into_iter().for_each(|(name, content)| self.keep(name, content));
        self.show(title, panels);
        Ok(())
    }
}
