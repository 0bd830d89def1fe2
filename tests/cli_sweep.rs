//! `sweep` and `reproduce`, as a user meets them, on a set that trains in a moment.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use common::{Lab, keys, names, snapshot, wait_until};
use serde_json::Value;

/// `base.toml` as the table `[base]` of a grid.
fn grid(lab: &Lab, more: &str) {
    let base = lab.text("base.toml").replace("[attack]", "[base.attack]");
    fs::write(lab.path("grid.toml"), format!("radius = 0.1\n[base]\n{base}\n{more}")).unwrap();
}

fn runs(lab: &Lab, folder: &str) -> Vec<String> {
    names(&lab.path(folder).join("runs"))
}

#[test]
fn a_grid_is_run_compared_and_not_run_again() {
    let lab = Lab::new();
    grid(&lab, "examples = 60\n[grid]\ngamma = [1, 20]\nseed = [0, 1]\nhidden = [[8], [8, 8]]");
    let said = lab.ok("sweep grid.toml --out swept");
    assert_eq!(runs(&lab, "swept").len(), 8);
    assert!(said.contains("gamma") && said.contains("[8, 8]") && said.contains("* "), "{said}");
    let csv = lab.text("swept/results.csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("gamma,hidden,seeds,nominal,adversarial_0.01,adversarial_0.1"), "{csv}");
    assert_eq!(lines.len(), 5, "{csv}");
    assert!(lines[1..].iter().all(|line| line.contains(",2,")), "{csv}");
    for picture in ["pareto.svg", "pareto.png"] {
        assert!(lab.path("swept").join(picture).metadata().unwrap().len() > 1000, "{picture}");
    }
    // Each number is the mean of what its runs' results have.
    let columns: Vec<&str> = lines[1].rsplitn(2, ',').collect();
    let named: Vec<PathBuf> = columns[0].split(' ').map(PathBuf::from).collect();
    let mean = |key: &str| {
        let of = |run: &PathBuf| {
            let attack = &lab.json(run.join("result.json").to_str().unwrap())["tasks"]["label"]["attack"];
            attack["adversarial_accuracy"][key].as_f64().unwrap()
        };
        named.iter().map(of).sum::<f64>() / named.len() as f64
    };
    assert_eq!(named.len(), 2);
    assert!(lines[1].contains(&format!(",{:.2},{:.2}", mean("0.01"), mean("0.1"))), "{csv}");
    let before = snapshot(&lab.path("swept"));
    assert_eq!(lab.ok("sweep grid.toml --out swept"), said);
    assert!(snapshot(&lab.path("swept")) == before, "something was done again");
    // Another attack adds an evaluation with a file of its own; the run's own are compared, and nothing is made again.
    let run = named[0].to_str().unwrap();
    let record = || lab.json(&format!("{run}/result.json"));
    let own = lab.read(&format!("{run}/outcomes/label-1.npz"));
    for steps in [1, 2, 1] {
        lab.ok(&format!("attack {run} --attack-steps {steps} --device cpu"));
    }
    assert_eq!(record()["tasks"]["label"]["attack"]["steps"], 1, "the last one is shown");
    let attacks = || -> Vec<Value> {
        record()["evaluations"].as_array().unwrap().iter().map(|e| e["attack"].clone()).collect()
    };
    let steps: Vec<_> = attacks().iter().map(|attack| attack["steps"].clone()).collect();
    assert_eq!(steps, [10, 1, 2]);
    let files: BTreeSet<_> = attacks().iter().map(|a| a["outcomes"].as_str().unwrap().to_string()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| lab.path(run).join(file).is_file()));
    assert!(lab.read(&format!("{run}/outcomes/label-1.npz")) == own, "the first outcomes are as they were");
    let before = snapshot(&lab.path("swept"));
    assert_eq!(lab.ok("sweep grid.toml --out swept"), said);
    assert!(snapshot(&lab.path("swept")) == before, "something was made again");
    // Another probe takes the place of the own one in the model: the own one is trained again, and nothing is lost.
    lab.ok(&format!("probe {run} --balanced --device cpu"));
    assert_eq!(record()["tasks"]["label"]["balanced_probe"], true);
    assert_eq!(lab.ok("sweep grid.toml --out swept"), said);
    assert!(record()["tasks"]["label"].get("balanced_probe").is_none());
    assert!(record()["evaluations"].as_array().unwrap().len() >= 4);
    assert_eq!(lab.text("swept/results.csv"), csv);
    // A run that was trained for longer is another.
    lab.ok(&format!("train --resume {run} --iterations 210 --device cpu"));
    lab.refused(2, "sweep grid.toml --out swept", &["--iterations", "210 steps"]);
    lab.ok(&format!("train --config {run}/config.toml --iterations 200 --overwrite --out {run}"));
    assert_eq!(lab.ok("sweep grid.toml --out swept"), said);
    // A run whose code has collapsed is named; one that has not is not.
    let file = format!("{run}/result.json");
    let mut result = lab.json(&file);
    result.as_object_mut().unwrap().remove("sha256");
    result["code"]["information"] = 0.into();
    fs::write(lab.path(&file), result.to_string()).unwrap();
    let warned = lab.run("sweep grid.toml --out swept").stderr;
    assert_eq!(warned.matches("the codes have collapsed").count(), 1, "{warned}");
    assert!(warned.contains(run), "{warned}");
}

