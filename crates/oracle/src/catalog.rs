//! Describes tables from Oracle's data dictionary: Database Reference, "Static Data Dictionary Views".

use std::collections::HashMap;

use datafusion_landfall::backend::{
    Characters, Column, ColumnDefault, Comparison, Detail, Listed, OtherIndex, Table, TableColumns,
};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::sql::TableName;

use crate::connector::Opened;
use crate::database::Oracle;
use crate::names::{is_found_again, shown, stored_table};
use crate::session::{Bind, Datum};
use crate::types::{Declared, Kind};

/// Schema.
pub(crate) const SCHEMA: &str = "SELECT SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') FROM DUAL";

/// Owner, name: the kinds of object of that name.
pub(crate) const OBJECT: &str = "SELECT OBJECT_TYPE FROM ALL_OBJECTS WHERE OWNER = :1 AND OBJECT_NAME = :2 \
     AND OBJECT_TYPE IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW') ORDER BY OBJECT_TYPE";

/// Owner, name: the columns.
pub(crate) const COLUMNS: &str = "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.DATA_LENGTH, c.DATA_PRECISION, \
     c.DATA_SCALE, c.CHAR_LENGTH, c.CHAR_USED, c.NULLABLE, c.VIRTUAL_COLUMN, c.DEFAULT_LENGTH, i.GENERATION_TYPE, c.OWNER \
     FROM ALL_TAB_COLS c LEFT JOIN ALL_TAB_IDENTITY_COLS i ON i.OWNER = c.OWNER AND i.TABLE_NAME = c.TABLE_NAME \
     AND i.COLUMN_NAME = c.COLUMN_NAME WHERE c.HIDDEN_COLUMN = 'NO' AND c.OWNER = :1 AND c.TABLE_NAME = :2 \
     ORDER BY c.COLUMN_ID";

/// The columns of all tables and views that the user can see, except those of Oracle's own users.
pub(crate) const ALL_COLUMNS: &str = "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.DATA_LENGTH, c.DATA_PRECISION, \
     c.DATA_SCALE, c.CHAR_LENGTH, c.CHAR_USED, c.NULLABLE, c.VIRTUAL_COLUMN, c.DEFAULT_LENGTH, i.GENERATION_TYPE, c.OWNER \
     FROM ALL_TAB_COLS c LEFT JOIN ALL_TAB_IDENTITY_COLS i ON i.OWNER = c.OWNER AND i.TABLE_NAME = c.TABLE_NAME \
     AND i.COLUMN_NAME = c.COLUMN_NAME JOIN ALL_USERS u ON u.USERNAME = c.OWNER WHERE c.HIDDEN_COLUMN = 'NO' \
     AND u.ORACLE_MAINTAINED = 'N' ORDER BY c.OWNER, c.TABLE_NAME, c.COLUMN_ID";

/// Owner, name: the columns of its primary key and unique constraints.
pub(crate) const KEYS: &str = "SELECT k.CONSTRAINT_NAME, k.CONSTRAINT_TYPE, k.DEFERRABLE, k.STATUS, c.COLUMN_NAME \
     FROM ALL_CONSTRAINTS k JOIN ALL_CONS_COLUMNS c ON c.OWNER = k.OWNER AND c.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
     WHERE k.OWNER = :1 AND k.TABLE_NAME = :2 AND k.CONSTRAINT_TYPE IN ('P', 'U') \
     ORDER BY k.CONSTRAINT_TYPE, k.CONSTRAINT_NAME, c.POSITION";

/// Owner, name: the columns of its unique indexes.
pub(crate) const INDEXES: &str = "SELECT i.INDEX_NAME, i.INDEX_TYPE, c.COLUMN_NAME FROM ALL_INDEXES i \
     JOIN ALL_IND_COLUMNS c ON c.INDEX_OWNER = i.OWNER AND c.INDEX_NAME = i.INDEX_NAME \
     WHERE i.TABLE_OWNER = :1 AND i.TABLE_NAME = :2 AND i.UNIQUENESS = 'UNIQUE' ORDER BY i.INDEX_NAME, c.COLUMN_POSITION";

/// The tables and views that the user can see, except those of Oracle's own users.
pub(crate) const TABLES: &str = "SELECT o.OWNER, o.OBJECT_NAME FROM ALL_OBJECTS o JOIN ALL_USERS u ON u.USERNAME = o.OWNER \
     WHERE o.OBJECT_TYPE IN ('TABLE', 'VIEW') AND u.ORACLE_MAINTAINED = 'N' ORDER BY o.OWNER, o.OBJECT_NAME";

