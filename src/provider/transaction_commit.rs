//! Commits a transaction of several statements.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use datafusion::prelude::SessionContext;

use crate::backend::{Capability, NoLedger, Protocol};
use crate::error::{Error, Result};
use crate::manager::{EpochExtent, JobSpec, Late, Member};
use crate::pipeline::OpenMember;
use crate::provider::catalog::LandfallCatalog;
use crate::provider::fanout::locations_of;
use crate::provider::transaction::{Claim, Database, Known, OpenDatabases, is_agent, lost};
use crate::provider::transaction_job::TransactionJob;
use crate::txn::Subject;

impl OpenDatabases {
    /// Commits all statements.
    pub(crate) async fn commit(&self) -> Result<()> {
        self.end();
        let databases = self.in_order();
        let job = self.job.lock().await.take();
        let is_recorded = |database: &Database| job.as_ref().is_none_or(|job| job.is_recorded_in(&*database.resource));
        let is_recorded = databases.iter().all(is_recorded);
        let subject = match job.map(TransactionJob::end).transpose() {
            Ok(subject) => subject,
            Err(error) => {
                self.roll_back().await;
                return Err(error);
            }
        };
        let mut members = Vec::new();
        for database in &databases {
            let Some(OpenMember { xid, protocol, branch }) = database.slot.lock().await.take() else {
                self.roll_back().await;
                return Err(lost());
            };
            members.push(Member { resource: Arc::clone(&database.resource), xid, protocol, branch });
        }
        let is_alone = match members.as_mut_slice() {
            [] => return Ok(()),
            [only] if is_recorded => {
                only.protocol = Protocol::OnePhase;
                true
            }
            _ => false,
        };
        let claim = match self.claim.lock().await.take() {
            Some(claim) => claim,
            None => {
                let decides = databases.iter().find(|database| is_agent(database)).unwrap_or(&databases[0]);
                let claim = self.claim_in(decides).await?;
                if !is_alone {
                    claim.transaction.announce().await?;
                }
                claim
            }
        };
        let extent = EpochExtent { rows: self.rows.load(Relaxed), end: true, subject, ..EpochExtent::default() };
        let committing = async move {
            let Claim { run, transaction } = claim;
            let committed = transaction.commit(members, extent).await;
            if is_alone {
                run.abandon().await;
            }
            committed
        };
        // The commit continues if its caller stops waiting.
        let committed = tokio::spawn(committing).await;
        self.manager.complete_late(Late::Over).await;
        let committed = committed.map_err(|error| Error::internal(format!("the commit task failed: {error}")))?;
        committed.map_err(|error| error.of_transaction(databases.len()))
    }

    /// The log must contain the transaction before the other branches prepare. That of a database which always commits in
    /// one phase is locked as soon as the transaction writes to the database.
    pub(super) async fn claim_early(&self, database: &Database) -> Result<()> {
        let mut claim = self.claim.lock().await;
        let location = database.resource.location();
        let never_prepares = |database: &Database| database.capability == Capability::OnePhase;
        if let Some(agent) = self.in_order().into_iter().find(never_prepares)
            && claim.is_none()
        {
            return Err(Error::config(format!(
                "{location} was attached after {} had been written: attach all databases before BEGIN",
                agent.resource.location()
            )));
        }
        if !never_prepares(database) || database.resource.decision_log().is_none() {
            return Ok(());
        }
        let known = match &self.beginning.known {
            Known::Session(session) => locations(session).await,
            Known::Locations(locations) => locations.clone(),
        };
        if known.iter().any(|known| *known != location) {
            database.resource.check_decides()?;
            let opened = self.claim_in(database).await?;
            opened.transaction.announce().await?;
            *claim = Some(opened);
        }
        Ok(())
    }

    /// Opens the transaction with its decision log, the ledger of a database.
    async fn claim_in(&self, database: &Database) -> Result<Claim> {
        let Database { resource, table, .. } = database;
        let log = self.beginning.log.clone().or_else(|| resource.decision_log());
        let log = log.unwrap_or_else(|| Arc::new(NoLedger { location: resource.location() }));
        let subject = Subject::from(table.as_str());
        let job_spec = JobSpec { log, job: None, subject, resources: vec![Arc::clone(resource)] };
        let mut run = self.manager.open_group(self.name, job_spec).await?;
        let transaction = run.begin();
        Ok(Claim { run, transaction })
    }
}

/// The locations of the databases that a session knows.
async fn locations(context: &SessionContext) -> HashSet<String> {
    let mut locations = HashSet::new();
    let catalogs = context.catalog_names().into_iter().filter_map(|name| context.catalog(&name));
    for catalog in catalogs {
        if let Some(attached) = catalog.downcast_ref::<LandfallCatalog>() {
            locations.insert(attached.database().location());
            continue;
        }
        let schemas = catalog.schema_names().into_iter().filter_map(|name| catalog.schema(&name));
        for schema in schemas {
            for name in schema.table_names() {
                if let Ok(Some(table)) = schema.table(&name).await {
                    locations.extend(locations_of(table.as_ref()));
                }
            }
        }
    }
    locations
}
