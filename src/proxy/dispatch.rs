//! One call to its backend and back: within its deadline, for as long as the client stays.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::bridge::Caller;
use super::error::Refusal;
use super::relay::ClientRelay;
use super::route::Route;
use super::{Downstream, Worker, respond};
use crate::catalog::{Era, Topology};
use crate::clock::Deadline;
use crate::limits;
use crate::mcp::json::Value;
use crate::upstream::{Call, Error, Gone, Kind, Target, Transport};

/// What happened first while an exchange was waited for.
enum Turn {
    Done(Result<(), Error>),
    Expired,
    Left,
    Quiet,
}

/// Sends a call to the backend its route names and relays what comes back.
pub(crate) async fn dispatch<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    caller: &Caller<'_>,
    name: (Value, &str),
    route: &Route<'_>,
    mcp_params: &[(&str, &[u8])],
    downstream: &D,
) -> Result<(), Gone> {
    let index = usize::from(route.backend);
    let (Some(link), Some(backend), Some(settings), Some(counts)) = (
        worker.links.get(index),
        T::SPEC.backends.get(index),
        worker.shared.backends.get(index),
        worker.counts.backends.get(index),
    ) else {
        // The compiler checked every index; a table that disagrees is a broken build, not a client's mistake.
        let error = Error::unavailable("the topology has no such backend");
        return respond::refuse(downstream, &Refusal::Upstream("?", &error), caller.era, Some(caller.id)).await;
    };
    if settings.disabled {
        let error = Error::unavailable("it is disabled by the overlay");
        counts.refused(error.kind);
        let refusal = Refusal::Upstream(&backend.name, &error);
        return respond::refuse(downstream, &refusal, caller.era, Some(caller.id)).await;
    }
    let call = Call {
        source: caller.source,
        head: caller.head,
        method: caller.kind.as_str(),
        target: Some(Target { span: name.0.span, name: route.upstream, renamed: route.upstream != name.1 }),
        era: caller.era,
        log_level: caller.log_level,
        mcp_params,
        sent: Cell::new(false),
    };
    let timeout = settings.timeout;
    worker.clock.refresh();
    let deadline = worker.clock.deadline();
    deadline.set(timeout);
    let mut relay = ClientRelay::new(caller, downstream, &deadline, timeout);
    let outcome = exchange(worker, link, &call, &mut relay, &deadline).await;
    let answered = relay.answered();
    counts.tried(outcome.as_ref().err().map(|error| error.kind), relay.elapsed());
    match outcome {
        Ok(()) => Ok(()),
        Err(Error { kind: Kind::ClientGone, .. }) => Err(Gone),
        Err(error) => {
            tracing::warn!(backend = %backend.name, method = call.method, %error, sent = error.sent, "call got no answer");
            if answered {
                return Err(Gone);
            }
            let refusal = Refusal::Upstream(&backend.name, &error);
            let body = refusal.verdict(caller.era).body(Some(caller.id));
            if downstream.streaming() {
                downstream.event(&[&body]).await?;
                return downstream.finish().await;
            }
            respond::refuse(downstream, &refusal, caller.era, Some(caller.id)).await
        }
    }
}

/// Drives the exchange until it is done, its deadline passes or a modern client leaves. A legacy client that leaves
/// has not cancelled (MCP 2025-11-25, streamable HTTP): the call runs to its end, and nobody reads its answer.
async fn exchange<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    link: &T::Upstream,
    call: &Call<'_>,
    relay: &mut ClientRelay<'_, D>,
    deadline: &Deadline,
) -> Result<(), Error> {
    let downstream = relay.downstream();
    let accepts_stream = relay.accepts_stream();
    let left = relay.left();
    let quiet = worker.clock.deadline();
    quiet.set(limits::KEEP_ALIVE);
    let mut exchange = pin!(link.exchange(call, relay));
    loop {
        let turn = poll_fn(|cx| turn(cx, exchange.as_mut(), downstream, deadline, &quiet, &left));
        match turn.await {
            Turn::Done(outcome) => return outcome,
            Turn::Expired if call.sent.get() => {
                return Err(Error::new(Kind::Timeout, true, "no answer within the deadline"));
            }
            Turn::Expired => return Err(Error::unavailable("it was not ready within the deadline")),
            Turn::Left if call.era == Era::Modern => return Err(Error::client_gone()),
            Turn::Left => left.set(true),
            Turn::Quiet => {
                quiet.set(limits::KEEP_ALIVE);
                if accepts_stream && !left.get() && downstream.keep_alive().await.is_err() {
                    left.set(true);
                }
            }
        }
    }
}

fn turn<D: Downstream>(
    cx: &mut Context<'_>,
    exchange: Pin<&mut impl Future<Output = Result<(), Error>>>,
    downstream: &D,
    deadline: &Deadline,
    quiet: &Deadline,
    left: &Cell<bool>,
) -> Poll<Turn> {
    if let Poll::Ready(outcome) = exchange.poll(cx) {
        return Poll::Ready(Turn::Done(outcome));
    }
    if deadline.poll(cx).is_ready() {
        return Poll::Ready(Turn::Expired);
    }
    if !left.get() && downstream.poll_left(cx).is_ready() {
        return Poll::Ready(Turn::Left);
    }
    quiet.poll(cx).map(|()| Turn::Quiet)
}
