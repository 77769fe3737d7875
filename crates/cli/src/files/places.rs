//! Where files are: names, folders, patterns, URLs, and standard input.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use url::Url;

use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::log::store_at;

use super::input::{Input, Stdin};
use super::reading::Reading;

/// The name of standard input among files.
pub(super) const STDIN: &str = "-";

/// The same in messages.
pub(super) const STDIN_NAME: &str = "standard input";

pub(super) fn input_error(text: impl Into<String>) -> DataFusionError {
    Error::new(ErrorKind::Input, text).into()
}

/// The URLs of files, whose stores are then known to the session.
pub(super) fn urls(context: &SessionContext, places: &[String]) -> DfResult<Vec<ListingTableUrl>> {
    let mut urls = Vec::new();
    for place in places.iter().filter(|place| *place != STDIN) {
        let is_pattern = place.contains(['*', '?', '[']) || place.contains("://");
        if !is_pattern && !Path::new(place).exists() {
            return Err(input_error(format!("file {place} does not exist")));
        }
        let url = listing_url(place)?;
        if urls.contains(&url) {
            return Err(input_error(format!("file {place} is specified twice")));
        }
        let store_url = url.object_store();
        let of_store: &Url = store_url.as_ref();
        if of_store.scheme() != "file" {
            let parsed =
                Url::parse(place).map_err(|error| input_error(format!("{place} is not a valid URL: {error}")))?;
            let (store, _) = store_at(&parsed).map_err(|error| {
                input_error(format!(
                    "{place} cannot be opened: {error}; use a URL that begins with s3://, gs://, az:// or https://"
                ))
            })?;
            context.runtime_env().register_object_store(of_store, store);
        }
        urls.push(url);
    }
    match places.iter().filter(|place| *place == STDIN).count() {
        0 => Ok(urls),
        1 if urls.is_empty() => Ok(urls),
        _ => Err(input_error("standard input cannot be loaded together with files: load them separately")),
    }
}

/// The URL of a file, a folder or a pattern. DataFusion reads patterns in paths, but not in URLs.
fn listing_url(place: &str) -> DfResult<ListingTableUrl> {
    let at = place.find(['*', '?', '[']);
    let Some(at) = at.filter(|at| place.find("://").is_some_and(|scheme| scheme < *at)) else {
        return ListingTableUrl::parse(place);
    };
    let (folder, pattern) = place.split_at(place[..at].rfind('/').map_or(0, |slash| slash + 1));
    ListingTableUrl::parse(folder)?.with_glob(pattern)
}

/// A file that was found.
pub(super) struct Found {
    /// Its name in messages.
    pub(super) name: String,
    pub(super) url: String,
    pub(super) input: Input,
}

impl Found {
    pub(super) fn stdin(stdin: Stdin) -> Self {
        Self { name: STDIN_NAME.into(), url: "stdin".into(), input: Input::Stdin(Arc::new(stdin)) }
    }
}

/// The files of URLs, or standard input.
pub(super) async fn inputs(
    context: &SessionContext,
    urls: &[ListingTableUrl],
    places: &[String],
    ending: &str,
) -> DfResult<(Vec<Found>, Reading)> {
    if urls.is_empty() {
        return Ok((vec![Found::stdin(Stdin::start().await?)], Reading::default()));
    }
    let mut reading = Reading::of_files();
    let state = context.state();
    let mut inputs = Vec::new();
    for (url, place) in urls.iter().zip(places) {
        let store = state.runtime_env().object_store(url)?;
        let mut found: Vec<ObjectMeta> =
            url.list_all_files(&state, store.as_ref(), ending).await?.try_collect().await?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        missing(found.len(), place, ending)?;
        for listed in found {
            // A list shows versions in another form.
            let meta = store.head(&listed.location).await?;
            let url = format!("{}{}", url.object_store().as_str(), meta.location);
            let name = match Path::new(place).is_file() {
                true => place.clone(),
                false => url.replace("file:///", "/"),
            };
            if meta.size == 0 {
                return Err(input_error(format!("file {name} is empty")));
            }
            reading.add_file(meta.size);
            let (store, meta, reading) = (Arc::clone(&store), Box::new(meta), reading.clone());
            inputs.push(Found { name, url, input: Input::File { store, meta, reading } });
        }
    }
    Ok((inputs, reading))
}

pub(super) fn missing(count: usize, place: &str, ending: &str) -> DfResult<()> {
    if count > 0 {
        return Ok(());
    }
    let of_type = if ending.is_empty() { String::new() } else { format!(" whose name ends in {ending}") };
    Err(input_error(format!("no file{of_type} matches {place}")))
}
