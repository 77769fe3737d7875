//! A decision log in an object store.
//!
//! A record is an object `<prefix>/<hash of the job>/<epoch>.json`, created only if it does not exist
//! ([`PutMode::Create`]). This is the whole agreement between runs. An object store has no equivalent of `WHERE NOT
//! EXISTS`: a suspended run could create an epoch whose record was decided and removed long ago. So each record names
//! its predecessor. Only the chain that leads back from the last record is valid; other objects are ignored.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::backend::DecisionLog;
use crate::backend::failpoint::failpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobEntry, JobId, JobState, Positions};

/// Objects that are read or deleted at once.
const AT_ONCE: usize = 8;

/// The error if the store denies access.
const NO_RIGHT: (ErrorKind, &str) =
    (ErrorKind::Access, "denies access: check the credentials in the environment variables");

/// The error if the bucket does not exist. A retry does not help, so it is not `Unavailable`.
const NOT_THERE: (ErrorKind, &str) = (
    ErrorKind::Access,
    "does not exist: create the bucket, or check the URL and the endpoint in the environment variables",
);

/// The URL schemes of object stores.
const SCHEMES: [&str; 8] = ["file", "s3", "s3a", "gs", "az", "abfs", "abfss", "memory"];

/// A decision log in a folder, or under a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct ObjectStoreLog {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    url: String,
    /// If the store is a folder, its path: new files are synced to disk.
    folder: Option<PathBuf>,
}

/// A record as stored in its object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    record: DecisionRecord,
    after: Option<Gtrid>,
    decided_at: String,
}

/// Opens the object store of a URL, and the path in it. Credentials and endpoints come from the environment variables of
/// `object_store`: `AWS_…`, `GOOGLE_…`, `AZURE_…`.
///
/// # Errors
/// If the URL or the environment is invalid, or the store is not part of this build.
pub fn store_at(url: &Url) -> object_store::Result<(Arc<dyn ObjectStore>, Path)> {
    let of_a_cloud = |(name, _): &(String, String)| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|of| name.starts_with(of));
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(of_a_cloud);
    // A URL without encryption is meant so.
    let unencrypted = (url.scheme() == "http").then(|| ("allow_http".to_owned(), "true".to_owned()));
    let (store, path) = object_store::parse_url_opts(url, environment.chain(unencrypted))?;
    Ok((Arc::from(store), path))
}

impl ObjectStoreLog {
    /// Whether a URL names an object store.
    pub fn knows(url: &str) -> bool {
        url.split_once(':').is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
    }

