//! `landfall load`: loads files into a table of a database.

use datafusion::logical_expr::LogicalPlan;
use datafusion_landfall::columnar::ValueFormats;
use datafusion_landfall::error::{Error, ErrorKind};

use crate::files::{FileOptions, FileType, Files};
use crate::message::{Failure, landfall_error};
use crate::selection::{number_texts, selected, types_of};
use crate::session::Session;
use crate::signal::StopSignal;
use crate::target::{TargetArguments, modes};

/// The name of the files' table in --select.
const FILE: &str = "file";

const OF_A_QUERY: &str = "formats of dates, timestamps and numbers can be used only if --select does nothing but \
                          select and rename columns: convert the text values in the query, for example with \
                          to_date(day, '%d.%m.%Y') or replace(price, ',', '.')";

const EXAMPLES: &str = concat!(
    modes!(),
    "
Examples:
  landfall load weather.csv sqlite:weather.db weather --mode create
      creates a table from the file
  landfall load 'day/*.parquet' postgres://me@localhost/my_database public.weather --job May
      appends the rows of many files in one transaction; running the command again writes nothing
  landfall load people.csv sqlite:my.db people --select \"SELECT name, lower(mail) AS mail FROM file\"
      writes the result of a query on the file

Columns are matched by name. A table column that is missing from the file gets its default value.
Values in text files are converted to the types of the columns; landfall help text-files lists the
options for text files."
);

/// The files, and the table.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "landfall load [OPTIONS] <FILE>... <URL> <TABLE>")]
pub(crate) struct LoadArguments {
    /// The files (names, folders, patterns such as 'day/*.csv', URLs such as s3://bucket/day.csv, or - for standard input), the
    /// URL of the database, and the table
    #[arg(value_name = "FILE>... <URL> <TABLE", num_args = 1.., required = true)]
    places: Vec<String>,

    #[command(flatten)]
    target: TargetArguments,

    /// A query whose result is loaded; in the query, the files are the table `file`
    #[arg(long, value_name = "SQL")]
    select: Option<String>,

    /// Number of rows from which the column types of a new table are inferred (default: 20000)
    #[arg(long, value_name = "ROWS", default_value_t = 20_000, hide = true)]
    sample: usize,

    /// The type of the files, if it cannot be derived from their names: csv, tsv, json, parquet, avro or arrow
    #[arg(long, value_enum, value_name = "TYPE", hide_possible_values = true)]
    file_type: Option<FileType>,

    /// The CSV files have no header line: --columns names the columns; by default, they are named like the table's
    /// columns
    #[arg(long, hide = true)]
    no_header: bool,

    /// Names, separated by commas, of the columns of CSV files without a header line, or of the members of JSON objects
    /// to read
    #[arg(long, hide = true, value_name = "COLUMN", value_delimiter = ',')]
    columns: Vec<String>,

    /// The character between two values (default: a comma, or a tab in TSV files)
    #[arg(long, hide = true, value_name = "CHARACTER")]
    delimiter: Option<char>,

    /// The quotation mark around values that contain a delimiter or a line break (default: ")
    #[arg(long, hide = true, value_name = "CHARACTER", default_value = "\"")]
    quote: char,

    /// Reads quotation marks as ordinary characters
    #[arg(long, hide = true, conflicts_with = "quote")]
    no_quote: bool,

    /// The character that escapes a quotation mark inside a quoted value (by default, the quotation mark is doubled)
    #[arg(long, hide = true, value_name = "CHARACTER")]
    escape: Option<char>,

    /// The first character of comment lines, which are ignored
    #[arg(long, hide = true, value_name = "CHARACTER")]
    comment: Option<char>,

    /// The value that means NULL, unless it is in quotation marks (default: an empty value)
    #[arg(long, hide = true, value_name = "TEXT", default_value = "")]
    null: String,

    /// Reads the value of --null as NULL even if it is in quotation marks
    #[arg(long, hide = true)]
    null_in_quotes: bool,

    /// The encoding of text files, such as utf-16le or windows-1252 (default: UTF-8, or the encoding that a byte order mark
    /// indicates)
    #[arg(long, hide = true, value_name = "NAME")]
    encoding: Option<String>,

    /// The format of DATE values in text files, such as '%d.%m.%Y', with the specifiers of strftime (by default, a date
    /// is written like 2013-01-31)
    #[arg(long, hide = true, value_name = "FORMAT")]
    date_format: Option<String>,

    /// The format of TIMESTAMP values in text files, such as '%d.%m.%Y %H:%M:%S' (by default, a
    /// timestamp is written like 2013-01-31 23:59:59.999)
    #[arg(long, hide = true, value_name = "FORMAT")]
    timestamp_format: Option<String>,

