//! `landfall load`: loads files into a table of a database.

mod files;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use clap::ValueEnum;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use datafusion_landfall::backend::{ColumnDefault, NewTable, Table};
use datafusion_landfall::columnar::infer_type;
use datafusion_landfall::database;
use datafusion_landfall::provider::plan_statement;
use datafusion_landfall::{LandfallTable, SinkOptions};

use self::files::{Dialect, FileType, Header, file_type};
use crate::arguments::Format;
use crate::message::Failure;
use crate::output::status;
use crate::session::Session;

/// The name of the files' table in --select.
const FILE: &str = "file";

/// The name of the target table in the statement.
const TARGET: &str = "landfall_target";

const EXAMPLES: &str = "\
Examples:
  landfall load weather.csv sqlite:weather.db weather --mode create
      creates a table from the file

  landfall load 'day/*.parquet' postgres://me@localhost/my_database public.weather --job 'weather 2013'
      appends many files, all of them or none, exactly once: a second run writes nothing

  landfall load rates.csv.gz mysql://me@localhost/my_database rates --mode update --key day,currency
      updates the rows whose day and currency exist, and inserts the others

  landfall load people.csv sqlite:my.db people --select \"SELECT name, lower(mail) AS mail FROM file WHERE active = 'yes'\"
      writes the result of a query on the file

Columns are matched by name, in any order, ignoring case. A column of the table that the file lacks gets its default.
The values of a text file are converted to the types of the table's columns: 00701 stays 00701 in a VARCHAR; for a DATE
it is an error that names the row. An empty value is NULL.
";

/// Loads files into a table: all rows or none, by the database's own bulk protocol
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "landfall load [OPTIONS] <FILE>... <URL> <TABLE>")]
pub(crate) struct LoadArguments {
    /// The files (names, folders, patterns such as 'day/*.csv'), the URL of the database, and the table
    #[arg(value_names = ["FILE", "URL", "TABLE"], num_args = 3.., required = true)]
    places: Vec<String>,

    /// What to do with the table and its existing rows
    #[arg(long, value_enum, default_value_t = Mode::Append)]
    mode: Mode,

    /// The key columns for update, ignore and replace-rows; the primary key of a new table
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    key: Vec<String>,

    /// A name for this load: a second run with this name, after a crash or a success, writes no row twice
    #[arg(long, value_name = "NAME")]
    job: Option<String>,

    /// Types of a new table's columns: zip=VARCHAR,price=DECIMAL(10,2); other types are inferred from the values
    #[arg(long, value_name = "COLUMN=TYPE")]
    types: Vec<String>,

    /// Number of rows from which the types of a new table's columns are inferred
    #[arg(long, value_name = "ROWS", default_value_t = 20_000)]
    sample: usize,

    /// A query over the files, which it reads as the table `file`
    #[arg(long, value_name = "SQL")]
    select: Option<String>,

    /// Maximum number of parallel connections
    #[arg(long, value_name = "NUMBER")]
    writers: Option<u16>,

    /// The type of the files, if their names do not tell it
    #[arg(long, value_enum, value_name = "TYPE")]
    file_type: Option<FileType>,

    /// The text files have no header line: the column names come from --columns, or from the table
    #[arg(long)]
    no_header: bool,

    /// The column names of text files without a header
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', requires = "no_header")]
    columns: Vec<String>,

    /// The delimiter of a text file (default: a comma, or a tab in a .tsv)
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,

    /// The quotation mark around values that contain a delimiter or a line break
    #[arg(long, value_name = "CHARACTER", default_value = "\"")]
    quote: char,

    /// The character that escapes a quotation mark inside a quoted value (default: a second quotation mark)
    #[arg(long, value_name = "CHARACTER")]
    escape: Option<char>,

    /// The first character of comment lines, which are ignored
    #[arg(long, value_name = "CHARACTER")]
    comment: Option<char>,

    /// The environment variable that contains the password
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,

    /// Another option of the table, such as lock_timeout=5s; landfall sql --help lists all options
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,

    /// Only reports what would be done
    #[arg(long)]
    dry_run: bool,
}

/// What to do with the table and its existing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Adds rows; an existing key is an error
    Append,
    /// Adds rows; if the key exists, updates the columns of the file in the existing row
    Update,
    /// Adds rows, and keeps rows whose key exists
    Ignore,
    /// Adds rows, and replaces rows whose key exists: columns that the file lacks get their defaults
    ReplaceRows,
    /// Deletes all existing rows and adds the new ones, in one transaction
    Overwrite,
    /// Creates the table; an existing table is an error
    Create,
    /// Creates the table if it does not exist
    CreateOrAppend,
}

