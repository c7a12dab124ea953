//! The protocol core, message by message, in both eras. Sockets and pipes are tested with the whole binary.

use std::sync::Arc;

use serde_json::{Value, json};

use super::offer::TimedMessage;
use super::playback::Playback;
use super::rpc::{ClientMessage, FaultAnswer};
use super::server::{Conversation, Reply, Server};
use super::{Eras, Kind};

/// A server and one client of it that sends messages without HTTP headers.
struct Bench {
    server: Server,
    conversation: Arc<Conversation>,
}

impl Bench {
    fn new(kind: Kind, eras: Eras) -> Self {
        Self { server: Server::new(kind, eras), conversation: Arc::default() }
    }

    /// After the handshake of a legacy client.
    fn legacy(kind: Kind) -> Self {
        let bench = Self::new(kind, Eras::Both);
        bench.answer(&request("initialize", json!({ "protocolVersion": "2025-11-25" })));
        bench
    }

    fn receive(&self, text: &str) -> Reply {
        match ClientMessage::parse(text.as_bytes()) {
            Ok(incoming) => {
                let era = self.server.era_of(&incoming);
                self.server.receive(&self.conversation, incoming, era)
            }
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    /// Everything that is sent for a message, and when.
    fn steps(&self, message: &Value) -> Vec<TimedMessage> {
        let at_once = |message| vec![TimedMessage { after: std::time::Duration::ZERO, message }];
        match self.receive(&message.to_string()) {
            Reply::Nothing => Vec::new(),
            Reply::Result(answer) => at_once(answer),
            Reply::Refused(refusal) => at_once(refusal.to_json()),
            Reply::Call(call) => call
                .steps()
                .iter()
                .map(|step| TimedMessage { after: step.after, message: step.message.clone() })
                .collect(),
        }
    }

    fn answer(&self, message: &Value) -> Value {
        self.steps(message).pop().expect("an answer").message
    }

    fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.answer(&request("tools/call", json!({ "name": tool, "arguments": arguments })))
    }
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

/// The same with what the modern era wants in `_meta`, and `more` of it.
fn modern(method: &str, mut params: Value, more: &Value) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for (key, value) in more.as_object().expect("an object") {
        meta[key] = value.clone();
    }
    params["_meta"] = meta;
    request(method, params)
}

fn begun(reply: Reply) -> Playback {
    let Reply::Call(call) = reply else { unreachable!("a call was to begin") };
    call
}

fn refused(reply: Reply) -> FaultAnswer {
    let Reply::Refused(refusal) = reply else { unreachable!("the message was to be refused") };
    refusal
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or("no text")
}

#[test]
fn arithmetic_is_exact_within_64_bits_and_real_beyond() {
    let cases = [
        ("add", json!({ "a": 2, "b": 40 }), "42"),
        ("add", json!({ "a": 9_007_199_254_740_993_i64, "b": 0 }), "9007199254740993"),
        ("add", json!({ "a": i64::MAX, "b": 1 }), "9.223372036854776e+18"),
        ("add", json!({ "a": 1.5, "b": 1.5 }), "3"),
        ("add", json!({ "a": 0.1, "b": 0.2 }), "0.30000000000000004"),
        ("subtract", json!({ "a": 2, "b": 40 }), "-38"),
        ("multiply", json!({ "a": 3_037_000_499_i64, "b": 3_037_000_499_i64 }), "9223372030926249001"),
        ("divide", json!({ "a": 84, "b": 2 }), "42"),
        ("divide", json!({ "a": 1, "b": 4 }), "0.25"),
        ("power", json!({ "a": 2, "b": 62 }), "4611686018427387904"),
        ("power", json!({ "a": 2, "b": -1 }), "0.5"),
        ("sqrt", json!({ "a": 1764 }), "42"),
        ("sqrt", json!({ "a": 2 }), "1.4142135623730951"),
    ];
    let bench = Bench::legacy(Kind::Math);
    for (tool, arguments, expected) in cases {
        let answer = bench.call(tool, &arguments);
        assert_eq!(text(&answer), expected, "{tool} {arguments}");
        assert_eq!(answer["result"]["structuredContent"]["result"].to_string(), expected, "{tool} {arguments}");
        assert_eq!(answer["result"].get("isError"), None, "{tool} {arguments}");
    }
}

#[test]
fn what_a_tool_cannot_do_is_a_result_that_says_so() {
    let cases = [
        (Kind::Math, "divide", json!({ "a": 1, "b": 0 }), "division by zero"),
        (Kind::Math, "divide", json!({ "a": 1, "b": -0.0 }), "division by zero"),
        (Kind::Math, "sqrt", json!({ "a": -1 }), "square root of a negative number"),
        (Kind::Math, "power", json!({ "a": -8, "b": 0.5 }), "result is not a real number"),
        (Kind::Math, "multiply", json!({ "a": 1e300, "b": 1e300 }), "result is out of range"),
        (Kind::Math, "add", json!({ "a": 1 }), "missing field `b`"),
        (Kind::Math, "add", json!({ "a": 1, "b": 2, "c": 3 }), "unknown field `c`, expected `a` or `b`"),
        (Kind::Math, "add", json!({ "a": "1", "b": 2 }), "invalid type: string \"1\", expected a JSON number"),
        (Kind::Data, "query", json!({ "table": "moons" }), "table `moons` is not known"),
        (Kind::Data, "query", json!({ "table": "planets", "column": "class" }), "`column` and `equals` go together"),
        (
            Kind::Data,
            "query",
            json!({ "table": "planets", "column": "mass", "equals": 1 }),
            "column `mass` is not in table `planets`",
        ),
        (
            Kind::Data,
            "query",
            json!({ "table": "planets", "column": "name", "equals": true }),
            "`equals` is neither a string nor a number",
        ),
        (Kind::Data, "query", json!({ "table": "planets", "limit": 0 }), "`limit` is not between 1 and 100"),
        (Kind::Admin, "wait", json!({ "milliseconds": 60_001 }), "`milliseconds` is more than 60000"),
        (Kind::Admin, "wait", json!({ "milliseconds": 1, "steps": 0 }), "`steps` is not between 1 and 1000"),
        (Kind::Admin, "status", json!({ "verbose": true }), "unknown field `verbose`, there are no fields"),
    ];
    for (kind, tool, arguments, reason) in cases {
        let answer = Bench::legacy(kind).call(tool, &arguments);
        assert_eq!(answer["result"]["isError"], true, "{tool} {arguments}");
        assert_eq!(text(&answer), reason, "{tool} {arguments}");
    }
}

#[test]
fn a_query_filters_and_counts_beyond_its_limit() {
    let bench = Bench::legacy(Kind::Data);
    let names = |arguments: Value| {
        let answer = bench.call("query", &arguments);
        let content = &answer["result"]["structuredContent"];
        let rows = content["rows"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect();
        (names.join(" "), content["matched"].clone())
    };
    let giants = names(json!({ "table": "planets", "column": "class", "equals": "gas giant" }));
    assert_eq!(giants, ("Jupiter Saturn".into(), json!(2)));
    assert_eq!(names(json!({ "table": "planets", "limit": 1 })), ("Mercury".into(), json!(8)));
    assert_eq!(names(json!({ "table": "elements", "column": "number", "equals": 6.0 })), ("Carbon".into(), json!(1)));
    assert_eq!(names(json!({ "table": "elements", "column": "name", "equals": "Gold" })), (String::new(), json!(0)));
}

#[test]
fn resources_and_templates_are_read_and_unknown_ones_name_their_uri() {
    let read = |kind, uri: &str| Bench::legacy(kind).answer(&request("resources/read", json!({ "uri": uri })));
    let content = |kind, uri: &str| read(kind, uri)["result"]["contents"][0].clone();
    assert_eq!(content(Kind::Math, "math://constants/pi")["text"], "3.141592653589793");
    assert_eq!(
        content(Kind::Data, "data://tables/elements/rows/5")["text"],
        r#"{"mass":12.011,"name":"Carbon","number":6,"symbol":"C"}"#
    );
    assert!(
        content(Kind::Data, "data://images/gradient.png")["blob"].as_str().is_some_and(|b| b.starts_with("iVBORw0K"))
    );
    for uri in
        ["data://tables/planets/rows/8", "data://tables/planets/rows/-1", "data://tables/moons", "data://tables/"]
    {
        let legacy = read(Kind::Data, uri);
        assert_eq!(legacy["error"]["code"], -32002, "{uri}");
        assert_eq!(legacy["error"]["data"], json!({ "uri": uri }));
        let modern =
            Bench::new(Kind::Data, Eras::Both).answer(&modern("resources/read", json!({ "uri": uri }), &json!({})));
        assert_eq!(modern["error"]["code"], -32602, "{uri}");
        assert_eq!(modern["error"]["data"], json!({ "uri": uri }));
    }
}

#[test]
fn everything_that_is_listed_can_be_used() {
    for kind in [Kind::Math, Kind::Data, Kind::Admin] {
        let bench = Bench::legacy(kind);
        let list = |method: &str, member: &str| {
            let answer = bench.answer(&request(method, json!({})));
            answer["result"][member].as_array().cloned().expect("a list")
        };
        for tool in list("tools/list", "tools") {
            let answer = bench.call(tool["name"].as_str().expect("a name"), &json!({}));
            assert!(answer.get("result").is_some(), "{answer}");
            assert!(tool["title"].is_string() && tool["description"].is_string(), "{tool}");
            assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
            assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
            schema_and_arguments_agree(&bench, &tool);
        }
        for resource in list("resources/list", "resources") {
            let answer = bench.answer(&request("resources/read", json!({ "uri": resource["uri"] })));
            assert_eq!(answer["result"]["contents"][0]["mimeType"], resource["mimeType"], "{answer}");
        }
        for prompt in list("prompts/list", "prompts") {
            let name = prompt["arguments"][0]["name"].as_str().expect("a name");
            let with = |arguments: Value| {
                bench.answer(&request("prompts/get", json!({ "name": prompt["name"], "arguments": arguments })))
            };
            assert_eq!(with(json!({ name: "planets" }))["result"]["messages"][0]["role"], "user");
            assert_eq!(with(json!({}))["error"]["code"], -32602);
        }
    }
}

/// A call without arguments is an error exactly if the schema requires some.
fn schema_and_arguments_agree(bench: &Bench, tool: &Value) {
    let answer = bench.call(tool["name"].as_str().expect("a name"), &json!({}));
    let required = tool["inputSchema"]["required"].as_array().map_or(0, Vec::len);
    assert_eq!(answer["result"]["isError"] == true, required > 0, "{tool} {answer}");
    let has_output = answer["result"]["structuredContent"].is_object();
    assert_eq!(has_output, required == 0 && tool["outputSchema"].is_object(), "{tool} {answer}");
    for name in tool["outputSchema"]["required"].as_array().into_iter().flatten() {
        let content = &answer["result"]["structuredContent"];
        assert!(!has_output || content.get(name.as_str().expect("a name")).is_some(), "{name} of {answer}");
    }
}

#[test]
fn echo_returns_its_arguments_byte_for_byte() {
    let arguments = r#"{ "z":1.0,"a" : 12345678901234567890123, "e":"\u00e9","n":[ ]}"#;
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
    );
    let call = begun(Bench::legacy(Kind::Admin).receive(&message));
    assert!(call.is_plain());
    assert_eq!(text(&call.steps()[0].message), arguments);
}

#[test]
fn wait_reports_progress_only_to_who_asked_for_it() {
    let bench = Bench::legacy(Kind::Admin);
    let arguments = json!({ "milliseconds": 300, "steps": 3 });
    let steps = bench.steps(&request("tools/call", json!({ "name": "wait", "arguments": arguments })));
    assert_eq!(steps.iter().map(|step| step.after.as_millis()).collect::<Vec<_>>(), [300]);

    let params = json!({ "name": "wait", "arguments": arguments, "_meta": { "progressToken": "t" } });
    let steps = bench.steps(&request("tools/call", params));
    assert_eq!(steps.iter().map(|step| step.after.as_millis()).collect::<Vec<_>>(), [100, 100, 100, 0]);
    assert_eq!(
        steps[1].message,
        json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": { "progressToken": "t", "progress": 2, "total": 3, "message": "step 2 of 3" },
        })
    );
    assert_eq!(text(&steps[3].message), "waited 300 ms");
}

