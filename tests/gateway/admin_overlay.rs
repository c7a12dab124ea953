//! What is set otherwise than compiled by way of the admin API, and by the commands that use it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use only1mcp::catalog::plan::Reference;
use only1mcp::demo::Eras;
use only1mcp::{Builder, Gateway, Running};
use serde_json::{Value, json};

use crate::support::client::{Answer, Client, Request, within};
use crate::support::demo::over_http;
use crate::support::ledger::Directory;
use crate::support::openapi::Document;
use crate::support::program::{Ran, run};
use crate::support::scripted::{Outcome, Servers, call, call_with};
use crate::support::server::{Server, Step, json_answer, modern, text_body};

const TOKEN: &str = "a-long-token";

/// A gateway whose overlay is kept in a file, with a token.
pub(crate) struct Operated {
    pub(crate) gateway: Running,
    pub(crate) admin: SocketAddr,
    document: Document,
    file: PathBuf,
    token: PathBuf,
    _directory: Directory,
    _servers: [Server; 2],
}

impl Operated {
    pub(crate) async fn start(overlay: &str) -> Self {
        Self::start_as(overlay, true).await
    }

    pub(crate) async fn start_as(overlay: &str, kept: bool) -> Self {
        Self::start_with(overlay, kept, |builder| builder).await
    }

    pub(crate) async fn start_with(
        overlay: &str,
        kept: bool,
        settings: impl FnOnce(Builder<Servers>) -> Builder<Servers>,
    ) -> Self {
        let directory = Directory::new();
        let (file, token) = (directory.path("overlay.yaml"), directory.path("token"));
        fs::write(&file, overlay).expect("a file");
        fs::write(&token, TOKEN).expect("a file");
        let echo = || {
            Server::start(modern(|call| match call.argument() {
                "lost" => vec![Step::Close],
                text => vec![json_answer(200, &text_body(&call.id(), text))],
            }))
        };
        let servers = [echo(), echo()];
        let builder = Gateway::<Servers>::builder().workers(2).admin_address("127.0.0.1:0");
        let builder = builder.reference("ODD_URL", servers[0].url()).reference("GOOD_URL", servers[1].url());
        let builder = builder.admin_token(Reference::File(token.display().to_string().into()));
        let builder = if kept { builder.overlay_file(&file) } else { builder };
        let gateway = settings(builder).start().expect("the gateway starts");
        let admin = gateway.admin_address().expect("there is an admin listener");
        let document = Document::fetch(admin).await;
        Self { gateway, admin, document, file, token, _directory: directory, _servers: servers }
    }

    /// Where the overlay is kept.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Asks for a change with the token; the answer is as it is described.
    pub(crate) async fn change(&self, method: &str, template: &str, path: &str, body: &str) -> Answer {
        let kind = if body.is_empty() { "" } else { "application/json" };
        self.change_as(method, (template, path), (kind, body)).await
    }

    pub(crate) async fn change_as(
        &self,
        method: &str,
        (template, path): (&str, &str),
        (kind, body): (&str, &str),
    ) -> Answer {
        let line = format!("{method} /api/v1/admin{path} HTTP/1.1");
        let mut request = Request::bare(&line).field("Authorization", format!("Bearer {TOKEN}"));
        if !kind.is_empty() {
            request = request.field("Content-Type", kind).with_body(body);
        }
        let answer = Client::ask(self.admin, &request).await;
        self.document.check(&method.to_ascii_lowercase(), &format!("/api/v1/admin{template}"), &answer);
        answer
    }

