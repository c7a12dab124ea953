//! What a call is about: the value in its parameters that names a tool, a prompt or a resource. Where that leads is
//! `route`'s to say.

use std::borrow::Cow;

use super::Post;
use super::error::Refusal;
use crate::catalog::plan::Subject;
use crate::mcp::envelope::Incoming;
use crate::mcp::json::{Kind, Text, Value};
use crate::mcp::method::CallKind;
use crate::mcp::path;

/// What a call names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    /// Of which kind it is. A template is named as a resource is.
    pub(super) subject: Subject,
    /// The name or URI.
    pub(super) value: Value,
}

/// What a call is about, by the parameters that its method takes.
pub(super) fn of<'a>(post: &Post<'_>, kind: CallKind) -> Result<Named, Refusal<'a>> {
    let message = post.message;
    parameters(message)?;
    let (subject, value, missing) = match kind {
        CallKind::Tool => (Subject::Tools, message.name, "`params.name` must be a string"),
        CallKind::Prompt => (Subject::Prompts, message.name, "`params.name` must be a string"),
        CallKind::Resource => (Subject::Resources, message.uri, "`params.uri` must be a string"),
        CallKind::Completion | CallKind::Task(_) | CallKind::Beyond => return reference(post.body, message),
    };
    let value = value.filter(|value| value.kind == Kind::String).ok_or(Refusal::InvalidParams(missing.into()))?;
    Ok(Named { subject, value })
}

/// The task that a call is about.
pub(super) fn task<'a>(message: &Incoming) -> Result<Value, Refusal<'a>> {
    parameters(message)?;
    let value = message.task_id.filter(|value| value.kind == Kind::String);
    value.ok_or(Refusal::InvalidParams("`params.taskId` must be a string".into()))
}

/// Whether the parameters of a call are such that what it names is to be found in them.
fn parameters<'a>(message: &Incoming) -> Result<(), Refusal<'a>> {
    match message.params.map(|params| params.kind) {
        Some(Kind::Object) => {}
        Some(Kind::Array | Kind::Null) | None => {
            return Err(Refusal::InvalidParams("`params` must be an object".into()));
        }
        Some(_) => return Err(Refusal::InvalidRequest("`params` must be an object".into())),
    }
    if message.meta_kind.is_some_and(|kind| kind != Kind::Object) {
        return Err(Refusal::InvalidParams("`params._meta` is not an object".into()));
    }
    if message.arguments.is_some_and(|arguments| arguments.kind != Kind::Object) {
        return Err(Refusal::InvalidParams("`params.arguments` must be an object".into()));
    }
    Ok(())
}

/// What arguments are to be completed of: a prompt by its name; by its URI a resource, or a template as it is listed.
fn reference<'a>(source: &[u8], message: &Incoming) -> Result<Named, Refusal<'a>> {
    let invalid = |text: &'static str| Refusal::InvalidParams(Cow::Borrowed(text));
    let Some(reference) = message.reference.filter(|reference| reference.kind == Kind::Object) else {
        return Err(invalid("`params.ref` must be an object"));
    };
    let string = |key| -> Result<Option<Value>, Refusal<'a>> {
        let value = path::find(source, reference, &[key]);
        let value = value.map_err(|path::Ambiguous| invalid("`params.ref` has a member that is ambiguous"))?;
        Ok(value.filter(|value| value.kind == Kind::String))
    };
    let kind = string("type")?.and_then(Value::text);
    let is = |known| kind.is_some_and(|kind: Text| kind.is(source, known));
    let (subject, value, missing) = if is("ref/prompt") {
        (Subject::Prompts, string("name")?, "`params.ref.name` must be a string")
    } else if is("ref/resource") {
        (Subject::Resources, string("uri")?, "`params.ref.uri` must be a string")
    } else {
        return Err(invalid("`params.ref.type` must be `ref/prompt` or `ref/resource`"));
    };
    Ok(Named { subject, value: value.ok_or_else(|| invalid(missing))? })
}
