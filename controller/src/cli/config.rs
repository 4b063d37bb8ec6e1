//! How the controller is configured: built-in defaults, then a TOML file, then environment and flags.
//!
//! `packaging/dragonflow.toml` documents every key with its default; a test holds it to the defaults here.

use super::CliError;
use crate::{
    model::ChassisId,
    southbound::openflow::{ListenAddr, TlsFiles},
};
use clap::ValueEnum;
use ovsdb::Remote;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    fmt::{self, Display},
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Everything the controller needs to know at start.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    pub(super) store: StoreConfig,
    pub(super) api: ApiConfig,
    pub(super) openflow: OpenflowConfig,
    pub(super) tls: TlsConfig,
    pub(super) log: LogConfig,
    pub(super) chassis: Vec<ChassisEntry>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreConfig {
    /// The file, or "memory".
    pub(super) path: PathBuf,
    /// How many changes a watcher may lag behind before it must list again.
    pub(super) history: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApiConfig {
    #[serde(deserialize_with = "texts")]
    pub(super) listen: Vec<ApiAddr>,
    pub(super) allow_remote: bool,
    /// Empty: no tokens are asked for.
    pub(super) token_file: PathBuf,
    /// For https; both, or neither.
    pub(super) private_key: PathBuf,
    pub(super) certificate: PathBuf,
    /// Empty: clients need no certificate.
    pub(super) client_ca: PathBuf,
}

/// Where the API listens, spelled as `--server` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiAddr {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `http://ADDRESS:PORT`
    Http(SocketAddr),
    /// `https://ADDRESS:PORT`
    Https(SocketAddr),
}

impl FromStr for ApiAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path =
            text.strip_prefix("unix:").filter(|path| !path.is_empty()).map(|path| Self::Unix(path.into()));
        let http = || text.strip_prefix("http://")?.trim_end_matches('/').parse().ok().map(Self::Http);
        let https = || text.strip_prefix("https://")?.trim_end_matches('/').parse().ok().map(Self::Https);
        path.or_else(http).or_else(https).ok_or_else(|| {
            format!("\"{text}\" is no address: want unix:PATH, http://ADDRESS:PORT or https://ADDRESS:PORT")
        })
    }
}

impl Display for ApiAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OpenflowConfig {
    #[serde(deserialize_with = "texts")]
    pub(super) listen: Vec<OpenflowAddr>,
    /// Empty: derived from the first of `listen`.
    pub(super) target: String,
}

/// Where switches connect to, spelled as `ovs-vsctl(8)` spells it for a switch that listens (ptcp:PORT) or, the same
/// in the words of the switch that connects to us, as its target (tcp:ADDRESS:PORT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenflowAddr(pub(super) ListenAddr);

impl FromStr for OpenflowAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let from_target = match text.split_once(':') {
            Some(("tcp", at)) => at.parse().ok().map(ListenAddr::Tcp),
            Some(("ssl", at)) => at.parse().ok().map(ListenAddr::Ssl),
            Some(("unix", path)) if !path.is_empty() => Some(ListenAddr::Unix(path.into())),
            _ => text.parse().ok(),
        };
        from_target.map(Self).ok_or_else(|| {
            format!(
                "\"{text}\" is no openflow address: want tcp:ADDRESS:PORT, ssl:ADDRESS:PORT, unix:PATH, or as in \
                 ovs-vsctl(8) ptcp:PORT[:ADDRESS], pssl:PORT[:ADDRESS], punix:PATH"
            )
        })
    }
}

/// All three or none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsConfig {
    pub(super) private_key: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) ca_certificate: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogConfig {
    pub(super) filter: String,
    pub(super) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// JSON objects, one a line.
    Json,
}

/// A chassis that this controller serves.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChassisEntry {
    pub(super) id: ChassisId,
    #[serde(deserialize_with = "text")]
    pub(super) ovsdb: Remote,
    #[serde(default = "integration_bridge")]
    pub(super) bridge: String,
    /// Empty: that of an existing bridge is left alone.
    #[serde(default)]
    pub(super) datapath_type: String,
    /// Empty: that of `[openflow]`.
    #[serde(default)]
    pub(super) openflow_target: String,
    /// Empty: no fast path.
    #[serde(default)]
    pub(super) fastpath: PathBuf,
}

