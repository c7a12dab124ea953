//! The certificate that clients are shown: read at start, and anew when its files change. A thread of its own looks after
//! them, so that no worker waits for a disk.
//!
//! It compares what the files hold, not when they were written: an editor that renames, a symbolic link that is turned
//! and a clock that jumps are all the same to it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tokio::sync::watch;

use super::{StartError, TlsError};
use crate::catalog::plan::{ListenerTls, Reference};
use crate::downstream::{PROTOCOLS, Shown};
use crate::references::References;
use crate::telemetry;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The thread that looks after the files. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    shown: Shown,
    /// Asks for a look at once; closed to end the thread.
    look: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the files held.
#[derive(Clone, PartialEq, Eq)]
struct Texts {
    cert: String,
    key: String,
    client_ca: Option<String>,
}

/// Where they are.
struct Files {
    tls: ListenerTls,
    references: References,
}

// === impl Watch ===

impl Watch {
    /// Reads the files, and goes on to look at them.
    pub(super) fn start(tls: ListenerTls, references: &References) -> Result<Self, StartError> {
        let files = Files { tls, references: references.clone() };
        let texts = files.read().map_err(StartError::Tls)?;
        let (sender, shown) = watch::channel(files.config(&texts).map_err(StartError::Tls)?);
        let (look, looks) = sync_channel(1);
        let thread = std::thread::Builder::new().name("certificate".to_owned()).spawn(move || {
            let mut found = Found { judged: Ok(texts), last: None };
            loop {
                let at_once = match looks.recv_timeout(LOOK) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                if let Some(config) = found.look(&files, at_once) {
                    sender.send_replace(config);
                }
            }
        });
        Ok(Self { shown: Arc::new(shown), look: Some(look), thread: Some(thread.map_err(StartError::Worker)?) })
    }

    /// What a handshake shows, whenever it begins.
    pub(super) fn shown(&self) -> Shown {
        Arc::clone(&self.shown)
    }

    /// Looks at the files now.
    pub(super) fn look(&self) {
        if let Some(look) = &self.look {
            // A look that is asked for already is this one too.
            let _asked = look.try_send(());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.look.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that looks after the certificate panicked");
        }
    }
}

/// What came of looking so far.
struct Found {
    /// What is shown, or was found to be of no use and said so.
    judged: Result<Texts, String>,
    /// What the look before found to be of no use.
    last: Option<Result<Texts, String>>,
}

impl Found {
    /// What is to be shown from now on, if that changes. Two files are not replaced at one instant, so what is of no use
    /// is complained about when it still stands there at the next look, or when somebody asked for this one.
    fn look(&mut self, files: &Files, at_once: bool) -> Option<Arc<ServerConfig>> {
        let read = files.read();
        let found = read.as_ref().map_err(said).cloned();
        if found == self.judged {
            self.last = None;
            if at_once {
                tracing::info!("certificate is unchanged");
            }
            return None;
        }
        match read.and_then(|texts| files.config(&texts)) {
            Ok(config) => {
                tracing::info!(cert = %files.tls.cert, "certificate is shown from now on");
                *self = Self { judged: found, last: None };
                Some(config)
            }
            Err(error) if at_once || self.last.as_ref() == Some(&found) => {
                tracing::error!(error = said(&error), "certificate is not taken: the one before is still shown");
                *self = Self { judged: found, last: None };
                None
            }
            Err(_) => {
                self.last = Some(found);
                None
            }
        }
    }
}

// === impl Files ===

impl Files {
    fn read(&self) -> Result<Texts, TlsError> {
        let text = |part, reference: &Reference| {
            self.references.resolve(reference).map_err(|source| TlsError::Unresolved { part, source })
        };
        let client_ca = self.tls.client_ca.as_ref().map(|ca| text("authorities of clients", ca)).transpose()?;
        Ok(Texts { cert: text("certificate", &self.tls.cert)?, key: text("private key", &self.tls.key)?, client_ca })
    }

    /// What they amount to.
    fn config(&self, texts: &Texts) -> Result<Arc<ServerConfig>, TlsError> {
        let (cert, key) = (self.tls.cert.to_string(), self.tls.key.to_string());
        let chain = certificates(&texts.cert, &cert)?;
        let private = PrivateKeyDer::from_pem_slice(texts.key.as_bytes()).map_err(|error| match error {
            pem::Error::NoItemsFound if texts.key.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
                TlsError::EncryptedKey(key.clone())
            }
            pem::Error::NoItemsFound => TlsError::NoKey(key.clone()),
            error => TlsError::Pem { file: key.clone(), why: error.to_string() },
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = match &texts.client_ca {
            Some(text) => self.clients(text, &provider)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_client_cert_verifier(clients).with_single_cert(chain, private));
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch { cert, key },
            error => TlsError::Unusable { cert, key, why: error.to_string() },
        })?;
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Who may come, by the authorities in a text.
    fn clients(&self, text: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let file = self.tls.client_ca.as_ref().map(ToString::to_string).unwrap_or_default();
        let refused = |why: String| TlsError::ClientAuthority { file: file.clone(), why };
        let mut roots = RootCertStore::empty();
        for authority in certificates(text, &file)? {
            roots.add(authority).map_err(|error| refused(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        verifier.map_err(|error| refused(error.to_string()))
    }
}

/// The certificates in a text, of which there are some.
fn certificates(text: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| TlsError::Pem { file: file.to_owned(), why: error.to_string() })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(file.to_owned()));
    }
    Ok(certificates)
}

/// What an error says, with its causes.
fn said(error: &TlsError) -> String {
    telemetry::chain(error.to_string(), error)
}
