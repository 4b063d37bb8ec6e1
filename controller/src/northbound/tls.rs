//! TLS for the API.

use crate::southbound::openflow::{TlsError, server_config};
use axum::serve::Listener;
use rustls::ServerConfig;
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at a time; more clients wait in the kernel.
const HANDSHAKES: usize = 256;

/// The PEM files of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Our private key.
    pub private_key: PathBuf,
    /// Our certificate, and those between it and the authority, if any.
    pub certificate: PathBuf,
    /// The authorities that sign for clients; without them clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

impl ServerTls {
    pub(super) fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let mut config = server_config(&self.private_key, &self.certificate, self.client_ca.as_deref())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Hands out connections once their handshakes are done, so that a slow one holds up nobody else.
pub(super) struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl std::fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl TlsListener {
    pub(super) async fn bind(address: SocketAddr, config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), handshakes: JoinSet::new() })
    }

    fn begin(&mut self, stream: TcpStream, peer: SocketAddr) {
        // Small answers must not wait for more to send; a socket that refuses the option works without it.
        let _ = stream.set_nodelay(true);
        let handshake = self.acceptor.accept(stream);
        self.handshakes.spawn(async move {
            match timeout(HANDSHAKE, handshake).await {
                Ok(Ok(stream)) => return Some((stream, peer)),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no tls session"),
                Err(_) => tracing::debug!(%peer, "no tls session in time"),
            }
            None
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                (stream, peer) = Listener::accept(&mut self.listener), if self.handshakes.len() < HANDSHAKES => {
                    self.begin(stream, peer);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
