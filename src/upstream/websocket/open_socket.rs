//! One connection to a backend: greeted, written to a message at a time, so that it is known which of them have left.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Line, greeting};
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::Outgoing;
use crate::upstream::channel::{Channel, Event, Life};
use crate::upstream::endpoint::Io;
use crate::upstream::multiplex::Strays;
use crate::upstream::{Dropped, Error, Kind};
use crate::websocket::{CloseCode, Ending, Socket};

/// See the module.
#[derive(Debug)]
pub(super) struct OpenSocket {
    socket: Socket<Io>,
    queue: VecDeque<Bytes>,
    /// Bytes in `queue`.
    pending: usize,
    /// Bytes of messages that were handed to the socket.
    begun: u64,
    /// One of them is not written to its end.
    writing: bool,
    read: Option<Bytes>,
    strays: Strays,
    /// What the backend is to be told at the end.
    goodbye: Option<(CloseCode, &'static str)>,
}

// === impl Channel ===

impl Channel for OpenSocket {
    const NOUN: &'static str = "connection";
    const BACKOFF: (Duration, Duration) = limits::RECONNECT_BACKOFF;
    type Recipe = Line;

    fn life(line: &Line) -> Life {
        line.life()
    }

    fn profile(line: &Line) -> Profile {
        line.profile
    }

    async fn open(_backend: &str, line: &Line) -> Result<Self, Error> {
        Ok(Self {
            socket: greeting::connect(&line.endpoint).await?,
            queue: VecDeque::new(),
            pending: 0,
            begun: 0,
            writing: false,
            read: None,
            strays: Strays::default(),
            goodbye: None,
        })
    }

    fn push(&mut self, message: &Bytes) {
        self.pending += message.len();
        self.queue.push_back(message.clone());
    }

    async fn turn(&mut self) -> Event {
        if !self.writing
            && let Some(message) = self.queue.pop_front()
        {
            self.pending -= message.len();
            self.begun += message.len() as u64;
            self.writing = true;
            if let Err(ending) = self.socket.begin(message) {
                return self.ended(&ending);
            }
        }
        let ending = tokio::select! {
            flushed = self.socket.flush(), if self.writing => match flushed {
                Ok(()) => {
                    self.writing = false;
                    return Event::Wrote;
                }
                Err(ending) => ending,
            },
            message = self.socket.message() => match message {
                Ok(message) => {
                    self.read = Some(message);
                    return Event::Read;
                }
                Err(ending) => ending,
            },
            () = self.socket.silence() => Ending::Lost("nothing is heard of it".to_owned()),
        };
        self.ended(&ending)
    }

    fn next(&mut self, backend: &str, dropped: &Dropped) -> Result<Option<(Bytes, Outgoing)>, String> {
        let Some(message) = self.read.take() else { return Ok(None) };
        match self.strays.scan((backend, dropped), &message) {
            Ok(head) => Ok(head.map(|head| (message, head))),
            Err(error) => {
                self.goodbye = Some((CloseCode::Policy, "too much of what was said is no JSON-RPC message"));
                Err(error.to_string())
            }
        }
    }

    fn pending(&self) -> usize {
        self.pending
    }

    fn begun(&self) -> u64 {
        self.begun
    }

    fn backlog(&self) -> Option<u64> {
        (self.writing || !self.queue.is_empty()).then(|| self.socket.taken())
    }

    async fn end(self) {
        self.socket.close(CloseCode::Normal, "").await;
    }

    async fn end_now(self, why: String) -> String {
        // Whoever waits for an answer need not wait for the goodbye.
        if let Some((code, reason)) = self.goodbye {
            tokio::task::spawn_local(async move { self.socket.close(code, reason).await });
        }
        why
    }
}

impl OpenSocket {
    fn ended(&mut self, ending: &Ending) -> Event {
        let kind = match ending {
            Ending::Broken(code, why) => {
                self.goodbye = Some((*code, why));
                Kind::Protocol
            }
            Ending::Closed(_) => {
                self.goodbye = Some((CloseCode::Normal, ""));
                Kind::OutcomeUnknown
            }
            Ending::Lost(_) => Kind::OutcomeUnknown,
        };
        Event::Ended(kind, ending.to_string())
    }
}
