//! `report.html` as a reader meets it: whole, of every run and reproduction, asking for nothing outside itself; and
//! opened in a headless Chromium, every picture there.
//!
//! The browser is that of `SMOOTHENC_CHROMIUM`, else `chromium`, `chromium-browser` or `google-chrome` in the path.
//! Where there is none its trials are listed as ignored. `SMOOTHENC_PICTURES=DIR` keeps the screenshots.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Lab, outcome};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use smoothenc::progress::Context;
use smoothenc::runs::LoadedRun;
use smoothenc::runs::showcase::Pair;

const SECTIONS: [&str; 11] = [
    "accuracy",
    "security",
    "learning",
    "reconstructions",
    "samples",
    "traversals",
    "neighbours",
    "adversarial",
    "confusion",
    "lipschitz",
    "settings",
];

type Verdict = Result<(), Failed>;
/// Makes a page, and says how many pictures it has at least.
type Shown = fn(&Lab) -> (String, usize);
/// A trial by its name.
type Named = (&'static str, fn() -> Verdict);

fn main() {
    let browser = browser();
    if browser.is_none() {
        eprintln!(
            "no Chromium found (SMOOTHENC_CHROMIUM, chromium, chromium-browser, google-chrome): its trials are ignored"
        );
    }
    let plain: [Named; 6] = [
        ("what_is_shown_is_what_the_page_says", what_is_shown_is_what_the_page_says),
        ("a_run_has_a_page_that_is_whole", a_run_has_a_page_that_is_whole),
        ("figures_have_pages_that_are_whole", figures_have_pages_that_are_whole),
        ("probe_and_attack_write_the_page_anew", probe_and_attack_write_the_page_anew),
        ("a_vae_stands_beside_its_smooth_encoder", a_vae_stands_beside_its_smooth_encoder),
        ("a_page_that_cannot_be_written_loses_no_run", a_page_that_cannot_be_written_loses_no_run),
    ];
    let views = [
        ("wide_light", 1280, false),
        ("wide_dark", 1280, true),
        ("phone_light", 390, false),
        ("phone_dark", 390, true),
    ];
    let mut trials: Vec<_> = plain.into_iter().map(|(name, test)| Trial::test(name, test)).collect();
    for (name, width, dark) in views {
        for (of, page) in [("run", run_page as Shown), ("figure", figure_page), ("panels", panels_page)] {
            let (browser, name) = (browser.clone(), format!("{of}_{name}"));
            let trial = format!("browser::{name}");
            let test = move || in_a_browser(&browser.unwrap_or_default(), page, &name, width, dark);
            trials.push(Trial::test(trial, test).with_ignored_flag(!found()));
        }
    }
    let missing = browser.clone();
    let test = move || a_missing_picture_is_seen(&missing.unwrap_or_default());
    trials.push(Trial::test("browser::a_missing_picture_is_seen", test).with_ignored_flag(browser.is_none()));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn found() -> bool {
    browser().is_some()
}

fn browser() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SMOOTHENC_CHROMIUM") {
        return Some(path.into());
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

/// The text between two others, each time that they come.
fn between<'a>(text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).map(move |rest| rest.split(end).next().unwrap_or(""))
}

/// Bytes of base64 text; an independent reading of what the page writes.
fn from_base64(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} in base64"),
    };
    let text = text.trim_end_matches('=');
    let bits: Vec<bool> =
        text.bytes().flat_map(|l| (0..6).rev().map(move |b| digit(l) >> b & 1 == 1)).collect();
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks_exact(8).map(byte).collect()
}

/// Checks a page without a browser: its sections, its images, that it asks for nothing.
#[track_caller]
fn check(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(
        page.contains("<meta name=\"viewport\"")
            && page.contains("prefers-color-scheme: dark")
            && page.contains("@media print")
    );
    // Other evaluations are listed where there are any.
    let sections = between(page, "<section id=\"", "\"").filter(|id| *id != "evaluations");
    assert_eq!(sections.collect::<Vec<_>>(), SECTIONS);
    for section in between(page, "<section id=", "</section>") {
        let shown = ["<svg", "<img", "<td", "<p>"].iter().any(|tag| section.contains(tag));
        assert!(shown && section.contains("<h2>"), "an empty section: {section}");
    }
    let images: Vec<_> = between(page, "<img ", ">").collect();
    // Two rows, three, one for each of four latent dimensions, and five twice.
    assert_eq!(images.len(), 19);
    for image in images {
        let attribute =
            |name: &str| between(image, &format!("{name}=\""), "\"").next().map(String::from).unwrap();
        let source = attribute("src");
        let data = source.strip_prefix("data:image/png;base64,").unwrap_or_else(|| panic!("src is {source}"));
        let picture =
            image::load_from_memory_with_format(&from_base64(data), image::ImageFormat::Png).unwrap();
        let said = (attribute("width").parse().unwrap(), attribute("height").parse().unwrap());
        assert_eq!((picture.width(), picture.height()), said);
        assert!(!attribute("alt").is_empty());
    }
    assert!(page.matches("<svg ").count() >= 4);
    asks_for_nothing(page);
}

