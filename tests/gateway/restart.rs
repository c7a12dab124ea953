//! Gateways that take each other's place, as real processes with real sockets: what a service manager hands over, what one
//! gateway hands to the next, and that clients notice nothing.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::command_line::Started;
use crate::legacy;
use crate::support::client::{Client, PATIENCE, Request, within};
use crate::support::ledger::Directory;
use crate::support::program::run;
use crate::support::scripted::{descendants_of, eventually, signal};

/// How often a gateway is replaced.
const ROUNDS: usize = 3;

/// The program as a service manager starts it, with these sockets. They come as standard streams, which a shell moves to
/// where they belong: descriptors that every child inherits would also go to those of other tests.
fn activated(mcp: impl Into<OwnedFd>, admin: Option<OwnedFd>, arguments: &[&str]) -> Command {
    let count = 1 + usize::from(admin.is_some());
    let moves = if count == 2 { "3<&0 4<&2 0</dev/null 2>/dev/null" } else { "3<&0 0</dev/null" };
    let script = format!("export LISTEN_PID=$$ LISTEN_FDS={count}; exec \"$0\" \"$@\" {moves}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_only1mcp"), "start", "--quiet"]).args(arguments);
    command.stdin(Stdio::from(mcp.into())).stderr(admin.map_or_else(Stdio::inherit, Stdio::from));
    command
}

fn listener() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    (listener.local_addr().expect("bound"), listener)
}

/// Clients that call without a pause, on new connections and on kept ones.
struct Traffic {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(address: SocketAddr) -> Self {
        let (over, answered) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let clients = (0..6).map(|client| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut kept = None;
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    sum(address, &mut kept, client * 1_000_000 + number).await;
                    kept = kept.filter(|_| client % 2 == 0);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let clients = clients.collect();
        Self { over, answered, clients }
    }

    /// Waits for so many calls more.
    async fn goes_on(&self) {
        let goal = self.answered.load(Ordering::Relaxed) + 60;
        eventually("calls go on", || {
            let is_broken = self.clients.iter().any(JoinHandle::is_finished);
            is_broken || self.answered.load(Ordering::Relaxed) >= goal
        })
        .await;
    }

    /// Every call had its answer.
    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("every call went well");
        }
    }
}

