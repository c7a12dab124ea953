//! A server on the published Python SDK as a child that speaks the modern era.

use only1mcp::Gateway;

use super::{Peer, peers};

only1mcp::topology!(PythonSdk = "tests/gateway/topologies/python_sdk.yaml");

#[tokio::test]
async fn a_modern_child_on_the_python_sdk_serves_clients_of_both_eras() {
    let Some(peers) = peers() else { return };
    let gateway = Gateway::<PythonSdk>::builder().program(peers.join("python/bin/python")).workers(2);
    let gateway = gateway.start().expect("the gateway starts");
    for mut peer in Peer::of_both_eras(&gateway).await {
        let text = peer.call("fixture__test_simple_text", "{}").await;
        assert_eq!(text, "This is a simple text response for testing.");
        let read = peer.result("resources/read", Some("test://static-text"), r#""uri":"test://static-text""#).await;
        assert_eq!(read["contents"][0]["uri"], "test://static-text", "{read}");
        let name = "fixture__test_simple_prompt";
        let prompt = peer.result("prompts/get", Some(name), &format!(r#""name":"{name}""#)).await;
        assert_eq!(prompt["messages"][0]["role"], "user", "{prompt}");
    }
}
