//! What administrators ask and change: every path and method, held against the document that describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use only1mcp::catalog::Topology as _;
use only1mcp::catalog::plan::Reference;
use only1mcp::{Gateway, Running};
use only1mcp_model::Source;
use serde_json::{Value, json};

use crate::admin::samples;
use crate::command_line::Started;
use crate::support::client::{Answer, Client, Request, within};
use crate::support::gateways::{Alone, Demo, SEAL_KEY, Views};
use crate::support::held::Held;
use crate::support::openapi::Document;
use crate::support::program::run;
use crate::support::recorder::Recorder;
use crate::support::scripted::{Outcome, Servers, call};
use crate::support::server::{Server, Step, json_answer, modern, text_body};

const BASE: &str = "/api/v1/admin";
const TOKEN: &str = "a-long-token";

fn get(path: &str) -> Request {
    Request::bare(&format!("GET {path} HTTP/1.1"))
}

fn put(path: &str, body: &str) -> Request {
    let request = Request::bare(&format!("PUT {BASE}{path} HTTP/1.1")).field("Content-Type", "application/json");
    request.with_body(body)
}

fn with_token(request: Request) -> Request {
    request.field("Authorization", format!("Bearer {TOKEN}"))
}

/// A gateway whose names lead by every kind of rule, with a token.
struct Routed {
    gateway: Running,
    admin: SocketAddr,
    _servers: [Recorder; 3],
}

impl Routed {
    fn start() -> Self {
        let servers = [Recorder::start(), Recorder::start(), Recorder::start()];
        let builder = Gateway::<Alone>::builder().workers(1).reference("ADMIN_URL", servers[0].url());
        let builder = builder.reference("DATA_URL", servers[1].url()).reference("MIRROR_URL", servers[2].url());
        let builder = builder.admin_address("127.0.0.1:0").reference("ADMIN_TOKEN", TOKEN);
        let gateway = builder.admin_token(Reference::Env("ADMIN_TOKEN".into())).start().expect("the gateway starts");
        let admin = gateway.admin_address().expect("there is an admin listener");
        Self { gateway, admin, _servers: servers }
    }

