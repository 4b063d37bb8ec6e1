//! Operations of a transaction and their results (RFC 7047, 5.2).

use serde_json::{Value as Json, json};

use crate::{Row, Uuid, Value, ValueError};

/// One operation of a transaction. All operations of a transaction happen, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A new row (5.2.1).
    Insert {
        /// The table.
        table: String,
        /// Its columns; those left out get the default of their type.
        row: Row,
        /// The name by which other operations of the transaction can refer to the row: letters, digits, underscores.
        uuid_name: Option<String>,
    },
    /// Reads rows (5.2.2).
    Select {
        /// The table.
        table: String,
        /// Which rows.
        conditions: Vec<Condition>,
        /// Which columns.
        columns: Vec<String>,
    },
    /// Sets columns of rows (5.2.3).
    Update {
        /// The table.
        table: String,
        /// Which rows.
        conditions: Vec<Condition>,
        /// The columns to set.
        row: Row,
    },
    /// Changes columns of rows in place (5.2.4).
    Mutate {
        /// The table.
        table: String,
        /// Which rows.
        conditions: Vec<Condition>,
        /// The changes, in order.
        mutations: Vec<Mutation>,
    },
    /// Deletes rows (5.2.5). Rows of a table that is no root go by themselves when nothing refers to them.
    Delete {
        /// The table.
        table: String,
        /// Which rows.
        conditions: Vec<Condition>,
    },
    /// Fails the transaction unless exactly these rows are there (5.2.6, with a timeout of 0).
    Wait {
        /// The table.
        table: String,
        /// Which rows to look at.
        conditions: Vec<Condition>,
        /// Which columns to look at.
        columns: Vec<String>,
        /// What they must be.
        rows: Vec<Row>,
    },
    /// Leaves a note in the log of the database (5.2.9).
    Comment(
        /// The note.
        String,
    ),
}

/// Which rows an operation is about (RFC 7047, 5.1 `<condition>`). All conditions of a list must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// The comparison.
    pub function: Function,
    /// What the column is compared with.
    pub value: Value,
}

/// A comparison (RFC 7047, 5.1 `<function>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The same value.
    Equal,
    /// Another value.
    NotEqual,
    /// The column includes all elements of the value.
    Includes,
    /// The column includes none of them.
    Excludes,
}

/// A change of one column in place (RFC 7047, 5.1 `<mutation>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The column.
    pub column: String,
    /// The kind of change.
    pub mutator: Mutator,
    /// Its operand.
    pub value: Value,
}

/// A kind of change in place (RFC 7047, 5.1 `<mutator>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutator {
    /// Adds the elements that are not there; in a map, a key that is there keeps its value.
    Insert,
    /// Takes away elements; from a map, the keys of a set, or the pairs of a map.
    Delete,
}

/// What one operation returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResult {
    /// Of an insert: the new row.
    Inserted(Uuid),
    /// Of a select.
    Rows(Vec<Row>),
    /// Of an update, mutate or delete: how many rows were concerned.
    Count(u64),
    /// Of a wait or comment.
    Done,
}

/// Why a transaction did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactError {
    /// An operation failed, and with it all.
    #[error("operation {index}, {operation}: {error}: {details}")]
    Operation {
        /// Its place in the transaction, from 0.
        index: usize,
        /// What it was, in short.
        operation: String,
        /// The error of RFC 7047, 3.1, or of the server, as in "constraint violation".
        error: String,
        /// The server's explanation.
        details: String,
    },
    /// All operations were well, but the whole could not be committed.
    #[error("commit: {error}: {details}")]
    Commit {
        /// As above; "I/O error" is a disk that does not take it.
        error: String,
        /// The server's explanation.
        details: String,
    },
    /// The server refused the request as such.
    #[error("server refuses the transaction: {0}")]
    Refused(String),
    /// The answer is none.
    #[error("unusable answer to a transaction: {0}")]
    Answer(#[from] ValueError),
}

impl Operation {
    /// An insert of a row that nothing in the transaction refers to.
    pub fn insert(table: &str, row: Row) -> Self {
        Self::Insert { table: table.into(), row, uuid_name: None }
    }

    /// An insert of a row that the transaction calls `uuid_name`.
    pub fn insert_named(table: &str, row: Row, uuid_name: &str) -> Self {
        Self::Insert { table: table.into(), row, uuid_name: Some(uuid_name.into()) }
    }

    /// An update of one row.
    pub fn update(table: &str, uuid: Uuid, row: Row) -> Self {
        Self::Update { table: table.into(), conditions: vec![Condition::row(uuid)], row }
    }

    /// A mutate of one row.
    pub fn mutate(table: &str, uuid: Uuid, mutations: Vec<Mutation>) -> Self {
        Self::Mutate { table: table.into(), conditions: vec![Condition::row(uuid)], mutations }
    }

