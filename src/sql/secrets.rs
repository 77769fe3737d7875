//! Passwords in texts that are shown: definitions, statements in messages, the shell's history.

/// The text with `***` in the place of each password in a URL.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        shown += before;
        let end = url.find(['\'', '"', ' ', '\n', '\t']).unwrap_or(url.len());
        let (url, behind) = url.split_at(end);
        shown += &url_without_password(url);
        rest = behind;
    }
    shown + rest
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
    while let Some(at) = shown[from..].find("password=") {
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
            ("no URL: here", "no URL: here"),
            ("'postgres://me:secret", "'postgres://me:secret"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
