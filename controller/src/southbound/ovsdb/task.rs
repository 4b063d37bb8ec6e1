//! The task that keeps a chassis as wanted and tells what is on it.
//!
//! One loop: take in what changed, plan, carry the plan out, publish. It never ends but with its input; a database
//! that is away, full or read-only is waited for.

use std::{collections::BTreeSet, error::Error as _, sync::Arc, time::Duration};

use ovsdb::{Backoff, Error, Operation, TransactError};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    OvsdbLink, OvsdbState, Wanted, Warning,
    observed::Observed,
    plan::{Plan, plan},
    ports::chassis_ports,
};

/// The least time between two changes of ours. Should another program undo what we do as soon as we do it, the quarrel
/// costs twenty transactions a second and no more.
const SPACING: Duration = Duration::from_millis(50);

/// How long a warning must last before it is logged: a bridge has no datapath id and a port no number for a moment
/// after each was created, and that is not worth a line.
const SETTLE: Duration = Duration::from_secs(2);

/// Keeps the chassis behind `link` as `wanted` says, and `state` at what is there, until the sender of `wanted` is
/// dropped. The future may be dropped at any moment, too; the chassis then stays as it is.
///
/// An unusable [`Wanted`] changes nothing on the chassis, shows in [`OvsdbState::error`], and is over with the next.
pub async fn run<L: OvsdbLink>(
    link: L,
    wanted: watch::Receiver<Arc<Wanted>>,
    state: watch::Sender<OvsdbState>,
) {
    run_at_pace(link, wanted, state, Backoff::default()).await;
}

pub(super) async fn run_at_pace<L: OvsdbLink>(
    mut link: L,
    mut wanted: watch::Receiver<Arc<Wanted>>,
    state: watch::Sender<OvsdbState>,
    mut backoff: Backoff,
) {
    let mut logged = String::new();
    loop {
        let Err(err) = session(&mut link, &mut wanted, &state, &mut backoff).await else { return };
        let text = explain(&err);
        // A database that had been there and went is news, however it went the last time.
        if state.borrow().connected {
            logged.clear();
        }
        if logged == text {
            tracing::debug!(remote = link.remote(), "{text}");
        } else {
            tracing::warn!(remote = link.remote(), "{text}");
            logged.clone_from(&text);
        }
        state.send_modify(|state| {
            state.connected = false;
            state.error = Some(text);
        });
        // A new `Wanted` can wait until there is a connection again; an end cannot.
        tokio::select! {
            () = sleep(backoff.failed()) => {}
            () = closed(&mut wanted) => return,
        }
    }
}

async fn closed(wanted: &mut watch::Receiver<Arc<Wanted>>) {
    let mut others = wanted.clone();
    while others.changed().await.is_ok() {}
}

/// One connection, from beginning to end; `Ok` when nobody wants anything any more.
async fn session<L: OvsdbLink>(
    link: &mut L,
    wanted: &mut watch::Receiver<Arc<Wanted>>,
    state: &watch::Sender<OvsdbState>,
    backoff: &mut Backoff,
) -> Result<(), Error> {
    let mut observed = Observed::default();
    let rows = tokio::select! {
        rows = link.connect() => rows?,
        () = closed(wanted) => return Ok(()),
    };
    observed.apply(&rows);
    tracing::info!(remote = link.remote(), rows = rows.len(), "connected to the database of the switch");
    // Or they would stay for as long as the connection.
    drop(rows);

    let mut not_before = Instant::now();
    let mut refusal = None;
    let mut warnings = WarningLog::default();
    loop {
        let wish = Arc::clone(&wanted.borrow_and_update());
        let invalid = wish.validate().err().map(|err| err.to_string());
        let plan = if invalid.is_none() { plan(&observed, &wish) } else { Plan::default() };
        let todo = !plan.operations.is_empty();
        if !todo {
            // Also when somebody else has done what we could not.
            refusal = None;
            backoff.succeeded();
        }
        let problem = invalid.or_else(|| refusal.clone());
        warnings.note(publish(state, &observed, &wish, plan.warnings, !todo, problem));

        if todo && not_before <= Instant::now() {
            let result = link.transact(&plan.operations).await;
            let wait = match result {
                Ok(()) => {
                    log_done(link, &plan.operations);
                    refusal = None;
                    SPACING
                }
                Err(err @ Error::Transact { .. }) => {
                    let text = explain(&err);
                    if refusal.as_ref() != Some(&text) {
                        tracing::warn!(remote = link.remote(), "{text}");
                    }
                    refusal = Some(text);
                    backoff.failed()
                }
                Err(err) => return Err(err),
            };
            not_before = Instant::now() + wait;
            observed.apply(&link.arrived()?);
            continue;
        }
        tokio::select! {
            rows = link.next() => observed.apply(&rows?),
            more = wanted.changed() => if more.is_err() { return Ok(()) },
            () = sleep_until(not_before), if todo => {}
            () = sleep_until(warnings.due.unwrap_or(not_before)), if warnings.due.is_some() => warnings.write(),
        }
    }
}

