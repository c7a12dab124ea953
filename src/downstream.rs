//! The transports towards clients.

mod conversation;
pub(crate) mod http;
#[cfg(feature = "transport-http")]
pub(crate) mod remote;
pub(crate) mod stdio;
#[cfg(feature = "websocket")]
mod websocket;
