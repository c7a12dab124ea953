//! The gateway that is measured, compiled from `topology.yaml` beside this file, and what is read of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::process::{self, Process};

only1mcp::topology!(Memory = "benches/memory/topology.yaml");

/// The program, which has the demo servers.
const PROGRAM: &str = env!("CARGO_BIN_EXE_only1mcp");
/// Where the topology finds the URL of its backends over HTTP.
const UPSTREAM: &str = "ONLY1MCP_BENCH_UPSTREAM";
/// How long a figure has to stay the same.
const SETTLED: Duration = Duration::from_millis(500);
/// How long it is waited for that.
const SETTLED_MAX: Duration = Duration::from_secs(20);

/// A gateway and the server behind it, as processes.
pub(crate) struct Gateway {
    pub(crate) figures: Figures,
    process: Process,
    _upstream: Option<Process>,
}

/// What a client has to know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) address: SocketAddr,
}

/// The role: serves until its standard input ends.
pub(crate) fn serve() -> anyhow::Result<()> {
    process::end_with_parent()?;
    raise_descriptors()?;
    let gateway = only1mcp::Gateway::<Memory>::builder().program(PROGRAM).start()?;
    writeln!(std::io::stdout(), "{}", gateway.address())?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// As many descriptors as the system allows.
pub(crate) fn raise_descriptors() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

impl Gateway {
    /// One before a demo server.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut server = Command::new(PROGRAM);
        let (said, says) = std::io::pipe()?;
        let upstream = Process::spawn(server.args(["demo-server", "math", "--http", "127.0.0.1:0"]).stderr(says))?;
        let line = first_line(said)?;
        let url = line.strip_prefix("listening ").context("the demo server says where it listens")?;
        Ok(Self { _upstream: Some(upstream), ..Self::before(url)? })
    }

    /// One before a server at this URL.
    pub(crate) fn before(url: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("gateway").env(UPSTREAM, url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process::spawn(&mut command)?;
        let address = first_line(process.stdout()?)?.parse()?;
        Ok(Self { figures: Figures { address }, process, _upstream: None })
    }

    /// The most resident memory that it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Its resident memory in KiB, once that does not change any more.
    pub(crate) fn settled_kib(&self) -> anyhow::Result<f64> {
        let began = Instant::now();
        let mut found = process::resident_kib(&[self.process.id()])?;
        let mut since = Instant::now();
        while since.elapsed() < SETTLED && began.elapsed() < SETTLED_MAX {
            std::thread::sleep(SETTLED / 10);
            let now = process::resident_kib(&[self.process.id()])?;
            if now != found {
                (found, since) = (now, Instant::now());
            }
        }
        Ok(found as f64)
    }
}

fn first_line(from: impl std::io::Read) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
