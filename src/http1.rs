//! HTTP/1.1 on the wire, sans-IO: heads parsed strictly, bodies framed, nothing guessed.
//!
//! The data plane reads and writes HTTP/1.1 itself, because a general server accepts what a gateway must not (two
//! `Host` fields, `Content-Length` beside `Transfer-Encoding`, bare line feeds) and because the straight path costs half.

pub(crate) mod body;
pub(crate) mod head;
#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
mod retry_after;

pub(crate) use body::{BodyDecoder, BodyError, Framing};
pub(crate) use head::{Field, HeadError, Method, Parsed, RequestHead};
#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
pub(crate) use retry_after::retry_after;
