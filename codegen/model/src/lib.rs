//! The topology of an only1mcp gateway: YAML parsed with positions, checked, and resolved into a [`plan::Plan`].
//!
//! `build.rs`, the `topology!` macro, `only1mcp validate` and the run-time overlay all read topologies through
//! [`load`]. This crate knows nothing of sockets, runtimes or generated code.
//!
//! **Invariant:** reading a topology or a lock of any content ends in bounded time and never panics.

pub mod diagnostic;
pub mod explain;
pub mod hash;
pub mod lock;
pub mod names;
pub mod overlay;
pub mod param_header;
pub mod plan;
pub mod revision;
pub mod schema;
pub mod tokens;
pub mod topology;
pub mod traffic;
pub mod transport;
pub mod uri;
pub mod uri_prefix;
pub mod url;

mod address;
mod check;
mod constant;
mod decode;
mod digest;
mod features;
mod json;
mod json_schema;
mod limit;
mod lines;
mod merge;
mod resolve;
mod rule;
mod seal_key;
mod secret;
mod source;
mod yaml;

use check::Check;
use decode::Decode;
use diagnostic::{Code, Diagnostic, Origin, Problem, Problems, Severity};
use lock::{Lock, LockErrorKind, Marks};
use topology::Topology;
use yaml::{Document, Place};

pub use constant::Constant;
pub use decode::near_miss;
pub use features::Features;
pub use lock::lock_path;
pub use seal_key::{SealKey, seal_keys};
pub use secret::check_token;
pub use source::{LOCK_BYTES_MAX, Source, SourceError, TOPOLOGIES, TOPOLOGY_BYTES_MAX, topology_path};

macro_rules! implementation {
    () => {
        concat!(r#"{"name":"only1mcp","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#)
    };
}

/// What the gateway calls itself, as an implementation of the protocol.
pub const IMPLEMENTATION: &str = implementation!();
/// The member of `_meta` that says so in a result of the modern era.
pub const SERVER_INFO: &str = concat!(r#""io.modelcontextprotocol/serverInfo":"#, implementation!());

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
    let (parsed_lock, lock_problem) = match lock.map(|lock| read_lock(lock, topology)).transpose() {
        Ok(parsed) => (parsed, None),
        Err(diagnostic) => (None, Some(diagnostic)),
    };
    let plan = decoded.map(|decoded| {
        let choice = topology.choice();
        let mut check = Check { document: &document, choice, topology: &decoded, problems: &mut problems, features };
        check.topology();
        let (contracts, marks) = parsed_lock.unwrap_or_default();
        let backends = resolve::backends(&decoded, &contracts);
        match (lock, &lock_problem) {
            // What has errors cannot be locked yet.
            (None, _) if check.problems.has_errors() => {}
            (None, _) => check.no_lock(),
            (Some(_), None) => check.lock(&contracts, &marks, &backends),
            (Some(_), Some(_)) => {}
        }
        let catalog = resolve::catalog(&decoded, &contracts, &backends);
        check.exposure(&catalog);
        check.excluded(&catalog, &marks);
        if lock.is_some() && lock_problem.is_none() {
            check.locked_routes(&contracts, &marks, &catalog);
            check.view_contents(&contracts, &catalog);
            check.coalesced_tools(&catalog);
            check.fallback_contents(&contracts, &backends, &catalog);
            check.unneeded_allow();
        }
        problems.allow(&decoded.allow);
        let settings = settings(&document, &decoded);
        plan::Plan { settings, ..resolve::plan(&decoded, &contracts, backends, catalog, ((topology, lock), features)) }
    });
    let mut diagnostics: Vec<Diagnostic> =
        lock_problem.map(|found| *found).into_iter().chain(problems.locate(&document, lock)).collect();
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity);
    match plan {
        Some(plan) if diagnostics.iter().all(|found| found.severity == Severity::Warning) => Ok((plan, diagnostics)),
        _ => Err(diagnostics),
    }
}

/// Every `env:NAME` and `file:PATH` of a topology for which `resolves` has an error, at its place, with that error; and those
/// of URLs, listen addresses and tokens whose value is none of that kind. Nothing of a topology that [`load`] refuses for its
/// form.
#[must_use]
pub fn unresolved(topology: &Source, resolves: &dyn Fn(&plan::Reference) -> Result<String, String>) -> Vec<Diagnostic> {
    let Ok(document) = Document::parse(&topology.text) else { return Vec::new() };
    let Some(decoded) = Topology::decode(&document.root, &mut Problems::default()) else { return Vec::new() };
    let mut problems = Problems::default();
    let features = &Features::all();
    let choice = topology.choice();
    Check { document: &document, choice, topology: &decoded, problems: &mut problems, features }.references(resolves);
    problems.locate(&document, None)
}

/// What a topology comes to, setting by setting.
fn settings(document: &Document<'_>, topology: &Topology) -> Vec<plan::Stated> {
    let mut told = decode::Told::default();
    topology.tell(&decode::Spot::root(document), &mut told);
    told.stated(document)
}

/// A lock and where its parts stand, or the diagnostic that points into it.
fn read_lock(source: &Source, topology: &Source) -> Result<(Lock, Marks), Box<Diagnostic>> {
    Lock::parse_marked(&source.text).map_err(|error| {
        let code = match error.kind {
            LockErrorKind::Malformed => Code::LockUnreadable,
            LockErrorKind::Version => Code::LockVersion,
            LockErrorKind::Digest => Code::LockDigest,
        };
        let mut problem = Problem::new(code, Place::ROOT, error.message);
        problem.help(match error.kind {
            LockErrorKind::Version => "restore it from version control, or take the release that wrote it".to_owned(),
            LockErrorKind::Malformed | LockErrorKind::Digest => format!(
                "restore it from version control, or write it again with `only1mcp topology lock {}`",
                topology.choice()
            ),
        });
        let origin = Origin { path: source.path.clone(), line: error.line, column: error.column };
        Box::new(Diagnostic::elsewhere(problem, Some(origin)))
    })
}
