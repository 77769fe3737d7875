//! How values of Arrow types are stored: a file for each form.
//!
//! A new Arrow type, or a new form of one, is a [`Codec`] in a file with its [`Family`], and a line in `FAMILIES` of
//! [`types`](super::types). The table of the documentation is made from these.

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

    /// For the documentation: what is to be said of the values.
    #[cfg_attr(not(test), expect(dead_code))]
    fn stored_as(&self) -> &'static str {
        ""
    }

    /// Whether a comparison in the database gives DataFusion's answer.
    fn comparison(&self) -> Comparison {
        Comparison::Differs
    }

    /// Whether an array can be stored.
    fn is_written(&self) -> bool {
        true
    }

    /// Whether numbers found among texts are read as their digits.
    fn takes_numbers(&self) -> bool {
        false
    }

    /// Whether the column makes numbers of the texts that are its digits.
    fn is_made_number(&self) -> bool {
        false
    }

    /// Stores an array of the Arrow type.
    ///
    /// # Errors
    /// `Encode`, at the row whose value cannot be stored unchanged.
    fn store(&self, array: &ArrayRef) -> Result<Stored>;

    /// What was stored as an array of the Arrow type.
    ///
    /// # Errors
    /// `Decode`, at the row whose value is not of the type.
    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef>;
}

/// Arrow types that have a form in common.
pub(super) struct Family {
    /// The codec of a plain Arrow type in a column of that affinity; `None` where it is none of these.
    pub(super) codec: fn(&DataType, Affinity) -> Option<Arc<dyn Codec>>,
    /// The declared type of an Arrow type where that is not the type's name in quotes.
    pub(super) declare: fn(&DataType, Uint64) -> Option<String>,
    /// The Arrow type of a declared type of others: its word in capitals, and what stands in parentheses behind it.
    pub(super) declared: fn(&str, Option<&str>) -> Option<DataType>,
    /// For the documentation: Arrow types by their names.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) types: &'static [&'static str],
}
