//! Random expressions, in the words of each database.

use fastrand::Rng;

/// A text for Landfall, PostgreSQL, MySQL and SQLite; none where the database has no such thing.
#[derive(Debug, Clone)]
pub struct Sql(pub [Option<String>; 4]);

impl Sql {
    /// The same for all.
    pub fn all(template: &str, parts: &[&Self]) -> Self {
        Self::each([template; 4], parts)
    }

    /// Templates for Landfall, PostgreSQL, MySQL and SQLite; an empty one where it has no such thing.
    pub fn each(templates: [&str; 4], parts: &[&Self]) -> Self {
        let mut index = 0;
        Self(templates.map(|template| {
            let mut pieces = template.split("{}");
            let mut text = pieces.next().unwrap_or_default().to_owned();
            for (piece, part) in pieces.zip(parts) {
                text.push_str(part.0[index].as_deref()?);
                text.push_str(piece);
            }
            index += 1;
            (!template.is_empty()).then_some(text)
        }))
    }

    /// Separated by commas.
    pub fn list(parts: &[Self]) -> Self {
        let references: Vec<_> = parts.iter().collect();
        Self::all(&vec!["{}"; parts.len()].join(", "), &references)
    }
}

/// The columns of a row that an expression can name: of tables with `id, a, b, w, ok, d`.
#[derive(Clone, Copy)]
pub struct Scope<'s> {
    pub tables: &'s [&'s str],
    /// Whether IN, EXISTS and ANY can stand there.
    pub subqueries: bool,
}

pub struct Expressions<'r> {
    pub rng: &'r mut Rng,
}

pub const WORDS: [&str; 8] = ["", "a", "A", "ab", "b ", "ä", "it''s", "%"];
pub const DAYS: [&str; 4] = ["2024-02-29", "1999-12-31", "1970-01-01", "2024-03-01"];

