//! A location as the URL of a server.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::error::{Error, Result};

/// What stands for itself in every part of a URL (RFC 3986, unreserved characters).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Reads the URL of a server; `form` says how one looks. A plus in its parameters is a plus, as in libpq.
///
/// # Errors
/// `Config`, without the password.
pub fn parse_location(location: &str, schemes: &[&str], form: &str) -> Result<Url> {
    let (scheme, rest) = location.split_once("://").unwrap_or_default();
    if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(Error::config(format!(
            "LOCATION is no URL that begins with {}://: {form}",
            schemes.join(":// or ")
        )));
    }
    check_password(rest)?;
    let (address, query) = location.split_once('?').unwrap_or((location, ""));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    check_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
    // The cause has nothing of the URL in it.
    Url::parse(&format!("{address}?{}", query.replace('+', "%2B")))
        .map_err(|error| Error::config(format!("LOCATION cannot be understood, {error}: {form}")))
}

/// Refuses a password with characters that end it.
fn check_password(rest: &str) -> Result<()> {
    let behind = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    // The rest of it would be shown as a host.
    if rest.contains('#') || behind.split('?').next().is_some_and(|path| path.contains('@')) {
        return Err(Error::config(
            "LOCATION has @, / or # where none can be: write %40, %2F and %23 in a password, or use the option \
             'password_env'",
        ));
    }
    Ok(())
}

/// Refuses a list of hosts.
///
/// # Errors
/// `Config`, with what to do.
pub fn check_host(host: &str) -> Result<()> {
    if host.contains(',') {
        return Err(Error::config(
            "LOCATION names several hosts: name one, or an address that follows the primary, as a transaction must be \
             ended by the server that it was begun at",
        ));
    }
    Ok(())
}

/// A part of a URL as what it stands for.
///
/// # Errors
/// `Config` where that is no text.
pub fn decoded(part: &str) -> Result<String> {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
    decoded.map(Into::into).map_err(|_| Error::config("LOCATION has bytes, as %FF, that are no text in UTF-8"))
}

/// A text as a part of a URL.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A host, or the path of a socket, as a URL has it.
pub fn host_in_url(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => encoded(host),
    }
}

/// The host that brackets are around, as an address of IPv6 stands in a URL.
pub fn without_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}
