//! What PostgreSQL's catalog says of a table, and how one is created.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::types::{Collation, Kind, ServerType, declare, kind};
use super::{MAX_IDENTIFIER, Postgres};
use crate::columnar::{Conform, json, recode, to_text, without_nanoseconds};
use crate::error::{Error, Result};
use crate::sql::{Column, Comparison, Detail, Filled, Listed, NewTable, Table, TableName, quote};

/// What a write has to know of a table beside its columns.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: TableName,
    /// It is a table, partitioned or not.
    pub(super) is_table: bool,
    /// It is a table that is not partitioned; others can inherit from it.
    pub(super) has_own_rows: bool,
    /// COPY writes it.
    pub(super) takes_copy: bool,
    /// TRUNCATE can empty it, and nobody misses a DELETE.
    pub(super) can_be_truncated: bool,
    /// Why its rows cannot be dealt out to several transactions, beside its keys.
    pub(super) one_writer: Option<&'static str>,
    /// What sees an update that changes nothing.
    pub(super) watched: Option<&'static str>,
}

/// A table by its name; without a schema, the first of that name in the search path.
const RELATION: &str = "
    SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text,
        row_security_active(c.oid) AS has_row_security,
        c.relhasrules AND c.relkind <> 'v' AS has_rules,
        EXISTS (
            WITH RECURSIVE below (oid) AS (
                SELECT c.oid UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid
            )
            SELECT FROM below JOIN pg_trigger g ON g.tgrelid = below.oid WHERE NOT g.tgisinternal AND g.tgtype & 8 <> 0
        ) AS watches_delete,
        EXISTS (
            SELECT FROM pg_partition_tree(c.oid) p JOIN pg_trigger g ON g.tgrelid = p.relid WHERE NOT g.tgisinternal
        ) OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS has_triggers,
        EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.confrelid = c.oid)
            AS refers_to_itself,
        EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND (
                i.indisexclusion OR NOT i.indimmediate OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
        ) AS has_other_keys
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND CASE WHEN $2 = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END";

const COLUMNS: &str = "
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated::text,
        a.attidentity::text, a.atthasdef, a.atttypid::int8, a.atttypmod,
        CASE
            WHEN a.attcollation = 0 THEN ''
            WHEN NOT l.collisdeterministic THEN 'nondeterministic'
            WHEN l.collname IN ('C', 'POSIX', 'ucs_basic') THEN 'bytes'
            -- The column is there from PostgreSQL 15 on.
            WHEN l.collname = 'default' AND d.datcollate IN ('C', 'POSIX')
                AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' THEN 'bytes'
            ELSE 'deterministic'
        END,
        quote_ident(m.nspname) || '.' || quote_ident(l.collname)
    FROM pg_attribute a
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        LEFT JOIN pg_namespace m ON m.oid = l.collnamespace AND l.collname <> 'default'
        JOIN pg_database d ON d.datname = current_database()
    WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Every schema with its tables; NULL in one that has none.
const TABLES: &str = "
    SELECT n.nspname::text, c.relname::text
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
    ORDER BY n.nspname, c.relname";

/// The types of a table's columns, and the types that these are made of.
const TYPES: &str = "
    WITH RECURSIVE used (oid) AS (
        SELECT atttypid FROM pg_attribute WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped
        UNION
        SELECT below FROM used JOIN pg_type t USING (oid), unnest(ARRAY[t.typbasetype, t.typelem]) below
        WHERE below <> 0
    )
    SELECT t.oid::int8, t.typname::text, t.typtype::text, t.typcategory = 'A' AND t.typelem <> 0 AND t.typlen = -1
            AND t.typname NOT IN ('int2vector', 'oidvector'),
        t.typelem::int8, t.typbasetype::int8, t.typtypmod, t.typnotnull,
        n.nspname = 'pg_catalog' OR t.typname IN ('citext', 'hstore'), format_type(t.oid, -1)
    FROM used JOIN pg_type t USING (oid) JOIN pg_namespace n ON n.oid = t.typnamespace";

/// Unique indexes that conflicts can be found by: no partial ones, none on expressions, none that is deferrable.
const KEYS: &str = "
    SELECT i.indisprimary, ARRAY(
            SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) position
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[position]
            ORDER BY position
        ), ARRAY(
            SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) position
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[position]
            WHERE i.indcollation[position] <> a.attcollation
        )
    FROM pg_index i
    WHERE i.indrelid = $1::int8::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
        AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indexrelid";

