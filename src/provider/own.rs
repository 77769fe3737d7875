//! The schema that a session began with: its views, external tables and the tables of one statement are there, whatever
//! schema is in use.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Result as DfResult, TableReference};
use datafusion::prelude::SessionContext;

/// A catalog and a schema of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionSchema {
    pub(crate) catalog: String,
    pub(crate) schema: String,
}

/// The place that the session began with, once another is in use.
struct Own(SessionSchema);

impl SessionSchema {
    /// The place of names without a catalog and a schema.
    pub(crate) fn in_use(context: &SessionContext) -> Self {
        let state = context.state_ref();
        let state = state.read();
        let options = &state.config_options().catalog;
        Self { catalog: options.default_catalog.clone(), schema: options.default_schema.clone() }
    }

    /// The place that the session began with.
    pub(crate) fn own(context: &SessionContext) -> Self {
        let own = context.state_ref().read().config().get_extension::<Own>();
        own.map_or_else(|| Self::in_use(context), |own| own.0.clone())
    }

    /// Makes it the place of names without a catalog and a schema.
    pub(crate) fn use_in(&self, context: &SessionContext) {
        let own = Self::own(context);
        let state = context.state_ref();
        let mut state = state.write();
        let config = state.config_mut();
        config.set_extension(Arc::new(Own(own)));
        let options = &mut config.options_mut().catalog;
        options.default_catalog.clone_from(&self.catalog);
        options.default_schema.clone_from(&self.schema);
    }

    /// A table here.
    pub(crate) fn table(&self, name: &str) -> TableReference {
        TableReference::full(self.catalog.as_str(), self.schema.as_str(), name)
    }
}

/// A table of the session for the time of planning a statement.
pub(crate) struct Registered<'c> {
    context: &'c SessionContext,
    name: TableReference,
}

impl<'c> Registered<'c> {
    pub(crate) fn new(context: &'c SessionContext, name: &str, table: Arc<dyn TableProvider>) -> DfResult<Self> {
        let name = SessionSchema::own(context).table(name);
        context.register_table(name.clone(), table)?;
        Ok(Self { context, name })
    }

    /// The name in SQL.
    pub(crate) fn name(&self) -> String {
        self.name.to_quoted_string()
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        // It is there, unless the statement has removed it.
        let _ = self.context.deregister_table(self.name.clone());
    }
}
