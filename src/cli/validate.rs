//! `only1mcp validate`: the checks of the build, without a build.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, files, print, topology_path};
use crate::catalog::Topology;

/// Check a topology and the lock beside it.
#[derive(Args, Debug)]
pub(super) struct Validate {
    /// The topology; by default `topologies/NAME.yaml` of the one compiled in.
    file: Option<PathBuf>,
}

impl Validate {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let path = self.file.unwrap_or_else(|| topology_path(T::SPEC.name));
        let topology = files::read(&path)?;
        let lock = files::read_lock(&path)?;
        let Some((plan, warnings)) = files::load(&topology, lock.as_ref()) else { return Ok(Exit::Invalid) };
        files::show(&warnings, &topology);
        print(&format!(
            "{}: ok · {} backends · {} tools · {} prompts · {} resources · {} warnings\n",
            topology.path,
            plan.backends.len(),
            plan.tools.len(),
            plan.prompts.len(),
            plan.resources.len(),
            warnings.len(),
        ));
        Ok(Exit::Ok)
    }
}
