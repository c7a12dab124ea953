//! Why a gateway does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{ActivationError, HandoverError};
use crate::control::OverlayError;
use crate::references::Unresolved;
use crate::upstream::OpenError;

/// A gateway that could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The reference to the address of a listener does not resolve.
    #[error("{listener} address does not resolve")]
    Reference {
        /// Which listener: `MCP` or `admin`.
        listener: &'static str,
        /// Why.
        #[source]
        source: Unresolved,
    },
    /// The address of a listener is no `host:port`.
    #[error("{listener} address `{address}` is not `host:port`")]
    Address {
        /// Which listener: `MCP` or `admin`.
        listener: &'static str,
        /// The address.
        address: String,
    },
    /// The address cannot be listened on.
    #[error("address {address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The path of a Unix socket is none.
    #[error("MCP address `{address}` names no socket: {why}")]
    SocketPath {
        /// The address.
        address: String,
        /// Why.
        why: &'static str,
    },
    /// A Unix socket cannot be listened on.
    #[error("socket `{}` cannot be listened on", path.display())]
    Socket {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process listens on a Unix socket.
    #[error("socket `{}` has a process that listens on it", .0.display())]
    SocketTaken(PathBuf),
    /// Something that is no socket is where one is to be.
    #[error("file `{}` is in the way of a socket", .0.display())]
    NotSocket(PathBuf),
    /// The listener is to speak TLS on a Unix socket.
    #[error("socket `{}` is not served over TLS: drop `listen.mcp.tls`, or listen on `host:port`", .0.display())]
    SocketTls(PathBuf),
    /// The certificate of the listener, or its key, is of no use.
    #[error("listener cannot speak TLS")]
    Tls(#[source] TlsError),
    /// This build has no TLS.
    #[error("TLS is not part of this build: build with `--features tls`")]
    TlsOff,
    /// The listener that was handed over is none.
    #[error("listener cannot be used")]
    Listener(#[source] std::io::Error),
    /// The sockets of the service manager are of no use.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The gateway that is to be taken over from does not hand over.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The admin address is open to other machines, and nothing protects it.
    #[error("admin address {0} is open to other machines and has no token: `listen.admin.token` names one")]
    OpenAdmin(SocketAddr),
    /// The reference to the admin token does not resolve.
    #[error("admin token does not resolve")]
    AdminToken(#[source] Unresolved),
    /// The admin token cannot be shown by any client.
    #[error("admin token is empty, or holds blanks or characters beyond ASCII")]
    AdminTokenForm,
    /// The reference to the keys that sessions are sealed with does not resolve.
    #[error("key of the sessions does not resolve")]
    SealKey(#[source] Unresolved),
    /// The keys that sessions are to be sealed with are none.
    #[error("key of the sessions cannot seal: {0}; write 32 bytes in hex or base64, several separated by commas")]
    SealKeyForm(&'static str),
    /// This build has no admin listener.
    #[error("admin listener is not part of this build: build with `--features admin`")]
    AdminOff,
    /// The topology has no such view.
    #[error("view `{0}` is not compiled in")]
    View(String),
    /// The client on stdin and stdout reads no more.
    #[error("client reads no more")]
    Unread,
    /// A backend's link cannot be prepared.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The overlay is not taken.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The operating system refused a thread, a runtime or a path.
    #[error("a worker cannot start")]
    Worker(#[source] std::io::Error),
}

/// A certificate, or a private key, that is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{part} cannot be read")]
    Unresolved {
        /// `certificate`, `private key` or `authorities of clients`.
        part: &'static str,
        /// Why.
        #[source]
        source: Unresolved,
    },
    /// A file holds something else than PEM.
    #[error("`{file}` is not PEM: {why}")]
    Pem {
        /// As the topology has it.
        file: String,
        /// What the parser says.
        why: String,
    },
    /// A file of certificates holds none.
    #[error("`{0}` holds no certificate")]
    NoCertificate(String),
    /// A file of a private key holds none.
    #[error("`{0}` holds no private key")]
    NoKey(String),
    /// A private key is locked by a passphrase.
    #[error("`{0}` holds a private key that is encrypted: store it without a passphrase")]
    EncryptedKey(String),
    /// The two are not a pair.
    #[error("private key in `{key}` does not belong to the certificate in `{cert}`")]
    Mismatch {
        /// As the topology has it.
        cert: String,
        /// As the topology has it.
        key: String,
    },
    /// An authority of clients is none.
    #[error("authority of clients in `{file}` is not usable: {why}")]
    ClientAuthority {
        /// As the topology has it.
        file: String,
        /// What the implementation of TLS says.
        why: String,
    },
    /// They cannot be used for another reason.
    #[error("certificate in `{cert}` with the private key in `{key}` is not usable: {why}")]
    Unusable {
        /// As the topology has it.
        cert: String,
        /// As the topology has it.
        key: String,
        /// What the implementation of TLS says.
        why: String,
    },
}
