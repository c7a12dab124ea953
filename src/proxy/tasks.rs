//! Tasks of servers: work that goes on behind an answer, and that its client asks for under an id. In the modern era they
//! are an extension that the client declares (`io.modelcontextprotocol/tasks`), in MCP 2025-11-25 the client asks for one.
//!
//! The gateway keeps no tasks. What a client has as the id says where the task is ([`ids`]): a call about it goes to that
//! server, in the legacy era by way of the worker whose session with the server it belongs to ([`errand`]).

mod errand;
mod ids;

use super::bridge::Caller;
use super::error::Refusal;
use super::{Erased, Post, Worker, attended, parked, target};
use crate::catalog::{Era, Revision, Topology};
use crate::mcp::envelope::Incoming;
use crate::mcp::json::{Kind, Value};
use crate::mcp::method::CallKind;
use crate::mcp::path;
use crate::upstream::Gone;
pub(crate) use errand::Errands;
use errand::Unsent;
pub(crate) use ids::TaskIds;
pub(super) use ids::{Origin, begun};

/// The extension of the modern era.
pub(super) const TASK_EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// The member of `_meta` by which a legacy message names its task.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// Whether a client declared that it follows tasks of the modern era.
pub(super) fn declares(caller: &Caller<'_>) -> bool {
    caller.era == Era::Modern && are_followed(caller.source, caller.head)
}

/// Whether a modern message says that its client follows tasks.
pub(super) fn are_followed(source: &[u8], head: &Incoming) -> bool {
    let declared = head.meta.and_then(|meta| meta.client_capabilities);
    let found = declared.map(|declared| path::find(source, declared, &["extensions", TASK_EXTENSION]));
    matches!(found, Some(Ok(Some(Value { kind: Kind::Object, .. }))))
}

/// Whether a modern server may answer a call by beginning a task.
pub(super) fn may_begin(caller: &Caller<'_>) -> bool {
    caller.kind == CallKind::Tool && declares(caller)
}

/// Whether a call is about a task of MCP 2025-11-25, or begins one.
pub(super) fn is_about(caller: &Caller<'_>) -> bool {
    let begins = caller.kind == CallKind::Tool && caller.head.task.is_some();
    caller.era == Era::Legacy && (begins || matches!(caller.kind, CallKind::Task(_)))
}

/// Whether a call of a tool may ask for a task: in a revision that has them so, of a backend that does. From an older
/// session a legacy backend would take it nevertheless, and its client never find the task. For modern clients the gateway
/// follows what such a backend begins.
pub(super) fn check<T: Topology>(
    worker: &Worker<T>,
    caller: &Caller<'_>,
    backend: u16,
    name: &str,
) -> Result<(), Refusal<'static>> {
    let locked = || caller.catalog.backend::<T>(backend)?.locked_era;
    let modern = parked::era(worker, backend).or_else(locked) == Some(Era::Modern);
    match (caller.era, caller.revision == Revision::LEGACY) {
        _ if caller.kind != CallKind::Tool => Ok(()),
        (Era::Legacy, true) if modern => Err(Refusal::NoTasks(name.to_owned().into())),
        // To a modern backend it is a member like any other.
        (Era::Legacy, false) if !modern => {
            Err(Refusal::InvalidParams("`params.task` is of MCP 2025-11-25 alone".into()))
        }
        _ => Ok(()),
    }
}

/// Whether what a backend of the client's own era answers may name tasks wherever it is long. The answer by which a modern
/// one begins a task is not.
pub(super) fn changes_results(caller: &Caller<'_>) -> bool {
    is_about(caller) || matches!(caller.kind, CallKind::Task(_))
}

/// Sends a call about a task to where the task is.
pub(super) async fn call<'a, T: Topology>(
    worker: &Worker<T>,
    post: &Post<'a>,
    caller: &Caller<'a>,
    downstream: &Erased<'_>,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    let offered = match caller.era {
        Era::Modern => post.view.declared.task_extension,
        Era::Legacy => post.view.declared.tasks,
    };
    let value = target::task(post.message);
    let id = value.as_ref().ok().and_then(|value| value.text()).map(|text| text.decode(post.body));
    let task = id.as_ref().and_then(|id| worker.shared.tasks.open(caller, id));
    let task = task.and_then(|task| Some((caller.catalog.index_of::<T>(&task.backend)?, task)));
    // A server whose lock says otherwise may have begun one.
    if !offered && task.is_none() {
        return Err(Refusal::MethodNotFound(caller.kind.as_str().into()));
    }
    if caller.era == Era::Modern && !declares(caller) {
        return Err(Refusal::TasksUndeclared);
    }
    let (value, id) = (value?, id.unwrap_or_default());
    let Some((backend, task)) = task else { return Err(Refusal::Unknown("task", id)) };
    if caller.era == Era::Legacy && task.worker != worker.index {
        let errand = worker.shared.errands.send(task.worker, caller).map_err(|unsent| match unsent {
            // A gateway that had more workers is gone, and its sessions with it.
            Unsent::NoWorker => Refusal::Unknown("task", id),
            Unsent::Full => Refusal::Busy("as many calls about tasks wait as may"),
        })?;
        return Ok(errand::attend(errand, caller, downstream).await);
    }
    let route = task.route(backend);
    let params = post.carrier.passed_on();
    Ok(attended::dispatch_detached(worker, caller, (value, &id), &route, params, downstream).await)
}
