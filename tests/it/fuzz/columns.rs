//! Columns of every type that filters are pushed on, and of some that they are not; their values, and constants to compare
//! them with.

use fastrand::Rng;

/// Whose words a table is made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Server {
    Postgres,
    MySql,
    Sqlite,
}

/// What values of a column are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Integer,
    Float,
    Decimal,
    Boolean,
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    Zoned,
    Uuid,
    Json,
}

/// A column of a random table.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub declared: String,
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// How a server declares a kind; `collation` is that of texts. Nothing where it has none.
fn declarations(server: Server, kind: Kind, collation: &str) -> Vec<String> {
    let plain: &[&str] = match (server, kind) {
        (Server::Postgres, Kind::Integer) => &["smallint", "integer", "bigint", "oid"],
        (Server::MySql, Kind::Integer) => {
            &["tinyint(4)", "smallint unsigned", "int", "bigint", "bigint unsigned", "bit(17)", "year"]
        }
        (Server::Sqlite, Kind::Integer) => &["INTEGER", "BIGINT", "\"Int8\"", "\"Int32\"", "\"UInt16\"", "\"UInt64\""],
        (Server::Postgres, Kind::Float) => &["real", "double precision"],
        (Server::MySql, Kind::Float) => &["float", "double"],
        (Server::Sqlite, Kind::Float) => &["REAL", "\"Float32\"", "NUMERIC"],
        (Server::Postgres, Kind::Decimal) => &["numeric(10,2)", "numeric(38,10)", "numeric(50,5)", "numeric"],
        (Server::MySql, Kind::Decimal) => &["decimal(10,2)", "decimal(38,10)", "decimal(50,5)"],
        (Server::Sqlite, Kind::Decimal) => &["TEXT \"Decimal128(10, 2)\"", "NUMERIC(10,2)"],
        (Server::Postgres, Kind::Boolean) => &["boolean"],
        (Server::MySql, Kind::Boolean) => &["tinyint(1)", "bit(1)"],
        (Server::Sqlite, Kind::Boolean) => &["BOOLEAN"],
        (Server::Postgres, Kind::Text) => {
            &["text", "varchar(40)", "character(5)", "name", "citext", "text COLLATE \"C\""]
        }
        (Server::MySql, Kind::Text) => &["varchar(40)", "varchar(300)", "longtext", "char(9)"],
        (Server::Sqlite, Kind::Text) => &["TEXT", "VARCHAR(9)", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", ""],
        (Server::Postgres, Kind::Bytes) => &["bytea"],
        (Server::MySql, Kind::Bytes) => &["varbinary(40)", "longblob"],
        (Server::Sqlite, Kind::Bytes) => &["BLOB"],
        (Server::Sqlite, Kind::Date) => &["DATE"],
        (_, Kind::Date) => &["date"],
        (Server::Postgres, Kind::Time) => &["time"],
        (Server::MySql, Kind::Time) => &["time(6)"],
        (Server::Sqlite, Kind::Time) => &["TIME"],
        (Server::Postgres, Kind::Timestamp) => &["timestamp", "timestamp(3)"],
        (Server::MySql, Kind::Timestamp) => &["datetime(6)", "datetime(3)"],
        (Server::Sqlite, Kind::Timestamp) => &["TIMESTAMP", "DATETIME", "\"Timestamp(ns)\"", "\"Timestamp(s)\""],
        (Server::Postgres, Kind::Zoned) => &["timestamptz"],
        (Server::MySql, Kind::Zoned) => &["timestamp(6) NULL"],
        (Server::Sqlite, Kind::Zoned) => &["TIMESTAMPTZ", "\"Timestamp(ms, \"\"America/New_York\"\")\""],
        (Server::Postgres | Server::MySql, Kind::Uuid) => &["uuid"],
        (Server::Sqlite, Kind::Uuid) => &[],
        (Server::Postgres, Kind::Json) => &["jsonb", "integer[]"],
        (Server::MySql, Kind::Json) => &["json"],
        (Server::Sqlite, Kind::Json) => &["\"List(Int32)\""],
    };
    let collate = match (server, kind) {
        (Server::MySql, Kind::Text) => format!(" CHARACTER SET {collation}"),
        _ => String::new(),
    };
    plain.iter().map(|declared| format!("{declared}{collate}")).collect()
}

/// The columns of a random table.
pub fn columns(rng: &mut Rng, server: Server, collation: &str) -> Vec<Column> {
    use Kind::*;
    let mut columns = Vec::new();
    for kind in [Integer, Float, Decimal, Boolean, Text, Bytes, Date, Time, Timestamp, Zoned, Uuid, Json] {
        let declared = declarations(server, kind, collation);
        let count = match kind {
            _ if declared.is_empty() => 0,
            Integer | Text | Timestamp | Decimal => 2,
            _ => 1,
        };
        // Two of one kind are often of one type, and can be compared.
        let first = rng.usize(..declared.len().max(1));
        for number in 0..count {
            let at = if rng.bool() { first } else { rng.usize(..declared.len()) };
            let name = format!("{}{number}", format!("{kind:?}").to_lowercase());
            columns.push(Column { name, kind, declared: declared[at].clone() });
        }
    }
    columns
}

/// Odd texts; those that an encoding has not are left out of its tables.
pub const TEXTS: &[&str] = &[
    "", " ", "a", "A", "a ", "ab", "B", "Z", "z", "á", "é", "É", "ÿ", "€", "ž", "œ", "ß", "ss", "漢", "😀", "it's",
    "\\", "%", "_", "a\tb", "a\u{1}", "null", "NULL", "0", "007", "1e3", "\u{fffd}", "\u{e000}", "x'y''z", "\"", "`",
    "?1", "-1",
];

/// Of them, those that are in another order in some encoding, or not there.
const LETTERS: &[&str] = &["á", "é", "É", "ÿ", "€", "ž", "œ", "ß", "漢", "😀"];

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "127",
    "-128",
    "255",
    "32767",
    "-32768",
    "65535",
    "2147483647",
    "-2147483648",
    "4294967295",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
];
const FLOATS: &[&str] = &["0", "0.5", "-0.5", "0.1", "1", "2", "-1.25", "1e10", "1e30", "-1e30", "1e-30", "16777217"];
const DECIMALS: &[&str] =
    &["0.00", "1.50", "-1.50", "0.01", "-0.01", "12345678.91", "99999999.99", "-99999999.99", "2"];