#[test]
fn log_messages_go_only_to_clients_that_want_their_level() {
    let call = json!({ "name": "log", "arguments": { "level": "warning", "message": "hot" } });
    let sent = |steps: &[TimedMessage]| {
        let sent = &steps.last().expect("an answer").message["result"]["structuredContent"]["sent"];
        assert_eq!(sent == true, steps.len() == 2);
        steps.len() == 2 && steps[0].message["params"] == json!({ "level": "warning", "logger": "demo", "data": "hot" })
    };
    let fresh = Bench::new(Kind::Admin, Eras::Both);
    assert!(!sent(&fresh.steps(&modern("tools/call", call.clone(), &json!({})))));
    let at = |level: &str| json!({ "io.modelcontextprotocol/logLevel": level });
    assert!(sent(&fresh.steps(&modern("tools/call", call.clone(), &at("warning")))));
    assert!(!sent(&fresh.steps(&modern("tools/call", call.clone(), &at("error")))));
    assert_eq!(fresh.answer(&modern("tools/call", call.clone(), &at("loud")))["error"]["code"], -32602);

    let legacy = Bench::legacy(Kind::Admin);
    assert!(sent(&legacy.steps(&request("tools/call", call.clone()))));
    assert_eq!(legacy.answer(&request("logging/setLevel", json!({ "level": "error" })))["result"], json!({}));
    assert!(!sent(&legacy.steps(&request("tools/call", call))));
    assert_eq!(legacy.answer(&request("logging/setLevel", json!({ "level": "loud" })))["error"]["code"], -32602);
}