/// The character set of VARCHAR2 and CLOB.
pub(crate) const CHARACTER_SET: &str = "SELECT VALUE FROM NLS_DATABASE_PARAMETERS WHERE PARAMETER = 'NLS_CHARACTERSET'";

/// What Landfall knows of a column in Oracle.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its name.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether the database stores all characters.
    pub(crate) is_unicode: bool,
}

impl Stored {
    pub(crate) fn of(column: &Column) -> Result<&Self> {
        column.detail.get().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("column \"{}\" was not described by Oracle", column.name))
        })
    }
}

/// What Landfall knows of a table in Oracle.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// Its name, with its schema.
    pub(crate) name: TableName,
    /// Why it cannot be written.
    read_only: Option<&'static str>,
}

impl Relation {
    pub(crate) fn of(table: &Table) -> Result<&Self> {
        table
            .detail
            .get()
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("table {} was not described by Oracle", table.name)))
    }

    /// Refuses a view.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match self.read_only {
            Some(why) => Err(Error::new(ErrorKind::Unsupported, format!("{} {why}: write its table", self.name))),
            None => Ok(()),
        }
    }
}

/// A text of a row.
pub(crate) fn text(row: &[Datum], index: usize) -> &str {
    match row.get(index) {
        Some(Datum::Text(text) | Datum::Number(text)) => text,
        _ => "",
    }
}

fn number<T: std::str::FromStr>(row: &[Datum], index: usize) -> Option<T> {
    text(row, index).parse().ok()
}

fn binds(name: &TableName) -> Vec<Bind> {
    vec![Bind::Text(name.schema.clone().unwrap_or_default()), Bind::Text(name.table.clone())]
}

/// A column from a row of [`COLUMNS`].
fn column(row: &[Datum], is_unicode: bool) -> Column {
    let declared = Declared {
        data_type: text(row, 2).to_owned(),
        length: number(row, 3).unwrap_or_default(),
        precision: number(row, 4),
        scale: number(row, 5),
        characters: number(row, 6).unwrap_or_default(),
        used: text(row, 7).to_owned(),
    };
    let (name, kind) = (text(row, 1).to_owned(), Kind::of(&declared));
    let default = match (text(row, 9), text(row, 11)) {
        ("YES", _) => ColumnDefault::Generated,
        (_, "ALWAYS") => ColumnDefault::Generated,
        (_, "BY DEFAULT") => ColumnDefault::Numbered,
        _ if number::<u32>(row, 10).unwrap_or_default() > 0 => ColumnDefault::ByDefault,
        _ => ColumnDefault::Null,
    };
    // A condition names the column as it is shown, which would be another column.
    let comparison = if is_found_again(&name) { kind.comparison(is_unicode) } else { Comparison::Nothing };
    Column {
        nullable: text(row, 8) != "N",
        default,
        comparison,
        characters: if is_unicode { Characters::All } else { Characters::Ascii },
        detail: Detail::new(Stored { name: name.clone(), kind: kind.clone(), is_unicode }),
        ..Column::new(shown(&name), kind.to_string(), kind.data_type())
    }
}

/// The columns, with names that differ: of two names that are shown alike, the one in lower case comes second, and keeps its
/// name with a `_2`.
fn distinct(mut columns: Vec<Column>) -> Vec<Column> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for column in &mut columns {
        let count = seen.entry(column.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            column.name = format!("{}_{count}", column.name);
            column.comparison = Comparison::Nothing;
        }
    }
    columns
}

/// A unique key, while its rows are read.
struct Key {
    name: String,
    is_primary: bool,
    why: Option<&'static str>,
    columns: Vec<String>,
}

fn key(rows: &[Vec<Datum>], is_primary: bool, why: Option<&'static str>, column: usize) -> Key {
    let name = rows.first().map(|row| text(row, 0)).unwrap_or_default().to_owned();
    Key { name, is_primary, why, columns: rows.iter().map(|row| text(row, column).to_owned()).collect() }
}

/// A key from its rows of [`KEYS`].
fn constraint(rows: &[Vec<Datum>]) -> Key {
    let first = rows.first().map(Vec::as_slice).unwrap_or_default();
    let why = match (text(first, 2), text(first, 3)) {
        (_, "DISABLED") => Some("is disabled"),
        ("DEFERRABLE", _) => Some("is deferrable"),
        _ => None,
    };
    key(rows, text(first, 1) == "P", why, 4)
}

/// A key from its rows of [`INDEXES`].
fn index(rows: &[Vec<Datum>]) -> Key {
    let has_expressions = rows.first().is_some_and(|row| text(row, 1).starts_with("FUNCTION-BASED"));
    key(rows, false, has_expressions.then_some("has expressions, or is DESC"), 2)
}