    /// A delete of one row.
    pub fn delete(table: &str, uuid: Uuid) -> Self {
        Self::Delete { table: table.into(), conditions: vec![Condition::row(uuid)] }
    }

    /// Writes an `<operation>`.
    pub fn to_json(&self) -> Json {
        let wheres = |conditions: &[Condition]| conditions.iter().map(Condition::to_json).collect::<Vec<_>>();
        match self {
            Self::Insert { table, row, uuid_name: None } => {
                json!({"op": "insert", "table": table, "row": row.to_json()})
            }
            Self::Insert { table, row, uuid_name: Some(name) } => {
                json!({"op": "insert", "table": table, "row": row.to_json(), "uuid-name": name})
            }
            Self::Select { table, conditions, columns } => {
                json!({"op": "select", "table": table, "where": wheres(conditions), "columns": columns})
            }
            Self::Update { table, conditions, row } => {
                json!({"op": "update", "table": table, "where": wheres(conditions), "row": row.to_json()})
            }
            Self::Mutate { table, conditions, mutations } => {
                let mutations: Vec<_> = mutations.iter().map(Mutation::to_json).collect();
                json!({"op": "mutate", "table": table, "where": wheres(conditions), "mutations": mutations})
            }
            Self::Delete { table, conditions } => {
                json!({"op": "delete", "table": table, "where": wheres(conditions)})
            }
            Self::Wait { table, conditions, columns, rows } => json!({
                "op": "wait", "table": table, "timeout": 0, "where": wheres(conditions), "columns": columns,
                "until": "==", "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            }),
            Self::Comment(comment) => json!({"op": "comment", "comment": comment}),
        }
    }

    /// What the operation is, in a few words, for logs and errors.
    pub fn describe(&self) -> String {
        let of = |conditions: &[Condition]| match conditions {
            [] => "all rows".to_owned(),
            list => list
                .iter()
                .map(|c| format!("{} {}", c.column, c.value.to_json()))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let names = |row: &Row| row.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        match self {
            Self::Insert { table, row, .. } => match row.str("name").or(row.str("target")) {
                Some(name) => format!("insert {table} {name}"),
                None => format!("insert {table}"),
            },
            Self::Select { table, conditions, .. } => format!("select {table} where {}", of(conditions)),
            Self::Update { table, conditions, row } => {
                format!("update {} of {table} where {}", names(row), of(conditions))
            }
            Self::Mutate { table, conditions, mutations } => {
                let columns: Vec<_> = mutations.iter().map(|mutation| mutation.column.as_str()).collect();
                format!("mutate {} of {table} where {}", columns.join(", "), of(conditions))
            }
            Self::Delete { table, conditions } => format!("delete {table} where {}", of(conditions)),
            Self::Wait { table, conditions, .. } => format!("wait for {table} where {}", of(conditions)),
            Self::Comment(_) => "comment".to_owned(),
        }
    }

    fn read_result(&self, json: &Json) -> Result<OpResult, ValueError> {
        let err = || ValueError::new("result", json);
        match self {
            Self::Insert { .. } => match json.get("uuid").map(Value::from_json).transpose()?.as_ref() {
                Some(value) => match value.scalar() {
                    Some(crate::Atom::Uuid(uuid)) => Ok(OpResult::Inserted(*uuid)),
                    _ => Err(err()),
                },
                None => Err(err()),
            },
            Self::Select { .. } => {
                let rows = json.get("rows").and_then(Json::as_array).ok_or_else(err)?;
                rows.iter().map(Row::from_json).collect::<Result<_, _>>().map(OpResult::Rows)
            }
            Self::Update { .. } | Self::Mutate { .. } | Self::Delete { .. } => {
                json.get("count").and_then(Json::as_u64).map(OpResult::Count).ok_or_else(err)
            }
            Self::Wait { .. } | Self::Comment(_) => {
                json.is_object().then_some(OpResult::Done).ok_or_else(err)
            }
        }
    }
}

impl Condition {
    /// The row with this id.
    pub fn row(uuid: Uuid) -> Self {
        Self { column: "_uuid".into(), function: Function::Equal, value: uuid.into() }
    }

    /// Rows whose column is this value.
    pub fn equal(column: &str, value: impl Into<Value>) -> Self {
        Self { column: column.into(), function: Function::Equal, value: value.into() }
    }

    fn to_json(&self) -> Json {
        let function = match self.function {
            Function::Equal => "==",
            Function::NotEqual => "!=",
            Function::Includes => "includes",
            Function::Excludes => "excludes",
        };
        json!([self.column, function, self.value.to_json()])
    }
}

impl Mutation {
    /// Adds elements or pairs.
    pub fn insert(column: &str, value: impl Into<Value>) -> Self {
        Self { column: column.into(), mutator: Mutator::Insert, value: value.into() }
    }

    /// Takes away elements, keys or pairs.
    pub fn delete(column: &str, value: impl Into<Value>) -> Self {
        Self { column: column.into(), mutator: Mutator::Delete, value: value.into() }
    }

    fn to_json(&self) -> Json {
        let mutator = match self.mutator {
            Mutator::Insert => "insert",
            Mutator::Delete => "delete",
        };
        json!([self.column, mutator, self.value.to_json()])
    }
}

/// Reads the `result` of `transact` (RFC 7047, 4.1.3): one element per operation, null after the one that failed, and
/// one element more if the commit failed.
pub(crate) fn read_results(operations: &[Operation], json: &Json) -> Result<Vec<OpResult>, TransactError> {
    let results = json.as_array().ok_or_else(|| ValueError::new("list of results", json))?;
    for (index, result) in results.iter().enumerate() {
        let text = |key| result.get(key).and_then(Json::as_str).map(str::to_owned);
        let Some(error) = text("error") else { continue };
        let details = text("details").unwrap_or_default();
        return Err(match operations.get(index) {
            Some(operation) => {
                TransactError::Operation { index, operation: operation.describe(), error, details }
            }
            None => TransactError::Commit { error, details },
        });
    }
    if results.len() != operations.len() {
        return Err(ValueError::new("list with one result for each operation", json).into());
    }
    let pairs = operations.iter().zip(results);
    Ok(pairs.map(|(operation, result)| operation.read_result(result)).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations() -> Vec<Operation> {
        vec![
            Operation::insert_named("Bridge", Row::default().with("name", "br0"), "b"),
            Operation::delete("Port", Uuid(1)),
            Operation::Comment("x".into()),
        ]
    }

    #[test]
    fn operations_are_written_as_the_rfc_has_them() {
        let condition = Condition { function: Function::Includes, ..Condition::equal("a", "x") };
        let mutation = Mutation::insert("ports", crate::Atom::NamedUuid("p".into()));
        let (table, columns) = (String::from("T"), vec![String::from("a")]);
        let id = "00000000-0000-0000-0000-000000000001";
        for (operation, json) in [
            (
                operations().remove(0),
                json!({"op": "insert", "table": "Bridge", "row": {"name": "br0"}, "uuid-name": "b"}),
            ),
            (
                Operation::mutate("T", Uuid(1), vec![mutation, Mutation::delete("m", Value::set(["k"]))]),
                json!({"op": "mutate", "table": "T", "where": [["_uuid", "==", ["uuid", id]]],
                       "mutations": [["ports", "insert", ["named-uuid", "p"]], ["m", "delete", "k"]]}),
            ),
            (
                Operation::Select {
                    table: table.clone(),
                    conditions: vec![condition],
                    columns: columns.clone(),
                },
                json!({"op": "select", "table": "T", "where": [["a", "includes", "x"]], "columns": ["a"]}),
            ),
            (
                Operation::update("T", Uuid(1), Row::default().with("a", 1_i64)),
                json!({"op": "update", "table": "T", "where": [["_uuid", "==", ["uuid", id]]], "row": {"a": 1}}),
            ),
            (
                Operation::Wait { table, conditions: vec![], columns, rows: vec![Row::default()] },
                json!({"op": "wait", "table": "T", "timeout": 0, "where": [], "columns": ["a"], "until": "==",
                       "rows": [{}]}),
            ),
        ] {
            assert_eq!(operation.to_json(), json);
        }
    }

    #[test]
    fn results_belong_to_their_operations() {
        let id = "00000000-0000-0000-0000-000000000007";
        let good = json!([{"uuid": ["uuid", id]}, {"count": 1}, {}]);
        let results = read_results(&operations(), &good).unwrap();
        assert_eq!(results, [OpResult::Inserted(Uuid(7)), OpResult::Count(1), OpResult::Done]);
    }

    #[test]
    fn an_error_names_the_operation_that_failed() {
        let json = json!([{"uuid": ["uuid", "00000000-0000-0000-0000-000000000007"]},
                          {"error": "referential integrity violation", "details": "why"}, null]);
        assert_eq!(
            read_results(&operations(), &json).unwrap_err().to_string(),
            "operation 1, delete Port where _uuid [\"uuid\",\"00000000-0000-0000-0000-000000000001\"]: \
             referential integrity violation: why"
        );
        let json = json!([{}, {"count": 0}, {}, {"error": "I/O error", "details": "no space"}]);
        assert_eq!(
            read_results(&operations(), &json).unwrap_err().to_string(),
            "commit: I/O error: no space"
        );
        for bad in [json!(null), json!([]), json!([{}, {}, {}]), json!([{}, {"count": 1}, {}, {}])] {
            assert!(matches!(read_results(&operations(), &bad), Err(TransactError::Answer(_))));
        }
    }
}