#[test]
fn initialize_answers_the_version_asked_for_or_the_latest_legacy_one() {
    for (asked, answered) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let bench = Bench::new(Kind::Math, Eras::Both);
        let answer = bench.answer(&request("initialize", json!({ "protocolVersion": asked })));
        assert_eq!(answer["result"]["protocolVersion"], answered);
        assert_eq!(answer["result"]["serverInfo"]["name"], "only1mcp-demo-math");
        assert_eq!(answer["result"].get("resultType"), None);
    }
}

#[test]
fn modern_results_carry_their_type_their_server_and_how_long_to_keep_them() {
    let bench = Bench::new(Kind::Admin, Eras::Both);
    let result = |method: &str, params: Value| bench.answer(&modern(method, params, &json!({})))["result"].clone();
    let discover = result("server/discover", json!({}));
    assert_eq!(discover["supportedVersions"], json!(["2026-07-28"]));
    for (method, params, ttl_ms) in [
        ("server/discover", json!({}), json!(3_600_000)),
        ("tools/list", json!({}), json!(3_600_000)),
        ("resources/read", json!({ "uri": "admin://status" }), json!(0)),
        ("tools/call", json!({ "name": "status" }), Value::Null),
        ("prompts/get", json!({ "name": "incident_report", "arguments": { "summary": "fire" } }), Value::Null),
    ] {
        let result = result(method, params);
        assert_eq!(result["resultType"], "complete", "{method}");
        let server = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(server["name"], "only1mcp-demo-admin", "{method}");
        assert_eq!(result["ttlMs"], ttl_ms, "{method}");
        assert_eq!(result["cacheScope"].is_string(), ttl_ms.is_number(), "{method}");
    }
}

