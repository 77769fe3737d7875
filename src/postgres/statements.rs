//! The statements of one write.

use super::codec::Form;
use super::described::{Relation, Staging, relation, server_type, staging};
use super::encode::Encoder;
use crate::backend::{ColumnDefault, Dispatch, Table};
use crate::backend::{Existing, Protocol, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Indexes, OnConflict};
use crate::sql::{Targets, quote, upsert};
use crate::txn::Xid;

/// The staging table, which is used where COPY cannot write rows to the table itself.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) create: &'static str,
    pub(super) on_commit: &'static str,
    pub(super) drop: Option<String>,
}

impl Stage {
    /// `schema` is the schema of a table that outlives its session, if it must be named.
    pub(super) fn of(xid: &Xid, protocol: Protocol, schema: Option<&str>) -> Self {
        match protocol {
            Protocol::OnePhase => Self {
                name: "pg_temp.landfall_stage".into(),
                create: "CREATE TEMPORARY TABLE",
                on_commit: " ON COMMIT DROP",
                drop: None,
            },
            // A session that has used a temporary table cannot prepare.
            Protocol::TwoPhase => {
                let schema = schema.map(|schema| quote(schema) + ".").unwrap_or_default();
                let (run, epoch) = (xid.gtrid.run(), xid.gtrid.epoch().0);
                let name = format!("{schema}landfall_stage_{run:016x}_{epoch:x}_{:x}", xid.bqual);
                let drop = Some(format!("DROP TABLE {name}"));
                Self { name, create: "CREATE UNLOGGED TABLE", on_commit: "", drop }
            }
        }
    }
}

/// The column of the staging table with the order of the rows.
const NUMBER: &str = "landfall_row";

/// The order of wide rows, which may have no room for another column: a table has at most 1,600 columns, and a row at most
/// 8,160 bytes, which 127 columns of type `name` fill, the largest type that is never stored out of line. COPY into a
/// table that was created in the same transaction only appends (`TABLE_INSERT_SKIP_FSM` in
/// src/backend/commands/copyfrom.c).
const PLACE: &str = "ctid";

/// Maximum columns of a row that has room for its number.
const NARROW: usize = 100;

/// How rows are written to their table.
#[derive(Debug)]
pub(super) enum CopyPlan {
    /// COPY into the table itself.
    Direct { copy: String },
    /// COPY into a staging table, then INSERT from there.
    Staged {
        create: String,
        copy: String,
        /// Counts the staged keys, if some may not be stored: a trigger can suppress a row.
        count: Option<String>,
        merge: String,
        drop: Option<String>,
        order: &'static str,
    },
}

impl CopyPlan {
    /// `schema` is the one that a staging table must be created in; `None` for the first of the search path.
    pub(super) fn of(
        xid: &Xid,
        table: &Table,
        spec: &WriteSpec,
        targets: &Targets<Encoder>,
        schema: Option<&str>,
    ) -> Result<Self> {
        let relation = relation(table)?;
        let names: Vec<&String> = spec.columns.fields().iter().map(|field| field.name()).collect();
        let as_texts: Vec<bool> = targets.encoders().map(|encoder| encoder.form() == Form::Text).collect();
        if relation.takes_copy && spec.on_conflict == OnConflict::Error && !as_texts.contains(&true) {
            return Self::direct(table, spec);
        }
        Self::staged(Stage::of(xid, spec.protocol, schema), table, relation, spec, &names, &as_texts)
    }

    /// COPY directly into the table.
    pub(super) fn direct(table: &Table, spec: &WriteSpec) -> Result<Self> {
        let names = spec.columns.fields().iter().map(|field| quote(field.name())).collect::<Vec<_>>().join(", ");
        let freeze = if can_freeze(spec) { ", FREEZE" } else { "" };
        let copy = format!("COPY {} ({names}) FROM STDIN (FORMAT BINARY{freeze})", relation(table)?.name.quoted());
        Ok(Self::Direct { copy })
    }

