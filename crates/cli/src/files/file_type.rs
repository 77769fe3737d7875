//! The type of a file and its compression, by its name.

use clap::ValueEnum;
use datafusion::common::Result as DfResult;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use super::places::{STDIN, input_error};

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileType {
    /// Values separated by commas
    Csv,
    /// Values separated by tabs
    Tsv,
    /// A JSON object on each line
    Json,
    /// Apache Parquet
    Parquet,
    /// Apache Avro
    Avro,
    /// The Arrow IPC format: files and streams
    Arrow,
}

impl FileType {
    const ENDINGS: [(&str, Self); 11] = [
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("tab", Self::Tsv),
        ("json", Self::Json),
        ("jsonl", Self::Json),
        ("ndjson", Self::Json),
        ("parquet", Self::Parquet),
        ("avro", Self::Avro),
        ("arrow", Self::Arrow),
        ("feather", Self::Arrow),
        ("ipc", Self::Arrow),
    ];

    /// The type that a name ends in, before the ending of its compression.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (path, _) = uncompressed(path);
        let ending = path.rsplit_once('.')?.1.to_ascii_lowercase();
        Self::ENDINGS.into_iter().find(|(known, _)| *known == ending).map(|(_, of)| of)
    }

    /// Whether its values are texts.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::Json)
    }

    pub(super) fn ending(self) -> &'static str {
        Self::ENDINGS.into_iter().find(|(_, of)| *of == self).map_or("", |(ending, _)| ending)
    }
}

/// A path without the ending of its compression, and that.
fn uncompressed(path: &str) -> (&str, FileCompressionType) {
    let types = [
        (".gz", FileCompressionType::GZIP),
        (".zst", FileCompressionType::ZSTD),
        (".bz2", FileCompressionType::BZIP2),
        (".xz", FileCompressionType::XZ),
    ];
    let found = types.into_iter().find_map(|(ending, compression)| Some((path.strip_suffix(ending)?, compression)));
    found.unwrap_or((path, FileCompressionType::UNCOMPRESSED))
}

/// The one type of all files.
pub(super) fn file_type(places: &[String], given: Option<FileType>) -> DfResult<FileType> {
    if let Some(given) = given {
        return Ok(given);
    }
    let mut types = places.iter().map(|place| {
        let what = if place == STDIN { "standard input".into() } else { format!("file {place}") };
        let unknown = || {
            input_error(format!(
                "could not infer the file type of {what}: specify the type, for example with --file-type csv"
            ))
        };
        FileType::of(place).ok_or_else(unknown)
    });
    let first = types.next().transpose()?.ok_or_else(|| input_error("no files to load are specified"))?;
    for (other, place) in types.zip(&places[1..]) {
        if other? != first {
            return Err(input_error(format!(
                "{place} and {} have different file types: load them separately",
                places[0]
            )));
        }
    }
    Ok(first)
}

/// The one compression of all files.
pub(super) fn compression(places: &[String]) -> DfResult<FileCompressionType> {
    let compressions: Vec<_> = places.iter().map(|file| uncompressed(file).1).collect();
    let first = compressions.first().copied().unwrap_or(FileCompressionType::UNCOMPRESSED);
    match compressions.iter().position(|other| *other != first) {
        None => Ok(first),
        Some(other) => Err(input_error(format!(
            "{} and {} have different compressions: load them separately",
            places[other], places[0]
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        for (name, expected) in [
            ("a.csv", Some(FileType::Csv)),
            ("b/a.CSV.gz", Some(FileType::Csv)),
            ("a.tsv.zst", Some(FileType::Tsv)),
            ("a.jsonl.xz", Some(FileType::Json)),
            ("https://host/a.parquet", Some(FileType::Parquet)),
            ("a.feather", Some(FileType::Arrow)),
            ("a.gz", None),
            ("a", None),
        ] {
            assert_eq!(FileType::of(name), expected, "{name}");
        }
    }
}
