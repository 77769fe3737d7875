//! MySQL as a resource manager and as a database of tables.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Schema};
use async_trait::async_trait;
use mysql_async::prelude::Queryable;

use super::connector::MySqlConnection;
use super::database::{MySql, Prepared};
use super::described::{codec_of, relation};
use super::dialect::MySqlDialect;
use super::encode::Encoder;
use super::error::XAER_NOTA;
use super::existing::ExistingRows;
use super::fields::Style;
use super::open::Open;
use super::row::text;
use super::run::run;
use super::unpublished::Unpublished;
use super::{alter, branch, scan, statements};
use crate::backend::{
    Alteration, Backend, BatchStream, Branch, Capability, Change, Column, DecisionLog, Dispatch, InDoubt, Listed,
    NewTable, OpenSession, OpenTransaction, Parameter, Protocol, Query, QueryDialect, Resolution, Rewrites, Scan,
    Table, TableColumns, WriteSpec, failpoint::failpoint,
};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Indexes, Isolation};
use crate::sql::{OpenBranch, TableName, cannot_rebuild, check_not_truncated, without_user};
use crate::txn::{JobNumber, PREFIX, Xid};

/// ER_UNKNOWN_SYSTEM_VARIABLE.
const OPEN_SESSIONS: &str = "SELECT p.ID, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), \
     IF(t.trx_state = 'LOCK WAIT', 'waits for a lock', IF(p.COMMAND = 'Sleep', 'idle in transaction', 'active')) \
     FROM information_schema.INNODB_TRX AS t JOIN information_schema.PROCESSLIST AS p ON p.ID = t.trx_mysql_thread_id \
     WHERE p.DB = DATABASE() AND p.ID <> CONNECTION_ID() ORDER BY t.trx_started, p.ID";

const UNKNOWN_SYSTEM_VARIABLE: u16 = 1193;

#[async_trait]
impl Backend for MySql {
    fn location(&self) -> String {
        self.location_text()
    }

    fn shared_url(&self) -> Result<String> {
        self.options().shared_url()
    }

    async fn identity(&self) -> Result<String> {
        let mut connection = self.connect().await?;
        let (id, conn) = (connection.conn.id(), &mut connection.conn);
        let found = async { Ok(conn.query_first("SELECT @@GLOBAL.server_uuid, DATABASE()").await) };
        let found: mysql_async::Result<Option<(String, Option<String>)>> = self.answer(id, "SELECT", found).await?;
        let identity = match found {
            Ok(Some((server, database))) => {
                format!("MySQL server {server}, database {}", database.unwrap_or_default())
            }
            Ok(None) => without_user(&self.location_text()),
            // MariaDB has no server_uuid.
            Err(mysql_async::Error::Server(error)) if error.code == UNKNOWN_SYSTEM_VARIABLE => {
                without_user(&self.location_text())
            }
            Err(error) => return Err(self.error(error).with_context("reading the server's UUID")),
        };
        connection.give_back();
        Ok(identity)
    }

    async fn capability(&self) -> Result<Capability> {
        if self.capability.get().is_none() {
            let mut connection = self.connect().await?;
            self.ask_capability(&mut connection).await?;
            connection.give_back();
        }
        Ok(self.capability.get().copied().unwrap_or(Capability::TwoPhase { branches: 0 }))
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        Ok(Box::new(branch::start(self.clone(), xid, spec.clone(), None).await?))
    }

    async fn start_change(&self, xid: &Xid, spec: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        Ok(Box::new(branch::start(self.clone(), xid, spec.clone(), Some(change)).await?))
    }

    fn leave(&self, xid: &Xid) {
        // The server keeps the prepared branch, but no other session could complete it while its session exists.
        self.prepared.remove(xid);
    }

    async fn commit(&self, xid: &Xid) -> Result<Resolution> {
        self.complete("XA COMMIT", xid).await
    }

    async fn rollback(&self, xid: &Xid) -> Result<Resolution> {
        self.complete("XA ROLLBACK", xid).await
    }

