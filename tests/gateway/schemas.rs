//! Schemas of tools. The gateway shows them and does not go by them: what they refuse is the server's to refuse, what they
//! refer to nobody fetches, and a tool with one that no message can hold is left out.

use std::net::TcpListener;

use only1mcp::Gateway;
use serde_json::{Value, json};

use crate::params::Params;
use crate::support::client::{Client, Request};
use crate::support::gateways;
use crate::support::ledger::Directory;
use crate::support::program::run;
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::server::{Server, event_stream, json_answer, modern};

/// Notices whoever comes.
struct Canary(TcpListener);

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}/schema.json", self.0.local_addr().expect("it is bound"))
    }

    /// Nobody connected, be it for as long as it takes to look.
    fn assert_untouched(&self) {
        let accepted = self.0.accept().map(|(_, peer)| peer);
        assert!(matches!(&accepted, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{accepted:?}");
    }
}

/// A server with these tools, as text.
fn listing(tools: String) -> Server {
    Server::start(modern(move |request| {
        let result = format!(r#"{{"tools":{tools},"ttlMs":0,"cacheScope":"public","resultType":"complete"}}"#);
        vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request.id()))]
    }))
}

/// A backend with a server at this URL.
fn http(url: &str) -> String {
    format!("transport: {{ streamable_http: {{}} }}\n    endpoints: [{{ url: \"{url}\" }}]")
}

/// A topology with this backend.
fn topology(directory: &Directory, backend: &str) -> String {
    let path = directory.path("some.yaml");
    std::fs::write(&path, format!("name: some\nbackends:\n  web:\n    {backend}\n")).expect("a directory of this test");
    path.display().to_string()
}

