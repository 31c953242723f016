//! The program's arguments as typed.

use crate::cases;
use crate::peers::Peer;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measure training steps, predictions and single ops, beside PyTorch and beside the machine's limits.
#[derive(Debug, Parser)]
#[command(name = "bonfire-bench", version, arg_required_else_help = true)]
pub struct Arguments {
    /// Number of threads that compute [default: the number of processors].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Milliseconds per training step: gradient reset, forward, backward, SGD.
    #[command(after_long_help = cases::help())]
    Steps(Chosen),
    /// Milliseconds per training step of an MPI job, in which every rank trains on a batch of the case's
    /// size: `mpirun -n 2 bonfire-bench ranks --threads 1` in a build with the feature `mpi`.
    #[command(after_long_help = cases::help())]
    Ranks(RanksArguments),
    /// Milliseconds per prediction of 1, 8 and 32 samples, without autodiff.
    #[command(after_long_help = cases::help())]
    Infer(Chosen),
    /// GFLOP/s and GB/s of each op, forward and backward, beside the machine's ceilings.
    Ops(OpsArguments),
    /// Draw the ops under the machine's ceilings, as SVG.
    Roofline(RooflineArguments),
    /// Run PyTorch, or other engines, and Bonfire in turn, and print a Markdown table of all.
    #[command(after_long_help = cases::help())]
    Compare(CompareArguments),
}

#[derive(Args, Debug)]
pub struct Chosen {
    /// Cases; all when none is named (`--help` lists them).
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
    /// The device, as `bonfire devices` lists them.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub device: String,
}

#[derive(Args, Debug)]
pub struct RanksArguments {
    /// Cases; all when none is named.
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// Size of a rank's batch, as a multiple of the case's batch.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub times: u16,
    /// Least number of measured steps; short steps want many [default: three times as many as `steps`
    /// measures].
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub steps: usize,
}

#[derive(Args, Debug)]
pub struct OpsArguments {
    /// Ops; all when none is named.
    #[arg(value_name = "OP")]
    pub ops: Vec<String>,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct RooflineArguments {
    /// Ops; all when none is named.
    #[arg(value_name = "OP")]
    pub ops: Vec<String>,
    /// The file to write.
    #[arg(short, long, value_name = "FILE.svg")]
    pub output: PathBuf,
}

#[derive(Args, Debug)]
pub struct CompareArguments {
    /// Cases; all when none is named.
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// A Python interpreter that has PyTorch.
    #[arg(long, value_name = "PYTHON")]
    pub torch: PathBuf,
    /// PyTorch's side of the training steps.
    #[arg(long, value_name = "FILE", default_value = "../shared/bench/torch_steps.py")]
    pub script: PathBuf,
    /// Compare predictions instead of training steps; the peers' sides are built in.
    #[arg(long, conflicts_with = "script")]
    pub infer: bool,
    /// The peers in predictions: the interpreter has to have them, and ONNX to export for those that are not PyTorch.
    #[arg(
        long,
        value_name = "PEER",
        value_enum,
        value_delimiter = ',',
        default_value = "torch",
        requires = "infer"
    )]
    pub peers: Vec<Peer>,
    /// Rounds: in each, both sides run once.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Write the figures to a file, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_parses() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        for line in [
            "bonfire-bench steps",
            "bonfire-bench steps mlp_b128 gpt_b12_t64_d128_l4 --json --threads 1 --device flex",
            "bonfire-bench infer --json",
            "bonfire-bench ranks --threads 1 mlp_b128 --times 4 --steps 2000",
            "bonfire-bench --threads 2 ops linear_gelu --json",
            "bonfire-bench roofline -o roofline.svg",
            "bonfire-bench compare --torch python3 --script steps.py mlp_b128 --rounds 5 --json out.json",
            "bonfire-bench compare --torch python3 --infer",
            "bonfire-bench compare --torch python3 --infer --peers onnxruntime,openvino,torch mlp_b8",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        assert_eq!(parse("bonfire-bench steps --threads 3").unwrap().threads, Some(3));
        for line in [
            "bonfire-bench steps --threads 0",
            "bonfire-bench compare",
            "bonfire-bench compare --torch python3 --rounds 0",
            "bonfire-bench compare --torch python3 --infer --script steps.py",
            "bonfire-bench compare --torch python3 --peers onnxruntime",
            "bonfire-bench compare --torch python3 --infer --peers tvm",
            "bonfire-bench roofline",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
