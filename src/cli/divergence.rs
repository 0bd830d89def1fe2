//! The `divergence` command: closed forms for pairs of Gaussians, JSON in and out (docs/interface.md).

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Deserializer, Map, Value};

use crate::engine::device::gpu::adapter::Choice;
use crate::method::divergence::{self, DiagonalCase, DiagonalOut, FullCase};
use crate::progress::Context;
use crate::{Error, Result};

/// Computes factorised cases on a GPU, in float32: one result for each case, in order.
pub type DiagonalOnDevice = dyn Fn(&[DiagonalCase]) -> Result<Vec<DiagonalOut>>;

/// The arguments of `divergence`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DivergenceArgs {
    /// JSON input [default: stdin, also as -]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// cpu (float64), or gpu or gpu:N for the factorised cases in the fused float32 kernels; auto is cpu here
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
}

const EXAMPLES: &str = "\
Input: an object with a list `diag` and/or `full`. Factorised Gaussians by mean and log-variance:
  {\"diag\": [{\"gamma\": 1, \"mu_a\": [0.5], \"logvar_a\": [-2],
             \"mu_b\": [0], \"logvar_b\": [-1]}]}
Full covariances, row by row:
  {\"full\": [{\"gamma\": 1, \"mu_a\": [0, 1], \"cov_a\": [[1, 0.2], [0.2, 2]],
             \"mu_b\": [0, 0], \"cov_b\": [[1, 0], [0, 1]]}]}
Output: the same lists with `out` in each case: wd (the entropy-regularised
Wasserstein divergence with coupling gamma), w2 (the squared 2-Wasserstein
distance), kl_ab, and more. gamma may be 0. Other keys of a case are passed through.

wd is not 0 where the two Gaussians are equal, and it may be negative: it is the minimum over
couplings of gamma/2 E|z_a - z_b|^2 minus the coupling's differential entropy, and that has
either sign. Software for optimal transport with the cost |.|^2 calls 2/gamma the
regularisation. Numbers that are 0 at equality and never negative are w2 and kl_ab.

A covariance may be singular: w2 and trace_psi are then finite, wd and kl_ab infinite.
What is not finite is null in the output, and `reason` beside it says why. Mirrored entries
may differ by the rounding of float32 (1e-6 of the largest entry); their mean is taken.";

/// Runs the command: reads, computes, prints one JSON document on stdout.
///
/// # Errors
/// A wrong request for input that cannot be used, naming list, case and key; those of the device.
pub fn run(args: &DivergenceArgs, context: &Context) -> Result<()> {
    let text = match args.device.parse()? {
        Choice::Gpu(_) => {
            // Opened before anything is read, so that a missing device is the first to be told.
            let device = context.open(&args.device, false)?;
            let on_device = move |cases: &[DiagonalCase]| {
                cases.iter().map(|case| divergence::on_device(&device, case)).collect()
            };
            evaluate(&read(args)?, Some(&on_device))?
        }
        Choice::Cpu | Choice::Auto => evaluate(&read(args)?, None)?,
    };
    super::report::write(&(text + "\n"))
}

fn read(args: &DivergenceArgs) -> Result<String> {
    let named = args.file.as_ref().filter(|path| path.as_os_str() != "-");
    let (name, result) = match named {
        Some(path) => (path.display().to_string(), fs::read_to_string(path)),
        None => {
            if io::stdin().is_terminal() {
                eprintln!("reading JSON from the keyboard; end with Ctrl-D");
            }
            let mut text = String::new();
            ("stdin".to_string(), io::stdin().read_to_string(&mut text).map(|_| text))
        }
    };
    result.map_err(|error| Error::request(format!("{name} cannot be read: {error}")))
}

/// The output document for an input document; `on_device` computes the factorised cases if given.
///
/// # Errors
/// As [`run`].
pub fn evaluate(input: &str, on_device: Option<&DiagonalOnDevice>) -> Result<String> {
    let Value::Object(mut input) = parse(input)? else {
        return Err(Error::request("the input must be a JSON object with a list `diag` and/or `full`"));
    };
    let (diagonal, full) = (input.remove("diag"), input.remove("full"));
    if diagonal.is_none() && full.is_none() {
        let text = "the input has neither a list `diag` nor a list `full`";
        return Err(Error::request(format!("{text}{}", named("; its keys are", input.keys()))));
    }
    for (key, _) in input.iter().filter(|(_, value)| value.is_array()) {
        log::warn!("the list `{key}` is left out: only `diag` and `full` are computed");
    }
    let mut output = Map::new();
    if let Some(list) = diagonal {
        output.insert("diag".into(), diagonal_list(list, on_device)?);
    }
    if let Some(list) = full {
        output.insert("full".into(), full_list(list)?);
    }
    serde_json::to_string_pretty(&output).map_err(|error| Error::run(format!("the output: {error}")))
}

/// Reads JSON; what is wrong is told with list, case and key.
fn parse(text: &str) -> Result<Value> {
    // Windows programs write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut json = Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json);
    let value = value.map_err(|error| (error.path().to_string(), error.into_inner()));
    let value = value.and_then(|value| json.end().map(|()| value).map_err(|error| (".".into(), error)));
    value.map_err(|(path, error)| {
        let place = match path.replacen("].", "]: ", 1) {
            path if path == "." => "the input".to_string(),
            path => path,
        };
        let (line, column) = (error.line(), error.column());
        let word = word_at(text, line, column);
        Error::request(match word.parse::<f64>() {
            // Python writes NaN and Infinity.
            Ok(number) if !number.is_finite() => format!(
                "the input is not JSON: {place} is {word}, but numbers must be finite (line {line} column {column})"
            ),
            _ => format!("the input is not JSON: {place}: {error}"),
        })
    })
}

/// The word at a line and a column, both from 1, the column in bytes.
fn word_at(text: &str, line: usize, column: usize) -> &str {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let ends = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte);
    let (before, after) = line.as_bytes().split_at(column.saturating_sub(1).min(line.len()));
    let start = before.iter().rposition(ends).map_or(0, |at| at + 1);
    let end = before.len() + after.iter().position(ends).unwrap_or(after.len());
    line.get(start..end).unwrap_or_default()
}

/// Keys behind some words, at most eight; nothing where there are none.
fn named<'a>(words: &str, keys: impl Iterator<Item = &'a String>) -> String {
    let keys: Vec<String> = keys.take(8).map(|key| format!("`{key}`")).collect();
    if keys.is_empty() { String::new() } else { format!("{words} {}", keys.join(", ")) }
}

