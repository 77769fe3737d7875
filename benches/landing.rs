//! Landing batches as a user does: a table is registered, and a statement writes what a table in memory has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

/// A write of batches to a table.
#[derive(Debug, Clone)]
pub struct Landing {
    /// The table, as the database has it.
    pub table: &'static str,
    /// `POSTGRES LOCATION '…' OPTIONS (…)`; `JOB` in it stands for a name that is new each time.
    pub stored_as: String,
    /// INSERT INTO, REPLACE INTO or INSERT OVERWRITE.
    pub verb: &'static str,
}

/// A session that has the table, and the batches as `source`.
pub struct Session {
    context: SessionContext,
    table: &'static str,
    statement: String,
}

impl Landing {
    /// An INSERT INTO.
    pub fn insert(table: &'static str, stored_as: String) -> Self {
        Self { table, stored_as, verb: "INSERT INTO" }
    }

    /// Registers the table, outside of what is measured.
    pub async fn session(&self, batches: &[RecordBatch]) -> Session {
        let context = context(batches);
        let stored_as = self.stored_as.replace("JOB", &uuid::Uuid::new_v4().to_string());
        let create = format!("CREATE EXTERNAL TABLE {} STORED AS {stored_as}", self.table);
        context.sql(&create).await.expect("a table");
        Session { context, table: self.table, statement: format!("{} {} SELECT * FROM source", self.verb, self.table) }
    }

    /// How long it takes to plan and to write all of them.
    pub async fn land(&self, batches: &[RecordBatch]) -> Duration {
        self.session(batches).await.write().await
    }
}

/// A session that has batches as `source`.
pub fn context(batches: &[RecordBatch]) -> SessionContext {
    let context = SessionContext::new();
    datafusion_landfall::register(&context);
    let schema = batches.first().expect("a batch").schema();
    let source = MemTable::try_new(schema, vec![batches.to_vec()]).expect("a source");
    context.register_table("source", Arc::new(source)).expect("a source");
    context
}

impl Session {
    /// Its session of DataFusion.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The table that it writes.
    pub fn table(&self) -> &'static str {
        self.table
    }

    /// Another session that has the same table, and so its connections, but other batches.
    pub async fn another(&self, batches: &[RecordBatch]) -> Self {
        let context = context(batches);
        let table: Arc<dyn TableProvider> = self.context.table_provider(self.table).await.expect("a table");
        context.register_table(self.table, table).expect("a table");
        Self { context, table: self.table, statement: self.statement.clone() }
    }

    /// Writes other rows from now on.
    pub fn bring(&self, batch: RecordBatch) {
        let source = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("a source");
        self.context.deregister_table("source").expect("the old source");
        self.context.register_table("source", Arc::new(source)).expect("a source");
    }

    /// How long it takes to plan and to write all batches.
    pub async fn write(&self) -> Duration {
        let began = Instant::now();
        let write = self.context.sql(&self.statement).await.expect("a plan");
        write.collect().await.expect("all rows");
        began.elapsed()
    }

    /// Writes batch after batch, each in a statement of its own; gives how long each took.
    pub async fn write_each(&self, batches: &[RecordBatch]) -> Vec<Duration> {
        let mut times = Vec::with_capacity(batches.len());
        for batch in batches {
            self.bring(batch.clone());
            times.push(self.write().await);
        }
        times
    }
}