fn integration_bridge() -> String {
    "br-int".into()
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: "/var/lib/dragonflow/store.redb".into(), history: 100_000 }
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: vec![ApiAddr::Unix("/run/dragonflow/api.sock".into())],
            allow_remote: false,
            token_file: PathBuf::new(),
            private_key: PathBuf::new(),
            certificate: PathBuf::new(),
            client_ca: PathBuf::new(),
        }
    }
}

impl Default for OpenflowConfig {
    fn default() -> Self {
        let port = crate::southbound::openflow::DEFAULT_PORT;
        let listen = OpenflowAddr(ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], port))));
        Self { listen: vec![listen], target: String::new() }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

fn text<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn texts<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: Display>,
{
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom))
        .collect()
}

/// Flags win over the configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// The configuration file.
    #[arg(long, env = "DRAGONFLOW_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to keep the model: a file, or "memory" to forget it at the end.
    #[arg(long, env = "DRAGONFLOW_STORE", value_name = "FILE")]
    store: Option<PathBuf>,
    /// Where the API listens: unix:PATH, http://ADDRESS:PORT or https://ADDRESS:PORT; may be repeated.
    #[arg(long, env = "DRAGONFLOW_API", value_name = "LISTEN", value_delimiter = ',')]
    api: Vec<ApiAddr>,
    /// Where switches connect to: tcp:ADDRESS:PORT, ssl:ADDRESS:PORT or unix:PATH; may be repeated.
    #[arg(long, env = "DRAGONFLOW_OPENFLOW", value_name = "LISTEN", value_delimiter = ',')]
    openflow: Vec<OpenflowAddr>,
    /// How switches reach the first of those, if otherwise: tcp:ADDRESS:PORT, ssl:ADDRESS:PORT or unix:PATH.
    #[arg(long, env = "DRAGONFLOW_OPENFLOW_TARGET", value_name = "TARGET")]
    openflow_target: Option<String>,
    /// A chassis to serve, and where its ovsdb-server is; may be repeated.
    #[arg(long, env = "DRAGONFLOW_CHASSIS", value_name = "ID=REMOTE", value_parser = parse_chassis, value_delimiter = ',')]
    chassis: Vec<(ChassisId, Remote)>,
    /// Integration bridge of those chassis.
    #[arg(long, env = "DRAGONFLOW_BRIDGE", default_value = "br-int")]
    bridge: String,
    /// Datapath type of those chassis, as in system or netdev; without it that of the bridge is left alone.
    #[arg(long, env = "DRAGONFLOW_DATAPATH_TYPE", default_value = "", hide_default_value = true)]
    datapath_type: String,
    /// Private key, PEM, for ssl: and pssl:.
    #[arg(long, env = "DRAGONFLOW_TLS_PRIVATE_KEY", value_name = "FILE")]
    tls_private_key: Option<PathBuf>,
    /// Certificate of that key.
    #[arg(long, env = "DRAGONFLOW_TLS_CERTIFICATE", value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// Certificates of the authorities that sign for the other side.
    #[arg(long, env = "DRAGONFLOW_TLS_CA_CERTIFICATE", value_name = "FILE")]
    tls_ca_certificate: Option<PathBuf>,
    /// What to log, as in "info" or "warn,controller::northbound=debug".
    #[arg(long, env = "DRAGONFLOW_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How to log.
    #[arg(long, env = "DRAGONFLOW_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
}

fn parse_chassis(text: &str) -> Result<(ChassisId, Remote), String> {
    let (id, remote) =
        text.split_once('=').ok_or("want ID=REMOTE, as in hv1=unix:/run/openvswitch/db.sock")?;
    Ok((
        id.parse().map_err(|e: crate::model::IdError| e.to_string())?,
        remote.parse().map_err(|e: ovsdb::RemoteError| e.to_string())?,
    ))
}

impl Flags {
    /// The configuration they lead to.
    pub(super) fn resolve(&self) -> Result<Config, CliError> {
        let mut config = self.config.as_deref().map_or_else(|| Ok(Config::default()), read)?;
        set(&mut config.store.path, self.store.as_ref());
        set(&mut config.api.listen, Some(&self.api).filter(|api| !api.is_empty()));
        set(&mut config.openflow.listen, Some(&self.openflow).filter(|openflow| !openflow.is_empty()));
        set(&mut config.openflow.target, self.openflow_target.as_ref());
        set(&mut config.tls.private_key, self.tls_private_key.as_ref());
        set(&mut config.tls.certificate, self.tls_certificate.as_ref());
        set(&mut config.tls.ca_certificate, self.tls_ca_certificate.as_ref());
        set(&mut config.log.filter, self.log.as_ref());
        set(&mut config.log.format, self.log_format.as_ref());
        for (id, ovsdb) in &self.chassis {
            config.chassis.retain(|entry| entry.id != *id);
            config.chassis.push(ChassisEntry {
                id: id.clone(),
                ovsdb: ovsdb.clone(),
                bridge: self.bridge.clone(),
                datapath_type: self.datapath_type.clone(),
                openflow_target: String::new(),
                fastpath: PathBuf::new(),
            });
        }
        config.check()?;
        Ok(config)
    }