    fn staged(
        stage: Stage,
        table: &Table,
        relation: &Relation,
        spec: &WriteSpec,
        names: &[&String],
        as_texts: &[bool],
    ) -> Result<Self> {
        // Columns are numbered, because one could have the name of the order column.
        let (mut types, mut values, mut key, mut is_numbered) = (Vec::new(), Vec::new(), Vec::new(), false);
        for (index, (name, is_text)) in names.iter().zip(as_texts).enumerate() {
            let Some(column) = table.column(name) else { continue };
            let staged = format!("c{index}");
            let Staging { collate, cast } = staging(column)?;
            if *is_text {
                values.push(format!("{staged}::{cast}"));
                types.push(format!("{staged} text"));
            } else {
                types.push(format!("{staged} {}{collate}", column.sql_type));
                values.push(staged.clone());
            }
            if spec.key.contains(name) {
                key.extend(values.last().cloned());
            }
            is_numbered |= column.default == ColumnDefault::Numbered;
        }
        let order = if types.len() > NARROW { PLACE } else { NUMBER };
        if order == NUMBER {
            types.push(format!("{NUMBER} bigint"));
        }
        let (key, values) = (key.join(", "), values.join(", "));
        let Stage { name: from, create, on_commit, drop } = stage;
        let rows = match spec.on_conflict {
            // The last row of each key, in the order of the keys, so that two writers cannot deadlock.
            OnConflict::Update | OnConflict::Replace => {
                format!("SELECT DISTINCT ON ({key}) {values} FROM {from} ORDER BY {key}, {order} DESC")
            }
            OnConflict::Ignore => format!("SELECT {values} FROM {from} ORDER BY {key}, {order}"),
            OnConflict::Error => format!("SELECT {values} FROM {from} ORDER BY {order}"),
        };
        let upsert = upsert(table, spec);
        // With no column to set, the statement does nothing for an existing row, and the server does not count it.
        let counts = spec.on_conflict.updates() && relation.one_writer.is_some() && !upsert.ends_with("DO NOTHING");
        let count = counts.then(|| format!("SELECT count(*) FROM (SELECT DISTINCT {key} FROM {from}) AS keys"));
        let columns = names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
        let overriding = if is_numbered { " OVERRIDING SYSTEM VALUE" } else { "" };
        let merge =
            format!("INSERT INTO {} ({columns}){overriding} {rows}{upsert}; TRUNCATE {from}", relation.name.quoted());
        Ok(Self::Staged {
            create: format!("{create} {from} ({}) USING heap{on_commit}", types.join(", ")),
            copy: format!("COPY {from} FROM STDIN (FORMAT BINARY)"),
            count,
            merge,
            drop,
            order,
        })
    }

    pub(super) fn copy(&self) -> &str {
        match self {
            Self::Direct { copy } | Self::Staged { copy, .. } => copy,
        }
    }

    /// Maximum bytes of one COPY statement: the server reports a refused row at its end only, and the staging table is
    /// emptied after it. Each end takes some 40 ms over TCP, because sqlx 0.9.0 does not disable Nagle's algorithm
    /// (sqlx issue 4335).
    pub(super) fn statement_bytes(&self) -> usize {
        match self {
            Self::Direct { .. } => 256 * 1024 * 1024,
            Self::Staged { .. } => 64 * 1024 * 1024,
        }
    }

    /// Whether rows carry their number as a last column.
    pub(super) fn numbers_rows(&self) -> bool {
        matches!(self, Self::Staged { order: NUMBER, .. })
    }
}

/// Whether the rows can be stored as if they were old, which saves the server to do that later. It requires that the
/// transaction creates or truncates the table, and has no savepoint: see [`WriteSpec::indexes`].
fn can_freeze(spec: &WriteSpec) -> bool {
    spec.indexes != Indexes::Keep && (spec.create.is_some() || spec.existing == Existing::Truncate)
}

/// The statement that empties the table.
///
/// # Errors
/// `Unsupported` if it must be a TRUNCATE that would bypass triggers, rules or row security.
pub(super) fn delete(table: &Table, existing: Existing) -> Result<Option<String>> {
    let relation = relation(table)?;
    let name = relation.name.quoted();
    match existing {
        Existing::Keep => Ok(None),
        Existing::Delete => Ok(Some(format!("DELETE FROM {name}"))),
        Existing::Truncate if relation.can_be_truncated => Ok(Some(format!("TRUNCATE {name}"))),
        Existing::Truncate => {
            let text = format!(
                "cannot truncate table {}: it is a view, or it has row security, rules or a trigger on DELETE, which \
                 TRUNCATE would bypass; set the option 'overwrite' to 'delete'",
                table.name
            );
            Err(Error::new(ErrorKind::Unsupported, text))
        }
    }
}

/// `SELECT` of these columns, by index. `from` is ` FROM …`.
pub(super) fn select(table: &Table, projection: &[usize], from: &str) -> Result<String> {
    let columns = projection.iter().map(|index| {
        let column = &table.columns[*index];
        let name = quote(&column.name);
        Ok(if server_type(column)?.is_read_as_text(&column.data_type) { format!("{name}::text") } else { name })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?.join(", ");
    Ok(format!("SELECT {columns}{from}"))
}

/// How the rows of a write can be distributed to several writers, which do not see each other's rows: two rows that the
/// server has to compare must go to the same writer.
pub(super) fn dispatch(table: &Table, spec: &WriteSpec) -> Result<Dispatch> {
    let one_writer = relation(table)?.one_writer;
    let is_text = |column: &_| server_type(column).is_ok_and(|server| server.codec.has_collation());
    Ok(Dispatch::of(table, spec, one_writer, is_text))
}
