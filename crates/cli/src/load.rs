//! `landfall load`: loads files into a table of a database.

use arrow::datatypes::{DataType, Schema};
use clap::ValueEnum;
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::load::{Load, Mode};

use crate::arguments::Format;
use crate::files::{FileOptions, FileType, Files};
use crate::message::{Failure, landfall_error};
use crate::output::status;
use crate::session::Session;

/// The name of the files' table in --select.
const FILE: &str = "file";

const EXAMPLES: &str = "\
Examples:
  landfall load weather.csv sqlite:weather.db weather --mode create
      creates a table from the file

  landfall load 'day/*.parquet' postgres://me@localhost/my_database public.weather --job 'weather 2013'
      appends the rows of many files, all of them or none, exactly once: a second run writes nothing

  landfall load rates.csv.gz mysql://me@localhost/my_database rates --mode update --key day,currency
      updates the rows whose day and currency already exist in the table, and inserts the others

  landfall load people.csv sqlite:my.db people --select \"SELECT name, lower(mail) AS mail FROM file WHERE active = 'yes'\"
      writes the result of a query on the file

Columns are matched by name, in any order, ignoring case. A table column that is missing from the file gets its default
value. The values of a text file are converted to the types of the table's columns: 00701 stays 00701 in a VARCHAR column; in
a DATE column, it is an error that names the file, the line and the column. An empty value is NULL, \"\" is an empty text.
";

/// Loads files into a table: all rows or none, with the bulk protocol of the database
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "landfall load [OPTIONS] <FILE>... <URL> <TABLE>")]
pub(crate) struct LoadArguments {
    /// The files (names, folders, patterns such as 'day/*.csv', URLs such as s3://bucket/day.csv, or - for standard input), the
    /// URL of the database, and the table
    #[arg(value_names = ["FILE", "URL", "TABLE"], num_args = 3.., required = true)]
    places: Vec<String>,

    /// What to do with the table and its existing rows
    #[arg(long, value_enum, default_value_t = LoadMode::Append)]
    mode: LoadMode,

    /// The key columns that the modes update, ignore and replace-rows use; in a new table, the primary key
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    key: Vec<String>,

    /// A name for this load: a second run with the same name, after a crash or a success, writes no row twice
    #[arg(long, value_name = "NAME")]
    job: Option<String>,

    /// Column types of a new table, such as zip=VARCHAR,price=DECIMAL(10,2); the other types are inferred from the values
    #[arg(long, value_name = "COLUMN=TYPE")]
    types: Vec<String>,

    /// Number of rows from which the column types of a new table are inferred
    #[arg(long, value_name = "ROWS", default_value_t = 20_000)]
    sample: usize,

    /// A query whose result is loaded; it reads the files as the table `file`
    #[arg(long, value_name = "SQL")]
    select: Option<String>,

    /// Maximum number of parallel connections
    #[arg(long, value_name = "NUMBER")]
    writers: Option<u16>,

    /// The type of the files, if it cannot be derived from their names
    #[arg(long, value_enum, value_name = "TYPE")]
    file_type: Option<FileType>,

    /// The CSV files have no header line: the column names are those of --columns, or those of the table
    #[arg(long)]
    no_header: bool,

    /// The column names of CSV files without a header line; in JSON files, the members to read (default: all)
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    columns: Vec<String>,

    /// The delimiter of a text file (default: a comma, or a tab in .tsv files)
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,

    /// The quotation mark around values that contain a delimiter or a line break
    #[arg(long, value_name = "CHARACTER", default_value = "\"")]
    quote: char,

    /// Reads quotation marks as ordinary characters
    #[arg(long, conflicts_with = "quote")]
    no_quote: bool,

    /// The character that escapes a quotation mark inside a quoted value (default: a second quotation mark)
    #[arg(long, value_name = "CHARACTER")]
    escape: Option<char>,

    /// The first character of comment lines, which are ignored
    #[arg(long, value_name = "CHARACTER")]
    comment: Option<char>,

    /// The value that means NULL, unless it is in quotation marks
    #[arg(long, value_name = "TEXT", default_value = "")]
    null: String,

    /// The value of --null also means NULL if it is in quotation marks
    #[arg(long)]
    null_in_quotes: bool,

    /// The encoding of text files, such as utf-16le or windows-1252 (default: UTF-8, or the encoding that a byte order mark
    /// indicates)
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,

    /// The environment variable that contains the password
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,

    /// Another option of the table, such as lock_timeout=5s; `landfall sql --help` lists all options
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,

    /// Reports what would be done, without changing anything
    #[arg(long)]
    dry_run: bool,
}

