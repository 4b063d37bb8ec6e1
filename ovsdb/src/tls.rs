//! TLS as Open vSwitch does it: both sides show a certificate of one private authority, and names do not matter.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use tokio_rustls::TlsConnector;

/// The files that `ovs-vsctl set-ssl` takes, too, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our private key.
    pub private_key: PathBuf,
    /// Our certificate, with those between it and the authority.
    pub certificate: PathBuf,
    /// The authority that must have signed the certificate of the other side.
    pub ca_certificate: PathBuf,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A remote of `ssl:` without [`TlsFiles`].
    #[error("remote is ssl: but no private key, certificate and CA certificate are configured")]
    NoFiles,
    /// A file cannot be used.
    #[error("cannot use {what} {}: {reason}", .path.display())]
    File {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The files do not go together.
    #[error("certificate and private key cannot be used")]
    Config(#[source] rustls::Error),
    /// The host of the remote can be no name of a server.
    #[error("\"{0}\" is neither a host name nor an address")]
    Name(String),
}

/// Reads the files anew each time, so that a renewed certificate is used from the next connection on.
pub(crate) async fn connector(files: &TlsFiles) -> Result<TlsConnector, TlsError> {
    let certificates = certificates("certificate", &files.certificate).await?;
    let key_error = |reason: String| TlsError::file("private key", &files.private_key, reason);
    let key = read("private key", &files.private_key).await?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|err| key_error(err.to_string()))?;
    let mut roots = RootCertStore::empty();
    for root in self::certificates("CA certificate", &files.ca_certificate).await? {
        let err =
            |err: rustls::Error| TlsError::file("CA certificate", &files.ca_certificate, err.to_string());
        roots.add(root).map_err(err)?;
    }

    let provider = Arc::new(ring::default_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|err| TlsError::file("CA certificate", &files.ca_certificate, err.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Config)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName(chain)))
        .with_client_auth_cert(certificates, key)
        .map_err(TlsError::Config)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))
}

async fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(what, path).await?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(list) if list.is_empty() => Err(TlsError::file(what, path, "holds no certificate".into())),
        Ok(list) => Ok(list),
        Err(err) => Err(TlsError::file(what, path, err.to_string())),
    }
}

async fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let reason = |err: io::Error| match err.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        _ => err.to_string(),
    };
    tokio::fs::read(path).await.map_err(|err| TlsError::file(what, path, reason(err)))
}

impl TlsError {
    fn file(what: &'static str, path: &Path, reason: String) -> Self {
        Self::File { what, path: path.to_owned(), reason }
    }
}

/// Everything that web PKI asks for but the name: the certificates that `ovs-pki` makes carry none that could be
/// compared, and Open vSwitch does not compare any. The private authority is what counts.
struct AnyName(Arc<WebPkiServerVerifier>);

impl fmt::Debug for AnyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyName")
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is compared last, when chain and dates were found to be good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
