//! What is assigned to columns, of every type to every type, on every way that a value can take: what the database's own
//! client then finds is the value, or the rounding that the guide names, or the statement failed and changed nothing. Which
//! it is, [`model`] decides.

mod model;
mod sources;
mod statements;

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::error::Result as DfResult;
use datafusion::prelude::{ParquetReadOptions, SessionContext};

use crate::dml::Place;
use crate::landing::Landing;
use crate::mysql::MySql;
use crate::postgres::Postgres;
use model::{Digits, Limits, Stored, Target, Value, assigned};
use sources::{Source, sources};

const PER_DAY: i128 = 86_400_000_000_000;

/// A column: its name, how the databases declare it, and what it can have.
struct Column {
    name: &'static str,
    postgres: &'static str,
    mysql: &'static str,
    sqlite: &'static str,
    to: Target,
}

const fn column(name: &'static str, [postgres, mysql, sqlite]: [&'static str; 3], to: Target) -> Column {
    Column { name, postgres, mysql, sqlite, to }
}

const COLUMNS: &[Column] = &[
    column("i2", ["smallint", "smallint", "\"Int16\""], Target::Integer(i16::MIN as i128, i16::MAX as i128)),
    column("i4", ["integer", "int", "\"Int32\""], Target::Integer(i32::MIN as i128, i32::MAX as i128)),
    column("i8", ["bigint", "bigint", "INTEGER"], Target::Integer(i64::MIN as i128, i64::MAX as i128)),
    column("r", ["real", "float", "\"Float32\""], Target::Real),
    column("d", ["double precision", "double", "REAL"], Target::Double),
    column("n", ["numeric(10,2)", "decimal(10,2)", "TEXT \"Decimal128(10, 2)\""], Target::Decimal(10, 2)),
    column("w", ["numeric(38,10)", "decimal(38,10)", "TEXT \"Decimal128(38, 10)\""], Target::Decimal(38, 10)),
    column("b", ["boolean", "tinyint(1)", "BOOLEAN"], Target::Truth),
    column("tx", ["text", "longtext", "TEXT"], Target::Text),
    column("da", ["date", "date", "DATE"], Target::Day),
    column("ti", ["time", "time(6)", "TIME"], Target::Clock(6)),
    column("ts", ["timestamp", "datetime(6)", "TIMESTAMP"], Target::Local(6)),
    column("t3", ["timestamp(3)", "datetime(3)", "\"Timestamp(ms)\""], Target::Local(3)),
    column("tz", ["timestamptz", "timestamp(6) NULL", "TIMESTAMPTZ"], Target::Instant(6)),
];

fn limits(place: &Place) -> Limits {
    let years = (-719_528, 2_932_896);
    let any = (i128::MIN, i128::MAX);
    match place {
        Place::Postgres(_) => {
            Limits { infinite: true, nan: true, days: (-2_440_000, 100_000_000), instants: any, nul: false }
        }
        // Behind 1970-01-01 00:00:00, to 2038-01-19 03:14:07, or to 2106 in MariaDB from 11.5 on.
        Place::MySql(_) => {
            let instants = (1_000, 2_147_483_648 * 1_000_000_000 - 1);
            Limits { infinite: false, nan: false, days: years, instants, nul: true }
        }
        Place::Sqlite(_) => Limits { infinite: true, nan: false, days: years, instants: any, nul: true },
    }
}

/// The ways of a value to a column.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Values,
    NestedValues,
    Update,
    Merge,
    Upsert,
    /// From a table of one row, by the statements of the same names.
    Select,
    UpdateFrom,
    MergeFrom,
    WriteTable,
}

const LITERAL: &[Way] = &[Way::Values, Way::NestedValues, Way::Update, Way::Merge, Way::Upsert];
const ARRAY: &[Way] = &[Way::Select, Way::UpdateFrom, Way::MergeFrom, Way::WriteTable];

impl Way {
    fn changes_row(self) -> bool {
        matches!(self, Self::Update | Self::Merge | Self::Upsert | Self::UpdateFrom | Self::MergeFrom)
    }
}

/// One attempt.
struct Attempt<'a> {
    id: i64,
    source: usize,
    value: &'a Source,
    column: &'a Column,
    way: Way,
    by_front_end: bool,
}

