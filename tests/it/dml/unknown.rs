//! Conditions that a NULL makes unknown, in statements that write: PostgreSQL's own answer is the reference.

use super::{Place, fill};
use crate::landing::says;
use crate::postgres::Postgres;

const ROWS: &str = "SELECT id, name, qty FROM t ORDER BY id";

/// Runs statements everywhere, and compares what the clients print.
async fn agree(statements: &[&str]) {
    let (postgres, places) = (Place::Postgres(Postgres::new("")), Place::all());
    for (index, sql) in statements.iter().enumerate() {
        fill(&postgres).await;
        postgres.client(sql);
        let expected = postgres.client(ROWS);
        for place in &places {
            fill(place).await;
            // What is planned by either way is answered by the same rule.
            let frame = match index % 2 {
                0 => datafusion_landfall::sql(place.context(), sql).await,
                _ => place.context().sql(sql).await,
            };
            let done = async { frame?.collect().await };
            done.await.unwrap_or_else(|error| panic!("{}: {sql}: {error}", place.name()));
            assert_eq!(place.client(ROWS), expected, "{}: {sql}", place.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_with_null_changes_no_row_that_sql_leaves() {
    agree(&[
        // s.qty has a NULL: for no row of t it is known that it has not its value.
        "DELETE FROM t WHERE id = 1 OR qty NOT IN (SELECT qty FROM s)",
        "UPDATE t SET name = 'changed' WHERE id = 1 OR NOT (qty IN (SELECT qty FROM s))",
        "UPDATE t SET name = 'changed' WHERE id < 4 AND (id = 1 OR qty NOT IN (SELECT qty FROM s WHERE qty IS NOT NULL))",
        // That it is unknown is asked for.
        "DELETE FROM t WHERE (qty IN (SELECT qty FROM s)) IS NULL",
        "DELETE FROM t WHERE (qty NOT IN (SELECT qty FROM s WHERE id > 3)) IS NOT TRUE AND id > 2",
        "DELETE FROM t WHERE CASE WHEN qty NOT IN (SELECT qty FROM s) THEN false ELSE id > 3 END",
        // No row to compare with.
        "DELETE FROM t WHERE qty NOT IN (SELECT qty FROM s WHERE id > 100)",
        "DELETE FROM t WHERE id = 3 OR qty NOT IN (SELECT qty FROM s WHERE id > 100)",
        "DELETE FROM t WHERE 3 NOT IN (SELECT qty FROM s WHERE qty > 7)",
        "DELETE FROM t WHERE NULL NOT IN (SELECT qty FROM s WHERE qty > 100)",
        // Of the table itself.
        "DELETE FROM t WHERE id = 1 OR qty NOT IN (SELECT qty FROM t)",
        "DELETE FROM t WHERE id = 1 OR qty NOT IN (SELECT qty FROM t WHERE qty > 20)",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_of_a_subquery_that_names_the_row_changes_no_row_that_sql_leaves() {
    agree(&[
        "DELETE FROM t WHERE qty NOT IN (SELECT s.qty FROM s WHERE s.id = t.id)",
        "DELETE FROM t WHERE id = 5 OR qty NOT IN (SELECT s.qty FROM s WHERE s.id = t.id)",
        "DELETE FROM t WHERE qty NOT IN (SELECT s.qty FROM s WHERE s.id > t.id)",
        "UPDATE t SET name = 'changed' WHERE qty NOT IN (SELECT s.qty FROM s WHERE s.id < t.id + 3) OR id = 4",
        "DELETE FROM t WHERE 3 NOT IN (SELECT s.qty FROM s WHERE s.id = t.id + 3)",
        "DELETE FROM t WHERE qty NOT IN (SELECT s.qty FROM s WHERE s.qty = t.qty)",
        "DELETE FROM t WHERE id = 1 OR id NOT IN (SELECT s.qty FROM s WHERE s.qty = t.id)",
        "DELETE FROM t WHERE qty NOT IN (SELECT u.qty FROM t AS u WHERE u.id <> t.id)",
        "DELETE FROM t WHERE qty <> ALL (SELECT s.qty FROM s WHERE s.id = t.id)",
        "DELETE FROM t WHERE qty <> ALL (SELECT qty FROM t WHERE qty > 20)",
        "DELETE FROM t WHERE NOT (qty = ANY (SELECT s.qty FROM s WHERE s.id > 2)) OR id = 1",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_not_in_finds_is_inserted_and_merged() {
    agree(&[
        "INSERT INTO t (id, qty) SELECT id + 100, qty FROM s WHERE id = 2 OR qty NOT IN (SELECT qty FROM t)",
        "INSERT INTO t (id, qty) SELECT id + 100, qty FROM s WHERE qty NOT IN (SELECT t.qty FROM t WHERE t.id = s.id)",
        "MERGE INTO t USING (SELECT * FROM s WHERE id = 2 OR qty NOT IN (SELECT qty FROM t)) AS s ON t.id = s.id
         WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (s.id, s.qty)",
    ])
    .await;
}

/// Such conditions of a MERGE itself DataFusion does not plan.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_with_subqueries_in_its_conditions_is_refused() {
    for place in Place::all() {
        fill(&place).await;
        let before = place.client(ROWS);
        for sql in [
            "MERGE INTO t USING s ON t.id = s.id AND (t.id = 1 OR t.qty NOT IN (SELECT qty FROM s)) WHEN MATCHED THEN DELETE",
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND t.qty NOT IN (SELECT qty FROM s) THEN DELETE",
            "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED AND s.qty NOT IN (SELECT qty FROM t)
             THEN INSERT (id) VALUES (s.id)",
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND EXISTS (SELECT 1 FROM s AS u WHERE u.id = t.id) THEN DELETE",
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND t.qty > ALL (SELECT qty FROM s) THEN DELETE",
        ] {
            let error = place.error(sql).await;
            says(&error, &["MERGE INTO t", "subquery", "USING (SELECT"]);
            assert_eq!(place.client(ROWS), before, "{}: {sql}", place.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_that_cannot_be_computed_twice_is_refused() {
    let place = Place::all().into_iter().next().unwrap();
    fill(&place).await;
    for (sql, why) in [
        ("DELETE FROM t WHERE id NOT IN (SELECT id FROM s WHERE random() < 0.5)", "use EXISTS"),
        ("DELETE FROM t WHERE (SELECT max(qty) FROM s) NOT IN (SELECT qty FROM t)", "or use EXISTS"),
        ("DELETE FROM t WHERE id NOT IN (SELECT max(s.id) FROM s WHERE s.id = t.id)", "x = (SELECT"),
        ("DELETE FROM t WHERE 0 IN (SELECT count(*) FROM s WHERE s.id = t.id)", "x = (SELECT"),
        ("DELETE FROM t WHERE id NOT IN (SELECT s.id FROM s WHERE s.id > t.id ORDER BY s.id LIMIT 1)", "x = (SELECT"),
    ] {
        says(&place.error(sql).await, &[why]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_in_that_are_computed_are_those_of_each_row() {
    agree(&[
        "DELETE FROM t WHERE id IN (1, CASE WHEN qty IS NULL THEN 2 ELSE 4 END)",
        "DELETE FROM t WHERE id NOT IN (1, CASE WHEN qty IS NULL THEN 2 ELSE 4 END)",
        "DELETE FROM t WHERE id IN (5, (SELECT count(*) FROM s WHERE s.id = t.id))",
        "UPDATE t SET name = 'changed' WHERE id - 1 NOT IN (4, (SELECT count(*) FROM s WHERE s.id = t.id))",
        "UPDATE t SET name = 'changed' WHERE qty IN (10, NULL, qty * 1)",
        "UPDATE t SET name = 'changed' WHERE NOT (qty IN (10, id * 20))",
        "DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id LIMIT 1)",
        "MERGE INTO t USING s ON t.id = s.id
            WHEN MATCHED AND s.id IN (7, CASE WHEN t.qty IS NULL THEN 2 ELSE 4 END) THEN UPDATE SET qty = 99
            WHEN NOT MATCHED AND s.id NOT IN (9, CASE WHEN s.qty IS NULL THEN 6 ELSE 8 END) THEN INSERT (id) VALUES (s.id)",
    ])
    .await;
}
