//! The gateway for the topology that `build.rs` chose.

/// What `build.rs` wrote.
mod compiled {
    include!(concat!(env!("OUT_DIR"), "/topology.rs"));
}

fn main() -> std::process::ExitCode {
    only1mcp::cli::run::<compiled::Compiled>()
}