/// Calls a tool on the connection that is kept, or on a new one.
async fn sum(address: SocketAddr, kept: &mut Option<Client>, number: u64) {
    let request = Request::call("math__add", &format!(r#"{{"a":{number},"b":1}}"#));
    let reused = kept.take();
    let is_reused = reused.is_some();
    let mut client = match reused {
        Some(client) => client,
        None => Client::connect(address).await,
    };
    client.write(&request.bytes()).await;
    let answer = match client.answer_if_any().await {
        Some(answer) => answer,
        // Of a connection that was kept, its end may cross with a request: nothing of that was read (RFC 9112, 9.3.1).
        None if is_reused => {
            client = Client::connect(address).await;
            client.exchange(&request).await
        }
        None => unreachable!("a new connection ended without an answer"),
    };
    assert_eq!(answer.json()["result"]["content"][0]["text"], (number + 1).to_string(), "{}", answer.text());
    *kept = (answer.field("connection") != Some("close")).then_some(client);
}

fn ends(mut gateway: Started) -> JoinHandle<Option<i32>> {
    tokio::task::spawn_blocking(move || gateway.ended())
}

// === a service manager ===

#[tokio::test]
async fn a_gateway_on_sockets_of_a_service_manager_is_replaced_without_a_call_lost() {
    let (address, mcp) = listener();
    let start = || Started::run(&mut activated(mcp.try_clone().expect("a socket"), None, &[]));
    let mut gateway = start();
    assert_eq!(gateway.address(), address);
    let traffic = Traffic::start(address);
    for _ in 0..ROUNDS {
        traffic.goes_on().await;
        signal(gateway.pid(), Signal::TERM);
        // As `systemctl restart` does it: the next one starts when this one has ended, and clients wait.
        assert_eq!(within("its end", ends(gateway)).await.expect("it ended"), Some(0));
        gateway = tokio::task::spawn_blocking({
            let socket = mcp.try_clone().expect("a socket");
            move || Started::run(&mut activated(socket, None, &[]))
        })
        .await
        .expect("it starts");
    }
    traffic.goes_on().await;
    traffic.end().await;
}

#[tokio::test]
async fn administrators_come_by_the_socket_that_is_theirs_and_children_inherit_none() {
    let ((address, mcp), (admin_address, admin)) = (listener(), listener());
    let inodes = [&mcp, &admin].map(|socket| {
        let stat = rustix::fs::fstat(socket).expect("a socket");
        format!("socket:[{}]", stat.st_ino)
    });
    let mut gateway = Started::run(&mut activated(mcp, Some(admin.into()), &[]));
    assert_eq!((gateway.address(), gateway.admin_address()), (address, admin_address));
    let mut kept = None;
    sum(address, &mut kept, 1).await;
    assert_eq!(Client::ask(admin_address, &Request::bare("GET /api/v1/admin/ready HTTP/1.1")).await.status, 200);
    let children = descendants_of(gateway.pid());
    assert!(!children.is_empty(), "the backends of the topology are children");
    for child in children {
        // One that has just ended, or stands between fork and exec, has nothing to show.
        let Ok(environment) = fs::read(format!("/proc/{child}/environ")) else { continue };
        let environment = String::from_utf8_lossy(&environment);
        assert!(!environment.contains("LISTEN_"), "{environment}");
        let descriptors = fs::read_dir(format!("/proc/{child}/fd")).into_iter().flatten();
        let targets: Vec<_> = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect();
        assert!(!targets.iter().any(|target| inodes.iter().any(|inode| target == Path::new(inode))), "{targets:?}");
    }
}

#[test]
fn sockets_of_no_use_and_options_that_contradict_them_are_errors() {
    let refused = |command: &mut Command| {
        let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().expect("it starts");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let why = "error: descriptor 3 of the service manager is no stream socket: set `ListenStream=`\n";
    assert_eq!(refused(&mut activated(datagrams, None, &[])), (Some(1), why.to_owned()));
    let (address, socket) = listener();
    let why = format!("error: service manager gives a socket at `{address}`, which leaves no room for `--port`\n");
    assert_eq!(refused(&mut activated(socket, None, &["--port", "0"])), (Some(1), why));
}

#[tokio::test]
async fn a_service_manager_is_told_how_the_gateway_stands() {
    let directory = Directory::new();
    let (path, overlay) = (directory.path("notify"), directory.path("overlay.yaml"));
    fs::write(&overlay, "{}\n").expect("a file");
    let told = UnixDatagram::bind(&path).expect("a free path");
    told.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let next = || -> io::Result<String> {
        let mut text = [0; 256];
        let length = told.recv(&mut text)?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    };
    // Also where there is no file to be read anew.
    for overlay in [Some(overlay), None] {
        let gateway = Started::of(|command| {
            command.env("NOTIFY_SOCKET", &path).env("XDG_CONFIG_HOME", directory.path("none")).args(["--port", "0"]);
            if let Some(overlay) = &overlay { command.arg("--overlay").arg(overlay) } else { command }
        });
        assert_eq!(next().expect("told"), "READY=1");
        signal(gateway.pid(), Signal::HUP);
        let reloading = next().expect("told");
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|since| since.parse::<u64>().ok());
        assert!(since.is_some_and(|since| since > 0), "{reloading}");
        assert_eq!(next().expect("told"), "READY=1");
        signal(gateway.pid(), Signal::TERM);
        assert_eq!(next().expect("told"), "STOPPING=1");
        assert_eq!(ends(gateway).await.expect("it ended"), Some(0));
    }
}

// === one gateway after the other ===

/// A gateway that takes over at this path, and hands over there.
fn succeeding(path: &Path, arguments: &[&str]) -> Started {
    Started::of(|command| command.arg("--handover").arg(path).args(arguments))
}

#[tokio::test]
async fn a_gateway_takes_over_from_another_without_a_call_lost() {
    let directory = Directory::new();
    let path = directory.path("handover.sock");
    let arguments = ["--port", "0", "--admin-port", "0"];
    let mut gateway = succeeding(&path, &arguments);
    let (address, admin) = (gateway.address(), gateway.admin_address());
    assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
    // The session of a legacy client goes on as well: what it is sealed with is handed over.
    let session = legacy::session(address).await;
    let traffic = Traffic::start(address);
    for _ in 0..ROUNDS {
        traffic.goes_on().await;
        let own = path.clone();
        let next = tokio::task::spawn_blocking(move || succeeding(&own, &arguments)).await.expect("it starts");
        let before = std::mem::replace(&mut gateway, next);
        assert_eq!(within("the end of the one before", ends(before)).await.expect("it ended"), Some(0));
        assert_eq!((gateway.address(), gateway.admin_address()), (address, admin));
        let ready = Client::ask(admin, &Request::bare("GET /api/v1/admin/ready HTTP/1.1")).await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "math__add", "arguments": { "a": 1, "b": 2 } } });
        let answer = Client::ask(address, &Request::legacy(&session, body.to_string())).await;
        assert_eq!(answer.message()["result"]["content"][0]["text"], "3", "{}", answer.text());
    }
    traffic.goes_on().await;
    traffic.end().await;
    signal(gateway.pid(), Signal::TERM);
    assert_eq!(ends(gateway).await.expect("it ended"), Some(0));
    assert!(!path.exists(), "the last one takes the file with it");
}

