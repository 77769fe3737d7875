//! Every kind of bad row in every mode, compared with what the database's own client finds.

use std::collections::BTreeMap;

use super::{Bad, create, options, register_input, rejected, rows, stored};
use crate::dml::Place;

/// Bad rows of every kind of a database, at places without a pattern.
fn scattered(place: &Place, count: i64) -> BTreeMap<i64, Bad> {
    let kinds: Vec<_> = Bad::ALL.into_iter().filter(|bad| !bad.codes(place).is_empty()).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut bad = BTreeMap::new();
    for kind in kinds.iter().cycle().take(3 * kinds.len()) {
        // The first row is the one that others repeat.
        bad.insert(random.i64(1..count), *kind);
    }
    // Side by side, at the end, and a row which is the last of a batch.
    bad.extend([(count - 1, kinds[4]), (count - 2, kinds[5]), (500, kinds[0]), (501, kinds[6])]);
    bad
}

/// All rows are either stored or rejected, for the expected reasons.
fn check(place: &Place, table: &str, count: i64, bad: &BTreeMap<i64, Bad>) {
    let rejected = rejected(place);
    let good: Vec<_> = (0..count).filter(|id| !bad.contains_key(id)).collect();
    let expected: Vec<_> = bad.keys().copied().collect();
    let ids: Vec<_> = rejected.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, expected, "{}: rejected", place.name());
    assert_eq!(stored(place, table), good, "{}: stored", place.name());
    for (id, class, _) in &rejected {
        let codes = bad[id].codes(place);
        assert!(codes.contains(&class.as_str()), "{}: {id} {:?}: {class}", place.name(), bad[id]);
    }
}

const INSERT: &str = "INSERT INTO t SELECT * FROM input";

#[tokio::test]
async fn rows_of_every_class_are_set_aside_and_the_others_are_appended() {
    for place in &Place::all() {
        create(place, "t");
        let count = 2_000;
        let bad = scattered(place, count);
        register_input(place, &rows(0..count, &bad), 501);
        place.register("t", "", &options(place, "'reject.max' '1000'")).await;
        let written = place.run(INSERT).await.unwrap();
        assert_eq!(written, count as u64 - bad.len() as u64, "{}", place.name());
        check(place, "t", count, &bad);
        let columns: BTreeMap<_, _> = rejected(place).into_iter().map(|(id, _, column)| (id, column)).collect();
        for (id, bad) in &bad {
            let column = match bad {
                Bad::Range => "small",
                Bad::NotANumber => "number",
                Bad::Null => "filled",
                _ => continue,
            };
            assert_eq!(columns[id], column);
        }
        let texts = place.client("SELECT source_row FROM rejects");
        let is_text = |row: &&String| row.contains("\"number\":\"");
        assert_eq!(texts.iter().filter(is_text).count(), bad.len(), "{}: the rows of the query", place.name());
        let told = place.client(
            "SELECT count(DISTINCT statement), count(job), min(epoch), max(epoch), min(table_name), count(DISTINCT table_name) FROM rejects",
        );
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("1|0|") && told[0].ends_with("t|1"), "{told:?}");
    }
}

#[tokio::test]
async fn rows_of_every_class_are_set_aside_in_every_mode() {
    for place in &Place::all() {
        create(place, "t");
        let count = 1_200;
        let bad = scattered(place, count);
        register_input(place, &rows(0..count, &bad), 300);
        let modes = [
            ("updated", "'on_conflict' 'update', 'conflict_key' 'id'", "INSERT INTO"),
            ("ignored", "'on_conflict' 'ignore', 'conflict_key' 'id'", "INSERT INTO"),
            ("replaced", "'conflict_key' 'id'", "REPLACE INTO"),
            ("checkpointed", "'job' 'night', 'checkpoint.rows' '350', 'writers' '1'", "INSERT INTO"),
            ("two_phase", "'commit' 'two_phase'", "INSERT INTO"),
        ];
        for (name, mode, insert) in modes {
            if name == "two_phase" && matches!(place, Place::Sqlite(_)) {
                continue;
            }
            place.client("DELETE FROM t WHERE id >= 0");
            place.register(name, "", &options(place, &format!("'table' 't', 'reject.max' '1000', {mode}"))).await;
            let written = place.run(&format!("{insert} {name} SELECT * FROM input")).await;
            let written = written.unwrap_or_else(|error| panic!("{} {name}: {error}", place.name()));
            assert_eq!(written, count as u64 - bad.len() as u64, "{} {name}", place.name());
            check(place, "t", count, &bad);
            if name == "checkpointed" {
                let told = place.client("SELECT count(DISTINCT epoch), count(DISTINCT statement), min(job), count(*) - count(job) FROM rejects");
                assert_eq!(told, ["4|4|night|0"], "{}", place.name());
            }
            place.client("DROP TABLE rejects");
        }
    }
}

