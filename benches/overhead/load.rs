//! The load generator: one thread, one task a connection, every answer checked.
//!
//! It reads the proxy's CPU time itself, right before and right after the measured section, so that connecting,
//! handshakes and warming up do not count.

mod lane;
pub(crate) mod request;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::mcp::Era;
use crate::process;
use crate::workload::Ask;
use lane::{Lane, Until};

/// What the generator is told to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Where.
    pub(crate) address: SocketAddr,
    /// In which era.
    pub(crate) era: Era,
    /// What to ask.
    pub(crate) ask: Ask,
    /// The tool's name there.
    pub(crate) tool: String,
    /// On how many connections.
    pub(crate) connections: u16,
    /// Not measured.
    pub(crate) warm_up_ms: u64,
    /// Measured.
    pub(crate) run_ms: u64,
    /// The most calls it makes, on all connections together.
    pub(crate) calls_max: u64,
    /// Processes whose CPU time is read.
    pub(crate) watch: Vec<u32>,
}

/// What the generator found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Calls answered, all of them correctly.
    pub(crate) calls: u64,
    /// In how many seconds.
    pub(crate) seconds: f64,
    /// CPU time of the watched processes in that time; `None` when there are none.
    pub(crate) cpu_ns: Option<u64>,
    /// Half of the calls took no longer.
    pub(crate) p50_ns: u32,
    /// Nine of ten calls took no longer.
    pub(crate) p90_ns: u32,
    /// 99 of 100 calls took no longer.
    pub(crate) p99_ns: u32,
}

/// Carries out an order and writes the sample as one line of JSON to standard output.
pub(crate) fn run(order: &Order) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let limit = Duration::from_millis(order.warm_up_ms + order.run_ms) + Duration::from_secs(5);
    let sample = runtime.block_on(async {
        tokio::time::timeout(limit, measure(order)).await.context("the calls do not come to an end")?
    })?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&sample)?)?;
    Ok(())
}

async fn measure(order: &Order) -> anyhow::Result<Sample> {
    let mut lanes = Vec::with_capacity(usize::from(order.connections));
    for index in 0..order.connections {
        lanes.push(Lane::open(order, index).await.with_context(|| format!("connection {index}"))?);
    }
    let calls_max = (order.calls_max / u64::from(order.connections)).max(1);
    let until = |ms| Until { deadline: Instant::now() + Duration::from_millis(ms), calls: calls_max };

    let (lanes, _) = all(lanes, until(order.warm_up_ms)).await?;
    let cpu = process::cpu_ns(&order.watch)?;
    let start = Instant::now();
    let (_lanes, mut times) = all(lanes, until(order.run_ms)).await?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_ns = process::cpu_ns(&order.watch)?.zip(cpu).map(|(after, before)| after - before);

    times.sort_unstable();
    let at = |share: usize| {
        let index = (times.len() * share / 100).min(times.len() - 1);
        times.get(index).copied().context("every connection makes a call")
    };
    Ok(Sample {
        calls: u64::try_from(times.len())?,
        seconds,
        cpu_ns,
        p50_ns: at(50)?,
        p90_ns: at(90)?,
        p99_ns: at(99)?,
    })
}

/// Lets every lane call until then; answers the time each call took.
async fn all(lanes: Vec<Lane>, until: Until) -> anyhow::Result<(Vec<Lane>, Vec<u32>)> {
    let mut tasks = JoinSet::new();
    for lane in lanes {
        tasks.spawn(lane.repeat(until));
    }
    let mut lanes = Vec::with_capacity(tasks.len());
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (lane, took) = done??;
        lanes.push(lane);
        times.extend_from_slice(&took);
    }
    Ok((lanes, times))
}
