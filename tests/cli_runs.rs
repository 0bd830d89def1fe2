//! What can be done with finished runs: `encode`, the pictures, `runs`, `compare`; and `completions` and `man`.

mod common;

use std::fs;

use common::{Lab, SIDE, TEST, TRAIN, keys, names, outcome};

const LATENT: usize = 4;

/// A NumPy file's matrix: its two sizes and its numbers.
#[track_caller]
fn npy(bytes: &[u8]) -> ([usize; 2], Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(end.is_multiple_of(64) && header.ends_with('\n'), "{header:?}");
    let shape =
        header.trim_end().strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (").unwrap();
    let (rows, columns) = shape.strip_suffix("), }").unwrap().split_once(", ").unwrap();
    let (words, rest) = bytes[end..].as_chunks();
    assert!(rest.is_empty());
    let values = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    ([rows.parse().unwrap(), columns.parse().unwrap()], values)
}

#[test]
fn codes_are_written_for_other_tools() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    let printed = lab.ok("encode run --out test.npy");
    assert!(printed.contains("test.npy") && printed.contains(&format!("{TEST} images")), "{printed}");
    let (shape, means) = npy(&lab.read("test.npy"));
    assert_eq!((shape, means.len()), ([TEST, LATENT], TEST * LATENT));
    assert!(means.iter().all(|mean| mean.is_finite()) && means.iter().any(|mean| *mean != means[0]));

    lab.ok("encode run --out test.safetensors --split test --device cpu");
    let (tensors, _) = lab.tensors("test.safetensors");
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["log_variance", "mean"]);
    assert_eq!(tensors["mean"], (vec![TEST, LATENT], means.clone()));
    let log_variances = &tensors["log_variance"];
    assert_eq!(log_variances.0, [TEST, LATENT]);
    assert_ne!(log_variances.1, means);

    lab.ok("encode run --out train.npy --split train");
    assert_eq!(npy(&lab.read("train.npy")).0, [TRAIN, LATENT]);
    // The same again is the same file, but only where that is wished.
    let first = lab.read("test.npy");
    lab.refused(2, "encode run --out test.npy", &["test.npy", "exists", "--overwrite"]);
    lab.ok("encode run --out test.npy --overwrite");
    assert_eq!(lab.read("test.npy"), first);
}

/// Own images have the codes that the same images of the set have, as pictures and as an array, and scaled.
#[test]
fn own_images_are_encoded() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    lab.ok("encode run --out test.npy");
    let (_, means) = npy(&lab.read("test.npy"));
    let pixels = &lab.read("set/t10k-images-idx3-ubyte")[16..][..3 * SIDE * SIDE];
    fs::create_dir(lab.path("own")).unwrap();
    let side = SIDE as u32;
    for (i, image) in pixels.chunks_exact(SIDE * SIDE).enumerate() {
        let picture = image::GrayImage::from_raw(side, side, image.to_vec()).unwrap();
        picture.save(lab.path(format!("own/{i}.png"))).unwrap();
    }
    lab.ok("encode run --images own --out own.npy");
    assert_eq!(npy(&lab.read("own.npy")), ([3, LATENT], means[..3 * LATENT].to_vec()));
    // As NumPy saves them.
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (3, {SIDE}, {SIDE}), }}");
    header += &" ".repeat(117 - header.len());
    let array = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), b"\n", pixels].concat();
    let mut archive = zip::ZipWriter::new(fs::File::create(lab.path("own.npz")).unwrap());
    archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut archive, &array).unwrap();
    archive.finish().unwrap();
    lab.ok("encode run --images own.npz --out array.npy");
    assert_eq!(lab.read("array.npy"), lab.read("own.npy"));
    // Of another size only where that is wished, and never in colour.
    image::GrayImage::new(2 * side, 2 * side).save(lab.path("own/9.png")).unwrap();
    lab.refused(2, "encode run --images own --out no.npy", &["9.png"]);
    lab.ok("encode run --images own --resize --out four.npy");
    assert_eq!(npy(&lab.read("four.npy")).0, [4, LATENT]);
    image::RgbImage::new(side, side).save(lab.path("own/9.png")).unwrap();
    lab.refused(2, "encode run --images own --out no.npy", &["9.png", "in colour"]);
    lab.refused(2, "encode run --images none --out no.npy", &["none"]);
}

