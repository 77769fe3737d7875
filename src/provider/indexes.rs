//! Whether the indexes of a table are built after the rows of an INSERT.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use datafusion::catalog::Session;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::scan::reads;
use super::table::LandfallTable;
use super::transaction::OpenDatabases;
use crate::backend::{Existing, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Commit, Indexes, OnConflict};
use crate::pipeline::{Target, WriterCount};

impl LandfallTable {
    /// Decides it for an INSERT that this process runs.
    ///
    /// # Errors
    /// `Config` or `Unsupported` if the option requests it, and it is not possible.
    pub(super) async fn plan_indexes(
        &self,
        session: &dyn Session,
        input: &Arc<dyn ExecutionPlan>,
        target: &mut Target,
    ) -> Result<()> {
        let is_in_transaction = session.config().get_extension::<OpenDatabases>().is_some();
        let needed = self.needs_indexes(input, &target.spec);
        let indexes = match self.options.indexes {
            Indexes::Keep => return Ok(()),
            Indexes::Auto => {
                let is_possible = needed.is_none()
                    && !is_in_transaction
                    && self.options.reject_max.is_none()
                    && !reads(input, &self.location());
                if !is_possible || !(self.new.is_some() || self.is_first_insert(&target.spec)) {
                    return Ok(());
                }
                Indexes::Auto
            }
            Indexes::Rebuild => {
                self.check_rebuild(is_in_transaction, input)?;
                if let Some(why) = needed {
                    self.note(format!(
                        "keeps its indexes while rows are written, although the option 'indexes' is 'rebuild': {why}"
                    ));
                    return Ok(());
                }
                Indexes::Rebuild
            }
        };
        let spec = WriteSpec { indexes, ..target.spec.clone() };
        target.spec.indexes = self.database.plan_indexes(&self.table, &spec).await?;
        match target.spec.indexes {
            Indexes::Keep => self.is_new.store(false, Relaxed),
            Indexes::Auto | Indexes::Rebuild => target.writers = WriterCount::UpTo(1),
        }
        Ok(())
    }

    /// Whether it can be the first INSERT into a table that was created when it was registered.
    fn is_first_insert(&self, spec: &WriteSpec) -> bool {
        let has_key = !self.table.primary_key.is_empty() || !self.table.unique_keys.is_empty();
        // A prepared branch would lock the table until it is resolved.
        let is_one_phase = self.options.commit != Commit::TwoPhase && self.options.log.is_none();
        self.is_new.load(Relaxed) && has_key && is_one_phase && spec.existing == Existing::Keep
    }

    /// Why the indexes are needed while rows are written.
    fn needs_indexes(&self, input: &Arc<dyn ExecutionPlan>, spec: &WriteSpec) -> Option<&'static str> {
        let is_unbounded = input.boundedness().is_unbounded();
        let reasons = [
            (spec.on_conflict != OnConflict::Error, "the statement looks up existing keys in the indexes"),
            (self.options.checkpoints().any() || is_unbounded, "the statement commits at checkpoints"),
            (self.options.writers.is_some_and(|writers| writers > 1), "the option 'writers' is greater than 1"),
        ];
        reasons.into_iter().find(|(holds, _)| *holds).map(|(_, why)| why)
    }

    /// Refuses the request where it cannot be fulfilled.
    fn check_rebuild(&self, is_in_transaction: bool, input: &Arc<dyn ExecutionPlan>) -> Result<()> {
        let refused = |kind, why: &str| {
            let text = format!(
                "the option 'indexes' = 'rebuild' is not possible {why}, or set the option 'indexes' to 'auto'"
            );
            Err(Error::new(kind, text))
        };
        if is_in_transaction {
            return refused(
                ErrorKind::Unsupported,
                "in a transaction of several statements: run the statement outside BEGIN and COMMIT",
            );
        }
        if self.options.reject_max.is_some() {
            return refused(ErrorKind::Config, "with the option 'reject.max': remove one of the two options");
        }
        if self.is_read_by(input) {
            return refused(
                ErrorKind::Config,
                "for a query that reads the table, because the statement locks the table against readers: store the \
                 rows of the query in another table first",
            );
        }
        Ok(())
    }
}
