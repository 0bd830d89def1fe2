//! A figure's plots: each as data (CSV) and as a picture of the same data.

use crate::error::Result;

use super::claims::Spread;
use super::lab::Lab;

/// A named curve.
#[derive(Debug, Clone)]
pub struct Line {
    pub label: String,
    /// x and what was measured there.
    pub points: Vec<(f64, Spread)>,
}

impl Lab {
    /// Accuracies in percent against something. `levels` are drawn as dotted lines all the way.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming the file that cannot be written.
    pub fn curves(
        &self,
        name: &str,
        title: &str,
        x_label: &str,
        lines: &[Line],
        levels: &[(String, f64)],
    ) -> Result<()> {
        let _ = (title, x_label);
        let number = |x: f64| format!("{x:.4}");
        let measured = lines.iter().flat_map(|line| {
            line.points.iter().map(|(x, y)| {
                let numbers = [x.to_string(), number(y.mean), number(y.deviation), y.count.to_string()];
                [&[line.label.replace(',', "")][..], &numbers].concat()
            })
        });
        let levels = levels.iter().map(|(label, level)| {
            [&[label.replace(',', ""), String::new(), number(*level)][..], &[String::new(), String::new()]]
                .concat()
        });
        let rows: Vec<Vec<String>> = measured.chain(levels).collect();
        self.csv(name, &["series", "x", "mean", "deviation", "count"], &rows)
    }

    /// Groups of bars, one of `series` beside the other, and a dotted line at `level`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming the file that cannot be written.
    pub fn bars(
        &self,
        name: &str,
        title: &str,
        y_label: &str,
        series: &[&str],
        groups: &[(String, Vec<f64>)],
        level: Option<f64>,
    ) -> Result<()> {
        let _ = (title, y_label, level);
        let rows: Vec<Vec<String>> = groups
            .iter()
            .map(|(group, values)| {
                [&[group.clone()][..], &values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>()].concat()
            })
            .collect();
        self.csv(name, &[&["group"], series].concat(), &rows)
    }
}
