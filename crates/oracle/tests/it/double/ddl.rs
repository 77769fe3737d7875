//! CREATE TABLE in the double: the table in SQLite, and its rows in the data dictionary.

use datafusion_landfall_oracle::session::Failure;
use rusqlite::{Connection, params};

use super::translate::SCHEMA;
use super::value::failure;

/// A column.
#[derive(Debug, Default)]
struct Column {
    name: String,
    /// As in the data dictionary.
    data_type: String,
    length: i64,
    precision: Option<i64>,
    scale: Option<i64>,
    characters: i64,
    used: &'static str,
    is_not_null: bool,
    is_virtual: bool,
    has_default: bool,
    identity: Option<&'static str>,
    /// The declaration in SQLite.
    declared: String,
}

/// The name of an object: an unquoted one is in upper case.
fn name(text: &str) -> String {
    let text = text.trim();
    match text.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').replace("\"\"", "\""),
        None => text.to_ascii_uppercase(),
    }
}

/// The parts between commas that are in no parentheses and no quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut quote, mut parts) = (0, 0, None, Vec::new());
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('(', None) => depth += 1,
            (')', None) => depth -= 1,
            (',', None) if depth == 0 => {
                parts.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[begin..].trim());
    parts
}

fn names(text: &str) -> Vec<String> {
    let (_, list) = text.split_once('(').unwrap();
    list.trim_end_matches(')').split(',').map(name).collect()
}

pub(super) fn create(db: &Connection, ddl: &str) -> Result<(), Failure> {
    let body = ddl.trim().strip_prefix("CREATE TABLE ").unwrap_or_else(|| panic!("{ddl}"));
    let (table, body) = body.split_once('(').unwrap();
    let table = name(table.trim().trim_start_matches(&format!("\"{SCHEMA}\".")));
    let body = body.trim().strip_suffix(')').unwrap();
    let exists: i64 = db
        .query_row("SELECT COUNT(*) FROM ALL_OBJECTS WHERE OBJECT_NAME = ?1", [&table], |row| row.get(0))
        .map_err(|error| failure(&error))?;
    if exists > 0 {
        return Err(Failure::of_server(955, "ORA-00955: name is already used by an existing object"));
    }
    let (mut columns, mut keys) = (Vec::new(), Vec::new());
    for part in parts(body) {
        if part.starts_with("PRIMARY KEY") {
            keys.push(("P", names(part)));
        } else if part.starts_with("UNIQUE") {
            keys.push(("U", names(part)));
        } else {
            let column = column(part);
            if part.contains(" PRIMARY KEY") {
                keys.push(("P", vec![column.name.clone()]));
            }
            columns.push(column);
        }
    }
    store(db, &table, &columns, &keys).map_err(|error| failure(&error))
}

