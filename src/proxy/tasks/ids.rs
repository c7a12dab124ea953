//! The ids under which clients know tasks: sealed, they say which backend has the task, what that calls it, and of the
//! legacy era which worker's session with the backend it belongs to. They open for the client alone that they were made
//! for: at its view, and in a session for that session. Where in a message ids stand is said here too.

use std::borrow::Cow;

use only1mcp_model::SealKey;
use smallvec::SmallVec;

use super::super::bridge::Caller;
use super::super::route::Route;
use super::{RELATED_TASK, is_about, may_begin};
use crate::catalog::{Era, View};
use crate::limits;
use crate::mcp::envelope::{self, Outgoing};
use crate::mcp::json::{Span, Value};
use crate::mcp::method::{CallKind, TaskKind};
use crate::mcp::path;
use crate::seal::Seal;
use crate::upstream::{Error, Message};

/// What the ids are sealed with.
#[derive(Debug)]
pub(crate) struct TaskIds {
    seal: Seal,
}

/// Who says something of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Origin {
    /// The name of the backend: with another topology its index may be another's.
    pub(in super::super) backend: &'static str,
    /// The worker whose session with it that is, where it is a legacy one.
    pub(in super::super) worker: u16,
    /// Which of its children, where it has several for all clients.
    pub(in super::super) child: Option<u16>,
}

/// A task, as its backend knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// The name of the backend.
    pub(super) backend: String,
    /// As in [`Origin`].
    pub(super) worker: u16,
    /// As there.
    pub(super) child: Option<u16>,
    pub(super) id: String,
}

/// Edits of a message.
pub(in super::super) type Edits = SmallVec<[(Span, String); 2]>;

/// Where ids stand in a result or in parameters.
type Places = SmallVec<[&'static [&'static str]; 2]>;

/// What the keys that seal ids of tasks are for.
const PURPOSE: &str = "task";

// === impl TaskIds ===

impl TaskIds {
    /// Those sealed with these keys: by this gateway before, or by another one that has them too.
    pub(crate) fn new(keys: &[SealKey]) -> Self {
        Self { seal: Seal::new(keys, PURPOSE) }
    }

    /// What a client calls the task that a backend calls so: always the same, for it names the task.
    ///
    /// # Errors
    /// The id is too long.
    fn seal(&self, caller: &Caller<'_>, origin: Origin, id: &str) -> Result<String, Error> {
        let Origin { backend, worker, child } = origin;
        let length = u8::try_from(backend.len()).ok().filter(|_| id.len() <= limits::TASK_ID_BYTES_MAX);
        let sealed = length.and_then(|length| {
            // Any worker may ask a modern backend.
            let worker = if caller.era == Era::Legacy { worker } else { 0 };
            let child = child.map_or(0, |child| child.saturating_add(1));
            let place = [worker.to_be_bytes(), child.to_be_bytes()].concat();
            let plain = [&place[..], &[length], backend.as_bytes(), id.as_bytes()].concat();
            self.seal.seal_alike(&context(caller), &plain)
        });
        sealed.ok_or_else(|| Error::protocol("the id of its task is too long"))
    }

    /// Where the task is that a client calls so, and what it is called there.
    pub(super) fn open(&self, caller: &Caller<'_>, id: &str) -> Option<Task> {
        self.opened(&context(caller), id)
    }

    /// The backend that has a task which a modern client calls so, and what it is called there. None of one of several
    /// children: nobody knows which of them would be listened to.
    pub(in super::super) fn listened_for(&self, view: &View, id: &str) -> Option<(String, String)> {
        let task = self.opened(&[view.patterns.name.as_bytes(), b""], id)?;
        task.child.is_none().then_some((task.backend, task.id))
    }

