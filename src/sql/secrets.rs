//! Passwords in texts that are shown: definitions, statements in messages, the shell's history.

#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::error::{Error, Result};

/// Refuses a URL whose password has characters that end it.
///
/// # Errors
/// `Config`, without the password.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn check_password(location: &str) -> Result<()> {
    let (_, rest) = location.split_once("://").unwrap_or_default();
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

/// The text with `***` in the place of each password in a URL.
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        shown += before;
        let scheme = before[..at].trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let end = match scheme.ends_with('\'') {
            true => end_of_literal(url),
            false => url.find(['\'', '"', ' ', '\n', '\t']),
        };
        let (url, behind) = url.split_at(end.unwrap_or(url.len()));
        shown += &url_without_password(url);
        rest = behind;
    }
    shown + rest
}

/// Where a literal of SQL ends that began before: two quotes are one in it.
fn end_of_literal(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('\'')?;
        if !text[at + 1..].starts_with('\'') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// `user:password@host?password=…`, without what comes before the slashes.
fn url_without_password(url: &str) -> String {
    let authority_end = url.find(['/', '?', '#']).unwrap_or(url.len());
    // A password that should be percent-encoded may not be: the last @ ends it.
    let user_end = url.rfind('@').filter(|at| *at < authority_end || url[..*at].contains(':'));
    let mut shown = match user_end.map(|at| url.split_at(at)) {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***{host}"),
            None => url.to_owned(),
        },
        None => url.to_owned(),
    };
    let mut from = 0;
    while let Some(at) = shown[from..].to_ascii_lowercase().find("password=") {
        let begin = from + at + "password=".len();
        let end = shown[begin..].find('&').map_or(shown.len(), |end| begin + end);
        shown.replace_range(begin..end, "***");
        from = begin;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_left() {
        for (text, shown) in [
            ("LOCATION 'postgres://me:secret@h:1/d' x", "LOCATION 'postgres://me:***@h:1/d' x"),
            ("'postgres://me@h/d?password=secret&sslmode=require'", "'postgres://me@h/d?password=***&sslmode=require'"),
            ("'mysql://me:se/cr@et@h' and 'http://h/a:b'", "'mysql://me:***@h' and 'http://h/a:b'"),
            ("L 'postgres://me:se cret@h', it''s", "L 'postgres://me:***@h', it''s"),
            ("L 'postgres://me:it''s3cret@h' x", "L 'postgres://me:***@h' x"),
            ("'postgres://me@h/d?Password=secret'", "'postgres://me@h/d?Password=***'"),
            ("no URL: here", "no URL: here"),
            ("'postgres://me:secret", "'postgres://me:secret"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
