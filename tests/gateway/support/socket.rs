//! A client over WebSocket, with the greeting and frames of another implementation, or with bytes of its own.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::client::within;

/// One connection.
#[derive(Debug)]
pub(crate) struct SocketClient(pub(crate) WebSocketStream<TcpStream>);

impl SocketClient {
    /// Greets the gateway at this path, with the subprotocol of MCP.
    pub(crate) async fn connect(address: SocketAddr, path: &str) -> Self {
        Self::begin(TcpStream::connect(address).await.expect("the gateway listens"), address, path).await
    }

    /// The same with further fields.
    pub(crate) async fn connect_with(address: SocketAddr, path: &str, fields: &[(&'static str, &str)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        Self::begin_with(stream, address, path, fields).await
    }

    /// The first on a connection that there is.
    pub(crate) async fn begin(stream: TcpStream, address: SocketAddr, path: &str) -> Self {
        Self::begin_with(stream, address, path, &[]).await
    }

    async fn begin_with(stream: TcpStream, address: SocketAddr, path: &str, fields: &[(&'static str, &str)]) -> Self {
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a URL");
        for (name, value) in fields {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a value"));
        }
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("mcp"));
        let greeted = within("a greeting", tokio_tungstenite::client_async(request, stream)).await;
        let (stream, answer) = greeted.expect("it switches protocols");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "mcp");
        assert!(!answer.headers().contains_key("sec-websocket-extensions"), "{answer:?}");
        Self(stream)
    }

    pub(crate) async fn say(&mut self, message: impl Into<String>) {
        within("room", self.0.send(Message::text(message.into()))).await.expect("it reads");
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.hear_text().await).expect("nothing but JSON is said")
    }

    /// The same as it came; pings are answered and passed over.
    pub(crate) async fn hear_text(&mut self) -> String {
        loop {
            match within("a message", self.0.next()).await.expect("it has not ended").expect("a frame") {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => unreachable!("no message: {other:?}"),
            }
        }
    }

    pub(crate) async fn ask(&mut self, message: impl Into<String>) -> Value {
        self.say(message).await;
        self.hear().await
    }

    /// Writes bytes that may be no frames. A gateway that has closed is no error: its code is what counts.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        drop(within("room", self.0.get_mut().write_all(bytes)).await);
    }

    /// The code with which the gateway closes; messages that come before are passed over.
    pub(crate) async fn code(&mut self) -> u16 {
        loop {
            match within("a goodbye", self.0.next()).await.expect("it says goodbye") {
                Ok(Message::Close(frame)) => return frame.expect("a code").code.into(),
                Ok(_) => {}
                Err(Error::Io(error)) => unreachable!("it ended without a goodbye: {error}"),
                Err(error) => unreachable!("no frame: {error}"),
            }
        }
    }
}

/// A frame of a client: `first` is the first byte of its head. Masked with zeros, which leaves the payload as it is.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | u8::try_from(length).expect("below 126")),
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
