//! The gateway for the topology that `build.rs` chose.

/// What `build.rs` wrote.
#[expect(unreachable_pub, reason = "the same code is written for libraries")]
mod compiled {
    include!(concat!(env!("OUT_DIR"), "/topology.rs"));
}

fn main() -> std::process::ExitCode {
    only1mcp::cli::run::<compiled::Compiled>()
}