#[test]
fn a_killed_sweep_goes_on() {
    let lab = Lab::new();
    grid(&lab, "[grid]\ngamma = [1, 2, 3]");
    let whole = lab.ok("sweep grid.toml --out whole").replace("whole", "OUT");
    let line = "sweep grid.toml --out killed";
    let mut child = lab.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let folder = lab.path("killed/runs");
    wait_until("the second run", || fs::read_dir(&folder).is_ok_and(|runs| runs.count() > 1));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lab.ok(line).replace("killed", "OUT"), whole);
    assert_eq!(runs(&lab, "killed"), runs(&lab, "whole"));
}

#[test]
fn grids_that_cannot_be_are_refused() {
    let lab = Lab::new();
    lab.refused(2, "sweep none.toml", &["none.toml", "cannot be read"]);
    fs::write(lab.path("empty.toml"), "").unwrap();
    lab.refused(2, "sweep empty.toml", &["empty.toml", "[grid]"]);
    grid(&lab, "[grid]\ngamma = [-1]");
    lab.refused(2, "sweep grid.toml", &["grid.toml", "--gamma"]);
    grid(&lab, "[grid]\ngamma = [1]");
    lab.refused(2, "sweep grid.toml --device abacus", &["--device", "abacus"]);
    grid(&lab, "[grid]\nseed = [0, 1, 0]");
    lab.refused(2, "sweep grid.toml", &["grid.toml", "seed = [0, 1, 0]", "0 gives the same run as 0"]);
    grid(&lab, "[grid]\nseed = [0]\nnosuch = [1]");
    let line = lab.text("grid.toml").lines().count();
    lab.refused(2, "sweep grid.toml", &[&format!("grid.toml, line {line} (nosuch = [1])"), "nosuch"]);
    grid(&lab, "[grid]\nseed = [0]\ngama = [1]");
    lab.refused(2, "sweep grid.toml", &["[grid] gama: no setting \"gama\"; did you mean \"gamma\"?"]);
    // A task that is not there is found before anything is trained.
    grid(&lab, "[grid]\nseed = [0]");
    fs::write(lab.path("grid.toml"), format!("task = 'hat'\n{}", lab.text("grid.toml"))).unwrap();
    let outcome = lab.run("sweep grid.toml --out none");
    lab.judge(2, "sweep", &outcome, &["task hat", "tiny has label"]);
    assert!(!lab.path("none/runs").exists());
}

