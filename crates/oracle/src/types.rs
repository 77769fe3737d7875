//! The types of columns: their names in the catalog, their Arrow types, how values are bound and selected.

use std::fmt;

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion_landfall::backend::Comparison;

/// The precision and the scale with which a NUMBER without them is read.
pub(crate) const ANY_NUMBER: (u8, i8) = (38, 10);

/// The time zone of columns with time zone.
pub(crate) const UTC: &str = "+00:00";

/// A column type of Oracle. The SQL Language Reference describes each in "Data Types".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NUMBER, with its precision and scale if it has them.
    Number(Option<(u8, i8)>),
    /// FLOAT: a NUMBER that is rounded to binary digits.
    Float(u8),
    BinaryFloat,
    BinaryDouble,
    /// DATE: a day and a time in seconds.
    Date,
    /// TIMESTAMP, with its fractional digits.
    Timestamp(u8),
    /// TIMESTAMP WITH TIME ZONE, or WITH LOCAL TIME ZONE.
    TimestampUtc(u8, Zone),
    /// VARCHAR2, NVARCHAR2, CHAR and NCHAR.
    Text {
        length: u32,
        unit: Unit,
        is_fixed: bool,
    },
    Clob {
        is_national: bool,
    },
    /// RAW, with its length.
    Raw(u32),
    Blob,
    Json,
    Boolean,
    /// A type that Landfall neither reads nor writes.
    Other(String),
}

/// Whether a timestamp keeps its time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Kept,
    Local,
}

/// What the length of a text counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes in the database's character set.
    Bytes,
    /// Characters.
    Characters,
    /// UTF-16 code units, of NVARCHAR2 and NCHAR.
    CodeUnits,
}

/// What the catalog says of a column's type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    pub(crate) data_type: String,
    pub(crate) length: u32,
    pub(crate) precision: Option<u8>,
    pub(crate) scale: Option<i8>,
    pub(crate) characters: u32,
    /// `B` for bytes, `C` for characters.
    pub(crate) used: String,
}

impl Kind {
    /// The type of a column of `ALL_TAB_COLS`.
    pub(crate) fn of(declared: &Declared) -> Self {
        let Declared { data_type, length, precision, scale, characters, used } = declared;
        let text = |is_national: bool, is_fixed: bool| {
            let unit = match (is_national, used.as_str()) {
                (true, _) => Unit::CodeUnits,
                (false, "C") => Unit::Characters,
                (false, _) => Unit::Bytes,
            };
            Self::Text { length: if unit == Unit::Bytes { *length } else { *characters }, unit, is_fixed }
        };
        match data_type.as_str() {
            "NUMBER" => Self::Number(match (precision, scale) {
                (Some(precision), scale) => Some((*precision, scale.unwrap_or_default())),
                // INTEGER is NUMBER(*,0).
                (None, Some(scale)) => Some((38, *scale)),
                (None, None) => None,
            }),
            "FLOAT" => Self::Float(precision.unwrap_or(126)),
            "BINARY_FLOAT" => Self::BinaryFloat,
            "BINARY_DOUBLE" => Self::BinaryDouble,
            "DATE" => Self::Date,
            "VARCHAR2" => text(false, false),
            "NVARCHAR2" => text(true, false),
            "CHAR" => text(false, true),
            "NCHAR" => text(true, true),
            "CLOB" => Self::Clob { is_national: false },
            "NCLOB" => Self::Clob { is_national: true },
            "RAW" => Self::Raw(*length),
            "BLOB" => Self::Blob,
            "JSON" => Self::Json,
            "BOOLEAN" => Self::Boolean,
            other => Self::timestamp(other).unwrap_or_else(|| Self::Other(other.to_owned())),
        }
    }

    /// `TIMESTAMP(6)`, `TIMESTAMP(6) WITH TIME ZONE`, `TIMESTAMP(6) WITH LOCAL TIME ZONE`
    fn timestamp(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("TIMESTAMP(")?;
        let (digits, rest) = rest.split_once(')')?;
        let digits = digits.parse().ok()?;
        match rest {
            "" => Some(Self::Timestamp(digits)),
            " WITH TIME ZONE" => Some(Self::TimestampUtc(digits, Zone::Kept)),
            " WITH LOCAL TIME ZONE" => Some(Self::TimestampUtc(digits, Zone::Local)),
            _ => None,
        }
    }

