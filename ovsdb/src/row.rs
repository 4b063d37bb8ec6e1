//! Rows as a monitor reports them (RFC 7047, 4.1.6), with accessors that read a column as the type it should have.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{Atom, Uuid, Value, ValueError};

/// Columns of one row, or of the part of it that was asked for.
///
/// The accessors take an absent column, an empty set and a value of another type alike: as "no value". A database
/// whose schema lacks a column is older or newer than we are, and no reason to fail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row(BTreeMap<String, Value>);

impl Row {
    /// Reads a `<row>`.
    ///
    /// # Errors
    /// [`ValueError`] with what is no row, or no value of a column.
    pub fn from_json(json: &Json) -> Result<Self, ValueError> {
        let columns = json.as_object().ok_or_else(|| ValueError::new("row", json))?;
        columns.iter().map(|(name, value)| Ok((name.clone(), Value::from_json(value)?))).collect()
    }

    /// Writes a `<row>`.
    pub fn to_json(&self) -> Json {
        Json::Object(self.0.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
    }

    /// The column as it is.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    /// Puts a value into a column, and returns what was there.
    pub fn set(&mut self, column: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(column.into(), value.into())
    }

    /// The same for building a row in one expression.
    #[must_use]
    pub fn with(mut self, column: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(column, value);
        self
    }

    /// The columns in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// True if the row has no columns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A string, or an optional one.
    pub fn str(&self, column: &str) -> Option<&str> {
        match self.get(column)?.scalar()? {
            Atom::String(text) => Some(text),
            _ => None,
        }
    }

    /// An integer, or an optional one.
    pub fn integer(&self, column: &str) -> Option<i64> {
        match self.get(column)?.scalar()? {
            Atom::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// A boolean, or an optional one.
    pub fn boolean(&self, column: &str) -> Option<bool> {
        match self.get(column)?.scalar()? {
            Atom::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The strings of a set.
    pub fn strs(&self, column: &str) -> impl Iterator<Item = &str> {
        self.atoms(column).filter_map(|atom| match atom {
            Atom::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The references of a set.
    pub fn uuids(&self, column: &str) -> impl Iterator<Item = Uuid> {
        self.atoms(column).filter_map(|atom| match atom {
            Atom::Uuid(uuid) => Some(*uuid),
            _ => None,
        })
    }

    /// The pairs of a map from string to string.
    pub fn pairs(&self, column: &str) -> impl Iterator<Item = (&str, &str)> {
        let map = match self.get(column) {
            Some(Value::Map(map)) => Some(map),
            _ => None,
        };
        map.into_iter().flatten().filter_map(|pair| match pair {
            (Atom::String(key), Atom::String(value)) => Some((key.as_str(), value.as_str())),
            (_, _) => None,
        })
    }

    fn atoms(&self, column: &str) -> impl Iterator<Item = &Atom> {
        let set = match self.get(column) {
            Some(Value::Set(set)) => Some(set),
            _ => None,
        };
        set.into_iter().flatten()
    }
}

impl<C: Into<String>> FromIterator<(C, Value)> for Row {
    fn from_iter<I: IntoIterator<Item = (C, Value)>>(columns: I) -> Self {
        Self(columns.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

/// What happened to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The row is new, or was there when the monitor began.
    Insert(Row),
    /// The row changed.
    Modify {
        /// The columns that changed, with what they held before.
        old: Row,
        /// All monitored columns, as they are now.
        new: Row,
    },
    /// The row is gone; what it held last.
    Delete(Row),
}

impl Change {
    /// The row as it is now; `None` if it is gone.
    pub fn row(&self) -> Option<&Row> {
        match self {
            Self::Insert(row) | Self::Modify { new: row, .. } => Some(row),
            Self::Delete(_) => None,
        }
    }
}

/// What happened to one row of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowUpdate {
    /// The table.
    pub table: String,
    /// The row.
    pub uuid: Uuid,
    /// What happened.
    pub change: Change,
}

/// Reads `<table-updates>`: the answer to `monitor` and the second parameter of `update`.
///
/// Takes the JSON apart as it reads it: of thousands of rows, both forms at once would be a peak of memory.
pub(crate) fn table_updates(json: Json) -> Result<Vec<RowUpdate>, ValueError> {
    let mut updates = Vec::new();
    for (table, rows) in object(json, "table updates")? {
        for (uuid, update) in object(rows, "table update")? {
            let uuid = uuid.parse().map_err(|_| ValueError::new("uuid", &Json::from(uuid)))?;
            let parts = update.as_object().ok_or_else(|| ValueError::new("row update", &update))?;
            let part = |name| parts.get(name).filter(|part| !part.is_null()).map(Row::from_json).transpose();
            let change = match (part("old")?, part("new")?) {
                (None, Some(new)) => Change::Insert(new),
                (Some(old), Some(new)) => Change::Modify { old, new },
                (Some(old), None) => Change::Delete(old),
                (None, None) => return Err(ValueError::new("row update", &update)),
            };
            updates.push(RowUpdate { table: table.clone(), uuid, change });
        }
    }
    Ok(updates)
}

fn object(json: Json, expected: &'static str) -> Result<serde_json::Map<String, Json>, ValueError> {
    match json {
        Json::Object(members) => Ok(members),
        other => Err(ValueError::new(expected, &other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn accessors_read_the_type_they_name_and_nothing_else() {
        let row = Row::from_json(&json!({
            "name": "br0", "ofport": -1, "up": true, "none": ["set", []],
            "protocols": ["set", ["OpenFlow10", "OpenFlow13"]],
            "ports": ["uuid", "550e8400-e29b-41d4-a716-446655440000"],
            "ids": ["map", [["iface-id", "x"], ["n", 1]]],
        }))
        .unwrap();
        assert_eq!(
            (row.str("name"), row.integer("ofport"), row.boolean("up")),
            (Some("br0"), Some(-1), Some(true))
        );
        assert_eq!((row.str("ofport"), row.integer("none"), row.boolean("absent")), (None, None, None));
        assert_eq!(row.strs("protocols").collect::<Vec<_>>(), ["OpenFlow10", "OpenFlow13"]);
        assert_eq!(row.uuids("ports").count(), 1);
        assert_eq!(row.uuids("name").count(), 0);
        assert_eq!(row.pairs("ids").collect::<Vec<_>>(), [("iface-id", "x")]);
        assert_eq!(row.pairs("name").count(), 0);
        assert_eq!(Row::from_json(&row.to_json()), Ok(row));
    }

    #[test]
    fn updates_tell_insert_modify_and_delete() {
        let id = "550e8400-e29b-41d4-a716-446655440000";
        let change =
            |update: Json| table_updates(json!({"Bridge": {id: update}})).unwrap().pop().unwrap().change;
        let row = Row::default().with("name", "a");
        assert_eq!(change(json!({"new": {"name": "a"}})), Change::Insert(row.clone()));
        assert_eq!(change(json!({"old": {"name": "a"}})), Change::Delete(row.clone()));
        assert_eq!(
            change(json!({"old": {}, "new": {"name": "a"}})),
            Change::Modify { old: Row::default(), new: row }
        );
        for bad in [
            json!([]),
            json!({"T": 1}),
            json!({"T": {"x": {}}}),
            json!({"T": {id: {}}}),
            json!({"T": {id: 1}}),
        ] {
            table_updates(bad).unwrap_err();
        }
    }

    /// Whatever a few flipped bytes make of a good message: it is refused, or it means what it says.
    #[test]
    fn damaged_updates_are_read_or_refused() {
        let sample = r#"{"Bridge":{"550e8400-e29b-41d4-a716-446655440000":{"old":{"a":["set",[1,2]]},
            "new":{"a":["map",[["k",["uuid","550e8400-e29b-41d4-a716-446655440001"]]]],"b":true}}}}"#;
        bolero::check!().with_type::<Vec<(u8, u8)>>().for_each(|edits| {
            if let Ok(json) = serde_json::from_slice::<Json>(&crate::testing::damage(sample, edits))
                && let Ok(updates) = table_updates(json)
            {
                for row in updates.iter().filter_map(|update| update.change.row()) {
                    assert_eq!(Row::from_json(&row.to_json()).as_ref(), Ok(row));
                }
            }
        });
    }
}
