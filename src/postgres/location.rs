//! Connection parameters: the URL of a server, with parameters of libpq.

use std::fmt;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::error::{Error, Result};
use crate::sql::{check_host, encoded, host_in_url, parse_location, password_in, without_brackets};

/// Connection parameters.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) connect: PgConnectOptions,
    /// The parameters of the location, except the password and those in [`Options::location`].
    parameters: String,
    /// Whether the location has a password.
    has_password: bool,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The parameters include the password.
        f.write_str(&self.location())
    }
}

/// The parameters that a location can have; sqlx would silently ignore others.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

impl Options {
    /// Parses a location; `password` replaces the one in it.
    pub(super) fn try_new(location: &str, password: Option<String>) -> Result<Self> {
        const FORM: &str = "use postgres://user@host:port/database";
        let mut url = parse_location(location, &["postgres", "postgresql"], FORM)?;
        check_parameters(url.query().unwrap_or_default())?;
        let parameters = parameters(url.query().unwrap_or_default());
        let has_password = url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password");
        if let Some(address) = url.host_str().and_then(without_brackets) {
            // The client would look up the name with its brackets. A later `host` in the query takes precedence.
            let query = format!("host={}&{}", encoded(address), url.query().unwrap_or_default());
            url.set_query(Some(&query));
        }
        // The cause could contain the password.
        let mut connect = PgConnectOptions::from_url(&url)
            .map_err(|error| Error::config(format!("invalid LOCATION ({}): {FORM}", cause(&error))))?;
        check_host(connect.get_host())?;
        if let Some(password) = password {
            connect = connect.password(&password);
        }
        if connect.get_application_name().is_none() {
            connect = connect.application_name("landfall");
        }
        // A pooler may not know this parameter; the session sets it.
        let connect = with_tls(connect, &url)?.disable_statement_logging().extra_float_digits(None);
        Ok(Self { connect, parameters, has_password })
    }

    /// The location, as shown in messages.
    pub(super) fn location(&self) -> String {
        let options = &self.connect;
        let host = match options.get_socket() {
            Some(socket) => encoded(&socket.display().to_string()),
            None => host_in_url(options.get_host()),
        };
        let (user, database) = (options.get_username(), options.get_database().unwrap_or(options.get_username()));
        format!("postgres://{}@{host}:{}/{}", encoded(user), options.get_port(), encoded(database))
    }

    /// The location as a URL that can be used again.
    pub(super) fn url(&self) -> String {
        format!("{}{}", self.location(), self.parameters)
    }

    /// The same, if the location has no password that would be lost.
    pub(super) fn shared_url(&self) -> Result<String> {
        if self.has_password { Err(password_in(&self.location())) } else { Ok(self.url()) }
    }
}

fn check_parameters(query: &str) -> Result<()> {
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") && !name.starts_with("options%5B") {
            return Err(Error::config(format!(
                "unknown parameter '{name}' in LOCATION: valid parameters are {}",
                PARAMETERS.join(", ")
            )));
        }
    }
    Ok(())
}

/// The parameters after `?` in a location, except the password and those in [`Options::location`].
fn parameters(query: &str) -> String {
    let known = ["password=", "host=", "hostaddr=", "port=", "dbname=", "user="];
    let is_kept = |part: &&str| !part.is_empty() && !known.iter().any(|known| part.starts_with(known));
    let kept: Vec<_> = query.split('&').filter(is_kept).collect();
    if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) }
}

