//! What large topologies cost the build: `build.rs`, `rustc`, the binary. Topologies are written to a folder outside the
//! tree, then built as anyone builds them, with this executable between cargo and rustc to take the figures.

mod cost;
mod topology;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context as _, ensure};
use cost::{Cost, run};
use topology::Size;

/// Names the file for the figures, and says that this process stands in for rustc.
const LOG: &str = "ONLY1MCP_SCALE_LOG";

const SIZES: [Size; 4] = [
    Size { name: "small", backends: 3, tools: 5, item_bytes: 400 },
    Size { name: "tools-3000", backends: 50, tools: 60, item_bytes: 400 },
    Size { name: "backends-500", backends: 500, tools: 10, item_bytes: 1_000 },
    Size { name: "names-100000", backends: 1_000, tools: 100, item_bytes: 200 },
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let outcome = match env::var_os(LOG) {
        Some(log) => stand_in_for_rustc(&arguments, Path::new(&log)),
        None => measure(&arguments).map(|()| 0),
    };
    outcome.map_or_else(|error| complain(&error), ExitCode::from)
}

#[expect(clippy::print_stderr, reason = "a bench says what went wrong")]
fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn say(line: &str) {
    println!("{line}");
}

/// Runs the compiler that cargo asked for, and notes what the crate of the gateway's binary took.
fn stand_in_for_rustc(arguments: &[OsString], log: &Path) -> anyhow::Result<u8> {
    let [rustc, arguments @ ..] = arguments else { anyhow::bail!("no compiler to run") };
    let mut command = Command::new(rustc);
    command.args(arguments).env_remove(LOG);
    let (cost, code) = run(&mut command)?;
    let follows = |flag: &str, value: &str| arguments.windows(2).any(|pair| pair[0] == flag && pair[1] == value);
    if follows("--crate-name", "only1mcp") && follows("--crate-type", "bin") {
        fs::write(log, cost.to_line())?;
    }
    Ok(u8::try_from(code).unwrap_or(1))
}

fn measure(arguments: &[OsString]) -> anyhow::Result<()> {
    // `cargo bench` adds `--bench`.
    let wanted: Vec<&str> =
        arguments.iter().filter_map(|argument| argument.to_str()).filter(|a| *a != "--bench").collect();
    let unknown = wanted.iter().find(|name| !SIZES.iter().any(|size| size.name == **name));
    ensure!(unknown.is_none(), "there is no size {unknown:?}; there are {:?}", SIZES.map(|size| size.name));
    let directory = env::temp_dir().join(format!("only1mcp-scale-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = table(&directory, &wanted);
    fs::remove_dir_all(&directory)?;
    outcome
}

fn table(directory: &Path, wanted: &[&str]) -> anyhow::Result<()> {
    say("| topology | names | lock | build.rs | rustc dev | rustc release | binary |");
    say("|---|---|---|---|---|---|---|");
    for size in SIZES.iter().filter(|size| wanted.is_empty() || wanted.contains(&size.name)) {
        let (topology, lock_bytes) = size.write(directory)?;
        let dev = build(directory, &topology, "dev")?;
        let script = build_script(directory, &topology)?;
        let release = build(directory, &topology, "release")?;
        let binary = fs::metadata(target().join("release/only1mcp"))?.len();
        let (names, lock, binary) = (size.names(), megabytes(lock_bytes), megabytes(binary));
        say(&format!("| {} | {names} | {lock} | {script} | {dev} | {release} | {binary} |", size.name));
    }
    Ok(())
}

/// Builds the binary with a topology, and says what rustc took for its crate.
fn build(directory: &Path, topology: &Path, profile: &str) -> anyhow::Result<Cost> {
    let log = directory.join("rustc");
    // A figure of an earlier build must not stand for this one.
    drop(fs::remove_file(&log));
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--bin", "only1mcp", "--profile", profile, "--target-dir"]).arg(target());
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.env("TOPOLOGY", topology).env(LOG, &log).env("RUSTC_WRAPPER", env::current_exe()?);
    let status = cargo.status()?;
    ensure!(status.success(), "`{}` does not build", topology.display());
    Cost::from_line(&fs::read_to_string(&log)?).context("rustc ran for the binary")
}

/// Runs the build script that cargo compiled, as cargo runs it.
fn build_script(directory: &Path, topology: &Path) -> anyhow::Result<Cost> {
    let builds = fs::read_dir(target().join("debug/build"))?.filter_map(|entry| Some(entry.ok()?.path()));
    let scripts = builds.map(|path| path.join("build-script-build")).filter(|path| {
        let package = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        path.is_file() && package.strip_prefix("only1mcp-").is_some_and(|hash| !hash.contains('-'))
    });
    let newest = scripts.max_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    let out = directory.join("out");
    fs::create_dir_all(&out)?;
    let mut script = Command::new(newest.context("cargo compiled no build script")?);
    script.env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR")).env("OUT_DIR", &out).env("TOPOLOGY", topology);
    for feature in ["TRANSPORT_STDIO", "TRANSPORT_HTTP", "TLS", "ADMIN"] {
        script.env(format!("CARGO_FEATURE_{feature}"), "1");
    }
    script.stdout(std::process::Stdio::null());
    let (cost, code) = run(&mut script)?;
    ensure!(code == 0 && out.join("topology.rs").is_file(), "the build script wrote nothing");
    fs::remove_dir_all(&out)?;
    Ok(cost)
}

/// Beside the tree's own builds, whose binary is another one.
fn target() -> PathBuf {
    let own = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    own.join("scale")
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
