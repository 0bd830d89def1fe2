//! `smoothenc bench`: its document, its tables, and what it refuses.

mod common;

use common::Lab;
use serde_json::Value;

/// Every number below `value` is finite and above 0, but those that may be 0.
#[track_caller]
fn assert_positive(path: &str, value: &Value) {
    // A line's start can be anything; what a call of a square adds to a step is nothing.
    if ["intercept_s", "calls_per_step", "note"].iter().any(|key| path.ends_with(key)) {
        return;
    }
    match value {
        Value::Number(n) => {
            let n = n.as_f64().unwrap();
            assert!(n.is_finite() && n > 0.0, "{path} is {n}");
        }
        Value::Array(items) => items.iter().for_each(|item| assert_positive(path, item)),
        Value::Object(map) => map.iter().for_each(|(k, v)| assert_positive(&format!("{path}.{k}"), v)),
        _ => {}
    }
}

#[test]
fn the_document_has_its_keys_and_sound_numbers() {
    let text = Lab::new().ok("bench --device cpu --quick --json");
    let report: Value = serde_json::from_str(&text).unwrap();
    // Slopes of times this short may come out as anything.
    let mut numbers = report.clone();
    numbers["fit"].take();
    assert_positive("report", &numbers);
    for key in ["device", "software", "threads", "ceilings", "kernels", "steps", "fit", "ascent", "attack"] {
        assert!(!report[key].is_null(), "no {key}");
    }
    assert!(report["ceilings"]["fma_gflops"].is_f64() && report["ceilings"]["copy_gbs"].is_f64());
    let kernels = report["kernels"].as_array().unwrap();
    for name in ["adam", "gather", "matmul", "monitor", "random"] {
        assert!(kernels.iter().any(|k| k["kernel"] == name && k["calls_per_step"] != 0), "no {name}");
    }
    let squares: Vec<_> = kernels.iter().filter(|k| k["calls_per_step"] == 0).collect();
    assert_eq!(squares.len(), 4);
    for kernel in kernels {
        let told = kernel["seconds"].is_f64() && kernel["share"].is_f64() && kernel["gbs"].is_f64();
        assert!(told || kernel["note"].is_string(), "{kernel}");
    }
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().all(|s| s["L"].is_u64() && s["median_s"].is_f64() && s["dispatches"].is_u64()));
    let fit = &report["fit"];
    assert!(fit["against_l"]["r2"].is_f64() && fit["against_batch"]["slope_s"].is_f64());
    assert_eq!(fit["scratch_independent_of_l"], true);
    let ascent = &report["ascent"][0];
    assert!(ascent["ratio"].is_f64() && ascent["half_s"].is_null(), "{ascent}");
    assert!(report["attack"]["seconds"].is_f64());
    // One thread has nothing to be compared with.
    assert_eq!(report["scaling"].is_object(), report["threads"] != 1, "{}", report["scaling"]);
    let empty = Vec::new();
    let rows = report["scaling"]["rows"].as_array().unwrap_or(&empty);
    assert!(rows.iter().all(|row| row["faster"].is_f64() && row["one_share"].is_f64()), "{rows:?}");
    assert!(rows.len() == 6 || report["threads"] == 1, "{rows:?}");
}

#[test]
fn parts_are_measured_alone() {
    let lab = Lab::new();
    let report = lab.ok("bench --device cpu --quick --only ceilings --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(report["ceilings"].is_object());
    assert!(
        ["kernels", "steps", "fit", "ascent", "scaling", "attack"].iter().all(|key| report[*key].is_null()),
        "{report}"
    );
    let half = lab.ok("bench --device cpu --quick --only kernels --precision f16 --json");
    let half: Value = serde_json::from_str(&half).unwrap();
    assert_eq!(half["precision"], "f16");
    let has = |kernel: &str, constant: &str| {
        let of = |k: &&Value| k["kernel"] == kernel && k["variant"].as_str().unwrap().contains(constant);
        half["kernels"].as_array().unwrap().iter().filter(of).count()
    };
    assert!(has("matmul", "HALF=1") > 4 && has("pgd_mlp", "HALF=1") == 1 && has("half", "") == 1, "{half}");
    // The codes that the selection moves away from are made of floats, by layers of three sizes.
    assert_eq!(has("matmul", "") - has("matmul", "HALF=1"), 3, "{half}");
    let text = lab.ok("bench --device cpu --quick --only attack,ceilings");
    assert!(text.contains("ceilings: ") && text.contains("attack: 50 images"), "{text}");
    assert!(!text.contains("kernel ") && !text.contains("batch"), "{text}");
}

#[test]
fn wrong_flags_are_refused() {
    let lab = Lab::new();
    lab.refused(2, "bench --device abacus", &["--device abacus", "gpu:N"]);
    lab.refused(2, "bench --seconds 0", &["--seconds", "above 0"]);
    lab.refused(2, "bench --seconds -1", &["--seconds"]);
    lab.refused(2, "bench --seconds NaN", &["--seconds"]);
    lab.refused(2, "bench --only kernels,all", &["--only", "ceilings"]);
    lab.refused(2, "bench --only", &["--only"]);
    lab.refused(2, "bench --precision f64", &["--precision", "f16"]);
}