    /// The Arrow type in which values are read.
    pub(crate) fn data_type(&self) -> DataType {
        let unit = |digits: u8| match digits {
            0 => TimeUnit::Second,
            1..=3 => TimeUnit::Millisecond,
            4..=6 => TimeUnit::Microsecond,
            _ => TimeUnit::Nanosecond,
        };
        match self {
            // NUMBER(19) is what BIGINT is called in Oracle. Its largest numbers are an error when they are read.
            Self::Number(Some((1..=19, 0))) => DataType::Int64,
            Self::Number(Some((precision, scale))) => number(*precision, *scale),
            Self::Number(None) | Self::Float(_) => DataType::Decimal128(ANY_NUMBER.0, ANY_NUMBER.1),
            Self::BinaryFloat => DataType::Float32,
            Self::BinaryDouble => DataType::Float64,
            Self::Date => DataType::Timestamp(TimeUnit::Second, None),
            Self::Timestamp(digits) => DataType::Timestamp(unit(*digits), None),
            Self::TimestampUtc(digits, _) => DataType::Timestamp(unit(*digits), Some(UTC.into())),
            Self::Text { .. } | Self::Clob { .. } | Self::Json | Self::Other(_) => DataType::Utf8,
            Self::Raw(_) | Self::Blob => DataType::Binary,
            Self::Boolean => DataType::Boolean,
        }
    }

    /// How the server compares the column with a constant. `is_unicode` tells whether the database stores all characters.
    pub(crate) fn comparison(&self, is_unicode: bool) -> Comparison {
        match self {
            Self::Number(_) | Self::Float(_) | Self::Boolean => Comparison::Exact,
            Self::Date | Self::Timestamp(_) | Self::TimestampUtc(..) => Comparison::Exact,
            // Oracle has only the zero without a sign.
            Self::BinaryFloat | Self::BinaryDouble => Comparison::Float,
            Self::Text { is_fixed: false, unit: Unit::Bytes | Unit::Characters, .. } if is_unicode => Comparison::Exact,
            // Of UTF-16, the order differs.
            Self::Text { is_fixed: false, .. } if is_unicode => Comparison::Equality,
            // Blanks at the end of a CHAR do not count.
            Self::Text { .. } | Self::Raw(_) => Comparison::Differs,
            // They cannot be compared.
            Self::Clob { .. } | Self::Blob | Self::Json | Self::Other(_) => Comparison::Differs,
        }
    }

    /// The fractional digits of a second, if they are fewer than the Arrow type has.
    pub(crate) fn second_digits(&self) -> Option<u32> {
        match self {
            Self::Timestamp(digits @ (1 | 2 | 4 | 5 | 7 | 8))
            | Self::TimestampUtc(digits @ (1 | 2 | 4 | 5 | 7 | 8), _) => Some((*digits).into()),
            _ => None,
        }
    }

    /// The expression of a bound value in an INSERT.
    pub(crate) fn bound(&self, placeholder: &str) -> String {
        match self {
            Self::TimestampUtc(..) => format!("FROM_TZ({placeholder}, '{UTC}')"),
            Self::Boolean => format!("TO_BOOLEAN({placeholder})"),
            Self::Json => format!("JSON({placeholder})"),
            _ => placeholder.to_owned(),
        }
    }

    /// The expression of a column, quoted as in a statement, in a SELECT.
    pub(crate) fn selected(&self, column: &str) -> String {
        match self {
            Self::TimestampUtc(..) => format!("SYS_EXTRACT_UTC({column})"),
            Self::Json => format!("JSON_SERIALIZE({column} RETURNING CLOB)"),
            _ => column.to_owned(),
        }
    }

    /// The declaration of a new column for an Arrow type; `None` if Landfall creates none.
    pub(crate) fn new(data_type: &DataType, is_key: bool) -> Option<Self> {
        let digits = |unit: &TimeUnit| match unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        };
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::Number(Some((3, 0))),
            DataType::Int16 | DataType::UInt8 => Self::Number(Some((5, 0))),
            DataType::Int32 | DataType::UInt16 => Self::Number(Some((10, 0))),
            DataType::Int64 | DataType::UInt32 => Self::Number(Some((19, 0))),
            DataType::UInt64 => Self::Number(Some((20, 0))),
            DataType::Decimal128(precision, scale @ 0..) => Self::Number(Some((*precision, *scale))),
            DataType::Float32 => Self::BinaryFloat,
            DataType::Float64 => Self::BinaryDouble,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(unit, None) => Self::Timestamp(digits(unit)),
            DataType::Timestamp(unit, Some(_)) => Self::TimestampUtc(digits(unit), Zone::Kept),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_key => {
                Self::Text { length: 255, unit: Unit::Characters, is_fixed: false }
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text { length: 4_000, unit: Unit::Bytes, is_fixed: false }
            }
            DataType::FixedSizeBinary(length @ 1..=2_000) => Self::Raw(length.unsigned_abs()),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView if is_key => Self::Raw(255),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Blob,
            DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano) => {
                return None;
            }
            _ => return None,
        })
    }
}

