//! Calls about tasks of legacy backends that came to another worker than the one whose session with the backend the task
//! belongs to: that one makes the call, and what it comes to goes back.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Weak;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::bridge::Caller;
use super::super::error::Refusal;
use super::super::outputs::{self, Output};
use super::super::{Answer, Downstream, Erased, Left, Worker, attended, respond, target};
use crate::catalog::{Era, Revision, Topology, View};
use crate::limits;
use crate::mcp::client::{Profile, SessionKey};
use crate::mcp::envelope;
use crate::mcp::method::{CallKind, Level};
use crate::upstream::Gone;

/// Where each worker hears what it is to do for others.
#[derive(Debug)]
pub(crate) struct Errands(Box<[OnceLock<mpsc::Sender<Errand>>]>);

/// A call of a session, with all that is known of it.
#[derive(Debug)]
struct Errand {
    view: &'static View,
    revision: Revision,
    body: Vec<u8>,
    id: Vec<u8>,
    kind: CallKind,
    log_level: Option<Level>,
    accepts_stream: bool,
    quiet: Duration,
    session: Option<SessionKey>,
    profile: Profile,
    outputs: mpsc::Sender<Output>,
}

/// All that there is for its client, as it comes.
#[derive(Debug)]
pub(super) struct Outputs(mpsc::Receiver<Output>);

/// Why another worker was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// There is none with this number.
    NoWorker,
    /// It has as much to do as may be.
    Full,
}

/// The client, as the worker sees it that makes the call.
struct Afar {
    outputs: mpsc::Sender<Output>,
    /// Ready once nobody waits for them.
    gone: RefCell<Pin<Box<dyn Future<Output = ()>>>>,
}

// === impl Errands ===

impl Errands {
    /// Those of so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| OnceLock::new()).collect())
    }

    /// Has another worker make a call: what comes of it.
    pub(super) fn send(&self, worker: u16, caller: &Caller<'_>) -> Result<Outputs, Unsent> {
        let errands = self.0.get(usize::from(worker)).and_then(OnceLock::get).ok_or(Unsent::NoWorker)?;
        let (outputs, received) = outputs::channel();
        let &Caller { view, revision, kind, log_level, accepts_stream, quiet, session, profile, .. } = caller;
        let (body, id) = (caller.source.to_vec(), caller.id.to_vec());
        let errand =
            Errand { view, revision, body, id, kind, log_level, accepts_stream, quiet, session, profile, outputs };
        errands.try_send(errand).map_err(|_full| Unsent::Full)?;
        Ok(Outputs(received))
    }

    /// Where those of a worker come out, which may be sent from now on.
    fn received(&self, worker: u16) -> mpsc::Receiver<Errand> {
        let (sender, errands) = mpsc::channel(limits::ERRANDS_WAITING_MAX);
        // Each worker is there once.
        let _first = self.0.get(usize::from(worker)).map(|slot| slot.set(sender));
        errands
    }

    /// From now on a worker hears of them; it ends with the worker.
    pub(crate) fn open<T: Topology>(&self, worker: u16, own: Weak<Worker<T>>) {
        let mut errands = self.received(worker);
        tokio::task::spawn_local(async move {
            while let Some(errand) = errands.recv().await {
                let Some(worker) = own.upgrade() else { return };
                tokio::task::spawn_local(async move { errand.run(&worker).await });
            }
        });
    }
}

