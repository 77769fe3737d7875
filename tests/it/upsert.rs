//! Upserts by difference: the same table as a blind upsert makes, and rows left alone that are equal.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use fastrand::Rng;

use crate::dml::Place;
use crate::landing::{Landing, count, error, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;

/// What became of the rows of an upsert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Found {
    inserted: usize,
    updated: usize,
    unchanged: usize,
    superseded: usize,
}

fn found(inserted: usize, updated: usize, unchanged: usize, superseded: usize) -> Found {
    Found { inserted, updated, unchanged, superseded }
}

impl Found {
    fn all(self) -> usize {
        self.inserted + self.updated + self.unchanged + self.superseded
    }
}

/// One of the three databases, as these tests use it.
struct Store<'a> {
    name: &'static str,
    context: SessionContext,
    stored_as: String,
    rows: &'a dyn Fn(&str) -> Vec<String>,
}

impl Store<'_> {
    /// Runs a test on all three.
    async fn each(test: impl AsyncFn(&Store<'_>)) {
        // A scan of one partition brings rows in their order.
        let context = || {
            let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
            datafusion_landfall::register(&context);
            context
        };
        let (postgres, mysql, sqlite) = (Postgres::new(""), MySql::new(""), Landing::new(""));
        let sqlite_rows = |sql: &str| match sql.trim_start().starts_with("SELECT") {
            true => sqlite.rows(sql),
            false => {
                sqlite.db().execute_batch(sql).unwrap();
                Vec::new()
            }
        };
        let stores = [
            Store {
                name: "postgres",
                context: context(),
                stored_as: format!("POSTGRES LOCATION '{}'", postgres.url()),
                rows: &|sql| postgres.rows(sql),
            },
            Store {
                name: "mysql",
                context: context(),
                stored_as: format!("MYSQL LOCATION '{}'", mysql.url()),
                rows: &|sql| mysql.rows(sql),
            },
            Store {
                name: "sqlite",
                context: context(),
                stored_as: format!("SQLITE LOCATION '{}'", sqlite.file().display()),
                rows: &sqlite_rows,
            },
        ];
        for store in &stores {
            println!("{}", store.name);
            test(store).await;
        }
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        (self.rows)(sql)
    }

    async fn register(&self, name: &str, table: &str, options: &str) {
        let sql =
            format!("CREATE EXTERNAL TABLE {name} STORED AS {} OPTIONS ('table' '{table}', {options})", self.stored_as);
        self.context.sql(&sql).await.unwrap();
    }

    /// Makes batches the table `source`.
    fn source(&self, batches: Vec<RecordBatch>) {
        self.context.deregister_table("source").unwrap();
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
        self.context.register_table("source", Arc::new(table)).unwrap();
    }

    /// Runs an INSERT; gives its count and what was found.
    async fn insert(&self, sql: &str) -> (u64, Found) {
        insert(&self.context, sql).await
    }
}

async fn insert(context: &SessionContext, sql: &str) -> (u64, Found) {
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let answer = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let metric = |name| metric(&plan, name);
    (count(&answer), found(metric("inserted"), metric("updated"), metric("unchanged"), metric("superseded")))
}

fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |sum| sum.as_usize());
    own + plan.children().into_iter().map(|child| metric(child, name)).sum::<usize>()
}

/// Rows with a key and a text.
fn pairs(rows: impl IntoIterator<Item = (i64, String)>) -> RecordBatch {
    let (keys, values): (Vec<i64>, Vec<String>) = rows.into_iter().unzip();
    let columns: [(_, ArrayRef); 2] =
        [("k", Arc::new(Int64Array::from(keys))), ("v", Arc::new(StringArray::from(values)))];
    RecordBatch::try_from_iter(columns).unwrap()
}

const PAIRS: &str = "CREATE TABLE t (k BIGINT PRIMARY KEY, v VARCHAR(30))";

/// The types of a table's columns, each with values that they take: SQL literals.
type Types = &'static [(&'static str, &'static [&'static str])];

