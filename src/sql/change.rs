//! The statements that change rows that are there, from rows that were staged in a table beside them.
//!
//! They name columns, and compare keys of the same type for equality; nothing else is asked of the server. What a
//! condition or a new value is was found out by DataFusion, or is one of the comparisons that
//! [`Condition`] holds.

use crate::error::Result;
use crate::sql::{Dialect, Filled, Stage, Step, Table, Tells, quote};
use crate::xa::{Assignment, Change, Condition, Join, Operation, Repeats, RowChange, Staged};

/// Whether the server joins the stage with the table by one statement of its own: PostgreSQL by MERGE, SQLite by
/// `INSERT … ON CONFLICT DO UPDATE`, for which the stage has the key of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Native(pub(crate) bool);

/// The statements of a change of the table `target`, when all rows are staged.
///
/// # Errors
/// `Internal` for a change that does not fit its rows.
pub(crate) fn script(
    dialect: Dialect,
    native: Native,
    target: &str,
    table: &Table,
    change: &Change,
    stage: &Stage,
) -> Result<Vec<Step>> {
    let writer = Writer { dialect, target, table, change, stage };
    let plain = |sql: String, condition: &Condition, tells| Step {
        sql: format!("{sql}{}", condition.text),
        parameters: condition.parameters.clone(),
        tells,
    };
    Ok(match &change.operation {
        Operation::Delete(condition) => vec![plain(format!("DELETE FROM {target}"), condition, Tells::Deleted)],
        Operation::Truncate => vec![plain(format!("DELETE FROM {target}"), &Condition::default(), Tells::Deleted)],
        Operation::Update(set, condition) => {
            let (joined, set) = match dialect {
                // It opens a temporary table once in a statement; whose columns have names that the table's have not.
                Dialect::MySql => (format!(" AS t CROSS JOIN {} AS s", stage.name), writer.set("t.", set)),
                // In a query of its own, as the condition has bare names.
                Dialect::Postgres | Dialect::Sqlite => {
                    let value = |(column, staged): &Assignment| {
                        format!("{} = (SELECT {} FROM {})", quote(column), writer.bare(*staged), stage.name)
                    };
                    (String::new(), set.iter().map(value).collect::<Vec<_>>().join(", "))
                }
            };
            // Without its row every value would be NULL.
            let rows = format!("SELECT 1 FROM (SELECT COUNT(*) AS n FROM {}) AS c WHERE c.n <> 1", stage.name);
            let lost = Tells::Refuses("the new values were lost on their way: run the statement again".into());
            let update = format!("{} {target}{joined} SET {set}", writer.verb("UPDATE"));
            vec![writer.step(rows, lost), plain(update, condition, Tells::Updated)]
        }
        Operation::ByKey { actions, join: Join::InQuery, repeats } => writer.one_by_one(actions, *repeats),
        Operation::ByKey { actions, join: Join::AtServer, .. } => match (native, dialect, actions.as_slice()) {
            (Native(true), Dialect::Postgres, actions) => writer.merge(actions),
            (Native(true), Dialect::Sqlite, [RowChange::Update(set), RowChange::Insert(values)])
            | (Native(true), Dialect::Sqlite, [RowChange::Insert(values), RowChange::Update(set)]) => {
                writer.upsert(set, values)
            }
            (_, _, actions) => writer.joined(actions),
        },
    })
}

struct Writer<'a> {
    dialect: Dialect,
    target: &'a str,
    table: &'a Table,
    change: &'a Change,
    stage: &'a Stage,
}

