//! Buckets and servers as object stores, and the one runtime that talks to them.
//!
//! Credentials and endpoints come from the environment as each store of `object_store` reads it
//! (`AWS_*`, `GOOGLE_*`, `AZURE_*`; Hadoop's configuration files for HDFS; `HF_*` for the Hugging Face Hub) and
//! from AWS's and the Hub's own files, never from a URI.

use super::location::Remote;
use crate::DataError;
use object_store::ObjectStore;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A store for each server or bucket of this process: a store keeps its connections and credentials.
#[cfg(any(feature = "network", feature = "hdfs"))]
pub(super) fn store(uri: &str, remote: &Remote) -> Result<Arc<dyn ObjectStore>, DataError> {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};
    static STORES: Mutex<Option<HashMap<String, Arc<dyn ObjectStore>>>> = Mutex::new(None);

    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.get_or_insert_default();
    if let Some(store) = stores.get(&remote.root()) {
        return Ok(store.clone());
    }
    let Some(built) = build(remote) else { return Err(lacking(uri, remote)) };
    let built = built.map_err(|error| {
        let expected = format!("settings of {} in the environment that fit each other", remote.scheme);
        DataError::unreachable(uri, expected, super::one_line(error))
    })?;
    stores.insert(remote.root(), built.clone());
    Ok(built)
}

#[cfg(not(any(feature = "network", feature = "hdfs")))]
pub(super) fn store(uri: &str, remote: &Remote) -> Result<Arc<dyn ObjectStore>, DataError> {
    Err(lacking(uri, remote))
}

/// The error of a scheme that was not compiled in.
fn lacking(uri: &str, remote: &Remote) -> DataError {
    let (scheme, feature) = (remote.scheme, remote.feature);
    let expected = format!("a build that reads {scheme}:// (`cargo build --release --features {feature}`)");
    DataError::unreachable(uri, expected, format!("one without the feature `{feature}`"))
}

/// The store of a scheme that this build has.
#[cfg(any(feature = "network", feature = "hdfs"))]
fn build(remote: &Remote) -> Option<object_store::Result<Arc<dyn ObjectStore>>> {
    #[cfg(feature = "network")]
    {
        // An error says that another provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    match remote.feature {
        #[cfg(feature = "s3")]
        "s3" => Some(cloud::s3(remote)),
        #[cfg(feature = "gcs")]
        "gcs" => Some(cloud::gcs(remote)),
        #[cfg(feature = "azure")]
        "azure" => Some(cloud::azure(remote)),
        #[cfg(feature = "http")]
        "http" if remote.scheme == super::location::HUB => Some(cloud::hub(remote)),
        #[cfg(feature = "http")]
        "http" => Some(cloud::http(remote)),
        #[cfg(feature = "hdfs")]
        "hdfs" => {
            let builder = hdfs_native_object_store::HdfsObjectStoreBuilder::new();
            let built = builder.with_url(remote.root()).with_io_runtime(runtime().handle().clone()).build();
            Some(built.map(|store| Arc::new(store) as _))
        }
        _ => None,
    }
}