    async fn in_doubt(&self, job: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        let mut connection = self.connect().await?;
        self.ask_capability(&mut connection).await?;
        if job.is_some() && !self.capability().await?.prepares() {
            // If branches cannot be prepared, the job has left none, unless the server was configured differently then.
            connection.give_back();
            return Ok(Vec::new());
        }
        let found = self.recoverable(&mut connection).await?;
        let now = self.now(&mut connection).await?;
        connection.give_back();
        let prefix = job.map_or_else(|| PREFIX.to_owned(), JobNumber::prefix);
        let of_job = found.into_iter().filter(|branch| branch.xid.to_string().starts_with(&prefix));
        let mut in_doubt: Vec<_> = of_job
            .map(|branch| InDoubt { xid: branch.xid, age: Duration::from_secs(now.saturating_sub(branch.began)) })
            .collect();
        in_doubt.sort_by_key(|branch| branch.xid);
        Ok(in_doubt)
    }

    async fn open_sessions(&self) -> Result<Vec<OpenSession>> {
        let mut connection = self.connect().await?;
        // Without the privilege PROCESS, the sessions cannot be seen.
        let found = self.rows(&mut connection, OPEN_SESSIONS, Vec::new()).await.unwrap_or_default();
        connection.give_back();
        let read = |row: &mysql_async::Row| {
            let age = text(row, 1)?.parse().unwrap_or_default();
            Ok(OpenSession { session: text(row, 0)?, age: Duration::from_secs(age), state: text(row, 2)? })
        };
        found.iter().map(read).collect()
    }

    fn how_to_prepare(&self) -> Option<&'static str> {
        Some("MySQL requires the XA_RECOVER_ADMIN privilege, and MariaDB requires version 10.5 or newer")
    }

    async fn release(&self) {
        self.pool.clear().await;
    }

    fn decision_log(&self) -> Option<Arc<dyn DecisionLog>> {
        Some(Arc::new(self.clone()))
    }

    async fn table(&self, name: &str) -> Result<Option<Table>> {
        self.describe(name).await
    }

    async fn tables(&self) -> Result<Vec<Listed>> {
        self.list().await
    }

    async fn columns(&self) -> Result<Option<Vec<TableColumns>>> {
        self.describe_all().await.map(Some)
    }

    fn spelled(&self, schema: &str, table: &str) -> String {
        TableName { schema: Some(schema.to_owned()), table: table.to_owned() }.to_string()
    }

    fn can_reject(&self) -> bool {
        true
    }

    async fn drop_if_empty(&self, table: &str) -> Result<bool> {
        self.drop_empty(table).await
    }

    async fn describe_new(&self, table: &NewTable, is_alone: bool) -> Result<Option<Table>> {
        if is_alone { Unpublished::describe(self, table).await } else { Ok(None) }
    }

    fn widening(&self, column: &Column, to: &DataType) -> Option<Rewrites> {
        alter::widening(column, to)
    }

    async fn plan_alteration(&self, table: &Table, added: &Schema, widened: &Schema) -> Result<Alteration> {
        self.plan_alteration(table, added, widened).await
    }

    async fn default_schema(&self) -> Result<Option<String>> {
        let mut connection = self.connect().await?;
        let rows = self.rows(&mut connection, "SELECT DATABASE()", Vec::new()).await?;
        connection.give_back();
        Ok(rows.first().and_then(|row| row.get_opt::<String, _>(0)?.ok()))
    }

    fn identifier_quote(&self) -> char {
        '`'
    }

    fn type_name(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            "STRING" => "LONGTEXT",
            "BYTEA" => "LONGBLOB",
            _ => return None,
        })
    }

    async fn create_table(&self, table: &NewTable) -> Result<()> {
        self.create(table).await
    }

    fn takes(&self, column: &Column, from: &DataType) -> bool {
        Encoder::try_new(from, column, self.nanoseconds, Style::File).is_ok()
    }

    fn second_digits(&self, column: &Column) -> Option<u32> {
        codec_of(column).ok()?.second_digits()
    }

    async fn plan_indexes(&self, table: &Table, spec: &WriteSpec) -> Result<Indexes> {
        match spec.indexes {
            Indexes::Rebuild => {
                Err(cannot_rebuild(&table.name, "DROP INDEX and CREATE INDEX commit the open transaction in MySQL"))
            }
            Indexes::Auto | Indexes::Keep => Ok(Indexes::Keep),
        }
    }

    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        relation(table)?.check_writable()?;
        check_not_truncated(spec, "TRUNCATE commits the open transaction in MySQL")?;
        self.targets(table, spec, Style::File)?;
        ExistingRows::of(table, spec).map(drop)
    }

    fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
        MySql::check_change(self, table, spec, change)
    }

    fn dispatch(&self, table: &Table, spec: &WriteSpec) -> Dispatch {
        statements::dispatch(table, spec)
            .unwrap_or(Dispatch::OneWriter("Landfall has not read the description of the table"))
    }

    /// Each writer keeps one core of the server busy: on two cores, two writers had 0.8 times the speed of one.
    fn writers_that_pay(&self, cores: u16) -> u16 {
        (cores / 2).clamp(1, 4)
    }

    /// Always SERIALIZABLE: what a statement reads is what it locks.
    async fn begin(&self, xid: &Xid, protocol: Protocol, _: Option<Isolation>) -> Result<Box<dyn OpenTransaction>> {
        let transaction = Open::begin_several(self.clone(), xid, protocol).await?;
        Ok(Box::new(OpenBranch { xid: *xid, transaction }))
    }

    async fn run(&self, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
        run(self, &statement, &parameters).await
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }
}

