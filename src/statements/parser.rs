//! Reads statements.

use std::fmt;

use datafusion::common::Result as DfResult;
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    Ident, Statement as Sql, TransactionAccessMode, TransactionIsolationLevel, TransactionMode,
};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::attach::{Attach, Detach};
use super::names::named;
use crate::error::Error;
use crate::options::{Isolation, TransactionOptions};
use crate::txn::JobId;

/// A statement.
#[derive(Debug, Clone)]
pub enum Statement {
    /// One that DataFusion's parser reads.
    DataFusion(DfStatement),
    /// `ATTACH`
    Attach(Attach),
    /// `DETACH`
    Detach(Detach),
    /// The beginning or the end of a transaction
    Transaction(TransactionStatement),
}

/// A statement that begins, divides or ends a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionStatement {
    /// `BEGIN [ISOLATION LEVEL …] [JOB '…'] [OPTIONS (…)]`, `START TRANSACTION …`
    Begin(TransactionOptions),
    /// `COMMIT`, `END`
    Commit,
    /// `ROLLBACK`
    Rollback,
    /// `SAVEPOINT name`
    Savepoint(String),
    /// `ROLLBACK TO [SAVEPOINT] name`
    RollbackTo(String),
    /// `RELEASE [SAVEPOINT] name`
    Release(String),
}

impl fmt::Display for TransactionStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(_) => f.write_str("BEGIN"),
            Self::Commit => f.write_str("COMMIT"),
            Self::Rollback => f.write_str("ROLLBACK"),
            Self::Savepoint(name) => write!(f, "SAVEPOINT {name}"),
            Self::RollbackTo(name) => write!(f, "ROLLBACK TO {name}"),
            Self::Release(name) => write!(f, "RELEASE {name}"),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataFusion(statement) => statement.fmt(f),
            Self::Attach(attach) => attach.fmt(f),
            Self::Detach(detach) => detach.fmt(f),
            Self::Transaction(statement) => statement.fmt(f),
        }
    }
}

/// Reads statements that are separated by semicolons.
///
/// # Errors
/// What is expected where in the text.
pub fn parse(text: &str, dialect: &dyn Dialect) -> DfResult<Vec<Statement>> {
    let mut parser = DFParserBuilder::new(text).with_dialect(dialect).build()?;
    let mut statements = Vec::new();
    loop {
        while parser.parser.consume_token(&Token::SemiColon) {}
        if parser.parser.peek_token().token == Token::EOF {
            return Ok(statements);
        }
        statements.push(statement(&mut parser)?);
        let next = parser.parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            let error = format!("Expected: end of statement, found: {}{}", next.token, next.span.start);
            return Err(wrong(ParserError::ParserError(error)).into());
        }
    }
}

fn wrong(error: ParserError) -> Error {
    Error::config(error.to_string())
}

fn statement(parser: &mut DFParser<'_>) -> DfResult<Statement> {
    let keyword = match parser.parser.peek_token().token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    };
    match keyword {
        Keyword::ATTACH => Ok(Statement::Attach(attach(parser).map_err(wrong)?)),
        Keyword::DETACH => Ok(Statement::Detach(detach(parser).map_err(wrong)?)),
        Keyword::BEGIN | Keyword::START => begin(parser),
        _ => {
            let statement = parser.parse_statement()?;
            Ok(match transaction_statement(&statement)? {
                Some(statement) => Statement::Transaction(statement),
                None => Statement::DataFusion(statement),
            })
        }
    }
}

/// The statement that divides or ends a transaction; `None` for any other.
fn transaction_statement(statement: &DfStatement) -> DfResult<Option<TransactionStatement>> {
    let DfStatement::Statement(sql) = statement else { return Ok(None) };
    let name = |name: &Ident| named(name.clone());
    Ok(Some(match sql.as_ref() {
        Sql::Commit { chain: false, .. } => TransactionStatement::Commit,
        Sql::Rollback { chain: false, savepoint: None } => TransactionStatement::Rollback,
        Sql::Rollback { chain: false, savepoint: Some(savepoint) } => TransactionStatement::RollbackTo(name(savepoint)),
        Sql::Savepoint { name: savepoint } => TransactionStatement::Savepoint(name(savepoint)),
        Sql::ReleaseSavepoint { name: savepoint } => TransactionStatement::Release(name(savepoint)),
        Sql::Commit { .. } | Sql::Rollback { .. } => {
            return Err(Error::config(format!(
                "AND CHAIN is not supported in {sql}: use a separate BEGIN to start the next transaction"
            ))
            .into());
        }
        _ => return Ok(None),
    }))
}

