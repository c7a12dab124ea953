//! Every transport of this binary in one type, for links made at run time.

use only1mcp_macros::Dispatch;

/// A link over whichever transport its backend uses.
#[derive(Debug, Dispatch)]
pub enum Any {
    /// A child process.
    #[cfg(feature = "transport-stdio")]
    Stdio(super::stdio::Stdio),
    /// Streamable HTTP.
    #[cfg(feature = "transport-http")]
    StreamableHttp(super::streamable_http::StreamableHttp),
    /// HTTP+SSE.
    #[cfg(feature = "transport-sse")]
    LegacySse(super::legacy_sse::LegacySse),
    /// WebSocket.
    #[cfg(feature = "transport-ws")]
    WebSocket(super::websocket::WebSocket),
}