    /// The character between the whole part and the fraction of a number in text files (default: a point)
    #[arg(long, hide = true, value_name = "CHARACTER", default_value_t = '.')]
    decimal_separator: char,

    /// The character between groups of three digits in the whole part of a number in text files (default: none)
    #[arg(long, hide = true, value_name = "CHARACTER")]
    thousands: Option<char>,
}

/// Runs the command.
pub(crate) async fn run(arguments: LoadArguments) -> Result<(), Failure> {
    let mut session = Session::of(&arguments.target);
    let mut stop = StopSignal::listen()?;
    let prepared = tokio::select! {
        biased;
        // What was begun, such as a copy of standard input, is removed.
        () = stop.asked() => return Err(Failure::interrupted()),
        prepared = prepare(&session, &arguments) => prepared?,
    };
    let Some(Prepared { files, statement, infers }) = prepared else { return Ok(()) };
    session.shows(files.reading().clone());
    let Err(mut failure) = session.run_plan(statement).await else { return Ok(()) };
    if infers && failure.may_be_of_a_type() {
        failure = failure.followed_by(
            "; if Landfall inferred a wrong type from the first values of a column, specify the type, for example with \
             --types zip=VARCHAR",
        );
    }
    Err(failure)
}

/// A load that is ready to run.
struct Prepared {
    files: Files,
    statement: LogicalPlan,
    /// Whether types of the table were inferred from its first values.
    infers: bool,
}

/// Finds the files, and plans the load; `None` if a dry run ends here.
async fn prepare(session: &Session, arguments: &LoadArguments) -> Result<Option<Prepared>, Failure> {
    let [places @ .., url, name] = arguments.places.as_slice() else {
        return Err(Failure::of_usage("landfall load requires files, the URL of a database, and a table"));
    };
    let options = file_options(arguments)?;
    let context = session.context().clone();
    let load = arguments.target.load(&context, url, name)?.with_sample(arguments.sample);
    let load = load.with_value_formats(options.formats.clone()).connect().await?;
    let is_new = load.existing().is_none();
    let columns = load.existing().map(|table| table.columns.iter().map(|column| column.name.clone()).collect());
    let files = Files::open(&context, places, &options, columns).await?;

    let (nanoseconds, numbers) = (load.nanoseconds(), load.existing().map(number_texts).unwrap_or_default());
    context.register_table(FILE, if is_new { files.sample()? } else { files.table()? })?;
    let query = arguments.select.as_deref().unwrap_or("SELECT * FROM file");
    let planned = match files.are_texts() {
        true => load.plan_texts(&context, query).await,
        false => load.plan(&context, query).await,
    };
    let plan = planned.map_err(|error| match (landfall_error(&error).map(Error::kind), &arguments.select) {
        (Some(ErrorKind::Schema), None) => Failure::from(error).followed_by(" (--select 'SELECT … FROM file')"),
        _ => error.into(),
    })?;
    let selected = match &arguments.select {
        _ if !files.are_texts() => None,
        Some(query) => selected(&context, query).await,
        None => Some(files.table()?.schema().fields().iter().map(|field| field.name().clone()).collect()),
    };
    if selected.is_none() && files.are_texts() && options.formats != ValueFormats::default() {
        return Err(Failure::new(OF_A_QUERY));
    }
    if !arguments.target.announce(session, &plan, &format!("load {}", places.join(", ")))? {
        return Ok(None);
    }
    let columns = plan.columns().to_vec();
    let target = plan.target().await?;
    let table = match selected {
        Some(selected) => files.typed(&types_of(selected, &columns, &target.schema(), &numbers), nanoseconds)?,
        // A query determines its own types.
        None => files.table()?,
    };
    context.deregister_table(FILE)?;
    context.register_table(FILE, table)?;
    let statement = arguments.target.statement(&context, target).await?;
    let infers = is_new && files.are_texts();
    Ok(Some(Prepared { files, statement, infers }))
}

/// How the files are to be read.
fn file_options(arguments: &LoadArguments) -> Result<FileOptions, Failure> {
    Ok(FileOptions {
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
        formats: formats(arguments)?,
    })
}

/// How the values of text files are written.
fn formats(arguments: &LoadArguments) -> Result<ValueFormats, Failure> {
    let mut formats = ValueFormats::default();
    if let Some(format) = &arguments.date_format {
        formats = formats.with_date(format)?;
    }
    if let Some(format) = &arguments.timestamp_format {
        formats = formats.with_timestamp(format)?;
    }
    Ok(formats.with_numbers(arguments.decimal_separator, arguments.thousands)?)
}
