//! `bonfire export`: a trained model's weights for another program to read.

use crate::args::ExportArguments;
use crate::pretrained;
use crate::registry::VisitModel;
use crate::run::Run;
use anyhow::Result;
use bonfire_models::Architecture;

/// Runs the subcommand.
pub fn export(arguments: &ExportArguments) -> Result<()> {
    let run = Run::open(&arguments.run, Some("cpu"))?;
    let tensors = run.visit(Export(arguments))?;
    println!("{tensors} tensors by {} names: {}", arguments.names, arguments.output.display());
    Ok(())
}

struct Export<'a>(&'a ExportArguments);

impl VisitModel for Export<'_> {
    type Output = usize;

    fn visit<A: Architecture>(self, model: A::Model, config: A) -> Result<usize> {
        pretrained::export(&model, &self.0.names, &config.names_elsewhere(), &self.0.output)
    }
}
