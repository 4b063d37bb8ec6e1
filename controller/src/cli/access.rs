//! What a controller on another host asks for: a token, and TLS in both directions.

use super::CliError;
use crate::southbound::openflow::client_config;
use hyper::header::HeaderValue;
use rustls::ClientConfig;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where Debian keeps the authorities that the system trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What to show to a controller that is reached by TCP, and whom to believe.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access by http and https")]
pub(super) struct Access {
    /// File whose first line is the token to show.
    #[arg(long, global = true, env = "DRAGONFLOW_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that may sign for the controller.
    #[arg(long, global = true, env = "DRAGONFLOW_CA_FILE", value_name = "FILE", default_value = SYSTEM_AUTHORITIES)]
    ca_file: PathBuf,
    /// Certificate (PEM) to show to a controller that asks for one.
    #[arg(long, global = true, env = "DRAGONFLOW_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate.
    #[arg(long, global = true, env = "DRAGONFLOW_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

impl Access {
    /// Reads the token; the other files are read when they are needed.
    pub(super) fn secrets(self) -> Result<Secrets, CliError> {
        let bearer = self.token_file.as_deref().map(bearer).transpose()?;
        Ok(Secrets { bearer, files: self })
    }
}

/// What goes with every request.
#[derive(Debug)]
pub(super) struct Secrets {
    bearer: Option<HeaderValue>,
    files: Access,
}

impl Secrets {
    /// The value of the header "Authorization".
    pub(super) const fn bearer(&self) -> Option<&HeaderValue> {
        self.bearer.as_ref()
    }

    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, CliError> {
        let Access { ca_file, client_cert, client_key, .. } = &self.files;
        let own = client_key.as_deref().zip(client_cert.as_deref());
        Ok(Arc::new(client_config(ca_file, own)?))
    }
}

fn bearer(path: &Path) -> Result<HeaderValue, CliError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| CliError::Read { name: name.clone(), source })?;
    let token = text.lines().next().unwrap_or_default().trim();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
    let mut value = value.ok_or_else(|| CliError::Usage {
        error: format!("no token in the first line of {name}"),
        hint: "it is one of those in the controller's token_file".into(),
    })?;
    // Whatever prints requests leaves it out.
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_first_line_and_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            fs::write(file.path(), text).unwrap();
            bearer(file.path())
        };
        let token = read(" 0123456789abcdef \nanother\n").unwrap();
        assert_eq!(token, "Bearer 0123456789abcdef");
        assert!(!format!("{token:?}").contains("0123"));
        for text in ["", "\n0123456789abcdef", "a\u{7}b"] {
            assert!(matches!(read(text), Err(CliError::Usage { .. })), "{text:?}");
        }
        assert!(matches!(bearer(Path::new("/nowhere/at/all")), Err(CliError::Read { .. })));
    }
}
