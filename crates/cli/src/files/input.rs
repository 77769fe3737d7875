//! The bytes of a file, or of standard input.

#![expect(clippy::disallowed_types, reason = "taken once, when standard input is opened")]

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::sync::mpsc;

use datafusion_landfall::error::{Error, ErrorKind};

use super::reading::Reading;

/// Bytes that are read of a file at a time.
const READ_BYTES: u64 = 1 << 20;

/// Bytes that are read of standard input at a time.
const STDIN_BYTES: usize = 256 << 10;

/// Bytes of standard input from which the types of a new table are inferred.
const SAMPLE_BYTES: usize = 16 << 20;

/// Where bytes come from.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// A file, as it was when the load was planned.
    File { store: Arc<dyn ObjectStore>, meta: Box<ObjectMeta>, reading: Reading },
    /// Standard input, which can be read once.
    Stdin(Arc<Stdin>),
}

impl Input {
    /// What identifies the contents of a file: another size or version is another content.
    pub(super) fn version(&self) -> String {
        match self {
            Self::File { meta, .. } => {
                format!("{} {}", meta.size, meta.e_tag.as_deref().unwrap_or_default().trim_matches('"'))
            }
            Self::Stdin(_) => String::new(),
        }
    }

    /// The bytes, decompressed.
    pub(super) fn open(&self, compression: FileCompressionType) -> DfResult<BoxStream<'static, DfResult<Bytes>>> {
        let bytes = match self {
            Self::File { store, meta, reading } => {
                let reading = reading.clone();
                ranges(store, meta).inspect_ok(move |part| reading.add(part.len())).boxed()
            }
            Self::Stdin(stdin) => stdin.open()?,
        };
        compression.convert_stream(bytes)
    }

    /// The first bytes, decompressed, as often as wanted; and whether they are all.
    pub(super) fn sample(
        &self,
        compression: FileCompressionType,
    ) -> DfResult<(BoxStream<'static, DfResult<Bytes>>, bool)> {
        match self {
            Self::File { store, meta, .. } => Ok((compression.convert_stream(ranges(store, meta))?, true)),
            Self::Stdin(stdin) => {
                let first = stream::iter([Ok(stdin.first.clone())]).boxed();
                Ok((compression.convert_stream(first)?, stdin.is_whole))
            }
        }
    }
}

/// A file in parts, the next of which is read while one is used.
fn ranges(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> BoxStream<'static, DfResult<Bytes>> {
    let starts = (0..meta.size).step_by(usize::try_from(READ_BYTES).unwrap_or(usize::MAX));
    let reads: Vec<_> = starts
        .map(|start| {
            let (store, meta) = (Arc::clone(store), meta.clone());
            let range = start..(start + READ_BYTES).min(meta.size);
            async move {
                let options =
                    GetOptions::new().with_range(Some(GetRange::Bounded(range))).with_if_match(meta.e_tag.clone());
                let read = match store.get_opts(&meta.location, options).await {
                    Ok(found) => found.bytes().await,
                    Err(error) => Err(error),
                };
                read.map_err(|error| match error {
                    object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => {
                        changed(&meta, error)
                    }
                    error => DataFusionError::from(error),
                })
            }
        })
        .collect();
    stream::iter(reads).buffered(2).boxed()
}

fn changed(meta: &ObjectMeta, error: object_store::Error) -> DataFusionError {
    let text = format!("file {} was changed or removed while it was read: load the file again", meta.location);
    Error::new(ErrorKind::Input, text).with_source(error).into()
}

/// Standard input, with its first bytes in memory.
pub(super) struct Stdin {
    first: Bytes,
    is_whole: bool,
    rest: Mutex<Option<mpsc::Receiver<DfResult<Bytes>>>>,
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin")
            .field("first", &self.first.len())
            .field("is_whole", &self.is_whole)
            .finish_non_exhaustive()
    }
}

impl Stdin {
    /// Starts to read it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn start() -> DfResult<Self> {
        let (sender, mut parts) = mpsc::channel(4);
        // Not tokio's standard input: a blocking thread of the runtime would be waited for at its end.
        std::thread::spawn(move || read_stdin(&sender));
        let mut first = Vec::new();
        while first.len() < SAMPLE_BYTES {
            match parts.recv().await.transpose()? {
                Some(part) => first.extend_from_slice(&part),
                None => return Ok(Self { first: first.into(), is_whole: true, rest: Mutex::new(None) }),
            }
        }
        Ok(Self { first: first.into(), is_whole: false, rest: Mutex::new(Some(parts)) })
    }

    /// Its first bytes.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    pub(super) fn open(&self) -> DfResult<BoxStream<'static, DfResult<Bytes>>> {
        let first = stream::iter([Ok(self.first.clone())]);
        if self.is_whole {
            return Ok(first.boxed());
        }
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rest = rest.ok_or_else(|| {
            let text = "standard input can be read only once, so the load cannot be retried after a failure: load a \
                        file instead";
            DataFusionError::from(Error::new(ErrorKind::Input, text))
        })?;
        let rest = stream::unfold(rest, |mut rest| async move { Some((rest.recv().await?, rest)) });
        Ok(first.chain(rest).boxed())
    }
}

fn read_stdin(sender: &mpsc::Sender<DfResult<Bytes>>) {
    let mut stdin = std::io::stdin().lock();
    loop {
        let mut part = vec![0; STDIN_BYTES];
        let read = stdin.read(&mut part).map(|length| {
            part.truncate(length);
            Bytes::from(part)
        });
        let ends = !matches!(&read, Ok(part) if !part.is_empty());
        let failed = |error| Error::new(ErrorKind::Input, "could not read standard input").with_source(error).into();
        if matches!(&read, Ok(part) if part.is_empty()) || sender.blocking_send(read.map_err(failed)).is_err() || ends {
            return;
        }
    }
}
