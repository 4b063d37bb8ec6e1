//! A database in memory that does with our five tables what `ovsdb-server` does (RFC 7047, 3.2 and 5.2): defaults,
//! named rows, garbage collection, references, unique names. That it does the same is tested: `scenario.rs` runs the
//! same histories on both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use ovsdb::{
    Atom, Change, Condition, Error, Function, Mutation, Mutator, Operation, Remote, Row, RowUpdate,
    TransactError, Uuid, Value,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::{OvsdbLink, observed::monitored};

type Tables = BTreeMap<String, BTreeMap<Uuid, Row>>;

/// A database, shared by its links.
#[derive(Debug, Clone, Default)]
pub(super) struct FakeDatabase(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    tables: Tables,
    rows_ever: u128,
    listeners: Vec<UnboundedSender<Vec<RowUpdate>>>,
    is_down: bool,
    is_read_only: bool,
}

/// One connection to a [`FakeDatabase`], and the next when that is lost.
#[derive(Debug)]
pub(super) struct FakeLink {
    database: FakeDatabase,
    updates: Option<UnboundedReceiver<Vec<RowUpdate>>>,
}

impl FakeDatabase {
    pub(super) fn link(&self) -> FakeLink {
        FakeLink { database: self.clone(), updates: None }
    }

    /// Closes all connections, and refuses new ones until it is up again.
    pub(super) fn set_down(&self, is_down: bool) {
        let mut inner = self.0.lock().unwrap();
        inner.is_down = is_down;
        inner.listeners.clear();
    }

    pub(super) fn set_read_only(&self, is_read_only: bool) {
        self.0.lock().unwrap().is_read_only = is_read_only;
    }

    pub(super) fn transact(&self, operations: &[Operation]) -> Result<(), TransactError> {
        let mut inner = self.0.lock().unwrap();
        if inner.is_read_only {
            return Err(failure(operations, 0, "not allowed", "database server is in read only mode"));
        }
        let tables = Transaction::run(&inner.tables, &mut inner.rows_ever.clone(), operations)?;
        inner.rows_ever += operations.len() as u128;
        let changes = updates(&inner.tables, &tables);
        inner.tables = tables;
        if !changes.is_empty() {
            inner.listeners.retain(|listener| listener.send(changes.clone()).is_ok());
        }
        Ok(())
    }
}

pub(super) fn closed() -> Error {
    Error::Closed { remote: Remote::Unix("/fake".into()) }
}

impl OvsdbLink for FakeLink {
    fn remote(&self) -> String {
        "unix:/fake".into()
    }

    async fn connect(&mut self) -> Result<Vec<RowUpdate>, Error> {
        let mut inner = self.database.0.lock().unwrap();
        if inner.is_down {
            return Err(Error::Connect {
                remote: Remote::Unix("/fake".into()),
                source: std::io::ErrorKind::ConnectionRefused.into(),
            });
        }
        let (sender, receiver) = unbounded_channel();
        inner.listeners.push(sender);
        self.updates = Some(receiver);
        Ok(updates(&Tables::new(), &inner.tables))
    }

    async fn transact(&mut self, operations: &[Operation]) -> Result<(), Error> {
        if self.updates.as_ref().is_none_or(|updates| updates.is_closed()) {
            return Err(closed());
        }
        let refused = |source| Error::Transact { remote: Remote::Unix("/fake".into()), source };
        self.database.transact(operations).map_err(refused)
    }

    async fn next(&mut self) -> Result<Vec<RowUpdate>, Error> {
        self.updates.as_mut().ok_or_else(closed)?.recv().await.ok_or_else(closed)
    }

    fn arrived(&mut self) -> Result<Vec<RowUpdate>, Error> {
        let updates = self.updates.as_mut().ok_or_else(closed)?;
        Ok(std::iter::from_fn(|| updates.try_recv().ok()).flatten().collect())
    }
}

/// What a monitor reports of the way from `old` to `new`.
fn updates(old: &Tables, new: &Tables) -> Vec<RowUpdate> {
    let none = BTreeMap::new();
    let mut updates = Vec::new();
    for table in monitored().into_iter().map(|table| table.table) {
        let (old, new) = (old.get(&table).unwrap_or(&none), new.get(&table).unwrap_or(&none));
        for uuid in old.keys().chain(new.keys()).copied().collect::<BTreeSet<_>>() {
            let change = match (old.get(&uuid), new.get(&uuid)) {
                (None, Some(new)) => Change::Insert(new.clone()),
                (Some(old), None) => Change::Delete(old.clone()),
                (Some(old), Some(new)) if old != new => Change::Modify { old: old.clone(), new: new.clone() },
                _ => continue,
            };
            updates.push(RowUpdate { table: table.clone(), uuid, change });
        }
    }
    updates
}

