//! Compares existing rows of a table with new ones. Both are in the binary format of COPY, in which they are equal only
//! if the server would store the same value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewBuilder, NullBufferBuilder, PrimitiveArray, RecordBatch,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use futures::TryStreamExt;

use super::cells::{self, HEADER};
use super::codec::{Codec, Form, Spelling};
use super::connector::PostgresConnection;
use super::create::quote_literal;
use super::database::Postgres;
use super::described::{relation, server_type};
use super::encode::Encoder;
use super::rows::{ReceivedRows, Values};
use crate::backend::WriteSpec;
use crate::backend::{Column, Table};
use crate::columnar::{plain, recode, to_text};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{LookupRequest, LookupResult, Targets, diff, in_range, quote};

/// Maximum bytes of rows that are read for one comparison. Rows beyond it are written as if they were new.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The query for existing rows.
#[derive(Debug)]
pub(super) struct ExistingRows {
    schema: SchemaRef,
    columns: String,
    table: String,
    key: Vec<KeyColumn>,
    is_integer: bool,
    lock: bool,
}

#[derive(Debug)]
struct KeyColumn {
    index: usize,
    name: String,
    sql_type: String,
    spelling: Spelling,
}

/// The spelling of the values of a key column, which have the Arrow type `from`; or why there is none.
fn spelling(codec: &dyn Codec, from: &DataType, column: &Column) -> Result<Spelling, String> {
    match codec.spelling() {
        Spelling::Digits if *plain(from) != column.data_type => Err(format!(
            "column \"{}\" is written from Arrow type {from}, but is read as type {}",
            column.name, column.data_type
        )),
        spelling => Ok(spelling),
    }
}

impl KeyColumn {
    /// The array literal of its values; `None` if they have no text form. `new` has them as the server would store them.
    fn list(&self, rows: &RecordBatch, new: &RecordBatch) -> Option<String> {
        let new = new.column(self.index);
        let texts: Vec<Option<String>> = match self.spelling {
            Spelling::Integer => match new.data_type() {
                DataType::UInt16 => signed(new.as_primitive::<UInt16Type>(), |value| i64::from(value as i16)),
                DataType::UInt32 => signed(new.as_primitive::<UInt32Type>(), |value| i64::from(value as i32)),
                _ => signed(new.as_primitive_opt::<UInt64Type>()?, |value| value as i64),
            },
            Spelling::Uuid => {
                let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                new.as_binary_view_opt()?.iter().map(|bytes| bytes.map(hex)).collect()
            }
            Spelling::Date => {
                let texts = texts(rows.column(self.index))?;
                // The server spells years before 1 differently.
                let is_before = |text: &String| text.starts_with('-') || text.starts_with("0000");
                if texts.iter().flatten().any(is_before) {
                    return None;
                }
                texts
            }
            Spelling::Text | Spelling::Digits => texts(rows.column(self.index))?,
        };
        Some(format!("{}::{}[]", list(&texts)?, self.sql_type))
    }
}

fn signed<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, value: impl Fn(T::Native) -> i64) -> Vec<Option<String>> {
    array.iter().map(|native| native.map(|native| value(native).to_string())).collect()
}

