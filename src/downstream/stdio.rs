//! One client over lines (MCP 2026-07-28, stdio): what it writes to our stdin, what it reads from our stdout.

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::conversation::{Conversation, Outbox};
use crate::catalog::{Topology, View};
use crate::limits;
use crate::mcp::lines::{Lines, TooLong};
use crate::proxy::{Refusal, Worker};
use crate::upstream::Gone;
use crate::upstream::balance::HeaderKeys;

/// Serves until the client closes its end, or the gateway stops. Calls that are in flight then are still answered, within
/// [`limits::DRAIN_GRACE`].
///
/// # Errors
/// The client took no more while it still might have asked for something.
pub(crate) async fn serve<T: Topology>(
    worker: Rc<Worker<T>>,
    view: &'static View,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + 'static,
) -> Result<(), Gone> {
    let (mut conversation, outbox) = Conversation::new(Rc::clone(&worker), view, HeaderKeys::default());
    let mut writing = tokio::task::spawn_local(write(outbox, output));
    tokio::select! {
        // At the end of what the client says, or with nobody left to read what it comes to.
        taken = read(&worker, &mut conversation, input) => taken?,
        _ended = &mut writing => return Err(Gone),
    }
    if tokio::time::timeout(limits::DRAIN_GRACE, conversation.finish()).await.is_err() {
        tracing::warn!("calls are left at the end of the grace period");
    }
    drop(conversation);
    drop(writing.await);
    Ok(())
}

async fn read<T: Topology>(
    worker: &Worker<T>,
    conversation: &mut Conversation<T>,
    input: impl AsyncRead + Unpin,
) -> Result<(), Gone> {
    let take = async |line| match line {
        Ok(line) => conversation.take(line).await,
        Err(TooLong) => conversation.refuse(&Refusal::PayloadTooLarge).await,
    };
    lines(input, async || worker.drain.passed().await, take).await
}

/// Takes every line, until there are no more, taking one fails, or none comes until `enough`. One that is taken is taken to
/// its end.
pub(super) async fn lines(
    mut input: impl AsyncRead + Unpin,
    enough: impl AsyncFn(),
    mut take: impl AsyncFnMut(Result<Bytes, TooLong>) -> Result<(), Gone>,
) -> Result<(), Gone> {
    let mut lines = Lines::new(limits::BODY_BYTES_MAX);
    loop {
        match lines.next() {
            Ok(Some(line)) => take(Ok(line)).await?,
            Ok(None) => {
                let read = tokio::select! {
                    read = input.read_buf(lines.buffer()) => read,
                    // What is there of another line is none.
                    () = enough() => return Ok(()),
                };
                match read {
                    Ok(1..) => {}
                    Ok(0) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the client cannot be read from");
                        break;
                    }
                }
            }
            Err(TooLong) => take(Err(TooLong)).await?,
        }
    }
    match lines.rest() {
        Some(line) => take(Ok(line)).await,
        None => Ok(()),
    }
}

/// Writes each message as a line. Line ends between its tokens, where they mean nothing, become spaces.
pub(super) async fn write(mut outbox: Outbox, mut output: impl AsyncWrite + Unpin) {
    while let Some(mut message) = outbox.recv().await {
        for byte in message.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        message.push(b'\n');
        let written = async {
            output.write_all(&message).await?;
            // Who waits for an answer does not wait for the next one.
            if outbox.is_empty() { output.flush().await } else { Ok(()) }
        };
        match tokio::time::timeout(limits::WRITE_TIMEOUT, written).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => return,
            Err(_elapsed) => return tracing::warn!("the client reads nothing: let go"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_no_lines_is_let_go() {
        let (say, outbox) = tokio::sync::mpsc::channel(1);
        let (output, _unread) = tokio::io::duplex(16);
        say.send(vec![b' '; 64]).await.expect("there is room");
        // The other end is there, and so is whoever might say more.
        let began = tokio::time::Instant::now();
        write(outbox, output).await;
        assert_eq!(began.elapsed().as_secs(), limits::WRITE_TIMEOUT.as_secs());
        drop(say);
    }
}