impl Mode {
    fn creates(self) -> bool {
        matches!(self, Self::Create | Self::CreateOrAppend)
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Overwrite => "INSERT OVERWRITE",
            Self::ReplaceRows => "REPLACE INTO",
            _ => "INSERT INTO",
        }
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: LoadArguments) -> Result<(), Failure> {
    let [files @ .., url, name] = arguments.places.as_slice() else {
        return Err(Failure::new("landfall load requires files, the URL of a database, and a table"));
    };
    let options = options(&arguments)?;
    let types = arguments.types.iter().flat_map(|types| pairs(types)).collect::<Vec<_>>();
    let there = database(url, &options)?.table(name).await?;
    check(arguments.mode, name, there.as_ref())?;
    if there.is_some() && !types.is_empty() {
        return Err(Failure::new(format!(
            "--types is for a new table, but table {name} already exists: omit --types, or drop the table first"
        )));
    }

    let mut session = Session::new(Format::Table);
    let context = session.context().clone();
    let of_files = file_type(files, arguments.file_type)?;
    let header = match (arguments.no_header && of_files.is_text(), arguments.columns.is_empty(), &there) {
        (false, ..) => Header::FirstLine,
        (true, false, _) => Header::None(arguments.columns.clone()),
        (true, true, Some(table)) => Header::None(table.columns.iter().map(|column| column.name.clone()).collect()),
        (true, true, None) => {
            return Err(Failure::new(
                "a new table from a file without a header needs column names: use --columns a,b,c",
            ));
        }
    };
    let LoadArguments { delimiter, quote, escape, comment, .. } = arguments;
    let dialect = Dialect { delimiter, quote, escape, comment };
    let table = files::table(&context, files, of_files, dialect, &header).await?;
    context.register_table(FILE, table)?;

    let query = arguments.select.as_deref().unwrap_or("SELECT * FROM file");
    let rows = planned(&context, query).await?;
    if rows.schema().fields().is_empty() {
        return Err(Failure::new(format!("{} has no columns: it is empty", files.join(", "))));
    }
    let is_new = there.is_none();
    let (columns, target) = match there {
        Some(table) => (matched(&rows, &table)?, LandfallTable::connect(url, name, options).await?),
        None => {
            let sample = of_files.is_text().then_some(arguments.sample);
            let new = new_table(&context, name, rows, sample, &types, &arguments.key).await?;
            if arguments.dry_run {
                return status(
                    Format::Table,
                    &format!("would create table {name} ({new}) and load {}", files.join(", ")),
                );
            }
            let columns = new.schema.fields().iter().map(|field| field.name().clone()).collect();
            let target = LandfallTable::connect_or_create(url, new.clone(), options).await?;
            status(Format::Table, &format!("table {name} is created: {new}"))?;
            (columns, target)
        }
    };
    context.register_table(TARGET, Arc::new(target))?;
    let columns: Vec<_> = columns.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let explain = if arguments.dry_run { "EXPLAIN " } else { "" };
    let verb = arguments.mode.verb();
    let statement = one(&format!("{explain}{verb} {TARGET} ({}) {query}", columns.join(", ")))?;
    session.run(statement).await.map_err(|failure| match is_new {
        true => failure.followed_by(&format!(
            "; table {name} was created before the rows were written: if it is empty, drop it before you try again; use \
             --types zip=VARCHAR for a column whose first values suggest another type"
        )),
        false => failure,
    })
}

fn options(arguments: &LoadArguments) -> Result<SinkOptions, Failure> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for pair in &arguments.options {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| Failure::new(format!("--option {pair}: use KEY=VALUE")))?;
        pairs.push((key, value.to_owned()));
    }
    match arguments.mode {
        Mode::Update => pairs.push(("on_conflict", "update".into())),
        Mode::Ignore => pairs.push(("on_conflict", "ignore".into())),
        _ => {}
    }
    let conflicts = matches!(arguments.mode, Mode::Update | Mode::Ignore | Mode::ReplaceRows);
    match (conflicts, arguments.mode.creates()) {
        _ if arguments.key.is_empty() => {}
        (true, _) => pairs.push(("conflict_key", arguments.key.join(", "))),
        (_, true) => {}
        _ => {
            return Err(Failure::new("--key requires --mode update, ignore, replace-rows, create or create-or-append"));
        }
    }
    pairs.extend(arguments.job.clone().map(|job| ("job", job)));
    pairs.extend(arguments.writers.map(|writers| ("writers", writers.to_string())));
    pairs.extend(arguments.password_env.clone().map(|name| ("password_env", name)));
    Ok(SinkOptions::try_from_pairs(pairs.iter().map(|(key, value)| (*key, value.as_str())))?)
}

/// Refuses a mode that does not fit the table.
fn check(mode: Mode, name: &str, there: Option<&Table>) -> Result<(), Failure> {
    match (mode, there) {
        (Mode::Create, Some(_)) => Err(Failure::new(format!(
            "table {name} already exists: use --mode append or overwrite, or create-or-append to create only a missing table"
        ))),
        (mode, None) if !mode.creates() => Err(Failure::new(format!(
            "table {name} does not exist in the database: use --mode create to create it from the file"
        ))),
        _ => Ok(()),
    }
}

