//! Published clients that subscribe to a resource, and are told that it changed.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use super::{command, peers};
use crate::support::telling::{ELEMENTS, Telling};

#[tokio::test]
async fn published_clients_are_told_of_what_they_subscribed_to() {
    let Some(peers) = peers() else { return };
    let mut upstream = Telling::start();
    let gateway = upstream.gateway(1);
    for (program, script, sdk) in [
        ("node/bin/node", "told.mjs", "1"),
        ("node/bin/node", "told.mjs", "2"),
        ("python-legacy/bin/python", "told.py", ""),
    ] {
        let mut client = command(peers.join(program));
        client.env("PEERS", peers).arg(Path::new("tests/peers/clients").join(script)).arg(gateway.url()).arg(ELEMENTS);
        client.args(Some(sdk).filter(|sdk| !sdk.is_empty())).stdout(Stdio::piped());
        let mut client = client.spawn().expect("the client starts");
        let mut stdout = BufReader::new(client.stdout.take().expect("a pipe"));
        let mut printed = String::new();
        stdout.read_line(&mut printed).expect("a pipe");
        if printed.trim() == "subscribed" {
            // Its stream may be opened after that.
            let all =
                json!({ "toolsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": [ELEMENTS] });
            upstream.listened(&all).await;
            upstream.tell("resources/updated", &format!(r#""uri":"{ELEMENTS}","#));
            upstream.tell("tools/list_changed", "");
        }
        stdout.read_to_string(&mut printed).expect("UTF-8");
        assert!(client.wait().expect("it can be waited for").success(), "{script} {sdk}: {printed}");
    }
}