    /// The log filter as it would be now: the file may have changed since the start.
    pub(super) fn log_filter(&self) -> Result<String, CliError> {
        Ok(self.resolve()?.log.filter)
    }
}

fn set<T: Clone>(value: &mut T, flag: Option<&T>) {
    if let Some(flag) = flag {
        value.clone_from(flag);
    }
}

fn read(path: &Path) -> Result<Config, CliError> {
    let usage = |error: String| CliError::Usage {
        error: format!("configuration {}: {error}", path.display()),
        hint: "packaging/dragonflow.toml documents every key".into(),
    };
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    toml::from_str(&text).map_err(|error| usage(error.to_string().trim_end().to_owned()))
}

impl Config {
    fn check(&self) -> Result<(), CliError> {
        let usage = |error: String, hint: &str| Err(CliError::Usage { error, hint: hint.into() });
        let mut ids: Vec<&ChassisId> = self.chassis.iter().map(|entry| &entry.id).collect();
        ids.sort();
        if let Some([id, _]) = ids.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            return usage(format!("chassis {id} is there twice"), "keep one entry for each chassis");
        }
        let tls = [&self.tls.private_key, &self.tls.certificate, &self.tls.ca_certificate];
        let given = tls.iter().filter(|path| !path.as_os_str().is_empty()).count();
        let listener = self.openflow.listen.iter().find(|listen| matches!(listen.0, ListenAddr::Ssl(_)));
        let remote = self.chassis.iter().find(|entry| matches!(entry.ovsdb, Remote::Ssl(_)));
        let user = match (listener, remote) {
            (Some(listener), _) => Some(format!("openflow listens on {}", listener.0)),
            (None, Some(entry)) => Some(format!("chassis {} has ovsdb {}", entry.id, entry.ovsdb)),
            (None, None) => None,
        };
        let https = self.api.listen.iter().find(|listen| matches!(listen, ApiAddr::Https(_)));
        let has = |path: &PathBuf| !path.as_os_str().is_empty();
        if let Some(https) = https.filter(|_| !has(&self.api.private_key) || !has(&self.api.certificate)) {
            let hint = "set private_key and certificate of [api]";
            return usage(format!("the api listens on {https}, but has no key or no certificate"), hint);
        }
        if self.openflow.listen.is_empty() && !self.chassis.is_empty() {
            return usage("openflow listens nowhere".into(), "set listen of [openflow]");
        }
        match (given, user) {
            (3, _) | (0, None) => Ok(()),
            (0, Some(user)) => usage(
                format!("{user}, but there is no tls key"),
                "set private_key, certificate and ca_certificate of [tls]",
            ),
            _ => usage(
                format!("only {given} of the three files of [tls] are given"),
                "set private_key, certificate and ca_certificate, or none of them",
            ),
        }
    }

    /// The key and certificates, if there are any.
    pub(super) fn tls_files(&self) -> Option<TlsFiles> {
        let TlsConfig { private_key, certificate, ca_certificate } = self.tls.clone();
        let given = !private_key.as_os_str().is_empty();
        given.then_some(TlsFiles { private_key, certificate, ca_certificate })
    }

    /// How switches of a chassis reach our OpenFlow listener.
    pub(super) fn target_of(&self, entry: &ChassisEntry) -> String {
        let given = [&entry.openflow_target, &self.openflow.target];
        given.into_iter().find(|target| !target.is_empty()).cloned().unwrap_or_else(|| {
            let reachable = |address: SocketAddr| {
                // A switch beside us finds a listener on all addresses at loopback.
                let any = address.ip().is_unspecified();
                if any { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
            };
            match self.openflow.listen.first().map(|listen| &listen.0) {
                Some(ListenAddr::Tcp(address)) => format!("tcp:{}", reachable(*address)),
                Some(ListenAddr::Ssl(address)) => format!("ssl:{}", reachable(*address)),
                Some(ListenAddr::Unix(path)) => format!("unix:{}", path.display()),
                None => String::new(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Wrapped {
        #[command(flatten)]
        flags: Flags,
    }

    fn resolve(args: &[&str]) -> Result<Config, String> {
        let args = std::iter::once(&"test").chain(args);
        Wrapped::try_parse_from(args).map_err(|e| e.to_string())?.flags.resolve().map_err(|e| e.to_string())
    }

    const PACKAGED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/dragonflow.toml");

    #[test]
    fn the_packaged_file_says_the_defaults() {
        assert_eq!(resolve(&["--config", PACKAGED]).unwrap(), Config::default());
    }

    /// Also what it shows in comments must be right.
    #[test]
    fn the_packaged_examples_are_valid() {
        let text = std::fs::read_to_string(PACKAGED).unwrap();
        let examples: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#: ")).collect();
        let config: Config = toml::from_str(&examples.join("\n")).unwrap();
        let entry = config.chassis.first().unwrap();
        assert_eq!((entry.id.as_str(), entry.datapath_type.as_str()), ("hv1", "system"));
        assert_eq!(config.target_of(entry), "tcp:127.0.0.1:6653");
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(
            &path,
            "store.path = '/x'\nlog.format = 'json'\n[[chassis]]\nid = 'a'\novsdb = 'unix:/a'\n[[chassis]]\nid = 'b'\novsdb = 'unix:/b'\n",
        )
        .unwrap();
        let file = path.to_str().unwrap();
        let config = resolve(&[
            "--config",
            file,
            "--store",
            "memory",
            "--chassis",
            "a=tcp:127.0.0.1:6640",
            "--datapath-type",
            "netdev",
            "--openflow",
            "unix:/run/of.sock",
        ])
        .unwrap();
        assert_eq!(config.store.path, Path::new("memory"));
        assert_eq!(config.log.format, LogFormat::Json);
        let told: Vec<_> = config.chassis.iter().map(|c| (c.id.as_str(), c.ovsdb.to_string())).collect();
        assert_eq!(told, [("b", "unix:/b".to_owned()), ("a", "tcp:127.0.0.1:6640".to_owned())]);
        assert_eq!(config.chassis[1].datapath_type, "netdev");
        assert_eq!(config.target_of(&config.chassis[1]), "unix:/run/of.sock");
    }

    #[test]
    fn openflow_addresses_have_two_spellings() {
        let same = [
            ("tcp:127.0.0.1:6653", "ptcp:6653"),
            ("ssl:[::1]:6654", "pssl:6654:[::1]"),
            ("unix:/run/of.sock", "punix:/run/of.sock"),
        ];
        for (active, passive) in same {
            assert_eq!(active.parse::<OpenflowAddr>(), passive.parse());
            assert!(active.parse::<OpenflowAddr>().is_ok());
        }
    }

    #[test]
    fn bad_configuration_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            resolve(&["--config", path.to_str().unwrap()])
                .unwrap_err()
                .replace(path.to_str().unwrap(), "FILE")
        };
        assert!(
            told("[api]\nport = 1")
                .contains("unknown field `port`, expected one of `listen`, `allow_remote`, `token_file`")
        );
        assert!(told("[openflow]\nlisten = ['tcp:x']").contains("\"tcp:x\" is no openflow address"));
        assert!(told("[[chassis]]\nid = 'a'\novsdb = 'x'").contains("\"x\" is no OVSDB remote"));
        assert_eq!(
            told("[[chassis]]\nid = 'a'\novsdb = 'unix:/a'\n[[chassis]]\nid = 'a'\novsdb = 'unix:/b'"),
            "chassis a is there twice"
        );
        assert_eq!(
            told("[[chassis]]\nid = 'a'\novsdb = 'ssl:192.0.2.1'"),
            "chassis a has ovsdb ssl:192.0.2.1:6640, but there is no tls key"
        );
        assert_eq!(told("[tls]\ncertificate = '/c'"), "only 1 of the three files of [tls] are given");
        assert!(
            resolve(&["--config", "/nonexistent"])
                .unwrap_err()
                .contains("configuration /nonexistent: No such file")
        );
        assert!(resolve(&["--chassis", "hv1"]).unwrap_err().contains("want ID=REMOTE"));
    }
}
