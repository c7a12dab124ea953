//! The transports towards clients.

pub(crate) mod http;
