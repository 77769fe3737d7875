//! Operations on Arrow arrays without a database: comparing batches, and inferring the types of texts.

mod align;
mod assign;
mod check;
pub mod compare;
mod date_format;
mod dedup;

mod infer;
mod iso8601;
pub(crate) mod json;
mod key_counts;
mod keys;
mod limit;
mod lossless_cast;
mod sift;
mod size;
mod structs;
mod text;
mod text_values;
mod truncate;
#[cfg(test)]
pub(crate) mod type_table;
mod value_formats;

pub(crate) use align::Alignment;
pub use assign::whole_and_places;
pub(crate) use assign::{Assign, Assigned, widens};
pub use check::{check, check_digits, check_range};
pub(crate) use dedup::{LastRows, Seen};
pub use infer::infer_type;
pub(crate) use iso8601::{IsoText, fraction_digits};
pub(crate) use key_counts::{Counted, KeyCounts};
pub(crate) use keys::{KeyForm, Keys, dense_range};
pub use limit::Limit;
pub(crate) use lossless_cast::{LosslessCast, first_row_where, list_item, misfit, plain, recode};
pub(crate) use sift::sift;
pub(crate) use size::batch_bytes;
pub use structs::ValidStructs;
pub use text::each;
pub(crate) use text::from_text;
pub(crate) use text::to_text;
pub use text::undecodable;
pub use text_values::FromText;
pub(crate) use truncate::{truncate_nanoseconds, without_nanoseconds};
pub use value_formats::ValueFormats;
