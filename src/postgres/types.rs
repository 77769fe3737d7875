//! Server type ↔ Arrow type.
//!
//! The encoder of a column is chosen by both its server type, read from `pg_type`, and the Arrow type that comes. A
//! value is sent unchanged or not at all: what the column cannot hold is an error that names it. A domain is as the
//! type below it.
//!
//! | server type | read as | written from |
//! | --- | --- | --- |
//! | `boolean` | Boolean | Boolean |
//! | `smallint` | Int16 | every number that fits |
//! | `integer` | Int32 | every number that fits |
//! | `bigint` | Int64 | every number that fits |
//! | `oid` | UInt32 | every number that fits |
//! | `real` | Float32 | every number that fits |
//! | `double precision` | Float64 | every number that fits |
//! | `numeric(10,2)` | Decimal128(10, 2) | every number, or text of one, that fits; NaN |
//! | `numeric(50,5)` | Decimal256(50, 5) | every number, or text of one, that fits; NaN |
//! | `numeric` | Utf8View | every number; text |
//! | `text` | Utf8View | text |
//! | `character varying(20)` | Utf8View | text of at most so many characters |
//! | `character(3)` | Utf8View | text of at most so many characters; the server pads it |
//! | `name` | Utf8View | text of at most 63 bytes |
//! | `citext` | Utf8View | text |
//! | `"char"` | Utf8View | text of at most one byte |
//! | `bytea` | BinaryView | binary |
//! | `date` | Date32 | dates |
//! | `time without time zone` | Time64(µs) | times |
//! | `time with time zone` | Utf8View | text `12:34:56.789+02:00`; times, as UTC |
//! | `timestamp without time zone` | Timestamp(µs) | timestamps without a zone |
//! | `timestamp with time zone` | Timestamp(µs, "+00:00") | timestamps with a zone |
//! | `interval` | Interval(MonthDayNano) | intervals, durations |
//! | `uuid` | Utf8View | text, FixedSizeBinary(16) |
//! | `json` | Utf8View | text, Struct, Map, lists |
//! | `jsonb` | Utf8View | text, Struct, Map, lists |
//! | enums | Utf8View | text |
//! | `inet` | Utf8View | text |
//! | `cidr` | Utf8View | text |
//! | `macaddr` | Utf8View | text |
//! | `macaddr8` | Utf8View | text |
//! | `hstore` | Map(Utf8, Utf8) | maps of texts; text |
//! | `integer[]` | List(Int32) | lists of any kind, of what the items are written from; nested lists that are rectangular; text |
//! | `integer[][]` | List(List(Int32)) | the same |
//! | composite types | Struct | Struct, by the names of its fields; text |
//! | any other | Utf8View | text; the server converts it |
//!
//! *Number* is any integer, decimal or float; *text* is Utf8, LargeUtf8 or Utf8View; *binary* is Binary, LargeBinary,
//! BinaryView or FixedSizeBinary. A Dictionary or RunEndEncoded array is written as its values, and Null to anything.
//! Columns that are given when the table is registered are read as those types, where they can hold the values: a
//! `numeric` as a Decimal, a `uuid` as FixedSizeBinary(16), `json` as Struct, an array as nested lists, and an array, a
//! composite type or `hstore` as VARCHAR, which is the server's own text.
//!
//! A composite type, one of CREATE TYPE or the row of a table, has a field for each column. A Struct that is written is
//! assigned by the names of its fields, in any order; a field that it lacks is NULL, and one that the type lacks is an
//! error. What only the server can convert in one of them (the last row of the table above, `"char"`) makes the whole a
//! text. A Struct of NULLs is `(,)`, which PostgreSQL calls NULL too; DataFusion does not. Texts of a stream go to a column
//! of arrays or of a composite type as they are, for the server to convert; DataFusion's planner knows no cast for those of
//! a statement: register the column as VARCHAR.
//!
//! An array has the dimensions that it is declared with. PostgreSQL stores others too, and a value that has others is an
//! error when it is read: register the column as VARCHAR, or with the brackets of its values.
//!
//! What the two sides do not share: dates and timestamps of `infinity`, the time `24:00:00`, and intervals of more
//! nanoseconds than 64 bits have are errors when they are read; lower bounds of arrays are not read; PostgreSQL has no
//! array of empty arrays. `numeric` has no `-0.0`. `jsonb` is what the server makes of the text: it sorts keys and knows
//! no `-0.0` either; read as a Struct it gives the fields of that only. What the server converts from text it rounds as
//! it does in its own literals: `money`, and the items and fields of arrays and composite types that come as text.
//!
//! Texts of a database whose encoding is neither UTF8 nor LATIN1 are sorted by DataFusion, and so are conditions with
//! characters that are none of ASCII: the bytes of those are in another order than the characters.
//!
//! To read structs or maps from a `jsonb` column, or to calculate with a `numeric` that has no precision, register the
//! table with its columns: `CREATE EXTERNAL TABLE t (price DECIMAL(20, 4), about STRUCT<a INT>) …`.
//!
//! A table that Landfall creates has these types:
//!
//! | Arrow type | created as |
//! | --- | --- |
//! | Boolean | `boolean` |
//! | Int8, Int16, UInt8 | `smallint` |
//! | Int32, UInt16 | `integer` |
//! | Int64, UInt32 | `bigint` |
//! | UInt64 | `numeric(20,0)` |
//! | Float16, Float32 | `real` |
//! | Float64 | `double precision` |
//! | Decimal32, 64, 128, 256 | `numeric(10,2)` |
//! | Utf8, LargeUtf8, Utf8View, Null | `text` |
//! | Binary, LargeBinary, BinaryView, FixedSizeBinary | `bytea` |
//! | Date32, Date64 | `date` |
//! | Time32, Time64 | `time without time zone` |
//! | Timestamp | `timestamp without time zone` |
//! | Timestamp with a zone | `timestamp with time zone` |
//! | Interval, Duration | `interval` |
//! | Struct, Map | `jsonb` |
//! | lists | `integer[]`; of lists of structs or maps `jsonb` |
//! | Dictionary, RunEndEncoded | as their values |

