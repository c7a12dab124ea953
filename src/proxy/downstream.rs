//! The client's side of a request, as the data plane knows it.

use std::task::{Context, Poll};

use crate::upstream::Gone;

/// The client's side of one request: where its answer goes.
///
/// All methods take `&self`, because a call writes to its client and watches whether it is still there at once.
pub(crate) trait Downstream {
    /// Whether it is a client of calls that need nothing of a connection. What only these need is compiled for them alone.
    const DETACHED: bool = false;

    /// Writes a whole answer.
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone>;
    /// Begins an answer of known length whose body comes in parts, if it [takes](Self::takes_parts) them.
    async fn begin(&self, _length: u64, _parts: &[&[u8]]) -> Result<(), Gone> {
        Err(Gone)
    }
    /// More of its body.
    async fn part(&self, _parts: &[&[u8]]) -> Result<(), Gone> {
        Err(Gone)
    }
    /// Writes one message, in pieces, to the request's stream, which begins with the first.
    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone>;
    /// Writes what is encoded as events already.
    async fn raw(&self, _events: &[u8]) -> Result<(), Gone> {
        Err(Gone)
    }
    /// Shows on the stream that the request is alive; begins the stream if need be.
    async fn keep_alive(&self) -> Result<(), Gone> {
        Ok(())
    }
    /// Ends the stream.
    async fn finish(&self) -> Result<(), Gone> {
        Ok(())
    }
    /// Whether a stream was begun.
    fn streaming(&self) -> bool {
        false
    }
    /// Whether a long answer may come in parts: nothing else has to wait until the last of them is there.
    fn takes_parts(&self) -> bool {
        false
    }
    /// Ready once nobody waits for the answer.
    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left>;
}

/// Why nobody waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The client went away. In the legacy era that is no cancellation.
    Away,
    /// The client said that it does not want the answer, or the connection that belongs to it alone is over.
    Cancelled,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Fields beside the usual ones, each with its line end.
    pub(crate) fields: &'a str,
    /// The body in pieces; empty for none.
    pub(crate) body: &'a [&'a [u8]],
    /// The connection is of no use afterwards.
    pub(crate) close: bool,
}
