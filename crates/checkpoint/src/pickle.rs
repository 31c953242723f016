//! The tensors that a pickle of PyTorch names. Nothing is executed: of the objects that lie beside the
//! tensors (arguments, an optimizer, numpy's numbers, paths, dates, classes of the script), only what they
//! hold is kept, never what they are.
//!
//! ```text
//! pickle: a program of one-byte opcodes for a stack machine, each followed by its operands
//!     c module\n name\n     a class           q n   the top under number n
//!     X [length: u32 le]    a text            h n   number n again
//!     ( … t    a tuple      ( … u  pairs into the dictionary below      Q  a storage, by a tuple
//!     R  a call: of torch._utils._rebuild_tensor_v2, a tensor           b  the attributes of an object
//! ```
//!
//! Values lie in one list, and containers hold places in it, so that a value that is named twice is held once
//! and a hostile file cannot multiply.

mod machine;
mod rebuild;
mod values;
mod walk;

pub(crate) use values::Described;

use std::collections::BTreeMap;

/// The tensors of a pickle by their names: the keys of dictionaries, the attributes of objects and the places
/// in lists on the way to them, joined by dots.
///
/// # Errors
/// Says in words what the pickle is not.
pub(crate) fn tensors(pickle: &[u8]) -> Result<BTreeMap<String, Described>, String> {
    let (values, root) = machine::run(pickle)?;
    walk::named(&values, root)
}

#[cfg(test)]
mod tests {
    use super::tensors;
    use super::values::MOST_VALUES;

    #[test]
    fn hostile_pickles_are_errors_and_bounded() {
        let error = |pickle: &[u8]| tensors(pickle).unwrap_err();
        for cut in
            [&b""[..], b"\x80", b"X\xff\xff\xff\xffab", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab", b"cabc\n"]
        {
            error(cut);
        }
        assert_eq!(error(b"."), "a value on the stack");
        assert_eq!(error(b"t."), "a mark on the stack");
        assert_eq!(error(b"h\x07."), "a value that was numbered before");
        assert_eq!(error(b"\x82\x01."), "a known opcode, not 0x82");
        assert!(error(&[b']'].repeat(MOST_VALUES)).contains("at most"));
        // Lists of one list twice, fifty times over: 2^50 names, in 150 bytes.
        let bomb = [&b"]"[..], &b"2\x86".repeat(50), b"."].concat();
        assert!(error(&bomb).contains("at most"));
        // Lists within lists, deeper than anybody's names.
        let deep = [&b"]".repeat(100_000)[..], &b"a".repeat(99_999), b"."].concat();
        assert!(tensors(&deep).unwrap().is_empty());
        // A list that holds itself.
        assert!(tensors(b"]q\x00h\x00a.").unwrap().is_empty());
    }
}
