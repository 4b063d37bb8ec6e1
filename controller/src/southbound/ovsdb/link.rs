//! The database as the task needs it: a trait, and the real one behind it.

use std::future::Future;

use ovsdb::{Client, Error, Operation, Options, Remote, RowUpdate};

use super::observed::monitored;

/// A way to the database. The future of every method may be dropped before it is ready.
pub trait OvsdbLink: Send {
    /// Where the database is, for people.
    fn remote(&self) -> String;

    /// Connects, dropping what connection there was, and returns all rows; what changes later comes from
    /// [`OvsdbLink::next`].
    fn connect(&mut self) -> impl Future<Output = Result<Vec<RowUpdate>, Error>> + Send;

    /// Does all operations at once, or none. When it returns, what it did can be had from [`OvsdbLink::arrived`].
    ///
    /// After [`Error::Transact`] the connection is still good, after any other error it is not.
    fn transact(&mut self, operations: &[Operation]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Waits for the rows that change next.
    fn next(&mut self) -> impl Future<Output = Result<Vec<RowUpdate>, Error>> + Send;

    /// The changes that have arrived and not been fetched.
    ///
    /// # Errors
    /// Those of the connection.
    fn arrived(&mut self) -> Result<Vec<RowUpdate>, Error>;
}

/// A database server, reached by its protocol.
#[derive(Debug)]
pub struct RealLink {
    remote: Remote,
    options: Options,
    client: Option<Client>,
}

impl RealLink {
    /// Does not connect yet. `options.database` should be "Open_vSwitch".
    pub const fn new(remote: Remote, options: Options) -> Self {
        Self { remote, options, client: None }
    }

    fn client(&mut self) -> Result<&mut Client, Error> {
        self.client.as_mut().ok_or_else(|| Error::Closed { remote: self.remote.clone() })
    }
}

impl OvsdbLink for RealLink {
    fn remote(&self) -> String {
        self.remote.to_string()
    }

    async fn connect(&mut self) -> Result<Vec<RowUpdate>, Error> {
        self.client = None;
        let mut client = Client::connect(&self.remote, &self.options).await?;
        let rows = client.monitor(&monitored()).await?;
        self.client = Some(client);
        Ok(rows)
    }

    async fn transact(&mut self, operations: &[Operation]) -> Result<(), Error> {
        self.client()?.transact(operations).await.map(drop)
    }

    async fn next(&mut self) -> Result<Vec<RowUpdate>, Error> {
        let first = self.client()?.next().await?;
        let rest = self.arrived()?;
        Ok(first.into_iter().chain(rest).collect())
    }

    fn arrived(&mut self) -> Result<Vec<RowUpdate>, Error> {
        let client = self.client()?;
        let mut rows = Vec::new();
        while let Some(more) = client.try_next()? {
            rows.extend(more);
        }
        Ok(rows)
    }
}
