//! The vocabulary of the protocol, sans-IO: what a message is about, without building it.

pub mod client;
pub mod content;
pub mod envelope;
pub mod header;
pub mod json;
pub(crate) mod likeness;
pub(crate) mod lines;
pub mod method;
pub mod parts;
pub mod path;
pub mod splice;
pub mod sse;
pub mod subscription;
