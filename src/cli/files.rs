//! Topologies and locks as files.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use only1mcp_model::diagnostic::{self, Diagnostic};
use only1mcp_model::{LOCK_BYTES_MAX, Source, TOPOLOGY_BYTES_MAX, lock_path, plan};

/// A topology or an overlay with the path it is known by.
pub(super) fn read(path: &Path) -> anyhow::Result<Source> {
    Source::read(path, TOPOLOGY_BYTES_MAX).with_context(|| format!("`{}` cannot be read", path.display()))
}

/// The lock beside a topology, if there is one.
pub(super) fn read_lock(topology: &Path) -> anyhow::Result<Option<Source>> {
    let path = lock_path(topology);
    let read = || Source::read(&path, LOCK_BYTES_MAX).with_context(|| format!("`{}` cannot be read", path.display()));
    path.exists().then(read).transpose()
}

/// Checks a topology. Problems are printed; `None` when one of them is an error.
pub(super) fn load(topology: &Source, lock: Option<&Source>) -> Option<(plan::Plan, Vec<Diagnostic>)> {
    match only1mcp_model::load(topology, lock, &crate::catalog::features()) {
        Ok((plan, warnings)) => Some((plan, warnings)),
        Err(problems) => {
            show(&problems, topology);
            None
        }
    }
}

/// Prints diagnostics to stderr.
pub(super) fn show(diagnostics: &[Diagnostic], topology: &Source) {
    if !diagnostics.is_empty() {
        super::complain(&diagnostic::render(diagnostics, topology, std::io::stderr().is_terminal()));
    }
}
