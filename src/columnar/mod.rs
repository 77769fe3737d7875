//! Work on Arrow arrays that needs no database.

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod check;
mod conform;
mod iso8601;
pub(crate) mod json;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod limit;
mod size;
mod text;
mod truncate;

#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use check::{check, check_digits, check_range};
pub(crate) use conform::{Conform, first_row_where, list_item, misfit, plain, recode};
pub(crate) use iso8601::IsoText;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use limit::Limit;
pub(crate) use size::batch_bytes;
pub(crate) use text::{each, from_text, to_text, undecodable};
pub(crate) use truncate::{truncate_nanoseconds, without_nanoseconds};
