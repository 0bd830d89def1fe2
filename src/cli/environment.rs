//! What the command line reads of its environment.

use std::env::{self, VarError};

use crate::engine::device::Tuning;
use crate::engine::simd::{self, InstructionSet};
use crate::{Error, Result, files};

/// More threads than any machine of today has processors; each costs memory and a start.
const MOST_THREADS: usize = 1024;

/// Whether and where the variants of a GPU's kernels are measured, as `SMOOTHENC_TUNE` says: 0 turns measuring off;
/// 1 measures everything, however long it takes, and on software devices too, which stand in for a GPU in tests and
/// take long to compile a kernel.
///
/// # Errors
/// [`Error::Request`] for another value of it.
pub fn tuning() -> Result<Tuning> {
    let wanted = match env::var("SMOOTHENC_TUNE").as_deref() {
        Err(VarError::NotPresent) => Tuning::Brief,
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

/// Limits the CPU back end to the instruction set in `SMOOTHENC_SIMD`, where it is set: to see what a machine without
/// the wider ones gets.
///
/// # Errors
/// [`Error::Request`] for one that this machine does not have.
pub fn limit_instructions() -> Result<()> {
    const NAMES: [(&str, InstructionSet); 4] = [
        ("avx512", InstructionSet::Avx512),
        ("avx2", InstructionSet::Avx2Fma),
        ("neon", InstructionSet::Neon),
        ("portable", InstructionSet::Portable),
    ];
    let Some(wanted) = env::var_os("SMOOTHENC_SIMD") else { return Ok(()) };
    let limited = NAMES.iter().find(|(name, _)| wanted == *name).map(|(_, set)| simd::limit(*set));
    if let Some(Ok(())) = limited {
        return Ok(());
    }
    let here = simd::instruction_sets();
    let here = NAMES.iter().filter(|(_, set)| here.contains(set)).map(|(name, _)| *name);
    let here = here.collect::<Vec<_>>().join(", ");
    Err(Error::request(format!("SMOOTHENC_SIMD: set it to one of this processor's: {here}")))
}

/// Starts the threads of the CPU back end: as many as `RAYON_NUM_THREADS` says. 0, or nothing, is one for each
/// processor.
///
/// # Errors
/// [`Error::Request`] for what is no number, or too many; [`Error::TooLarge`] where the system gives no such threads.
pub fn start_threads() -> Result<()> {
    check_threads()?;
    rayon::ThreadPoolBuilder::new().build_global().map_err(|error| {
        Error::too_large(format!("the threads of the CPU back end do not start: {error}"))
            .with_hint("set RAYON_NUM_THREADS to fewer, or end other programs")
    })
}

fn check_threads() -> Result<()> {
    let refuse = |found: &str| {
        let what = format!("RAYON_NUM_THREADS: set it to a whole number up to {MOST_THREADS}, not {found}");
        Err(Error::request(what))
    };
    match env::var("RAYON_NUM_THREADS") {
        Err(VarError::NotPresent) => Ok(()),
        Err(VarError::NotUnicode(found)) => refuse(&found.to_string_lossy()),
        Ok(found) => match found.parse::<usize>() {
            Ok(threads) if threads <= MOST_THREADS => Ok(()),
            _ => refuse(&found),
        },
    }
}
