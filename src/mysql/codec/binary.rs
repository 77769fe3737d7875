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
        ("binary(16)", "exactly so many bytes"),
        ("varbinary(20)", "at most so many bytes"),
        ("blob", "at most 65,535 bytes; `tinyblob`, `mediumblob` and `longblob` as many as they hold"),
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
    let most = match declared.name {
        "binary" => return Some(Arc::new(FixedBytes { length: declared.number(1) })),
        "varbinary" => return Some(Arc::new(Bytes { most: declared.number(0), is_blob: false })),
        "tinyblob" => 0xff,
        "blob" => 0xffff,
        "mediumblob" => 0xff_ffff,
        "longblob" => 0xffff_ffff,
        _ => return None,
    };
    Some(Arc::new(Bytes { most, is_blob: true }))
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

fn accepts(from: &DataType) -> Option<DataType> {
    match from {
        // Arrow has no way back from BinaryView, by which it could be checked.
        FixedSizeBinary(_) => Some(from.clone()),
        Binary | LargeBinary | BinaryView => Some(BinaryView),
        _ => None,
    }
}

fn decode(values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
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

/// `binary(n)`: it is padded with zeros.
#[derive(Debug)]
struct FixedBytes {
    length: usize,
}

impl Codec for FixedBytes {
    fn arrow_type(&self) -> DataType {
        BinaryView
    }

    fn reads_as(&self, to: &DataType) -> bool {
        matches!(to, BinaryView | FixedSizeBinary(_))
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        accepts(from)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let array = recode(array, &BinaryView)?;
        let blobs = array.as_binary_view();
        if let Some(row) = first_row_where(blobs, |row| blobs.value(row).len() != self.length) {
            let why = format!("has another length than the {} bytes that its column pads with zeros", self.length);
            return Err(misfit(&array, row, &why));
        }
        Ok(fields::blobs(blobs, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        decode(values, to)
    }
}

/// `varbinary(n)`, `blob`.
#[derive(Debug)]
struct Bytes {
    most: usize,
    is_blob: bool,
}

impl Codec for Bytes {
    fn arrow_type(&self) -> DataType {
        BinaryView
    }

    fn reads_as(&self, to: &DataType) -> bool {
        matches!(to, BinaryView | FixedSizeBinary(_))
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        accepts(from)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let array = recode(array, &BinaryView)?;
        let blobs = array.as_binary_view();
        Limit::Bytes(self.most).check(blobs, |row| blobs.value(row))?;
        Ok(fields::blobs(blobs, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        decode(values, to)
    }

    fn default_is_expression(&self) -> bool {
        self.is_blob
    }
}
