//! A change of rows, and how a statement uses its query, as data.

use serde_json::{Value, json};

use super::recipe::{invalid, list, text};
use super::request::Request;
use super::scan_recipe::{condition_of_json, condition_to_json};
use crate::backend::{Assignment, Change, Join, Operation, Repeats, RowChange, Staged};
use crate::error::Result;

/// The statements that change rows.
const VERBS: [&str; 4] = ["DELETE", "UPDATE", "MERGE", "TRUNCATE"];

pub(super) fn request_to_json(request: &Request) -> Value {
    let Request { verb, staged, actions, join, repeats } = request;
    json!({ "verb": verb, "staged": staged_to_json(staged), "by_key": by_key_to_json(actions, *join, *repeats) })
}

pub(super) fn request_of_json(request: &Value) -> Result<Request> {
    let (actions, join, repeats) = by_key_of_json(&request["by_key"])?;
    let (verb, staged) = (verb_of_json(&request["verb"])?, staged_of_json(&request["staged"])?);
    Ok(Request { verb, staged, actions, join, repeats })
}

pub(super) fn change_to_json(change: &Change) -> Value {
    let operation = match &change.operation {
        Operation::Delete(condition) => json!({ "delete": condition_to_json(condition) }),
        Operation::Update(set, condition) => json!({ "update": set, "condition": condition_to_json(condition) }),
        Operation::Truncate => json!({ "truncate": true }),
        Operation::ByKey { actions, join, repeats } => json!({ "by_key": by_key_to_json(actions, *join, *repeats) }),
    };
    let lock = change.lock.as_ref().map(condition_to_json);
    json!({ "verb": change.verb, "staged": staged_to_json(&change.staged), "operation": operation, "lock": lock })
}

pub(super) fn change_of_json(change: &Value) -> Result<Change> {
    let operation = &change["operation"];
    let operation = if operation["delete"].is_object() {
        Operation::Delete(condition_of_json(&operation["delete"])?)
    } else if operation["update"].is_array() {
        Operation::Update(set_of_json(&operation["update"])?, condition_of_json(&operation["condition"])?)
    } else if operation["truncate"].is_boolean() {
        Operation::Truncate
    } else {
        let (actions, join, repeats) = by_key_of_json(&operation["by_key"])?;
        Operation::ByKey { actions, join, repeats }
    };
    let lock = match &change["lock"] {
        Value::Null => None,
        lock => Some(condition_of_json(lock)?),
    };
    let (verb, staged) = (verb_of_json(&change["verb"])?, staged_of_json(&change["staged"])?);
    Ok(Change { verb, staged, operation, lock, done: Default::default() })
}

fn verb_of_json(verb: &Value) -> Result<&'static str> {
    VERBS.into_iter().find(|known| verb == known).ok_or_else(invalid)
}

fn staged_to_json(staged: &[Staged]) -> Value {
    let column = |staged: &Staged| match staged {
        Staged::Action => json!("action"),
        Staged::ActionOfMissing => json!("action of missing"),
        Staged::Key(name) => json!({ "key": name }),
        Staged::Value(name) => json!({ "value": name }),
    };
    staged.iter().map(column).collect()
}

fn staged_of_json(staged: &Value) -> Result<Vec<Staged>> {
    let column = |staged: &Value| match staged.as_str() {
        Some("action") => Ok(Staged::Action),
        Some("action of missing") => Ok(Staged::ActionOfMissing),
        _ if staged["key"].is_string() => Ok(Staged::Key(text(&staged["key"])?)),
        _ => Ok(Staged::Value(text(&staged["value"])?)),
    };
    list(staged)?.iter().map(column).collect()
}

fn by_key_to_json(actions: &[RowChange], join: Join, repeats: Repeats) -> Value {
    let action = |action: &RowChange| match action {
        RowChange::Update(set) => json!({ "update": set }),
        RowChange::Delete => json!("delete"),
        RowChange::Insert(values) => json!({ "insert": values }),
    };
    json!({
        "actions": actions.iter().map(action).collect::<Vec<_>>(),
        "at_server": join == Join::AtServer,
        "refuses_repeats": repeats == Repeats::Refused,
    })
}

fn by_key_of_json(by_key: &Value) -> Result<(Vec<RowChange>, Join, Repeats)> {
    let action = |action: &Value| match action.as_str() {
        Some("delete") => Ok(RowChange::Delete),
        _ if action["update"].is_array() => Ok(RowChange::Update(set_of_json(&action["update"])?)),
        _ => Ok(RowChange::Insert(set_of_json(&action["insert"])?)),
    };
    let actions = list(&by_key["actions"])?.iter().map(action).collect::<Result<_>>()?;
    let is = |member: &str| by_key[member].as_bool().ok_or_else(invalid);
    let join = if is("at_server")? { Join::AtServer } else { Join::InQuery };
    let repeats = if is("refuses_repeats")? { Repeats::Refused } else { Repeats::Never };
    Ok((actions, join, repeats))
}

fn set_of_json(set: &Value) -> Result<Vec<Assignment>> {
    let assignment = |pair: &Value| {
        let staged = pair[1].as_u64().and_then(|staged| usize::try_from(staged).ok()).ok_or_else(invalid)?;
        Ok((text(&pair[0])?, staged))
    };
    list(set)?.iter().map(assignment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Condition, Parameter};

    #[test]
    fn a_change_is_read_as_it_was() -> Result<()> {
        let condition = Condition { text: " WHERE a = ?1".into(), parameters: vec![Parameter::Integer(7)] };
        let set = vec![("a".to_owned(), 1)];
        let actions = vec![RowChange::Update(set.clone()), RowChange::Delete, RowChange::Insert(set.clone())];
        let operations = [
            Operation::Delete(condition.clone()),
            Operation::Update(set, condition.clone()),
            Operation::Truncate,
            Operation::ByKey { actions, join: Join::AtServer, repeats: Repeats::Refused },
        ];
        for (verb, operation) in VERBS.into_iter().zip(operations) {
            let staged =
                vec![Staged::Action, Staged::ActionOfMissing, Staged::Key("k".into()), Staged::Value("v".into())];
            let lock = (verb == "UPDATE").then(|| condition.clone());
            let change = Change { verb, staged, operation, lock, done: Default::default() };
            let read = change_of_json(&change_to_json(&change))?;
            assert_eq!((read.verb, read.staged, read.operation, read.lock), {
                let Change { verb, staged, operation, lock, .. } = change;
                (verb, staged, operation, lock)
            });
        }
        Ok(())
    }
}
