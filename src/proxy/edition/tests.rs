//! Results as clients of each revision read them: what is said otherwise, and that nothing else changes.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::mcp::envelope;
use crate::proxy::bridge;

const LINK: &str = r#"{"type":"resource_link","uri":"data:\/\/a","name":"a","title":"An \"A\"","description":"What it is.","mimeType":"text/csv","size":12,"annotations":{ "priority": 1.0 },"_meta":{"x":[1]},"icons":[]}"#;
const AUDIO_BLOCK: &str = r#"{"data":"AAAAAA==","mimeType":"audio/wav","type":"audio"}"#;

/// The result that a client of a revision reads for that of a backend.
fn read(revision: Revision, backend: Era, kind: CallKind, result: &str) -> String {
    let source = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    let out = answer((revision, kind), backend, None, &source);
    out.strip_prefix(r#"{"jsonrpc":"2.0","id":1,"result":"#)
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_else(|| panic!("{out}"))
        .to_owned()
}

/// What a client of a revision that made such a call reads of an answer.
fn answer((revision, kind): (Revision, CallKind), backend: Era, rewrites: Option<&Backend>, source: &str) -> String {
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;
    let head = envelope::incoming(request).expect("a message");
    let caller = Caller::played(revision, kind, (request, &head));
    let outgoing = envelope::outgoing(source.as_bytes()).expect("a message");
    let message = Message { source: source.as_bytes(), head: &outgoing, era: backend };
    let edits = edits(&message, &caller, rewrites);
    let (splice, _) = bridge::answer(&message, &caller, &edits).expect("an answer");
    let mut out = Vec::new();
    splice.write(&mut out);
    String::from_utf8(out).expect("edits keep UTF-8")
}

/// The same of a tool.
fn tool(revision: Revision, backend: Era, result: &str) -> String {
    read(revision, backend, CallKind::Tool, result)
}

#[test]
fn a_link_is_text_to_who_does_not_know_links() {
    let text = concat!(
        r#"{"type":"text","text":"[resource_link, An \"A\", data://a, text/csv, 12 bytes] What it is.","#,
        r#""annotations":{ "priority": 1.0 },"_meta":{"x":[1]}}"#
    );
    for backend in [Era::Legacy, Era::Modern] {
        let result = format!(r#"{{"content":[ {LINK} ,{{"type":"text","text":"b"}},{LINK}],"isError":false}}"#);
        let expected = result.replace(LINK, text);
        assert_eq!(tool(Revision::V2024_11_05, backend, &result), expected);
        assert_eq!(tool(Revision::V2025_03_26, backend, &result), expected);
        assert_eq!(tool(Revision::V2025_06_18, backend, &result), result);
        let result = format!(r#"{{"messages":[{{"role":"user","content":{LINK}}}]}}"#);
        let read = |revision| read(revision, backend, CallKind::Prompt, &result);
        assert_eq!(read(Revision::V2025_03_26), result.replace(LINK, text));
        assert_eq!(read(Revision::V2025_11_25), result);
    }
}

#[test]
fn a_link_is_named_by_what_it_says_of_itself() {
    for (link, text) in [
        (json!({ "uri": "a:b", "name": "n" }), "[resource_link, n, a:b]"),
        (json!({ "uri": "a:b", "name": "n", "title": "" }), "[resource_link, n, a:b]"),
        (json!({ "uri": 1, "size": "2", "description": null }), "[resource_link]"),
        (json!({ "uri": "a:b", "description": "d\n\u{1}" }), "[resource_link, a:b] d\n\u{1}"),
    ] {
        let mut link = link;
        link["type"] = json!("resource_link");
        let result = json!({ "content": [link] }).to_string();
        let read: Json =
            serde_json::from_str(&tool(Revision::V2024_11_05, Era::Modern, &result)).expect("what is spliced is JSON");
        assert_eq!(read, json!({ "content": [{ "type": "text", "text": text }] }));
    }
}

#[test]
fn audio_is_a_note_to_who_does_not_know_audio() {
    for (block, note) in [
        (AUDIO_BLOCK, "[audio, audio/wav, 4 bytes]"),
        (r#"{"type":"audio","data":"\/\/\/\/","mimeType":"audio/wav"}"#, "[audio, audio/wav, 3 bytes]"),
        (r#"{"type":"\u0061udio"}"#, "[audio]"),
    ] {
        let result = format!(r#"{{"content":[{block}]}}"#);
        let text = format!(r#"{{"type":"text","text":"{note}"}}"#);
        assert_eq!(tool(Revision::V2024_11_05, Era::Legacy, &result), result.replace(block, &text));
        assert_eq!(tool(Revision::V2025_03_26, Era::Legacy, &result), result);
        let result = format!(r#"{{"messages":[{{"content":{block}}}]}}"#);
        let prompt = read(Revision::V2024_11_05, Era::Modern, CallKind::Prompt, &result);
        assert_eq!(prompt, result.replace(block, &text));
    }
}

#[test]
fn structured_content_is_an_object_and_was_not_there_at_first() {
    use Revision as R;
    const BARE: &str = r#"{"content":[{}]}"#;
    const TEXT: &str = r#"{"content":[{"type":"text","text":"[1, \"a\"]"}]}"#;
    let object = r#"{"content":[{}],"structuredContent":{"a":1.0}}"#;
    let of_legacy = r#"{"content":[{}],"structuredContent":5}"#;
    for (revision, backend, result, expected) in [
        (R::V2025_11_25, Era::Modern, r#"{"content":[{}],"structuredContent":5}"#, BARE),
        (R::V2025_06_18, Era::Modern, r#"{"structuredContent":null,"content":[{}]}"#, BARE),
        (R::V2025_11_25, Era::Modern, object, object),
        (R::V2025_03_26, Era::Legacy, object, BARE),
        (R::V2025_03_26, Era::Legacy, r#"{"\u0073tructuredContent":{},"content":[{}]}"#, BARE),
        // A legacy server has no others.
        (R::V2025_11_25, Era::Legacy, of_legacy, of_legacy),
    ] {
        assert_eq!(tool(revision, backend, result), expected, "{revision} {backend:?}: {result}");
    }
    let read = |result: &str| tool(R::V2025_11_25, Era::Modern, result);
    // It is cut together with what has to go as well, wherever both stand.
    for result in [
        r#"{"content":[{}],"resultType":"complete","structuredContent":5}"#,
        r#"{"content":[{}],"structuredContent":5 ,"resultType":"complete"}"#,
        r#"{"resultType":"complete","structuredContent":5,"content":[{}]}"#,
        r#"{"structuredContent":5,"content":[{}],"structuredContent":6}"#,
    ] {
        assert_eq!(read(result), BARE, "{result}");
    }
    // Where there is nothing else to read, it is text.
    for result in [
        r#"{"content":[ ],"structuredContent":[1, "a"]}"#,
        r#"{"structuredContent":[1, "a"]}"#,
        r#"{"structuredContent":[1, "a"],"resultType":"complete"}"#,
        r#"{"structuredContent":0,"resultType":"complete","structuredContent":[1, "a"]}"#,
    ] {
        assert_eq!(read(result), TEXT, "{result}");
    }
    let result = r#"{"structuredContent":{"a":"é"},"isError":true}"#;
    let expected = r#"{"content":[{"type":"text","text":"{\"a\":\"é\"}"}],"isError":true}"#;
    assert_eq!(tool(R::V2025_03_26, Era::Legacy, result), expected);
}

#[test]
fn content_that_is_elsewhere_is_not_touched() {
    for result in [
        format!(r#"{{"content":[{{"type":"resource","resource":{LINK}}}]}}"#),
        format!(r#"{{"content":[{{"type":"x","content":[{LINK}]}}],"_meta":{{"content":[{LINK}]}}}}"#),
        format!(
            r#"{{"content":[[{LINK}],"resource_link",{{"type":["audio"]}},{{"type":"Audio"}}],"messages":[{{"content":{LINK}}}]}}"#
        ),
        format!(r#"{{"content":{LINK}}}"#),
    ] {
        assert_eq!(tool(Revision::V2024_11_05, Era::Legacy, &result), result);
    }
    for kind in [CallKind::Resource, CallKind::Completion] {
        let result = format!(r#"{{"content":[{LINK}],"contents":[{LINK}],"structuredContent":5}}"#);
        assert_eq!(read(Revision::V2024_11_05, Era::Modern, kind, &result), result);
    }
}

#[test]
fn who_speaks_what_its_server_speaks_is_not_looked_at() {
    for kind in [CallKind::Tool, CallKind::Prompt] {
        for (revision, backend) in [
            (Revision::MODERN, Era::Modern),
            (Revision::MODERN, Era::Legacy),
            (Revision::V2025_11_25, Era::Legacy),
            (Revision::V2025_06_18, Era::Legacy),
        ] {
            assert!(!differs(revision, backend, kind), "{revision} {backend:?} {kind:?}");
        }
        assert!(differs(Revision::V2025_03_26, Era::Legacy, kind) && differs(Revision::V2024_11_05, Era::Modern, kind));
    }
    assert!(differs(Revision::V2025_11_25, Era::Modern, CallKind::Tool));
}

/// A backend whose URIs bear its name, `b`.
fn rewriting() -> Backend {
    let text = "name: t\nbackends: { b: { transport: { stdio: { command: self } }, resources: { uris: rewrite } } }\n";
    let source = only1mcp_model::Source { path: "t.yaml".to_owned(), text: text.to_owned() };
    let (plan, _no_lock) =
        only1mcp_model::load(&source, None, &only1mcp_model::Features::all()).expect("a good topology");
    plan.backends[0].clone()
}

#[test]
fn uris_bear_the_name_of_their_backend_where_they_are_one() {
    let backend = rewriting();
    for (kind, own, exposed) in [
        (CallKind::Tool, r#"{"content":[{"type":"resource_link","uri":"a://x"}]}"#, Some("a://b/x")),
        (CallKind::Tool, r#"{"content":[{"uri":"a:\/\/x","type":"resource","resource":{"uri":"a:\/\/x"}}]}"#, None),
        (CallKind::Tool, r#"{"content":[{"type":"text","uri":"a://x","text":"a://x"}],"structuredContent":[1]}"#, None),
        (
            CallKind::Tool,
            r#"{"content":[{"type":"resource_link","uri":"https://x"},{"type":"resource_link","uri":7}]}"#,
            None,
        ),
        (CallKind::Tool, r#"{"content":[{"type":"resource","resource":{"uri":"a://x","uri":"a://y"}}]}"#, None),
        (CallKind::Prompt, r#"{"messages":[{"content":{"type":"resource_link","uri":"a://x"}}]}"#, Some("a://b/x")),
        (CallKind::Resource, r#"{"contents":[{"uri":"a://x","text":"a://"}]}"#, Some("a://b/x")),
        (CallKind::Completion, r#"{"completion":{"values":["a://x"]},"contents":[{"uri":"a://x"}]}"#, None),
    ] {
        // Only what stands behind `resource` is the URI of an embedded one.
        let escaped = own.replace(r#""resource":{"uri":"a:\/\/x"}"#, r#""resource":{"uri":"a://b/x"}"#);
        let expected = exposed.map_or(escaped, |exposed| own.replacen("a://x", exposed, 1));
        for (revision, era) in [(Revision::MODERN, Era::Modern), (Revision::V2025_11_25, Era::Legacy)] {
            let message = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
            let read = answer((revision, kind), era, Some(&backend), &message(own));
            assert_eq!(read, message(&expected), "{own}");
            assert_eq!(answer((revision, kind), era, None, &message(own)), message(own));
        }
    }
}

#[test]
fn an_error_about_a_resource_bears_its_name_as_well() {
    let backend = rewriting();
    let error = |code: i64, uri: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"a://x","data":{{"uri":"{uri}", "x":1.0}}}}}}"#
        )
    };
    let read = |revision, era, source: &str| answer((revision, CallKind::Resource), era, Some(&backend), source);
    assert_eq!(read(Revision::MODERN, Era::Modern, &error(-32602, "a://x")), error(-32602, "a://b/x"));
    assert_eq!(read(Revision::MODERN, Era::Legacy, &error(-32002, "a://x")), error(-32602, "a://b/x"));
    assert_eq!(read(Revision::LEGACY, Era::Legacy, &error(-32002, "a://x")), error(-32002, "a://b/x"));
    // What an HTTP status refuses has no id.
    let refusal = error(-32602, "a://x").replace(r#""id":1,"#, "");
    assert_eq!(read(Revision::MODERN, Era::Modern, &refusal), error(-32602, "a://b/x"));
    assert_eq!(read(Revision::MODERN, Era::Modern, &error(1, "urn:x")), error(1, "urn:x"));
}

/// A block of any kind, in any spelling, with members that nobody knows.
fn block() -> impl Strategy<Value = Json> {
    let member = prop_oneof![Just(json!(1.5)), Just(json!({ "type": "audio" })), "[a-z\"é]{0,4}".prop_map(Json::from)];
    let keys = prop::sample::select(vec!["uri", "name", "title", "data", "x", "annotations", "_meta"]);
    let kinds = prop::sample::select(vec!["text", "image", "audio", "resource", "resource_link", "later"]);
    (kinds, prop::collection::btree_map(keys, member, 0..5)).prop_map(|(kind, members)| {
        let mut block = json!(members);
        block["type"] = json!(kind);
        block
    })
}

proptest! {
    #[test]
    fn all_but_the_blocks_that_are_unknown_stays(
        blocks in prop::collection::vec(block(), 0..6),
        revision in prop::sample::select(&Revision::ALL[..4]),
        structured in prop_oneof![Just(None), Just(Some(json!({ "a": [1] }))), Just(Some(json!([2])))],
        place in 0..3_usize,
        complete in any::<bool>(),
        pretty in any::<bool>(),
    ) {
        // A block in front keeps structured content from being text.
        let first = json!({ "type": "text", "text": "first" });
        let blocks: Vec<Json> = std::iter::once(first).chain(blocks).collect();
        let render = |value: &Json| match pretty {
            true => serde_json::to_string_pretty(value).expect("JSON"),
            false => value.to_string(),
        };
        let rendered = blocks.iter().map(render).collect::<Vec<_>>().join(" ,");
        let mut members = vec![format!("\"content\":[{rendered}]"), "\"isError\" : true".to_owned()];
        members.extend(complete.then(|| "\"resultType\":\"complete\"".to_owned()));
        if let Some(structured) = &structured {
            members.insert(place, format!("\"structuredContent\":{}", render(structured)));
        }
        let result = format!("{{{}}}", members.join(","));
        let read = tool(revision, Era::Modern, &result);
        let parsed: Json = serde_json::from_str(&read).expect("what is spliced is JSON");
        let keeps = |kind: &Json| match kind.as_str() {
            Some("resource_link") => revision >= Revision::V2025_06_18,
            Some("audio") => revision >= Revision::V2025_03_26,
            _ => true,
        };
        let found = parsed["content"].as_array().expect("blocks");
        prop_assert_eq!(found.len(), blocks.len());
        for (found, block) in found.iter().zip(&blocks) {
            if keeps(&block["type"]) {
                prop_assert_eq!(found, block);
                prop_assert!(read.contains(&render(block)), "{}", read);
            } else {
                prop_assert_eq!(&found["type"], "text");
                prop_assert!(found["text"].is_string());
                prop_assert_eq!((&found["annotations"], &found["_meta"]), (&block["annotations"], &block["_meta"]));
            }
        }
        let known = structured.filter(|value| value.is_object() && revision >= Revision::V2025_06_18);
        prop_assert_eq!(parsed.get("structuredContent"), known.as_ref());
        prop_assert_eq!((&parsed["isError"], parsed.get("resultType")), (&json!(true), None));
    }
}
