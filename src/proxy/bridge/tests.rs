//! What clients read of what backends say, as tables.

use super::*;
use crate::mcp::envelope::{self, Outgoing};
use crate::upstream::Kind as Failure;

const MODERN_CALL: &str =
    r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","_meta":{"progressToken":"p"}}}"#;

/// A client that made `request`, in an era, with a backend that speaks `backend`.
struct Case {
    request: &'static str,
    client: Era,
    backend: Era,
    kind: CallKind,
    log_level: Option<&'static str>,
}

const MODERN: Case =
    Case { request: MODERN_CALL, client: Era::Modern, backend: Era::Modern, kind: CallKind::Tool, log_level: None };

// === impl Caller ===

impl<'a> Caller<'a> {
    /// A client that can do nothing, and asked this.
    pub(in crate::proxy) fn played(
        revision: Revision,
        kind: CallKind,
        (source, head): (&'a [u8], &'a Incoming),
    ) -> Self {
        static WHOLE: View = View::bare("", 1);
        let (Id::Number(id) | Id::String(id)) = head.id else { unreachable!("a request has an id") };
        Self {
            catalog: Catalog::default(),
            view: &WHOLE,
            era: revision.era(),
            revision,
            source,
            head,
            id: id.of(source),
            kind,
            log_level: None,
            accepts_stream: true,
            quiet: Duration::MAX,
            session: None,
            profile: Profile::default(),
            header_keys: &[],
            desk: None,
            apart: None,
        }
    }
}

// === impl Case ===

impl Case {
    fn with<R>(&self, message: &str, bridge: impl FnOnce(&Message<'_>, &Caller<'_>) -> R) -> R {
        let head = envelope::incoming(self.request.as_bytes()).expect("the request is one");
        let revision = if self.client == Era::Modern { Revision::MODERN } else { Revision::LEGACY };
        let caller = Caller::played(revision, self.kind, (self.request.as_bytes(), &head));
        let caller = Caller { log_level: self.log_level.and_then(Level::parse), ..caller };
        let outgoing: Outgoing = envelope::outgoing(message.as_bytes()).expect("the message is one");
        bridge(&Message { source: message.as_bytes(), head: &outgoing, era: self.backend }, &caller)
    }

    fn answer(&self, message: &str) -> Result<(String, u16), Failure> {
        self.with(message, |message, caller| {
            let edits = Edits::default();
            let (splice, status) = answer(message, caller, &edits).map_err(|error| error.kind)?;
            Ok((text(&splice), status))
        })
    }

