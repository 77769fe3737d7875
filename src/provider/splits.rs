//! The input of a plan as repeatable splits: each returns the same rows in the same order every time.
//!
//! DataFusion's partitions are not repeatable: their number depends on the cores, the partitions of a scan take files
//! from each other at run time, and batches are distributed as they arrive. So the plan is divided into its leaves. The
//! leaves are split in a way that depends only on the data, and the computations above them are applied to each split.

use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Fingerprint;
use crate::provider::files::{PlannedFile, file_format, whole_files};
use crate::provider::scan::ScanExec;
use crate::provider::source::{ReplayableExec, ReplayableSource};

/// The size of a split of a file in bytes. After a crash, at most this many committed bytes are read again.
const SPLIT_BYTES: u64 = 32 * 1024 * 1024;

/// The splits of a plan.
#[derive(Debug)]
pub(super) struct Splits {
    pub(super) splits: Vec<Split>,
    pub(super) fingerprint: Fingerprint,
}

/// A stream that returns the same rows in the same order every time.
#[derive(Debug, Clone)]
pub(super) struct Split {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    pub(super) partition: usize,
    pub(super) kind: Kind,
    /// The file that it reads.
    pub(super) file: Option<PlannedFile>,
}

/// How a position in a split is found again.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// By the number of rows before it.
    Counted,
    /// By the number of rows before it, at a change of the sort key: rows with the same key are in no fixed order.
    Sorted(LexOrdering),
    /// By the position that the source defines. The plan is applied to each of its batches.
    Source(Arc<dyn ReplayableSource>),
    /// Not possible: it is read only once. The plan is applied to each batch of this leaf.
    Stream(Arc<dyn ExecutionPlan>),
}

/// The parts of the fingerprint, by name.
type Parts = Vec<(String, String)>;

impl Splits {
    /// Divides a plan into splits. `order` is the order that its rows must keep. `cuts` says whether text files can be
    /// divided at any line.
    ///
    /// # Errors
    /// `Unsupported` if the plan is not repeatable. The message says what to change.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>, order: Option<&LexOrdering>, cuts: bool) -> Result<Self> {
        let schema = plan.schema();
        let columns: Vec<_> =
            schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        let mut parts = vec![("the list of its columns".to_owned(), columns.join(", "))];
        let splits = match order {
            Some(order) => vec![sorted(plan, order, &mut parts)?],
            None => {
                let apart = Apart { cuts, is_filtered: false };
                split(plan, apart, &mut parts).map_err(|(why, next)| refused(&why, next))?
            }
        };
        Ok(Self { splits, fingerprint: Fingerprint::new(parts) })
    }
}

/// Why a plan cannot be divided, and what to do.
type Refusal = (String, &'static str);

const SORT: &str = "add an ORDER BY on a unique key";
const SORT_WRITTEN: &str = "sort by columns that the statement writes";
const DROP: &str = "remove the checkpoint options, so that the statement is one transaction";
const STREAM: &str = "remove the option 'job', or read the stream through a ReplayableSource";

fn refused(why: &str, next: &str) -> Error {
    let also = if next == SORT || next == SORT_WRITTEN { format!(", or {DROP}") } else { String::new() };
    Error::new(
        ErrorKind::Unsupported,
        format!("a job with checkpoints reads its input again after a failure, but {why}: {next}{also}"),
    )
}

/// What the nodes above a plan require.
#[derive(Clone, Copy)]
struct Apart {
    cuts: bool,
    /// Whether a filter uses the values that are computed here.
    is_filtered: bool,
}

fn split(plan: &Arc<dyn ExecutionPlan>, mut apart: Apart, parts: &mut Parts) -> Result<Vec<Split>, Refusal> {
    check(plan)?;
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        steady(filter.predicate())?;
        parts.push(("its filter".into(), filter.predicate().to_string()));
        apart.is_filtered = true;
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>().filter(|_| apart.is_filtered) {
        projection.expr().iter().try_for_each(|computed| steady(&computed.expr))?;
    }
    // These nodes only move rows between partitions, and a split has no partitions.
    let is_left_out = plan.is::<RepartitionExec>() || plan.is::<CoalescePartitionsExec>();
    match plan.children().as_slice() {
        [] => leaf(plan, apart, parts),
        [child] if is_left_out => split(child, apart, parts),
        [child] if is_row_by_row(plan) => {
            let splits = split(child, apart, parts)?;
            splits.into_iter().map(|split| Ok(Split { plan: on_top(plan, split.plan)?, ..split })).collect()
        }
        children if plan.is::<UnionExec>() => {
            let mut splits = Vec::new();
            for child in children {
                splits.extend(split(child, apart, parts)?);
            }
            Ok(splits)
        }
        _ if plan.is::<SortExec>() => Err(("its ORDER BY does not sort by columns of the result".into(), SORT_WRITTEN)),
        _ => Err((format!("{} may return its rows in a different order each time", plan.name()), SORT)),
    }
}

/// Refuses expressions whose value changes each time or depends on other tables.
fn steady(expr: &Arc<dyn PhysicalExpr>) -> Result<(), Refusal> {
    match is_volatile(expr) || expr.to_string().contains("scalar_subquery(") {
        true => Err(("its filter can return a different result each time".into(), DROP)),
        false => Ok(()),
    }
}

/// Whether a node computes each row independently of other rows.
pub(super) fn is_row_by_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_known = plan.is::<FilterExec>() || plan.is::<ProjectionExec>() || plan.is::<CooperativeExec>();
    is_known && plan.fetch().is_none()
}