#[test]
fn a_command_says_more_or_less() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    let said = |more: &str| lab.run(&format!("encode run --out codes.npy --overwrite {more}")).stderr;
    assert!(said("-vv").contains("DEBUG") && !said("-v").contains("DEBUG"));
    assert_eq!((said("-q"), said("")), (String::new(), String::new()));
    let mut command = lab.command("encode run --out codes.npy --overwrite -vv");
    assert_eq!(outcome(command.env("RUST_LOG", "error")).stderr, "", "RUST_LOG decides where it is set");
}

#[test]
fn an_out_file_that_cannot_be_is_refused_before_any_work() {
    let lab = Lab::new();
    // Where the run is not there either, the file is named first: it needs no reading.
    lab.refused(2, "encode run --out codes.csv", &["codes.csv", ".npy", ".safetensors"]);
    lab.refused(2, "encode run --out codes", &["codes", ".npy"]);
    lab.refused(2, "encode run --out none/codes.npy", &["none/codes.npy", "no such folder"]);
    lab.refused(2, "encode run --out codes.npy", &["run is not a run"]);
    lab.refused(2, "encode set --out codes.npy", &["set is not a run"]);
    lab.refused(2, "encode run --out codes.npy --device tpu", &["tpu"]);
    fs::create_dir(lab.path("folder.npy")).unwrap();
    lab.refused(2, "encode run --out folder.npy --overwrite", &["folder.npy", "folder"]);
    for command in ["reconstruct", "sample", "traverse"] {
        lab.refused(2, &format!("{command} run --out a.jpg"), &["a.jpg", ".png"]);
        lab.refused(2, &format!("{command} run --out a.png"), &["run is not a run"]);
        lab.refused(2, &format!("{command} run --out a.png --count 0"), &["--count", "1 to 1000"]);
    }
}

#[test]
fn pictures_are_drawn_and_repeat() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    let size = |name: &str| {
        let picture = image::load_from_memory(&lab.read(name)).unwrap();
        (picture.width(), picture.height())
    };
    for command in ["reconstruct", "sample", "traverse"] {
        let draw = |file: &str, more: &str| {
            let printed = lab.ok(&format!("{command} run --out {file} {more}"));
            assert!(printed.contains(file), "{printed}");
            lab.read(file)
        };
        let file = |n: usize| format!("{command}-{n}.png");
        let first = draw(&file(1), "");
        assert!(first == draw(&file(2), "--count 8"), "{command}: the default is 8");
        assert!(first != draw(&file(3), "--seed 7"), "{command}: a seed changes it");
        assert!(draw(&file(3), "--seed 7 --overwrite") == draw(&file(4), "--seed 7"), "{command}: repeats");
        let fewer = draw(&file(5), "--count 2");
        assert!(first != fewer && size(&file(5)) < size(&file(1)), "{command}");
        lab.refused(2, &format!("{command} run --out {}", file(1)), &["exists", "--overwrite"]);
        // More than there are: all of them.
        draw(&file(6), "--count 70");
        assert!(size(&file(6)).1 >= size(&file(1)).1, "{command}");
    }
}

/// A run of 20 steps, an attacked one, one that stopped half-way, and what is no run.
fn some_runs(lab: &Lab) {
    lab.train("runs/a", "--iterations 20 --no-attack");
    lab.train("runs/deep/er/b", "--iterations 30 --objective vae --seed 3 --attack-radii 0.01,0.1");
    lab.train("runs/c", "--iterations 20 --no-attack --checkpoint-every 10");
    // As a run is that was stopped: more steps to go, and nothing measured.
    lab.change_settings("runs/c", "iterations = 20", "iterations = 40");
    fs::remove_file(lab.path("runs/c/result.json")).unwrap();
    fs::create_dir(lab.path("runs/notes")).unwrap();
    fs::write(lab.path("runs/notes/todo.txt"), "train more").unwrap();
}