/// A page has everything it shows in it, and every number is one.
#[track_caller]
fn asks_for_nothing(page: &str) {
    for word in ["src=", "href=", "url(", "@import", "<script", "<link", "<iframe"] {
        for at in page.match_indices(word).map(|(at, _)| &page[at..(at + 40).min(page.len())]) {
            let within = ["src=\"data:image/png;base64,", "href=\"data:image/png;base64,"];
            assert!(within.iter().any(|start| at.starts_with(start)), "the page asks for {at}");
        }
    }
    let addresses = page.matches("://").count();
    assert_eq!(addresses, page.matches("http://www.w3.org/2000/svg").count(), "addresses beside SVG's name");
    let images: Vec<_> = between(page, "base64,", "\"").collect();
    let text = images.iter().fold(page.to_string(), |text, image| text.replace(image, ""));
    assert!(!text.contains("NaN") && !text.contains(">inf<"), "a number that is none");
}

fn a_run_has_a_page_that_is_whole() -> Verdict {
    let lab = Lab::new();
    lab.train("run", "");
    let page = lab.text("run/report.html");
    check(&page);
    let result = &lab.json("run/result.json")["tasks"]["label"];
    for (key, value) in result["attack"]["adversarial_accuracy"].as_object().unwrap() {
        let cell = format!("<td>{:.2}</td>", value.as_f64().unwrap());
        assert!(page.contains(&cell) && page.contains(&format!("<th>radius {key}</th>")), "{key}: {cell}");
    }
    assert!(page.contains("<td>selection-steps</td><td>5</td>"), "the settings");
    assert!(!page.contains("SYNTHETIC"));
    // The linear decoder and the other objectives have the same page, also without an attack.
    lab.train("vae", "--objective vae --decoder-output linear --no-attack");
    let page = lab.text("vae/report.html");
    check(&page);
    assert!(page.contains("were not attacked"));
    lab.train("l2", "--selection-norm l2 --attack-norm l2 --attack-radii 0.5,1");
    check(&lab.text("l2/report.html"));
    Ok(())
}

