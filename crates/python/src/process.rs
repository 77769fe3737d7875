//! What a process has once: the runtime, and the manager of its transactions.

#![expect(clippy::disallowed_types, reason = "taken once for each call from Python")]

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::manager::TransactionManager;
use datafusion_landfall::register;
use pyo3::PyResult;
use tokio::runtime::{Builder, Runtime};

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
        let runtime = Builder::new_multi_thread().enable_all().thread_name("landfall").build()?;
        let process: &'static Self = Box::leak(Box::new(Self { id, runtime, manager: Arc::default() }));
        *current = Some(process);
        Ok(process)
    }

    /// Whether this is the process that runs now, and not its parent.
    pub(crate) fn is_current(&self) -> bool {
        self.id == std::process::id()
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
