//! `bonfire export`: a trained model's weights for another program to read.

use crate::args::ExportArguments;
use crate::feed::Fed;
use crate::pretrained;
use crate::registry::{Built, Visit};
use crate::run::Run;
use anyhow::Result;
use bonfire_contract::Task;

/// Runs the subcommand.
pub fn export(arguments: &ExportArguments) -> Result<()> {
    let run = Run::open(&arguments.run, Some("cpu"))?;
    let tensors = run.visit(Export(arguments))?;
    println!("{tensors} tensors by {} names: {}", arguments.names, arguments.output.display());
    Ok(())
}

struct Export<'a>(&'a ExportArguments);

impl Visit for Export<'_> {
    type Output = usize;

    fn visit<M: Task>(self, model: M, built: Built) -> Result<usize>
    where
        M::Input: Fed,
    {
        pretrained::export(&model, &self.0.names, &built.names, &self.0.output)
    }
}
