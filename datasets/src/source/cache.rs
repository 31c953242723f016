//! The folder of this machine for what can be made again: indices of places that cannot be written
//! to, shards that had to be unpacked, and what was read across a network.

use bonfire_contract::mix;
use std::path::PathBuf;

/// `$BONFIRE_CACHE`, or `bonfire` in the user's cache folder, or in the temporary one.
fn root() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("BONFIRE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("bonfire")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/bonfire")))
        .unwrap_or_else(|| std::env::temp_dir().join("bonfire"))
}

/// The folder of everything of one `kind`.
pub(crate) fn folder(kind: &str) -> PathBuf {
    root().join(kind)
}

/// The path that `name` of the object, set or run `uri` is kept at, below `kind`.
pub fn path(kind: &str, uri: &str, name: &str) -> PathBuf {
    let hash = uri.bytes().fold(0, |hash, byte| mix(hash, u64::from(byte)));
    folder(kind).join(format!("{hash:016x}-{name}"))
}
