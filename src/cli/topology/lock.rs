//! `only1mcp topology lock`: records what backends offer, or checks that it is what was recorded.

use clap::Args;
use only1mcp_model::diagnostic::{Diagnostic, Severity};
use only1mcp_model::lock::{self, Section, diff};
use only1mcp_model::{Source, lock_path};

use super::{Asked, Chosen, Exit, Opened, ask, complain, complain_left_out, counted, files, print};
use crate::catalog::Topology;

/// Ask every backend what it offers and write the lock.
#[derive(Args, Debug)]
pub(in crate::cli) struct Lock {
    #[command(flatten)]
    chosen: Chosen,
    /// Write nothing; exit with 4 when the lock that is there is not the one that would be written.
    #[arg(long)]
    check: bool,
}

/// What the backends make of a lock.
#[derive(Default)]
struct Relocked {
    lock: lock::Lock,
    /// Names of backends, and why.
    unreachable: Vec<(String, String)>,
    /// Names of backends whose section is another now, and in what.
    differing: Vec<(String, String)>,
}

impl Lock {
    pub(in crate::cli) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (opened, lock) = self.chosen.open::<T>()?;
        let before = match lock {
            Ok(before) => Some(before),
            Err(damaged) if self.check => return Err(damaged.error),
            Err(damaged) => {
                complain(&format!("warning: {}; the lock is written anew if every backend answers", damaged.why));
                None
            }
        };
        let relocked = Relocked::ask(&opened, before.as_ref().unwrap_or(&lock::Lock::default()))?;
        match before {
            Some(_) if self.check => Ok(relocked.check(&opened)),
            // Nothing of it could be kept for those.
            None if !relocked.unreachable.is_empty() => Ok(relocked.leave(&opened)),
            _ => relocked.write(&opened),
        }
    }
}

// === impl Relocked ===

impl Relocked {
    fn ask(opened: &Opened, lock: &lock::Lock) -> anyhow::Result<Self> {
        let mut relocked = Self::default();
        for Asked { name, outcome, left_out } in ask(&opened.backends)? {
            complain_left_out(&name, &left_out);
            let before = lock.backends.get(&name);
            let section = match (outcome, before) {
                (Ok(section), Some(before)) => section.keeping(before),
                (Ok(section), None) => section,
                (Err(why), before) => {
                    relocked.lock.backends.extend(before.map(|before| (name.clone(), before.clone())));
                    relocked.unreachable.push((name, why));
                    continue;
                }
            };
            print(&format!("{}{}\n", summary(&name, &section), changes(before, &section)))?;
            relocked.differing.extend(difference(before, &section).map(|what| (name.clone(), what)));
            relocked.lock.backends.insert(name, section);
        }
        let gone = lock.backends.keys().filter(|name| !relocked.lock.backends.contains_key(*name));
        let gone: Vec<_> = gone.map(|name| (name.clone(), "the topology has it no more".to_owned())).collect();
        relocked.differing.extend(gone);
        Ok(relocked)
    }

    fn write(&self, opened: &Opened) -> anyhow::Result<Exit> {
        let (path, text) = (lock_path(&opened.path), self.lock.render());
        files::write_whole(&path, &text)?;
        warn(&opened.topology, &Source { path: path.display().to_string(), text });
        for (name, why) in &self.unreachable {
            let kept =
                if self.lock.backends.contains_key(name) { "its section is as it was" } else { "it has no section" };
            complain(&format!("error: backend `{name}` could not be reached: {why}; {kept}"));
        }
        Ok(if self.unreachable.is_empty() { Exit::Ok } else { Exit::Unreachable })
    }

    /// Leaves the lock as it is, of which nothing could be read.
    fn leave(&self, opened: &Opened) -> Exit {
        self.complain_unreachable();
        let path = lock_path(&opened.path);
        complain(&format!("error: lock `{}` stays as it is: it may hold what could not be asked for", path.display()));
        Exit::Unreachable
    }

    fn complain_unreachable(&self) {
        for (name, why) in &self.unreachable {
            complain(&format!("error: backend `{name}` could not be reached: {why}"));
        }
    }

    fn check(&self, opened: &Opened) -> Exit {
        for (name, what) in &self.differing {
            complain(&format!("error: backend `{name}` differs from the lock: {what}"));
        }
        self.complain_unreachable();
        let path = lock_path(&opened.path);
        let (path, choice) = (path.display(), opened.topology.choice());
        let same = match &opened.source {
            None => {
                complain(&format!("error: lock `{path}` does not exist; `only1mcp topology lock {choice}` writes it"));
                false
            }
            Some(_) if !self.differing.is_empty() => false,
            Some(source) if self.unreachable.is_empty() && source.text != self.lock.render() => {
                complain(&format!(
                    "error: lock `{path}` says the same in another form; `only1mcp topology lock {choice}` writes it"
                ));
                false
            }
            Some(_) => true,
        };
        match (same, self.unreachable.is_empty()) {
            (false, _) => Exit::Differs,
            (true, false) => Exit::Unreachable,
            (true, true) => Exit::Ok,
        }
    }
}

/// Says what a build will find in what was recorded. Other problems have been there before.
fn warn(topology: &Source, lock: &Source) {
    let (Ok((_, found)) | Err(found)) = files::load(topology, Some(lock));
    let of_the_lock = |found: &Diagnostic| found.severity == Severity::Warning && found.origin.is_some();
    files::show(&found.into_iter().filter(of_the_lock).collect::<Vec<_>>(), topology);
}

/// In what a section differs from the one before.
fn difference(before: Option<&Section>, now: &Section) -> Option<String> {
    let Some(before) = before else { return Some("it has no section".to_owned()) };
    let changes = diff(before, now);
    match &changes[..] {
        [] if before == now => None,
        [] if before.transport != now.transport => Some("it was reached by another command or URL".to_owned()),
        [] => Some("it says the same in another form".to_owned()),
        [change] => Some(change.to_string()),
        [change, rest @ ..] => Some(format!("{change}, and {} more", rest.len())),
    }
}

fn summary(name: &str, section: &Section) -> String {
    format!(
        "{name}: {} · {} · {} · {} · {}",
        section.revision,
        counted(section.tools.len(), "tool"),
        counted(section.prompts.len(), "prompt"),
        counted(section.resources.len(), "resource"),
        counted(section.templates.len(), "template"),
    )
}

fn changes(before: Option<&Section>, now: &Section) -> String {
    match before.map(|before| diff(before, now).len()) {
        None => " · new".to_owned(),
        Some(0) => " · unchanged".to_owned(),
        Some(count) => format!(" · {}", counted(count, "change")),
    }
}