    /// The log at `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`. Credentials
    /// and endpoints come from the environment variables of `object_store` (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
    ///
    /// # Errors
    /// `Config` if the URL or the environment is invalid.
    pub fn try_new(url: &str) -> Result<Self> {
        let bad = |why: String| Error::config(format!("the decision log's URL {url} cannot be used: {why}"));
        let parsed = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Error::config(
                "the decision log's URL contains a user or password: set the credentials in environment variables",
            ));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(bad(
                "the URL contains ? or #, but a query string or fragment is not supported; remove that part".into(),
            ));
        }
        if parsed.scheme() == "file" && !url.starts_with("file:///") {
            return Err(bad("the path is not absolute; use file:///a/folder".into()));
        }
        if parsed.scheme() == "memory" {
            return Err(bad(
                "a log in memory is lost when the process ends, but recovery after a crash needs the log; use \
                 file:///a/folder"
                    .into(),
            ));
        }
        let (store, prefix) = store_at(&parsed).map_err(|error| {
            bad(format!(
                "{error}; use file:///a/folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
            ))
        })?;
        let folder = match parsed.scheme() {
            "file" => Some(parsed.to_file_path().map_err(|()| bad("the path is not absolute".into()))?),
            _ => None,
        };
        Ok(Self { store, prefix, url: url.trim_end_matches('/').to_owned(), folder })
    }

    /// Creates the log under a prefix of an existing store. Messages call it `url`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, url: impl Into<String>) -> Self {
        Self { store, prefix, url: url.into(), folder: None }
    }

    fn job_folder(&self, job: &JobId) -> Path {
        // A job's name can be longer than a file name, and contain any character.
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, job.as_str().as_bytes());
        self.prefix.clone().join(hash.simple().to_string())
    }

    fn location(&self, job: &JobId, epoch: Epoch) -> Path {
        self.job_folder(job).join(format!("{:020}.json", epoch.0))
    }

    /// Whether an object has the location of a record of this log. Other objects under the prefix do not belong to it:
    /// data, the records of a log with a longer prefix, and the empty object by which a store's console shows a folder,
    /// which is listed without its trailing slash and cannot be read under that name.
    fn has_record(&self, location: &Path) -> bool {
        let Some(parts) = location.prefix_match(&self.prefix) else { return false };
        let parts: Vec<_> = parts.collect();
        let [job, file] = parts.as_slice() else { return false };
        let epoch = file.as_ref().strip_suffix(".json").unwrap_or_default();
        let digits = |text: &str, count, radix| text.len() == count && text.chars().all(|c| c.is_digit(radix));
        digits(job.as_ref(), 32, 16) && digits(epoch, 20, 10)
    }

    fn error(&self, error: object_store::Error) -> Error {
        use object_store::Error as Cause;
        let (kind, help) = match error {
            Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => NO_RIGHT,
            Cause::NotFound { .. } => NOT_THERE,
            _ if matches!(status(&error), Some(401 | 403)) => NO_RIGHT,
            _ if status(&error) == Some(404) => NOT_THERE,
            Cause::NotImplemented { .. } | Cause::NotSupported { .. } => (
                ErrorKind::Unsupported,
                "does not support conditional writes (create an object only if it does not exist): use another object \
                 store",
            ),
            _ => (ErrorKind::Unavailable, "could not be read or written"),
        };
        Error::new(kind, format!("the decision log {} {help}", self.url)).with_source(error)
    }

    /// Every object below a folder, with its record.
    async fn links(&self, folder: &Path) -> Result<Vec<Link>> {
        loop {
            let listed = self.store.list(Some(folder)).try_filter(|object| ready(self.has_record(&object.location)));
            let listed: Vec<ObjectMeta> = listed.try_collect().await.map_err(|e| self.error(e))?;
            let read = stream::iter(listed).map(async |object| {
                let bytes = self.store.get(&object.location).await?.bytes().await?;
                Ok((object, bytes))
            });
            match read.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await {
                // Deleted between the list and the read.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.error(error)),
                Ok(read) => {
                    let links = read.into_iter().map(|(object, bytes)| {
                        let seconds = object.last_modified.format("%Y-%m-%d %H:%M:%S%.3f+00").to_string();
                        parse(&bytes, seconds).ok_or_else(|| {
                            let text = format!(
                                "the decision log {} contains an invalid record, {}",
                                self.url, object.location
                            );
                            Error::new(ErrorKind::Decode, text)
                        })
                    });
                    return links.collect();
                }
            }
        }
    }

    async fn chain(&self, job: &JobId) -> Result<Vec<Link>> {
        let mut links = self.links(&self.job_folder(job)).await?;
        // A list is read page by page: if it lacks a record that a later one names, that page may be outdated.
        for _ in 0..3 {
            if !has_hole(&links) {
                break;
            }
            links = self.links(&self.job_folder(job)).await?;
        }
        Ok(chain(links))
    }

    async fn create(&self, proposal: &DecisionRecord, after: Option<Gtrid>) -> Result<()> {
        let location = self.location(&proposal.job, proposal.epoch);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        failpoint("log.put.before");
        let put = self.store.put_opts(&location, PutPayload::from(to_json(proposal, after)), options).await;
        failpoint("log.put.after");
        match put {
            // It exists: perhaps our own, if the response was lost.
            Ok(_) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(error) => return Err(self.error(error)),
        }
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let hash = self.job_folder(&proposal.job).filename().unwrap_or_default().to_owned();
        let file = location.filename().unwrap_or_default().to_owned();
        let synced = tokio::task::spawn_blocking(move || {
            let of_job = folder.join(hash);
            std::fs::File::open(of_job.join(file))?.sync_all()?;
            std::fs::File::open(of_job)?.sync_all()?;
            std::fs::File::open(folder)?.sync_all()
        });
        let failed = |cause: String| {
            Error::new(ErrorKind::Unavailable, format!("the decision log {} could not be synced to disk", self.url))
                .with_source(cause)
        };
        synced.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    async fn delete(&self, job: &JobId, epochs: impl Iterator<Item = Epoch> + Send) -> Result<()> {
        let epochs: Vec<_> = epochs.collect();
        // The oldest first, so that the rest is still a chain if this is interrupted.
        for epoch in epochs {
            match self.store.delete(&self.location(job, epoch)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.error(error)),
            }
        }
        Ok(())
    }
}

