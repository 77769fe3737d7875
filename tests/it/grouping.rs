//! Operators without parentheses: the program and `datafusion_landfall::sql` group them as PostgreSQL does, or refuse a
//! statement that writes.

use std::fmt::Write;

use datafusion::prelude::SessionContext;

use crate::dml::{Place, fill};
use crate::landing::{Landing, read, says};
use crate::postgres::{Postgres, psql};

/// Operators between two operands.
const INFIX: [&str; 25] = [
    "OR",
    "AND",
    "=",
    "<>",
    "<",
    "IS DISTINCT FROM",
    "IS NOT DISTINCT FROM",
    "LIKE",
    "NOT ILIKE",
    "SIMILAR TO",
    "BETWEEN w AND",
    "NOT BETWEEN 1 AND",
    "~",
    "||",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "&",
    "|",
    "<<",
    "->",
    "AT TIME ZONE",
];
/// Behind an operand.
const POSTFIX: [&str; 7] =
    ["IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT FALSE", "IN (TRUE)", "NOT IN (1, 2)", "::VARCHAR"];
/// Before an operand.
const PREFIX: [(&str, &str); 2] = [("NOT", "NOT"), ("-", "- (sign)")];

/// Two operators; `{}` are the operands.
fn pairs() -> Vec<(String, String, String)> {
    let mut pairs = Vec::new();
    for first in INFIX {
        for second in INFIX {
            pairs.push((first.into(), second.into(), format!("{{}} {first} {{}} {second} {{}}")));
        }
        for postfix in POSTFIX {
            pairs.push((first.into(), postfix.into(), format!("{{}} {first} {{}} {postfix}")));
            pairs.push((postfix.into(), first.into(), format!("{{}} {postfix} {first} {{}}")));
        }
        for (prefix, name) in PREFIX {
            pairs.push((name.into(), first.into(), format!("{prefix} {{}} {first} {{}}")));
            pairs.push((first.into(), name.into(), format!("{{}} {first} {prefix} {{}}")));
        }
    }
    for postfix in POSTFIX {
        for second in POSTFIX {
            pairs.push((postfix.into(), second.into(), format!("{{}} {postfix} {second}")));
        }
        for (prefix, name) in PREFIX {
            pairs.push((name.into(), postfix.into(), format!("{prefix} {{}} {postfix}")));
        }
    }
    pairs
}

fn filled(template: &str, operands: &[&str]) -> String {
    let mut operands = operands.iter();
    let mut pieces = template.split("{}");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (piece, operand) in pieces.zip(&mut operands) {
        write!(text, "{operand}{piece}").unwrap();
    }
    text
}

/// Whether a DELETE with a condition is refused as the two grammars differ.
async fn is_refused(context: &SessionContext, condition: &str) -> bool {
    match datafusion_landfall::sql(context, &format!("DELETE FROM g WHERE ({condition}) IS NULL")).await {
        Ok(_) => false,
        Err(error) => error.to_string().contains("parentheses"),
    }
}

