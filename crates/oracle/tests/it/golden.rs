//! Every statement that Landfall sends is one that sqlparser reads as Oracle's SQL. Those that it does not know are compared
//! with a text.

use datafusion::sql::sqlparser::dialect::OracleDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::double::statements;
use crate::session::{context, double, run, table};

/// PL/SQL, and the settings of a session.
const TEXTS: &[&str] = &[
    "ALTER SESSION SET NLS_COMP = BINARY",
    "ALTER SESSION SET NLS_SORT = BINARY",
    "ALTER SESSION SET TIME_ZONE = '+00:00'",
    "BEGIN :1 := DBMS_XA.XA_COMMIT(DBMS_XA_XID(:2, :3, :4), FALSE); END;",
    "BEGIN :1 := DBMS_XA.XA_COMMIT(DBMS_XA_XID(:2, :3, :4), TRUE); END;",
    "BEGIN :1 := DBMS_XA.XA_END(DBMS_XA_XID(:2, :3, :4), DBMS_XA.TMSUCCESS); END;",
    "BEGIN :1 := DBMS_XA.XA_FORGET(DBMS_XA_XID(:2, :3, :4)); END;",
    "BEGIN :1 := DBMS_XA.XA_GETLASTOER(); END;",
    "BEGIN :1 := DBMS_XA.XA_PREPARE(DBMS_XA_XID(:2, :3, :4)); END;",
    "BEGIN :1 := DBMS_XA.XA_ROLLBACK(DBMS_XA_XID(:2, :3, :4)); END;",
    "BEGIN :1 := DBMS_XA.XA_SETTIMEOUT(:2); END;",
    "BEGIN :1 := DBMS_XA.XA_START(DBMS_XA_XID(:2, :3, :4), DBMS_XA.TMNOFLAGS); END;",
];

/// Statements of this test's tables, which show their forms.
const FORMS: &[&str] = &[
    "INSERT INTO \"SCOTT\".\"G\" (\"ID\", \"Mixed\", \"AT\", \"B\", \"J\") \
     VALUES (:1, :2, FROM_TZ(:3, '+00:00'), TO_BOOLEAN(:4), JSON(:5))",
    "MERGE INTO \"SCOTT\".\"G\" t USING (SELECT :1 AS \"ID\", :2 AS \"Mixed\" FROM DUAL) s ON (t.\"ID\" = s.\"ID\") \
     WHEN MATCHED THEN UPDATE SET t.\"Mixed\" = s.\"Mixed\" WHEN NOT MATCHED THEN INSERT (\"ID\", \"Mixed\") \
     VALUES (s.\"ID\", s.\"Mixed\")",
    "MERGE INTO \"SCOTT\".\"G\" t USING (SELECT :1 AS \"ID\" FROM DUAL) s ON (t.\"ID\" = s.\"ID\") \
     WHEN NOT MATCHED THEN INSERT (\"ID\") VALUES (s.\"ID\")",
    "DELETE FROM \"SCOTT\".\"G\"",
    "SELECT \"ID\", \"Mixed\", SYS_EXTRACT_UTC(\"AT\"), \"B\", JSON_SERIALIZE(\"J\" RETURNING CLOB) FROM \"SCOTT\".\"G\" \
     WHERE ((\"ID\" > :1)) ORDER BY \"ID\" DESC NULLS LAST FETCH FIRST 3 ROWS ONLY",
    "SELECT \"ID\" FROM \"SCOTT\".\"G\" WHERE ((\"AT\" >= TIMESTAMP '2024-01-31 12:00:00.500000 +00:00'))",
    "CREATE TABLE \"GOLDEN_NEW\" (\n    \"ID\" NUMBER(19) NOT NULL,\n    \"NAME\" VARCHAR2(4000 BYTE),\n    \
     \"AT\" TIMESTAMP(9),\n    PRIMARY KEY (\"ID\")\n)",
];

/// Runs statements of every form.
async fn run_all() {
    let (context, double) = (context(), double("GOLDEN"));
    double.create("CREATE TABLE G (ID NUMBER(9) PRIMARY KEY, \"Mixed\" VARCHAR2(9), AT TIMESTAMP(6) WITH TIME ZONE, B BOOLEAN, J JSON)");
    table(&context, "g", "GOLDEN", "'table' 'g', 'job' 'golden'").await;
    table(&context, "u", "GOLDEN", "'table' 'g', 'on_conflict' 'update'").await;
    table(&context, "i", "GOLDEN", "'table' 'g', 'on_conflict' 'ignore'").await;
    table(&context, "o", "GOLDEN", "'table' 'g'").await;
    for statement in [
        "INSERT INTO g VALUES (1, 'a', '2024-01-31T12:00:00.5Z', true, '{}')",
        "INSERT INTO u (id, \"Mixed\") VALUES (1, 'b')",
        "INSERT INTO i (id) VALUES (1), (2)",
        "SELECT * FROM g WHERE id > 0 ORDER BY id DESC NULLS LAST LIMIT 3",
        "SELECT id FROM g WHERE at >= '2024-01-31T12:00:00.5Z'",
        "INSERT OVERWRITE o (id) VALUES (7)",
        "CREATE EXTERNAL TABLE golden_new (id BIGINT PRIMARY KEY, name VARCHAR, at TIMESTAMP) STORED AS ORACLE \
         LOCATION 'oracle://scott@db.example/GOLDEN'",
        "INSERT INTO golden_new VALUES (1, 'a', NULL)",
        "ATTACH 'oracle://scott@db.example/GOLDEN' AS golden",
        "SELECT count(*) FROM golden.scott.g",
    ] {
        run(&context, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_oracles_sql() {
    run_all().await;
    // Those of the tests that have run before, too.
    let statements = statements();
    assert!(statements.len() > 20, "{statements:#?}");
    let unknown: Vec<_> = statements
        .iter()
        .filter(|statement| !TEXTS.contains(&statement.as_str()))
        .filter_map(|statement| Some((statement, Parser::parse_sql(&OracleDialect, statement).err()?)))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    for form in FORMS {
        assert!(statements.contains(*form), "no such statement: {form}\n{statements:#?}");
    }
}
