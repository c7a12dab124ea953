//! The command line: what there is to say, and which exit code says how it went.

#[cfg(feature = "admin")]
mod admin;
#[cfg(feature = "admin")]
mod change;
#[cfg(feature = "demo")]
mod demo_server;
#[cfg(feature = "authoring")]
mod explain;
mod files;
mod list;
#[cfg(feature = "authoring")]
mod live;
mod notify;
#[cfg(any(feature = "admin", feature = "authoring"))]
mod overlay;
mod start;
#[cfg(feature = "admin")]
mod status;
mod stdio;
#[cfg(feature = "authoring")]
mod topology;
#[cfg(feature = "authoring")]
mod validate;

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use only1mcp_model::diagnostic::Finding;
use serde::Serialize;
use tracing_subscriber::filter::LevelFilter;

use crate::catalog::Topology;

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Ok = 0,
    Failed = 1,
    /// Also what clap exits with.
    #[cfg(feature = "authoring")]
    NotUnderstood = 2,
    Invalid = 3,
    #[cfg(feature = "authoring")]
    Differs = 4,
    #[cfg(feature = "admin")]
    NotRunning = 5,
    #[cfg(feature = "authoring")]
    Unreachable = 6,
}

/// A text and the lines that `authoring` adds to it. A literal, because `concat!` takes no constants.
#[cfg(feature = "authoring")]
macro_rules! with_authoring {
    ($always:literal, $authoring:literal) => {
        concat!($always, $authoring)
    };
}
/// The same without them.
#[cfg(not(feature = "authoring"))]
macro_rules! with_authoring {
    ($always:literal, $authoring:literal) => {
        $always
    };
}

/// A text that is there with `admin` alone.
#[cfg(feature = "admin")]
macro_rules! with_admin {
    ($admin:literal) => {
        $admin
    };
}
/// Without it there is none.
#[cfg(not(feature = "admin"))]
macro_rules! with_admin {
    ($admin:literal) => {
        ""
    };
}

/// Shown by `-h` and `--help`.
macro_rules! exit_codes {
    () => {
        concat!(
            with_authoring!(
                "Exit codes:
  0  ok
  1  failed
  2  the command line is not understood
  3  a topology, a lock or an overlay is invalid",
                "
  4  differences were found (`topology diff`, `topology lock --check`, `overlay diff`)"
            ),
            with_admin!(
                "
  5  no gateway answers (`status`, `reload`, `backend`, `overlay`)"
            ),
            with_authoring!(
                "",
                "
  6  a backend could not be reached (`topology lock`, `topology diff`)

Also: `topology explain` exits with 1 for a name that nobody offers, `explain` with 2 for a code that does not exist,
`validate --strict` with 3 for a warning."
            )
        )
    };
}

/// Shown by `--help`.
macro_rules! examples {
    () => {
        with_authoring!(
            "Examples:
  only1mcp                                  serve the compiled topology
  only1mcp start --port 0                   the same, on a port that the system chooses
  only1mcp stdio                            serve the client that started it, on its pipes
  only1mcp list                             what is compiled in
  only1mcp status                           how a gateway fares that runs
",
            "  only1mcp topology new prod                write a topology to start from
  only1mcp topology lock prod               record what the backends offer
  only1mcp validate prod                    check the topology and its lock
  only1mcp explain E0301                    what a code means that the check has shown
  only1mcp topology report prod             what the build makes of it
  only1mcp topology explain math__add       why a name leads where it does
  only1mcp topology diff prod               compare the backends with what was recorded
  only1mcp overlay diff                     what is set otherwise than compiled
"
        )
    };
}