/// The HTTP status of a failed list: `object_store` has it in the text only.
fn status(error: &object_store::Error) -> Option<u16> {
    let object_store::Error::Generic { source, .. } = error else { return None };
    // A URL contains no space, so this is not part of one.
    let text = source.to_string();
    let (_, status) = text.split_once("status code: ")?;
    status.get(..3)?.parse().ok()
}

/// Whether a record names a predecessor that is missing although older ones exist: records are deleted oldest first.
fn has_hole(links: &[Link]) -> bool {
    let is_there = |epoch: Epoch| links.iter().any(|link| link.record.epoch == epoch);
    let lacks = |link: &&Link| {
        let before = link.record.epoch.0.checked_sub(1).map(Epoch);
        link.after.is_some() && before.is_some_and(|before| !is_there(before))
    };
    links.iter().find(lacks).is_some_and(|link| links.iter().any(|other| other.record.epoch < link.record.epoch))
}

/// The valid records: the chain that leads back from the last one. Runs that were too late created the others.
fn chain(mut links: Vec<Link>) -> Vec<Link> {
    links.sort_by_key(|link| link.record.epoch);
    let mut chain: Vec<Link> = Vec::new();
    while let Some(link) = links.pop() {
        let leads_here = chain.last().is_none_or(|next: &Link| {
            next.after == Some(link.record.gtrid) && link.record.epoch.next() == next.record.epoch
        });
        if !leads_here {
            break;
        }
        chain.push(link);
    }
    chain.reverse();
    chain
}

fn state(chain: Vec<Link>) -> JobState {
    JobState::new(chain.into_iter().map(|link| link.record).collect())
}

fn to_json(record: &DecisionRecord, after: Option<Gtrid>) -> String {
    json!({
        "job": record.job.as_str(),
        "epoch": record.epoch.0,
        "gtrid": record.gtrid.to_string(),
        "decision": record.decision.as_str(),
        "rows": record.rows,
        "positions": record.positions.to_token(),
        "after": after.map(|gtrid| gtrid.to_string()),
    })
    .to_string()
}

fn parse(bytes: &[u8], decided_at: String) -> Option<Link> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let record = DecisionRecord {
        job: JobId::try_new(value["job"].as_str()?).ok()?,
        epoch: Epoch(value["epoch"].as_u64()?),
        gtrid: Gtrid::parse(value["gtrid"].as_str()?)?,
        decision: Decision::try_parse(value["decision"].as_str()?).ok()?,
        rows: value["rows"].as_u64()?,
        positions: Positions::try_parse(value["positions"].as_str()?).ok()?,
    };
    let after = match &value["after"] {
        Value::Null => None,
        after => Some(Gtrid::parse(after.as_str()?)?),
    };
    Some(Link { record, after, decided_at })
}

