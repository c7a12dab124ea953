//! Whatever serves on a thread of its own for as long as a test wants it. What is served is not here.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::client::within;

/// It runs until it is dropped; then nothing of it is left, and its connections have ended.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Serving ===

impl Serving {
    /// Runs `serve`, which says where it listens.
    pub(crate) fn start(serve: impl AsyncFnOnce(Sender<SocketAddr>) + Send + 'static) -> Self {
        let (ready, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    // Sent or dropped: it stops.
                    _ = stopped => {}
                    () = serve(ready) => {}
                }
            });
        });
        Self { address: address.recv().expect("it listens"), stop: Some(stop), thread: Some(thread) }
    }

    /// Runs `serve` with a listener at this address.
    pub(crate) fn listen(address: SocketAddr, serve: impl AsyncFnOnce(TcpListener) + Send + 'static) -> Self {
        Self::start(async move |ready| {
            let listener = bind(address).await;
            ready.send(listener.local_addr().expect("bound")).expect("it is waited for");
            serve(listener).await;
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a server that does not panic");
        }
    }
}

/// A listener there. A port that a server has just left may be where somebody else's connection begins, for a moment.
pub(crate) async fn bind(address: SocketAddr) -> TcpListener {
    let bound = async {
        loop {
            match TcpListener::bind(address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                bound => return bound.expect("an address of this machine"),
            }
        }
    };
    within("the port", bound).await
}