type Object = Map<String, Value>;

/// A list of the document: its name, and the keys that each of its cases must have.
struct List {
    name: &'static str,
    keys: [&'static str; 5],
}

const DIAGONAL: List = List { name: "diag", keys: ["gamma", "mu_a", "logvar_a", "mu_b", "logvar_b"] };
const FULL: List = List { name: "full", keys: ["gamma", "mu_a", "cov_a", "mu_b", "cov_b"] };

fn diagonal_list(list: Value, on_device: Option<&DiagonalOnDevice>) -> Result<Value> {
    let (objects, cases) = DIAGONAL.read(list, |case: &DiagonalCase| {
        let others: [(_, &[f64]); 3] =
            [("logvar_a", &case.logvar_a), ("mu_b", &case.mu_b), ("logvar_b", &case.logvar_b)];
        check(case.gamma, &case.mu_a, &others)
    })?;
    let results = match on_device {
        Some(on_device) => on_device(&cases)?,
        None => cases.iter().map(DiagonalCase::evaluate).collect(),
    };
    if results.len() != cases.len() {
        return Err(Error::device(format!("{} cases gave {} results", cases.len(), results.len())));
    }
    DIAGONAL.with_out(objects, results)
}

fn full_list(list: Value) -> Result<Value> {
    let (objects, cases) =
        FULL.read(list, |case: &FullCase| check(case.gamma, &case.mu_a, &[("mu_b", &case.mu_b)]))?;
    let results = cases.iter().enumerate();
    let results = results.map(|(at, case)| case.evaluate().map_err(|text| FULL.refuse(at, &text)));
    FULL.with_out(objects, results.collect::<Result<Vec<_>>>()?)
}

/// What numbers must fulfil that types do not say. JSON has finite numbers only.
fn check(gamma: f64, mu_a: &[f64], others: &[(&str, &[f64])]) -> std::result::Result<(), String> {
    if gamma < 0.0 {
        return Err(format!("gamma must be 0 or a positive number, got {gamma}"));
    }
    if mu_a.is_empty() {
        return Err("mu_a is empty; it needs a number for each dimension".into());
    }
    match others.iter().find(|(_, list)| list.len() != mu_a.len()) {
        Some((key, list)) => Err(format!("{key} has {} entries, but mu_a has {}", list.len(), mu_a.len())),
        None => Ok(()),
    }
}

impl List {
    fn refuse(&self, at: usize, text: &str) -> Error {
        Error::request(format!("{}[{at}]: {text}", self.name))
    }

