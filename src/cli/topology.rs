//! `only1mcp topology`: what is done about topologies, and what all of that begins with: one is chosen, read, asked.

mod diff;
mod explain;
mod lock;
mod new;
mod report;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use only1mcp_model::lock::{LeftOut, Lock, LockErrorKind};
use only1mcp_model::{Source, SourceError, lock_path, plan, schema};

use super::live::{self, Asked, Progress};
use super::{Exit, complain, counted, files, print, print_json};
use crate::catalog::Topology;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a topology to start from.
    ///
    /// `only1mcp topology new prod` writes topologies/prod.yaml, which compiles as it stands; `only1mcp topology new
    /// --feature prod` also adds the feature `topology-prod` to Cargo.toml; `only1mcp topology new /srv/edge.yaml` writes
    /// that file. The JSON Schema for editors is written beside it where there is none. Nothing is overwritten.
    New(new::New),
    /// Ask every backend what it offers and write the lock.
    ///
    /// `only1mcp topology lock prod` writes topologies/prod.lock.json, `only1mcp topology lock /srv/edge.yaml` writes
    /// /srv/edge.lock.json. Backends are started or connected to; no tool is called.
    ///
    /// A backend that cannot be reached is named and keeps the section it had; the exit code is 6 then. A lock that is damaged
    /// is written anew if every backend answers, and otherwise stays as it is.
    ///
    /// `only1mcp topology lock --check prod` writes nothing and exits with 4 when the lock would be another.
    Lock(lock::Lock),
    /// Compare live backends with the lock, field by field.
    ///
    /// `only1mcp topology diff prod` is for people, `only1mcp topology diff --json prod` for programs.
    ///
    /// Exits with 0 when all is the same, 4 when something differs, 6 when a backend could not be reached.
    Diff(diff::Diff),
    /// Show what the build makes of a topology.
    ///
    /// `only1mcp topology report prod` shows backends, tables, lists, the transports that are linked, the features that
    /// are needed, and what is left open until the gateway runs, with the reason; `--json` is for programs. A build
    /// shows the same with `cargo build -vv`.
    Report(report::Show),
    /// Say why a tool, prompt or resource leads where it does.
    ///
    /// `only1mcp topology explain math__add` names every rule that decided, with its line; of a name that nobody offers
    /// it says why, and exits with 1. `only1mcp topology explain --topology prod data://one` asks another topology.
    Explain(explain::Explain),
    /// Print the JSON Schema by which editors complete and explain topologies.
    ///
    /// `only1mcp topology schema > topologies/topology.schema.json` writes it; the first line of a topology names it:
    /// `# yaml-language-server: $schema=./topology.schema.json`.
    Schema(Schema),
}

#[derive(Args, Debug)]
pub(super) struct Schema {
    /// The schema of overlays instead.
    #[arg(long)]
    overlay: bool,
}

#[derive(Args, Debug)]
pub(super) struct Chosen {
    /// The topology, by name in `topologies/` or by path; by default the one compiled in.
    #[arg(value_name = "NAME|PATH")]
    topology: Option<String>,
}

/// A topology, its backends and the text of its lock.
struct Opened {
    path: PathBuf,
    topology: Source,
    backends: Vec<plan::Backend>,
    /// As it was read; `None` when there is none.
    source: Option<Source>,
}

/// A lock that cannot be read, which writing it again mends.
struct Damaged {
    /// In one line.
    why: String,
    /// For whoever can do nothing without it.
    error: anyhow::Error,
}

impl Command {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        match self {
            Self::Lock(lock) => lock.run::<T>(),
            Self::Diff(diff) => diff.run::<T>(),
            Self::New(new) => new.run(),
            Self::Report(report) => report.run::<T>(),
            Self::Explain(explain) => explain.run::<T>(),
            Self::Schema(Schema { overlay }) => {
                print(&if overlay { schema::overlay() } else { schema::topology() })?;
                Ok(Exit::Ok)
            }
        }
    }

    /// Whether stdout is for a program.
    pub(super) fn prints_json(&self) -> bool {
        match self {
            Self::Diff(diff) => diff.json,
            Self::Report(report) => report.json,
            Self::Explain(explain) => explain.json,
            Self::New(_) | Self::Lock(_) | Self::Schema(_) => false,
        }
    }
}