const BYTES: &[&str] = &["", "00", "61", "6100", "FF", "DEADBEEF", "7F"];
const DATES: &[&str] =
    &["2020-01-31", "1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31", "2000-02-29", "1677-01-01"];
const TIMES: &[&str] = &["00:00:00", "23:59:59.999999", "12:34:56.789012", "12:34:56", "12:34:56.789000"];
const UUIDS: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12",
];
const INSTANTS: &[&str] = &[
    "2020-01-31 00:00:00",
    "2020-01-31 00:00:00.001",
    "1970-01-01 00:00:01",
    "2038-01-01 00:00:00",
    "2020-11-01 05:30:00",
    "2000-02-29 12:00:00.123",
];
const LONG_AGO: &[&str] =
    &["1969-12-31 23:59:59.999", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "1600-06-06 06:06:06"];

/// A text as a literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value of a column as the server's own literal; `has` says which texts its encoding has.
pub fn value(rng: &mut Rng, server: Server, column: &Column, has: &dyn Fn(&str) -> bool) -> String {
    if rng.usize(..6) == 0 {
        return "NULL".into();
    }
    let declared = column.declared.as_str();
    match column.kind {
        Kind::Integer => {
            let (low, high): (i128, i128) = match declared {
                "smallint" => (-32768, 32767),
                "integer" | "int" | "\"Int32\"" => (-2147483648, 2147483647),
                "oid" => (0, 4294967295),
                "tinyint(4)" | "\"Int8\"" => (-128, 127),
                "smallint unsigned" | "\"UInt16\"" => (0, 65535),
                "bigint unsigned" => (0, u64::MAX.into()),
                "\"UInt64\"" => (0, i64::MAX.into()),
                "bit(17)" => (0, 131071),
                "year" => return rng.u16(1901..2155).to_string(),
                _ => (i64::MIN.into(), i64::MAX.into()),
            };
            let fits: Vec<_> = INTEGERS
                .iter()
                .filter(|text| text.parse::<i128>().is_ok_and(|value| (low..=high).contains(&value)))
                .copied()
                .collect();
            pick(rng, &fits).to_owned()
        }
        Kind::Float => match (server, rng.usize(..8)) {
            (Server::Postgres, 0) => "'NaN'".into(),
            (Server::Postgres, 1) => "'-Infinity'".into(),
            (Server::Postgres, 2) => "'-0'".into(),
            (Server::Sqlite, 0) => "9e999".into(),
            (Server::Sqlite, 1) => "-0.0".into(),
            _ => pick(rng, FLOATS).to_owned(),
        },
        Kind::Decimal => quoted(pick(rng, DECIMALS)),
        Kind::Boolean => match server {
            Server::Postgres => rng.bool().to_string(),
            Server::MySql | Server::Sqlite => u8::from(rng.bool()).to_string(),
        },
        Kind::Text => {
            let limit = if declared.starts_with("char") { 5 } else { 40 };
            let fits = |text: &&&str| {
                has(text) && text.chars().count() <= limit && !(declared.starts_with("char(") && text.ends_with(' '))
            };
            let from = if rng.bool() { LETTERS } else { TEXTS };
            let fits: Vec<_> = from.iter().filter(fits).copied().collect();
            let text = pick(rng, &fits);
            match server {
                // Its texts have no backslashes that escape in the modes of the client.
                Server::MySql => quoted(&text.replace('\\', "\\\\")),
                _ => quoted(text),
            }
        }
        Kind::Bytes => {
            let bytes = pick(rng, BYTES);
            match server {
                Server::Postgres => format!("'\\x{bytes}'"),
                _ => format!("X'{bytes}'"),
            }
        }
        Kind::Date => quoted(pick(rng, DATES)),
        Kind::Time => quoted(pick(rng, TIMES)),
        Kind::Timestamp if rng.bool() => {
            let instant = pick(rng, LONG_AGO);
            // Nanoseconds have no such years.
            quoted(if declared.contains("(ns)") {
                "1969-12-31 23:59:59.999"
            } else {
                instant.split('.').next().unwrap()
            })
        }
        Kind::Timestamp | Kind::Zoned => {
            let instant = pick(rng, INSTANTS);
            let whole = instant.split('.').next().unwrap();
            let instant = if declared.contains("(s)") { whole } else { instant };
            match (server, column.kind) {
                (Server::Sqlite, Kind::Zoned) => format!("'{instant}Z'"),
                (Server::Postgres, Kind::Zoned) => format!("'{instant}+00'"),
                _ => quoted(instant),
            }
        }
        Kind::Uuid => quoted(pick(rng, UUIDS)),
        Kind::Json => match (server, declared) {
            (Server::Postgres, "integer[]") => quoted(pick(rng, &["{1,2}", "{}", "{NULL}"])),
            (Server::Sqlite, _) => quoted(pick(rng, &["[1,2]", "[]", "[null]", "null", " null "])),
            _ => quoted(pick(rng, &["{\"a\": 1}", "[]", "null", "\"x\"", "1.50"])),
        },
    }
}

