//! How values of Arrow types are stored. Each form has a file.
//!
//! To add an Arrow type, or another form of one, add a [`Codec`] in a file with its [`Family`], and a line in `FAMILIES` of
//! [`types`](super::types). The table of the documentation is generated from them.

pub(super) mod blobs;
pub(super) mod booleans;
pub(super) mod decimals;
pub(super) mod integers;
pub(super) mod json;
pub(super) mod null;
pub(super) mod reals;
mod stored;
pub(super) mod temporal;
pub(super) mod texts;
pub(super) mod unsigned;

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::backend::Comparison;
use crate::error::Result;
use crate::sqlite::affinity::Affinity;
use crate::sqlite::options::Uint64;

pub(super) use stored::{Class, Stored};

/// The form in which values of an Arrow type are stored.
pub(super) trait Codec: fmt::Debug + Send + Sync {
    /// The storage class.
    fn class(&self) -> Class;

    /// For the documentation: a note on the stored values.
    #[cfg_attr(not(test), expect(dead_code))]
    fn stored_as(&self) -> &'static str {
        ""
    }

    /// How a comparison in the database differs from DataFusion's.
    fn comparison(&self) -> Comparison {
        Comparison::Differs
    }

    /// Whether arrays can be stored.
    fn is_written(&self) -> bool {
        true
    }

    /// Whether numbers among the stored texts are read as their digits.
    fn takes_numbers(&self) -> bool {
        false
    }

    /// Whether the column converts the stored digits to numbers.
    fn is_made_number(&self) -> bool {
        false
    }

    /// Stores an array of the Arrow type.
    ///
    /// # Errors
    /// `Encode`, with the row whose value cannot be stored unchanged.
    fn store(&self, array: &ArrayRef) -> Result<Stored>;

    /// Converts stored values to an array of the Arrow type.
    ///
    /// # Errors
    /// `Decode`, with the row whose value does not have the type.
    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef>;
}

/// Arrow types that are stored in the same form.
pub(super) struct Family {
    /// The codec of a plain Arrow type in a column of that affinity; `None` for other types.
    pub(super) codec: fn(&DataType, Affinity) -> Option<Arc<dyn Codec>>,
    /// The declared type of an Arrow type, if it is not the type's name in quotes.
    pub(super) declare: fn(&DataType, Uint64) -> Option<String>,
    /// The Arrow type of a type that another program declared: its name in capitals, and its arguments in parentheses.
    pub(super) declared: fn(&str, Option<&str>) -> Option<DataType>,
    /// For the documentation: Arrow types by their names.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) types: &'static [&'static str],
}
