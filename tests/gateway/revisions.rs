//! What clients of each revision read of one answer: nothing that their revision does not know, and otherwise every byte
//! of the server.

use std::net::SocketAddr;

use serde_json::json;

use crate::legacy::{initialize, message};
use crate::support::client::{Client, Event, Request as Asked};
use crate::support::gateways;
use crate::support::recorder::{Post, Recorder, Wire};
use crate::support::scripted::with_servers;
use crate::support::server::{Request, Script, Server, event_stream, json_answer, legacy, modern};

const LINK: &str = r#"{"type":"resource_link","uri":"data://a","name":"a","description":"What it is.","annotations":{ "priority" : 1.0 }}"#;
const LINK_NOTE: &str =
    r#"{"type":"text","text":"[resource_link, a, data://a] What it is.","annotations":{ "priority" : 1.0 }}"#;
const AUDIO: &str = r#"{"type":"audio","data":"AAAA","mimeType":"audio/wav"}"#;
const AUDIO_NOTE: &str = r#"{"type":"text","text":"[audio, audio/wav, 3 bytes]"}"#;
/// Of every kind, with what may not change between.
const CONTENT: &str = r#"[LINK, {"type":"text", "text":"\u00e9" ,"n":1.0} ,AUDIO,{"type":"resource","resource":LINK}]"#;
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The content as a server writes it.
fn written() -> String {
    CONTENT.replace("LINK", LINK).replace("AUDIO", AUDIO)
}

/// The content as clients of a revision read it. What is embedded is not a block.
fn read(revision: &str) -> String {
    let link = if revision < "2025-06-18" { LINK_NOTE } else { LINK };
    let audio = if revision < "2025-03-26" { AUDIO_NOTE } else { AUDIO };
    CONTENT.replacen("LINK", link, 1).replace("LINK", LINK).replace("AUDIO", audio)
}

/// A session that agreed on a revision.
async fn session(address: SocketAddr, revision: &str) -> String {
    let greeted = Client::ask(address, &initialize(revision)).await;
    assert_eq!(greeted.json()["result"]["protocolVersion"], revision);
    greeted.field("mcp-session-id").expect("a session").to_owned()
}

