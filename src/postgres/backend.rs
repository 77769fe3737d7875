//! PostgreSQL as a resource manager and as a database of tables.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Schema};
use async_trait::async_trait;

use super::connector::PostgresConnection;
use super::database::Postgres;
use super::dialect::PostgresDialect;
use super::encode::Encoder;
use super::error::READ_ONLY;
use super::existing::ExistingRows;
use super::identity::check_advance;
use super::open::Open;
use super::run::run;
use super::{alter, branch, described, scan, statements};
use crate::backend::{
    Alteration, Backend, BatchStream, Branch, Capability, Change, Column, Comparison, DecisionLog, Dispatch, InDoubt,
    Listed, NewTable, OpenSession, OpenTransaction, Parameter, Protocol, Query, QueryDialect, Resolution, Rewrites,
    Scan, Table, TableColumns, WriteSpec, failpoint::failpoint,
};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Indexes, Isolation};
use crate::sql::{OpenBranch, TableName, without_user};
use crate::txn::{JobNumber, PREFIX, Xid};

#[async_trait]
impl Backend for Postgres {
    fn location(&self) -> String {
        self.location_text()
    }

    fn shared_url(&self) -> Result<String> {
        self.options().shared_url()
    }

    async fn identity(&self) -> Result<String> {
        let mut connection = self.connect().await?;
        let (pid, conn) = connection.parts();
        let found = sqlx::query_scalar(IDENTITY).fetch_one(conn);
        let identity = match self.answer(pid, "SELECT", found).await {
            Ok(identity) => identity,
            // By default, only superusers may run the function.
            Err(error) if error.kind() == ErrorKind::Access => without_user(&self.location_text()),
            Err(error) => return Err(error.with_context("reading the system identifier")),
        };
        connection.give_back();
        Ok(identity)
    }

    async fn capability(&self) -> Result<Capability> {
        if self.max_prepared.get().is_none() {
            let mut connection = self.connect().await?;
            self.ask_max_prepared(&mut connection).await?;
            connection.give_back();
        }
        match self.max_prepared.get() {
            Some(branches) => Ok(Capability::TwoPhase { branches: *branches }),
            None => Err(Error::new(ErrorKind::Access, format!("{}: {READ_ONLY}", self.location_text()))),
        }
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        Ok(Box::new(branch::start(self.clone(), xid, spec.clone(), None).await?))
    }

    async fn start_change(&self, xid: &Xid, spec: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        Ok(Box::new(branch::start(self.clone(), xid, spec.clone(), Some(change)).await?))
    }

    async fn commit(&self, xid: &Xid) -> Result<Resolution> {
        self.complete("COMMIT PREPARED", xid).await
    }

    async fn rollback(&self, xid: &Xid) -> Result<Resolution> {
        self.complete("ROLLBACK PREPARED", xid).await
    }

    async fn in_doubt(&self, job: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        let prefix = job.map_or_else(|| PREFIX.to_owned(), JobNumber::prefix);
        let mut connection = self.connect().await?;
        let (pid, conn) = connection.parts();
        let found = sqlx::query_as(IN_DOUBT).bind(prefix).fetch_all(conn);
        let found: Result<Vec<(String, f64)>> = self.answer(pid, "SELECT", found).await;
        let found = found.map_err(|error| error.with_context("listing prepared transactions"))?;
        connection.give_back();
        let read = |(gid, age): (String, f64)| {
            Some(InDoubt { xid: Xid::parse(&gid)?, age: Duration::try_from_secs_f64(age).unwrap_or_default() })
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    async fn open_sessions(&self) -> Result<Vec<OpenSession>> {
        let mut connection = self.connect().await?;
        let (pid, conn) = connection.parts();
        let found = sqlx::query_as(OPEN_SESSIONS).fetch_all(conn);
        let found: Result<Vec<(i32, f64, String)>> = self.answer(pid, "SELECT", found).await;
        let found = found.map_err(|error| error.with_context("listing open transactions"))?;
        connection.give_back();
        let read = |(pid, age, state): (i32, f64, String)| OpenSession {
            session: pid.to_string(),
            age: Duration::try_from_secs_f64(age).unwrap_or_default(),
            state,
        };
        Ok(found.into_iter().map(read).collect())
    }

    fn how_to_prepare(&self) -> Option<&'static str> {
        Some(
            "set max_prepared_transactions, which is 0 by default, to at least the number of writers of all \
             statements that run at the same time, and restart the server",
        )
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

    fn widening(&self, column: &Column, to: &DataType) -> Option<Rewrites> {
        alter::widening(column, to)
    }

    async fn plan_alteration(&self, table: &Table, added: &Schema, widened: &Schema) -> Result<Alteration> {
        self.plan_alteration(table, added, widened).await
    }

    async fn default_schema(&self) -> Result<Option<String>> {
        let mut connection = self.connect().await?;
        let (pid, conn) = connection.parts();
        let schema = sqlx::query_scalar("SELECT current_schema()").fetch_one(conn);
        let schema = self.answer(pid, "SELECT", schema).await?;
        connection.give_back();
        Ok(schema)
    }

    fn type_name(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            "TINYINT" | "TINYINT UNSIGNED" => "SMALLINT",
            "SMALLINT UNSIGNED" => "INTEGER",
            "INT UNSIGNED" | "INTEGER UNSIGNED" => "BIGINT",
            "BIGINT UNSIGNED" => "NUMERIC(20)",
            "DOUBLE" => "DOUBLE PRECISION",
            "STRING" => "TEXT",
            "BLOB" | "BINARY" | "VARBINARY" => "BYTEA",
            "DATETIME" => "TIMESTAMP",
            _ => return None,
        })
    }

