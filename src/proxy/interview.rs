//! Questions to a client of the legacy era: those that a legacy backend sends while it works on a call, and those that a
//! modern one answers a call with, which is then made again with what the client said (MCP 2026-07-28, multi round-trip
//! requests). What of a session's client may be asked is its profile.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use only1mcp_model::SERVER_INFO;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bridge::{self, Caller, URL_ELICITATION};
use super::parked;
use super::session::wire_id;
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{self, Id, Shape};
use crate::mcp::json::Kind;
use crate::mcp::method::{CallKind, TaskKind};
use crate::mcp::splice::Splice;
use crate::upstream::{Error, Message};

/// Answers a call that needs input of the client.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InputRequired<'a> {
    #[serde(borrow, default)]
    pub(super) input_requests: BTreeMap<Cow<'a, str>, InputRequest<'a>>,
    #[serde(borrow)]
    request_state: Option<&'a RawValue>,
}

/// One thing that it needs.
#[derive(Deserialize)]
pub(super) struct InputRequest<'a> {
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// What a client answered to a question.
pub(super) enum Answered<'a> {
    Result(&'a [u8]),
    Error(&'a [u8]),
}

/// How an elicitation asks.
#[derive(Deserialize)]
struct Mode<'a> {
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
}

/// What an error is about whose call needs pages to be opened first.
#[derive(Deserialize)]
struct Pages<'a> {
    #[serde(borrow)]
    elicitations: Vec<&'a RawValue>,
}

/// What the client of a call that is made again did with what it was asked.
#[derive(Deserialize)]
struct Responses<'a> {
    #[serde(borrow, rename = "inputResponses")]
    input_responses: BTreeMap<Cow<'a, str>, Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
}

/// What a client must have declared to be asked this; `None` for what no client is asked.
fn needs(method: &str, params: Option<&[u8]>) -> Option<Profile> {
    match method {
        "roots/list" => Some(Profile::ROOTS),
        "sampling/createMessage" => Some(Profile::SAMPLING),
        "elicitation/create" if opens_page(params) => Some(Profile::ELICITATION_URL),
        "elicitation/create" => Some(Profile::ELICITATION_FORM),
        _ => None,
    }
}

