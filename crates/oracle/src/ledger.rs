//! The ledger in an Oracle database.

use async_trait::async_trait;
use datafusion_landfall::backend::{DecisionLog, Parameter};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::sql::ledger::WRITING;
use datafusion_landfall::sql::{SqlConnection, TableName, TextRow};
use datafusion_landfall::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

use crate::catalog::{OBJECT, SCHEMA, text};
use crate::connector::Opened;
use crate::database::Oracle;
use crate::encode::LOB_BYTES;
use crate::error::NAME_IN_USE;
use crate::failpoint::failpoint;
use crate::names::stored_table;
use crate::session::{Bind, Datum};

/// Its definition. It has no IF NOT EXISTS, which Oracle supports from 23ai on.
pub(crate) const DDL: &str = include_str!("../sql/ledger.sql");

/// A session and its database, for the statements of the ledger.
pub(crate) struct Statements<'a> {
    database: &'a Oracle,
    opened: &'a mut Opened,
}

/// The values of parameters.
pub(crate) fn binds(parameters: &[Parameter]) -> Vec<Bind> {
    let bind = |parameter: &Parameter| match parameter {
        Parameter::Integer(value) => Bind::Integer(*value),
        Parameter::Real(value) => Bind::Double(*value),
        Parameter::Text(text) => Bind::Text(text.clone()),
    };
    parameters.iter().map(bind).collect()
}

/// A statement with `:1`, `:2` … in place of each `?` that is not quoted.
pub(crate) fn numbered(sql: &str) -> String {
    let (mut written, mut number, mut quote) = (String::with_capacity(sql.len()), 0, None);
    for character in sql.chars() {
        match (character, quote) {
            ('?', None) => {
                number += 1;
                written += &format!(":{number}");
                continue;
            }
            ('\'' | '"', None) => quote = Some(character),
            (character, Some(open)) if character == open => quote = None,
            _ => {}
        }
        written.push(character);
    }
    written
}

#[async_trait]
impl SqlConnection for Statements<'_> {
    async fn execute(&mut self, sql: &str, parameters: &[Parameter]) -> Result<u64> {
        if parameters.iter().any(|value| matches!(value, Parameter::Text(text) if text.len() > LOB_BYTES)) {
            let text = format!(
                "the record has more than the {LOB_BYTES} bytes that Landfall binds in Oracle: read fewer files in a statement, or \
                 set the option 'log'"
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        self.opened.execute(numbered(sql), binds(parameters)).await
    }

    async fn query(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Vec<TextRow>> {
        let rows = self.opened.rows(numbered(sql), binds(parameters)).await?;
        let texts = |row: &Vec<Datum>| {
            (0..row.len()).map(|index| (row[index] != Datum::Null).then(|| text(row, index).to_owned())).collect()
        };
        Ok(rows.iter().map(texts).collect())
    }

    async fn has_ledger(&mut self) -> Result<bool> {
        self.database.has_ledger(self.opened).await
    }
}

#[async_trait]
impl DecisionLog for Oracle {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let mut connection = self.pool.acquire_to_end().await?;
        let stands = self.decide_in(&mut connection, &proposal).await?;
        failpoint("oracle.ledger.before");
        let committed = connection.run(|session| session.commit()).await;
        committed.map_err(|error| error.with_context(WRITING))?;
        failpoint("oracle.ledger.after");
        connection.give_back();
        Ok(stands)
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        let mut connection = self.connect().await?;
        let state = self.ledger.read(&mut self.statements(&mut connection), job).await?;
        connection.give_back();
        Ok(state)
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        let mut connection = self.connect().await?;
        let jobs = self.ledger.jobs(&mut self.statements(&mut connection)).await?;
        connection.give_back();
        Ok(jobs)
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        self.clean_ledger(job, Some(before)).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        self.clean_ledger(job, None).await
    }

    fn url(&self) -> String {
        self.location().to_string()
    }

    fn ledger_table(&self) -> Option<String> {
        self.ledger.argument()
    }
}

impl Oracle {
    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(crate) async fn decide_in(&self, opened: &mut Opened, proposal: &DecisionRecord) -> Result<DecisionRecord> {
        if !self.has_ledger(opened).await? {
            // DDL would commit the open transaction.
            let mut other = self.pool.acquire_to_end().await?;
            self.create_ledger(&mut other).await?;
            other.give_back();
        }
        self.ledger.decide(&mut self.statements(opened), proposal).await
    }

    fn statements<'a>(&'a self, opened: &'a mut Opened) -> Statements<'a> {
        Statements { database: self, opened }
    }

    async fn clean_ledger(&self, job: &JobId, before: Option<Epoch>) -> Result<()> {
        let mut connection = self.connect().await?;
        self.ledger.clean(&mut self.statements(&mut connection), job, before).await?;
        connection.run(|session| session.commit()).await?;
        connection.give_back();
        Ok(())
    }

    async fn create_ledger(&self, opened: &mut Opened) -> Result<()> {
        let ddl = self.ledger.sql(DDL);
        let created = opened.execute(ddl.trim_end(), Vec::new()).await.map(drop);
        created.or_else(|error| match error.kind() {
            // Another run has created it meanwhile.
            _ if error.code() == Some(format!("ORA-{NAME_IN_USE:05}").as_str()) => Ok(()),
            ErrorKind::Access | ErrorKind::Database | ErrorKind::Full => Err(error.with_context(format!(
                "creating table {name}, which stores jobs and decisions; name an existing table with the option 'ledger_table', \
                 or ask a DBA to run:\n{ddl};\nGRANT SELECT, INSERT, DELETE ON {name} TO {user};\nThe server says",
                name = self.ledger.quoted(),
                ddl = ddl.trim_end(),
                user = self.location().user,
            ))),
            _ => Err(error.with_context(format!("creating table {}", self.ledger.quoted()))),
        })
    }

    async fn has_ledger(&self, opened: &mut Opened) -> Result<bool> {
        let name = self.ledger.name();
        // The option names the table as it is stored; the default is not quoted.
        let TableName { schema, table } =
            if self.ledger.argument().is_some() { name.clone() } else { stored_table(name) };
        let schema = match schema {
            Some(schema) => schema,
            None => {
                let rows = opened.rows(SCHEMA, Vec::new()).await?;
                rows.first().map(|row| text(row, 0).to_owned()).unwrap_or_default()
            }
        };
        let found = opened.rows(OBJECT, vec![Bind::Text(schema), Bind::Text(table)]).await;
        Ok(!found.map_err(|error| error.with_context("looking up the ledger table"))?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_where_they_are_not_quoted() {
        assert_eq!(numbered(r#"a = ? AND "b?" = '?' AND c > ?"#), r#"a = :1 AND "b?" = '?' AND c > :2"#);
    }
}
