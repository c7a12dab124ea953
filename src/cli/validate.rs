//! `only1mcp validate`: the checks of the build, without a build.

use std::path::PathBuf;

use clap::Args;
use only1mcp_model::Source;
use only1mcp_model::diagnostic::{Diagnostic, Finding, Severity, findings};
use only1mcp_model::overlay::base::{Base, Sections};
use only1mcp_model::overlay::{self, Overlay};
use only1mcp_model::plan::Plan;
use serde::Serialize;

use super::{Exit, complain, counted, files, print, print_json};
use crate::catalog::{self, Topology};
use crate::references::References;

/// Check a topology and the lock beside it.
#[derive(Args, Debug)]
pub(super) struct Validate {
    /// The topology, by name in `topologies/` or by path; by default the one compiled in.
    #[arg(value_name = "NAME|PATH")]
    topology: Option<String>,
    /// Take warnings for errors: exit with 3 if there is one.
    #[arg(long)]
    strict: bool,
    /// Print what was found as JSON, also when that is nothing.
    #[arg(long)]
    pub(super) json: bool,
    /// Resolve `env:NAME` and `file:PATH` in this process too, as a gateway started here would, and check the form of
    /// URLs, addresses and the admin token that they stand for. No value is shown.
    #[arg(long)]
    references: bool,
    /// Check this overlay too, once the topology has no errors.
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// Take it for that of a gateway that is started with `--overlay-commands`.
    #[arg(long, requires = "overlay")]
    overlay_commands: bool,
}

/// What `--json` prints. Members are only ever added.
#[derive(Serialize)]
struct Verdict<'a> {
    /// Whether the exit code is 0.
    ok: bool,
    topology: &'a str,
    lock: Option<&'a str>,
    overlay: Option<&'a str>,
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Finding>,
}

/// A file and what was found in it or about it.
struct Checked<'a> {
    source: &'a Source,
    found: Vec<Diagnostic>,
}

/// Whether what an overlay makes of a topology passes the checks, as far as that is known without asking anybody.
fn amended(
    topology: &Source,
    lock: Option<&Source>,
    (source, read): (&Source, &Overlay),
    commands: bool,
) -> Result<(), Vec<Diagnostic>> {
    if !read.amends() {
        return Ok(());
    }
    let base = Base::read(topology.clone(), lock.cloned(), catalog::features())?.commands(commands);
    base.with(source, read, &Sections::new()).map(|_plan| ())
}

impl Validate {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (path, topology) = files::read_topology::<T>(self.topology.as_deref())?;
        let lock = files::read_lock(&path)?;
        let overlay = self.overlay.as_deref().map(|path| files::read("overlay", path)).transpose()?;
        let (plan, mut found) = match files::load(&topology, lock.as_ref()) {
            Ok((plan, warnings)) => (Some(plan), warnings),
            Err(problems) => (None, problems),
        };
        if self.references {
            let references = References::default();
            let resolves = |reference: &_| references.resolve(reference).map_err(|error| error.to_string());
            found.extend(only1mcp_model::unresolved(&topology, &resolves));
            // Errors first, as they are shown.
            found.sort_by_key(|diagnostic| diagnostic.severity);
        }
        let mut checked = vec![Checked { source: &topology, found }];
        if let (Some(overlay), Some(plan)) = (&overlay, &plan) {
            let found = overlay::load(overlay, plan.compiled())
                .and_then(|read| amended(&topology, lock.as_ref(), (overlay, &read), self.overlay_commands))
                .err()
                .unwrap_or_default();
            checked.push(Checked { source: overlay, found });
        }
        let count = |severity| {
            checked.iter().flat_map(|checked| &checked.found).filter(|found| found.severity == severity).count()
        };
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let ok = errors == 0 && !(self.strict && warnings > 0);
        if self.json {
            let verdict = Verdict {
                ok,
                topology: &topology.path,
                lock: lock.as_ref().map(|lock| lock.path.as_str()),
                overlay: overlay.as_ref().map(|overlay| overlay.path.as_str()),
                errors,
                warnings,
                diagnostics: checked.iter().flat_map(|checked| findings(&checked.found, checked.source)).collect(),
            };
            print_json(&verdict)?;
        } else {
            checked.iter().for_each(|checked| files::show(&checked.found, checked.source));
            match plan {
                Some(plan) if ok => print(&summary(&topology.path, &plan, warnings))?,
                Some(_) if errors == 0 => {
                    let warnings = counted(warnings, "warning");
                    complain(&format!("error: {warnings}, of which `--strict` takes none"));
                }
                Some(_) | None => {}
            }
        }
        Ok(if ok { Exit::Ok } else { Exit::Invalid })
    }
}

fn summary(path: &str, plan: &Plan, warnings: usize) -> String {
    format!(
        "{path}: ok · {} · {} · {} · {} · {}\n",
        counted(plan.backends.len(), "backend"),
        counted(plan.tools.len(), "tool"),
        counted(plan.prompts.len(), "prompt"),
        counted(plan.resources.len(), "resource"),
        counted(warnings, "warning"),
    )
}
