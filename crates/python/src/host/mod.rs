//! Tables, factories and catalogs for a DataFusion session of another library, such as the Python package `datafusion`.
//!
//! Its calls arrive on threads that do not know this library's runtime. All work of Landfall is therefore done by tasks of
//! that runtime, and the other library's plans are run on its own threads. Values of the two libraries are only exchanged
//! through channels.

mod catalog;
mod factory;
mod feed;
mod insert;
mod scan;
mod table;

pub(crate) use catalog::HostCatalog;
pub(crate) use factory::HostFactory;
pub(crate) use table::{Columns, HostTable};

use std::future::Future;

use datafusion::catalog::Session;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::{Error, ErrorKind};

use crate::errors::Failure;
use crate::process::Process;

/// An error for the other library, which takes its text only. It has no passwords.
fn told(failure: impl Into<Failure>) -> DataFusionError {
    DataFusionError::Execution(failure.into().text())
}

/// Begins a task of the runtime. The task is aborted when its handle is dropped.
fn spawn<T: Send + 'static>(
    process: &'static Process,
    future: impl Future<Output = DfResult<T>> + Send + 'static,
) -> SpawnedTask<DfResult<T>> {
    let _entered = process.runtime.enter();
    SpawnedTask::spawn(future)
}

/// Waits for a task, on any thread.
async fn ended<T: Send + 'static>(task: SpawnedTask<DfResult<T>>) -> DfResult<T> {
    match task.join().await {
        Ok(ended) => ended.map_err(told),
        Err(error) => Err(told(Failure::internal(error.to_string()))),
    }
}

/// A session of this library, with the batch size of the other one's.
fn own_session(process: &'static Process, session: &dyn Session) -> SessionContext {
    process.context(SessionConfig::new().with_batch_size(session.config().batch_size()))
}

/// Refuses options that need an input which can be read again. `format.` is DataFusion's prefix of an option in SQL.
pub(crate) fn check_options<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
    let keys = keys.into_iter().map(|key| key.strip_prefix("format.").unwrap_or(key));
    match keys.into_iter().find(|key| key.starts_with("checkpoint.")) {
        Some(key) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the option '{key}' is not supported for a table in a session of the package datafusion, because the \
                 queries of the session cannot be resumed at a checkpoint: remove the option, or use \
                 landfall.connect() or landfall.write()"
            ),
        )
        .into()),
        None => Ok(()),
    }
}
