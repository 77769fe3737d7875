//! The statements that change existing rows from the rows of a staging table.
//!
//! They name columns, and compare keys of the same type for equality; they require nothing else from the server. DataFusion
//! has evaluated conditions and new values, except the comparisons of a [`Condition`].

use crate::backend::{Assignment, Change, Condition, Join, Operation, Repeats, RowChange, Staged, Table};
use crate::error::Result;
use crate::sql::{RowCount, SqlDialect, Stage, Step, Writer, quote};

/// Whether one statement of the server, [`SqlDialect::native`], joins the staging table with the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Native(pub bool);

/// The statements of a change of the table `target`, to run when all rows are staged.
///
/// # Errors
/// `Internal` for a change that does not fit its rows.
pub fn script(
    dialect: &dyn SqlDialect,
    native: Native,
    target: &str,
    table: &Table,
    change: &Change,
    stage: &Stage,
) -> Result<Vec<Step>> {
    let script = Script { dialect, writer: Writer { target, table, change, stage } };
    let plain = |sql: String, condition: &Condition, counts| Step {
        sql: format!("{sql}{}", condition.text),
        parameters: condition.parameters.clone(),
        counts,
    };
    Ok(match &change.operation {
        Operation::Delete(condition) => vec![plain(format!("DELETE FROM {target}"), condition, RowCount::Deleted)],
        Operation::Truncate => vec![plain(format!("DELETE FROM {target}"), &Condition::default(), RowCount::Deleted)],
        Operation::Update(set, condition) if set.is_empty() => {
            let set = script.writer.to_itself("", "");
            vec![plain(format!("{} {target} SET {set}", dialect.verb("UPDATE")), condition, RowCount::Updated)]
        }
        Operation::Update(set, condition) => {
            // Without the staged row, every value would be NULL.
            let rows = format!("SELECT 1 FROM (SELECT COUNT(*) AS n FROM {}) AS c WHERE c.n <> 1", stage.name);
            let lost = RowCount::Refuses("the staging table lost the new values: run the statement again".into());
            let update = dialect.update_by_the_only_row(&script.writer, set);
            vec![Step::new(rows, lost), plain(update, condition, RowCount::Updated)]
        }
        Operation::ByKey { actions, join: Join::InQuery, repeats } => script.one_by_one(actions, *repeats),
        Operation::ByKey { actions, join: Join::AtServer, .. } => {
            let own = if native == Native(true) { dialect.native(&script.writer, actions) } else { None };
            own.unwrap_or_else(|| script.joined(actions))
        }
    })
}

/// Says that several staged rows affect one row of a table.
pub fn repeated(change: &Change, table: &str) -> String {
    let key: Vec<_> = change.key().map(|(_, name)| name).collect();
    format!(
        "{} cannot affect a row of table {table} twice: several rows of the source have the same key ({}); nothing was \
         changed. Combine these rows in the source with GROUP BY or a window function",
        change.verb,
        key.join(", ")
    )
}

/// The statements of a change by keys.
struct Script<'a> {
    dialect: &'a dyn SqlDialect,
    writer: Writer<'a>,
}