impl ExistingRows {
    /// The query of a write; `None` if the write is blind. The privilege to upsert includes the one to read, because ON
    /// CONFLICT reads the columns.
    ///
    /// # Errors
    /// `Schema` if the option requires a comparison and it is impossible.
    pub(super) fn of(table: &Table, spec: &WriteSpec, targets: &Targets<Encoder>) -> Result<Option<Self>> {
        let watched = relation(table)?.watched;
        diff(table, spec, watched, || {
            let names: Vec<&String> = spec.columns.fields().iter().map(|field| field.name()).collect();
            let texts = targets.encoders().zip(&names).find(|(encoder, _)| encoder.form() == Form::Text);
            if let Some((_, name)) = texts {
                return Err(format!("column \"{name}\" is sent as text, which cannot be compared with stored values"));
            }
            let described = |name: &str| table.column(name).ok_or_else(|| format!("column \"{name}\" does not exist"));
            let fields = names.iter().map(|name| {
                let server = server_type(described(name)?).map_err(|error| error.to_string())?;
                Ok(Field::new(*name, wire_type(&*server.codec), true))
            });
            let schema = Arc::new(Schema::new(fields.collect::<Result<Vec<_>, String>>()?));
            let key = spec.key.iter().map(|name| {
                let column = described(name)?;
                let index = schema.index_of(name).map_err(|error| error.to_string())?;
                let server = server_type(column).map_err(|error| error.to_string())?;
                let spelling = spelling(&*server.codec, spec.columns.field(index).data_type(), column)?;
                Ok(KeyColumn { index, name: name.clone(), sql_type: column.sql_type.clone(), spelling })
            });
            let key = key.collect::<Result<Vec<_>, String>>()?;
            let is_integer = |name: &String| {
                let server = table.column(name).and_then(|column| server_type(column).ok());
                server.is_some_and(|server| server.codec.spelling() == Spelling::Integer)
            };
            let relation = relation(table).map_err(|error| error.to_string())?;
            // Without the rows of tables that inherit from it.
            let only = if relation.has_own_rows { "ONLY " } else { "" };
            let table = format!("{only}{}", relation.name.quoted());
            let columns = names.iter().map(|name| format!("t.{}", quote(name))).collect::<Vec<_>>().join(", ");
            let is_integer = spec.key.iter().all(is_integer);
            Ok(Self { schema, columns, table, key, is_integer, lock: spec.diff_lock })
        })
    }

    /// The request for the existing rows with the same keys.
    pub(super) fn lookup_request(&self, targets: &Targets<Encoder>, rows: &RecordBatch) -> Option<LookupRequest> {
        let cells = targets.try_encode(rows, Encoder::encode)?;
        let (mut encoded, mut piece) = (cells::CellRows::new(cells, rows.num_rows()), Vec::new());
        let mut received = ReceivedRows::new(self.schema.fields().len());
        received.push(HEADER).ok()?;
        while encoded.write(&mut piece).is_some() {
            received.push(&piece).ok()?;
        }
        let new = batch(received, &self.schema).ok()?;
        let names: Vec<String> = self.key.iter().map(|column| column.name.clone()).collect();
        // A range would also lock other rows.
        let range = (self.is_integer && !self.lock).then(|| in_range(rows, &names)).flatten();
        let quoted: Vec<_> = self.key.iter().map(|column| format!("t.{}", quote(&column.name))).collect();
        let condition = match (range, self.key.as_slice()) {
            (Some(range), _) => range,
            (None, [only]) => format!("{} = ANY ({})", quoted[0], only.list(rows, &new)?),
            (None, several) => {
                let lists = several.iter().map(|column| column.list(rows, &new)).collect::<Option<Vec<_>>>()?;
                format!("({}) IN (SELECT * FROM unnest({}))", quoted.join(", "), lists.join(", "))
            }
        };
        // Rows are locked in the order of their keys, so that two writers cannot deadlock.
        let lock = match self.lock {
            true => format!(" ORDER BY {} FOR UPDATE OF t", quoted.join(", ")),
            false => String::new(),
        };
        let query = format!("SELECT {} FROM {} AS t WHERE {condition}{lock}", self.columns, self.table);
        let statements = vec![format!("COPY ({query}) TO STDOUT (FORMAT BINARY)").into_bytes()];
        Some(LookupRequest { new, key: self.key.iter().map(|column| column.index).collect(), statements })
    }
}

