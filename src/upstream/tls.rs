//! Trust towards backends: rustls with the authorities of the system, and those a topology adds.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom to trust to be a backend.
pub(super) struct Trust {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Trust {
    /// Trusts the system's authorities, and those in `ca` (PEM text); offers these protocols, the first one rather.
    pub(super) fn new(host: &str, ca: Option<&str>, protocols: &[&[u8]]) -> Result<Self, String> {
        let mut roots = rustls::RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "a system authority is not usable");
        }
        let (_added, _ignored) = roots.add_parsable_certificates(system.certs);
        if let Some(ca) = ca {
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
                let certificate = certificate.map_err(|error| format!("`ca` is not PEM: {error}"))?;
                roots
                    .add(certificate)
                    .map_err(|error| format!("`ca` holds a certificate that is not usable: {error}"))?;
            }
            if roots.len() == before {
                return Err("`ca` holds no certificate".to_owned());
            }
        }
        if roots.is_empty() {
            return Err("no authority to trust: neither the system nor `ca` has one".to_owned());
        }
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned())
            .map_err(|error| format!("`{host}` is no name for TLS: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Establishes TLS on a new connection.
    pub(super) async fn connect(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), tcp).await
    }
}

/// Whether a handshake ended because the server speaks none of the protocols that were offered.
#[cfg(feature = "http2")]
pub(super) fn is_no_protocol(error: &std::io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(error, Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)))
}