    pub(crate) async fn patch(&self, server: &str, body: &str) -> Answer {
        self.change("PATCH", "/servers/{name}", &format!("/servers/{server}"), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.read(&path.replace("servers/odd", "servers/{name}"), path).await
    }

    /// What is told at a path of this template.
    pub(crate) async fn read(&self, template: &str, path: &str) -> Value {
        let answer = self.ask(template, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The same, or why it is not.
    pub(crate) async fn ask(&self, template: &str, path: &str) -> Answer {
        let answer = Client::ask(self.admin, &Request::bare(&format!("GET /api/v1/admin{path} HTTP/1.1"))).await;
        self.document.check("get", &format!("/api/v1/admin{template}"), &answer);
        answer
    }

    pub(crate) async fn is_served(&self) -> bool {
        call(self.gateway.address(), "odd__echo", "x").await == Outcome::Text("x".to_owned())
    }

    /// The program, asking this gateway.
    fn command(&self, arguments: &[&str]) -> Ran {
        let (admin, token) = (self.admin.to_string(), format!("file:{}", self.token.display()));
        run(&[arguments, &["--admin", &admin, "--token", &token]].concat())
    }
}

pub(crate) fn kind(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["kind"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_server_is_taken_out_of_service_and_back() {
    let operated = Operated::start("{}\n").await;
    assert!(operated.is_served().await);
    let change = json!([{ "backend": "odd", "setting": "disabled", "compiled": "false", "overlay": "true" }]);
    let tried =
        operated.change("PATCH", "/servers/{name}", "/servers/odd?dry_run=1", r#"{"disabled":true}"#).await.json();
    assert_eq!((&tried["dry_run"], &tried["result"], &tried["changes"]), (&json!(true), &json!("applied"), &change));
    assert_eq!((&tried["generation"], operated.is_served().await), (&json!(0), true), "nothing is changed");

    let answer = operated.patch("odd", r#"{"disabled":true}"#).await;
    let outcome = answer.json();
    assert_eq!((answer.status, &outcome["generation"], &outcome["changes"]), (200, &json!(1), &change));
    assert!(!operated.is_served().await);
    let text = fs::read_to_string(&operated.file).expect("a file");
    assert_eq!((text.as_str(), &outcome["text"]), ("backends:\n  odd: { disabled: true }\n", &json!(text)));
    let server = operated.get("/servers/odd").await;
    assert_eq!((&server["state"], &server["disabled"]), (&json!("disabled"), &json!(true)));

    // What is not named stays, null takes it out.
    operated.patch("odd", r#"{"timeout":"2s","disabled":null,"drain":true}"#).await;
    let server = operated.get("/servers/odd").await;
    assert_eq!((&server["state"], &server["disabled"]), (&json!("draining"), &json!(false)));
    assert_eq!(server["timeout"], json!({ "ms": 2_000, "origin": "overlay", "line": null }));
    assert!(!operated.is_served().await);
    operated.patch("odd", r#"{"drain":null}"#).await;
    assert!(operated.is_served().await);
    assert_eq!(operated.get("/overlay").await["settings"], json!({ "backends": { "odd": { "timeout": "2s" } } }));
    let last = operated.patch("odd", r#"{"timeout":null}"#).await.json();
    assert_eq!((&last["text"], &last["changes"]), (&json!("{}\n"), &json!([])));
    let server = operated.get("/servers/odd").await;
    assert_eq!(server["timeout"], json!({ "ms": 1_000, "origin": "topology", "line": 10 }));
    let unchanged = operated.patch("odd", "{}").await.json();
    assert_eq!((&unchanged["result"], &unchanged["generation"]), (&json!("unchanged"), &last["generation"]));
}

#[tokio::test]
async fn an_overlay_is_set_whole_or_in_part_and_taken_back() {
    let operated = Operated::start("{}\n").await;
    let path = ("/overlay", "/overlay");
    let none = operated.change("POST", "/overlay/rollback", "/overlay/rollback", "").await;
    assert_eq!(kind(&none), (409, "conflict".to_owned()));
    let text = "# while the disk is full\nbackends: { odd: { drain: true } }\n";
    let put = operated.change_as("PUT", path, ("application/yaml; charset=utf-8", text)).await;
    assert_eq!((put.status, fs::read_to_string(&operated.file).expect("a file").as_str()), (200, text));
    let overlay = operated.get("/overlay").await;
    let expected = (&json!("edit"), &json!(text), &json!(1), &json!(1), &json!(operated.file.display().to_string()));
    assert_eq!(
        (&overlay["by"], &overlay["text"], &overlay["generation"], &overlay["earlier"], &overlay["file"]),
        expected
    );
    let body = r#"{"backends":{"odd":null,"good":{"timeout":"3s"}}}"#;
    operated.change("PATCH", "/overlay", "/overlay", body).await;
    assert_eq!(operated.get("/overlay").await["settings"], json!({ "backends": { "good": { "timeout": "3s" } } }));
    let back = operated.change("POST", "/overlay/rollback", "/overlay/rollback", "").await;
    assert_eq!((back.status, &back.json()["text"]), (200, &json!(text)));
    assert_eq!(operated.get("/overlay").await["by"], "rollback");
    let put = operated.change("PUT", "/overlay", "/overlay", r#"{"backends":{}}"#).await.json();
    assert_eq!((&put["text"], operated.is_served().await), (&json!("{}\n"), true));
}

#[tokio::test]
async fn what_is_no_overlay_changes_nothing_and_every_problem_is_told() {
    let operated = Operated::start("{}\n").await;
    let path = ("/overlay", "/overlay");
    let yaml = "backends:\n  odd: { timeout: soon }\n  nobody: { disabled: true }\n";
    let refused = operated.change_as("PUT", path, ("application/yaml", yaml)).await;
    assert_eq!(kind(&refused), (422, "invalid_overlay".to_owned()));
    let problems = refused.json()["error"]["diagnostics"].clone();
    let places: Vec<_> = problems.as_array().expect("a list").iter().map(|one| &one["place"]["line"]).collect();
    assert_eq!(places, [&json!(2), &json!(3)], "{problems:#}");
    for (body, expected) in [
        (r#"{"disabled":"yes"}"#, (422, "invalid_overlay")),
        (r#"{"timeout":"0s"}"#, (422, "invalid_overlay")),
        (r#"{"weight":3}"#, (422, "invalid_overlay")),
        (r#"{"disabled":true,}"#, (400, "malformed_json")),
        ("[]", (400, "invalid_body")),
        ("null", (400, "invalid_body")),
    ] {
        let answer = operated.patch("odd", body).await;
        assert_eq!(kind(&answer), (expected.0, expected.1.to_owned()), "{body}: {}", answer.text());
    }
    assert_eq!(kind(&operated.patch("nobody", "{}").await), (404, "not_found".to_owned()));
    let unsure = operated.change("PATCH", "/servers/{name}", "/servers/odd?dry_run=maybe", "{}").await;
    assert_eq!(kind(&unsure), (400, "invalid_query".to_owned()));
    let yaml = operated.change_as("PATCH", path, ("application/yaml", "{}")).await;
    assert_eq!(kind(&yaml), (415, "unsupported_media_type".to_owned()));
    let body = operated.change("POST", "/reload", "/reload", "{}").await;
    assert_eq!(kind(&body), (413, "payload_too_large".to_owned()));
    let null = operated.change("PUT", "/overlay", "/overlay", "null").await;
    assert_eq!(kind(&null), (422, "invalid_overlay".to_owned()));
    for (method, path) in
        [("PATCH", "/servers/odd"), ("PUT", "/overlay"), ("POST", "/reload"), ("POST", "/overlay/rollback")]
    {
        let stranger = Request::bare(&format!("{method} /api/v1/admin{path} HTTP/1.1"));
        let answer = Client::ask(operated.admin, &stranger.field("Authorization", "Bearer another-token")).await;
        assert_eq!(kind(&answer), (401, "unauthorized".to_owned()), "{method} {path}");
    }
    let overlay = operated.get("/overlay").await;
    assert_eq!((&overlay["generation"], operated.is_served().await), (&json!(0), true));
}

#[tokio::test]
async fn the_file_is_read_anew_when_somebody_asks() {
    let operated = Operated::start("{}\n").await;
    let reload = async |query: &str| operated.change("POST", "/reload", &format!("/reload{query}"), "").await;
    assert_eq!(reload("").await.json()["result"], "unchanged");
    fs::write(&operated.file, "backends: { odd: { disabled: true } }\n").expect("a file");
    let tried = reload("?dry_run=1").await.json();
    assert_eq!((&tried["dry_run"], &tried["changes"][0]["setting"]), (&json!(true), &json!("disabled")));
    assert_eq!(reload("").await.status, 200);
    assert!(!operated.is_served().await);
    fs::write(&operated.file, "backends: { odd: { disabled: maybe } }\n").expect("a file");
    for query in ["?dry_run=1", ""] {
        let refused = reload(query).await;
        assert_eq!(kind(&refused), (422, "invalid_overlay".to_owned()), "{}", refused.text());
        assert_eq!(refused.json()["error"]["diagnostics"][0]["place"]["line"], 1);
    }
    let rejected = operated.get("/overlay").await["rejected"].clone();
    assert_eq!(rejected["diagnostics"][0]["place"]["column"], 30, "{rejected:#}");
    // What is in force is not in the file: setting the same mends that.
    let text = "backends: { odd: { disabled: true } }\n";
    operated.change_as("PUT", ("/overlay", "/overlay"), ("application/yaml", text)).await;
    assert_eq!(fs::read_to_string(&operated.file).expect("a file"), text);
    assert_eq!(operated.get("/overlay").await["rejected"], Value::Null);

    let unkept = Operated::start_as("", false).await;
    assert_eq!(kind(&unkept.change("POST", "/reload", "/reload", "").await), (409, "conflict".to_owned()));
    assert_eq!(unkept.patch("odd", r#"{"disabled":true}"#).await.status, 200);
    assert!(!unkept.is_served().await);
    assert_eq!(unkept.get("/overlay").await["file"], Value::Null);
}

#[tokio::test]
async fn a_server_is_added_and_taken_out_by_name() {
    let operated = Operated::start("{}\n").await;
    let more = over_http(Eras::Modern, ([127, 0, 0, 1], 0).into());
    let url = format!("http://{}/mcp", more.address);
    let address = operated.gateway.address();
    let tried = operated.command(&["backend", "add", "more", "--url", &url, "--dry-run"]);
    assert!(tried.code == Some(0) && tried.stdout.starts_with("applied (nothing is changed)"), "{tried:?}");
    let added = operated.command(&["backend", "add", "more", "--url", &url]);
    assert!(added.code == Some(0) && added.stdout.starts_with("applied\n"), "{added:?}");
    let echoed = call(address, "more__echo", "x").await;
    assert_eq!(echoed, Outcome::Text(r#"{"text":"x"}"#.to_owned()));
    let servers = operated.get("/servers").await["items"].take();
    let of_more = servers.as_array().into_iter().flatten().find(|server| server["name"] == "more").expect("it is told");
    assert_eq!((&of_more["from"], &of_more["offers"]["tools"]), (&json!("overlay"), &json!(4)), "{of_more}");
    let kept = fs::read_to_string(&operated.file).expect("a file");
    assert!(kept.contains(&url), "{kept}");
    for (server, expected) in [
        (
            json!({ "name": "more", "transport": { "streamable_http": {} }, "endpoints": [{ "url": url }] }),
            (409, "conflict"),
        ),
        (
            json!({ "name": "odd", "transport": { "streamable_http": {} }, "endpoints": [{ "url": url }] }),
            (409, "conflict"),
        ),
        (json!({ "name": "third" }), (400, "invalid_body")),
        (json!({ "transport": { "streamable_http": {} }, "endpoints": [{ "url": url }] }), (400, "invalid_body")),
        (json!({ "name": "third", "transport": { "stdio": { "command": "sh" } } }), (422, "invalid_overlay")),
        (json!({ "name": "third", "transport": { "streamable_http": {} } }), (422, "invalid_overlay")),
    ] {
        let refused = operated.change("POST", "/servers", "/servers", &server.to_string()).await;
        let (status, word) = expected;
        assert_eq!(kind(&refused), (status, word.to_owned()), "{server}: {}", refused.text());
    }
    let compiled = operated.command(&["backend", "remove", "odd"]);
    assert!(compiled.code == Some(1) && compiled.stderr.contains("server is compiled"), "{compiled:?}");
    let removed = operated.command(&["backend", "remove", "more"]);
    assert_eq!((removed.code, removed.stdout.as_str()), (Some(0), "applied\n"));
    assert!(matches!(call(address, "more__echo", "x").await, Outcome::Error(_) | Outcome::Other(_)));
    let nobody = operated.change("DELETE", "/servers/{name}", "/servers/more", "").await;
    assert_eq!(kind(&nobody), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_server_that_is_started_is_added_where_whoever_started_the_gateway_lets_it() {
    let program = env!("CARGO_BIN_EXE_only1mcp");
    let add = ["backend", "add", "more", "--"];
    let command = [&add[..], &[program, "demo-server", "math"]].concat();
    let of_url = ["backend", "add", "more", "--url", "http://127.0.0.1:9/mcp", "--", "sh"];

    let closed = Operated::start("{}\n").await;
    // The place of the gateway's comes before what stands behind `--`.
    let add_to = |operated: &Operated, more: &[&str]| {
        let (admin, token) = (operated.admin.to_string(), format!("file:{}", operated.token.display()));
        let place = ["backend", "add", "more", "--admin", &admin, "--token", &token];
        run(&[&place[..], more, &command[3..]].concat())
    };
    let refused = add_to(&closed, &[]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("E0227: backend `more` would be started"), "{refused:?}");
    let server = json!({ "name": "more", "transport": { "stdio": { "command": program } } });
    let answer = closed.change("POST", "/servers", "/servers", &server.to_string()).await;
    assert_eq!(kind(&answer), (422, "invalid_overlay".to_owned()));
    assert!(answer.text().contains("--overlay-commands"), "{}", answer.text());
    assert_eq!(run(&of_url).code, Some(2));

    let open = Operated::start_with("{}\n", true, |builder| builder.overlay_commands()).await;
    let added = add_to(&open, &["--env", "GREETING=hello", "--cwd", "/"]);
    assert!(added.code == Some(0) && added.stdout.starts_with("applied\n"), "{added:?}");
    let address = open.gateway.address();
    let sum = call_with(address, "more__add", &json!({ "a": 2, "b": 3 })).await;
    assert_eq!(sum, Outcome::Text("5".to_owned()));
    let kept = fs::read_to_string(&open.file).expect("a file");
    let expected = format!(
        r#"  more: {{ "transport":{{"stdio":{{"args":["demo-server","math"],"command":"{program}","cwd":"/","env":{{"GREETING":"hello"}}}}}} }}"#
    );
    assert_eq!(kept, format!("backends:\n{expected}\n"));
    let server = open.get("/servers").await["items"].take();
    let server = server.as_array().into_iter().flatten().find(|server| server["name"] == "more").expect("it is told");
    assert_eq!((&server["state"], &server["transport"]), (&json!("up"), &json!("stdio")), "{server}");
    let children = open.get("/system").await["children"].take();
    assert_eq!((&children[0]["backend"], &children[0]["state"]), (&json!("more"), &json!("ready")), "{children}");
    assert_eq!(open.command(&["backend", "remove", "more"]).code, Some(0));
    assert_eq!(open.get("/system").await["children"], json!([]));
}

#[tokio::test]
async fn a_circuit_is_seen_open_and_closed_by_hand() {
    let operated = Operated::start("{}\n").await;
    let body = r#"{"circuit_breaker":{"failures":1,"open":"10m"}}"#;
    assert_eq!(operated.patch("odd", body).await.status, 200);
    let address = operated.gateway.address();
    let open = Outcome::failed("circuit_open", false);
    within("an open circuit", async { while call(address, "odd__echo", "lost").await != open {} }).await;
    let breakers = async || operated.get("/breakers").await["items"].take();
    let told = breakers().await;
    let (odd, good) = (&told[0], &told[1]);
    assert_eq!(
        (&odd["server"], &odd["endpoint"], &odd["breaker"]),
        (&json!("odd"), &json!("env:ODD_URL"), &json!("open"))
    );
    assert!(odd["open_ms"].as_u64().is_some_and(|left| (1..=600_000).contains(&left)), "{odd}");
    assert_eq!((&good["breaker"], &good["open_ms"]), (&json!("off"), &Value::Null));
    let settings = operated.get("/config").await["settings"].take();
    let of_breaker =
        |setting: &&Value| setting["path"].as_str().is_some_and(|path| path.starts_with("backends.odd.circuit"));
    let found: Vec<&Value> = settings.as_array().into_iter().flatten().filter(of_breaker).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|setting| setting["origin"] == "overlay"), "{found:?}");
    assert!(
        found.iter().any(|setting| setting["path"] == "backends.odd.circuit_breaker.failures" && setting["value"] == 1)
    );
    // With the token alone.
    let stranger = Client::ask(operated.admin, &Request::bare("POST /api/v1/admin/breakers/reset HTTP/1.1")).await;
    assert_eq!(stranger.status, 401);
    let nobody = operated.change("POST", "/breakers/reset", "/breakers/reset?server=nobody", "").await;
    assert_eq!(kind(&nobody), (404, "not_found".to_owned()));
    for closed in [1, 0] {
        let reset = operated.change("POST", "/breakers/reset", "/breakers/reset?server=odd", "").await;
        assert_eq!((reset.status, reset.json()), (200, json!({ "closed": closed })));
    }
    assert!(operated.is_served().await);
}

#[tokio::test]
async fn commands_change_a_gateway_that_runs() {
    let operated = Operated::start("{}\n").await;
    let tried = operated.command(&["backend", "disable", "odd", "--dry-run"]);
    assert_eq!(tried.code, Some(0), "{tried:?}");
    assert_eq!(tried.stdout, "applied (nothing is changed)\n  odd.disabled  false -> true\n");
    assert!(operated.is_served().await);
    let disabled = operated.command(&["backend", "disable", "odd"]);
    assert_eq!((disabled.code, disabled.stdout.as_str()), (Some(0), "applied\n  odd.disabled  false -> true\n"));
    assert!(!operated.is_served().await);
    let drained = operated.command(&["backend", "drain", "odd"]);
    assert_eq!(drained.stdout, "applied\n  odd.drain  false -> true\n");
    let shown = operated.command(&["overlay", "show"]);
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), "backends:\n  odd: { drain: true }\n"));
    let json: Value = serde_json::from_str(&operated.command(&["overlay", "show", "-o", "json"]).stdout).expect("JSON");
    assert_eq!((&json["generation"], &json["earlier"]), (&json!(2), &json!(2)));
    let back = operated.command(&["overlay", "rollback"]);
    assert_eq!(back.stdout, "applied\n  odd.disabled  false -> true\n");
    let enabled = operated.command(&["backend", "enable", "odd"]);
    assert_eq!((enabled.code, enabled.stdout.as_str()), (Some(0), "applied\n"));
    assert!(operated.is_served().await);
    let weighed = operated.command(&["backend", "weight", "good", "7"]);
    assert_eq!(weighed.stdout, "applied\n  good.weights  [1] -> [7]\n");
    let wrong = operated.command(&["backend", "weight", "good", "7", "8"]);
    assert!(wrong.code == Some(3) && wrong.stderr.contains("2 weights for the 1 endpoints"), "{wrong:?}");
    assert!(wrong.stderr.contains("\n    help: write one for each, in the order of the topology"), "{wrong:?}");
    let wrong = operated.command(&["backend", "weight", "good", "--in-routes", "7"]);
    assert!(wrong.code == Some(3) && wrong.stderr.contains("is on no compiled route to several"), "{wrong:?}");
    // What is set already stays as it is, whatever else is changed.
    let drained = operated.command(&["backend", "drain", "odd"]);
    assert_eq!(drained.stdout, "applied\n  odd.drain  false -> true\n  good.weights  [1] -> [7]\n");
    assert_eq!(operated.command(&["backend", "enable", "odd"]).stdout, "applied\n  good.weights  [1] -> [7]\n");
    assert_eq!(operated.command(&["backend", "weight", "good"]).stdout, "applied\n");
    assert_eq!(operated.command(&["reload"]).stdout, "unchanged\n");
    fs::write(&operated.file, "backends: { odd: { disabled: maybe } }\n").expect("a file");
    let invalid = operated.command(&["reload", "--dry-run"]);
    assert_eq!(invalid.code, Some(3), "{invalid:?}");
    assert!(invalid.stderr.contains("overlay does not pass its checks\n  E0"), "{}", invalid.stderr);
    // Nor is it taken for what is in force once it was refused.
    within("that it is refused", async { while operated.get("/overlay").await["rejected"].is_null() {} }).await;
    let refused = operated.command(&["reload"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("does not pass its checks"), "{refused:?}");
    let unknown = operated.command(&["backend", "drain", "no/body"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("refuses with 404: server `no/body` is not there"), "{}", unknown.stderr);
    let stranger = run(&["backend", "drain", "odd", "--admin", &operated.admin.to_string()]);
    assert!(stranger.code == Some(1) && stranger.stderr.contains("`--token env:NAME` shows it"), "{stranger:?}");
}
