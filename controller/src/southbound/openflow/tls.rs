//! TLS as Open vSwitch wants it: both sides show a certificate, and both were signed by an authority the other knows.

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The PEM files of one side, as `ovs-vsctl set-ssl` names them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// Our private key.
    pub private_key: PathBuf,
    /// Our certificate, and those between it and the authority, if any.
    pub certificate: PathBuf,
    /// The certificates of the authorities that sign for switches.
    pub ca_certificate: PathBuf,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or is no PEM.
    #[error("cannot read {what} from {path}")]
    Read {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: pem::Error,
    },
    /// A file without what should be in it.
    #[error("no {what} in {path}")]
    Missing {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// An authority that cannot be one.
    #[error("authorities in {path} are of no use: {why}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("key {key} and certificate {certificate} are of no use")]
    Identity {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

impl TlsFiles {
    /// What a listener needs: our identity, and whom to believe.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        server_config(&self.private_key, &self.certificate, Some(&self.ca_certificate))
    }
}

/// What a listener needs: our identity, and whom to believe; without the latter, anybody.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn server_config(
    private_key: &Path,
    certificate: &Path,
    ca_certificate: Option<&Path>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = match ca_certificate {
        Some(authorities) => verifier(authorities, &provider)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let (key, chain) = identity(private_key, certificate)?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(|source| useless(private_key, certificate, source))
}

/// What a client of such a listener needs: whom to believe, and key and certificate if it has to show who it is.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn client_config(ca_certificate: &Path, own: Option<(&Path, &Path)>) -> Result<ClientConfig, TlsError> {
    let roots = roots(ca_certificate)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|err| TlsError::Authority { path: ca_certificate.to_owned(), why: err.to_string() })?
        .with_root_certificates(roots);
    let Some((private_key, certificate)) = own else { return Ok(config.with_no_client_auth()) };
    let (key, chain) = identity(private_key, certificate)?;
    config.with_client_auth_cert(chain, key).map_err(|source| useless(private_key, certificate, source))
}

type Identity = (PrivateKeyDer<'static>, Vec<CertificateDer<'static>>);

fn identity(private_key: &Path, certificate: &Path) -> Result<Identity, TlsError> {
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|source| unreadable("private key", private_key, source))?;
    Ok((key, certificates("certificate", certificate)?))
}

fn useless(private_key: &Path, certificate: &Path, source: rustls::Error) -> TlsError {
    TlsError::Identity { key: private_key.to_owned(), certificate: certificate.to_owned(), source }
}

fn verifier(
    authorities: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = roots(authorities)?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|err| TlsError::Authority { path: authorities.to_owned(), why: err.to_string() })
}

fn roots(authorities: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("certificate of an authority", authorities)? {
        roots
            .add(certificate)
            .map_err(|err| TlsError::Authority { path: authorities.to_owned(), why: err.to_string() })?;
    }
    Ok(roots)
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| unreadable(what, path, source))?;
    if found.is_empty() {
        return Err(TlsError::Missing { what, path: path.to_owned() });
    }
    Ok(found)
}

fn unreadable(what: &'static str, path: &Path, source: pem::Error) -> TlsError {
    let path = path.to_owned();
    match source {
        pem::Error::NoItemsFound => TlsError::Missing { what, path },
        source => TlsError::Read { what, path, source },
    }
}
