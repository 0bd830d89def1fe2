use super::*;

/// The example of docs/interface.md, key by key, with what was added to the attack.
pub(super) const EXAMPLE: &str = r#"{
  "format": 2,
  "dataset": "mnist",
  "objective": "se",
  "arch": "mlp",
  "seed": 0,
  "iterations": 10000,
  "device": "a CPU",
  "train_seconds": 1.0,
  "seconds_per_step": 0.01,
  "elbo_test": 0.5,
  "tasks": {
    "digit": {
      "nominal_accuracy": 97.1,
      "majority_baseline": 11.4,
      "balanced_accuracy": 97.0,
      "attack": {
        "norm": "linf",
        "steps": 100,
        "restarts": 10,
        "examples": 1000,
        "nominal_accuracy": 97.4,
        "adversarial_accuracy": {
          "0.01": 96.0,
          "0.1": 70.0,
          "2": 20.0,
          "10": 1.0
        },
        "majority_baseline": 12.0,
        "balanced_accuracy": 97.2,
        "adversarial_balanced_accuracy": {
          "0.01": 95.5
        }
      }
    }
  },
  "evaluations": []
}
"#;

/// Blanks do not matter; a digit, a key or a missing value does.
#[test]
fn a_changed_record_is_refused() {
    let path = Path::new("result.json");
    let written = RunRecord::parse(path, EXAMPLE.as_bytes()).unwrap().to_json().unwrap();
    assert!(RunRecord::parse(path, written.replace("\n ", " ").as_bytes()).is_ok());
    for (from, to) in [("97.1", "97.2"), ("\"seed\": 0", "\"seed\": 1"), ("\"steps\": 100", "\"steps\": 10")]
    {
        let changed = written.replacen(from, to, 1);
        assert_ne!(changed, written);
        let error = RunRecord::parse(path, changed.as_bytes()).unwrap_err().in_full();
        assert!(error.contains("result.json") && error.contains("checksum"), "{error}");
    }
    for radii in ["\"NaN\": 1.0", "\"0.1\": 1.0, \"0.10\": 2.0"] {
        let text = EXAMPLE.replace("\"0.01\": 96.0", radii).replace("\"0.1\": 70.0,", "");
        assert!(RunRecord::parse(path, text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn the_interface_reads_and_writes_the_same() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("result.json");
    fs::write(&path, EXAMPLE).unwrap();
    let result = RunRecord::load(&path).unwrap();
    let attack = result.tasks["digit"].attack.as_ref().unwrap();
    assert_eq!(attack.adversarial_accuracy, [(0.01, 96.0), (0.1, 70.0), (2.0, 20.0), (10.0, 1.0)]);
    result.save(&path).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    let (kept, seal) = written.rsplit_once(",\n  \"sha256\": ").unwrap();
    assert_eq!((format!("{kept}\n}}\n").as_str(), seal.len()), (EXAMPLE, 2 + 64 + 3));
}

/// A record of the first version reads, and one of a later version is refused.
#[test]
fn versions_are_told_apart() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("result.json");
    let old = EXAMPLE.replace("  \"format\": 2,\n", "").replace(",\n  \"evaluations\": []", "");
    fs::write(&path, old.replace("\"seed\": 0,", "\"seed\": 0, \"later\": [1],")).unwrap();
    let record = RunRecord::load(&path).unwrap();
    assert_eq!((record.format, record.evaluations.len()), (2, 1), "its evaluation is among the others");
    let radii = vec![0.01, 0.1, 2.0, 10.0];
    let wanted = AttackConfig { radii, steps: 100, restarts: 10, ..Config::before().attack };
    assert!(record.as_configured(&wanted, Some(1000)).is_some(), "the only evaluation it has is its own");
    fs::write(&path, EXAMPLE.replace("\"format\": 2", "\"format\": 3")).unwrap();
    assert!(RunRecord::load(&path).unwrap_err().to_string().contains("format 3"));
}

/// Whatever is probed and attacked later, the run's own evaluation stays and is found.
#[test]
fn evaluations_add_up() {
    let mut record: RunRecord = serde_json::from_str(EXAMPLE).unwrap();
    let wanted = AttackConfig {
        radii: vec![0.1],
        steps: 3,
        restarts: 1,
        examples: Some(5),
        ..Config::before().attack
    };
    let made_by = Provenance::of("a CPU".into(), "");
    let attack = |radius: f32, accuracy| {
        let mut attack = record.tasks["digit"].attack.clone().unwrap();
        (attack.steps, attack.restarts, attack.examples) = (3, 1, 5);
        attack.adversarial_accuracy = vec![(radius, accuracy)];
        attack
    };
    let (own, other) = (attack(0.1, 50.0), attack(0.2, 20.0));
    let probe = TaskResult { attack: None, probe_seed: Some(0), ..record.tasks["digit"].clone() };
    record.add_probe("digit", probe.clone(), &made_by);
    assert_eq!(record.add_attack("digit", own.clone(), &made_by), Some(0));
    assert_eq!(record.evaluations.len(), 1, "the attack joins the probe it was made on");
    record.add_attack("digit", own.clone(), &made_by);
    assert_eq!(record.evaluations.len(), 1, "the same again is nothing new");
    assert_eq!(record.add_attack("digit", other.clone(), &made_by), Some(1));
    let elsewhere = Provenance::of("a GPU".into(), "");
    assert_eq!(
        record.add_attack("digit", own.clone(), &elsewhere),
        Some(2),
        "another device is another evaluation"
    );
    assert_eq!(record.add_attack("digit", other, &made_by), Some(1), "the same again is nothing new");
    let few = TaskResult { labels_fraction: Some(0.1), nominal_accuracy: 40.0, ..probe.clone() };
    record.add_probe("digit", few, &made_by);
    record.add_probe("digit", TaskResult { probe_seed: Some(5), ..probe }, &made_by);
    assert_eq!(record.evaluations.len(), 5);
    assert!(!record.has_own_probes());
    assert_eq!(record.tasks["digit"].probe_seed, Some(5), "the last one is shown");
    let found = record.as_configured(&wanted, Some(5)).unwrap();
    assert_eq!(found.tasks["digit"].attack.as_ref(), Some(&own));
    assert!(record.as_configured(&AttackConfig { steps: 4, ..wanted.clone() }, Some(5)).is_none());
    assert!(record.as_configured(&wanted, Some(6)).is_none());
    let without = record.as_configured(&AttackConfig { enabled: false, ..wanted.clone() }, Some(5)).unwrap();
    assert!(without.tasks["digit"].attack.is_none());
    // Of an encoder that was trained for longer nothing is known yet.
    record.iterations += 1;
    record.tasks.get_mut("digit").unwrap().probe_seed = Some(5);
    assert!(record.as_configured(&wanted, Some(5)).is_none());
    let text = record.to_json().unwrap();
    assert_eq!(serde_json::from_str::<RunRecord>(&text).unwrap(), record);
}

#[test]
fn what_json_cannot_hold_is_an_error() {
    let sound: RunRecord = serde_json::from_str(EXAMPLE).unwrap();
    let result = RunRecord { elbo_test: f64::NAN, ..sound.clone() };
    assert!(result.to_json().unwrap_err().to_string().contains("elbo_test"));
    let mut result = sound;
    result.tasks.get_mut("digit").unwrap().balanced_accuracy = f64::INFINITY;
    assert!(result.to_json().unwrap_err().to_string().contains("balanced_accuracy"));
}

#[test]
fn a_file_that_is_no_result_is_named() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("result.json");
    assert!(RunRecord::load(&path).unwrap_err().to_string().contains("cannot be read"));
    for text in ["{}", "not json", &EXAMPLE.replace("\"0.1\"", "\"wide\"")] {
        fs::write(&path, text).unwrap();
        let error = RunRecord::load(&path).unwrap_err();
        assert!(error.is_request());
        assert!(error.to_string().contains("result.json does not read as a result"));
    }
}