impl Attempt<'_> {
    fn statement(&self) -> String {
        let (id, name, sql) = (self.id, self.column.name, self.value.sql.as_deref().unwrap_or_default());
        let from = format!("s{}", self.source);
        match self.way {
            Way::Values => format!("INSERT INTO a (id, {name}) VALUES ({id}, {sql})"),
            Way::NestedValues => format!("INSERT INTO a (id, {name}) SELECT {id}, v FROM (VALUES ({sql})) AS q (v)"),
            Way::Update => format!("UPDATE a SET {name} = {sql} WHERE id = {id}"),
            Way::Merge => format!(
                "MERGE INTO a USING (SELECT {id} AS k) AS q ON a.id = q.k WHEN MATCHED THEN UPDATE SET {name} = {sql}"
            ),
            Way::Upsert => format!("INSERT INTO u (id, {name}) VALUES ({id}, {sql})"),
            Way::Select => format!("INSERT INTO a (id, {name}) SELECT {id}, {from} FROM p"),
            Way::UpdateFrom => format!("UPDATE a SET {name} = (SELECT {from} FROM p) WHERE id = {id}"),
            Way::MergeFrom => format!(
                "MERGE INTO a USING (SELECT {id} AS k, {from} AS v FROM p) AS q ON a.id = q.k WHEN MATCHED THEN UPDATE SET \
                 {name} = q.v"
            ),
            Way::WriteTable => format!("SELECT CAST({id} AS BIGINT) AS id, {from} AS {name} FROM p"),
        }
    }

    async fn run(&self, context: &SessionContext) -> DfResult<()> {
        let statement = self.statement();
        let frame = match (self.way, self.by_front_end) {
            (Way::WriteTable, _) => {
                let options = DataFrameWriteOptions::new();
                return context.sql(&statement).await?.write_table("a", options).await.map(drop);
            }
            (_, true) => datafusion_landfall::sql(context, &statement).await?,
            (_, false) => context.sql(&statement).await?,
        };
        frame.collect().await.map(drop)
    }

    /// A number of VALUES in a subquery has lost its column.
    fn expected(&self, limits: Limits) -> Option<Stored> {
        let is_known = self.by_front_end && self.way != Way::NestedValues;
        let is_decimal = self.by_front_end && self.way == Way::NestedValues;
        match &self.value.value {
            // More digits than a float has make it a decimal.
            Value::Literal(text) if is_decimal && !is_float(text) => {
                assigned(&Value::Exact((*text).into()), self.column.to, limits, true)
            }
            value => assigned(value, self.column.to, limits, is_known),
        }
    }
}

fn is_float(text: &str) -> bool {
    let is_small = text.trim_start_matches('-').split('.').next().unwrap().len() <= 15;
    text.parse::<u64>().is_ok()
        || text.parse::<i64>().is_ok()
        || text.contains('e')
        || is_small && text.parse::<f64>().is_ok_and(|float| Digits::of(&format!("{float:e}")) == Digits::of(text))
}

