//! The `divergence` command: closed forms for pairs of Gaussians, JSON in and out (docs/interface.md).

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

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
distance), kl_ab, and more. gamma may be 0. Other keys are passed through.";

/// Runs the command: reads, computes, prints one JSON document on stdout.
///
/// # Errors
/// [`Error::Request`] for input that cannot be used, naming case and key; those of the device.
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
    let input: Value = serde_json::from_str(input)
        .map_err(|error| Error::request(format!("the input is not JSON: {error}")))?;
    let Value::Object(mut input) = input else {
        return Err(Error::request("the input must be a JSON object with a list `diag` and/or `full`"));
    };
    let diagonal = input.remove("diag").map(|list| diagonal_list(list, on_device)).transpose()?;
    let full = input.remove("full").map(full_list).transpose()?;
    if diagonal.is_none() && full.is_none() {
        return Err(Error::request("the input has neither a list `diag` nor a list `full`"));
    }
    let lists = [("diag", diagonal), ("full", full)];
    let output: Map<String, Value> =
        lists.into_iter().filter_map(|(key, list)| Some((key.to_string(), list?))).collect();
    serde_json::to_string_pretty(&output).map_err(|error| Error::run(format!("the output: {error}")))
}

fn diagonal_list(list: Value, on_device: Option<&DiagonalOnDevice>) -> Result<Value> {
    let objects = objects("diag", list)?;
    let cases = objects.iter().enumerate().map(|(at, object)| diagonal_case(at, object));
    let cases: Vec<DiagonalCase> = cases.collect::<Result<_>>()?;
    let results = match on_device {
        Some(on_device) => on_device(&cases)?,
        None => cases.iter().map(DiagonalCase::evaluate).collect(),
    };
    if results.len() != cases.len() {
        return Err(Error::device(format!("{} cases gave {} results", cases.len(), results.len())));
    }
    with_out("diag", objects, results)
}

fn full_list(list: Value) -> Result<Value> {
    let objects = objects("full", list)?;
    let mut results = Vec::with_capacity(objects.len());
    for (at, object) in objects.iter().enumerate() {
        let case = Case { list: "full", at, object };
        let mu_a = case.numbers("mu_a")?;
        let mu_b = case.same_length("mu_b", mu_a.len())?;
        let full = FullCase {
            gamma: case.gamma()?,
            mu_a,
            cov_a: case.rows("cov_a")?,
            mu_b,
            cov_b: case.rows("cov_b")?,
        };
        results.push(full.evaluate().map_err(|text| case.refuse(&text))?);
    }
    with_out("full", objects, results)
}

fn diagonal_case(at: usize, object: &Map<String, Value>) -> Result<DiagonalCase> {
    let case = Case { list: "diag", at, object };
    let mu_a = case.numbers("mu_a")?;
    let dimension = mu_a.len();
    Ok(DiagonalCase {
        gamma: case.gamma()?,
        mu_a,
        logvar_a: case.same_length("logvar_a", dimension)?,
        mu_b: case.same_length("mu_b", dimension)?,
        logvar_b: case.same_length("logvar_b", dimension)?,
    })
}

/// The objects of a list.
fn objects(name: &str, list: Value) -> Result<Vec<Map<String, Value>>> {
    let Value::Array(list) = list else {
        return Err(Error::request(format!("`{name}` must be a list of cases")));
    };
    let each = list.into_iter().enumerate().map(|(at, value)| match value {
        Value::Object(object) => Ok(object),
        _ => Err(Error::request(format!("{name}[{at}] must be an object"))),
    });
    each.collect()
}

/// The cases again, each with its `out`, which must be finite: JSON knows nothing else.
fn with_out<T: serde::Serialize>(
    list: &str,
    objects: Vec<Map<String, Value>>,
    results: Vec<T>,
) -> Result<Value> {
    let mut cases = Vec::with_capacity(objects.len());
    for (at, (mut object, result)) in objects.into_iter().zip(results).enumerate() {
        let out =
            serde_json::to_value(&result).map_err(|error| Error::run(format!("{list}[{at}]: {error}")))?;
        // serde_json writes null for what is not finite; no result has nulls otherwise.
        if let Some(key) = null_key(&out, "out") {
            return Err(Error::request(format!(
                "{list}[{at}]: {key} is beyond the range of floating point; use less extreme means, variances or gamma"
            )));
        }
        object.insert("out".into(), out);
        cases.push(Value::Object(object));
    }
    Ok(Value::Array(cases))
}