/// One statement.
fn one(sql: &str) -> Result<Statement, Failure> {
    let mut statements = DFParser::parse_sql(sql)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Failure::new("--select requires a single query")),
    }
}

/// The rows of a query.
async fn planned(context: &SessionContext, query: &str) -> Result<DataFrame, Failure> {
    let statement = one(query)?;
    if !matches!(&statement, Statement::Statement(sql) if matches!(**sql, Sql::Query(_))) {
        return Err(Failure::new("--select requires a query: SELECT … FROM file"));
    }
    let plan: LogicalPlan = plan_statement(context, statement).await?;
    Ok(context.execute_logical_plan(plan).await?)
}

/// The target columns of the query's columns: those with the same name, or with the same name in another case.
fn matched(rows: &DataFrame, table: &Table) -> Result<Vec<String>, Failure> {
    let mut found: Vec<String> = Vec::new();
    for field in rows.schema().fields() {
        let wanted = field.name();
        let named = |is_it: &dyn Fn(&str) -> bool| {
            let columns = table.columns.iter().filter(|column| is_it(&column.name));
            columns.map(|column| (column.name.clone(), column.default)).collect::<Vec<_>>()
        };
        let mut columns = named(&|name| name == wanted);
        if columns.is_empty() {
            columns = named(&|name| name.to_lowercase() == wanted.to_lowercase());
        }
        match columns.as_slice() {
            [(_, ColumnDefault::Generated)] => {
                return Err(Failure::new(format!(
                    "column \"{wanted}\" of table {} is generated by the database: omit it with --select",
                    table.name
                )));
            }
            [(name, _)] if found.contains(name) => {
                return Err(Failure::new(format!(
                    "two columns of the file are named \"{wanted}\": choose one with --select"
                )));
            }
            [(name, _)] => found.push(name.clone()),
            [] => {
                let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
                return Err(Failure::new(format!(
                    "table {} has no column \"{wanted}\": it has {}; rename or omit columns of the file with --select \
                     'SELECT … FROM file'",
                    table.name,
                    names.join(", ")
                )));
            }
            _ => {
                return Err(Failure::new(format!(
                    "table {} has several columns that differ from \"{wanted}\" only in case: choose one with --select",
                    table.name
                )));
            }
        }
    }
    Ok(found)
}

/// The new table for the rows of the query. The types of text columns are inferred from the first `sample` rows, if given.
async fn new_table(
    context: &SessionContext,
    name: &str,
    rows: DataFrame,
    sample: Option<usize>,
    given: &[&str],
    key: &[String],
) -> Result<NewTable, Failure> {
    let schema = Arc::clone(rows.schema().inner());
    let mut types = HashMap::new();
    for pair in given {
        let (column, sql) =
            pair.split_once('=').ok_or_else(|| Failure::new(format!("--types {pair}: use COLUMN=TYPE")))?;
        types.insert(spelled(&schema, "types", column.trim())?, type_of(context, sql.trim())?);
    }
    let key = key.iter().map(|name| spelled(&schema, "key", name)).collect::<Result<Vec<_>, _>>()?;
    let first = match sample {
        Some(count) => {
            let batches = rows.limit(0, Some(count))?.collect().await?;
            Some(arrow::compute::concat_batches(&schema, &batches).map_err(|error| Failure::new(error.to_string()))?)
        }
        None => None,
    };
    let mut fields = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let data_type = match (types.get(field.name()), &first) {
            (Some(given), _) => given.clone(),
            (None, Some(first)) if is_text => infer_type(first.column(index))?,
            (None, _) if is_text => DataType::Utf8,
            (None, _) => field.data_type().clone(),
        };
        fields.push(Field::new(field.name(), data_type, !key.contains(field.name())));
    }
    Ok(NewTable {
        name: name.to_owned(),
        schema: Arc::new(Schema::new(fields)),
        primary_key: key,
        unique_keys: Vec::new(),
        defaults: HashMap::new(),
    })
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

/// The name of a column in the file's spelling, for a name in any case.
fn spelled(schema: &Schema, option: &str, name: &str) -> Result<String, Failure> {
    let is_alike = |field: &&Arc<Field>| field.name().to_lowercase() == name.to_lowercase();
    let exact = schema.fields().iter().find(|field| field.name() == name);
    let found = exact.or_else(|| schema.fields().iter().find(is_alike));
    let unknown = || Failure::new(format!("--{option} {name}: the file has no such column"));
    Ok(found.ok_or_else(unknown)?.name().clone())
}

/// The type with this name in SQL.
fn type_of(context: &SessionContext, name: &str) -> Result<DataType, Failure> {
    let unknown =
        || Failure::new(format!("--types: unknown type '{name}': use a type such as VARCHAR or DECIMAL(10, 2)"));
    let state = context.state();
    let cast = state.create_logical_expr(&format!("CAST(NULL AS {name})"), &DFSchema::empty());
    match cast.map_err(|_| unknown())? {
        Expr::Cast(cast) => Ok(cast.field.data_type().clone()),
        _ => Err(unknown()),
    }
}
