//! The transports towards clients.

mod conversation;
pub(crate) mod http;
pub(crate) mod stdio;
#[cfg(feature = "websocket")]
mod websocket;
