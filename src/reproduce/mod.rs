//! The paper's figures and tables, each by one command: trains what is missing, writes data, pictures and settings, and
//! holds what was measured against the paper's claims (docs/method.md, section 8).
//!
//! Runs are found by their settings, so figures share them, and what was stopped goes on where it was.

mod claims;
mod condition;
mod estimate;
mod faces;
mod lab;
mod lipschitz;
mod page;
mod pictures;
mod plots;
mod sampler;
mod security;
mod systems;
mod tabular;
mod what;

use std::path::{Path, PathBuf};

pub use claims::{Claim, Verdict, tally};
pub use estimate::Estimate;
pub use lab::Lab;
pub use what::What;

use crate::error::{Error, Result};
use crate::files::disk;
use crate::files::lock::Lock;
use crate::progress::Context;
use crate::runs::config::Preset;
use crate::runs::output::{self, Files};
use condition::Measured;
use page::Shown;

/// Makes a figure's files; returns what was measured.
fn measure(what: What, lab: &Lab) -> Result<Measured> {
    match what {
        What::Fig1 => pictures::figure1(lab),
        What::Fig2 => tabular::figure2(lab),
        What::Fig3 => tabular::figure3(lab),
        What::Fig4 | What::Fig7a | What::Fig7b => security::colors(lab, what),
        What::Fig5 => security::figure5(lab),
        What::Fig6 => pictures::figure6(lab),
        What::Fig8 => faces::figure8(lab),
        What::Table1 => faces::table1(lab),
        What::Lipschitz => lipschitz::measure(lab),
        What::Gan => sampler::measure(lab),
        What::Beta => security::beta(lab),
        What::All => unreachable!("it is made of the others"),
    }
}

/// What to reproduce, and where and how.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub what: What,
    pub preset: Preset,
    /// None for `reproductions/WHAT`, beside what other figures share.
    pub out: Option<&'a Path>,
    pub device: &'a str,
    /// CelebA's folder; none for synthetic faces.
    pub data_dir: Option<&'a Path>,
    /// Settings to lay over those of every run.
    pub config: Option<&'a Path>,
}

/// Where reproductions go, under the current directory.
const FOLDER: &str = "reproductions";

/// What came of one figure or table.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub what: What,
    pub folder: PathBuf,
    pub claims: Vec<Claim>,
}

/// The page of a figure, or of all.
pub const PAGE: &str = "report.html";

/// The claims with what was measured.
const CLAIMS: &str = "claims.json";

/// Files that a figure surely has, or may well have, by names that are known before it is made.
fn files(what: What) -> Vec<String> {
    let own = ["csv", "svg", "png"].map(|ending| format!("{}.{ending}", what.name()));
    [CLAIMS, PAGE, lab::SETTINGS].map(String::from).into_iter().chain(own).collect()
}

/// Reproduces what is asked for. `context` is told of each part before it begins, `done` of its outcome.
///
/// # Errors
/// [`Error::Request`] for settings that cannot be, and for a folder that is a run, has the data, or has files of others
/// where these are to be; else those of the work.
pub fn run(
    request: &Request,
    context: &Context,
    done: &mut dyn FnMut(&Outcome) -> Result<()>,
) -> Result<Vec<Outcome>> {
    // Runs, parts and faces lie beside the figures, so that these share them.
    let root = root(request.out).to_path_buf();
    let Request { preset, device, data_dir, config, .. } = *request;
    device.parse::<crate::engine::device::gpu::adapter::Choice>()?;
    request.what.check_arguments(data_dir.is_some(), config.is_some())?;
    let mut lab = Lab::new(&root, preset, device, data_dir, config, context.clone())?;
    let parts = match request.what {
        What::All => What::each(),
        one => vec![one],
    };
    parts.iter().try_for_each(|&what| lab.check_over(what))?;
    lab.warn_of_unused(&parts)?;
    let own = |what: What| match (request.out, request.what) {
        (Some(out), one) if one != What::All => out.to_path_buf(),
        _ => root.join(what.name()),
    };
    let data = lab.data_folders()?;
    output::check_place(&root, &data)?;
    parts.iter().try_for_each(|&what| output::check_place(&own(what), &data))?;
    disk::create_directories(&root).map_err(|error| Error::file(&root, "cannot be made").because(error))?;
    let _lock = Lock::take(&root)?;
    parts.iter().try_for_each(|&what| output::prepare(&own(what), &files(what)))?;
    let all = request.out.map_or_else(|| root.join(What::All.name()), Path::to_path_buf);
    if request.what == What::All {
        output::prepare(&all, &[CLAIMS, PAGE])?;
    }
    let (mut outcomes, mut shown) = (Vec::new(), Vec::new());
    for what in parts {
        context.observer.say(&what.name());
        lab.begin(&own(what))?;
        let claims = claims::judge(what, &measure(what, &lab)?)?;
        lab.settings(&what.name())?;
        lab.keep(CLAIMS, lab::json_file(&claims)?);
        shown.push(Shown { what, claims: claims.clone(), made: lab.end() });
        lab.keep(PAGE, page::page(preset, &shown[shown.len() - 1..]).html().into_bytes());
        lab.write()?;
        let outcome = Outcome { what, folder: own(what), claims };
        done(&outcome)?;
        outcomes.push(outcome);
        if request.what == What::All {
            // After each figure, so that there is something to look at meanwhile.
            let claims: Vec<&Claim> = outcomes.iter().flat_map(|outcome| &outcome.claims).collect();
            let page = page::page(preset, &shown).html().into_bytes();
            let files = [(CLAIMS.into(), lab::json_file(&claims)?), (PAGE.into(), page)];
            output::write(&all, &Files::from(files))?;
        }
    }
    Ok(outcomes)
}

/// The folder that one process at a time works in: the one asked for, else the usual one.
pub fn root(out: Option<&Path>) -> &Path {
    out.unwrap_or(Path::new(FOLDER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::disk::faults;

    /// Figure 2 anew and in place of itself, every `stride`-th call struck by each fault: its files are always those of
    /// one time.
    fn strike(stride: usize) {
        let base = tempfile::tempdir().unwrap();
        let out = base.path().join("fig2");
        let request = Request {
            what: What::Fig2,
            preset: Preset::Quick,
            out: Some(&out),
            device: "cpu",
            data_dir: None,
            config: None,
        };
        let figure = || run(&request, &Context::silent(), &mut |_| Ok(()));
        let (made, calls) = faults::count(figure);
        made.unwrap();
        assert_eq!(output::check(&out), []);
        for again in [false, true] {
            for (fault, at) in faults::strikes("reproduce", stride, calls) {
                if !again {
                    std::fs::remove_dir_all(&out).unwrap();
                }
                let (struck, _) = faults::with(at, fault, figure);
                // Where the change was decided, the next command finishes it.
                if again && struck.is_ok() {
                    assert_eq!(output::check(&out), [], "{fault:?} at {at}");
                }
                figure().unwrap();
                assert_eq!(output::check(&out), [], "{fault:?} at {at}");
                let left: Vec<_> = std::fs::read_dir(&out).unwrap().flatten().collect();
                assert_eq!(left.len(), 8, "{fault:?} at {at}: {left:?}");
            }
        }
    }

    #[test]
    fn whatever_fails_a_figure_is_as_before_or_as_after() {
        strike(29);
    }

    #[test]
    #[ignore = "long: every call by every fault"]
    fn whatever_fails_at_every_call_a_figure_is_as_before_or_as_after() {
        strike(1);
    }
}
