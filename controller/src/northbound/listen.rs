//! The sockets of the API.

use super::{
    Api,
    auth::Tokens,
    tls::{ServerTls, TlsListener},
};
use crate::southbound::openflow::TlsError;
use axum::{
    Router,
    serve::{Listener, ListenerExt},
};
use std::{
    future::IntoFuture,
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
};

/// How long requests under way may go on after the order to stop.
const GRACE: Duration = Duration::from_secs(3);
/// The socket is for its owner and group.
const MODE: u32 = 0o660;

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process answers there.
    #[error("{0} is in use: is another controller running?")]
    InUse(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Without tokens TCP is not protected by anything, and without TLS anybody reads them.
    #[error("cannot listen on {0}: it is no loopback address, and the API has no {1} there")]
    NotLoopback(SocketAddr, &'static str),
    /// Key and certificate are of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Bound sockets, not yet served.
#[derive(Debug, Default)]
pub struct Listeners {
    unix: Vec<(PathBuf, UnixListener)>,
    tcp: Vec<TcpListener>,
    tls: Vec<TlsListener>,
    tokens: Option<Arc<Tokens>>,
}

impl Listeners {
    /// Adds a unix socket, in the place of one that nobody answers on.
    ///
    /// # Errors
    /// [`ListenError`] if it cannot be had.
    pub async fn add_unix(&mut self, path: &Path) -> Result<(), ListenError> {
        self.unix.push((path.to_owned(), bind_unix(path).await?));
        Ok(())
    }

    /// From now on who comes by TCP must show one of these.
    pub fn ask_for(&mut self, tokens: Tokens) {
        self.tokens = Some(Arc::new(tokens));
    }

    /// Adds a TCP socket that speaks TLS. `allow_remote` admits addresses other than loopback without tokens.
    ///
    /// # Errors
    /// [`ListenError`] if it cannot be had.
    pub async fn add_tls(
        &mut self,
        address: SocketAddr,
        allow_remote: bool,
        files: &ServerTls,
    ) -> Result<(), ListenError> {
        if !allow_remote && self.tokens.is_none() && !address.ip().is_loopback() {
            return Err(ListenError::NotLoopback(address, "authentication"));
        }
        let config = files.server_config()?;
        let failed = |source| ListenError::Bind { address: address.to_string(), source };
        self.tls.push(TlsListener::bind(address, config).await.map_err(failed)?);
        Ok(())
    }

    /// Adds a TCP socket. `allow_remote` admits addresses other than loopback.
    ///
    /// # Errors
    /// [`ListenError`] if it cannot be had.
    pub async fn add_tcp(&mut self, address: SocketAddr, allow_remote: bool) -> Result<(), ListenError> {
        if !allow_remote && !address.ip().is_loopback() {
            let lacks = if self.tokens.is_some() { "encryption" } else { "authentication" };
            return Err(ListenError::NotLoopback(address, lacks));
        }
        let failed = |source| ListenError::Bind { address: address.to_string(), source };
        self.tcp.push(TcpListener::bind(address).await.map_err(failed)?);
        Ok(())
    }

    /// All addresses as clients spell them, with the ports that the kernel chose where 0 was asked for.
    pub fn addresses(&self) -> Vec<String> {
        let unix = self.unix.iter().map(|(path, _)| format!("unix:{}", path.display()));
        let tcp = self.tcp.iter().filter_map(|listener| listener.local_addr().ok());
        let tls = self.tls.iter().filter_map(|listener| Listener::local_addr(listener).ok());
        let tls = tls.map(|address| format!("https://{address}"));
        unix.chain(tcp.map(|address| format!("http://{address}"))).chain(tls).collect()
    }

    /// Serves until the API's `stop`, then finishes requests under way, for at most three seconds.
    pub async fn serve(self, api: Api) {
        let mut stop = api.stop.clone();
        let mut servers = JoinSet::new();
        let (local, remote) = (api.clone().router(None), api.router(self.tokens));
        let mut paths = Vec::new();
        for (path, listener) in self.unix {
            servers.spawn(run(axum::serve(listener, local.clone()), stop.clone()));
            paths.push(path);
        }
        for listener in self.tcp {
            // Small answers must not wait for more to send; a socket that refuses the option works without it.
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            servers.spawn(run(axum::serve(listener, remote.clone()), stop.clone()));
        }
        for listener in self.tls {
            servers.spawn(run(axum::serve(listener, remote.clone()), stop.clone()));
        }
        let _ = stop.wait_for(|stop| *stop).await;
        if tokio::time::timeout(GRACE, servers.join_all()).await.is_err() {
            tracing::warn!("requests were still under way when the api stopped");
        }
        for path in paths {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Accepting goes on over errors: axum waits and tries again.
async fn run<L>(server: axum::serve::Serve<L, Router, Router>, mut stop: watch::Receiver<bool>)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = server.with_graceful_shutdown(stopped).into_future().await {
        tracing::error!(%error, "the api stopped serving");
    }
}

async fn bind_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Bind { address: path.display().to_string(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).await.is_ok() {
                return Err(ListenError::InUse(path.to_owned()));
            }
            // Left over from a controller that was killed.
            std::fs::remove_file(path).map_err(failed)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
    .and_then(|listener| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
        Ok(listener)
    })
    .map_err(failed)
}