impl Chosen {
    /// Reads it with the lock beside it.
    fn read<T: Topology>(&self) -> anyhow::Result<(PathBuf, Source)> {
        files::read_topology::<T>(self.topology.as_deref())
    }

    /// With what the lock says.
    fn open<T: Topology>(&self) -> anyhow::Result<(Opened, Result<Lock, Damaged>)> {
        let (path, topology) = self.read::<T>()?;
        // Without its lock: the lock is what is being written or compared.
        let (plan, _no_lock) = files::checked(&topology, None)?;
        let (source, lock) = match files::read_lock(&path) {
            Ok(None) => (None, Ok(Lock::default())),
            Ok(Some(source)) => {
                let lock = parse(&topology, &source)?;
                (Some(source), lock)
            }
            // Cut in the middle of a character, or merged with something else.
            Err(error) if matches!(error.downcast_ref(), Some(SourceError::Encoding { .. })) => {
                (None, Err(Damaged { why: format!("{error:#}"), error }))
            }
            // A link to a lock that is not there yet.
            Err(_) if !lock_path(&path).exists() => (None, Ok(Lock::default())),
            Err(error) => return Err(error),
        };
        Ok((Opened { path, topology, backends: plan.backends, source }, lock))
    }
}

/// A lock of a topology that has no errors.
fn parse(topology: &Source, source: &Source) -> anyhow::Result<Result<Lock, Damaged>> {
    let problem = match Lock::parse(&source.text) {
        Ok(lock) => return Ok(Ok(lock)),
        Err(problem) => problem,
    };
    let why = format!("{}:{}:{}: {}", source.path, problem.line, problem.column, problem.message);
    // The same once more, with its code and what to do about it.
    let error = match files::checked(topology, Some(source)) {
        Err(refused) => refused.into(),
        Ok(_) => anyhow::Error::msg(why.clone()),
    };
    match problem.kind {
        LockErrorKind::Version => Err(error),
        LockErrorKind::Malformed | LockErrorKind::Digest => Ok(Err(Damaged { why, error })),
    }
}

/// Says what a backend lists and no section has.
fn complain_left_out(backend: &str, left_out: &[LeftOut]) {
    for each in left_out {
        complain(&format!("warning: backend `{backend}`: {each}"));
    }
}

/// Asks every backend, with a display on a terminal of how each fares.
fn ask(backends: &[plan::Backend]) -> anyhow::Result<Vec<Asked>> {
    if !std::io::stderr().is_terminal() {
        return live::ask_all(backends, |name, progress| {
            if matches!(progress, Progress::Slow) {
                complain(&format!(
                    "backend `{name}` has not answered yet; one that has to be installed first may take long"
                ));
            }
        });
    }
    let display = MultiProgress::new();
    let style = ProgressStyle::with_template("{spinner} {prefix} {msg}")?;
    let width = backends.iter().map(|backend| backend.name.len()).max().unwrap_or_default();
    let bars: Vec<_> = backends
        .iter()
        .map(|backend| {
            let bar = display.add(ProgressBar::new_spinner().with_style(style.clone()));
            bar.set_prefix(format!("{:width$}", backend.name));
            bar.set_message("waiting");
            bar.enable_steady_tick(Duration::from_millis(100));
            (backend.name.to_string(), bar)
        })
        .collect();
    let asked = live::ask_all(backends, move |name, progress| {
        let Some((_, bar)) = bars.iter().find(|(bar, _)| bar == name) else { return };
        match progress {
            Progress::Asking(what) => bar.set_message(what.to_owned()),
            // The display shows for how long.
            Progress::Slow => {}
            Progress::Done(Ok(section)) => bar.finish_with_message(counted(section.tools.len(), "tool")),
            Progress::Done(Err(why)) => bar.finish_with_message(why.to_owned()),
        }
    });
    display.clear()?;
    asked
}