/// Passes on what another worker says, until the answer.
pub(super) async fn attend(
    Outputs(mut outputs): Outputs,
    caller: &Caller<'_>,
    downstream: &Erased<'_>,
) -> Result<(), Gone> {
    let (mut away, mut quiet) = (false, caller.quiet);
    loop {
        let output = tokio::select! {
            output = outputs.recv() => output,
            // Who went away has not cancelled (MCP 2025-11-25, streamable HTTP).
            left = poll_fn(|cx| match downstream.poll_left(cx) {
                Poll::Ready(Left::Away) if away => Poll::Pending,
                left => left,
            }) => match left {
                Left::Away => { away = true; continue }
                Left::Cancelled => return Err(Gone),
            },
            () = tokio::time::sleep(quiet), if caller.accepts_stream && !away => {
                away = downstream.keep_alive().await.is_err();
                quiet = limits::KEEP_ALIVE;
                continue;
            }
        };
        match output {
            Some(Output::Event(message)) => away |= downstream.event(&[&message]).await.is_err(),
            Some(Output::Answer(status, message)) => return outputs::answer(downstream, status, &message).await,
            None if downstream.streaming() => return Err(Gone),
            None => return respond::refuse(downstream, &Refusal::Internal, caller.era, Some(caller.id)).await,
        }
    }
}

// === impl Errand ===

impl Errand {
    async fn run<T: Topology>(self, worker: &Worker<T>) {
        let Self { view, revision, body, id, kind, log_level, accepts_stream, quiet, session, profile, outputs } = self;
        // It was scanned and opened before.
        let Ok(head) = envelope::incoming(&body) else { return };
        let (era, source, head, id) = (Era::Legacy, &body[..], &head, &id[..]);
        let catalog = worker.catalog();
        let caller = Caller {
            catalog,
            view: catalog.view(view),
            era,
            revision,
            source,
            head,
            id,
            kind,
            log_level,
            accepts_stream,
            quiet,
            session,
            profile,
            // It goes to where the task is.
            header_keys: &[],
            desk: None,
            apart: None,
        };
        let Some((value, text)) = target::task(head).ok().and_then(|value| Some((value, value.text()?))) else {
            return;
        };
        let name = text.decode(source);
        let Some(task) = worker.shared.tasks.open(&caller, &name) else { return };
        let Some(backend) = catalog.index_of::<T>(&task.backend) else { return };
        let (afar, route) = (Afar::new(outputs), task.route(backend));
        let downstream = Erased::new(&afar);
        // Who is gone is told nothing.
        let _gone = attended::dispatch_detached(worker, &caller, (value, &name), &route, &[], &downstream).await;
    }
}

// === impl Afar ===

impl Afar {
    fn new(outputs: mpsc::Sender<Output>) -> Self {
        let gone = RefCell::new(outputs::unread(&outputs));
        Self { outputs, gone }
    }

    async fn put(&self, output: Output) -> Result<(), Gone> {
        self.outputs.send(output).await.map_err(|_closed| Gone)
    }
}

impl Downstream for Afar {
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        self.put(Output::Answer(answer.status, answer.body.concat())).await
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        self.put(Output::Event(message.concat())).await
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        self.gone.borrow_mut().as_mut().poll(cx).map(|()| Left::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::method::TaskKind;

    #[tokio::test]
    async fn as_many_wait_for_a_worker_as_may_and_each_that_is_taken_makes_room() {
        const GET: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}"#;
        let head = envelope::incoming(GET).expect("a message");
        let caller = Caller::played(Revision::LEGACY, CallKind::Task(TaskKind::Get), (GET, &head));
        let all = Errands::new(2);
        let mut errands = all.received(0);
        let waiting: Vec<_> = (0..limits::ERRANDS_WAITING_MAX).map(|_| all.send(0, &caller).expect("room")).collect();
        assert_eq!(all.send(0, &caller).err(), Some(Unsent::Full));
        let taken = errands.recv().await.expect("one of them");
        assert_eq!((&*taken.body, &*taken.id), (GET, &b"1"[..]));
        // Nobody is told of what it comes to, and it waits still.
        drop(waiting);
        let _last = all.send(0, &caller).expect("room");
        assert_eq!(all.send(0, &caller).err(), Some(Unsent::Full));
        // One that has not begun, and one that never does.
        assert_eq!([1, 2].map(|worker| all.send(worker, &caller).err()), [Some(Unsent::NoWorker); 2]);
    }
}
