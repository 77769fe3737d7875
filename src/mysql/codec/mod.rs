//! How values of the server's types travel: a file for each family of types.
//!
//! A new type is a [`Codec`] in the file of its family, and a line in the family's [`Family::codec`] and
//! [`Family::types`]; where CREATE TABLE is to declare it, one in [`Family::declare`] and [`Family::created`]. A new
//! family is a file, and its line in `FAMILIES` of [`types`](super::types). The tables of the documentation are made
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

/// A type of column: what it is read as and written from, and how its values travel.
pub(super) trait Codec: fmt::Debug + Send + Sync {
    /// The Arrow type that a column is read as by default.
    fn arrow_type(&self) -> DataType;

    /// Whether it can be read as `to` itself, not by way of [`Codec::arrow_type`].
    fn reads_as(&self, to: &DataType) -> bool {
        *to == self.arrow_type()
    }

    /// Whether a comparison on the server gives DataFusion's answer.
    fn comparison(&self) -> Comparison {
        Comparison::Differs
    }

    /// The Arrow type to bring a plain one, other than Null, to first; `None` where there is no way.
    fn accepts(&self, from: &DataType) -> Option<DataType>;

    /// The fields of an array of a type that [`Codec::accepts`] gives.
    ///
    /// # Errors
    /// `Encode`, at the row whose value cannot be stored unchanged.
    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>>;

    /// The values as `to`, one of the types that it [`Codec::reads_as`].
    ///
    /// # Errors
    /// `Decode` for a value that `to` cannot represent.
    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef>;

    /// The value of a field that LOAD DATA reads into a variable; `None` where the server needs no help.
    fn loaded(&self, _variable: &str) -> Option<String> {
        None
    }

    /// Digits after the second's point that the column keeps; `None` where it holds no seconds.
    fn second_digits(&self) -> Option<u32> {
        None
    }

    /// Whether it holds any text, and every character of it.
    fn is_text(&self) -> bool {
        false
    }

    /// Whether the server takes no literal for a default, but an expression in parentheses.
    fn default_is_expression(&self) -> bool {
        false
    }

    /// Whether anything but NULL can be written.
    fn is_written(&self) -> bool {
        true
    }

    /// The plain type in place of one that rounds what it is given and does not say so.
    fn rounds(&self) -> Option<&'static str> {
        None
    }
}

/// A column for which CREATE TABLE is to declare a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewType<'a> {
    pub(super) data_type: &'a DataType,
    pub(super) is_key: bool,
    pub(super) flavor: Flavor,
}

/// Types that belong together.
pub(super) struct Family {
    /// The codec of a declared type; `None` where it is none of these.
    pub(super) codec: fn(&Declared<'_>) -> Option<Arc<dyn Codec>>,
    /// The type that CREATE TABLE declares for a plain Arrow type; `None` where another family has it.
    pub(super) declare: fn(&NewType<'_>) -> Option<String>,
    /// For the documentation: types of the server as they are declared, and which of the values they take.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) types: &'static [(&'static str, &'static str)],
    /// For the documentation: Arrow types that are declared as one of these, and what is to be said of that.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) created: &'static [(&'static str, &'static str)],
}
