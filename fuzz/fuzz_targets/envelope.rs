//! A scan accepts exactly what serde_json accepts, finds the same members at the same places, and what it says may be
//! cut leaves a valid object.
#![no_main]

use libfuzzer_sys::fuzz_target;
use only1mcp::limits::ID_BYTES_MAX;
use only1mcp::mcp::envelope::{Cut, Id, Incoming, Outgoing, Shape, incoming, outgoing};
use only1mcp::mcp::json::{DEPTH_MAX, Kind, ScanError, ScanErrorKind, Span, Value};

#[path = "../../src/mcp/envelope/tests/oracle.rs"]
mod oracle;

fuzz_target!(|source: &[u8]| {
    oracle::check_incoming(source);
    oracle::check_outgoing(source);
});