/// One endpoint for many MCP servers, compiled from a topology.
#[derive(Debug, Parser)]
#[command(name = "only1mcp", disable_version_flag = true, after_help = exit_codes!())]
#[command(after_long_help = concat!(examples!(), "\n", exit_codes!()))]
struct Cli {
    /// Log more: once for debugging, twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print the version; with --verbose also what was compiled in.
    #[arg(short = 'V', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the compiled topology (the default command).
    ///
    /// Prints the URL, the backends and how many tools each has, then serves until SIGTERM or SIGINT; calls in flight
    /// have ten seconds to finish. For other machines: `only1mcp start --host 0.0.0.0 --port 80`, with the name they use
    /// in `listen.mcp.hosts`.
    Start(start::Start),
    /// Serve the client that started this process, on stdin and stdout.
    ///
    /// For clients that start their servers themselves: `"command": "only1mcp", "args": ["stdio"]`, or `["stdio", "--view",
    /// "coding"]`. Serves what is compiled in, in this process, until the client closes its end. With `--connect
    /// http://127.0.0.1:8080/mcp` it serves nothing itself and passes everything on to what listens there.
    Stdio(stdio::Stdio),
    /// Show what is compiled in.
    ///
    /// `only1mcp list` shows the tools, `only1mcp list backends --output json` the backends for a program.
    List(list::List),
    /// Show how a running gateway fares.
    ///
    /// Asks its admin listener: `only1mcp status --admin 127.0.0.1:9090`, or the one that is compiled in. The exit code is 5
    /// where no gateway answers.
    #[cfg(feature = "admin")]
    Status(status::Status),
    /// Have a running gateway read the file of its overlay anew.
    #[cfg(feature = "admin")]
    Reload(change::Reload),
    /// Change a backend of a running gateway: add, remove, enable, disable, drain, weight.
    ///
    /// It is written into the overlay, and outlives a restart where that is in a file.
    #[cfg(feature = "admin")]
    #[command(subcommand)]
    Backend(change::Backend),
    /// Check a topology and its lock.
    ///
    /// The checks of the build, without a build: `only1mcp validate prod`, `only1mcp validate --strict --json
    /// /srv/edge.yaml`. Every problem is shown in one pass; the exit code is 3 if there is an error.
    #[cfg(feature = "authoring")]
    Validate(validate::Validate),
    /// Say what the codes of problems mean.
    ///
    /// `only1mcp explain` lists all, `only1mcp explain E0301` has the explanation of one and an example.
    #[cfg(feature = "authoring")]
    Explain(explain::Explain),
    /// Work on topologies: new, lock, diff, report, explain, schema.
    #[cfg(feature = "authoring")]
    #[command(subcommand)]
    Topology(topology::Command),
    /// Work on overlays, which set what is not as compiled: show, rollback, diff, promote.
    #[cfg(any(feature = "admin", feature = "authoring"))]
    #[command(subcommand)]
    Overlay(overlay::Command),
    /// Not part of this build.
    #[cfg(not(feature = "authoring"))]
    #[command(hide = true, aliases = ["validate", "explain"])]
    #[cfg_attr(not(feature = "admin"), command(alias = "overlay"))]
    Topology(Absent),
    /// Serve one of the demo servers, over stdio or HTTP.
    ///
    /// `only1mcp demo-server math` speaks on stdin and stdout, `only1mcp demo-server data --http 127.0.0.1:9001 --era
    /// legacy` serves http://127.0.0.1:9001/mcp as an older server would.
    #[cfg(feature = "demo")]
    DemoServer(demo_server::DemoServer),
}

/// A command of the feature `authoring`.
#[cfg(not(feature = "authoring"))]
#[derive(clap::Args, Debug)]
struct Absent {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<std::ffi::OsString>,
}

/// How a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// One name a line.
    Name,
}

