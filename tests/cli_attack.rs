//! `attack` with its methods, and `audit`, as a user or a script meets them.

mod common;

use std::io::{Cursor, Read};

use common::{Lab, check_radii, names, number, percentage};
use serde_json::{Value, json};

const NAMES: [&str; 9] =
    ["noise", "fgsm", "square", "latent", "pgd", "apgd-ce", "apgd-dlr", "apgd-t", "margin"];

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
    let all = attack(&NAMES.join(","));
    assert_eq!(all["attacks"], json!(NAMES));
    let found = |attack: &Value, name: &str| number(attack, &["by", "0.15", name]);
    assert!(found(&all, "fgsm") + found(&all, "square") > 0.0, "{all}");
    let at = |attack: &Value| percentage(attack, &["adversarial_accuracy", "0.15"]);
    for name in NAMES {
        let alone = attack(name);
        assert!(at(&alone) >= at(&all), "{name}: {alone}");
        assert_eq!(alone.get("attacks").is_none(), name == "pgd", "pgd alone is not written");
    }
    // Each is an evaluation of its own, with its outcomes.
    let record = lab.json("run/result.json");
    assert_eq!(record["evaluations"].as_array().unwrap().len(), 1 + NAMES.len());
    assert_eq!(names(&lab.path("run/outcomes")).len(), 1 + NAMES.len());
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

/// A suite is a name for a list of attacks, which depends on the norm.
#[test]
fn a_suite_is_a_list_of_attacks() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let attack = |flags: &str| -> Value {
        let flags = format!("attack run --steps 8 --restarts 2 --examples 40 --device cpu --json {flags}");
        let record: Value = serde_json::from_str(&lab.ok(&flags)).unwrap();
        record["tasks"]["label"]["attack"].clone()
    };
    let suite = attack("--suite standard --radii 0.02,0.05");
    assert_eq!(suite["attacks"], json!(["margin", "apgd-ce", "apgd-t", "square"]));
    let listed = attack("--attacks margin,apgd-ce,apgd-t,square --radii 0.02,0.05");
    assert_eq!(suite["adversarial_accuracy"], listed["adversarial_accuracy"]);
    assert_eq!(attack("--suite standard --norm l2 --radii 0.5")["attacks"], suite["attacks"]);
    // The restart that broke an image, and the step at which it did, stand beside the attack.
    let file = lab.read(&format!("run/{}", suite["outcomes"].as_str().unwrap()));
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let mut column = |name: &str| -> Vec<i32> {
        let mut content = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut content).unwrap();
        let numbers = content[content.len() - 4 * 40..].chunks(4);
        numbers.map(|c| i32::from_le_bytes(c.try_into().unwrap())).collect()
    };
    let (restarts, iterations) = (column("restart.npy"), column("iteration.npy"));
    for (restart, iteration) in restarts.iter().zip(&iterations) {
        // 50 proposals for each of 8 steps.
        assert!((*restart < 0) == (*iteration < 0) && *iteration < 400, "{restarts:?} {iterations:?}");
    }
    assert!(
        restarts.iter().all(|restart| (-1..3).contains(restart)) && restarts.contains(&-1),
        "{restarts:?}"
    );
    let broken =
        |radius: &str| suite["by"][radius].as_object().unwrap().values().map(|n| n.as_u64().unwrap());
    let all: u64 = ["0.02", "0.05"].into_iter().flat_map(broken).sum();
    assert_eq!(restarts.iter().filter(|restart| **restart >= 0).count() as u64, all);
    lab.refused(2, "attack run --suite standard --attacks pgd", &["--suite", "--attacks"]);
    lab.refused(2, "attack run --suite best", &["--suite", "standard"]);
    assert!(
        lab.ok("audit run --suite standard --radii 0.05 --steps 4 --restarts 1 --examples 20 --device cpu")
            .contains("more-steps-change-nothing")
    );
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
    let [baseline] = &audit["baselines"].as_array().unwrap()[..] else { panic!("{audit}") };
    assert_eq!((&baseline["name"], &baseline["task"]), (&json!("thresholded-input"), &json!("label")));
    let at = |radius: &str| percentage(baseline, &["measured", radius]);
    assert!(at("at 0") >= at("at 0.05") && at("at 0.05") >= at("at 0.15"), "{baseline}");
    // What is part of the attack cannot beat it.
    let text = lab.ok(&format!("audit run {flags} --attacks margin,pgd,square"));
    assert!(!text.contains("another-goal") && !text.contains("no-gradient"), "{text}");
    assert!(text.contains("noise-does-less") && text.contains(" checks"), "{text}");
    let in_l2 = lab.ok(&format!("audit run {rest} --norm l2 --radii 0.5"));
    assert!(in_l2.contains("no-gradient") && !in_l2.contains("thresholded"), "{in_l2}");
    assert_eq!(lab.text("run/result.json"), record);
    lab.refused(2, "audit run --task digit", &["--task digit", "label"]);
    lab.refused(2, "audit nowhere", &["nowhere"]);
    lab.refused(2, "audit run --certify", &["--attack-certify", "`attack`"]);
}

/// What fools another run's classifier is tried on this one: `--from` adds the attack, the record says from where.
#[test]
fn another_runs_examples_are_transferred() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    lab.train("other", "--no-attack --seed 1");
    lab.train("bare", "--no-attack --holdout 20");
    let flags = "--radii 0.05,0.15 --steps 8 --restarts 2 --examples 40 --device cpu";
    let attack = |more: &str| -> Value {
        let record: Value =
            serde_json::from_str(&lab.ok(&format!("attack run {flags} {more} --json"))).unwrap();
        record["tasks"]["label"]["attack"].clone()
    };
    let alone = attack("--attacks transfer --from other");
    assert_eq!((&alone["attacks"], &alone["transfer_from"]["run"]), (&json!(["transfer"]), &json!("other")));
    assert_eq!(alone["transfer_from"]["model"].as_str().map(str::len), Some(64));
    let at = |attack: &Value| percentage(attack, &["adversarial_accuracy", "0.15"]);
    assert!(at(&alone) <= number(&alone, &["nominal_accuracy"]), "{alone}");
    // Its own are the end points of PGD, which breaks whatever they do.
    let (own, pgd) = (attack("--attacks transfer --from run"), attack("--attacks pgd"));
    assert!(at(&own) >= at(&pgd) && at(&own) < number(&own, &["nominal_accuracy"]), "{own} {pgd}");
    assert!(pgd.get("transfer_from").is_none());
    let after = attack("--attacks noise --from other");
    assert_eq!(after["attacks"], json!(["noise", "transfer"]));
    // Another run's examples are another evaluation.
    assert_eq!(lab.json("run/result.json")["evaluations"].as_array().unwrap().len(), 4);
    assert!(
        lab.ok(&format!("attack run {flags} --from other")).contains("transfer of PGD of 8 steps from other")
    );
    // The same run by another path is the same attack.
    attack("--attacks noise --from ./other/");
    assert_eq!(lab.json("run/result.json")["evaluations"].as_array().unwrap().len(), 5);
    let audit = lab.ok(&format!("audit run {flags} --from other"));
    assert!(audit.contains("transfer-breaks-no-more"), "{audit}");
    lab.refused(2, "attack run --attacks transfer", &["--attacks", "--from"]);
    lab.refused(2, "train mnist --attacks transfer --out none", &["--attacks", "--from"]);
    lab.refused(2, "audit run --attacks transfer --from other", &["--attacks", "own"]);
    lab.refused(2, "attack run --from bare", &["--from", "other images", "--holdout"]);
    lab.refused(2, "attack run --from nowhere", &["nowhere"]);
}
