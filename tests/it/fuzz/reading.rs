//! Random queries of random tables: what the database answers with, and what DataFusion does of a copy in memory.
//!
//! The copy is what Landfall reads without a condition, which the tests of types look at. Filters, ORDER BY and LIMIT are
//! pushed down in the one and not in the other.

use std::sync::Arc;

use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use fastrand::Rng;

use super::columns::{Column, Kind, Server, columns, value};
use super::predicates::{Conditions, order, predicate};
use super::{none_differs, rounds, seed};
use crate::dml::Place;
use crate::landing::{Landing, rows_of};
use crate::mysql::MySql;
use crate::postgres::Postgres;

/// Queries that are asked of one table.
const QUERIES: usize = 25;
const ROWS: usize = 60;

/// Databases, with what texts of theirs compare by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Subject {
    /// The encoding of a database that compares byte by byte; of the default one, by its language.
    Postgres(&'static str),
    /// The character set and collation.
    MySql(&'static str),
    Sqlite,
    /// With rows whose values are of other classes than their columns.
    SqliteForeign,
}

pub const SUBJECTS: &[Subject] = &[
    Subject::Postgres("UTF8"),
    Subject::Postgres("WIN1252"),
    Subject::Postgres("LATIN1"),
    Subject::Postgres("of the cluster"),
    Subject::MySql("utf8mb4 COLLATE utf8mb4_nopad_bin"),
    Subject::MySql("utf8mb4 COLLATE utf8mb4_general_ci"),
    Subject::MySql("latin1 COLLATE latin1_swedish_ci"),
    Subject::Sqlite,
    Subject::SqliteForeign,
];

/// Whether an encoding has a text.
fn has(encoding: &str, text: &str) -> bool {
    const WIN1252: &str = "€žœ";
    let has = |character: char| match encoding {
        "LATIN1" => character <= '\u{ff}',
        // What its bytes 80 to 9F are not, are these.
        "WIN1252" | "latin1" => {
            character <= '\u{7f}' || ('\u{a0}'..='\u{ff}').contains(&character) || WIN1252.contains(character)
        }
        _ => true,
    };
    text.chars().all(has)
}

impl Subject {
    fn server(self) -> Server {
        match self {
            Self::Postgres(_) => Server::Postgres,
            Self::MySql(_) => Server::MySql,
            Self::Sqlite | Self::SqliteForeign => Server::Sqlite,
        }
    }

    pub fn place(self) -> Place {
        match self {
            Self::Postgres("of the cluster") => Place::Postgres(Postgres::new("")),
            Self::Postgres(encoding) => Place::Postgres(Postgres::with_encoding(
                encoding,
                "CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions",
            )),
            Self::MySql(_) => Place::MySql(MySql::new("")),
            Self::Sqlite | Self::SqliteForeign => Place::Sqlite(Landing::new("")),
        }
    }

    fn encoding(self) -> &'static str {
        match self {
            Self::Postgres(encoding) => encoding,
            Self::MySql(collation) => collation.split(' ').next().unwrap(),
            Self::Sqlite | Self::SqliteForeign => "",
        }
    }
}

/// A row for each class that a column can have and is not of, in every column that comparisons of are pushed.
fn foreign(columns: &[Column]) -> String {
    let values = |column: &Column| match column.kind {
        Kind::Integer | Kind::Boolean => ["'abc'", "x'00'", "1.5"],
        Kind::Float => ["'abc'", "x'00'", "'-'"],
        Kind::Text if !column.declared.is_empty() => ["x'00'", "x'7A'", "x''"],
        _ => ["NULL", "NULL", "NULL"],
    };
    let row = |class: usize| {
        let values: Vec<_> = columns.iter().map(|column| values(column)[class]).collect();
        format!("({}, {})", 1000 + class, values.join(", "))
    };
    format!("INSERT INTO t VALUES {}", (0..3).map(row).collect::<Vec<_>>().join(", "))
}

/// Whether a condition on a column is no more than a comparison that is pushed.
fn can_be_foreign(column: &Column) -> bool {
    match column.kind {
        Kind::Integer | Kind::Boolean => true,
        Kind::Float => column.declared != "\"Float32\"",
        Kind::Text => ["TEXT", "VARCHAR(9)"].contains(&column.declared.as_str()),
        _ => false,
    }
}

/// A random table `t`, registered, and its copy `r`. What made it is told where something differs.
pub async fn fill(rng: &mut Rng, subject: Subject, place: &Place) -> (Vec<Column>, String) {
    let (server, collation) = (subject.server(), if let Subject::MySql(collation) = subject { collation } else { "" });
    let columns = columns(rng, server, collation);
    let declared: Vec<_> = columns.iter().map(|column| format!("{} {}", column.name, column.declared)).collect();
    let id = if server == Server::Sqlite { "INTEGER PRIMARY KEY" } else { "int PRIMARY KEY" };
    let create = format!("CREATE TABLE t (id {id}, {})", declared.join(", "));
    let has = |text: &str| has(subject.encoding(), text);
    let row = |id: usize| {
        let values: Vec<_> = columns.iter().map(|column| value(rng, server, column, &has)).collect();
        format!("({id}, {})", values.join(", "))
    };
    let insert = format!("INSERT INTO t VALUES {}", (0..ROWS).map(row).collect::<Vec<_>>().join(",\n"));
    if place.context().table_exist("t").unwrap() {
        for table in ["DROP TABLE t", "DROP TABLE r"] {
            place.context().sql(table).await.unwrap();
        }
        place.client("DROP TABLE t");
    }
    place.client(&create);
    place.client(&insert);
    place.register("t", "", "").await;
    let rows = place.context().sql("SELECT * FROM t").await.unwrap();
    let (schema, rows) = (Arc::clone(rows.schema().inner()), rows.collect().await);
    let rows = rows.unwrap_or_else(|error| panic!("{subject:?}: {create};\n{insert}\n{error}"));
    place.context().register_table("r", Arc::new(MemTable::try_new(schema, vec![rows]).unwrap())).unwrap();
    let mut script = format!("{create};\n{insert};");
    if subject == Subject::SqliteForeign {
        let foreign = foreign(&columns);
        place.client(&foreign);
        script += &format!("\n{foreign};");
    }
    (columns, script)
}