/// A row of [`TYPES`].
struct CatalogType {
    name: String,
    type_type: String,
    is_array: bool,
    item: i64,
    base: i64,
    base_typmod: i32,
    is_not_null: bool,
    is_known_by_name: bool,
    without_typmod: String,
}

/// What is kept of a column.
#[derive(Debug, Clone)]
struct Described {
    server: ServerType,
    staging: Staging,
}

/// What a column is in a table for staging.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    /// ` COLLATE …`, or nothing: rows of one key are found by it.
    pub(super) collate: String,
    /// What a text is cast to: the type below domains and without its length. The assignment to the column then
    /// refuses what an explicit cast to it would cut.
    pub(super) cast: String,
}

/// The type that a column was described with.
///
/// # Errors
/// `Internal` for a column of another database.
pub(super) fn server_type(column: &Column) -> Result<&ServerType> {
    described(column).map(|described| &described.server)
}

/// What a column is in a table for staging.
pub(super) fn staging(column: &Column) -> Result<&Staging> {
    described(column).map(|described| &described.staging)
}

/// A column of numbers that is not of a table.
pub(super) fn number_column() -> Column {
    const INT8: u32 = 20;
    let server = ServerType { oid: INT8, kind: Kind::Int8 };
    let staging = Staging { collate: String::new(), cast: "bigint".into() };
    Column {
        name: "number".into(),
        sql_type: "bigint".into(),
        data_type: server.arrow_type(),
        nullable: true,
        filled: Filled::Null,
        comparison: Comparison::Exact,
        detail: Detail::new(Described { server, staging }),
    }
}

impl Relation {
    /// That of a table that a branch has made to stage rows in.
    pub(super) fn of_stage(name: TableName) -> Self {
        Self {
            name,
            is_table: true,
            has_own_rows: true,
            takes_copy: true,
            can_be_truncated: false,
            one_writer: None,
            watched: None,
        }
    }
}

fn described(column: &Column) -> Result<&Described> {
    column
        .detail
        .get()
        .ok_or_else(|| Error::internal(format!("column \"{}\" was not described by PostgreSQL", column.name)))
}

/// What a table was described with.
pub(super) fn relation(table: &Table) -> Result<&Relation> {
    table.detail.get().ok_or_else(|| Error::internal(format!("table {} was not described by PostgreSQL", table.name)))
}

/// Reads the description of a table or view; `None` where there is none of that name.
pub(super) async fn describe(connection: &mut PgConnection, name: &TableName) -> sqlx::Result<Option<Table>> {
    let schema = name.schema.as_deref().unwrap_or_default();
    let found = sqlx::query(RELATION).bind(&name.table).bind(schema).fetch_optional(&mut *connection).await?;
    let Some(found) = found else { return Ok(None) };
    let oid: i64 = found.try_get(0)?;
    let name = TableName { schema: Some(found.try_get(1)?), table: found.try_get(2)? };
    let (relkind, has_row_security): (String, bool) = (found.try_get(3)?, found.try_get(4)?);
    let (has_rules, watches_delete): (bool, bool) = (found.try_get(5)?, found.try_get(6)?);
    let one_writer =
        [(7, "it has triggers"), (8, "its rows refer to each other"), (9, "it has a unique key that is not plain")]
            .into_iter()
            .map(|(index, reason)| Ok(found.try_get::<bool, _>(index)?.then_some(reason)))
            .chain([Ok((relkind != "r").then_some("it is not a plain table"))])
            .collect::<sqlx::Result<Vec<_>>>()?;
    let is_view = relkind == "v";
    let watched = match (found.try_get(7)?, relkind.as_str()) {
        (true, _) => Some("it has triggers"),
        (false, "r" | "p") => None,
        (false, _) => Some("it is not a plain table"),
    };

    let types = sqlx::query(TYPES).bind(oid).fetch_all(&mut *connection).await?;
    let types = types.iter().map(read_type).collect::<sqlx::Result<HashMap<_, _>>>()?;
    let rows = sqlx::query(COLUMNS).bind(oid).fetch_all(&mut *connection).await?;
    let mut columns = rows.iter().map(|row| read_column(row, &types, is_view)).collect::<sqlx::Result<Vec<_>>>()?;

    let (mut primary_key, mut unique_keys) = (Vec::new(), Vec::new());
    for row in sqlx::query(KEYS).bind(oid).fetch_all(&mut *connection).await? {
        let key: Vec<String> = row.try_get(1)?;
        let folded: Vec<String> = row.try_get(2)?;
        for column in columns.iter_mut().filter(|column| folded.contains(&column.name)) {
            // What the index finds equal, the column need not.
            column.comparison = Comparison::Differs;
        }
        if row.try_get(0)? { primary_key = key } else { unique_keys.push(key) }
    }
    let relation = Relation {
        name: name.clone(),
        is_table: matches!(relkind.as_str(), "r" | "p") && !has_rules,
        has_own_rows: relkind == "r",
        takes_copy: !is_view && !has_row_security && !has_rules,
        can_be_truncated: matches!(relkind.as_str(), "r" | "p") && !has_row_security && !has_rules && !watches_delete,
        one_writer: one_writer.into_iter().flatten().next(),
        watched,
    };
    Ok(Some(Table { name: name.to_string(), columns, primary_key, unique_keys, detail: Detail::new(relation) }))
}

