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
        ("char(20)", "at most so many characters, without spaces at the end"),
        ("varchar(20)", "at most so many characters"),
        ("text", "at most 65,535 bytes; `tinytext`, `mediumtext` and `longtext` as many as they hold"),
    ],
    created: &[("Utf8", BYTEWISE), ("LargeUtf8", BYTEWISE), ("Utf8View", BYTEWISE), ("Null", BYTEWISE)],
};

fn codec(declared: &Declared<'_>) -> Option<Arc<dyn Codec>> {
    let texts = declared.texts();
    let limit = match declared.name {
        "char" => return Some(Arc::new(Char { length: declared.number(1), texts })),
        "varchar" => Limit::Characters(declared.number(0)),
        "tinytext" => Limit::Bytes(0xff),
        "text" => Limit::Bytes(0xffff),
        "mediumtext" => Limit::Bytes(0xff_ffff),
        "longtext" => Limit::Bytes(0xffff_ffff),
        _ => return None,
    };
    Some(Arc::new(Text { limit, texts }))
}

fn declare(new: &NewType<'_>) -> Option<String> {
    let name = match new.data_type {
        Utf8 | LargeUtf8 | Utf8View | Null if new.is_key => "varchar(255)",
        Utf8 | LargeUtf8 | Utf8View | Null => "longtext",
        _ => return None,
    };
    Some(format!("{name} CHARACTER SET utf8mb4 COLLATE {}", new.flavor.bytewise_collation()))
}

/// `char(n)`: it loses the spaces at its end.
#[derive(Debug)]
struct Char {
    length: usize,
    texts: Texts,
}

impl Codec for Char {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn comparison(&self) -> Comparison {
        match self.texts {
            // A text that the column's character set lacks is an error there.
            Texts::Converted => Comparison::Differs,
            _ => Comparison::Folded,
        }
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_string().then_some(Utf8View)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let texts = array.as_string_view();
        Limit::Characters(self.length).check(texts, |row| texts.value(row).as_bytes())?;
        if let Some(row) = first_row_where(texts, |row| texts.value(row).ends_with(' ')) {
            return Err(misfit(array, row, "ends with a space, which a CHAR column drops: use rtrim(x)"));
        }
        Ok(fields::texts(texts, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values.texts(to)?))
    }

    fn loaded(&self, variable: &str) -> Option<String> {
        self.texts.loaded(variable)
    }
}

/// `varchar(n)`, `text`.
#[derive(Debug)]
struct Text {
    limit: Limit,
    texts: Texts,
}

impl Codec for Text {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn comparison(&self) -> Comparison {
        match (self.texts, self.limit) {
            // A text that the column's character set lacks is an error there.
            (Texts::Converted, _) => Comparison::Differs,
            // The server sorts by the first bytes (max_sort_length).
            (Texts::Bytewise, Limit::Characters(0..=255)) => Comparison::Exact,
            (Texts::Bytewise, _) => Comparison::Equality,
            (Texts::Folded, _) => Comparison::Folded,
        }
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_string().then_some(Utf8View)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let texts = array.as_string_view();
        match (self.limit, self.texts) {
            // Bytes of another character set are the server's to count.
            (Limit::Bytes(_), Texts::Converted) => {}
            (limit, _) => limit.check(texts, |row| texts.value(row).as_bytes())?,
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
        true
    }

    fn default_is_expression(&self) -> bool {
        matches!(self.limit, Limit::Bytes(_))
    }
}