/// Parses `name TYPE(…) …`.
fn column(part: &str) -> Column {
    let end = match part.strip_prefix('"') {
        Some(rest) => rest.find('"').unwrap() + 2,
        None => part.find(' ').unwrap(),
    };
    let (of_name, rest) = part.split_at(end);
    let rest = rest.trim();
    let ends = [" NOT NULL", " DEFAULT", " GENERATED", " CHECK", " PRIMARY KEY"];
    let end = ends.iter().filter_map(|word| rest.find(word)).min().unwrap_or(rest.len());
    let (of_type, rest) = rest.split_at(end);
    let (base, arguments) = match of_type.split_once('(') {
        Some((base, rest)) => (base.trim(), rest.split_once(')').unwrap().0),
        None => (of_type.trim(), ""),
    };
    let numbers: Vec<Option<i64>> =
        arguments.split(',').map(|text| text.split_whitespace().next()?.parse().ok()).collect();
    let mut column = Column { name: name(of_name), data_type: base.to_owned(), length: 22, ..Column::default() };
    let sqlite_type = match base {
        "NUMBER" => {
            column.precision = numbers[0];
            column.scale = numbers.get(1).copied().flatten().or(numbers[0].map(|_| 0));
            of_type.to_owned()
        }
        "VARCHAR2" | "NVARCHAR2" | "CHAR" | "NCHAR" => {
            column.length = numbers[0].unwrap();
            column.characters = numbers[0].unwrap();
            column.used = if arguments.ends_with("CHAR") || base.starts_with('N') { "C" } else { "B" };
            format!("{base}({})", column.length)
        }
        "RAW" => {
            column.length = numbers[0].unwrap();
            format!("BLOB_RAW({})", column.length)
        }
        "TIMESTAMP" => {
            column.scale = numbers[0];
            let zone = of_type.split_once(')').unwrap().1;
            column.data_type = format!("TIMESTAMP({}){zone}", numbers[0].unwrap());
            // Of affinity TEXT.
            "TIMESTAMP_TEXT".to_owned()
        }
        "DATE" => "DATE_TEXT".to_owned(),
        "BINARY_FLOAT" | "BINARY_DOUBLE" => format!("{base}_REAL"),
        "JSON" => "JSON_TEXT".to_owned(),
        "SDO_GEOMETRY" => "TEXT".to_owned(),
        other => other.to_owned(),
    };
    column.is_not_null = rest.contains("NOT NULL") || rest.contains("PRIMARY KEY");
    column.is_virtual = rest.contains(" VIRTUAL");
    column.has_default = rest.contains("DEFAULT ") && !rest.contains("IDENTITY");
    column.identity = match rest.contains(" AS IDENTITY") {
        true if rest.contains("BY DEFAULT") => Some("BY DEFAULT"),
        true => Some("ALWAYS"),
        false => None,
    };
    let rest = rest.replace("SYS_EXTRACT_UTC(SYSTIMESTAMP)", "CURRENT_TIMESTAMP").replace(" PRIMARY KEY", "");
    let rest = if column.identity.is_some() { String::new() } else { rest };
    column.declared = format!("\"{}\" {sqlite_type}{rest}", column.name);
    column
}

fn store(db: &Connection, table: &str, columns: &[Column], keys: &[(&str, Vec<String>)]) -> rusqlite::Result<()> {
    let quoted = |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let mut declared: Vec<String> = columns.iter().map(|column| column.declared.clone()).collect();
    declared.extend(
        keys.iter().map(|(kind, names)| {
            format!("{} ({})", if *kind == "P" { "PRIMARY KEY" } else { "UNIQUE" }, quoted(names))
        }),
    );
    db.execute_batch(&format!("CREATE TABLE \"{table}\" ({})", declared.join(", ")))?;
    db.execute("INSERT INTO ALL_OBJECTS VALUES (?1, ?2, 'TABLE')", params![SCHEMA, table])?;
    for (index, column) in columns.iter().enumerate() {
        let in_key = keys.iter().any(|(kind, names)| *kind == "P" && names.contains(&column.name));
        db.execute(
            "INSERT INTO ALL_TAB_COLS VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'NO', ?12, ?13)",
            params![
                SCHEMA,
                table,
                column.name,
                column.data_type,
                column.length,
                column.precision,
                column.scale,
                column.characters,
                column.used,
                if column.is_not_null || in_key { "N" } else { "Y" },
                if column.is_virtual { "YES" } else { "NO" },
                column.has_default.then_some(10),
                index as i64 + 1,
            ],
        )?;
        if let Some(generation) = column.identity {
            let values = params![SCHEMA, table, column.name, generation];
            db.execute("INSERT INTO ALL_TAB_IDENTITY_COLS VALUES (?1, ?2, ?3, ?4)", values)?;
        }
    }
    for (number, (kind, names)) in keys.iter().enumerate() {
        let key = format!("{table}_{kind}{number}");
        let values = params![SCHEMA, key, kind, table];
        db.execute("INSERT INTO ALL_CONSTRAINTS VALUES (?1, ?2, ?3, ?4, 'NOT DEFERRABLE', 'ENABLED')", values)?;
        db.execute("INSERT INTO ALL_INDEXES VALUES (?1, ?2, 'NORMAL', ?1, ?3, 'UNIQUE')", params![SCHEMA, key, table])?;
        for (position, column) in (1_i64..).zip(names) {
            let values = params![SCHEMA, key, column, position];
            db.execute("INSERT INTO ALL_CONS_COLUMNS VALUES (?1, ?2, ?3, ?4)", values)?;
            db.execute("INSERT INTO ALL_IND_COLUMNS VALUES (?1, ?2, ?3, ?4)", values)?;
        }
    }
    Ok(())
}