impl Writer<'_> {
    fn column(&self, index: usize) -> String {
        quote(&self.stage.columns[index])
    }

    /// A staged value.
    fn bare(&self, index: usize) -> String {
        self.cast(self.column(index), index)
    }

    /// The same, of the stage called `s`.
    fn value(&self, index: usize) -> String {
        self.cast(format!("s.{}", self.column(index)), index)
    }

    fn cast(&self, column: String, index: usize) -> String {
        match &self.stage.casts[index] {
            Some(cast) => format!("CAST({column} AS {cast})"),
            None => column,
        }
    }

    /// That a row of the table is the one that a staged row means.
    fn same_key(&self) -> String {
        let same = |(index, name): (usize, &str)| format!("t.{} = {}", quote(name), self.value(index));
        self.change.key().map(same).collect::<Vec<_>>().join(" AND ")
    }

    fn keys(&self) -> String {
        self.change.key().map(|(index, _)| self.value(index)).collect::<Vec<_>>().join(", ")
    }

    fn staged(&self, wanted: &Staged) -> Option<usize> {
        self.change.staged.iter().position(|staged| staged == wanted)
    }

    /// UPDATE or INSERT, where a conflict is an error: in SQLite, whatever a constraint says of it.
    fn verb(&self, verb: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("{verb} OR ABORT"),
            Dialect::Postgres | Dialect::MySql => verb.to_owned(),
        }
    }

    fn step(&self, sql: String, tells: Tells) -> Step {
        Step { sql, parameters: Vec::new(), tells }
    }

    fn refuses_repeats(&self, sql: String) -> Step {
        let verb = self.change.verb;
        let key: Vec<_> = self.change.key().map(|(_, name)| name).collect();
        self.step(
            sql,
            Tells::Refuses(format!(
                "{verb} would change a row of table {} twice, as several rows that it goes by have the same ({}); nothing \
                 was changed. Make them one in the source, by GROUP BY or a window",
                self.table.name,
                key.join(", ")
            )),
        )
    }

    /// Where a row that was read is not found again: what a key is read as is not always how it is stored.
    fn refuses_lost(&self, which: Option<String>) -> Step {
        let (stage, target, same, which) = (&self.stage.name, self.target, self.same_key(), which.unwrap_or_default());
        let key: Vec<_> = self.change.key().map(|(_, name)| name).collect();
        self.step(
            format!(
                "SELECT 1 FROM {stage} AS s WHERE {which}NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same}) LIMIT 1"
            ),
            Tells::Refuses(format!(
                "{} means a row of table {} that cannot be found again by its key ({}): that is NULL, or not stored as \
                 Landfall stores it (a timestamp as 2024-01-31 12:00:00.000000, for instance); nothing was changed",
                self.change.verb,
                self.table.name,
                key.join(", ")
            )),
        )
    }

    /// Each action as a statement: rows say which is theirs.
    fn one_by_one(&self, actions: &[RowChange], repeats: Repeats) -> Vec<Step> {
        let said = self.staged(&Staged::Action).map(|index| format!("s.{}", self.column(index)));
        let mut steps = Vec::new();
        let changing = numbers(actions, |action| !is_insert(action));
        if self.dialect == Dialect::Sqlite && !changing.is_empty() {
            steps.push(self.refuses_lost(said.as_ref().map(|said| format!("{said} IN ({changing}) AND "))));
        }
        if repeats == Repeats::Refused && !changing.is_empty() {
            let which = said.as_ref().map(|said| format!(" WHERE {said} IN ({changing})")).unwrap_or_default();
            let (stage, keys) = (&self.stage.name, self.keys());
            steps.push(self.refuses_repeats(format!(
                "SELECT 1 FROM {stage} AS s{which} GROUP BY {keys} HAVING COUNT(*) > 1 LIMIT 1"
            )));
        }
        steps.extend(self.actions(actions, said.as_deref()));
        steps
    }

    /// As `one_by_one`, after the server has found which action is each row's.
    fn joined(&self, actions: &[RowChange]) -> Vec<Step> {
        let (stage, same) = (&self.stage.name, self.same_key());
        let said = |staged: &Staged, of: fn(&RowChange) -> bool| {
            let only = || (1..).zip(actions).find_map(|(number, action): (u32, _)| of(action).then_some(number));
            match (self.staged(staged), only()) {
                (Some(index), _) => format!("s.{}", self.column(index)),
                (None, Some(number)) => number.to_string(),
                (None, None) => "NULL".to_owned(),
            }
        };
        let there = said(&Staged::Action, |action| !is_insert(action));
        let missing = said(&Staged::ActionOfMissing, is_insert);
        let done = quote(&self.stage.done);
        let target = self.target;
        let exists = format!("EXISTS (SELECT 1 FROM {target} AS t WHERE {same})");
        let decides = match self.dialect {
            Dialect::MySql => {
                // What is not set may be ON UPDATE CURRENT_TIMESTAMP, as the column that it is for.
                let kept = (0..self.change.staged.len()).map(|index| format!(", s.{0} = s.{0}", self.column(index)));
                format!(
                    "UPDATE {stage} AS s SET s.{done} = CASE WHEN {exists} THEN {there} ELSE {missing} END{}",
                    kept.collect::<String>()
                )
            }
            Dialect::Postgres | Dialect::Sqlite => {
                format!("UPDATE {stage} AS s SET {done} = CASE WHEN {exists} THEN {there} ELSE {missing} END")
            }
        };
        let done = format!("s.{done}");
        let changing = numbers(actions, |action| !is_insert(action));
        let mut steps = vec![self.step(decides, Tells::Nothing)];
        if !changing.is_empty() {
            steps.push(self.refuses_repeats(format!(
                "SELECT 1 FROM {stage} AS s WHERE {done} IN ({changing}) GROUP BY {} HAVING COUNT(*) > 1 LIMIT 1",
                self.keys()
            )));
        }
        steps.extend(self.actions(actions, Some(&done)));
        steps
    }

    /// What is deleted goes first, what is added comes last: keys become free.
    fn actions(&self, actions: &[RowChange], said: Option<&str>) -> Vec<Step> {
        let rank = |action: &RowChange| match action {
            RowChange::Delete => 0,
            RowChange::Update(_) => 1,
            RowChange::Insert(_) => 2,
        };
        let mut numbered: Vec<_> = (1..).zip(actions).collect();
        numbered.sort_by_key(|(_, action)| rank(action));
        let (target, stage, same) = (self.target, &self.stage.name, self.same_key());
        let mut steps = Vec::new();
        for (number, action) in numbered {
            let is_this = said.map(|said| format!("{said} = {number}"));
            let only = |before: &str| is_this.as_ref().map(|this| format!(" {before} {this}")).unwrap_or_default();
            if let RowChange::Insert(values) = action {
                steps.extend(self.refuses_null(values, is_this.as_deref()));
            }
            let count = format!("SELECT COUNT(*) FROM {stage} AS s{}", only("WHERE"));
            steps.push(self.step(count, Tells::Expects));
            steps.push(match action {
                RowChange::Delete => {
                    let sql = match self.dialect {
                        Dialect::Postgres => {
                            format!("DELETE FROM {target} AS t USING {stage} AS s WHERE {same}{}", only("AND"))
                        }
                        Dialect::MySql => {
                            format!("DELETE t FROM {target} AS t JOIN {stage} AS s ON {same}{}", only("WHERE"))
                        }
                        Dialect::Sqlite => {
                            let key: Vec<_> = self.change.key().map(|(_, name)| quote(name)).collect();
                            format!(
                                "DELETE FROM {target} WHERE ({}) IN (SELECT {} FROM {stage} AS s{})",
                                key.join(", "),
                                self.keys(),
                                only("WHERE")
                            )
                        }
                    };
                    self.step(sql, Tells::Deleted)
                }
                RowChange::Update(set) => {
                    let sql = match self.dialect {
                        Dialect::Postgres | Dialect::Sqlite => format!(
                            "{} {target} AS t SET {} FROM {stage} AS s WHERE {same}{}",
                            self.verb("UPDATE"),
                            self.set("", set),
                            only("AND")
                        ),
                        Dialect::MySql => format!(
                            "UPDATE {target} AS t JOIN {stage} AS s ON {same} SET {}{}",
                            self.set("t.", set),
                            only("WHERE")
                        ),
                    };
                    self.step(sql, Tells::Updated)
                }
                RowChange::Insert(values) => {
                    let rows = format!("SELECT {} FROM {stage} AS s{}", self.values(values), only("WHERE"));
                    let insert = format!("{} INTO {target} {}{rows}", self.verb("INSERT"), self.columns(values));
                    self.step(insert, Tells::Inserted)
                }
            });
        }
        steps
    }

    /// Where the server would make a number of a NULL, in a column that takes none.
    fn refuses_null(&self, values: &[Assignment], is_this: Option<&str>) -> Vec<Step> {
        let takes_none = |(column, _): &&Assignment| {
            self.dialect != Dialect::Postgres && self.table.column(column).is_some_and(|column| !column.nullable)
        };
        let step = |(column, staged): &Assignment| {
            let which = is_this.map(|this| format!(" AND {this}")).unwrap_or_default();
            let (stage, value) = (&self.stage.name, self.value(*staged));
            let sql = format!("SELECT 1 FROM {stage} AS s WHERE {value} IS NULL{which} LIMIT 1");
            let (verb, table) = (self.change.verb, &self.table.name);
            let text = format!(
                "{verb} would add a row to table {table} with NULL in column \"{column}\", which takes none; nothing was \
                 changed"
            );
            self.step(sql, Tells::Refuses(text))
        };
        values.iter().filter(takes_none).map(step).collect()
    }

    /// `a = s.x, b = s.y`, with something before each column.
    fn set(&self, prefix: &str, values: &[Assignment]) -> String {
        let one = |(column, staged): &Assignment| format!("{prefix}{} = {}", quote(column), self.value(*staged));
        values.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn values(&self, values: &[Assignment]) -> String {
        values.iter().map(|(_, staged)| self.value(*staged)).collect::<Vec<_>>().join(", ")
    }

    /// `(a, b) `, and what makes numbers of identities that are given stay.
    fn columns(&self, values: &[Assignment]) -> String {
        let names: Vec<_> = values.iter().map(|(column, _)| quote(column)).collect();
        let is_numbered = |(column, _): &Assignment| {
            self.table.column(column).is_some_and(|column| column.filled == Filled::Numbered)
        };
        let overrides = self.dialect == Dialect::Postgres && values.iter().any(is_numbered);
        format!("({}) {}", names.join(", "), if overrides { "OVERRIDING SYSTEM VALUE " } else { "" })
    }

    /// The server's own MERGE.
    fn merge(&self, actions: &[RowChange]) -> Vec<Step> {
        let (target, stage, same) = (self.target, &self.stage.name, self.same_key());
        let mut sql = format!("MERGE INTO {target} AS t USING {stage} AS s ON {same}");
        for (number, action) in (1..).zip(actions) {
            // Where rows do not say it there is one action of the kind.
            let says = |staged| match self.staged(staged) {
                Some(index) => format!(" AND s.{} = {number}", self.column(index)),
                None => String::new(),
            };
            sql += &match action {
                RowChange::Delete => format!(" WHEN MATCHED{} THEN DELETE", says(&Staged::Action)),
                RowChange::Update(values) => {
                    format!(" WHEN MATCHED{} THEN UPDATE SET {}", says(&Staged::Action), self.set("", values))
                }
                RowChange::Insert(values) => format!(
                    " WHEN NOT MATCHED{} THEN INSERT {}VALUES ({})",
                    says(&Staged::ActionOfMissing),
                    self.columns(values),
                    self.values(values)
                ),
            };
        }
        let counted = |what: &str, tells| {
            let name = target.replace('\'', "''");
            // In the table and its partitions: those of this transaction, and of others in the session that the server
            // has not added up yet.
            let sql = format!(
                "SELECT COALESCE(SUM(pg_stat_get_xact_tuples_{what}(relid)), 0)::bigint FROM (SELECT \
                 '{name}'::regclass::oid AS relid UNION SELECT relid FROM pg_partition_tree('{name}'::regclass)) AS r"
            );
            self.step(sql, tells)
        };
        vec![
            counted("inserted", Tells::HadInserted),
            counted("updated", Tells::HadUpdated),
            counted("deleted", Tells::HadDeleted),
            self.step(sql, Tells::Changed),
            counted("inserted", Tells::SaysInserted),
            counted("updated", Tells::SaysUpdated),
            counted("deleted", Tells::SaysDeleted),
        ]
    }

    /// Every staged row is added, or updates the one that is there; each key comes once.
    fn upsert(&self, set: &[Assignment], values: &[Assignment]) -> Vec<Step> {
        let (target, stage) = (self.target, &self.stage.name);
        let set = set.iter().map(|(column, _)| format!("{0} = excluded.{0}", quote(column)));
        let set = set.collect::<Vec<_>>().join(", ");
        let key: Vec<_> = self.change.key().map(|(_, name)| quote(name)).collect();
        let sql = format!(
            "{} INTO {target} {}SELECT {} FROM {stage} AS s WHERE true ON CONFLICT ({}) DO UPDATE SET {set}",
            self.verb("INSERT"),
            self.columns(values),
            self.values(values),
            key.join(", ")
        );
        // Of the rows among which those are that are added.
        let among = self.change.key().next().map(|(index, name)| {
            let (key, staged) = (quote(name), self.column(index));
            format!(
                " WHERE {key} BETWEEN (SELECT MIN(s.{staged}) FROM {stage} AS s) AND (SELECT MAX(s.{staged}) FROM {stage} AS \
                 s)"
            )
        });
        let among = among.unwrap_or_default();
        let count = |tells| self.step(format!("SELECT COUNT(*) FROM {target}{among}"), tells);
        vec![count(Tells::Before), self.step(sql, Tells::Changed), count(Tells::After)]
    }
}

