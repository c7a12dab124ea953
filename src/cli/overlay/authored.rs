//! What the overlay of a file changes, and how that becomes a part of its topology.

use std::path::PathBuf;

use clap::Args;
use only1mcp_model::Source;
use only1mcp_model::overlay::promote::promote;
use only1mcp_model::overlay::{Change, Compiled, Overlay, load};
use serde::Serialize;

use super::super::{Exit, complain, files, print, print_json, start};
use crate::catalog::Topology;

#[derive(Args, Debug)]
pub(in crate::cli) struct Diff {
    #[command(flatten)]
    file: File,
    /// Print the changes as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Promote {
    #[command(flatten)]
    file: File,
    /// The topology, by name in `topologies/` or by path; by default the one compiled in.
    #[arg(long, value_name = "NAME|PATH")]
    topology: Option<String>,
    /// Write the topology.
    #[arg(long)]
    write: bool,
}

/// Which overlay.
#[derive(Args, Debug)]
struct File {
    /// The overlay; by default that of `start`.
    #[arg(value_name = "FILE", env = "ONLY1MCP_OVERLAY")]
    overlay: Option<PathBuf>,
}

/// What `overlay diff --json` prints. Members are only ever added.
#[derive(Serialize)]
struct Changes<'a> {
    overlay: &'a str,
    changes: &'a [Change],
}

impl File {
    /// Reads it for what is compiled.
    fn load(&self, compiled: Compiled<'_>) -> anyhow::Result<(Source, Overlay)> {
        let Some(path) = self.overlay.clone().or_else(start::default_path) else {
            anyhow::bail!("no overlay is named, and there is no home directory with one");
        };
        let source = files::read("overlay", &path)?;
        match load(&source, compiled) {
            Ok(overlay) => Ok((source, overlay)),
            Err(problems) => Err(files::Refused::new(&source, problems).into()),
        }
    }
}

impl Diff {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (source, overlay) = self.file.load(T::SPEC.compiled())?;
        let changes = overlay.changes(T::SPEC.backends);
        if self.json {
            print_json(&Changes { overlay: &source.path, changes: &changes })?;
        } else {
            let names: Vec<_> = changes.iter().map(|own| format!("{}.{}", own.backend, own.setting)).collect();
            let width = names.iter().map(String::len).max().unwrap_or_default();
            let line =
                |(name, own): (&String, &Change)| format!("{name:width$}  {} -> {}\n", own.compiled, own.overlay);
            print(&names.iter().zip(&changes).map(line).collect::<String>())?;
        }
        Ok(if changes.is_empty() { Exit::Ok } else { Exit::Differs })
    }
}

impl Promote {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (path, topology) = files::read_topology::<T>(self.topology.as_deref())?;
        let (plan, _no_lock) = files::checked(&topology, None)?;
        let (_, overlay) = self.file.load(plan.compiled())?;
        let promotion = promote(&topology, &plan, &overlay)?;
        print(&edits(&topology.path, &topology.text, &promotion.text))?;
        for change in &promotion.left {
            let why = if change.setting == "tools" { "is written by hand" } else { "is what no topology has" };
            complain(&format!("note: `{}` {why}; it stays in the overlay: {change}", change.setting));
        }
        if promotion.promoted.is_empty() {
            complain("note: the topology has all of it");
        } else if self.write {
            files::write_whole(&path, &promotion.text)?;
            complain(&format!("note: `{}` is written; a build makes a binary of it", topology.path));
            if overlay.amends() {
                complain("note: what is compiled is not added once more: take it out of the overlay for that binary");
            }
        } else {
            complain("note: nothing is written; `--write` writes it");
        }
        Ok(Exit::Ok)
    }
}

/// The lines that differ, where lines were changed and inserted and none was taken out.
fn edits(path: &str, before: &str, after: &str) -> String {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let inserted_max = after.len().saturating_sub(before.len());
    let (mut text, mut rest) = (String::new(), &after[..]);
    for (number, line) in (1..).zip(&before) {
        let inserted = rest.iter().take(inserted_max + 1).position(|own| own == line);
        if inserted == Some(0) {
            rest = &rest[1..];
            continue;
        }
        text += &format!("{path}:{number}\n");
        if inserted.is_none() {
            text += &format!("- {line}\n");
        }
        let (shown, left) = rest.split_at(inserted.unwrap_or(1).min(rest.len()));
        text.extend(shown.iter().map(|own| format!("+ {own}\n")));
        // The line that they were inserted before.
        rest = if inserted.is_some() { left.get(1..).unwrap_or_default() } else { left };
    }
    text.extend(rest.iter().map(|own| format!("+ {own}\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_changed_and_inserted_are_shown_where_they_stand() {
        let (before, after) = ("a\nb\nc\nd\n", "a\nx\ny\nb\nC\nd\n");
        assert_eq!(edits("t", before, after), "t:2\n+ x\n+ y\nt:3\n- c\n+ C\n");
        assert_eq!(edits("t", before, before), "");
    }
}