fn failure(operations: &[Operation], index: usize, error: &str, details: &str) -> TransactError {
    let operation = operations[index].describe();
    TransactError::Operation { index, operation, error: error.into(), details: details.into() }
}

fn commit_failure(error: &str, details: String) -> TransactError {
    TransactError::Commit { error: error.into(), details }
}

/// Columns that refer to rows, with the table they refer to.
const REFERENCES: [(&str, &str, &str); 4] = [
    ("Open_vSwitch", "bridges", "Bridge"),
    ("Bridge", "ports", "Port"),
    ("Bridge", "controller", "Controller"),
    ("Port", "interfaces", "Interface"),
];

/// Columns that always hold a string.
const STRINGS: [&str; 4] = ["name", "type", "datapath_type", "target"];
const MAPS: [&str; 3] = ["external_ids", "other_config", "options"];

fn default_of(column: &str) -> Value {
    if STRINGS.contains(&column) {
        Value::from("")
    } else if MAPS.contains(&column) {
        Value::map::<Atom, Atom>([])
    } else {
        Value::empty()
    }
}

struct Transaction {
    tables: Tables,
    names: BTreeMap<String, Uuid>,
}

impl Transaction {
    fn run(tables: &Tables, rows_ever: &mut u128, operations: &[Operation]) -> Result<Tables, TransactError> {
        let mut transaction = Self { tables: tables.clone(), names: BTreeMap::new() };
        let mut uuids = Vec::new();
        for operation in operations {
            *rows_ever += 1;
            uuids.push(Uuid(*rows_ever));
            if let Operation::Insert { uuid_name: Some(name), .. } = operation {
                transaction.names.insert(name.clone(), Uuid(*rows_ever));
            }
        }
        for (index, (operation, uuid)) in operations.iter().zip(uuids).enumerate() {
            transaction
                .execute(operation, uuid)
                .map_err(|(error, text)| failure(operations, index, error, &text))?;
        }
        transaction.commit()
    }

    fn execute(&mut self, operation: &Operation, uuid: Uuid) -> Result<(), (&'static str, String)> {
        match operation {
            Operation::Insert { table, row, .. } => {
                let mut full: Row =
                    columns(table)?.iter().map(|column| (column.clone(), default_of(column))).collect();
                self.assign(table, &mut full, row)?;
                self.tables.entry(table.clone()).or_default().insert(uuid, full);
            }
            Operation::Update { table, conditions, row } => {
                for uuid in self.matching(table, conditions)? {
                    if row.get("name").is_some() {
                        return Err(("constraint violation", "name is not mutable".into()));
                    }
                    let mut full = self.tables[table][&uuid].clone();
                    self.assign(table, &mut full, row)?;
                    self.tables.get_mut(table).unwrap().insert(uuid, full);
                }
            }
            Operation::Mutate { table, conditions, mutations } => {
                for uuid in self.matching(table, conditions)? {
                    let mut full = self.tables[table][&uuid].clone();
                    for mutation in mutations {
                        self.mutate(&mut full, mutation)?;
                    }
                    self.tables.get_mut(table).unwrap().insert(uuid, full);
                }
            }
            Operation::Delete { table, conditions } => {
                for uuid in self.matching(table, conditions)? {
                    self.tables.get_mut(table).unwrap().remove(&uuid);
                }
            }
            Operation::Wait { table, conditions, columns, rows } => {
                let found =
                    self.matching(table, conditions)?.into_iter().map(|uuid| &self.tables[table][&uuid]);
                let shown = |row: &Row| -> Row {
                    columns
                        .iter()
                        .filter_map(|column| Some((column.as_str(), row.get(column)?.clone())))
                        .collect()
                };
                if found.map(shown).collect::<Vec<_>>() != *rows {
                    return Err(("timed out", "\"wait\" timed out".into()));
                }
            }
            Operation::Comment(_) => {}
            Operation::Select { .. } => unreachable!("not used by the planner"),
        }
        Ok(())
    }

    fn assign(&self, table: &str, full: &mut Row, row: &Row) -> Result<(), (&'static str, String)> {
        for (column, value) in row.iter() {
            let is_map = matches!(value, Value::Map(_));
            let is_string = matches!(value.scalar(), Some(Atom::String(_)));
            if !columns(table)?.iter().any(|c| c == column)
                || is_map != MAPS.contains(&column)
                || STRINGS.contains(&column) && !is_string
            {
                return Err(("syntax error", format!("column {column} of {table}: {value:?}")));
            }
            full.set(column, self.resolve(value)?);
        }
        Ok(())
    }