/// A constant to compare a column with, as DataFusion writes it.
pub fn constant(rng: &mut Rng, kind: Kind) -> String {
    let odd = rng.usize(..4) == 0;
    match kind {
        Kind::Integer if odd => {
            pick(rng, &["1.5", "-0.5", "1e30", "127.0", "'7'", "CAST(1.5 AS DECIMAL(5, 2))"]).to_owned()
        }
        Kind::Integer => pick(rng, INTEGERS).to_owned(),
        Kind::Float if odd => {
            pick(rng, &["0.0", "-0.0", "CAST('NaN' AS DOUBLE)", "CAST('inf' AS DOUBLE)", "1", "CAST(0.1 AS REAL)"])
                .to_owned()
        }
        Kind::Float => pick(rng, FLOATS).to_owned(),
        Kind::Decimal if odd => {
            pick(rng, &["'1.499'", "1e-16", "1e30", "-0.001", "'1.5'", "CAST('0.001' AS DECIMAL(20, 10))"]).to_owned()
        }
        Kind::Decimal => pick(rng, DECIMALS).to_owned(),
        Kind::Boolean => pick(rng, &["true", "false"]).to_owned(),
        Kind::Text if rng.bool() => quoted(pick(rng, LETTERS)),
        Kind::Text => quoted(pick(rng, TEXTS)),
        Kind::Bytes => format!("X'{}'", pick(rng, BYTES)),
        Kind::Date if odd => pick(
            rng,
            &["'2020-01-31 01:00:00'", "TIMESTAMP '2020-01-31 00:00:00'", "'1969-12-31'", "'2020-01-31T00:00:00'"],
        )
        .to_owned(),
        Kind::Date => format!("DATE {}", quoted(pick(rng, DATES))),
        Kind::Time if odd => pick(rng, &["'12:34:56.7890125'", "'12:34:56.789'"]).to_owned(),
        Kind::Time => format!("TIME {}", quoted(pick(rng, TIMES))),
        Kind::Timestamp | Kind::Zoned if odd => pick(
            rng,
            &[
                "TIMESTAMP '2020-01-31 00:00:00.000000001'",
                "'2020-01-31 00:00:00.0000001'",
                "'9999-12-31 23:59:59'",
                "'0001-01-01 00:00:00'",
                "DATE '2020-01-31'",
                "TIMESTAMP '1969-12-31 23:59:59.998999999'",
            ],
        )
        .to_owned(),
        Kind::Timestamp | Kind::Zoned => format!("TIMESTAMP {}", quoted(pick(rng, INSTANTS))),
        Kind::Uuid => quoted(pick(rng, UUIDS)),
        Kind::Json => quoted(pick(rng, &["null", "[]", "{\"a\": 1}", "[1,2]"])),
    }
}
