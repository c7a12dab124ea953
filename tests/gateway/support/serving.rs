//! Whatever serves on a thread of its own for as long as a test wants it. What is served is not here.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::client::PATIENCE;

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
        until_closed(self.address);
    }
}

/// Waits until nobody can send anything there any more. A child that another test starts in this moment has copies of
/// all sockets of this process until it executes its program: connections stand, and are even accepted, until then.
fn until_closed(address: SocketAddr) {
    let began = Instant::now();
    while is_open(address) && began.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
}

/// Whether a socket listens there, or a connection to there stands.
fn is_open(address: SocketAddr) -> bool {
    /// `TCP_LISTEN` and `TCP_ESTABLISHED`, as proc(5) has them.
    const OPEN: [&str; 2] = ["0A", "01"];
    let sockets = std::fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    let port = format!(":{:04X}", address.port());
    sockets.lines().any(|socket| {
        let mut fields = socket.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        local.ends_with(&port) && OPEN.contains(&state)
    })
}

/// A listener there.
pub(crate) async fn bind(address: SocketAddr) -> TcpListener {
    bound(|| TcpListener::bind(address)).await
}

/// What `bind` comes to once the port is free: one that a server has just left may be where somebody else's connection
/// begins, or a child that is being started may hold it, for a moment.
pub(crate) async fn bound<T>(bind: impl AsyncFn() -> io::Result<T>) -> T {
    let began = Instant::now();
    loop {
        match bind().await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            bound => return bound.expect("an address of this machine"),
        }
    }
}
