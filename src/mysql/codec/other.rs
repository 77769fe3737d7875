//! Types of no family, such as geometries and vectors: they are read, but not written.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};

use super::{Codec, Values};
use crate::error::{Error, Result};
use crate::mysql::fields::{Fields, Style};

#[derive(Debug)]
pub(in crate::mysql) struct Other;

impl Codec for Other {
    fn arrow_type(&self) -> DataType {
        BinaryView
    }

    fn accepts(&self, _from: &DataType) -> Option<DataType> {
        None
    }

    fn encode(&self, array: &ArrayRef, _style: Style) -> Result<Box<dyn Fields>> {
        Err(Error::internal(format!("{} for a column that cannot be written", array.data_type())))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        values.blobs(to)
    }

    fn is_written(&self) -> bool {
        false
    }
}
