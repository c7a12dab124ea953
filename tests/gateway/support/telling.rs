//! A modern server that a test plays: it tells by itself what the test says, to whoever listens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use only1mcp::catalog::Topology;
use only1mcp::{Gateway, Running};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::client::within;
use super::gateways::Recorded;
use super::recorder::{DONE, Post, Recorder, Wire};
use super::scripted::eventually;

/// The member of `_meta` that names a subscription.
pub(crate) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// A resource of it.
pub(crate) const ELEMENTS: &str = "data://tables/elements";

/// A modern server that acknowledges all that is listened for, and tells what the test says.
pub(crate) struct Telling {
    pub(crate) recorder: Recorder,
    pub(crate) tell: broadcast::Sender<String>,
    /// Streams that are open.
    open: Arc<AtomicUsize>,
    /// Streams that were ever begun: each is told what is said from then on.
    begun: Arc<AtomicUsize>,
    /// Requests that the test looked at.
    looked_at: usize,
    /// What was acknowledged last.
    acknowledged: watch::Receiver<Value>,
}

/// What ends the streams of such a server.
pub(crate) const BREAK: &str = "break";

impl Telling {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let (tell, _) = broadcast::channel::<String>(64);
        let [open, begun] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
        let (telling, counted, beginning) = (tell.clone(), Arc::clone(&open), Arc::clone(&begun));
        let (acknowledge, acknowledged) = watch::channel(Value::Null);
        let recorder = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
            if !post.head.contains("mcp-method: subscriptions/listen") {
                return wire.result(DONE).await;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let told = telling.subscribe();
            beginning.fetch_add(1, Ordering::SeqCst);
            let ended = stream(&post, wire, told, &acknowledge).await;
            counted.fetch_sub(1, Ordering::SeqCst);
            ended
        });
        Self { recorder, tell, open, begun, looked_at: 0, acknowledged }
    }

    /// A gateway with it behind both names.
    pub(crate) fn gateway(&self, workers: usize) -> Running {
        self.gateway_of::<Recorded>(workers)
    }

    /// The same of another topology.
    pub(crate) fn gateway_of<T: Topology>(&self, workers: usize) -> Running {
        let builder = Gateway::<T>::builder().address("127.0.0.1:0").workers(workers);
        let builder = builder.reference("ADMIN_URL", self.recorder.url()).reference("DATA_URL", self.recorder.url());
        builder.start().expect("the gateway starts")
    }

    /// Tells on every stream.
    pub(crate) fn tell(&self, name: &str, member: &str) {
        let told = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{name}","params":{{{member}"_meta":{{}}}}}}"#);
        self.tell.send(told).expect("a stream");
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// What the next request to it listens for, which hears what is told from now on.
    pub(crate) async fn asked(&mut self) -> Value {
        let asked: Value = serde_json::from_str(&self.recorder.post().await.body).expect("a message");
        assert_eq!(asked["method"], "subscriptions/listen", "{asked}");
        self.looked_at += 1;
        eventually("its stream", || self.begun.load(Ordering::SeqCst) >= self.looked_at).await;
        asked["params"]["notifications"].clone()
    }

    /// Waits until it has acknowledged this, and nothing else is listened for.
    pub(crate) async fn listened(&mut self, for_what: &Value) {
        let what = format!("it is listened for {for_what}");
        drop(within(&what, self.acknowledged.wait_for(|acknowledged| acknowledged == for_what)).await);
        self.listened_by(1).await;
    }

    /// What it has acknowledged last.
    pub(crate) fn acknowledged(&self) -> Value {
        self.acknowledged.borrow().clone()
    }

    /// Waits until it is listened to by so many workers, each with one request.
    pub(crate) async fn listened_by(&self, workers: usize) {
        eventually("narrower requests are given up", || self.open() == workers).await;
    }
}

/// One stream of such a server.
async fn stream(
    post: &Post,
    wire: &mut Wire<'_>,
    mut told: broadcast::Receiver<String>,
    acknowledge: &watch::Sender<Value>,
) -> io::Result<()> {
    let asked: Value = serde_json::from_str(&post.body).map_err(io::Error::other)?;
    wire.stream().await?;
    // Before anybody who got it can look.
    acknowledge.send_replace(asked["params"]["notifications"].clone());
    wire.event(&acknowledged(&asked)).await?;
    loop {
        tokio::select! {
            line = told.recv() => match line {
                Ok(line) if line != BREAK => wire.event(&line).await?,
                _ => return wire.end().await,
            },
            () = wire.hung_up() => return Ok(()),
        }
    }
}

/// The acknowledgement of all that a request listens for.
pub(crate) fn acknowledged(asked: &Value) -> String {
    json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
        "_meta": { SUBSCRIPTION_ID: asked["id"] }, "notifications": asked["params"]["notifications"],
    } })
    .to_string()
}
