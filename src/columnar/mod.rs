//! Work on Arrow arrays that needs no database.

mod conform;
mod iso8601;

pub(crate) use conform::{Conform, first_row_where, list_item, misfit, plain, recode};
pub(crate) use iso8601::{IsoText, fraction_digits, interval, parse_interval};
