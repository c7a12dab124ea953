//! HTTP+SSE (MCP 2024-11-05): a stream that carries everything to the client, and POSTs that carry everything from it.
//! A stream is a conversation of its own, and lives on the worker that its GET reached; a POST may reach any.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

use super::write_refusal;
use crate::catalog::{Topology, View};
use crate::downstream::conversation::{Conversation, Outbox};
use crate::http1::RequestHead;
use crate::limits;
use crate::proxy::{Answer, Downstream, MESSAGES_PATH, Mailbox, Refusal, Worker};
use crate::upstream::Gone;
use crate::upstream::balance::HeaderKeys;

/// The parameter of a POST that names its stream.
const STREAM: &str = "sessionId=";

/// Serves a stream until its client closes it, or the gateway stops. Calls that are in flight then are still answered,
/// within [`limits::DRAIN_GRACE`]; those of a client that is gone are cancelled, for no other connection can bring their
/// answers.
pub(in crate::downstream) async fn stream<T: Topology>(
    worker: &Rc<Worker<T>>,
    (view, keys): (&'static View, HeaderKeys),
    writer: &impl Downstream,
) -> Result<(), Gone> {
    let mailbox = match worker.shared.mailboxes.open() {
        Ok(mailbox) => mailbox,
        Err(refusal) => return write_refusal(writer, &refusal).await,
    };
    let endpoint = format!("event: endpoint\ndata: {MESSAGES_PATH}?{STREAM}{}\n\n", mailbox.id());
    writer.raw(endpoint.as_bytes()).await?;
    let (conversation, outbox) = Conversation::new(Rc::clone(worker), view, keys);
    // Side by side: the outbox is bounded, so a message may have to wait until answers to earlier ones were written.
    let mut writing = pin!(write(worker, outbox, writer));
    tokio::select! {
        written = &mut writing => return written,
        () = take(worker, mailbox, conversation) => {}
    }
    // Nobody is left who could say more: what was said is written.
    writing.await
}

/// Takes what the client posts until the gateway stops, and waits for what that led to.
async fn take<T: Topology>(worker: &Worker<T>, mut mailbox: Mailbox<'_>, mut conversation: Conversation<T>) {
    let mut open = true;
    loop {
        let message = tokio::select! {
            message = mailbox.next() => message,
            // What is on its way is still taken.
            () = worker.drain.passed(), if open => {
                open = false;
                mailbox.close();
                continue;
            }
        };
        match message {
            Some(message) => {
                if let Err(Gone) = conversation.take(message).await {
                    return;
                }
            }
            None => break,
        }
    }
    if tokio::time::timeout(limits::DRAIN_GRACE, conversation.finish()).await.is_err() {
        tracing::warn!("calls of an event stream are left at the end of the grace period");
    }
}

/// Writes each message as an event, and a comment where there is none for long.
async fn write<T: Topology>(worker: &Worker<T>, mut outbox: Outbox, writer: &impl Downstream) -> Result<(), Gone> {
    let quiet = worker.clock.deadline();
    loop {
        quiet.set(limits::KEEP_ALIVE);
        tokio::select! {
            message = outbox.recv() => match message {
                Some(message) => writer.event(&[&message]).await?,
                None => return writer.finish().await,
            },
            () = poll_fn(|cx| quiet.poll(cx)) => writer.keep_alive().await?,
            _left = poll_fn(|cx| writer.poll_left(cx)) => return Err(Gone),
        }
    }
}

/// Takes a message for the stream that the target names; what it comes to is said there.
pub(in crate::downstream) async fn post<T: Topology>(
    worker: &Worker<T>,
    head: &RequestHead<'_>,
    body: &[u8],
    writer: &impl Downstream,
) -> Result<(), Gone> {
    let query = head.target.split_once('?').map_or("", |(_path, query)| query);
    let id = query.split('&').find_map(|parameter| parameter.strip_prefix(STREAM));
    let posted = match id {
        Some(id) => worker.shared.mailboxes.post(id.as_bytes(), body),
        None => Err(Refusal::InvalidRequest("`sessionId` is missing: the stream's `endpoint` event has it".into())),
    };
    match posted {
        Ok(()) => writer.answer(&Answer { status: 202, fields: "", body: &[], close: false }).await,
        Err(refusal) => write_refusal(writer, &refusal).await,
    }
}