    async fn ask(&self, path: &str) -> Answer {
        Client::ask(self.admin, &get(&format!("{BASE}{path}"))).await
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.ask(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

fn kind(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["kind"].as_str().unwrap_or_default().to_owned())
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("items").iter().filter_map(|item| item["name"].as_str()).collect()
}

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let routed = Routed::start();
    // What is told of calls has a failure to tell of.
    assert_eq!(call(routed.gateway.address(), "data__query", "x").await, Outcome::Text("done".to_owned()));
    let document = Document::fetch(routed.admin).await;
    let mut asked = BTreeSet::new();
    let mut check = async |method: &str, path: &str, request: &str, expected: u16| {
        let line = format!("{} {request} HTTP/1.1", method.to_uppercase());
        let answer = Client::ask(routed.admin, &Request::bare(&line)).await;
        assert_eq!(answer.status, expected, "{request}: {}", answer.text());
        document.check(method, path, &answer);
        asked.insert((method.to_owned(), path.to_owned()));
    };
    for path in [
        "system",
        "servers",
        "tools",
        "routes",
        "health",
        "config",
        "breakers",
        "overlay",
        "live",
        "ready",
        "sessions",
        "metrics",
        "openapi.json",
    ] {
        let path = format!("{BASE}/{path}");
        check("get", &path, &path, 200).await;
    }
    for path in ["/metrics", "/healthz/live", "/healthz/ready"] {
        check("get", path, path, 200).await;
    }
    let [server, route] = ["servers", "routes"].map(|path| format!("{BASE}/{path}/{{name}}"));
    for (template, request, expected) in [
        (&server, "servers/data", 200),
        (&server, "servers/nobody", 404),
        (&server, "servers/%ff", 400),
        (&route, "routes/data__query", 200),
        (&route, "routes/nothing", 404),
        (&route, "routes/data__query?view=nothing", 404),
        (&route, "routes/data__query?vew=nothing", 400),
    ] {
        check("get", template, &format!("{BASE}/{request}"), expected).await;
    }
    for (list, request, expected) in [
        ("tools", "tools?server=nobody", 404),
        ("tools", "tools?limit=many", 400),
        ("tools", "tools?limit=1&limit=2", 400),
        ("routes", "routes?subject=nothing", 400),
        ("servers", "servers?limit=10001", 400),
    ] {
        check("get", &format!("{BASE}/{list}"), &format!("{BASE}/{request}"), expected).await;
    }
    // These tests log to nowhere: whose log it is decides whether there is a level.
    check("get", &format!("{BASE}/log-level"), &format!("{BASE}/log-level"), 409).await;
    check("put", &format!("{BASE}/log-level"), &format!("{BASE}/log-level"), 401).await;
    // What they do is tried in `admin_overlay`.
    check("patch", &server, &format!("{BASE}/servers/data"), 401).await;
    check("delete", &server, &format!("{BASE}/servers/data"), 401).await;
    check("post", &format!("{BASE}/servers"), &format!("{BASE}/servers"), 401).await;
    for (method, path) in [
        ("put", "overlay"),
        ("patch", "overlay"),
        ("post", "overlay/rollback"),
        ("post", "reload"),
        ("post", "breakers/reset"),
    ] {
        let path = format!("{BASE}/{path}");
        check(method, &path, &path, 401).await;
    }
    assert_eq!(asked, document.operations(), "every operation that is described was asked, and no other");
}

#[tokio::test]
async fn what_is_no_path_or_no_method_is_said_so() {
    let routed = Routed::start();
    let document = Document::fetch(routed.admin).await;
    for (line, expected, allow) in [
        ("GET /api/v1/admin HTTP/1.1", (404, "not_found"), None),
        ("GET /api/v1/admin/servers/ HTTP/1.1", (404, "not_found"), None),
        ("GET /api/v1/admin/servers/data/more HTTP/1.1", (404, "not_found"), None),
        ("GET /servers HTTP/1.1", (404, "not_found"), None),
        ("PUT /api/v1/admin/servers HTTP/1.1", (405, "method_not_allowed"), Some("GET, HEAD, POST")),
        ("PUT /api/v1/admin/servers/data HTTP/1.1", (405, "method_not_allowed"), Some("GET, HEAD, PATCH, DELETE")),
        ("GET /api/v1/admin/reload HTTP/1.1", (405, "method_not_allowed"), Some("POST")),
        ("DELETE /api/v1/admin/log-level HTTP/1.1", (405, "method_not_allowed"), Some("GET, HEAD, PUT")),
        ("OPTIONS /healthz/live HTTP/1.1", (405, "method_not_allowed"), Some("GET, HEAD")),
    ] {
        let answer = Client::ask(routed.admin, &Request::bare(line)).await;
        assert_eq!((kind(&answer), answer.field("allow")), ((expected.0, expected.1.to_owned()), allow), "{line}");
        document.check_error(&answer);
    }
}

#[tokio::test]
async fn a_head_is_that_of_the_answer() {
    let routed = Routed::start();
    let whole = routed.ask("/live").await;
    let mut client = Client::connect(routed.admin).await;
    client.write(&Request::bare(&format!("HEAD {BASE}/live HTTP/1.1")).bytes()).await;
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-length")), (200, whole.field("content-length")));
    // What follows is the next answer, not a body.
    assert_eq!(client.exchange(&get("/healthz/live")).await.text(), whole.text());
}

#[tokio::test]
async fn a_change_is_refused_before_it_is_read_and_after() {
    let routed = Routed::start();
    let document = Document::fetch(routed.admin).await;
    let path = "/log-level";
    let level = r#"{"level":"debug"}"#;
    let long = format!(r#"{{"level":"{}"}}"#, "x".repeat(1 << 20));
    let told = with_token(put(path, ""));
    for (request, expected) in [
        (put(path, level), (401, "unauthorized")),
        (put(path, level).field("Authorization", "Bearer a-long-tokem"), (401, "unauthorized")),
        (put(path, level).field("Authorization", "Basic a-long-token"), (401, "unauthorized")),
        (with_token(put(path, level)).with("Content-Type", "text/plain"), (415, "unsupported_media_type")),
        (with_token(put(path, level)).without("Content-Type"), (415, "unsupported_media_type")),
        (with_token(put(path, level)).field("Content-Type", "application/json"), (415, "unsupported_media_type")),
        (told.clone(), (400, "malformed_json")),
        (told.clone().with_body("{\"level\":\n debug}"), (400, "malformed_json")),
        (told.clone().with_body("{\"level\":\"debug\"} more"), (400, "malformed_json")),
        (told.clone().with_body([b'"', 0xff, b'"']), (400, "malformed_json")),
        (told.clone().with_body("[]"), (400, "invalid_body")),
        (told.clone().with_body("{}"), (400, "invalid_body")),
        (told.clone().with_body(r#"{"level":"loud"}"#), (400, "invalid_body")),
        (told.clone().with_body(r#"{"level":"info","levle":1}"#), (400, "invalid_body")),
        (told.clone().with_body(r#"{"level":"info","level":"info"}"#), (400, "invalid_body")),
        (told.clone().with_body(long.as_str()), (413, "payload_too_large")),
        (told.clone().field("Content-Length", "1000000000"), (413, "payload_too_large")),
        // All that is wrong is whose log it is.
        (told.clone().with_body(level), (409, "conflict")),
        (told.with("Content-Type", "Application/JSON; charset=utf-8").with_body(level), (409, "conflict")),
    ] {
        let answer = Client::ask(routed.admin, &request).await;
        assert_eq!(kind(&answer), (expected.0, expected.1.to_owned()), "{request:?}: {}", answer.text());
        document.check("put", &format!("{BASE}{path}"), &answer);
        let challenge = (answer.status == 401).then_some("Bearer realm=\"only1mcp\"");
        assert_eq!(answer.field("www-authenticate"), challenge, "{request:?}");
    }
    let malformed = with_token(put(path, "{\"level\":\n debug}"));
    let message = Client::ask(routed.admin, &malformed).await.json()["error"]["message"].to_string();
    assert!(message.contains("line 2 column 2"), "{message}");
}

#[tokio::test]
async fn a_body_in_chunks_is_as_bounded() {
    let routed = Routed::start();
    let chunked = with_token(put("/log-level", "")).field("Transfer-Encoding", "chunked");
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let mut client = Client::connect(routed.admin).await;
    client.write(&chunked.bytes()).await;
    for _ in 0..17 {
        client.write(&chunk).await;
    }
    assert_eq!(kind(&client.answer().await), (413, "payload_too_large".to_owned()));
    let mut client = Client::connect(routed.admin).await;
    client.write(&chunked.bytes()).await;
    client.write(b"5\r\n{\"lev\r\n2\r\nel\r\n0\r\n\r\n").await;
    assert_eq!(kind(&client.answer().await), (400, "malformed_json".to_owned()));
}

#[tokio::test]
async fn without_a_token_nothing_can_be_changed() {
    let builder = Gateway::<Demo>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp"));
    let gateway = builder.workers(1).admin_address("127.0.0.1:0").start().expect("the gateway starts");
    let admin = gateway.admin_address().expect("there is an admin listener");
    let document = Document::fetch(admin).await;
    for request in [put("/log-level", r#"{"level":"info"}"#), with_token(put("/log-level", r#"{"level":"info"}"#))] {
        let answer = Client::ask(admin, &request).await;
        assert_eq!(kind(&answer), (403, "no_token_configured".to_owned()), "{}", answer.text());
        assert!(answer.text().contains("token: env:ONLY1MCP_ADMIN_TOKEN"), "{}", answer.text());
        document.check("put", &format!("{BASE}/log-level"), &answer);
    }
}

#[tokio::test]
async fn what_administrators_are_answered_is_counted_by_status() {
    let routed = Routed::start();
    let count = |samples: &BTreeMap<String, f64>, code: u16| {
        samples[&format!("only1mcp_admin_requests_total{{code=\"{code}\"}}")]
    };
    let before = samples(routed.admin).await;
    for request in
        [get("/nothing"), get("/nothing"), put("/log-level", "{}"), get("/metrics").with("Host", "evil.example")]
    {
        Client::ask(routed.admin, &request).await;
    }
    let after = samples(routed.admin).await;
    let more = [404, 401, 403, 200, 500].map(|code| count(&after, code) - count(&before, code));
    // The samples of before were answered before they were counted.
    assert_eq!(more, [2.0, 1.0, 1.0, 1.0, 0.0]);
    // Nor do those get by whose head nobody could read.
    for (head, code) in [("NO HTTP\r\n\r\n".to_owned(), 400), (format!("GET /{}", "x".repeat(20 << 10)), 431)] {
        Client::connect(routed.admin).await.write(head.as_bytes()).await;
        let is_counted = async { while count(&samples(routed.admin).await, code) <= count(&after, code) {} };
        within("that it is counted", is_counted).await;
    }
}

#[tokio::test]
async fn lists_come_whole_in_parts_and_filtered() {
    let routed = Routed::start();
    let all = routed.json("/tools").await;
    let every = names(&all);
    let total = all["total"].as_u64().expect("a number");
    assert_eq!((every.len() as u64, &all["next"]), (total, &Value::Null));
    assert!(total > 3, "{all:#}");
    let (mut parts, mut next) = (Vec::new(), Some(0));
    while let Some(offset) = next {
        let part = routed.json(&format!("/tools?limit=3&offset={offset}")).await;
        parts.extend(names(&part).into_iter().map(ToOwned::to_owned));
        assert_eq!(part["total"], total);
        next = part["next"].as_u64();
    }
    assert_eq!(parts, every);
    let nothing = routed.json("/tools?limit=0").await;
    assert_eq!((names(&nothing).len(), &nothing["next"]), (0, &Value::Null), "nobody is to ask for ever");
    assert_eq!(names(&routed.json(&format!("/tools?offset={}", u64::MAX)).await).len(), 0);

    let of_data = routed.json("/tools?server=data").await;
    let items = of_data["items"].as_array().expect("items");
    assert!(!items.is_empty() && items.iter().all(|tool| tool["server"] == "data"), "{of_data:#}");
    let led = items.iter().find(|tool| tool["name"] == "mirror-of-the-data__query").expect("a route leads it there");
    assert_eq!((&led["origin"], &led["upstream"]), (&json!("mirror-of-the-data"), &json!("query")));
    assert!(items.iter().any(|tool| tool["fallbacks"] == json!(["mirror-of-the-data"])), "{of_data:#}");

    let rules = routed.json("/routes?subject=resources&server=data").await;
    let kinds: BTreeSet<&str> =
        rules["items"].as_array().expect("items").iter().filter_map(|rule| rule["rule"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["exact", "pattern", "template"]), "{rules:#}");
}

#[tokio::test]
async fn a_name_leads_where_calls_of_it_go_and_the_rule_is_told() {
    let routed = Routed::start();
    for (name, expected) in [
        ("data__query", ("tools", "exact", "data__query", "data", "query")),
        ("mirror-of-the-data__query", ("tools", "exact", "mirror-of-the-data__query", "data", "query")),
        (
            "mirror-of-the-data__extra_x",
            ("tools", "pattern", "mirror-of-the-data__extra_*", "mirror-of-the-data", "extra_x"),
        ),
        ("data%3A%2F%2Fnew%20one", ("resources", "pattern", "data://*", "data", "data://new one")),
    ] {
        let told = routed.json(&format!("/routes/{name}")).await;
        let decision = &told["decisions"][0];
        let member = |name: &str| decision[name].as_str().unwrap_or_default();
        let found = (member("subject"), member("rule"), member("by"), member("server"), member("upstream"));
        assert_eq!(found, expected, "{told:#}");
    }
    let denied = routed.ask("/routes/mirror-of-the-data__extra_drop_x").await;
    assert_eq!(kind(&denied), (404, "not_found".to_owned()));
    let outcome = call(routed.gateway.address(), "mirror-of-the-data__extra_drop_x", "x").await;
    assert!(!matches!(outcome, Outcome::Text(_)), "{outcome:?}");
}

#[tokio::test]
async fn servers_tell_what_their_calls_came_to_and_how_their_children_fare() {
    let odd = Server::start(modern(|_| vec![Step::Close]));
    let good = Server::start(modern(|request| vec![json_answer(200, &text_body(&request.id(), request.argument()))]));
    let builder = Gateway::<Servers>::builder().workers(2).admin_address("127.0.0.1:0");
    let builder = builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url());
    let gateway = builder.start().expect("the gateway starts");
    let admin = gateway.admin_address().expect("there is an admin listener");
    assert_eq!(call(gateway.address(), "good__echo", "x").await, Outcome::Text("x".to_owned()));
    assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::failed("outcome_unknown", true));
    let of = |health: &Value, name: &str| {
        let servers = health["servers"].as_array().expect("servers");
        servers.iter().find(|server| server["name"] == name).expect("it is there").clone()
    };
    // Once they are counted, which they are after they are answered.
    let health = within("both calls", async {
        loop {
            let health = Client::ask(admin, &get(&format!("{BASE}/health"))).await;
            let [good, odd] = ["good", "odd"].map(|name| of(&health.json(), name)["calls"].take());
            if good["answered"] == 1 && odd["failed"] == 1 {
                break health;
            }
        }
    })
    .await;
    Document::fetch(admin).await.check("get", &format!("{BASE}/health"), &health);
    let health = health.json();
    let (good, odd) = (of(&health, "good"), of(&health, "odd"));
    assert_eq!(
        (&good["state"], &good["calls"]["answered"], &good["calls"]["failed"]),
        (&json!("unknown"), &json!(1), &json!(0))
    );
    assert_eq!(good["calls"]["last_failure"], Value::Null);
    assert_eq!((&odd["calls"]["answered"], &odd["calls"]["failed"]), (&json!(0), &json!(1)));
    assert_eq!(odd["calls"]["failed_by_kind"]["outcome_unknown"], 1);
    assert_eq!(odd["calls"]["last_failure"]["kind"], "outcome_unknown");
    let endpoint = json!({
        "name": "env:ODD_URL",
        "calls_under_way": 0,
        "breaker": "off",
        "open_ms": null,
        "health": null,
        "rests_ms": null,
    });
    assert_eq!(odd["endpoints"], json!([endpoint]));
}

#[tokio::test]
async fn a_server_with_a_child_is_up_once_that_is_ready() {
    let mut started = Started::with(&["--port", "0", "--admin-port", "0"]);
    let admin = started.admin_address();
    let server = within("the child is ready", async {
        loop {
            let server = Client::ask(admin, &get(&format!("{BASE}/servers/math"))).await;
            if server.json()["state"] == "up" {
                break server;
            }
        }
    })
    .await;
    Document::fetch(admin).await.check("get", &format!("{BASE}/servers/{{name}}"), &server);
    let server = server.json();
    assert_eq!((&server["transport"], &server["place"]), (&json!("stdio"), &json!("self demo-server math")));
    assert_eq!((&server["children"][0]["state"], &server["children"][0]["generation"]), (&json!("ready"), &json!(1)));
    assert_eq!(server["timeout"], json!({ "ms": 30_000, "origin": "default", "line": null }));
    let tools = Client::ask(admin, &get(&format!("{BASE}/tools?server=math"))).await.json();
    assert_eq!(server["offers"]["tools"], tools["total"]);
}

#[tokio::test]
async fn every_setting_in_force_is_told_with_who_set_it() {
    let servers = [Recorder::start(), Recorder::start()];
    let overlay =
        "backends: { data: { timeout: 2s, weights: [7], tools: { deny: [one, two] } }, admin: { disabled: true } }";
    let overlay = Source { path: "overlay.yaml".to_owned(), text: overlay.to_owned() };
    let overlay = only1mcp_model::overlay::load(&overlay, Views::SPEC.compiled()).expect("a good overlay");
    let builder = Gateway::<Views>::builder().workers(1).reference("SEAL_KEY", SEAL_KEY).overlay(overlay);
    let builder = builder.reference("ADMIN_URL", servers[0].url()).reference("DATA_URL", servers[1].url());
    let builder = builder.admin_address("127.0.0.1:0").reference("SECRET", "a-secret-token");
    let gateway = builder.admin_token(Reference::Env("SECRET".into())).start().expect("the gateway starts");
    let admin = gateway.admin_address().expect("there is an admin listener");
    let path = format!("{BASE}/config");
    let answer = Client::ask(admin, &get(&path)).await;
    Document::fetch(admin).await.check("get", &path, &answer);
    let config = answer.json();
    let settings = config["settings"].as_array().expect("settings");
    for (path, value, origin, line) in [
        ("name", json!("views"), "topology", json!(2)),
        ("listen.mcp.path", json!("/mcp"), "default", Value::Null),
        ("listen.mcp.backends", json!(false), "topology", json!(3)),
        ("listen.admin.address", json!("127.0.0.1:0"), "flag", Value::Null),
        ("listen.admin.token", json!("env:SECRET"), "flag", Value::Null),
        ("sessions.seal_key", json!("env:SEAL_KEY"), "env", json!(4)),
        ("backends.data.endpoints[0].url", json!("env:DATA_URL"), "env", json!(12)),
        ("backends.data.timeout", json!("2s"), "overlay", Value::Null),
        ("backends.data.disabled", json!(false), "default", Value::Null),
        ("backends.data.endpoints[0].weight", json!(7), "overlay", Value::Null),
        ("backends.data.tools.deny", json!(["extra_drop_*", "one", "two"]), "overlay", Value::Null),
        ("backends.admin.timeout", json!("30s"), "default", Value::Null),
        ("backends.admin.disabled", json!(true), "overlay", Value::Null),
        ("routes[0].to", json!("data"), "topology", json!(16)),
        ("views.tables.budget", json!("2000 tokens"), "topology", json!(23)),
    ] {
        let found: Vec<&Value> = settings.iter().filter(|setting| setting["path"] == path).collect();
        let expected = json!({ "path": path, "value": value, "origin": origin, "line": line });
        assert_eq!(found, [&expected]);
    }
    let text = answer.text();
    for secret in [SEAL_KEY, "a-secret-token", &servers[0].url()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let disabled = Client::ask(admin, &get(&format!("{BASE}/servers/admin"))).await.json();
    assert_eq!((&disabled["state"], &disabled["disabled"]), (&json!("disabled"), &json!(true)));
}

#[tokio::test]
async fn a_gateway_that_drains_is_not_ready_and_lives() {
    let mut held = Held::start();
    let builder = Gateway::<Servers>::builder().workers(1).admin_address("127.0.0.1:0");
    let builder = builder.reference("ODD_URL", held.recorder.url()).reference("GOOD_URL", held.recorder.url());
    let gateway = builder.start().expect("the gateway starts");
    let (address, admin) = (gateway.address(), gateway.admin_address().expect("there is an admin listener"));
    let document = Document::fetch(admin).await;
    let ready = Client::ask(admin, &get("/healthz/ready")).await;
    assert_eq!((ready.status, ready.json()), (200, json!({ "ready": true, "reasons": [] })));
    let calling = tokio::spawn(async move { call(address, "good__echo", "x").await });
    held.recorder.post().await;
    let stopping = tokio::task::spawn_blocking(|| gateway.stop());
    let drained = within("it says so", async {
        loop {
            let ready = Client::ask(admin, &get(&format!("{BASE}/ready"))).await;
            if ready.status != 200 {
                break ready;
            }
        }
    })
    .await;
    assert_eq!(drained.status, 503);
    document.check("get", &format!("{BASE}/ready"), &drained);
    assert_eq!(drained.json()["reasons"][0]["kind"], "draining");
    assert_eq!(Client::ask(admin, &get("/healthz/live")).await.status, 200);
    held.release(1);
    assert_eq!(within("the call", calling).await.expect("it ended"), Outcome::Text("done".to_owned()));
    within("the gateway stops", stopping).await.expect("it stopped");
}

#[tokio::test]
async fn the_log_level_changes_while_it_runs() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    let command =
        command.args(["start", "--quiet", "--port", "0", "--admin-port", "0", "--admin-token", "env:OPS_TOKEN"]);
    let command = command.env("OPS_TOKEN", TOKEN).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the binary starts");
    let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let admin = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("admin")?.trim().strip_prefix("http://")?.parse().ok());
    let admin: SocketAddr = admin.expect("it says where");
    let document = Document::fetch(admin).await;
    let path = format!("{BASE}/log-level");
    let level = Client::ask(admin, &get(&path)).await;
    document.check("get", &path, &level);
    assert_eq!(level.json(), json!({ "level": "error" }));
    for level in ["off", "debug"] {
        let told = with_token(put("/log-level", &format!(r#"{{"level":"{level}"}}"#)));
        let answer = Client::ask(admin, &told).await;
        document.check("put", &path, &answer);
        assert_eq!((answer.status, answer.json()), (200, json!({ "level": level })));
        assert_eq!(Client::ask(admin, &get(&path)).await.json(), json!({ "level": level }));
    }
    process.kill().expect("it runs");
    let output = process.wait_with_output().expect("it ended");
    let stderr = String::from_utf8(output.stderr).expect("text");
    let changes: Vec<&str> = stderr.lines().filter(|line| line.contains("log level is changed")).collect();
    // Of the change to `off` nothing is logged any more.
    assert!(changes.len() == 1 && changes[0].contains("level=debug before=off"), "{stderr}");
}

#[test]
fn a_token_on_the_command_line_is_refused() {
    let ran = run(&["start", "--admin-token", "a-long-token"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("write `env:NAME` or `file:PATH`"), "{}", ran.stderr);
}
