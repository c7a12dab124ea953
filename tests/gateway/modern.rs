//! The modern era: the order of validation, standard headers, and what is answered. The M rows of the hostile inputs
//! that do not need a legacy session.

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
        error("M01", call().edit(&format!(r#","_meta":{{{META}}}"#), ""), &[400], -32602).also(echoes_the_id),
        error("M01 null", call().edit(&format!("{{{META}}}"), "null"), &[400], -32602),
        error("M01 array", call().edit(&format!("{{{META}}}"), "[]"), &[400], -32602),
        error("M02", call().edit(&format!("{VERSION},"), ""), &[400], -32602),
        error("M03", call().edit(&format!(",{CAPABILITIES}"), ""), &[400], -32602),
        error("M03 array", call().edit(CAPABILITIES, &CAPABILITIES.replace("{}", "[]")), &[400], -32602),
        error("M05", call().without("MCP-Protocol-Version"), &[400], -32020),
        error("M06", call().edit("2026-07-28", "2025-11-25"), &[400], -32020),
        error("M07", version("1900-01-01"), &[400], -32022).kind("unsupported_version").also(|answer| {
            let data = &answer.json()["error"]["data"];
            data["supported"] == json!(["2026-07-28"]) && data["requested"] == "1900-01-01"
        }),
        error("v999.0.0", version("v999.0.0"), &[400], -32022),
        error("M08", call().edit("2026-07-28", "2026-07-28 "), &[400], -32020),
        error("M09", call().field("mcp-protocol-version", "2026-07-28"), &[400], -32020),
        error("M52", log_level(call(), r#""loud""#), &[400], -32602),
        error("M52 number", log_level(call(), "1"), &[400], -32602),
        served("a level", log_level(call(), r#""emergency""#)),
        served("M57", call().field("Mcp-Session-Id", "0123456789abcdef0123456789abcdef"))
            .also(|answer| answer.field("mcp-session-id").is_none()),
        served("M68", client_info(&format!("\\u001b[31m\\r\\n{}", "n".repeat(1 << 20)))),
        served("no client info", call()),
    ]
}

fn client_info(name: &str) -> Request {
    let info = format!(r#""io.modelcontextprotocol/clientInfo":{{"name":"{name}","version":"1"}}"#);
    call().edit(META, &format!("{META},{info}"))
}

fn headers() -> Vec<Row> {
    vec![
        error("M10", call().without("Mcp-Method"), &[400], -32020).also(echoes_the_id),
        error("M11", call().with("Mcp-Method", "tools/list"), &[400], -32020),
        error("M12", call().with("Mcp-Method", "TOOLS/CALL"), &[400], -32020),
        error("a doubled method", call().field("Mcp-Method", "tools/call"), &[400], -32020),
        error("M14", call().without("Mcp-Name"), &[400], -32020),
        error("M15", named("admin__wait"), &[400], -32020),
        error("a doubled name", call().field("Mcp-Name", "admin__echo"), &[400], -32020),
        served("white space around a value", named("  admin__echo\t")),
        served("a field name in any case", call().without("Mcp-Name").field("MCP-NAME", "admin__echo")),
        served("M16", named("=?base64?YWRtaW5fX2VjaG8=?=")),
        error("M17", named("=?base64?YWRtaW5fX2VjaG8?="), &[400], -32020),
        error("M18", named("=?base64?YWRtaW5fX3dhaXQ=?="), &[400], -32020),
        error("M19", named("=?base64?/w==?="), &[400], -32020),
        error("M20", named("=?BASE64?YWRtaW5fX2VjaG8=?="), &[400], -32020),
        error("M21", named("=?base64?PT9iYXNlNjQ/WVdSdGFXNWZYMlZqYUc4PT89?="), &[400], -32020),
        // M23 to M25 and M27, of parameters that are recognised, stand in `params`.
        served("M26", call().field("Mcp-Param-Y", "anything")),
        // A control byte is no field value in HTTP, which is looked at first.
        error("M28", call().field("Mcp-Param-X", "a\u{1}b"), &[400], -32600).closes(),
    ]
}

fn methods_and_names() -> Vec<Row> {
    let request = |method: &str| Request::modern(method, None, "");
    let tool = |name: &str| Request::call(name, "{}");
    let resource = |uri: &str| Request::modern("resources/read", Some(uri), &format!(r#""uri":"{uri}""#));
    let long = format!("admin__{}", "n".repeat(10 << 10));
    // Names that nobody offers are answered in 200 (§1.3, 18).
    vec![
        error("M29", request("tools/execute"), &[404], -32601).kind("method_not_found").also(echoes_the_id),
        error("M30 ping", request("ping"), &[404], -32601),
        error("M30 logging/setLevel", request("logging/setLevel"), &[404], -32601),
        error("M30 resources/subscribe", request("resources/subscribe"), &[404], -32601),
        error("M30 resources/unsubscribe", request("resources/unsubscribe"), &[404], -32601),
        error("M30 initialize", request("initialize"), &[404], -32601),
        error("M32", tool("admin__nothing"), &[200], -32602).kind("invalid_params"),
        error("M34", tool(&long), &[200], -32602).also(|answer| answer.body.len() < 1024),
        error("M35", tool("data__admin__echo"), &[200], -32602),
        error("M35 without prefix", tool("echo"), &[200], -32602),
        error(
            "M36 look-alike",
            tool("admin__ech\u{43e}").with("Mcp-Name", "=?base64?YWRtaW5fX2VjaNC+?="),
            &[200],
            -32602,
        ),
        error("M36 case", tool("admin__Echo"), &[200], -32602),
        error("M36 white space", tool("admin__echo ").with("Mcp-Name", "=?base64?YWRtaW5fX2VjaG8g?="), &[200], -32602),
        error("a name that is a number", Request::modern("tools/call", Some("7"), r#""name":7"#), &[400], -32602),
        error("M37", Request::call("admin__echo", "[]"), &[400], -32602),
        error("unknown prompt", Request::modern("prompts/get", Some("x"), r#""name":"x""#), &[200], -32602),
        error("M42", Request::modern("tools/list", None, r#""cursor":"garbage""#), &[200], -32602),
        error("an empty cursor", Request::modern("tools/list", None, r#""cursor":"""#), &[200], -32602),
        error("M42 number", Request::modern("tools/list", None, r#""cursor":1"#), &[400], -32602),
        error("M44", resource("file:///etc/passwd"), &[200], -32602)
            .also(|answer| answer.json()["error"]["data"]["uri"] == "file:///etc/passwd"),
        // A URI of that size cannot stand in `Mcp-Name`, which is compared first (§1.3, 9).
        error("M45", resource(&"u".repeat(1 << 20)).with("Mcp-Name", "u"), &[400], -32020),
        refused("M45 in the header", resource(&"u".repeat(1 << 20)), &[431]),
        error("M45 beyond the bound", resource(&format!("data://tables/{}", "u".repeat(9 << 10))), &[200], -32602),
    ]
}

/// Each request breaks two rules of §1.3; the earlier one is what it hears of.
fn conflicts() -> Vec<Row> {
    let json = "application/json";
    let unknown =
        |request: Request| request.edit(r#""method":"tools/call""#, r#""method":"x/y""#).with("Mcp-Method", "x/y");
    vec![
        refused("1 before 2", Request::bare("PUT /mcp HTTP/1.1").field("Origin", "https://evil.example"), &[403]),
        refused("1 before the path", call().line("POST /x HTTP/1.1").with("Host", "evil.example"), &[403]),
        refused("the path before 2", Request::bare("GET /x HTTP/1.1"), &[404]),
        refused("2 before 4", call().line("PUT /mcp HTTP/1.1").with("Content-Type", "text/plain"), &[405]),
        refused("4 before 5", call().with("Content-Type", "text/plain").with("Accept", "text/html"), &[415]),
        refused("5 before 6", Request::post("{").with("Accept", "text/html"), &[406]),
        refused("5 before the length", call().with("Accept", "text/html").with("Content-Length", "99999999"), &[406]),
        error("6 before 9", Request::post("{").field("Content-Type-Of", json), &[400], -32700),
        error("6 before 14", unknown(call()).edit(r#""params""#, r#""id":2,"params""#), &[400], -32600),
        error(
            "9 before 10",
            call().with("Mcp-Method", "x").edit(&format!(r#","_meta":{{{META}}}"#), ""),
            &[400],
            -32020,
        ),
        error("9 before 12", version("1900-01-01").with("Mcp-Name", "x"), &[400], -32020),
        error("9 before 14", unknown(call()).without("MCP-Protocol-Version"), &[400], -32020),
        error("9 before 18", Request::call("nothing", "{}").with("Mcp-Name", "x"), &[400], -32020),
        error(
            "10 before 11",
            call().edit("2026-07-28", "2025-11-25").edit(&format!(",{CAPABILITIES}"), ""),
            &[400],
            -32602,
        ),
        error("10 before 14", unknown(call()).edit(&format!(",{CAPABILITIES}"), ""), &[400], -32602),
        error("11 before 12", version("1900-01-01").with("MCP-Protocol-Version", "1900-01-02"), &[400], -32020),
        error("11 before 13", log_level(call(), "1").edit("2026-07-28", "x"), &[400], -32020),
        error(
            "12 before 13",
            log_level(call(), "1").edit("2026-07-28", "x").with("MCP-Protocol-Version", "x"),
            &[400],
            -32022,
        ),
        error("12 before 14", unknown(version("1900-01-01")), &[400], -32022),
        error("13 before 14", log_level(unknown(call()), r#""loud""#), &[400], -32602),
        error("13 before 18", log_level(Request::call("nothing", "{}"), r#""loud""#), &[400], -32602),
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

/// M26: intermediaries forward what they do not recognise.
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

/// M53 and the rest of §1.3: a backend that answers by itself is believed.
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
