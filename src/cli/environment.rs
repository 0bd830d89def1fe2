//! Whether and where the variants of a GPU's kernels are measured: the environment of the command line.

use crate::engine::device::Tuning;
use crate::{Error, Result, files};

/// As `SMOOTHENC_TUNE` says: 0 turns measuring off; 1 measures everything, however long it takes, and on software
/// devices too, which stand in for a GPU in tests and take long to compile a kernel.
///
/// # Errors
/// [`Error::Request`] for another value of it.
pub fn tuning() -> Result<Tuning> {
    let wanted = match std::env::var("SMOOTHENC_TUNE").as_deref() {
        Err(std::env::VarError::NotPresent) => Tuning::Brief,
        Ok("0") => return Ok(Tuning::Off),
        Ok("1") => Tuning::Everything,
        _ => {
            return Err(Error::request(
                "SMOOTHENC_TUNE: set it to 0 (never measure) or 1 (everything, however long it takes)",
            ));
        }
    };
    Ok(files::user_caches().map_or(Tuning::Off, |folder| wanted(folder.join("tune.json"))))
}
