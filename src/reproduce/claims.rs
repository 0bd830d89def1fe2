//! What the paper says, and what was measured.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    #[serde(rename = "reproduced")]
    Reproduced,
    #[serde(rename = "not reproduced")]
    NotReproduced,
    /// Not all that it needs was measured.
    #[serde(rename = "untested")]
    Untested,
}

impl Verdict {
    /// As printed and shown.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Reproduced => "reproduced",
            Verdict::NotReproduced => "NOT reproduced",
            Verdict::Untested => "untested",
        }
    }
}

/// A claim of the paper with the outcome here, an entry of `claims.json` (docs/interface.md).
///
/// The verdict is private: only [`Claim::judge`] gives one, and none without measurements.
#[derive(Debug, Clone, Serialize)]
pub struct Claim {
    pub id: String,
    /// The paper's, in words.
    pub claim: String,
    /// What has to be measured for it to count as reproduced.
    pub expected: String,
    /// Numbers by their names, each with its spread over the seeds.
    measured: Map<String, Value>,
    /// What was needed and not measured.
    missing: Vec<String>,
    verdict: Verdict,
    /// Whether the verdict is [`Verdict::Reproduced`].
    reproduced: bool,
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
            missing: Vec::new(),
            verdict: Verdict::Untested,
            reproduced: false,
            runs: Vec::new(),
        }
    }

    /// Adds a number. One that is not finite was not measured.
    pub fn measure(mut self, name: impl Into<String>, value: Spread) -> Self {
        let name = name.into();
        if !value.mean.is_finite() {
            return self.lack(name);
        }
        self.measured.insert(name, value.json());
        self
    }

    /// Adds a number that a verdict needs, or says what is missing.
    pub fn need(self, name: impl Into<String>, value: Option<Spread>, missing: impl Into<String>) -> Self {
        match value {
            Some(value) => self.measure(name, value),
            None => self.lack(missing),
        }
    }

    /// Says that something a verdict needs was not measured.
    pub fn lack(mut self, what: impl Into<String>) -> Self {
        let what = what.into();
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
        self
    }

    /// Says whether what was measured is what was expected. Where something is missing, or nothing was measured,
    /// there is no saying.
    pub fn judge(self, holds: bool) -> Self {
        let verdict = match (self.measured.is_empty() || !self.missing.is_empty(), holds) {
            (true, _) => Verdict::Untested,
            (_, true) => Verdict::Reproduced,
            (_, false) => Verdict::NotReproduced,
        };
        Claim { verdict, reproduced: verdict == Verdict::Reproduced, ..self }
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// As printed: the claim, what was expected, what was measured.
    pub fn text(&self) -> String {
        format!(
            "  {}: {}\n    the paper: {}\n    expected:  {}\n    measured:  {}\n",
            self.id,
            self.verdict.text(),
            self.claim,
            self.expected,
            self.numbers()
        )
    }

    /// What was measured, and what was not, in one line.
    pub fn numbers(&self) -> String {
        let number = |(name, value): (&String, &Value)| format!("{name} {}", Spread::text_of(value));
        let mut parts: Vec<String> = self.measured.iter().map(number).collect();
        match self.missing.is_empty() {
            true if parts.is_empty() => parts.push("nothing".into()),
            true => {}
            false => parts.push(format!("not measured: {}", self.missing.join(", "))),
        }
        parts.join("; ")
    }
}

/// How many of the claims came out how, in words.
pub fn tally<'a>(claims: impl Iterator<Item = &'a Claim>) -> String {
    let verdicts: Vec<Verdict> = claims.map(Claim::verdict).collect();
    let count = |verdict| verdicts.iter().filter(|&&found| found == verdict).count();
    let words = format!("{} of {} claims reproduced", count(Verdict::Reproduced), verdicts.len());
    match count(Verdict::Untested) {
        0 => words,
        untested => format!("{words}, {untested} untested"),
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
    /// Of no values the mean is not a number.
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
        match value["count"].as_u64() {
            Some(count) if count > 1 => format!("{} ± {} ({count})", number("mean"), number("deviation")),
            _ => format!("{}", number("mean")),
        }
    }
}

/// So many of `all` in percent; of none there is no saying.
pub fn share(count: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| 100.0 * count as f64 / all as f64)
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
        assert!(claim.text().contains("x: untested") && claim.text().contains("at 0.2 2 ± 1 (3)"));
        assert!(claim.judge(true).text().contains("x: reproduced"));
    }

    #[test]
    fn a_verdict_needs_its_measurement() {
        let one = Some(Spread::of(&[1.0]));
        let claim = || Claim::new("x", "it falls", "below 5 %");
        let whole = claim().need("at 0.2", one, "radius 0.2");
        for (claim, verdict, part) in [
            (whole.clone().judge(true), "reproduced", "measured:  at 0.2 1\n"),
            (whole.clone().judge(false), "not reproduced", "x: NOT reproduced"),
            (claim().judge(true), "untested", "measured:  nothing\n"),
            (whole.clone(), "untested", "x: untested"),
            (
                whole.clone().need("at 0.1", None, "radius 0.1").judge(true),
                "untested",
                "1; not measured: radius 0.1\n",
            ),
            (
                whole.measure("at 0.3", Spread::of(&[f64::NAN])).judge(true),
                "untested",
                "not measured: at 0.3\n",
            ),
            (claim().measure("at 0.3", Spread::of(&[])).judge(true), "untested", "not measured: at 0.3\n"),
        ] {
            assert!(claim.text().contains(part), "{}", claim.text());
            let json = serde_json::to_value(&claim).unwrap();
            assert_eq!(
                (&json["verdict"], &json["reproduced"]),
                (&verdict.into(), &(verdict == "reproduced").into())
            );
        }
        let claims = [claim(), claim().need("at 0.2", one, "").judge(true)];
        assert_eq!(tally(claims.iter()), "1 of 2 claims reproduced, 1 untested");
        assert_eq!(tally(claims[1..].iter()), "1 of 1 claims reproduced");
    }
}
