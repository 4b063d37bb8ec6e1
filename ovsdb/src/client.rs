//! A session on a stream: one connection, owned by one task.

use std::{collections::VecDeque, io, time::Duration};

use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    Event, MonitorTable, OpResult, Operation, ProtocolError, Remote, RequestId, RowUpdate, Session, TlsError,
    TlsFiles, TransactError,
    operation::read_results,
    remote::{OpenError, Stream},
    session::read_snapshot,
};

/// How to talk to a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database, as in "Open_vSwitch".
    pub database: String,
    /// Needed for remotes of `ssl:`.
    pub tls: Option<TlsFiles>,
    /// How long a connection may take to come about, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// Silence after which we ask for an echo; after as much again the connection counts as dead. Default 5 s.
    pub probe_interval: Duration,
    /// How long an answer may take; then the connection is given up. Default 30 s: a commit waits for the disk.
    pub request_timeout: Duration,
    /// The longest message, in bytes, that is taken. Default 64 MiB, enough for some 100,000 ports.
    pub max_message: usize,
}

impl Options {
    /// The defaults.
    pub fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            tls: None,
            connect_timeout: Duration::from_secs(5),
            probe_interval: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            max_message: 64 << 20,
        }
    }
}

/// Why something did not work. After all but [`Error::Transact`] and [`Error::Refused`] the connection is lost.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection.
    #[error("cannot connect to {remote}")]
    Connect {
        /// Where to.
        remote: Remote,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no TLS with this configuration.
    #[error("cannot connect to {remote}")]
    Tls {
        /// Where to.
        remote: Remote,
        /// Why not.
        #[source]
        source: TlsError,
    },
    /// The connection broke.
    #[error("connection to {remote} broke")]
    Io {
        /// Where to.
        remote: Remote,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The server closed the connection.
    #[error("{remote} closed the connection")]
    Closed {
        /// Who.
        remote: Remote,
    },
    /// The server says nothing, not even to an echo, or does not answer a request.
    #[error("{remote} has not answered {request} within {} ms", .after.as_millis())]
    Silent {
        /// Who.
        remote: Remote,
        /// What it was asked.
        request: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// The server sent what cannot be understood.
    #[error("{remote} sent what cannot be understood")]
    Protocol {
        /// Who.
        remote: Remote,
        /// What.
        #[source]
        source: ProtocolError,
    },
    /// The server refused a request as such.
    #[error("{remote} refuses {request}: {error}")]
    Refused {
        /// Who.
        remote: Remote,
        /// What it was asked.
        request: &'static str,
        /// What it says.
        error: String,
    },
    /// The transaction did not happen.
    #[error("{remote} refuses the change")]
    Transact {
        /// Who.
        remote: Remote,
        /// Why.
        #[source]
        source: TransactError,
    },
}

/// A connection to a database server.
///
/// Every method reads whatever arrives, answers echoes, and keeps updates for [`Client::next`]; so some method has to
/// be waited for most of the time, as `next` in the `select!` of a task. Any of them may be dropped before it is
/// ready: nothing is lost, though the answer to a dropped request is.
#[derive(Debug)]
pub struct Client {
    remote: Remote,
    options: Options,
    session: Session,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    buffer: Vec<u8>,
    unflushed: bool,
    updates: VecDeque<Vec<RowUpdate>>,
    last_heard: Instant,
    probing: bool,
}

impl std::fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// Unsent output at which we stop reading: a server that asks for echoes and reads none of them must not fill us up.
const OUTPUT_LIMIT: usize = 1 << 20;

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Connect`], also when it takes too long; [`Error::Tls`].
    pub async fn connect(remote: &Remote, options: &Options) -> Result<Self, Error> {
        let failed = |source| Error::Connect { remote: remote.clone(), source };
        let stream = match timeout(options.connect_timeout, remote.open(options.tls.as_ref())).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(OpenError::Io(source))) => return Err(failed(source)),
            Ok(Err(OpenError::Tls(source))) => return Err(Error::Tls { remote: remote.clone(), source }),
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        let (reader, writer) = tokio::io::split(stream);
        Ok(Self {
            remote: remote.clone(),
            options: options.clone(),
            session: Session::new(options.max_message),
            reader,
            writer,
            buffer: vec![0; READ_BYTES],
            unflushed: false,
            updates: VecDeque::new(),
            last_heard: Instant::now(),
            probing: false,
        })
    }

    /// Who is at the other end.
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Asks for the rows that are there now, and to be told what changes from then on.
    ///
    /// # Errors
    /// [`Error::Refused`] for an unknown table or column, or any error of the connection.
    pub async fn monitor(&mut self, tables: &[MonitorTable]) -> Result<Vec<RowUpdate>, Error> {
        let id = self.session.monitor(&self.options.database, tables);
        let answer = self.answer(id, "monitor").await?.map_err(|error| self.refused("monitor", &error))?;
        read_snapshot(answer).map_err(|err| self.protocol(err.into()))
    }

    /// Does all operations at once, or none.
    ///
    /// # Errors
    /// [`Error::Transact`] names the operation that failed. After any other error it is unknown whether the
    /// transaction happened.
    pub async fn transact(&mut self, operations: &[Operation]) -> Result<Vec<OpResult>, Error> {
        let id = self.session.transact(&self.options.database, operations);
        let results = match self.answer(id, "transact").await? {
            Ok(answer) => read_results(operations, &answer),
            Err(error) => Err(TransactError::Refused(error.to_string())),
        };
        results.map_err(|source| Error::Transact { remote: self.remote.clone(), source })
    }

    /// The rows of the monitors that changed with one transaction, in the order of the transactions.
    ///
    /// # Errors
    /// Any error of the connection.
    pub async fn next(&mut self) -> Result<Vec<RowUpdate>, Error> {
        loop {
            if let Some(updates) = self.updates.pop_front() {
                return Ok(updates);
            }
            match self.session.poll().map_err(|err| self.protocol(err))? {
                Some(Event::Updates(updates)) => return Ok(updates),
                Some(Event::Answer(..)) => {}
                None => self.step().await?,
            }
        }
    }

    /// What [`Client::next`] would return at once, if it would.
    ///
    /// # Errors
    /// Those of [`Client::next`].
    pub fn try_next(&mut self) -> Result<Option<Vec<RowUpdate>>, Error> {
        loop {
            if let Some(updates) = self.updates.pop_front() {
                return Ok(Some(updates));
            }
            match self.session.poll().map_err(|err| self.protocol(err))? {
                Some(Event::Updates(updates)) => return Ok(Some(updates)),
                Some(Event::Answer(..)) => {}
                None => return Ok(None),
            }
        }
    }

    async fn answer(&mut self, request: RequestId, name: &'static str) -> Result<Result<Json, Json>, Error> {
        let after = self.options.request_timeout;
        let deadline = Instant::now() + after;
        loop {
            match self.session.poll().map_err(|err| self.protocol(err))? {
                Some(Event::Answer(id, answer)) if id == request => return Ok(answer),
                Some(Event::Answer(..)) => {}
                Some(Event::Updates(updates)) => self.updates.push_back(updates),
                None => match timeout_at(deadline, self.step()).await {
                    Ok(stepped) => stepped?,
                    Err(_) => {
                        return Err(Error::Silent { remote: self.remote.clone(), request: name, after });
                    }
                },
            }
        }
    }

    /// Reads or writes once, or asks for a sign of life. May be dropped at any moment without losing a byte.
    async fn step(&mut self) -> Result<(), Error> {
        let probe = self.options.probe_interval;
        let deadline = self.last_heard + if self.probing { probe * 2 } else { probe };
        let Self { session, reader, writer, buffer, .. } = self;
        let output = session.output();
        // TLS may hold bytes back until it is flushed.
        let write = async {
            if output.is_empty() { writer.flush().await.map(|()| 0) } else { writer.write(output).await }
        };
        tokio::select! {
            read = reader.read(buffer), if output.len() < OUTPUT_LIMIT => {
                let count = read.map_err(|source| Error::Io { remote: self.remote.clone(), source })?;
                let bytes = self.buffer.get(..count).unwrap_or_default();
                if bytes.is_empty() {
                    return Err(Error::Closed { remote: self.remote.clone() });
                }
                self.session.input(bytes);
                self.last_heard = Instant::now();
                self.probing = false;
            }
            written = write, if !output.is_empty() || self.unflushed => {
                let count = written.map_err(|source| Error::Io { remote: self.remote.clone(), source })?;
                self.session.sent(count);
                self.unflushed = count > 0;
            }
            () = sleep_until(deadline) => {
                if self.probing {
                    return Err(Error::Silent { remote: self.remote.clone(), request: "echo", after: probe });
                }
                self.session.echo();
                self.probing = true;
            }
        }
        Ok(())
    }

    fn protocol(&self, source: ProtocolError) -> Error {
        Error::Protocol { remote: self.remote.clone(), source }
    }

    fn refused(&self, request: &'static str, error: &Json) -> Error {
        Error::Refused { remote: self.remote.clone(), request, error: error.to_string() }
    }
}
