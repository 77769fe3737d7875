//! The values of a column, in the driver's type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryViewBuilder, BooleanBuilder, PrimitiveArray, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use mysql_async::{Row, Value};

use crate::error::{Error, ErrorKind, Result};

/// The values of a column in some rows.
#[derive(Debug, Clone, Copy)]
pub(in crate::mysql) struct Values<'r> {
    rows: &'r [Row],
    column: usize,
}

impl<'r> Values<'r> {
    /// The values of a column, by index.
    pub(in crate::mysql) fn new(rows: &'r [Row], column: usize) -> Self {
        Self { rows, column }
    }

    pub(super) fn len(self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'r Value> {
        self.rows.iter().map(move |row| row.as_ref(self.column).unwrap_or(&Value::NULL))
    }

    pub(super) fn primitive<T: ArrowPrimitiveType>(
        self,
        to: &DataType,
        native: impl Fn(&Value) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let natives = self.iter().map(|value| match value {
            Value::NULL => Ok(None),
            value => native(value).map(Some).ok_or_else(|| unreadable(value, to)),
        });
        let natives = natives.collect::<Result<PrimitiveArray<T>>>()?;
        Ok(Arc::new(natives.with_data_type(to.clone())))
    }

    /// Numbers as booleans: 0 or 1.
    pub(super) fn booleans(self, number: impl Fn(&Value) -> Option<i128>) -> Result<ArrayRef> {
        let mut booleans = BooleanBuilder::new();
        for value in self.iter() {
            match (value, number(value)) {
                (Value::NULL, _) => booleans.append_null(),
                (_, Some(number @ 0..=1)) => booleans.append_value(number == 1),
                _ => return Err(unreadable(value, &Boolean)),
            }
        }
        Ok(Arc::new(booleans.finish()))
    }

    pub(super) fn integers(self, to: &DataType) -> Result<ArrayRef> {
        match to {
            Int8 => self.integers_of::<Int8Type>(to),
            Int16 => self.integers_of::<Int16Type>(to),
            Int32 => self.integers_of::<Int32Type>(to),
            Int64 => self.integers_of::<Int64Type>(to),
            UInt8 => self.integers_of::<UInt8Type>(to),
            UInt16 => self.integers_of::<UInt16Type>(to),
            UInt32 => self.integers_of::<UInt32Type>(to),
            UInt64 => self.integers_of::<UInt64Type>(to),
            other => Err(Error::internal(format!("{other} is not an integer"))),
        }
    }

    fn integers_of<T: ArrowPrimitiveType>(self, to: &DataType) -> Result<ArrayRef>
    where
        T::Native: TryFrom<i128>,
    {
        self.primitive::<T>(to, |value| integer(value)?.try_into().ok())
    }

    pub(super) fn texts(self, to: &DataType) -> Result<StringViewArray> {
        let mut texts = StringViewBuilder::new();
        for value in self.iter() {
            match value {
                Value::NULL => texts.append_null(),
                Value::Bytes(bytes) => texts.append_value(
                    std::str::from_utf8(bytes)
                        .map_err(|_| Error::new(ErrorKind::Decode, "the server sent text that is not UTF-8"))?,
                ),
                other => return Err(unreadable(other, to)),
            }
        }
        Ok(texts.finish())
    }

    pub(super) fn blobs(self, to: &DataType) -> Result<ArrayRef> {
        let mut blobs = BinaryViewBuilder::with_capacity(self.rows.len());
        for value in self.iter() {
            match value {
                Value::NULL => blobs.append_null(),
                Value::Bytes(bytes) => blobs.append_value(bytes),
                other => return Err(unreadable(other, to)),
            }
        }
        Ok(Arc::new(blobs.finish()))
    }
}

pub(super) fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(value) => Some((*value).into()),
        Value::UInt(value) => Some((*value).into()),
        _ => None,
    }
}

/// The error for a value that cannot be read.
pub(super) fn unreadable(value: &Value, to: &DataType) -> Error {
    let shown = match value {
        Value::Date(year, month, day, ..) => format!("{year:04}-{month:02}-{day:02}"),
        Value::Time(negative, days, hours, minutes, seconds, _) => {
            let sign = if *negative { "-" } else { "" };
            format!("{sign}{}:{minutes:02}:{seconds:02}", u64::from(*days) * 24 + u64::from(*hours))
        }
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        _ => "a value".to_owned(),
    };
    let next = match value {
        Value::Time(..) => {
            "read the table through a view that converts the value, for example with TIME_TO_SEC, or register this \
             column as an Arrow Duration"
        }
        Value::Int(_) | Value::UInt(_) if *to == Boolean => "register the table with this column as TINYINT",
        _ => "read the table through a view that converts the value or leaves out its row",
    };
    Error::new(ErrorKind::Decode, format!("{shown} cannot be read as {to}: {next}"))
}
