//! What a statement says that it did is what the database did.

use crate::dml::Place;

/// Tables whose trigger leaves out rows with a negative key, on the databases whose triggers can.
fn with_triggers() -> [Place; 2] {
    let [sqlite, postgres, _] = Place::all();
    sqlite.client(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT);
         CREATE TRIGGER g BEFORE INSERT ON t WHEN NEW.k < 0 BEGIN SELECT RAISE(IGNORE); END",
    );
    postgres.client(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT);
         CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN IF NEW.k < 0 THEN RETURN NULL; END IF; RETURN NEW; END';
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g()",
    );
    [sqlite, postgres]
}

#[tokio::test]
async fn rows_that_a_trigger_leaves_out_are_not_counted() {
    for place in &with_triggers() {
        for mode in ["error", "update", "ignore"] {
            place.register(mode, "", &format!("'table' 't', 'on_conflict' '{mode}'")).await;
        }
        let said = async |sql: &str| place.run(sql).await.unwrap();
        assert_eq!(said("INSERT INTO error VALUES (1, 'a'), (-1, 'b'), (2, 'c')").await, 2, "{}", place.name());
        assert_eq!(said("INSERT INTO update VALUES (1, 'x'), (-1, 'b'), (3, 'd')").await, 2, "{}", place.name());
        assert_eq!(said("INSERT INTO ignore VALUES (1, 'y'), (-1, 'b'), (4, 'e')").await, 1, "{}", place.name());
        // Rows of one key are one row, which is not left out.
        assert_eq!(said("INSERT INTO update VALUES (5, 'x'), (5, 'y'), (-1, 'z')").await, 2, "{}", place.name());
        assert_eq!(place.client("SELECT k, v FROM t ORDER BY k"), ["1|x", "2|c", "3|d", "4|e", "5|y"]);
    }
}

#[tokio::test]
async fn rows_whose_key_is_there_are_not_counted_where_they_are_ignored() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (k INTEGER PRIMARY KEY, v VARCHAR(9), UNIQUE (v))");
        place.register("t", "", "'on_conflict' 'ignore', 'conflict_key' 'k'").await;
        assert_eq!(place.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await.unwrap(), 2, "{}", place.name());
        assert_eq!(
            place.run("INSERT INTO t VALUES (1, 'c'), (3, 'd'), (3, 'e')").await.unwrap(),
            1,
            "{}",
            place.name()
        );
        assert_eq!(place.client("SELECT k, v FROM t ORDER BY k"), ["1|a", "2|b", "3|d"]);
    }
}