impl Expressions<'_> {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    fn column(&mut self, scope: Scope<'_>, columns: &[&str]) -> Sql {
        let (table, column) = (self.pick(scope.tables), self.pick(columns));
        Sql::all(&format!("{table}.{column}"), &[])
    }

    pub fn integer(&mut self, scope: Scope<'_>, depth: u8) -> Sql {
        if depth == 0 || self.rng.u8(..4) == 0 {
            return match self.rng.u8(..6) {
                0 => Sql::all(&self.rng.u8(..6).to_string(), &[]),
                1 => Sql::each(["CAST(NULL AS BIGINT)", "CAST(NULL AS BIGINT)", "CAST(NULL AS SIGNED)", "NULL"], &[]),
                _ => self.column(scope, &["id", "a", "b"]),
            };
        }
        let depth = depth - 1;
        let (one, other) = (self.integer(scope, depth), self.integer(scope, depth));
        match self.rng.u8(..10) {
            0 => Sql::all("({} + {})", &[&one, &other]),
            1 => Sql::all("({} - {})", &[&one, &other]),
            2 => Sql::all("({} * {})", &[&one, &Sql::all(self.pick(&["2", "-1", "3"]), &[])]),
            3 => Sql::each(["({} / 2)", "({} / 2)", "({} DIV 2)", "({} / 2)"], &[&one]),
            4 => Sql::all("({} % 3)", &[&one]),
            5 => Sql::all("coalesce({}, {})", &[&one, &other]),
            6 => Sql::all("nullif({}, {})", &[&one, &other]),
            7 => {
                let text = self.text(scope, depth);
                Sql::each(["character_length({})", "char_length({})", "char_length({})", "length({})"], &[&text])
            }
            8 => self.scalar(scope),
            _ => self.case(scope, depth, &one, &other),
        }
    }

    fn case(&mut self, scope: Scope<'_>, depth: u8, one: &Sql, other: &Sql) -> Sql {
        let when = self.condition(Scope { subqueries: false, ..scope }, depth);
        match self.rng.bool() {
            true => Sql::all("CASE WHEN {} THEN {} END", &[&when, one]),
            false => Sql::all("CASE WHEN {} THEN {} ELSE {} END", &[&when, one, other]),
        }
    }

    /// A subquery of one value.
    fn scalar(&mut self, scope: Scope<'_>) -> Sql {
        let inner = Scope { tables: &["x"], subqueries: false };
        let from = self.from();
        let what = match self.rng.u8(..3) {
            0 => Sql::all("count(*)", &[]),
            1 => Sql::all("max({})", &[&self.column(inner, &["a", "b"])]),
            _ => Sql::all("min({})", &[&self.column(inner, &["a", "b"])]),
        };
        let only = match self.rng.bool() {
            true => {
                let outer = self.column(scope, &["id", "a", "b"]);
                let inner = self.column(inner, &["id", "a", "b"]);
                Sql::all("{} = {}", &[&inner, &outer])
            }
            false => self.condition(inner, 1),
        };
        Sql::all("(SELECT {} FROM {} WHERE {})", &[&what, &from, &only])
    }

    /// A table by the name x.
    fn from(&mut self) -> Sql {
        match self.rng.bool() {
            true => Sql::all("src AS x", &[]),
            // MySQL reads no table that it writes, but a copy of it.
            false => Sql::each(["t AS x", "c AS x", "(SELECT * FROM c) AS x", "c AS x"], &[]),
        }
    }

    pub fn text(&mut self, scope: Scope<'_>, depth: u8) -> Sql {
        if depth == 0 || self.rng.u8(..3) == 0 {
            return match self.rng.u8(..3) {
                0 => Sql::all(&format!("'{}'", self.pick(&WORDS)), &[]),
                _ => self.column(scope, &["w"]),
            };
        }
        let depth = depth - 1;
        let (one, other) = (self.text(scope, depth), self.text(scope, depth));
        match self.rng.u8(..4) {
            0 => Sql::each(["({} || {})", "({} || {})", "concat({}, {})", "({} || {})"], &[&one, &other]),
            1 => Sql::all("coalesce({}, {})", &[&one, &other]),
            2 => Sql::all("substr({}, 1, 2)", &[&one]),
            _ => self.case(scope, depth, &one, &other),
        }
    }

    pub fn day(&mut self, scope: Scope<'_>) -> Sql {
        let (column, day) = (self.column(scope, &["d"]), self.pick(&DAYS));
        let (typed, plain) = (format!("DATE '{day}'"), format!("'{day}'"));
        let literal = Sql::each([&typed, &typed, &typed, &plain], &[]);
        match self.rng.u8(..4) {
            0 => literal,
            1 => Sql::all("coalesce({}, {})", &[&column, &literal]),
            2 => self.case(scope, 1, &column, &literal),
            _ => column,
        }
    }

    pub fn condition(&mut self, scope: Scope<'_>, depth: u8) -> Sql {
        if depth > 0 && self.rng.u8(..2) == 0 {
            let (one, other) = (self.condition(scope, depth - 1), self.condition(scope, depth - 1));
            return match self.rng.u8(..8) {
                0 | 1 => Sql::all("({} AND {})", &[&one, &other]),
                2 | 3 => Sql::all("({} OR {})", &[&one, &other]),
                // MariaDB 10.11 says that NOT (NOT (1 < ANY (…))) is true where the comparison is NULL.
                4 | 5 => Sql::each(["(NOT {})", "(NOT {})", "({} = FALSE)", "(NOT {})"], &[&one]),
                6 => {
                    Sql::all(self.pick(&["({} IS TRUE)", "({} IS NOT TRUE)", "({} IS NULL)", "({} IS FALSE)"]), &[&one])
                }
                _ => {
                    let (left, right) = (self.integer(scope, 0), self.integer(scope, 0));
                    let templates = match self.rng.bool() {
                        true => [
                            "({} IS DISTINCT FROM {} OR {})",
                            "({} IS DISTINCT FROM {} OR {})",
                            "(NOT ({} <=> {}) OR {})",
                            "({} IS NOT {} OR {})",
                        ],
                        false => [
                            "({} IS NOT DISTINCT FROM {} AND {})",
                            "({} IS NOT DISTINCT FROM {} AND {})",
                            "(({} <=> {}) AND {})",
                            "({} IS {} AND {})",
                        ],
                    };
                    Sql::each(templates, &[&left, &right, &one])
                }
            };
        }
        if scope.subqueries && self.rng.u8(..3) == 0 {
            return self.subquery(scope);
        }
        let (one, other) = (self.integer(scope, 1), self.integer(scope, 1));
        let op = self.pick(&["=", "<>", "<", "<=", ">", ">="]);
        match self.rng.u8(..9) {
            0 | 1 => Sql::all(&format!("({{}} {op} {{}})"), &[&one, &other]),
            2 => Sql::all(&format!("({{}} {op} {{}})"), &[&self.text(scope, 1), &self.text(scope, 0)]),
            3 => Sql::all(&format!("({{}} {op} {{}})"), &[&self.day(scope), &self.day(scope)]),
            4 => Sql::all(
                self.pick(&["({} IS NULL)", "({} IS NOT NULL)"]),
                &[&self.column(scope, &["a", "b", "w", "ok", "d"])],
            ),
            5 => self.column(scope, &["ok"]),
            6 => Sql::all(
                self.pick(&["({} IN (1, {}))", "({} NOT IN (1, {}))", "({} NOT IN (2, NULL))"]),
                &[&one, &other],
            ),
            7 => Sql::all(self.pick(&["({} BETWEEN 1 AND {})", "({} NOT BETWEEN {} AND 4)"]), &[&one, &other]),
            _ => Sql::all(self.pick(&["({} LIKE 'a%')", "({} NOT LIKE '%b_')"]), &[&self.column(scope, &["w"])]),
        }
    }

    /// IN, EXISTS, ANY and ALL.
    fn subquery(&mut self, scope: Scope<'_>) -> Sql {
        let inner = Scope { tables: &["x"], subqueries: false };
        let (from, what, value) = (self.from(), self.integer(inner, 1), self.integer(scope, 1));
        let own = self.condition(inner, 1);
        let only = match self.rng.u8(..4) {
            0 => own,
            1 => Sql::all("TRUE", &[]),
            kind => {
                let op = if kind == 2 { "=" } else { self.pick(&["<", ">=", "<>"]) };
                let (inner, outer) = (self.column(inner, &["id", "a", "b"]), self.column(scope, &["id", "a", "b"]));
                let related = Sql::all(&format!("{{}} {op} {{}}"), &[&inner, &outer]);
                if self.rng.bool() { Sql::all("{} AND {}", &[&related, &own]) } else { related }
            }
        };
        match self.rng.u8(..8) {
            0 | 1 => Sql::all("({} IN (SELECT {} FROM {} WHERE {}))", &[&value, &what, &from, &only]),
            2..=4 => Sql::all("({} NOT IN (SELECT {} FROM {} WHERE {}))", &[&value, &what, &from, &only]),
            5 => Sql::all("EXISTS (SELECT 1 FROM {} WHERE {})", &[&from, &only]),
            6 => Sql::all("(NOT EXISTS (SELECT 1 FROM {} WHERE {}))", &[&from, &only]),
            _ => {
                let word = self.pick(&["= ANY", "<> ALL", "< ANY", ">= ALL"]);
                let template = format!("({{}} {word} (SELECT {{}} FROM {{}} WHERE {{}}))");
                Sql::each([&template, &template, &template, ""], &[&value, &what, &from, &only])
            }
        }
    }
}
