//! The `landfall` program: runs SQL, loads files, and shows and recovers transactions. It is also a library, so that the
//! Python package has the same commands and reads the same files.

mod arguments;
mod bench;
mod copy;
mod cut;
pub mod files;
mod load;
mod message;
mod notice;
mod output;
mod progress;
mod readable;
mod selection;
mod session;
mod shell;
mod signal;
mod target;
mod topics;
mod transactions;
mod watch;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use clap::Parser;

use arguments::{Arguments, Command, SqlArguments};
use message::Failure;
use session::Session;

/// Runs the program with its name and its arguments. The exit status is 0, 1 after an error, 2 after a usage error, 130 after
/// Ctrl-C.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // Clap prints usage errors and help itself, and exits with 2 or 0.
    let command = Arguments::parse_from(arguments).command;
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    notice::install();
    #[cfg(feature = "oracle")]
    if let Err(error) = datafusion_landfall_oracle::register() {
        eprintln!("error: {error}");
        return 1;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start the runtime: {error}");
            return 1;
        }
    };
    let done = match command {
        Command::Sql(arguments) => {
            let session = match &arguments.ballista {
                Some(scheduler) => runtime.block_on(Session::on_cluster(scheduler, arguments.format)),
                None => Ok(Session::new(arguments.format)),
            };
            session.and_then(|mut session| {
                let done = watched(&runtime, &arguments).and_then(|()| run(&runtime, &mut session, arguments));
                // The first error is reported.
                let ended = runtime.block_on(session.end());
                done.and(ended)
            })
        }
        Command::Load(arguments) => runtime.block_on(load::run(*arguments)),
        Command::Copy(arguments) => runtime.block_on(copy::run(*arguments)),
        Command::Status(arguments) => runtime.block_on(transactions::status(arguments)),
        Command::Recover(arguments) => runtime.block_on(transactions::end_branches(arguments)),
        Command::Bench(arguments) => runtime.block_on(bench::run(arguments)),
        Command::Options => topic(&topics::options()),
        Command::Statements => topic(topics::STATEMENTS),
        Command::Values => topic(topics::VALUES),
        Command::TextFiles => topic(&topics::text_files()),
    };
    let status = match done {
        Ok(()) => 0,
        Err(failure) => {
            if let Some(text) = failure.text() {
                eprintln!("error: {text}");
            }
            failure.status()
        }
    };
    // A thread may still roll back. A thread that reads an idle stream would never end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    status
}

/// Prints a topic of the help.
fn topic(text: &str) -> Result<(), Failure> {
    output::written(writeln!(io::stdout().lock(), "{}", text.trim_end()))
}

/// Starts tracing and the metrics server, if requested.
fn watched(runtime: &tokio::runtime::Runtime, arguments: &SqlArguments) -> Result<(), Failure> {
    if arguments.trace {
        watch::show_spans();
    }
    let _guard = runtime.enter();
    arguments.metrics.map_or(Ok(()), watch::serve_metrics)
}

fn run(runtime: &tokio::runtime::Runtime, session: &mut Session, arguments: SqlArguments) -> Result<(), Failure> {
    if arguments.files.is_empty() && arguments.commands.is_empty() {
        if io::stdin().is_terminal() {
            return shell::run(runtime, session);
        }
        return runtime.block_on(session.run_script(&read("-")?));
    }
    for file in &arguments.files {
        let script = read(file)?;
        runtime.block_on(session.run_script(&script)).map_err(|failure| failure.within(file))?;
        if session.is_stopped() {
            return Ok(());
        }
    }
    for command in &arguments.commands {
        runtime.block_on(session.run_script(command))?;
        if session.is_stopped() {
            return Ok(());
        }
    }
    Ok(())
}

fn read(file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        "-" => io::stdin().read_to_string(&mut text).map(drop),
        file => std::fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|error| Failure::new(format!("could not read the script {file}: {error}")))?;
    Ok(text)
}
