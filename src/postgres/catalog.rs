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
use super::types::codec;
use crate::backend::{Characters, Column, ColumnDefault, Comparison, Detail, Holds, Listed, Table};
use crate::error::Result;
use crate::sql::TableName;

/// The description of a table by its name, as JSON, in one round trip and one snapshot. Without a schema, the first table
/// of that name in the search path. `types` are the types of its columns and the types that they consist of. `keys` are
/// the unique indexes that ON CONFLICT can use: not partial, not on expressions, not deferrable.
const TABLE: &str = "
    SELECT row_to_json(found)::text FROM (
        SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind,
            row_security_active(c.oid) AS has_row_security,
            c.relhasrules AND c.relkind <> 'v' AS has_rules,
            EXISTS (
                WITH RECURSIVE below (oid) AS (
                    SELECT c.oid UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid
                )
                SELECT FROM below JOIN pg_trigger g ON g.tgrelid = below.oid
                WHERE NOT g.tgisinternal AND g.tgtype & 8 <> 0
            ) AS watches_delete,
            EXISTS (
                SELECT FROM pg_partition_tree(c.oid) p JOIN pg_trigger g ON g.tgrelid = p.relid
                WHERE NOT g.tgisinternal
            ) OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS has_triggers,
            EXISTS (
                SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.confrelid = c.oid
            ) AS refers_to_itself,
            EXISTS (
                SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND (
                    i.indisexclusion OR NOT i.indimmediate OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
            ) AS has_other_keys,
            getdatabaseencoding() AS encoding,
            ARRAY(
                SELECT json_build_object(
                    'name', a.attname,
                    'sql_type', format_type(a.atttypid, a.atttypmod),
                    'type', a.atttypid::int8,
                    'typmod', a.atttypmod,
                    'dimensions', a.attndims,
                    'is_not_null', a.attnotnull,
                    'is_generated', a.attgenerated <> '',
                    'identity', a.attidentity,
                    'has_default', a.atthasdef,
                    -- An identity's depends on its column, the default of a column on what it draws from.
                    'sequence', CASE WHEN a.attidentity <> '' OR a.atthasdef AND a.attgenerated = '' THEN (
                        SELECT json_build_object(
                            'name', quote_ident(v.nspname) || '.' || quote_ident(r.relname),
                            'descends', q.seqincrement < 0)
                        FROM (
                            SELECT u.objid AS oid FROM pg_depend u
                            WHERE u.refclassid = 'pg_class'::regclass AND u.refobjid = a.attrelid
                                AND u.refobjsubid = a.attnum AND u.classid = 'pg_class'::regclass AND u.deptype = 'i'
                            UNION ALL
                            SELECT u.refobjid FROM pg_attrdef e JOIN pg_depend u ON u.objid = e.oid
                            WHERE e.adrelid = a.attrelid AND e.adnum = a.attnum
                                AND u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass
                        ) o, LATERAL (SELECT * FROM pg_sequence q WHERE q.seqrelid = o.oid LIMIT 1) q
                            JOIN pg_class r ON r.oid = q.seqrelid JOIN pg_namespace v ON v.oid = r.relnamespace
                        LIMIT 1) END,
                    'collation', CASE
                        WHEN a.attcollation = 0 THEN ''
                        WHEN NOT l.collisdeterministic THEN 'nondeterministic'
                        WHEN l.collname IN ('C', 'POSIX', 'ucs_basic') THEN 'bytes'
                        -- The column is there from PostgreSQL 15 on.
                        WHEN l.collname = 'default' AND d.datcollate IN ('C', 'POSIX')
                            AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' THEN 'bytes'
                        ELSE 'deterministic'
                    END,
                    'collate', coalesce(' COLLATE ' || quote_ident(m.nspname) || '.' || quote_ident(l.collname), '')
                )
                FROM pg_attribute a
                    LEFT JOIN pg_collation l ON l.oid = a.attcollation
                    LEFT JOIN pg_namespace m ON m.oid = l.collnamespace AND l.collname <> 'default'
                    JOIN pg_database d ON d.datname = current_database()
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                ORDER BY a.attnum
            ) AS columns,
            ARRAY(
                WITH RECURSIVE used (oid) AS (
                    SELECT atttypid FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                    UNION
                    SELECT below
                    FROM used, LATERAL (SELECT * FROM pg_type t WHERE t.oid = used.oid LIMIT 1) t,
                        unnest(ARRAY[t.typbasetype, t.typelem] || ARRAY(
                            SELECT a.atttypid FROM pg_attribute a
                            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        )) below
                    WHERE below <> 0
                )
                SELECT json_build_object(
                    'oid', t.oid::int8,
                    'name', t.typname,
                    'kind', t.typtype,
                    'is_array', t.typcategory = 'A' AND t.typelem <> 0 AND t.typlen = -1
                        AND t.typname NOT IN ('int2vector', 'oidvector'),
                    'item', t.typelem::int8,
                    'base', t.typbasetype::int8,
                    'base_typmod', t.typtypmod,
                    'base_dimensions', t.typndims,
                    'fields', ARRAY(
                        SELECT json_build_object(
                            'name', a.attname, 'type', a.atttypid::int8, 'typmod', a.atttypmod,
                            'dimensions', a.attndims)
                        FROM pg_attribute a
                        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        ORDER BY a.attnum
                    ),
                    'is_not_null', t.typnotnull,
                    'is_known_by_name', s.nspname = 'pg_catalog' OR t.typname IN ('citext', 'hstore'),
                    'without_typmod', format_type(t.oid, -1)
                )
                -- The few rows are looked up by the index: the server expects hundreds.
                FROM used, LATERAL (SELECT * FROM pg_type t WHERE t.oid = used.oid LIMIT 1) t
                    JOIN pg_namespace s ON s.oid = t.typnamespace
            ) AS types,
            ARRAY(
                SELECT json_build_object(
                    'is_primary', i.indisprimary,
                    'columns', ARRAY(
                        SELECT a.attname FROM generate_series(0, i.indnkeyatts - 1) position
                            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[position]
                        ORDER BY position
                    ),
                    'folded', ARRAY(
                        SELECT a.attname FROM generate_series(0, i.indnkeyatts - 1) position
                            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[position]
                        WHERE i.indcollation[position] <> a.attcollation
                    )
                )
                FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                    AND i.indpred IS NULL AND i.indexprs IS NULL
                ORDER BY i.indexrelid
            ) AS keys
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND CASE WHEN $2 = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END
    ) found";

/// Every schema with its tables; a NULL table if it has none.
const TABLES: &str = "
    SELECT n.nspname::text, c.relname::text
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
    ORDER BY n.nspname, c.relname";

/// A JSON object in the result of [`TABLE`].
#[derive(Clone, Copy)]
struct Facts<'a>(&'a Value);

