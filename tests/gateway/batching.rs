//! Changes of lists that servers tell one after the other: a client is told of each list once, after a while or as soon as
//! they are many, and of all else at once.

use serde_json::{Value, json};

use crate::subscriptions::{hear, listen};
use crate::support::client::within;
use crate::support::front::{Ask, Era, Front, Way};
use crate::support::telling::{ELEMENTS, Telling};

only1mcp::topology!(Batched = "tests/gateway/topologies/batched.yaml");

/// As many as the topology has, of two servers that tell the same.
const TIMES: usize = 3;

fn tools(upstream: &Telling) {
    upstream.tell("tools/list_changed", "");
}

fn update(upstream: &Telling) {
    upstream.tell("resources/updated", &format!(r#""uri":"{ELEMENTS}","#));
}

fn method(message: &Value) -> &str {
    message["method"].as_str().unwrap_or_default()
}

const TOOLS: &str = "notifications/tools/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

#[tokio::test]
async fn a_modern_client_is_told_once_of_each_list_and_at_once_of_all_else() {
    let upstream = Telling::start();
    let gateway = upstream.gateway_of::<Batched>(1);
    let wanted = json!({ "toolsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": [ELEMENTS] });
    // Both servers tell it of their tools.
    let (mut client, _) = listen(gateway.address(), "/mcp", "1", &wanted.to_string()).await;
    tools(&upstream);
    update(&upstream);
    // Nothing is told of the list yet, whose change came before.
    assert_eq!(method(&hear(&mut client, "1").await), UPDATED);
    for _ in 1..TIMES {
        tools(&upstream);
    }
    assert_eq!(method(&hear(&mut client, "1").await), TOOLS);
    update(&upstream);
    assert_eq!(method(&hear(&mut client, "1").await), UPDATED);
    // Fewer are told when the window is over: each list once.
    tools(&upstream);
    upstream.tell("resources/list_changed", "");
    let mut heard = [hear(&mut client, "1").await, hear(&mut client, "1").await];
    heard.sort_by_key(|message| method(message).to_owned());
    assert_eq!(heard.each_ref().map(method), [RESOURCES, TOOLS]);
    update(&upstream);
    assert_eq!(method(&hear(&mut client, "1").await), UPDATED);
}

/// A legacy client that hears of lists and of one resource.
async fn subscribed(upstream: &mut Telling, way: Way) -> Front {
    let mut client = Front::open(way, Era::Legacy).await;
    client.listen().await;
    let lists = json!({ "toolsListChanged": true, "resourcesListChanged": true });
    upstream.listened(&lists).await;
    let subscribed = client.ask(Ask::new(1, "resources/subscribe", json!({ "uri": ELEMENTS }))).await;
    assert_eq!(subscribed["result"], json!({}), "{subscribed}");
    let all = json!({ "toolsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": [ELEMENTS] });
    upstream.listened(&all).await;
    client
}

#[tokio::test]
async fn so_is_a_legacy_session() {
    let mut upstream = Telling::start();
    let gateway = upstream.gateway_of::<Batched>(1);
    let mut client = subscribed(&mut upstream, Way::Http(gateway.address())).await;
    tools(&upstream);
    update(&upstream);
    assert_eq!(method(&client.told().await), UPDATED);
    // By the lock one of the servers tells of its lists.
    for _ in 1..2 * TIMES {
        tools(&upstream);
    }
    assert_eq!(method(&client.told().await), TOOLS);
    update(&upstream);
    assert_eq!(method(&client.told().await), UPDATED);
    tools(&upstream);
    assert_eq!(method(&client.told().await), TOOLS);
}

#[tokio::test]
async fn what_is_collected_when_the_gateway_stops_is_told_before_the_stream_ends() {
    let upstream = Telling::start();
    let gateway = upstream.gateway_of::<Batched>(1);
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [ELEMENTS] });
    let (mut client, _) = listen(gateway.address(), "/mcp", "1", &wanted.to_string()).await;
    tools(&upstream);
    update(&upstream);
    assert_eq!(method(&hear(&mut client, "1").await), UPDATED);
    let stopping = tokio::task::spawn_blocking(|| gateway.stop());
    assert_eq!(method(&hear(&mut client, "1").await), TOOLS);
    let last = hear(&mut client, "1").await;
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
    within("it stops", stopping).await.expect("it stopped");
}

#[tokio::test]
async fn so_it_is_to_a_legacy_session_whichever_way_it_came() {
    for way in [Way::Http, Way::Events, Way::Socket] {
        let mut upstream = Telling::start();
        let gateway = upstream.gateway_of::<Batched>(1);
        let mut client = subscribed(&mut upstream, way(gateway.address())).await;
        tools(&upstream);
        update(&upstream);
        assert_eq!(method(&client.told().await), UPDATED);
        let stopping = tokio::task::spawn_blocking(|| gateway.stop());
        assert_eq!(method(&client.told().await), TOOLS);
        within("it stops", stopping).await.expect("it stopped");
    }
}
