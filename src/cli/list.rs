//! `only1mcp list`: what is compiled in.

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{Exit, Output, print};
use crate::catalog::{Entry, Topology, View};

/// Show what is compiled in.
#[derive(Args, Debug)]
pub(super) struct List {
    /// What to list.
    #[arg(value_enum, default_value = "tools")]
    what: What,
    /// Only what this view shows.
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Backends,
    Tools,
    Prompts,
    Resources,
    Views,
}

/// One row: the columns of a table, the members of an object.
type Row = Vec<(&'static str, String)>;

impl List {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let view = match &self.view {
            None => &T::SPEC.whole,
            Some(name) => T::SPEC.view(name).with_context(|| format!("view `{name}` is not compiled in"))?,
        };
        let rows: Vec<Row> = match self.what {
            What::Backends => backends::<T>(view),
            What::Tools => entries::<T>(view, T::SPEC.tools),
            What::Prompts => entries::<T>(view, T::SPEC.prompts),
            What::Resources => entries::<T>(view, T::SPEC.resources),
            What::Views => views::<T>(),
        };
        print(&match self.output {
            Output::Table => table(&rows),
            Output::Name => rows.iter().map(|row| format!("{}\n", row[0].1)).collect(),
            Output::Json => {
                let objects: Vec<serde_json::Map<_, _>> = rows
                    .into_iter()
                    .map(|row| row.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
                    .collect();
                format!("{}\n", serde_json::to_string_pretty(&objects)?)
            }
        })?;
        Ok(Exit::Ok)
    }
}

fn backends<T: Topology>(view: &View) -> Vec<Row> {
    let backends = T::SPEC.backends.iter().enumerate();
    backends
        .map(|(index, backend)| {
            let tools =
                T::SPEC.tools.iter().filter(|tool| usize::from(tool.backend) == index && view.shows(tool.views));
            let tools = tools.count().to_string();
            vec![("name", backend.name.to_string()), ("tools", tools), ("place", backend.transport.place())]
        })
        .collect()
}

fn entries<T: Topology>(view: &View, entries: &[Entry]) -> Vec<Row> {
    let backend = |entry: &Entry| T::SPEC.backends.get(usize::from(entry.backend));
    entries
        .iter()
        .filter(|entry| view.shows(entry.views))
        .map(|entry| {
            vec![
                ("name", entry.name.to_owned()),
                ("backend", backend(entry).map(|backend| backend.name.to_string()).unwrap_or_default()),
                ("upstream", entry.upstream.to_owned()),
            ]
        })
        .collect()
}

fn views<T: Topology>() -> Vec<Row> {
    let row = |view: &View| {
        let name = &view.patterns.name;
        vec![
            ("name", name.to_string()),
            ("tools", T::SPEC.tools.iter().filter(|tool| view.shows(tool.views)).count().to_string()),
            ("tokens", view.tokens.to_string()),
            ("path", T::SPEC.listen.view_path(name)),
        ]
    };
    T::SPEC.views.iter().map(row).collect()
}

/// Columns as wide as their widest cell, headed by their names.
fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].1.chars().count());
        cells.chain([first[column].0.len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..first.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let heads = line(first.iter().map(|(head, _)| *head).collect());
    rows.iter().fold(heads, |text, row| text + &line(row.iter().map(|(_, cell)| cell.as_str()).collect()))
}
