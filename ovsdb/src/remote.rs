//! Where a database is, and streams to it.

use std::{fmt, io, net::Ipv6Addr, path::PathBuf, str::FromStr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use crate::{TlsError, TlsFiles, tls};

/// The address of a database server, written as in Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`
    Tcp(HostPort),
    /// `ssl:HOST[:PORT]`
    Ssl(HostPort),
}

/// A host by name or address, and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name, an IPv4 or an IPv6 address, without brackets.
    pub host: String,
    /// The port; 6640 if none was given.
    pub port: u16,
}

/// Text that is no remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no OVSDB remote: want unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT], IPv6 addresses in brackets"
)]
pub struct RemoteError(pub String);

impl FromStr for Remote {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self, RemoteError> {
        let err = || RemoteError(text.to_owned());
        match text.split_once(':').ok_or_else(err)? {
            (_, "") => Err(err()),
            ("unix", path) => Ok(Self::Unix(path.into())),
            ("tcp", rest) => HostPort::parse(rest).map(Self::Tcp).ok_or_else(err),
            ("ssl", rest) => HostPort::parse(rest).map(Self::Ssl).ok_or_else(err),
            _ => Err(err()),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(at) => write!(f, "tcp:{at}"),
            Self::Ssl(at) => write!(f, "ssl:{at}"),
        }
    }
}

impl HostPort {
    /// The port that IANA assigned to OVSDB (RFC 7047, 6).
    const DEFAULT_PORT: u16 = 6640;

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        // Digits only: `parse` would also take a sign.
        let port = match port {
            None => Self::DEFAULT_PORT,
            Some(port) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().ok()?
            }
            Some(_) => return None,
        };
        (!host.is_empty() && port != 0).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A stream in both directions, whatever it runs on.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Remote {
    pub(crate) async fn open(&self, tls: Option<&TlsFiles>) -> Result<Box<dyn Stream>, OpenError> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp(at) => Ok(Box::new(at.connect().await?)),
            Self::Ssl(at) => {
                let files = tls.ok_or(TlsError::NoFiles)?;
                let connector = tls::connector(files).await?;
                Ok(Box::new(connector.connect(tls::server_name(&at.host)?, at.connect().await?).await?))
            }
        }
    }
}

impl HostPort {
    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Messages are small and each waits for an answer.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_read_and_print_as_open_vswitch_writes_them() {
        for (text, printed) in [
            ("unix:/run/openvswitch/db.sock", "unix:/run/openvswitch/db.sock"),
            ("tcp:127.0.0.1:6641", "tcp:127.0.0.1:6641"),
            ("tcp:db.example", "tcp:db.example:6640"),
            ("ssl:[::1]:6640", "ssl:[::1]:6640"),
            ("ssl:[fe80::1]", "ssl:[fe80::1]:6640"),
        ] {
            let remote: Remote = text.parse().unwrap();
            assert_eq!(remote.to_string(), printed);
            assert_eq!(printed.parse(), Ok(remote));
        }
    }

    #[test]
    fn refuses_what_is_no_remote() {
        for text in [
            "",
            "/run/db.sock",
            "unix:",
            "ptcp:6640",
            "tcp::6640",
            "tcp:host:",
            "tcp:host:0",
            "tcp:host:+1",
            "tcp:host:65536",
            "tcp:[::1]x",
            "tcp:[host]:1",
            "tcp:::1:6640",
        ] {
            assert_eq!(text.parse::<Remote>(), Err(RemoteError(text.into())));
        }
    }
}
