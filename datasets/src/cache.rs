//! The folder of this machine for what can be made again: indices of places that cannot be written
//! to, and shards that had to be unpacked.

use crate::random::mix;
use std::path::PathBuf;

/// `$BONFIRE_CACHE`, or `bonfire` in the user's cache folder, or in the temporary one.
fn root() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("BONFIRE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("bonfire")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/bonfire")))
        .unwrap_or_else(|| std::env::temp_dir().join("bonfire"))
}

/// Where `name` of the object or set `uri` is kept, below `kind`.
pub(crate) fn path(kind: &str, uri: &str, name: &str) -> PathBuf {
    let hash = uri.bytes().fold(0, |hash, byte| mix(hash, u64::from(byte)));
    root().join(kind).join(format!("{hash:016x}-{name}"))
}