/// The path of the first null in a value.
fn null_key(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Null => Some(path.to_string()),
        Value::Object(map) => map.iter().find_map(|(key, value)| null_key(value, &format!("{path}.{key}"))),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(i, value)| null_key(value, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

/// A case being read: where it stands, for errors.
struct Case<'a> {
    list: &'static str,
    at: usize,
    object: &'a Map<String, Value>,
}

impl Case<'_> {
    fn refuse(&self, text: &str) -> Error {
        Error::request(format!("{}[{}]: {text}", self.list, self.at))
    }

    fn get(&self, key: &str) -> Result<&Value> {
        self.object.get(key).ok_or_else(|| self.refuse(&format!("{key} is missing")))
    }

    fn gamma(&self) -> Result<f64> {
        match self.get("gamma")?.as_f64() {
            Some(gamma) if gamma >= 0.0 && gamma.is_finite() => Ok(gamma),
            _ => {
                Err(self.refuse(&format!("gamma must be 0 or a positive number, got {}", self.get("gamma")?)))
            }
        }
    }

    /// A non-empty list of finite numbers.
    fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        self.list_of_numbers(key, self.get(key)?)
    }

    fn list_of_numbers(&self, key: &str, value: &Value) -> Result<Vec<f64>> {
        let list = match value {
            Value::Array(list) if !list.is_empty() => list,
            _ => return Err(self.refuse(&format!("{key} must be a non-empty list of numbers"))),
        };
        let number = |(i, value): (usize, &Value)| match value.as_f64() {
            Some(number) if number.is_finite() => Ok(number),
            _ => Err(self.refuse(&format!("{key}[{i}] must be a finite number, got {value}"))),
        };
        list.iter().enumerate().map(number).collect()
    }

    fn same_length(&self, key: &str, dimension: usize) -> Result<Vec<f64>> {
        let numbers = self.numbers(key)?;
        if numbers.len() == dimension {
            return Ok(numbers);
        }
        let text = format!("{key} has {} entries, but mu_a has {dimension}", numbers.len());
        Err(self.refuse(&text))
    }

    /// A matrix, row by row; whether it is square is checked where it is used.
    fn rows(&self, key: &str) -> Result<Vec<Vec<f64>>> {
        let Value::Array(rows) = self.get(key)? else {
            return Err(self.refuse(&format!("{key} must be a list of rows")));
        };
        rows.iter().enumerate().map(|(i, row)| self.list_of_numbers(&format!("{key}[{i}]"), row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIAGONAL: &str =
        r#"{"gamma": 1, "mu_a": [0.5, 1], "logvar_a": [-2, 0], "mu_b": [0, 1], "logvar_b": [-1, 0]}"#;
    const FULL: &str = r#"{"gamma": 0, "mu_a": [0, 1], "cov_a": [[1, 0.2], [0.2, 2]], "mu_b": [0, 0], "cov_b": [[1, 0], [0, 1]]}"#;

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
        refused(r#"{"diag": 3}"#, &["`diag` must be a list"]);
        refused(r#"{"full": [3]}"#, &["full[0] must be an object"]);
        let two = format!("{{\"diag\": [{DIAGONAL}, {}]}}", DIAGONAL.replace("[-1, 0]", "[-1, null]"));
        refused(&two, &["diag[1]: logvar_b[1]", "null"]);
        refused(
            &document("diag", &DIAGONAL.replace("[-1, 0]", "[-1]")),
            &["diag[0]: logvar_b has 1 entries"],
        );
        refused(&document("diag", &DIAGONAL.replace("[-1, 0]", "\"x\"")), &["diag[0]: logvar_b"]);
        refused(&document("diag", &DIAGONAL.replace("[0.5, 1]", "[]")), &["diag[0]: mu_a"]);
        refused(&document("diag", &DIAGONAL.replace("\"mu_b\"", "\"mu\"")), &["diag[0]: mu_b is missing"]);
        refused(&document("diag", &DIAGONAL.replace(": 1,", ": -1,")), &["diag[0]: gamma", "-1"]);
        refused(&document("diag", &DIAGONAL.replace(": 1,", ": NaN,")), &["not JSON"]);
        refused(&document("diag", &DIAGONAL.replace(": 1,", ": 1e999,")), &["not JSON"]);
        refused(&document("diag", &DIAGONAL.replace("[-2, 0]", "[9999, 0]")), &["diag[0]: out.wd", "range"]);
        refused(&document("full", &FULL.replace("[0.2, 2]", "[0.3, 2]")), &["full[0]: cov_a", "symmetric"]);
        refused(
            &document("full", &FULL.replace("[0, 1]]", "[0, -1]]")),
            &["full[0]: cov_b", "positive definite"],
        );
        refused(&document("full", &FULL.replace("[0, 1]]", "[0]]")), &["full[0]: cov_b", "2x2"]);
        refused(&document("full", &FULL.replace("[0, 1]]", "[0, true]]")), &["full[0]: cov_b[1][1]", "true"]);
        refused(&document("full", &FULL.replace("\"mu_b\": [0, 0]", "\"mu_b\": [0]")), &["full[0]: mu_b"]);
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
        assert!(matches!(evaluate(&input, Some(&broken)), Err(Error::Device(_))));
    }
}
