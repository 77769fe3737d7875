//! Random rows, and random statements that write them.

use fastrand::Rng;

use super::expressions::{DAYS, Expressions, Scope, Sql, WORDS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Postgres = 1,
    MySql = 2,
    Sqlite = 3,
}

/// The columns of the tables, `t` and its copy `c`, and `src`, which has another: `k`, a number that repeats.
pub const COLUMNS: &str = "id BIGINT PRIMARY KEY, a INT, b BIGINT, w VARCHAR, ok BOOLEAN, d DATE";
const NAMES: [&str; 5] = ["a", "b", "w", "ok", "d"];

/// Statements of a server that fill its tables anew.
pub fn fill(rng: &mut Rng) -> String {
    let mut statements = vec!["DELETE FROM t; DELETE FROM c; DELETE FROM src".to_owned()];
    let target: Vec<_> = (1..8).map(|id| row(rng, id, None)).collect();
    let source: Vec<_> = (4..10).map(|id| row(rng, id, Some(id / 2 + 1))).collect();
    statements.push(format!("INSERT INTO t VALUES {}", target.join(", ")));
    statements.push("INSERT INTO c SELECT * FROM t".into());
    if rng.u8(..10) > 0 {
        statements.push(format!("INSERT INTO src VALUES {}", source.join(", ")));
    }
    statements.join("; ")
}

fn row(rng: &mut Rng, id: u64, key: Option<u64>) -> String {
    let numbers = [rng.i8(-3..7).to_string(), rng.i8(-3..7).to_string()];
    let text = format!("'{}'", WORDS[rng.usize(..WORDS.len())]);
    let (truth, day) = (if rng.bool() { "TRUE" } else { "FALSE" }, format!("'{}'", DAYS[rng.usize(..DAYS.len())]));
    let [a, b] = numbers;
    let values =
        [a, b, text, truth.to_owned(), day].map(|text| if rng.u8(..4) == 0 { "NULL".to_owned() } else { text });
    let key = key.map(|key| format!("{key}, ")).unwrap_or_default();
    format!("({id}, {key}{})", values.join(", "))
}

pub fn statement(rng: &mut Rng) -> Sql {
    let kind = rng.u8(..12);
    let mut maker = Maker { make: Expressions { rng } };
    match kind {
        0..=2 => maker.update(),
        3..=5 => maker.delete(),
        6 => maker.insert(),
        7 | 8 => maker.upsert(),
        9 => maker.replacing(),
        _ => maker.merge(),
    }
}

struct Maker<'r> {
    make: Expressions<'r>,
}

const TARGET: Scope<'static> = Scope { tables: &["t"], subqueries: true };
const SOURCE: Scope<'static> = Scope { tables: &["src"], subqueries: true };
const BOTH: Scope<'static> = Scope { tables: &["t", "src"], subqueries: true };

