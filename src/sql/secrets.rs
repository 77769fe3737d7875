//! Removes passwords from texts that are displayed or stored: definitions, statements in messages, the shell's history.

/// The location of a server without its user: `postgres://me@host:5432/db` is `postgres://host:5432/db`.
pub fn without_user(location: &str) -> String {
    match location.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}"),
        None => location.to_owned(),
    }
}

/// The text with `***` in place of each password in a URL. If the end of a URL is not clear, because its password contains
/// quotes or blanks, more of the line is removed.
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        shown += before;
        let scheme = before[..at].trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let quote = scheme.chars().next_back().filter(|before| ['\'', '"'].contains(before));
        let end = quote.and_then(|quote| end_of_quoted(url, quote)).unwrap_or_else(|| end_of_bare(url));
        let (url, behind) = url.split_at(end);
        shown += &url_without_password(url);
        rest = behind;
    }
    shown + rest
}

/// The end of a URL that follows a quote; `None` if the character that ends it may belong to its password.
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let end = end_of_literal(text, quote)?;
    let (url, behind) = (&text[..end], &text[end + 1..]);
    let is_end = behind.chars().next().is_none_or(|next| next.is_whitespace() || "),;".contains(next));
    let is_paired = behind.matches(quote).count() % 2 == 0;
    let is_whole = match (url.contains('@'), authority(url)) {
        (true, _) => true,
        (false, authority) => {
            // A port, or the digits that a password begins with.
            !has_password(authority) && (!authority.contains(':') || url.contains('/') || !line(behind).contains('@'))
        }
    };
    (is_end && is_paired && is_whole).then_some(end)
}

/// The end of a SQL literal, after its opening quote. A doubled quote does not end it.
fn end_of_literal(text: &str, quote: char) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(quote)?;
        if !text[at + 1..].starts_with(quote) {
            return Some(at);
        }
        from = at + 2;
    }
}

/// The latest possible end of a URL without quotes: a blank, if it has no password; otherwise, everything before the last
/// `@` of the line can be its password.
fn end_of_bare(text: &str) -> usize {
    let line = line(text);
    if line.to_ascii_lowercase().contains("password=") {
        return line.len();
    }
    let blank = |from: usize| line[from..].find(char::is_whitespace).map_or(line.len(), |end| from + end);
    let word = &line[..blank(0)];
    let has_none = match word.rsplit_once('@') {
        Some((user, host)) => !user.contains(':') && !has_password(authority(host)),
        None => !authority(word).contains(':'),
    };
    match line.rfind('@') {
        Some(at) if !has_none => blank(at),
        _ => word.len(),
    }
}

fn line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

/// `user:password@host:port`
fn authority(url: &str) -> &str {
    url.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether an authority without `@` has something other than a port after its colon.
fn has_password(authority: &str) -> bool {
    let is_address = authority.starts_with('[');
    !is_address && authority.split_once(':').is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Hides the password of `user:password@host?password=…`, a URL without its scheme.
fn url_without_password(url: &str) -> String {
    let authority = authority(url);
    // A password may not be percent-encoded although it should be: the last @ ends it.
    let user_end = url.rfind('@').filter(|at| *at < authority.len() || url[..*at].contains(':'));
    let mut shown = match (user_end.map(|at| url.split_at(at)), url.split_once(':')) {
        (Some((user, host)), _) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***{host}"),
            None => url.to_owned(),
        },
        // The URL has no host.
        (None, Some((name, _))) if has_password(authority) => format!("{name}:***"),
        (None, _) => url.to_owned(),
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
            ("'postgres://h:5432/d', 'postgres://[::1]:5432'", "'postgres://h:5432/d', 'postgres://[::1]:5432'"),
            ("see http://h:80/a, file:///b and s3://c/d:e", "see http://h:80/a, file:///b and s3://c/d:e"),
            (
                "tables of postgres://me@h:1/d: no server at postgres://me@h:1/d",
                "tables of postgres://me@h:1/d: no server at postgres://me@h:1/d",
            ),
            // The URL has no host.
            ("'postgres://me:secret", "'postgres://me:***"),
            ("'postgres://me:secret'", "'postgres://me:***"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }

    #[test]
    fn a_password_is_not_shown_however_it_is_quoted() {
        let passwords = [
            "s3cret",
            "pa's3cret",
            "s3cret'",
            "'s3cret",
            "pa''s3cret",
            "pa\"s3cret",
            "pa s3cret",
            "1'2 s3cret",
            "12'34s3cret",
            "pa@s3cret",
            "p@a's3cret",
            "pa/s3cret",
            "pa?s3cret",
            "pa#s3cret",
            "pa$s3cret",
            "pa;s3cret",
            "pa\\'s3cret",
            "pa)s3cret",
            "12' s3cret",
            "1/2's3cret",
            "pa:s3cret",
            "pa`s3cret",
            "pa\ts3cret",
            "p:'@s3cret' '",
            "pa//s3cret",
            "pa://s3cret",
        ];
        let texts = [
            "\\attach pg postgres://me:{}@h:5432/d",
            "\\attach pg 'postgres://me:{}@h:5432/d'",
            "\\attach pg \"postgres://me:{}@h/d\";",
            "\\attach pg postgres://me:{}",
            "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION 'postgres://me:{}@h/d' OPTIONS ('table' 'x');",
            "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION \"mysql://me:{}@h/d\";",
            "CREATE EXTERNAL TABLE t LOCATION E'postgres://me:{}@h/d'\nOPTIONS ('table' 'x');",
            "CREATE EXTERNAL TABLE t LOCATION $$postgres://me:{}@h/d$$;",
            "CREATE EXTERNAL TABLE t LOCATION postgres://me:{}@h/d'; -- it's wrong",
            "SELECT 'postgres://h/d', 'postgres://me:{}@h/d', 'postgres://you:{}@h/d'",
            "\\attach pg postgres://me@h/d?sslmode=require&password={}",
        ];
        for password in passwords {
            for text in texts {
                // Without a host, the password cannot be told from a host or the next word.
                if text.ends_with("me:{}") && password.contains(|c: char| c.is_whitespace() || "@/?#".contains(c)) {
                    continue;
                }
                let shown = without_passwords(&text.replace("{}", password));
                assert!(!shown.contains("s3cret"), "{text} with {password}: {shown}");
                assert!(shown.contains("***"), "{text} with {password}: {shown}");
            }
        }
    }
}
