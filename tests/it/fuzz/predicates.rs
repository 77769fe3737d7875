//! Random conditions.

use fastrand::Rng;

use super::columns::{Column, Kind, TEXTS, constant, quoted};

/// Which conditions are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Conditions {
    All,
    /// None that holds for a value of another class than its column's, and only on columns that can have one.
    OfTheirType,
}

fn one<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// A condition on columns.
pub fn predicate(rng: &mut Rng, columns: &[Column], conditions: Conditions, depth: usize) -> String {
    if depth > 0 && rng.usize(..3) > 0 {
        let inner = |rng: &mut Rng| predicate(rng, columns, conditions, depth - 1);
        return match rng.usize(..5) {
            0 | 1 => format!("({} AND {})", inner(rng), inner(rng)),
            2 | 3 => format!("({} OR {})", inner(rng), inner(rng)),
            _ => format!("NOT ({})", inner(rng)),
        };
    }
    leaf(rng, columns, conditions)
}

fn leaf(rng: &mut Rng, columns: &[Column], conditions: Conditions) -> String {
    let texts: Vec<_> = columns.iter().filter(|column| column.kind == Kind::Text).collect();
    // Encodings and collations are tried by these alone.
    let column = if rng.usize(..3) == 0 && !texts.is_empty() { one(rng, &texts) } else { one(rng, columns) };
    let (name, kind) = (&column.name, column.kind);
    let op = *one(rng, &["=", "<>", "<", "<=", ">", ">="]);
    let is_list = kind == Kind::Json;
    match rng.usize(..12) {
        0 | 1 if conditions == Conditions::All || is_list => {
            format!("{name} IS {}NULL", if rng.bool() { "NOT " } else { "" })
        }
        _ if is_list => format!("{name} IS NULL"),
        2 => {
            let constants: Vec<_> = (0..rng.usize(1..4)).map(|_| constant(rng, kind)).collect();
            let null = if rng.usize(..6) == 0 { ", NULL" } else { "" };
            format!("{name} {}IN ({}{null})", if rng.bool() { "NOT " } else { "" }, constants.join(", "))
        }
        3 => {
            let (low, high) = (constant(rng, kind), constant(rng, kind));
            format!("{name} {}BETWEEN {low} AND {high}", if rng.bool() { "NOT " } else { "" })
        }
        4 => {
            let alike: Vec<_> = columns.iter().filter(|other| other.kind == kind).collect();
            format!("{name} {op} {}", one(rng, &alike).name)
        }
        5 if conditions == Conditions::All => {
            format!("{name} IS {}DISTINCT FROM {}", if rng.bool() { "NOT " } else { "" }, constant(rng, kind))
        }
        6 if kind == Kind::Boolean => name.clone(),
        6 if kind == Kind::Text => {
            let text = one(rng, TEXTS).replace('\\', "");
            format!("{name} {}LIKE {}", if rng.bool() { "NOT " } else { "" }, quoted(&format!("{text}%")))
        }
        7 if kind == Kind::Text => format!("length({name}) {op} {}", rng.usize(..4)),
        7 if kind == Kind::Float => format!("{name} * 2 {op} {}", constant(rng, kind)),
        8 => format!("{} {op} {name}", constant(rng, kind)),
        _ => format!("{name} {op} {}", constant(rng, kind)),
    }
}

/// ` ORDER BY …` of random columns, and the number of each row at last.
pub fn order(rng: &mut Rng, columns: &[Column]) -> String {
    let sortable: Vec<_> = columns.iter().filter(|column| column.kind != Kind::Json).collect();
    let mut keys = Vec::new();
    for _ in 0..rng.usize(..3) {
        let direction = one(rng, &["", " ASC", " DESC"]);
        let nulls = one(rng, &["", " NULLS FIRST", " NULLS LAST"]);
        keys.push(format!("{}{direction}{nulls}", one(rng, &sortable).name));
    }
    keys.push("id".into());
    format!(" ORDER BY {}", keys.join(", "))
}
