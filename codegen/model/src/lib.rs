//! The topology of an only1mcp gateway: YAML parsed with positions, checked, and resolved into a [`plan::Plan`].
//!
//! `build.rs`, the `topology!` macro, `only1mcp validate` and the run-time overlay all read topologies through
//! [`load`]. This crate knows nothing of sockets, runtimes or generated code.
//!
//! **Invariant:** reading a topology or a lock of any content ends in bounded time and never panics.

pub mod diagnostic;
pub mod hash;
pub mod lock;
pub mod names;
pub mod overlay;
pub mod plan;
pub mod revision;
pub mod schema;
pub mod tokens;
pub mod topology;
pub mod transport;
pub mod url;

mod address;
mod check;
mod constant;
mod decode;
mod digest;
mod json;
mod resolve;
mod secret;
mod yaml;

use std::collections::BTreeSet;

use check::Check;
use decode::Decode;
use diagnostic::{Code, Diagnostic, Origin, Problem, Problems, Severity};
use lock::{Lock, LockErrorKind};
use topology::Topology;
use yaml::{Document, Place};

pub use constant::Constant;
pub use lock::lock_path;

/// A file as it was read: its path for messages, its text for positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user would name it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// The cargo feature for TLS towards backends.
pub(crate) const TLS: &str = "tls";

/// The cargo features of a build that decide what a topology may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features(BTreeSet<&'static str>);

// === impl Features ===

impl Features {
    /// Every feature that a topology may need.
    pub fn known() -> impl Iterator<Item = &'static str> {
        transport::KINDS.iter().map(|kind| kind.feature).chain([TLS])
    }

    /// Everything there is.
    #[must_use]
    pub fn all() -> Self {
        Self::of(|_| true)
    }

    /// Those of the known ones that are on.
    #[must_use]
    pub fn of(on: impl Fn(&str) -> bool) -> Self {
        Self(Self::known().filter(|feature| on(feature)).collect())
    }

    /// Those that are on.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }

    /// Whether a feature is on.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.0.contains(feature)
    }
}

/// Parses, checks and resolves a topology and its lock. Every problem is found in one pass.
///
/// # Errors
/// Every diagnostic, errors first, when there is at least one of severity error; warnings alone come with the plan.
pub fn load(
    topology: &Source,
    lock: Option<&Source>,
    features: &Features,
) -> Result<(plan::Plan, Vec<Diagnostic>), Vec<Diagnostic>> {
    let document = Document::parse(&topology.text).map_err(|refused| vec![*refused])?;
    let mut problems = Problems::default();
    decode::duplicate_keys(&document.root, &mut problems);
    let decoded = Topology::decode(&document.root, &mut problems);
    let (parsed_lock, lock_problem) = match lock.map(read_lock).transpose() {
        Ok(parsed) => (parsed, None),
        Err(diagnostic) => (None, Some(diagnostic)),
    };
    let plan = decoded.map(|decoded| {
        let mut check = Check { document: &document, topology: &decoded, problems: &mut problems, features };
        check.topology();
        let contracts = parsed_lock.unwrap_or_default();
        let backends = resolve::backends(&decoded, &contracts);
        match (lock, &lock_problem) {
            // What has errors cannot be locked yet.
            (None, _) if check.problems.has_errors() => {}
            (None, _) => check.no_lock(),
            (Some(_), None) => check.lock(&contracts, &backends),
            (Some(_), Some(_)) => {}
        }
        let catalog = resolve::catalog(&decoded, &contracts, &backends);
        check.exposure(&catalog);
        if lock.is_some() && lock_problem.is_none() {
            check.view_contents(&catalog);
            check.fallback_contents(&contracts, &backends, &catalog);
        }
        resolve::plan(&decoded, &contracts, backends, catalog, (topology, lock))
    });
    let mut diagnostics: Vec<Diagnostic> =
        lock_problem.map(|found| *found).into_iter().chain(problems.locate(&document)).collect();
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity);
    match plan {
        Some(plan) if diagnostics.iter().all(|found| found.severity == Severity::Warning) => Ok((plan, diagnostics)),
        _ => Err(diagnostics),
    }
}

/// A lock, or the diagnostic that points into it.
fn read_lock(source: &Source) -> Result<Lock, Box<Diagnostic>> {
    Lock::parse(&source.text).map_err(|error| {
        let code = match error.kind {
            LockErrorKind::Malformed => Code::LockUnreadable,
            LockErrorKind::Version => Code::LockVersion,
            LockErrorKind::Digest => Code::LockDigest,
        };
        let mut problem = Problem::error(code, Place::ROOT, error.message);
        problem.help("restore it from version control, or write it again with `only1mcp topology lock`");
        let origin = Origin { path: source.path.clone(), line: error.line, column: error.column };
        Box::new(Diagnostic::elsewhere(problem, Some(origin)))
    })
}