const POSTGRES: Types = &[
    ("smallint", &["0", "-32768", "7"]),
    ("integer", &["2147483647", "-1"]),
    ("bigint", &["-9223372036854775808", "12"]),
    ("real", &["0.1", "'NaN'", "-0.0", "0"]),
    ("double precision", &["1e300", "'NaN'", "'-infinity'", "-0.0", "0.0"]),
    ("numeric(12,3)", &["1.5", "1.500", "-999999999.999", "0"]),
    ("numeric(30,0)", &["123456789012345678901234567890", "0"]),
    ("boolean", &["true", "false"]),
    ("text", &["''", "'a'", "'a longer text than twelve'", "'ä \"quoted\\ {text}'"]),
    ("varchar(9)", &["'123456789'", "''"]),
    ("char(5)", &["'ab'", "'abcde'"]),
    ("bytea", &["'\\x'", "'\\x00ff'", "'\\x000102030405060708090a0b0c0d0e0f'"]),
    ("date", &["'0044-03-15 BC'", "'2024-02-29'"]),
    ("time", &["'23:59:59.999999'", "'00:00'"]),
    ("timestamp", &["'2024-02-29 12:00:00.000001'", "'1969-12-31'"]),
    ("timestamptz", &["'2024-02-29 12:00:00+05'", "'1969-12-31Z'"]),
    ("uuid", &["'00000000-0000-0000-0000-000000000001'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    ("jsonb", &["'{\"a\": [1, 2]}'", "'null'"]),
    ("json", &["'{\"a\":[1,2]}'", "'{ \"a\" : 1 }'"]),
    ("interval", &["'1 month 2 days 3 seconds'", "'-1 second'"]),
    ("integer[]", &["'{1,2,NULL}'", "'{}'"]),
    ("inet", &["'10.1.2.3'", "'::1'"]),
];

const MYSQL: Types = &[
    ("tinyint(1)", &["0", "1"]),
    ("smallint", &["-32768", "7"]),
    ("int unsigned", &["4294967295", "0"]),
    ("bigint unsigned", &["18446744073709551615", "12"]),
    ("float", &["0.1", "16777216", "-1e30"]),
    ("double", &["1e300", "-0.1", "0"]),
    ("decimal(12,3)", &["1.5", "-999999999.999"]),
    ("varchar(9)", &["'123456789'", "''"]),
    ("char(5)", &["'ab'", "'abcde'"]),
    ("text", &["''", "'a longer text than twelve'", "'ä \"quoted\" : {text}'"]),
    ("varbinary(8)", &["''", "x'007f'"]),
    ("blob", &["x'000102030405060708090a0b0c0d0e0f'"]),
    ("date", &["'1000-01-01'", "'2024-02-29'"]),
    ("time(3)", &["'23:59:59.999'", "'00:00'"]),
    ("datetime(6)", &["'2024-02-29 12:00:00.000001'", "'1969-12-31'"]),
    ("timestamp(3) NULL", &["'2024-02-29 12:00:00.001'", "'1971-12-31'"]),
    ("year", &["1999", "2024"]),
    ("enum('a','b')", &["'a'", "'b'"]),
    ("set('a','b')", &["'a,b'", "''"]),
    ("json", &["'{\"a\": [1, 2]}'", "'null'"]),
    ("bit(9)", &["b'101010101'", "b'0'"]),
];

const SQLITE: Types = &[
    ("INTEGER", &["-9223372036854775808", "7"]),
    ("REAL", &["0.1", "1e300", "2"]),
    ("NUMERIC", &["2", "0.5"]),
    ("DECIMAL(12,3)", &["1.5", "-999999999.999", "1", "0"]),
    ("BOOLEAN", &["0", "1"]),
    ("TEXT", &["''", "'a longer text than twelve'", "'ä \"quoted\\ {text}'"]),
    ("BLOB", &["x''", "x'000102030405060708090a0b0c0d0e0f'"]),
    ("DATE", &["'2024-02-29'", "'1000-01-01'"]),
    ("TIMESTAMP", &["'2024-02-29 12:00:00.000001'", "'1969-12-31 00:00:00.000000'"]),
];

/// Keys: the columns, and the literals of a number's key.
type Key = (&'static str, &'static str, fn(u32) -> String);

const KEYS: [Key; 6] = [
    ("k int", "k", |n| n.to_string()),
    ("k bigint", "k", |n| (i64::from(n) * 1_000_003 - 77_000_000).to_string()),
    ("k TEXT", "k", |n| format!("'key {} \"{}\"'", n % 10, n / 10)),
    ("k TEXT, l int", "k, l", |n| format!("'{}', {}", n % 10, n / 10)),
    ("k date, l smallint", "k, l", |n| format!("'2024-01-{:02}', {}", n % 28 + 1, n / 28)),
    ("k decimal(12,2)", "k", |n| format!("{n}.25")),
];

fn random_rows(rng: &mut Rng, types: Types, numbers: impl Iterator<Item = u32>, key: Key) -> Vec<(u32, Vec<String>)> {
    let row = |number: u32| {
        let mut row = vec![key.2(number)];
        row.extend(types.iter().map(|(_, values)| literal(rng, values)));
        (number, row)
    };
    numbers.map(row).collect()
}

fn literal(rng: &mut Rng, values: &[&str]) -> String {
    match rng.usize(..=values.len()) {
        0 => "NULL".into(),
        index => values[index - 1].into(),
    }
}

fn insert_into(table: &str, rows: &[(u32, Vec<String>)], numbered: bool) -> String {
    let rows = rows.iter().enumerate().map(|(index, (_, row))| {
        let number = if numbered { format!("{index}, ") } else { String::new() };
        format!("({number}{})", row.join(", "))
    });
    format!("INSERT INTO {table} VALUES {}", rows.collect::<Vec<_>>().join(",\n"))
}

#[tokio::test]
async fn blind_and_diff_make_the_same_table_of_random_ones() {
    Store::each(async |store| {
        let types = match store.name {
            "postgres" => POSTGRES,
            "mysql" => MYSQL,
            _ => SQLITE,
        };
        // Dates and decimals have several spellings there, of which the server knows nothing.
        let compares = |key: &Key| store.name != "sqlite" || !key.0.contains("date") && !key.0.contains("decimal");
        for (round, key) in KEYS.into_iter().filter(compares).enumerate() {
            let mut rng = Rng::with_seed(round as u64);
            let key_columns = match store.name {
                "mysql" => key.0.replace("TEXT", "varchar(30) COLLATE utf8mb4_nopad_bin"),
                "sqlite" => key.0.replace("int,", "INTEGER,"),
                _ => key.0.to_owned(),
            };
            let columns: Vec<_> =
                types.iter().enumerate().map(|(index, (name, _))| format!("c{index} {name}")).collect();
            let columns = format!("{key_columns}, {}", columns.join(", "));
            for name in ["b", "d", "s"] {
                store.rows(&format!("DROP TABLE IF EXISTS {name}"));
            }
            for name in ["b", "d"] {
                store.rows(&format!("CREATE TABLE {name} ({columns}, PRIMARY KEY ({}))", key.1));
            }
            store.rows(&format!("CREATE TABLE s (n int, {columns})"));
            let there = random_rows(&mut rng, types, 0..300, key);
            for name in ["b", "d"] {
                store.rows(&insert_into(name, &there, false));
            }
            // Most as they are, some with other values, some new, some twice.
            let mut source: Vec<_> = there.iter().filter(|_| rng.u8(..10) < 8).cloned().collect();
            source.extend(random_rows(&mut rng, types, 300..400, key));
            for _ in 0..60 {
                let again = source[rng.usize(..source.len())].clone();
                source.push(again);
            }
            rng.shuffle(&mut source);
            for (_, row) in &mut source {
                if rng.u8(..10) == 0 {
                    let column = rng.usize(..types.len());
                    row[column + 1] = literal(&mut rng, types[column].1);
                }
            }
            store.rows(&insert_into("s", &source, true));

            let names: Vec<_> = (0..types.len()).map(|index| format!("c{index}")).collect();
            let select = format!("SELECT {}, {} FROM s{round} ORDER BY n", key.1, names.join(", "));
            store.register(&format!("s{round}"), "s", "'writers' '1'").await;
            for (name, mode) in [("b", "blind"), ("d", "diff")] {
                store
                    .register(&format!("{name}{round}"), name, &format!("'on_conflict' 'update', 'upsert' '{mode}'"))
                    .await;
            }
            let rendered = |name: &str| store.rows(&format!("SELECT * FROM {name} ORDER BY {}", key.1));
            let (rows, blind) = store.insert(&format!("INSERT INTO b{round} {select}")).await;
            assert_eq!((rows as usize, blind), (source.len(), Found::default()));
            let (rows, diff) = store.insert(&format!("INSERT INTO d{round} {select}")).await;
            assert_eq!(rendered("b"), rendered("d"), "{} by ({})", store.name, key.0);
            assert_eq!((rows as usize, diff.all()), (source.len(), source.len()), "{diff:?} by ({})", key.0);
            assert!(
                diff.inserted == 100 && diff.unchanged > 100 && diff.updated > 5 && diff.superseded >= 50,
                "{diff:?}"
            );
            // What was written is found equal, in every type.
            let (_, again) = store.insert(&format!("INSERT INTO d{round} {select}")).await;
            assert_eq!((again.inserted, again.updated), (0, 0), "{} by ({}): {again:?}", store.name, key.0);
            assert_eq!(rendered("b"), rendered("d"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_value_that_comes_back_in_the_same_epoch_or_a_later_one_stays() {
    // Far enough apart that the rows are compared at different times.
    const BETWEEN: i64 = 50_000;
    Store::each(async |store| {
        for options in ["", ", 'checkpoint.rows' '10000'", ", 'checkpoint.rows' '10000', 'writers' '2'"] {
            if store.name == "sqlite" && options.contains("writers") {
                continue;
            }
            store.rows("DROP TABLE IF EXISTS t");
            store.rows(PAIRS);
            store.rows("INSERT INTO t VALUES (1, 'first'), (2, 'old')");
            let row = |key, value: &str| (key, value.to_owned());
            let between = || (10..10 + BETWEEN).map(|key| row(key, "between"));
            let all = [row(1, "second"), row(2, "new")].into_iter().chain(between());
            let all = pairs(all.chain([row(1, "first"), row(2, "newer")]));
            store.source(
                (0..all.num_rows())
                    .step_by(8_192)
                    .map(|start| all.slice(start, 8_192.min(all.num_rows() - start)))
                    .collect(),
            );
            for mode in ["diff", "auto", "blind"] {
                let name = format!("t_{mode}_{}", options.len());
                store.register(&name, "t", &format!("'on_conflict' 'update', 'upsert' '{mode}'{options}")).await;
                let (rows, _) = store.insert(&format!("INSERT INTO {name} SELECT * FROM source")).await;
                assert_eq!(rows, BETWEEN as u64 + 4);
                assert_eq!(
                    store.rows("SELECT v FROM t WHERE k < 10 ORDER BY k"),
                    ["first", "newer"],
                    "{} {mode}",
                    store.name
                );
                assert_eq!(store.rows("SELECT count(*) FROM t WHERE v = 'between'"), [BETWEEN.to_string()]);
                store.rows("UPDATE t SET v = 'old' WHERE k = 2");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn auto_compares_while_few_rows_change() {
    Store::each(async |store| {
        store.rows(PAIRS);
        store.register("t", "t", "'on_conflict' 'update'").await;
        let rows = |rows: Found| if store.name == "sqlite" { Found::default() } else { rows };
        let version = |name: &'static str, changed: i64| {
            let value = move |key: i64| (key, if key < changed { name.to_owned() } else { format!("v{key}") });
            pairs((0..30_000).map(value))
        };
        let upsert = async |batch| {
            store.source(vec![batch]);
            store.insert("INSERT INTO t SELECT * FROM source").await.1
        };
        // All are new: what is looked at first says so, and the others are written blindly.
        assert_eq!(upsert(version("", 0)).await, rows(found(8_192, 0, 0, 0)));
        assert_eq!(upsert(version("a", 300)).await, rows(found(0, 300, 29_700, 0)));
        assert_eq!(upsert(version("a", 300)).await, rows(found(0, 0, 30_000, 0)));
        assert_eq!(upsert(version("b", 30_000)).await, rows(found(0, 8_192, 0, 0)));
        assert_eq!(store.rows("SELECT count(*) FROM t WHERE v = 'b'"), ["30000"]);
        // Not worth a question.
        assert_eq!(upsert(version("c", 300).slice(0, 100)).await, Found::default());
        assert_eq!(store.rows("SELECT count(*) FROM t WHERE v = 'c'"), ["100"]);
    })
    .await;
}

#[tokio::test]
async fn the_doubled_keys_of_the_weather_are_those_of_their_last_rows() {
    Store::each(async |store| {
        let key = "origin, year, month, day, hour";
        store.rows(&format!(
            "CREATE TABLE w (origin varchar(3){} NOT NULL, year bigint NOT NULL, month bigint NOT NULL, day bigint NOT \
             NULL, hour bigint NOT NULL, temp double precision, wind_speed double precision, PRIMARY KEY ({key}))",
            if store.name == "mysql" { " COLLATE utf8mb4_nopad_bin" } else { "" }
        ));
        let file = crate::program::repository().join("examples/data/weather.parquet");
        let file = format!("CREATE EXTERNAL TABLE weather STORED AS PARQUET LOCATION '{}'", file.display());
        store.context.sql(&file).await.unwrap();
        let select = format!("SELECT {key}, temp, wind_speed FROM weather");
        let doubled = format!("SELECT {key} FROM weather GROUP BY {key} HAVING count(*) > 1");
        assert_eq!(store.context.sql(&doubled).await.unwrap().count().await.unwrap(), 3);
        store.register("blind", "w", "'on_conflict' 'update', 'upsert' 'blind'").await;
        let (all, _) = store.insert(&format!("INSERT INTO blind {select}")).await;
        let rendered = || store.rows(&format!("SELECT * FROM w ORDER BY {key}"));
        let blind = rendered();
        assert_eq!(blind.len() as u64 + 3, all);
        store.rows("DELETE FROM w");
        store.register("diff", "w", "'on_conflict' 'update', 'upsert' 'diff'").await;
        let (_, new) = store.insert(&format!("INSERT INTO diff {select}")).await;
        assert_eq!(new, found(blind.len(), 0, 0, 3));
        assert_eq!(rendered(), blind);
        let (_, again) = store.insert(&format!("INSERT INTO diff {select}")).await;
        assert_eq!(again, found(0, 0, blind.len(), 3));
        let (_, warmer) = store
            .insert(&format!("INSERT INTO diff SELECT {key}, CASE WHEN month = 1 THEN temp + 1 ELSE temp END, wind_speed FROM weather"))
            .await;
        let january = store.rows("SELECT count(*) FROM w WHERE month = 1 AND temp IS NOT NULL")[0].parse().unwrap();
        assert_eq!(warmer, found(0, january, blind.len() - january, 3));
        assert_eq!(rendered().len(), blind.len());
    })
    .await;
}

#[tokio::test]
async fn an_error_names_the_row_of_the_stream() {
    Store::each(async |store| {
        store.rows("CREATE TABLE t (k BIGINT PRIMARY KEY, v VARCHAR(30) NOT NULL)");
        store.source(vec![pairs((0..20_000).map(|key| (key, format!("v{key}"))))]);
        store.register("t", "t", "'on_conflict' 'update', 'upsert' 'diff'").await;
        store.insert("INSERT INTO t SELECT * FROM source").await;
        let bad =
            "INSERT INTO t SELECT k, CASE WHEN k = 15000 THEN NULL WHEN k % 7 = 0 THEN 'other' ELSE v END FROM source";
        let message = error(&store.context, bad).await;
        says(&message, &["row 15001, column \"v\"", "NULL"]);
        let bad = "INSERT INTO t SELECT CASE WHEN k = 9 THEN NULL ELSE k END, v FROM source";
        says(&error(&store.context, bad).await, &["row 10, column \"k\"", "value NULL"]);
        assert_eq!(store.rows("SELECT count(*) FROM t WHERE v = 'other'"), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn triggers_see_every_row_unless_a_difference_was_asked_for() {
    Store::each(async |store| {
        store.rows(&format!("{PAIRS}; CREATE TABLE log (k BIGINT)"));
        store.rows("INSERT INTO t VALUES (1000, 'there')");
        let trigger = match store.name {
            "postgres" => {
                "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN INSERT INTO log VALUES (NEW.k); RETURN NEW; END'; \
                 CREATE TRIGGER note BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()"
            }
            "mysql" => "CREATE TRIGGER note BEFORE UPDATE ON t FOR EACH ROW INSERT INTO log VALUES (NEW.k)",
            _ => "CREATE TRIGGER note BEFORE UPDATE ON t BEGIN INSERT INTO log VALUES (NEW.k); END",
        };
        store.rows(trigger);
        store.source(vec![pairs((0..2_000).map(|key| (key, "there".to_owned())))]);
        store.register("new", "t", "'on_conflict' 'update'").await;
        assert_eq!(store.insert("INSERT INTO new SELECT * FROM source").await, (2_000, Found::default()));
        assert_eq!(store.rows("SELECT count(*) FROM log"), ["1"]);
        store.register("diff", "t", "'on_conflict' 'update', 'upsert' 'diff'").await;
        assert_eq!(store.insert("INSERT INTO diff SELECT * FROM source").await.1, found(0, 0, 2_000, 0));
        assert_eq!(store.rows("SELECT count(*) FROM log"), ["1"]);
        assert_eq!(store.insert("INSERT INTO new SELECT * FROM source").await.1, Found::default());
        assert_eq!(store.rows("SELECT count(*) FROM log"), ["2001"]);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_compared_is_written_blindly_or_refused() {
    Store::each(async |store| {
        let folded = match store.name {
            "postgres" => "k char(5)",
            "mysql" => "k varchar(5) COLLATE utf8mb4_general_ci",
            _ => "k TEXT COLLATE NOCASE",
        };
        store.rows(&format!("CREATE TABLE f ({folded} PRIMARY KEY, v VARCHAR(9))"));
        store.rows("INSERT INTO f VALUES ('a', 'old')");
        let create = |options: &str| {
            format!("CREATE EXTERNAL TABLE f STORED AS {} OPTIONS ('on_conflict' 'update', {options})", store.stored_as)
        };
        store.context.sql(&create("'upsert' 'diff'")).await.unwrap();
        let message = error(&store.context, "INSERT INTO f VALUES ('a', 'new')").await;
        says(&message, &["'upsert' = 'diff'", "column \"k\"", "different spellings of a value in column", "'blind'"]);
        store.context.sql("DROP TABLE f").await.unwrap();
        store.context.sql(&create("'upsert' 'auto'")).await.unwrap();
        let many = "INSERT INTO f SELECT CASE WHEN value = 1 THEN 'a' ELSE 'b' || value END, 'new' FROM generate_series(1, 500)";
        assert_eq!(store.insert(many).await, (500, Found::default()));
        assert_eq!(store.rows("SELECT count(*) FROM f WHERE v = 'new'"), ["500"]);
        let message = error(&store.context, &create("'upsert' 'sometimes'").replace("TABLE f", "TABLE g")).await;
        says(&message, &["upsert", "sometimes", "'auto', 'blind' or 'diff'"]);

        store.rows("CREATE TABLE r (k BIGINT PRIMARY KEY, v VARCHAR(9), w VARCHAR(9) DEFAULT 'w')");
        store.register("r", "r", "'upsert' 'diff'").await;
        let message = error(&store.context, "REPLACE INTO r (k, v) VALUES (1, 'v')").await;
        says(&message, &["REPLACE INTO sets column \"w\"", "does not write, to the default value"]);
        store.insert("REPLACE INTO r VALUES (1, 'v', 'x')").await;
        let (_, same) = store.insert("REPLACE INTO r VALUES (1, 'v', 'x'), (2, 'v', NULL)").await;
        assert_eq!(same, found(1, 0, 1, 0));
        assert_eq!(store.rows("SELECT w FROM r WHERE k = 1"), ["x"]);
    })
    .await;
}

#[tokio::test]
async fn values_that_cannot_be_read_are_overwritten() {
    Store::each(async |store| {
        let there = match store.name {
            "postgres" => "CREATE TABLE t (k BIGINT PRIMARY KEY, v date); INSERT INTO t VALUES (1, 'infinity')",
            "mysql" => {
                "CREATE TABLE t (k BIGINT PRIMARY KEY, v date); SET sql_mode = ''; INSERT INTO t VALUES (1, '0000-00-00')"
            }
            _ => "CREATE TABLE t (k BIGINT PRIMARY KEY, v DATE); INSERT INTO t VALUES (1, 17)",
        };
        store.rows(there);
        for (name, mode) in [("diff", "diff"), ("auto", "auto")] {
            store.register(name, "t", &format!("'on_conflict' 'update', 'upsert' '{mode}'")).await;
        }
        let rows = "SELECT value, CASE WHEN value = 1 THEN NULL ELSE DATE '2024-02-29' END FROM generate_series(1, 600)";
        store.insert(&format!("INSERT INTO diff {rows}")).await;
        assert_eq!(store.rows("SELECT count(*) FROM t WHERE v IS NULL"), ["1"]);
        let (_, again) = store.insert(&format!("INSERT INTO auto {rows}")).await;
        assert_eq!(again, if store.name == "sqlite" { Found::default() } else { found(0, 0, 600, 0) });
    })
    .await;
}

#[tokio::test]
async fn a_value_of_every_type_is_found_equal_where_it_was_written() {
    Store::each(async |store| {
        let types = match store.name {
            "postgres" => POSTGRES,
            "mysql" => MYSQL,
            _ => SQLITE,
        };
        let mut rewritten = Vec::new();
        for (index, (name, values)) in types.iter().enumerate() {
            let columns = format!("k int PRIMARY KEY, v {name}");
            let values: Vec<_> =
                values.iter().chain(&["NULL"]).enumerate().map(|(key, value)| format!("({key}, {value})")).collect();
            for table in ["s", "t"] {
                store.rows(&format!("DROP TABLE IF EXISTS {table}"));
                store.rows(&format!("CREATE TABLE {table} ({columns})"));
            }
            store.rows(&format!("INSERT INTO s VALUES {}", values.join(", ")));
            store.register(&format!("s{index}"), "s", "'writers' '1'").await;
            store.register(&format!("t{index}"), "t", "'on_conflict' 'update', 'upsert' 'diff'").await;
            let upsert = format!("INSERT INTO t{index} SELECT * FROM s{index}");
            assert_eq!(store.insert(&upsert).await.1, found(values.len(), 0, 0, 0), "{name}");
            if store.insert(&upsert).await.1 != found(0, 0, values.len(), 0) {
                rewritten.push((store.name, *name));
            }
            assert_eq!(store.rows("SELECT * FROM t ORDER BY k"), store.rows("SELECT * FROM s ORDER BY k"), "{name}");
        }
        assert!(rewritten.is_empty(), "the server has them in a form of its own: {rewritten:?}");
    })
    .await;
}

/// Upserts an equal row, one that changes slowly and a new one; meanwhile another session tries the first, and a row that
/// lies between them.
async fn upsert_beside_another(context: &SessionContext, other: impl Fn(&str) -> bool) -> (Found, [bool; 2]) {
    let insert = async { insert(context, "INSERT INTO t VALUES (1, 'same'), (2, 'new'), (4, 'new')").await };
    let other = async {
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        ["1", "3"].map(|key| other(&format!("UPDATE t SET v = 'of another' WHERE k = {key}")))
    };
    let ((_, found), changed) = tokio::join!(insert, other);
    (found, changed)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_compared_are_locked_on_request() {
    const ROWS: &str = "INSERT INTO t VALUES (1, 'same'), (2, 'old'), (3, 'of nobody')";
    for (options, locks) in [("", false), (", 'diff.lock' 'true'", true)] {
        let options = format!("'on_conflict' 'update', 'upsert' 'diff'{options}");
        // The row that changes takes its time, after the comparison.
        let postgres = Postgres::new(&format!(
            "CREATE TABLE t (k bigint PRIMARY KEY, v text); {ROWS}; \
             CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NEW; END'; \
             CREATE TRIGGER wait BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.k = 2) EXECUTE FUNCTION wait()"
        ));
        postgres.register("t", "", &options).await.unwrap();
        let other =
            |sql: &str| crate::postgres::psql(&postgres.schema, &format!("SET lock_timeout = '100ms'; {sql}")).is_ok();
        assert_eq!(upsert_beside_another(&postgres.context, other).await, (found(1, 1, 1, 0), [!locks, true]));
        assert_eq!(postgres.rows("SELECT v FROM t WHERE k = 2"), ["new"]);

        let mysql = MySql::new(&format!(
            "CREATE TABLE t (k bigint PRIMARY KEY, v text); {ROWS}; CREATE TRIGGER wait BEFORE UPDATE ON t FOR EACH ROW \
             SET @waited = IF(NEW.k = 2, sleep(4), 0)"
        ));
        mysql.register("t", "", &options).await.unwrap();
        let url: url::Url = mysql.url().parse().unwrap();
        let other = |sql: &str| {
            let sql = format!("SET innodb_lock_wait_timeout = 1; {sql}");
            crate::mysql::client(&url, &mysql.database, &sql).is_ok()
        };
        assert_eq!(upsert_beside_another(&mysql.context, other).await, (found(1, 1, 1, 0), [!locks, true]));
        assert_eq!(mysql.rows("SELECT v FROM t WHERE k = 2"), ["new"]);
    }
}

#[tokio::test]
async fn unchanged_rows_are_not_written_by_any_number_of_writers() {
    let server = Postgres::new(
        "CREATE TABLE t (k bigint PRIMARY KEY, v text); INSERT INTO t SELECT k, 'v' || k FROM generate_series(1, 100000) k",
    );
    let versions = || {
        server.rows("SELECT count(*), count(DISTINCT xmin::text) FROM t WHERE xmin::text = (SELECT min(xmin::text) FROM t WHERE k = 1)")
    };
    let before = versions();
    for writers in [1, 4] {
        server
            .register(
                &format!("t{writers}"),
                "",
                &format!("'table' 't', 'on_conflict' 'update', 'writers' '{writers}'"),
            )
            .await
            .unwrap();
        let rows = "SELECT value, 'v' || value FROM generate_series(1, 100000)";
        let done = insert(&server.context, &format!("INSERT INTO t{writers} {rows}")).await;
        assert_eq!(done, (100_000, found(0, 0, 100_000, 0)));
        assert_eq!(versions(), before);
    }
}

#[tokio::test]
async fn a_key_counts_once_however_many_rows_and_windows_have_it() {
    Store::each(async |store| {
        store.rows(PAIRS);
        store.register("t", "t", "'on_conflict' 'update', 'upsert' 'diff'").await;
        // More rows than are compared at once, in no order, of 5,021 keys.
        let rows = |value: &'static str| (0..100_000_i64).map(move |row| (row * 7_919 % 5_021, value.to_owned()));
        let batches = |value| rows(value).collect::<Vec<_>>().chunks(8_192).map(|rows| pairs(rows.to_vec())).collect();
        store.source(batches("a"));
        let insert = "INSERT INTO t SELECT * FROM source";
        assert_eq!(store.insert(insert).await, (100_000, found(5_021, 0, 0, 94_979)), "{}", store.name);
        assert_eq!(store.insert(insert).await, (100_000, found(0, 0, 5_021, 94_979)), "{}", store.name);
        // The last row of key 0 is another one, and comes in another window than its first.
        let mut changed: Vec<_> = rows("a").collect();
        changed.push((0, "b".into()));
        store.source(changed.chunks(8_192).map(|rows| pairs(rows.to_vec())).collect());
        assert_eq!(store.insert(insert).await, (100_001, found(0, 1, 5_020, 94_980)), "{}", store.name);
        assert_eq!(store.rows("SELECT v, count(*) FROM t GROUP BY v ORDER BY v"), ["a|5020", "b|1"]);
    })
    .await;
}

#[tokio::test]
async fn the_last_row_of_a_key_is_that_of_an_order_by_what_is_not_written() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (k INTEGER PRIMARY KEY, v VARCHAR(9))");
        place.register("t", "", "'on_conflict' 'update'").await;
        place.register("kept", "", "'table' 't', 'on_conflict' 'ignore'").await;
        let rows = "(VALUES (1, 'b', 2), (1, 'a', 1), (1, 'd', 4), (1, 'c', 3)) AS s (k, v, n)";
        for (table, order, last) in [
            ("t", "n", "d!"),
            ("t", "n DESC", "a!"),
            ("t", "-n, k", "a!"),
            ("kept", "n", "a!"),
            ("kept", "n DESC", "d!"),
        ] {
            place.client("DELETE FROM t");
            let insert = format!("INSERT INTO {table} (k, v) SELECT k, v || '!' FROM {rows} ORDER BY {order}");
            place.run(&insert).await.unwrap();
            assert_eq!(place.client("SELECT v FROM t"), [last], "{}: ORDER BY {order}", place.name());
        }
    }
}

#[tokio::test]
async fn the_order_of_all_columns_counts_where_one_is_written() {
    let place = &Place::all()[0];
    place.client("CREATE TABLE t (k INTEGER PRIMARY KEY, v VARCHAR(9))");
    place.register("t", "", "'on_conflict' 'update'").await;
    place.context().sql("SET datafusion.execution.target_partitions = 4").await.unwrap();
    let rows = "(VALUES (1, 'b', 2), (1, 'a', 1), (2, 'x', 9), (1, 'd', 4), (1, 'c', 3), (2, 'y', 1)) AS s (k, v, n)";
    for (order, expected) in [("k, n", ["1|d", "2|x"]), ("k, n DESC", ["1|a", "2|y"]), ("k DESC, n", ["1|d", "2|x"])] {
        place.client("DELETE FROM t");
        place.run(&format!("INSERT INTO t (k, v) SELECT k, v FROM {rows} ORDER BY {order}")).await.unwrap();
        assert_eq!(place.client("SELECT k, v FROM t ORDER BY k"), expected, "ORDER BY {order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_another_index_than_the_key_says_so() {
    let server = Postgres::new("CREATE TABLE t (id int PRIMARY KEY, mail text UNIQUE)");
    server.rows("INSERT INTO t VALUES (1, 'a')");
    for (name, on_conflict) in [("update", "update"), ("ignore", "ignore")] {
        let options = format!("'table' 't', 'conflict_key' 'id', 'on_conflict' '{on_conflict}'");
        server.register(name, "", &options).await.unwrap();
        let said = server.error(&format!("INSERT INTO \"{name}\" VALUES (2, 'a')")).await;
        says(&said, &["unique index", "only to the key (id)", "t_mail_key"]);
        assert!(!said.contains("use REPLACE INTO"), "{said}");
    }
    assert_eq!(server.rows("SELECT * FROM t"), ["1|a"]);
}
