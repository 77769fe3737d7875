//! A text file: its values are texts, or have the types of a table's columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::Result as DfResult;
use futures::stream::BoxStream;

use datafusion_landfall::columnar::FromText;
use datafusion_landfall::options::Nanoseconds;

use super::input::Input;
use super::position;
use super::text_format::TextFormat;

/// The metadata of a field whose texts are numbers of any size.
pub(crate) const NUMBER: &str = "landfall.number";

/// A text file.
#[derive(Debug, Clone)]
pub(super) struct TextFile {
    /// Its name in messages.
    pub(super) name: String,
    /// Its URL, by which a job knows it.
    pub(super) url: String,
    pub(super) input: Input,
    pub(super) format: TextFormat,
    /// The columns, in the order of the file.
    pub(super) columns: Arc<[String]>,
    /// The columns of a batch, by their place in the file.
    pub(super) order: Arc<[usize]>,
    /// Conversions of the columns in the file that are not texts.
    pub(super) types: Arc<[Option<FromText>]>,
    /// Whether only the first rows are read, as often as wanted.
    pub(super) is_sample: bool,
}

impl TextFile {
    /// A file without columns.
    pub(super) fn new(name: String, url: String, input: Input, format: TextFormat) -> Self {
        let (columns, order, types) = (Arc::from([]), Arc::from([]), Arc::from([]));
        Self { name, url, input, format, columns, order, types, is_sample: false }
    }

    /// Names its columns, in the order of the file.
    pub(super) fn set_columns(&mut self, columns: Vec<String>) {
        self.order = (0..columns.len()).collect();
        self.types = columns.iter().map(|_| None).collect();
        self.columns = columns.into();
    }

    /// Gives batches the columns in this order; an error if the file has others.
    pub(super) fn order_as(&mut self, columns: &[String]) -> Result<(), ()> {
        let places = columns.iter().map(|name| self.columns.iter().position(|own| own == name).ok_or(()));
        let order: Vec<_> = places.collect::<Result<_, _>>()?;
        if order.len() != self.columns.len() {
            return Err(());
        }
        self.order = order.into();
        Ok(())
    }

    /// The same file with the types that columns of these names have in `schema`.
    pub(super) fn typed(&self, schema: &Schema, nanoseconds: Nanoseconds) -> Self {
        let of = |column: &String| {
            let field = schema.field_with_name(column).ok().or_else(|| {
                let is_alike = |field: &&Arc<Field>| field.name().to_lowercase() == column.to_lowercase();
                schema.fields().iter().find(is_alike).map(AsRef::as_ref)
            });
            let (field, formats) = (field?, &self.format.formats);
            match field.metadata().contains_key(NUMBER) {
                true => FromText::number_texts(formats),
                false => FromText::try_new(field.data_type(), nanoseconds, formats),
            }
        };
        Self { types: self.columns.iter().map(of).collect(), is_sample: false, ..self.clone() }
    }

    /// The same file, of which only the first rows are wanted.
    pub(super) fn sample(&self) -> Self {
        Self { is_sample: true, ..self.clone() }
    }

    /// Whether the texts of a column are read as numbers in another form than the standard one.
    pub(super) fn reads_numbers(&self, column: usize) -> bool {
        let formats = &self.format.formats;
        self.is_sample && !formats.has_standard_numbers()
            || self.types[column].as_ref().is_some_and(FromText::reads_numbers)
    }

    /// The columns of a batch, with their types.
    pub(super) fn schema(&self) -> SchemaRef {
        let fields = self.order.iter().map(|column| {
            let from_text = self.types[*column].as_ref();
            let data_type = from_text.map_or(DataType::Utf8View, |from_text| from_text.data_type().clone());
            Field::new(&self.columns[*column], data_type, true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Its bytes, decompressed, and whether they are all.
    pub(super) fn open(&self) -> DfResult<(BoxStream<'static, DfResult<Bytes>>, bool)> {
        match self.is_sample {
            true => self.input.sample(self.format.compression),
            false => Ok((self.input.open(self.format.compression)?, true)),
        }
    }
}

/// A place between two records of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Bytes of the text before it, in UTF-8.
    pub(super) bytes: u64,
    /// Lines before it.
    pub(super) lines: u64,
}

impl Start {
    pub(super) fn parse(file: &TextFile, position: &str) -> DfResult<Self> {
        let [bytes, lines] = position::restored(&file.name, &file.input, position, ["bytes", "lines"])?;
        Ok(Self { bytes, lines })
    }
}
