//! `attack --save-examples` and `verify`, as a user or a script meets them.

mod common;

use std::fs;

use common::{Lab, names, number};
use serde_json::{Value, json};
use smoothenc::engine::nn::{NamedTensor, TensorData};
use smoothenc::runs::checkpoint::{self, Metadata};
use smoothenc::runs::output::{self, Files};

const ATTACK: &str = "attack run --attacks fgsm,margin,apgd-t,square --radii 0.05,0.15 --steps 8 --restarts 2 \
                      --examples 40 --device cpu --json";
const FILE: &str = "broken/examples.safetensors";

/// A run, and the examples of an attack on it in `broken`.
fn attacked() -> (Lab, Value) {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let record: Value = serde_json::from_str(&lab.ok(&format!("{ATTACK} --save-examples broken"))).unwrap();
    (lab, record["tasks"]["label"]["attack"].clone())
}

fn contents(lab: &Lab) -> (Vec<NamedTensor>, Metadata) {
    checkpoint::decode_sealed(&lab.path(FILE), &lab.read(FILE)).unwrap()
}

/// Replaces the examples by changed ones, with checksums that fit.
fn forge(lab: &Lab, change: impl Fn(&mut Vec<NamedTensor>, &mut Metadata)) {
    let (mut tensors, mut metadata) = contents(lab);
    change(&mut tensors, &mut metadata);
    let content = checkpoint::encode_sealed(&tensors, &metadata).unwrap();
    let arrays = lab.read("broken/examples.npz");
    let files = Files::from([("examples.safetensors".into(), content), ("examples.npz".into(), arrays)]);
    output::replace(&lab.path("broken"), &files).unwrap();
}

fn words<'a>(tensors: &'a mut [NamedTensor], name: &str) -> &'a mut Vec<u32> {
    match &mut tensors.iter_mut().find(|tensor| tensor.name == name).unwrap().data {
        TensorData::U32(values) => values,
        TensorData::F32(_) => panic!("{name} has floats"),
    }
}

fn floats<'a>(tensors: &'a mut [NamedTensor], name: &str) -> &'a mut Vec<f32> {
    match &mut tensors.iter_mut().find(|tensor| tensor.name == name).unwrap().data {
        TensorData::F32(values) => values,
        TensorData::U32(_) => panic!("{name} has no floats"),
    }
}

#[test]
fn what_an_attack_broke_is_saved_and_holds() {
    let (lab, attack) = attacked();
    assert_eq!(names(&lab.path("broken")), ["examples.npz", "examples.safetensors", "files.json"]);
    let broken =
        |radius: &str| attack["by"][radius].as_object().unwrap().values().map(|n| n.as_u64().unwrap());
    let all: u64 = ["0.05", "0.15"].into_iter().flat_map(broken).sum();
    assert!(all > 5, "{attack}");
    let verdict: Value = serde_json::from_str(&lab.ok("verify broken --json")).unwrap();
    assert_eq!(verdict, json!({"passed": true, "examples": all, "failed": []}));
    assert_eq!(lab.ok("verify broken"), format!("all {all} examples hold\n"));
    // The points that are visited do not depend on whether they are kept.
    let record: Value = serde_json::from_str(&lab.ok(ATTACK)).unwrap();
    let again = &record["tasks"]["label"]["attack"];
    assert_eq!(
        (&again["adversarial_accuracy"], &again["by"]),
        (&attack["adversarial_accuracy"], &attack["by"])
    );
    let (mut tensors, metadata) = contents(&lab);
    let n = all as usize;
    let shapes: Vec<(&str, &[usize])> = tensors.iter().map(|t| (t.name.as_str(), &t.shape[..])).collect();
    let (row, image): (&[usize], &[usize]) = (&[n], &[n, 1, 8, 8]);
    let rows = ["answer", "attack", "image", "label", "radius", "restart", "task"].map(|name| (name, row));
    assert_eq!(shapes, [&rows[..], &[("x", image), ("x_adv", image)]].concat());
    let about: Value = serde_json::from_str(&metadata["about"]).unwrap();
    assert_eq!((&about["run"], &about["norm"], &about["seed"]), (&json!("run"), &json!("linf"), &json!(0)));
    let model = &lab.json("run/result.json")["files"]["model.safetensors"]["sha256"];
    assert_eq!((&about["model"], number(&about, &["steps"])), (model, 8.0));
    let radii = floats(&mut tensors, "radius").clone();
    assert!(radii.iter().all(|radius| [0.05, 0.15].contains(radius)) && radii.contains(&0.15));
    // Another folder, in the other norm, of another device's name, with text for people.
    let told =
        lab.ok("attack run --norm l2 --radii 0.5 --steps 4 --attacks pgd,apgd-ce --save-examples new/l2");
    assert!(told.contains("examples in new/l2"), "{told}");
    assert!(lab.ok("verify new/l2").ends_with("examples hold\n"));
}

#[test]
fn an_existing_folder_is_refused_before_the_attack() {
    let (lab, _) = attacked();
    lab.refused(2, &format!("{ATTACK} --save-examples broken"), &["--save-examples", "broken", "exists"]);
    lab.refused(2, &format!("{ATTACK} --save-examples run"), &["--save-examples", "run", "exists"]);
    lab.refused(2, &format!("{ATTACK} --save-examples base.toml/in"), &["--save-examples", "base.toml/in"]);
    lab.refused(2, &format!("{ATTACK} --save-examples="), &["--save-examples", "value is required"]);
}

