//! The paper's claims, which are data (`claims.toml`), and the one judge of what was measured.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Judged, Measured, Outcome};
use super::estimate::Estimate;
use super::what::What;
use crate::error::{Error, Result};

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// All that was asked for holds.
    #[serde(rename = "reproduced")]
    Reproduced,
    /// Some of what the claim is about.
    #[serde(rename = "partly")]
    Partly,
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
            Verdict::Partly => "partly",
            Verdict::NotReproduced => "NOT reproduced",
            Verdict::Untested => "untested",
        }
    }
}

/// A claim as `claims.toml` states it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    id: String,
    figure: What,
    at: String,
    claim: String,
    #[serde(default)]
    paper: Option<String>,
    expected: String,
    #[serde(default)]
    given: Vec<Condition>,
    holds: Vec<Condition>,
    estimates: String,
    #[serde(default)]
    deviations: Vec<String>,
}

/// `claims.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    estimates: BTreeMap<String, String>,
    deviations: BTreeMap<String, String>,
    #[serde(rename = "claim")]
    claims: Vec<Stated>,
}

impl Book {
    fn read() -> Result<Book> {
        toml::from_str(include_str!("claims.toml"))
            .map_err(|error| Error::run("the claims of the program do not read").because(error))
    }
}

/// A claim of the paper with what was measured and the verdict, an entry of `claims.json` (docs/interface.md).
#[derive(Debug, Clone, Serialize)]
pub struct Claim {
    pub id: String,
    /// Where the paper says it.
    at: String,
    /// The paper's, in words.
    pub claim: String,
    /// Its number, where it has one.
    pub paper: Option<String>,
    /// What has to be measured for it to count as reproduced.
    pub expected: String,
    /// The same as conditions, and what came of each that could be judged.
    margin: Vec<Judged>,
    /// What a number stands for.
    estimator: String,
    /// Where the protocol is not the paper's.
    deviations: Vec<String>,
    /// Numbers by their names, each with its spread.
    measured: BTreeMap<String, Estimate>,
    /// What was needed and not measured.
    missing: Vec<String>,
    verdict: Verdict,
    /// Whether the verdict is [`Verdict::Reproduced`].
    reproduced: bool,
    /// The systems that it needs.
    systems: BTreeSet<String>,
    /// The runs it was measured on.
    runs: BTreeSet<String>,
}

/// The claims of a figure, each judged by what was measured.
///
/// # Errors
/// [`Error::Run`] for a statement of a claim that does not read.
pub fn judge(what: What, measured: &Measured) -> Result<Vec<Claim>> {
    let book = Book::read()?;
    let of_figure = book.claims.iter().filter(|stated| stated.figure == what);
    Ok(of_figure.map(|stated| stated.judge(&book, measured)).collect())
}

impl Stated {
    fn names(&self) -> impl Iterator<Item = &String> {
        self.given.iter().chain(&self.holds).flat_map(Condition::names)
    }

    fn judge(&self, book: &Book, measured: &Measured) -> Claim {
        let (mut margin, mut missing) = (Vec::new(), Vec::new());
        for condition in self.given.iter().chain(&self.holds) {
            match condition.judge(measured) {
                Ok(judged) => margin.push(judged),
                Err(what) => missing.extend(what),
            }
        }
        missing.sort();
        missing.dedup();
        let holds = |judged: &Judged| judged.outcome == Outcome::Holds;
        let verdict = match () {
            () if !missing.is_empty() || margin.is_empty() => Verdict::Untested,
            () if margin.iter().all(holds) => Verdict::Reproduced,
            () if margin[self.given.len()..].iter().any(holds) => Verdict::Partly,
            () => Verdict::NotReproduced,
        };
        let systems: BTreeSet<String> =
            self.names().filter_map(|name| Some(name.split_once('.')?.0.to_string())).collect();
        let runs = systems.iter().flat_map(|system| measured.runs_of(system)).cloned().collect();
        let found = self.names().filter_map(|name| Some((name.clone(), *measured.get(name)?)));
        let words = |key: &String| book.deviations.get(key).cloned();
        Claim {
            id: self.id.clone(),
            at: self.at.clone(),
            claim: self.claim.clone(),
            paper: self.paper.clone(),
            expected: self.expected.clone(),
            margin,
            estimator: book.estimates.get(&self.estimates).cloned().unwrap_or_default(),
            deviations: self.deviations.iter().filter_map(words).collect(),
            measured: found.collect(),
            missing,
            verdict,
            reproduced: verdict == Verdict::Reproduced,
            systems,
            runs,
        }
    }
}

