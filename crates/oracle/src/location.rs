//! Connection parameters: a location, and options.

use std::fmt;

use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::options::SinkOptions;
use datafusion_landfall::sql::{check_host, decoded, encoded, parse_location, password_in, without_brackets};

/// The form of a location.
const FORM: &str = "use oracle://user@host:port/service";

/// Connection parameters.
#[derive(Clone)]
pub struct Location {
    /// The user.
    pub user: String,
    /// The host.
    pub host: String,
    /// The port of the listener.
    pub port: u16,
    /// The service.
    pub service: String,
    /// Whether the connection uses TLS.
    pub is_tls: bool,
    /// The password.
    password: Option<String>,
    /// Whether the location has a password.
    has_password: bool,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "oracle://{}@{host}:{port}/{}", encoded(&self.user), encoded(&self.service))?;
        f.write_str(if self.is_tls { "?protocol=tcps" } else { "" })
    }
}

fn config(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

impl Location {
    /// Parses a location. The option `password_env` takes precedence over a password in it.
    ///
    /// # Errors
    /// `Config` if it is invalid. The message does not contain the password.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        let url = parse_location(location, &["oracle"], FORM)?;
        let given = |text: &str| Ok::<_, Error>(Some(decoded(text)?).filter(|text| !text.is_empty()));
        let user = given(url.username())?.ok_or_else(|| config(format!("LOCATION names no user: {FORM}")))?;
        let host = given(url.host_str().unwrap_or_default())?;
        let host = host.ok_or_else(|| config(format!("LOCATION names no host: {FORM}")))?;
        check_host(&host)?;
        let host = without_brackets(&host).map(str::to_owned).unwrap_or(host);
        let service = given(url.path().trim_start_matches('/'))?;
        let service = service.ok_or_else(|| config(format!("LOCATION names no service: {FORM}")))?;
        // Other characters have a meaning in a connect string.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-$#".contains(c);
        if !service.chars().all(is_plain) || !host.chars().all(|c| is_plain(c) || c == ':') {
            return Err(config(format!(
                "the host or the service in LOCATION has a character that Oracle's names cannot have: {FORM}"
            )));
        }
        let mut is_tls = false;
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), value.as_ref()) {
                ("protocol", "tcps") => is_tls = true,
                ("protocol", "tcp") => is_tls = false,
                ("protocol", _) => return Err(config("protocol in LOCATION is not known: use tcp or tcps")),
                (other, _) => {
                    return Err(config(format!("unknown parameter '{other}' in LOCATION: the known one is protocol")));
                }
            }
        }
        let password = options.password()?.or(url.password().map(decoded).transpose()?);
        let (port, has_password) = (url.port().unwrap_or(if is_tls { 2484 } else { 1521 }), url.password().is_some());
        Ok(Self { user, host, port, service, is_tls, password, has_password })
    }

    /// The location for another process, if it has no password that would be lost.
    ///
    /// # Errors
    /// `Config` if it has one.
    pub fn shared_url(&self) -> Result<String> {
        if self.has_password { Err(password_in(&self.to_string())) } else { Ok(self.to_string()) }
    }

    /// The connect string, in Oracle's Easy Connect syntax.
    pub fn connect_string(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let protocol = if self.is_tls { "tcps://" } else { "" };
        format!("{protocol}{host}:{}/{}", self.port, self.service)
    }

    /// The password.
    ///
    /// # Errors
    /// `Config` if there is none.
    pub fn password(&self) -> Result<&str> {
        self.password.as_deref().ok_or_else(|| {
            config(format!(
                "there is no password for {self}: set the option 'password_env' to an environment variable that has it"
            ))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(location: &str) -> Result<Location> {
        Location::try_new(location, &SinkOptions::new())
    }

    #[test]
    fn a_password_is_never_shown() {
        let location = parsed("oracle://scott:s3cr%40et@db.example/FREEPDB1").unwrap();
        assert_eq!(location.to_string(), "oracle://scott@db.example:1521/FREEPDB1");
        assert_eq!(location.connect_string(), "db.example:1521/FREEPDB1");
        assert_eq!(location.password().unwrap(), "s3cr@et");
        assert!(!format!("{location:?}").contains("s3cr"));
        assert!(!location.shared_url().unwrap_err().to_string().contains("s3cr"));
        for bad in [
            "oracle://scott:s3cret@db.example",
            "oracle://:s3cret@db.example/x",
            "oracle://scott:s3cret@db.example/a(b)",
            "oracle://scott:s3cret@db.example/x?protocol=udp",
            "oracle://scott:s3cret@db.example/x?wallet=a",
            "oracle://scott:s3cret@one,two/x",
            "mysql://scott:s3cret@db.example/x",
        ] {
            let error = parsed(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_location_is_read_as_it_is_shown() {
        for (given, shown) in [
            ("oracle://me@h/s", "oracle://me@h:1521/s"),
            ("oracle://me@h/s?protocol=tcps", "oracle://me@h:2484/s?protocol=tcps"),
            ("oracle://m%20e@h:7/a.b$c", "oracle://m%20e@h:7/a.b%24c"),
        ] {
            assert_eq!(parsed(given).unwrap().to_string(), shown);
            assert_eq!(parsed(shown).unwrap().to_string(), shown);
        }
        assert_eq!(parsed("oracle://me@h/s?protocol=tcps").unwrap().connect_string(), "tcps://h:2484/s");
        assert!(parsed("oracle://me@h/s").unwrap().password().is_err());
    }
}
