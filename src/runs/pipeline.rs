//! The whole job on one run: check, train or go on, probe, attack, write the page. `train`, `sweep` and `reproduce`
//! all call [`complete`].

use crate::error::Result;
use crate::progress::Context;
use crate::runs::config::Config;
use crate::runs::destination::Destination;
use crate::runs::dir::RunDir;
use crate::runs::record::RunRecord;
use crate::runs::writing::{Access, Writing};
use crate::runs::{LoadedRun, check_resumable, evaluate, load_data, replace, train};

/// Writes the page of a run: the room of reports is above this one, so callers pass it.
pub trait PageWriter: std::fmt::Debug {
    /// Whether the run's page is there and shows its result as it is now.
    fn is_fresh(&self, run: &RunDir) -> bool;

    /// Writes it.
    ///
    /// # Errors
    /// Any; the run's other files are complete then.
    fn write(&self, run: &mut LoadedRun) -> Result<()>;
}

/// A run with nothing left to do.
#[derive(Debug)]
pub struct Completed {
    pub run: RunDir,
    /// With the evaluations that the settings ask for; as its file has it, rounded, so that the first time gives the
    /// same as every other.
    pub result: RunRecord,
    /// Whether its page could be written. The result stands either way.
    pub page: Result<()>,
}

/// Makes the run of `config` at `destination`, or goes on with it. All that can be checked is checked before a file
/// is made.
///
/// # Errors
/// [`Error::Request`](crate::Error::Request) for settings, data, a device or a folder that cannot be used; else as
/// [`train`].
pub fn complete(
    config: &Config,
    destination: &Destination,
    context: &Context,
    pages: &dyn PageWriter,
) -> Result<Completed> {
    let claimed = destination.claim()?;
    complete_claimed(config, destination, claimed, context, pages)
}

/// After a failure that leaves nothing to go on with, puts the run back that was to be replaced.
fn put_back(writing: &Writing) {
    let path = writing.path().display();
    match replace::restore(writing) {
        Ok(true) => log::warn!("{path} has its earlier run again"),
        Ok(false) => {}
        Err(error) => log::warn!("{path}: the earlier run stays in {}: {error}", replace::KEPT),
    }
}

/// The same where the caller has claimed the run already, so that nobody changed it since its settings were read.
///
/// # Errors
/// As [`complete`].
pub fn complete_claimed(
    config: &Config,
    destination: &Destination,
    claimed: Option<Writing>,
    context: &Context,
    pages: &dyn PageWriter,
) -> Result<Completed> {
    config.validate()?;
    let data = load_data(config, context)?;
    if let Some(claimed) = &claimed {
        check_resumable(config, claimed, &data)?;
    }
    // Before the training, which takes long.
    evaluate::warn_of_missing_classes(&data, &config.attack);
    let device = context.open(&config.device, config.checked)?;
    // A model that the device has no room for leaves no folder behind.
    let trainer = train::trainer(config, &data, device.clone())?;
    let writing = destination.prepare(config, claimed)?;
    context.stop.works_on(writing.path());
    let title = config.title();
    context.observer.say(&format!("{title} on {}, into {}", device.description(), writing.path().display()));
    train::train(config, &writing, &data, trainer, context).inspect_err(|_| put_back(&writing))?;
    let run = writing.dir().clone();
    let record = RunRecord::load(&run.result_path())?;
    let examples = config.attack.attacked(data.test.count());
    let result = record.as_configured(&config.attack, Some(examples)).unwrap_or(record);
    let page = match pages.is_fresh(&run) {
        true => {
            result.warn_of_curve(&run);
            Ok(())
        }
        false => LoadedRun::with(Access::Read(run.clone()), config.clone(), data, device, context.clone())
            .and_then(|mut loaded| pages.write(&mut loaded)),
    };
    Ok(Completed { run, result, page })
}
