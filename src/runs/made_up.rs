//! Runs that were never trained, for tests of what is made of their results.

use serde_json::{Map, Value, json};

use crate::runs::store::Finished;

/// An accuracy at each radius, or no attack.
pub type Radii<'a> = Option<&'a [(&'a str, f64)]>;

/// A run whose tasks were attacked, with an accuracy at each radius, or were not.
pub fn run(tasks: &[(&str, Radii)]) -> Finished {
    let mut attacked = Map::new();
    for (name, accuracies) in tasks {
        let radii: Option<Map<String, Value>> = accuracies.map(|accuracies| {
            accuracies.iter().map(|(radius, value)| (radius.to_string(), json!(value))).collect()
        });
        // As in results of early versions, nothing is balanced under attack.
        let attack = radii.map(|radii| {
            json!({ "norm": "linf", "steps": 1, "restarts": 1, "examples": 1, "nominal_accuracy": 99.0,
                    "adversarial_accuracy": radii })
        });
        let mut task =
            json!({ "nominal_accuracy": 99.0, "majority_baseline": 50.0, "balanced_accuracy": 99.0 });
        if let Some(attack) = attack {
            task["attack"] = attack;
        }
        attacked.insert(name.to_string(), task);
    }
    let result = json!({
        "dataset": "d", "objective": "se", "arch": "mlp", "seed": 0, "iterations": 1, "device": "a CPU",
        "train_seconds": 1.0, "seconds_per_step": 1.0, "elbo_test": 1.0, "tasks": attacked
    });
    Finished { path: "run".into(), result: serde_json::from_value(result).unwrap() }
}