#[tokio::test]
async fn arguments_that_a_schema_refuses_reach_the_server_as_they_are() {
    let mut upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for arguments in [r#"{"milliseconds":"long"}"#, r#"{"milliseconds":1e999,"steps":[ ]}"#, r#"{"nothing":null}"#] {
        let answer = client.exchange(&Request::call("admin__wait", arguments)).await;
        assert_eq!((answer.status, answer.code()), (200, None), "{arguments}: {}", answer.text());
        assert!(upstream.post().await.body.contains(&format!(r#""arguments":{arguments}"#)), "{arguments}");
    }
    // A server that looks says so in words of its own.
    let gateway = gateways::demo();
    let answer = Client::ask(gateway.address(), &Request::call("math__add", r#"{"a":"2","c":3}"#)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["result"]["isError"], true, "{}", answer.text());
}

#[tokio::test]
async fn what_a_schema_refers_to_is_fetched_by_nobody() {
    let canary = Canary::new();
    let reference = json!({ "$ref": canary.url() }).to_string();
    let schema = format!(
        r#"{{"$schema":"{0}","$id":"{0}","type":"object","properties":{{"a":{reference}}},"allOf":[{reference}],"$dynamicRef":"{0}"}}"#,
        canary.url()
    );
    let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{schema},"outputSchema":{reference}}}"#);
    let server = listing(format!("[{}]", tool("leads")));
    let directory = Directory::new();
    let topology = topology(&directory, &http(&server.url()));
    for command in [
        &["topology", "lock"][..],
        &["topology", "lock", "--check"],
        &["topology", "diff"],
        &["topology", "report"],
        &["validate"],
    ] {
        let ran = run(&[command, &[&topology]].concat());
        assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
        let warning = format!("warning[E0509]: schema of tool `leads` of backend `web` refers to `{}`", canary.url());
        let warns = matches!(command, ["topology", "lock"] | ["validate"]);
        assert_eq!(ran.stderr.matches(&warning).count(), usize::from(warns), "{command:?}: {ran:?}");
    }
    let lock = std::fs::read_to_string(directory.path("some.lock.json")).expect("it was written");
    let lock: Value = serde_json::from_str(&lock).expect("JSON");
    let recorded: Value = serde_json::from_str(&tool("leads")).expect("JSON");
    assert_eq!(lock["backends"]["web"]["tools"][0]["item"], recorded);
    canary.assert_untouched();

    // A gateway that lists the tool again, for the sake of its headers.
    let listed = format!(r#"{{"tools":[{}],"resultType":"complete"}}"#, tool("plain"));
    let near = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| match post.body.contains("tools/list") {
        true => wire.result(&listed).await,
        false if post.body.contains("refused") => {
            let error = r#"{"code":-32020,"message":"m"}"#;
            wire.answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, post.id)).await
        }
        false => wire.result(DONE).await,
    });
    let builder = Gateway::<Params>::builder().workers(1).reference("NEAR_URL", near.url());
    let gateway = builder.reference("FAR_URL", near.url()).start().expect("the gateway starts");
    for (arguments, code) in [(r#"{"a":1}"#, None), (r#"{"a":"refused"}"#, Some(-32020))] {
        let answer = Client::ask(gateway.address(), &Request::call("near__plain", arguments)).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
    }
    assert_eq!(near.calls(), 3, "it was listed again");
    canary.assert_untouched();
}

/// A schema whose inside lies so many levels deep, two for each keyword.
fn nested(keywords: usize) -> String {
    format!(r#"{}{{}}{}"#, r#"{"allOf":["#.repeat(keywords), "]}".repeat(keywords))
}

/// A child that greets in the modern way and lists these tools, in an answer whose result comes first.
fn listing_child(directory: &Directory, tools: &str) -> String {
    let (list, script) = (directory.path("list.json"), directory.path("list.sh"));
    std::fs::write(&list, format!(r#"{{"tools":{tools},"resultType":"complete"}}"#)).expect("a directory of this test");
    let text = format!(
        r#"while read -r line; do
  id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
  case $line in
    *server/discover*) result='{{"supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}}}}' ;;
    *) result=$(cat {list}) ;;
  esac
  printf '{{"result":%s,"jsonrpc":"2.0","id":%s}}\n' "$result" "$id"
done
"#,
        list = list.display()
    );
    std::fs::write(&script, text).expect("a directory of this test");
    format!("transport: {{ stdio: {{ command: sh, args: [\"{}\"] }} }}", script.display())
}

#[test]
fn a_tool_with_a_schema_that_nests_too_deep_is_left_out_and_the_others_are_locked() {
    let (sound, deepest) = (r#"{"name":"sound","inputSchema":{"type":"object"}}"#, nested(59));
    let tool = |name: &str, schema: &str| format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#);
    let tools = [
        tool("deep", &nested(60)),
        tool("deepest", &deepest),
        tool("abyss", &nested(10_000)),
        sound.to_owned(),
        tool("between", &nested(62)),
    ];
    let tools = format!("[{}]", tools.join(","));
    let answer = {
        let tools = tools.clone();
        move |id: String| {
            let result = format!(r#"{{"tools":{tools},"ttlMs":0,"cacheScope":"public","resultType":"complete"}}"#);
            format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{id}}}"#)
        }
    };
    let streaming = Server::start(modern(move |request| event_stream(&[&answer(request.id())])));
    let (plain, directory) = (listing(tools.clone()), Directory::new());
    for backend in [http(&plain.url()), http(&streaming.url()), listing_child(&directory, &tools)] {
        let path = topology(&directory, &backend);
        let ran = run(&["topology", "lock", &path]);
        assert_eq!(ran.code, Some(0), "{backend}: {ran:?}");
        assert!(ran.stdout.contains("2 tools"), "{backend}: {ran:?}");
        for name in ["deep", "abyss", "between"] {
            let warning =
                format!("warning: backend `web`: tool `{name}` is left out: it nests deeper than 120 levels\n");
            assert_eq!(ran.stderr.matches(&warning).count(), 1, "{backend}: {ran:?}");
        }
        assert!(ran.stderr.len() < 1000, "it is not told in full");
        let lock = directory.path("some.lock.json");
        let text = std::fs::read_to_string(&lock).expect("it was written");
        let lock = only1mcp_model::lock::Lock::parse(&text).expect("a lock");
        let tools: Vec<_> = lock.backends["web"].tools.iter().map(|tool| (&*tool.name, tool.json.as_str())).collect();
        assert_eq!(tools, [("deepest", &*tool("deepest", &deepest)), ("sound", sound)], "{backend}");
        for command in [&["topology", "lock", "--check"][..], &["topology", "diff"], &["validate"]] {
            let ran = run(&[command, &[&path]].concat());
            assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
        }
    }
}
