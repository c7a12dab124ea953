//! `only1mcp topology report`: what the build makes of a topology. The report is the emitter's.

use clap::Args;
use only1mcp_emit::report;

use super::{Chosen, Exit, files, print};
use crate::catalog::Topology;

/// Show what the build makes of a topology.
#[derive(Args, Debug)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(in crate::cli) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (path, topology) = files::read_topology(self.chosen.name::<T>())?;
        let lock = files::read_lock(&path)?;
        let (plan, warnings) = match files::load(&topology, lock.as_ref()) {
            Ok(loaded) => loaded,
            Err(problems) => {
                files::show(&problems, &topology);
                return Ok(Exit::Invalid);
            }
        };
        let report = report(&plan, &warnings)?;
        print(&if self.json { format!("{}\n", serde_json::to_string_pretty(&report)?) } else { report.to_string() });
        Ok(Exit::Ok)
    }
}
