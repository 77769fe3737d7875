//! Reads tables from PostgreSQL's catalog.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::codec::array::array;
use super::codec::composite::{CompositeField, composite};
use super::codec::text::{enumeration, other};
use super::codec::{Codec, Collation, ServerType, Spelling};
use super::connector::PostgresConnection;
use super::database::Postgres;
use super::described::{Described, Relation, Sequence, Staging};
use super::queries::{ALL_COLUMNS, ALL_TYPES, TABLE, TABLES};
use super::types::codec;
use super::version::FIRST_USER_OID;
use crate::backend::{
    Characters, Column, ColumnDefault, Comparison, Detail, Holds, Listed, OtherIndex, Table, TableColumns,
};
use crate::error::Result;
use crate::sql::TableName;

/// A JSON object in the result of a query for the catalog.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a>(pub(super) &'a Value);

impl<'a> Facts<'a> {
    fn get<T>(self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> sqlx::Result<T> {
        self.0.get(name).and_then(read).ok_or_else(|| sqlx::Error::ColumnNotFound(name.into()))
    }

    pub(super) fn text(self, name: &str) -> sqlx::Result<&'a str> {
        self.get(name, Value::as_str)
    }

    pub(super) fn is(self, name: &str) -> sqlx::Result<bool> {
        self.get(name, Value::as_bool)
    }

    fn number<T: TryFrom<i64>>(self, name: &str) -> sqlx::Result<T> {
        self.get(name, |number| number.as_i64()?.try_into().ok())
    }

    pub(super) fn names(self, name: &str) -> sqlx::Result<Vec<String>> {
        self.get(name, |names| names.as_array()?.iter().map(|name| Some(name.as_str()?.to_owned())).collect())
    }

    pub(super) fn list(self, name: &str) -> sqlx::Result<impl Iterator<Item = Self>> {
        Ok(self.get(name, Value::as_array)?.iter().map(Facts))
    }
}

/// The declared type of a column, of a field of a composite type, or of a domain.
#[derive(Clone, Copy)]
struct Declared {
    oid: i64,
    typmod: i32,
    dimensions: usize,
}

impl Declared {
    fn of_column(found: Facts<'_>) -> sqlx::Result<Self> {
        Ok(Self {
            oid: found.number("type")?,
            typmod: found.number("typmod")?,
            dimensions: found.number("dimensions")?,
        })
    }
}

/// A type of a table's columns, or a type that one of them consists of.
struct CatalogType {
    name: String,
    kind: String,
    is_array: bool,
    item: i64,
    base: Declared,
    fields: Vec<(String, Declared)>,
    is_not_null: bool,
    is_known_by_name: bool,
    without_typmod: String,
}

/// Reads the description of a table or view; `None` if it does not exist.
async fn describe(connection: &mut PgConnection, name: &TableName) -> sqlx::Result<Option<Table>> {
    let schema = name.schema.as_deref().unwrap_or_default();
    let found = sqlx::query_scalar(TABLE).bind(&name.table).bind(schema).fetch_optional(&mut *connection).await?;
    found.map(|found: String| read_table(Facts(&parsed(&found)?))).transpose()
}

