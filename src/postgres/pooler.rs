//! Detects a connection pooler that gives the transactions of one client to several sessions of the server.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row as _};
use uuid::Uuid;

use super::connector::Connector;
use crate::error::{Error, ErrorKind, Result};

/// How long a pooler may take to give a session to a client.
const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// The next step for a pooler that Landfall does not support.
pub(super) const USE_THE_SERVER: &str = "a connection pooler (such as PgBouncer) runs the transactions of one \
                                         connection in different sessions: connect directly to the server, or set \
                                         pool_mode = session in the pooler";

impl Connector {
    /// Checks that a connection keeps its session. `ports` are the local ports of new connections.
    ///
    /// # Errors
    /// `Unsupported` if there is a pooler that does not keep it.
    pub(super) async fn check_pooler(&self, connection: &mut PgConnection, ports: &[u16]) -> Result<()> {
        let asked = sqlx::raw_sql("SELECT inet_client_port()").fetch_one(&mut *connection).await;
        let port: Option<i32> = asked.and_then(|row| row.try_get(0)).map_err(|error| self.error(error))?;
        let is_direct = port.and_then(|port| u16::try_from(port).ok()).is_some_and(|port| ports.contains(&port));
        if is_direct || self.keeps_session(connection).await.map_err(|error| self.error(error))? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, format!("{}: {USE_THE_SERVER}", self.location_text())))
    }

    /// Sets a parameter, occupies the session with another client's transaction, and reads the parameter.
    async fn keeps_session(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let mark = Uuid::new_v4().to_string();
        sqlx::raw_sql(AssertSqlSafe(format!("SET landfall.session = '{mark}'"))).execute(&mut *connection).await?;
        let other = async {
            let mut other = PgConnection::connect_with(&self.options().connect).await?;
            sqlx::raw_sql("BEGIN").execute(&mut other).await?;
            Ok::<_, sqlx::Error>(other)
        };
        // Without another session, it cannot be checked.
        let Ok(Ok(other)) = tokio::time::timeout(SESSION_TIMEOUT, other).await else { return Ok(true) };
        let found = sqlx::raw_sql("SELECT current_setting('landfall.session', true)").fetch_one(&mut *connection);
        let found = tokio::time::timeout(SESSION_TIMEOUT, found).await;
        let _ = other.close().await;
        match found {
            Ok(row) => Ok(row?.try_get::<Option<String>, _>(0)? == Some(mark)),
            // The only session of the pool is occupied.
            Err(_) => Ok(false),
        }
    }
}