use std::sync::Arc;

use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Field, IntervalUnit, TimeUnit};

use crate::backend::Comparison;
use crate::columnar::{json, list_item, plain};
use crate::error::{Error, Result};

/// `MAXDIM` of src/include/utils/array.h.
pub(super) const MAX_DIMENSIONS: usize = 6;

/// A type of the server, domains resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServerType {
    /// What the header of an array of it says.
    pub(super) oid: u32,
    pub(super) kind: Kind,
}

/// How values of a type travel.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric(Option<Digits>),
    /// `text`, `varchar`, `char(n)`, `citext`: at most so many characters.
    Text(Option<usize>),
    /// At most 63 bytes.
    Name,
    /// `"char"`, a single byte.
    Char,
    Bytea,
    Date,
    /// Digits after the second's point that the column keeps, here and below.
    Time(u32),
    TimeTz(u32),
    Timestamp(u32),
    TimestampTz(u32),
    Interval(Parts),
    Uuid,
    Json,
    Jsonb,
    Enum,
    Inet,
    Cidr,
    MacAddr,
    MacAddr8,
    Hstore,
    /// Arrays, and how many dimensions they are declared with.
    Array(Box<ServerType>, usize),
    /// The columns of a composite type.
    Composite(Vec<CompositeField>),
    /// Only the server knows its binary form: it is sent and read as text.
    Other,
}

/// A column of a composite type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CompositeField {
    pub(super) name: String,
    pub(super) server: ServerType,
}

/// Precision and scale of a `numeric`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Digits {
    pub(super) precision: u16,
    pub(super) scale: i16,
}

/// What an `interval` column keeps: multiples of this unit, in the months or the microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Parts {
    pub(super) months: i32,
    pub(super) keeps_days: bool,
    /// 0: no time at all.
    pub(super) micros: i64,
}

/// What `pg_type` says of a base type that is neither an array nor an enum.
pub(super) fn kind(name: &str, typmod: i32) -> Kind {
    // A length has the four bytes of a varlena's header on top.
    let length = usize::try_from(typmod - 4).ok();
    let digits = u32::try_from(typmod).unwrap_or(6);
    match name {
        "bool" => Kind::Bool,
        "int2" => Kind::Int2,
        "int4" => Kind::Int4,
        "int8" => Kind::Int8,
        "oid" => Kind::Oid,
        "float4" => Kind::Float4,
        "float8" => Kind::Float8,
        "numeric" => Kind::Numeric(Digits::of(typmod)),
        "text" | "citext" => Kind::Text(None),
        "varchar" | "bpchar" => Kind::Text(length),
        "name" => Kind::Name,
        "char" => Kind::Char,
        "bytea" => Kind::Bytea,
        "date" => Kind::Date,
        "time" => Kind::Time(digits),
        "timetz" => Kind::TimeTz(digits),
        "timestamp" => Kind::Timestamp(digits),
        "timestamptz" => Kind::TimestampTz(digits),
        "interval" => Kind::Interval(Parts::of(typmod)),
        "uuid" => Kind::Uuid,
        "json" => Kind::Json,
        "jsonb" => Kind::Jsonb,
        "inet" => Kind::Inet,
        "cidr" => Kind::Cidr,
        "macaddr" => Kind::MacAddr,
        "macaddr8" => Kind::MacAddr8,
        "hstore" => Kind::Hstore,
        _ => Kind::Other,
    }
}

