//! The context of a trace (W3C Trace Context and Baggage) on its way to a server: in `_meta` as it was written, and as
//! fields where client and server both come over HTTP. Neither is made of the other.

use std::net::SocketAddr;

use tokio::sync::mpsc;

use crate::legacy::{message, session};
use crate::legacy_sse;
use crate::support::client::{Client, META, Request};
use crate::support::gateways;
use crate::support::recorder::Recorder;
use crate::support::scripted::{UNHURRIED, WithChildren, with_servers_under};
use crate::support::server::{self, Server, json_answer, text_body};

/// Members of `_meta`, with what a reader might fold together.
const MEMBERS: &str = concat!(
    r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","#,
    r#""tracestate" : "rojo=00f0,\u0063ongo=t61","baggage":"user=al%20ice;p=1.0 , n = 1e0""#
);
/// Fields, one of them in two lines.
const FIELDS: [(&str, &str); 4] = [
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", "rojo=00f067aa0ba902b7"),
    ("tracestate", "congo=t61rcwkgmze"),
    ("baggage", "user=al%20ice;p=1, n = 1"),
];

/// The call of a tool by a client of each era, with further members of `_meta`.
async fn calls(gateway: SocketAddr, tool: &str, members: &str) -> [Request; 2] {
    let comma = if members.is_empty() { "" } else { "," };
    let modern = Request::call(tool, "{}").edit(META, &format!("{META}{comma}{members}"));
    let params = format!(r#"{{"name":"{tool}","arguments":{{}},"_meta":{{{members}}}}}"#);
    [modern, Request::legacy(&session(gateway).await, message("tools/call", &params))]
}

#[tokio::test]
async fn in_metadata_it_reaches_servers_of_both_eras_byte_for_byte() {
    let mut upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    for request in calls(gateway.address(), "admin__echo", MEMBERS).await {
        assert_eq!(Client::ask(gateway.address(), &request).await.status, 200);
        let post = upstream.post().await;
        assert!(post.body.contains(MEMBERS), "{}", post.body);
        assert!(!post.head.contains("traceparent"), "no field is made of it: {}", post.head);
    }
    for start in ["plain", "modern"] {
        let rig = WithChildren::unhurried(start);
        for request in calls(rig.address(), "odd__echo", MEMBERS).await {
            assert_eq!(Client::ask(rig.address(), &request).await.status, 200);
        }
        let read = rig.ledger.after("read");
        let read: Vec<_> = read.iter().filter(|line| line.contains("tools/call")).collect();
        assert!(read.len() == 2 && read.iter().all(|line| line.contains(MEMBERS)), "{start}: {read:?}");
    }
}

#[tokio::test]
async fn as_fields_it_reaches_every_server_over_http() {
    let mut modern = Recorder::start();
    let (seen, mut posts) = mpsc::channel(16);
    let legacy = Server::start(server::legacy(
        || "s".to_owned(),
        move |request| {
            seen.try_send((request.fields.clone(), request.text.clone())).expect("room");
            vec![json_answer(200, &text_body(&request.id(), "done"))]
        },
    ));
    let (old, played) = legacy_sse::old(legacy_sse::echo);
    let before_modern = gateways::recorded(&modern);
    let before_legacy = with_servers_under(UNHURRIED, &legacy, &legacy);
    let before_old = legacy_sse::gateway(&old, &legacy);
    for (gateway, tool) in [(&before_modern, "admin__echo"), (&before_legacy, "odd__echo"), (&before_old, "odd__echo")]
    {
        for request in calls(gateway.address(), tool, "").await {
            let with = FIELDS.iter().fold(request, |request, (name, value)| request.field(name, value));
            let answer = Client::ask(gateway.address(), &with.field("Mcp-Param-X", "y")).await;
            assert_eq!((answer.status, answer.code()), (200, None), "{}", answer.text());
        }
    }
    let expected = FIELDS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let traces = |fields: &[(String, String)]| -> Vec<_> {
        fields.iter().filter(|(name, _)| FIELDS.iter().any(|(known, _)| known == name)).cloned().collect()
    };
    for _ in 0..2 {
        let post = modern.post().await;
        let fields = post.head.lines().filter_map(|line| line.split_once(": "));
        let fields: Vec<_> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(traces(&fields), expected);
        assert!(post.head.contains("mcp-param-x: y") && !post.body.contains("traceparent"), "{post:?}");
        let (fields, body) = posts.recv().await.expect("a call");
        assert_eq!(traces(&fields), expected);
        assert!(!fields.iter().any(|(name, _)| name == "mcp-param-x") && !body.contains("traceparent"), "{body}");
    }
    let requests = played.requests();
    let old: Vec<_> = requests.iter().filter(|request| request.rpc() == "tools/call").collect();
    assert_eq!(old.len(), 2);
    assert!(old.iter().all(|request| traces(&request.fields) == expected), "{old:?}");
    let others = requests.iter().filter(|request| request.rpc() != "tools/call");
    assert!(others.map(|request| traces(&request.fields)).all(|traces| traces.is_empty()), "it is about calls");
}
