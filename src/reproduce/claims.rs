//! What the paper says, and what was measured.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A claim of the paper with the outcome here, an entry of `claims.json` (docs/interface.md).
#[derive(Debug, Clone, Serialize)]
pub struct Claim {
    pub id: String,
    /// The paper's, in words.
    pub claim: String,
    /// What has to be measured for it to count as reproduced.
    pub expected: String,
    /// Numbers by their names, each with its spread over the seeds.
    pub measured: Map<String, Value>,
    pub reproduced: bool,
    /// The runs it was measured on.
    pub runs: Vec<String>,
}

impl Claim {
    /// A claim nothing has been measured for.
    pub fn new(id: &str, claim: &str, expected: impl Into<String>) -> Self {
        Claim {
            id: id.into(),
            claim: claim.into(),
            expected: expected.into(),
            measured: Map::new(),
            reproduced: false,
            runs: Vec::new(),
        }
    }

    /// Adds a number.
    pub fn measure(mut self, name: impl Into<String>, value: Spread) -> Self {
        self.measured.insert(name.into(), value.json());
        self
    }

    /// Says whether what was measured is what was expected.
    pub fn judge(self, reproduced: bool) -> Self {
        Claim { reproduced, ..self }
    }

    /// As printed: the claim, what was expected, what was measured.
    pub fn text(&self) -> String {
        let verdict = if self.reproduced { "reproduced" } else { "NOT reproduced" };
        format!(
            "  {}: {verdict}\n    the paper: {}\n    expected:  {}\n    measured:  {}\n",
            self.id,
            self.claim,
            self.expected,
            self.numbers()
        )
    }

    /// What was measured, in one line.
    pub fn numbers(&self) -> String {
        let number = |(name, value): (&String, &Value)| format!("{name} {}", Spread::text_of(value));
        self.measured.iter().map(number).collect::<Vec<_>>().join("; ")
    }
}

/// A number measured with several seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// The sample's standard deviation; 0 of one.
    pub deviation: f64,
    pub count: usize,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        Spread { mean, deviation, count: values.len() }
    }

    fn json(self) -> Value {
        json!({ "mean": round(self.mean), "deviation": round(self.deviation), "count": self.count })
    }

    fn text_of(value: &Value) -> String {
        let number = |key: &str| value[key].as_f64().unwrap_or(f64::NAN);
        if value["mean"].is_null() {
            return "not measured".into();
        }
        match value["count"].as_u64() {
            Some(count) if count > 1 => format!("{} ± {} ({count})", number("mean"), number("deviation")),
            _ => format!("{}", number("mean")),
        }
    }
}

/// To four significant digits.
fn round(x: f64) -> f64 {
    format!("{x:.3e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_those_of_a_sample() {
        assert_eq!(Spread::of(&[3.0]), Spread { mean: 3.0, deviation: 0.0, count: 1 });
        assert_eq!(Spread::of(&[1.0, 2.0, 3.0]), Spread { mean: 2.0, deviation: 1.0, count: 3 });
        assert!(Spread::of(&[f64::NAN]).mean.is_nan());
    }

    #[test]
    fn a_claim_reads_as_what_was_measured() {
        let claim = Claim::new("x", "it falls", "below 5 %").measure("at 0.2", Spread::of(&[1.0, 2.0, 3.0]));
        assert!(claim.text().contains("x: NOT reproduced") && claim.text().contains("at 0.2 2 ± 1 (3)"));
        assert!(claim.judge(true).text().contains("x: reproduced"));
    }
}