impl Digits {
    /// `make_numeric_typmod` of src/backend/utils/adt/numeric.c: precision, and 11 bits of scale.
    fn of(typmod: i32) -> Option<Self> {
        let bits = u32::try_from(typmod - 4).ok()?;
        Some(Self { precision: (bits >> 16) as u16, scale: ((((bits & 0x7ff) ^ 1024) as i32) - 1024) as i16 })
    }

    /// The smallest decimal that holds the values.
    fn decimal(self) -> Option<DataType> {
        let scale = i8::try_from(self.scale.max(0)).ok()?;
        let precision = i32::from(self.precision).max(i32::from(scale)) - i32::from(self.scale.min(0));
        match u8::try_from(precision).ok()? {
            precision @ 1..=38 => Some(Decimal128(precision, scale)),
            precision @ 39..=76 => Some(Decimal256(precision, scale)),
            _ => None,
        }
    }
}

impl Parts {
    /// Everything an interval can say.
    pub(super) const ALL: Self = Self { months: 1, keeps_days: true, micros: 1 };

    /// `INTERVAL_TYPMOD` of src/include/utils/timestamp.h: a mask of fields, and digits of a second.
    fn of(typmod: i32) -> Self {
        let [month, year, day, hour, minute, second] = [1, 2, 3, 10, 11, 12].map(|bit| 1 << bit);
        if typmod < 0 {
            return Self::ALL;
        }
        let (fields, digits) = ((typmod >> 16) & 0x7fff, typmod & 0xffff);
        let digits = u32::try_from(digits).unwrap_or(6).min(6);
        let seconds = 10_i64.pow(6 - digits);
        let has = |field: i32| fields & field != 0;
        // The server only cuts what is smaller than the last field.
        if fields == 0x7fff || has(second) {
            Self { micros: seconds, ..Self::ALL }
        } else if has(minute) {
            Self { micros: 60_000_000, ..Self::ALL }
        } else if has(hour) {
            Self { micros: 3_600_000_000, ..Self::ALL }
        } else if has(day) {
            Self { micros: 0, ..Self::ALL }
        } else if has(month) {
            Self { months: 1, keeps_days: false, micros: 0 }
        } else if has(year) {
            Self { months: 12, keeps_days: false, micros: 0 }
        } else {
            Self::ALL
        }
    }
}

const MICROS: TimeUnit = TimeUnit::Microsecond;

impl ServerType {
    /// The Arrow type that a column is read as when nobody asks for another.
    pub(super) fn arrow_type(&self) -> DataType {
        match &self.kind {
            Kind::Bool => Boolean,
            Kind::Int2 => Int16,
            Kind::Int4 => Int32,
            Kind::Int8 => Int64,
            Kind::Oid => UInt32,
            Kind::Float4 => Float32,
            Kind::Float8 => Float64,
            Kind::Numeric(digits) => digits.and_then(Digits::decimal).unwrap_or(Utf8View),
            Kind::Bytea => BinaryView,
            Kind::Date => Date32,
            Kind::Time(_) => Time64(MICROS),
            Kind::Timestamp(_) => Timestamp(MICROS, None),
            Kind::TimestampTz(_) => Timestamp(MICROS, Some("+00:00".into())),
            Kind::Interval(_) => Interval(IntervalUnit::MonthDayNano),
            Kind::Hstore => {
                let pair = vec![Field::new("keys", Utf8, false), Field::new("values", Utf8, true)];
                Map(Arc::new(Field::new("entries", Struct(pair.into()), false)), false)
            }
            Kind::Array(item, dimensions) => {
                (0..*dimensions).fold(item.arrow_type(), |below, _| List(Arc::new(Field::new("item", below, true))))
            }
            Kind::Composite(fields) => {
                let field = |field: &CompositeField| Field::new(&field.name, field.server.arrow_type(), true);
                Struct(fields.iter().map(field).collect())
            }
            _ => Utf8View,
        }
    }

    /// The type that a column is read as where the user asks for `to`; `None` where it is [`ServerType::arrow_type`],
    /// which `to` then must do with.
    pub(super) fn read_as(&self, to: &DataType) -> Option<DataType> {
        let is_nested = matches!(self.kind, Kind::Array(..) | Kind::Composite(_) | Kind::Hstore);
        match to {
            // As the server writes them.
            Utf8 | LargeUtf8 | Utf8View if is_nested => Some(Utf8View),
            to => self.decodes_as(to).then(|| to.clone()),
        }
    }