fn is_insert(action: &RowChange) -> bool {
    matches!(action, RowChange::Insert(_))
}

/// The numbers of some actions.
fn numbers(actions: &[RowChange], wanted: impl Fn(&RowChange) -> bool) -> String {
    let of = (1..).zip(actions).filter(|(_, action)| wanted(action)).map(|(number, _): (u32, _)| number.to_string());
    of.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::DataType;

    use super::*;
    use crate::sql::{Column, Detail, stage_columns};

    fn table(columns: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            sql_type: "bigint".into(),
            data_type: DataType::Int64,
            nullable: true,
            filled: Filled::Null,
            comparison: crate::sql::Comparison::Exact,
            holds: crate::sql::Holds::OfItsType,
            characters: crate::sql::Characters::All,
            detail: Detail::default(),
        };
        Table {
            name: "t".into(),
            columns: columns.iter().map(column).collect(),
            primary_key: vec!["k".into()],
            unique_keys: vec![],
            detail: Detail::default(),
        }
    }

    fn change(operation: Operation) -> Change {
        let staged = vec![Staged::Key("k".into()), Staged::Action, Staged::Value("v".into())];
        Change { verb: "MERGE", staged, operation, lock: None, done: Arc::default() }
    }

    fn statements(dialect: Dialect, native: Native, join: Join) -> Vec<String> {
        let values = vec![("k".to_owned(), 0), ("v".to_owned(), 2)];
        let actions =
            vec![RowChange::Insert(values.clone()), RowChange::Update(values[1..].to_vec()), RowChange::Delete];
        let change = change(Operation::ByKey { actions, join, repeats: Repeats::Refused });
        let (columns, done) = stage_columns(&table(&["k", "v"]), &change);
        let casts = vec![None, None, Some("point".into())];
        let stage = Stage { name: "stage".into(), columns, casts, done };
        let steps = script(dialect, native, "\"t\"", &table(&["k", "v"]), &change, &stage).unwrap();
        steps.into_iter().map(|step| step.sql).collect()
    }

    #[test]
    fn what_is_deleted_goes_first_and_what_is_added_comes_last() {
        let count = |number: i32| format!("SELECT COUNT(*) FROM stage AS s WHERE s.\"landfall_1\" = {number}");
        assert_eq!(
            statements(Dialect::MySql, Native(false), Join::InQuery),
            [
                "SELECT 1 FROM stage AS s WHERE s.\"landfall_1\" IN (2, 3) GROUP BY s.\"landfall_0\" HAVING COUNT(*) > 1 \
                 LIMIT 1",
                &count(3),
                "DELETE t FROM \"t\" AS t JOIN stage AS s ON t.\"k\" = s.\"landfall_0\" WHERE s.\"landfall_1\" = 3",
                &count(2),
                "UPDATE \"t\" AS t JOIN stage AS s ON t.\"k\" = s.\"landfall_0\" SET t.\"v\" = CAST(s.\"landfall_2\" AS \
                 point) WHERE s.\"landfall_1\" = 2",
                &count(1),
                "INSERT INTO \"t\" (\"k\", \"v\") SELECT s.\"landfall_0\", CAST(s.\"landfall_2\" AS point) FROM stage AS s \
                 WHERE s.\"landfall_1\" = 1",
            ]
        );
    }

    #[test]
    fn a_server_with_merge_gets_one() {
        let merge = statements(Dialect::Postgres, Native(true), Join::AtServer).remove(3);
        assert_eq!(
            merge,
            "MERGE INTO \"t\" AS t USING stage AS s ON t.\"k\" = s.\"landfall_0\" WHEN NOT MATCHED THEN INSERT (\"k\", \
             \"v\") VALUES (s.\"landfall_0\", CAST(s.\"landfall_2\" AS point)) WHEN MATCHED AND s.\"landfall_1\" = 2 THEN \
             UPDATE SET \"v\" = CAST(s.\"landfall_2\" AS point) WHEN MATCHED AND s.\"landfall_1\" = 3 THEN DELETE"
        );
        let first = statements(Dialect::Sqlite, Native(false), Join::AtServer).remove(0);
        assert_eq!(
            first,
            "UPDATE stage AS s SET \"landfall_done\" = CASE WHEN EXISTS (SELECT 1 FROM \"t\" AS t WHERE t.\"k\" = \
             s.\"landfall_0\") THEN s.\"landfall_1\" ELSE 1 END"
        );
    }

    #[test]
    fn staged_columns_have_names_that_the_table_has_not() {
        let (columns, done) =
            stage_columns(&table(&["k", "v", "Landfall_0", "landfallx_y"]), &change(Operation::Truncate));
        assert_eq!((columns[0].as_str(), done.as_str()), ("landfallxx_0", "landfallxx_done"));
    }
}
