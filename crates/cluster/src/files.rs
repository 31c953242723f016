//! Files from rank 0 to the other ranks, which may not see its disk.

use crate::Communicator;
use std::collections::BTreeMap;

/// Rank 0's files by name, on every rank; the others bring none.
pub fn broadcast_files(
    communicator: &dyn Communicator,
    mine: BTreeMap<String, Vec<u8>>,
) -> BTreeMap<String, Vec<u8>> {
    if communicator.size() == 1 {
        return mine;
    }
    // Each file as its name, a zero, the digits of its length, a zero.
    let names = mine.iter().map(|(name, bytes)| format!("{name}\0{}\0", bytes.len())).collect::<String>();
    let names = communicator.broadcast(0, names.into_bytes());
    let content = communicator.broadcast(0, mine.into_values().collect::<Vec<_>>().concat());
    let names = String::from_utf8(names).expect("the names that rank 0 wrote");
    let mut fields = names.split_terminator('\0');
    let mut rest = content.as_slice();
    let mut files = BTreeMap::new();
    while let (Some(name), Some(length)) = (fields.next(), fields.next()) {
        let (bytes, after) = rest.split_at(length.parse().expect("a length that rank 0 wrote"));
        files.insert(name.to_string(), bytes.to_vec());
        rest = after;
    }
    files
}
