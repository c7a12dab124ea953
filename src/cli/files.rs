//! Topologies and locks as files.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use only1mcp_model::Source;
use only1mcp_model::diagnostic::{self, Diagnostic};
#[cfg(feature = "authoring")]
use only1mcp_model::{lock_path, plan};

/// A text file with the path it is known by.
pub(super) fn read(path: &Path) -> anyhow::Result<Source> {
    let text = std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(Source { path: path.display().to_string(), text })
}

/// The lock beside a topology, if there is one.
#[cfg(feature = "authoring")]
pub(super) fn read_lock(topology: &Path) -> anyhow::Result<Option<Source>> {
    let path = lock_path(topology);
    path.is_file().then(|| read(&path)).transpose()
}

/// Checks a topology. Problems are printed; `None` when one of them is an error.
#[cfg(feature = "authoring")]
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