/// Whatever bit is altered, the file is refused by its name.
#[test]
fn a_file_altered_by_one_bit_is_refused() {
    let (lab, _) = attacked();
    for name in ["examples.safetensors", "examples.npz"] {
        let path = lab.path(format!("broken/{name}"));
        let whole = fs::read(&path).unwrap();
        for part in 0..12 {
            let mut content = whole.clone();
            content[part * (whole.len() - 1) / 11] ^= 1 << (part % 8);
            fs::write(&path, content).unwrap();
            lab.refused(2, "verify broken", &[name, "is not as it was written"]);
        }
        fs::write(&path, whole).unwrap();
    }
    lab.ok("verify broken");
    fs::rename(lab.path("broken/files.json"), lab.path("list")).unwrap();
    lab.refused(2, "verify broken", &["files.json", "is not there"]);
    lab.refused(2, "verify nowhere", &["nowhere", "is not there"]);
    fs::rename(lab.path("list"), lab.path("broken/files.json")).unwrap();
    // The checksum in the file itself tells too.
    let mut content = lab.read(FILE);
    let at = content.len() - 5;
    content[at] ^= 1;
    let arrays = lab.read("broken/examples.npz");
    let files = Files::from([("examples.safetensors".into(), content), ("examples.npz".into(), arrays)]);
    output::replace(&lab.path("broken"), &files).unwrap();
    lab.refused(2, "verify broken", &["examples.safetensors", "checksum"]);
}

/// Whoever makes the checksums fit again is told by the replay, example by example.
#[test]
fn examples_that_do_not_hold_are_named() {
    let (lab, attack) = attacked();
    let (good, _) = contents(&lab);
    let restore = |lab: &Lab| forge(lab, |tensors, _| *tensors = good.clone());
    let fails = |change: &dyn Fn(&mut Vec<NamedTensor>), why: &str| {
        forge(&lab, |tensors, _| change(tensors));
        let outcome = lab.run("verify broken --json");
        assert_eq!(outcome.code, Some(1), "{why}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("1 of ") && outcome.stderr.contains("do not hold"),
            "{}",
            outcome.stderr
        );
        let verdict: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let failed = verdict["failed"].as_array().unwrap();
        assert_eq!((verdict["passed"].as_bool(), failed.len()), (Some(false), 1), "{verdict}");
        assert_eq!((&failed[0]["example"], &failed[0]["task"]), (&json!(3), &json!("label")));
        assert!(failed[0]["why"].to_string().contains(why), "{why}: {verdict}");
        let text = lab.run("verify broken").stdout;
        assert!(text.starts_with("image ") && text.contains(why) && text.lines().count() == 1, "{text}");
        restore(&lab);
    };
    let pixel = 3 * 64 + 10;
    fails(&|t| floats(t, "x")[pixel] += 0.001, "the image is not that of the data");
    fails(&|t| words(t, "answer")[3] ^= 4, "the answer is");
    fails(&|t| words(t, "label")[3] ^= 1, "the label is");
    fails(&|t| words(t, "image")[3] = 60, "the test split has only 60 images");
    fails(&|t| floats(t, "x_adv")[pixel] = -1e-6, "outside [0, 1]");
    fails(&|t| floats(t, "x_adv")[pixel] = f32::NAN, "outside [0, 1]");
    fails(&|t| floats(t, "radius")[3] = 0.001, "away from the image");
    fails(&|t| floats(t, "radius")[3] = f32::NAN, "away from the image");
    // The image itself is in the ball, and answered right.
    let clean = |t: &mut Vec<NamedTensor>| {
        let x = floats(t, "x")[3 * 64..4 * 64].to_vec();
        floats(t, "x_adv")[3 * 64..4 * 64].copy_from_slice(&x);
    };
    fails(&clean, "which is right");
    assert!(lab.ok("verify broken").contains("hold"), "{attack}");
    // What is no file of examples at all.
    let refused = |change: &dyn Fn(&mut Vec<NamedTensor>, &mut Metadata), why: &str| {
        forge(&lab, change);
        lab.refused(2, "verify broken", &["examples.safetensors", why]);
        restore(&lab);
    };
    refused(&|t, _| t.retain(|tensor| tensor.name != "label"), "has no tensor \"label\"");
    refused(&|t, _| words(t, "task")[0] = 1, "has 1 in \"task\"");
    refused(&|t, _| t.iter_mut().for_each(|tensor| tensor.shape.reverse()), "another type or size");
    refused(&|t, _| words(t, "attack")[0] = 9, "has 9 in \"attack\"");
    let (_, about) = contents(&lab);
    refused(&|_, metadata| metadata.clear(), "does not say what its examples are of");
    forge(&lab, |_, metadata| *metadata = about.clone());
    lab.ok("verify broken");
}

#[test]
fn another_run_or_other_data_are_refused() {
    let (lab, _) = attacked();
    lab.train("other", "--no-attack --seed 1");
    lab.refused(2, "verify broken --run other", &["broken", "another model", "--run"]);
    lab.refused(2, "verify broken --run set", &["set"]);
    fs::rename(lab.path("run"), lab.path("moved")).unwrap();
    lab.refused(2, "verify broken", &["run", "is not there", "--run"]);
    lab.ok("verify broken --run moved");
    // The set with one bit of one test image altered.
    fs::create_dir(lab.path("set2")).unwrap();
    for name in names(&lab.path("set")) {
        let mut content = lab.read(&format!("set/{name}"));
        if name == "t10k-images-idx3-ubyte" {
            content[100] ^= 1;
        }
        fs::write(lab.path("set2").join(name), content).unwrap();
    }
    lab.refused(2, "verify broken --run moved --data-dir set2", &["other data"]);
    // A new probe is another classifier.
    lab.ok("probe moved --device cpu --seed 5");
    lab.refused(2, "verify broken --run moved", &["another model"]);
}
