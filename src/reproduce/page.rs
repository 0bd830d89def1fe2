//! `report.html` of a figure, or of all of them: each claim beside what was measured, and the pictures.

use super::claims::Claim;
use super::what::What;
use crate::report::Drawing;
use crate::report::html::{Block, Page, Section};
use crate::run::config::{Config, Preset};

/// What there is to show of a figure.
#[derive(Debug)]
pub struct Shown {
    pub what: What,
    pub claims: Vec<Claim>,
    pub pictures: Vec<Drawing>,
    /// Every run it was made from: its folder and settings.
    pub runs: Vec<(String, Config)>,
    /// Whether a run's images are drawn and no photographs.
    pub synthetic: bool,
}

/// The page of these figures; of several a table of all claims comes first.
pub fn page(preset: Preset, device: &str, figures: &[Shown]) -> Page {
    let all = || figures.iter().flat_map(|figure| &figure.claims);
    let held = all().filter(|claim| claim.reproduced).count();
    let about = vec![
        match all().count() {
            0 => format!("nothing to judge · preset {} · {device}", preset.name()),
            n => format!("{held} of {n} claims reproduced · preset {} · {device}", preset.name()),
        },
        "Adversarially Robust Representations with Smooth Encoders (Cemgil, Ghaisas, Dvijotham, Kohli; ICLR 2020), as \
         smoothenc reproduces it. Beside this page: data as CSV, pictures as SVG and PNG, settings.toml, claims.json."
            .into(),
    ];
    let warning = match figures.iter().any(|figure| figure.synthetic) {
        true => {
            "All faces on this page are SYNTHETIC: drawn by this program (smoothenc data make), or decoded by a model \
             trained on such. No photograph of a person is among them."
        }
        false => "",
    };
    let title = match figures {
        [one] => one.what.title(),
        _ => "The paper's figures and tables".into(),
    };
    let mut sections = Vec::new();
    if figures.len() > 1 {
        sections.push(overview(figures));
    }
    for figure in figures {
        let title = if figures.len() > 1 { figure.what.title() } else { "Claims and pictures".into() };
        sections.extend([section(figure, title), runs(figure)]);
    }
    Page { title, about, warning: warning.into(), sections }
}

fn verdict(claim: &Claim) -> String {
    if claim.reproduced { "reproduced".into() } else { "NOT reproduced".into() }
}

fn overview(figures: &[Shown]) -> Section {
    let heading = ["claim", "the paper", "outcome"].map(String::from).to_vec();
    let claims = figures.iter().flat_map(|figure| &figure.claims);
    let row = |claim: &Claim| vec![claim.id.clone(), claim.claim.clone(), verdict(claim)];
    let rows = claims.map(row).collect();
    Section::new("claims", "All claims").with(Block::Words { heading, rows })
}

fn section(figure: &Shown, title: String) -> Section {
    let heading = ["claim", "the paper", "expected", "measured", "outcome"].map(String::from).to_vec();
    let row = |claim: &Claim| {
        let [id, words, expected] = [&claim.id, &claim.claim, &claim.expected].map(String::clone);
        vec![id, words, expected, claim.numbers(), verdict(claim)]
    };
    let rows: Vec<_> = figure.claims.iter().map(row).collect();
    let section = Section::new(figure.what.name(), title);
    let section = match rows.is_empty() {
        true => section.text("The paper claims nothing of it that could be measured."),
        false => section.with(Block::Words { heading, rows }),
    };
    section.with(Block::Pictures(figure.pictures.clone()))
}

fn runs(figure: &Shown) -> Section {
    let id = format!("{}-runs", figure.what.name());
    let section = Section::new(id, format!("Runs of {}", figure.what.name()));
    if figure.runs.is_empty() {
        return section.text("It needs none.");
    }
    let row = |(folder, config): &(String, Config)| {
        (folder.clone(), format!("{}, seed {}, {} steps", config.title(), config.seed, config.iterations))
    };
    let mut rows: Vec<_> = figure.runs.iter().map(row).collect();
    rows.sort();
    rows.dedup();
    section.with(Block::Settings(rows))
}
