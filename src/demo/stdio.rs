//! The stdio transport of the demo servers: one message a line, both ways. A call that takes time does not hold up the
//! lines after it.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::playback::Playback;
use super::rpc::{ClientMessage, Fault};
use super::server::{Conversation, Reply, Server};
use crate::limits::{BACKEND_CALLS_MAX, CALL_MESSAGES_MAX, LINE_BYTES_MAX};

enum Line {
    Whole,
    /// It was skipped to its end.
    TooLong,
    End,
}

/// Serves until `input` ends. What was answered by then is written; calls under way are dropped.
pub(super) async fn serve(
    server: Arc<Server>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    // A full queue holds up its senders, in the end the reading of lines.
    let (outbox, messages) = mpsc::channel(CALL_MESSAGES_MAX);
    let writer = tokio::spawn(write_messages(messages, output));
    let read = read_messages(&server, input, outbox).await;
    let written = writer.await.map_err(io::Error::other)?;
    read.and(written)
}

async fn read_messages(server: &Server, input: impl AsyncRead + Unpin, outbox: mpsc::Sender<Value>) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    let conversation = Arc::new(Conversation::default());
    let mut calls = JoinSet::new();
    loop {
        let message = match read_line(&mut input, &mut line).await? {
            Line::End => return Ok(()),
            Line::Whole if line.trim_ascii().is_empty() => continue,
            Line::Whole => ClientMessage::parse(&line),
            Line::TooLong => {
                Err(Fault::InvalidRequest(format!("message is longer than {LINE_BYTES_MAX} bytes")).anonymous())
            }
        };
        let reply = match message {
            Ok(incoming) => {
                let era = server.era_of(&incoming);
                server.receive(&conversation, incoming, era)
            }
            Err(refusal) => Reply::Refused(refusal),
        };
        let answer = match reply {
            Reply::Nothing => continue,
            Reply::Result(answer) => answer,
            Reply::Refused(refusal) => refusal.to_json(),
            Reply::Call(call) if call.takes_no_time() => {
                play(call, outbox.clone()).await;
                continue;
            }
            Reply::Call(call) => {
                // At the bound no more lines are read until a call ends, at the latest after the longest wait.
                if calls.len() >= BACKEND_CALLS_MAX {
                    calls.join_next().await;
                }
                calls.spawn(play(call, outbox.clone()));
                while calls.try_join_next().is_some() {}
                continue;
            }
        };
        if outbox.send(answer).await.is_err() {
            // The writer has ended and says why.
            return Ok(());
        }
    }
}

/// Sends what a call has to say; stops if nobody reads it.
async fn play(mut call: Playback, outbox: mpsc::Sender<Value>) {
    while let Some(message) = call.next().await {
        if outbox.send(message).await.is_err() {
            break;
        }
    }
}

async fn write_messages(mut messages: mpsc::Receiver<Value>, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        let mut line = message.to_string();
        line.push('\n');
        output.write_all(line.as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

/// Reads up to a line feed or the end of input, with at most [`LINE_BYTES_MAX`] bytes in memory.
async fn read_line(input: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut too_long = false;
    loop {
        let available = input.fill_buf().await?;
        let feed = available.iter().position(|&byte| byte == b'\n');
        let taken = feed.unwrap_or(available.len());
        if available.is_empty() && line.is_empty() && !too_long {
            return Ok(Line::End);
        }
        let ended = feed.is_some() || available.is_empty();
        if line.len() + taken > LINE_BYTES_MAX {
            too_long = true;
            line.clear();
        }
        if !too_long {
            line.extend_from_slice(&available[..taken]);
        }
        input.consume(taken + usize::from(feed.is_some()));
        if ended {
            return Ok(if too_long { Line::TooLong } else { Line::Whole });
        }
    }
}
