//! Arithmetic in statements that write: what does not fit is an error, and no other number.

use super::Place;
use crate::landing::says;

const BEGUN: &str =
    "INSERT INTO n VALUES (1, 4611686018427387904, 32000, 2000000000), (2, 2, 1, 1), (3, NULL, NULL, NULL)";
const ROWS: &str = "SELECT id, y, small, i FROM n ORDER BY id";

async fn place_with_numbers(place: &Place) {
    place.register("n", "(id BIGINT PRIMARY KEY, y BIGINT, small SMALLINT, i INT)", "").await;
    place.run(BEGUN).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integer_that_overflows_is_an_error() {
    for place in Place::all() {
        place_with_numbers(&place).await;
        let before = place.client(ROWS);
        for sql in [
            "UPDATE n SET y = y * 4611686018427387904",
            "UPDATE n SET y = y + y + y",
            "UPDATE n SET y = -y - y - y",
            "UPDATE n SET small = small * small",
            "UPDATE n SET i = i + i",
            "DELETE FROM n WHERE y * 4 = 0",
            "DELETE FROM n WHERE id = 3 OR id IN (SELECT id FROM n WHERE y * 4 >= 0)",
            "INSERT INTO n (id, y) SELECT id + 100, y * 4 FROM n",
            "INSERT INTO n (id, y) VALUES (7, 9223372036854775807 + 1)",
            "INSERT INTO n (id, y) SELECT 100, sum(y * 2) FROM n GROUP BY y * 4",
            "MERGE INTO n USING (SELECT id, y AS z FROM n) AS q ON n.id = q.id WHEN MATCHED THEN UPDATE SET y = q.z * 4",
        ] {
            for by_front_end in [false, true] {
                let run = async {
                    match by_front_end {
                        true => datafusion_landfall::sql(place.context(), sql).await?.collect().await,
                        false => place.context().sql(sql).await?.collect().await,
                    }
                };
                let error = run.await.expect_err(sql).to_string();
                assert!(error.to_lowercase().contains("overflow"), "{}: {sql}: {error}", place.name());
                assert_eq!(place.client(ROWS), before, "{}: {sql}", place.name());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integer_that_fits_is_computed() {
    for place in Place::all() {
        place_with_numbers(&place).await;
        for sql in [
            "UPDATE n SET y = (y - 1) * 2 + 1, small = small + 700, i = i + i / 20 WHERE id < 3",
            "UPDATE n SET y = CASE WHEN id = 2 THEN y * 2305843009213693951 ELSE y END",
            "DELETE FROM n WHERE id + 1 = 4",
        ] {
            place.run(sql).await.unwrap_or_else(|error| panic!("{}: {sql}: {error}", place.name()));
        }
        let rows = ["1|9223372036854775807|32700|2100000000", "2|6917529027641081853|701|1"];
        assert_eq!(place.client(ROWS), rows, "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_not_left_out_of_a_date() {
    for place in Place::all() {
        place.register("d", "(id BIGINT PRIMARY KEY, day DATE, at TIMESTAMP)", "").await;
        place.run("INSERT INTO d VALUES (1, '2024-01-31', '2024-01-31 00:00:00')").await.unwrap();
        for sql in [
            "UPDATE d SET at = day + INTERVAL '1 hour'",
            "UPDATE d SET at = INTERVAL '1 day 1 hour' + day",
            "DELETE FROM d WHERE day - INTERVAL '1 minute' < DATE '2024-01-31'",
            "INSERT INTO d SELECT id + 1, day, day + INTERVAL '90 minutes' FROM d",
        ] {
            says(&place.error(sql).await, &["CAST(… AS TIMESTAMP)"]);
        }
        for (sql, expected) in [
            (
                "UPDATE d SET day = day + INTERVAL '1 month', at = CAST(day AS TIMESTAMP) + INTERVAL '1 hour'",
                "2024-02-29|2024-01-31 01:00:00",
            ),
            ("UPDATE d SET day = day - INTERVAL '24 hours'", "2024-02-28|2024-01-31 01:00:00"),
        ] {
            place.run(sql).await.unwrap();
            let row = place.client("SELECT day, at FROM d").join("");
            assert!(row.replace('T', " ").starts_with(expected), "{}: {sql}: {row}", place.name());
        }
    }
}