    async fn create_table(&self, table: &NewTable) -> Result<()> {
        self.create(table).await
    }

    async fn drop_if_empty(&self, table: &str) -> Result<bool> {
        self.drop_empty(table).await
    }

    async fn describe_new(&self, table: &NewTable, _: bool) -> Result<Option<Table>> {
        self.described_new(table).await
    }

    fn can_reject(&self) -> bool {
        true
    }

    fn takes(&self, column: &Column, from: &DataType) -> bool {
        Encoder::try_new(from, column, self.nanoseconds).is_ok()
    }

    fn second_digits(&self, column: &Column) -> Option<u32> {
        described::server_type(column).ok()?.codec.second_digits()
    }

    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        let targets = self.targets(table, spec)?;
        check_advance(table, described::relation(table)?.is_table, self.identity)?;
        statements::delete(table, spec.existing)?;
        ExistingRows::of(table, spec, &targets).map(drop)
    }

    async fn plan_indexes(&self, table: &Table, spec: &WriteSpec) -> Result<Indexes> {
        self.planned_indexes(table, spec).await
    }

    fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
        Postgres::check_change(self, table, spec, change)
    }

    fn dispatch(&self, table: &Table, spec: &WriteSpec) -> Dispatch {
        statements::dispatch(table, spec)
            .unwrap_or(Dispatch::OneWriter("Landfall has not read the description of the table"))
    }

    async fn begin(&self, xid: &Xid, _: Protocol, isolation: Option<Isolation>) -> Result<Box<dyn OpenTransaction>> {
        let transaction = Open::begin(self.clone(), xid, isolation, None).await?;
        Ok(Box::new(OpenBranch { xid: *xid, transaction }))
    }

    async fn run(&self, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
        run(self, &statement, &parameters).await
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }
}

impl Scan for Postgres {
    fn query(&self, query: Query) -> Result<BatchStream> {
        Ok(scan::stream(self.clone(), query))
    }

    fn dialect(&self) -> Option<&dyn QueryDialect> {
        Some(&PostgresDialect)
    }

    fn read_as(&self, column: &Column, wanted: &DataType) -> Option<Column> {
        let server = described::server_type(column).ok()?;
        let read = column.read_as(&server.read_as(wanted)?);
        Some(match column.comparison {
            // Regardless of the type that it is read as.
            Comparison::Nothing => Column { comparison: Comparison::Nothing, ..read },
            _ => read,
        })
    }
}

/// Parameter: a prefix. The prepared transactions of this database with that prefix, and their age in seconds.
const IN_DOUBT: &str = "SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts \
     WHERE database = current_database() AND starts_with(gid, $1) ORDER BY gid";

/// Sessions of programs with the name of this one.
const OPEN_SESSIONS: &str = "SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::float8, \
     CASE WHEN wait_event_type = 'Lock' THEN 'waits for a lock' ELSE coalesce(state, '') END \
     FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database() \
     AND application_name = current_setting('application_name') ORDER BY xact_start, pid";

/// The cluster and the database. A promoted standby has the same system identifier.
const IDENTITY: &str = "SELECT format('PostgreSQL system %s, database %s', system_identifier, current_database()) \
     FROM pg_control_system()";

/// No prepared transaction has this identifier.
const UNDEFINED_OBJECT: &str = "42704";

/// Another session is completing it.
const OBJECT_NOT_IN_PREREQUISITE_STATE: &str = "55000";

impl Postgres {
    async fn complete(&self, verb: &str, xid: &Xid) -> Result<Resolution> {
        let mut connection = self.pool.acquire_to_end().await?;
        failpoint("postgres.complete.before");
        let (pid, conn) = connection.parts();
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{verb} '{xid}'"))).execute(conn);
        // Its errors have codes that mean something here only.
        let done = async { Ok(done.await) };
        let done = self.answer(pid, verb, done).await;
        failpoint("postgres.complete.after");
        let done = done?;
        let code = done.as_ref().err().and_then(|error| error.as_database_error()?.code()).map(String::from);
        let resolution = match (code.as_deref(), done) {
            (_, Ok(_)) => Resolution::Done,
            (Some(UNDEFINED_OBJECT), _) => Resolution::Unknown,
            (Some(OBJECT_NOT_IN_PREREQUISITE_STATE), Err(error)) => {
                return Err(Error::new(
                    ErrorKind::Locked,
                    format!("prepared transaction {xid} is busy in another session: try again later"),
                )
                .with_source(error));
            }
            (_, Err(error)) => return Err(self.error(error).with_context(format!("{verb} '{xid}'"))),
        };
        connection.give_back();
        Ok(resolution)
    }

    /// Reads the server's `max_prepared_transactions`, unless it is known, or the server is a standby.
    pub(super) async fn ask_max_prepared(&self, connection: &mut PostgresConnection) -> Result<()> {
        if self.max_prepared.get().is_some() {
            return Ok(());
        }
        let asked = sqlx::query_scalar(
            "SELECT CASE WHEN NOT pg_is_in_recovery() THEN current_setting('max_prepared_transactions')::int END",
        );
        let (pid, conn) = connection.parts();
        let asked: Option<i32> = self.answer(pid, "SELECT", asked.fetch_one(conn)).await?;
        if let Some(asked) = asked {
            let _ = self.max_prepared.set(asked.try_into().unwrap_or_default());
        }
        Ok(())
    }
}
