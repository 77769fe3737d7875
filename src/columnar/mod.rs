//! Work on Arrow arrays that needs no database.

mod conform;
mod iso8601;
pub(crate) mod json;
mod text;
mod truncate;

pub(crate) use conform::{Conform, first_row_where, list_item, misfit, plain, recode};
pub(crate) use iso8601::IsoText;
pub(crate) use text::{each, from_text, to_text, undecodable};
pub(crate) use truncate::{truncate_nanoseconds, without_nanoseconds};
