//! What changed between two states of an object, field by field.

use super::types::FieldChange;
use serde_json::{Map, Value};

/// The fields that differ, in order of name; lists are compared as a whole.
pub(super) fn fields(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    collect(String::new(), before, after, &mut changes);
    changes
}

fn collect(field: String, before: &Value, after: &Value, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        changes.push(FieldChange { field, before: before.clone(), after: after.clone() });
        return;
    };
    let get = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let path = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
        collect(path, &get(old, key), &get(new, key), changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_the_deepest_field_that_differs() {
        let before = json!({"id": "n", "segment": {"type": "vxlan", "id": 1}, "list": [1, 2]});
        let after = json!({"id": "n", "segment": {"type": "vxlan", "id": 2}, "list": [1], "mtu": 9000});
        let told: Vec<_> =
            fields(&before, &after).iter().map(|c| format!("{} {} {}", c.field, c.before, c.after)).collect();
        assert_eq!(told, ["list [1,2] [1]", "mtu null 9000", "segment.id 1 2"]);
        assert_eq!(fields(&before, &before), []);
    }
}
