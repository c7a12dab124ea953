//! What is compared: the backend itself, nginx before it, the gateway before it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::load::request::{Check, Requests, shown};
use crate::mcp::{Era, PATH, echo_tool};
use crate::nginx;
use crate::options::Options;
use crate::process::{self, Process};
use crate::wire::{AnswerHead, Chunks};
use crate::workload::Ask;

/// The variables in which the gateway compiled in finds its addresses.
const LISTEN: &str = "ONLY1MCP_BENCH_LISTEN";
/// See [`LISTEN`].
const UPSTREAM: &str = "ONLY1MCP_BENCH_UPSTREAM";
/// What the gateway compiled in puts before the names of its stdio backend's tools.
const STDIO_PREFIX: &str = "stdio__";

/// How long a target has to answer its first call.
const START_MAX: Duration = Duration::from_secs(10);
/// How long one attempt of a first call may wait.
const ATTEMPT_MAX: Duration = Duration::from_secs(2);
/// The pause between two attempts; the resolution of the start-up time.
const ATTEMPT_PAUSE: Duration = Duration::from_micros(200);

/// Something that answers calls.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// What stands before the backend's tool names here.
    pub(crate) prefix: String,
    /// What stands before those of the backend behind stdio, if there is one.
    pub(crate) stdio_prefix: Option<&'static str>,
    /// The proxy's processes; none for the backend itself.
    pub(crate) watch: Vec<u32>,
    /// From exec to the first answered call.
    pub(crate) first_answer: Duration,
    /// Resident memory then, in KiB.
    pub(crate) resident_kib: u64,
    _process: Process,
}

/// A directory for the run's files, removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn create() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("only1mcp-overhead-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The backend itself.
pub(crate) fn direct() -> anyhow::Result<Target> {
    let start = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    let mut process = Process::spawn(command.arg("echo").stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut line = String::new();
    BufReader::new(process.stdout()?).read_line(&mut line)?;
    let address = line.trim().parse().context("the backend tells its address")?;
    let pid = process.id();
    Ok(Target { watch: Vec::new(), ..started("direct", process, vec![pid], address, String::new(), start)? })
}

/// nginx before `upstream`.
pub(crate) fn nginx(scratch: &Scratch, upstream: SocketAddr, options: &Options) -> anyhow::Result<Target> {
    let address = free_address()?;
    let start = Instant::now();
    let process = nginx::start(scratch.path(), address, upstream, options.nginx_defaults)?;
    let pid = process.id();
    let mut target = started("nginx", process, vec![pid], address, String::new(), start)
        .with_context(|| last_line(&scratch.path().join("nginx.err")))?;
    // The worker exists only once the first call is answered.
    target.watch.extend(process::children_of(pid)?);
    target.resident_kib = process::resident_kib(&target.watch)?;
    Ok(target)
}

/// The gateway before `upstream`: the one compiled in, or what the command line names.
pub(crate) fn gateway(scratch: &Scratch, upstream: SocketAddr, options: &Options) -> anyhow::Result<Target> {
    let address = free_address()?;
    let url = format!("http://{upstream}{PATH}");
    let mut command = match &options.gateway_command {
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("gateway");
            command
        }
        Some(line) => {
            let mut words = line.split_ascii_whitespace().map(|word| {
                let word = word.replace("{listen}", &address.to_string()).replace("{upstream}", &url);
                word.replace("{port}", &address.port().to_string())
            });
            let mut command = Command::new(words.next().context("--gateway-command names no program")?);
            command.args(words);
            command
        }
    };
    let log = scratch.path().join("gateway.err");
    command.env(LISTEN, address.to_string()).env(UPSTREAM, &url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let start = Instant::now();
    let process = Process::spawn(&mut command)?;
    let pid = process.id();
    let mut target = started("only1mcp", process, vec![pid], address, options.gateway_prefix.clone(), start)
        .with_context(|| last_line(&log))?;
    target.stdio_prefix = options.gateway_command.is_none().then_some(STDIO_PREFIX);
    Ok(target)
}

/// Waits until the process answers a call.
fn started(
    name: &'static str,
    mut process: Process,
    watch: Vec<u32>,
    address: SocketAddr,
    prefix: String,
    start: Instant,
) -> anyhow::Result<Target> {
    loop {
        let attempt = first_call(address, &prefix);
        if attempt.is_ok() {
            break;
        }
        process.ensure_running()?;
        if start.elapsed() > START_MAX {
            attempt.with_context(|| format!("no answer within {} s", START_MAX.as_secs()))?;
        }
        std::thread::sleep(ATTEMPT_PAUSE);
    }
    let first_answer = start.elapsed();
    let resident_kib = process::resident_kib(&watch)?;
    Ok(Target { name, address, prefix, stdio_prefix: None, watch, first_answer, resident_kib, _process: process })
}

/// One `tools/call` on a connection of its own, checked.
fn first_call(address: SocketAddr, prefix: &str) -> anyhow::Result<()> {
    let ask = Ask::Call(100);
    let mut requests = Requests::new(address, Era::Modern, ask, &format!("{prefix}{}", echo_tool(100)), None)?;
    let (request, id) = requests.stamp(0)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ATTEMPT_MAX))?;
    stream.write_all(request)?;
    let mut buffer = Vec::new();
    let mut chunks = Chunks::default();
    let mut block = [0; 4096];
    loop {
        let count = stream.read(&mut block)?;
        ensure!(count > 0, "the connection was closed before the answer");
        buffer.extend_from_slice(block.get(..count).unwrap_or_default());
        let Some(head) = AnswerHead::parse(&buffer)? else { continue };
        let rest = buffer.get(head.bytes..).unwrap_or_default();
        let body = match head.length {
            Some(length) if rest.len() >= length => rest,
            None if chunks.advance(rest)? => chunks.body(),
            _ => continue,
        };
        ensure!(head.status == 200, "status {}: {}", head.status, shown(body));
        return Check::new(ask).verify(body, id);
    }
}

/// An address nothing listens on. Another process could take it before the proxy does; then its start fails.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it wrote no error").to_owned()
}
