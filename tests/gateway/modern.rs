//! The modern era: the order of validation, standard headers, and what is answered. Tables of
//! hostile inputs that need no legacy session.

use serde_json::{Value, json};

use crate::support::client::{Answer, Client, META, Request};
use crate::support::gateways;
use crate::support::recorder::{Post, Recorder, Wire};
use crate::support::rows::{Row, error, refused, run, served};

const VERSION: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
const CAPABILITIES: &str = r#""io.modelcontextprotocol/clientCapabilities":{}"#;

fn call() -> Request {
    Request::call("admin__echo", r#"{"x":1}"#)
}

fn named(name: &str) -> Request {
    call().with("Mcp-Name", name)
}

/// Both in the header and in `_meta`.
fn version(version: &str) -> Request {
    call().edit("2026-07-28", version).with("MCP-Protocol-Version", version)
}

fn log_level(request: Request, level: &str) -> Request {
    request.edit(META, &format!(r#"{META},"io.modelcontextprotocol/logLevel":{level}"#))
}

fn echoes_the_id(answer: &Answer) -> bool {
    answer.json()["id"] == 1
}

fn metadata() -> Vec<Row> {
    vec![
        error("no metadata", call().edit(&format!(r#","_meta":{{{META}}}"#), ""), &[400], -32602).also(echoes_the_id),
        error("metadata that is null", call().edit(&format!("{{{META}}}"), "null"), &[400], -32602),
        error("metadata that is an array", call().edit(&format!("{{{META}}}"), "[]"), &[400], -32602),
        error("no version in the metadata", call().edit(&format!("{VERSION},"), ""), &[400], -32602),
        error("no capabilities", call().edit(&format!(",{CAPABILITIES}"), ""), &[400], -32602),
        error(
            "capabilities that are an array",
            call().edit(CAPABILITIES, &CAPABILITIES.replace("{}", "[]")),
            &[400],
            -32602,
        ),
        error("no version header", call().without("MCP-Protocol-Version"), &[400], -32020),
        error("an older version in the body", call().edit("2026-07-28", "2025-11-25"), &[400], -32020),
        error("a version nobody speaks", version("1900-01-01"), &[400], -32022).kind("unsupported_version").also(
            |answer| {
                let data = &answer.json()["error"]["data"];
                data["supported"] == json!(["2026-07-28"]) && data["requested"] == "1900-01-01"
            },
        ),
        error("a version that is no date", version("v999.0.0"), &[400], -32022),
        error("white space after the version", call().edit("2026-07-28", "2026-07-28 "), &[400], -32020),
        error("two version headers", call().field("mcp-protocol-version", "2026-07-28"), &[400], -32020),
        error("an unknown log level", log_level(call(), r#""loud""#), &[400], -32602),
        error("a log level that is a number", log_level(call(), "1"), &[400], -32602),
        served("a level", log_level(call(), r#""emergency""#)),
        served("the id of a session", call().field("Mcp-Session-Id", "0123456789abcdef0123456789abcdef"))
            .also(|answer| answer.field("mcp-session-id").is_none()),
        served(
            "a client name of 1 MB with line ends",
            client_info(&format!("\\u001b[31m\\r\\n{}", "n".repeat(1 << 20))),
        ),
        served("no client info", call()),
    ]
}

fn client_info(name: &str) -> Request {
    let info = format!(r#""io.modelcontextprotocol/clientInfo":{{"name":"{name}","version":"1"}}"#);
    call().edit(META, &format!("{META},{info}"))
}

fn headers() -> Vec<Row> {
    vec![
        error("no method header", call().without("Mcp-Method"), &[400], -32020).also(echoes_the_id),
        error("another method in the header", call().with("Mcp-Method", "tools/list"), &[400], -32020),
        error("the method in upper case", call().with("Mcp-Method", "TOOLS/CALL"), &[400], -32020),
        error("a doubled method", call().field("Mcp-Method", "tools/call"), &[400], -32020),
        error("no name header", call().without("Mcp-Name"), &[400], -32020),
        error("another name in the header", named("admin__wait"), &[400], -32020),
        error("a doubled name", call().field("Mcp-Name", "admin__echo"), &[400], -32020),
        served("white space around a value", named("  admin__echo\t")),
        served("a field name in any case", call().without("Mcp-Name").field("MCP-NAME", "admin__echo")),
        served("a name in base64", named("=?base64?YWRtaW5fX2VjaG8=?=")),
        error("broken base64", named("=?base64?YWRtaW5fX2VjaG8?="), &[400], -32020),
        error("another name in base64", named("=?base64?YWRtaW5fX3dhaXQ=?="), &[400], -32020),
        error("base64 of what is not UTF-8", named("=?base64?/w==?="), &[400], -32020),
        error("the base64 mark in upper case", named("=?BASE64?YWRtaW5fX2VjaG8=?="), &[400], -32020),
        error("base64 in base64", named("=?base64?PT9iYXNlNjQ/WVdSdGFXNWZYMlZqYUc4PT89?="), &[400], -32020),
        // Parameters that a tool declares stand in `params`.
        served("a parameter nobody declared", call().field("Mcp-Param-Y", "anything")),
        // A control byte is no field value in HTTP, which is looked at first.
        error("a control byte in a parameter", call().field("Mcp-Param-X", "a\u{1}b"), &[400], -32600).closes(),
    ]
}

fn methods_and_names() -> Vec<Row> {
    let request = |method: &str| Request::modern(method, None, "");
    let tool = |name: &str| Request::call(name, "{}");
    let resource = |uri: &str| Request::modern("resources/read", Some(uri), &format!(r#""uri":"{uri}""#));
    let long = format!("admin__{}", "n".repeat(10 << 10));
    // Names that nobody offers are answered in 200.
    vec![
        error("an unknown method", request("tools/execute"), &[404], -32601)
            .kind("method_not_found")
            .also(echoes_the_id),
        error("ping", request("ping"), &[404], -32601),
        error("logging/setLevel", request("logging/setLevel"), &[404], -32601),
        error("resources/subscribe", request("resources/subscribe"), &[404], -32601),
        error("resources/unsubscribe", request("resources/unsubscribe"), &[404], -32601),
        error("initialize", request("initialize"), &[404], -32601),
        error("an unknown tool", tool("admin__nothing"), &[200], -32602).kind("invalid_params"),
        error("a name of 10 KB", tool(&long), &[200], -32602).also(|answer| answer.body.len() < 1024),
        error("a prefix before a prefix", tool("data__admin__echo"), &[200], -32602),
        error("a name without its prefix", tool("echo"), &[200], -32602),
        error(
            "a name that looks alike",
            tool("admin__ech\u{43e}").with("Mcp-Name", "=?base64?YWRtaW5fX2VjaNC+?="),
            &[200],
            -32602,
        ),
        error("a name in another case", tool("admin__Echo"), &[200], -32602),
        error(
            "a space after the name",
            tool("admin__echo ").with("Mcp-Name", "=?base64?YWRtaW5fX2VjaG8g?="),
            &[200],
            -32602,
        ),
        error("a name that is a number", Request::modern("tools/call", Some("7"), r#""name":7"#), &[400], -32602),
        error("arguments that are an array", Request::call("admin__echo", "[]"), &[400], -32602),
        error("an unknown prompt", Request::modern("prompts/get", Some("x"), r#""name":"x""#), &[200], -32602),
        error("a garbage cursor", Request::modern("tools/list", None, r#""cursor":"garbage""#), &[200], -32602),
        error("an empty cursor", Request::modern("tools/list", None, r#""cursor":"""#), &[200], -32602),
        error("a cursor that is a number", Request::modern("tools/list", None, r#""cursor":1"#), &[400], -32602),
        error("a URI that nobody lists", resource("file:///etc/passwd"), &[200], -32602)
            .also(|answer| answer.json()["error"]["data"]["uri"] == "file:///etc/passwd"),
        // A URI of that size cannot stand in `Mcp-Name`, which is compared first.
        error("a URI of 1 MB", resource(&"u".repeat(1 << 20)).with("Mcp-Name", "u"), &[400], -32020),
        refused("a URI of 1 MB in the header", resource(&"u".repeat(1 << 20)), &[431]),
        error("a URI of 9 KB", resource(&format!("data://tables/{}", "u".repeat(9 << 10))), &[200], -32602),
    ]
}

/// Each request breaks two rules; the one named first is what it hears of.
fn conflicts() -> Vec<Row> {
    let json = "application/json";
    let unknown =
        |request: Request| request.edit(r#""method":"tools/call""#, r#""method":"x/y""#).with("Mcp-Method", "x/y");
    vec![
        refused(
            "the origin before the verb",
            Request::bare("PUT /mcp HTTP/1.1").field("Origin", "https://evil.example"),
            &[403],
        ),
        refused("the host before the path", call().line("POST /x HTTP/1.1").with("Host", "evil.example"), &[403]),
        refused("the path before the verb", Request::bare("GET /x HTTP/1.1"), &[404]),
        refused(
            "the verb before the content type",
            call().line("PUT /mcp HTTP/1.1").with("Content-Type", "text/plain"),
            &[405],
        ),
        refused(
            "the content type before what it accepts",
            call().with("Content-Type", "text/plain").with("Accept", "text/html"),
            &[415],
        ),
        refused("what it accepts before the JSON", Request::post("{").with("Accept", "text/html"), &[406]),
        refused(
            "what it accepts before the length",
            call().with("Accept", "text/html").with("Content-Length", "99999999"),
            &[406],
        ),
        error("the JSON before the headers", Request::post("{").field("Content-Type-Of", json), &[400], -32700),
        error("the JSON before the method", unknown(call()).edit(r#""params""#, r#""id":2,"params""#), &[400], -32600),
        error(
            "the headers before the metadata",
            call().with("Mcp-Method", "x").edit(&format!(r#","_meta":{{{META}}}"#), ""),
            &[400],
            -32020,
        ),
        error("the headers before the version", version("1900-01-01").with("Mcp-Name", "x"), &[400], -32020),
        error("the headers before the method", unknown(call()).without("MCP-Protocol-Version"), &[400], -32020),
        error("the headers before the name", Request::call("nothing", "{}").with("Mcp-Name", "x"), &[400], -32020),
        error(
            "capabilities before two versions",
            call().edit("2026-07-28", "2025-11-25").edit(&format!(",{CAPABILITIES}"), ""),
            &[400],
            -32602,
        ),
        error("capabilities before the method", unknown(call()).edit(&format!(",{CAPABILITIES}"), ""), &[400], -32602),
        error(
            "two versions before an unknown one",
            version("1900-01-01").with("MCP-Protocol-Version", "1900-01-02"),
            &[400],
            -32020,
        ),
        error("two versions before the log level", log_level(call(), "1").edit("2026-07-28", "x"), &[400], -32020),
        error(
            "the version before the log level",
            log_level(call(), "1").edit("2026-07-28", "x").with("MCP-Protocol-Version", "x"),
            &[400],
            -32022,
        ),
        error("the version before the method", unknown(version("1900-01-01")), &[400], -32022),
        error("the log level before the method", log_level(unknown(call()), r#""loud""#), &[400], -32602),
        error("the log level before the name", log_level(Request::call("nothing", "{}"), r#""loud""#), &[400], -32602),
    ]
}

#[tokio::test]
async fn metadata_is_complete_and_says_what_the_header_says() {
    run(metadata()).await;
}

#[tokio::test]
async fn standard_headers_say_once_what_the_body_says() {
    run(headers()).await;
}

#[tokio::test]
async fn unknown_methods_and_names_are_refused_without_asking_anyone() {
    run(methods_and_names()).await;
}

#[tokio::test]
async fn of_two_broken_rules_the_earlier_is_reported() {
    run(conflicts()).await;
}

/// Intermediaries forward what they do not recognise.
#[tokio::test]
async fn parameter_headers_reach_the_backend() {
    let mut upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let request = call().field("Mcp-Param-Region", "eu-1").field("mcp-param-other", "=?base64?w6Q=?=");
    assert_eq!(Client::ask(gateway.address(), &request).await.status, 200);
    let head = upstream.post().await.head;
    assert!(
        head.contains("mcp-param-region: eu-1\r\n") && head.contains("mcp-param-other: =?base64?w6q=?=\r\n"),
        "{head}"
    );
}

/// A backend that answers by itself is believed.
#[tokio::test]
async fn errors_of_a_backend_keep_their_status() {
    for (error, status) in [
        (r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"elicitation":{}}}}"#, 400),
        (r#"{"code":-32020,"message":"m"}"#, 400),
        (r#"{"code":-32601,"message":"m"}"#, 404),
        (r#"{"code":-32602,"message":"m","data":[1e999]}"#, 200),
        (r#"{"code":-32603,"message":"m"}"#, 200),
        (r#"{"code":12345,"message":"m"}"#, 200),
    ] {
        let upstream = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
            wire.answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, post.id)).await
        });
        let gateway = gateways::recorded(&upstream);
        let answer = Client::ask(gateway.address(), &call()).await;
        assert_eq!((answer.status, answer.text()), (status, format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#)));
    }
}

#[tokio::test]
async fn a_backend_that_is_gone_is_an_error_of_the_call_alone() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    drop(upstream);
    let mut client = Client::connect(gateway.address()).await;
    let answer = client.exchange(&call()).await;
    assert_eq!((answer.status, answer.code()), (200, Some(-32603)), "{}", answer.text());
    let data = answer.json()["error"]["data"].clone();
    assert_eq!(data, json!({ "kind": "upstream_unavailable", "backend": "admin", "sent": false, "retryable": true }));
    let lists = client.exchange(&Request::modern("tools/list", None, "")).await;
    assert_eq!(lists.json()["result"]["tools"].as_array().map(Vec::len), Some(7));
}

#[tokio::test]
async fn discover_is_answered_from_the_binary() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let answer = Client::ask(gateway.address(), &Request::modern("server/discover", None, "")).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    let result = answer.json()["result"].clone();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    for capability in ["tools", "prompts", "resources"] {
        assert!(result["capabilities"][capability].is_object(), "{result}");
    }
    assert!(result["ttlMs"].is_u64() && result["cacheScope"] == "public", "{result}");
    assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].is_string(), "{result}");
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn lists_are_answered_from_the_binary() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for (method, member, count) in [
        ("tools/list", "tools", 7),
        ("prompts/list", "prompts", 2),
        ("resources/list", "resources", 4),
        ("resources/templates/list", "resourceTemplates", 1),
    ] {
        let answer = client.exchange(&Request::modern(method, None, "")).await;
        let result = answer.json()["result"].clone();
        assert_eq!(result[member].as_array().map(Vec::len), Some(count), "{method}: {result}");
        assert_eq!(result["resultType"], "complete");
        assert!(result["ttlMs"].is_u64() && result["cacheScope"].is_string(), "{result}");
        assert_eq!(client.exchange(&Request::modern(method, None, "")).await.body, answer.body);
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn calls_prompts_and_resources_of_children_are_served() {
    let gateway = gateways::demo();
    let mut client = Client::connect(gateway.address()).await;
    let mut ask = async |method: &str, name: &str, params: &str| {
        let answer = client.exchange(&Request::modern(method, Some(name), params)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let result = answer.json()["result"].clone();
        assert_eq!(result["resultType"], "complete", "{}", answer.text());
        result
    };
    let sum = ask("tools/call", "math__add", r#""name":"math__add","arguments":{"a":2,"b":40}"#).await;
    assert_eq!(sum["structuredContent"], json!({ "result": 42 }));
    let refused = ask("tools/call", "math__divide", r#""name":"math__divide","arguments":{"a":1,"b":0}"#).await;
    assert_eq!(refused["isError"], true);
    let prompt = r#""name":"math__explain_calculation","arguments":{"expression":"2 + 40"}"#;
    let prompt = ask("prompts/get", "math__explain_calculation", prompt).await;
    assert!(prompt["messages"][0]["content"]["text"].as_str().is_some_and(|text| text.contains("2 + 40")), "{prompt}");
    for uri in ["data://tables/planets", "data://tables/planets/rows/3", "math://constants/pi"] {
        let read = ask("resources/read", uri, &format!(r#""uri":"{uri}""#)).await;
        assert_eq!(read["contents"][0]["uri"], uri, "{read}");
        assert!(read["ttlMs"].is_u64() && read["cacheScope"].is_string(), "{read}");
    }
    assert_ne!(sum["_meta"], Value::Null);
}
