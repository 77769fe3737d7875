//! Values of the double, and how SQLite runs statements with them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use chrono::{DateTime, NaiveDateTime};
use datafusion_landfall_oracle::session::{Datum, Failure};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, ffi, params_from_iter};
use serde_json::{Value as Json, json};

/// A bound value. Numbers that are no integers are texts, as are timestamps.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// Oracle stores an empty text as NULL.
    pub(super) fn text(text: &str) -> Self {
        if text.is_empty() { Self::Null } else { Self::Text(text.to_owned()) }
    }

    pub(super) fn bytes(bytes: &[u8]) -> Self {
        if bytes.is_empty() { Self::Null } else { Self::Bytes(bytes.to_vec()) }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Integer(value) => json!({ "i": value }),
            // As bits, which NaN survives.
            Self::Real(value) => json!({ "r": value.to_bits() }),
            Self::Text(text) => json!({ "t": text }),
            Self::Bytes(bytes) => json!({ "b": bytes }),
        }
    }

    pub(super) fn of_json(json: &Json) -> Self {
        if let Some(value) = json["i"].as_i64() {
            Self::Integer(value)
        } else if let Some(bits) = json["r"].as_u64() {
            Self::Real(f64::from_bits(bits))
        } else if let Some(text) = json["t"].as_str() {
            Self::Text(text.to_owned())
        } else if let Some(bytes) = json["b"].as_array() {
            Self::Bytes(bytes.iter().map(|byte| byte.as_u64().unwrap() as u8).collect())
        } else {
            Self::Null
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The rows of a batch, of the types that the driver binds (its manual, section 13.1.1).
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, Failure> {
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| value(column, row)).collect()).collect()
}

/// The text of a time in the double.
pub(super) fn time(second: i64, nanos: u32) -> String {
    DateTime::from_timestamp(second, nanos).unwrap().format("%Y-%m-%d %H:%M:%S.%9f").to_string()
}

fn of_parts(parts: i64, in_second: i64) -> Value {
    let nanos = parts.rem_euclid(in_second) * (1_000_000_000 / in_second);
    Value::Text(time(parts.div_euclid(in_second), u32::try_from(nanos).unwrap()))
}

fn value(column: &dyn Array, row: usize) -> Result<Value, Failure> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    macro_rules! integer {
        ($type:ty) => {
            Value::Integer(i64::from(column.as_primitive::<$type>().value(row)))
        };
    }
    Ok(match column.data_type() {
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => {
            let value = column.as_primitive::<UInt64Type>().value(row);
            i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Integer)
        }
        DataType::Decimal128(..) => Value::Text(column.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Float32 => Value::Real(column.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Value::Real(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            of_parts(column.as_primitive::<TimestampSecondType>().value(row), 1)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            of_parts(column.as_primitive::<TimestampMillisecondType>().value(row), 1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            of_parts(column.as_primitive::<TimestampMicrosecondType>().value(row), 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            of_parts(column.as_primitive::<TimestampNanosecondType>().value(row), 1_000_000_000)
        }
        DataType::Utf8 => Value::text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::text(column.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::text(column.as_string_view().value(row)),
        DataType::Binary => Value::bytes(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Value::bytes(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => Value::bytes(column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => Value::bytes(column.as_fixed_size_binary().value(row)),
        other => return Err(Failure::of_driver(format!("the driver binds no {other}"))),
    })
}

/// An error of SQLite as Oracle's.
pub(super) fn failure(error: &rusqlite::Error) -> Failure {
    let code = match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_ROWID) => 1,
        Some(ffi::SQLITE_CONSTRAINT_NOTNULL) => 1_400,
        Some(ffi::SQLITE_CONSTRAINT_CHECK) => 2_290,
        _ if error.to_string().contains("no such table") => 942,
        _ if error.to_string().contains("no such column") => 904,
        _ => 900,
    };
    Failure::of_server(code, format!("ORA-{code:05}: the double says: {error}"))
}

pub(super) fn batch(db: &Connection, sql: &str) -> Result<(), Failure> {
    db.execute_batch(sql).map_err(|error| failure(&error))
}

pub(super) fn execute(db: &Connection, sql: &str, binds: &[Value]) -> Result<u64, Failure> {
    let mut statement = db.prepare_cached(sql).map_err(|error| failure(&error))?;
    statement.execute(params_from_iter(binds)).map(|changed| changed as u64).map_err(|error| failure(&error))
}

/// The rows of a query: each value in the type of its column, as the catalog of the double declares it.
pub(super) fn query(db: &Connection, sql: &str, binds: &[Value]) -> Result<Vec<Vec<Datum>>, Failure> {
    let mut statement = db.prepare_cached(sql).map_err(|error| failure(&error))?;
    let columns = statement.columns_with_metadata();
    let declared: Vec<String> = columns
        .iter()
        .map(|column| {
            let of = column.table_name().zip(column.origin_name());
            let found = of.and_then(|(table, column)| db.column_metadata(None, table, column).ok());
            let declared = found.and_then(|(declared, ..)| declared.map(|text| text.to_string_lossy().to_uppercase()));
            declared.unwrap_or_default()
        })
        .collect();
    drop(columns);
    let mut rows = statement.query(params_from_iter(binds)).map_err(|error| failure(&error))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(|error| failure(&error))? {
        let datum = |(index, declared): (usize, &String)| datum(row.get_ref(index).unwrap(), declared);
        found.push(declared.iter().enumerate().map(datum).collect());
    }
    Ok(found)
}

fn datum(value: ValueRef<'_>, declared: &str) -> Datum {
    let is = |name: &str| declared.starts_with(name);
    match value {
        ValueRef::Null => Datum::Null,
        ValueRef::Integer(value) if is("BOOLEAN") => Datum::Boolean(value != 0),
        ValueRef::Integer(value) if is("BINARY_DOUBLE") => Datum::Double(value as f64),
        ValueRef::Integer(value) if is("BINARY_FLOAT") => Datum::Float(value as f32),
        ValueRef::Integer(value) => Datum::Number(value.to_string()),
        ValueRef::Real(value) if is("BINARY_FLOAT") => Datum::Float(value as f32),
        ValueRef::Real(value) if is("BINARY_DOUBLE") => Datum::Double(value),
        ValueRef::Real(value) => Datum::Number(value.to_string()),
        ValueRef::Blob(bytes) => Datum::Bytes(bytes.to_vec()),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text).into_owned();
            if is("NUMBER") || is("FLOAT") {
                return Datum::Number(text);
            }
            let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f");
            match time {
                Ok(time) if is("TIMESTAMP") || is("DATE") => {
                    Datum::Timestamp(time.and_utc().timestamp(), time.and_utc().timestamp_subsec_nanos())
                }
                _ => Datum::Text(text),
            }
        }
    }
}
