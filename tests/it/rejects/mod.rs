//! Rows that cannot be stored are set aside, and the others are stored: together, and each once.

mod classes;
mod crash;
mod limits;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;

use crate::dml::Place;

/// A kind of row that cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bad {
    Range,
    NotANumber,
    Nul,
    TooLong,
    Null,
    Check,
    Unique,
    UniqueInTable,
    ForeignKey,
    Trigger,
    Domain,
    Exclusion,
    Deferred,
}

impl Bad {
    pub const ALL: [Self; 13] = [
        Self::Range,
        Self::NotANumber,
        Self::Nul,
        Self::TooLong,
        Self::Null,
        Self::Check,
        Self::Unique,
        Self::UniqueInTable,
        Self::ForeignKey,
        Self::Trigger,
        Self::Domain,
        Self::Exclusion,
        Self::Deferred,
    ];

    /// The codes of its errors in a database; empty if the database has no such constraint.
    pub fn codes(self, place: &Place) -> &'static [&'static str] {
        match (self, place) {
            // Its integers have 64 bits, whatever the column's type is.
            (Self::Range, Place::Sqlite(_)) => &[],
            (Self::Range | Self::NotANumber, _) => &["encode"],
            (Self::Nul, Place::Postgres(_)) => &["encode"],
            (Self::Nul, _) => &[],
            (Self::TooLong, Place::Postgres(_)) => &["encode", "22001"],
            (Self::TooLong, Place::MySql(_)) => &["encode", "1406"],
            (Self::TooLong, Place::Sqlite(_)) => &["275"],
            (Self::Null, _) => &["encode"],
            (Self::Check, Place::Postgres(_)) => &["23514"],
            (Self::Check, Place::MySql(_)) => &["4025"],
            (Self::Check, Place::Sqlite(_)) => &["275"],
            (Self::Unique | Self::UniqueInTable, Place::Postgres(_)) => &["23505"],
            (Self::Unique | Self::UniqueInTable, Place::MySql(_)) => &["1062"],
            (Self::Unique | Self::UniqueInTable, Place::Sqlite(_)) => &["2067"],
            (Self::ForeignKey, Place::Postgres(_)) => &["23503"],
            (Self::ForeignKey, Place::MySql(_)) => &["1452"],
            (Self::ForeignKey, Place::Sqlite(_)) => &["787"],
            (Self::Trigger, Place::Postgres(_)) => &["P0001"],
            (Self::Trigger, Place::MySql(_)) => &["1644"],
            (Self::Trigger, Place::Sqlite(_)) => &["1811"],
            (Self::Domain, Place::Postgres(_)) => &["23514"],
            (Self::Exclusion, Place::Postgres(_)) => &["23P01"],
            (Self::Deferred, Place::Postgres(_)) => &["23503"],
            (Self::Domain | Self::Exclusion | Self::Deferred, _) => &[],
        }
    }
}

/// A table with every constraint of the database, and its parents. The key `-1` is taken.
pub fn create(place: &Place, name: &str) {
    let before = match place {
        Place::Postgres(_) => {
            "CREATE TABLE parents (id INT PRIMARY KEY); INSERT INTO parents VALUES (1);
             CREATE DOMAIN positive AS INT CHECK (VALUE > 0);
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN IF NEW.tag = ''raise'' THEN RAISE EXCEPTION ''it raises''; END IF; RETURN NEW; END';"
        }
        Place::MySql(_) => "CREATE TABLE parents (id INT PRIMARY KEY); INSERT INTO parents VALUES (1);",
        Place::Sqlite(_) => "CREATE TABLE parents (id INT PRIMARY KEY); INSERT INTO parents VALUES (1);",
    };
    place.client(before);
    let columns = |special: &str| {
        format!(
            "CREATE TABLE {name} (id BIGINT PRIMARY KEY, small SMALLINT, number INT, name VARCHAR(5), filled INT NOT NULL, \
             sign INT CHECK (sign > 0), u BIGINT UNIQUE, parent INT{special}"
        )
    };
    let table = match place {
        Place::Postgres(_) => format!(
            "{}, tag TEXT, positive positive, ranges INT, late INT REFERENCES parents DEFERRABLE INITIALLY DEFERRED,
                 EXCLUDE USING btree (ranges WITH =));
             CREATE TRIGGER refuse BEFORE INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION refuse();",
            columns(" REFERENCES parents")
        ),
        Place::MySql(_) => format!(
            "{}, tag TEXT, positive INT, ranges INT, late INT, FOREIGN KEY (parent) REFERENCES parents (id));
             CREATE TRIGGER refuse BEFORE INSERT ON {name} FOR EACH ROW
                 IF NEW.tag = 'raise' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'it raises'; END IF",
            columns("")
        ),
        Place::Sqlite(_) => format!(
            "{}, tag TEXT, positive INT, ranges INT, late INT, CHECK (length(name) <= 5));
             CREATE TRIGGER refuse BEFORE INSERT ON {name} WHEN NEW.tag = 'raise'
                 BEGIN SELECT RAISE(ABORT, 'it raises'); END;",
            columns(" REFERENCES parents")
        ),
    };
    match place {
        Place::MySql(_) => {
            for statement in table.splitn(2, ");") {
                let statement = statement.trim();
                match statement.starts_with("CREATE TABLE") {
                    true => place.client(&format!("{statement})")),
                    // A statement with statements in it.
                    false => place.client(&format!("\nDELIMITER //\n{statement}//\nDELIMITER ;\n")),
                };
            }
        }
        _ => {
            place.client(&table);
        }
    }
    place.client(&format!("INSERT INTO {name} (id, filled, u) VALUES (-1, 0, -1)"));
}