/// What a legacy client of a revision gets for a call of this tool.
async fn called(address: SocketAddr, revision: &str, tool: &str) -> String {
    answered(address, revision, message("tools/call", &format!(r#"{{"name":"{tool}","arguments":{{}}}}"#))).await
}

/// What a legacy client of a revision gets for a request, as JSON or on a stream.
async fn answered(address: SocketAddr, revision: &str, request: String) -> String {
    let session = session(address, revision).await;
    let mut client = Client::connect(address).await;
    client.write(&Asked::legacy(&session, request).bytes()).await;
    let head = client.head().await;
    if head.field("content-type") != Some("text/event-stream") {
        return client.body_of(head).await.text();
    }
    loop {
        if let Event::Message(data) = client.event().await.expect("an answer") {
            return data;
        }
    }
}

/// A response with this result, as a server writes it.
fn response(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A legacy server that answers calls by `script`.
fn legacy_server(script: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Server {
    Server::start(legacy(|| "s".to_owned(), script))
}

#[tokio::test]
async fn a_result_is_said_in_the_words_of_each_revision() {
    let structured = r#"{"a":1.0}"#;
    let result = |id: &str, members: &str| {
        response(id, &format!(r#"{{"content":{},"structuredContent":{members}}}"#, written()))
    };
    let of_legacy = legacy_server(move |asked| vec![json_answer(200, &result(&asked.id(), structured))]);
    let of_modern = Server::start(modern(move |asked| {
        let members = r#"[1, 2] , "resultType":"complete""#;
        vec![json_answer(200, &result(&asked.id(), members))]
    }));
    let gateway = with_servers(&of_modern, &of_legacy);
    for revision in REVISIONS {
        let known =
            if revision < "2025-06-18" { String::new() } else { format!(r#","structuredContent":{structured}"#) };
        let expected = response("1", &format!(r#"{{"content":{}{known}}}"#, read(revision)));
        assert_eq!(called(gateway.address(), revision, "good__x").await, expected, "{revision}, of a legacy server");
        // Structured content that is no object is unknown to all of them.
        let expected = response("1", &format!(r#"{{"content":{}}}"#, read(revision)));
        assert_eq!(called(gateway.address(), revision, "odd__x").await, expected, "{revision}, of a modern server");
    }
}

#[tokio::test]
async fn a_result_on_a_stream_is_said_so_as_well() {
    let result = |id: &str| response(id, &format!(r#"{{"content":{}}}"#, written()));
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"x"}}"#;
    let of_legacy = legacy_server(move |asked| event_stream(&[log, &result(&asked.id())]));
    let of_modern = Server::start(modern(move |asked| event_stream(&[&result(&asked.id())])));
    let gateway = with_servers(&of_modern, &of_legacy);
    for revision in REVISIONS {
        let expected = response("1", &format!(r#"{{"content":{}}}"#, read(revision)));
        assert_eq!(called(gateway.address(), revision, "odd__x").await, expected, "{revision}");
    }
}

#[tokio::test]
async fn a_long_result_is_said_so_as_well_and_otherwise_passes_through() {
    let long = "x".repeat(300_000);
    let content = |blocks: &str| format!(r#"{{"content":[{{"type":"text","text":"{long}"}},{blocks}],"n":1.0}}"#);
    let served = content(&format!("{LINK},{AUDIO}"));
    let of_legacy = legacy_server(move |asked| vec![json_answer(200, &response(&asked.id(), &served))]);
    let of_modern = Server::start(modern(|asked| vec![json_answer(200, &response(&asked.id(), "{}"))]));
    let gateway = with_servers(&of_modern, &of_legacy);
    for (revision, blocks) in [
        ("2024-11-05", format!("{LINK_NOTE},{AUDIO_NOTE}")),
        ("2025-03-26", format!("{LINK_NOTE},{AUDIO}")),
        ("2025-06-18", format!("{LINK},{AUDIO}")),
        ("2025-11-25", format!("{LINK},{AUDIO}")),
    ] {
        let answer = called(gateway.address(), revision, "good__x").await;
        assert!(answer == response("1", &content(&blocks)), "{revision}: {} bytes", answer.len());
    }
}

#[tokio::test]
async fn a_prompt_is_said_in_the_words_of_each_revision() {
    let prompt = |link: &str, audio: &str| {
        format!(
            r#"{{"description":"d","messages":[{{"role":"user","content":{link}}} ,{{"content":{audio},"role":"user"}}]}}"#
        )
    };
    let served = prompt(LINK, AUDIO);
    let upstream = Recorder::play(async move |_: Post, wire: &mut Wire<'_>| wire.result(&served).await);
    let gateway = gateways::recorded(&upstream);
    for (revision, link, audio) in [
        ("2024-11-05", LINK_NOTE, AUDIO_NOTE),
        ("2025-03-26", LINK_NOTE, AUDIO),
        ("2025-06-18", LINK, AUDIO),
        ("2025-11-25", LINK, AUDIO),
    ] {
        let get = message("prompts/get", r#"{"name":"admin__incident_report","arguments":{}}"#);
        let answer = answered(gateway.address(), revision, get).await;
        assert_eq!(answer, response("1", &prompt(link, audio)), "{revision}");
    }
}

#[tokio::test]
async fn a_modern_client_reads_who_made_a_result_modern() {
    let of_legacy =
        legacy_server(|asked| vec![json_answer(200, &response(&asked.id(), r#"{"content":[],"_meta":{"x":1.0}}"#))]);
    let said = r#"{"resultType":"complete","content":[],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"own","version":"2"}}}"#;
    let of_modern = Server::start(modern(move |asked| vec![json_answer(200, &response(&asked.id(), said))]));
    let gateway = with_servers(&of_modern, &of_legacy);
    let key = "io.modelcontextprotocol/serverInfo";
    let discovered = Client::ask(gateway.address(), &Asked::modern("server/discover", None, "")).await.json();
    let own = &discovered["result"]["_meta"][key];
    let answer = Client::ask(gateway.address(), &Asked::call("good__x", "{}")).await;
    assert_eq!((&answer.json()["result"]["_meta"][key], own["name"].as_str()), (own, Some("only1mcp")));
    assert_eq!(answer.json()["result"]["_meta"]["x"], json!(1.0));
    // A modern server has said so itself.
    let answer = Client::ask(gateway.address(), &Asked::call("odd__x", "{}")).await;
    assert_eq!(answer.text(), response("1", said));
}