#[cfg(feature = "network")]
#[allow(unused_imports, unused_macros, dead_code)] // each store's feature uses a part
mod cloud {
    use super::*;
    use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, Result, RetryConfig};

    /// A server that sends nothing for this long is asked again.
    const SILENCE: &str = "20 seconds";
    /// `object_store` limits a request to 30 seconds, body included: too short for a shard.
    const REQUEST: &str = "1 day";

    /// Waits of 0.1 seconds that double, with jitter; a server that is away is given up after a minute, or
    /// `$BONFIRE_RETRY_SECONDS`.
    fn retry() -> Result<RetryConfig> {
        let seconds = match std::env::var("BONFIRE_RETRY_SECONDS") {
            Err(_) => 60,
            Ok(text) => text.parse().map_err(|_| object_store::Error::Generic {
                store: "settings",
                source: format!("BONFIRE_RETRY_SECONDS: expected whole seconds, found {text:?}").into(),
            })?,
        };
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        };
        // Time decides, not the number of attempts.
        Ok(RetryConfig { backoff, max_retries: 1000, retry_timeout: Duration::from_secs(seconds) })
    }

    /// The settings of time-outs that the environment does not say, whose variables begin with `$prefix`.
    macro_rules! timed {
        ($builder:expr, $key:path, $prefix:literal) => {{
            let mut builder = $builder.with_retry(retry()?);
            for (key, variable, value) in [
                (ClientConfigKey::Timeout, concat!($prefix, "TIMEOUT"), REQUEST),
                (ClientConfigKey::ReadTimeout, concat!($prefix, "READ_TIMEOUT"), SILENCE),
            ] {
                if std::env::var_os(variable).is_none() {
                    builder = builder.with_config($key(key), value);
                }
            }
            builder
        }};
    }

    #[cfg(feature = "s3")]
    pub(super) fn s3(remote: &Remote) -> Result<Arc<dyn ObjectStore>> {
        use crate::source::profile::{Profile, ProfileCredentials};
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
        let mut builder = timed!(AmazonS3Builder::from_env(), AmazonS3ConfigKey::Client, "AWS_")
            .with_bucket_name(&remote.authority);
        // What the environment does not say, AWS's own files may.
        if let Some(profile) = Profile::load()? {
            for (setting, key) in
                [(AmazonS3ConfigKey::Region, "region"), (AmazonS3ConfigKey::Endpoint, "endpoint_url")]
            {
                if let (None, Some(value)) = (builder.get_config_value(&setting), profile.get(key)) {
                    builder = builder.with_config(setting, value);
                }
            }
            let keys = builder.get_config_value(&AmazonS3ConfigKey::AccessKeyId);
            if let (None, Some(credential)) = (keys, profile.credential()?) {
                builder = builder.with_credentials(Arc::new(ProfileCredentials::new(credential)));
            }
        }
        // An endpoint without TLS is spelled out as one: a server of one's own.
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
            builder = builder.with_allow_http(true);
        }
        Ok(Arc::new(builder.build()?))
    }

    #[cfg(feature = "gcs")]
    pub(super) fn gcs(remote: &Remote) -> Result<Arc<dyn ObjectStore>> {
        use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
        let builder = timed!(GoogleCloudStorageBuilder::from_env(), GoogleConfigKey::Client, "GOOGLE_");
        Ok(Arc::new(builder.with_bucket_name(&remote.authority).build()?))
    }

    #[cfg(feature = "azure")]
    pub(super) fn azure(remote: &Remote) -> Result<Arc<dyn ObjectStore>> {
        use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
        let builder = timed!(MicrosoftAzureBuilder::from_env(), AzureConfigKey::Client, "AZURE_");
        Ok(Arc::new(builder.with_url(remote.root()).build()?))
    }

    #[cfg(feature = "http")]
    pub(super) fn hub(remote: &Remote) -> Result<Arc<dyn ObjectStore>> {
        use crate::source::hub::{Hub, Settings};
        Ok(Arc::new(Hub::new(&remote.authority, Settings::of_environment()?, retry()?)?))
    }

    #[cfg(feature = "http")]
    pub(super) fn http(remote: &Remote) -> Result<Arc<dyn ObjectStore>> {
        use object_store::http::HttpBuilder;
        let options = ClientOptions::new()
            .with_config(ClientConfigKey::Timeout, REQUEST)
            .with_config(ClientConfigKey::ReadTimeout, SILENCE)
            .with_allow_http(true);
        let builder = HttpBuilder::new().with_url(remote.root()).with_client_options(options);
        Ok(Arc::new(builder.with_retry(retry()?).build()?))
    }
}

/// Two threads that wait for sockets; they decode and compute nothing.
#[cfg(any(feature = "network", feature = "hdfs"))]
fn runtime() -> &'static tokio::runtime::Runtime {
    use std::sync::OnceLock;
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("network")
            .enable_all()
            .build()
            // Where the system gives no thread, those who wait do the work.
            .or_else(|_| tokio::runtime::Builder::new_current_thread().enable_all().build())
            .expect("a runtime without threads needs none")
    })
}

/// Blocks until a store has answered: on the runtime when it is `remote`, on this very thread when
/// it is not.
pub(super) fn wait<T>(remote: bool, future: impl Future<Output = T>) -> T {
    #[cfg(any(feature = "network", feature = "hdfs"))]
    if remote {
        return runtime().block_on(future);
    }
    debug_assert!(!remote || cfg!(any(feature = "network", feature = "hdfs")), "no such store can be opened");
    futures::executor::block_on(future)
}

/// Times that a request that may be sent twice is sent again.
const MOST_REPEATS: u32 = 3;

/// Does what may be done twice, again where it breaks on its way: `object_store` repeats requests, but gives
/// up when the body of an answer is cut.
pub(super) async fn again<T, F: Future<Output = object_store::Result<T>>>(
    remote: bool,
    ask: impl Fn() -> F,
) -> object_store::Result<T> {
    for attempt in 1..=MOST_REPEATS {
        match ask().await {
            Err(error @ object_store::Error::Generic { .. })
                if remote && !super::failure::is_refusal(&error) =>
            {
                pause(attempt).await;
            }
            answer => return answer,
        }
    }
    ask().await
}

/// Waits before attempt number `attempt`, from 1 on: longer each time, and never as long as others
/// that broke at the same moment.
pub(super) async fn pause(attempt: u32) {
    use std::hash::{BuildHasher, RandomState};
    let longest = Duration::from_millis(50 << attempt.min(7));
    let share = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    let time = longest.mul_f64(0.5 + 0.5 * share);
    #[cfg(any(feature = "network", feature = "hdfs"))]
    if tokio::runtime::Handle::try_current().is_ok() {
        return tokio::time::sleep(time).await;
    }
    std::thread::sleep(time);
}
