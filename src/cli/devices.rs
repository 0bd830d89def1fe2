//! `devices`: what this machine can compute on.

use crate::cli::DevicesArgs;
use crate::cli::report::write;
use crate::engine::device::gpu::report;
use crate::error::{Error, Result};

/// Prints the CPU back end and every adapter.
pub fn run(args: DevicesArgs) -> Result<()> {
    let reports = report::list();
    if args.json {
        let text = serde_json::to_string_pretty(&reports).map_err(|e| Error::run(format!("devices: {e}")))?;
        write(&(text + "\n"))
    } else {
        write(&(report::text(&reports) + "\n"))
    }
}
