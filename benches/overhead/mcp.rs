//! The few words of MCP that generator and backend have to agree on.

use serde::{Deserialize, Serialize};

/// The stateless revision, and the session one that the legacy rows use.
pub(crate) const MODERN: &str = "2026-07-28";
/// See [`MODERN`].
pub(crate) const LEGACY: &str = "2025-11-25";

/// The path of every MCP endpoint here.
pub(crate) const PATH: &str = "/mcp";

/// Which protocol family a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Era {
    /// 2026-07-28: stateless.
    Modern,
    /// 2025-11-25: with a session.
    Legacy,
}

/// The backend's name of the tool that answers a text of so many bytes.
pub(crate) fn echo_tool(bytes: u32) -> String {
    format!("echo_{bytes}")
}
