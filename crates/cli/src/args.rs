//! The arguments, as they are typed.

use crate::data::DataCommand;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Train image, text and table models, on a laptop's CPU or a GPU.
#[derive(Debug, Parser)]
#[command(name = "bonfire", version, arg_required_else_help = true)]
pub struct Arguments {
    /// Threads that compute; as many as there are processors when absent. Those that read data
    /// (`data.workers`) come on top.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// The memory that data may take where they are held, such as 8GB; four fifths of the machine's, or of what
    /// its control group may take, when absent. BONFIRE_MEMORY says it, too.
    #[arg(long, global = true, value_name = "SIZE")]
    pub max_memory: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model by a recipe: a TOML file, or a built-in name (`bonfire recipes` lists them).
    Train(TrainArguments),
    /// Measure a trained model on its test set, or on other data.
    Evaluate(EvaluateArguments),
    /// Answer for pictures, rows or texts, as JSON lines, CSV or Parquet; or write text with a language model.
    Predict(PredictArguments),
    /// Look at data, and write a recipe for them to begin with.
    Init(InitArguments),
    /// Write a trained model's weights as torchvision or timm name them, for PyTorch to read.
    Export(ExportArguments),
    /// List the architectures, or one of them with its options, parameters and sizes.
    Models {
        /// An architecture, such as `cnn`.
        name: Option<String>,
    },
    /// List the built-in recipes, or print one.
    Recipes {
        /// A recipe, such as `fashion`.
        name: Option<String>,
    },
    /// List the devices of this build and this machine.
    Devices,
    /// Pack, index, verify, inspect and measure data that training streams.
    #[command(subcommand)]
    Data(DataCommand),
}

#[derive(Args, Debug)]
pub struct TrainArguments {
    /// A TOML file or a built-in recipe; may be left out with --resume.
    #[arg(required_unless_present = "resume")]
    pub recipe: Option<String>,
    /// Change one key of the recipe; the value is TOML. Repeatable.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// cpu, ndarray, wgpu[:n], vulkan[:n], metal[:n], cuda[:n], rocm[:n] or tch[:n]; `rank` for n is the
    /// number of the process among those of an MPI job on its machine.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// The run folder, which may lie in a bucket (s3://…); by default runs/ and the recipe's name, numbered
    /// when taken.
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Go on from the last checkpoint of the run folder.
    #[arg(long)]
    pub resume: bool,
    /// How long a rank of an MPI job waits for the others before it ends the job.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
}

#[derive(Args, Debug)]
pub struct EvaluateArguments {
    /// A run folder, which may lie in a bucket.
    pub run: PathBuf,
    /// Data of the same kind as the run's, instead of its test set.
    #[arg(long, value_name = "URI")]
    pub data: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Crops of each picture, whose probabilities are averaged: 1 (the centre), 5 (and the corners) or 10
    /// (and the mirrors of these); by default the recipe's `data.crops`.
    #[arg(long, value_name = "N")]
    pub crops: Option<usize>,
    /// The page to write, with the pictures of the highest loss; by default report.html of the run folder;
    /// none with --data.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The device; by default the one the run was trained on.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
}

#[derive(Args, Debug)]
pub struct InitArguments {
    /// Pictures in class folders or beside a table of their labels, tables, texts, shards: a file, folder, glob or
    /// URI.
    #[arg(value_name = "DATA")]
    pub data: String,
    /// The column to predict; by default the one whose name says so.
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// Test data, in place of a fifth of DATA.
    #[arg(long, value_name = "URI")]
    pub test: Option<String>,
    /// Published weights to begin with, whose architecture is told by their tensors.
    #[arg(long, value_name = "FILE or URI")]
    pub pretrained: Option<String>,
    /// Print every column or class, and the recipe.
    #[arg(long)]
    pub explain: bool,
    /// The recipe to write.
    #[arg(short, long, default_value = "recipe.toml")]
    pub output: PathBuf,
}

#[derive(Args, Debug)]
pub struct ExportArguments {
    /// A run folder, which may lie in a bucket.
    pub run: PathBuf,
    /// Whose names: `torchvision`, `timm`, or `google`, as far as they have the model.
    #[arg(long, default_value = "torchvision", value_name = "LIBRARY")]
    pub names: String,
    /// The safetensors file to write.
    #[arg(short, long, default_value = "model-export.safetensors")]
    pub output: PathBuf,
}

/// The way that answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AnswerFormat {
    /// A JSON object a line.
    Jsonl,
    /// Cells that are separated by commas, under a line of names.
    Csv,
    /// Apache Parquet.
    Parquet,
}

#[derive(Args, Debug)]
pub struct PredictArguments {
    /// A run folder, which may lie in a bucket.
    pub run: PathBuf,
    /// Image files or folders; CSV, JSONL or Parquet files of rows; text files or texts; prompts,
    /// or files of one prompt each, for a language model. A URI is a file, and so is one word that has
    /// a separator of paths or ends as a file of texts does.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Write the answers to a file.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The form of answers: JSON lines, or a table with a column `p_LABEL` for the probability of each
    /// class. By default as the ending of --output says, and JSON lines where it says nothing.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<AnswerFormat>,
    /// Carry columns of the inputs along, such as an id, as their files spell them.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub keep: Vec<String>,
    /// Round probabilities and values to so many digits behind the point; as they are computed by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=17))]
    pub digits: Option<u8>,
    /// Write a page with each picture, its likeliest classes and their probabilities; of the first 500
    /// pictures.
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
    /// Crops of each picture, whose probabilities are averaged: 1 (the centre), 5 (and the corners) or 10
    /// (and the mirrors of these); by default the recipe's `data.crops`.
    #[arg(long, value_name = "N")]
    pub crops: Option<usize>,
    /// The device; by default the one the run was trained on.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// How many tokens a language model writes, 500 by default.
    #[arg(long)]
    pub tokens: Option<usize>,
    /// Randomness of a language model's choice, 0.8 by default: 0 always takes the likeliest token.
    #[arg(long, allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Let a language model choose among the k likeliest tokens only.
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Seeds a language model's choices, 1 by default.
    #[arg(long)]
    pub seed: Option<u64>,
}
