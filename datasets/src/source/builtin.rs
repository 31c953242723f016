//! The sets embedded in the binary, as an object store in memory. `builtin/SOURCES.md` names the
//! origin and the licence of each.

use crate::DataError;
use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::sync::{Arc, LazyLock};

/// Every embedded file: its name below `builtin:`, and its bytes. Sorted by name.
const FILES: [(&str, &[u8]); 9] = [
    ("adult.data.gz", include_bytes!("../../builtin/adult.data.gz")),
    ("adult.test.gz", include_bytes!("../../builtin/adult.test.gz")),
    ("diamonds.csv.gz", include_bytes!("../../builtin/diamonds.csv.gz")),
    (
        "fashion-mnist-small/t10k-images-idx3-ubyte.gz",
        include_bytes!("../../builtin/fashion-mnist-small-t10k-images-idx3-ubyte.gz"),
    ),
    (
        "fashion-mnist-small/t10k-labels-idx1-ubyte.gz",
        include_bytes!("../../builtin/fashion-mnist-small-t10k-labels-idx1-ubyte.gz"),
    ),
    (
        "fashion-mnist-small/train-images-idx3-ubyte.gz",
        include_bytes!("../../builtin/fashion-mnist-small-train-images-idx3-ubyte.gz"),
    ),
    (
        "fashion-mnist-small/train-labels-idx1-ubyte.gz",
        include_bytes!("../../builtin/fashion-mnist-small-train-labels-idx1-ubyte.gz"),
    ),
    ("shakespeare.txt.gz", include_bytes!("../../builtin/shakespeare-9.txt.gz")),
    ("sms-spam.csv.gz", include_bytes!("../../builtin/sms-spam.csv.gz")),
];

/// All embedded files. The store points at the binary's own bytes and copies none.
pub(super) fn store() -> Arc<dyn ObjectStore> {
    static STORE: LazyLock<Arc<InMemory>> = LazyLock::new(|| {
        let store = InMemory::new();
        for (name, bytes) in FILES {
            block_on(store.put(&ObjectPath::from(name), PutPayload::from_static(bytes)))
                .expect("putting into memory cannot fail");
        }
        Arc::new(store)
    });
    STORE.clone()
}

/// The names below `builtin:`.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// True where embedded files lie below `name`.
pub(super) fn is_folder(name: &str) -> bool {
    names().any(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
}

/// The store's name of an embedded file.
pub(super) fn object(uri: &str, name: &str) -> Result<ObjectPath, DataError> {
    if names().any(|known| known == name) {
        return Ok(ObjectPath::from(name));
    }
    let known = names().collect::<Vec<_>>().join(", ");
    Err(DataError::unreachable(uri, format!("builtin: and one of {known}"), format!("{name:?}")))
}
