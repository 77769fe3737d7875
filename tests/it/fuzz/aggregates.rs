//! Random aggregates of random tables: what the database computes, and what DataFusion computes of a copy in memory.

use fastrand::Rng;

use super::columns::Column;
use super::predicates::{Conditions, predicate};
use super::reading::{SUBJECTS, Subject, answer, fill};
use super::{none_differs, rounds, seed};
use crate::dml::Place;

/// Queries that are asked of one table.
const QUERIES: usize = 25;

/// One of the first kinds.
fn aggregate(rng: &mut Rng, columns: &[Column], kinds: usize) -> String {
    let column = &columns[rng.usize(..columns.len())].name;
    match rng.usize(..kinds) {
        0..3 => "count(*)".to_owned(),
        3..5 => format!("count({column})"),
        5..7 => format!("min({column})"),
        7..9 => format!("max({column})"),
        9..11 => format!("sum({column})"),
        _ => format!("count(DISTINCT {column})"),
    }
}

/// A query, in which `t` is the table.
fn query(rng: &mut Rng, columns: &[Column]) -> String {
    let groups: Vec<_> = (0..rng.usize(..3)).map(|_| columns[rng.usize(..columns.len())].name.clone()).collect();
    // Often counts alone, which all databases compute.
    let kinds = if rng.bool() { 5 } else { 12 };
    let aggregates = (0..rng.usize(usize::from(groups.is_empty())..4)).map(|_| aggregate(rng, columns, kinds));
    let selected = groups.iter().cloned().chain(aggregates).enumerate();
    let selected: Vec<_> = selected.map(|(index, expr)| format!("{expr} AS c{index}")).collect();
    let filter = match rng.bool() {
        true => format!(" WHERE {}", predicate(rng, columns, Conditions::All, 2)),
        false => String::new(),
    };
    let group_by = match groups.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {}", groups.join(", ")),
    };
    let having = if rng.usize(..5) == 0 { " HAVING count(*) > 1" } else { "" };
    format!("SELECT {} FROM t{filter}{group_by}{having}", selected.join(", "))
}

/// How often what happened.
#[derive(Debug, Default)]
struct Outcomes {
    computed: usize,
    /// DataFusion computes them itself; its minimum of NaN and -Infinity depends on the order of the rows.
    left: usize,
    refused: usize,
}

async fn check(place: &Place, sql: &str, outcomes: &mut Outcomes) -> Result<(), String> {
    let sorted = |mut rows: Vec<String>| {
        rows.sort_unstable();
        rows
    };
    let Ok(expected) = answer(place.context(), &sql.replace(" FROM t", " FROM r")).await else {
        outcomes.refused += 1;
        return Ok(());
    };
    let plan = answer(place.context(), &format!("EXPLAIN FORMAT INDENT {sql}")).await?.join("\n");
    if !plan.contains("aggregates=[") {
        outcomes.left += 1;
        return Ok(());
    }
    match answer(place.context(), sql).await {
        Ok(found) if sorted(found.clone()) == sorted(expected.clone()) => {}
        Ok(found) => {
            let (found, expected) = (found.join("\n  "), expected.join("\n  "));
            return Err(format!("{sql}\nfinds\n  {found}\nand not\n  {expected}\n{plan}"));
        }
        // DataFusion's sum begins anew at the other end.
        Err(error) if sql.contains("sum(") && error.contains("out of range") => outcomes.refused += 1,
        Err(error) => return Err(format!("{sql}\nfails: {error}\n{plan}")),
    }
    outcomes.computed += 1;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_aggregates_are_those_of_datafusion() {
    let (rounds, seed) = (rounds(300), seed());
    println!("LANDFALL_TEST_SEED={seed} LANDFALL_TEST_FUZZ={rounds}");
    let (mut failures, mut computed) = (Vec::new(), 0);
    // Values of other types than their column's are counted at the database, and an error in DataFusion.
    let subjects = SUBJECTS.iter().enumerate().filter(|(_, subject)| **subject != Subject::SqliteForeign);
    for (number, subject) in subjects {
        let mut rng = Rng::with_seed(seed.wrapping_add(number as u64));
        let place = subject.place();
        let mut outcomes = Outcomes::default();
        let mut left = rounds.div_ceil(SUBJECTS.len() - 1);
        while left > 0 {
            let (columns, script) = fill(&mut rng, *subject, &place).await;
            let queries = left.min(QUERIES);
            for _ in 0..queries {
                let sql = query(&mut rng, &columns);
                if let Err(failure) = check(&place, &sql, &mut outcomes).await {
                    failures.push(format!("{subject:?}: {failure}\n{script}"));
                }
            }
            left -= queries;
        }
        println!("{subject:?}: {outcomes:?}");
        computed += outcomes.computed;
    }
    // Of a few tables with few exact columns, a database may compute nothing.
    assert!(computed > rounds / 20, "the databases computed only {computed} of {rounds} queries");
    none_differs(failures, rounds, seed);
}
