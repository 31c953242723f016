//! The bytes of an object as they arrive, asked for again at the byte where they stopped.
//!
//! `object_store` goes on with a broken body by itself where the server names the object's version
//! (an ETag). Many web servers do not; there, and where its retries are used up, this goes on, and
//! refuses an object that has changed meanwhile.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path as ObjectPath;
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, Result};
use std::ops::Range;
use std::sync::Arc;

/// Times that a body that yields no byte between may break before its error counts.
const MOST_RESUMES: u32 = 5;

/// Part of an object under way.
pub(super) struct Body {
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    version: ObjectMeta,
    /// The bytes that are still to come.
    rest: Range<u64>,
    stream: BoxStream<'static, Result<Bytes>>,
    resumes: u32,
}

impl Body {
    /// Asks for `range`, or for everything.
    pub(super) async fn open(
        store: Arc<dyn ObjectStore>,
        path: ObjectPath,
        range: Option<Range<u64>>,
    ) -> Result<Self> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let result = store.get_opts(&path, options).await?;
        Ok(Body::of(store, path, result))
    }

    /// A body whose request was made.
    pub(super) fn of(store: Arc<dyn ObjectStore>, path: ObjectPath, result: GetResult) -> Self {
        let (version, rest) = (result.meta.clone(), result.range.clone());
        Body { store, path, version, rest, stream: result.into_stream(), resumes: 0 }
    }

    /// The next bytes, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.rest.is_empty() {
            let broken = match self.stream.next().await {
                Some(Ok(bytes)) if bytes.is_empty() => continue,
                Some(Ok(bytes)) if bytes.len() as u64 <= self.rest.end - self.rest.start => {
                    self.rest.start += bytes.len() as u64;
                    self.resumes = 0;
                    return Ok(Some(bytes));
                }
                Some(Ok(_)) => return Err(broken("more bytes than it announced")),
                Some(Err(error)) => error,
                None => broken("an end before the announced one"),
            };
            self.resume(broken).await?;
        }
        Ok(None)
    }

    /// Everything that is left.
    pub(super) async fn collect(mut self) -> Result<Bytes> {
        let expected = (self.rest.end - self.rest.start) as usize;
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        if first.len() == expected {
            return Ok(first);
        }
        // What a server announces is a claim: the buffer grows with what really comes.
        let mut all = Vec::with_capacity(expected.min(64 << 20));
        all.extend_from_slice(&first);
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.into())
    }

    async fn resume(&mut self, error: Error) -> Result<()> {
        self.resumes += 1;
        if self.resumes > MOST_RESUMES {
            return Err(error);
        }
        super::remote::pause(self.resumes).await;
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.rest.clone())),
            if_match: self.version.e_tag.clone(),
            ..GetOptions::default()
        };
        let result = self.store.get_opts(&self.path, options).await?;
        let (now, then) = (&result.meta, &self.version);
        if (&now.e_tag, now.size, now.last_modified) != (&then.e_tag, then.size, then.last_modified) {
            return Err(broken("another version of the object, which changed while it was read"));
        }
        self.stream = result.into_stream();
        Ok(())
    }
}

fn broken(found: &'static str) -> Error {
    Error::Generic { store: "source", source: found.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait_store::Breaking;
    use futures::executor::block_on;
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};

    /// A store whose bodies end after a few bytes.
    mod async_trait_store {
        use super::*;
        use futures::future::BoxFuture;
        use object_store::{
            CopyOptions, GetResultPayload, ListResult, MultipartUpload, PutMultipartOptions, PutOptions,
            PutResult,
        };

        #[derive(Debug)]
        pub(super) struct Breaking {
            pub(super) inner: InMemory,
            /// Bytes that each body yields before it breaks.
            pub(super) after: usize,
        }

        impl std::fmt::Display for Breaking {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("breaking")
            }
        }

        type Future<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = Result<T>> + Send + 'a>>;

        impl ObjectStore for Breaking {
            fn put_opts<'a, 'b, 'c>(
                &'a self,
                location: &'b ObjectPath,
                payload: PutPayload,
                options: PutOptions,
            ) -> Future<'c, PutResult>
            where
                'a: 'c,
                'b: 'c,
                Self: 'c,
            {
                self.inner.put_opts(location, payload, options)
            }

            fn put_multipart_opts<'a, 'b, 'c>(
                &'a self,
                location: &'b ObjectPath,
                options: PutMultipartOptions,
            ) -> Future<'c, Box<dyn MultipartUpload>>
            where
                'a: 'c,
                'b: 'c,
                Self: 'c,
            {
                self.inner.put_multipart_opts(location, options)
            }

            fn get_opts<'a, 'b, 'c>(
                &'a self,
                location: &'b ObjectPath,
                options: GetOptions,
            ) -> Future<'c, GetResult>
            where
                'a: 'c,
                'b: 'c,
                Self: 'c,
            {
                let got: BoxFuture<'c, _> = Box::pin(async move {
                    let got = self.inner.get_opts(location, options).await?;
                    let (meta, range, attributes, extensions) =
                        (got.meta.clone(), got.range.clone(), got.attributes.clone(), got.extensions.clone());
                    let bytes = got.bytes().await?;
                    let mut pieces = vec![Ok(bytes.slice(..bytes.len().min(self.after)))];
                    if bytes.len() > self.after {
                        pieces.push(Err(broken("a cut connection")));
                    }
                    let payload = GetResultPayload::Stream(Box::pin(futures::stream::iter(pieces)));
                    Ok(GetResult { payload, meta, range, attributes, extensions })
                });
                got
            }

            fn delete_stream(
                &self,
                locations: BoxStream<'static, Result<ObjectPath>>,
            ) -> BoxStream<'static, Result<ObjectPath>> {
                self.inner.delete_stream(locations)
            }

            fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
                self.inner.list(prefix)
            }

            fn list_with_delimiter<'a, 'b, 'c>(
                &'a self,
                prefix: Option<&'b ObjectPath>,
            ) -> Future<'c, ListResult>
            where
                'a: 'c,
                'b: 'c,
                Self: 'c,
            {
                self.inner.list_with_delimiter(prefix)
            }

            fn copy_opts<'a, 'b, 'c, 'd>(
                &'a self,
                from: &'b ObjectPath,
                to: &'c ObjectPath,
                options: CopyOptions,
            ) -> Future<'d, ()>
            where
                'a: 'd,
                'b: 'd,
                'c: 'd,
                Self: 'd,
            {
                self.inner.copy_opts(from, to, options)
            }
        }
    }

    fn store(after: usize) -> (Arc<dyn ObjectStore>, ObjectPath, Vec<u8>) {
        let bytes: Vec<u8> = (0..200).collect();
        let (store, path) = (Breaking { inner: InMemory::new(), after }, ObjectPath::from("x"));
        block_on(store.inner.put(&path, bytes.clone().into())).unwrap();
        (Arc::new(store), path, bytes)
    }

    #[test]
    fn a_body_goes_on_at_the_byte_where_it_broke() {
        for range in [None, Some(3..187)] {
            let (store, path, bytes) = store(17);
            let read =
                block_on(async { Body::open(store, path, range.clone()).await?.collect().await }).unwrap();
            let range = range.map_or(0..200, |range: Range<u64>| range.start as usize..range.end as usize);
            assert_eq!(read, bytes[range]);
        }
    }

    #[test]
    fn a_body_that_yields_nothing_is_given_up() {
        let (store, path, _) = store(0);
        let error = block_on(async { Body::open(store, path, None).await?.collect().await }).unwrap_err();
        assert!(error.to_string().contains("a cut connection"), "{error}");
    }
}
