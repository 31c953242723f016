//! The fate of samples that cannot be read.

use crate::DataError;
use serde::{Deserialize, Serialize};

/// The answer to a sample that is corrupt. One whose source cannot be reached, or that the recipe's keys do not
/// fit, stops, whatever the answer; one that is no text in its encoding is left out where the recipe says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCorrupt {
    /// Stop with the sample's error.
    #[default]
    Stop,
    /// Leave it out and count it.
    Skip,
}

impl OnCorrupt {
    /// True where a sample with this error is left out.
    pub(crate) fn skips(self, error: &DataError) -> bool {
        match error {
            DataError::Unreachable { .. } | DataError::Config { .. } | DataError::Memory { .. } => false,
            DataError::Undecodable { left_out: true, .. } => true,
            _ => self == OnCorrupt::Skip,
        }
    }

    /// The fate of a sample that cannot be read: counted in `skipped`, where it is left out.
    ///
    /// # Errors
    /// Its own, where it stops.
    pub(crate) fn refuse(self, error: DataError, skipped: &mut u64) -> Result<(), DataError> {
        if !self.skips(&error) {
            return Err(error);
        }
        *skipped += 1;
        Ok(())
    }
}
