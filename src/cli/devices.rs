//! `devices`: what this machine can compute on.

use crate::cli::DevicesArgs;
use crate::cli::report::{json_document, write};
use crate::engine::device::gpu::report;
use crate::error::Result;

/// Prints the CPU back end and every adapter.
pub fn run(args: DevicesArgs) -> Result<()> {
    let reports = report::list();
    if args.json { write(&json_document(&reports)?) } else { write(&(report::text(&reports) + "\n")) }
}