#[test]
fn runs_are_listed() {
    let lab = Lab::new();
    some_runs(&lab);
    let text = lab.ok("runs");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[1].starts_with("run ") && lines[1].contains("under attack"), "{text}");
    for (line, parts) in lines[2..].iter().zip([
        ["runs/a ", "tiny", "mlp", "se", "20/20"],
        ["runs/c ", "tiny", "mlp", "se", "20/40"],
        ["runs/deep/er/b ", "tiny", "vae", "30/30", "0.1:"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "no {parts:?} in {line}");
    }

    let list = |line: &str| -> serde_json::Value { serde_json::from_str(&lab.ok(line)).unwrap() };
    let paths = |line: &str| -> Vec<String> {
        let runs = list(&format!("{line} --json"));
        runs.as_array().unwrap().iter().map(|run| run["path"].as_str().unwrap().to_string()).collect()
    };
    let runs = list("runs --json");
    let known = ["path", "dataset", "arch", "objective", "seed", "steps_done", "steps", "finished", "tasks"];
    assert_eq!(keys(&runs[0]), known);
    assert_eq!((&runs[0]["finished"], &runs[1]["finished"]), (&true.into(), &false.into()));
    assert_eq!((&runs[1]["steps_done"], keys(&runs[1]["tasks"]).len()), (&20.into(), 0));
    assert_eq!(runs[2]["tasks"], lab.json("runs/deep/er/b/result.json")["tasks"]);
    assert_eq!(paths("runs"), ["runs/a", "runs/c", "runs/deep/er/b"]);
    assert_eq!(paths("runs --finished"), ["runs/a", "runs/deep/er/b"]);
    assert_eq!(paths("runs --objective vae"), ["runs/deep/er/b"]);
    assert_eq!(paths("runs runs/deep --arch mlp --dataset tiny"), ["runs/deep/er/b"]);
    assert_eq!(paths("runs runs/a"), ["runs/a"]);
    assert!(paths("runs --arch conv").is_empty() && paths("runs --dataset mnist").is_empty());
    assert_eq!(lab.ok("runs runs/notes"), "no runs under runs/notes\n");
    assert_eq!(lab.ok("runs --arch conv"), "no runs of these under runs\n");
}

#[test]
fn what_does_not_read_is_listed_with_the_reason() {
    let lab = Lab::new();
    lab.refused(2, "runs", &["no folder runs"]);
    lab.refused(2, "runs set/none", &["no folder set/none"]);
    some_runs(&lab);
    fs::write(lab.path("runs/a/result.json"), "{").unwrap();
    fs::write(lab.path("runs/c/checkpoint.safetensors"), "cut").unwrap();
    fs::create_dir(lab.path("runs/foreign")).unwrap();
    fs::write(lab.path("runs/foreign/config.toml"), "[package]\nname = 'x'\n").unwrap();
    // Five folders down is too deep to be found.
    fs::create_dir_all(lab.path("runs/1/2/3/4")).unwrap();
    fs::rename(lab.path("runs/deep/er/b"), lab.path("runs/1/2/3/4/b")).unwrap();
    let text = lab.ok("runs --finished");
    let lines: Vec<&str> = text.lines().collect();
    for (line, parts) in lines.iter().zip([
        ["runs/a  does not read: ", "result.json"],
        ["runs/c  does not read: ", "checkpoint.safetensors"],
        ["runs/foreign  does not read: ", "config.toml"],
    ]) {
        assert!(line.starts_with(parts[0]) && line.contains(parts[1]), "{line}");
    }
    assert_eq!(lines.len(), 3, "{text}");
    let runs: serde_json::Value = serde_json::from_str(&lab.ok("runs --json")).unwrap();
    assert_eq!(keys(&runs[0]), ["path", "error"]);
}

