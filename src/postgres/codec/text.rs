//! Texts, enums, and types that only the server can convert.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, Null, Utf8View};

use super::super::cells::Cells;
use super::super::rows::Values;
use super::super::texts::texts;
#[cfg(test)]
use super::Example;
use super::values;
use super::{Codec, Collation, Family, Form, binary, is_text};
use crate::backend::Comparison;
use crate::columnar::Limit;
use crate::error::Result;

/// `text`, `varchar`, `char(n)`, `citext`: at most so many characters.
#[derive(Debug)]
struct Text(Option<usize>);

/// Texts with rules of the server.
#[derive(Debug)]
enum Word {
    /// `name`: at most 63 bytes.
    Name,
    Enum,
}

/// Only the server knows its binary form: it is sent and read as text.
#[derive(Debug)]
enum Other {
    /// `"char"`, a single byte.
    Char,
    Any,
}

pub(in crate::postgres) const FAMILY: Family = Family {
    codec,
    declare,
    #[cfg(test)]
    examples,
};

fn codec(name: &str, typmod: i32) -> Option<Arc<dyn Codec>> {
    // A length has the four bytes of a varlena's header on top.
    let length = usize::try_from(typmod - 4).ok();
    Some(match name {
        "text" | "citext" => Arc::new(Text(None)),
        "varchar" | "bpchar" => Arc::new(Text(length)),
        "name" => Arc::new(Word::Name),
        "char" => Arc::new(Other::Char),
        _ => return None,
    })
}

/// A type of CREATE TYPE … AS ENUM.
pub(in crate::postgres) fn enumeration() -> Arc<dyn Codec> {
    Arc::new(Word::Enum)
}

/// A type that Landfall has no codec for.
pub(in crate::postgres) fn other() -> Arc<dyn Codec> {
    Arc::new(Other::Any)
}

fn declare(data_type: &DataType) -> Option<String> {
    (is_text(data_type) || *data_type == Null).then(|| "text".into())
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let text = |declared, limit, limits| Example { declared, codec: Arc::new(Text(limit)), limits };
    vec![
        text("text", None, ""),
        text("character varying(20)", Some(20), "at most so many characters"),
        text("character(3)", Some(3), "at most so many characters; the server pads them"),
        Example { declared: "name", codec: Arc::new(Word::Name), limits: "at most 63 bytes" },
        text("citext", None, ""),
        Example { declared: "\"char\"", codec: Arc::new(Other::Char), limits: "at most one byte" },
        Example { declared: "enums", codec: enumeration(), limits: "labels of the type" },
    ]
}

impl Codec for Text {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn comparison(&self, collation: Collation) -> Comparison {
        match collation {
            Collation::Bytes => Comparison::Exact,
            Collation::Deterministic => Comparison::Equality,
            Collation::Other => Comparison::Differs,
        }
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        is_text(from).then(|| binary(from.clone())).flatten()
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        texts(array, self.0.map(Limit::Characters), b"")
    }

    fn decode(&self, values: Values<'_>, _: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values::texts(values, 0)?))
    }

    fn has_collation(&self) -> bool {
        true
    }
}

impl Codec for Word {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        is_text(from).then(|| binary(from.clone())).flatten()
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let limit = match self {
            Self::Name => Some(Limit::Bytes(63)),
            Self::Enum => None,
        };
        texts(array, limit, b"")
    }

    fn decode(&self, values: Values<'_>, _: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values::texts(values, 0)?))
    }
}

impl Codec for Other {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn comparison(&self, _: Collation) -> Comparison {
        match self {
            Self::Char => Comparison::Differs,
            Self::Any => Comparison::Nothing,
        }
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        is_text(from).then(|| (from.clone(), Form::Text))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        self.encode_text(array)
    }

    fn encode_text(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let limit = match self {
            Self::Char => Some(Limit::Bytes(1)),
            Self::Any => None,
        };
        texts(array, limit, b"")
    }

    fn decode(&self, values: Values<'_>, _: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values::texts(values, 0)?))
    }

    fn is_text_only(&self) -> bool {
        true
    }
}
