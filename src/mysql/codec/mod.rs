//! Encoding and decoding of the server's types, with one file per family.
//!
//! A new type is a [`Codec`] in the file of its family, and a line in the family's [`Family::codec`] and
//! [`Family::types`]; if CREATE TABLE can declare it, also a line in [`Family::declare`] and [`Family::created`]. A new
//! family is a file and a line in `FAMILIES` of [`types`](super::types). The tables of the documentation are generated
//! from these.

pub(super) mod binary;
pub(super) mod bits;
pub(super) mod boolean;
pub(super) mod decimal;
mod declared;
pub(super) mod floats;
pub(super) mod integers;
pub(super) mod json;
pub(super) mod members;
pub(super) mod network;
pub(super) mod other;
pub(super) mod temporal;
pub(super) mod texts;
pub(super) mod uuid;
mod values;

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::backend::Comparison;
use crate::error::Result;
use crate::mysql::fields::{Fields, Style};
use crate::mysql::flavor::Flavor;

pub(super) use declared::{Declared, Texts};
pub(super) use values::Values;

/// A column type: what it is read as and written from, and the encoding of its values.
pub(super) trait Codec: fmt::Debug + Send + Sync {
    /// The Arrow type that a column is read as by default.
    fn arrow_type(&self) -> DataType;

    /// Whether it can be read as `to` directly, not through [`Codec::arrow_type`].
    fn reads_as(&self, to: &DataType) -> bool {
        *to == self.arrow_type()
    }

    /// Whether a comparison on the server has the same result as in DataFusion.
    fn comparison(&self) -> Comparison {
        Comparison::Differs
    }

    /// The Arrow type that a plain type, other than Null, is converted to first; `None` if it is not accepted.
    fn accepts(&self, from: &DataType) -> Option<DataType>;

    /// Encodes an array of a type that [`Codec::accepts`] returned.
    ///
    /// # Errors
    /// `Encode`, with the row whose value cannot be stored unchanged.
    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>>;

    /// Decodes values as `to`, a type that it [`Codec::reads_as`].
    ///
    /// # Errors
    /// `Decode` for a value that `to` cannot represent.
    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef>;

    /// The expression for a field that LOAD DATA reads into a variable; `None` if no conversion is needed.
    fn loaded(&self, _variable: &str) -> Option<String> {
        None
    }

    /// Fractional digits of a second that the column stores; `None` if it has no seconds.
    fn second_digits(&self) -> Option<u32> {
        None
    }

    /// Whether it stores arbitrary text, and all its characters.
    fn is_text(&self) -> bool {
        false
    }

    /// Whether a default value must be an expression in parentheses, not a literal.
    fn default_is_expression(&self) -> bool {
        false
    }

    /// Whether anything but NULL can be written.
    fn is_written(&self) -> bool {
        true
    }

    /// The type to use in place of one that silently rounds values.
    fn rounds(&self) -> Option<&'static str> {
        None
    }
}

/// A column whose type CREATE TABLE declares.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewType<'a> {
    pub(super) data_type: &'a DataType,
    pub(super) is_key: bool,
    pub(super) flavor: Flavor,
}

/// A family of types.
pub(super) struct Family {
    /// The codec of a declared type; `None` if it is not in this family.
    pub(super) codec: fn(&Declared<'_>) -> Option<Arc<dyn Codec>>,
    /// The type that CREATE TABLE declares for a plain Arrow type; `None` if it is in another family.
    pub(super) declare: fn(&NewType<'_>) -> Option<String>,
    /// For the documentation: declared types, and the values that they accept.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) types: &'static [(&'static str, &'static str)],
    /// For the documentation: Arrow types that are created as one of these, with a note.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) created: &'static [(&'static str, &'static str)],
}