/// Dense layers with ReLU between, in float64, of the tensors `PREFIX.N.weight` and `.bias` of a run's model.
fn dense(lab: &Lab, prefix: &str, x: &[f64]) -> Vec<f64> {
    let bytes = lab.read("run/model.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values = |name: &str| -> Option<Vec<f64>> {
        let words = file.tensor(name).ok()?.data().as_chunks().0;
        Some(words.iter().map(|&word| f64::from(f32::from_le_bytes(word))).collect())
    };
    let name = |layer: usize, what: &str| match prefix {
        "probe.label" => format!("{prefix}.{what}"),
        _ => format!("{prefix}.{layer}.{what}"),
    };
    let mut x = x.to_vec();
    for layer in (0..).step_by(2) {
        let layers = values(&name(layer, "weight")).filter(|_| layer == 0 || prefix != "probe.label");
        let Some((weight, bias)) = layers.zip(values(&name(layer, "bias"))) else { break };
        if layer > 0 {
            x.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let rows = weight.chunks_exact(x.len()).zip(bias);
        x = rows.map(|(row, bias)| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() + bias).collect();
    }
    x
}

/// What the page shows, against float64 and the definitions.
fn what_is_shown_is_what_the_page_says() -> Verdict {
    let lab = Lab::new();
    lab.train("run", "");
    let mut run = LoadedRun::open(&lab.path("run"), "cpu", &Context::silent())?;
    let shown = run.showcase()?;
    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let mean = |x: &[f32]| dense(&lab, "encoder", &wide(x))[..4].to_vec();
    let decoded =
        |z: &[f64]| dense(&lab, "decoder", z).iter().map(|y| 1.0 / (1.0 + (-y).exp())).collect::<Vec<_>>();
    let answer = |x: &[f32]| {
        let scores = dense(&lab, "probe.label", &mean(x));
        (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap() as u32
    };
    let near = |a: &[f32], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4)
    };
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();

    assert_eq!((shown.originals.len(), shown.samples.len(), shown.traversals.len()), (10, 30, 4));
    for (i, (x, y)) in shown.originals.iter().zip(&shown.reconstructions).enumerate() {
        assert!(*x == run.data.test.images.floats(i).unwrap() && near(y, &decoded(&mean(x))), "image {i}");
    }
    for traversal in &shown.traversals {
        let mut code = mean(&shown.originals[0]);
        for (k, image) in traversal.images.iter().enumerate() {
            code[traversal.dimension] = -3.0 + 6.0 * k as f64 / 9.0;
            assert!(near(image, &decoded(&code)), "dimension {}, image {k}", traversal.dimension);
        }
    }
    let in_ball = |pair: &Pair, radius: f32| {
        let moved = pair.perturbed.iter().zip(&pair.original).map(|(a, b)| (a - b).abs());
        assert!(
            moved.clone().all(|by| by <= radius + 1e-6)
                && pair.perturbed.iter().all(|x| (0.0..=1.0).contains(x))
        );
        assert!(moved.fold(0.0, f32::max) > 0.9 * radius, "hardly moved");
        assert!(near(&pair.reconstruction, &decoded(&mean(&pair.original))));
        assert!(near(&pair.perturbed_reconstruction, &decoded(&mean(&pair.perturbed))));
    };
    assert_eq!((shown.neighbours.eps, shown.neighbours.ratios.len()), (0.1, common::TEST));
    for (pair, ratio) in shown.neighbours.examples.iter().zip(&shown.neighbours.ratios) {
        in_ball(pair, 0.1);
        let (x, moved) = (&pair.original, &pair.perturbed);
        let expected = apart(&mean(x), &mean(moved)) / apart(&wide(x), &wide(moved));
        assert!((ratio / expected - 1.0).abs() < 1e-3, "{ratio} and {expected}");
    }
    let attacked = shown.attacked.ok_or("no classifier")?;
    assert_eq!((attacked.images, attacked.radius, attacked.examples.len()), (common::TEST, 0.1, 10));
    for (class, row) in attacked.confusion.iter().enumerate() {
        let of_class = run.data.test.labels[0].iter().filter(|&&label| label as usize == class).count();
        assert_eq!(row.iter().sum::<usize>(), of_class);
    }
    for example in &attacked.examples {
        in_ball(&example.pair, 0.1);
        let (before, after) = (answer(&example.pair.original), answer(&example.pair.perturbed));
        assert_eq!((example.before, example.after), (before, after));
    }
    let fooled: Vec<bool> =
        attacked.examples.iter().map(|e| e.before == e.class && e.after != e.class).collect();
    assert!(fooled[0] && fooled.is_sorted_by(|a, b| a >= b), "the fooled come first: {fooled:?}");
    Ok(())
}

fn probe_and_attack_write_the_page_anew() -> Verdict {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let first = lab.text("run/report.html");
    lab.ok("attack run --device cpu --attack-radii 0.123");
    let attacked = lab.text("run/report.html");
    assert!(!first.contains("radius 0.123") && attacked.contains("radius 0.123"));
    lab.ok("probe run --device cpu");
    assert!(lab.text("run/report.html").contains("radius 0.123"), "the same probe again keeps its attack");
    lab.ok("probe run --balanced --device cpu");
    let probed = lab.text("run/report.html");
    check(&probed);
    assert!(probed.contains("were not attacked"), "another probe was not attacked");
    Ok(())
}

fn a_vae_stands_beside_its_smooth_encoder() -> Verdict {
    let lab = Lab::new();
    lab.train("plain", "--objective vae");
    lab.train("other", "--objective vae --holdout 50");
    lab.train("wider", "--objective vae --variance 0.3");
    lab.train("smooth", "");
    let page = lab.text("smooth/report.html");
    check(&page);
    assert!(
        page.contains("Beside it the run plain: VAE of tiny"),
        "{}",
        between(&page, "<h2>Accuracy under", "<svg").next().unwrap()
    );
    let legend = between(&page, "<section id=\"security\"", "</svg>").next().unwrap();
    assert!(legend.contains(">VAE</text>") && legend.contains(">SE (γ"), "{legend}");
    assert!(!lab.text("plain/report.html").contains("Beside it"), "there was no other yet");
    Ok(())
}

