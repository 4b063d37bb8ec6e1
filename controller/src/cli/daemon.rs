//! `dragonflow controller`.

use super::{
    CliError, Done,
    config::{ApiAddr, Config, Flags, LogFormat},
};
use crate::{
    agent::{self, AgentConfig, AgentHandle, ChassisConfig},
    northbound::{Api, ListenError, Listeners, ServerTls, TokenError, Tokens, with_sources},
    store::{BackendError, DiskBackend, MemoryBackend, Store},
};
use sd_notify::NotifyState;
use std::{io::IsTerminal, path::Path, sync::Arc};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Changes the log filter of the running program.
type FilterHandle = reload::Handle<EnvFilter, Registry>;

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(flags: &Flags) -> Result<Done, CliError> {
    let config = flags.resolve()?;
    let filter = start_log(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(&config, flags, &filter));
    // What still blocks (a read of the store) must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn serve(config: &Config, flags: &Flags, filter: &FilterHandle) -> Result<Done, CliError> {
    // From here on a signal is remembered until it is asked for.
    let mut signals = Signals::new()?;
    let store = open_store(config).await?;
    let listeners = bind_api(config).await?;
    let addresses = listeners.addresses();
    let agent = Arc::new(start_agent(config, &store).await?);
    let (stop, stopped) = watch::channel(false);
    let api = tokio::spawn(listeners.serve(Api::new(store.clone(), agent.clone(), agent.clone(), stopped)));

    let revision = store.read().revision.0;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        round = store.round(),
        revision,
        api = addresses.join(" "),
        chassis = config.chassis.len(),
        "ready"
    );
    notify(&[NotifyState::Ready]);
    signals.wait(|| reload_filter(flags, filter)).await;
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    stop.send_replace(true);
    if let Err(error) = api.await {
        tracing::error!(%error, "the api did not end well");
    }
    // A request that outlived its grace keeps it: then it ends with the process.
    if let Some(agent) = Arc::into_inner(agent) {
        agent.stop().await;
    }
    Ok(Done::Well)
}

async fn bind_api(config: &Config) -> Result<Listeners, CliError> {
    let mut listeners = Listeners::default();
    let api = &config.api;
    if !api.token_file.as_os_str().is_empty() {
        let hint = "write a token a line, 16 characters or more, into the token_file of [api]";
        let tokens = Tokens::read(&api.token_file);
        let error = |error: TokenError| CliError::Daemon { error: with_sources(&error), hint: hint.into() };
        listeners.ask_for(tokens.map_err(error)?);
    }
    let tls = ServerTls {
        private_key: api.private_key.clone(),
        certificate: api.certificate.clone(),
        client_ca: Some(api.client_ca.clone()).filter(|path| !path.as_os_str().is_empty()),
    };
    for address in &config.api.listen {
        match address {
            ApiAddr::Unix(path) => listeners.add_unix(path).await,
            ApiAddr::Http(address) => listeners.add_tcp(*address, api.allow_remote).await,
            ApiAddr::Https(address) => listeners.add_tls(*address, api.allow_remote, &tls).await,
        }
        .map_err(|error| cannot_listen(&error))?;
    }
    Ok(listeners)
}

async fn start_agent(config: &Config, store: &Store) -> Result<AgentHandle, CliError> {
    let chassis = config.chassis.iter().map(|entry| ChassisConfig {
        id: entry.id.clone(),
        ovsdb: entry.ovsdb.clone(),
        bridge: entry.bridge.clone(),
        datapath_type: Some(entry.datapath_type.clone()).filter(|kind| !kind.is_empty()),
        fastpath: Some(entry.fastpath.clone()).filter(|path| !path.as_os_str().is_empty()),
        target: config.target_of(entry),
    });
    let mut agent = AgentConfig::new(chassis.collect());
    if !agent.chassis.is_empty() {
        agent.listen = config.openflow.listen.iter().map(|listen| listen.0.clone()).collect();
    }
    agent.tls = config.tls_files();
    agent::start(agent, store).await.map_err(|error| CliError::Daemon {
        error: with_sources(&error),
        hint: "check [openflow] and [tls] of the configuration, or --openflow and --tls-*".into(),
    })
}

async fn open_store(config: &Config) -> Result<Store, CliError> {
    let (path, history) = (config.store.path.clone(), config.store.history);
    let opened = tokio::task::spawn_blocking(move || {
        if path == Path::new("memory") {
            return Store::open(MemoryBackend::new(usize::try_from(history).unwrap_or(usize::MAX)));
        }
        Store::open(DiskBackend::open(&path, history)?)
    });
    let opened = opened.await.map_err(std::io::Error::other)?;
    opened.map_err(|error| {
        let hint = match &error {
            BackendError::InUse(_) => "stop the other controller, or give this one another --store",
            BackendError::Full(_) => "free some space",
            BackendError::Open { .. } => {
                "check that the directory exists and is writable, or give another --store"
            }
            BackendError::Content { .. } => "use the version of dragonflow that wrote it, or another --store",
            BackendError::Io { .. } => "check the disk",
        };
        CliError::Daemon { error: with_sources(&error), hint: hint.into() }
    })
}

fn cannot_listen(error: &ListenError) -> CliError {
    let hint = match error {
        ListenError::InUse(_) => "stop it, or give this one another --api",
        ListenError::Bind { .. } => "check that the address is ours and free, and the directory writable",
        ListenError::NotLoopback(..) => {
            "listen on https:// and set token_file of [api]; behind a proxy that authenticates, set allow_remote"
        }
        ListenError::Tls(_) => "check private_key, certificate and client_ca of [api]",
    };
    CliError::Daemon { error: with_sources(error), hint: hint.into() }
}

fn start_log(config: &Config) -> Result<FilterHandle, CliError> {
    let (filter, handle) = reload::Layer::new(parse_filter(&config.log.filter)?);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.log.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    started.map_err(std::io::Error::other)?;
    Ok(handle)
}

fn parse_filter(text: &str) -> Result<EnvFilter, CliError> {
    EnvFilter::try_new(text).map_err(|error| CliError::Usage {
        error: format!("log filter \"{text}\": {}", with_sources(&error)),
        hint: "write a level, as in info, or targets with levels, as in warn,controller=debug".into(),
    })
}

/// On SIGHUP: what else changed in the file takes effect at the next start.
fn reload_filter(flags: &Flags, handle: &FilterHandle) {
    let reloaded = flags.log_filter().and_then(|text| {
        handle.reload(parse_filter(&text)?).map_err(std::io::Error::other)?;
        Ok(text)
    });
    match reloaded {
        Ok(filter) => tracing::info!(filter, "log filter reloaded"),
        Err(error) => tracing::error!(%error, "the log filter stays"),
    }
}

/// Telling systemd is a courtesy: without it, or with a broken socket, the controller works the same.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns at the first order to end.
    async fn wait(&mut self, hangup: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => hangup(),
            }
        }
    }
}