/// What to do with the table and its existing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LoadMode {
    /// Adds rows; an existing key is an error
    Append,
    /// Adds rows; if a key already exists, sets the columns of the existing row that the file contains
    Update,
    /// Adds rows; if a key already exists, keeps the existing row
    Ignore,
    /// Adds rows; if a key already exists, replaces the existing row: columns that are missing from the file get their default
    /// values
    ReplaceRows,
    /// Deletes all existing rows and adds the new ones, in one transaction
    Overwrite,
    /// Creates the table; an existing table is an error
    Create,
    /// Creates the table if it does not exist
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

/// Runs the command.
pub(crate) async fn run(arguments: LoadArguments) -> Result<(), Failure> {
    let [places @ .., url, name] = arguments.places.as_slice() else {
        return Err(Failure::new("landfall load requires files, the URL of a database, and a table"));
    };
    let mut session = Session::new(Format::Table);
    let context = session.context().clone();
    let load = load(&context, &arguments, url, name)?.connect().await?;
    let is_new = load.existing().is_none();
    let columns = load.existing().map(|table| table.columns.iter().map(|column| column.name.clone()).collect());
    let files = Files::open(&context, places, &file_options(&arguments), columns).await?;

    let nanoseconds = load.nanoseconds();
    let typed = |schema: &Schema| match &arguments.select {
        // A query determines its own types.
        Some(_) => files.table(),
        None => files.typed(schema, nanoseconds),
    };
    let table = match load.existing() {
        Some(table) => typed(&table.schema())?,
        None => files.sample()?,
    };
    context.register_table(FILE, table)?;
    let query = arguments.select.as_deref().unwrap_or("SELECT * FROM file");
    let planned = match files.are_texts() {
        true => load.plan_texts(&context, query).await,
        false => load.plan(&context, query).await,
    };
    let plan = planned.map_err(|error| match (landfall_error(&error).map(Error::kind), &arguments.select) {
        (Some(ErrorKind::Schema), None) => Failure::from(error).followed_by(" of --select 'SELECT … FROM file'"),
        _ => error.into(),
    })?;
    if let Some(new) = plan.new_table() {
        if arguments.dry_run {
            let text = format!("would create table {name} {new} and load {}", places.join(", "));
            return status(Format::Table, &text);
        }
        status(Format::Table, &format!("creating table {name} {new}"))?;
    }
    let infers = is_new && files.are_texts();
    let target = plan.target().await?;
    if is_new {
        context.deregister_table(FILE)?;
        context.register_table(FILE, typed(&target.schema())?)?;
    }
    let statement = match arguments.dry_run {
        true => target.explain(&context).await?,
        false => target.insert(&context).await?,
    };
    let Err(mut failure) = session.run_plan(statement).await else { return Ok(()) };
    if infers {
        failure = failure.followed_by("; use --types zip=VARCHAR for a column whose first values suggest another type");
    }
    Err(failure)
}

/// What is to be loaded where.
fn load(context: &SessionContext, arguments: &LoadArguments, url: &str, name: &str) -> Result<Load, Failure> {
    let mut load =
        Load::new(url, name).with_mode(arguments.mode.into()).with_key(&arguments.key).with_sample(arguments.sample);
    for pair in arguments.types.iter().flat_map(|types| pairs(types)) {
        let (column, sql) =
            pair.split_once('=').ok_or_else(|| Failure::new(format!("--types {pair}: use COLUMN=TYPE")))?;
        load = load.with_type(column.trim(), type_of(context, sql.trim())?);
    }
    for pair in &arguments.options {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| Failure::new(format!("--option {pair}: use KEY=VALUE")))?;
        load = load.with_option(key, value);
    }
    let writers = arguments.writers.map(|writers| writers.to_string());
    for (key, value) in [("job", &arguments.job), ("writers", &writers), ("password_env", &arguments.password_env)] {
        if let Some(value) = value {
            load = load.with_option(key, value);
        }
    }
    Ok(load)
}

/// How the files are to be read.
fn file_options(arguments: &LoadArguments) -> FileOptions {
    FileOptions {
        file_type: arguments.file_type,
        has_header: !arguments.no_header,
        columns: arguments.columns.clone(),
        delimiter: arguments.delimiter,
        quote: (!arguments.no_quote).then_some(arguments.quote),
        escape: arguments.escape,
        comment: arguments.comment,
        null: arguments.null.clone(),
        null_in_quotes: arguments.null_in_quotes,
        encoding: arguments.encoding.clone(),
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
        || Failure::new(format!("--types: unknown type '{name}': use a type such as VARCHAR or DECIMAL(10, 2)"));
    let state = context.state();
    let cast = state.create_logical_expr(&format!("CAST(NULL AS {name})"), &DFSchema::empty());
    match cast.map_err(|_| unknown())? {
        Expr::Cast(cast) => Ok(cast.field.data_type().clone()),
        _ => Err(unknown()),
    }
}