#[tokio::test]
async fn a_gateway_that_cannot_take_over_leaves_the_other_as_it_is() {
    let directory = Directory::new();
    let (path, overlay) = (directory.path("handover.sock"), directory.path("overlay.yaml"));
    let gateway = succeeding(&path, &["--port", "0"]);
    let traffic = Traffic::start(gateway.address());
    fs::write(&overlay, "backends: { nobody: {} }\n").expect("a file");
    let (own, overlay) = (path.clone(), overlay.display().to_string());
    let failed = tokio::task::spawn_blocking(move || {
        run(&["start", "--port", "0", "--handover", own.to_str().expect("text"), "--overlay", &overlay])
    });
    let failed = failed.await.expect("it ended");
    assert_eq!(failed.code, Some(3), "{failed:?}");
    traffic.goes_on().await;
    assert!(path.exists());
    // What the topology says, or who starts it, comes before where the other one listens.
    let (other, socket) = listener();
    drop(socket);
    let own = path.clone();
    let next = tokio::task::spawn_blocking(move || succeeding(&own, &["--port", &other.port().to_string()]));
    traffic.end().await;
    let next = next.await.expect("it starts");
    assert_eq!(next.address(), other);
    assert_eq!(within("the end of the one before", ends(gateway)).await.expect("it ended"), Some(0));
    let mut kept = None;
    sum(other, &mut kept, 1).await;
}

#[tokio::test]
async fn who_listens_there_and_hands_nothing_over_is_left_alone() {
    let directory = Directory::new();
    let path = directory.path("handover.sock");
    let stranger = std::os::unix::net::UnixListener::bind(&path).expect("a free path");
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = stranger.accept().expect("it asks");
        io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\nend\n").expect("it reads");
    });
    let own = path.clone();
    let refused = tokio::task::spawn_blocking(move || run(&["start", "--handover", own.to_str().expect("text")]));
    let refused = refused.await.expect("it ended");
    let why = "is no gateway that this one can take over from: stop it first";
    assert!(refused.code == Some(1) && refused.stderr.contains(why), "{refused:?}");
    answers.join().expect("it asked once");
    assert!(path.exists());
}
