//! Transactions of several statements under every crash that can be arranged in memory: processes that die between any two
//! steps, databases that restart, answers that are lost or never come. LANDFALL_SEED=123 tests/run group_simulation plays
//! one schedule again; LANDFALL_SCHEDULES=10000 plays more of them.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::backend::memory::MemoryBackend;
use datafusion_landfall::backend::{Backend, DecisionLog};
use datafusion_landfall::backend::{fault::Fault, fault::Faulty, fault::Script, fault::Step};
use datafusion_landfall::txn::JobId;
use datafusion_landfall::{Error, ErrorKind, LandfallTable, SinkOptions, TransactionOptions, begin_with, register};
use fastrand::Rng;

use crate::simulation::{Faults, play_all, recovery};

type Process = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// Schedules that are played, each with several transactions of several statements.
const SCHEDULES: u64 = 300;

/// One random world.
struct World {
    seed: u64,
    databases: Vec<MemoryBackend>,
    log: Arc<dyn DecisionLog>,
    is_job: bool,
    fails_once: bool,
    faults: Vec<Faults>,
}

/// A process, and whether it is dead: its messages no longer reach anyone.
struct Running {
    id: i64,
    is_dead: Arc<AtomicBool>,
    process: Process,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut databases: Vec<_> = (0..rng.usize(1..=3)).map(|_| MemoryBackend::default()).collect();
        // The database that cannot prepare is written first.
        if rng.bool() {
            databases[0] = MemoryBackend::one_phase();
        }
        let per_mille = [0, 10, 40][rng.usize(0..3)];
        let faults = databases.iter().map(|_| Faults::new(rng.fork(), per_mille)).collect();
        let log = databases[0].decision_log().unwrap();
        Self { seed, databases, log, is_job: rng.bool(), fails_once: rng.u8(0..4) == 0, faults }
    }

    /// A transaction: in each database, rows of its own are inserted, changed, upserted and deleted.
    fn process(&self, id: i64, is_faulty: bool) -> Running {
        let is_dead = Arc::new(AtomicBool::new(false));
        let backends: Vec<Arc<dyn Backend>> = self
            .databases
            .iter()
            .zip(&self.faults)
            .map(|(database, faults)| {
                let (seen, of_place) = (Arc::clone(&is_dead), faults.script.clone());
                let script = Script::new(move |step: Step| match seen.load(Relaxed) {
                    true => Fault::Hang,
                    false if is_faulty => of_place.say(step),
                    false => Fault::None,
                });
                Arc::new(Faulty::new(Arc::new(database.clone()), script)) as Arc<dyn Backend>
            })
            .collect();
        let job = self.is_job.then(|| JobId::try_new("the job").unwrap());
        let fails_once = self.fails_once;
        // The runs of a job have the same statements.
        let key = if self.is_job { 0 } else { id * 10 };
        let process = Box::pin(async move {
            let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
            register(&context);
            let names = ["a", "b", "c"];
            for (backend, name) in backends.iter().zip(names) {
                let options = SinkOptions::try_from_pairs([("on_conflict", "update"), ("upsert", "diff")])?;
                let table = LandfallTable::open(Arc::clone(backend), "t", options).await?;
                context.register_table(name, Arc::new(table)).unwrap();
            }
            let options = TransactionOptions { job, ..TransactionOptions::default() };
            let transaction = begin_with(&context, options).await?;
            let run = async |text: String| {
                let ran = async { transaction.sql(&text).await?.collect().await };
                ran.await.map(drop).map_err(landfall_error)
            };
            let names = &names[..backends.len()];
            // With the key of each process, so that they do not disturb each other.
            let (first, second, third) = (key, key + 1, key + 2);
            for name in names {
                run(format!("INSERT INTO {name} VALUES ({first}, 'new'), ({second}, 'new')")).await?;
            }
            if fails_once {
                transaction.savepoint("s").await?;
                for name in names {
                    run(format!("INSERT INTO {name} VALUES ({}, 'undone')", key + 9)).await?;
                }
                transaction.rollback_to("s").await?;
            }
            for name in names {
                run(format!("UPDATE {name} SET name = 'changed' WHERE id = {first}")).await?;
                run(format!("INSERT INTO {name} VALUES ({first}, 'changed'), ({third}, 'third')")).await?;
                run(format!("DELETE FROM {name} WHERE id = {second}")).await?;
            }
            transaction.commit().await
        });
        Running { id, is_dead, process }
    }

    /// The rows of each process in each database.
    fn rows(&self) -> Vec<HashMap<i64, Vec<String>>> {
        let of = |database: &MemoryBackend| {
            let mut rows: HashMap<i64, Vec<String>> = HashMap::new();
            for batch in database.batches() {
                let (ids, names) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_string::<i32>());
                for row in 0..batch.num_rows() {
                    let text =
                        format!("{} {}", ids.value(row) % 10, if names.is_null(row) { "" } else { names.value(row) });
                    rows.entry(ids.value(row) / 10).or_default().push(text);
                }
            }
            rows.values_mut().for_each(|rows| rows.sort());
            rows
        };
        self.databases.iter().map(of).collect()
    }

    /// All rows of a process are there, or none.
    fn check(&self) {
        for rows in self.rows() {
            for (id, rows) in &rows {
                assert_eq!(*rows, ["0 changed", "2 third"], "seed {}: process {id}", self.seed);
            }
        }
        for database in &self.databases {
            assert!(!self.is_job || database.commits() <= 1, "seed {}: the job was committed twice", self.seed);
        }
    }

    async fn play(&self) {
        let seed = self.seed;
        let mut rng = Rng::with_seed(!seed);
        let mut running: Vec<Running> = Vec::new();
        let (mut started, mut said) = (0, HashMap::new());
        for _ in 0..rng.usize(100..600) {
            tokio::task::yield_now().await;
            match rng.u8(0..100) {
                0..2 if !running.is_empty() => {
                    let died = running.swap_remove(rng.usize(0..running.len()));
                    died.is_dead.store(true, Relaxed);
                    said.insert(died.id, None);
                }
                2..4 => {
                    let out = &self.faults[rng.usize(0..self.faults.len())].is_out;
                    out.store(!out.load(Relaxed), Relaxed);
                }
                4..5 => self.databases[rng.usize(0..self.databases.len())].restart(),
                5..12 => tokio::time::advance(Duration::from_millis(rng.u64(1..3000))).await,
                12..20 if running.len() < 3 && started < 4 => {
                    running.push(self.process(started, true));
                    started += 1;
                }
                _ if running.is_empty() => {}
                _ => {
                    let at = rng.usize(0..running.len());
                    let polled = running[at].process.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    if let Poll::Ready(ended) = polled {
                        said.insert(running.swap_remove(at).id, outcome(seed, ended));
                    }
                    self.check();
                }
            }
        }
        for died in running.drain(..) {
            died.is_dead.store(true, Relaxed);
            said.insert(died.id, None);
        }
        // Nothing fails any more.
        let recovered = recovery(&self.databases, &self.faults, &self.log, &self.faults[0], false).await;
        recovered.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if self.is_job {
            for id in [started, started + 1] {
                let last = self.process(id, false).process.await;
                last.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
        }
        self.check();
        let rows = self.rows();
        for database in &self.databases {
            let left = database.in_doubt(None).await.unwrap();
            assert!(left.is_empty(), "seed {seed}: left in doubt: {left:?}");
        }
        assert!(rows.iter().all(|of| *of == rows[0]), "seed {seed}: not in all databases: {rows:?}");
        assert!(!self.is_job || rows[0].len() == 1, "seed {seed}: the job is lost");
        for (id, said) in said {
            let is_there = rows[0].contains_key(&if self.is_job { 0 } else { id });
            assert!(said != Some(true) || is_there, "seed {seed}: {id} said it committed, and is lost");
            assert!(
                said != Some(false) || !is_there || self.is_job,
                "seed {seed}: {id} said it did nothing, and is there"
            );
        }
    }
}

/// Whether a process says that it has committed; `None` if it does not know.
fn outcome(seed: u64, ended: Result<(), Error>) -> Option<bool> {
    match ended {
        Ok(()) => Some(true),
        Err(error) if error.kind() == ErrorKind::Internal => panic!("seed {seed}: {error}"),
        Err(error) if error.kind() == ErrorKind::InDoubt => None,
        Err(_) => Some(false),
    }
}

fn landfall_error(error: datafusion::error::DataFusionError) -> Error {
    match error.find_root() {
        datafusion::error::DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(own) => Error::new(own.kind(), own.to_string()),
            None => Error::new(ErrorKind::Internal, error.to_string()),
        },
        _ => Error::new(ErrorKind::Internal, error.to_string()),
    }
}

#[test]
fn every_schedule_ends_with_all_statements_or_none() {
    play_all("group_simulation", SCHEDULES, |seed| async move { World::new(seed).play().await });
}
