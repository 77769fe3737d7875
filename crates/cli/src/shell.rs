//! The interactive shell: it has a history, accepts statements of several lines, and continues after an error.

use std::path::PathBuf;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};

use crate::message::Failure;
use crate::session::Session;
use datafusion_landfall::sql::without_passwords;

const HELP: &str = "\
A statement ends with ; and can span several lines.
  ATTACH 'postgres://me@host/db' AS pg;
          registers every table of a database as pg.schema.table
  USE pg;
          makes table names without a database name refer to pg
  CREATE EXTERNAL TABLE t STORED AS SQLITE, POSTGRES or MYSQL LOCATION '…';
          registers a single table, for example to set its options
  \\d      lists the tables
  \\?      shows this help
  \\q      exits, like Ctrl-D
Ctrl-C stops the running statement, or clears the input line. landfall sql --help shows examples.";

pub(crate) fn run(runtime: &tokio::runtime::Runtime, session: &mut Session) -> Result<(), Failure> {
    let failed = |error: ReadlineError| Failure::new(format!("could not read the terminal: {error}"));
    let mut editor: Editor<Statements, FileHistory> = Editor::new().map_err(failed)?;
    editor.set_helper(Some(Statements));
    let history = history_file();
    if let Some(history) = &history {
        // There is no history file the first time.
        let _ = editor.load_history(history);
    }
    println!("landfall {}: type \\? for help", env!("CARGO_PKG_VERSION"));
    loop {
        let line = match editor.readline("landfall> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        };
        let _ = editor.add_history_entry(without_passwords(&line));
        let statement = match line.trim() {
            "" => continue,
            "\\q" | "exit" | "quit" => break,
            "\\?" | "help" => {
                println!("{HELP}");
                continue;
            }
            "\\d" => "SHOW TABLES;",
            other => other,
        };
        if let Err(failure) = runtime.block_on(session.run_script(statement))
            && let Some(text) = failure.text()
        {
            eprintln!("error: {text}");
        }
    }
    if let Some(history) = &history {
        let _ = editor.save_history(history);
    }
    Ok(())
}

/// `LANDFALL_HISTORY`, or a file in the home directory; empty turns it off.
fn history_file() -> Option<PathBuf> {
    match std::env::var_os("LANDFALL_HISTORY") {
        Some(file) if file.is_empty() => None,
        Some(file) => Some(file.into()),
        None => std::env::home_dir().map(|home| home.join(".landfall_history")),
    }
}

/// Knows when a statement is complete.
struct Statements;

impl Validator for Statements {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Statements {
    type Candidate = String;
}
impl Hinter for Statements {
    type Hint = String;
}
impl Highlighter for Statements {}
impl Helper for Statements {}

fn is_complete(input: &str) -> bool {
    let trimmed = input.trim();
    if trimmed.is_empty() || trimmed.starts_with('\\') || ["exit", "quit", "help"].contains(&trimmed) {
        return true;
    }
    // An unterminated quote or comment is an error of the tokenizer.
    let tokens = Tokenizer::new(&GenericDialect {}, trimmed).tokenize();
    tokens.is_ok_and(|tokens| {
        tokens.iter().rev().find(|token| !matches!(token, Token::Whitespace(_))) == Some(&Token::SemiColon)
    })
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn a_statement_ends_with_a_semicolon_outside_of_quotes() {
        for (input, complete) in [
            ("SELECT 1", false),
            ("SELECT 1;", true),
            ("SELECT ';", false),
            ("SELECT ';';", true),
            ("SELECT 1; -- done", true),
            ("SELECT 1 /* ;", false),
            ("\\q", true),
            ("", true),
        ] {
            assert_eq!(is_complete(input), complete, "{input}");
        }
    }
}