/// What changes nothing does not vary; where it changes something in some of the runs, the others are made once.
#[test]
fn settings_without_effect_make_no_runs() {
    let lab = Lab::new();
    grid(&lab, "[grid]\nbeta = [1, 2]");
    let line = lab.text("grid.toml").lines().count();
    let place = format!("grid.toml, line {line} (beta = [1, 2])");
    lab.refused(2, "sweep grid.toml", &[&place, "[grid] beta has no effect", "the objective se"]);
    grid(&lab, "[grid]\nobjective = ['vae', 'se']\ngamma = [1, 2]");
    let said = lab.ok("sweep grid.toml --out swept");
    assert_eq!(runs(&lab, "swept").len(), 3);
    let vae = said.lines().find(|line| line.contains("vae")).unwrap();
    assert!(vae.trim_start_matches('*').trim_start().starts_with("- "), "{said}");
    let csv = lab.text("swept/results.csv");
    let rows: Vec<&str> = csv.lines().skip(1).map(|line| line.split(",1,").next().unwrap()).collect();
    assert_eq!(rows, [r#","""vae""""#, r#"1,"""se""""#, r#"2,"""se""""#], "{csv}");
    // What [base] sets in vain is said.
    grid(&lab, "[grid]\nseed = [0]");
    fs::write(lab.path("grid.toml"), lab.text("grid.toml").replacen("latent", "beta = 7\nlatent", 1))
        .unwrap();
    let outcome = lab.run("sweep grid.toml --out base");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("grid.toml: [base] beta is not used"), "{}", outcome.stderr);
}

/// Files that no earlier sweep or figure made, or that were changed since, are not replaced.
#[test]
fn results_replace_no_file_of_others() {
    let lab = Lab::new();
    grid(&lab, "[grid]\ngamma = [1]");
    let (sweep, figure) = ("sweep grid.toml --out swept", "reproduce fig2 --device cpu --out figure");
    for (line, folder, names) in [
        (sweep, "swept", &["results.csv", "pareto.svg", "pareto.png", "files.json"][..]),
        (figure, "figure", &["report.html", "settings.toml", "claims.json", "fig2.png", "files.json"]),
    ] {
        for name in names {
            fs::create_dir(lab.path(folder)).unwrap();
            fs::write(lab.path(folder).join(name), "mine").unwrap();
            lab.refused(2, line, &[&format!("{folder}/{name} "), "move it away", "--out"]);
            fs::remove_dir_all(lab.path(folder)).unwrap();
        }
    }
    // Names that are known only when all is made.
    fs::create_dir(lab.path("figure")).unwrap();
    fs::write(lab.path("figure/fig2-tables.csv"), "mine").unwrap();
    lab.judge(2, figure, &lab.run(figure), &["figure/fig2-tables.csv would be replaced", "move it away"]);
    assert_eq!(lab.text("figure/fig2-tables.csv"), "mine");
    assert!(!lab.path("figure/report.html").exists());
    fs::remove_file(lab.path("figure/fig2-tables.csv")).unwrap();
    lab.ok(figure);
    lab.ok(sweep);
    // What was edited since stays too; what is as it was may be replaced.
    for (line, file) in [(sweep, "swept/results.csv"), (figure, "figure/report.html")] {
        let own = lab.text(file);
        fs::write(lab.path(file), format!("{own} edited")).unwrap();
        lab.refused(2, line, &[file, "was changed since it was written", "move it away"]);
        fs::write(lab.path(file), own).unwrap();
        lab.ok(line);
    }
    // A version that wrote no list is gone on with.
    fs::remove_file(lab.path("swept/files.json")).unwrap();
    fs::remove_file(lab.path("figure/files.json")).unwrap();
    lab.ok(sweep);
    lab.ok(figure);
    assert!(lab.path("swept/files.json").exists() && lab.path("figure/files.json").exists());
    // A run has files of its own.
    lab.train("run", "--no-attack --iterations 20");
    for line in ["sweep grid.toml --out run", "reproduce fig2 --out run", "reproduce all --out run"] {
        lab.refused(2, line, &["--out run: that is a run", "give another folder"]);
    }
}

/// An argument that a figure does not use is no argument of it.
#[test]
fn figures_refuse_what_they_do_not_use() {
    let lab = Lab::new();
    lab.short_runs();
    for what in ["fig2", "fig3", "gan", "fig4", "fig5", "fig7a", "fig7b", "lipschitz"] {
        lab.refused(2, &format!("reproduce {what} --data-dir set"), &["--data-dir", "CelebA", what]);
    }
    for what in ["fig2", "fig3", "gan"] {
        lab.refused(2, &format!("reproduce {what} --config short.toml"), &["--config", what, "trains none"]);
    }
}

#[test]
fn attacks_with_different_radii_are_compared_at_those_of_all() {
    let lab = Lab::new();
    grid(&lab, "[grid]\nattack = [{radii = [0.05, 0.1, 0.2]}, {radii = [0.1, 0.2, 0.3]}]");
    lab.ok("sweep grid.toml --out a,folder");
    let csv = lab.text("a,folder/results.csv");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("attack,seeds,nominal,adversarial_0.1,adversarial_0.2,pareto,runs"));
    for line in lines {
        assert!(line.starts_with('"') && line.ends_with('"') && line.contains(",\"a,folder/runs/"), "{csv}");
        let path = line.rsplit('"').nth(1).unwrap();
        let attack = &lab.json(&format!("{path}/result.json"))["tasks"]["label"]["attack"];
        let number = |key: &str| attack["adversarial_accuracy"][key].as_f64().unwrap();
        assert!(line.contains(&format!(",{:.2},{:.2},", number("0.1"), number("0.2"))), "{csv}");
    }
    assert_eq!(csv.lines().count(), 3);
}