/// `DELETE FROM t WHERE n IS NOT DISTINCT FROM false OR id > 7` deleted other rows than PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn is_distinct_from_takes_no_more_than_its_operand() {
    let (postgres, places) = (Place::Postgres(Postgres::new("")), Place::all());
    let rows = "SELECT id, name, qty FROM t ORDER BY id";
    for sql in [
        "DELETE FROM t WHERE ok IS NOT DISTINCT FROM false OR id > 4",
        "DELETE FROM t WHERE ok IS DISTINCT FROM true AND id > 2",
        "DELETE FROM t WHERE NOT qty IS DISTINCT FROM 10 OR id = 2 AND ok",
        "DELETE FROM t WHERE id = 4 AND ok IS NOT DISTINCT FROM true OR id = 3",
        "DELETE FROM t WHERE ok IS DISTINCT FROM (id > 2 OR id = 1)",
        "DELETE FROM t WHERE ok IS DISTINCT FROM (id > 2 OR id = 1) AND id <> 2",
        "DELETE FROM t WHERE ok IS NOT DISTINCT FROM (qty IS NULL)",
        "DELETE FROM t WHERE (ok IS DISTINCT FROM NULL) IS NOT DISTINCT FROM (qty > 5 AND id < 4)",
        "DELETE FROM t WHERE id + 1 IS DISTINCT FROM qty - 8 AND qty IS DISTINCT FROM id * 10 OR name IS NULL",
        "UPDATE t SET ok = name IS DISTINCT FROM 'one' AND id > 2 WHERE qty IS DISTINCT FROM NULL AND id < 5",
        "UPDATE t SET qty = CASE WHEN ok IS DISTINCT FROM true OR id = 1 THEN 1 ELSE 0 END",
        "INSERT INTO t (id, qty) SELECT id + 100, qty FROM t WHERE ok IS NOT DISTINCT FROM true OR id = 2",
        "INSERT INTO t (id, qty) SELECT s.id + 100, t.qty FROM s JOIN t ON t.qty IS DISTINCT FROM s.qty AND t.id = s.id",
        "MERGE INTO t USING s ON t.qty IS DISTINCT FROM s.qty AND t.id = s.id WHEN MATCHED AND t.ok IS DISTINCT FROM true
         OR t.id = 3 THEN UPDATE SET qty = 1000",
    ] {
        fill(&postgres).await;
        postgres.client(sql);
        let expected = postgres.client(rows);
        for place in &places {
            fill(place).await;
            let frame = datafusion_landfall::sql(place.context(), sql).await;
            let done = async { frame?.collect().await };
            done.await.unwrap_or_else(|error| panic!("{}: {sql}: {error}", place.name()));
            assert_eq!(place.client(rows), expected, "{}: {sql}", place.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_the_front_end_is_grouped_as_well() {
    let context = crate::landing::session();
    let rows = "FROM (VALUES (1, true), (2, false), (8, true)) AS v (id, n)";
    for (sql, expected) in [
        (format!("SELECT id {rows} WHERE n IS NOT DISTINCT FROM false OR id > 7"), vec!["2", "8"]),
        (format!("SELECT n IS DISTINCT FROM true AND id = 2 {rows}"), vec!["false", "true", "false"]),
        (format!("SELECT id {rows} WHERE n IS DISTINCT FROM (id = 8 OR id = 2)"), vec!["1", "2"]),
    ] {
        let batches = datafusion_landfall::sql(&context, &sql).await.unwrap().collect().await.unwrap();
        let text = datafusion::arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        let lines = text.lines().filter(|line| line.starts_with('|')).skip(1);
        let values: Vec<_> = lines.map(|line| line.trim_matches(['|', ' '])).collect();
        assert_eq!(values, expected, "{sql}");
    }
}

/// A plan has no parentheses: [`SessionContext::sql`] can only refuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_refuses_what_is_distinct_from_may_have_taken() {
    for place in Place::all() {
        fill(&place).await;
        let before = place.client("SELECT id, qty FROM t ORDER BY id");
        for sql in [
            "DELETE FROM t WHERE ok IS NOT DISTINCT FROM false OR id > 7",
            "DELETE FROM t WHERE ok IS DISTINCT FROM false AND id > 7",
            "DELETE FROM t WHERE ok IS DISTINCT FROM (id > 2) IS NULL",
            "UPDATE t SET ok = ok IS DISTINCT FROM true AND id > 7",
            "INSERT INTO t (id) SELECT id + 100 FROM t WHERE ok IS DISTINCT FROM NULL OR id > 7",
            "INSERT INTO t (id) SELECT id + 100 FROM s WHERE id IN (SELECT id FROM t WHERE ok IS DISTINCT FROM true OR id > 7)",
            "MERGE INTO t USING s ON t.ok IS DISTINCT FROM true AND t.id = s.id WHEN MATCHED THEN DELETE",
        ] {
            says(&place.error(sql).await, &["IS DISTINCT FROM", "parentheses", "datafusion_landfall::sql"]);
            assert_eq!(place.client("SELECT id, qty FROM t ORDER BY id"), before, "{}: {sql}", place.name());
        }
        for (sql, rows) in [
            ("DELETE FROM t WHERE (ok IS NOT DISTINCT FROM false) OR id > 4", 2),
            ("DELETE FROM t WHERE (id > 2 OR id = 1) IS DISTINCT FROM ok", 1),
            ("DELETE FROM t WHERE qty IS DISTINCT FROM id + 9", 1),
        ] {
            assert_eq!(place.run(sql).await.unwrap(), rows, "{}: {sql}", place.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_many_operators_is_grouped() {
    let place = Place::Sqlite(Landing::new(""));
    fill(&place).await;
    let chain: Vec<_> = (0..15).map(|number| format!("id = {number} AND qty IS DISTINCT FROM {number}")).collect();
    let sql = format!("DELETE FROM t WHERE ok IS NOT DISTINCT FROM NULL OR {}", chain.join(" OR "));
    datafusion_landfall::sql(place.context(), &sql).await.unwrap().collect().await.unwrap();
    assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);
}

/// Pairs of operators that a statement which writes may not have without parentheses, as the grammar of DataFusion's parser
/// and PostgreSQL's differ: the first, and what it is refused with behind it. All others are grouped alike, which the test
/// after this one asks PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn these_pairs_of_operators_are_refused() {
    for (dialect, expected) in [("generic", GENERIC), ("postgresql", POSTGRESQL)] {
        let place = Landing::new("CREATE TABLE g (id BIGINT PRIMARY KEY, w TEXT)");
        place.register("g", "", "").await.unwrap();
        place.sql(&format!("SET datafusion.sql_parser.dialect = '{dialect}'")).await.unwrap();
        let mut refused: Vec<(String, Vec<String>)> = Vec::new();
        for (first, second, template) in pairs() {
            if !is_refused(&place.context, &filled(&template, &["w", "w", "w"])).await {
                continue;
            }
            match refused.iter_mut().find(|(of, _)| *of == first) {
                Some((_, others)) => others.push(second),
                None => refused.push((first, vec![second])),
            }
        }
        let table: Vec<_> = refused.iter().map(|(first, others)| format!("{first}: {}", others.join(", "))).collect();
        assert_eq!(table.join("\n"), expected.trim(), "{dialect}");
    }
}

const GENERIC: &str = "
=: =, <>, <, LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, ->, IN (TRUE), NOT IN (1, 2)
<>: =, <>, <, LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, ->, IN (TRUE), NOT IN (1, 2)
<: =, <>, <, LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, ->, IN (TRUE), NOT IN (1, 2)
IS DISTINCT FROM: IS DISTINCT FROM, IS NOT DISTINCT FROM, IS NULL, IS NOT NULL, IS TRUE, IS NOT FALSE
IS NOT DISTINCT FROM: IS DISTINCT FROM, IS NOT DISTINCT FROM, IS NULL, IS NOT NULL, IS TRUE, IS NOT FALSE
LIKE: =, <>, <, LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ->, IN (TRUE), NOT IN (1, 2)
NOT ILIKE: =, <>, <, LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ->, IN (TRUE), NOT IN (1, 2)
SIMILAR TO: =, <>, <, LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ->, IN (TRUE), NOT IN (1, 2)
BETWEEN w AND: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, ->, IN (TRUE), NOT IN (1, 2)
NOT BETWEEN 1 AND: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, ->, IN (TRUE), NOT IN (1, 2)
~: ||, &, |, <<
||: +, -, *, /, %, ^
+: ||, ^
-: ||, ^
*: ^
/: ^
%: ^
^: ||, +, -, *, /, %, &
&: ||, ^
|: ||, &, <<
<<: ||, ^, &
->: =, <>, <, IS DISTINCT FROM, IS NOT DISTINCT FROM, LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, ||, &, |, <<, IS NULL, IS NOT NULL, IS TRUE, IS NOT FALSE, IN (TRUE), NOT IN (1, 2)
- (sign): AT TIME ZONE
";

const POSTGRESQL: &str = "
=: =, <>, <, ~
<>: =, <>, <, ~
<: =, <>, <, ~
IS DISTINCT FROM: IS DISTINCT FROM, IS NOT DISTINCT FROM, IS NULL, IS NOT NULL, IS TRUE, IS NOT FALSE
IS NOT DISTINCT FROM: IS DISTINCT FROM, IS NOT DISTINCT FROM, IS NULL, IS NOT NULL, IS TRUE, IS NOT FALSE
LIKE: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, IN (TRUE), NOT IN (1, 2)
NOT ILIKE: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, IN (TRUE), NOT IN (1, 2)
SIMILAR TO: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, IN (TRUE), NOT IN (1, 2)
BETWEEN w AND: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, IN (TRUE), NOT IN (1, 2)
NOT BETWEEN 1 AND: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ~, IN (TRUE), NOT IN (1, 2)
~: LIKE, NOT ILIKE, SIMILAR TO, BETWEEN w AND, NOT BETWEEN 1 AND, ||, &, |, <<, ->, IN (TRUE), NOT IN (1, 2)
- (sign): ^, AT TIME ZONE
";

/// What PostgreSQL answers to expressions, for each row of the table `g`; none where it takes no such one.
fn answers(place: &Postgres, expressions: &[String]) -> Vec<Option<String>> {
    let mut answers = Vec::new();
    for some in expressions.chunks(1000) {
        let quoted: Vec<_> = some.iter().map(|text| format!("'{}'", text.replace('\'', "''"))).collect();
        let sql = format!(
            "SELECT coalesce(answer(e), '?') FROM unnest(ARRAY[{}]) WITH ORDINALITY AS u (e, at) ORDER BY at",
            quoted.join(",")
        );
        let lines = psql(&place.schema, &sql).unwrap();
        assert_eq!(lines.len(), some.len());
        answers.extend(lines.into_iter().map(|line| (line != "?").then_some(line)));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn all_other_pairs_are_answered_as_by_postgresql() {
    let mut rng = fastrand::Rng::new();
    let seed = rng.u64(..);
    println!("seed {seed}");
    rng.seed(seed);
    let mut one = |values: &[&str]| values[rng.usize(..values.len())].to_owned();
    let row = |id: usize| {
        let (b, n) = (one(&["true", "false", "NULL"]), one(&["0", "1", "2", "3", "-1", "NULL"]));
        format!("({id}, {b}, {n}, {})", one(&["'a'", "'%'", "'1'", "'true'", "''", "NULL"]))
    };
    let rows = (0..16).map(row).collect::<Vec<_>>().join(", ");
    let reference = Postgres::new(&format!(
        "CREATE TABLE g (id BIGINT PRIMARY KEY, b BOOLEAN, n BIGINT, w TEXT); INSERT INTO g VALUES {rows};
         CREATE FUNCTION answer(e TEXT) RETURNS TEXT LANGUAGE plpgsql AS $$ DECLARE r TEXT; BEGIN
         EXECUTE 'SELECT string_agg(coalesce((' || e || ')::text, ''NULL''), '','' ORDER BY id) FROM g' INTO r; RETURN r;
         EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$"
    ));
    let place = Landing::new("");
    place.register("g", "(id BIGINT PRIMARY KEY, b BOOLEAN, n BIGINT, w VARCHAR)", "").await.unwrap();
    place.sql(&format!("INSERT INTO g VALUES {rows}")).await.unwrap();

    let mut expressions = Vec::new();
    for (.., template) in pairs() {
        // In one it is no power, and the pattern of the other is another: it is refused by itself.
        if template.contains('^') || template.contains("SIMILAR") {
            continue;
        }
        for operands in (0..27).map(|index: usize| [index % 3, index / 3 % 3, index / 9].map(|of| ["b", "n", "w"][of]))
        {
            let expression = filled(&template, &operands);
            if !expressions.contains(&expression) || template.matches("{}").count() == 3 {
                expressions.push(expression);
            }
        }
    }
    expressions.dedup();
    let expected = answers(&reference, &expressions);
    let (mut compared, mut refused, mut other) = (0, 0, 0);
    for (expression, expected) in expressions.iter().zip(expected) {
        let Some(expected) = expected else { continue };
        if is_refused(&place.context, expression).await {
            refused += 1;
            continue;
        }
        let sql = format!("SELECT coalesce(CAST(({expression}) AS VARCHAR), 'NULL') AS answer FROM g ORDER BY id");
        let answer = async { datafusion_landfall::sql(&place.context, &sql).await?.collect().await };
        let Ok(batches) = answer.await else {
            other += 1;
            continue;
        };
        let texts = batches.iter().flat_map(|batch| {
            let column = batch.column(0);
            let shown = |row| datafusion::arrow::util::display::array_value_to_string(column, row).unwrap();
            (0..batch.num_rows()).map(shown).collect::<Vec<_>>()
        });
        assert_eq!(texts.collect::<Vec<_>>().join(","), expected, "seed {seed}: {expression}: {rows}");
        compared += 1;
    }
    println!("{compared} compared, {refused} refused, {other} that DataFusion does not plan");
    assert!(compared > 300 && refused > 30, "{compared} compared, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_grammars_read_otherwise_says_what_to_put_in_parentheses() {
    let place = Landing::new("");
    place.register("g", "(id BIGINT PRIMARY KEY, b BOOLEAN, n BIGINT, w VARCHAR)", "").await.unwrap();
    for (sql, parts) in [
        ("DELETE FROM g WHERE b = n IN (1, 2)", ["= and IN", "b = n IN (1, 2)"]),
        ("UPDATE g SET w = 'x' || n + 1", ["|| and +", "parentheses"]),
        ("INSERT INTO g (id, b) SELECT n, b = b = b FROM g", ["does not allow = after =", "parentheses"]),
        (
            "UPDATE g SET b = w IS DISTINCT FROM 'a' IS NULL",
            ["does not allow IS after IS DISTINCT FROM", "parentheses"],
        ),
    ] {
        let error = datafusion_landfall::sql(&place.context, sql).await.unwrap_err().to_string();
        says(&error, &parts);
    }
    // Who reads is not kept from it.
    assert!(read(&place.context, "SELECT b = b IN (true) FROM g").await.is_empty());
}
