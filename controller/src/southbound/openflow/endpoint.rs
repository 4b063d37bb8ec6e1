//! Where OpenFlow sessions come from: `ptcp:`, `punix:` and `pssl:` wait for a switch, `tcp:` and `unix:` go to one.
//!
//! The spelling is that of `ovs-vsctl(8)`. A switch's own management socket is `unix:/run/openvswitch/br-int.mgmt`.

use super::tls::{TlsError, TlsFiles};
use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::TlsAcceptor;

/// The port that IANA gave to OpenFlow.
pub const DEFAULT_PORT: u16 = 6653;

/// How long a TLS handshake may take.
const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// The two ends of an open connection, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Where to wait for switches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// `ptcp:PORT[:ADDRESS]`, without an address only loopback: OpenFlow in the clear belongs on no network.
    Tcp(SocketAddr),
    /// `punix:PATH`.
    Unix(PathBuf),
    /// `pssl:PORT[:ADDRESS]`, without an address loopback too.
    Ssl(SocketAddr),
}

/// A switch that waits for us.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DialAddr {
    /// `tcp:ADDRESS[:PORT]`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// Text that is no address of OpenFlow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no openflow address: want {want}")]
pub struct AddrError {
    text: String,
    want: &'static str,
}

/// Why no switch can be waited for.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {addr}; is another controller running?")]
    Bind {
        /// The address.
        addr: ListenAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `pssl:` without key and certificates.
    #[error("{0} needs a private key, a certificate and the certificate of the switches' authority")]
    NoTls(ListenAddr),
    /// A file of TLS is missing or wrong.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Waits for switches on one address.
pub struct Listener {
    addr: ListenAddr,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Unix(UnixListener, RemoveOnDrop),
}

/// The path of a socket that goes with its listener.
struct RemoveOnDrop(PathBuf);

/// A peer that was accepted but, with TLS, has not shown its certificate yet.
pub struct Incoming {
    /// Who, for logs.
    pub peer: String,
    kind: IncomingKind,
}

enum IncomingKind {
    Tcp(TcpStream),
    Tls(TcpStream, TlsAcceptor),
    Unix(UnixStream),
}

impl Listener {
    /// Binds the address; what is left of an unclean end at the path of a unix socket is replaced.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(addr: &ListenAddr, tls: Option<&TlsFiles>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { addr: addr.clone(), source };
        let socket = match addr {
            ListenAddr::Tcp(at) => Socket::Tcp(TcpListener::bind(at).await.map_err(failed)?, None),
            ListenAddr::Ssl(at) => {
                let files = tls.ok_or_else(|| ListenError::NoTls(addr.clone()))?;
                let acceptor = TlsAcceptor::from(Arc::new(files.server_config()?));
                Socket::Tcp(TcpListener::bind(at).await.map_err(failed)?, Some(acceptor))
            }
            ListenAddr::Unix(path) => {
                Socket::Unix(bind_unix(path).map_err(failed)?, RemoveOnDrop(path.clone()))
            }
        };
        Ok(Self { addr: addr.clone(), socket })
    }

    /// Where it listens: the address that was asked for, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> ListenAddr {
        match (&self.socket, &self.addr) {
            (Socket::Tcp(socket, tls), _) => match (socket.local_addr(), tls) {
                (Ok(at), None) => ListenAddr::Tcp(at),
                (Ok(at), Some(_)) => ListenAddr::Ssl(at),
                (Err(_), _) => self.addr.clone(),
            },
            (Socket::Unix(..), addr) => addr.clone(),
        }
    }

    /// The next peer. Cancel safe.
    ///
    /// # Errors
    /// What the system says; mostly passing (no descriptors left), so wait a little and go on.
    pub async fn accept(&self) -> io::Result<Incoming> {
        match &self.socket {
            Socket::Tcp(socket, tls) => {
                let (stream, from) = socket.accept().await?;
                // Requests are small and somebody waits for each.
                stream.set_nodelay(true)?;
                let (scheme, kind) = match tls {
                    Some(tls) => ("ssl", IncomingKind::Tls(stream, tls.clone())),
                    None => ("tcp", IncomingKind::Tcp(stream)),
                };
                Ok(Incoming { peer: format!("{scheme}:{from}"), kind })
            }
            Socket::Unix(socket, path) => {
                let (stream, _) = socket.accept().await?;
                Ok(Incoming { peer: format!("unix:{}", path.0.display()), kind: IncomingKind::Unix(stream) })
            }
        }
    }
}

