//! `char(n)`, `varchar(n)` and `text`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, *};

use super::{Codec, Declared, Family, NewType, Texts, Values};
use crate::backend::Comparison;
use crate::columnar::{Limit, first_row_where, misfit};
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

const BYTEWISE: &str = "compared byte by byte";

pub(in crate::mysql) const FAMILY: Family = Family {
    codec,
    declare,
    types: &[
        ("char(20)", "at most 20 characters, without trailing spaces"),
        ("varchar(20)", "at most 20 characters"),
        ("text", "at most 65,535 bytes; `tinytext`, `mediumtext` and `longtext` have other limits"),
    ],
    created: &[("Utf8", BYTEWISE), ("LargeUtf8", BYTEWISE), ("Utf8View", BYTEWISE), ("Null", BYTEWISE)],
};

fn codec(declared: &Declared<'_>) -> Option<Arc<dyn Codec>> {
    let (limit, is_padded) = match declared.name {
        "char" => (Limit::Characters(declared.number(1)), true),
        "varchar" => (Limit::Characters(declared.number(0)), false),
        "tinytext" => (Limit::Bytes(0xff), false),
        "text" => (Limit::Bytes(0xffff), false),
        "mediumtext" => (Limit::Bytes(0xff_ffff), false),
        "longtext" => (Limit::Bytes(0xffff_ffff), false),
        _ => return None,
    };
    Some(Arc::new(Text { limit, is_padded, texts: declared.texts() }))
}

fn declare(new: &NewType<'_>) -> Option<String> {
    let name = match new.data_type {
        Utf8 | LargeUtf8 | Utf8View | Null if new.is_key => "varchar(255)",
        Utf8 | LargeUtf8 | Utf8View | Null => "longtext",
        _ => return None,
    };
    Some(format!("{name} CHARACTER SET utf8mb4 COLLATE {}", new.flavor.bytewise_collation()))
}

/// `char(n)`, `varchar(n)`, `text`.
#[derive(Debug)]
struct Text {
    limit: Limit,
    /// `char(n)`, which loses trailing spaces.
    is_padded: bool,
    texts: Texts,
}

impl Codec for Text {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn comparison(&self) -> Comparison {
        match (self.texts, self.limit) {
            // The server sorts by the first bytes only (max_sort_length).
            (Texts::Bytewise, Limit::Characters(0..=255)) if !self.is_padded => Comparison::Exact,
            (Texts::Bytewise, _) if !self.is_padded => Comparison::Equality,
            (texts, _) => texts.comparison(),
        }
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_string().then_some(Utf8View)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let texts = array.as_string_view();
        match (self.limit, self.texts) {
            // In another character set, the server checks the number of bytes.
            (Limit::Bytes(_), Texts::Converted) => {}
            (limit, _) => limit.check(texts, |row| texts.value(row).as_bytes())?,
        }
        if self.is_padded
            && let Some(row) = first_row_where(texts, |row| texts.value(row).ends_with(' '))
        {
            return Err(misfit(
                array,
                row,
                "ends with a space, but MySQL removes trailing spaces from CHAR values: use rtrim(x)",
            ));
        }
        Ok(fields::texts(texts, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values.texts(to)?))
    }

    fn loaded(&self, variable: &str) -> Option<String> {
        self.texts.loaded(variable)
    }

    fn is_text(&self) -> bool {
        !self.is_padded
    }

    fn default_is_expression(&self) -> bool {
        matches!(self.limit, Limit::Bytes(_))
    }
}