fn opens_page(params: Option<&[u8]>) -> bool {
    let mode = params.and_then(|params| serde_json::from_slice::<Mode<'_>>(params).ok()).and_then(|params| params.mode);
    mode.is_some_and(|mode| mode == "url")
}

/// Whether a client of this profile may be asked what a backend asks.
pub(super) fn may_ask(profile: Profile, message: &Message<'_>) -> bool {
    let params = message.head.params.map(|params| params.span.of(message.source));
    let method = message.head.method.map(|method| method.decode(message.source));
    method.and_then(|method| needs(&method, params)).is_some_and(|needed| profile.has(needed))
}

/// Holds what a modern backend requires of a modern client against what it may ask, for a call or for a task.
///
/// # Errors
/// When it may not.
pub(super) fn check(message: &Message<'_>, kind: CallKind, asks: Profile) -> Result<(), Error> {
    let Some(result) = message.head.result.map(|result| result.span.of(message.source)) else { return Ok(()) };
    if bridge::requires_input(message, kind) {
        return InputRequired::read(result)?.held_against(asks);
    }
    match (message.era, kind) {
        (Era::Modern, CallKind::Task(TaskKind::Get)) => check_task(result, asks),
        _ => Ok(()),
    }
}

/// Does so with what is said of a task, whoever says it.
///
/// # Errors
/// As [`check`].
pub(super) fn check_task(task: &[u8], asks: Profile) -> Result<(), Error> {
    if asks == Profile::ASKABLE {
        return Ok(());
    }
    InputRequired::parse(task)?.held_against(asks)
}

/// The answer for a modern client whose call a legacy backend refused because pages have to be opened first (MCP
/// 2025-11-25, URL mode elicitation): it is asked to open them and make the call again. Nothing is kept meanwhile, and so
/// there is no state. `None` for any other answer, and for whom that does not help.
pub(super) fn pages(message: &Message<'_>, caller: &Caller<'_>, profile: Profile) -> Option<String> {
    let Message { source, head, era } = *message;
    let asks = (era, caller.era) == (Era::Legacy, Era::Modern)
        && caller.kind.may_require_input()
        && profile.has(Profile::ELICITATION_URL)
        && head.error_code.is_some_and(|code| code.span.of(source) == URL_ELICITATION.to_string().as_bytes());
    let data = head.error_data.filter(|_| asks && !has_declined(caller))?;
    let Pages { elicitations } = serde_json::from_slice(data.span.of(source)).ok()?;
    if !(1..=limits::CALL_QUESTIONS_MAX).contains(&elicitations.len()) {
        return None;
    }
    let request = |(params, number): (&&RawValue, u32)| {
        let params = params.get();
        let params = opens_page(Some(params.as_bytes())).then(|| parked::without_page_id(params)).flatten()?;
        Some(format!(r#""input-{number}":{{"method":"elicitation/create","params":{params}}}"#))
    };
    let requests: Vec<String> = elicitations.iter().zip(1..).map(request).collect::<Option<_>>()?;
    let id = String::from_utf8_lossy(caller.id);
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required","inputRequests":{{{}}},"_meta":{{{SERVER_INFO}}}}}}}"#,
        requests.join(",")
    ))
}

/// Whether a client that makes a call again did not accept something that it was asked before.
fn has_declined(caller: &Caller<'_>) -> bool {
    let params = caller.head.params.filter(|_| caller.head.resumes).map(|params| params.span.of(caller.source));
    let responses = params.and_then(|params| serde_json::from_slice::<Responses<'_>>(params).ok());
    let accepted = |response: &Response<'_>| response.action.as_deref() == Some("accept");
    responses.is_some_and(|responses| !responses.input_responses.values().all(accepted))
}

/// The answer to a question of a legacy backend, under the id that this gave it.
pub(super) fn reply(theirs: &[u8], answer: &[u8]) -> String {
    let head = envelope::outgoing(answer).ok().filter(|head| head.shape == Shape::Response && head.version_ok);
    let mut line = Vec::with_capacity(answer.len());
    if let Some((head, Id::String(id))) = head.map(|head| (head, head.id)) {
        let mut splice = Splice::new(answer);
        splice.replace(id, theirs);
        if head.multiline { splice.write_line(&mut line) } else { splice.write(&mut line) }
    }
    // The scan has shown that it is UTF-8; what it was not content with is none that a backend can use.
    String::from_utf8(line).ok().filter(|line| !line.is_empty()).unwrap_or_else(|| {
        let theirs = String::from_utf8_lossy(theirs);
        format!(r#"{{"jsonrpc":"2.0","id":{theirs},"error":{{"code":-32603,"message":"the client's answer is no message"}}}}"#)
    })
}

/// What a client answered.
pub(super) fn answered(answer: &Bytes) -> Result<Answered<'_>, Error> {
    let head = envelope::outgoing(answer).ok().filter(|head| head.shape == Shape::Response);
    let member = |value: Option<crate::mcp::json::Value>| value.filter(|value| value.kind == Kind::Object);
    let head = head.ok_or_else(|| Error::protocol("the client's answer to its question is no message"))?;
    match (member(head.result), member(head.error)) {
        (Some(result), None) => Ok(Answered::Result(result.span.of(answer))),
        (None, Some(error)) => Ok(Answered::Error(error.span.of(answer))),
        _ => Err(Error::protocol("the client's answer to its question has no result")),
    }
}

// === impl InputRequired ===

impl<'a> InputRequired<'a> {
    pub(super) fn read(result: &'a [u8]) -> Result<Self, Error> {
        let required = Self::parse(result)?;
        match required.input_requests.is_empty() && required.request_state.is_none() {
            true => Err(Error::protocol("it requires input and does not say which")),
            false => Ok(required),
        }
    }

    /// It may require nothing.
    fn parse(result: &'a [u8]) -> Result<Self, Error> {
        serde_json::from_slice(result)
            .map_err(|error| Error::protocol(format!("the input that it requires cannot be read: {error}")))
    }

    fn held_against(&self, asks: Profile) -> Result<(), Error> {
        match self.input_requests.values().all(|request| request.may_be_asked(asks)) {
            true => Ok(()),
            false => Err(Error::protocol("it asks for input that it may not ask for (`client_capabilities`)")),
        }
    }

    /// The members of `params` with which the call is made again, ended by a comma.
    pub(super) fn members(&self, responses: &BTreeMap<Cow<'_, str>, Cow<'_, str>>) -> String {
        let mut members = String::new();
        if !responses.is_empty() {
            let responses: Vec<String> =
                responses.iter().map(|(key, result)| format!("{}:{result}", serde_json::Value::from(&**key))).collect();
            members = format!(r#""inputResponses":{{{}}},"#, responses.join(","));
        }
        if let Some(state) = self.request_state {
            members += &format!(r#""requestState":{},"#, state.get());
        }
        members
    }
}

impl InputRequest<'_> {
    /// Whether a client of this profile may be asked it.
    pub(super) fn may_be_asked(&self, profile: Profile) -> bool {
        needs(&self.method, self.params.map(|params| params.get().as_bytes())).is_some_and(|need| profile.has(need))
    }

    /// What stands in for an answer that a client refused to give; `None` where nothing does.
    pub(super) fn declined(&self) -> Option<&'static str> {
        (self.method == "elicitation/create").then_some(r#"{"action":"cancel"}"#)
    }

    /// The question under this number, as a client of the legacy era reads it.
    pub(super) fn question(&self, number: u64) -> String {
        let (id, method) = (wire_id(number), serde_json::Value::from(&*self.method));
        let params = self.params.map_or("{}", RawValue::get);
        // MCP 2025-11-25, elicitation: a page has an id, by which its end may be told; the modern era has none.
        let page = match opens_page(Some(params.as_bytes())) {
            true => format!(r#""elicitationId":{id},"#),
            false => String::new(),
        };
        let inside = params.trim_start().strip_prefix('{').filter(|_| !page.is_empty());
        match inside {
            Some(inside) => format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{{{page}{inside}}}"#),
            None => format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const REQUIRED: &str = r#"{"resultType":"input_required","inputRequests":{
        "a":{"method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{"default":1.0}}},
        "b":{"method":"elicitation/create","params":{"mode":"url","url":"https://example.com","message":"m"}},
        "c":{"method":"roots/list"},
        "d":{"method":"tools/list"}},"requestState":"s\u0041"}"#;

    #[test]
    fn what_is_required_becomes_questions_and_their_answers_the_call_once_more() {
        let required = InputRequired::read(REQUIRED.as_bytes()).expect("input is required");
        let question = |key: &str| required.input_requests[key].question(7);
        assert!(question("a").contains(r#""default":1.0"#));
        let page: Value = serde_json::from_str(&question("b")).expect("JSON");
        assert_eq!((&page["id"], &page["params"]["elicitationId"]), (&json!("only1mcp-7"), &json!("only1mcp-7")));
        assert_eq!(page["params"]["url"], "https://example.com");
        let roots: Value = serde_json::from_str(&question("c")).expect("JSON");
        assert_eq!(roots, json!({ "jsonrpc": "2.0", "id": "only1mcp-7", "method": "roots/list", "params": {} }));
        let responses = BTreeMap::from([("a".into(), r#"{"action":"accept","content":{"x":1.0}}"#.into())]);
        assert_eq!(
            required.members(&responses),
            r#""inputResponses":{"a":{"action":"accept","content":{"x":1.0}}},"requestState":"s\u0041","#
        );
    }

    #[test]
    fn a_client_is_asked_what_it_declared() {
        let required = InputRequired::read(REQUIRED.as_bytes()).expect("input is required");
        for (capabilities, expected) in [
            (json!({}), [false; 4]),
            (json!({ "elicitation": {} }), [true, false, false, false]),
            (json!({ "elicitation": { "url": {} }, "roots": {}, "sampling": {} }), [false, true, true, false]),
        ] {
            let profile = Profile::declared(&capabilities);
            let asked = ["a", "b", "c", "d"].map(|key| required.input_requests[key].may_be_asked(profile));
            assert_eq!(asked, expected, "{capabilities}");
        }
    }

    #[test]
    fn nothing_at_all_is_no_input_that_can_be_required() {
        for result in [r#"{"resultType":"input_required"}"#, r#"{"inputRequests":[]}"#, r#"{"inputRequests":{"a":{}}}"#]
        {
            assert!(InputRequired::read(result.as_bytes()).is_err(), "{result}");
        }
        let state_alone = InputRequired::read(br#"{"requestState":"s"}"#).expect("a state is enough");
        assert_eq!(state_alone.members(&BTreeMap::new()), r#""requestState":"s","#);
    }

    #[test]
    fn a_reply_is_the_answer_under_the_backends_id() {
        for (answer, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":"only1mcp-7","result":{"x":1.0}}"#,
                r#"{"jsonrpc":"2.0","id":0,"result":{"x":1.0}}"#,
            ),
            (
                "{\"jsonrpc\":\"2.0\",\n\"id\":\"only1mcp-7\",\"error\":{\"code\":-1}}",
                r#"{"jsonrpc":"2.0","id":0,"error":{"code":-1}}"#,
            ),
        ] {
            assert_eq!(reply(b"0", answer.as_bytes()), expected);
        }
        assert!(reply(b"0", br#"{"id":"only1mcp-7"}"#).contains(r#""id":0,"error":{"code":-32603"#));
    }
}