    /// The result that a client reads for `result`.
    fn result(&self, result: &str) -> Result<String, Failure> {
        let (answer, status) = self.answer(&format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#))?;
        assert_eq!(status, 200);
        let result =
            answer.strip_prefix(r#"{"jsonrpc":"2.0","id":"c","result":"#).and_then(|rest| rest.strip_suffix('}'));
        Ok(result.unwrap_or_else(|| panic!("{answer}")).to_owned())
    }

    fn notification(&self, message: &str) -> Option<String> {
        self.with(message, |message, caller| notification(message, caller).map(|splice| text(&splice)))
    }
}

fn text(splice: &Splice<'_>) -> String {
    let mut out = Vec::new();
    splice.write(&mut out);
    String::from_utf8(out).expect("bridges keep UTF-8")
}

#[test]
fn a_result_has_the_shape_of_the_clients_era() {
    use Era::{Legacy, Modern};
    for (backend, client, kind, result, expected) in [
        (
            Modern,
            Modern,
            CallKind::Tool,
            r#"{"resultType":"complete","x":1e999}"#,
            r#"{"resultType":"complete","x":1e999}"#,
        ),
        (Modern, Modern, CallKind::Tool, r#"{"x":1}"#, r#"{"x":1}"#),
        (Modern, Modern, CallKind::Tool, "{}", "{}"),
        (Modern, Modern, CallKind::Tool, r#"{"resultType":"input_required"}"#, r#"{"resultType":"input_required"}"#),
        (Modern, Legacy, CallKind::Tool, r#"{"resultType":"complete","x":1}"#, r#"{"x":1}"#),
        (Modern, Legacy, CallKind::Tool, r#"{"x":1 , "resultType":"complete"}"#, r#"{"x":1 }"#),
        (Modern, Legacy, CallKind::Tool, r#"{"resultType":"complete"}"#, "{}"),
        (Modern, Legacy, CallKind::Tool, r#"{"x":1}"#, r#"{"x":1}"#),
        (Legacy, Legacy, CallKind::Tool, r#"{"resultType":"odd"}"#, r#"{"resultType":"odd"}"#),
        (Modern, Modern, CallKind::Resource, r#"{"ttlMs":5,"x":1}"#, r#"{"ttlMs":5,"x":1}"#),
    ] {
        let case = Case { client, backend, kind, ..MODERN };
        assert_eq!(case.result(result).as_deref(), Ok(expected), "{backend:?} to {client:?}: {result}");
    }
}

#[test]
fn a_legacy_result_gets_what_every_modern_one_has() {
    for (kind, result, expected) in [
        (CallKind::Tool, "{}", r#"{"_meta":{OWN},"resultType":"complete"}"#),
        (CallKind::Tool, r#"{"content":[]}"#, r#"{"_meta":{OWN},"resultType":"complete","content":[]}"#),
        (CallKind::Tool, r#"{"resultType":"odd"}"#, r#"{"_meta":{OWN},"resultType":"odd"}"#),
        (CallKind::Tool, r#"{"_meta":{ }}"#, r#"{"resultType":"complete","_meta":{OWN }}"#),
        (CallKind::Tool, r#"{"_meta":{"x":1.0}}"#, r#"{"resultType":"complete","_meta":{OWN,"x":1.0}}"#),
        // Whoever answers behind it has said so; and what is no metadata stays what it is.
        (CallKind::Tool, r#"{"_meta":{"SAID":{}}}"#, r#"{"resultType":"complete","_meta":{"SAID":{}}}"#),
        (CallKind::Tool, r#"{"_meta":[]}"#, r#"{"resultType":"complete","_meta":[]}"#),
        (
            CallKind::Resource,
            r#"{"contents":[]}"#,
            r#"{"ttlMs":0,"cacheScope":"private","_meta":{OWN},"resultType":"complete","contents":[]}"#,
        ),
    ] {
        let case = Case { backend: Era::Legacy, kind, ..MODERN };
        let result = result.replace("SAID", SERVER_INFO_KEY);
        let expected = expected.replace("OWN", SERVER_INFO).replace("SAID", SERVER_INFO_KEY);
        assert_eq!(case.result(&result).as_deref(), Ok(&*expected), "{result}");
    }
}

#[test]
fn a_result_that_no_backend_may_give_is_its_failure() {
    use Era::{Legacy, Modern};
    for (client, result) in [
        (Modern, "[]"),
        (Legacy, "null"),
        (Modern, r#"{"resultType":"odd"}"#),
        (Modern, r#"{"resultType":7}"#),
        // A legacy client has no way to be asked.
        (Legacy, r#"{"resultType":"input_required"}"#),
    ] {
        let case = Case { client, ..MODERN };
        assert_eq!(case.result(result), Err(Failure::Protocol), "{client:?}: {result}");
    }
}

#[test]
fn an_error_keeps_its_bytes_and_gets_the_status_of_its_code() {
    use Era::{Legacy, Modern};
    for (client, code, status) in [
        (Modern, "-32700", 400),
        (Modern, "-32600", 400),
        (Modern, "-32020", 400),
        (Modern, "-32021", 400),
        (Modern, "-32601", 404),
        (Modern, "-32602", 200),
        (Modern, "-32603", 200),
        (Modern, "5", 200),
        (Legacy, "-32601", 200),
        (Legacy, "-32600", 200),
        (Legacy, "-32002", 200),
        (Legacy, "-32042", 200),
    ] {
        let error = format!(r#"{{"code":{code},"message":"\u006d","data":[1.0]}}"#);
        let case = Case { client, ..MODERN };
        let expected = format!(r#"{{"jsonrpc":"2.0","id":"c","error":{error}}}"#);
        let message = format!(r#"{{"jsonrpc":"2.0","id":7,"error":{error}}}"#);
        assert_eq!(case.answer(&message), Ok((expected, status)), "{client:?} {code}");
    }
}

#[test]
fn an_error_that_cannot_be_about_the_clients_request_is_none_of_its_era() {
    use Era::{Legacy, Modern};
    for (backend, code, expected) in [
        (Modern, "-32022", "-32603"),
        (Modern, "-32042", "-32603"),
        (Legacy, "-32020", "-32603"),
        (Legacy, "-32042", "-32603"),
    ] {
        let case = Case { backend, ..MODERN };
        let body = |id: &str, code: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"m","data":[1.0]}}}}"#)
        };
        assert_eq!(case.answer(&body("7", code)), Ok((body("\"c\"", expected), 200)), "{backend:?} {code}");
    }
}

#[test]
fn an_error_without_id_gets_that_of_the_request() {
    let expected = r#"{"jsonrpc":"2.0","id":"c","error":{"code":1,"message":"m"}}"#;
    for message in [
        r#"{"jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
        r#" { "error":{"code":1,"message":"m"}, "id":null, "jsonrpc":"2.0" } "#,
    ] {
        assert_eq!(MODERN.answer(message), Ok((expected.to_owned(), 200)), "{message}");
    }
}

#[test]
fn an_error_without_an_integer_code_is_the_backends_failure() {
    for error in [r#"{"message":"m"}"#, r#"{"code":"1"}"#, r#"{"code":1.5}"#, r#"{"code":1e99}"#, "7", "null"] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":7,"error":{error}}}"#);
        assert_eq!(MODERN.answer(&message), Err(Failure::Protocol), "{error}");
    }
}

/// -32002 is not among the codes that a modern server may use.
#[test]
fn a_missing_resource_is_told_in_the_words_of_the_clients_era() {
    const READ: &str = r#"{"jsonrpc":"2.0","id":"c","method":"resources/read","params":{"uri":"a:\u0062"}}"#;
    let case = |client| Case { request: READ, client, backend: Era::Legacy, kind: CallKind::Resource, log_level: None };
    for (client, error, expected) in [
        (Era::Modern, r#"{"code":-32002,"message":"m"}"#, r#"{"code":-32602,"message":"m","data":{"uri":"a:\u0062"}}"#),
        (Era::Modern, r#"{"code":-32002,"message":"m","data":{}}"#, r#"{"code":-32602,"message":"m","data":{}}"#),
        (Era::Legacy, r#"{"code":-32002,"message":"m"}"#, r#"{"code":-32002,"message":"m"}"#),
    ] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":7,"error":{error}}}"#);
        let expected = format!(r#"{{"jsonrpc":"2.0","id":"c","error":{expected}}}"#);
        assert_eq!(case(client).answer(&message), Ok((expected, 200)), "{client:?} {error}");
    }
}

#[test]
fn progress_bears_the_token_of_the_client() {
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1.0}}"#;
    assert_eq!(MODERN.notification(progress), Some(progress.replace(":7,", r#":"p","#)));
    let untold =
        Case { request: r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t"}}"#, ..MODERN };
    assert_eq!(untold.notification(progress), None);
    let tokenless = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#;
    assert_eq!(MODERN.notification(tokenless), None);
}

#[test]
fn log_messages_come_from_the_level_that_was_asked_for() {
    for (asked, level, comes) in [
        (None, "emergency", false),
        (Some("debug"), "debug", true),
        (Some("warning"), "warning", true),
        (Some("warning"), r"w\u0061rning", true),
        (Some("warning"), "notice", false),
        (Some("emergency"), "alert", false),
        (Some("debug"), "loud", false),
    ] {
        let log = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1e999}}}}"#
        );
        let case = Case { log_level: asked, ..MODERN };
        assert_eq!(case.notification(&log), comes.then(|| log.clone()), "{asked:?} {level}");
    }
}

#[test]
fn other_notifications_belong_to_no_call() {
    for method in ["notifications/tools/list_changed", "notifications/cancelled", "x"] {
        let message =
            format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"progressToken":7,"level":"error"}}}}"#);
        let case = Case { log_level: Some("debug"), ..MODERN };
        assert_eq!(case.notification(&message), None, "{method}");
    }
}
