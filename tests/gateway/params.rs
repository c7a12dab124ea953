//! Arguments that a tool wants to see as headers (`x-mcp-header`): what clients send is held against the message, and what
//! servers get is written from it.

use only1mcp::{Gateway, Running};
use serde_json::json;

use crate::legacy::{message, session};
use crate::support::client::{Client, Request};
use crate::support::recorder::{DONE, Post, Recorder};

only1mcp::topology!(pub(crate) Params = "tests/gateway/topologies/params.yaml");

pub(crate) fn started(near: &Recorder, far: &Recorder) -> Running {
    let builder = Gateway::<Params>::builder().workers(1).reference("NEAR_URL", near.url());
    builder.reference("FAR_URL", far.url()).start().expect("the gateway starts")
}

/// A modern call of a tool with these fields.
fn call(tool: &str, arguments: &str, fields: &[(&str, &str)]) -> Request {
    fields.iter().fold(Request::call(tool, arguments), |request, (name, value)| request.field(name, value))
}

/// The `Mcp-Param-*` fields of a request that a server got, in lower case, sorted.
pub(crate) fn params(post: &Post) -> Vec<String> {
    let mut fields: Vec<String> =
        post.head.lines().filter_map(|line| Some(line.strip_prefix("mcp-param-")?.to_owned())).collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn a_header_says_what_the_argument_is() {
    let (mut near, far) = (Recorder::start(), Recorder::start());
    let gateway = started(&near, &far);
    let mut client = Client::connect(gateway.address()).await;
    for (arguments, fields, sent) in [
        ("{}", &[][..], &[][..]),
        (r#"{"region":"eu"}"#, &[("Mcp-Param-Region", "eu")], &["region: eu"]),
        (r#"{"region":"eu"}"#, &[("MCP-PARAM-REGION", " eu\t")], &["region: eu"]),
        (r#"{"region":"eu"}"#, &[("Mcp-Param-Region", "=?base64?ZXU=?=")], &["region: eu"]),
        (r#"{"region":"\u00e9"}"#, &[("Mcp-Param-Region", "=?base64?w6k=?=")], &["region: =?base64?w6k=?="]),
        (r#"{"region":""}"#, &[("Mcp-Param-Region", "")], &["region: "]),
        (r#"{"count":42}"#, &[("Mcp-Param-Count", "42.0")], &["count: 42"]),
        (r#"{"count":42.0}"#, &[("Mcp-Param-Count", "42")], &["count: 42"]),
        (r#"{"count":null,"dry":true}"#, &[("Mcp-Param-Dry-Run", "true")], &["dry-run: true"]),
        (r#"{"filter":{"row":7},"row":8}"#, &[("Mcp-Param-Row", "7")], &["row: 7"]),
        (r#"{"filter":7,"note":"eu"}"#, &[], &[]),
        (
            r#"{"note":"eu"}"#,
            &[("Mcp-Param-Note", "us"), ("Mcp-Param-X", "=?base64?!?=")],
            &["note: us", "x: =?base64?!?="],
        ),
    ] {
        let answer = client.exchange(&call("near__deploy", arguments, fields)).await;
        assert_eq!((answer.status, answer.code()), (200, None), "{arguments} {fields:?} {}", answer.text());
        assert_eq!(params(&near.post().await), sent, "{arguments} {fields:?}");
    }
    // Of a tool that wants none, they pass by.
    let answer = client.exchange(&call("near__plain", r#"{"region":"eu"}"#, &[("Mcp-Param-Region", "us")])).await;
    assert_eq!((answer.status, answer.code()), (200, None));
    assert_eq!(params(&near.post().await), ["region: us"]);
    assert_eq!(far.calls(), 0);
}

#[tokio::test]
async fn a_header_that_says_otherwise_is_refused_before_any_server_hears_of_it() {
    let (near, far) = (Recorder::start(), Recorder::start());
    let gateway = started(&near, &far);
    let mut client = Client::connect(gateway.address()).await;
    let eu = r#"{"region":"eu"}"#;
    for (arguments, fields, what) in [
        (eu, &[][..], "is missing"),
        (eu, &[("Mcp-Param-Region", "us")], "differs from `params.arguments.region`"),
        (eu, &[("Mcp-Param-Region", "EU")], "differs from `params.arguments.region`"),
        (eu, &[("Mcp-Param-Region", "=?BASE64?ZXU=?=")], "differs from `params.arguments.region`"),
        (eu, &[("Mcp-Param-Region", "ZXU=")], "differs from `params.arguments.region`"),
        (eu, &[("Mcp-Param-Region", "=?base64?ZXU?=")], "is malformed"),
        (eu, &[("Mcp-Param-Region", "=?base64?Z U=?=")], "is malformed"),
        (eu, &[("Mcp-Param-Region", "=?base64?/w==?=")], "is malformed"),
        (eu, &[("Mcp-Param-Region", "\u{e9}")], "is malformed"),
        (eu, &[("Mcp-Param-Region", "eu"), ("mcp-param-region", "eu")], "stands there more than once"),
        (r#"{"region":null}"#, &[("Mcp-Param-Region", "eu")], "differs from `params.arguments.region`"),
        (r#"{"region":["eu"]}"#, &[("Mcp-Param-Region", "eu")], "differs from `params.arguments.region`"),
        ("{}", &[("Mcp-Param-Region", "")], "differs from `params.arguments.region`"),
    ] {
        let answer = client.exchange(&call("near__deploy", arguments, fields)).await;
        let found = (answer.status, answer.code(), answer.kind());
        assert_eq!(found, (400, Some(-32020), Some("header_mismatch".to_owned())), "{arguments} {fields:?}");
        assert_eq!(answer.json()["error"]["message"], format!("header `Mcp-Param-Region` {what}"), "{arguments}");
    }
    for (arguments, field, name, path) in [
        (r#"{"count":42}"#, "43", "Count", "count"),
        (r#"{"dry":false}"#, "0", "Dry-Run", "dry"),
        (r#"{"filter":{"row":7},"row":8}"#, "8", "Row", "filter.row"),
    ] {
        let answer = client.exchange(&call("near__deploy", arguments, &[(&format!("Mcp-Param-{name}"), field)])).await;
        let expected = format!("header `Mcp-Param-{name}` differs from `params.arguments.{path}`");
        assert_eq!((answer.code(), &answer.json()["error"]["message"]), (Some(-32020), &json!(expected)));
    }
    let twice = call("near__deploy", r#"{"region":"eu","region":"us"}"#, &[("Mcp-Param-Region", "us")]);
    let answer = client.exchange(&twice).await;
    assert_eq!((answer.status, answer.code()), (400, Some(-32602)), "{}", answer.text());
    // At the path of its backend the tool is held to the same, and each to what it wants itself.
    let own = |tool, field| call(tool, eu, &[(field, "us")]).line("POST /mcp/far HTTP/1.1");
    assert_eq!(client.exchange(&own("deploy", "Mcp-Param-Zone")).await.code(), Some(-32020));
    assert_eq!((near.calls(), far.calls()), (0, 0));
}

#[tokio::test]
async fn servers_get_their_headers_from_clients_that_have_none() {
    let (mut near, far) = (Recorder::start(), Recorder::start());
    let gateway = started(&near, &far);
    let arguments = r#"{"region":" é","count":1e2,"dry":false,"filter":{"row":-1},"note":"x"}"#;
    let region = format!("region: {}", encoded(" é").to_lowercase());
    let expected = ["count: 100", "dry-run: false", &region, "row: -1"];
    let session = session(gateway.address()).await;
    let legacy = message("tools/call", &format!(r#"{{"name":"near__deploy","arguments":{arguments}}}"#));
    // What a legacy client says in fields it does not know is not looked at.
    let legacy = Request::legacy(&session, legacy).field("Mcp-Param-Region", "us").field("Mcp-Param-X", "y");
    let plain = Request::post(format!(r#"{{"name":"near__deploy","arguments":{arguments}}}"#));
    for (request, more) in [(legacy, &["x: y"][..]), (plain.line("POST /tools/call HTTP/1.1"), &[])] {
        let answer = Client::ask(gateway.address(), &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = params(&near.post().await);
        let expected: Vec<String> = expected.iter().chain(more).map(|field| (*field).to_owned()).collect();
        assert_eq!(sent, expected);
    }
    assert_eq!(far.calls(), 0);
}

/// A value that no header can hold as it is.
fn encoded(value: &str) -> String {
    use base64::Engine as _;
    format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(value))
}

#[tokio::test]
async fn each_server_gets_the_headers_that_it_wants_itself() {
    let broken = Recorder::play(async |_, wire| wire.answer(503, "").await);
    let mut far = Recorder::play(async |_, wire| wire.result(DONE).await);
    let gateway = started(&broken, &far);
    let region = r#"{"region":"eu"}"#;
    // What the client was shown is of `near`, whose call `far` takes over.
    let answer = Client::ask(gateway.address(), &call("near__deploy", region, &[("Mcp-Param-Region", "eu")])).await;
    assert_eq!(answer.code(), None, "{}", answer.text());
    assert_eq!(params(&far.post().await), ["region: eu", "zone: eu"]);
    assert_eq!(broken.calls(), 1);
    // By a route for names that no list holds: nobody was shown what it wants, which the lock knows nevertheless.
    for (name, fields) in [("deploy", &[][..]), ("deploy", &[("Mcp-Param-Zone", "us")])] {
        let answer = Client::ask(gateway.address(), &call(name, region, fields)).await;
        assert_eq!(answer.code(), None, "{}", answer.text());
        assert_eq!(params(&far.post().await), ["zone: eu"]);
    }
}