#[test]
fn a_figure_has_data_pictures_settings_and_claims_and_shares_its_runs() {
    let lab = Lab::new();
    lab.short_runs();
    let line = "reproduce lipschitz --config short.toml --device cpu";
    let said = lab.ok(line);
    assert!(said.contains("the paper: ") && said.contains("of 1 claims reproduced"), "{said}");
    let out = "reproductions/lipschitz";
    assert_eq!(
        names(&lab.path(out)),
        [
            "claims.json",
            "files.json",
            "lipschitz.csv",
            "lipschitz.png",
            "lipschitz.svg",
            "report.html",
            "settings.toml"
        ]
    );
    assert!(lab.ok("check reproductions").contains("lipschitz: whole"));
    // What somebody changed by hand is not what was measured.
    let csv = lab.text(&format!("{out}/lipschitz.csv"));
    fs::write(lab.path(format!("{out}/lipschitz.csv")), csv.replacen('1', "2", 1)).unwrap();
    let outcome = lab.run("check reproductions");
    assert!(outcome.code == Some(1) && outcome.stdout.contains("lipschitz.csv: is not as it was written"));
    lab.refused(2, line, &["lipschitz.csv was changed since it was written", "move it away"]);
    fs::write(lab.path(format!("{out}/lipschitz.csv")), csv).unwrap();
    let claims = lab.json(&format!("{out}/claims.json"));
    let claim = &claims.as_array().unwrap()[0];
    assert_eq!(
        keys(claim),
        [
            "id",
            "at",
            "claim",
            "paper",
            "expected",
            "margin",
            "estimator",
            "deviations",
            "measured",
            "missing",
            "verdict",
            "reproduced",
            "systems",
            "runs"
        ]
    );
    for run in claim["runs"].as_array().unwrap() {
        assert!(lab.path(run.as_str().unwrap()).join("result.json").exists());
    }
    let page = lab.text(&format!("{out}/report.html"));
    let id = claim["id"].as_str().unwrap();
    assert!(page.contains(&format!(">{id}</td>")) && page.contains("of 1 claims reproduced"), "{id}");
    assert_eq!(page.matches("<svg ").count(), 1);
    for run in claim["runs"].as_array().unwrap() {
        assert!(page.contains(&format!("<td>{}</td>", run.as_str().unwrap())), "{run}");
    }
    let settings = lab.text(&format!("{out}/settings.toml"));
    assert!(settings.contains("preset = \"quick\"") && settings.contains("iterations = 20"), "{settings}");
    // Figure 5 needs the same runs, and others of the MLP and of the ConvNet.
    let before = snapshot(&lab.path("reproductions/runs"));
    let shared = runs(&lab, "reproductions").len();
    lab.ok("reproduce fig5 --config short.toml --device cpu");
    let after = snapshot(&lab.path("reproductions/runs"));
    assert!(before.iter().all(|(path, content)| after.get(path) == Some(content)), "a run was made again");
    assert!(runs(&lab, "reproductions").len() > shared);
    assert_eq!(lab.ok(line), said);
    // Without the radii of its claims there is no verdict.
    let text = lab.text("short.toml");
    fs::write(lab.path("other.toml"), text.replace("[attack]", "[attack]\nradii = [0.05]")).unwrap();
    let said = lab.ok("reproduce fig5 --config other.toml --device cpu --out other");
    assert!(said.contains("measured:  not measured: mnist-mlp-vae.digit@0.2"), "{said}");
    // The rest is accuracies without an attack, of too few images.
    for claim in lab.json("other/claims.json").as_array().unwrap() {
        assert_eq!((&claim["verdict"], &claim["reproduced"]), (&"untested".into(), &false.into()));
        let missing = claim["missing"].to_string();
        assert!(missing.contains("@0.1") || missing.contains("@0.2") || missing.contains("100 images"));
    }
    assert!(said.ends_with("0 of 8 claims reproduced, 8 untested\n"), "{said}");
}