/// Runs the command line of the process for a compiled topology.
pub fn run<T: Topology>() -> ExitCode {
    let cli = Cli::parse();
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => LevelFilter::ERROR,
        // These report what they find; log lines would stand among it, and in the progress display.
        #[cfg(feature = "authoring")]
        (false, 0) if matches!(cli.command, Some(Command::Topology(_))) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    crate::telemetry::log_to_stderr(level);
    if cli.version {
        return match print(&version::<T>(cli.verbose > 0)) {
            Ok(()) => Exit::Ok,
            Err(error) => fail(&error, false),
        }
        .into();
    }
    if let Some(chosen) = std::env::var("TOPOLOGY").ok().filter(|chosen| is_other::<T>(chosen)) {
        let own = T::SPEC.name;
        complain(&format!("note: `TOPOLOGY={chosen}` is for builds; this binary has topology `{own}` compiled in"));
    }
    let json = cli.command.as_ref().is_some_and(Command::prints_json);
    let outcome = match cli.command.unwrap_or_else(|| Command::Start(start::Start::default())) {
        Command::Start(start) => start.run::<T>(),
        Command::Stdio(stdio) => stdio.run::<T>(),
        Command::List(list) => list.run::<T>(),
        #[cfg(feature = "admin")]
        Command::Status(status) => status.run::<T>(),
        #[cfg(feature = "admin")]
        Command::Reload(reload) => reload.run::<T>(),
        #[cfg(feature = "admin")]
        Command::Backend(backend) => backend.run::<T>(),
        #[cfg(feature = "authoring")]
        Command::Validate(validate) => validate.run::<T>(),
        #[cfg(feature = "authoring")]
        Command::Explain(explain) => explain.run(),
        #[cfg(feature = "authoring")]
        Command::Topology(command) => command.run::<T>(),
        #[cfg(any(feature = "admin", feature = "authoring"))]
        Command::Overlay(command) => command.run::<T>(),
        #[cfg(not(feature = "authoring"))]
        Command::Topology(Absent { .. }) => Err(anyhow::Error::msg(
            "commands about topologies are not part of this build: build another one with `--features authoring`",
        )),
        #[cfg(feature = "demo")]
        Command::DemoServer(demo) => demo.run(),
    };
    outcome.unwrap_or_else(|error| fail(&error, json)).into()
}

/// Whether a choice for builds is not what is compiled in. What a path names is not known.
fn is_other<T: Topology>(chosen: &str) -> bool {
    !chosen.is_empty() && chosen != T::SPEC.name && !chosen.contains(['/', '.'])
}

impl Command {
    /// Whether stdout is for a program.
    #[cfg(feature = "authoring")]
    fn prints_json(&self) -> bool {
        match self {
            Self::Validate(validate) => validate.json,
            Self::Topology(command) => command.prints_json(),
            Self::Overlay(command) => command.prints_json(),
            _ => false,
        }
    }

    #[cfg(not(feature = "authoring"))]
    fn prints_json(&self) -> bool {
        false
    }
}

/// What `--json` prints of a command that could not do what it was asked. Members are only ever added.
#[derive(Serialize)]
struct Failure {
    ok: bool,
    error: String,
    /// Of the file that does not pass its checks.
    diagnostics: Vec<Finding>,
}

/// Says why a command could not do what it was asked.
fn fail(error: &anyhow::Error, json: bool) -> Exit {
    let refused = error.downcast_ref::<files::Refused>();
    let diagnostics = || refused.map(files::Refused::findings).unwrap_or_default();
    let told =
        json && print_json(&Failure { ok: false, error: format!("{error:#}"), diagnostics: diagnostics() }).is_ok();
    match refused {
        _ if told => {}
        Some(refused) => refused.show(),
        None => complain(&format!("error: {error:#}")),
    }
    #[cfg(feature = "admin")]
    if error.is::<admin::NotRunning>() {
        return Exit::NotRunning;
    }
    #[cfg(feature = "admin")]
    if error.is::<admin::NotTaken>() {
        return Exit::Invalid;
    }
    if refused.is_some() { Exit::Invalid } else { Exit::Failed }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn version<T: Topology>(verbose: bool) -> String {
    let mut text = format!("only1mcp {}\n", env!("CARGO_PKG_VERSION"));
    if verbose {
        let spec = T::SPEC;
        let lock = if spec.lock_digest.is_empty() { "none" } else { spec.lock_digest };
        text += &format!("topology  {} sha256:{}\nlock      sha256:{lock}\n", spec.name, spec.topology_digest);
        text += &format!("backends  {}\ntools     {}\n", spec.backends.len(), spec.tools.len());
    }
    text
}

/// So many of something.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Writes to stdout, which is for results. A reader that has read enough is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("stdout cannot be written"),
        _ => Ok(()),
    }
}

/// The same for programs.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Writes a line to stderr, which is for everything else. There is nowhere to say that nobody reads it.
fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{}", text.trim_end()));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
