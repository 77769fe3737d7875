//! `tinyint` to `bigint`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};

use super::values::integer;
use super::{Codec, Declared, Family, NewType, Values};
use crate::backend::Comparison;
use crate::columnar::check_range;
use crate::error::{Error, Result};
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec,
    declare,
    types: &[
        ("tinyint(4)", ""),
        ("tinyint(3) unsigned", ""),
        ("smallint(6)", ""),
        ("smallint(5) unsigned", ""),
        ("mediumint(9)", ""),
        ("mediumint(8) unsigned", ""),
        ("int(11)", ""),
        ("int(10) unsigned", ""),
        ("bigint(20)", ""),
        ("bigint(20) unsigned", ""),
    ],
    created: &[
        ("Int8", ""),
        ("Int16", ""),
        ("Int32", ""),
        ("Int64", ""),
        ("UInt8", ""),
        ("UInt16", ""),
        ("UInt32", ""),
        ("UInt64", ""),
    ],
};

fn codec(declared: &Declared<'_>) -> Option<Arc<dyn Codec>> {
    let bits = match declared.name {
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        "bigint" => 64,
        _ => return None,
    };
    Some(Arc::new(Int { bits, is_unsigned: declared.is_unsigned }))
}

fn declare(new: &NewType<'_>) -> Option<String> {
    let declared = match new.data_type {
        Int8 => "tinyint",
        Int16 => "smallint",
        Int32 => "int",
        Int64 => "bigint",
        UInt8 => "tinyint unsigned",
        UInt16 => "smallint unsigned",
        UInt32 => "int unsigned",
        UInt64 => "bigint unsigned",
        _ => return None,
    };
    Some(declared.into())
}

#[derive(Debug)]
struct Int {
    bits: u32,
    is_unsigned: bool,
}

impl Codec for Int {
    /// The smallest type of Arrow that holds them.
    fn arrow_type(&self) -> DataType {
        match (self.bits, self.is_unsigned) {
            (8, false) => Int8,
            (16, false) => Int16,
            (24 | 32, false) => Int32,
            (_, false) => Int64,
            (8, true) => UInt8,
            (16, true) => UInt16,
            (24 | 32, true) => UInt32,
            (_, true) => UInt64,
        }
    }

    fn reads_as(&self, to: &DataType) -> bool {
        *to == self.arrow_type() || *to == Boolean
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_numeric().then(|| self.arrow_type())
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        const WHY: &str = "does not fit MEDIUMINT";
        match (self.bits, self.is_unsigned) {
            (24, false) => check_range::<Int32Type>(array, -0x80_0000..=0x7f_ffff, WHY)?,
            (24, true) => check_range::<UInt32Type>(array, ..=0xff_ffff, WHY)?,
            _ => {}
        }
        Ok(match array.data_type() {
            Int8 => fields::integers::<Int8Type>(array, style),
            Int16 => fields::integers::<Int16Type>(array, style),
            Int32 => fields::integers::<Int32Type>(array, style),
            Int64 => fields::integers::<Int64Type>(array, style),
            UInt8 => fields::integers::<UInt8Type>(array, style),
            UInt16 => fields::integers::<UInt16Type>(array, style),
            UInt32 => fields::integers::<UInt32Type>(array, style),
            UInt64 => fields::integers::<UInt64Type>(array, style),
            other => return Err(Error::internal(format!("an integer of {other}"))),
        })
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match to {
            Boolean => values.booleans(integer),
            _ => values.integers(to),
        }
    }
}
