//! Topologies, locks and overlays as files.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use only1mcp_model::diagnostic::{self, Diagnostic};
use only1mcp_model::{LOCK_BYTES_MAX, Source, TOPOLOGY_BYTES_MAX};

#[cfg(feature = "authoring")]
pub(super) use authored::{load, read_lock, read_topology, write_whole};

/// A text file with the path it is known by; `kind` is what it holds.
pub(super) fn read(kind: &str, path: &Path) -> anyhow::Result<Source> {
    let bytes_max = if kind == "lock" { LOCK_BYTES_MAX } else { TOPOLOGY_BYTES_MAX };
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
    use std::io::Write as _;
    use std::path::PathBuf;

    use only1mcp_emit::select;
    use only1mcp_model::{lock_path, plan};

    use super::*;

    /// A topology given by name or path, by the rule of the build's `TOPOLOGY`, and where it is.
    pub(in crate::cli) fn read_topology(choice: &str) -> anyhow::Result<(PathBuf, Source)> {
        let path = PathBuf::from(select::path(choice));
        if !path.exists() {
            let known: Vec<String> = select::known(Path::new("")).iter().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() { String::new() } else { format!("; known are {}", known.join(", ")) };
            let path = path.display();
            anyhow::bail!("topology `{path}` does not exist{known}; `only1mcp topology new {choice}` writes it");
        }
        let source = read("topology", &path)?;
        Ok((path, source))
    }

    /// The lock beside a topology, if there is one.
    pub(in crate::cli) fn read_lock(topology: &Path) -> anyhow::Result<Option<Source>> {
        let path = lock_path(topology);
        path.exists().then(|| read("lock", &path)).transpose()
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

    /// Writes a file so that it is either as before or whole.
    pub(in crate::cli) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().context("a file has a name")?.to_string_lossy();
        let temporary = directory.join(format!(".{name}.{}", std::process::id()));
        let written = (|| {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)
        })();
        if written.is_err() {
            // Nothing more can be done about a temporary file that cannot be removed either.
            drop(std::fs::remove_file(&temporary));
        }
        written.with_context(|| format!("`{}` cannot be written", path.display()))
    }
}