impl Oracle {
    /// Describes a table; `None` if it does not exist.
    pub(crate) async fn describe(&self, opened: &mut Opened, shown_name: &str) -> Result<Option<Table>> {
        let Some((name, kind)) = self.find(opened, shown_name).await? else { return Ok(None) };
        let is_unicode = self.is_unicode(opened).await?;
        let rows = opened.rows(COLUMNS, binds(&name)).await?;
        let columns = distinct(rows.iter().map(|row| column(row, is_unicode)).collect());
        let by_name: HashMap<String, String> = columns
            .iter()
            .filter_map(|column| Some((Stored::of(column).ok()?.name.clone(), column.name.clone())))
            .collect();
        let shown_columns =
            |key: &Key| -> Option<Vec<String>> { key.columns.iter().map(|name| by_name.get(name).cloned()).collect() };
        let mut table = Table::new(shown_name, columns);
        for key in self.keys(opened, &name).await? {
            match (key.why, shown_columns(&key)) {
                (None, Some(columns)) if key.is_primary => table.primary_key = columns,
                (None, Some(columns)) if !table.keys().any(|known| *known == columns) => {
                    table.unique_keys.push(columns)
                }
                (None, Some(_)) => {}
                (why, _) => table
                    .other_indexes
                    .push(OtherIndex { name: key.name, why: why.unwrap_or("has expressions, or is DESC") }),
            }
        }
        let read_only = (kind != "TABLE").then_some("is a view, which Landfall only reads");
        table.detail = Detail::new(Relation { name, read_only });
        Ok(Some(table))
    }

    /// The table's name and kind in Oracle.
    async fn find(&self, opened: &mut Opened, shown_name: &str) -> Result<Option<(TableName, String)>> {
        let given = TableName::try_parse(shown_name)?;
        // A name in lower case may have been quoted when the table was created.
        for mut name in [stored_table(&given), given] {
            if name.schema.is_none() {
                let schema = opened.rows(SCHEMA, Vec::new()).await?;
                name.schema = schema.first().map(|row| text(row, 0).to_owned());
            }
            let kinds = opened.rows(OBJECT, binds(&name)).await?;
            if let Some(kind) = kinds.first() {
                return Ok(Some((name, text(kind, 0).to_owned())));
            }
        }
        Ok(None)
    }

    async fn keys(&self, opened: &mut Opened, name: &TableName) -> Result<Vec<Key>> {
        let constraints = opened.rows(KEYS, binds(name)).await?;
        let mut keys: Vec<Key> = constraints.chunk_by(|a, b| text(a, 0) == text(b, 0)).map(constraint).collect();
        let indexes = opened.rows(INDEXES, binds(name)).await?;
        // Most of them are those of the constraints.
        keys.extend(indexes.chunk_by(|a, b| text(a, 0) == text(b, 0)).map(index));
        Ok(keys)
    }

    /// Whether the database stores all characters. Others would be replaced.
    async fn is_unicode(&self, opened: &mut Opened) -> Result<bool> {
        if let Some(known) = self.unicode.get() {
            return Ok(*known);
        }
        let rows = opened.rows(CHARACTER_SET, Vec::new()).await?;
        let set = rows.first().map(|row| text(row, 0)).unwrap_or_default();
        Ok(*self.unicode.get_or_init(|| matches!(set, "AL32UTF8" | "UTF8")))
    }

    /// The tables that the user can see.
    pub(crate) async fn list(&self, opened: &mut Opened) -> Result<Vec<Listed>> {
        let rows = opened.rows(TABLES, Vec::new()).await?;
        let listed = |row: &Vec<Datum>| {
            let (schema, table) = (shown(text(row, 0)), shown(text(row, 1)));
            let name = TableName { schema: Some(schema.clone()), table: table.clone() }.to_string();
            Listed { schema, table: Some(table), name }
        };
        Ok(rows.iter().map(listed).collect())
    }

    /// The columns of all tables that the user can see.
    pub(crate) async fn describe_all(&self, opened: &mut Opened) -> Result<Vec<TableColumns>> {
        let is_unicode = self.is_unicode(opened).await?;
        let rows = opened.rows(ALL_COLUMNS, Vec::new()).await?;
        let of_tables = rows.chunk_by(|a, b| (text(a, 12), text(a, 0)) == (text(b, 12), text(b, 0)));
        let described = |rows: &[Vec<Datum>]| {
            let first = rows.first().map(Vec::as_slice).unwrap_or_default();
            TableColumns {
                schema: shown(text(first, 12)),
                table: shown(text(first, 0)),
                columns: distinct(rows.iter().map(|row| column(row, is_unicode)).collect()),
            }
        };
        Ok(of_tables.map(described).collect())
    }
}
