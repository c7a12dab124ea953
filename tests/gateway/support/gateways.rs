//! The gateways that are tested, compiled from the topologies beside the tests.

use only1mcp::catalog::Topology;
use only1mcp::{Gateway, Running, StartError};

use super::recorder::Recorder;

only1mcp::topology!(pub(crate) Demo = "tests/gateway/topologies/demo.yaml");
only1mcp::topology!(pub(crate) Recorded = "tests/gateway/topologies/recorded.yaml");
only1mcp::topology!(pub(crate) Views = "tests/gateway/topologies/views.yaml");
only1mcp::topology!(pub(crate) Alone = "tests/gateway/topologies/alone.yaml");
only1mcp::topology!(pub(crate) Rewritten = "tests/gateway/topologies/rewritten.yaml");
only1mcp::topology!(pub(crate) Large = "topologies/large.yaml");

/// The key of sessions that most tests are content with.
pub(crate) const SEAL_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// In front of the demo servers as children.
pub(crate) fn demo() -> Running {
    let builder = Gateway::<Demo>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp"));
    builder.workers(2).start().expect("the gateway starts")
}

/// In front of a server that the test plays.
pub(crate) fn recorded(upstream: &Recorder) -> Running {
    let builder = Gateway::<Recorded>::builder().address("127.0.0.1:0").workers(2);
    let builder = builder.reference("ADMIN_URL", upstream.url()).reference("DATA_URL", upstream.url());
    builder.start().expect("the gateway starts")
}

/// The same in front of the views of such a server.
pub(crate) fn views(upstream: &Recorder) -> Running {
    sealed(upstream, SEAL_KEY).expect("the gateway starts")
}

/// The same with these keys for its sessions.
pub(crate) fn sealed(upstream: &Recorder, keys: &str) -> Result<Running, StartError> {
    let builder = Gateway::<Views>::builder().workers(2).reference("SEAL_KEY", keys);
    builder.reference("ADMIN_URL", upstream.url()).reference("DATA_URL", upstream.url()).start()
}

/// In front of three servers that are also asked alone, the last of which has much of what the second has.
pub(crate) fn alone(servers: [&Recorder; 3]) -> Running {
    three::<Alone>(servers)
}

/// The same, but that the URIs of the second one bear its name.
pub(crate) fn rewritten(servers: [&Recorder; 3]) -> Running {
    three::<Rewritten>(servers)
}

fn three<T: Topology>([admin, data, mirror]: [&Recorder; 3]) -> Running {
    let builder = Gateway::<T>::builder().workers(1).reference("ADMIN_URL", admin.url());
    let builder = builder.reference("DATA_URL", data.url()).reference("MIRROR_URL", mirror.url());
    builder.start().expect("the gateway starts")
}

/// With 3000 tools of backends that do not run.
pub(crate) fn large() -> Running {
    Gateway::<Large>::builder().address("127.0.0.1:0").workers(1).start().expect("the gateway starts")
}
