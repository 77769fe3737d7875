//! `binary(n)`, `varbinary(n)` and `blob`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryBuilder};
use arrow::datatypes::DataType::{self, *};
use mysql_async::Value;

use super::values::unreadable;
use super::{Codec, Declared, Family, NewType, Values};
use crate::columnar::{Limit, first_row_where, misfit, recode};
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec,
    declare,
    types: &[
        ("binary(16)", "exactly 16 bytes"),
        ("varbinary(20)", "at most 20 bytes"),
        ("blob", "at most 65,535 bytes; `tinyblob`, `mediumblob` and `longblob` have other limits"),
    ],
    created: &[
        ("Binary", ""),
        ("LargeBinary", ""),
        ("BinaryView", ""),
        ("FixedSizeBinary(300)", ""),
        ("FixedSizeBinary(16)", "at most 255 bytes"),
    ],
};

fn codec(declared: &Declared<'_>) -> Option<Arc<dyn Codec>> {
    let length = match declared.name {
        "binary" => Length::Exactly(declared.number(1)),
        "varbinary" => Length::AtMost(declared.number(0)),
        "tinyblob" => Length::OfBlob(0xff),
        "blob" => Length::OfBlob(0xffff),
        "mediumblob" => Length::OfBlob(0xff_ffff),
        "longblob" => Length::OfBlob(0xffff_ffff),
        _ => return None,
    };
    Some(Arc::new(Bytes { length }))
}

fn declare(new: &NewType<'_>) -> Option<String> {
    Some(match new.data_type {
        FixedSizeBinary(bytes @ 0..=255) => format!("binary({bytes})"),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
            if new.is_key { "varbinary(255)" } else { "longblob" }.into()
        }
        _ => return None,
    })
}

#[derive(Debug)]
struct Bytes {
    length: Length,
}

/// The limit of a value's length.
#[derive(Debug, Clone, Copy)]
enum Length {
    /// `binary(n)`: the server pads shorter values with zeros.
    Exactly(usize),
    /// `varbinary(n)`.
    AtMost(usize),
    /// At most, too.
    OfBlob(usize),
}

impl Codec for Bytes {
    fn arrow_type(&self) -> DataType {
        BinaryView
    }

    fn reads_as(&self, to: &DataType) -> bool {
        matches!(to, BinaryView | FixedSizeBinary(_))
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            // Arrow cannot cast BinaryView back, so a lossless cast is impossible.
            FixedSizeBinary(_) => Some(from.clone()),
            Binary | LargeBinary | BinaryView => Some(BinaryView),
            _ => None,
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let array = recode(array, &BinaryView)?;
        let blobs = array.as_binary_view();
        match self.length {
            Length::Exactly(length) => {
                if let Some(row) = first_row_where(blobs, |row| blobs.value(row).len() != length) {
                    let why =
                        format!("is not {length} bytes long, and the column would pad a shorter value with zeros");
                    return Err(misfit(&array, row, &why));
                }
            }
            Length::AtMost(most) | Length::OfBlob(most) => Limit::Bytes(most).check(blobs, |row| blobs.value(row))?,
        }
        Ok(fields::blobs(blobs, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        let FixedSizeBinary(length) = to else { return values.blobs(to) };
        let mut blobs = FixedSizeBinaryBuilder::with_capacity(values.len(), *length);
        for value in values.iter() {
            match value {
                Value::NULL => blobs.append_null(),
                Value::Bytes(bytes) if blobs.append_value(bytes).is_ok() => {}
                other => return Err(unreadable(other, to)),
            }
        }
        Ok(Arc::new(blobs.finish()))
    }

    fn default_is_expression(&self) -> bool {
        matches!(self.length, Length::OfBlob(_))
    }
}
