//! `uuid`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::DataType::{self, *};
use uuid::Uuid;

use super::{Codec, Family, Texts, Values};
use crate::backend::Comparison;
use crate::columnar::{each, first_row_where, misfit};
use crate::error::{Error, ErrorKind, Result};
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec: |declared| (declared.name == "uuid").then(|| Arc::new(UuidCodec) as _),
    declare: |_| None,
    types: &[("uuid", "")],
    created: &[],
};

#[derive(Debug)]
struct UuidCodec;

impl Codec for UuidCodec {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn reads_as(&self, to: &DataType) -> bool {
        matches!(to, Utf8View | FixedSizeBinary(16))
    }

    fn comparison(&self) -> Comparison {
        Comparison::Folded
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            Utf8 | LargeUtf8 | Utf8View => Some(Utf8View),
            FixedSizeBinary(16) => Some(FixedSizeBinary(16)),
            _ => None,
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        if let FixedSizeBinary(_) = array.data_type() {
            return Ok(fields::texts(&uuids(array), style));
        }
        let texts = array.as_string_view();
        if let Some(row) = first_row_where(texts, |row| Uuid::try_parse(texts.value(row)).is_err()) {
            return Err(misfit(array, row, "is not a UUID"));
        }
        Ok(fields::texts(texts, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        let texts = values.texts(to)?;
        if *to == Utf8View {
            return Ok(Arc::new(texts));
        }
        let uuids = each(&texts, to, |text| Some(Uuid::try_parse(text).ok()?.into_bytes()))?;
        let uuids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids.into_iter(), 16);
        Ok(Arc::new(uuids.map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?))
    }

    /// The server would interpret bytes without a character set as the binary value.
    fn loaded(&self, variable: &str) -> Option<String> {
        Texts::Converted.loaded(variable)
    }
}

fn uuids(array: &ArrayRef) -> StringViewArray {
    let bytes = array.as_fixed_size_binary();
    let mut texts = StringViewBuilder::with_capacity(array.len());
    let mut buffer = Uuid::encode_buffer();
    for value in bytes {
        let uuid = value.and_then(|value| Uuid::from_slice(value).ok());
        texts.append_option(uuid.map(|uuid| uuid.hyphenated().encode_lower(&mut buffer).to_owned()));
    }
    texts.finish()
}