impl Incoming {
    /// Finishes what must happen before OpenFlow, which for TLS is its handshake.
    ///
    /// # Errors
    /// The peer speaks no TLS, shows no certificate or one that the authority did not sign, or is too slow.
    pub async fn open(self) -> io::Result<Box<dyn Stream>> {
        match self.kind {
            IncomingKind::Tcp(stream) => Ok(Box::new(stream)),
            IncomingKind::Unix(stream) => Ok(Box::new(stream)),
            IncomingKind::Tls(stream, acceptor) => {
                let stream = tokio::time::timeout(TLS_HANDSHAKE, acceptor.accept(stream)).await??;
                Ok(Box::new(stream))
            }
        }
    }
}

impl DialAddr {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(at) => {
                let stream = TcpStream::connect(at).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        }
    }
}

/// Binds a unix socket that only its owner and group may use.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let stale = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err();
    if stale {
        fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(socket)
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}

impl FromStr for ListenAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let want = "ptcp:PORT[:ADDRESS], pssl:PORT[:ADDRESS] or punix:PATH";
        let parsed = match text.split_once(':') {
            Some(("ptcp", at)) => port_and_address(at).map(Self::Tcp),
            Some(("pssl", at)) => port_and_address(at).map(Self::Ssl),
            Some(("punix", path)) if !path.is_empty() => Some(Self::Unix(path.into())),
            _ => None,
        };
        parsed.ok_or_else(|| AddrError { text: text.to_owned(), want })
    }
}

impl FromStr for DialAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let parsed = match text.split_once(':') {
            Some(("tcp", at)) => address_and_port(at).map(Self::Tcp),
            Some(("unix", path)) if !path.is_empty() => Some(Self::Unix(path.into())),
            _ => None,
        };
        parsed.ok_or_else(|| AddrError { text: text.to_owned(), want: "tcp:ADDRESS[:PORT] or unix:PATH" })
    }
}

/// `PORT[:ADDRESS]`, an IPv6 address in brackets or without.
fn port_and_address(text: &str) -> Option<SocketAddr> {
    let (port, ip) = match text.split_once(':') {
        None => (text, IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some((port, ip)) => (port, bare_ip(ip)?),
    };
    let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().ok()? };
    Some(SocketAddr::new(ip, port))
}

/// `ADDRESS[:PORT]`, an IPv6 address in brackets.
fn address_and_port(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(bare_ip(text)?, DEFAULT_PORT)))
}

fn bare_ip(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).parse().ok()
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "ptcp:{}:{}", at.port(), BracketedIp(at.ip())),
            Self::Ssl(at) => write!(f, "pssl:{}:{}", at.port(), BracketedIp(at.ip())),
            Self::Unix(path) => write!(f, "punix:{}", path.display()),
        }
    }
}

impl fmt::Display for DialAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "tcp:{at}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

struct BracketedIp(IpAddr);

impl fmt::Display for BracketedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => fmt::Display::fmt(&ip, f),
            IpAddr::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.local_addr()).finish()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming").field(&self.peer).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in [
            "ptcp:6653:127.0.0.1",
            "ptcp:0:[::1]",
            "pssl:6654:192.0.2.1",
            "punix:/run/dragonflow/openflow.sock",
        ] {
            assert_eq!(text.parse::<ListenAddr>().unwrap().to_string(), text);
        }
        for text in ["tcp:192.0.2.1:6653", "tcp:[2001:db8::1]:1", "unix:/run/openvswitch/br-int.mgmt"] {
            assert_eq!(text.parse::<DialAddr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        assert_eq!("ptcp:".parse::<ListenAddr>().unwrap().to_string(), "ptcp:6653:127.0.0.1");
        assert_eq!("pssl:1".parse::<ListenAddr>().unwrap().to_string(), "pssl:1:127.0.0.1");
        assert_eq!("tcp:192.0.2.1".parse::<DialAddr>().unwrap().to_string(), "tcp:192.0.2.1:6653");
        assert_eq!("tcp:2001:db8::1".parse::<DialAddr>().unwrap().to_string(), "tcp:[2001:db8::1]:6653");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in ["", "tcp", "tcp:192.0.2.1:1", "ptcp:65536", "ptcp:1:nowhere", "punix:", "unix:/x"] {
            let err = text.parse::<ListenAddr>().unwrap_err();
            assert!(err.to_string().starts_with(&format!("\"{text}\" is no openflow address: want ptcp:")));
        }
        for text in ["", "ptcp:6653", "tcp:", "unix:", "tcp:host:6653"] {
            assert!(text.parse::<DialAddr>().is_err(), "{text}");
        }
    }
}
