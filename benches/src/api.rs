//! The controller's API over one connection that stays open, so that a request costs no more than itself.

use anyhow::{Context as _, Result, ensure};
use controller::model::{Port, SecurityGroup};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// A connection to a controller.
#[derive(Debug)]
pub struct Api {
    stream: BufReader<UnixStream>,
}

impl Api {
    /// Connects to a controller's unix socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).context("connect to the controller")?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).context("set a time limit")?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Creates or changes a port; returns when the controller has stored it.
    ///
    /// # Errors
    /// It refuses.
    pub fn put_port(&mut self, port: &Port) -> Result<()> {
        let body = serde_json::to_string(port).context("port as JSON")?;
        self.request("PUT", &format!("/v1/ports/{}", port.id), &body).map(drop)
    }

    /// Creates or replaces a security group, which nothing is compiled of.
    ///
    /// # Errors
    /// It refuses.
    pub fn put_security_group(&mut self, group: &SecurityGroup) -> Result<()> {
        let body = serde_json::to_string(group).context("security group as JSON")?;
        self.request("PUT", &format!("/v1/security_groups/{}", group.id), &body).map(drop)
    }

    /// Deletes a port.
    ///
    /// # Errors
    /// There is none.
    pub fn delete_port(&mut self, port: &Port) -> Result<()> {
        self.request("DELETE", &format!("/v1/ports/{}", port.id), "").map(drop)
    }

    /// How the controller says that it is.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&mut self) -> Result<Value> {
        serde_json::from_slice(&self.request("GET", "/v1/status", "")?).context("status as JSON")
    }

    /// One request of HTTP/1.1 (RFC 9112); the body of the answer, which always says its length.
    fn request(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let head = "host: localhost\r\ncontent-type: application/json";
        let request =
            format!("{method} {path} HTTP/1.1\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.stream.get_mut().write_all(request.as_bytes()).with_context(|| format!("{method} {path}"))?;
        let status = self.line()?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                _ if line.is_empty() => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().context("content-length")?;
                }
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).context("read an answer")?;
        let is_good = status.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
        ensure!(is_good, "{method} {path}: {status}: {}", String::from_utf8_lossy(&answer));
        Ok(answer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).context("read an answer")?;
        ensure!(length > 0, "the controller closed the connection");
        Ok(line.trim_end().to_owned())
    }
}