/// `BEGIN [WORK | TRANSACTION] [mode, …] [JOB 'name'] [OPTIONS ('key' 'value', …)]`, or with `START TRANSACTION`
fn begin(parser: &mut DFParser<'_>) -> DfResult<Statement> {
    let parser = &mut parser.parser;
    let wrong = |error: ParserError| wrong(error);
    let modes = match parser.parse_keyword(Keyword::START) {
        true => parser.parse_start_transaction(),
        false => parser.expect_keyword(Keyword::BEGIN).and_then(|_| parser.parse_begin()),
    };
    let Sql::StartTransaction { modes, modifier: None, .. } = modes.map_err(wrong)? else {
        return Err(Error::config(
            "this form of BEGIN is not supported: use BEGIN [ISOLATION LEVEL …] [JOB 'name'] [OPTIONS (…)]",
        )
        .into());
    };
    let mut options = TransactionOptions::default();
    let mut modes = modes;
    let is_job = matches!(parser.peek_token().token, Token::Word(word) if word.value.eq_ignore_ascii_case("job"));
    if is_job {
        parser.next_token();
        options.job = Some(JobId::try_new(&parser.parse_literal_string().map_err(wrong)?)?);
        modes.extend(parser.parse_transaction_modes().map_err(wrong)?);
    }
    for mode in modes {
        options.isolation = match mode {
            TransactionMode::AccessMode(TransactionAccessMode::ReadWrite) => continue,
            TransactionMode::IsolationLevel(TransactionIsolationLevel::ReadCommitted) => Some(Isolation::ReadCommitted),
            TransactionMode::IsolationLevel(TransactionIsolationLevel::RepeatableRead) => {
                Some(Isolation::RepeatableRead)
            }
            TransactionMode::IsolationLevel(TransactionIsolationLevel::Serializable) => Some(Isolation::Serializable),
            other => {
                return Err(Error::config(format!(
                    "BEGIN {other} is not supported: use ISOLATION LEVEL READ COMMITTED, REPEATABLE READ or \
                     SERIALIZABLE"
                ))
                .into());
            }
        };
    }
    for (key, value) in self::options(parser).map_err(wrong)? {
        options.set(&key, &value)?;
    }
    Ok(Statement::Transaction(TransactionStatement::Begin(options)))
}

/// `ATTACH [DATABASE] [IF NOT EXISTS] 'url' [AS name] [OPTIONS ('key' 'value', …)]`
fn attach(parser: &mut DFParser<'_>) -> Result<Attach, ParserError> {
    let parser = &mut parser.parser;
    parser.expect_keyword_is(Keyword::ATTACH)?;
    let _ = parser.parse_keyword(Keyword::DATABASE);
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let url = parser.parse_literal_string()?;
    let name = match parser.parse_keyword(Keyword::AS) {
        true => Some(parser.parse_identifier()?),
        false => None,
    };
    let options = options(parser)?;
    Ok(Attach { url, name: name.map(named), options, if_not_exists })
}

/// `[OPTIONS ('key' 'value', …)]`
fn options(parser: &mut Parser<'_>) -> Result<Vec<(String, String)>, ParserError> {
    let mut options = Vec::new();
    if parser.parse_keyword(Keyword::OPTIONS) {
        parser.expect_token(&Token::LParen)?;
        while !parser.consume_token(&Token::RParen) {
            let key = match parser.peek_token().token {
                Token::SingleQuotedString(_) => parser.parse_literal_string()?,
                _ => parser.parse_object_name(false)?.to_string(),
            };
            let value = parser.next_token();
            let value = match value.token {
                Token::SingleQuotedString(text) | Token::Number(text, _) => text,
                Token::Word(word) => word.value,
                other => {
                    let error = format!("Expected: the value of option {key}, found: {other}{}", value.span.start);
                    return Err(ParserError::ParserError(error));
                }
            };
            options.push((key, value));
            if !parser.consume_token(&Token::Comma) {
                parser.expect_token(&Token::RParen)?;
                break;
            }
        }
    }
    Ok(options)
}

/// `DETACH [DATABASE] [IF EXISTS] name`
fn detach(parser: &mut DFParser<'_>) -> Result<Detach, ParserError> {
    let parser = &mut parser.parser;
    parser.expect_keyword_is(Keyword::DETACH)?;
    let _ = parser.parse_keyword(Keyword::DATABASE);
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    Ok(Detach { name: named(parser.parse_identifier()?), if_exists })
}