pub(super) fn parsed(json: &str) -> sqlx::Result<Value> {
    serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Reads the columns of all tables.
async fn describe_all(connection: &mut PgConnection) -> sqlx::Result<Vec<TableColumns>> {
    let types: String = sqlx::query_scalar(ALL_TYPES).fetch_one(&mut *connection).await?;
    let types = read_types(Facts(&parsed(&types)?))?;
    let tables: Vec<String> = sqlx::query_scalar(ALL_COLUMNS).fetch_all(&mut *connection).await?;
    let read = |found: String| {
        let found = parsed(&found)?;
        let found = Facts(&found);
        Ok(TableColumns {
            schema: found.text("schema")?.into(),
            table: found.text("name")?.into(),
            columns: read_columns(found, &types)?,
        })
    };
    tables.into_iter().map(read).collect()
}

/// Types by their numbers.
type CatalogTypes = HashMap<i64, CatalogType>;

fn read_types(found: Facts<'_>) -> sqlx::Result<CatalogTypes> {
    found.list("types")?.map(read_type).collect()
}

fn read_columns(found: Facts<'_>, types: &CatalogTypes) -> sqlx::Result<Vec<Column>> {
    let is_view = found.text("kind")? == "v";
    let encoding = Encoding::of(found.text("encoding")?);
    found.list("columns")?.map(|column| read_column(column, types, is_view, encoding)).collect()
}

fn read_table(found: Facts<'_>) -> sqlx::Result<Table> {
    let kind = found.text("kind")?;
    let (is_view, has_own_rows, is_table) = (kind == "v", kind == "r", matches!(kind, "r" | "p"));
    let types = read_types(found)?;
    let mut columns = read_columns(found, &types)?;
    let (mut primary_key, mut unique_keys) = (Vec::new(), Vec::new());
    for key in found.list("keys")? {
        let folded = key.names("folded")?;
        for column in columns.iter_mut().filter(|column| folded.contains(&column.name)) {
            // The index may consider values equal that the column does not.
            column.comparison = Comparison::Differs;
        }
        let columns = key.names("columns")?;
        if key.is("is_primary")? { primary_key = columns } else { unique_keys.push(columns) }
    }
    let (has_triggers, has_rules) = (found.is("has_triggers")?, found.is("has_rules")?);
    let is_direct = !found.is("has_row_security")? && !has_rules;
    let one_writer = [
        (has_triggers, "the table has triggers"),
        (found.is("refers_to_itself")?, "the table has a foreign key to itself"),
        (
            found.is("has_other_keys")?,
            "the table has a partial unique index, a unique index on expressions, a deferrable unique constraint, or \
             an exclusion constraint",
        ),
        (!has_own_rows, "the table is not an ordinary table"),
    ];
    let watched = [(has_triggers, "the table has triggers"), (!is_table, "the table is not an ordinary table")];
    let first = |reasons: &[(bool, &'static str)]| reasons.iter().find(|(holds, _)| *holds).map(|(_, reason)| *reason);
    let name = TableName { schema: Some(found.text("schema")?.into()), table: found.text("name")?.into() };
    let takes_copy = !is_view && is_direct;
    let has_version = takes_copy && types.keys().all(|oid| *oid < FIRST_USER_OID);
    let relation = Relation {
        name: name.clone(),
        is_table: is_table && !has_rules,
        has_own_rows,
        takes_copy,
        can_be_truncated: is_table && is_direct && !found.is("watches_delete")?,
        one_writer: first(&one_writer),
        watched: first(&watched),
        version: if has_version { Some(found.text("version")?.into()) } else { None },
    };
    let other_indexes = found.list("other_indexes")?.map(read_other_index).collect::<sqlx::Result<_>>()?;
    let detail = Detail::new(relation);
    Ok(Table { name: name.to_string(), columns, primary_key, unique_keys, other_indexes, detail })
}

/// A unique index that ON CONFLICT cannot use.
fn read_other_index(found: Facts<'_>) -> sqlx::Result<OtherIndex> {
    let why = match found.text("why")? {
        "invalid" => "is invalid (run REINDEX)",
        "deferrable" => "is deferrable",
        "partial" => "is partial",
        _ => "contains an expression",
    };
    Ok(OtherIndex { name: found.text("name")?.into(), why })
}

fn read_type(found: Facts<'_>) -> sqlx::Result<(i64, CatalogType)> {
    let read = CatalogType {
        name: found.text("name")?.into(),
        kind: found.text("kind")?.into(),
        is_array: found.is("is_array")?,
        item: found.number("item")?,
        base: Declared {
            oid: found.number("base")?,
            typmod: found.number("base_typmod")?,
            dimensions: found.number("base_dimensions")?,
        },
        fields: found.list("fields")?.map(read_field).collect::<sqlx::Result<_>>()?,
        is_not_null: found.is("is_not_null")?,
        is_known_by_name: found.is("is_known_by_name")?,
        without_typmod: found.text("without_typmod")?.into(),
    };
    Ok((found.number("oid")?, read))
}

fn read_field(found: Facts<'_>) -> sqlx::Result<(String, Declared)> {
    Ok((found.text("name")?.into(), Declared::of_column(found)?))
}

/// The declared type, with domains resolved.
fn resolve(declared: Declared, types: &CatalogTypes) -> ServerType {
    let Declared { oid, typmod, dimensions } = declared;
    let server = |codec| ServerType { oid: u32::try_from(oid).unwrap_or_default(), codec };
    let Some(found) = types.get(&oid) else { return server(other()) };
    server(match found.kind.as_str() {
        // Keep the domain's oid: the header of an array of it has that oid.
        "d" => resolve(found.base, types).codec,
        "e" => enumeration(),
        "c" => composite_of(&found.fields, types),
        "b" if found.is_array => match resolve(Declared { oid: found.item, typmod, dimensions: 0 }, types) {
            item if item.codec.is_text_only() => other(),
            item => array(item, dimensions),
        },
        "b" if found.is_known_by_name => codec(&found.name, typmod),
        _ => other(),
    })
}

fn composite_of(fields: &[(String, Declared)], types: &CatalogTypes) -> Arc<dyn Codec> {
    let field = |(name, declared): &(String, Declared)| {
        let server = resolve(*declared, types);
        (!server.codec.is_text_only()).then(|| CompositeField { name: name.clone(), server })
    };
    match fields.iter().map(field).collect::<Option<Vec<_>>>() {
        Some(fields) if !fields.is_empty() => composite(fields),
        _ => other(),
    }
}

/// The encoding of a database, which determines the byte order of its texts and its characters.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Encoding {
    /// UTF8, or the arbitrary bytes of SQL_ASCII.
    Utf8,
    /// The first 256 characters of Unicode.
    Latin1,
    /// The bytes of non-ASCII characters are in another order than the characters.
    Other,
}

impl Encoding {
    fn of(name: &str) -> Self {
        match name {
            "UTF8" | "SQL_ASCII" => Self::Utf8,
            "LATIN1" => Self::Latin1,
            _ => Self::Other,
        }
    }

    /// The characters that constants can contain; the server refuses others.
    fn characters(self) -> Characters {
        match self {
            Self::Utf8 => Characters::All,
            Self::Latin1 => Characters::Latin1,
            Self::Other => Characters::Ascii,
        }
    }
}

fn read_column(found: Facts<'_>, types: &CatalogTypes, is_view: bool, encoding: Encoding) -> sqlx::Result<Column> {
    let declared = Declared::of_column(found)?;
    let own_type = types.get(&declared.oid);
    let domain = own_type.filter(|found| found.kind == "d");
    let server = resolve(declared, types);
    let default = match (found.is("is_generated")?, found.text("identity")?) {
        (true, _) => ColumnDefault::Generated,
        (false, "a") => ColumnDefault::Numbered,
        // A view's columns have the defaults of its table, and a domain can have its own default.
        (false, "") if !found.is("has_default")? && !is_view && domain.is_none() => ColumnDefault::Null,
        _ => ColumnDefault::ByDefault,
    };
    let has_padding = own_type.is_none_or(|found| matches!(found.name.as_str(), "bpchar" | "citext"));
    let collation = match found.text("collation")? {
        "bytes" if !has_padding && domain.is_none() && encoding != Encoding::Other => Collation::Bytes,
        "bytes" | "deterministic" if !has_padding && domain.is_none() => Collation::Deterministic,
        _ => Collation::Other,
    };
    let mut base = own_type;
    while let Some(below) = base.filter(|found| found.kind == "d") {
        base = types.get(&below.base.oid);
    }
    let staging = Staging {
        collate: found.text("collate")?.into(),
        cast: base.map(|found| found.without_typmod.clone()).unwrap_or_default(),
    };
    let sequence = found.get("sequence", |sequence| Some(Facts(sequence)))?;
    let sequence = match sequence.0.is_null() {
        true => None,
        false => Some(Sequence { name: sequence.text("name")?.into(), descends: sequence.is("descends")? }),
    };
    let comparison = match server.codec.comparison(collation) {
        // A uuid literal would need the type of the domain.
        Comparison::Exact if domain.is_some() && server.codec.spelling() == Spelling::Uuid => Comparison::Differs,
        comparison => comparison,
    };
    Ok(Column {
        name: found.text("name")?.into(),
        sql_type: found.text("sql_type")?.into(),
        data_type: server.codec.arrow_type(),
        nullable: !(found.is("is_not_null")? || domain.is_some_and(|domain| domain.is_not_null)),
        default,
        comparison,
        holds: Holds::OfItsType,
        characters: encoding.characters(),
        detail: Detail::new(Described { server, staging, sequence }),
    })
}

impl Postgres {
    /// Reads the description of a table; `None` if it does not exist.
    pub(super) async fn describe(&self, name: &str) -> Result<Option<Table>> {
        let name = TableName::try_parse(name)?;
        let mut connection = self.connect().await?;
        let described = self.describe_in(&mut connection, &name).await?;
        self.ask_max_prepared(&mut connection).await?;
        connection.give_back();
        if let Some(table) = &described {
            self.keep(table.clone())?;
        }
        Ok(described)
    }

    /// Reads the description of a table as the transaction of a connection sees it.
    pub(super) async fn describe_in(
        &self,
        connection: &mut PostgresConnection,
        name: &TableName,
    ) -> Result<Option<Table>> {
        let (pid, conn) = connection.parts();
        self.answer(pid, "SELECT", describe(conn, name)).await
    }

    /// The columns of all tables of the schemas that the user may use.
    pub(super) async fn describe_all(&self) -> Result<Vec<TableColumns>> {
        let mut connection = self.connect().await?;
        let (pid, conn) = connection.parts();
        let described = self.answer(pid, "SELECT", describe_all(conn)).await?;
        connection.give_back();
        Ok(described)
    }

    /// The schemas that the user may use, with their tables.
    pub(super) async fn list(&self) -> Result<Vec<Listed>> {
        let mut connection = self.connect().await?;
        let (pid, conn) = connection.parts();
        let rows = self.answer(pid, "SELECT", sqlx::query(TABLES).fetch_all(conn)).await?;
        let listed = rows.iter().map(|row| {
            let (schema, table): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            let name = TableName { schema: Some(schema.clone()), table: table.clone().unwrap_or_default() };
            Ok(Listed { schema, table, name: name.to_string() })
        });
        let listed = listed.collect::<sqlx::Result<_>>().map_err(|error| self.error(error))?;
        connection.give_back();
        Ok(listed)
    }
}
