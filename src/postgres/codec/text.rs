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
use super::{Codec, Collation, Family, Form};
use crate::backend::Comparison;
use crate::columnar::Limit;
use crate::error::Result;

/// Texts that the server stores unchanged.
#[derive(Debug)]
struct Text {
    limit: Option<Limit>,
    /// `text`, `varchar`, `char(n)`, `citext`; not `name`, nor enums.
    has_collation: bool,
}

/// Landfall does not support the binary format: values are sent and read as text.
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
    // The modifier includes the four bytes of a varlena's header.
    let length = usize::try_from(typmod - 4).ok();
    Some(match name {
        "text" | "citext" => Text::arc(None),
        "varchar" | "bpchar" => Text::arc(length.map(Limit::Characters)),
        "name" => Arc::new(Text { limit: Some(Limit::Bytes(63)), has_collation: false }),
        "char" => Arc::new(Other::Char),
        _ => return None,
    })
}

/// A type of CREATE TYPE … AS ENUM.
pub(in crate::postgres) fn enumeration() -> Arc<dyn Codec> {
    Arc::new(Text { limit: None, has_collation: false })
}

/// A type that Landfall has no codec for.
pub(in crate::postgres) fn other() -> Arc<dyn Codec> {
    Arc::new(Other::Any)
}

fn declare(data_type: &DataType) -> Option<String> {
    (data_type.is_string() || *data_type == Null).then(|| "text".into())
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let text = |declared, name, typmod, limits| {
        let codec = codec(name, typmod).expect("it is one of these");
        Example { declared, codec, limits }
    };
    vec![
        text("text", "text", -1, ""),
        text("character varying(20)", "varchar", 24, "at most 20 characters"),
        text("character(3)", "bpchar", 7, "at most 3 characters; the server pads them with spaces"),
        text("name", "name", -1, "at most 63 bytes"),
        text("citext", "citext", -1, ""),
        text("\"char\"", "char", -1, "at most one byte"),
        Example { declared: "enums", codec: enumeration(), limits: "labels of the enum" },
    ]
}

impl Text {
    /// Whether a collation compares it.
    fn arc(limit: Option<Limit>) -> Arc<dyn Codec> {
        Arc::new(Self { limit, has_collation: true })
    }
}

impl Codec for Text {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn comparison(&self, collation: Collation) -> Comparison {
        match collation {
            Collation::Bytes if self.has_collation => Comparison::Exact,
            Collation::Deterministic if self.has_collation => Comparison::Equality,
            _ => Comparison::Differs,
        }
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        from.is_string().then(|| (from.clone(), Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        texts(array, self.limit, b"")
    }

    fn decode(&self, values: Values<'_>, _: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values::texts(values, 0)?))
    }

    fn has_collation(&self) -> bool {
        self.has_collation
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
        from.is_string().then(|| (from.clone(), Form::Text))
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
