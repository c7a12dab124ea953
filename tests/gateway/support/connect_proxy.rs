//! A proxy that a test plays: it keeps what it is asked, and connects or answers as it is told.
#![expect(clippy::disallowed_types, reason = "a proxy that is played is no data plane")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::serving::Serving;

/// What it does to who asks for this host and port.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// Connects to this address, once it has said these bytes.
    Through(SocketAddr, &'static str),
    /// Says these bytes and ends the connection.
    Says(&'static str),
    /// Says nothing.
    Silence,
}

/// The answer of most proxies.
pub(crate) const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy that runs until it is dropped; its connections end with it.
#[derive(Debug)]
pub(crate) struct ConnectProxy {
    serving: Serving,
    heads: Arc<Mutex<Vec<String>>>,
}

// === impl ConnectProxy ===

impl ConnectProxy {
    /// Serves on a port that the system chooses. `way` is asked with the host and port of each request.
    pub(crate) fn start(way: impl Fn(&str) -> Way + Send + Sync + 'static) -> Self {
        let (way, heads) = (Arc::new(way), Arc::<Mutex<Vec<String>>>::default());
        let keeping = Arc::clone(&heads);
        let serving = Serving::listen(([127, 0, 0, 1], 0).into(), async move |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                let (way, heads) = (Arc::clone(&way), Arc::clone(&keeping));
                // Who is gone is gone.
                tokio::spawn(async move { drop(serve(stream, &*way, &heads).await) });
            }
        });
        Self { serving, heads }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.serving.address)
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("not poisoned").clone()
    }
}

async fn serve(
    mut client: TcpStream,
    way: &(dyn Fn(&str) -> Way + Send + Sync),
    heads: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    // Nothing may come behind the head before it is answered.
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8(read).expect("a head in ASCII");
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    heads.lock().expect("not poisoned").push(head);
    match way(&target) {
        Way::Through(address, said) => {
            let mut server = TcpStream::connect(address).await?;
            client.write_all(said.as_bytes()).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        }
        Way::Says(said) => client.write_all(said.as_bytes()).await?,
        Way::Silence => std::future::pending().await,
    }
    Ok(())
}
