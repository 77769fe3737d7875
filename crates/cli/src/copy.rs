//! `landfall copy`: copies rows from a table of one database to a table of another.

use std::sync::Arc;

use datafusion_landfall::LandfallTable;
use datafusion_landfall::options::SinkOptions;

use crate::message::Failure;
use crate::session::Session;
use crate::target::{TargetArguments, modes};

/// The name of the source table in --select.
const SOURCE: &str = "source";

const EXAMPLES: &str = concat!(
    modes!(),
    "
Examples:
  landfall copy sqlite:weather.db weather postgres://me@localhost/my_database weather --mode create
      creates the table, and copies all rows to it
  landfall copy postgres://me@localhost/sales orders mysql://me@localhost/reports orders \\
      --mode update --select \"SELECT * FROM source WHERE day >= DATE '2026-05-01'\"
      updates and inserts the rows of a query

Columns are matched by name. A target column that is missing from the source gets its default
value. Each value is stored unchanged, or the copy fails and stores nothing."
);

/// The two tables.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CopyArguments {
    /// The URL of the database to read, such as sqlite:weather.db
    #[arg(value_name = "FROM URL")]
    from: String,

    /// The table to read
    #[arg(value_name = "FROM TABLE")]
    source: String,

    /// The URL of the database to write to
    #[arg(value_name = "TO URL")]
    to: String,

    /// The table to write to
    #[arg(value_name = "TO TABLE")]
    table: String,

    #[command(flatten)]
    target: TargetArguments,

    /// A query whose result is copied; in the query, the table to read is named `source`
    #[arg(long, value_name = "SQL")]
    select: Option<String>,

    /// The environment variable that contains the password of the database from which the rows are read
    #[arg(long, value_name = "NAME")]
    from_password_env: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(arguments: CopyArguments) -> Result<(), Failure> {
    let CopyArguments { from, source, to, table, target, select, from_password_env } = &arguments;
    let mut session = Session::of(target);
    let context = session.context().clone();
    let options = from_password_env.iter().map(|name| ("password_env", name.as_str()));
    let read = LandfallTable::connect(from, source, SinkOptions::try_from_pairs(options)?).await?;
    context.register_table(SOURCE, Arc::new(read))?;

    let query = select.as_deref().unwrap_or("SELECT * FROM source");
    let plan = target.load(&context, to, table)?.connect().await?.plan(&context, query).await?;
    if !target.announce(&session, &plan, &format!("copy {source}"))? {
        return Ok(());
    }
    let statement = target.statement(&context, plan.target().await?).await?;
    session.run_plan(statement).await
}