impl Claim {
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Where the protocol is not the paper's.
    pub fn deviations(&self) -> impl Iterator<Item = &String> {
        self.deviations.iter()
    }

    /// As printed: the claim, the paper's number, what was expected, what was measured.
    pub fn text(&self) -> String {
        let paper = self.paper.as_ref().map(|paper| format!(" ({paper})")).unwrap_or_default();
        format!(
            "  {}: {}\n    the paper: {}{paper}\n    expected:  {}\n    measured:  {}\n",
            self.id,
            self.verdict.text(),
            self.claim,
            self.expected,
            self.numbers()
        )
    }

    /// What was measured, which conditions do not hold, and what was not measured, in one line.
    pub fn numbers(&self) -> String {
        let number = |(name, value): (&String, &Estimate)| format!("{name} {value}");
        let mut parts: Vec<String> = self.measured.iter().map(number).collect();
        for judged in &self.margin {
            match judged.outcome {
                Outcome::Holds => {}
                Outcome::WithinError => parts.push(format!("within the error: {}", judged.condition)),
                Outcome::Fails => parts.push(format!("fails: {}", judged.condition)),
            }
        }
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
    let rest =
        [(Verdict::Partly, "partly"), (Verdict::NotReproduced, "not"), (Verdict::Untested, "untested")];
    let rest = rest.into_iter().filter(|(verdict, _)| count(*verdict) > 0);
    rest.fold(words, |words, (verdict, name)| format!("{words}, {} {name}", count(verdict)))
}

#[cfg(test)]
/// Every system that a claim needs.
pub fn systems() -> Result<BTreeSet<String>> {
    let book = Book::read()?;
    let of = |stated: &Stated| stated.judge(&book, &Measured::default()).systems;
    Ok(book.claims.iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::super::condition::tests::{condition, measured};
    use super::*;

    fn claim(holds: &[&str], measured: &Measured) -> Claim {
        stated(&[], holds).judge(&Book::read().unwrap(), measured)
    }

    fn stated(given: &[&str], holds: &[&str]) -> Stated {
        Stated {
            id: "x".into(),
            figure: What::Fig5,
            at: "figure 5".into(),
            claim: "it falls".into(),
            paper: Some("0".into()),
            expected: "below 5 %".into(),
            given: given.iter().map(|text| condition(text)).collect(),
            holds: holds.iter().map(|text| condition(text)).collect(),
            estimates: "accuracy".into(),
            deviations: vec!["short".into()],
        }
    }

    #[test]
    fn what_is_given_earns_nothing_alone() {
        let numbers = measured(&[("vae.x", &[1.0]), ("se.x", &[60.0])]);
        let (given, fails, holds, high) = ("vae.x <= 5", "vae.x >= 5", "se.x >= 50", "se.x >= 70");
        for (given, holds, verdict) in [
            (given, &[holds][..], Verdict::Reproduced),
            (given, &[high], Verdict::NotReproduced),
            (given, &[holds, high], Verdict::Partly),
            (fails, &[holds], Verdict::Partly),
            ("all.x <= 5", &[holds], Verdict::Untested),
        ] {
            let claim = stated(&[given], holds).judge(&Book::read().unwrap(), &numbers);
            assert_eq!(claim.verdict(), verdict, "{given} {holds:?}");
        }
    }

    #[test]
    fn a_verdict_needs_all_its_measurements() {
        let mut numbers = measured(&[("vae.x", &[1.0]), ("se.x", &[60.0]), ("few.x", &[60.0])]);
        numbers.put("few", "x", Estimate::percentage(&[60.0], 99));
        numbers.put("one", "x", Estimate::of(&[60.0]));
        numbers.put("none", "x", Estimate::of(&[f64::NAN]));
        let (low, high, missing) = ("vae.x <= 5", "se.x >= 70", "se.x@0.2 >= 1");
        for (holds, verdict, part) in [
            (&[low][..], Verdict::Reproduced, "vae.x 1 ± "),
            (&[high], Verdict::NotReproduced, "; fails: se.x >= 70"),
            (&[low, high], Verdict::Partly, "; fails: se.x >= 70"),
            (&["se.x >= 60"], Verdict::NotReproduced, "; within the error: se.x >= 60"),
            (&[missing], Verdict::Untested, "not measured: se.x@0.2"),
            (&[low, missing], Verdict::Untested, "; not measured: se.x@0.2"),
            (&["few.x >= 1"], Verdict::Untested, "not measured: few.x on at least 100 images"),
            (
                &["one.x >= 1"],
                Verdict::Untested,
                "not measured: the error of one.x, which takes more than one seed",
            ),
            (&["none.x >= 1"], Verdict::Untested, "not measured: none.x"),
            (&[], Verdict::Untested, "nothing"),
        ] {
            let claim = claim(holds, &numbers);
            assert_eq!(claim.verdict(), verdict, "{holds:?}");
            assert!(claim.numbers().contains(part), "{}: {part}", claim.numbers());
            assert!(claim.text().contains(verdict.text()) && claim.text().contains("it falls (0)"));
            let json = serde_json::to_value(&claim).unwrap();
            assert_eq!(json["reproduced"], verdict == Verdict::Reproduced);
        }
        let json = serde_json::to_value(claim(&[low, high], &numbers)).unwrap();
        assert_eq!(json["verdict"], "partly");
        assert_eq!(json["systems"], serde_json::json!(["se", "vae"]));
        assert_eq!(json["runs"], serde_json::json!(["runs/se", "runs/vae"]));
        assert_eq!(json["margin"][1]["outcome"], "fails");
        assert_eq!(json["measured"]["vae.x"]["over"]["images"], 500);
        assert!(json["estimator"].as_str().is_some_and(|text| text.contains("accuracy")));
    }

    #[test]
    fn the_claims_of_the_program_are_sound() {
        let book = Book::read().unwrap();
        let mut ids = BTreeSet::new();
        for stated in &book.claims {
            assert!(ids.insert(&stated.id) && !stated.holds.is_empty(), "{}", stated.id);
            assert!(book.estimates.contains_key(&stated.estimates), "{}", stated.id);
            for key in &stated.deviations {
                assert!(book.deviations.contains_key(key), "{}: {key}", stated.id);
            }
        }
        for key in book.deviations.keys() {
            assert!(book.claims.iter().any(|stated| stated.deviations.contains(key)), "{key}");
        }
        for key in book.estimates.keys() {
            assert!(book.claims.iter().any(|stated| stated.estimates == *key), "{key}");
        }
        // Figure 2 shows what such a system is, and claims nothing.
        for what in What::each().into_iter().filter(|&what| what != What::Fig2) {
            let claims = judge(what, &Measured::default()).unwrap();
            assert!(!claims.is_empty(), "{}", what.name());
            assert!(claims.iter().all(|claim| claim.verdict() == Verdict::Untested), "{}", what.name());
        }
    }

    #[test]
    fn a_tally_counts_each_verdict() {
        let numbers = measured(&[("vae.x", &[1.0])]);
        let one = claim(&["vae.x <= 5"], &numbers);
        let all =
            [one.clone(), claim(&["vae.x <= 5", "vae.x >= 5"], &numbers), claim(&["se.x <= 5"], &numbers)];
        assert_eq!(tally(all.iter()), "1 of 3 claims reproduced, 1 partly, 1 untested");
        assert_eq!(tally([one].iter()), "1 of 1 claims reproduced");
    }
}