fn read_type(row: &PgRow) -> sqlx::Result<(i64, CatalogType)> {
    let read = CatalogType {
        name: row.try_get(1)?,
        type_type: row.try_get(2)?,
        is_array: row.try_get(3)?,
        item: row.try_get(4)?,
        base: row.try_get(5)?,
        base_typmod: row.try_get(6)?,
        is_not_null: row.try_get(7)?,
        is_known_by_name: row.try_get(8)?,
        without_typmod: row.try_get(9)?,
    };
    Ok((row.try_get(0)?, read))
}

/// The type behind an oid, domains resolved.
fn resolve(oid: i64, typmod: i32, types: &HashMap<i64, CatalogType>) -> ServerType {
    let other = ServerType { oid: u32::try_from(oid).unwrap_or_default(), kind: Kind::Other };
    let Some(found) = types.get(&oid) else { return other };
    let kind = match found.type_type.as_str() {
        // The oid stays the domain's: an array of it says so.
        "d" => resolve(found.base, found.base_typmod, types).kind,
        "e" => Kind::Enum,
        "b" if found.is_array => match resolve(found.item, typmod, types) {
            item if item.is_text_only() => Kind::Other,
            item => Kind::Array(Box::new(item)),
        },
        "b" if found.is_known_by_name => kind(&found.name, typmod),
        _ => Kind::Other,
    };
    ServerType { kind, ..other }
}

