//! Compiles the chosen topology into `OUT_DIR`: `topology.rs`, `items.json` and the texts that they were made of. Which one
//! is chosen is decided in `only1mcp_emit::select`, what it becomes in `only1mcp_emit`. None is compiled, and
//! `cfg(no_topology)` set, where nothing was chosen and the features of the build do not carry the default one.

use std::path::PathBuf;
use std::{env, fs};

use only1mcp_emit::{Files, module, report, select};
use only1mcp_model::Features;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TOPOLOGY");
    println!("cargo::rustc-check-cfg=cfg(no_topology)");
    // A build script that fails has everything it printed repeated; cargo stops just as well on a logged error.
    for problem in build().err().unwrap_or_default() {
        log("error", &problem);
    }
}

fn build() -> Result<(), Vec<String>> {
    let [package, out_dir] = ["CARGO_MANIFEST_DIR", "OUT_DIR"].map(|name| PathBuf::from(variable(name)));
    let by_feature = select::features(env::vars_os().map(|(name, _value)| name));
    let chosen = select::select(&by_feature, Some(&variable("TOPOLOGY")), &select::known(&package));
    let chosen = chosen.map_err(|problem| vec![problem])?;
    let files = Files::new(&package, &chosen.path);
    for path in files.watched() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let variable = |feature: &str| format!("CARGO_FEATURE_{}", feature.to_uppercase().replace('-', "_"));
    let features = Features::of(|feature| env::var_os(variable(feature)).is_some()).in_line_of(chosen.feature);
    // So that the gateway knows what it can carry without a list of its own.
    println!("cargo::rustc-env=ONLY1MCP_FEATURES={}", features.iter().collect::<Vec<_>>().join(","));
    // Whoever embeds the gateway compiles topologies of their own. The program says what to choose.
    if chosen.by_default && files.lack(&features) {
        println!("cargo::rustc-cfg=no_topology");
        return Ok(());
    }
    let loaded = files.load(&features)?;
    for warning in &loaded.warnings {
        log("warning", warning);
    }
    // Seen with `cargo build -vv`.
    println!("{}", report(&loaded.plan, &loaded.found).map_err(|error| vec![error.to_string()])?);
    let module = module(&loaded.plan, files.topology()).map_err(|error| vec![error.to_string()])?;
    let write = |(name, bytes)| fs::write(out_dir.join(name), bytes).map_err(|error| vec![error.to_string()]);
    module.files().into_iter().try_for_each(write)
}

fn variable(name: &str) -> String {
    env::var_os(name).unwrap_or_default().to_string_lossy().into_owned()
}

/// Cargo takes one line at a time.
fn log(level: &str, text: &str) {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        println!("cargo::{level}={line}");
    }
}
