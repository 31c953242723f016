//! The other side of a comparison: PyTorch, and the engines that predict with what it exports.
//!
//! ```text
//! PyTorch --exports, once a case--> FOLDER/CASE.onnx, its input and its answer -> ONNX Runtime, OpenVINO
//! ```
//!
//! Every measurement is a process of its own, and one of another engine does not load PyTorch: its memory is the
//! engine's.

use crate::args::CompareArguments;
use crate::figures::Figures;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The models, in PyTorch.
macro_rules! models {
    () => {
        concat!(include_str!("../torch_resnet20.py"), include_str!("../torch_models.py"))
    };
}

/// PyTorch's side of predictions.
const INFER: &str = concat!(include_str!("../infer.py"), models!(), include_str!("../torch_infer.py"));

/// PyTorch's export of a model.
const EXPORT: &str = concat!(models!(), include_str!("../torch_export.py"));

/// The other engines' side of predictions.
const ONNX: &str = concat!(include_str!("../infer.py"), include_str!("../onnx_infer.py"));

/// PyTorch's side of the training steps that the usual script lacks.
const STEPS: &str = concat!(include_str!("../torch_resnet20.py"), include_str!("../torch_steps.py"));

/// The cases of [`STEPS`].
const BUILT_IN: [&str; 2] = ["resnet20_b128_28", "efficientnet_b0_b8_224"];

/// A program that Bonfire is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// PyTorch as it is
    Torch,
    /// PyTorch by `torch.compile`
    TorchCompiled,
    /// ONNX Runtime
    #[value(name = "onnxruntime")]
    OnnxRuntime,
    /// OpenVINO
    #[value(name = "openvino")]
    OpenVino,
}

impl Peer {
    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Peer::Torch => "PyTorch",
            Peer::TorchCompiled => "PyTorch compiled",
            Peer::OnnxRuntime => "ONNX Runtime",
            Peer::OpenVino => "OpenVINO",
        }
    }

    /// The name in files and on command lines.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    fn needs_export(self) -> bool {
        matches!(self, Peer::OnnxRuntime | Peer::OpenVino)
    }

    /// Runs a case in a process of its own. What PyTorch exports for it lies in `folder`, and stays there.
    ///
    /// # Errors
    /// When the process fails or prints no figures of the case.
    pub(crate) fn measure(
        self,
        arguments: &CompareArguments,
        case: &str,
        threads: usize,
        folder: &Path,
    ) -> Result<Figures> {
        if self.needs_export() && !folder.join(case).with_extension("npy").exists() {
            let mut command = Command::new(&arguments.torch);
            command.args(["-c", EXPORT]).arg(folder).arg(case).stdout(Stdio::null());
            let what = || format!("{} torch_export.py {case}", arguments.torch.display());
            let status = command.status().with_context(what)?;
            if !status.success() {
                bail!("{}: expected an exported model, found {status}", what());
            }
        }
        let mut command = Command::new(&arguments.torch);
        let script: &Path = match (arguments.infer, BUILT_IN.contains(&case)) {
            (true, _) if self.needs_export() => {
                command.args(["-c", ONNX, &self.name()]).arg(folder);
                Path::new("onnx_infer.py")
            }
            (true, _) => {
                command.args(["-c", INFER, &self.name()]);
                Path::new("torch_infer.py")
            }
            (false, true) => {
                command.args(["-c", STEPS]);
                Path::new("torch_steps.py")
            }
            (false, false) => {
                command.arg(&arguments.script);
                &arguments.script
            }
        };
        let what = || format!("{} {} {case}", arguments.torch.display(), script.display());
        command.arg(case).env("OMP_NUM_THREADS", threads.to_string()).env("PYTHONWARNINGS", "ignore");
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(what)?;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let found = lines.find_map(|line| serde_json::from_str::<Figures>(&line.ok()?).ok());
        if found.is_some() {
            // The script of training steps goes on to build every later model, which the case does not need.
            child.kill().with_context(what)?;
        }
        let status = child.wait().with_context(what)?;
        match found {
            Some(figures) if figures.case == case => Ok(figures),
            Some(figures) => bail!("{}: expected figures of '{case}', found '{}'", what(), figures.case),
            None => bail!("{}: expected a line of figures, found none ({status})", what()),
        }
    }
}
