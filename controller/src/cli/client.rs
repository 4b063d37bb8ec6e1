//! Talking to the controller: one HTTP request a connection, over a unix socket, TCP or TLS.

use super::{CliError, access::Secrets};
use crate::northbound::ErrorBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde::de::DeserializeOwned;
use std::{fmt, io, path::PathBuf, str::FromStr};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

/// Where a controller listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `http://HOST:PORT`; host and port as one.
    Http(String),
    /// `https://HOST:PORT`, the same by TLS.
    Https(String),
}

/// Text that names no server.
#[derive(Debug, thiserror::Error)]
#[error("want unix:PATH, http://ADDRESS:PORT or https://ADDRESS:PORT")]
pub(super) struct ServerError;

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let (scheme, host) = text.split_once("://").ok_or(ServerError)?;
        let host = host.trim_end_matches('/');
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        match (scheme, port) {
            ("http", Some(_)) => Ok(Self::Http(host.to_owned())),
            ("https", Some(_)) => Ok(Self::Https(host.to_owned())),
            _ => Err(ServerError),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(host) => write!(f, "http://{host}"),
            Self::Https(host) => write!(f, "https://{host}"),
        }
    }
}

/// Asks one controller.
#[derive(Debug)]
pub(super) struct Client {
    server: Server,
    secrets: Secrets,
}

impl Client {
    pub(super) const fn new(server: Server, secrets: Secrets) -> Self {
        Self { server, secrets }
    }

    /// Gets and reads an answer.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.read(self.send(Method::GET, path, Bytes::new()).await?).await
    }

    /// Sends JSON and reads an answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, CliError> {
        let body = serde_json::to_vec(body).map_err(io::Error::from)?;
        self.read(self.send(Method::POST, path, body.into()).await?).await
    }

    /// Gets an answer that goes on, line by line.
    pub(super) async fn stream(&self, path: &str) -> Result<Lines<'_>, CliError> {
        let body = self.send(Method::GET, path, Bytes::new()).await?;
        Ok(Lines { client: self, body, text: Vec::new() })
    }

    /// A complaint about the other side.
    pub(super) fn not_ours(&self, why: impl ToString) -> CliError {
        CliError::NotOurs { server: self.server.clone(), why: why.to_string() }
    }

    /// The connection broke.
    pub(super) fn lost(&self, why: impl ToString) -> CliError {
        CliError::Lost { server: self.server.clone(), why: why.to_string() }
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Incoming, CliError> {
        let (host, stream) = self.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.lost(e))?;
        // Ends with the answer, or with the program.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = self.secrets.bearer() {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.body(Full::new(body)).map_err(|e| self.not_ours(e))?;
        let response = sender.send_request(request).await.map_err(|e| self.lost(e))?;
        let status = response.status();
        let body = response.into_body();
        if status.is_success() { Ok(body) } else { Err(self.refusal(status, body).await) }
    }

    async fn connect(&self) -> Result<(&str, Box<dyn Stream>), CliError> {
        let unreachable = |source| CliError::Unreachable { server: self.server.clone(), source };
        Ok(match &self.server {
            Server::Unix(path) => {
                ("localhost", Box::new(UnixStream::connect(path).await.map_err(unreachable)?))
            }
            Server::Http(host) => (host, Box::new(TcpStream::connect(host).await.map_err(unreachable)?)),
            Server::Https(host) => {
                let connector = TlsConnector::from(self.secrets.tls()?);
                let name = server_name(host).ok_or_else(|| self.not_ours("its name is none for tls"))?;
                let stream = TcpStream::connect(host).await.map_err(unreachable)?;
                (host, Box::new(connector.connect(name, stream).await.map_err(unreachable)?))
            }
        })
    }

    async fn refusal(&self, status: StatusCode, body: Incoming) -> CliError {
        match body.collect().await.map(|body| serde_json::from_slice::<ErrorBody>(&body.to_bytes())) {
            Ok(Ok(body)) => CliError::Refused(body),
            Ok(Err(_)) => self.not_ours(status),
            Err(error) => self.lost(error),
        }
    }

    async fn read<T: DeserializeOwned>(&self, body: Incoming) -> Result<T, CliError> {
        let body = body.collect().await.map_err(|e| self.lost(e))?.to_bytes();
        serde_json::from_slice(&body).map_err(|e| self.not_ours(e))
    }
}

/// What the certificate has to be for: the host without the port, addresses of IPv6 without brackets.
fn server_name(host: &str) -> Option<ServerName<'static>> {
    let name = host.rsplit_once(':')?.0.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(name.to_owned()).ok()
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An answer that goes on.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    client: &'a Client,
    body: Incoming,
    text: Vec<u8>,
}

impl Lines<'_> {
    /// The next line of JSON; `None` at the end.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CliError> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|e| self.client.not_ours(e));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.text.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => return Err(self.client.lost(error)),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_written() {
        for text in [
            "unix:/run/dragonflow/api.sock",
            "http://127.0.0.1:8642",
            "http://[::1]:80",
            "https://cloud.example:8642",
        ] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), text);
        }
        assert_eq!("http://localhost:1/".parse::<Server>().unwrap(), Server::Http("localhost:1".into()));
        for text in [
            "",
            "unix:",
            "/run/x",
            "http://",
            "http://host",
            "https://127.0.0.1",
            "http://host:port",
            "ftp://h:1",
        ] {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
    }

    #[test]
    fn certificates_are_for_hosts_without_ports() {
        let name = |host| server_name(host).map(|name| name.to_str().into_owned());
        assert_eq!(name("cloud.example:8642").as_deref(), Some("cloud.example"));
        assert_eq!(name("[2001:db8::1]:8642").as_deref(), Some("2001:db8::1"));
        assert_eq!(name("192.0.2.1:8642").as_deref(), Some("192.0.2.1"));
        assert_eq!(name("no host:1"), None);
    }
}
