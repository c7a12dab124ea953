//! `only1mcp topology`: records what backends offer, and compares it with what was recorded.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use only1mcp_model::lock::{Lock, Section, diff};
use only1mcp_model::{lock_path, plan, schema};

use super::live::{self, Asked, Progress};
use super::{Exit, complain, files, print};
use crate::catalog::Topology;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask every backend what it offers and write the lock.
    ///
    /// `only1mcp topology lock prod` writes topologies/prod.lock.json, `only1mcp topology lock /srv/edge.yaml` writes
    /// /srv/edge.lock.json. Backends are started or connected to; no tool is called.
    ///
    /// A backend that cannot be reached is named and keeps the section it had; the exit code is 6 then.
    Lock(Chosen),
    /// Compare live backends with the lock, field by field.
    ///
    /// `only1mcp topology diff prod` is for people, `only1mcp topology diff --json prod` for programs.
    ///
    /// Exits with 0 when all is the same, 4 when something differs, 6 when a backend could not be reached.
    Diff(Diff),
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

#[derive(Args, Debug)]
pub(super) struct Diff {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the changes as JSON.
    #[arg(long)]
    json: bool,
}

/// A topology, its backends and its lock.
struct Opened {
    path: PathBuf,
    backends: Vec<plan::Backend>,
    lock: Lock,
}

impl Command {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        match self {
            Self::Lock(chosen) => chosen.lock::<T>(),
            Self::Diff(diff) => diff.run::<T>(),
            Self::Schema(Schema { overlay }) => {
                print(&if overlay { schema::overlay() } else { schema::topology() });
                Ok(Exit::Ok)
            }
        }
    }
}

impl Chosen {
    fn open<T: Topology>(&self) -> anyhow::Result<Result<Opened, Exit>> {
        let (path, topology) = files::read_topology(self.topology.as_deref().unwrap_or(T::SPEC.name))?;
        // Without its lock: the lock is what is being written or compared.
        let (plan, _no_lock) = match files::load(&topology, None) {
            Ok(loaded) => loaded,
            Err(problems) => {
                files::show(&problems, &topology);
                return Ok(Err(Exit::Invalid));
            }
        };
        let lock = match files::read_lock(&path)? {
            None => Lock::default(),
            Some(lock) => match Lock::parse(&lock.text) {
                Ok(parsed) => parsed,
                Err(error) => {
                    complain(&format!("error: {}:{}:{}: {}", lock.path, error.line, error.column, error.message));
                    return Ok(Err(Exit::Invalid));
                }
            },
        };
        Ok(Ok(Opened { path, backends: plan.backends, lock }))
    }

    fn lock<T: Topology>(&self) -> anyhow::Result<Exit> {
        let Opened { path, backends, lock: earlier } = match self.open::<T>()? {
            Ok(opened) => opened,
            Err(exit) => return Ok(exit),
        };
        let mut lock = Lock::default();
        let mut unreachable = Vec::new();
        for Asked { name, outcome } in ask(&backends)? {
            let before = earlier.backends.get(&name);
            let section = match (outcome, before) {
                (Ok(section), Some(before)) => Some(section.keeping(before)),
                (Ok(section), None) => Some(section),
                (Err(why), before) => {
                    unreachable.push((name.clone(), why));
                    before.cloned()
                }
            };
            if let Some(section) = section {
                print(&format!("{}{}\n", summary(&name, &section), changes(before, &section)));
                lock.backends.insert(name, section);
            }
        }
        files::write_whole(&lock_path(&path), &lock.render())?;
        for (name, why) in &unreachable {
            let kept = if lock.backends.contains_key(name) { "its section is as it was" } else { "it has no section" };
            complain(&format!("error: backend `{name}` could not be reached: {why}; {kept}"));
        }
        Ok(if unreachable.is_empty() { Exit::Ok } else { Exit::Unreachable })
    }
}

impl Diff {
    fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let Opened { backends, lock, .. } = match self.chosen.open::<T>()? {
            Ok(opened) => opened,
            Err(exit) => return Ok(exit),
        };
        let (mut differs, mut unreachable) = (false, false);
        let mut report = serde_json::Map::new();
        for Asked { name, outcome } in ask(&backends)? {
            let found = match outcome {
                Err(why) => {
                    unreachable = true;
                    complain(&format!("error: backend `{name}` could not be reached: {why}"));
                    serde_json::json!({ "unreachable": why })
                }
                Ok(live) => match lock.backends.get(&name) {
                    None => {
                        differs = true;
                        if !self.json {
                            print(&format!("{name}: has no section in the lock\n"));
                        }
                        serde_json::json!({ "locked": false })
                    }
                    Some(locked) => {
                        let changes = diff(locked, &live);
                        differs |= !changes.is_empty();
                        if !self.json && !changes.is_empty() {
                            let lines: String = changes.iter().map(|change| format!("  {change}\n")).collect();
                            print(&format!("{name}:\n{lines}"));
                        }
                        serde_json::json!({ "locked": true, "changes": changes })
                    }
                },
            };
            report.insert(name, found);
        }
        if self.json {
            print(&format!("{}\n", serde_json::to_string_pretty(&report)?));
        } else if !differs && !unreachable {
            print("every backend offers what the lock says\n");
        }
        Ok(match (differs, unreachable) {
            (true, _) => Exit::Differs,
            (false, true) => Exit::Unreachable,
            (false, false) => Exit::Ok,
        })
    }
}

fn summary(name: &str, section: &Section) -> String {
    format!(
        "{name}: {} · {} tools · {} prompts · {} resources · {} templates",
        section.revision,
        section.tools.len(),
        section.prompts.len(),
        section.resources.len(),
        section.templates.len(),
    )
}

fn changes(before: Option<&Section>, now: &Section) -> String {
    match before.map(|before| diff(before, now).len()) {
        None => " · new".to_owned(),
        Some(0) => " · unchanged".to_owned(),
        Some(1) => " · 1 change".to_owned(),
        Some(count) => format!(" · {count} changes"),
    }
}

/// Asks every backend, with a display on a terminal of how each fares.
fn ask(backends: &[plan::Backend]) -> anyhow::Result<Vec<Asked>> {
    if !std::io::stderr().is_terminal() {
        return live::ask_all(backends, |_, _| {});
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
            Progress::Done(Ok(section)) => bar.finish_with_message(format!("{} tools", section.tools.len())),
            Progress::Done(Err(why)) => bar.finish_with_message(why.to_owned()),
        }
    });
    display.clear()?;
    asked
}
