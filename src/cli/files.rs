//! Topologies, locks and overlays as files.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use only1mcp_model::diagnostic::{self, Diagnostic, Finding};
use only1mcp_model::overlay::OVERLAY_BYTES_MAX;
use only1mcp_model::{LOCK_BYTES_MAX, Source, TOPOLOGY_BYTES_MAX};

#[cfg(feature = "authoring")]
pub(super) use authored::{checked, load, read_lock, read_topology, write_whole};

/// A file that has errors, as the error of a command.
#[derive(Debug, thiserror::Error)]
#[error("`{}` does not pass its checks", file.path)]
pub(super) struct Refused {
    file: Source,
    problems: Vec<Diagnostic>,
}

// === impl Refused ===

impl Refused {
    pub(super) fn new(file: &Source, problems: Vec<Diagnostic>) -> Self {
        Self { file: file.clone(), problems }
    }

    /// Prints what is wrong to stderr.
    pub(super) fn show(&self) {
        show(&self.problems, &self.file);
    }

    /// What is wrong, for programs.
    pub(super) fn findings(&self) -> Vec<Finding> {
        diagnostic::findings(&self.problems, &self.file)
    }
}

/// A text file with the path it is known by; `kind` is what it holds.
pub(super) fn read(kind: &str, path: &Path) -> anyhow::Result<Source> {
    let bytes_max = match kind {
        "lock" => LOCK_BYTES_MAX,
        "overlay" => OVERLAY_BYTES_MAX,
        _ => TOPOLOGY_BYTES_MAX,
    };
    Source::read(path, bytes_max).with_context(|| format!("{kind} `{}` cannot be read", path.display()))
}

/// Prints diagnostics to stderr.
pub(super) fn show(diagnostics: &[Diagnostic], source: &Source) {
    if !diagnostics.is_empty() {
        super::complain(&diagnostic::render(diagnostics, source, std::io::stderr().is_terminal()));
    }
    if let Some(hint) = diagnostic::hint(diagnostics).filter(|_| cfg!(feature = "authoring")) {
        super::complain(&format!("\n{hint}"));
    }
}

#[cfg(feature = "authoring")]
mod authored {
    use std::io;
    use std::path::PathBuf;

    use only1mcp_emit::select;
    use only1mcp_model::{lock_path, plan, topology_path};

    use super::*;
    use crate::catalog::Topology;
    use crate::cli::complain;

    /// A topology given by name or path, by the rule of the build's `TOPOLOGY`, and where it is; without a choice the
    /// file named like the topology that is compiled in.
    pub(in crate::cli) fn read_topology<T: Topology>(choice: Option<&str>) -> anyhow::Result<(PathBuf, Source)> {
        let compiled = T::SPEC.name;
        let path = PathBuf::from(topology_path(choice.unwrap_or(compiled)));
        if !path.exists() {
            let Some(choice) = choice else {
                let path = path.display();
                anyhow::bail!(
                    "topology `{compiled}` is compiled in, and `{path}` does not exist here; give a name or path"
                );
            };
            let known: Vec<String> = select::known(Path::new("")).iter().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() { String::new() } else { format!("; known are {}", known.join(", ")) };
            let path = path.display();
            anyhow::bail!("topology `{path}` does not exist{known}; `only1mcp topology new {choice}` writes it");
        }
        let source = read("topology", &path)?;
        if choice.is_none() && source.digest() != T::SPEC.topology_digest {
            let path = path.display();
            complain(&format!("note: this is about `{path}`; this binary was compiled from another text of that name"));
        }
        Ok((path, source))
    }

    /// The lock beside a topology, if there is one.
    pub(in crate::cli) fn read_lock(topology: &Path) -> anyhow::Result<Option<Source>> {
        let path = lock_path(topology);
        // One that is there and cannot be read is not none.
        let absent = path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        (!absent).then(|| read("lock", &path)).transpose()
    }

    /// Checks a topology for this binary.
    ///
    /// # Errors
    /// Every problem.
    pub(in crate::cli) fn load(
        topology: &Source,
        lock: Option<&Source>,
    ) -> Result<(plan::Plan, Vec<Diagnostic>), Vec<Diagnostic>> {
        only1mcp_model::load(topology, lock, &crate::catalog::features())
    }

    /// The same for commands that can do nothing about one that has errors.
    pub(in crate::cli) fn checked(
        topology: &Source,
        lock: Option<&Source>,
    ) -> Result<(plan::Plan, Vec<Diagnostic>), Refused> {
        load(topology, lock).map_err(|problems| Refused::new(topology, problems))
    }

    /// Writes a file so that it is either as before or whole. Where a link leads there it stays one.
    pub(in crate::cli) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
        crate::file::write_whole(path, text).with_context(|| format!("`{}` cannot be written", path.display()))
    }
}