fn check(plan: &Arc<dyn ExecutionPlan>) -> Result<(), Refusal> {
    match plan.fetch() {
        Some(_) => Err(("LIMIT can return different rows each time".into(), DROP)),
        None => Ok(()),
    }
}

/// A node with another child.
pub(super) fn on_top(
    plan: &Arc<dyn ExecutionPlan>,
    child: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>, Refusal> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let replaced = Arc::clone(plan).replace_children(vec![child], options);
    replaced.map_err(|error| (format!("its plan cannot be divided into parts ({error})"), DROP))
}

fn leaf(plan: &Arc<dyn ExecutionPlan>, apart: Apart, parts: &mut Parts) -> Result<Vec<Split>, Refusal> {
    let counted = |plan: &Arc<dyn ExecutionPlan>| -> Vec<Split> {
        let partitions = 0..plan.output_partitioning().partition_count();
        let split = |partition| Split { plan: Arc::clone(plan), partition, kind: Kind::Counted, file: None };
        partitions.map(split).collect()
    };
    if let Some(leaf) = plan.downcast_ref::<ReplayableExec>() {
        parts.extend(leaf.sources().iter().map(|source| (format!("source {}", source.name()), source.name())));
        let split = |source: &Arc<dyn ReplayableSource>| Split {
            plan: Arc::clone(plan),
            partition: 0,
            kind: Kind::Source(Arc::clone(source)),
            file: None,
        };
        return Ok(leaf.sources().iter().map(split).collect());
    }
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        let source = source.data_source();
        if let Some(files) = source.downcast_ref::<FileScanConfig>() {
            return scan(files, apart, parts);
        }
        if let Some(memory) = source.downcast_ref::<MemorySourceConfig>() {
            let rows =
                memory.partitions().iter().map(|batches| batches.iter().map(|batch| batch.num_rows()).sum::<usize>());
            parts.push((
                "its in-memory table or the number of partitions (target_partitions)".into(),
                format!("{:?}", rows.collect::<Vec<_>>()),
            ));
            return Ok(counted(plan));
        }
    }
    if let Some(series) = plan.downcast_ref::<LazyMemoryExec>() {
        let generators: Vec<_> = series.generators().iter().map(|generator| generator.read().to_string()).collect();
        if generators.iter().all(|text| text.starts_with("generate_series:") || text.starts_with("range:")) {
            parts.push(("its series of values".into(), without_batch_size(&generators.join(", "))));
            return Ok(counted(plan));
        }
    }
    if plan.is::<EmptyExec>() || plan.is::<PlaceholderRowExec>() {
        return Ok(counted(plan));
    }
    match plan.boundedness().is_unbounded() {
        true => Err((format!("{} is a stream, which can be read only once", plan.name()), STREAM)),
        false => Err((format!("{} may return its rows in a different order each time", plan.name()), SORT)),
    }
}

/// The generator's text without the batch size, which does not change the rows.
fn without_batch_size(text: &str) -> String {
    text.split(", ").filter(|part| !part.starts_with("batch_size=")).collect::<Vec<_>>().join(", ")
}