    /// The objects of the list as they are, and the checked cases that they are.
    fn read<T: DeserializeOwned>(
        &self,
        list: Value,
        check: impl Fn(&T) -> std::result::Result<(), String>,
    ) -> Result<(Vec<Object>, Vec<T>)> {
        let name = self.name;
        let objects: Vec<Object> = serde_path_to_error::deserialize(list).map_err(|error| {
            let place = format!("{name}{}", error.path()).replace('.', "");
            Error::request(format!("{place}: {}; `{name}` must be a list of objects", error.inner()))
        })?;
        let case = |(at, object): (usize, &Object)| {
            if let Some(key) = self.keys.iter().find(|&&key| !object.contains_key(key)) {
                let unknown = object.keys().filter(|key| !self.keys.contains(&key.as_str()));
                let keys = self.keys.join(", ");
                let text = format!("{key} is missing; a case of `{name}` needs {keys}");
                return Err(self.refuse(at, &(text + &named("; not known here:", unknown))));
            }
            let case: T = serde_path_to_error::deserialize(object)
                .map_err(|error| self.refuse(at, &format!("{}: {}", error.path(), error.inner())))?;
            check(&case).map_err(|text| self.refuse(at, &text))?;
            Ok(case)
        };
        let cases = objects.iter().enumerate().map(case).collect::<Result<_>>()?;
        Ok((objects, cases))
    }

    /// The cases again, each with its `out`. Values that are not finite are null, as JSON knows nothing else;
    /// `reason` beside them says why.
    fn with_out<T: Serialize>(&self, objects: Vec<Object>, results: Vec<T>) -> Result<Value> {
        let mut without = Vec::new();
        let mut cases = Vec::with_capacity(objects.len());
        for (at, (mut object, result)) in objects.into_iter().zip(results).enumerate() {
            let mut out = serde_json::to_value(&result)
                .map_err(|error| Error::run(format!("{}[{at}]: {error}", self.name)))?;
            let keys = null_keys(&out).join(", ");
            if !keys.is_empty() {
                if out.get("reason").is_none() {
                    let reason =
                        "beyond the range of floating point; use less extreme means, variances or gamma";
                    out["reason"] = format!("{keys}: {reason}").into();
                }
                let reason = out["reason"].as_str().unwrap_or_default();
                without.push(format!("{}[{at}]: {reason}", self.name));
            }
            object.insert("out".into(), out);
            cases.push(Value::Object(object));
        }
        if let Some(first) = without.first() {
            let (n, all) = (without.len(), cases.len());
            log::warn!("{n} of {all} cases of `{}` have values that are not finite: {first}", self.name);
        }
        Ok(Value::Array(cases))
    }
}

/// The keys of an object that have a null, at any depth.
fn null_keys(object: &Value) -> Vec<&str> {
    let entries = object.as_object().into_iter().flatten();
    entries.filter(|(_, value)| has_null(value)).map(|(key, _)| key.as_str()).collect()
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().any(has_null),
        Value::Array(list) => list.iter().any(has_null),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIAGONAL: &str =
        r#"{"gamma": 1, "mu_a": [0.5, 1], "logvar_a": [-2, 0], "mu_b": [0, 1], "logvar_b": [-1, 0]}"#;
    const FULL: &str = r#"{"gamma": 0, "mu_a": [0, 1], "cov_a": [[1, 0.2], [0.2, 2]],
        "mu_b": [0, 0], "cov_b": [[1, 0], [0, 1]]}"#;

    fn document(list: &str, case: &str) -> String {
        format!("{{\"{list}\": [{case}]}}")
    }

    fn value(input: &str) -> Value {
        serde_json::from_str(&evaluate(input, None).unwrap()).unwrap()
    }

