//! `only1mcp status`: what whoever is on call wants to know first of a gateway that runs.

use clap::Args;
use serde_json::{Value, json};

use super::admin::{Admin, NotRunning, text};
use super::list::{Row, table};
use super::{Exit, Output, print, print_json};
use crate::catalog::Topology;

/// Last lines of stderr that are shown of a child that does not run.
const STDERR_LINES: usize = 3;

/// Show how a running gateway fares.
#[derive(Args, Debug)]
pub(super) struct Status {
    #[command(flatten)]
    admin: Admin,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

// === impl Status ===

impl Status {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let place = self.admin.place::<T>()?;
        let asked = || -> anyhow::Result<_> {
            Ok((place.get("/system")?, place.get("/health")?, place.get("/servers?limit=10000")?))
        };
        let (system, mut health, servers) = match asked() {
            Ok(told) => told,
            Err(error) if self.output == Output::Json && error.is::<NotRunning>() => {
                print_json(&json!({ "running": false, "admin": place.address, "error": error.to_string() }))?;
                return Ok(Exit::NotRunning);
            }
            Err(error) => return Err(error),
        };
        anyhow::ensure!(system["name"] == "only1mcp", "what listens at {} is no gateway", place.address);
        let servers = servers["items"].as_array().cloned().unwrap_or_default();
        match self.output {
            Output::Table => print(&(head(&system, &health) + &table(&rows(&servers)) + &children(&servers))),
            Output::Name => {
                print(&servers.iter().map(|server| format!("{}\n", text(&server["name"]))).collect::<String>())
            }
            Output::Json => print_json(&json!({
                "running": true,
                "admin": place.address,
                "ready": health["ready"].take(),
                "reasons": health["reasons"].take(),
                "system": system,
                "servers": servers,
            })),
        }?;
        Ok(Exit::Ok)
    }
}

/// What runs, since when, built from what.
fn head(system: &Value, health: &Value) -> String {
    let state = if health["ready"] == true { "ready" } else { "not ready" };
    let reasons: Vec<String> =
        health["reasons"].as_array().into_iter().flatten().map(|reason| text(&reason["kind"])).collect();
    let state = if reasons.is_empty() { state.to_owned() } else { format!("{state} ({})", reasons.join(", ")) };
    let lock = system["lock"]["digest"].as_str().unwrap_or("none");
    format!(
        "only1mcp {} · {state} · up {} · {} workers\ntopology  {} {}\nlock      {lock}\nmcp       {}\nadmin     {}\n\n",
        text(&system["version"]),
        span(system["uptime_seconds"].as_u64().unwrap_or_default()),
        system["workers"],
        text(&system["topology"]["name"]),
        text(&system["topology"]["digest"]),
        text(&system["listeners"]["mcp"]),
        text(&system["listeners"]["admin"]),
    )
}

fn rows(servers: &[Value]) -> Vec<Row> {
    let row = |server: &Value| {
        let (calls, last) = (&server["calls"], &server["calls"]["last_failure"]);
        let last =
            if last.is_null() { "-".to_owned() } else { format!("{} {}", text(&last["at"]), text(&last["kind"])) };
        let of_child = |child: &Value| child["generation"].as_u64().unwrap_or_default().saturating_sub(1);
        let restarts: u64 = server["children"].as_array().into_iter().flatten().map(of_child).sum();
        vec![
            ("server", server["name"].clone()),
            ("transport", server["transport"].clone()),
            ("state", server["state"].clone()),
            ("tools", server["offers"]["tools"].clone()),
            ("answered", calls["answered"].clone()),
            ("failed", calls["failed"].clone()),
            ("restarts", restarts.into()),
            ("last failure", last.into()),
        ]
    };
    servers.iter().map(row).collect()
}

/// The children that do not run, or had to be started again, with what they said last.
fn children(servers: &[Value]) -> String {
    let all = servers.iter().flat_map(|server| server["children"].as_array().into_iter().flatten());
    let troubled = all.filter(|child| child["state"] == "down" || child["generation"].as_u64() > Some(1));
    let shown = |child: &Value| {
        let last_end = child["last_end"].as_str().map(|end| format!(", ended before: {end}")).unwrap_or_default();
        let lines = child["stderr"].as_array().map(Vec::as_slice).unwrap_or_default();
        let last = &lines[lines.len().saturating_sub(STDERR_LINES)..];
        let last: String = last.iter().map(|line| format!("    {}\n", text(line))).collect();
        let (name, number) = (text(&child["backend"]), &child["instance"]);
        format!("\nchild {name}/{number}: {}, start {}{last_end}\n{last}", text(&child["state"]), child["generation"])
    };
    troubled.map(shown).collect()
}

/// A time that passed, in its two largest units.
fn span(seconds: u64) -> String {
    let parts = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = parts[first..].iter().take(2).map(|(count, unit)| format!("{count}{unit}"));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_time_is_shown_in_its_largest_units() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3_661, "1h 1m"), (86_400, "1d 0h"), (90_061, "1d 1h")]
        {
            assert_eq!(span(seconds), expected);
        }
    }
}