#[test]
fn messages_that_cannot_be_served_get_the_error_of_their_kind() {
    let meta = json!({});
    let version = json!({ "io.modelcontextprotocol/protocolVersion": "2031-01-01" });
    let cases = [
        (Eras::Both, request("tools/list", json!({})), -32600),
        (Eras::Both, request("nonsense", json!({})), -32601),
        (Eras::Both, modern("ping", json!({}), &meta), -32601),
        (Eras::Both, modern("initialize", json!({}), &meta), -32601),
        (Eras::Both, modern("tools/list", json!({}), &version), -32022),
        (Eras::Both, modern("tools/list", json!({ "cursor": "" }), &meta), -32602),
        (Eras::Both, modern("tools/call", json!({ "name": "nonsense" }), &meta), -32602),
        (Eras::Both, modern("tools/call", json!({ "name": "add", "arguments": [1] }), &meta), -32602),
        (Eras::Both, modern("tools/call", json!({}), &meta), -32602),
        (Eras::Both, modern("prompts/get", json!({ "name": "nonsense" }), &meta), -32602),
        (Eras::Both, modern("logging/setLevel", json!({ "level": "info" }), &meta), -32601),
        (Eras::Both, request("server/discover", json!({})), -32602),
        (Eras::Both, json!([]), -32600),
        (Eras::Both, json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }), -32600),
        (Eras::Both, json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }), -32600),
        (Eras::Both, json!({ "id": 1, "method": "ping" }), -32600),
        (Eras::Both, json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": [] }), -32602),
        (Eras::Modern, request("initialize", json!({ "protocolVersion": "2025-11-25" })), -32022),
        (Eras::Modern, request("tools/list", json!({})), -32602),
        (Eras::Legacy, modern("server/discover", json!({}), &meta), -32601),
        (Eras::Legacy, modern("tools/list", json!({}), &meta), -32600),
    ];
    for (eras, message, code) in cases {
        let answer = Bench::new(Kind::Math, eras).answer(&message);
        assert_eq!(answer["error"]["code"], code, "{message} {answer}");
        let id = message.get("id").filter(|id| id.is_i64());
        assert_eq!(answer.get("id"), id, "{message}");
    }
}

