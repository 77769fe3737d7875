//! Text files as sources of rows.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::execution::TaskContext;
use futures::{StreamExt, stream};

use datafusion_landfall::load::SAMPLE_ROWS;
use datafusion_landfall::provider::{PositionedStream, ReplayableSource};

use super::places::{Found, input_error};
use super::records::Records;
use super::text_file::{Start, TextFile};
use super::text_format::{Layout, TextFormat};

/// The text files, with their columns.
pub(super) async fn texts(
    inputs: Vec<Found>,
    format: &TextFormat,
    names: Option<Vec<String>>,
) -> DfResult<Vec<TextFile>> {
    let mut files = Vec::new();
    for Found { name, url, input } in inputs {
        let mut file = TextFile::new(name, url, input, format.clone());
        let columns = match &names {
            Some(names) => names.clone(),
            None => file.names(SAMPLE_ROWS).await?,
        };
        if let Some(twice) = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(name)) {
            return Err(input_error(format!(
                "file {} has two columns named \"{}\": rename one of them",
                file.name, twice.1
            )));
        }
        if columns.is_empty() {
            return Err(input_error(format!("file {} has no columns", file.name)));
        }
        file.set_columns(columns);
        files.push(file);
    }
    let first = &files[0];
    if format.layout == Layout::JsonLines {
        let mut all: Vec<String> = Vec::new();
        for name in files.iter().flat_map(|file| file.columns.iter()) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        files.iter_mut().for_each(|file| file.set_columns(all.clone()));
        return Ok(files);
    }
    let (columns, name) = (Arc::clone(&first.columns), first.name.clone());
    for file in &mut files {
        file.order_as(&columns).map_err(|()| {
            input_error(format!(
                "the files have different columns: {} has ({}), but {name} has ({}); load the files separately",
                file.name,
                file.columns.join(", "),
                columns.join(", ")
            ))
        })?;
    }
    Ok(files)
}

impl TextFile {
    /// The names of the columns: of the first line, or of all members of the first objects.
    pub(super) async fn names(&self, rows: usize) -> DfResult<Vec<String>> {
        let (mut parts, is_whole) = self.input.sample(self.format.compression)?;
        let mut records = Records::new(self, None);
        let mut names: Vec<String> = Vec::new();
        let mut seen = 0;
        while let Some(part) = parts.next().await {
            records.add(&part?, false)?;
            if records.names(&mut names, &mut seen, rows, false)? {
                return Ok(names);
            }
        }
        records.add(&[], true)?;
        records.names(&mut names, &mut seen, rows, is_whole)?;
        Ok(names)
    }
}

impl ReplayableSource for TextFile {
    fn name(&self) -> String {
        self.url.clone() + &self.format.to_string()
    }

    fn schema(&self) -> SchemaRef {
        Self::schema(self)
    }

    fn read(&self, position: Option<&str>, _: Arc<TaskContext>) -> DfResult<PositionedStream> {
        let start = position.map(|position| Start::parse(self, position)).transpose()?;
        let (parts, is_whole) = self.open()?;
        let records = Records::new(self, start);
        let state = (self.clone(), parts, records, false);
        let batches = stream::try_unfold(state, move |(file, mut parts, mut records, mut is_at_end)| async move {
            loop {
                if let Some(batch) = records.batch(&file, is_at_end, is_whole)? {
                    return Ok(Some((batch, (file, parts, records, is_at_end))));
                }
                if is_at_end {
                    return Ok(None);
                }
                match parts.next().await {
                    Some(part) => records.add(&part?, false)?,
                    None => {
                        records.add(&[], true)?;
                        is_at_end = true;
                    }
                }
            }
        });
        Ok(batches.boxed())
    }
}