fn a_page_that_cannot_be_written_loses_no_run() -> Verdict {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let result = lab.json("run/result.json");
    std::fs::remove_file(lab.path("run/report.html"))?;
    // A folder of that name cannot be replaced by a file.
    std::fs::create_dir(lab.path("run/report.html"))?;
    std::fs::write(lab.path("run/report.html/inside"), "")?;
    let outcome = outcome(&mut lab.command("attack run --device cpu --json"));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("report.html") && outcome.stderr.contains("result.json is complete"),
        "{}",
        outcome.stderr
    );
    let printed: Value = serde_json::from_str(&outcome.stdout)?;
    assert!(printed["tasks"]["label"]["attack"].is_object());
    assert_eq!(lab.json("run/result.json"), printed);
    assert_ne!(printed, result);
    Ok(())
}

/// Put into a copy of the page, tells the page around it what a reader sees: for each picture its place and whether it
/// has content, the page's width beside the window's, and its height.
const PROBE: &str = "<script>window.addEventListener('load', () => {
  const seen = [...document.querySelectorAll('img, .charts svg, .pictures svg')].map(e => {
    const r = e.getBoundingClientRect();
    const there = e.tagName != 'IMG' || (e.complete && e.naturalWidth > 0);
    return { x: r.x, y: r.y + scrollY, w: r.width, h: r.height, there };
  });
  const root = document.documentElement;
  parent.postMessage({ seen, inner: root.clientWidth, full: root.scrollWidth, height: root.scrollHeight }, '*');
});</script>";

/// The page around it: a browser's window has a least width, a frame in it has not.
const FRAME: &str = "<!DOCTYPE html><html style='color-scheme: light dark'><body style='margin: 0'>
<script>window.addEventListener('message', m => {
  document.querySelector('iframe').style.height = m.data.height + 'px';
  document.body.setAttribute('data-seen', btoa(JSON.stringify(m.data)));
});</script>
<iframe src='page.html' scrolling='no' style='border: 0; display: block; width: WIDTHpx; height: 900px'></iframe>
</body></html>";

/// What the browser says of the page at `path` in a window of this width, and its screenshot.
fn look(
    browser: &Path,
    folder: &Path,
    page: &str,
    width: u32,
    dark: bool,
) -> Result<(Value, image::RgbImage), Failed> {
    let (file, shot) = (folder.join("frame.html"), folder.join("shot.png"));
    std::fs::write(&file, FRAME.replace("WIDTH", &width.to_string()))?;
    std::fs::write(folder.join("page.html"), page.replacen("</head>", &format!("{PROBE}</head>"), 1))?;
    let open = |height: u64, more: &[String]| {
        let mut command = Command::new(browser);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
        ]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.args(dark.then_some("--blink-settings=preferredColorScheme=0"));
        command.args((!dark).then_some("--blink-settings=preferredColorScheme=1"));
        command.arg(format!("--window-size={},{height}", width.max(500))).args(more);
        command.arg(format!("file://{}", file.display()));
        limited(command)
    };
    let dom = open(900, &["--dump-dom".into()])?;
    let said = between(&dom, "data-seen=\"", "\"").next().ok_or("the page's script did not run")?;
    let seen: Value = serde_json::from_slice(&from_base64(said))?;
    let height = seen["height"].as_f64().ok_or("no height")? as u64;
    open(height, &[format!("--screenshot={}", shot.display())])?;
    let mut shot = image::open(&shot)?.into_rgb8();
    let part = image::imageops::crop(&mut shot, 0, 0, width, height as u32).to_image();
    Ok((seen, part))
}