    fn mutate(&self, row: &mut Row, mutation: &Mutation) -> Result<(), (&'static str, String)> {
        let current =
            row.get(&mutation.column).cloned().ok_or(("unknown column", mutation.column.clone()))?;
        let operand = self.resolve(&mutation.value)?;
        let result = match (current, operand, mutation.mutator) {
            (Value::Set(set), Value::Set(more), Mutator::Insert) => Value::set(set.into_iter().chain(more)),
            (Value::Set(set), Value::Set(less), Mutator::Delete) => {
                Value::set(set.into_iter().filter(|atom| !less.contains(atom)))
            }
            // What is there stays (RFC 7047, 5.1).
            (Value::Map(map), Value::Map(more), Mutator::Insert) => Value::map(more.into_iter().chain(map)),
            (Value::Map(map), Value::Set(keys), Mutator::Delete) => {
                Value::map(map.into_iter().filter(|(key, _)| !keys.contains(key)))
            }
            (Value::Map(map), Value::Map(pairs), Mutator::Delete) => {
                Value::map(map.into_iter().filter(|pair| !pairs.contains(pair)))
            }
            (Value::Set(_), Value::Map(_), _) | (Value::Map(_), Value::Set(_), Mutator::Insert) => {
                return Err(("syntax error", format!("mutation of {}", mutation.column)));
            }
        };
        row.set(mutation.column.clone(), result);
        Ok(())
    }

    fn matching(&self, table: &str, conditions: &[Condition]) -> Result<Vec<Uuid>, (&'static str, String)> {
        columns(table)?;
        let mut found = Vec::new();
        'rows: for (uuid, row) in self.tables.get(table).into_iter().flatten() {
            for condition in conditions {
                assert_eq!(condition.function, Function::Equal, "the planner uses no other");
                let value = self.resolve(&condition.value)?;
                let equal = match condition.column.as_str() {
                    "_uuid" => value == Value::from(*uuid),
                    column => row.get(column) == Some(&value),
                };
                if !equal {
                    continue 'rows;
                }
            }
            found.push(*uuid);
        }
        Ok(found)
    }

    fn resolve(&self, value: &Value) -> Result<Value, (&'static str, String)> {
        let Value::Set(set) = value else { return Ok(value.clone()) };
        let atom = |atom: &Atom| match atom {
            Atom::NamedUuid(name) => self
                .names
                .get(name)
                .copied()
                .map(Atom::Uuid)
                .ok_or(("syntax error", format!("no row {name}"))),
            other => Ok(other.clone()),
        };
        Ok(Value::Set(set.iter().map(atom).collect::<Result<_, _>>()?))
    }

    fn commit(mut self) -> Result<Tables, TransactError> {
        self.collect_garbage();
        for (table, column, target) in REFERENCES {
            for row in self.tables.get(table).into_iter().flat_map(BTreeMap::values) {
                if let Some(lost) = row.uuids(column).find(|uuid| !self.rows(target).contains_key(uuid)) {
                    return Err(commit_failure(
                        "referential integrity violation",
                        format!("{column} {lost}"),
                    ));
                }
            }
        }
        for table in ["Bridge", "Port", "Interface"] {
            let mut names = BTreeSet::new();
            for name in self.rows(table).values().filter_map(|row| row.str("name")) {
                if !names.insert(name) {
                    return Err(commit_failure(
                        "constraint violation",
                        format!("two rows {name} in {table}"),
                    ));
                }
            }
        }
        if self.rows("Port").values().any(|row| row.uuids("interfaces").next().is_none())
            || self.rows("Open_vSwitch").len() > 1
        {
            return Err(commit_failure("constraint violation", "wrong number".into()));
        }
        Ok(self.tables)
    }

    fn rows(&self, table: &str) -> &BTreeMap<Uuid, Row> {
        static NONE: BTreeMap<Uuid, Row> = BTreeMap::new();
        self.tables.get(table).unwrap_or(&NONE)
    }

    /// Rows below the root go when nothing refers to them; from the top down, so one round is enough.
    fn collect_garbage(&mut self) {
        for (table, column, target) in REFERENCES {
            let used: BTreeSet<Uuid> = self.rows(table).values().flat_map(|row| row.uuids(column)).collect();
            if let Some(rows) = self.tables.get_mut(target) {
                rows.retain(|uuid, _| used.contains(uuid));
            }
        }
    }
}

fn columns(table: &str) -> Result<Vec<String>, (&'static str, String)> {
    let found = monitored().into_iter().find(|known| known.table == table);
    found.map(|table| table.columns).ok_or(("unknown table", table.to_owned()))
}