/// A row that a file has each value in.
fn row(sources: &[Source]) -> RecordBatch {
    let arrays = sources.iter().enumerate().filter_map(|(index, source)| Some((index, source.array.clone()?)));
    let (fields, arrays): (Vec<_>, Vec<_>) =
        arrays.map(|(index, array)| (Field::new(format!("s{index}"), array.data_type().clone(), true), array)).unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// What a client's text of a column means.
fn found(text: &str, to: Target, expected: &Stored) -> Option<Stored> {
    if text == "NULL" && !matches!(expected, Stored::Text(text) if text == "NULL") {
        return Some(Stored::Null);
    }
    let moment = |text: &str| {
        let text = text.trim_end_matches('Z');
        let (text, is_before) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
        let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
        let nanos: i64 = {
            let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
            let mut parts = clock.split(':').map(|part| part.parse::<i64>().unwrap());
            let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
            (hours * 3_600 + minutes * 60 + seconds) * 1_000_000_000 + format!("{fraction:0<9}").parse::<i64>().ok()?
        };
        let mut parts = day.split('-');
        let (year, month, day) = (parts.next()?.parse::<i64>().ok()?, parts.next()?, parts.next()?);
        let year = if is_before { 1 - year } else { year };
        // Four centuries have as many days wherever they are.
        let shifted = year.rem_euclid(400) + 2000;
        let days = model::day_of(&format!("{shifted:04}-{month}-{day}"))? + (year - shifted) / 400 * 146_097;
        Some((days, nanos))
    };
    Some(match to {
        Target::Integer(..) | Target::Decimal(..) => Stored::Number(Digits::of(text)?),
        Target::Double => Stored::Float(float(text)?),
        Target::Real => Stored::Float((float(text)? as f32).into()),
        Target::Truth => Stored::Truth(matches!(text, "t" | "1")),
        Target::Text => match expected {
            Stored::FloatText(_) => Stored::FloatText(float(text)?),
            Stored::RealText(_) => Stored::RealText(float(text)? as f32),
            Stored::NumberText(_) => Stored::NumberText(Digits::of(text)?),
            Stored::Text(wanted) if wanted.contains(':') => {
                let trimmed = |text: &str| {
                    let (text, zone) = text.strip_suffix('Z').map_or((text, ""), |text| (text, "Z"));
                    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
                    format!("{text}{zone}")
                };
                if trimmed(text) == trimmed(wanted) { expected.clone() } else { Stored::Text(text.into()) }
            }
            _ => Stored::Text(text.into()),
        },
        Target::Day => Stored::Day(moment(text)?.0),
        Target::Clock(_) => Stored::Clock(moment(&format!("1970-01-01 {text}"))?.1),
        Target::Local(_) | Target::Instant(_) => {
            let (day, nanos) = moment(text)?;
            Stored::Moment(i128::from(day) * PER_DAY + i128::from(nanos))
        }
    })
}

fn float(text: &str) -> Option<f64> {
    match text {
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

fn same(found: &Stored, expected: &Stored) -> bool {
    match (found, expected) {
        (Stored::Float(a), Stored::Float(b)) | (Stored::FloatText(a), Stored::FloatText(b)) => {
            a == b || a.is_nan() && b.is_nan()
        }
        (Stored::RealText(a), Stored::RealText(b)) => a == b || a.is_nan() && b.is_nan(),
        (a, b) => a == b,
    }
}

/// How many of the pairs of a source and a column go all ways; of the others, each goes one of them by turns.
fn goes_all_ways() -> bool {
    std::env::var("LANDFALL_TEST_ASSIGNMENTS").is_ok_and(|value| value == "all")
}

fn attempts<'a>(sources: &'a [Source], columns: &'a [Column]) -> Vec<Attempt<'a>> {
    let mut attempts = Vec::new();
    for (source, value) in sources.iter().enumerate() {
        for (at, column) in columns.iter().enumerate() {
            let literal = value.sql.iter().flat_map(|_| LITERAL).flat_map(|way| [(*way, true), (*way, false)]);
            let array = value.array.iter().flat_map(|_| ARRAY).map(|way| (*way, false));
            let ways: Vec<_> = literal.chain(array).collect();
            let chosen = match goes_all_ways() {
                true => ways,
                false => vec![ways[(source + at) % ways.len()]],
            };
            for (way, by_front_end) in chosen {
                let id = attempts.len() as i64 + 1;
                attempts.push(Attempt { id, source, value, column, way, by_front_end });
            }
        }
    }
    attempts
}

fn says_planner(message: &str) -> bool {
    message.contains("Cannot automatically convert") || message.contains("no valid cast")
}

async fn check(place: Place) {
    let (sources, limits) = (sources(), limits(&place));
    let declared = |column: &Column| match &place {
        Place::Postgres(_) => column.postgres,
        Place::MySql(_) => column.mysql,
        Place::Sqlite(_) => column.sqlite,
    };
    let columns = COLUMNS.iter().map(|column| format!("{} {}", column.name, declared(column)));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let kept = if matches!(place, Place::MySql(_)) { "varchar(10)" } else { "TEXT" };
    place.client(&format!("CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY, {columns}, kept {kept} DEFAULT NULL)"));
    place.register("a", "", "").await;
    let sqlite_only = if matches!(place, Place::Sqlite(_)) { ", 'pragma.synchronous' 'off'" } else { "" };
    place.register("u", "", &format!("'table' 'a', 'on_conflict' 'update'{sqlite_only}")).await;
    let context = place.context();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.parquet").display().to_string();
    let batch = row(&sources);
    let frame = context.read_batch(batch.clone()).unwrap();
    frame.write_parquet(&file, DataFrameWriteOptions::new(), None).await.unwrap();
    context.register_parquet("p", &file, ParquetReadOptions::default()).await.unwrap();
    let is_kept = |field: &Field| {
        matches!(field.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Float32 | DataType::UInt64)
    };
    let read = context.table("p").await.unwrap();
    for field in batch.schema().fields().iter().filter(|field| is_kept(field)) {
        let of_file = read.schema().as_arrow().field_with_name(field.name()).unwrap();
        assert_eq!(of_file.data_type(), field.data_type(), "Parquet keeps it");
    }

    let attempts = attempts(&sources, COLUMNS);
    let there: Vec<_> =
        attempts.iter().filter(|one| one.way.changes_row()).map(|one| format!("({}, 'k')", one.id)).collect();
    for ids in there.chunks(500) {
        place.client(&format!("INSERT INTO a (id, kept) VALUES {}", ids.join(", ")));
    }
    let mut outcomes = Vec::new();
    for attempt in &attempts {
        outcomes.push(attempt.run(context).await.map_err(|error| error.to_string()));
    }

    let shown = COLUMNS.iter().map(|column| {
        let name = column.name;
        let shown = match (&place, column.to) {
            (Place::Postgres(_), Target::Instant(_)) => format!("{name} AT TIME ZONE 'UTC'"),
            (Place::MySql(_), Target::Real) => format!("CAST({name} AS double)"),
            (Place::MySql(_), Target::Text) => format!("replace({name}, char(0), '?')"),
            _ => name.to_owned(),
        };
        format!("{shown} AS {name}")
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let rows = place.client(&format!("SELECT id, {shown}, kept AS k FROM a ORDER BY id"));
    let mut rows: std::collections::HashMap<i64, Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let mut cells = row.split('|').map(str::to_owned);
            (cells.next().unwrap().parse().unwrap(), cells.collect())
        })
        .collect();

    let mut wrong = Vec::new();
    let (mut stored, mut refused) = (0, 0);
    for (attempt, outcome) in attempts.iter().zip(&outcomes) {
        let expected = attempt.expected(limits);
        let at = COLUMNS.iter().position(|column| column.name == attempt.column.name).unwrap();
        let row = rows.remove(&attempt.id);
        let cell = row.as_ref().map(|row| row[at].clone());
        let others = row.iter().flat_map(|row| row.iter().enumerate().filter(|(index, _)| *index != at));
        let is_kept = others.clone().all(|(index, cell)| match index == COLUMNS.len() {
            true => cell == if attempt.way.changes_row() { "k" } else { "NULL" },
            false => cell == "NULL",
        });
        let is_right = match (&expected, outcome, &cell) {
            (Some(expected), Ok(()), Some(cell)) => {
                stored += 1;
                let wanted = match expected {
                    Stored::Text(text) if !matches!(place, Place::Sqlite(_)) => Stored::Text(text.replace('\0', "?")),
                    other => other.clone(),
                };
                found(cell, attempt.column.to, &wanted).is_some_and(|found| same(&found, &wanted)) && is_kept
            }
            (None, Err(message), cell) => {
                refused += 1;
                // Of types that DataFusion knows no cast of, its own planner speaks, where the statement is not planned by us.
                let by_planner = !attempt.by_front_end && says_planner(message);
                let is_named = message.contains(attempt.column.name) || by_planner;
                let is_unchanged = match attempt.way.changes_row() {
                    true => cell.as_deref() == Some("NULL"),
                    false => cell.is_none(),
                };
                is_named && is_unchanged && is_kept
            }
            // DataFusion casts no boolean to a decimal.
            (Some(_), Err(message), cell) if says_planner(message) || message.contains("use CAST(x AS INT)") => {
                cell.as_deref().is_none_or(|cell| cell == "NULL") && is_kept
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!(
                "{} [{}] of {:?}{}: expected {expected:?}, there is {cell:?}, {outcome:?}",
                attempt.statement(),
                declared(attempt.column),
                attempt.value.value,
                if attempt.by_front_end { " by datafusion_landfall::sql" } else { "" },
            ));
        }
    }
    println!("{}: {stored} values stored, {refused} refused", place.name());
    assert!(stored > 200 && refused > 200, "{stored} stored and {refused} refused");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attempts.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_stored_unchanged_or_not_at_all_in_sqlite() {
    check(Place::Sqlite(Landing::new(""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_stored_unchanged_or_not_at_all_in_postgres() {
    check(Place::Postgres(Postgres::new(""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_stored_unchanged_or_not_at_all_in_mysql() {
    check(Place::MySql(MySql::new(""))).await;
}
