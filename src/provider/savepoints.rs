//! The savepoints of a transaction of several statements.

use std::sync::atomic::Ordering::Relaxed;

use crate::backend::Savepoint;
use crate::error::{Error, Result};
use crate::provider::transaction::{OpenDatabases, lost};
use crate::provider::transaction_progress::NamedSavepoint;

impl OpenDatabases {
    pub(super) fn has_savepoints(&self) -> bool {
        !self.progress().savepoints.is_empty()
    }

    pub(super) fn can_return(&self) -> bool {
        self.progress().can_return
    }

    /// Sets a savepoint, also in databases that are written later.
    pub(crate) async fn set_savepoint(&self, name: &str) -> Result<()> {
        self.check()?;
        let number = self.next_savepoint();
        self.in_each(Savepoint::Set(number)).await?;
        let savepoint = NamedSavepoint { name: name.to_owned(), number, rows: self.rows.load(Relaxed) };
        self.progress().savepoints.push(savepoint);
        Ok(())
    }

    /// Undoes what was written after a savepoint, which stays.
    pub(crate) async fn roll_back_to(&self, name: &str) -> Result<()> {
        {
            let mut progress = self.progress();
            if !(progress.failed.is_some() && progress.can_return) {
                progress.check()?;
            }
        }
        let (index, savepoint) = self.find(name)?;
        self.in_each(Savepoint::RollBackTo(savepoint.number)).await?;
        self.rows.store(savepoint.rows, Relaxed);
        let mut progress = self.progress();
        progress.savepoints.truncate(index + 1);
        (progress.failed, progress.can_return) = (None, false);
        Ok(())
    }

    /// Removes a savepoint and all later ones.
    pub(crate) async fn release(&self, name: &str) -> Result<()> {
        self.check()?;
        let (index, savepoint) = self.find(name)?;
        self.in_each(Savepoint::Release(savepoint.number)).await?;
        self.progress().savepoints.truncate(index);
        Ok(())
    }

    /// Returns to the last savepoint after an error. Returns whether every database could.
    pub(super) async fn return_to_last_savepoint(&self) -> bool {
        let last = self.progress().savepoints.last().map(|savepoint| savepoint.number);
        match last {
            Some(number) => self.run_in_each(Savepoint::RollBackTo(number)).await.is_ok(),
            None => false,
        }
    }

    /// The last savepoint of this name.
    fn find(&self, name: &str) -> Result<(usize, NamedSavepoint)> {
        let progress = self.progress();
        let found = progress.savepoints.iter().enumerate().rfind(|(_, savepoint)| savepoint.name == name);
        let found = found.map(|(index, savepoint)| (index, savepoint.clone()));
        found.ok_or_else(|| Error::config(format!("savepoint \"{name}\" does not exist")))
    }

    /// Runs a step in each database. After an error, everything is rolled back.
    async fn in_each(&self, step: Savepoint) -> Result<()> {
        let done = self.run_in_each(step).await;
        if let Err(error) = &done {
            self.progress().failed.get_or_insert(error.to_string());
            self.progress().can_return = false;
            self.roll_back().await;
        }
        done.map_err(|error| error.with_context("the transaction was rolled back"))
    }

    async fn run_in_each(&self, step: Savepoint) -> Result<()> {
        for database in self.in_order() {
            let mut member = database.slot.lock().await;
            member.as_mut().ok_or_else(lost)?.branch.savepoint(step).await?;
        }
        Ok(())
    }
}
