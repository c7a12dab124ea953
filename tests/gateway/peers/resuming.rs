//! Published clients whose connections break in the midst of a call: they come back by the gateway's event ids.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{command, peers};
use crate::support::gateways;

/// What stands between a client and the gateway, and breaks the first connections on which a call makes progress, behind
/// that.
struct Breaker {
    address: SocketAddr,
    left: Arc<AtomicUsize>,
}

// === impl Breaker ===

impl Breaker {
    fn before(gateway: SocketAddr, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let left = Arc::new(AtomicUsize::new(cuts));
        let counted = Arc::clone(&left);
        // Ends with the process: nobody waits for it.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, left) = (client.expect("a connection"), Arc::clone(&counted));
                let server = TcpStream::connect(gateway).expect("the gateway listens");
                let (from, to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                std::thread::spawn(move || pass(from, to, |_passed| false));
                std::thread::spawn(move || pass(server, client, |passed| breaks(passed, &left)));
            }
        });
        Self { address, left }
    }
}

fn breaks(passed: &[u8], left: &AtomicUsize) -> bool {
    let progress = memchr::memmem::find(passed, b"notifications/progress").is_some();
    progress && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// Passes bytes on until either side is over, or what was passed breaks it.
fn pass(mut from: TcpStream, mut to: TcpStream, breaks: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() || breaks(&buffer[..count]) {
            break;
        }
    }
    for end in [from, to] {
        // The other direction may have done so.
        end.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

#[test]
fn published_clients_come_back_for_the_rest_of_a_call() {
    let Some(peers) = peers() else { return };
    let gateway = gateways::demo();
    for (program, script, sdk, cuts) in [
        ("node/bin/node", "resuming.mjs", "1", 2),
        ("node/bin/node", "resuming.mjs", "2", 2),
        // When the second connection breaks too, this one names the event that it had named before.
        ("python-legacy/bin/python", "resuming.py", "", 1),
    ] {
        let breaker = Breaker::before(gateway.address(), cuts);
        let url = format!("http://{}/mcp", breaker.address);
        let mut client = command(peers.join(program));
        client.arg(Path::new("tests/peers/clients").join(script)).arg(url);
        let output = client.args(Some(sdk).filter(|sdk| !sdk.is_empty())).output().expect("the client starts");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(breaker.left.load(Ordering::SeqCst), 0, "{printed}");
    }
}
