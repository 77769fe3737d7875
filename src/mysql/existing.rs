//! Compares existing rows of a table with new ones. Both have the types that the table is read as, in which each value
//! corresponds to one value of the server.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use mysql_async::prelude::Queryable;
use mysql_async::{Params, Row};

use super::codec::{Codec, Values};
use super::connector::MySqlConnection;
use super::database::MySql;
use super::described::relation;
use super::encode::Encoder;
use super::fields::{FieldRows, Frame, Style};
use super::statements::{select, statement_bytes};
use crate::backend::Table;
use crate::backend::WriteSpec;
use crate::columnar::LosslessCast;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{EncodedRows, LookupRequest, LookupResult, Targets, diff, in_range, quote};

/// Maximum bytes of a statement: for longer lists of keys, the server reads the whole table.
const STATEMENT_BYTES: usize = 64 * 1024;

/// Maximum bytes of texts and blobs that are read for one comparison. Rows beyond it are written as if they were new.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The query for existing rows.
#[derive(Debug)]
pub(super) struct ExistingRows {
    schema: SchemaRef,
    conforms: Vec<LosslessCast>,
    select: String,
    key: Vec<(usize, String)>,
    lock: bool,
    frame: Arc<Frame>,
}

impl ExistingRows {
    /// The query of a write; `None` if the write is blind. The privilege to upsert includes the one to read, because ON
    /// DUPLICATE KEY UPDATE reads the columns.
    ///
    /// # Errors
    /// `Schema` if the option requires a comparison and it is impossible.
    pub(super) fn of(table: &Table, spec: &WriteSpec) -> Result<Option<Self>> {
        let relation = relation(table)?;
        // Only the last row of a key is written: a unique value that an earlier one would have freed stays taken.
        let against = relation
            .watched
            .or(relation.has_other_keys.then_some("the table has a unique key on expressions or column prefixes"));
        diff(table, spec, against, || {
            if let Some(column) = table.columns.iter().find(|column| has_empty_member(&column.sql_type)) {
                return Err(format!(
                    "the definition of the ENUM column \"{}\" lists the value '', which MySQL also stores for invalid values",
                    column.name
                ));
            }
            let index = |name: &String| {
                let found = table.columns.iter().position(|column| column.name == *name);
                found.ok_or_else(|| format!("column \"{name}\" does not exist"))
            };
            let names = spec.columns.fields().iter().map(|field| field.name());
            let projection = names.map(index).collect::<Result<Vec<_>, _>>()?;
            let fields: Vec<_> = projection.iter().map(|index| table.schema().field(*index).clone()).collect();
            let conforms = spec.columns.fields().iter().zip(&fields).map(|(from, to)| {
                LosslessCast::try_new(from.data_type(), to.data_type()).ok_or_else(|| {
                    format!(
                        "column \"{}\" is read as {}, which differs from the type of the written values",
                        to.name(),
                        to.data_type()
                    )
                })
            });
            let conforms = conforms.collect::<Result<_, _>>()?;
            let from = format!(" FROM {}", relation.name.quoted());
            let select = select(table, &projection, &from).map_err(|error| error.to_string())?;
            let position = |name: &String| spec.columns.index_of(name).map_err(|error| error.to_string());
            let key = spec.key.iter().map(|name| Ok((position(name)?, name.clone())));
            let key = key.collect::<Result<Vec<_>, String>>()?;
            let names = key.iter().map(|(_, name)| quote(name)).collect::<Vec<_>>().join(", ");
            let lock = if spec.diff_lock { " FOR UPDATE" } else { "" };
            let most = statement_bytes(relation.server.max_allowed_packet);
            let (head, tail) = (format!("{select} WHERE ({names}) IN ("), format!("){lock}"));
            let frame = Frame { style: Style::Literal, head, tail, bytes: most.min(STATEMENT_BYTES), most };
            Ok(Self {
                schema: Arc::new(Schema::new(fields)),
                conforms,
                select,
                key,
                lock: spec.diff_lock,
                frame: Arc::new(frame),
            })
        })
    }

    /// The request for the existing rows with the same keys.
    pub(super) fn lookup_request(&self, keys: &Targets<Encoder>, rows: &RecordBatch) -> Option<LookupRequest> {
        let columns = self.conforms.iter().zip(rows.columns()).map(|(conform, column)| conform.apply(column).ok());
        let new = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Option<_>>()?).ok()?;
        let names: Vec<String> = self.key.iter().map(|(_, name)| name.clone()).collect();
        // A range would also lock other rows.
        let range = if self.lock { None } else { in_range(rows, &names) };
        let statements = match range {
            Some(range) => vec![format!("{} WHERE {range}", self.select).into_bytes()],
            None => {
                let positions: Vec<_> = self.key.iter().map(|(position, _)| *position).collect();
                let columns = keys.try_encode(&rows.project(&positions).ok()?, Encoder::encode)?;
                let mut rows = FieldRows::new(Arc::clone(&self.frame), columns, rows.num_rows(), None);
                let mut statements = Vec::new();
                let mut statement = Vec::new();
                while rows.write(&mut statement).ok()?.is_some() {
                    // After a backslash, the client would parse a `:` as a named parameter.
                    if statement.contains(&b'\\') {
                        return None;
                    }
                    statements.push(std::mem::take(&mut statement));
                }
                statements
            }
        };
        Some(LookupRequest { new, key: self.key.iter().map(|(position, _)| *position).collect(), statements })
    }
}

/// Whether a type is an ENUM with the member '', which looks like the value that the server stores for invalid ones.
fn has_empty_member(sql_type: &str) -> bool {
    let is_enum = sql_type.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("enum("));
    is_enum && ["('',", ",'',", ",'')", "('')"].iter().any(|member| sql_type.contains(member))
}

/// Reads the rows of the statements.
pub(super) async fn read(
    database: &MySql,
    connection: &mut MySqlConnection,
    columns: Arc<[Arc<dyn Codec>]>,
    statements: Vec<Vec<u8>>,
    schema: SchemaRef,
) -> Result<LookupResult> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for statement in statements {
        let statement = String::from_utf8(statement).map_err(|error| Error::internal(error.to_string()))?;
        let id = connection.conn.id();
        let mut found = database.answer(id, "SELECT", connection.conn.exec_iter(statement, Params::Empty)).await?;
        while let Some(row) = database.answer(id, "SELECT", found.next()).await? {
            let row: Row = row;
            bytes += super::scan::size(&row);
            if bytes <= MAX_BYTES {
                rows.push(row);
            }
        }
    }
    Ok(Box::new(move || {
        let numbered = columns.iter().zip(schema.fields()).enumerate();
        let arrays = numbered.map(|(index, (codec, field))| codec.decode(Values::new(&rows, index), field.data_type()));
        match arrays.collect::<Result<Vec<ArrayRef>>>() {
            Ok(arrays) => {
                RecordBatch::try_new(schema, arrays).map(Some).map_err(|error| Error::internal(error.to_string()))
            }
            // A value that cannot be read can be overwritten.
            Err(error) if error.kind() == ErrorKind::Decode => Ok(None),
            Err(error) => Err(error),
        }
    }))
}
