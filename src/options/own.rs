//! Options of one kind of database.

use super::SinkOptions;
use crate::error::{Error, Result};

/// An option that only one kind of database has.
#[derive(Debug, Clone, Copy)]
pub struct BackendOption {
    /// The key in `OPTIONS ('key' 'value')`.
    pub key: &'static str,
    /// The values that it accepts.
    pub values: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// Its meaning, in one sentence.
    pub meaning: &'static str,
    /// Checks a value. The error says what the option accepts: `use 1 or more`.
    pub check: fn(&str) -> Result<(), String>,
}

impl SinkOptions {
    /// Sets an option that only one kind of database has. Its value is checked when the database is opened.
    pub fn with_own(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.set_own(key.into(), value.into());
        self
    }

    fn set_own(&mut self, key: String, value: String) {
        self.own.retain(|(known, _)| *known != key);
        self.own.push((key, value));
    }

    /// The value of an option that only one kind of database has, or `None` if it is not set.
    pub fn own(&self, key: &str) -> Option<&str> {
        self.own.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Like [`SinkOptions::try_from_pairs`], and also accepts the options `own` of one kind of database.
    ///
    /// # Errors
    /// `Config` for an unknown key or a bad value.
    pub fn try_from_pairs_for<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        own: &[BackendOption],
    ) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in pairs {
            let key = key.strip_prefix("format.").unwrap_or(key);
            match own.iter().find(|option| option.key.eq_ignore_ascii_case(key)) {
                Some(option) => options.set_own(option.key.to_owned(), value.to_owned()),
                None => options.set_known(key, value, own)?,
            }
        }
        options.check_own(own)?;
        Ok(options)
    }

    /// Removes options that are not in the list.
    pub(crate) fn keep_own(&mut self, own: &[BackendOption]) {
        self.own.retain(|(key, _)| own.iter().any(|option| option.key == key));
    }

    /// Checks that the database has these additional options, and checks their values.
    pub(crate) fn check_own(&self, own: &[BackendOption]) -> Result<()> {
        for (key, value) in &self.own {
            let option = own.iter().find(|option| option.key == key);
            let option = option.ok_or_else(|| super::unknown(key, own))?;
            (option.check)(value).map_err(|why| Error::config(format!("option '{key}' cannot be '{value}': {why}")))?;
        }
        Ok(())
    }
}