    #[track_caller]
    fn refused(input: &str, parts: &[&str]) {
        match evaluate(input, None) {
            Err(error) if error.is_request() => {
                let text = error.in_full();
                assert!(parts.iter().all(|part| text.contains(part)), "{text:?} has not all of {parts:?}");
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn the_golden_file_goes_through() {
        let text = include_str!("../../golden/golden.json");
        let golden: Value = serde_json::from_str(text).unwrap();
        let output = value(text);
        assert_eq!(output.as_object().unwrap().keys().collect::<Vec<_>>(), ["diag", "full"]);
        assert_eq!(output["diag"].as_array().unwrap().len(), 21);
        let compare = |list: &str, at: usize, key: &str| {
            let [got, want] = [&output, &golden].map(|v| v[list][at]["out"][key].as_f64().unwrap());
            assert!((got - want).abs() <= 1e-9 * want.abs(), "{list}[{at}].{key}: {got} {want}");
        };
        for key in ["wd", "w2", "kl_ab", "kl_a_std", "kl_b_std"] {
            compare("diag", 3, key);
        }
        for key in ["trace_psi", "wd", "w2", "kl_ab"] {
            compare("full", 4, key);
        }
        assert_eq!(output["diag"][0]["note"], "typical");
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let out = &output["diag"][2]["out"];
        assert_eq!(keys(out), ["wd", "wd_grad", "w2", "w2_grad", "kl_ab", "kl_a_std", "kl_b_std"]);
        assert_eq!(keys(&out["wd_grad"]), ["d_mu_a", "d_logvar_a", "d_mu_b", "d_logvar_b"]);
        assert_eq!(keys(&out["w2_grad"]), ["d_mu_b", "d_logvar_b"]);
        assert_eq!(keys(&output["full"][0]["out"]), ["trace_psi", "wd", "w2", "kl_ab"]);
    }

    #[test]
    fn only_the_lists_given_come_back() {
        let output = value(&document("full", FULL));
        assert!(output.get("diag").is_none());
        assert_eq!(value(r#"{"diag": [], "x": 1}"#), serde_json::json!({"diag": []}));
    }

    #[test]
    fn input_that_cannot_be_used_is_named() {
        refused("{", &["not JSON"]);
        refused("[]", &["JSON object"]);
        refused("{}", &["neither"]);
        refused(r#"{"diag": [],}"#, &["not JSON", "line 1 column 13"]);
        refused(r#"{"diag": []} x"#, &["not JSON", "trailing"]);
        refused(r#"{"diag": 3}"#, &["diag: ", "`3`", "`diag` must be a list"]);
        refused(r#"{"full": [3]}"#, &["full[0]: ", "`3`", "list of objects"]);
        let two = format!("{{\"diag\": [{DIAGONAL}, {}]}}", DIAGONAL.replace("[-1, 0]", "[-1, null]"));
        refused(&two, &["diag[1]: logvar_b[1]", "null"]);
        refused(
            &document("diag", &DIAGONAL.replace("[-1, 0]", "[-1]")),
            &["diag[0]: logvar_b has 1 entries"],
        );
        refused(&document("diag", &DIAGONAL.replace("[-1, 0]", "\"x\"")), &["diag[0]: logvar_b"]);
        refused(&document("diag", &DIAGONAL.replace("[0.5, 1]", "[]")), &["diag[0]: mu_a"]);
        refused(&document("diag", &DIAGONAL.replace(": 1,", ": -1,")), &["diag[0]: gamma", "-1"]);
        refused(
            &document("full", &FULL.replace("[0.2, 2]", "[0.3, 2]")),
            &["full[0]: cov_a", "symmetric", "9.9", "apart"],
        );
        refused(
            &document("full", &FULL.replace("[0, 1]]", "[0, -1]]")),
            &["full[0]: cov_b", "positive semidefinite", "-1"],
        );
        refused(&document("full", &FULL.replace("[0, 1]]", "[0]]")), &["full[0]: cov_b", "2x2"]);
        refused(&document("full", &FULL.replace("[0, 1]]", "[0, true]]")), &["full[0]: cov_b[1][1]", "true"]);
        refused(&document("full", &FULL.replace("\"mu_b\": [0, 0]", "\"mu_b\": [0]")), &["full[0]: mu_b"]);
    }

    /// Python's json writes NaN and Infinity; what is beyond float64 is as bad.
    #[test]
    fn numbers_that_are_not_finite_are_named() {
        for word in ["NaN", "Infinity", "-Infinity", "nan", "1e999"] {
            let gamma = document("diag", &DIAGONAL.replace(": 1,", &format!(": {word},")));
            refused(&gamma, &["not JSON: diag[0]: gamma is ", word, "finite", "line 1 column"]);
            let entry = format!("{{\"full\":\n[{}]}}", FULL.replace("0.2, 2]", &format!("{word}, 2]")));
            refused(&entry, &["full[0]: cov_a[1][0] is ", word, "line 2 column"]);
        }
        refused("NaN", &["not JSON: the input is NaN"]);
        refused("é, NaN", &["not JSON: the input: expected"]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let plain = document("diag", DIAGONAL);
        assert_eq!(value(&format!("\u{feff}{plain}")), value(&plain));
    }

    #[test]
    fn keys_that_are_not_what_was_asked_are_named() {
        let misspelt = document("diag", &DIAGONAL.replace("\"mu_b\"", "\"mu\""));
        refused(&misspelt, &["diag[0]: mu_b is missing", "gamma, mu_a, logvar_a", "not known here: `mu`"]);
        refused(&document("diag", FULL), &["diag[0]: logvar_a is missing", "`cov_a`, `cov_b`"]);
        refused(&document("Diag", DIAGONAL), &["neither a list `diag`", "its keys are `Diag`"]);
        refused(DIAGONAL, &["neither", "`gamma`, `mu_a`"]);
    }

    #[test]
    fn a_case_without_finite_values_does_not_lose_the_others() {
        let singular = FULL.replace("[[1, 0.2], [0.2, 2]]", "[[1, 1], [1, 1]]");
        let extreme = DIAGONAL.replace("[-2, 0]", "[9999, 0]");
        let output = value(&format!("{{\"diag\": [{extreme}, {DIAGONAL}], \"full\": [{singular}, {FULL}]}}"));
        let out = |list: &str, at: usize| &output[list][at]["out"];
        let reason = |list: &str| out(list, 0)["reason"].as_str().unwrap();
        assert!(out("diag", 0)["wd"].is_null() && out("diag", 0)["kl_b_std"].is_number());
        assert!(reason("diag").starts_with("wd, wd_grad, w2") && reason("diag").contains("range"));
        assert!(out("full", 0)["wd"].is_null() && out("full", 0)["kl_ab"].is_null());
        // |(0, 1)|^2 + Tr(S_a + I) - 2 sqrt(2).
        let w2 = out("full", 0)["w2"].as_f64().unwrap();
        assert!((w2 - (5.0 - 8_f64.sqrt())).abs() < 1e-14, "{w2}");
        assert!(reason("full").starts_with("cov_a is singular") && reason("full").contains("multiple of I"));
        for list in ["diag", "full"] {
            assert!(out(list, 1)["wd"].is_number() && out(list, 1).get("reason").is_none());
        }
    }

    #[test]
    fn covariances_of_float32_are_symmetric_enough() {
        let off = FULL.replace("[[1, 0.2], [0.2, 2]]", "[[1, 0.20000000298], [0.20000001788, 2]]");
        let [rounded, exact] = [off.as_str(), FULL].map(|case| value(&document("full", case)));
        let w2 = |output: &Value| output["full"][0]["out"]["w2"].as_f64().unwrap();
        assert!((w2(&rounded) - w2(&exact)).abs() < 1e-7);
    }

    #[test]
    fn numbers_are_read_to_the_last_bit() {
        // Nearest float64 values that serde_json misses by a bit without its feature float_roundtrip.
        let numbers = "[1.6948674738744653,0.9908701741838819,1.8905413911078446]";
        let output =
            value(&document("diag", &DIAGONAL.replace("\"gamma\"", &format!("\"x\": {numbers}, \"gamma\""))));
        assert_eq!(output["diag"][0]["x"].to_string(), numbers);
    }

    #[test]
    fn a_device_computes_the_factorised_cases_only() {
        let fake = |cases: &[DiagonalCase]| -> Result<Vec<DiagonalOut>> {
            Ok(cases.iter().map(|case| DiagonalOut { wd: 42.0, ..case.evaluate() }).collect())
        };
        let input = format!("{{\"diag\": [{DIAGONAL}], \"full\": [{FULL}]}}");
        let output: Value = serde_json::from_str(&evaluate(&input, Some(&fake)).unwrap()).unwrap();
        assert_eq!(output["diag"][0]["out"]["wd"], 42.0);
        assert_ne!(output["full"][0]["out"]["wd"], 42.0);
        let broken = |_: &[DiagonalCase]| Ok(vec![]);
        assert!(!evaluate(&input, Some(&broken)).unwrap_err().is_request());
    }
}
