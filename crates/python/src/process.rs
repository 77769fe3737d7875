//! What a process has once: the runtime, and the manager of its transactions.

#![expect(clippy::disallowed_types, reason = "taken once for each call from Python")]

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::manager::TransactionManager;
use datafusion_landfall::register;
use pyo3::PyResult;
use tokio::runtime::{Builder, Runtime};

use crate::errors::{Failure, config};
use crate::logs;

/// The runtime of this process, and the manager that knows the jobs which run in it.
#[derive(Debug)]
pub(crate) struct Process {
    id: u32,
    pub(crate) runtime: Runtime,
    manager: Arc<TransactionManager>,
}

static PROCESS: Mutex<Option<&'static Process>> = Mutex::new(None);

impl Process {
    /// The one of this process. The threads of a runtime do not exist in a forked child: a child gets a runtime of its own,
    /// and the parent's is never dropped, because that would wait for its threads.
    pub(crate) fn current() -> PyResult<&'static Self> {
        let mut current = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let id = std::process::id();
        if let Some(process) = current.filter(|process| process.id == id) {
            return Ok(process);
        }
        logs::install();
        let runtime = Builder::new_multi_thread().enable_all().thread_name("landfall").build()?;
        let process: &'static Self = Box::leak(Box::new(Self { id, runtime, manager: Arc::default() }));
        *current = Some(process);
        Ok(process)
    }

    /// A session in which Landfall is registered.
    pub(crate) fn context(&self, mut config: SessionConfig) -> SessionContext {
        config = config.with_information_schema(true);
        // Without a zone, DataFusion reads TIMESTAMP WITH TIME ZONE as a time without one.
        config.options_mut().execution.time_zone = Some("+00:00".into());
        let context = SessionContext::new_with_config(config);
        register(&context);
        context.state_ref().write().config_mut().set_extension(Arc::clone(&self.manager));
        context
    }
}

/// A value that has connections of a process. It is not dropped in a forked child, which shares the parent's epoll instance:
/// closing a connection there would take it out of the parent's, too, and the parent would wait for it for ever.
#[derive(Debug)]
pub(crate) struct Owned<T> {
    process: &'static Process,
    value: Option<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(process: &'static Process, value: T) -> Self {
        Self { process, value: Some(value) }
    }

    /// The process that owns it.
    pub(crate) fn process(&self) -> &'static Process {
        self.process
    }

    /// The value, in the process that owns it.
    pub(crate) fn get(&self) -> Result<&T, Failure> {
        self.value.as_ref().filter(|_| self.process.id == std::process::id()).ok_or_else(foreign)
    }

    /// The value, in the process that owns it.
    pub(crate) fn get_mut(&mut self) -> Result<&mut T, Failure> {
        self.value.as_mut().filter(|_| self.process.id == std::process::id()).ok_or_else(foreign)
    }
}

fn foreign() -> Failure {
    config(
        "this object was opened before the process was forked: open it again in this process, for example with \
         landfall.connect()",
    )
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.process.id != std::process::id() {
            mem::forget(self.value.take());
        }
    }
}