fn plain(scope: Scope<'_>) -> Scope<'_> {
    Scope { subqueries: false, ..scope }
}

impl Maker<'_> {
    fn value(&mut self, column: &str, scope: Scope<'_>) -> Sql {
        let scope = plain(scope);
        match column {
            "w" => self.make.text(scope, 2),
            "ok" => self.make.condition(scope, 1),
            "d" => self.make.day(scope),
            _ => self.make.integer(scope, 2),
        }
    }

    /// Some columns and their values.
    fn values(&mut self, scope: Scope<'_>) -> (Vec<&'static str>, Vec<Sql>) {
        let mut names: Vec<_> = NAMES.into_iter().filter(|_| self.make.rng.bool()).collect();
        if names.is_empty() {
            names.push("a");
        }
        let values = names.iter().map(|name| self.value(name, scope)).collect();
        (names, values)
    }

    fn set(&mut self, scope: Scope<'_>, qualifier: &str) -> Sql {
        let (names, values) = self.values(scope);
        let set =
            names.iter().zip(values).map(|(name, value)| Sql::all(&format!("{qualifier}{name} = {{}}"), &[&value]));
        Sql::list(&set.collect::<Vec<_>>())
    }

    fn update(&mut self) -> Sql {
        let (set, only) = (self.set(TARGET, ""), self.make.condition(TARGET, 2));
        let server = "UPDATE c AS t SET {} WHERE {}";
        let mut update = Sql::each(["UPDATE t SET {} WHERE {}", server, server, server], &[&set, &only]);
        // What SQLite reads of the table in a subquery has the rows that it has updated before.
        update.0[3] = update.0[3].take().filter(|sql| !sql.contains("FROM c AS x"));
        update
    }

    fn delete(&mut self) -> Sql {
        let only = self.make.condition(TARGET, 2);
        let templates = [
            "DELETE FROM t WHERE {}",
            "DELETE FROM c AS t WHERE {}",
            "DELETE t FROM c AS t WHERE {}",
            "DELETE FROM c AS t WHERE {}",
        ];
        Sql::each(templates, &[&only])
    }

    /// Columns to be inserted; a query of their values from `src`, in which the key is `key`.
    fn query(&mut self, key: &str) -> (Vec<&'static str>, Sql) {
        self.query_with(key, &[])
    }

    /// The same in an order, by a column that is written or by one that is not.
    fn sorted_query(&mut self, key: &str) -> (Vec<&'static str>, Sql) {
        let server = "{} ORDER BY src.id";
        let (numbered, ours): (&[_], _) = if self.make.rng.bool() { (&["b"], "{} ORDER BY b") } else { (&[], server) };
        let (names, query) = self.query_with(key, numbered);
        (names, Sql::each([ours, server, server, server], &[&query]))
    }

    /// Columns that are `numbered` have the number of their row.
    fn query_with(&mut self, key: &str, numbered: &[&'static str]) -> (Vec<&'static str>, Sql) {
        // Beside its own row of the table, or not.
        let is_joined = self.make.rng.bool();
        let scope = if is_joined { BOTH } else { SOURCE };
        let (mut names, mut values) = self.values(scope);
        for number in numbered {
            if let Some(at) = names.iter().position(|name| name == number) {
                names.remove(at);
                values.remove(at);
            }
            names.push(number);
            values.push(Sql::all("src.id", &[]));
        }
        let only = self.make.condition(scope, 2);
        let join = |table: &str| match is_joined {
            true => format!(" LEFT JOIN {table} ON t.id = src.id"),
            false => String::new(),
        };
        let named = names.iter().zip(values).map(|(name, value)| Sql::all(&format!("{{}} AS {name}"), &[&value]));
        let values = Sql::list(&named.collect::<Vec<_>>());
        // ORDER BY src.id would mean two columns in DataFusion.
        let template =
            |name: &str, table: &str| format!("SELECT {key} AS {name}, {{}} FROM src{} WHERE {{}}", join(table));
        let (ours, server) = (template("the_key", "t"), template("id", "c AS t"));
        (names, Sql::each([&ours, &server, &server, &server], &[&values, &only]))
    }

    fn insert(&mut self) -> Sql {
        // The last one meets rows that are there.
        let key = *["src.id + 100", "src.k * 10 + src.id", "src.k + 4"].get(self.make.rng.usize(..3)).unwrap();
        let (names, query) = self.query(key);
        let names = names.join(", ");
        let into = |table: &str| format!("INSERT INTO {table} (id, {names}) {{}}");
        Sql::each([&into("t"), &into("c"), &into("c"), &into("c")], &[&query])
    }

    /// Rows whose keys repeat, the last one of which counts, or the first.
    fn upsert(&mut self) -> Sql {
        let (names, query) = self.sorted_query("src.k");
        let columns = names.join(", ");
        let each = |one: &dyn Fn(&str) -> String| names.iter().map(|name| one(name)).collect::<Vec<_>>().join(", ");
        let excluded = each(&|name| format!("{name} = excluded.{name}"));
        // Of PostgreSQL's INSERT a row can be meant once.
        let numbered = "(SELECT q.*, row_number() OVER () AS place FROM ({}) AS q) AS q";
        if self.make.rng.bool() {
            let once = format!("SELECT DISTINCT ON (id) id, {columns} FROM {numbered} ORDER BY id, place DESC");
            let mysql = each(&|name| format!("{name} = VALUES({name})"));
            let templates = [
                format!("INSERT INTO up (id, {columns}) {{}}"),
                format!("INSERT INTO c (id, {columns}) {once} ON CONFLICT (id) DO UPDATE SET {excluded}"),
                format!("INSERT INTO c (id, {columns}) {{}} ON DUPLICATE KEY UPDATE {mysql}"),
                format!("INSERT INTO c (id, {columns}) {{}} ON CONFLICT (id) DO UPDATE SET {excluded}"),
            ];
            return Sql::each([&templates[0], &templates[1], &templates[2], &templates[3]], &[&query]);
        }
        let templates = [
            format!("INSERT INTO ig (id, {columns}) {{}}"),
            format!("INSERT INTO c (id, {columns}) {{}} ON CONFLICT (id) DO NOTHING"),
            format!("INSERT IGNORE INTO c (id, {columns}) {{}}"),
            format!("INSERT INTO c (id, {columns}) {{}} ON CONFLICT (id) DO NOTHING"),
        ];
        Sql::each([&templates[0], &templates[1], &templates[2], &templates[3]], &[&query])
    }

    /// REPLACE INTO, and INSERT OVERWRITE.
    fn replacing(&mut self) -> Sql {
        if self.make.rng.bool() {
            let (names, query) = self.query("src.id");
            let columns = names.join(", ");
            let kept = format!(
                "CREATE TEMPORARY TABLE o AS {{}}; DELETE FROM c; \
                                INSERT INTO c (id, {columns}) SELECT id, {columns} FROM o; DROP TABLE o"
            );
            let ours = format!("INSERT OVERWRITE t (id, {columns}) {{}}");
            return Sql::each([&ours, &kept, &kept, &kept], &[&query]);
        }
        let (names, query) = self.sorted_query("src.k");
        let columns = names.join(", ");
        let postgres = format!(
            "CREATE TEMPORARY TABLE o AS SELECT DISTINCT ON (id) id, {columns} \
             FROM (SELECT q.*, row_number() OVER () AS place FROM ({{}}) AS q) AS q ORDER BY id, place DESC; \
             DELETE FROM c WHERE id IN (SELECT id FROM o); INSERT INTO c (id, {columns}) SELECT id, {columns} FROM o; \
             DROP TABLE o"
        );
        let server = format!("REPLACE INTO c (id, {columns}) {{}}");
        Sql::each([&format!("REPLACE INTO t (id, {columns}) {{}}"), &postgres, &server, &server], &[&query])
    }

    fn merge(&mut self) -> Sql {
        let source = match self.make.rng.u8(..4) {
            0 => Sql::all(
                "(SELECT k AS id, min(id) AS k, max(a) AS a, max(b) AS b, max(w) AS w, count(*) = 1 AS ok, max(d) AS d \
                 FROM src GROUP BY k) AS src",
                &[],
            ),
            1 => {
                let of = |table: &str| format!("(SELECT id + 1 AS id, id AS k, a, b, w, ok, d FROM {table}) AS src");
                Sql::each([&of("t"), &of("c"), "", ""], &[])
            }
            2 => {
                let only = self.make.condition(Scope { tables: &["y"], subqueries: true }, 1);
                Sql::all("(SELECT y.* FROM src AS y WHERE {}) AS src", &[&only])
            }
            _ => Sql::all("src", &[]),
        };
        let on = match self.make.rng.u8(..5) {
            0 => Sql::all("t.id = src.k", &[]),
            1 => Sql::all("t.id = src.id AND {}", &[&self.make.condition(plain(BOTH), 1)]),
            2 => Sql::all("t.a = src.a", &[]),
            _ => Sql::all("t.id = src.id", &[]),
        };
        let mut clauses = Vec::new();
        for matched in [true, false] {
            let scope = if matched { BOTH } else { SOURCE };
            for last in [false, true] {
                let when = if matched { "WHEN MATCHED" } else { "WHEN NOT MATCHED" };
                let when = match last {
                    true => Sql::all(when, &[]),
                    false => Sql::all(&format!("{when} AND {{}}"), &[&self.make.condition(plain(scope), 1)]),
                };
                if self.make.rng.u8(..3) == 0 {
                    continue;
                }
                let then = if !matched {
                    let (names, values) = self.values(scope);
                    let template = format!("INSERT (id, {}) VALUES (src.id, {{}})", names.join(", "));
                    Sql::all(&template, &[&Sql::list(&values)])
                } else if self.make.rng.u8(..3) == 0 {
                    Sql::all("DELETE", &[])
                } else {
                    Sql::all("UPDATE SET {}", &[&self.set(scope, "")])
                };
                clauses.push(Sql::all("{} THEN {}", &[&when, &then]));
            }
        }
        if clauses.is_empty() {
            clauses.push(Sql::all("WHEN MATCHED THEN DELETE", &[]));
        }
        let references: Vec<_> = clauses.iter().collect();
        let clauses = Sql::all(&vec!["{}"; clauses.len()].join(" "), &references);
        let parts = [&source, &on, &clauses];
        Sql::each(["MERGE INTO t USING {} ON {} {}", "MERGE INTO c AS t USING {} ON {} {}", "", ""], &parts)
    }
}
