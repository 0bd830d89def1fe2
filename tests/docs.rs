//! What comments and pages cite exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of these endings under `folder`, in order.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if endings.contains(&ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<PathBuf> {
    let folders = ["src", "shaders", "tests", "kernels-tests", "benches", "examples", "scripts"];
    let all = folders.iter().flat_map(|folder| files(&root().join(folder), &["rs", "wgsl", "py", "sh"]));
    all.filter(|path| !path.ends_with("tests/docs.rs")).collect()
}

/// The text after each `mark`, with the comment signs of line ends taken out.
fn after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = String> + 'a {
    text.match_indices(mark).map(move |(at, _)| {
        let rest: String = text[at + mark.len()..].chars().take(80).collect();
        rest.replace(['\n', '/', '!'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

#[test]
fn cited_pages_and_sections_exist() {
    let method = fs::read_to_string(root().join("docs/method.md")).unwrap();
    let sections: BTreeSet<u32> =
        method.lines().filter_map(|line| line.strip_prefix("## ")?.split('.').next()?.parse().ok()).collect();
    assert!(sections.len() > 5, "docs/method.md has no numbered sections: {sections:?}");
    let mut cited = 0;
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for rest in after(&text, "docs/") {
            let Some(page) = rest.split_inclusive(".md").next().filter(|page| page.ends_with(".md")) else {
                continue;
            };
            if page.contains([' ', '*', '{']) {
                continue;
            }
            cited += 1;
            assert!(root().join("docs").join(page).is_file(), "{} cites docs/{page}", path.display());
        }
        for rest in after(&text, "docs/method.md, section ") {
            let number = rest.chars().take_while(char::is_ascii_digit).collect::<String>();
            let number: u32 = number.parse().unwrap_or_else(|_| panic!("{}: section {rest}", path.display()));
            assert!(sections.contains(&number), "{} cites section {number}", path.display());
        }
    }
    assert!(cited > 50, "only {cited} citations were found");
}

/// Documents that are not in the repository are not cited.
#[test]
fn only_pages_of_the_project_are_cited() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for name in ["SPEC section", "SPEC.md", "INTERFACE.md", "DESIGN.md", "RESULTS.md"] {
            assert!(!text.contains(name), "{} cites {name}", path.display());
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages = files(&root().join("docs"), &["md"]);
    pages.extend(
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root().join(page)),
    );
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            assert!(page.parent().unwrap().join(file).exists(), "{} links to {target}", page.display());
        }
    }
}

/// The guide's contents list every page.
#[test]
fn the_guide_has_every_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in files(&root().join("docs"), &["md"]) {
        let name = page.strip_prefix(root().join("docs")).unwrap().display().to_string();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "docs/SUMMARY.md lacks {name}"
        );
    }
}

/// A block of code that begins with a file's name is a part of that file.
#[test]
fn excerpts_are_what_the_files_have() {
    let mut pages = files(&root().join("docs"), &["md"]);
    pages.push(root().join("README.md"));
    let mut excerpts = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("\n```rust").skip(1) {
            let (_, code) = block.split_once('\n').unwrap();
            let (code, _) = code.split_once("```").unwrap();
            let Some((file, code)) = code.strip_prefix("// ").and_then(|code| code.split_once(".rs\n"))
            else {
                continue;
            };
            let whole = fs::read_to_string(root().join(format!("{file}.rs"))).unwrap();
            assert!(whole.contains(code), "{}: {file}.rs does not have\n{code}", page.display());
            excerpts += 1;
        }
    }
    assert_eq!(excerpts, 5, "README.md has one, docs/adding-an-op.md four");
}

/// Functions of the engine that add to a graph show how in their docs, or in those of their file.
#[test]
fn every_op_has_an_example() {
    let mut ops = 0;
    for path in files(&root().join("src/engine/ops"), &["rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("\npub fn ") {
            let rest = &text[at + "\npub fn ".len()..];
            let (name, arguments) = rest.split_once('(').unwrap();
            if !arguments.trim_start().starts_with("g: &mut Graph") {
                continue;
            }
            ops += 1;
            let docs = text[..at].rsplit("\n\n").next().unwrap();
            assert!(docs.contains("/// ```") || text.contains("//! ```"), "{}: {name}", path.display());
        }
    }
    assert!(ops > 20, "only {ops} were found");
}