impl Scan for MySql {
    fn query(&self, query: Query) -> Result<BatchStream> {
        Ok(scan::stream(self.clone(), query))
    }

    fn dialect(&self) -> Option<&dyn QueryDialect> {
        Some(&MySqlDialect)
    }

    fn read_as(&self, column: &Column, wanted: &DataType) -> Option<Column> {
        let codec = codec_of(column).ok()?;
        codec.reads_as(wanted).then(|| column.read_as(wanted))
    }
}

/// The format ID of Landfall's branches.
const FORMAT_ID: u32 = 0x4c46;

/// A prepared branch in the server's list.
struct Recoverable {
    xid: Xid,
    /// Its name in a statement.
    name: String,
    /// When it began, in seconds since 1970 on the server's clock.
    began: u64,
}

impl Recoverable {
    /// Parses a row of XA RECOVER: format ID, lengths of gtrid and bqual, and both; `None` if it is not Landfall's.
    fn parse(format: &str, lengths: [&str; 2], data: &str) -> Option<Self> {
        let [of_gtrid, of_bqual] = lengths.map(|length| length.parse::<usize>().ok());
        if format != FORMAT_ID.to_string() || data.len() != of_gtrid? + of_bqual? {
            return None;
        }
        let (gtrid, rest) = data.split_at_checked(of_gtrid?)?;
        let (bqual, began) = rest.split_once('@')?;
        let xid = Xid::parse(&format!("{gtrid}-{bqual}"))?;
        Some(Self { xid, name: in_statement(gtrid, rest), began: began.parse().ok()? })
    }
}

fn in_statement(gtrid: &str, bqual: &str) -> String {
    format!("'{gtrid}','{bqual}',{FORMAT_ID}")
}

impl MySql {
    /// The name of a new branch in a statement. It contains the time when the branch began, because the server does not
    /// record it.
    pub(super) async fn name_branch(&self, connection: &mut MySqlConnection, xid: &Xid) -> Result<String> {
        let began = self.now(connection).await?;
        let name = xid.to_string();
        let gtrid = xid.gtrid.to_string();
        let bqual = name.strip_prefix(&gtrid).and_then(|rest| rest.strip_prefix('-'));
        let bqual = bqual.ok_or_else(|| Error::internal(format!("branch {name} is not of transaction {gtrid}")))?;
        Ok(in_statement(&gtrid, &format!("{bqual}@{began}")))
    }

    async fn now(&self, connection: &mut MySqlConnection) -> Result<u64> {
        let now = self.rows(connection, "SELECT CAST(UNIX_TIMESTAMP() AS UNSIGNED)", Vec::new()).await?;
        let now = now.first().map(|row| text(row, 0)).transpose()?.unwrap_or_default();
        now.parse().map_err(|_| Error::internal(format!("the server returned '{now}' as the current time")))
    }

