//! What calls of seven servers take while three others do their worst, and what they take while overlays come: beside
//! what they take in between, in one run. One executable with two roles; it starts itself for the other one. How to run
//! and read it: `benches/README.md`.

mod client;
mod gateway;
#[path = "../overhead/process.rs"]
#[expect(dead_code, reason = "the bench beside it uses the rest")]
mod process;
mod trouble;

use std::io::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::client::{Latencies, Seven};
use crate::gateway::Gateway;
use crate::trouble::Trouble;

/// How long each part is, with trouble and without.
const PART: Duration = Duration::from_secs(10);
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// A row of what the gateway holds stands for so many pairs of parts.
const PAIRS_A_ROW: usize = 4;

/// What is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Faults,
    Overlays,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let ran = match arguments.first().map(String::as_str) {
        Some("gateway") => gateway::serve(),
        _ => options(&arguments).and_then(|(kinds, minutes)| kinds.iter().try_for_each(|kind| measure(*kind, minutes))),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "{error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// What to run, and for how many minutes each.
fn options(arguments: &[String]) -> anyhow::Result<(Vec<Kind>, u64)> {
    let (mut kinds, mut minutes) = (Vec::new(), 1);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "faults" => kinds.push(Kind::Faults),
            "overlays" => kinds.push(Kind::Overlays),
            "--minutes" => minutes = arguments.next().context("`--minutes` has a number")?.parse()?,
            other => bail!("`{other}` is none of `faults`, `overlays`, `--minutes N`"),
        }
    }
    if kinds.is_empty() {
        kinds = vec![Kind::Faults, Kind::Overlays];
    }
    Ok((kinds, minutes))
}

/// Measures in turns, and prints the tables.
fn measure(kind: Kind, minutes: u64) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let mut gateway = Gateway::start()?;
    let seven = Seven::start(gateway.address);
    let trouble = Trouble::prepare(gateway.address);
    thread::sleep(WARM_UP);
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (mut quiet, mut troubled) = (Latencies::default(), Latencies::default());
    let (began, mut rows) = (Instant::now(), Vec::new());
    while Instant::now() < until {
        quiet.extend(seven.during(PART)?);
        let after = gateway.holds()?;
        begin(kind, &mut gateway, &trouble)?;
        troubled.extend(seven.during(PART)?);
        let meanwhile = gateway.holds()?;
        end(kind, &mut gateway, &trouble)?;
        rows.push((began.elapsed(), after, meanwhile));
    }
    drop(seven);
    ensure!(quiet.count() > 0 && troubled.count() > 0, "nothing was called");
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let name = if kind == Kind::Faults { "three servers at their worst" } else { "an overlay every 20 ms" };
    let load = load.split(' ').next().unwrap_or_default();
    writeln!(out, "\n{} calls of the seven, all answered; load average {load}\n", quiet.count() + troubled.count())?;
    writeln!(out, "| calls of the seven | p50 µs | p90 µs | p99 µs | p99.9 µs |\n|---|---|---|---|---|")?;
    let [without, with] = [quiet, troubled].map(|mut latencies| [50.0, 90.0, 99.0, 99.9].map(|p| latencies.at(p)));
    for (what, row) in [("nothing else", without), (name, with)] {
        writeln!(out, "| {what} | {} |", row.map(|figure| format!("{figure:.0}")).join(" | "))?;
    }
    let ratio = std::array::from_fn::<_, 4, _>(|index| format!("{:.2}", with[index] / without[index]));
    writeln!(out, "| ratio | {} |", ratio.join(" | "))?;
    writeln!(
        out,
        "\n| after | memory | descriptors | threads | calls under way | … meanwhile |\n|---|---|---|---|---|---|"
    )?;
    let last = rows.len() - 1;
    for (_, (elapsed, after, meanwhile)) in
        rows.iter().enumerate().filter(|(index, _)| index % PAIRS_A_ROW == 0 || *index == last)
    {
        let minutes = elapsed.as_secs_f64() / 60.0;
        let (memory, held) = (after.resident_kib as f64 / 1024.0, [after.descriptors, after.threads, after.under_way]);
        let held = held.map(|count| count.to_string()).join(" | ");
        writeln!(
            out,
            "| {minutes:.1} min | {memory:.1} MB | {held} | {:.1} MB, {} descriptors, {} calls |",
            meanwhile.resident_kib as f64 / 1024.0,
            meanwhile.descriptors,
            meanwhile.under_way
        )?;
    }
    Ok(())
}

fn begin(kind: Kind, gateway: &mut Gateway, trouble: &Trouble) -> anyhow::Result<()> {
    match kind {
        Kind::Faults => trouble.begin(),
        Kind::Overlays => gateway.say("overlays")?,
    }
    Ok(())
}

/// Ends it, and waits until nothing of it is under way.
fn end(kind: Kind, gateway: &mut Gateway, trouble: &Trouble) -> anyhow::Result<()> {
    match kind {
        Kind::Faults => trouble.end(),
        Kind::Overlays => gateway.say("still")?,
    }
    thread::sleep(Duration::from_secs(1));
    Ok(())
}
