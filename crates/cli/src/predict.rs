//! `bonfire predict`: one JSON object a line for each picture, row or text.

use crate::args::PredictArguments;
use crate::feed::{AnyLoader, Fed, Unwrapped};
use crate::generate;
use crate::registry::{Built, Visit};
use crate::run::Run;
use crate::sets::Schema;
use anyhow::{Context, Result, bail};
use bonfire_contract::{Input, Loader, Output, Position, Task};
use bonfire_datasets::text::TextTask;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write, stdout};

/// Runs the subcommand.
pub fn predict(arguments: &PredictArguments) -> Result<()> {
    let run = Run::open(&arguments.run, arguments.device.as_deref())?;
    let Some(path) = &arguments.output else {
        return answer_all(&run, arguments, &mut BufWriter::new(stdout().lock()));
    };
    // Written beside and renamed, so that a mistake leaves the file that was there.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let refused = || format!("{}: expected a file to write, found it refused", path.display());
    let file = File::create(&beside).with_context(refused)?;
    let written = answer_all(&run, arguments, &mut BufWriter::new(file))
        .and_then(|()| std::fs::rename(&beside, path).with_context(refused));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// Writes one JSON object a line for each input.
fn answer_all(run: &Run, arguments: &PredictArguments, out: &mut dyn Write) -> Result<()> {
    match &run.schema {
        Schema::Text(schema) if schema.task == TextTask::LanguageModel => {
            generate::generate(run, schema, arguments, out)?;
        }
        _ => {
            let given = [
                ("--tokens", arguments.tokens.is_some()),
                ("--temperature", arguments.temperature.is_some()),
                ("--top-k", arguments.top_k.is_some()),
                ("--seed", arguments.seed.is_some()),
            ];
            if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
                bail!("{option}: expected a run of a language model, found a '{}'", run.recipe.model);
            }
            let (data, names) = run.recipe.data.open_prediction(&run.schema, &arguments.inputs)?;
            run.visit(Answer { run, data: &data, names: &names, out })?;
            if data.skipped() > 0 {
                eprintln!("warning: {} inputs could not be read and have no answer", data.skipped());
            }
        }
    }
    Ok(out.flush()?)
}

struct Answer<'a> {
    run: &'a Run,
    data: &'a AnyLoader,
    names: &'a [String],
    out: &'a mut dyn Write,
}

impl Visit for Answer<'_> {
    type Output = ();

    fn visit<M: Task>(self, model: M, _: Built) -> Result<()>
    where
        M::Input: Fed,
    {
        let mut names = self.names.iter();
        let batch_size = self.run.recipe.train.evaluate_batch_size;
        let loader = Unwrapped(self.data.as_ref());
        for batch in Loader::<M::Input>::batches(&loader, Position::default(), batch_size, &self.run.device) {
            let batch = batch?;
            let samples = batch.input.len();
            let answers = answers(model.predict(batch.input), self.run)?;
            anyhow::ensure!(
                answers.len() == samples,
                "the model gave {} answers for {samples} inputs",
                answers.len()
            );
            // The answers end first: a name taken for none of them would be lost to the next batch.
            for (answer, name) in answers.into_iter().zip(names.by_ref()) {
                let mut line = Map::from_iter([("input".to_string(), Value::from(name.as_str()))]);
                line.extend(answer);
                serde_json::to_writer(&mut *self.out, &line)?;
                self.out.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

/// One object a sample: label and probabilities, a value in the target's unit, or the
/// reconstruction error.
fn answers(output: Output, run: &Run) -> Result<Vec<Map<String, Value>>> {
    Ok(match output {
        Output::Logits(logits) => {
            let labels = run.schema.labels();
            rows(softmax(logits, 1))?.into_iter().map(|row| class(&row, labels)).collect()
        }
        Output::Values(values) => {
            let scale = run.schema.value_scale();
            let unit = |value: f32| match &scale {
                Some(scale) => f64::from(value) * scale.std + scale.mean,
                None => f64::from(value),
            };
            rows(values)?
                .into_iter()
                .map(|row| match row[..] {
                    [value] => Map::from_iter([("value".to_string(), json!(unit(value)))]),
                    _ => Map::from_iter([("values".to_string(), row.into_iter().map(unit).collect())]),
                })
                .collect()
        }
        Output::Reconstruction { output, input } => {
            let error = (output - input).square().mean_dim(1); // [B, 1]
            let errors = rows(error)?;
            errors
                .into_iter()
                .map(|row| Map::from_iter([("reconstruction_error".to_string(), json!(row[0]))]))
                .collect()
        }
        Output::TokenLogits(_) => unreachable!("language models generate"),
    })
}

fn class(probabilities: &[f32], labels: &[String]) -> Map<String, Value> {
    let best =
        (0..probabilities.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).unwrap_or(0);
    let label = |index: usize| labels.get(index).cloned().unwrap_or_else(|| index.to_string());
    let all: Map<String, Value> = probabilities
        .iter()
        .enumerate()
        .map(|(index, probability)| (label(index), json!(probability)))
        .collect();
    Map::from_iter([
        ("label".to_string(), json!(label(best))),
        ("probability".to_string(), json!(probabilities[best])),
        ("probabilities".to_string(), Value::Object(all)),
    ])
}

/// The rows of a tensor `[B, K]` on the host.
fn rows(tensor: Tensor<2>) -> Result<Vec<Vec<f32>>> {
    let [_, width] = tensor.dims();
    let values = tensor.into_data().convert::<f32>().try_to_vec::<f32>()?;
    Ok(values.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_names_its_label_and_all_probabilities() {
        let labels = ["ham".to_string(), "spam".to_string()];
        let answer = class(&[0.25, 0.75], &labels);
        assert_eq!(
            Value::Object(answer),
            json!({ "label": "spam", "probability": 0.75, "probabilities": { "ham": 0.25, "spam": 0.75 } })
        );
    }
}
