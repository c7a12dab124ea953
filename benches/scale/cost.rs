//! What a process takes: CPU time and peak memory.

use std::process::Command;
use std::time::Duration;
use std::{fmt, fs, thread};

use anyhow::Context as _;

/// How often a process is looked at. Its peak only grows, so what the last look misses is little.
const LOOK: Duration = Duration::from_millis(10);
/// Clock ticks of `/proc` a second, which Linux has fixed.
const TICKS: f64 = 100.0;

/// CPU time with that of its children, and the peak of its own memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    cpu_seconds: f64,
    peak_kib: u64,
}

/// Runs a command to its end: what it took, and its exit code.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<(Cost, i32)> {
    let before = children_seconds()?;
    let mut child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak(child.id()).unwrap_or_default());
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(LOOK),
        }
    };
    Ok((Cost { cpu_seconds: children_seconds()? - before, peak_kib }, status.code().unwrap_or(1)))
}

/// CPU time of the children of this process that have ended.
fn children_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").context("no name in stat")?.1;
    // `cutime` and `cstime`, proc(5) 16 and 17; what is left begins with the third.
    let ticks: f64 = fields.split(' ').skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}

fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

// === impl Cost ===

impl Cost {
    pub(crate) fn to_line(self) -> String {
        format!("{} {}", self.cpu_seconds, self.peak_kib)
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (cpu_seconds, peak_kib) = line.split_once(' ')?;
        Some(Self { cpu_seconds: cpu_seconds.parse().ok()?, peak_kib: peak_kib.parse().ok()? })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s, {} MB", self.cpu_seconds, self.peak_kib * 1024 / 1_000_000)
    }
}
