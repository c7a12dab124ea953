//! A certificate authority of one test: the certificates it issues, and clients that trust it and nobody else.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::within;
use super::ledger::Directory;

/// An authority that nobody knows but who is told.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Otherwise what it issues would look as if it had signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("an authority"))
    }

    /// Its own certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name or address, and its private key, in PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = new_key();
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        let own = params.signed_by(&key, &self.0).expect("a certificate");
        (own.pem(), key.serialize_pem())
    }

    /// The same of one whose time is over.
    pub(crate) fn issue_expired(&self, name: &str) -> (String, String) {
        let key = new_key();
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }

    /// The same as the files `tls.crt` and `tls.key`.
    pub(crate) fn write(&self, directory: &Directory, name: &str) -> (String, String) {
        let (cert, key) = self.issue(name);
        let write = |file: &str, text: String| {
            let path = directory.path(file);
            fs::write(&path, text).expect("a directory of this test");
            path.to_str().expect("paths of tests are text").to_owned()
        };
        (write("tls.crt", cert), write("tls.key", key))
    }

    /// A connection to a server of this name, of a client who shows a certificate and has its key.
    pub(crate) async fn connect_as(
        &self,
        address: SocketAddr,
        (cert, key): &(String, String),
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let builder = builder.with_root_certificates(self.roots());
        let config = builder.with_client_auth_cert(vec![cert], key).expect("a pair");
        let tcp = within("connect", TcpStream::connect(address)).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        within("TLS", TlsConnector::from(Arc::new(config)).connect(name, tcp)).await
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).expect("a certificate")).expect("an authority");
        roots
    }

    /// What a client trusts who trusts this, and offers these protocols.
    pub(crate) fn trusted(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&[u8]],
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("versions");
        let mut config = builder.with_root_certificates(self.roots()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// A connection to a server of this name.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &'static str,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = within("connect", TcpStream::connect(address)).await?;
        let connector = TlsConnector::from(self.trusted(rustls::ALL_VERSIONS, protocols));
        within("TLS", connector.connect(ServerName::try_from(name).expect("a name"), tcp)).await
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