#[test]
fn a_killed_reproduction_goes_on() {
    let lab = Lab::new();
    lab.short_runs();
    let line = "reproduce fig5 --config short.toml --device cpu --out figure";
    let mut child = lab.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let first = lab.path("figure/runs");
    let begun = || fs::read_dir(&first).is_ok_and(|runs| runs.count() > 3);
    wait_until("the fourth run", begun);
    child.kill().unwrap();
    child.wait().unwrap();
    let done: Vec<PathBuf> = runs(&lab, "figure").iter().map(|name| first.join(name)).collect();
    let done: Vec<_> = done.into_iter().filter(|run| run.join("result.json").exists()).collect();
    assert!(!done.is_empty());
    let kept = snapshot(&done[0]);
    lab.ok(line);
    assert!(snapshot(&done[0]) == kept, "a finished run was made again");
    assert_eq!(runs(&lab, "figure").len(), 18);
    assert!(lab.ok("reproduce fig2 --device cpu").ends_with("fig2 makes no claim\n"));
    lab.refused(2, "reproduce fig9", &["fig9", "fig5"]);
    lab.refused(2, "reproduce fig5 --config none.toml", &["none.toml"]);
    // What a figure compares, or is of, is not for a file to say.
    for (what, text, key) in [
        ("fig7b", "selection-steps = 2", "selection-steps"),
        ("fig7b", "selection = 'random'", "selection"),
        ("fig7a", "selection = 'random'", "selection"),
        ("fig1", "selection-norm = 'l2'", "selection-norm"),
        ("fig5", "seed = 1", "seed"),
        ("fig4", "eps = 0.3", "eps"),
        ("table1", "objective = 'vae'", "objective"),
        ("fig8", "arch = 'mlp'", "arch"),
        ("table1", "seed = 1", "seed"),
        ("beta", "gamma = 1", "gamma"),
        ("fig5", "[attack]\nenabled = false", "attack.enabled"),
        ("lipschitz", "dataset = 'color-mnist'", "dataset"),
        ("fig5", "[attack]\nnorm = 'l2'", "attack.norm"),
    ] {
        fs::write(lab.path("own.toml"), text).unwrap();
        let (key, figure) = (format!("sets {key},"), format!(" {what} sets"));
        lab.refused(2, &format!("reproduce {what} --config own.toml"), &["own.toml", &key, &figure]);
        lab.refused(2, "reproduce all --config own.toml", &["own.toml", "sets"]);
    }
    lab.refused(2, "reproduce fig5 --device abacus", &["--device", "abacus"]);
    // What no run of the figure uses is told; what some use is not.
    let text = lab.text("short.toml");
    let unused = format!("beta = 3\ncrop = 100\nselection-steps = 2\n{text}");
    fs::write(lab.path("unused.toml"), unused).unwrap();
    let told = lab.run("reproduce lipschitz --config unused.toml --device cpu").stderr;
    for part in ["unused.toml: beta is not used", "unused.toml: crop is not used"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("selection-steps"), "{told}");
}
