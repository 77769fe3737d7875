//! `ATTACH` and `DETACH`: databases as catalogs of the session.

use std::fmt;
use std::path::Path;

use datafusion::common::Result as DfResult;
use datafusion::prelude::SessionContext;
use url::Url;

use super::names;
use crate::error::Error;
use crate::options::SinkOptions;
use crate::provider::{LandfallCatalog, attach, attached_as, detach, has_catalog};
use crate::registry::options_of;
use crate::sql::without_passwords;

/// `ATTACH [IF NOT EXISTS] 'url' [AS name] [OPTIONS (…)]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// The URL of the database.
    pub url: String,
    /// The name of the catalog. By default the name of the database, or of the file.
    pub name: Option<String>,
    /// The options of all tables.
    pub options: Vec<(String, String)>,
    /// Whether a catalog of this name stays as it is.
    pub if_not_exists: bool,
}

/// `DETACH [IF EXISTS] name`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detach {
    /// The name of the catalog.
    pub name: String,
    /// Whether a missing catalog is no error.
    pub if_exists: bool,
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exists = if self.if_not_exists { "IF NOT EXISTS " } else { "" };
        write!(f, "ATTACH {exists}'{}'", without_passwords(&self.url))?;
        match &self.name {
            Some(name) => write!(f, " AS {name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Detach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DETACH {}{}", if self.if_exists { "IF EXISTS " } else { "" }, self.name)
    }
}

impl Attach {
    /// Registers the catalog; says what it contains.
    pub(super) async fn run(self, context: &SessionContext) -> DfResult<String> {
        let name = match self.name {
            Some(name) => name,
            None => database_name(&self.url).ok_or_else(|| {
                Error::config(format!(
                    "the URL {} does not contain the name of a database: use ATTACH '…' AS name",
                    without_passwords(&self.url)
                ))
            })?,
        };
        match has_catalog(context, &name) {
            true if self.if_not_exists => return Ok(format!("catalog {name} already exists")),
            true if attached_as(context, &name).is_some() => {
                return Err(Error::config(format!(
                    "database {name} is already attached: run DETACH {name} first, or specify another name with AS"
                ))
                .into());
            }
            true => {
                return Err(Error::config(format!(
                    "the session already has a catalog {name}: specify another name with AS"
                ))
                .into());
            }
            false => {}
        }
        let options = self.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let catalog =
            LandfallCatalog::connect(&self.url, SinkOptions::try_from_pairs_for(options, options_of(&self.url))?)
                .await?;
        let text = catalog.description(&name);
        attach(context, &name, catalog);
        Ok(text)
    }
}

impl Detach {
    /// Removes the catalog from the session.
    pub(super) fn run(self, context: &SessionContext) -> DfResult<String> {
        let name = self.name;
        match (attached_as(context, &name).is_some(), has_catalog(context, &name)) {
            (true, _) => {}
            (false, false) if self.if_exists => return Ok(format!("database {name} is not attached")),
            (false, true) => {
                return Err(Error::config(format!("catalog {name} is not an attached database")).into());
            }
            (false, false) => {
                let hint = names::suggested(context, &name);
                return Err(Error::config(format!("database {name} is not attached{hint}")).into());
            }
        }
        names::leave(context, &name);
        detach(context, &name);
        Ok(format!("database {name} is detached"))
    }
}

/// The name of the database in a URL, or of its file without the extension.
fn database_name(url: &str) -> Option<String> {
    let path = match Url::parse(url) {
        Ok(parsed) => parsed.path().to_owned(),
        Err(_) => url.to_owned(),
    };
    let name = Path::new(path.trim_end_matches('/')).file_stem()?.to_str()?.to_lowercase();
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_numeric());
    (is_plain && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_a_name() {
        for (url, expected) in [
            ("postgres://me@host/sales", Some("sales")),
            ("mysql://me@host:3306/My_Sales?ssl-mode=disabled", Some("my_sales")),
            ("sqlite:data/people.db", Some("people")),
            ("sqlite:///tmp/people.sqlite3", Some("people")),
            ("postgres://me@host", None),
            ("sqlite:2024-01.db", None),
        ] {
            assert_eq!(database_name(url).as_deref(), expected, "{url}");
        }
    }
}