/// Publishes what is known, if anything of it is new, and returns all warnings.
fn publish(
    state: &watch::Sender<OvsdbState>,
    observed: &Observed,
    wanted: &Wanted,
    mut warnings: Vec<Warning>,
    applied: bool,
    error: Option<String>,
) -> Vec<Warning> {
    let (ports, more) = chassis_ports(observed, wanted);
    warnings.extend(more);
    warnings.sort();
    warnings.dedup();
    let applied = applied && error.is_none();
    state.send_if_modified(|state| {
        let ports = if *state.ports == ports { Arc::clone(&state.ports) } else { Arc::new(ports) };
        let new = OvsdbState { connected: true, applied, ports, warnings: warnings.clone(), error };
        let modified = *state != new;
        *state = new;
        modified
    });
    warnings
}

fn log_done<L: OvsdbLink>(link: &L, operations: &[Operation]) {
    for operation in operations {
        tracing::info!(remote = link.remote(), "{}", operation.describe());
    }
}

/// Logs each warning once, when it has lasted for [`SETTLE`].
#[derive(Debug, Default)]
struct WarningLog {
    current: Vec<Warning>,
    written: BTreeSet<Warning>,
    due: Option<Instant>,
}

impl WarningLog {
    fn note(&mut self, warnings: Vec<Warning>) {
        if warnings == self.current {
            return;
        }
        self.written.retain(|warning| warnings.contains(warning));
        self.due = warnings.iter().any(|w| !self.written.contains(w)).then(|| Instant::now() + SETTLE);
        self.current = warnings;
    }

    fn write(&mut self) {
        self.due = None;
        for warning in &self.current {
            if self.written.insert(warning.clone()) {
                tracing::warn!("{warning}");
            }
        }
    }
}

/// An error with its causes and what to do about it.
fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    match advice(error) {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    match error {
        Error::Connect { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Some("run as a user that may open it, as root or in the group of the socket")
        }
        Error::Connect { .. } => Some("start ovsdb-server there or correct the remote; trying again"),
        Error::Tls { .. } => Some("correct the files of the TLS configuration; trying again"),
        Error::Closed { .. } | Error::Io { .. } | Error::Silent { .. } => Some("connecting again"),
        Error::Protocol { .. } => Some("is this an OVSDB server? Connecting again"),
        Error::Refused { .. } => {
            Some("is its database Open_vSwitch, of version 2.5 or later? Connecting again")
        }
        Error::Transact { source, .. } => match source {
            TransactError::Commit { error, .. } if error == "I/O error" => {
                Some("see that its disk is neither full nor read-only; trying again")
            }
            TransactError::Operation { error, .. } | TransactError::Commit { error, .. }
                if is_read_only(error) =>
            {
                Some(READ_ONLY)
            }
            TransactError::Refused(error) if is_read_only(error) => Some(READ_ONLY),
            _ => Some("trying again with what is there then"),
        },
    }
}

const READ_ONLY: &str =
    "it is read-only: a standby, or a remote with a restricted role; use its active server";

fn is_read_only(error: &str) -> bool {
    ["not allowed", "permission error"].iter().any(|text| error.contains(text))
}