/// Sets the TLS mode. A root certificate means that the server is verified: as in libpq, `require` becomes `verify-ca`,
/// and so does a missing mode; a mode that ignores the certificate is an error.
fn with_tls(connect: PgConnectOptions, url: &Url) -> Result<PgConnectOptions> {
    let is_socket = connect.get_socket().is_some() || connect.get_host().starts_with('/');
    let given = |names: &[&str]| url.query_pairs().any(|(name, _)| names.contains(&name.as_ref()));
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (mode_in_url, root_in_url) =
        (given(&["sslmode", "ssl-mode"]), given(&["sslrootcert", "ssl-root-cert", "ssl-ca"]));
    if let Some(mode) = variable("PGSSLMODE").filter(|_| !mode_in_url)
        && mode.parse::<PgSslMode>().is_err()
    {
        return Err(Error::config(format!(
            "PGSSLMODE cannot be '{mode}': use disable, prefer, require, verify-ca or verify-full"
        )));
    }
    let has_mode = mode_in_url || variable("PGSSLMODE").is_some();
    let has_root = root_in_url || variable("PGSSLROOTCERT").is_some();
    let mode = match connect.get_ssl_mode() {
        // As in libpq: Unix sockets have no TLS.
        _ if is_socket => PgSslMode::Disable,
        PgSslMode::Allow => {
            return Err(Error::config("sslmode=allow is not supported: use sslmode=prefer or sslmode=disable"));
        }
        // PGSSLROOTCERT applies to all servers, and this one has no TLS.
        PgSslMode::Disable if mode_in_url && !root_in_url => PgSslMode::Disable,
        mode @ (PgSslMode::Disable | PgSslMode::Prefer) if has_root && has_mode => {
            let mode = if matches!(mode, PgSslMode::Disable) { "disable" } else { "prefer" };
            return Err(Error::config(format!(
                "with sslmode={mode}, the server's certificate is not verified, so sslrootcert has no effect: set \
                 sslmode to verify-full or verify-ca, or remove sslrootcert (PGSSLROOTCERT)"
            )));
        }
        PgSslMode::Prefer | PgSslMode::Require if has_root => PgSslMode::VerifyCa,
        mode => mode,
    };
    Ok(connect.ssl_mode(mode))
}

/// Why a URL is invalid, without the URL.
fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(cause) => cause.to_string(),
        _ => "malformed URL".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_password_is_never_shown() {
        let options = Options::try_new("postgres://me:s3cret@db.example:6543/sales?password=s3cret", None).unwrap();
        assert_eq!(options.location(), "postgres://me@db.example:6543/sales");
        assert_eq!(options.url(), options.location());
        assert!(!format!("{options:?}").contains("s3cret"));
        for bad in [
            "postgres://me:s3cret@host:99999/db",
            "postgres://me:s3cret@host/db?sslmode=s3cret2",
            "postgres://me:s3cret@[::1/db",
            "mysql://me:s3cret@host/db",
            "postgres://me:s3cret@host/db?sslmod=require",
            "postgres://me:p@ss/s3cret@host:1/db",
            "postgres://me:12#s3cret@host/db",
            "postgres://me:s3cret@one,two/db",
            "postgres://me:s3cret@one:5432,two:5432/db",
            "postgres://me:s3cret@/db?host=one,two",
        ] {
            let error = Options::try_new(bad, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
            assert!(!error.to_string().contains("s3cret@"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_can_be_given_again() {
        for (given, shown) in [
            ("postgres://me@[::1]:6543/db?sslmode=disable", "postgres://me@[::1]:6543/db?sslmode=disable"),
            ("postgres:///a%20b?host=/run/pg&user=m%40e&port=1", "postgres://m%40e@%2Frun%2Fpg:1/a%20b"),
            (
                "postgres://me@%2Frun%2Fpg:1/db?application_name=a+b",
                "postgres://me@%2Frun%2Fpg:1/db?application_name=a%2Bb",
            ),
        ] {
            let options = Options::try_new(given, None).unwrap();
            assert_eq!(options.url(), shown);
            let again = Options::try_new(shown, None).unwrap();
            assert_eq!(again.url(), shown);
            assert_eq!(again.connect.get_socket(), options.connect.get_socket());
            assert_eq!(again.connect.get_host(), options.connect.get_host());
        }
        let address = Options::try_new("postgres://me@[2001:db8::1]/db", None).unwrap();
        assert_eq!(address.connect.get_host(), "2001:db8::1");
        let plus = Options::try_new("postgres://me@h/db?application_name=a+b%20c", None).unwrap();
        assert_eq!(plus.connect.get_application_name(), Some("a+b c"));
    }
}
