//! Files by their names in FROM. The values of a CSV file are read as [`Files::inferred`] reads them: `00701` stays a text.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{DynamicFileCatalog, TableProvider, UrlTableFactory};
use datafusion::common::{Result as DfResult, internal_datafusion_err};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::execution::SessionState;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;

use super::{FileOptions, FileType, Files};

/// The session with tables for the names of files, like [`SessionContext::enable_url_table`].
pub(crate) fn with_files_by_name(context: SessionContext) -> SessionContext {
    let state = context.state();
    let factory = Arc::new(FilesByName(DynamicListTableFactory::default()));
    let catalogs = DynamicFileCatalog::new(Arc::clone(state.catalog_list()), Arc::clone(&factory) as _);
    let state = SessionStateBuilder::new_from_existing(state).with_catalog_list(Arc::new(catalogs)).build();
    let context = SessionContext::new_with_state(state);
    factory.0.session_store().with_state(context.state_weak_ref());
    context
}

/// Makes tables of the names of files.
#[derive(Debug)]
struct FilesByName(DynamicListTableFactory);

#[async_trait]
impl UrlTableFactory for FilesByName {
    async fn try_new(&self, url: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        if !matches!(FileType::of(url), Some(FileType::Csv | FileType::Tsv)) {
            return self.0.try_new(url).await;
        }
        let session = self.0.session_store().get_session().upgrade();
        let state = session.and_then(|session| session.read().as_any().downcast_ref::<SessionState>().cloned());
        let state = state.ok_or_else(|| internal_datafusion_err!("the session has ended"))?;
        let context = SessionContext::new_with_state(state);
        let files = Files::open(&context, &[url.to_owned()], &FileOptions::default(), None).await?;
        files.inferred(&context).await.map(Some)
    }
}
