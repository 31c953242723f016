//! The backends, one match arm each.

use burn::tensor::Device;
#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda",
    feature = "rocm",
    feature = "tch"
))]
use burn::tensor::DeviceType;

/// A Burn backend that a cargo feature of the same name compiles in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Flex,
    NdArray,
    Wgpu,
    Vulkan,
    Metal,
    Cuda,
    Rocm,
    Tch,
}

impl Backend {
    pub(crate) const ALL: [Backend; 8] = [
        Backend::Flex,
        Backend::NdArray,
        Backend::Wgpu,
        Backend::Vulkan,
        Backend::Metal,
        Backend::Cuda,
        Backend::Rocm,
        Backend::Tch,
    ];

    /// The backend that `cpu` stands for: flex, or ndarray in a build without flex.
    pub(crate) fn cpu() -> Backend {
        if !Backend::Flex.compiled() && Backend::NdArray.compiled() {
            Backend::NdArray
        } else {
            Backend::Flex
        }
    }

    /// The backend's name for `--device`, which is also its cargo feature's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Backend::Flex => "flex",
            Backend::NdArray => "ndarray",
            Backend::Wgpu => "wgpu",
            Backend::Vulkan => "vulkan",
            Backend::Metal => "metal",
            Backend::Cuda => "cuda",
            Backend::Rocm => "rocm",
            Backend::Tch => "tch",
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Backend::Flex => "CPU, Burn's fast backend (what `cpu` means)",
            Backend::NdArray => "CPU, the ndarray crate; slow, and deprecated by Burn",
            Backend::Wgpu => "GPU by WebGPU shaders (WGSL): Vulkan, Metal or DirectX 12",
            Backend::Vulkan => "GPU by Vulkan with SPIR-V shaders",
            Backend::Metal => "Apple GPU by Metal shaders",
            Backend::Cuda => "NVIDIA GPU by CUDA",
            Backend::Rocm => "AMD GPU by ROCm",
            Backend::Tch => "LibTorch: CPU (tch), then its CUDA devices; deprecated by Burn",
        }
    }

    pub(crate) fn compiled(self) -> bool {
        match self {
            Backend::Flex => cfg!(feature = "flex"),
            Backend::NdArray => cfg!(feature = "ndarray"),
            Backend::Wgpu => cfg!(feature = "wgpu"),
            Backend::Vulkan => cfg!(feature = "vulkan"),
            Backend::Metal => cfg!(feature = "metal"),
            Backend::Cuda => cfg!(feature = "cuda"),
            Backend::Rocm => cfg!(feature = "rocm"),
            Backend::Tch => cfg!(feature = "tch"),
        }
    }

    /// The backend's devices on this machine; none if it is not compiled in.
    pub(crate) fn devices(self) -> Vec<Device> {
        match self {
            #[cfg(feature = "flex")]
            Backend::Flex => vec![Device::flex()],
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)] // asked for by name, and kept for as long as Burn has it
            Backend::NdArray => vec![Device::ndarray()],
            #[cfg(feature = "wgpu")]
            Backend::Wgpu => Device::enumerate(DeviceType::Wgpu).into_vec(),
            #[cfg(feature = "vulkan")]
            Backend::Vulkan => Device::enumerate(DeviceType::Vulkan).into_vec(),
            #[cfg(feature = "metal")]
            Backend::Metal => Device::enumerate(DeviceType::Metal).into_vec(),
            #[cfg(feature = "cuda")]
            Backend::Cuda => Device::enumerate(DeviceType::Cuda).into_vec(),
            #[cfg(feature = "rocm")]
            Backend::Rocm => Device::enumerate(DeviceType::Rocm).into_vec(),
            #[cfg(feature = "tch")]
            Backend::Tch => Device::enumerate(DeviceType::LibTorch).into_vec(),
            #[allow(unreachable_patterns)] // reached for the backends this build leaves out
            _ => Vec::new(),
        }
    }
}
