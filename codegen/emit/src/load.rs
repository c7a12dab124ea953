//! Reading and checking one topology from disk: what `build.rs` and `topology!` do before they emit.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::slice;

use only1mcp_model::diagnostic::{Diagnostic, SHOWN_MAX, Severity, hint, render, unshown};
use only1mcp_model::plan::Plan;
use only1mcp_model::{Features, LOCK_BYTES_MAX, Source, TOPOLOGY_BYTES_MAX, lock_path, near_miss};

use crate::select;

/// The files of one topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    package: PathBuf,
    topology: String,
}

/// A topology that passed every check.
#[derive(Debug)]
pub struct Loaded {
    /// It.
    pub plan: Plan,
    /// What is doubtful about it.
    pub found: Vec<Diagnostic>,
    /// The same, each rendered with its place.
    pub warnings: Vec<String>,
}

// === impl Files ===

impl Files {
    /// The topology at `path`, which is relative to the package or absolute, and the lock next to it.
    #[must_use]
    pub fn new(package: &Path, path: &str) -> Self {
        Self { package: package.to_owned(), topology: path.to_owned() }
    }

    /// The path of the topology as it was given.
    #[must_use]
    pub fn topology(&self) -> &str {
        &self.topology
    }

    /// The path of the lock, relative or absolute as the topology's; `None` when there is none. A link that leads nowhere,
    /// and what may not be looked at, is one that cannot be read.
    #[must_use]
    pub fn lock(&self) -> Option<String> {
        let path = lock_path(Path::new(&self.topology));
        let absent =
            self.package.join(&path).symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        (!absent).then(|| path.display().to_string())
    }

    /// What to watch for changes. A lock that does not exist yet will appear in its directory.
    #[must_use]
    pub fn watched(&self) -> Vec<PathBuf> {
        let topology = self.package.join(&self.topology);
        let beside = match self.lock() {
            Some(lock) => Some(self.package.join(lock)),
            None => topology.parent().filter(|directory| directory.is_dir()).map(Path::to_owned),
        };
        [Some(topology), beside].into_iter().flatten().collect()
    }

    /// Reads and checks them.
    ///
    /// # Errors
    /// Every error that is shown, rendered with its place, and how many there are more; the last with a hint at the
    /// explanations. Warnings wait until there is no error.
    pub fn load(&self, features: &Features) -> Result<Loaded, Vec<String>> {
        let topology =
            self.read(&self.topology, TOPOLOGY_BYTES_MAX).map_err(|problem| vec![self.unreadable(&problem)])?;
        let lock = self.lock().map(|lock| self.read(&lock, LOCK_BYTES_MAX)).transpose();
        let lock = lock.map_err(|problem| vec![format!("lock {problem}")])?;
        match only1mcp_model::load(&topology, lock.as_ref(), features) {
            Ok((plan, found)) => Ok(Loaded { plan, warnings: rendered(&found, &topology), found }),
            Err(mut found) => {
                found.retain(|diagnostic| diagnostic.severity == Severity::Error);
                Err(rendered(&found, &topology))
            }
        }
    }

    /// Whether nothing is wrong with them but features that are off.
    #[must_use]
    pub fn lack(&self, features: &Features) -> bool {
        self.load(features).is_err() && self.load(&Features::all()).is_ok()
    }

    /// That there is no such topology, and what there is.
    fn unreadable(&self, problem: &str) -> String {
        let known = select::known(&self.package);
        let given = Path::new(&self.topology).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let near = near_miss(given, known.iter().map(String::as_str).filter(|name| *name != given));
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let listed: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        format!("topology {problem}\nhelp: {near}known topologies: {}", listed.join(", "))
    }

    fn read(&self, path: &str, bytes_max: usize) -> Result<Source, String> {
        match Source::read(&self.package.join(path), bytes_max) {
            Ok(source) => Ok(Source { path: path.to_owned(), ..source }),
            Err(error) => Err(format!("`{path}` cannot be read: {error}")),
        }
    }
}

/// Each for itself: a build tells of one problem at a time.
fn rendered(diagnostics: &[Diagnostic], topology: &Source) -> Vec<String> {
    let shown = &diagnostics[..diagnostics.len().min(SHOWN_MAX)];
    let mut texts: Vec<String> =
        shown.iter().map(|diagnostic| render(slice::from_ref(diagnostic), topology, false)).collect();
    texts.extend(unshown(diagnostics.len()));
    texts.iter_mut().for_each(|text| text.truncate(text.trim_end().len()));
    if let (Some(last), Some(hint)) = (texts.last_mut(), hint(diagnostics)) {
        *last = format!("{last}\n\n{hint}");
    }
    texts
}
