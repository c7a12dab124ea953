//! The backend: an MCP server as lean as it can be, so that what is measured is what stands before it.
//!
//! It still refuses what a real server refuses (a missing session, mirrored header fields that differ from the body):
//! a gateway must not look fast by forwarding calls wrongly.

mod answer;
pub(crate) mod http;
pub(crate) mod stdio;

use crate::mcp::Era;

/// What the backend answers a modern client that calls a method with no more than its metadata.
pub(crate) fn modern_answer(method: &str) -> Vec<u8> {
    let answers = answer::Answers::new();
    let question = answer::Question { id: Some(b"1"), method: method.as_bytes(), name: None };
    let answer = answers.answer(&question, Era::Modern);
    let mut out = Vec::new();
    answer.write_start(&mut out);
    out.extend_from_slice(answer.end);
    out
}
