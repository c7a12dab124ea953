//! `only1mcp topology report`: what the build makes of a topology. The report is the emitter's.

use clap::Args;
use only1mcp_emit::report;

use super::{Chosen, Exit, files, print, print_json};
use crate::catalog::Topology;

/// Show what the build makes of a topology.
#[derive(Args, Debug)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the report as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Show {
    pub(in crate::cli) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (path, topology) = self.chosen.read::<T>()?;
        let lock = files::read_lock(&path)?;
        let (plan, warnings) = files::checked(&topology, lock.as_ref())?;
        let report = report(&plan, &warnings)?;
        if self.json { print_json(&report) } else { print(&report.to_string()) }?;
        Ok(Exit::Ok)
    }
}