fn read_column(row: &PgRow, types: &HashMap<i64, CatalogType>, is_view: bool) -> sqlx::Result<Column> {
    let (generated, identity, has_default): (String, String, bool) =
        (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let oid: i64 = row.try_get(6)?;
    let server = resolve(oid, row.try_get(7)?, types);
    let domain = types.get(&oid).filter(|found| found.type_type == "d");
    let filled = match (generated.is_empty(), identity.as_str()) {
        (false, _) => Filled::Generated,
        (true, "a") => Filled::Numbered,
        // A view's columns have the defaults of the table behind, and a domain can have one of its own.
        (true, "") if !has_default && !is_view && domain.is_none() => Filled::Null,
        _ => Filled::ByDefault,
    };
    let has_padding = types.get(&oid).is_none_or(|found| matches!(found.name.as_str(), "bpchar" | "citext"));
    let collation = match row.try_get(8)? {
        "bytes" if !has_padding && domain.is_none() => Collation::Bytes,
        "bytes" | "deterministic" if !has_padding && domain.is_none() => Collation::Deterministic,
        _ => Collation::Other,
    };
    let mut base = oid;
    while let Some(below) = types.get(&base).filter(|found| found.type_type == "d") {
        base = below.base;
    }
    let staging = Staging {
        collate: row.try_get::<Option<String>, _>(9)?.map(|name| format!(" COLLATE {name}")).unwrap_or_default(),
        cast: types.get(&base).map(|found| found.without_typmod.clone()).unwrap_or_default(),
    };
    let comparison = match server.comparison(collation) {
        // The literal would have to be of the domain.
        Comparison::Exact if domain.is_some() && server.kind == Kind::Uuid => Comparison::Differs,
        comparison => comparison,
    };
    Ok(Column {
        name: row.try_get(0)?,
        sql_type: row.try_get(1)?,
        data_type: server.arrow_type(),
        nullable: !(row.try_get::<bool, _>(2)? || domain.is_some_and(|domain| domain.is_not_null)),
        filled,
        comparison,
        detail: Detail::new(Described { server, staging }),
    })
}

impl Postgres {
    /// Reads the description of a table; `None` where it is not there.
    pub(super) async fn describe(&self, name: &str) -> Result<Option<Table>> {
        let name = TableName::try_parse(name)?;
        let mut connection = self.connect().await?;
        let described = describe(&mut connection, &name).await.map_err(|error| self.error(error))?;
        self.ask_max_prepared(&mut connection).await?;
        connection.give_back();
        Ok(described)
    }

    /// The schemas that the user may use, and what is in them.
    pub(super) async fn list(&self) -> Result<Vec<Listed>> {
        let mut connection = self.connect().await?;
        let rows = sqlx::query(TABLES).fetch_all(&mut *connection).await.map_err(|error| self.error(error))?;
        let listed = rows.iter().map(|row| {
            let (schema, table): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            let name = TableName { schema: Some(schema.clone()), table: table.clone().unwrap_or_default() };
            Ok(Listed { schema, table, name: name.to_string() })
        });
        let listed = listed.collect::<sqlx::Result<_>>().map_err(|error| self.error(error))?;
        connection.give_back();
        Ok(listed)
    }

    pub(super) async fn create(&self, table: &NewTable) -> Result<()> {
        let statement = create_statement(table)?;
        let mut connection = self.connect().await?;
        let created = self.execute(&mut connection, statement).await;
        created.map_err(|error| error.with_context(format!("creating table {}", table.name)))?;
        connection.give_back();
        Ok(())
    }
}

fn create_statement(table: &NewTable) -> Result<String> {
    let name = TableName::try_parse(&table.name)?;
    let columns = table.schema.fields().iter().map(|field| field.name());
    for name in name.schema.iter().chain([&name.table]).chain(columns) {
        if name.len() > MAX_IDENTIFIER {
            return Err(Error::schema(format!(
                "the name \"{name}\" is longer than the {MAX_IDENTIFIER} bytes that PostgreSQL keeps: shorten it"
            )));
        }
    }
    let mut parts = Vec::new();
    for field in table.schema.fields() {
        let of_column = |error: Error| error.with_context(format!("column \"{}\"", field.name()));
        let declared = declare(field.data_type()).map_err(of_column)?;
        let mut part = format!("{} {declared}", quote(field.name()));
        if !field.is_nullable() || table.primary_key.contains(field.name()) {
            part += " NOT NULL";
        }
        if let Some(default) = table.defaults.get(field.name()) {
            part += &format!(" DEFAULT {}", literal(default, &declared).map_err(of_column)?);
        }
        parts.push(part);
    }
    let list = |names: &[String]| names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
    if !table.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(&table.primary_key)));
    }
    parts.extend(table.unique_keys.iter().map(|key| format!("UNIQUE ({})", list(key))));
    Ok(format!("CREATE TABLE {} (\n    {}\n)", name.quoted(), parts.join(",\n    ")))
}

/// A text as a literal of SQL, where `standard_conforming_strings` is on. It must have no NUL.
pub(super) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The only value of an array as a literal of a declared type.
fn literal(value: &ArrayRef, declared: &str) -> Result<String> {
    if value.is_null(0) {
        return Ok("NULL".into());
    }
    let micros = without_nanoseconds(value.data_type()).filter(|micros| micros != value.data_type());
    let value = match micros.and_then(|micros| Conform::try_new(value.data_type(), &micros)) {
        Some(conform) => &conform.apply(value)?,
        None => value,
    };
    let text = match value.data_type() {
        t if t.is_nested() && declared == "jsonb" => json::encode(value)?.value(0).to_owned(),
        t if t.is_nested() || matches!(t, DataType::Duration(_)) => {
            return Err(Error::schema(format!(
                "no default of type {t} can be declared: create the table in the database itself"
            )));
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = recode(value, &DataType::Binary)?;
            let bytes = bytes.as_binary::<i32>().value(0);
            format!("\\x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        _ => to_text(value)?.value(0).to_owned(),
    };
    if text.contains('\0') {
        return Err(Error::schema("the default has a NUL character, which PostgreSQL's texts cannot hold"));
    }
    Ok(format!("{}::{declared}", quote_literal(&text)))
}
