//! Column types, a file for each family of them. The [`Codec`] of a type says what Arrow type it is read as, what it is
//! written from and whether it compares as DataFusion does, and encodes and decodes its values.
//!
//! A new type is a struct that implements [`Codec`] in the file of its family, an arm in that family's `codec`, and a row in
//! its `examples`, from which the guide's table is made. A new family is a file, and a line in `types::FAMILIES`.

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

    /// Whether a comparison on the server gives DataFusion's answer; `collation` says what texts compare by.
    fn comparison(&self, _collation: Collation) -> Comparison {
        Comparison::Differs
    }

    /// The Arrow type to bring a plain type to first, and the form to send it in; `None` where there is no way.
    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)>;

    /// The fields of values of a type that [`Codec::accepts`] named, in binary form.
    ///
    /// # Errors
    /// `Encode`, at the row whose value the column cannot hold unchanged.
    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>>;

    /// The fields of texts, from which the server makes the values.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    fn encode_text(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        texts(array, None, b"")
    }

    /// Reads values as [`Codec::arrow_type`], or as one that it [`Codec::decodes_as`].
    ///
    /// # Errors
    /// `Decode` for a value that `to` does not have.
    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef>;

    /// Whether only the server can make a value, from its text.
    fn is_text_only(&self) -> bool {
        false
    }

    /// Whether a collation says which values are equal.
    fn has_collation(&self) -> bool {
        false
    }

    /// Whether a sequence can number its values.
    fn is_number(&self) -> bool {
        false
    }

    /// Digits of a second that a column keeps.
    fn second_digits(&self) -> Option<u32> {
        None
    }

    /// Bytes of each value, where all have as many.
    fn width(&self) -> Option<usize> {
        None
    }

    /// How the values of a key are spelled in a statement.
    fn spelling(&self) -> Spelling {
        Spelling::Text
    }
}

/// Types that belong together.
pub(super) struct Family {
    /// The codec of a base type, by its name in `pg_type` and its modifier.
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
    /// The type as it is declared, or words for many of them.
    pub(super) declared: &'static str,
    pub(super) codec: Arc<dyn Codec>,
    /// Which values of the Arrow types the column takes, where it does not take all.
    pub(super) limits: &'static str,
}

/// In which form values travel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// The server type's own.
    Binary,
    /// As texts, which the server converts.
    Text,
}

/// What texts of a column compare by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Collation {
    /// Byte by byte, as DataFusion does.
    Bytes,
    /// Equal are only equal bytes.
    Deterministic,
    /// Different texts can be equal: `citext`, `char(n)`, nondeterministic collations.
    Other,
}

/// How the values of a key are spelled for the server: as it would store them, whatever they came as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spelling {
    Integer,
    /// A number has as many digits as it came with.
    Digits,
    Uuid,
    Date,
    /// A text is one, and of the other types there is one spelling.
    Text,
}

/// A type of the server, domains resolved.
#[derive(Debug, Clone)]
pub(super) struct ServerType {
    /// What the header of an array of it says.
    pub(super) oid: u32,
    pub(super) codec: Arc<dyn Codec>,
}

impl ServerType {
    /// The type that a column is read as where the user asks for `to`; `None` where it is [`Codec::arrow_type`], which `to`
    /// then must do with.
    pub(super) fn read_as(&self, to: &DataType) -> Option<DataType> {
        match to {
            // As the server writes them.
            Utf8 | LargeUtf8 | Utf8View if self.codec.arrow_type().is_nested() => Some(Utf8View),
            to => self.reads_as(to).then(|| to.clone()),
        }
    }

    /// Whether its binary form can be read as `to` itself, not by way of [`Codec::arrow_type`].
    pub(super) fn reads_as(&self, to: &DataType) -> bool {
        *to == self.codec.arrow_type() || self.codec.decodes_as(to)
    }

    /// Whether what is read as `to` comes as the server's text.
    pub(super) fn is_read_as_text(&self, to: &DataType) -> bool {
        self.codec.is_text_only() || *to == Utf8View && self.codec.arrow_type().is_nested()
    }

    /// Reads values as `to`, one of the types that [`ServerType::read_as`] gives.
    ///
    /// # Errors
    /// `Decode` for a value that `to` does not have.
    pub(super) fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        if self.is_read_as_text(to) {
            return Ok(Arc::new(values::texts(values, 0)?));
        }
        if !self.reads_as(to) {
            return Err(Error::internal(format!("cannot read {:?} as {to}", self.codec)));
        }
        self.codec.decode(values, to)
    }

    /// The fields of values inside of others, which are brought to the type that is accepted first.
    ///
    /// # Errors
    /// `Encode`, at the value that it cannot hold unchanged.
    pub(super) fn encode_items(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let from = array.data_type();
        let cast = self.accepts(plain(from)).and_then(|(to, _)| LosslessCast::try_new(from, &to));
        let cast = cast.ok_or_else(|| Error::internal(format!("items of {from}")))?;
        self.encode(&cast.apply(array)?, Form::Binary)
    }

    /// As [`Codec::accepts`]; NULLs go everywhere.
    pub(super) fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        if *from == Null { Some((Null, Form::Binary)) } else { self.codec.accepts(from) }
    }

    /// The fields of an array of the type that was accepted, in its form.
    pub(super) fn encode(&self, array: &ArrayRef, form: Form) -> Result<Box<dyn Cells>> {
        match form {
            _ if *array.data_type() == Null => Ok(Box::new(Nulls)),
            Form::Binary => self.codec.encode(array),
            Form::Text => self.codec.encode_text(array),
        }
    }
}

/// A type that values are brought to before they are sent in binary form.
fn binary(data_type: DataType) -> Option<(DataType, Form)> {
    Some((data_type, Form::Binary))
}