    /// Whether its binary form can be read as `to` itself, not by way of [`ServerType::arrow_type`].
    pub(super) fn decodes_as(&self, to: &DataType) -> bool {
        match (&self.kind, to) {
            _ if *to == self.arrow_type() => true,
            (Kind::Numeric(_), t) => t.is_decimal() || *t == Utf8View,
            (Kind::Uuid, FixedSizeBinary(16)) | (Kind::Interval(_), Interval(_) | Duration(_)) => true,
            (Kind::Json | Kind::Jsonb, Struct(_) | Map(_, _)) => json::json_type(to).is_some(),
            (Kind::Json | Kind::Jsonb, t) if list_item(t).is_some() => json::json_type(to).is_some(),
            (Kind::Array(item, _), List(field)) => {
                item.decodes_as(field.data_type()) || self.decodes_as(field.data_type())
            }
            (Kind::Composite(columns), Struct(fields)) => {
                let is_read = |field: &Arc<Field>| {
                    let column = columns.iter().find(|column| column.name == *field.name());
                    column.is_some_and(|column| column.server.decodes_as(field.data_type()))
                };
                columns.len() == fields.len() && fields.iter().all(is_read)
            }
            _ => false,
        }
    }

    /// Whether a comparison on the server gives DataFusion's answer; `collation` says what texts compare by.
    pub(super) fn comparison(&self, collation: Collation) -> Comparison {
        match &self.kind {
            Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Date | Kind::Time(_) => Comparison::Exact,
            Kind::Timestamp(_) | Kind::TimestampTz(_) => Comparison::Exact,
            // The order of its canonical text is the order of its bytes.
            Kind::Uuid => Comparison::Exact,
            Kind::Numeric(Some(digits)) if digits.decimal().is_some() => Comparison::Exact,
            Kind::Float4 | Kind::Float8 => Comparison::Float,
            // A composite of NULLs is NULL, and is not read as that.
            Kind::Composite(_) | Kind::Other => Comparison::Nothing,
            Kind::Text(_) => match collation {
                Collation::Bytes => Comparison::Exact,
                Collation::Deterministic => Comparison::Equality,
                Collation::Other => Comparison::Differs,
            },
            _ => Comparison::Differs,
        }
    }

    /// The type of a dimension below that of an array, of what comes as lists of lists; `None` where lists are its items.
    pub(super) fn below(&self) -> Option<Self> {
        let Kind::Array(item, dimensions) = &self.kind else { return None };
        // A list can be a JSON array: there are as many dimensions as were declared.
        let least = if matches!(item.kind, Kind::Json | Kind::Jsonb) { 2 } else { 1 };
        let kind = Kind::Array(item.clone(), dimensions.saturating_sub(1).max(1));
        (*dimensions >= least).then_some(Self { kind, ..*self })
    }

    /// Whether what is read as `to` comes as the server's text.
    pub(super) fn is_read_as_text(&self, to: &DataType) -> bool {
        self.is_text_only() || *to == Utf8View && self.arrow_type().is_nested()
    }

    /// Whether the server has to make the value from a text.
    pub(super) fn is_text_only(&self) -> bool {
        matches!(self.kind, Kind::Other | Kind::Char)
    }
}

/// What texts of a column compare by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Collation {
    /// Byte by byte, as DataFusion does.
    Bytes,
    /// Equal are only equal bytes.
    Deterministic,
    /// Different texts can be equal: `citext`, `char(n)`, nondeterministic collations.
    Other,
}

/// The type that `CREATE TABLE` declares for an Arrow type.
///
/// # Errors
/// `Schema` for a type that has no form in PostgreSQL.
pub(super) fn declare(data_type: &DataType) -> Result<String> {
    let none = || Error::schema(format!("PostgreSQL has no type for {data_type}: cast it in the query"));
    Ok(match data_type {
        Dictionary(_, _) | RunEndEncoded(_, _) => declare(plain(data_type))?,
        Boolean => "boolean".into(),
        Int8 | Int16 | UInt8 => "smallint".into(),
        Int32 | UInt16 => "integer".into(),
        Int64 | UInt32 => "bigint".into(),
        UInt64 => "numeric(20,0)".into(),
        Float16 | Float32 => "real".into(),
        Float64 => "double precision".into(),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => match *scale {
            // A negative scale is known from PostgreSQL 15 on only.
            ..0 => format!("numeric({},0)", i32::from(*precision) - i32::from(*scale)),
            scale => format!("numeric({precision},{scale})"),
        },
        Utf8 | LargeUtf8 | Utf8View | Null => "text".into(),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "bytea".into(),
        Date32 | Date64 => "date".into(),
        Time32(_) | Time64(_) => "time without time zone".into(),
        Timestamp(_, None) => "timestamp without time zone".into(),
        Timestamp(_, Some(_)) => "timestamp with time zone".into(),
        Interval(_) | Duration(_) => "interval".into(),
        Struct(_) | Map(_, _) if json::json_type(data_type).is_some() => "jsonb".into(),
        _ => match list_item(data_type) {
            Some(item) => match declare(item.data_type())? {
                of_json if of_json == "jsonb" => of_json,
                list if list.ends_with("[]") => list,
                item => format!("{item}[]"),
            },
            None => return Err(none()),
        },
    })
}
