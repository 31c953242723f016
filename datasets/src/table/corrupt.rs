//! Records that cannot be read, known by their number among all.

use crate::DataError;
use std::cell::RefCell;
use std::ops::ControlFlow;

/// The fate of a record that cannot be read, by its number among all: an error to stop with, or none.
pub(super) type Corrupt<'a> = &'a mut dyn FnMut(u32, DataError) -> ControlFlow<DataError>;

/// Numbers records, the readable and the others alike.
pub(super) struct Counted<'a>(RefCell<(u32, Corrupt<'a>)>);

impl<'a> Counted<'a> {
    pub(super) fn new(corrupt: Corrupt<'a>) -> Self {
        Counted(RefCell::new((0, corrupt)))
    }

    pub(super) fn readable(&self) {
        self.0.borrow_mut().0 += 1;
    }

    pub(super) fn corrupt(&self, error: DataError) -> ControlFlow<DataError> {
        let (number, corrupt) = &mut *self.0.borrow_mut();
        *number += 1;
        corrupt(*number - 1, error)
    }
}
