//! What the topics share: a client that writes exact bytes, servers that are played, gateways that are started.

#[cfg(feature = "tls")]
pub(crate) mod authority;
pub(crate) mod child;
pub(crate) mod client;
pub(crate) mod connect_proxy;
pub(crate) mod demo;
pub(crate) mod front;
pub(crate) mod gateways;
pub(crate) mod held;
pub(crate) mod http2;
pub(crate) mod http2_server;
pub(crate) mod ledger;
pub(crate) mod log;
#[cfg(feature = "admin")]
pub(crate) mod openapi;
pub(crate) mod program;
pub(crate) mod recorder;
pub(crate) mod role;
pub(crate) mod rows;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod serving;
pub(crate) mod socket;
pub(crate) mod socket_server;
pub(crate) mod telling;
