//! Clients over TLS: what they are shown, what becomes of those who do not speak it, and certificates that change while
//! the gateway serves.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use only1mcp::{Gateway, Running, StartError, TlsError, limits};
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::authority::Authority;
use crate::support::client::{Client, PATIENCE, Request, within};
use crate::support::gateways::Demo;
use crate::support::ledger::Directory;

only1mcp::topology!(Secure = "tests/gateway/topologies/secure.yaml");

/// What a client that knows nothing newer offers.
const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// A gateway that shows the pair in this directory.
fn start(cert: &str, key: &str) -> Result<Running, StartError> {
    let builder = Gateway::<Demo>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp"));
    builder.tls(cert, key).workers(2).start()
}

/// One with a certificate of this authority for `localhost`.
fn demo(authority: &Authority, directory: &Directory) -> Running {
    let (cert, key) = authority.write(directory, "localhost");
    start(&cert, &key).expect("the gateway starts")
}

fn sum() -> Request {
    Request::call("math__add", r#"{"a":1,"b":2}"#)
}

#[tokio::test]
async fn every_way_to_ask_leads_over_tls() {
    let (authority, directory) = (Authority::new(), Directory::new());
    let gateway = demo(&authority, &directory);
    assert_eq!(gateway.url(), format!("https://{}/mcp", gateway.address()));
    for (version, number) in
        [(&rustls::version::TLS13, ProtocolVersion::TLSv1_3), (&rustls::version::TLS12, ProtocolVersion::TLSv1_2)]
    {
        let tcp = TcpStream::connect(gateway.address()).await.expect("it listens");
        let connector = TlsConnector::from(authority.trusted(&[version], HTTP1));
        let tls = within("TLS", connector.connect(ServerName::try_from("localhost").expect("a name"), tcp)).await;
        let tls = tls.expect("the client trusts it");
        assert_eq!(tls.get_ref().1.protocol_version(), Some(number));
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = Client::over(tls);
        assert_eq!(client.exchange(&sum()).await.json()["result"]["content"][0]["text"], "3");
        client.assert_carries().await;
    }
}

#[tokio::test]
async fn an_end_is_told_from_a_cut() {
    let (authority, directory) = (Authority::new(), Directory::new());
    let gateway = demo(&authority, &directory);
    let tls = authority.connect(gateway.address(), "localhost", HTTP1).await.expect("the client trusts it");
    let mut client = Client::over(tls);
    let answer = client.exchange(&sum().field("Connection", "close")).await;
    assert_eq!(answer.status, 200);
    // A connection that just stopped would be an error here: rustls asks for `close_notify`.
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn who_offers_nothing_that_is_spoken_here_is_refused_in_the_handshake() {
    let (authority, directory) = (Authority::new(), Directory::new());
    let gateway = demo(&authority, &directory);
    let refused = authority.connect(gateway.address(), "localhost", &[b"spdy/3"]).await.expect_err("none in common");
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    let stranger = Authority::new().connect(gateway.address(), "localhost", HTTP1).await.expect_err("no trust");
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    let plain = authority.connect(gateway.address(), "localhost", &[]).await.expect("nothing offered is no refusal");
    assert_eq!(Client::over(plain).exchange(&sum()).await.status, 200);
}

#[tokio::test]
async fn plain_http_on_the_port_of_tls_is_told_so() {
    let (authority, directory) = (Authority::new(), Directory::new());
    let gateway = demo(&authority, &directory);
    let mut client = Client::connect(gateway.address()).await;
    let answer = client.exchange(&sum()).await;
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{}", answer.text());
    assert!(answer.text().contains("this port is served over TLS"), "{}", answer.text());
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_handshake_that_goes_wrong_costs_its_own_connection_and_nothing_else() {
    let (authority, directory) = (Authority::new(), Directory::new());
    let gateway = demo(&authority, &directory);
    // A record of the handshake that holds none, one that never ends, and silence.
    let mut silent = Vec::new();
    for bytes in [&b"\x16\x03\x01\x00\x05hello"[..], b"\x16\x03\x01\xff\xff", b"\x16", b""] {
        let mut client = Client::connect(gateway.address()).await;
        client.write(bytes).await;
        if bytes.ends_with(b"hello") {
            // Closed, at most with an alert.
            let said = client.rest().await;
            assert!(matches!(said.first(), None | Some(21)), "{said:?}");
        }
        silent.push(client);
    }
    let tls = authority.connect(gateway.address(), "localhost", HTTP1).await.expect("the client trusts it");
    assert_eq!(Client::over(tls).exchange(&sum()).await.status, 200);
    // They do not hold up its end either.
    let stopping = Instant::now();
    gateway.stop();
    assert!(stopping.elapsed() < limits::DRAIN_GRACE, "{:?}", stopping.elapsed());
}

/// Replaces a file as certbot and editors do: by a rename.
fn replace(path: &str, text: &str) {
    let new = format!("{path}.new");
    fs::write(&new, text).expect("a directory of this test");
    fs::rename(new, path).expect("a directory of this test");
}

/// Whether whoever trusts this authority trusts the gateway.
async fn trusts(authority: &Authority, gateway: &Running) -> bool {
    match authority.connect(gateway.address(), "localhost", HTTP1).await {
        Ok(tls) => Client::over(tls).exchange(&sum()).await.status == 200,
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_certificate_that_changes_is_shown_without_a_restart() {
    let (old, new, directory) = (Authority::new(), Authority::new(), Directory::new());
    let (cert, key) = old.write(&directory, "localhost");
    let gateway = start(&cert, &key).expect("the gateway starts");
    let mut before = Client::over(old.connect(gateway.address(), "localhost", HTTP1).await.expect("it is trusted"));
    assert_eq!(before.exchange(&sum()).await.status, 200);

    let (new_cert, new_key) = new.issue("localhost");
    // Half of a pair is none.
    replace(&cert, &new_cert);
    gateway.reload_certificate();
    assert!(trusts(&old, &gateway).await);
    replace(&key, &new_key);
    gateway.reload_certificate();
    let began = Instant::now();
    while !trusts(&new, &gateway).await {
        assert!(began.elapsed() < PATIENCE, "the new certificate is never shown");
    }
    assert!(!trusts(&old, &gateway).await);
    assert_eq!(before.exchange(&sum()).await.status, 200, "connections live on");

    // What is of no use changes nothing.
    for broken in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        replace(&cert, broken);
        gateway.reload_certificate();
        assert!(trusts(&new, &gateway).await, "{broken:?}");
    }
    fs::remove_file(&cert).expect("it is there");
    assert!(trusts(&new, &gateway).await);
}

/// Without anybody asking, and by a symbolic link that is turned, as certbot and Kubernetes do.
#[tokio::test]
async fn a_symbolic_link_that_is_turned_is_noticed() {
    let (old, new, directory) = (Authority::new(), Authority::new(), Directory::new());
    let write = |authority: &Authority, name: &str| {
        let folder = directory.path(name);
        fs::create_dir(&folder).expect("a directory of this test");
        let (cert, key) = authority.issue("localhost");
        fs::write(folder.join("cert.pem"), cert).expect("a directory of this test");
        fs::write(folder.join("key.pem"), key).expect("a directory of this test");
    };
    write(&old, "1");
    write(&new, "2");
    let live = directory.path("live");
    let turn = |to: &str| {
        let next = directory.path("next");
        std::os::unix::fs::symlink(to, &next).expect("a directory of this test");
        fs::rename(next, &live).expect("a directory of this test");
    };
    turn("1");
    let text = |path: &Path| path.to_str().expect("paths of tests are text").to_owned();
    let gateway = start(&text(&live.join("cert.pem")), &text(&live.join("key.pem"))).expect("the gateway starts");
    assert!(trusts(&old, &gateway).await);
    turn("2");
    let began = Instant::now();
    while !trusts(&new, &gateway).await {
        assert!(began.elapsed() < PATIENCE, "the new certificate is never shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether whoever came this far is served: TLS 1.3 refuses a client after its own handshake is done.
async fn is_served(tls: std::io::Result<tokio_rustls::client::TlsStream<TcpStream>>) -> bool {
    let Ok(mut tls) = tls else { return false };
    let mut answer = [0; 12];
    let asked = async {
        tls.write_all(&sum().bytes()).await?;
        tls.read_exact(&mut answer).await
    };
    within("an answer or an alert", asked).await.is_ok() && answer == *b"HTTP/1.1 200"
}

#[tokio::test]
async fn clients_show_a_certificate_where_the_gateway_asks_for_one() {
    let (authority, own, directory) = (Authority::new(), Authority::new(), Directory::new());
    let (cert, key) = authority.write(&directory, "localhost");
    let ca = directory.path("clients.pem").to_str().expect("paths of tests are text").to_owned();
    fs::write(&ca, own.pem()).expect("a directory of this test");
    let builder =
        || Gateway::<Demo>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp")).workers(1);
    let gateway = builder().mutual_tls(&cert, &key, &ca).start().expect("the gateway starts");
    let address = gateway.address();
    assert!(is_served(authority.connect_as(address, &own.issue("client")).await).await);
    assert!(!is_served(authority.connect_as(address, &authority.issue("client")).await).await, "another authority");
    assert!(!is_served(authority.connect_as(address, &own.issue_expired("client")).await).await, "no more");
    assert!(!is_served(authority.connect(address, "localhost", HTTP1).await).await, "none");

    // Whom to trust is read anew too.
    let other = Authority::new();
    replace(&ca, &other.pem());
    gateway.reload_certificate();
    let began = Instant::now();
    while !is_served(authority.connect_as(address, &other.issue("client")).await).await {
        assert!(began.elapsed() < PATIENCE, "the new authority is never trusted");
    }
    assert!(!is_served(authority.connect_as(address, &own.issue("client")).await).await);

    for (text, why) in [
        ("", format!("`file:{ca}` holds no certificate")),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            format!("authority of clients in `file:{ca}` is not usable: "),
        ),
    ] {
        replace(&ca, text);
        let refused = builder().mutual_tls(&cert, &key, &ca).start().expect_err("it cannot start");
        let refused = format!("{:#}", anyhow::Error::from(refused));
        assert!(refused.contains(&why), "{refused}");
    }
}

/// What keeps a gateway from starting with these files, whole.
fn refusal(cert: &str, key: &str) -> String {
    let refused = start(cert, key).expect_err("it cannot start");
    assert!(matches!(refused, StartError::Tls(_)), "{refused:?}");
    format!("{:#}", anyhow::Error::from(refused))
}

#[test]
fn a_pair_that_is_of_no_use_is_refused_at_start_with_the_reason() {
    let (authority, directory) = (Authority::new(), Directory::new());
    let (cert, key) = authority.write(&directory, "localhost");
    let file = |name: &str, text: &str| {
        let path = directory.path(name);
        fs::write(&path, text).expect("a directory of this test");
        path.to_str().expect("paths of tests are text").to_owned()
    };
    let absent = directory.path("absent").to_str().expect("text").to_owned();
    let (prose, empty) = (file("prose", "no PEM at all"), file("empty", ""));
    let cut = file("cut", "-----BEGIN CERTIFICATE-----\nMIIB");
    let rubbish = file("rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let other = file("other", &authority.issue("localhost").1);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = file("encrypted", encrypted);
    let directory_itself = directory.path("").to_str().expect("text").to_owned();
    for (cert, key, why) in [
        (
            &absent,
            &key,
            format!("certificate cannot be read: file `{absent}` cannot be read: No such file or directory"),
        ),
        (
            &cert,
            &absent,
            format!("private key cannot be read: file `{absent}` cannot be read: No such file or directory"),
        ),
        (&directory_itself, &key, "cannot be read: Is a directory".to_owned()),
        (&prose, &key, format!("`file:{prose}` holds no certificate")),
        (&empty, &key, format!("`file:{empty}` holds no certificate")),
        (&key, &key, format!("`file:{key}` holds no certificate")),
        (&cut, &key, format!("`file:{cut}` is not PEM: ")),
        (
            &rubbish,
            &key,
            format!("certificate in `file:{rubbish}` with the private key in `file:{key}` is not usable: "),
        ),
        (&cert, &cert, format!("`file:{cert}` holds no private key")),
        (
            &cert,
            &encrypted,
            format!("`file:{encrypted}` holds a private key that is encrypted: store it without a passphrase"),
        ),
        (&cert, &other, format!("private key in `file:{other}` does not belong to the certificate in `file:{cert}`")),
    ] {
        let refused = refusal(cert, key);
        assert!(refused.starts_with("listener cannot speak TLS: ") && refused.contains(&why), "{refused}\n{why}");
    }
    // One file may hold both.
    let both =
        file("both", &[fs::read_to_string(&key), fs::read_to_string(&cert)].map(|text| text.expect("text")).concat());
    start(&both, &both).expect("the gateway starts").stop();
}

#[test]
fn the_pair_is_that_of_the_topology() {
    let refused = Gateway::<Secure>::builder().start().expect_err("there is no such file");
    let StartError::Tls(TlsError::Unresolved { part: "certificate", source }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.to_string(), "file `/nonexistent/tls.crt` cannot be read");
    let (authority, directory) = (Authority::new(), Directory::new());
    let (cert, key) = authority.write(&directory, "localhost");
    let socket = directory.path("gateway.sock");
    let builder = Gateway::<Demo>::builder().address(format!("unix:{}", socket.display())).tls(cert, key);
    let refused = builder.start().expect_err("sockets are served in plain");
    assert!(matches!(&refused, StartError::SocketTls(path) if *path == socket), "{refused:?}");
    assert!(!socket.exists());
}
