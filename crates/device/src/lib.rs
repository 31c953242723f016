//! Device names to Burn devices. Only this crate names backends. A cargo feature of the same name compiles a
//! backend in, and a name such as `cpu`, `wgpu:0` or `cuda:1` picks one at run time.

use bonfire_contract::{did_you_mean, nearest};
use burn::tensor::Device;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

mod backend;
use backend::Backend;

/// The device index that `rank` stands for in a device's name.
static RANK: AtomicUsize = AtomicUsize::new(0);

/// Sets the device index that `rank` stands for, as in `cuda:rank`: this process's number among the job's
/// processes on this machine. The default is 0.
pub fn set_rank_on_this_host(rank: usize) {
    RANK.store(rank, Ordering::Relaxed);
}

/// A parsed device name: a backend and, if one was typed, the device's index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceName {
    backend: Backend,
    index: Option<usize>,
}

/// The reason why a device name opens nothing.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// No backend has this name.
    #[error("device '{name}': expected one of {known}{suggestion}")]
    Unknown {
        /// The name as typed.
        name: String,
        /// The known names.
        known: String,
        /// The nearest known name, as a phrase, or nothing.
        suggestion: String,
    },
    /// The part after the colon is not an index.
    #[error("device '{name}': expected a device index after ':', or 'rank', found '{index}'")]
    Index {
        /// The name as typed.
        name: String,
        /// The part after the colon.
        index: String,
    },
    /// The backend exists but is not compiled into this build.
    #[error(
        "device '{name}' is not compiled in: build with `cargo build --release --features {feature}` (this \
         build has: {present})"
    )]
    NotCompiled {
        /// The name as typed.
        name: String,
        /// The cargo feature that compiles it in.
        feature: &'static str,
        /// The backends of this build.
        present: String,
    },
    /// The backend has fewer devices.
    #[error(
        "device '{name}': expected an index below {count}, the number of {backend} devices here, found {index}"
    )]
    Absent {
        /// The name as typed.
        name: String,
        /// The backend's name.
        backend: &'static str,
        /// The number of devices the backend sees.
        count: usize,
        /// The requested index.
        index: usize,
    },
    /// None of this build's backends finds a device.
    #[error("expected a device of one of this build's backends ({present}), found none on this machine")]
    Nothing {
        /// The backends of this build.
        present: String,
    },
}

impl DeviceName {
    /// Reads `cpu`, `flex`, `ndarray`, `wgpu`, `wgpu:0`, `cuda:1`, `cuda:rank`, …
    ///
    /// # Errors
    /// When no backend has the name, when the index is not a number, and when the backend has only one device
    /// and the index is not 0.
    pub fn parse(name: &str) -> Result<Self, DeviceError> {
        let (backend_name, index) = match name.split_once(':') {
            Some((backend, index)) => (backend, Some(index)),
            None => (name, None),
        };
        let backend = match backend_name {
            "cpu" => Backend::cpu(),
            _ => Backend::ALL
                .into_iter()
                .find(|backend| backend.name() == backend_name)
                .ok_or_else(|| unknown(name))?,
        };
        let index = index
            .map(|index| match index {
                "rank" => Ok(RANK.load(Ordering::Relaxed)),
                _ => index
                    .parse::<usize>()
                    .map_err(|_| DeviceError::Index { name: name.to_string(), index: index.to_string() }),
            })
            .transpose()?;
        Ok(DeviceName { backend, index })
    }

    /// True for a CPU backend. It computes each op before the call returns, so reading a result waits for
    /// nothing else.
    pub fn is_cpu(self) -> bool {
        matches!(self.backend, Backend::Flex | Backend::NdArray)
    }

    /// Opens the device, without autodiff.
    ///
    /// # Errors
    /// When the backend is not compiled in, or the machine has no such device.
    pub fn open(self) -> Result<Device, DeviceError> {
        if !self.backend.compiled() {
            return Err(DeviceError::NotCompiled {
                name: self.to_string(),
                feature: self.backend.name(),
                present: compiled_names().join(", "),
            });
        }
        let mut devices = self.backend.devices();
        let index = self.index.unwrap_or(0);
        if index >= devices.len() {
            return Err(DeviceError::Absent {
                name: self.to_string(),
                backend: self.backend.name(),
                count: devices.len(),
                index,
            });
        }
        Ok(devices.swap_remove(index))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}:{index}", self.backend.name()),
            None => f.write_str(self.backend.name()),
        }
    }
}

/// Opens a device by name, without autodiff: `open("cpu")?.autodiff()` trains.
///
/// # Errors
/// See [`DeviceName::parse`] and [`DeviceName::open`].
pub fn open(name: &str) -> Result<Device, DeviceError> {
    DeviceName::parse(name)?.open()
}

/// The first device of this build: the CPU if the build has a CPU backend.
///
/// # Errors
/// When the machine has no device of any backend of this build.
pub fn first() -> Result<Device, DeviceError> {
    let mut devices = Backend::ALL.into_iter().flat_map(Backend::devices);
    devices.next().ok_or_else(|| DeviceError::Nothing { present: compiled_names().join(", ") })
}

/// One line of `bonfire devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The name for `--device`.
    pub name: String,
    /// The backend in words, for people.
    pub description: &'static str,
    /// The cargo feature that compiles it in.
    pub feature: &'static str,
    /// `Some(n)`: compiled in, with `n` devices on this machine. `None`: not compiled in.
    pub devices: Option<usize>,
}

/// Every backend Bonfire knows, with its state in this build and on this machine.
pub fn list() -> Vec<Listing> {
    Backend::ALL
        .into_iter()
        .map(|backend| Listing {
            name: backend.name().to_string(),
            description: backend.description(),
            feature: backend.name(),
            devices: backend.compiled().then(|| backend.devices().len()),
        })
        .collect()
}

fn compiled_names() -> Vec<&'static str> {
    Backend::ALL.into_iter().filter(|backend| backend.compiled()).map(Backend::name).collect()
}

fn unknown(name: &str) -> DeviceError {
    let known: Vec<&str> =
        std::iter::once("cpu").chain(Backend::ALL.into_iter().map(Backend::name)).collect();
    let typed = name.split(':').next().unwrap_or(name);
    let suggestion = did_you_mean(nearest(typed, known.iter().copied()));
    DeviceError::Unknown { name: name.to_string(), known: known.join(", "), suggestion }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_opens_and_says_no_autodiff() {
        assert!(!open("cpu").unwrap().is_autodiff());
    }

    #[test]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        if let Err(error) = open("cuda:1") {
            let text = error.to_string();
            assert!(text.contains("--features cuda") || text.contains("devices of cuda"), "{text}");
        }
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion() {
        let text = DeviceName::parse("wpgu:0").unwrap_err().to_string();
        assert!(text.contains("did you mean 'wgpu'?"), "{text}");
    }

    #[test]
    fn an_index_must_be_a_number_and_there() {
        assert!(matches!(DeviceName::parse("cuda:first"), Err(DeviceError::Index { .. })));
        assert!(matches!(open("cpu:7"), Err(DeviceError::Absent { count: 1, .. })));
    }

    #[test]
    fn every_backend_is_listed_once() {
        let names: Vec<String> = list().into_iter().map(|listing| listing.name).collect();
        assert_eq!(names, ["flex", "ndarray", "wgpu", "vulkan", "metal", "cuda", "rocm", "tch"]);
    }
}