impl Script<'_> {
    fn refuses_repeats(&self, sql: String) -> Step {
        Step::new(sql, RowCount::Refuses(repeated(self.writer.change, &self.writer.table.name)))
    }

    /// Refuses a row that was read and is not found again, because a key is not always stored as it is read.
    fn refuses_lost(&self, which: Option<String>) -> Step {
        let (stage, target, same, which) =
            (&self.writer.stage.name, self.writer.target, self.writer.same_key(), which.unwrap_or_default());
        let key: Vec<_> = self.writer.change.key().map(|(_, name)| name).collect();
        Step::new(
            format!(
                "SELECT 1 FROM {stage} AS s WHERE {which}NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same}) LIMIT 1"
            ),
            RowCount::Refuses(format!(
                "{} could not find a row of table {} again by its key ({}): the key is NULL, or is not stored in the \
                 format that Landfall writes (such as 2024-01-31 12:00:00.000000 for a timestamp); nothing was \
                 changed: correct the stored key",
                self.writer.change.verb,
                self.writer.table.name,
                key.join(", ")
            )),
        )
    }

    /// One statement for each action. A staged column contains the action of each row.
    fn one_by_one(&self, actions: &[RowChange], repeats: Repeats) -> Vec<Step> {
        let said = self.writer.staged(&Staged::Action).map(|index| format!("s.{}", self.writer.column(index)));
        let mut steps = Vec::new();
        let changing = numbers(actions, |action| !is_insert(action));
        if self.dialect.may_lose_rows() && !changing.is_empty() {
            steps.push(self.refuses_lost(said.as_ref().map(|said| format!("{said} IN ({changing}) AND "))));
        }
        if repeats == Repeats::Refused && !changing.is_empty() {
            let which = said.as_ref().map(|said| format!(" WHERE {said} IN ({changing})")).unwrap_or_default();
            let (stage, keys) = (&self.writer.stage.name, self.writer.staged_keys());
            steps.push(self.refuses_repeats(format!(
                "SELECT 1 FROM {stage} AS s{which} GROUP BY {keys} HAVING COUNT(*) > 1 LIMIT 1"
            )));
        }
        steps.extend(self.actions(actions, said.as_deref()));
        steps
    }

    /// Like `one_by_one`, after the server has determined the action of each row.
    fn joined(&self, actions: &[RowChange]) -> Vec<Step> {
        let (stage, same) = (&self.writer.stage.name, self.writer.same_key());
        let said = |staged: &Staged, of: fn(&RowChange) -> bool| {
            let only = || (1..).zip(actions).find_map(|(number, action): (u32, _)| of(action).then_some(number));
            match (self.writer.staged(staged), only()) {
                (Some(index), _) => format!("s.{}", self.writer.column(index)),
                (None, Some(number)) => number.to_string(),
                (None, None) => "NULL".to_owned(),
            }
        };
        let there = said(&Staged::Action, |action| !is_insert(action));
        let missing = said(&Staged::ActionOfMissing, is_insert);
        let done = quote(&self.writer.stage.done);
        let target = self.writer.target;
        let exists = format!("EXISTS (SELECT 1 FROM {target} AS t WHERE {same})");
        let decides = format!("CASE WHEN {exists} THEN {there} ELSE {missing} END");
        let decides = self.dialect.decide(&self.writer, &done, &decides);
        let done = format!("s.{done}");
        let changing = numbers(actions, |action| !is_insert(action));
        let mut steps = vec![Step::new(decides, RowCount::Nothing)];
        if !changing.is_empty() {
            steps.push(self.refuses_repeats(format!(
                "SELECT 1 FROM {stage} AS s WHERE {done} IN ({changing}) GROUP BY {} HAVING COUNT(*) > 1 LIMIT 1",
                self.writer.staged_keys()
            )));
        }
        steps.extend(self.actions(actions, Some(&done)));
        steps
    }

    /// Deletes first and inserts last, so that keys become free.
    fn actions(&self, actions: &[RowChange], said: Option<&str>) -> Vec<Step> {
        let rank = |action: &RowChange| match action {
            RowChange::Delete => 0,
            RowChange::Update(_) => 1,
            RowChange::Insert(_) => 2,
        };
        let mut numbered: Vec<_> = (1..).zip(actions).collect();
        numbered.sort_by_key(|(_, action)| rank(action));
        let (target, stage) = (self.writer.target, &self.writer.stage.name);
        let mut steps = Vec::new();
        for (number, action) in numbered {
            let is_this = said.map(|said| format!("{said} = {number}"));
            let only = |before: &str| is_this.as_ref().map(|this| format!(" {before} {this}")).unwrap_or_default();
            if let RowChange::Insert(values) = action {
                steps.extend(self.refuses_null(values, is_this.as_deref()));
            }
            let count = format!("SELECT COUNT(*) FROM {stage} AS s{}", only("WHERE"));
            steps.push(Step::new(count, RowCount::Expects));
            steps.push(match action {
                RowChange::Delete => {
                    Step::new(self.dialect.delete_joined(&self.writer, is_this.as_deref()), RowCount::Deleted)
                }
                RowChange::Update(set) => {
                    Step::new(self.dialect.update_joined(&self.writer, set, is_this.as_deref()), RowCount::Updated)
                }
                RowChange::Insert(values) => {
                    let rows = format!("SELECT {} FROM {stage} AS s{}", self.writer.values(values), only("WHERE"));
                    let insert = format!(
                        "{} INTO {target} {}{rows}",
                        self.dialect.verb("INSERT"),
                        self.writer.columns(values, self.dialect.keeps_numbers())
                    );
                    Step::new(insert, RowCount::Inserted)
                }
            });
        }
        steps
    }

    /// Refuses NULL in a NOT NULL column if the server would replace it by a number.
    fn refuses_null(&self, values: &[Assignment], is_this: Option<&str>) -> Vec<Step> {
        let takes_none = |(column, _): &&Assignment| {
            self.dialect.numbers_nulls() && self.writer.table.column(column).is_some_and(|column| !column.nullable)
        };
        let step = |(column, staged): &Assignment| {
            let which = is_this.map(|this| format!(" AND {this}")).unwrap_or_default();
            let (stage, value) = (&self.writer.stage.name, self.writer.value(*staged));
            let sql = format!("SELECT 1 FROM {stage} AS s WHERE {value} IS NULL{which} LIMIT 1");
            let (verb, table) = (self.writer.change.verb, &self.writer.table.name);
            let text = format!(
                "{verb} cannot insert NULL into column \"{column}\" of table {table}, because the column is NOT NULL; nothing \
                 was changed"
            );
            Step::new(sql, RowCount::Refuses(text))
        };
        values.iter().filter(takes_none).map(step).collect()
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
pub(crate) mod tests {
    use std::sync::Arc;

    use arrow::datatypes::DataType;

    use super::*;
    use crate::backend::Column;
    use crate::sql::stage_columns;

    fn table(columns: &[&str]) -> Table {
        let column = |name: &&str| Column::new(*name, "bigint", DataType::Int64);
        Table { primary_key: vec!["k".into()], ..Table::new("t", columns.iter().map(column).collect()) }
    }

    fn change(operation: Operation) -> Change {
        let staged = vec![Staged::Key("k".into()), Staged::Action, Staged::Value("v".into())];
        Change { verb: "MERGE", staged, operation, lock: None, done: Arc::default() }
    }

    /// The statements of a change that inserts, updates and deletes rows.
    pub(crate) fn statements(dialect: &dyn SqlDialect, native: Native, join: Join) -> Vec<String> {
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
    fn staged_columns_have_names_that_the_table_has_not() {
        let (columns, done) =
            stage_columns(&table(&["k", "v", "Landfall_0", "landfallx_y"]), &change(Operation::Truncate));
        assert_eq!((columns[0].as_str(), done.as_str()), ("landfallxx_0", "landfallxx_done"));
    }
}
