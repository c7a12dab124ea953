//! What a run prints.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::compare::Figures;
use crate::options::Options;
use crate::target::Target;

/// The table, printed as the figures arrive.
#[derive(Debug)]
pub(crate) struct Table {
    out: io::Stdout,
    head: String,
    missing: Vec<(&'static str, String)>,
}

impl Table {
    pub(crate) fn new(options: &Options, proxy_cpu: usize, other_cpu: usize) -> Self {
        let place = if proxy_cpu == other_cpu {
            format!("proxy, backend and generator on CPU {proxy_cpu}")
        } else {
            format!("proxy on CPU {proxy_cpu}, backend and generator on CPU {other_cpu}")
        };
        let head = format!("{place}; medians of {} rounds of {} ms", options.rounds, options.run_ms());
        Self { out: io::stdout(), head, missing: Vec::new() }
    }

    /// A target that could not be started: it gets a row everywhere, so that nobody overlooks it.
    pub(crate) fn missing(&mut self, name: &'static str, error: &anyhow::Error) {
        self.missing.push((name, format!("{error:#}")));
    }

    /// How each target came up.
    pub(crate) fn starts(&mut self, targets: &[Target]) -> io::Result<()> {
        writeln!(self.out, "{}\n", self.head)?;
        writeln!(self.out, "{:<10} {:>22} {:>12}", "", "exec to first call, ms", "RSS then, MB")?;
        for target in targets {
            let ms = target.first_answer.as_secs_f64() * 1e3;
            writeln!(self.out, "{:<10} {ms:>22.1} {:>12.1}", target.name, target.resident_kib as f64 / 1024.0)?;
        }
        for (name, reason) in &self.missing {
            writeln!(self.out, "{name:<10} missing: {reason}")?;
        }
        Ok(())
    }

    /// The figures of one workload, one row a target.
    pub(crate) fn workload(&mut self, title: &str, rows: &[(&'static str, anyhow::Result<Figures>)]) -> io::Result<()> {
        writeln!(self.out, "\n{title}")?;
        writeln!(
            self.out,
            "{:<10} {:>11} {:>7} {:>7} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "CPU µs/call", "±", "× nginx", "calls/s", "× direct", "p50 µs", "+direct", "p90 µs", "p99 µs", "calls"
        )?;
        let of = |name| rows.iter().find(|(row, _)| *row == name).and_then(|(_, figures)| figures.as_ref().ok());
        let (direct, nginx) = (of("direct"), of("nginx"));
        for (name, figures) in rows {
            match figures {
                Ok(figures) => writeln!(self.out, "{name:<10} {}", row(figures, direct, nginx))?,
                Err(error) => writeln!(self.out, "{name:<10} failed: {error:#}")?,
            }
        }
        for (name, _) in &self.missing {
            writeln!(self.out, "{name:<10} missing")?;
        }
        if rows.is_empty() && self.missing.is_empty() {
            writeln!(self.out, "{:<10} no target has this", "")?;
        }
        self.out.flush()
    }

    /// A workload that was not begun.
    pub(crate) fn skipped(&mut self, title: &str, limit: Duration) -> io::Result<()> {
        writeln!(self.out, "\n{title}\n{:<10} skipped: the run has taken {} s", "", limit.as_secs())
    }

    /// The last line.
    pub(crate) fn end(&mut self, took: Duration) -> io::Result<()> {
        writeln!(self.out, "\n{:.0} s", took.as_secs_f64())
    }
}

fn row(figures: &Figures, direct: Option<&Figures>, nginx: Option<&Figures>) -> String {
    let optional =
        |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
    let spread = figures.cpu_spread.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0));
    let to_nginx = figures.cpu_us.zip(nginx.and_then(|nginx| nginx.cpu_us)).map(|(own, nginx)| own / nginx);
    let to_direct = direct.map(|direct| figures.calls_per_second / direct.calls_per_second);
    let added = direct.map(|direct| figures.p50_us - direct.p50_us);
    format!(
        "{:>11} {spread:>7} {:>7} {:>9.0} {:>8} {:>9.1} {:>9} {:>9.1} {:>9.1} {:>9}",
        optional(figures.cpu_us, 2),
        optional(to_nginx, 2),
        figures.calls_per_second,
        optional(to_direct, 2),
        figures.p50_us,
        optional(added, 1),
        figures.p90_us,
        figures.p99_us,
        figures.calls
    )
}