#[tokio::test]
async fn an_overwrite_sets_rows_aside() {
    for place in &Place::all() {
        create(place, "t");
        let mut bad = scattered(place, 900);
        // The old rows are deleted.
        bad.retain(|_, bad| *bad != Bad::UniqueInTable);
        register_input(place, &rows(0..900, &bad), 300);
        place.register("t", "", &options(place, "'reject.max' '10 %'")).await;
        place.run("INSERT OVERWRITE t SELECT * FROM input").await.unwrap();
        check(place, "t", 900, &bad);
        assert_eq!(place.client("SELECT count(*) FROM t WHERE id < 0"), ["0"]);
    }
}

#[tokio::test]
async fn several_writers_set_rows_aside() {
    let [_, postgres, mysql] = Place::all();
    for place in &[postgres, mysql] {
        create(place, "t");
        // Its constraints have several rows compared, which would need one writer.
        place.client("ALTER TABLE t DROP COLUMN ranges");
        place.client("ALTER TABLE t DROP COLUMN u");
        let count = 4_000;
        let mut bad = scattered(place, count);
        bad.retain(|_, bad| !matches!(bad, Bad::Unique | Bad::UniqueInTable | Bad::Exclusion));
        register_input(place, &rows(0..count, &bad), 200);
        for (name, mode) in [("appended", ""), ("updated", ", 'on_conflict' 'update'")] {
            place.client("DELETE FROM t WHERE id >= 0");
            place
                .register(name, "", &options(place, &format!("'table' 't', 'reject.max' '1000', 'writers' '3'{mode}")))
                .await;
            let insert = format!(
                "INSERT INTO {name} SELECT id, small, number, name, filled, sign, parent, tag, positive, late FROM input"
            );
            assert_eq!(place.run(&insert).await.unwrap(), count as u64 - bad.len() as u64, "{} {name}", place.name());
            check(place, "t", count, &bad);
            place.client("DROP TABLE rejects");
        }
    }
}

#[tokio::test]
async fn only_the_bad_row_of_rows_with_one_key_is_set_aside() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (k INT PRIMARY KEY, v INT CHECK (v > 0))");
        place.register("t", "", &options(place, "'reject.max' '10', 'on_conflict' 'update'")).await;
        // A good row replaces a bad one, a bad one replaces none, and the last good one remains.
        place
            .run("INSERT INTO t SELECT * FROM (VALUES (1, -1), (1, 5), (2, 6), (2, -2), (3, 7), (3, 8))")
            .await
            .unwrap();
        assert_eq!(place.client("SELECT k, v FROM t ORDER BY k"), ["1|5", "2|6", "3|8"], "{}", place.name());
        let rejected = place.client("SELECT source_row FROM rejects ORDER BY source_row");
        assert!(rejected.contains(&r#"{"k":2,"v":-2}"#.to_owned()), "{} {rejected:?}", place.name());
        assert!(rejected.iter().all(|row| row.contains('-')), "{} {rejected:?}", place.name());
    }
}

#[tokio::test]
async fn a_row_is_not_set_aside_for_another_row_that_was() {
    // The second row repeats the key of the first, which is bad for another reason.
    for place in &Place::all() {
        place.client("CREATE TABLE parents (id INT PRIMARY KEY)");
        place.client("INSERT INTO parents VALUES (1)");
        place.client("CREATE TABLE t (k INT PRIMARY KEY, parent INT NOT NULL, u INT UNIQUE, FOREIGN KEY (parent) REFERENCES parents (id))");
        place.register("t", "", &options(place, "'reject.max' '10'")).await;
        let insert = "INSERT INTO t SELECT * FROM (VALUES (1, 1, 1), (2, 9, 2), (3, 1, 2), (4, 1, 4))";
        assert_eq!(place.run(insert).await.unwrap(), 3, "{}", place.name());
        assert_eq!(place.client("SELECT k FROM t ORDER BY k"), ["1", "3", "4"], "{}", place.name());
        assert_eq!(place.client("SELECT source_row FROM rejects"), [r#"{"k":2,"parent":9,"u":2}"#]);
    }
}
