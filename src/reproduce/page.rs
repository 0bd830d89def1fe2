//! `report.html` of a figure, or of all of them: each claim beside what was measured, the pictures, and what they were
//! made from.

use std::collections::BTreeSet;

use super::claims::{Claim, tally};
use super::lab::Made;
use super::what::What;
use crate::report::SYNTHETIC_FACES;
use crate::report::html::{Block, Page, Section};
use crate::runs::config::{Arch, Config, Objective, Preset, Selection};

/// How the verdicts are made.
const RULE: &str = "A number is a mean over seeds with its standard error over seeds and images. A condition holds \
    from two such errors on. Reproduced: all of a claim's conditions hold; partly: some do.";

/// What there is to show of a figure.
#[derive(Debug)]
pub struct Shown {
    pub what: What,
    pub claims: Vec<Claim>,
    pub made: Made,
}

/// The page of these figures; of several a table of all claims comes first.
pub fn page(preset: Preset, figures: &[Shown]) -> Page {
    let all = || figures.iter().flat_map(|figure| &figure.claims);
    let outcome = match all().count() {
        0 => "nothing to judge".to_string(),
        _ => tally(all()),
    };
    let devices: Vec<_> = figures.iter().flat_map(|figure| &figure.made.devices).collect();
    let trained = match devices.first() {
        Some(first) if devices.iter().all(|device| device == first) => format!(" · trained on {first}"),
        Some(_) => " · trained on several devices".into(),
        None => String::new(),
    };
    let (title, beside) = match figures {
        [one] => (one.title(), "Beside this page"),
        _ => ("The paper's figures and tables".into(), "In each figure's folder"),
    };
    let about = vec![
        format!("{outcome} · preset {}{trained}", preset.name()),
        format!(
            "Adversarially Robust Representations with Smooth Encoders (Cemgil, Ghaisas, Dvijotham, Kohli; ICLR \
             2020), as \
             smoothenc reproduces it. {beside}: data as CSV, pictures as SVG and PNG, settings.toml with every \
             setting, \
             claims.json."
        ),
    ];
    let synthetic = figures.iter().any(|figure| figure.made.synthetic);
    let mut sections = Vec::new();
    if figures.len() > 1 {
        sections.push(overview(figures));
    }
    for figure in figures {
        let title = if figures.len() > 1 { figure.title() } else { "Claims and pictures".into() };
        sections.extend([figure.section(title, figures.len() > 1), figure.origins()]);
    }
    let warning = if synthetic { SYNTHETIC_FACES.into() } else { String::new() };
    Page { title, about, warning, sections, of: String::new() }
}

fn overview(figures: &[Shown]) -> Section {
    let heading = ["claim", "the paper", "verdict"].map(String::from).to_vec();
    let claims = figures.iter().flat_map(|figure| &figure.claims);
    let row = |claim: &Claim| vec![claim.id.clone(), claim.claim.clone(), claim.verdict().text().into()];
    Section::new("claims", "All claims").with(Block::Words { heading, rows: claims.map(row).collect() })
}

impl Shown {
    fn title(&self) -> String {
        let title = self.what.title();
        if self.made.synthetic { title.replace("CelebA", "synthetic faces in CelebA's place") } else { title }
    }

    /// Claims, tables and pictures. `among_others` says again whose faces are shown.
    fn section(&self, title: String, among_others: bool) -> Section {
        let heading = ["claim", "the paper", "its number", "expected", "measured", "verdict"]
            .map(String::from)
            .to_vec();
        let row = |claim: &Claim| {
            let [id, words, expected] = [&claim.id, &claim.claim, &claim.expected].map(String::clone);
            let paper = claim.paper.clone().unwrap_or_default();
            vec![id, words, paper, expected, claim.numbers(), claim.verdict().text().into()]
        };
        let rows: Vec<_> = self.claims.iter().map(row).collect();
        let mut section = Section::new(self.what.name(), title);
        if among_others && self.made.synthetic {
            section = section.text(SYNTHETIC_FACES);
        }
        section = match rows.is_empty() {
            true => section.text("The paper claims nothing of it that could be measured."),
            false => section.text(RULE).with(Block::Words { heading, rows }),
        };
        let deviations: BTreeSet<&String> = self.claims.iter().flat_map(Claim::deviations).collect();
        for deviation in deviations {
            section = section.text(format!("Not as in the paper: {deviation}."));
        }
        for (title, pictures) in &self.made.pictures {
            if !title.is_empty() {
                section = section.text(title);
            }
            section = section.with(Block::Pictures(pictures.clone()));
        }
        for (title, heading, rows) in &self.made.tables {
            let (heading, rows) = (heading.clone(), rows.clone());
            section = section.text(title).with(Block::Table { heading, rows });
        }
        section
    }