/// The Arrow type of NUMBER(precision, scale): the scale can be negative, or greater than the precision.
fn number(precision: u8, scale: i8) -> DataType {
    let scale = i16::from(scale);
    let precision = (i16::from(precision) - scale.min(0)).max(scale);
    match (u8::try_from(precision), i8::try_from(scale.max(0))) {
        (Ok(precision @ 1..=38), Ok(scale)) => DataType::Decimal128(precision, scale),
        _ => DataType::Decimal128(ANY_NUMBER.0, ANY_NUMBER.1),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(None) => f.write_str("NUMBER"),
            Self::Number(Some((precision, 0))) => write!(f, "NUMBER({precision})"),
            Self::Number(Some((precision, scale))) => write!(f, "NUMBER({precision}, {scale})"),
            Self::Float(bits) => write!(f, "FLOAT({bits})"),
            Self::BinaryFloat => f.write_str("BINARY_FLOAT"),
            Self::BinaryDouble => f.write_str("BINARY_DOUBLE"),
            Self::Date => f.write_str("DATE"),
            Self::Timestamp(digits) => write!(f, "TIMESTAMP({digits})"),
            Self::TimestampUtc(digits, Zone::Kept) => write!(f, "TIMESTAMP({digits}) WITH TIME ZONE"),
            Self::TimestampUtc(digits, Zone::Local) => write!(f, "TIMESTAMP({digits}) WITH LOCAL TIME ZONE"),
            Self::Text { length, unit, is_fixed } => {
                let name = if *is_fixed { "CHAR" } else { "VARCHAR2" };
                match unit {
                    Unit::Bytes => write!(f, "{name}({length} BYTE)"),
                    Unit::Characters => write!(f, "{name}({length} CHAR)"),
                    Unit::CodeUnits => write!(f, "N{name}({length})"),
                }
            }
            Self::Clob { is_national: false } => f.write_str("CLOB"),
            Self::Clob { is_national: true } => f.write_str("NCLOB"),
            Self::Raw(length) => write!(f, "RAW({length})"),
            Self::Blob => f.write_str("BLOB"),
            Self::Json => f.write_str("JSON"),
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(data_type: &str, precision: Option<u8>, scale: Option<i8>) -> Kind {
        let data_type = data_type.to_owned();
        Kind::of(&Declared { data_type, length: 40, precision, scale, characters: 10, used: "C".to_owned() })
    }

    #[test]
    fn a_type_of_the_catalog_has_an_arrow_type() {
        use DataType::{Decimal128, Int64, Timestamp};
        for (data_type, precision, scale, shown, arrow) in [
            ("NUMBER", Some(19), Some(0), "NUMBER(19)", Int64),
            ("NUMBER", Some(20), Some(0), "NUMBER(20)", Decimal128(20, 0)),
            ("NUMBER", Some(10), Some(2), "NUMBER(10, 2)", Decimal128(10, 2)),
            ("NUMBER", Some(5), Some(-2), "NUMBER(5, -2)", Decimal128(7, 0)),
            ("NUMBER", Some(2), Some(5), "NUMBER(2, 5)", Decimal128(5, 5)),
            ("NUMBER", None, Some(0), "NUMBER(38)", Decimal128(38, 0)),
            ("NUMBER", None, None, "NUMBER", Decimal128(38, 10)),
            ("FLOAT", Some(126), None, "FLOAT(126)", Decimal128(38, 10)),
            ("DATE", None, None, "DATE", Timestamp(TimeUnit::Second, None)),
            ("TIMESTAMP(6)", None, Some(6), "TIMESTAMP(6)", Timestamp(TimeUnit::Microsecond, None)),
            ("TIMESTAMP(9)", None, Some(9), "TIMESTAMP(9)", Timestamp(TimeUnit::Nanosecond, None)),
            (
                "TIMESTAMP(3) WITH LOCAL TIME ZONE",
                None,
                Some(3),
                "TIMESTAMP(3) WITH LOCAL TIME ZONE",
                Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
            ),
            ("VARCHAR2", None, None, "VARCHAR2(10 CHAR)", DataType::Utf8),
            ("NVARCHAR2", None, None, "NVARCHAR2(10)", DataType::Utf8),
            ("RAW", None, None, "RAW(40)", DataType::Binary),
            ("SDO_GEOMETRY", None, None, "SDO_GEOMETRY", DataType::Utf8),
        ] {
            let kind = kind(data_type, precision, scale);
            assert_eq!((kind.to_string().as_str(), kind.data_type()), (shown, arrow));
        }
        assert_eq!(kind("TIMESTAMP(4)", None, Some(4)).second_digits(), Some(4));
        assert_eq!(kind("TIMESTAMP(6)", None, Some(6)).second_digits(), None);
    }
}
