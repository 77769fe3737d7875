//! The data dictionary of the double: the views that Landfall reads, as tables. Database Reference, "Static Data Dictionary
//! Views".

use datafusion_landfall_oracle::session::{Datum, Failure};
use rusqlite::Connection;

use super::translate::SCHEMA;

const VIEWS: &str = "
    CREATE TABLE IF NOT EXISTS ALL_OBJECTS (OWNER TEXT, OBJECT_NAME TEXT, OBJECT_TYPE TEXT);
    CREATE TABLE IF NOT EXISTS ALL_TAB_COLS (OWNER TEXT, TABLE_NAME TEXT, COLUMN_NAME TEXT, DATA_TYPE TEXT,
        DATA_LENGTH NUMBER, DATA_PRECISION NUMBER, DATA_SCALE NUMBER, CHAR_LENGTH NUMBER, CHAR_USED TEXT, NULLABLE TEXT,
        VIRTUAL_COLUMN TEXT, HIDDEN_COLUMN TEXT, DEFAULT_LENGTH NUMBER, COLUMN_ID NUMBER);
    CREATE TABLE IF NOT EXISTS ALL_TAB_IDENTITY_COLS (OWNER TEXT, TABLE_NAME TEXT, COLUMN_NAME TEXT, GENERATION_TYPE TEXT);
    CREATE TABLE IF NOT EXISTS ALL_CONSTRAINTS (OWNER TEXT, CONSTRAINT_NAME TEXT, CONSTRAINT_TYPE TEXT, TABLE_NAME TEXT,
        \"DEFERRABLE\" TEXT, STATUS TEXT);
    CREATE TABLE IF NOT EXISTS ALL_CONS_COLUMNS (OWNER TEXT, CONSTRAINT_NAME TEXT, COLUMN_NAME TEXT, POSITION NUMBER);
    CREATE TABLE IF NOT EXISTS ALL_INDEXES (OWNER TEXT, INDEX_NAME TEXT, INDEX_TYPE TEXT, TABLE_OWNER TEXT, TABLE_NAME TEXT,
        UNIQUENESS TEXT);
    CREATE TABLE IF NOT EXISTS ALL_IND_COLUMNS (INDEX_OWNER TEXT, INDEX_NAME TEXT, COLUMN_NAME TEXT, COLUMN_POSITION NUMBER);
    CREATE TABLE IF NOT EXISTS ALL_USERS (USERNAME TEXT PRIMARY KEY, ORACLE_MAINTAINED TEXT);
    CREATE TABLE IF NOT EXISTS NLS_DATABASE_PARAMETERS (PARAMETER TEXT PRIMARY KEY, VALUE TEXT);
    CREATE TABLE IF NOT EXISTS DBA_PENDING_TRANSACTIONS (FORMATID NUMBER, GLOBALID BLOB, BRANCHID BLOB, LOG TEXT,
        PRIMARY KEY (FORMATID, GLOBALID, BRANCHID));
    CREATE TABLE IF NOT EXISTS DBA_2PC_PENDING (GLOBAL_TRAN_ID TEXT, STATE TEXT, MIXED TEXT);
    INSERT OR IGNORE INTO NLS_DATABASE_PARAMETERS VALUES ('NLS_CHARACTERSET', 'AL32UTF8');
    INSERT OR IGNORE INTO ALL_USERS VALUES ('SCOTT', 'N'), ('SYS', 'Y');
";

pub(super) fn create(db: &Connection) {
    db.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    db.execute_batch(&format!("BEGIN IMMEDIATE; {VIEWS} COMMIT")).unwrap();
}

/// Refuses a quoted name that no table and no column has: SQLite does not distinguish upper case and lower case.
pub(super) fn check_names(db: &Connection, sql: &str) -> Result<(), Failure> {
    let without_texts: String = sql.split('\'').step_by(2).collect();
    for name in without_texts.split('"').skip(1).step_by(2).filter(|name| !["rows", SCHEMA].contains(name)) {
        let known = "SELECT (SELECT COUNT(*) FROM ALL_TAB_COLS WHERE COLUMN_NAME = ?1) \
             + (SELECT COUNT(*) FROM ALL_OBJECTS WHERE OBJECT_NAME = ?1)";
        if db.query_row(known, [name], |row| row.get::<_, i64>(0)).unwrap() == 0 {
            return Err(Failure::of_server(904, format!("ORA-00904: \"{name}\": invalid identifier: {sql}")));
        }
    }
    Ok(())
}

/// The answer to a query that reads no table.
pub(super) fn constant(sql: &str) -> Option<Vec<Datum>> {
    let text = |text: &str| Datum::Text(text.to_owned());
    Some(match sql {
        "SELECT SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') FROM DUAL" => vec![text(SCHEMA)],
        _ if sql.starts_with("SELECT SYS_CONTEXT('USERENV', 'DB_UNIQUE_NAME')") => {
            vec![text("FREE"), Datum::Null, text("FREEPDB1")]
        }
        _ if sql.contains("SYSTIMESTAMP") => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            vec![Datum::Number(now.to_string())]
        }
        _ => return None,
    })
}