/// The files of a scan in the order of their names, the large ones in ranges.
fn scan(config: &FileScanConfig, apart: Apart, parts: &mut Parts) -> Result<Vec<Split>, Refusal> {
    if config.limit.is_some() {
        return Err(("LIMIT can return different rows each time".into(), DROP));
    }
    let source = &config.file_source;
    if let Some(filter) = source.filter() {
        steady(&filter)?;
        parts.push(("its filter".into(), filter.to_string()));
    }
    if let Some(projection) = source.projection().filter(|_| apart.is_filtered || source.filter().is_some()) {
        projection.iter().try_for_each(|computed| steady(&computed.expr))?;
    }
    parts.push(("the format of its files, or the options 'format.…'".into(), file_format(config)));
    let base = FileScanConfigBuilder::from(config.clone())
        .with_file_groups(Vec::new())
        // Partitions then do not take files from each other.
        .with_preserve_order(true)
        .build();
    let cuts = apart.cuts || source.file_type() == "parquet";
    let files = whole_files(config);
    parts.push(("the number of its files".into(), files.len().to_string()));
    let mut splits = Vec::new();
    for file in files {
        splits.extend(of_file(config, &base, &file, cuts, parts)?);
    }
    Ok(splits)
}

/// The splits of a file: ranges, if it is large and can be divided.
fn of_file(
    config: &FileScanConfig,
    base: &FileScanConfig,
    file: &PartitionedFile,
    cuts: bool,
    parts: &mut Parts,
) -> Result<Vec<Split>, Refusal> {
    let meta = &file.object_meta;
    let is_range = file.range.is_some();
    let one = FileScanConfigBuilder::from(base.clone()).with_file_groups(vec![FileGroup::new(vec![file.clone()])]);
    let one = one.build();
    let ranges = usize::try_from(meta.size.div_ceil(SPLIT_BYTES)).unwrap_or(1);
    let cut = match is_range || ranges < 2 || !cuts {
        true => None,
        false => one
            .file_source
            .repartitioned(ranges, 0, None, &one)
            .map_err(|error| (format!("its files cannot be divided into ranges ({error})"), DROP))?,
    };
    let groups = cut.map_or_else(|| one.file_groups.clone(), |cut| cut.file_groups);
    let ranges = groups.iter().flat_map(FileGroup::iter).map(|file| format!("{:?}", file.range));
    parts.push((
        format!("file {}", meta.location),
        format!(
            "{} {} {} {} {}",
            meta.location,
            meta.size,
            meta.last_modified.timestamp(),
            meta.e_tag.as_deref().unwrap_or_default().trim_matches('"'),
            ranges.collect::<Vec<_>>().join(" ")
        ),
    ));
    let split = |group| Split {
        plan: DataSourceExec::from_data_source(
            FileScanConfigBuilder::from(one.clone()).with_file_groups(vec![group]).build(),
        ),
        partition: 0,
        kind: Kind::Counted,
        file: Some(PlannedFile::new(config, file)),
    };
    Ok(groups.into_iter().map(split).collect())
}

/// Aggregate functions whose value does not depend on the order of their rows. The sum of floats does, so it cannot be
/// a sort key.
const STEADY: [&str; 12] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "median",
    "approx_distinct",
];

/// Whether a node only moves rows between partitions.
fn is_mover(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<RepartitionExec>() || plan.is::<CoalescePartitionsExec>() || plan.is::<CooperativeExec>()
}

fn is_floating(expr: &Arc<dyn PhysicalExpr>, plan: &Arc<dyn ExecutionPlan>) -> bool {
    expr.data_type(&plan.schema()).is_ok_and(|data_type| data_type.is_floating())
}

/// Whether every leaf returns all of its rows whenever it is executed. A leaf of another crate may not.
pub(super) fn can_execute_again(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut parts = Parts::new();
    match plan.children().as_slice() {
        [] => plan.is::<ScanExec>() || leaf(plan, Apart { cuts: false, is_filtered: false }, &mut parts).is_ok(),
        children => children.iter().all(|child| can_execute_again(child)),
    }
}

