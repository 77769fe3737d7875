//! Connection parameters: a location, and the client's environment variables.

use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{ClientIdentity, OptsBuilder, SslOpts};

use crate::error::{Error, Result};
use crate::sql::{check_host, decoded, encoded, host_in_url, parse_location, password_in, without_brackets};

/// Connection parameters.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) builder: OptsBuilder,
    pub(super) user: String,
    pub(super) host: String,
    pub(super) socket: Option<String>,
    pub(super) port: u16,
    pub(super) database: String,
    /// The parameters of the location.
    pub(super) parameters: String,
    /// Whether to use TLS only if the server supports it.
    pub(super) tls_is_preferred: bool,
    /// Whether the location has a password.
    has_password: bool,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The builder contains the password.
        f.write_str(&self.location())
    }
}

const FORM: &str = "use mysql://user@host:port/database";

/// The parameters that a location can have.
const PARAMETERS: &[&str] = &["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

/// The TLS parameters of a location.
#[derive(Debug, Default)]
struct Tls {
    mode: Option<String>,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Tls {
    /// The client's options, `None` if TLS is disabled; and whether a server without TLS is accepted.
    fn options(self) -> Result<(Option<SslOpts>, bool)> {
        let mut options = SslOpts::default();
        if let Some(root) = &self.root {
            options = options.with_root_certs(vec![root.clone().into()]).with_disable_built_in_roots(true);
        }
        options = match (self.certificate, self.key) {
            (None, None) => options,
            (Some(certificate), Some(key)) => {
                options.with_client_identity(Some(ClientIdentity::new(certificate.into(), key.into())))
            }
            _ => {
                return Err(Error::config(
                    "LOCATION contains only one of the parameters ssl-cert and ssl-key: set both",
                ));
            }
        };
        // A root certificate means that the server is verified.
        let mode = match (self.mode.as_deref(), self.root.is_some()) {
            (None, false) => "preferred",
            (None | Some("required"), true) => "verify_ca",
            (Some(mode @ ("disabled" | "preferred")), true) => {
                return Err(Error::config(format!(
                    "with ssl-mode={mode}, the server's certificate is not verified, so ssl-ca has no effect: set \
                     ssl-mode to verify_identity or verify_ca, or remove ssl-ca"
                )));
            }
            (Some(mode), _) => mode,
        };
        let verified = match mode {
            "disabled" => None,
            "preferred" | "required" => {
                Some(options.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true))
            }
            "verify_ca" => Some(options.with_danger_skip_domain_validation(true)),
            "verify_identity" => Some(options),
            other => {
                return Err(Error::config(format!(
                    "ssl-mode cannot be '{other}': use disabled, preferred, required, verify_ca or verify_identity"
                )));
            }
        };
        Ok((verified, mode == "preferred"))
    }
}

impl Options {
    pub(super) fn try_new(location: &str, password: Option<String>) -> Result<Self> {
        let url = parse_location(location, &["mysql", "mariadb"], FORM)?;
        let given = |text: &str| Ok::<_, Error>(Some(decoded(text)?).filter(|text| !text.is_empty()));
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());

        let database = given(url.path().trim_start_matches('/'))?.filter(|name| !name.contains('/'));
        let database = database.ok_or_else(|| Error::config(format!("LOCATION does not name a database: {FORM}")))?;
        let user = given(url.username())?.or_else(|| variable("USER"));
        let user = user.ok_or_else(|| Error::config(format!("LOCATION does not name a user: {FORM}")))?;
        let host = given(url.host_str().unwrap_or_default())?.or_else(|| variable("MYSQL_HOST"));
        let host = host.unwrap_or_else(|| "localhost".into());
        check_host(&host)?;
        let host = without_brackets(&host).map(str::to_owned).unwrap_or(host);
        let port = url.port().or_else(|| variable("MYSQL_TCP_PORT")?.parse().ok()).unwrap_or(3306);
        let password = password.or(url.password().map(decoded).transpose()?).or_else(|| variable("MYSQL_PWD"));

        let has_password = url.password().is_some();
        let mut tls = Tls::default();
        let mut socket = Some(host.clone()).filter(|host| host.starts_with('/'));
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "ssl-mode" => tls.mode = Some(value.to_ascii_lowercase()),
                "ssl-ca" => tls.root = Some(PathBuf::from(value.as_ref())),
                "ssl-cert" => tls.certificate = Some(PathBuf::from(value.as_ref())),
                "ssl-key" => tls.key = Some(PathBuf::from(value.as_ref())),
                "socket" => socket = Some(value.into_owned()),
                other => {
                    return Err(Error::config(format!(
                        "unknown parameter '{other}' in LOCATION: valid parameters are {}",
                        PARAMETERS.join(", ")
                    )));
                }
            }
        }
        let (tls, tls_is_preferred) = tls.options()?;
        let builder = OptsBuilder::default()
            .ip_or_hostname(host.clone())
            .tcp_port(port)
            .user(Some(user.clone()))
            .pass(password)
            .db_name(Some(database.clone()))
            .ssl_opts(tls.filter(|_| socket.is_none()))
            .socket(socket.clone())
            .prefer_socket(false)
            // An UPDATE counts the rows that it finds, even if it does not change them.
            .client_found_rows(true)
            // Where the sockets are not found to set more.
            .tcp_keepalive(Some(Duration::from_secs(30)))
            // The client must not query these values: Landfall reads them.
            .max_allowed_packet(Some(1 << 30))
            .wait_timeout(Some(28_800));
        // The socket replaces the host.
        let parameters = url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
        let parameters: Vec<_> = parameters.filter(|part| !part.starts_with("socket=")).collect();
        let parameters = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
        Ok(Self { builder, user, host, socket, port, database, parameters, tls_is_preferred, has_password })
    }

    pub(super) fn location(&self) -> String {
        let host = host_in_url(self.socket.as_ref().unwrap_or(&self.host));
        format!("mysql://{}@{host}:{}/{}", encoded(&self.user), self.port, encoded(&self.database))
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
