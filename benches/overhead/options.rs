//! The command line: what to compare, how long, and the roles the executable starts itself in.

use clap::{Parser, Subcommand};

/// Compares the gateway with nginx and with a direct connection.
#[derive(Debug, Parser)]
#[command(name = "overhead", version)]
pub(crate) struct Options {
    /// A short run: fewer workloads, a third of the time.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Set by `cargo bench`. Without it (`cargo test --benches`) the run is a quick one.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    /// Connections of the generator, instead of 1, 16 and 64.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) connections: Vec<u16>,
    /// Bytes of the text in an answer, instead of 100, 10240 and 1048576.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(crate) bytes: Vec<u32>,
    /// Rounds; each figure is the median over them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=15))]
    pub(crate) rounds: u8,
    /// Length of one measurement in milliseconds, instead of 450 (150 with --quick).
    #[arg(long, value_parser = clap::value_parser!(u16).range(20..=5000))]
    run_ms: Option<u16>,
    /// Give the proxy a CPU of its own: shows what it can carry, repeats less well.
    #[arg(long)]
    pub(crate) spread: bool,
    /// Let nginx have the buffers it ships with, instead of those that were found to be its cheapest.
    #[arg(long)]
    pub(crate) nginx_defaults: bool,
    /// Start this instead of the gateway compiled in; {listen}, {port} and {upstream} are replaced.
    #[arg(long)]
    pub(crate) gateway_command: Option<String>,
    /// What the gateway puts before the names of the HTTP backend's tools.
    #[arg(long, default_value = "http__")]
    pub(crate) gateway_prefix: String,
    /// As whom the executable runs when it starts itself.
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What a child process does.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The backend: a lean MCP server.
    Echo {
        /// Speaks newline-delimited JSON on standard input and output instead of HTTP.
        #[arg(long)]
        stdio: bool,
    },
    /// The gateway under test.
    Gateway,
    /// Writes the lock of the gateway's topology.
    Lock,
    /// The load generator.
    Load {
        /// What to do, as JSON.
        order: String,
    },
}

impl Options {
    /// Whether the run is a short one.
    pub(crate) fn short(&self) -> bool {
        self.quick || !self.bench
    }

    /// How long one measurement takes.
    pub(crate) fn run_ms(&self) -> u64 {
        self.run_ms.map_or(if self.short() { 150 } else { 450 }, u64::from)
    }
}