/// Runs a command for a minute at the most; returns its stdout.
fn limited(mut command: Command) -> Result<String, Failed> {
    let output = tempfile::NamedTempFile::new()?;
    let mut child = command.stdout(output.reopen()?).stderr(Stdio::null()).spawn()?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            let text = std::fs::read_to_string(output.path())?;
            return if status.success() { Ok(text) } else { Err(format!("{command:?}: {status}").into()) };
        }
        if started.elapsed() > Duration::from_secs(60) {
            child.kill()?;
            child.wait()?;
            return Err(format!("{command:?} did not end within a minute").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is wrong with what the browser shows: pictures missing, empty or cut off, or a page wider than its window.
fn faults(seen: &Value, shot: &image::RgbImage, least: usize) -> Vec<String> {
    let mut faults = Vec::new();
    if seen["full"].as_f64() > seen["inner"].as_f64() {
        faults.push(format!("the page is {} wide in a window of {}", seen["full"], seen["inner"]));
    }
    let pictures = seen["seen"].as_array().map(Vec::as_slice).unwrap_or_default();
    if pictures.len() < least {
        faults.push(format!("{} pictures only", pictures.len()));
    }
    for (i, picture) in pictures.iter().enumerate() {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| picture[key].as_f64().unwrap_or(f64::NAN));
        let inside =
            x >= 0.0 && y >= 0.0 && x + w <= f64::from(shot.width()) && y + h <= f64::from(shot.height());
        if picture["there"] != true || !(w >= 20.0 && h >= 8.0) || !inside {
            faults.push(format!("picture {i}: {picture}"));
            continue;
        }
        let part = image::imageops::crop_imm(shot, x as u32, y as u32, w as u32, h as u32).to_image();
        let mut colours: Vec<_> = part.pixels().map(|pixel| pixel.0).collect();
        colours.sort_unstable();
        colours.dedup();
        if colours.len() < 4 {
            faults.push(format!("picture {i} shows {} colours: {picture}", colours.len()));
        }
    }
    faults
}

/// A run's page, and how many pictures it has at least.
fn run_page(lab: &Lab) -> (String, usize) {
    lab.train("run", "");
    (lab.text("run/report.html"), 25)
}

/// The page of a reproduced figure with a claim and its runs, and how many pictures it has.
fn figure_page(lab: &Lab) -> (String, usize) {
    lab.short_runs();
    lab.ok("reproduce lipschitz --config short.toml --device cpu");
    (lab.text("reproductions/lipschitz/report.html"), 1)
}

/// That of one with five panels.
fn panels_page(lab: &Lab) -> (String, usize) {
    lab.ok("reproduce fig2 --device cpu");
    (lab.text("reproductions/fig2/report.html"), 5)
}

fn figures_have_pages_that_are_whole() -> Verdict {
    let lab = Lab::new();
    for (page, part) in [(figure_page as Shown, "of 1 claims reproduced"), (panels_page, "draws 60")] {
        let (page, pictures) = page(&lab);
        asks_for_nothing(&page);
        assert_eq!(page.matches("<svg ").count(), pictures);
        assert!(page.contains(part), "{part}: {page}");
    }
    Ok(())
}

fn in_a_browser(browser: &Path, page: Shown, name: &str, width: u32, dark: bool) -> Verdict {
    let lab = Lab::new();
    let (page, least) = page(&lab);
    let (seen, shot) = look(browser, &lab.path(""), &page, width, dark)?;
    if let Some(folder) = std::env::var_os("SMOOTHENC_PICTURES") {
        shot.save(Path::new(&folder).join(format!("page_{name}.png")))?;
    }
    let faults = faults(&seen, &shot, least);
    assert!(faults.is_empty(), "{faults:#?}");
    let corner = u32::from(shot.get_pixel(0, 0).0[1]);
    assert_eq!(corner < 128, dark, "the paper's colour is {:?}", shot.get_pixel(0, 0));
    Ok(())
}

/// The trial above would fail: a picture whose data are broken, and one that is empty, are found.
fn a_missing_picture_is_seen(browser: &Path) -> Verdict {
    let lab = Lab::new();
    lab.train("run", "");
    let page = lab.text("run/report.html");
    let broken = page.replacen("data:image/png;base64,iVBOR", "data:image/png;base64,AAAAA", 1);
    assert_ne!(broken, page);
    let (seen, shot) = look(browser, &lab.path(""), &broken, 1280, false)?;
    let found = faults(&seen, &shot, 25);
    assert!(found.iter().any(|fault| fault.contains("\"there\":false")), "{found:#?}");
    let body = between(&page, "<svg ", "</svg>").next().ok_or("no chart")?;
    let empty = page.replacen(body, &body[..body.find("<title>").ok_or("no title")?], 1);
    let (seen, shot) = look(browser, &lab.path(""), &empty, 1280, false)?;
    let found = faults(&seen, &shot, 25);
    assert!(found.iter().any(|fault| fault.contains("colours")), "{found:#?}");
    Ok(())
}