    /// Landfall's prepared branches in the whole server.
    async fn recoverable(&self, connection: &mut MySqlConnection) -> Result<Vec<Recoverable>> {
        // Not every server supports this as a prepared statement.
        let rows = self.answer(connection.conn.id(), "XA RECOVER", connection.conn.query("XA RECOVER")).await;
        let rows: Vec<mysql_async::Row> = rows.map_err(|error| error.with_context("listing prepared branches"))?;
        let read = |row: &mysql_async::Row| {
            let [format, of_gtrid, of_bqual, data] = [0, 1, 2, 3].map(|index| text(row, index));
            Recoverable::parse(&format.ok()?, [&of_gtrid.ok()?, &of_bqual.ok()?], &data.ok()?)
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    async fn complete(&self, verb: &str, xid: &Xid) -> Result<Resolution> {
        // If the connection that prepared it is lost, the next attempt uses another one.
        let parked = self.prepared.remove(xid).map(|(_, parked)| parked);
        let Prepared { mut connection, name } = match parked {
            Some(parked) => parked,
            None => {
                let mut connection = self.pool.acquire_to_end().await?;
                let mut found = self.recoverable(&mut connection).await?.into_iter();
                let Some(branch) = found.find(|branch| branch.xid == *xid) else {
                    connection.give_back();
                    return Ok(Resolution::Unknown);
                };
                Prepared { connection, name: branch.name }
            }
        };
        failpoint("mysql.complete.before");
        let (id, conn) = (connection.conn.id(), &mut connection.conn);
        let done = async { Ok(conn.query_drop(format!("{verb} {name}")).await) };
        let done = self.answer(id, verb, done).await;
        failpoint("mysql.complete.after");
        match done? {
            Ok(()) => {}
            Err(mysql_async::Error::Server(error)) if error.code == XAER_NOTA => {
                if self.recoverable(&mut connection).await?.iter().any(|branch| branch.xid == *xid) {
                    connection.give_back();
                    return Err(Error::new(
                        ErrorKind::Locked,
                        format!(
                            "branch {xid} still belongs to the session that prepared it, or is being committed or \
                             rolled back by another session: try again later"
                        ),
                    ));
                }
                connection.give_back();
                return Ok(Resolution::Unknown);
            }
            Err(error) => return Err(self.error(error).with_context(format!("{verb} {name}"))),
        }
        connection.give_back();
        Ok(Resolution::Done)
    }

    /// Reads whether branches can be prepared, and completed by other sessions.
    pub(super) async fn ask_capability(&self, connection: &mut MySqlConnection) -> Result<()> {
        if self.capability.get().is_some() {
            return Ok(());
        }
        let (id, conn) = (connection.conn.id(), &mut connection.conn);
        let can_recover = async { Ok(conn.query_drop("XA RECOVER").await) };
        let can_recover = match self.answer(id, "XA RECOVER", can_recover).await? {
            Ok(()) => true,
            // A privilege is missing, or the server is a cluster without XA.
            Err(mysql_async::Error::Server(_)) => false,
            Err(error) => return Err(self.error(error)),
        };
        let branches = if can_recover && connection.server.flavor.keeps_prepared() { u32::MAX } else { 0 };
        let _ = self.capability.set(Capability::TwoPhase { branches });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_branches_are_read() {
        let read = |format: u32, gtrid: &str, bqual: &str| {
            let lengths = [gtrid.len().to_string(), bqual.len().to_string()];
            Recoverable::parse(&format.to_string(), [&lengths[0], &lengths[1]], &format!("{gtrid}{bqual}"))
        };
        let gtrid = "landfall-00000000000000ab-2-00000000000000cd";
        let own = read(FORMAT_ID, gtrid, "1@1700000000").map(|found| (found.xid.to_string(), found.name, found.began));
        let name = format!("'{gtrid}','1@1700000000',{FORMAT_ID}");
        assert_eq!(own, Some((format!("{gtrid}-1"), name, 1_700_000_000)));
        for (format, gtrid, bqual) in [
            (1, gtrid, "1@1700000000"),
            (FORMAT_ID, "somebody-else", "1@1700000000"),
            (FORMAT_ID, gtrid, "1"),
            (FORMAT_ID, gtrid, "x@1"),
        ] {
            assert!(read(format, gtrid, bqual).is_none(), "{gtrid} {bqual}");
        }
    }
}
