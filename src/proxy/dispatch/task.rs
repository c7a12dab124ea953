//! A tool of a legacy backend that runs as a task or not at all, for a client of the modern era, which has no word for that:
//! the gateway begins the task, waits for what it comes to, and the client reads that as the answer to its call. When
//! nobody waits any more, the task is cancelled.

use super::super::relay::ClientRelay;
use super::super::{Downstream, Link, parked};
use super::{Journey, exchange};
use crate::catalog::{Era, Topology};
use crate::clock::Deadline;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope;
use crate::mcp::method::{CallKind, TaskKind};
use crate::upstream::{Call, Collected, Error, Transport};

// === impl Journey ===

impl<T: Topology> Journey<'_, T> {
    /// Whether the tool that is called only runs as a task, or its client has asked for one in words of another era.
    pub(super) fn needs_task(&self, backend: u16) -> bool {
        let caller = self.caller;
        (caller.kind, caller.era) == (CallKind::Tool, Era::Modern)
            && (caller.head.task.is_some() || caller.catalog.spec::<T>().requires_task(backend, &self.route.upstream))
            && parked::era(self.worker, backend) != Some(Era::Modern)
    }

    /// Calls such a tool.
    pub(super) async fn run_task<D: Downstream>(
        &self,
        (backend, link): (u16, &Link<T>),
        share: Option<Deadline>,
        relay: &mut ClientRelay<'_, D>,
    ) -> Result<(), Error> {
        let caller = self.caller;
        let mut source = caller.source.to_vec();
        if let Some(params) = caller.head.params.filter(|_| caller.head.task.is_none()) {
            let inside = params.span.start as usize + 1;
            let task = format!(r#""task":{{"ttl":{}}},"#, limits::CALL_MAX.as_millis());
            source.splice(inside..inside, task.into_bytes());
        }
        let head = scanned(&source)?;
        let call = self.call((backend, self.locked_headers(backend)), &source, &head, head.name.unwrap_or(self.name.0));
        relay.expect_task();
        let outcome = exchange(link, &call, relay, &self.wait(relay, share, &call.sent)).await;
        self.tried.set(call.tried.get());
        outcome?;
        if let Some(refusal) = relay.take_refusal() {
            return relay.refuse(&refusal).await;
        }
        // It may have answered at once.
        let Some(begun) = relay.take_task() else { return Ok(()) };
        let outcome = self.result((backend, link), &begun, relay).await;
        if outcome.is_err() && !relay.answered() {
            self.cancel(backend, begun);
        }
        // Whatever became of it, the backend had the call.
        outcome.map_err(|error| Error { sent: true, ..error })
    }

    /// Waits for what a task comes to.
    async fn result<D: Downstream>(
        &self,
        (backend, link): (u16, &Link<T>),
        (task, child): &(String, Option<u16>),
        relay: &mut ClientRelay<'_, D>,
    ) -> Result<(), Error> {
        let source = self.about(TaskKind::Result, task);
        let head = scanned(&source)?;
        let caller = self.caller;
        let call = Call {
            log_level: caller.log_level,
            child: *child,
            ..call(TaskKind::Result, &source, &head, self.asks(backend))
        };
        exchange(link, &call, relay, &self.wait(relay, None, &call.sent)).await
    }

    /// Tells the backend that nobody waits for a task.
    fn cancel(&self, backend: u16, (task, child): (String, Option<u16>)) {
        let Some(worker) = self.worker.own.upgrade() else { return };
        let (source, asks) = (self.about(TaskKind::Cancel, &task), self.asks(backend));
        tokio::task::spawn_local(async move {
            let (Some(link), Ok(head)) = (worker.links.of(backend), scanned(&source)) else { return };
            let call = Call { child, ..call(TaskKind::Cancel, &source, &head, asks) };
            let mut unread = Collected::default();
            let cancelled = tokio::time::timeout(limits::ACKNOWLEDGE_TIMEOUT, link.exchange(&call, &mut unread)).await;
            if !matches!(cancelled, Ok(Ok(()))) {
                tracing::debug!(backend, "task of a client that left was not cancelled");
            }
        });
    }

    /// A request about a task. It says what the client can do as the call did: that decides which session it is in.
    fn about(&self, kind: TaskKind, task: &str) -> Vec<u8> {
        let (method, task) = (CallKind::Task(kind).as_str(), serde_json::Value::from(task).to_string());
        let meta = self.caller.head.meta.map_or(&b"{}"[..], |meta| meta.value.of(self.caller.source));
        let parts: &[&[u8]] = &[
            br#"{"jsonrpc":"2.0","id":"#,
            self.caller.id,
            br#","method":""#,
            method.as_bytes(),
            br#"","params":{"taskId":"#,
            task.as_bytes(),
            br#","_meta":"#,
            meta,
            b"}}",
        ];
        parts.concat()
    }
}

fn call<'a>(kind: TaskKind, source: &'a [u8], head: &'a envelope::Incoming, asks: Profile) -> Call<'a> {
    Call { asks, ..Call::own(source, head, CallKind::Task(kind).as_str(), Era::Modern) }
}

fn scanned(source: &[u8]) -> Result<envelope::Incoming, Error> {
    envelope::incoming(source).map_err(|error| Error::protocol(format!("its task makes no message: {error:?}")))
}