    fn opened(&self, context: &[&[u8]; 2], id: &str) -> Option<Task> {
        let plain = self.seal.open(context, id.as_bytes())?;
        let (worker, rest) = plain.split_first_chunk()?;
        let (child, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (backend, id) = rest.split_at_checked(usize::from(*length))?;
        let [backend, id] = [backend, id].map(|text| String::from_utf8(text.to_vec()).ok());
        let [worker, child] = [worker, child].map(|number| u16::from_be_bytes(*number));
        Some(Task { backend: backend?, worker, child: child.checked_sub(1), id: id? })
    }

    /// The edits by which the client of a call reads its own ids in a message of a backend.
    ///
    /// # Errors
    /// An id is too long, or stands there twice.
    pub(in super::super) fn edits(
        &self,
        message: &Message<'_>,
        caller: &Caller<'_>,
        origin: Origin,
    ) -> Result<Edits, Error> {
        let Message { source, head, era } = *message;
        let mut edits = Edits::new();
        if era != caller.era {
            return Ok(edits);
        }
        let (within, places) = match head.result {
            Some(result) => (result, in_result(source, head, caller)),
            None => match head.params.filter(|_| is_about(caller)) {
                Some(params) => (params, Places::from_slice(&[&["taskId"], &["_meta", RELATED_TASK, "taskId"]])),
                None => return Ok(edits),
            },
        };
        for place in places {
            let found = path::find(source, within, place);
            let found = found.map_err(|path::Ambiguous| Error::protocol("the id of its task is ambiguous"))?;
            if let Some((value, text)) = found.and_then(|value| Some((value, value.text()?))) {
                let sealed = self.seal(caller, origin, &text.decode(source))?;
                edits.push((value.span, format!("\"{sealed}\"")));
            }
        }
        Ok(edits)
    }

    /// The task that a request or notification of a legacy backend names.
    pub(in super::super) fn named(message: &Message<'_>) -> Option<String> {
        let (source, params) = (message.source, message.head.params.filter(|_| message.era == Era::Legacy)?);
        let places: [&[&str]; 2] = [&["_meta", RELATED_TASK, "taskId"], &["taskId"]];
        let mut found = places.into_iter().filter_map(|place| path::find(source, params, place).ok()?);
        Some(found.next()?.text()?.decode(source).into_owned())
    }

    /// The task that a call is about, as its backend knows it.
    pub(in super::super) fn of(&self, caller: &Caller<'_>) -> Option<String> {
        let id = caller.head.task_id.filter(|_| matches!(caller.kind, CallKind::Task(_)))?.text()?;
        Some(self.open(caller, &id.decode(caller.source))?.id)
    }

    /// An answer of a client to what a legacy backend asks it about a task, with the backend's id of that.
    pub(in super::super) fn restored(&self, answer: String, caller: &Caller<'_>) -> String {
        if !is_about(caller) {
            return answer;
        }
        let found = || -> Option<(Span, String)> {
            let head = envelope::outgoing(answer.as_bytes()).ok()?;
            let value = path::find(answer.as_bytes(), head.result?, &["_meta", RELATED_TASK, "taskId"]).ok()??;
            let task = self.open(caller, &value.text()?.decode(answer.as_bytes()))?;
            Some((value.span, serde_json::Value::from(task.id).to_string()))
        };
        match found() {
            Some((span, id)) => {
                let (before, after) = (&answer[..span.start as usize], &answer[span.end as usize..]);
                [before, &id, after].concat()
            }
            None => answer,
        }
    }
}

// === impl Task ===

impl Task {
    /// Where a call about it goes: there and nowhere else.
    pub(super) fn route(&self, backend: u16) -> Route<'_> {
        Route { child: self.child, ..Route::to(backend, Cow::Borrowed(&*self.id)) }
    }
}

/// The id of the task by which a legacy backend answers a call.
pub(in super::super) fn begun(message: &Message<'_>) -> Option<String> {
    let Message { source, head, era: Era::Legacy } = *message else { return None };
    let id: Value = path::find(source, head.result?, &["task", "taskId"]).ok()??;
    Some(id.text()?.decode(source).into_owned())
}

/// Where in a result ids stand.
fn in_result(source: &[u8], head: &Outgoing, caller: &Caller<'_>) -> Places {
    let is_task = head.result_type.and_then(Value::text).is_some_and(|text| text.is(source, "task"));
    let own: Option<&[&str]> = match (caller.era, caller.kind) {
        (Era::Modern, CallKind::Tool) if is_task && may_begin(caller) => Some(&["taskId"]),
        (Era::Legacy, CallKind::Tool) if is_about(caller) => Some(&["task", "taskId"]),
        // What a task comes to is any result.
        (_, CallKind::Task(TaskKind::Result)) => None,
        (_, CallKind::Task(_)) => Some(&["taskId"]),
        _ => return Places::new(),
    };
    let related: Option<&[&str]> = is_about(caller).then_some(&["_meta", RELATED_TASK, "taskId"]);
    own.into_iter().chain(related).collect()
}

/// Whose ids they are, as far as clients are told apart.
fn context<'a>(caller: &'a Caller<'_>) -> [&'a [u8]; 2] {
    let client = caller.session.as_ref().map_or(&b""[..], |session| session.bits());
    [caller.view.patterns.name.as_bytes(), client]
}
