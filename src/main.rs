//! The gateway for the topology that `build.rs` chose.

/// What `build.rs` wrote.
#[cfg(not(no_topology))]
#[expect(unreachable_pub, reason = "the same code is written for libraries")]
mod compiled {
    include!(concat!(env!("OUT_DIR"), "/topology.rs"));
}

#[cfg(not(no_topology))]
fn main() -> std::process::ExitCode {
    only1mcp::cli::run::<compiled::Compiled>()
}

#[cfg(no_topology)]
compile_error!(
    "no topology is chosen, and the default one needs features that are off: \
     choose one with `TOPOLOGY=NAME` or `--features topology-NAME`, or build with `--features topology-default`"
);
#[cfg(no_topology)]
fn main() {}
