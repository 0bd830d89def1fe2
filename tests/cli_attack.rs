//! `attack` with its methods, and `audit`, as a user or a script meets them.

mod common;

use common::{Lab, check_radii, names, number, percentage};
use serde_json::{Value, json};

/// Each attack tries what the ones before left; the record and the outcomes tell which one broke an image.
#[test]
fn attacks_run_in_turn_and_are_named() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let flags = "--radii 0.05,0.15 --steps 8 --restarts 3 --examples 40 --device cpu --json";
    let attack = |names: &str| -> Value {
        let record: Value =
            serde_json::from_str(&lab.ok(&format!("attack run {flags} --attacks {names}"))).unwrap();
        let attack = record["tasks"]["label"]["attack"].clone();
        check_radii(&attack, &["0.05", "0.15"]);
        attack
    };
    let all = attack("noise,fgsm,square,pgd,margin");
    assert_eq!(all["attacks"], json!(["noise", "fgsm", "square", "pgd", "margin"]));
    let found = |attack: &Value, name: &str| number(attack, &["by", "0.15", name]);
    assert!(found(&all, "fgsm") + found(&all, "square") > 0.0, "{all}");
    let at = |attack: &Value| percentage(attack, &["adversarial_accuracy", "0.15"]);
    for name in ["noise", "fgsm", "square", "pgd", "margin"] {
        let alone = attack(name);
        assert!(at(&alone) >= at(&all), "{name}: {alone}");
        assert_eq!(alone.get("attacks").is_none(), name == "pgd", "pgd alone is not written");
    }
    // Each is an evaluation of its own, with its outcomes.
    let record = lab.json("run/result.json");
    assert_eq!(record["evaluations"].as_array().unwrap().len(), 6);
    assert_eq!(names(&lab.path("run/outcomes")).len(), 6);
    // The page and the comparison say which.
    assert!(lab.text("run/report.html").contains("margin ascent of 8 steps x 3 restarts"));
    lab.ok("attack run --attacks noise,margin --device cpu");
    lab.train("other", "--attacks margin --attack-steps 10 --seed 1");
    let compared: Value = serde_json::from_str(&lab.ok("compare run other --json")).unwrap();
    let tried = |run: usize| &compared["runs"][run]["tasks"]["label"]["attack"]["attacks"];
    assert_eq!([tried(0), tried(1)], [&json!(["noise", "margin"]), &json!(["margin"])]);
    assert!(compared["remarks"].to_string().contains(", then margin ascent of"), "{}", compared["remarks"]);
}

/// Certificates stand in the record, the outcomes, the text and the page, below what the attack leaves.
#[test]
fn certificates_are_below_the_attack() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let flags = "--radii 0.002,0.01,0.3 --steps 8 --restarts 2 --examples 40 --device cpu";
    let attack = |more: &str| -> Value {
        let record: Value =
            serde_json::from_str(&lab.ok(&format!("attack run {flags} {more} --json"))).unwrap();
        record["tasks"]["label"]["attack"].clone()
    };
    let plain = attack("");
    assert!(plain.get("certified_accuracy").is_none() && plain.get("median_certified_radius").is_none());
    let both = attack("--certify");
    for radius in ["0.002", "0.01", "0.3"] {
        let certified = percentage(&both, &["certified_accuracy", radius]);
        let attacked = percentage(&both, &["adversarial_accuracy", radius]);
        assert!(certified <= attacked, "{radius}: {both}");
    }
    assert!(percentage(&both, &["certified_accuracy", "0.002"]) > 20.0, "{both}");
    assert_eq!(percentage(&both, &["certified_accuracy", "0.3"]), 0.0, "{both}");
    let median = number(&both, &["median_certified_radius"]);
    assert!((0.0..0.3).contains(&median), "{both}");
    // An evaluation of its own, and the same on any device.
    assert_eq!(lab.json("run/result.json")["evaluations"].as_array().unwrap().len(), 2);
    let text = lab.ok(&format!("attack run {flags} --certify"));
    assert!(text.contains("95 % interval   certified") && text.contains("median certified radius"), "{text}");
    assert_eq!(lab.json("run/result.json")["evaluations"].as_array().unwrap().len(), 2);
    let page = lab.text("run/report.html");
    assert!(page.contains("down to what is certified") && page.contains(">certified<"), "{page}");
    lab.train("halves", "--precision f16 --no-attack");
    lab.refused(2, "attack halves --certify", &["--attack-certify", "precision", "f32"]);
    lab.refused(2, "train mnist --precision f16 --attack-certify --out none", &["--attack-certify", "f32"]);
}

#[test]
fn an_audit_checks_the_attack_and_leaves_the_run() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let record = lab.text("run/result.json");
    let rest = "--steps 8 --restarts 2 --examples 40 --device cpu";
    let flags = format!("--radii 0.05,0.15 {rest}");
    let audit: Value = serde_json::from_str(&lab.ok(&format!("audit run {flags} --json"))).unwrap();
    let checks = audit["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0]), (9, "noise-does-less"), "{audit}");
    let all = checks.iter().all(|check| check["passed"] == true);
    assert_eq!(audit["passed"], all);
    for check in checks {
        assert_eq!(check["task"], "label");
        let measured = check["measured"].as_object().unwrap();
        assert!(measured.values().all(|value| (0.0..=100.0).contains(&value.as_f64().unwrap())), "{check}");
    }
    // What is part of the attack cannot beat it.
    let text = lab.ok(&format!("audit run {flags} --attacks margin,square"));
    assert!(!text.contains("another-goal") && !text.contains("no-gradient"), "{text}");
    assert!(text.contains("noise-does-less") && text.contains(" checks"), "{text}");
    assert!(!lab.ok(&format!("audit run {rest} --norm l2 --radii 0.5")).contains("no-gradient"));
    assert_eq!(lab.text("run/result.json"), record);
    lab.refused(2, "audit run --task digit", &["--task digit", "label"]);
    lab.refused(2, "audit nowhere", &["nowhere"]);
}
