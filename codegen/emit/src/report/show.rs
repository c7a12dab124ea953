//! A report as people read it: the same text on a terminal and among the lines of a build.

use std::fmt;

use only1mcp_model::topology::Millis;

use super::{AloneLine, BackendLine, Counts, ListLine, ListenerLine, Report, TableLine, TeamLine, ViewLine};

/// Cells of a row.
type Row = Vec<String>;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lock = self.lock_digest.as_ref().map_or("none".to_owned(), |digest| format!("sha256:{digest}"));
        writeln!(f, "topology {}", self.name)?;
        rows(f, &[row(["text", &format!("sha256:{}", self.topology_digest)]), row(["lock", &lock])])?;
        writeln!(f, "listeners")?;
        let place =
            |one: &ListenerLine| format!("{} {}{}", one.address, one.path, if one.tls { ", over TLS" } else { "" });
        rows(f, &self.listeners.iter().map(|one| row([one.role, &place(one)])).collect::<Vec<_>>())?;
        writeln!(f, "backends")?;
        rows(f, &self.backends.iter().map(BackendLine::row).collect::<Vec<_>>())?;
        writeln!(f, "catalog")?;
        let routes = format!("{} routes by pattern", self.wildcard_routes);
        rows(f, &[[self.catalog.cells(), vec![routes]].concat()])?;
        section(f, "routes to several backends", self.teams.iter().map(TeamLine::row))?;
        writeln!(f, "tables")?;
        rows(f, &self.tables.iter().map(TableLine::row).collect::<Vec<_>>())?;
        section(f, "views", self.views.iter().map(ViewLine::row))?;
        writeln!(f, "lists")?;
        let mut lists: Vec<Row> = self.lists.iter().map(ListLine::row).collect();
        lists.push(row(["items", "both", "", &bytes(self.items_bytes), ""]));
        rows(f, &lists)?;
        section(f, "backends alone", self.alone.iter().map(AloneLine::row))?;
        writeln!(f, "code")?;
        rows(f, &[row(["dispatch", &self.dispatch]), row(["feature", &self.feature_line])])?;
        section(f, "warnings", self.warnings.iter().map(|one| row([one.code, &one.message])))?;
        section(f, "left open by the build", self.open.iter().map(|one| row([&one.what, &one.why])))
    }
}

/// A part that is only there when it holds something.
fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: impl Iterator<Item = Row>) -> fmt::Result {
    let lines: Vec<Row> = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title}")?;
    rows(f, &lines)
}

/// Rows below a title, their columns as wide as the widest cell.
fn rows(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column)));
        writeln!(f, "{}", format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end())?;
    }
    Ok(())
}

fn row<const N: usize>(cells: [&str; N]) -> Row {
    // Names come from servers; a line of a build is a line.
    let plain = |cell: &str| cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    cells.into_iter().map(plain).collect()
}

fn bytes(count: usize) -> String {
    format!("{count} bytes")
}

impl BackendLine {
    fn row(&self) -> Row {
        let era = match (self.era, self.pinned) {
            (None, _) => "era unknown".to_owned(),
            (Some(era), true) => format!("{era}, pinned"),
            (Some(era), false) => format!("{era}, locked"),
        };
        let head = row([&self.name, self.transport, &era, &format!("timeout {}", Millis(self.timeout_ms))]);
        let fallbacks: Vec<String> = self
            .fallbacks
            .iter()
            .map(|fallback| format!("{} for {} of {}", fallback.backend, fallback.catalog.all(), self.catalog.all()))
            .collect();
        let tail =
            if fallbacks.is_empty() { Row::new() } else { row([&format!("falls back to {}", fallbacks.join(", "))]) };
        [head, self.catalog.cells(), tail].concat()
    }
}

impl TeamLine {
    fn row(&self) -> Row {
        let backends: Vec<String> = self.backends.iter().map(|(name, weight)| format!("{name} ({weight})")).collect();
        [row([&backends.join(", "), &self.balance]), self.catalog.cells()].concat()
    }
}

impl AloneLine {
    fn row(&self) -> Row {
        let paths = format!("{} paths", self.paths);
        row([
            &paths,
            &format!("{} of the items", bytes(self.items_bytes)),
            &format!("{} for cuts", bytes(4 * self.cuts)),
        ])
    }
}

impl Counts {
    fn all(&self) -> usize {
        self.tools + self.prompts + self.resources + self.templates
    }

    fn cells(&self) -> Row {
        let Self { tools, prompts, resources, templates } = self;
        vec![
            format!("{tools} tools"),
            format!("{prompts} prompts"),
            format!("{resources} resources"),
            format!("{templates} templates"),
        ]
    }
}

impl TableLine {
    fn row(&self) -> Row {
        let Self { kind, names, slots, pilots, bytes: size } = self;
        let cells = [format!("{names} names"), format!("{slots} slots"), format!("{pilots} pilots"), bytes(*size)];
        row([kind, &cells[0], &cells[1], &cells[2], &cells[3]])
    }
}

impl ViewLine {
    fn row(&self) -> Row {
        let Self { name, path, catalog, tokens } = self;
        [row([name, path]), catalog.cells(), row([&format!("about {tokens} tokens")])].concat()
    }
}

impl ListLine {
    fn row(&self) -> Row {
        let Self { view, kind, era, pages, bytes: size } = self;
        let view = view.as_ref().map_or_else(String::new, |name| format!("view {name}"));
        row([kind, era, &format!("{pages} pages"), &bytes(*size), &view])
    }
}
