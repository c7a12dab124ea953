//! What a gateway takes of memory while nothing happens: with a hundred backends, and for each connection, stream and
//! session that is open. One executable with two roles; it starts itself for the other one. How to run and read it:
//! `benches/README.md`.

mod client;
mod gateway;
#[path = "../overhead/process.rs"]
#[expect(dead_code, reason = "the bench beside it uses the rest")]
mod process;
mod stream;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::client::Open;
use crate::gateway::{Figures, Gateway};

/// Streams and connections that are open at once.
const MANY: usize = 10_000;
/// Sessions.
const SESSIONS: usize = 1_000;
/// Opened and closed before anything is counted: what only the first of a kind takes is not of each.
const WARM_UP: usize = 200;

/// One row: what is opened, how many of it, and what each may take in KiB at most, and should.
struct Row {
    what: &'static str,
    count: usize,
    bound: f64,
    goal: f64,
    open: fn(&Figures) -> anyhow::Result<Open>,
}

const ROWS: [Row; 6] = [
    Row { what: "keep-alive connection, after a list", count: MANY, bound: 24.0, goal: 12.0, open: client::listed },
    Row { what: "keep-alive connection, after a call", count: MANY, bound: 24.0, goal: 12.0, open: client::called },
    Row { what: "stream of HTTP+SSE", count: MANY, bound: 32.0, goal: 20.0, open: client::events },
    Row { what: "session with its stream", count: MANY, bound: 32.0, goal: 20.0, open: client::session_stream },
    Row { what: "WebSocket", count: MANY, bound: 32.0, goal: 20.0, open: client::socket },
    Row { what: "session", count: SESSIONS, bound: 32.0, goal: 20.0, open: client::session },
];

fn main() -> ExitCode {
    let role = std::env::args().nth(1);
    let ran = match role.as_deref() {
        Some("gateway") => gateway::serve(),
        Some("streams") => streams(),
        _ => measure().and_then(|()| streams()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "{error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Prints by how much the peak of a gateway grows while a stream passes; fails when that is more than its bound.
fn streams() -> anyhow::Result<()> {
    type Pass = fn(&Figures) -> anyhow::Result<()>;
    const WAYS: [(&str, Pass); 3] =
        [("HTTP", stream::over_http), ("HTTP+SSE", stream::over_events), ("WebSocket", stream::over_socket)];
    const GROWTH_MIB_MAX: f64 = 16.0;

    let mut out = std::io::stdout();
    let url = stream::serve()?;
    writeln!(
        out,
        "\n| stream of {} MiB to a client over | growth | bound | took |\n|---|---|---|---|",
        stream::STREAM_BYTES >> 20
    )?;
    for (way, pass) in WAYS {
        let gateway = Gateway::before(&url)?;
        let (idle, began) = (gateway.peak_kib()?, Instant::now());
        pass(&gateway.figures).context(way)?;
        let (growth, took) = ((gateway.peak_kib()? - idle) / 1024.0, began.elapsed().as_secs_f64());
        writeln!(out, "| {way} | {growth:.1} MiB | {GROWTH_MIB_MAX} MiB | {took:.1} s |")?;
        ensure!(growth <= GROWTH_MIB_MAX, "{way}: the stream did not pass in constant memory");
    }
    Ok(())
}

/// Prints the table; fails when something takes more than its bound.
fn measure() -> anyhow::Result<()> {
    gateway::raise_descriptors()?;
    let mut out = std::io::stdout();
    let mut over = Vec::new();
    writeln!(out, "| what | of them | each | bound | goal |\n|---|---|---|---|---|")?;
    let gateway = Gateway::start()?;
    client::call_every_backend(&gateway.figures)?;
    let idle = gateway.settled_kib()? / 1024.0;
    writeln!(out, "| gateway with 100 backends, each called once | 1 | {idle:.1} MB | 40 MB | 20 MB |")?;
    if idle > 40.0 {
        over.push("gateway with 100 backends");
    }
    drop(gateway);
    for Row { what, count, bound, goal, open } in ROWS {
        // Of its own, so that nothing is measured that another row left behind.
        let gateway = Gateway::start()?;
        let warm_up = (0..WARM_UP).map(|_| open(&gateway.figures)).collect::<Result<Vec<_>, _>>()?;
        drop(warm_up);
        let before = gateway.settled_kib()?;
        let opened = (0..count).map(|_| open(&gateway.figures)).collect::<Result<Vec<_>, _>>()?;
        let each = (gateway.settled_kib()? - before) / count as f64;
        drop(opened);
        writeln!(out, "| {what} | {count} | {each:.1} KiB | {bound} KiB | {goal} KiB |")?;
        if each > bound {
            over.push(what);
        }
    }
    ensure!(over.is_empty(), "above the bound: {}", over.join(", "));
    Ok(())
}