/// What a query says, a row a line.
pub async fn answer(context: &SessionContext, sql: &str) -> Result<Vec<String>, String> {
    let run = async { context.sql(sql).await?.collect().await };
    run.await.map(|batches| rows_of(&batches)).map_err(|error| error.to_string())
}

/// How often what happened.
#[derive(Debug, Default)]
struct Outcomes {
    answered: usize,
    pushed: usize,
    refused: usize,
}

/// One query; what is wrong about its answer.
async fn check(
    rng: &mut Rng,
    subject: Subject,
    place: &Place,
    columns: &[Column],
    outcomes: &mut Outcomes,
) -> Result<(), String> {
    let foreign: Vec<Column> = columns.iter().filter(|column| can_be_foreign(column)).cloned().collect();
    let (conditions, of) = match subject {
        Subject::SqliteForeign => (Conditions::OfTheirType, &foreign[..]),
        _ => (Conditions::All, columns),
    };
    let condition = predicate(rng, of, conditions, 2);
    let mut shown = vec!["id".to_owned()];
    let limit = rng.usize(1..20);
    let order = order(rng, of);
    shown.extend(columns.iter().filter(|_| rng.usize(..3) == 0).map(|column| column.name.clone()));
    let shown = shown.join(", ");
    let (tail, is_sorted, limit) = match rng.usize(..4) {
        0 => (String::new(), false, None),
        1 => (format!(" LIMIT {limit}"), false, Some(limit)),
        2 => (order, true, None),
        _ => (format!("{order} LIMIT {limit} OFFSET {}", rng.usize(..3)), true, None),
    };
    let query = |table: &str, tail: &str| format!("SELECT {shown} FROM {table} WHERE {condition}{tail}");
    let sql = query("t", &tail);
    let expected = match answer(place.context(), &query("r", if limit.is_some() { "" } else { &tail })).await {
        Ok(expected) => expected,
        // What DataFusion does not compare, or fails for a row, is no matter of the database.
        Err(_) => {
            outcomes.refused += 1;
            return Ok(());
        }
    };
    let found = match answer(place.context(), &sql).await {
        Ok(found) => found,
        Err(error) if subject == Subject::SqliteForeign && error.contains("find such rows with") => {
            outcomes.refused += 1;
            return Ok(());
        }
        Err(error) => return Err(format!("{sql}\nfails: {error}")),
    };
    outcomes.answered += 1;
    let plan = answer(place.context(), &format!("EXPLAIN FORMAT INDENT {sql}")).await?.join("\n");
    outcomes.pushed += usize::from(!plan.contains("FilterExec"));
    let sorted = |mut rows: Vec<String>| {
        rows.sort_unstable();
        rows
    };
    let is_right = match limit {
        Some(limit) => found.len() == expected.len().min(limit) && found.iter().all(|row| expected.contains(row)),
        None if is_sorted => found == expected,
        None => sorted(found.clone()) == sorted(expected.clone()),
    };
    match is_right {
        true => Ok(()),
        false => Err(format!("{sql}\nfinds\n  {}\nand not\n  {}\n{plan}", found.join("\n  "), expected.join("\n  "))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_are_answered_as_datafusion_answers_them() {
    let (rounds, seed) = (rounds(300), seed());
    println!("LANDFALL_TEST_SEED={seed} LANDFALL_TEST_FUZZ={rounds}");
    let mut failures = Vec::new();
    for (number, subject) in SUBJECTS.iter().enumerate() {
        // Each has numbers of its own, so that one alone can be tried again.
        let mut rng = Rng::with_seed(seed.wrapping_add(number as u64));
        let place = subject.place();
        let mut outcomes = Outcomes::default();
        let mut left = rounds.div_ceil(SUBJECTS.len());
        while left > 0 {
            let (columns, script) = fill(&mut rng, *subject, &place).await;
            let queries = left.min(QUERIES);
            for _ in 0..queries {
                if let Err(failure) = check(&mut rng, *subject, &place, &columns, &mut outcomes).await {
                    failures.push(format!("{subject:?}: {failure}\n{script}"));
                }
            }
            left -= queries;
        }
        println!("{subject:?}: {outcomes:?}");
        assert!(
            outcomes.answered * 3 > rounds / SUBJECTS.len(),
            "{subject:?}: too few queries are answered: {outcomes:?}"
        );
        assert!(outcomes.pushed > 0, "{subject:?}: nothing was pushed: {outcomes:?}");
    }
    none_differs(failures, rounds, seed);
}
