//! `only1mcp list`: what is compiled in.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Exit, Output, print, print_json};
use crate::catalog::{Entry, Topology, View, plan};

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
pub(super) type Row = Vec<(&'static str, Value)>;

impl List {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let view = match &self.view {
            None => &T::SPEC.whole,
            Some(name) => T::SPEC.view(name).with_context(|| {
                let known: Vec<String> = T::SPEC.views.iter().map(|view| format!("`{}`", view.patterns.name)).collect();
                let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
                format!("view `{name}` is not compiled in; known views: {known}")
            })?,
        };
        let rows: Vec<Row> = match self.what {
            What::Backends => backends::<T>(view),
            What::Tools => entries::<T>(view, T::SPEC.tools),
            What::Prompts => entries::<T>(view, T::SPEC.prompts),
            What::Resources => entries::<T>(view, T::SPEC.resources),
            What::Views => {
                let asked = |one: &&View| self.view.is_none() || one.patterns.name == view.patterns.name;
                T::SPEC.views.iter().filter(asked).map(view_row::<T>).collect()
            }
        };
        match self.output {
            Output::Table => print(&table(&rows)),
            Output::Name => print(&rows.iter().map(|row| format!("{}\n", text(&row[0].1))).collect::<String>()),
            Output::Json => {
                let object = |row: Row| row.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                print_json(&rows.into_iter().map(object).collect::<Vec<serde_json::Map<_, _>>>())
            }
        }?;
        Ok(Exit::Ok)
    }
}

fn backends<T: Topology>(view: &View) -> Vec<Row> {
    let spec = T::SPEC;
    let shown = |index: usize| {
        let of = |to: (u16, Option<u16>), views: u64| spec.leads(to, index) && view.shows(views);
        let mut entries = [spec.tools, spec.prompts, spec.resources].into_iter().flatten();
        entries.any(|entry| of((entry.backend, entry.team), entry.views))
            || spec.templates.iter().any(|template| of((template.backend, template.team), template.views))
    };
    let row = |(index, backend): (usize, &plan::Backend)| {
        let leads = |tool: &&Entry| spec.leads((tool.backend, tool.team), index) && view.shows(tool.views);
        let tools = spec.tools.iter().filter(leads).count();
        vec![
            ("name", backend.name.as_ref().into()),
            ("tools", tools.into()),
            ("place", backend.transport.place().into()),
            (
                "path",
                spec.alone
                    .get(index)
                    .map(|alone| spec.listen.view_path(&alone.patterns.name))
                    .unwrap_or_default()
                    .into(),
            ),
        ]
    };
    // The whole catalog is that of all, also of those that offer nothing.
    let whole = view.bit == spec.whole.bit;
    spec.backends.iter().enumerate().filter(|(index, _)| whole || shown(*index)).map(row).collect()
}

fn entries<T: Topology>(view: &View, entries: &[Entry]) -> Vec<Row> {
    let backends = |entry: &Entry| {
        let backends = T::SPEC.led(entry.backend, entry.team).filter_map(|own| T::SPEC.backends.get(usize::from(own)));
        backends.map(|backend| backend.name.as_ref()).collect::<Vec<_>>().join(", ")
    };
    entries
        .iter()
        .filter(|entry| view.shows(entry.views))
        .map(|entry| {
            vec![("name", entry.name.into()), ("backend", backends(entry).into()), ("upstream", entry.upstream.into())]
        })
        .collect()
}

fn view_row<T: Topology>(view: &View) -> Row {
    let name = &view.patterns.name;
    vec![
        ("name", name.as_ref().into()),
        ("tools", T::SPEC.tools.iter().filter(|tool| view.shows(tool.views)).count().into()),
        ("tokens", view.tokens.into()),
        ("path", T::SPEC.listen.view_path(name).into()),
    ]
}

/// A value as people read it.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Columns as wide as their widest cell, headed by their names.
pub(super) fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let heads: Vec<String> = first.iter().map(|(head, _)| (*head).to_owned()).collect();
    let cells = rows.iter().map(|row| row.iter().map(|(_, value)| text(value)).collect());
    let lines: Vec<Vec<String>> = [heads].into_iter().chain(cells).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..first.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}