#[test]
fn an_unsupported_version_is_answered_with_those_that_are() {
    let bench = Bench::new(Kind::Math, Eras::Modern);
    let answer = bench.answer(&request("initialize", json!({ "protocolVersion": "2025-11-25" })));
    assert_eq!(answer["error"]["data"], json!({ "supported": ["2026-07-28"], "requested": "2025-11-25" }));
}

#[test]
fn text_that_is_not_one_json_message_is_refused_without_an_id() {
    for (input, code) in [("{", -32700), ("", -32700), ("{} {}", -32700), ("7", -32600), ("{}", -32600)] {
        let refusal = refused(Bench::new(Kind::Math, Eras::Both).receive(input));
        assert_eq!(refusal.fault.code(), code, "{input}");
        assert_eq!(refusal.to_json().get("id"), None, "{input}");
    }
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{"arguments":{}}}"#;
    let refusal = refused(Bench::new(Kind::Math, Eras::Both).receive(twice));
    assert_eq!(refusal.fault.code(), -32600);
}

#[test]
fn notifications_and_responses_get_no_answer() {
    let bench = Bench::legacy(Kind::Math);
    for message in [
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 99 } }),
        json!({ "jsonrpc": "2.0", "method": "tools/list" }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
    ] {
        assert!(matches!(bench.receive(&message.to_string()), Reply::Nothing), "{message}");
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_without_an_answer_and_is_counted() {
    let bench = Bench::legacy(Kind::Admin);
    let wait = request("tools/call", json!({ "name": "wait", "arguments": { "milliseconds": 60_000 } }));
    let mut call = begun(bench.receive(&wait.to_string()));
    let second = bench.answer(&wait);
    assert_eq!(second["error"]["code"], -32600, "an id in use: {second}");
    let cancel =
        |id: Value| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    // The string is another id than the number.
    assert_eq!(bench.steps(&cancel(json!("7"))), []);
    assert_eq!(counts(&bench), [0, 1, 0]);
    assert_eq!(bench.steps(&cancel(json!(7))), []);
    assert_eq!(call.next().await, None);
    drop(call);
    assert_eq!(counts(&bench), [0, 0, 1]);
}

#[tokio::test]
async fn a_call_played_to_its_end_is_served_and_its_id_is_free_again() {
    let bench = Bench::legacy(Kind::Math);
    let add = request("tools/call", json!({ "name": "add", "arguments": { "a": 2, "b": 40 } })).to_string();
    for served in 1..=2 {
        let mut call = begun(bench.receive(&add));
        let answer = call.next().await.expect("an answer");
        assert_eq!(text(&answer), "42");
        assert_eq!(call.next().await, None);
        drop(call);
        assert_eq!(counts(&bench), [served, 0, 0]);
    }
}

/// Calls served, running and cancelled.
fn counts(bench: &Bench) -> [u64; 3] {
    let status = bench.server.status();
    [status.calls_served, status.calls_running, status.calls_cancelled]
}

#[test]
fn an_argument_is_completed_by_the_values_that_begin_like_it() {
    let bench = Bench::legacy(Kind::Data);
    let complete = |reference: Value, name: &str, value: &str, context: Value| {
        let argument = json!({ "name": name, "value": value });
        bench.answer(&request(
            "completion/complete",
            json!({ "ref": reference, "argument": argument, "context": context }),
        ))
    };
    let prompt = json!({ "type": "ref/prompt", "name": "summarize_table" });
    let template = json!({ "type": "ref/resource", "uri": "data://tables/{table}/rows/{row}" });
    let planets = json!({ "arguments": { "table": "planets" } });
    for (reference, name, value, context, expected) in [
        (&prompt, "table", "", json!({}), &["planets", "elements"][..]),
        (&prompt, "table", "pl", json!({}), &["planets"]),
        (&prompt, "table", "x", json!({}), &[]),
        (&prompt, "row", "", planets.clone(), &[]),
        (&template, "table", "e", json!({}), &["elements"]),
        (&template, "row", "", json!({}), &[]),
        (&template, "row", "7", planets, &["7"]),
    ] {
        let answer = complete(reference.clone(), name, value, context);
        let expected = json!({ "values": expected, "total": expected.len(), "hasMore": false });
        assert_eq!(answer["result"]["completion"], expected, "{reference} {name} {value}");
    }
    for (reference, message) in [
        (json!({ "type": "ref/prompt", "name": "nothing" }), "prompt `nothing` is not known"),
        (json!({ "type": "ref/resource", "uri": "data://{x}" }), "resource template `data://{x}` is not known"),
    ] {
        let error = &complete(reference, "table", "", json!({}))["error"];
        assert_eq!((&error["code"], &error["message"]), (&json!(-32602), &json!(message)));
    }
    let other = complete(json!({ "type": "ref/tool", "name": "query" }), "table", "", json!({}));
    assert_eq!(other["error"]["code"], -32602);
    let params = json!({ "ref": prompt, "argument": { "name": "table", "value": "" } });
    let refused = Bench::legacy(Kind::Math).answer(&request("completion/complete", params.clone()));
    assert_eq!(refused["error"]["code"], -32601);
    let modern = Bench::new(Kind::Data, Eras::Both).answer(&modern("completion/complete", params, &json!({})));
    assert_eq!(modern["result"]["resultType"], "complete");
}