/// The whole of a sorted plan as one split.
fn sorted(plan: &Arc<dyn ExecutionPlan>, order: &LexOrdering, parts: &mut Parts) -> Result<Split> {
    parts.push(("its ORDER BY".into(), order.to_string()));
    fn visit(plan: &Arc<dyn ExecutionPlan>, parts: &mut Parts) -> Result<(), Refusal> {
        check(plan)?;
        if plan.boundedness().is_unbounded() {
            return Err((format!("{} is a stream, which can be read only once", plan.name()), STREAM));
        }
        if plan.children().is_empty() {
            // A leaf without a fingerprint is identified by its text.
            let (before, apart) = (parts.len(), Apart { cuts: false, is_filtered: true });
            if leaf(plan, apart, parts).is_err() {
                parts.truncate(before);
                parts.push((format!("its {}", plan.name()), displayable(plan.as_ref()).one_line().to_string()));
            }
            return Ok(());
        }
        let is_steady = match () {
            () if plan.is::<ProjectionExec>() || plan.is::<FilterExec>() => true,
            () if plan.is::<SortExec>() || plan.is::<SortPreservingMergeExec>() || plan.is::<UnionExec>() => true,
            () if plan.is::<HashJoinExec>() || plan.is::<SortMergeJoinExec>() || plan.is::<NestedLoopJoinExec>() => {
                true
            }
            () if plan.is::<CrossJoinExec>() || is_mover(plan) => true,
            () => match plan.downcast_ref::<AggregateExec>() {
                Some(aggregate) => aggregate.aggr_expr().iter().all(|one| STEADY.contains(&one.fun().name())),
                None => false,
            },
        };
        if !is_steady {
            return Err((format!("{} can return different rows for the same input", plan.name()), DROP));
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            projection.expr().iter().try_for_each(|computed| steady(&computed.expr))?;
        }
        let text = displayable(plan.as_ref()).one_line().to_string();
        if text.contains("scalar_subquery(") {
            return Err(("a subquery in the query can return a different result each time".into(), DROP));
        }
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            steady(filter.predicate())?;
        }
        if !is_mover(plan) && !plan.is::<ProjectionExec>() && !plan.name().starts_with("Sort") {
            parts.push((format!("its {}", plan.name()), text));
        }
        plan.children().into_iter().try_for_each(|child| visit(child, parts))
    }
    if let Some(key) = order.iter().find(|key| steady(&key.expr).is_err() || is_floating(&key.expr, plan)) {
        let why =
            format!("its sort key {} is a floating-point number, or can have a different value each time", key.expr);
        return Err(refused(&why, SORT));
    }
    visit(plan, parts).map_err(|(why, next)| refused(&why, next))?;
    Ok(Split { plan: Arc::clone(plan), partition: 0, kind: Kind::Sorted(order.clone()), file: None })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::catalog::streaming::StreamingTable;
    use datafusion::execution::{SendableRecordBatchStream, TaskContext};
    use datafusion::physical_plan::EmptyRecordBatchStream;
    use datafusion::physical_plan::streaming::PartitionStream;
    use datafusion::prelude::{CsvReadOptions, SessionConfig, SessionContext};

    use super::*;

    async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
        context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
    }

    fn schema() -> Schema {
        Schema::new(vec![Field::new("v", DataType::Utf8, true)])
    }

    #[derive(Debug)]
    struct Silent(SchemaRef);

    impl PartitionStream for Silent {
        fn schema(&self) -> &SchemaRef {
            &self.0
        }

        fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
            Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.0)))
        }
    }

    #[tokio::test]
    async fn a_file_is_cut_by_its_size_and_only_where_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody reads it: it has no blocks.
        let file = folder.path().join("large.csv");
        std::fs::File::create(&file).unwrap().set_len(100 * 1024 * 1024).unwrap();
        let mut fingerprints = Vec::new();
        for cores in [2, 5] {
            let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(cores));
            let (schema, path) = (schema(), file.display().to_string());
            context.register_csv("large", path, CsvReadOptions::new().schema(&schema)).await.unwrap();
            let plan = plan(&context, "SELECT v FROM large WHERE v > 'a'").await;
            let count = |cuts| Splits::of(&plan, None, cuts).unwrap().splits.len();
            assert_eq!((count(true), count(false)), (4, 1), "{cores} cores");
            fingerprints.push(Splits::of(&plan, None, true).unwrap().fingerprint);
            assert_ne!(fingerprints[0], Splits::of(&plan, None, false).unwrap().fingerprint);
        }
        assert_eq!(fingerprints[0], fingerprints[1]);
    }

    #[tokio::test]
    async fn what_somebody_else_made_is_not_executed_again() {
        let context = SessionContext::new();
        let silent = Arc::new(Silent(Arc::new(schema())));
        let stream = StreamingTable::try_new(Arc::new(schema()), vec![silent]).unwrap();
        context.register_table("stream", Arc::new(stream.with_infinite_table(true))).unwrap();
        for (sql, can) in [
            ("SELECT v FROM stream LIMIT 5 OFFSET 1", false),
            ("SELECT a.v FROM (VALUES ('x')) AS a(v) JOIN (SELECT v FROM stream LIMIT 3) b ON a.v = b.v", false),
            ("SELECT value FROM generate_series(1, 10) LIMIT 3", true),
            ("SELECT max(v) FROM (VALUES ('x'), ('y')) AS a(v) GROUP BY v", true),
        ] {
            assert_eq!(can_execute_again(&plan(&context, sql).await), can, "{sql}");
        }
    }
}
