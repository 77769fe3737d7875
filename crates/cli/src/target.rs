//! The table that `landfall load` and `landfall copy` write, and how.

use arrow::datatypes::DataType;
use clap::ValueEnum;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion_landfall::load::{Load, LoadPlan, LoadTarget, Mode};

use crate::message::Failure;
use crate::session::Session;

/// The values of --mode, for the end of a help text.
macro_rules! modes {
    () => {
        "Modes:
  append            adds rows; an existing key is an error
  update            adds rows; if a key exists, updates the loaded columns of the existing row
  ignore            adds rows; if a key exists, keeps the existing row
  replace-rows      adds rows; if a key exists, replaces the existing row, and the columns that are
                    not loaded get their default values
  overwrite         deletes all existing rows and adds the new ones, in one transaction
  create            creates the table and adds the rows; an existing table is an error
  create-or-append  creates the table if it does not exist, and adds the rows
"
    };
}
pub(crate) use modes;

/// How rows are written.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArguments {
    /// What to do with the table and its existing rows: one of the modes below
    #[arg(long, value_enum, default_value_t = LoadMode::Append, hide_possible_values = true)]
    mode: LoadMode,

    /// The key columns that the modes update, ignore and replace-rows use; in a new table, the primary key
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    key: Vec<String>,

    /// A job name: a second run with the same name, after a crash or a success, writes no row twice
    #[arg(long, value_name = "NAME")]
    job: Option<String>,

    /// Column types of a new table, such as zip=VARCHAR,price=DECIMAL(10,2)
    #[arg(long, value_name = "COLUMN=TYPE")]
    types: Vec<String>,

    /// Maximum number of connections that write in parallel
    #[arg(long, value_name = "NUMBER")]
    writers: Option<u16>,

    /// The environment variable that contains the password
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,

    /// Another option of the table; see landfall help options
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,

    /// Prints the numbers of rows as a JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Reports what would be done, without changing anything
    #[arg(long)]
    dry_run: bool,
}

/// What to do with the table and its existing rows; `modes!` describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LoadMode {
    Append,
    Update,
    Ignore,
    // As the library and Python name it.
    #[value(alias = "replace_rows")]
    ReplaceRows,
    Overwrite,
    Create,
    #[value(alias = "create_or_append")]
    CreateOrAppend,
}

impl From<LoadMode> for Mode {
    fn from(mode: LoadMode) -> Self {
        match mode {
            LoadMode::Append => Self::Append,
            LoadMode::Update => Self::Update,
            LoadMode::Ignore => Self::Ignore,
            LoadMode::ReplaceRows => Self::ReplaceRows,
            LoadMode::Overwrite => Self::Overwrite,
            LoadMode::Create => Self::Create,
            LoadMode::CreateOrAppend => Self::CreateOrAppend,
        }
    }
}

impl TargetArguments {
    /// What is to be loaded where.
    pub(crate) fn load(&self, context: &SessionContext, url: &str, name: &str) -> Result<Load, Failure> {
        let mut load = Load::new(url, name).with_mode(self.mode.into()).with_key(&self.key);
        for pair in self.types.iter().flat_map(|types| pairs(types)) {
            let (column, sql) = pair
                .split_once('=')
                .ok_or_else(|| Failure::new(format!("invalid value '{pair}' for --types: use COLUMN=TYPE")))?;
            load = load.with_type(column.trim(), type_of(context, sql.trim())?);
        }
        for pair in &self.options {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Failure::new(format!("invalid value '{pair}' for --option: use KEY=VALUE")))?;
            load = load.with_option(key, value);
        }
        let writers = self.writers.map(|writers| writers.to_string());
        for (key, value) in [("job", &self.job), ("writers", &writers), ("password_env", &self.password_env)] {
            if let Some(value) = value {
                load = load.with_option(key, value);
            }
        }
        Ok(load)
    }

    /// Announces the table that a load creates. False if a dry run ends here, because the table does not exist yet.
    pub(crate) fn announce(&self, session: &Session, plan: &LoadPlan, then: &str) -> Result<bool, Failure> {
        let Some(new) = plan.new_table() else { return Ok(true) };
        match self.dry_run {
            true => session.status(&format!("would create table {} {new} and {then}", new.name))?,
            false => session.status(&format!("creating table {} {new}", new.name))?,
        }
        Ok(!self.dry_run)
    }

    /// The statement that loads the rows, or explains how.
    pub(crate) async fn statement(&self, context: &SessionContext, target: LoadTarget) -> DfResult<LogicalPlan> {
        match self.dry_run {
            true => target.explain(context).await,
            false => target.insert(context).await,
        }
    }
}

/// The parts of a list. Commas in parentheses belong to a type.
fn pairs(types: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = types.split(|char| {
        match char {
            '(' | '<' => depth += 1,
            ')' | '>' => depth -= 1,
            _ => {}
        }
        char == ',' && depth == 0
    });
    parts.collect()
}

/// The type with this name in SQL.
fn type_of(context: &SessionContext, name: &str) -> Result<DataType, Failure> {
    let unknown =
        || Failure::new(format!("unknown type '{name}' for --types: use a type such as VARCHAR or DECIMAL(10, 2)"));
    let state = context.state();
    let cast = state.create_logical_expr(&format!("CAST(NULL AS {name})"), &DFSchema::empty());
    match cast.map_err(|_| unknown())? {
        Expr::Cast(cast) => Ok(cast.field.data_type().clone()),
        _ => Err(unknown()),
    }
}
