//! Standard input as a file, for formats whose contents are at the end.

use std::io::{self, Write};
use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use object_store::local::LocalFileSystem;
use tempfile::TempDir;
use url::Url;

use datafusion_landfall::error::{Error, ErrorKind};

use super::input::Stdin;

/// The store and the name of the file: the same in each run, so that a job knows it again.
const STORE: &str = "stdin://stdin/";
const FILE: &str = "input";

/// A temporary file with all of standard input, which is removed with it.
#[derive(Debug)]
pub(super) struct Spool {
    /// Held until the load ends.
    _folder: TempDir,
    pub(super) url: ListingTableUrl,
}

impl Spool {
    /// Copies standard input to a temporary file, whose store is then known to the session.
    ///
    /// # Errors
    /// `Input` if standard input cannot be read, or the folder for temporary files cannot hold it.
    pub(super) async fn fill(context: &SessionContext, stdin: &Stdin) -> DfResult<Self> {
        let folder = tempfile::Builder::new().prefix("landfall-").tempdir().map_err(full)?;
        let mut file = std::fs::File::create(folder.path().join(FILE)).map_err(full)?;
        let mut parts = stdin.open()?;
        while let Some(part) = parts.next().await.transpose()? {
            file.write_all(&part).map_err(full)?;
        }
        file.flush().map_err(full)?;
        let store = LocalFileSystem::new_with_prefix(folder.path())?;
        let base = Url::parse(STORE).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        context.runtime_env().register_object_store(&base, Arc::new(store));
        Ok(Self { _folder: folder, url: ListingTableUrl::parse(format!("{STORE}{FILE}"))? })
    }
}

/// An error of the folder for temporary files.
fn full(error: io::Error) -> Error {
    let what = format!(
        "standard input could not be copied to a temporary file in the folder '{}'",
        std::env::temp_dir().display()
    );
    let text = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            format!("{what}, whose disk is full: set the environment variable TMPDIR to a folder with more space")
        }
        _ => format!("{what}: set the environment variable TMPDIR to another folder"),
    };
    Error::new(ErrorKind::Input, text).with_source(error)
}
