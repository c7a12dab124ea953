//! A run: every workload against every target in alternating rounds, then the medians.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::load::{Order, Sample};
use crate::mcp::echo_tool;
use crate::options::Options;
use crate::process;
use crate::table::Table;
use crate::target::{self, Scratch, Target};
use crate::workload::{Ask, Workload};

/// No workload begins later than this.
const TOTAL_MAX: Duration = Duration::from_secs(80);
/// The same for a short run.
const SHORT_MAX: Duration = Duration::from_secs(13);
/// The most calls in one measurement.
const CALLS_MAX: u64 = 1_000_000;

/// The medians of one target under one workload.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    /// CPU time of the proxy for one call, in µs.
    pub(crate) cpu_us: Option<f64>,
    /// How far the rounds lie apart: (highest − lowest) / median.
    pub(crate) cpu_spread: Option<f64>,
    pub(crate) calls_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
}

/// Measures and prints; fails when some target gave a wrong answer.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    let limit = if options.short() { SHORT_MAX } else { TOTAL_MAX };
    let cpus = process::cpus()?;
    // Not the first one: that is where most interrupts go.
    let proxy_cpu = cpus.last().copied().context("there is a CPU")?;
    let other_cpu = if options.spread { cpus.first().copied().unwrap_or(proxy_cpu) } else { proxy_cpu };

    process::pin(other_cpu)?;
    let scratch = Scratch::create()?;
    let direct = target::direct().context("direct")?;
    let upstream = direct.address;
    process::pin(proxy_cpu)?;
    let candidates = [
        ("direct", Ok(direct)),
        ("nginx", target::nginx(&scratch, upstream, options)),
        ("only1mcp", target::gateway(&scratch, upstream, options)),
    ];
    process::pin(other_cpu)?;

    let mut table = Table::new(options, proxy_cpu, other_cpu);
    let mut targets = Vec::new();
    for (name, candidate) in candidates {
        match candidate {
            Ok(target) => targets.push(target),
            Err(error) => table.missing(name, &error),
        }
    }
    table.starts(&targets)?;
    let mut correct = true;
    for workload in Workload::all(options) {
        if begin.elapsed() > limit {
            table.skipped(&workload.title(), limit)?;
            continue;
        }
        let rows = measure(&workload, &targets, options);
        correct &= rows.iter().all(|(_, figures)| figures.is_ok());
        table.workload(&workload.title(), &rows)?;
    }
    table.end(begin.elapsed())?;
    Ok(if correct { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What each target that can do it makes of a workload.
fn measure(workload: &Workload, targets: &[Target], options: &Options) -> Vec<(&'static str, anyhow::Result<Figures>)> {
    let able: Vec<&Target> = targets.iter().filter(|target| !workload.stdio || target.stdio_prefix.is_some()).collect();
    let mut samples: Vec<anyhow::Result<Vec<Sample>>> = able.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..usize::from(options.rounds) {
        // Every round begins with another target: none is always the one after a pause.
        for turn in 0..able.len() {
            let index = (round + turn) % able.len();
            let (Some(target), Some(slot)) = (able.get(index), samples.get_mut(index)) else { continue };
            if let Ok(so_far) = slot {
                match sample(workload, target, options) {
                    Ok(sample) => so_far.push(sample),
                    Err(error) => *slot = Err(error),
                }
            }
        }
    }
    able.iter().zip(samples).map(|(target, samples)| (target.name, samples.and_then(|all| medians(&all)))).collect()
}

/// One measurement, in a generator process of its own.
fn sample(workload: &Workload, target: &Target, options: &Options) -> anyhow::Result<Sample> {
    let prefix = if workload.stdio { target.stdio_prefix.unwrap_or_default() } else { &target.prefix };
    let tool = match workload.ask {
        Ask::Call(bytes) => format!("{prefix}{}", echo_tool(bytes)),
        Ask::List => String::new(),
    };
    let order = Order {
        address: target.address,
        era: workload.era,
        ask: workload.ask,
        tool,
        connections: workload.connections,
        warm_up_ms: options.run_ms() / 6,
        run_ms: options.run_ms(),
        calls_max: CALLS_MAX,
        watch: target.watch.clone(),
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("load").arg(serde_json::to_string(&order)?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn medians(samples: &[Sample]) -> anyhow::Result<Figures> {
    let of = |figure: &dyn Fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
    let mut cpu: Vec<f64> =
        samples.iter().filter_map(|s| s.cpu_ns.map(|ns| ns as f64 / s.calls as f64 / 1e3)).collect();
    cpu.sort_by(f64::total_cmp);
    let cpu_us = (!cpu.is_empty()).then(|| median(cpu.clone())).transpose()?;
    let spread = cpu.first().zip(cpu.last()).zip(cpu_us).map(|((low, high), middle)| (high - low) / middle);
    Ok(Figures {
        calls: samples.iter().map(|sample| sample.calls).sum(),
        cpu_us,
        cpu_spread: spread,
        calls_per_second: of(&|s| s.calls as f64 / s.seconds)?,
        p50_us: of(&|s| f64::from(s.p50_ns) / 1e3)?,
        p90_us: of(&|s| f64::from(s.p90_ns) / 1e3)?,
        p99_us: of(&|s| f64::from(s.p99_ns) / 1e3)?,
    })
}

fn median(mut values: Vec<f64>) -> anyhow::Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("there is at least one round")
}
