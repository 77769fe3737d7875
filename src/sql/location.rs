//! Locations that are URLs of servers.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::error::{Error, Result};

/// All characters except those that need no encoding in any part of a URL (RFC 3986, unreserved characters).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parses the URL of a server; `form` describes a valid one. A plus in its parameters is a plus, as in libpq.
///
/// # Errors
/// `Config`. The message does not contain the password.
pub fn parse_location(location: &str, schemes: &[&str], form: &str) -> Result<Url> {
    let (scheme, rest) = location.split_once("://").unwrap_or_default();
    if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(Error::config(format!(
            "LOCATION must be a URL that begins with {}://: {form}",
            schemes.join(":// or ")
        )));
    }
    check_password(rest)?;
    let (address, query) = location.split_once('?').unwrap_or((location, ""));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    check_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
    // The cause contains no part of the URL.
    Url::parse(&format!("{address}?{}", query.replace('+', "%2B")))
        .map_err(|error| Error::config(format!("LOCATION is not a valid URL ({error}): {form}")))
}

/// Refuses a password with characters that would end it.
fn check_password(rest: &str) -> Result<()> {
    let behind = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    // The rest of the password would be displayed as a host.
    if rest.contains('#') || behind.split('?').next().is_some_and(|path| path.contains('@')) {
        return Err(Error::config(
            "LOCATION contains @, / or # where it is not allowed: write %40, %2F and %23 in a password, or use the option \
             'password_env'",
        ));
    }
    Ok(())
}

/// Refuses a list of hosts.
///
/// # Errors
/// `Config`, with the next step.
pub fn check_host(host: &str) -> Result<()> {
    if host.contains(',') {
        return Err(Error::config(
            "LOCATION contains several hosts, but a transaction must end on the server on which it began: specify one \
             host, or an address that always leads to the primary",
        ));
    }
    Ok(())
}

/// The error of a location with a password, where a password must not be handed over.
pub fn password_in(location: &str) -> Error {
    Error::config(format!(
        "the URL of {location} contains a password, which is not sent to other processes: remove the password from the \
         URL, and set the option 'password_env' to an environment variable that contains the password in every process \
         of the cluster"
    ))
}

/// Decodes a part of a URL.
///
/// # Errors
/// `Config` if the result is not valid UTF-8.
pub fn decoded(part: &str) -> Result<String> {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
    decoded.map(Into::into).map_err(|_| {
        Error::config(
            "LOCATION contains percent-encoded bytes, such as %FF, that are not valid UTF-8: encode the text in UTF-8",
        )
    })
}

/// Encodes a text as a part of a URL.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A host, or the path of a socket, as a part of a URL.
pub fn host_in_url(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => encoded(host),
    }
}

/// The host without the brackets of an IPv6 address in a URL.
pub fn without_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}
