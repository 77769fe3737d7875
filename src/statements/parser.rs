//! Reads statements.

use std::fmt;

use datafusion::common::Result as DfResult;
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::attach::{Attach, Detach};
use super::names::named;
use crate::error::Error;

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

/// `BEGIN`, `COMMIT` or `ROLLBACK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatement {
    /// `BEGIN`, `START TRANSACTION`
    Begin,
    /// `COMMIT`, `END`
    Commit,
    /// `ROLLBACK`
    Rollback,
}

impl fmt::Display for TransactionStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
        })
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
        _ => {
            let statement = parser.parse_statement()?;
            Ok(match transaction_statement(&statement)? {
                Some(statement) => Statement::Transaction(statement),
                None => Statement::DataFusion(statement),
            })
        }
    }
}

/// The statement that begins or ends a transaction; `None` for any other.
fn transaction_statement(statement: &DfStatement) -> DfResult<Option<TransactionStatement>> {
    let DfStatement::Statement(sql) = statement else { return Ok(None) };
    let unsupported = |what: &str| Err(Error::config(format!("{what} is not supported: {sql}")).into());
    match sql.as_ref() {
        Sql::StartTransaction { modes, .. } if !modes.is_empty() => unsupported("a mode of BEGIN"),
        Sql::StartTransaction { modifier: None, statements, exception: None, .. } if statements.is_empty() => {
            Ok(Some(TransactionStatement::Begin))
        }
        Sql::StartTransaction { .. } => unsupported("this form of BEGIN"),
        Sql::Commit { chain: false, .. } => Ok(Some(TransactionStatement::Commit)),
        Sql::Rollback { chain: false, savepoint: None } => Ok(Some(TransactionStatement::Rollback)),
        Sql::Commit { .. } | Sql::Rollback { savepoint: None, .. } => unsupported("AND CHAIN"),
        Sql::Rollback { .. } | Sql::Savepoint { .. } | Sql::ReleaseSavepoint { .. } => unsupported("a savepoint"),
        _ => Ok(None),
    }
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
    Ok(Attach { url, name: name.map(named), options, if_not_exists })
}

/// `DETACH [DATABASE] [IF EXISTS] name`
fn detach(parser: &mut DFParser<'_>) -> Result<Detach, ParserError> {
    let parser = &mut parser.parser;
    parser.expect_keyword_is(Keyword::DETACH)?;
    let _ = parser.parse_keyword(Keyword::DATABASE);
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    Ok(Detach { name: named(parser.parse_identifier()?), if_exists })
}
