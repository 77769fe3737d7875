//! Column types, with one file per family. The [`Codec`] of a type determines the Arrow type that it is read as, the
//! types that it is written from, and whether it compares as in DataFusion; it encodes and decodes the values.
//!
//! A new type is a struct that implements [`Codec`] in the file of its family, an arm in that family's `codec`, and a row in
//! its `examples`, from which the guide's table is generated. A new family is a file and a line in `types::FAMILIES`.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};

use super::cells::{Cells, Nulls};
use super::rows::Values;
use super::texts::texts;
use crate::backend::Comparison;
use crate::columnar::{LosslessCast, plain};
use crate::error::{Error, Result};

pub(super) mod array;
pub(super) mod binary;
pub(super) mod composite;
pub(super) mod digits;
pub(super) mod hstore;
pub(super) mod interval;
pub(super) mod json;
mod lists;
pub(super) mod network;
pub(super) mod number;
pub(super) mod numeric;
mod received;
pub(super) mod temporal;
pub(super) mod text;
pub(super) mod uuid;
mod values;

/// A type of column.
pub(super) trait Codec: Debug + Send + Sync {
    /// The Arrow type that a column is read as by default.
    fn arrow_type(&self) -> DataType;

    /// Whether the binary form can be read as another type than [`Codec::arrow_type`].
    fn decodes_as(&self, _to: &DataType) -> bool {
        false
    }

    /// Whether a comparison on the server has the same result as in DataFusion; `collation` is the column's.
    fn comparison(&self, _collation: Collation) -> Comparison {
        Comparison::Differs
    }

    /// The Arrow type that a plain type is converted to first, and the form to send it in; `None` if it is not accepted.
    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)>;

    /// Encodes values of a type that [`Codec::accepts`] returned, in binary form.
    ///
    /// # Errors
    /// `Encode`, with the row whose value the column cannot store unchanged.
    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>>;

    /// Encodes texts, which the server converts.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    fn encode_text(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        texts(array, None, b"")
    }

    /// Decodes values as [`Codec::arrow_type`], or as a type that it [`Codec::decodes_as`].
    ///
    /// # Errors
    /// `Decode` for a value that `to` cannot represent.
    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef>;

    /// Whether only the server can convert values, from text.
    fn is_text_only(&self) -> bool {
        false
    }

    /// Whether a collation determines which values are equal.
    fn has_collation(&self) -> bool {
        false
    }

    /// Whether a sequence can number its values.
    fn is_number(&self) -> bool {
        false
    }

    /// Fractional digits of a second that a column stores.
    fn second_digits(&self) -> Option<u32> {
        None
    }

    /// Bytes of each value, if all have the same size.
    fn width(&self) -> Option<usize> {
        None
    }

    /// The spelling of the values of a key in a statement.
    fn spelling(&self) -> Spelling {
        Spelling::Text
    }
}

/// A family of types.
pub(super) struct Family {
    /// The codec of a base type, by its name and modifier in `pg_type`.
    pub(super) codec: fn(&str, i32) -> Option<Arc<dyn Codec>>,
    /// The type that CREATE TABLE declares for an Arrow type.
    pub(super) declare: fn(&DataType) -> Option<String>,
    /// Rows of the guide's table.
    #[cfg(test)]
    pub(super) examples: fn() -> Vec<Example>,
}

/// A row of the guide's table.
#[cfg(test)]
pub(super) struct Example {
    /// The declared type, or a name for many types.
    pub(super) declared: &'static str,
    pub(super) codec: Arc<dyn Codec>,
    /// Which values of the Arrow types the column accepts, if not all.
    pub(super) limits: &'static str,
}

/// The form in which values are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// The binary format of the server type.
    Binary,
    /// Text, which the server converts.
    Text,
}

/// How the texts of a column compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Collation {
    /// Byte by byte, as DataFusion does.
    Bytes,
    /// Texts are equal only if their bytes are equal.
    Deterministic,
    /// Different texts can be equal: `citext`, `char(n)`, nondeterministic collations.
    Other,
}

/// The spelling of the values of a key for the server, regardless of the Arrow type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spelling {
    Integer,
    /// A number, with the digits of the Arrow value.
    Digits,
    Uuid,
    Date,
    /// A text, or a type whose values have only one spelling.
    Text,
}

/// A type of the server, domains resolved.
#[derive(Debug, Clone)]
pub(super) struct ServerType {
    /// The oid in the header of an array of this type.
    pub(super) oid: u32,
    pub(super) codec: Arc<dyn Codec>,
}

impl ServerType {
    /// The type that a column is read as if the user declares `to`; `None` if it is [`Codec::arrow_type`], which is then
    /// converted to `to`.
    pub(super) fn read_as(&self, to: &DataType) -> Option<DataType> {
        match to {
            // The text form of the server.
            Utf8 | LargeUtf8 | Utf8View if self.codec.arrow_type().is_nested() => Some(Utf8View),
            to => self.reads_as(to).then(|| to.clone()),
        }
    }

    /// Whether its binary form can be decoded as `to` directly, not through [`Codec::arrow_type`].
    pub(super) fn reads_as(&self, to: &DataType) -> bool {
        *to == self.codec.arrow_type() || self.codec.decodes_as(to)
    }

    /// Whether values that are read as `to` are received as text.
    pub(super) fn is_read_as_text(&self, to: &DataType) -> bool {
        self.codec.is_text_only() || *to == Utf8View && self.codec.arrow_type().is_nested()
    }

    /// Decodes values as `to`, a type that [`ServerType::read_as`] returns.
    ///
    /// # Errors
    /// `Decode` for a value that `to` cannot represent.
    pub(super) fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        if self.is_read_as_text(to) {
            return Ok(Arc::new(values::texts(values, 0)?));
        }
        if !self.reads_as(to) {
            return Err(Error::internal(format!("cannot read {:?} as {to}", self.codec)));
        }
        self.codec.decode(values, to)
    }

    /// Encodes values that are nested in others; converts them to the accepted type first.
    ///
    /// # Errors
    /// `Encode`, with the value that it cannot store unchanged.
    pub(super) fn encode_items(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let from = array.data_type();
        let cast = self.accepts(plain(from)).and_then(|(to, _)| LosslessCast::try_new(from, &to));
        let cast = cast.ok_or_else(|| Error::internal(format!("items of {from}")))?;
        self.encode(&cast.apply(array)?, Form::Binary)
    }

    /// As [`Codec::accepts`]; every type accepts NULLs.
    pub(super) fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        if *from == Null { Some((Null, Form::Binary)) } else { self.codec.accepts(from) }
    }

    /// Encodes an array of the accepted type in its form.
    pub(super) fn encode(&self, array: &ArrayRef, form: Form) -> Result<Box<dyn Cells>> {
        match form {
            _ if *array.data_type() == Null => Ok(Box::new(Nulls)),
            Form::Binary => self.codec.encode(array),
            Form::Text => self.codec.encode_text(array),
        }
    }
}

/// A type that values are converted to before they are sent in binary form.
fn binary(data_type: DataType) -> Option<(DataType, Form)> {
    Some((data_type, Form::Binary))
}