/// What makes its options usable in every database.
pub fn options(place: &Place, more: &str) -> String {
    let own = if matches!(place, Place::Sqlite(_)) { ", 'pragma.foreign_keys' 'on'" } else { "" };
    format!("'reject.table' 'rejects', {more}{own}")
}

/// The rows with these keys; some are bad.
pub fn rows(ids: std::ops::Range<i64>, bad: &BTreeMap<i64, Bad>) -> RecordBatch {
    let numbers = |of: &dyn Fn(i64, Option<Bad>) -> Option<i64>| -> ArrayRef {
        Arc::new(ids.clone().map(|id| of(id, bad.get(&id).copied())).collect::<Int64Array>())
    };
    let texts = |of: &dyn Fn(i64, Option<Bad>) -> Option<String>| -> ArrayRef {
        Arc::new(ids.clone().map(|id| of(id, bad.get(&id).copied())).collect::<StringArray>())
    };
    let one = |is_bad: bool| Some(if is_bad { 2 } else { 1 });
    RecordBatch::try_from_iter([
        ("id", numbers(&|id, _| Some(id))),
        ("small", numbers(&|id, bad| Some(if bad == Some(Bad::Range) { 70_000 } else { id % 100 }))),
        ("number", texts(&|id, bad| Some(if bad == Some(Bad::NotANumber) { "many".into() } else { id.to_string() }))),
        (
            "name",
            texts(&|id, bad| match bad {
                Some(Bad::Nul) => Some("a\0b".into()),
                Some(Bad::TooLong) => Some("too long".into()),
                _ => (id % 3 > 0).then(|| format!("n{}", id % 1_000)),
            }),
        ),
        ("filled", numbers(&|id, bad| (bad != Some(Bad::Null)).then_some(id))),
        ("sign", numbers(&|_, bad| Some(if bad == Some(Bad::Check) { -1 } else { 1 }))),
        (
            "u",
            numbers(&|id, bad| match bad {
                Some(Bad::Unique) => Some(ids.start),
                Some(Bad::UniqueInTable) => Some(-1),
                _ => Some(id),
            }),
        ),
        ("parent", numbers(&|_, bad| one(bad == Some(Bad::ForeignKey)))),
        ("tag", texts(&|_, bad| Some(if bad == Some(Bad::Trigger) { "raise" } else { "\"quoted\"\n" }.into()))),
        ("positive", numbers(&|_, bad| Some(if bad == Some(Bad::Domain) { 0 } else { 1 }))),
        ("ranges", numbers(&|id, bad| Some(if bad == Some(Bad::Exclusion) { ids.start } else { id }))),
        ("late", numbers(&|_, bad| one(bad == Some(Bad::Deferred)))),
    ])
    .unwrap()
}

/// Registers a batch as the table `input`, in batches of `batch_rows`.
pub fn register_input(place: &Place, batch: &RecordBatch, batch_rows: usize) {
    let batches: Vec<_> = (0..batch.num_rows())
        .step_by(batch_rows)
        .map(|first| batch.slice(first, batch_rows.min(batch.num_rows() - first)))
        .collect();
    let table = MemTable::try_new(batch.schema(), vec![batches]).unwrap();
    let _ = place.context().deregister_table("input");
    place.context().register_table("input", Arc::new(table)).unwrap();
}

/// The keys of the stored rows, except of the one that was there before.
pub fn stored(place: &Place, table: &str) -> Vec<i64> {
    let ids = place.client(&format!("SELECT id FROM {table} WHERE id >= 0 ORDER BY id"));
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// The codes of the rejected rows, by their keys, and the names of the columns.
pub fn rejected(place: &Place) -> Vec<(i64, String, String)> {
    let lines = match place {
        // A line of the client is a row.
        Place::MySql(_) => {
            place.client("SELECT error_class, coalesce(column_name, ''), replace(source_row, '\\n', '') FROM rejects")
        }
        _ => place.client("SELECT error_class, coalesce(column_name, ''), source_row FROM rejects"),
    };
    let mut found: Vec<_> = lines
        .iter()
        .map(|line| {
            let parts: Vec<_> = line.splitn(3, '|').collect();
            let (class, column, row) = (parts[0], parts[1], parts[2]);
            let row = match place {
                // The client escapes backslashes.
                Place::MySql(_) => row.replace("\\\\", "\\"),
                _ => row.to_owned(),
            };
            let row: serde_json::Value = serde_json::from_str(&row).unwrap_or_else(|error| panic!("{error}: {row}"));
            (row["id"].as_i64().unwrap(), class.to_owned(), column.to_owned())
        })
        .collect();
    found.sort();
    found
}