impl<'a> Facts<'a> {
    fn get<T>(self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> sqlx::Result<T> {
        self.0.get(name).and_then(read).ok_or_else(|| sqlx::Error::ColumnNotFound(name.into()))
    }

    fn text(self, name: &str) -> sqlx::Result<&'a str> {
        self.get(name, Value::as_str)
    }

    fn is(self, name: &str) -> sqlx::Result<bool> {
        self.get(name, Value::as_bool)
    }

    fn number<T: TryFrom<i64>>(self, name: &str) -> sqlx::Result<T> {
        self.get(name, |number| number.as_i64()?.try_into().ok())
    }

    fn names(self, name: &str) -> sqlx::Result<Vec<String>> {
        self.get(name, |names| names.as_array()?.iter().map(|name| Some(name.as_str()?.to_owned())).collect())
    }

    fn list(self, name: &str) -> sqlx::Result<impl Iterator<Item = Self>> {
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
    let read = |found: String| {
        let found = serde_json::from_str(&found).map_err(|error| sqlx::Error::Decode(error.into()))?;
        read_table(Facts(&found))
    };
    found.map(read).transpose()
}

fn read_table(found: Facts<'_>) -> sqlx::Result<Table> {
    let types = found.list("types")?.map(read_type).collect::<sqlx::Result<HashMap<_, _>>>()?;
    let kind = found.text("kind")?;
    let (is_view, has_own_rows, is_table) = (kind == "v", kind == "r", matches!(kind, "r" | "p"));
    let encoding = Encoding::of(found.text("encoding")?);
    let columns = found.list("columns")?.map(|column| read_column(column, &types, is_view, encoding));
    let mut columns = columns.collect::<sqlx::Result<Vec<_>>>()?;
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
        (has_triggers, "it has triggers"),
        (found.is("refers_to_itself")?, "it has a foreign key to itself"),
        (found.is("has_other_keys")?, "it has a partial or deferrable unique index, or one on expressions, or EXCLUDE"),
        (!has_own_rows, "it is not an ordinary table"),
    ];
    let watched = [(has_triggers, "it has triggers"), (!is_table, "it is not an ordinary table")];
    let first = |reasons: &[(bool, &'static str)]| reasons.iter().find(|(holds, _)| *holds).map(|(_, reason)| *reason);
    let name = TableName { schema: Some(found.text("schema")?.into()), table: found.text("name")?.into() };
    let relation = Relation {
        name: name.clone(),
        is_table: is_table && !has_rules,
        has_own_rows,
        takes_copy: !is_view && is_direct,
        can_be_truncated: is_table && is_direct && !found.is("watches_delete")?,
        one_writer: first(&one_writer),
        watched: first(&watched),
    };
    Ok(Table { name: name.to_string(), columns, primary_key, unique_keys, detail: Detail::new(relation) })
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
fn resolve(declared: Declared, types: &HashMap<i64, CatalogType>) -> ServerType {
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

fn composite_of(fields: &[(String, Declared)], types: &HashMap<i64, CatalogType>) -> Arc<dyn Codec> {
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

fn read_column(
    found: Facts<'_>,
    types: &HashMap<i64, CatalogType>,
    is_view: bool,
    encoding: Encoding,
) -> sqlx::Result<Column> {
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
