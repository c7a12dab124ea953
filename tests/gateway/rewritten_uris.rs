//! A backend whose URIs bear its name: clients know them so wherever they stand, and the backend never sees it.

use std::io;

use only1mcp::Running;
use serde_json::{Value, json};

use crate::legacy::{initialize, message};
use crate::support::client::{Answer, Client, META, Request};
use crate::support::gateways;
use crate::support::recorder::{Post, Recorder, Wire};

const LISTED: &str = "data://data/tables/elements";
const TEMPLATE: &str = "data://data/tables/{table}/rows/{row}";
/// What a tool says of resources; `URI` is what a client reads otherwise.
const CONTENT: &str = concat!(
    r#"{"resultType":"complete","content":[{"type":"resource_link","name":"a", "uri":"URInew/1"},"#,
    r#"{"type":"resource","resource":{"uri":"URItables/a","text":"see data://tables/b"}},"#,
    r#"{"type":"resource_link","name":"w","uri":"https://example.com/a"},{"type":"resource_link","name":"n","uri":"urn:a"},"#,
    r#"{"type":"text","text":"data://tables/a","uri":"data://tables/a"}],"structuredContent":{"uri":"data://tables/a"}}"#
);

/// Answers as a server with such resources does.
async fn play(post: Post, wire: &mut Wire<'_>) -> io::Result<()> {
    let asked: Value = serde_json::from_str(&post.body).map_err(io::Error::other)?;
    let uri = &asked["params"]["uri"];
    match asked["method"].as_str() {
        Some("resources/read") if uri.as_str().is_some_and(|uri| uri.ends_with("gone")) => {
            let error = json!({ "code": -32602, "message": "gone", "data": { "uri": uri } });
            wire.answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, post.id)).await
        }
        Some("resources/read") => {
            let contents = json!({ "resultType": "complete", "contents": [{ "uri": uri, "text": "data://a" }] });
            wire.result(&contents.to_string()).await
        }
        Some("prompts/get") => {
            let message = r#"{"role":"user","content":{"type":"resource","resource":{"uri":"data://a","text":"x"}}}"#;
            wire.result(&format!(r#"{{"resultType":"complete","messages":[{message}]}}"#)).await
        }
        Some("completion/complete") => {
            wire.result(r#"{"resultType":"complete","completion":{"values":["data://a"]}}"#).await
        }
        Some("subscriptions/listen") => {
            let id = &asked["id"];
            let tell = |name: &str, member: Value| {
                let mut params = json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": id } });
                let (key, value) = member.as_object().and_then(|member| member.iter().next()).expect("a member");
                params[key] = value.clone();
                json!({ "jsonrpc": "2.0", "method": format!("notifications/{name}"), "params": params }).to_string()
            };
            let wanted = &asked["params"]["notifications"];
            wire.stream().await?;
            wire.event(&tell("subscriptions/acknowledged", json!({ "notifications": wanted }))).await?;
            wire.event(&tell("resources/updated", json!({ "uri": wanted["resourceSubscriptions"][0] }))).await?;
            wire.hung_up().await;
            Ok(())
        }
        _ => wire.result(&CONTENT.replace("URI", "data://")).await,
    }
}

/// A gateway in front of them; the URIs of `data` bear its name.
struct Servers {
    gateway: Running,
    data: Recorder,
    mirror: Recorder,
    _admin: Recorder,
}

impl Servers {
    fn start() -> Self {
        let [admin, data, mirror] = [Recorder::play(play), Recorder::play(play), Recorder::play(play)];
        let gateway = gateways::rewritten([&admin, &data, &mirror]);
        Self { gateway, data, mirror, _admin: admin }
    }

    async fn ask(&self, request: Request) -> Answer {
        Client::ask(self.gateway.address(), &request).await
    }

    async fn names(&self, path: &str, method: &str, member: &str, key: &str) -> Vec<String> {
        let answer = self.ask(Request::modern(method, None, "").line(&format!("POST {path} HTTP/1.1"))).await;
        let listed = answer.json()["result"][member].as_array().expect("a list").clone();
        listed.iter().map(|item| item[key].as_str().expect("a name").to_owned()).collect()
    }
}

fn read(uri: &str) -> Request {
    Request::modern("resources/read", Some(uri), &format!(r#""uri":"{uri}""#))
}

#[tokio::test]
async fn its_lists_say_the_uris_that_lead_to_it() {
    let servers = Servers::start();
    let own = ["data://images/gradient.png", "data://tables/elements", "data://tables/planets"];
    let bearing = ["data://data/images/gradient.png", LISTED, "data://data/tables/planets"];
    let resources = async |path: &str| servers.names(path, "resources/list", "resources", "uri").await;
    let templates =
        async |path: &str| servers.names(path, "resources/templates/list", "resourceTemplates", "uriTemplate").await;
    assert_eq!(resources("/mcp").await, [&["admin://status"][..], &bearing, &own].concat());
    assert_eq!(templates("/mcp").await, [TEMPLATE, "data://tables/{table}/rows/{row}"]);
    assert_eq!(resources("/mcp/tables").await, bearing[1..]);
    assert_eq!(resources("/mcp/data").await, own, "alone it has its own");
    assert_eq!(templates("/mcp/data").await, ["data://tables/{table}/rows/{row}"]);
    // The interface of a tool is a resource of the same server.
    for (path, tool, uri) in
        [("/mcp", "data__query", "ui://data/tables/view.html"), ("/mcp/data", "query", "ui://tables/view.html")]
    {
        let listed = servers.ask(Request::modern("tools/list", None, "").line(&format!("POST {path} HTTP/1.1"))).await;
        let tools = listed.json()["result"]["tools"].as_array().expect("a list").clone();
        let found = tools.iter().find(|listed| listed["name"] == tool).expect("it is listed");
        let expected = json!({ "ui": { "resourceUri": uri, "visibility": ["model"] }, "ui/resourceUri": uri });
        assert_eq!(found["_meta"], expected, "{path}");
        assert!(tools.iter().all(|tool| tool["name"].is_string()));
    }
    assert_eq!((servers.data.calls(), servers.mirror.calls()), (0, 0));
}

#[tokio::test]
async fn what_bears_its_name_is_read_from_it_under_its_own_uri() {
    let mut servers = Servers::start();
    for (uri, own) in [
        (LISTED, "data://tables/elements"),
        ("data://data/tables/elements/rows/1", "data://tables/elements/rows/1"),
        // What no list holds: it spoke of it, or will.
        ("data://data/new/1", "data://new/1"),
        ("ui://data/tables/view.html", "ui://tables/view.html"),
    ] {
        let answer = servers.ask(read(uri)).await;
        let expected = json!([{ "uri": uri, "text": "data://a" }]);
        assert_eq!(answer.json()["result"]["contents"], expected, "{uri}: {}", answer.text());
        let post = servers.data.post().await;
        assert!(post.body.contains(&format!(r#""uri":"{own}""#)), "{}", post.body);
        assert!(post.head.contains(&format!("mcp-name: {own}")), "{}", post.head);
    }
    let answer = servers.ask(read("data://data/gone")).await;
    assert_eq!(answer.json()["error"]["data"], json!({ "uri": "data://data/gone" }), "{}", answer.text());
    servers.data.post().await;
    // Without the name it is the other's.
    let answer = servers.ask(read("data://tables/elements")).await;
    assert_eq!(answer.json()["result"]["contents"][0]["uri"], "data://tables/elements");
    assert_eq!(servers.mirror.post().await.body.matches("data://tables/elements").count(), 1);
    for uri in [
        "data://datax/a",
        "data://mirror-of-the-data/tables/elements",
        "data://new/1",
        "https://data/a",
        "data://Data/a",
    ] {
        assert_eq!(servers.ask(read(uri)).await.code(), Some(-32602), "{uri}");
    }
    assert_eq!((servers.data.calls(), servers.mirror.calls()), (5, 1));
}

#[tokio::test]
async fn a_view_shows_of_it_what_its_patterns_say() {
    let mut servers = Servers::start();
    let at_view = |uri: &str| read(uri).line("POST /mcp/tables HTTP/1.1");
    for uri in [LISTED, "data://data/tables/elements/rows/1", "data://data/tables/new"] {
        assert_eq!(servers.ask(at_view(uri)).await.json()["result"]["contents"][0]["uri"], uri);
        servers.data.post().await;
    }
    for uri in [
        "data://data/new/1",
        "data://data/images/gradient.png",
        "data://data/tables/../images/x",
        "data://tables/elements",
    ] {
        assert_eq!(servers.ask(at_view(uri)).await.code(), Some(-32602), "{uri}");
    }
    assert_eq!(servers.data.calls(), 3);
}

#[tokio::test]
async fn what_it_says_of_its_resources_bears_its_name_and_no_text_does() {
    let servers = Servers::start();
    let result = |answer: &Answer| answer.text().replace(r#"{"jsonrpc":"2.0","id":1,"result":"#, "");
    let own = CONTENT.replace("URI", "data://");
    let bearing = CONTENT.replace("URI", "data://data/");
    for (line, tool, expected) in [
        ("POST /mcp HTTP/1.1", "data__query", &bearing),
        ("POST /mcp HTTP/1.1", "mirror-of-the-data__query", &own),
        ("POST /mcp/data HTTP/1.1", "query", &own),
    ] {
        let answer = servers.ask(Request::call(tool, "{}").line(line)).await;
        assert_eq!(result(&answer), format!("{expected}}}"), "{tool}");
    }
    let prompt = Request::modern("prompts/get", Some("data__summarize_table"), r#""name":"data__summarize_table""#);
    let answer = servers.ask(prompt).await;
    let resource = &answer.json()["result"]["messages"][0]["content"]["resource"];
    assert_eq!(*resource, json!({ "uri": "data://data/a", "text": "x" }));
    // To an old client as well.
    let greeted = servers.ask(initialize("2024-11-05")).await;
    let session = greeted.field("mcp-session-id").expect("a session");
    let answer = servers.ask(Request::legacy(session, message("tools/call", r#"{"name":"data__query"}"#))).await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "[resource_link, a, data://data/new/1]");
    assert_eq!(answer.json()["result"]["content"][1]["resource"]["uri"], "data://data/tables/a");
}

#[tokio::test]
async fn arguments_are_completed_and_changes_told_under_uris_that_bear_its_name() {
    let mut servers = Servers::start();
    for (uri, own) in [(TEMPLATE, "data://tables/{table}/rows/{row}"), (LISTED, "data://tables/elements")] {
        let params =
            format!(r#""ref":{{"type":"ref/resource","uri":"{uri}"}},"argument":{{"name":"table","value":"p"}}"#);
        let answer = servers.ask(Request::modern("completion/complete", None, &params)).await;
        assert_eq!(answer.json()["result"]["completion"]["values"], json!(["data://a"]), "{}", answer.text());
        let post = servers.data.post().await;
        assert!(post.body.contains(&format!(r#""uri":"{own}""#)), "{}", post.body);
    }
    let wanted = format!(r#"{{"resourceSubscriptions":["{LISTED}"]}}"#);
    let listen = format!(
        r#"{{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{{"notifications":{wanted},"_meta":{{{META}}}}}}}"#
    );
    let mut client = Client::connect(servers.gateway.address()).await;
    client.write(&Request::raw("subscriptions/listen", None, listen).bytes()).await;
    client.head().await;
    let acknowledged = client.message().await.expect("it stands");
    assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!([LISTED]));
    let updated = client.message().await.expect("a change");
    assert_eq!(
        (&updated["method"], &updated["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!(LISTED))
    );
    let asked: Value = serde_json::from_str(&servers.data.post().await.body).expect("a message");
    assert_eq!(asked["params"]["notifications"]["resourceSubscriptions"], json!(["data://tables/elements"]));
}