    /// The runs, and what else it was made from.
    fn origins(&self) -> Section {
        let mut rows: Vec<_> =
            self.made.runs.iter().map(|(folder, config)| (folder.clone(), described(config))).collect();
        rows.sort();
        rows.dedup();
        let values = |settings: &toml::Table| {
            let value = |(name, value): (&String, &toml::Value)| format!("{name} {value}");
            settings.iter().map(value).collect::<Vec<_>>().join(", ")
        };
        rows.extend(self.made.parts.iter().map(|(name, settings)| (name.clone(), values(settings))));
        let id = format!("{}-origins", self.what.name());
        Section::new(id, format!("What {} was made from", self.what.name())).with(Block::Settings(rows))
    }
}

/// What tells the runs of a figure apart.
fn described(config: &Config) -> String {
    let arch = if config.arch == Arch::Mlp { "MLP" } else { "ConvNet" };
    let selection = match (config.objective, config.selection) {
        (Objective::Se, Selection::Pgd) => format!(", L {}", config.selection_steps),
        (Objective::Se, Selection::Random) => ", random selection".into(),
        _ => String::new(),
    };
    let rise = match (config.objective, config.gamma_warmup) {
        (Objective::Se, steps @ 1..) => format!(", gamma rising over {steps} steps"),
        _ => String::new(),
    };
    let (title, seed, steps) = (config.title(), config.seed, config.iterations);
    format!("{title}, {arch}{selection}{rise}, {steps} steps, seed {seed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Chart;
    use crate::reproduce::Estimate;
    use crate::reproduce::{claims::judge, condition::Measured};

    fn shown(what: What, synthetic: bool, claims: Vec<Claim>) -> Shown {
        let chart = || Chart::new("a chart", "x", "y").drawing();
        let runs = vec![("runs/one".to_string(), Config { selection_steps: 9, ..Config::default() })];
        let pictures = vec![("together".into(), vec![chart(), chart()]), (String::new(), vec![chart()])];
        let tables = vec![("in percent".into(), vec!["task".into()], vec![vec!["Bald <".into()]])];
        let parts = vec![("a part".to_string(), toml::Table::from_iter([("turns".into(), 30.into())]))];
        let devices = ["a device".to_string()].into();
        Shown { what, claims, made: Made { pictures, tables, runs, parts, devices, synthetic } }
    }

    #[test]
    fn only_a_smooth_encoder_has_a_coupling_that_rises() {
        let rising = Config { gamma_warmup: 750, ..Config::default() };
        assert!(described(&rising).contains(", gamma rising over 750 steps,"), "{}", described(&rising));
        let vae = described(&Config { objective: Objective::Vae, ..rising });
        assert!(!vae.contains("gamma"), "{vae}");
        assert!(!described(&Config::default()).contains("rising"));
    }

    #[test]
    fn a_page_has_claims_pictures_tables_and_origins() {
        let mut measured = Measured::default();
        measured.put("faces-vae", "Bald@0.1", Estimate::percentage(&[3.0], 300));
        measured.put("faces-se", "Bald@0.1", Estimate::percentage(&[60.0], 300));
        let table1 = shown(What::Table1, true, judge(What::Table1, &measured).unwrap());
        let one = page(Preset::Quick, std::slice::from_ref(&table1)).html();
        for part in [
            "0 of 18 claims reproduced, 1 partly, 17 untested · preset quick · trained on a device",
            "adversarial accuracy: Bald",
            "VAE 0.0, SE about 86 (hardly legible)",
            "faces-vae.Bald@0.1 3 ± ",
            "within the error: faces-vae.Bald@0.1 &lt;= 5",
            "not measured: faces-se.Mustache@0.1",
            "Not as in the paper: without --data-dir the faces are synthetic",
            "Bald &lt;",
            "runs/one",
            "MLP, L 9, 12000 steps, seed 0",
            "turns 30",
            "synthetic faces in CelebA&#39;s place",
        ] {
            assert!(one.contains(part), "{part}: {one}");
        }
        assert_eq!((one.matches("<svg ").count(), one.matches(SYNTHETIC_FACES).count()), (3, 1));
        let all = page(Preset::Paper, &[shown(What::Fig2, false, Vec::new()), table1]).html();
        assert!(all.contains("nothing of it that could be measured") && all.contains("In each figure"));
        assert_eq!((all.matches("<svg ").count(), all.matches(SYNTHETIC_FACES).count()), (6, 2));
        let mut ids: Vec<&str> =
            all.split("<section id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(ids, ["claims", "fig2", "fig2-origins", "table1", "table1-origins"]);
        ids.dedup();
        assert_eq!(ids.len(), 5);
        let none = page(Preset::Quick, &[shown(What::Fig2, false, Vec::new())]).html();
        assert!(none.contains("nothing to judge") && !none.contains("SYNTHETIC"), "{none}");
    }
}