#[async_trait]
impl DecisionLog for ObjectStoreLog {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let mut known = state(self.chain(&proposal.job).await?);
        if known.standing(proposal.epoch).is_none() {
            self.create(&proposal, known.last().map(|last| last.gtrid)).await?;
            known = state(self.chain(&proposal.job).await?);
        }
        let stands = known.standing(proposal.epoch).cloned();
        let stands = stands.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!("the decision log {} lost a record that was just written: run the statement again", self.url),
            )
        })?;
        if stands.epoch != proposal.epoch {
            // Our record is invalid, if it was created: delete it.
            let own = self.links(&self.job_folder(&proposal.job)).await?;
            if own.iter().any(|link| link.record.gtrid == proposal.gtrid && link.record.epoch == proposal.epoch) {
                self.delete(&proposal.job, std::iter::once(proposal.epoch)).await?;
            }
        }
        Ok(stands)
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        Ok(state(self.chain(job).await?))
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        if let Some(folder) = self.folder.as_ref().filter(|folder| !folder.is_dir()) {
            let text =
                format!("the folder {} of the decision log does not exist: check the URL of the log", folder.display());
            return Err(Error::new(ErrorKind::Access, text));
        }
        let mut links = self.links(&self.prefix).await?;
        links.sort_by(|a, b| a.record.job.cmp(&b.record.job));
        let mut jobs = Vec::new();
        for of_job in links.chunk_by(|a, b| a.record.job == b.record.job) {
            let chain = chain(of_job.to_vec());
            let Some(job) = chain.last().map(|last| last.record.job.clone()) else { continue };
            let decided_at = chain.iter().map(|link| link.decided_at.clone()).collect();
            jobs.push(JobEntry { job, decided_at, state: state(chain) });
        }
        Ok(jobs)
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        // Keep the chain from the last commit on: without its links, the commit would not be valid.
        let known = self.read(job).await?;
        let Some(checkpoint) = known.checkpoint().map(|record| record.epoch) else { return Ok(()) };
        let links = self.links(&self.job_folder(job)).await?;
        let mut epochs: Vec<_> = links.iter().map(|link| link.record.epoch).collect();
        epochs.sort();
        self.delete(job, epochs.into_iter().filter(|epoch| *epoch < before && *epoch < checkpoint)).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        let links = self.links(&self.job_folder(job)).await?;
        let mut epochs: Vec<_> = links.iter().map(|link| link.record.epoch).collect();
        epochs.sort();
        self.delete(job, epochs.into_iter()).await
    }

    fn url(&self) -> String {
        self.url.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::backend::conformance::check_log;

    #[tokio::test]
    async fn a_log_in_memory_conforms() {
        let log: Arc<dyn DecisionLog> =
            Arc::new(ObjectStoreLog::new(Arc::new(InMemory::new()), Path::from("a/b"), "memory"));
        check_log(log).await;
    }

    #[tokio::test]
    async fn a_log_in_a_folder_conforms() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(folder.path().join("not there yet")).unwrap();
        let log: Arc<dyn DecisionLog> = Arc::new(ObjectStoreLog::try_new(url.as_str()).unwrap());
        check_log(log).await;
    }

    fn record(epoch: u64, run: u64) -> DecisionRecord {
        DecisionRecord {
            job: JobId::try_new("j").unwrap(),
            epoch: Epoch(epoch),
            gtrid: Gtrid::parse(&format!("landfall-{:016x}-{epoch:x}-{run:016x}", 7)).unwrap(),
            decision: Decision::Commit,
            rows: 0,
            positions: Positions::new("t", false),
        }
    }

    #[tokio::test]
    async fn what_a_sleeper_creates_behind_the_chain_is_void() {
        let log = ObjectStoreLog::new(Arc::new(InMemory::new()), Path::default(), "memory");
        let job = JobId::try_new("j").unwrap();
        for epoch in 1..=5 {
            log.decide(record(epoch, 1)).await.unwrap();
        }
        log.forget(&job, Epoch(5)).await.unwrap();
        // It read the log before the others wrote, and creates its record now.
        log.create(&record(4, 9), Some(record(3, 1).gtrid)).await.unwrap();
        assert_eq!(log.read(&job).await.unwrap().records(), [record(5, 1)]);
        assert_eq!(log.decide(record(4, 9)).await.unwrap(), record(5, 1));
        assert_eq!(log.links(&log.job_folder(&job)).await.unwrap().len(), 1, "it cleans up");
    }

    #[tokio::test]
    async fn what_is_no_record_of_this_log_is_left_alone() {
        let store = Arc::new(InMemory::new());
        let log = |prefix: &str| ObjectStoreLog::new(store.clone(), Path::from(prefix), "memory");
        log("a").decide(record(1, 1)).await.unwrap();
        log("a/longer").decide(record(5, 2)).await.unwrap();
        let of_job = log("a").job_folder(&record(1, 1).job);
        for other in [Path::from("a/data.parquet"), of_job.clone().join("notes.json"), of_job.join("1.json")] {
            store.put(&other, PutPayload::from("no record")).await.unwrap();
        }
        let jobs = log("a").jobs().await.unwrap();
        assert_eq!(jobs.iter().map(|job| job.state.records()).collect::<Vec<_>>(), [[record(1, 1)]]);
        assert_eq!(log("a").decide(record(2, 1)).await.unwrap(), record(2, 1));
        log("a").remove(&record(1, 1).job).await.unwrap();
        assert_eq!(log("a/longer").jobs().await.unwrap()[0].state.records(), [record(5, 2)]);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_named() {
        let store = Arc::new(InMemory::new());
        let log = ObjectStoreLog::new(store.clone(), Path::from("a"), "memory");
        let location = log.location(&record(1, 1).job, Epoch(1));
        store.put(&location, PutPayload::from("{")).await.unwrap();
        let error = log.decide(record(1, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains(location.as_ref()), "{error}");
    }

    #[test]
    fn a_url_that_cannot_be_a_log_is_refused() {
        for (url, why) in [
            ("memory:///", "lost when the process ends"),
            ("s3://", "cannot be used"),
            ("s3://key:secret@bucket/p", "user or password"),
        ] {
            let error = ObjectStoreLog::try_new(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(why), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(ObjectStoreLog::knows("gs://bucket") && !ObjectStoreLog::knows("sqlite:a.db"));
    }
}