/// Reads the rows of the statements.
pub(super) async fn read(
    database: &Postgres,
    connection: &mut PostgresConnection,
    statements: Vec<Vec<u8>>,
    schema: SchemaRef,
) -> Result<LookupResult> {
    let mut rows = ReceivedRows::new(schema.fields().len());
    for statement in statements {
        let statement = String::from_utf8(statement).map_err(|error| Error::internal(error.to_string()))?;
        let (pid, conn) = connection.parts();
        let mut messages = database.answer(pid, "COPY", conn.copy_out_raw(&statement)).await?;
        while let Some(message) = database.answer(pid, "COPY", messages.try_next()).await? {
            if rows.bytes() < MAX_BYTES {
                rows.push(&message)?;
            }
        }
    }
    Ok(Box::new(move || batch(rows, &schema).map(Some)))
}

/// The type that holds the bytes of a field: an integer type if there is one of that width.
fn wire_type(codec: &dyn Codec) -> DataType {
    match codec.width() {
        Some(1) => DataType::UInt8,
        Some(2) => DataType::UInt16,
        Some(4) => DataType::UInt32,
        Some(8) => DataType::UInt64,
        _ => DataType::BinaryView,
    }
}

fn batch(rows: ReceivedRows, schema: &SchemaRef) -> Result<RecordBatch> {
    let (bytes, columns) = rows.into_parts();
    let bytes = Buffer::from_vec(bytes);
    let arrays = schema.fields().iter().zip(&columns).map(|(field, fields)| {
        let values = Values { bytes: &bytes, fields };
        match field.data_type() {
            DataType::UInt8 => integers::<UInt8Type, 1>(values, u8::from_be_bytes),
            DataType::UInt16 => integers::<UInt16Type, 2>(values, u16::from_be_bytes),
            DataType::UInt32 => integers::<UInt32Type, 4>(values, u32::from_be_bytes),
            DataType::UInt64 => integers::<UInt64Type, 8>(values, u64::from_be_bytes),
            _ => views(values, &bytes),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), arrays.collect::<Result<_>>()?)
        .map_err(|error| Error::internal(error.to_string()))
}

fn integers<T: ArrowPrimitiveType, const N: usize>(
    values: Values<'_>,
    native: impl Fn([u8; N]) -> T::Native,
) -> Result<ArrayRef> {
    let mut natives = Vec::with_capacity(values.len());
    let mut nulls = NullBufferBuilder::new(values.len());
    for value in values.iter() {
        match value {
            None => {
                natives.push(T::Native::default());
                nulls.append_null();
            }
            Some(bytes) => {
                let bytes = bytes.try_into();
                natives.push(native(bytes.map_err(|_| Error::new(ErrorKind::Decode, "a value has the wrong length"))?));
                nulls.append_non_null();
            }
        }
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(natives.into(), nulls.finish())))
}

/// Values as views into the buffer.
fn views(values: Values<'_>, bytes: &Buffer) -> Result<ArrayRef> {
    let mut views = BinaryViewBuilder::with_capacity(values.len());
    let block = views.append_block(bytes.clone());
    for field in values.fields {
        match u32::try_from(field.length) {
            Err(_) => views.append_null(),
            Ok(length) => {
                let appended = views.try_append_view(block, field.begin, length);
                appended.map_err(|error| Error::internal(error.to_string()))?;
            }
        }
    }
    Ok(Arc::new(views.finish()))
}

/// Values as texts; `None` if they have no text form.
fn texts(column: &ArrayRef) -> Option<Vec<Option<String>>> {
    let column = recode(column, plain(column.data_type())).ok()?;
    match column.data_type() {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => None,
        _ => Some(to_text(&column).ok()?.iter().map(|text| text.map(str::to_owned)).collect()),
    }
}

/// The literal of an array; `None` if a value is NULL.
fn list(texts: &[Option<String>]) -> Option<String> {
    let mut list = String::with_capacity(texts.len() * 12);
    list.push('{');
    for (row, text) in texts.iter().enumerate() {
        if row > 0 {
            list.push(',');
        }
        list.push('"');
        for character in text.as_ref()?.chars() {
            if matches!(character, '"' | '\\') {
                list.push('\\');
            }
            list.push(character);
        }
        list.push('"');
    }
    list.push('}');
    Some(quote_literal(&list))
}
