//! What becomes of the text of an overlay that administrators change in part.

use std::fs;

use only1mcp::demo::Eras;
use serde_json::json;

use crate::admin_overlay::Operated;
use crate::support::client::Answer;
use crate::support::demo::over_http;
use crate::support::scripted::{Outcome, call};

#[tokio::test]
async fn a_change_touches_no_other_line_of_the_file() {
    let text = "# On call: Ada.\nbackends:\n  # Slow since the move.\n  odd:\n    timeout: 2s # was 1s\n  # The end.\n";
    let operated = Operated::start(text).await;
    let is_now = async |answer: Answer, expected: &str| {
        assert_eq!((answer.status, &answer.json()["text"]), (200, &json!(expected)), "{}", answer.text());
        assert_eq!(fs::read_to_string(operated.file()).expect("a file"), expected);
        assert_eq!(operated.get("/overlay").await["text"], expected);
    };
    let tried = operated.change("PATCH", "/servers/{name}", "/servers/odd?dry_run=1", r#"{"drain":true}"#).await.json();
    let drained = text.replace("# was 1s\n", "# was 1s\n    drain: true\n");
    assert_eq!(
        (&tried["text"], fs::read_to_string(operated.file()).expect("a file").as_str()),
        (&json!(drained), text)
    );
    is_now(operated.patch("odd", r#"{"drain":true}"#).await, &drained).await;
    assert!(!operated.is_served().await);
    is_now(operated.patch("odd", r#"{"drain":null,"timeout":"3s"}"#).await, &text.replace("2s", "3s")).await;
    assert!(operated.is_served().await);

    // Behind what is there, although its name comes before.
    let more = over_http(Eras::Modern, ([127, 0, 0, 1], 0).into());
    let server = json!({ "transport": { "streamable_http": {} }, "endpoints": [{ "url": format!("http://{}/mcp", more.address) }] });
    let body = json!({ "name": "a", "transport": server["transport"], "endpoints": server["endpoints"] }).to_string();
    let added = operated.change("POST", "/servers", "/servers", &body).await;
    let line = format!("  a: {{ \"endpoints\":{},\"transport\":{} }}\n", server["endpoints"], server["transport"]);
    is_now(added, &text.replace("2s", "3s").replace("  # The end.\n", &format!("{line}  # The end.\n"))).await;
    assert_eq!(call(operated.gateway.address(), "a__echo", "x").await, Outcome::Text(r#"{"text":"x"}"#.to_owned()));
    is_now(operated.change("DELETE", "/servers/{name}", "/servers/a", "").await, &text.replace("2s", "3s")).await;

    let body = r#"{"backends":{"odd":null,"good":{"timeout":"4s"}}}"#;
    let good = "# On call: Ada.\nbackends:\n  # Slow since the move.\n  good: { timeout: 4s }\n  # The end.\n";
    is_now(operated.change("PATCH", "/overlay", "/overlay", body).await, good).await;
    let unchanged = operated.patch("odd", r#"{"timeout":null}"#).await;
    assert_eq!(unchanged.json()["result"], "unchanged");
    assert_eq!(operated.change("POST", "/reload", "/reload", "").await.json()["result"], "unchanged");

    // What others have too is not edited.
    let shared = "# Both.\nbackends: { odd: &own { timeout: 2s }, good: *own }\n";
    operated.change_as("PUT", ("/overlay", "/overlay"), ("application/yaml", shared)).await;
    let anew = "backends:\n  good: { timeout: 2s }\n  odd: { timeout: 3s }\n";
    is_now(operated.patch("odd", r#"{"timeout":"3s"}"#).await, anew).await;
}
