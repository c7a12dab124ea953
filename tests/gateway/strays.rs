//! Messages of clients that belong to nothing: responses to requests that nobody made, and notifications about what is not
//! there. Over every transport they change nothing and are answered by nothing.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::support::front::{Ask, Era, Front, Way};
use crate::support::gateways;

/// Five responses, two cancellations, and five other notifications.
pub(crate) const STRAYS: [&str; 12] = [
    r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
    r#"{"jsonrpc":"2.0","id":"7","error":{"code":-32603,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":"only1mcp-0","result":{"roots":[]}}"#,
    r#"{"jsonrpc":"2.0","id":"only1mcp-18446744073709551616","result":{"action":"accept","content":{}}}"#,
    r#"{"jsonrpc":"2.0","id":9007199254740993,"result":{"resultType":"complete"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"only1mcp-0","progress":1e999}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":18446744073709551616}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"x"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/\u0000nobody's","params":[]}"#,
];

#[tokio::test]
async fn what_belongs_to_nothing_is_dropped_over_every_transport() {
    let gateway = gateways::demo();
    let program = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        command.args(arguments).stderr(Stdio::null());
        Way::Lines(command)
    };
    for era in [Era::Legacy, Era::Modern] {
        for (name, way) in [
            ("HTTP", Way::Http(gateway.address())),
            ("HTTP+SSE", Way::Events(gateway.address())),
            ("WebSocket", Way::Socket(gateway.address())),
            ("stdio", program(&["stdio"])),
            ("stdio --connect", program(&["stdio", "--connect", &gateway.url()])),
        ] {
            // A modern client has no session that such a POST could belong to: `jsonrpc` has what it is told.
            if era == Era::Modern && matches!(name, "HTTP" | "stdio --connect") {
                continue;
            }
            let mut client = Front::open(way, era).await;
            let slow = Ask::call("slow", "admin__wait", &json!({ "milliseconds": 200, "steps": 2 })).tracked("own");
            for round in 0..2 {
                for stray in STRAYS {
                    client.notify(stray).await;
                }
                // Nothing but what belongs to them comes: the client of this test looks at each message.
                let echo = Ask::call(round, "admin__echo", &json!({ "round": round }));
                let heard = client.ask_all(&[slow.clone(), echo]).await;
                let counts: Vec<_> = heard.iter().map(Vec::len).collect();
                assert_eq!(counts, [3, 1], "{era:?} over {name}: {heard:?}");
                assert_eq!(heard[1][0]["result"]["content"][0]["text"], format!(r#"{{"round":{round}}}"#));
            }
        }
    }
}
