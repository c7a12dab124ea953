//! `completion/complete`: routed by the prompt, resource or template that it names, in both eras on either side.

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};

use crate::legacy::{initialize, message};
use crate::support::client::{Answer, Client, META, Request};
use crate::support::gateways;
use crate::support::recorder::Recorder;

only1mcp::topology!(Completion = "tests/gateway/topologies/completion.yaml");

const TEMPLATE: &str = "data://tables/{table}/rows/{row}";
const VALUES: &str = r#"{"resultType":"complete","completion":{"values":["planets"],"total":1,"hasMore":false}}"#;

fn started() -> Running {
    let builder = Gateway::<Completion>::builder().workers(2).program(env!("CARGO_BIN_EXE_only1mcp"));
    builder.start().expect("the gateway starts")
}

/// `ref` of a prompt.
fn prompt(name: &str) -> String {
    format!(r#"{{"type":"ref/prompt","name":"{name}"}}"#)
}

/// `ref` of a resource or template.
fn resource(uri: &str) -> String {
    format!(r#"{{"type":"ref/resource","uri":"{uri}"}}"#)
}

/// The members of `params` that complete `table`, and `row` where that is known to be `planets`.
fn argument(reference: &str, name: &str, value: &str) -> String {
    let context = if name == "row" { r#","context":{"arguments":{"table":"planets"}}"# } else { "" };
    format!(r#""ref":{reference},"argument":{{"name":"{name}","value":"{value}"}}{context}"#)
}

fn modern(params: &str) -> Request {
    Request::modern("completion/complete", None, params)
}

/// The same at the path of a view or a backend.
fn at(path: &str, request: Request) -> Request {
    request.line(&format!("POST /mcp{path} HTTP/1.1"))
}

/// A session at a path.
async fn session(client: &mut Client, path: &str, version: &str) -> (String, Value) {
    let answer = client.exchange(&at(path, initialize(version))).await;
    (answer.field("mcp-session-id").expect("a session").to_owned(), answer.json()["result"]["capabilities"].clone())
}

/// A completion in both eras, modern first.
async fn both(client: &mut Client, path: &str, session: &str, params: &str) -> [Answer; 2] {
    let asked = client.exchange(&at(path, modern(params))).await;
    let legacy = Request::legacy(session, message("completion/complete", &format!("{{{params}}}")));
    // Without a stream, which an answer that is slow to come would begin.
    [asked, client.exchange(&at(path, legacy.with("Accept", "application/json"))).await]
}

#[tokio::test]
async fn servers_of_each_era_complete_for_clients_of_each() {
    let gateway = started();
    let mut client = Client::connect(gateway.address()).await;
    for (path, reference) in [
        ("", prompt("legacy__summarize_table")),
        ("", prompt("modern__summarize_table")),
        ("", resource(TEMPLATE)),
        ("/legacy", prompt("summarize_table")),
        ("/legacy", resource(TEMPLATE)),
        ("/modern", prompt("summarize_table")),
        ("/modern", resource(TEMPLATE)),
        ("/legacy-only", prompt("legacy__summarize_table")),
    ] {
        let (session, _) = session(&mut client, path, "2025-03-26").await;
        let answers = both(&mut client, path, &session, &argument(&reference, "table", "pl")).await;
        for (answer, result_type) in answers.iter().zip([json!("complete"), Value::Null]) {
            let result = &answer.json()["result"];
            assert_eq!(answer.status, 200, "{path} {reference} {}", answer.text());
            assert_eq!(result["completion"], json!({ "values": ["planets"], "total": 1, "hasMore": false }));
            assert_eq!(result["resultType"], result_type, "{path} {reference}");
        }
        if reference.contains("row") {
            for answer in both(&mut client, path, &session, &argument(&reference, "row", "7")).await {
                assert_eq!(answer.json()["result"]["completion"]["values"], json!(["7"]), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn what_no_server_completes_is_refused_and_says_why() {
    let gateway = started();
    let mut client = Client::connect(gateway.address()).await;
    let not_offered = "method `completion/complete` is not offered";
    let no_completions = "method `completion/complete` is not offered for prompt `math__explain_calculation`: its server \
                          has no completions";
    for (path, reference, status, code, text) in [
        ("", prompt("math__explain_calculation"), 404, -32601, no_completions),
        ("", prompt("legacy__nothing"), 200, -32602, "Unknown prompt: legacy__nothing"),
        ("", prompt("summarize_table"), 200, -32602, "Unknown prompt: summarize_table"),
        ("", resource("more://{nothing}"), 200, -32602, "Unknown resource: more://{nothing}"),
        ("/legacy-only", prompt("modern__summarize_table"), 200, -32602, "Unknown prompt: modern__summarize_table"),
        ("/legacy-only", resource(TEMPLATE), 200, -32602, "Unknown resource: data://tables/{table}/rows/{row}"),
        ("/legacy", prompt("legacy__summarize_table"), 200, -32602, "Unknown prompt: legacy__summarize_table"),
        ("/math", prompt("summarize_table"), 404, -32601, not_offered),
    ] {
        let (session, _) = session(&mut client, path, "2025-11-25").await;
        let answers = both(&mut client, path, &session, &argument(&reference, "table", "")).await;
        for (answer, status) in answers.iter().zip([status, 200]) {
            let error = &answer.message()["error"];
            assert_eq!((answer.status, answer.code()), (status, Some(code)), "{path} {reference} {error}");
            assert_eq!(error["message"], text, "{path} {reference}");
        }
    }
}

#[tokio::test]
async fn parameters_that_name_nothing_are_invalid() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let twice = r#"{"type":"ref/prompt","name":"data__summarize_table","name":"data__summarize_table"}"#;
    for (params, text) in [
        (String::new(), "`params.ref` must be an object"),
        (argument(r#""data__summarize_table""#, "table", ""), "`params.ref` must be an object"),
        (argument("{}", "table", ""), "`params.ref.type` must be `ref/prompt` or `ref/resource`"),
        (argument(r#"{"type":"ref/tool"}"#, "table", ""), "`params.ref.type` must be `ref/prompt` or `ref/resource`"),
        (argument(r#"{"type":"ref/prompt","uri":"a"}"#, "table", ""), "`params.ref.name` must be a string"),
        (argument(r#"{"type":"ref/resource","uri":7}"#, "table", ""), "`params.ref.uri` must be a string"),
        (argument(twice, "table", ""), "`params.ref` has a member that is ambiguous"),
    ] {
        let answer = client.exchange(&modern(&params)).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, answer.code(), &error["message"]), (400, Some(-32602), &json!(text)), "{params}");
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn all_but_the_name_crosses_byte_for_byte_without_a_field_for_it() {
    let mut upstream = Recorder::play(async |_, wire| wire.result(VALUES).await);
    let gateway = gateways::recorded(&upstream);
    let odd = r#""argument" : {"value":"p\u006c", "name":"table","x":1e400},"context":{ "arguments":{} }"#;
    for (reference, own) in [
        (r#"{"x":[], "name" : "data__summarize_table","type":"ref/prompt"}"#, r#""summarize_table""#),
        (r#"{"type":"ref/prompt","n\u0061me":"data__summarize\u005ftable"}"#, r#""summarize_table""#),
        (r#"{"type":"ref/resource","uri":"data://tables/{table}/rows/{row}"}"#, ""),
        (r#"{"type":"ref/resource","uri":"data://tables/planets/rows/1"}"#, ""),
        (r#"{"type":"ref/resource","uri":"data://tables/planets"}"#, ""),
    ] {
        let params = format!(r#""ref":{reference},{odd}"#);
        let answer = Client::ask(gateway.address(), &modern(&params)).await;
        assert_eq!(answer.text(), format!(r#"{{"jsonrpc":"2.0","id":1,"result":{VALUES}}}"#));
        let post = upstream.post().await;
        let own_params = ["data__summarize_table", r"data__summarize\u005ftable"]
            .into_iter()
            .fold(params, |params, name| params.replace(&format!(r#""{name}""#), own));
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"completion/complete","params":{{{own_params},"_meta":{{{META}}}}}}}"#,
            post.id
        );
        assert_eq!(post.body, expected);
        assert!(post.head.contains("\r\nmcp-method: completion/complete\r\n"), "{}", post.head);
        assert!(!post.head.contains("mcp-name"), "{}", post.head);
    }
}

#[tokio::test]
async fn a_completion_that_asks_for_input_breaks_the_protocol() {
    let asks = r#"{"resultType":"input_required","inputRequests":{},"requestState":"s"}"#;
    let upstream = Recorder::play(async |_, wire| wire.result(asks).await);
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let (session, _) = session(&mut client, "", "2025-11-25").await;
    for answer in both(&mut client, "", &session, &argument(&resource(TEMPLATE), "table", "")).await {
        assert_eq!((answer.code(), answer.kind().as_deref()), (Some(-32603), Some("upstream_protocol_error")));
    }
}

#[tokio::test]
async fn the_capability_is_declared_where_something_completes_and_the_revision_has_it() {
    let gateway = started();
    let mut client = Client::connect(gateway.address()).await;
    for (path, declared) in [("", true), ("/legacy", true), ("/modern", true), ("/math", false), ("/legacy-only", true)]
    {
        let discovered = client.exchange(&at(path, Request::modern("server/discover", None, ""))).await.json();
        let expected = if declared { json!({}) } else { Value::Null };
        assert_eq!(discovered["result"]["capabilities"]["completions"], expected, "{path}");
        for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let (_, capabilities) = session(&mut client, path, version).await;
            let expected = if version == "2024-11-05" { &Value::Null } else { &expected };
            assert_eq!(&capabilities["completions"], expected, "{path} {version}");
        }
    }
}

#[tokio::test]
async fn a_view_of_nobody_who_completes_has_no_such_method() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for (path, declared) in [("", true), ("/operations", false), ("/tables", true)] {
        let discovered = client.exchange(&at(path, Request::modern("server/discover", None, ""))).await.json();
        assert_eq!(discovered["result"]["capabilities"]["completions"].is_object(), declared, "{path}");
    }
    for name in ["data__summarize_table", "admin__incident_report"] {
        let asked = modern(&argument(&prompt(name), "table", ""));
        let refused = client.exchange(&at("/operations", asked)).await;
        assert_eq!((refused.status, refused.code()), (404, Some(-32601)), "{}", refused.text());
    }
    // A view shows a template only if it shows it under every spelling, and here as it is listed.
    for (path, uri, calls) in
        [("/tables", TEMPLATE, 1), ("/tables", "data://tables/planets", 0), ("/pictures", TEMPLATE, 0)]
    {
        let answer = client.exchange(&at(path, modern(&argument(&resource(uri), "table", "")))).await;
        assert_eq!(answer.code(), (calls == 0).then_some(-32602), "{path} {uri} {}", answer.text());
    }
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test]
async fn a_backend_that_does_not_complete_takes_no_completion_over() {
    let down = Recorder::play(async |_, wire| wire.answer(503, "").await);
    let [admin, mirror] = [Recorder::start(), Recorder::start()];
    let gateway = gateways::alone([&admin, &down, &mirror]);
    let asked = modern(&argument(&prompt("data__summarize_table"), "table", ""));
    let answer = Client::ask(gateway.address(), &asked).await;
    assert_eq!(answer.code(), Some(-32603), "{}", answer.text());
    assert_eq!(mirror.calls(), 0);
    // The prompt itself is taken over.
    let got = Request::modern("prompts/get", Some("data__summarize_table"), r#""name":"data__summarize_table""#);
    Client::ask(gateway.address(), &got).await;
    let own = modern(&argument(&prompt("summarize_table"), "table", ""));
    let refused = Client::ask(gateway.address(), &at("/mirror-of-the-data", own)).await;
    assert_eq!((refused.status, refused.code()), (404, Some(-32601)), "{}", refused.text());
}
