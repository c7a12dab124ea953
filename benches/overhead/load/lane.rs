//! One connection of the generator: sends a request, waits for its answer, checks it, and again.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Order;
use super::request::{Check, Requests, handshake, initialized, shown};
use crate::mcp::Era;
use crate::wire::{AnswerHead, Chunks};

/// When a lane stops; it makes at least one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) deadline: Instant,
    pub(super) calls: u64,
}

/// A connection and what it repeats.
#[derive(Debug)]
pub(super) struct Lane {
    wire: Wire,
    requests: Requests,
    check: Check,
    serial: u64,
    step: u64,
}

impl Lane {
    /// Connects and, in the legacy era, opens a session.
    pub(super) async fn open(order: &Order, index: u16) -> anyhow::Result<Self> {
        let mut wire = Wire::connect(order).await?;
        let mut session = None;
        if order.era == Era::Legacy {
            let head = wire.exchange(&handshake(order.address)).await?;
            ensure!(head.status == 200, "initialize is answered with {}", head.status);
            let id = head.session.context("initialize gives no session")?;
            let head = wire.exchange(&initialized(order.address, &id)).await?;
            ensure!(head.status == 202, "notifications/initialized is answered with {}", head.status);
            session = Some(id);
        }
        let requests = Requests::new(order.address, order.era, order.ask, &order.tool, session.as_deref())?;
        let step = u64::from(order.connections);
        Ok(Self { wire, requests, check: Check::new(order.ask), serial: u64::from(index), step })
    }

    /// Calls until then; answers itself and how many nanoseconds each call took.
    pub(super) async fn repeat(mut self, until: Until) -> anyhow::Result<(Self, Vec<u32>)> {
        let mut took = Vec::with_capacity(4096);
        let mut start = Instant::now();
        for _ in 0..until.calls {
            let (request, id) = self.requests.stamp(self.serial)?;
            self.serial += self.step;
            let head = self.wire.exchange(request).await?;
            took.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
            ensure!(head.status == 200, "status {}: {}", head.status, shown(self.wire.body(&head)));
            self.check.verify(self.wire.body(&head), id)?;
            start = Instant::now();
            if start >= until.deadline {
                break;
            }
        }
        Ok((self, took))
    }
}

/// A connection and the answer last read from it.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    chunks: Chunks,
}

impl Wire {
    async fn connect(order: &Order) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(order.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024), chunks: Chunks::default() })
    }

    /// Sends a request and reads its whole answer.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<AnswerHead> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            self.read().await?;
            if let Some(head) = AnswerHead::parse(&self.buffer)? {
                break head;
            }
        };
        if let Some(length) = head.length {
            let end = head.bytes + length;
            self.buffer.reserve(end.saturating_sub(self.buffer.len()));
            while self.buffer.len() < end {
                self.read().await?;
            }
            ensure!(self.buffer.len() == end, "bytes follow the answer");
        } else {
            self.chunks = Chunks::default();
            while !self.chunks.advance(self.buffer.get(head.bytes..).unwrap_or_default())? {
                self.read().await?;
            }
        }
        Ok(head)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed before the answer");
        Ok(())
    }

    fn body(&self, head: &AnswerHead) -> &[u8] {
        match head.length {
            Some(_) => self.buffer.get(head.bytes..).unwrap_or_default(),
            None => self.chunks.body(),
        }
    }
}