#[test]
fn runs_are_compared() {
    let lab = Lab::new();
    lab.train("a", "--iterations 20 --attack-radii 0.01,0.1,0.2");
    lab.train("b", "--iterations 20 --attack-radii 0.1,0.2,0.3 --gamma 5 --seed 1");
    let text = lab.ok("compare a b");
    let heading = text.lines().find(|line| line.starts_with("run ")).unwrap();
    let columns: Vec<&str> = heading.split_whitespace().collect();
    assert_eq!(columns, ["run", "gamma", "seed", "accuracy", "0", "0.1", "0.2"]);

    let compared: serde_json::Value = serde_json::from_str(&lab.ok("compare a b --json")).unwrap();
    assert_eq!(
        keys(&compared),
        ["dataset", "differing", "runs", "common_radii", "synthetic", "paired", "remarks"]
    );
    assert_eq!(compared["differing"], serde_json::json!(["gamma", "seed"]));
    assert_eq!(compared["common_radii"], serde_json::json!({ "label": [0.0, 0.1, 0.2] }));
    let result = lab.json("b/result.json");
    let (run, attack) = (&compared["runs"][1], &result["tasks"]["label"]["attack"]);
    assert_eq!(run["settings"], serde_json::json!({ "gamma": 5.0, "seed": 1 }));
    assert_eq!(run["tasks"]["label"]["accuracy"], result["tasks"]["label"]["nominal_accuracy"]);
    let curve = run["tasks"]["label"]["attack"]["curve"].as_array().unwrap();
    assert_eq!(curve.len(), 4);
    assert_eq!(curve[1]["accuracy"], attack["adversarial_accuracy"]["0.1"]);
    for point in curve {
        let [low, accuracy, high] = ["low", "accuracy", "high"].map(|key| point[key].as_f64().unwrap());
        assert!(0.0 <= low && low <= accuracy && accuracy <= high && high <= 100.0, "{point}");
        // 60 images tell an accuracy to about 13 points either way at the most.
        assert!((4.0..27.0).contains(&(high - low)), "{point}");
    }
    // Both were attacked on the same images, so each is right alone on some of them, or on none.
    let tests = compared["paired"].as_array().unwrap();
    assert_eq!(
        tests.iter().map(|test| test["radius"].as_f64().unwrap()).collect::<Vec<_>>(),
        [0.0, 0.1, 0.2]
    );
    for (test, radius) in tests.iter().zip([None, Some("0.1"), Some("0.2")]) {
        assert_eq!(test["runs"], serde_json::json!(["a", "b"]));
        let [first, second] = [0, 1].map(|run| test["only"][run].as_f64().unwrap());
        let accuracy = |run: &str| {
            let attack = &lab.json(&format!("{run}/result.json"))["tasks"]["label"]["attack"];
            radius
                .map_or(&attack["nominal_accuracy"], |r| &attack["adversarial_accuracy"][r])
                .as_f64()
                .unwrap()
        };
        let images = attack["examples"].as_f64().unwrap();
        let difference = (accuracy("a") - accuracy("b")) / 100.0 * images;
        assert!((first - second - difference).abs() < 0.01, "{test}");
        assert!((0.0..=1.0).contains(&test["p"].as_f64().unwrap()), "{test}");
    }
    assert!(text.contains("McNemar") && text.contains("label at 0.1: "), "{text}");
    // Three runs, one of them not attacked.
    lab.train("c", "--iterations 20 --no-attack");
    let text = lab.ok("compare a b c");
    assert!(text.lines().any(|line| line.starts_with("c ") && line.ends_with('-')), "{text}");
}

#[test]
fn a_comparison_has_a_page_and_a_table() {
    let lab = Lab::new();
    lab.train("a", "--iterations 20 --attack-radii 0.1,0.2");
    lab.train("b", "--iterations 20 --attack-radii 0.1,0.3 --attack-norm l2");
    let text = lab.ok("compare a b --out page");
    assert!(text.contains("page/report.html") && text.contains("attack of b: L2"), "{text}");
    assert_eq!(names(&lab.path("page")), ["files.json", "report.html", "results.csv"]);
    let page = lab.text("page/report.html");
    for part in ["2 runs on tiny compared", "<svg", "id=\"settings\"", "None that a number depends on"] {
        assert!(page.contains(part), "no {part}");
    }
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org").count()
    );
    let table = lab.text("page/results.csv");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["run", "task", "norm", "attack", "examples", "radius", "accuracy", "low", "high"]);
    assert_eq!(lines.len(), 1 + 2 * (1 + 3), "{table}");
    let first = ["a", "label", "linf", "margin ascent of 10 steps x 2 restarts", "60", "0"];
    assert_eq!(lines[2][..6], first);

    lab.refused(2, "compare a b --out page", &["page", "report.html", "--overwrite"]);
    fs::write(lab.path("page/mine.txt"), "kept").unwrap();
    lab.ok("compare a b --out page --overwrite");
    assert_eq!(names(&lab.path("page")), ["files.json", "mine.txt", "report.html", "results.csv"]);
    lab.refused(2, "compare a b --out a --overwrite", &["--out a", "is a run"]);
    lab.refused(2, "compare a b --out base.toml", &["--out base.toml"]);
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let lab = Lab::new();
    lab.train("a", "--iterations 20 --no-attack");
    lab.refused(2, "compare a", &["RUN"]);
    lab.refused(2, "compare a none", &["none is not a run"]);
    lab.train("b", "--iterations 20 --no-attack");
    lab.change_settings("b", "dataset = \"tiny\"", "dataset = \"other\"");
    lab.refused(2, "compare a b --out page", &["one data set", "a is on tiny", "b on other"]);
    fs::remove_file(lab.path("b/result.json")).unwrap();
    lab.refused(2, "compare a b", &["b/result.json is missing", "--resume b"]);
}

