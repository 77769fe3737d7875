//! Work on Arrow arrays that needs no database: which rows of two batches differ.

mod align;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod check;
pub mod compare;
mod conform;
mod dedup;
mod iso8601;
pub(crate) mod json;
mod keys;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod limit;
mod size;
mod text;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod truncate;

pub(crate) use align::Alignment;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use check::{check, check_digits, check_range};
pub(crate) use conform::{Conform, first_row_where, list_item, misfit, plain, recode};
pub(crate) use dedup::{LastRows, Seen};
pub(crate) use iso8601::IsoText;
pub(crate) use keys::{KeyForm, Keys, dense_range};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use limit::Limit;
pub(crate) use size::batch_bytes;
pub(crate) use text::to_text;
#[cfg(feature = "sqlite")]
pub(crate) use text::undecodable;
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) use text::{each, from_text};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use truncate::{truncate_nanoseconds, without_nanoseconds};
