//! `landfall.Table`, `landfall.TableFactory` and `landfall.Catalog`: capsules that the Python package `datafusion` takes.

use std::ffi::CStr;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion_ffi::catalog_provider::FFI_CatalogProvider;
use datafusion_ffi::proto::logical_extension_codec::FFI_LogicalExtensionCodec;
use datafusion_ffi::table_provider::FFI_TableProvider;
use datafusion_ffi::table_provider_factory::FFI_TableProviderFactory;
use datafusion_landfall::options::SinkOptions;
use datafusion_landfall::{LandfallCatalog, LandfallTable};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::errors::{Failure, config};
use crate::host::{Columns, HostCatalog, HostFactory, HostTable, check_options};
use crate::process::Process;
use crate::statement::Watch;
use crate::wait::wait;
use crate::write::option;

/// The capsule of a session's codec.
const CODEC: &CStr = c"datafusion_logical_extension_codec";

/// A table.
#[pyclass(frozen, module = "landfall._landfall")]
pub(crate) struct Table {
    table: Arc<HostTable>,
}

#[pymethods]
impl Table {
    #[new]
    fn new(
        py: Python<'_>,
        url: String,
        name: String,
        columns: Option<Vec<String>>,
        options: Vec<(String, String)>,
    ) -> PyResult<Self> {
        let process = Process::current()?;
        let columns = columns.map_or(Columns::WithoutDefault, Columns::Named);
        let table = wait(py, process, &Watch::new(None, None), async move {
            let table = LandfallTable::connect(&url, &name, sink_options(options)?).await?;
            HostTable::try_new(process, Arc::new(table), &columns)
        })?;
        Ok(Self { table: Arc::new(table) })
    }

    /// The names of the columns that a session sees.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.table.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __datafusion_table_provider__<'py>(&self, session: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyCapsule>> {
        let table = FFI_TableProvider::new_with_ffi_codec(Arc::clone(&self.table) as _, true, None, codec(&session)?);
        PyCapsule::new_with_value(session.py(), table, c"datafusion_table_provider")
    }
}

/// The factory of tables.
#[pyclass(frozen, module = "landfall._landfall")]
pub(crate) struct TableFactory;

#[pymethods]
impl TableFactory {
    #[new]
    fn new() -> Self {
        Self
    }

    fn __datafusion_table_provider_factory__<'py>(
        &self,
        session: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let factory = Arc::new(HostFactory::new(Process::current()?));
        let factory = FFI_TableProviderFactory::new_with_ffi_codec(factory, None, codec(&session)?);
        PyCapsule::new_with_value(session.py(), factory, c"datafusion_table_provider_factory")
    }
}

/// The tables of a database.
#[pyclass(frozen, module = "landfall._landfall")]
pub(crate) struct Catalog {
    catalog: Arc<HostCatalog>,
}

#[pymethods]
impl Catalog {
    #[new]
    fn new(py: Python<'_>, url: String, options: Vec<(String, String)>) -> PyResult<Self> {
        let process = Process::current()?;
        let catalog = wait(py, process, &Watch::new(None, None), async move {
            Ok(LandfallCatalog::connect(&url, sink_options(options)?).await?)
        })?;
        Ok(Self { catalog: Arc::new(HostCatalog::new(process, catalog)) })
    }

    fn __datafusion_catalog_provider__<'py>(&self, session: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyCapsule>> {
        let catalog = FFI_CatalogProvider::new_with_ffi_codec(Arc::clone(&self.catalog) as _, None, codec(&session)?);
        PyCapsule::new_with_value(session.py(), catalog, c"datafusion_catalog_provider")
    }
}

fn sink_options(options: Vec<(String, String)>) -> Result<SinkOptions, Failure> {
    let options: Vec<_> = options.into_iter().map(|(name, value)| (option(&name), value)).collect();
    check_options(options.iter().map(|(key, _)| key.as_str()))?;
    Ok(SinkOptions::try_from_pairs(options.iter().map(|(key, value)| (key.as_str(), value.as_str())))?)
}

/// The codec of a session, which `datafusion` passes as the session or as the codec's capsule.
#[expect(unsafe_code, reason = "the content of a capsule is a pointer")]
fn codec(session: &Bound<'_, PyAny>) -> PyResult<FFI_LogicalExtensionCodec> {
    let getter = "__datafusion_logical_extension_codec__";
    let capsule = if session.hasattr(getter)? { session.call_method0(getter)? } else { session.clone() };
    let incompatible = |what: &str| {
        let text = format!(
            "{what}: install the version of the package datafusion for which landfall was built, {}",
            datafusion_ffi::version()
        );
        config(text).into_exception(session.py())
    };
    let Ok(capsule) = capsule.cast::<PyCapsule>() else {
        return Err(incompatible(
            "the object is not a session of the package datafusion, or the version of the package is too old",
        ));
    };
    let codec = capsule.pointer_checked(Some(CODEC))?.cast::<FFI_LogicalExtensionCodec>();
    // SAFETY: a capsule of this name has a codec, as datafusion defines it, and lives as long as this reference to it.
    let codec = unsafe { codec.as_ref() };
    // SAFETY: the function has no arguments. It is how versions of the interface are told apart.
    match unsafe { (codec.version)() } {
        version if version == datafusion_ffi::version() => Ok(codec.clone()),
        version => Err(incompatible(&format!("the session belongs to version {version} of the package datafusion"))),
    }
}