#[test]
fn shells_and_man_know_every_command() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lab.ok(&format!("completions {shell}"));
        for word in ["encode", "compare", "attack-radii"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    lab.refused(2, "completions tcsh", &["tcsh", "bash"]);

    let printed = lab.ok("man --out pages/man1");
    let pages = names(&lab.path("pages/man1"));
    assert!(printed.contains(&format!("{} pages", pages.len())), "{printed}");
    for page in ["smoothenc.1", "smoothenc-train.1", "smoothenc-data-make.1", "smoothenc-man.1"] {
        assert!(pages.iter().any(|name| name == page), "no {page} in {pages:?}");
        let text = lab.text(&format!("pages/man1/{page}"));
        assert!(text.contains(".SH SYNOPSIS") && text.contains(page.trim_end_matches(".1")), "{page}");
    }
    assert!(!pages.iter().any(|name| name.contains("help")), "{pages:?}");
    // Again, over those that are there.
    lab.ok("man --out pages/man1");
    lab.refused(2, "man --out base.toml", &["--out base.toml"]);
}

/// The page shows the run's own evaluation and lists the others, and calls classes by their names.
#[test]
fn a_page_says_which_evaluation_it_shows() {
    let lab = Lab::new();
    lab.train("run", "");
    assert!(!lab.text("run/report.html").contains("Other evaluations"));
    lab.ok("attack run --device cpu --radii 4/255");
    lab.ok("probe run --balanced --device cpu");
    // As a set of pictures in folders has them.
    let mut record = lab.json("run/result.json");
    record["class_names"] = serde_json::json!(["ant", "bee", "cat"]);
    record.as_object_mut().unwrap().remove("sha256");
    fs::write(lab.path("run/result.json"), record.to_string()).unwrap();
    lab.ok("attack run --device cpu --norm l2");
    let page = lab.text("run/report.html");
    for part in [
        "<th>radius 0.01</th>",
        "Other evaluations",
        "<td data-label=\"probe\">all labels, seed 0</td>",
        ", 0.01569: ",
        "<td data-label=\"probe\">all labels, every class equally often, seed 0</td>",
        "L2 attack, margin ascent of 10 steps x 2 restarts, first 60 images",
        "classifier in model.safetensors (all labels, every class equally often, seed 0)",
        "L2 ball of radius 1.5 through",
        ">ant<",
        ">cat<",
    ] {
        assert!(page.contains(part), "no {part:?}");
    }
    assert!(!page.contains("<th>radius 0.01569</th>"), "the run's own attack is shown");
    assert_eq!(lab.json("run/result.json")["class_names"][2], "cat");
}

/// For a log file, where there is no terminal.
#[test]
fn verbose_tells_each_stage() {
    let lab = Lab::new();
    let outcome = lab.run("train --config base.toml --out run -v --attack-radii 4/255,0.1");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let mut rest = outcome.stderr.as_str();
    for part in [
        "read tiny: 300 training and 60 test images of 1 x 8 x 8",
        "on CPU backend",
        "training begins, 200 to do",
        "step 50 of 200: loss ",
        " examples/s",
        "step 200 of 200",
        "probe of label: ",
        "attack on label, right by radius: 0: ",
        "0.01569: ",
        "wrote run/report.html",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} in its place in\n{}", outcome.stderr));
        rest = &rest[at..];
    }
    assert!(outcome.stdout.ends_with("run: run\npage: run/report.html\n"), "{}", outcome.stdout);
}
