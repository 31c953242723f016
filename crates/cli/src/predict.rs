//! `bonfire predict`: one JSON object a line for each picture, row or text.

use crate::args::PredictArguments;
use crate::feed::Unwrapped;
use crate::generate;
use crate::output::OutputFile;
use crate::recipe::Data;
use crate::registry::VisitModel;
use crate::run::Run;
use crate::sets::{InputPart, InputParts, Pictures, Schema};
use crate::sheet::Sheet;
use anyhow::{Result, bail};
use bonfire_contract::{Loader, Output, Position, Task};
use bonfire_datasets::Names;
use bonfire_datasets::text::TextTask;
use bonfire_models::Architecture;
use bonfire_train::average_views;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use serde_json::{Map, Value, json};
use std::io::{BufWriter, Write, stdout};
use std::ops::Range;

/// Runs the subcommand.
pub fn predict(arguments: &PredictArguments) -> Result<()> {
    let run = Run::open(&arguments.run, arguments.device.as_deref())?;
    let Some(path) = &arguments.output else {
        return answer_all(&run, arguments, &mut BufWriter::new(stdout().lock()));
    };
    let mut file = OutputFile::create(path)?;
    answer_all(&run, arguments, &mut file)?;
    file.finish()
}

/// Writes one JSON object a line for each input.
fn answer_all(run: &Run, arguments: &PredictArguments, out: &mut dyn Write) -> Result<()> {
    let data = run.data(arguments.crops)?;
    if let (Some(_), Data::Text(_) | Data::Table(_)) = (&arguments.sheet, &data) {
        bail!("--sheet: expected a run on pictures, found one on {}s", data.kind());
    }
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
            let parts = data.open_prediction(&run.schema, &arguments.inputs)?;
            let sheet = arguments.sheet.as_deref().map(|path| Sheet::create(path, &run.recipe.name));
            let mut answers = Answers { run, out, sheet: sheet.transpose()?, skipped: 0 };
            run.visit(Answer { answers: &mut answers, parts })?;
            if answers.skipped > 0 {
                eprintln!("warning: {} inputs could not be read and have no answer", answers.skipped);
            }
            answers.sheet.map_or(Ok(()), Sheet::finish)?;
        }
    }
    Ok(out.flush()?)
}

/// Where answers go.
struct Answers<'a> {
    run: &'a Run,
    out: &'a mut dyn Write,
    sheet: Option<Sheet>,
    /// Inputs that could not be read.
    skipped: u64,
}

struct Answer<'a, 'b> {
    answers: &'a mut Answers<'b>,
    parts: InputParts,
}

impl VisitModel for Answer<'_, '_> {
    type Output = ();

    fn visit<A: Architecture>(self, model: A::Model, _: A) -> Result<()> {
        for part in self.parts {
            self.answers.part(&model, &part?)?;
        }
        Ok(())
    }
}

impl Answers<'_> {
    /// Answers some inputs, and hands the answers of each batch on before the next one is read.
    fn part<M: Task>(&mut self, model: &M, InputPart { set, names }: &InputPart) -> Result<()> {
        let run = self.run;
        let batch_size = (run.recipe.train.evaluate_batch_size / set.views).max(1);
        let loader = Unwrapped(set.loader.as_ref());
        // Pictures that are left out are told of in their places.
        let skipping = set.pictures.as_ref().filter(|pictures| pictures.skips());
        let mut next = 0;
        for batch in Loader::<M::Input>::batches(&loader, Position::default(), batch_size, &run.device) {
            let batch = match batch {
                // None of the part could be read.
                Err(_) if skipping.is_some() && next == 0 => break,
                batch => batch?,
            };
            let answers = answers(average_views(model.predict(batch.input), set.views)?, run)?;
            let (found, expected) = (answers.len(), batch.samples.len());
            anyhow::ensure!(found == expected, "the model gave {found} answers for {expected} inputs");
            for (answer, sample) in answers.into_iter().zip(batch.samples) {
                if let Some(pictures) = skipping {
                    self.refused(pictures, names, next..sample)?;
                }
                next = sample + 1;
                let name = names.of(sample);
                if let (Some(sheet), Some(pictures)) = (&mut self.sheet, &set.pictures) {
                    sheet.add(&name, &answer, || Ok(pictures.show(sample)?.picture))?;
                }
                self.line(name, answer)?;
            }
            self.out.flush()?;
        }
        if let Some(pictures) = skipping {
            self.refused(pictures, names, next..Loader::<M::Input>::len(&loader))?;
        }
        self.skipped += set.loader.skipped().count();
        Ok(())
    }

    /// A line for each of these pictures, which were left out, with what is wrong: they are read again for it.
    fn refused(&mut self, pictures: &Pictures, names: &Names, numbers: Range<u64>) -> Result<()> {
        for number in numbers {
            let error = match pictures.show(number) {
                Err(error) => error.to_string(),
                Ok(_) => "it could be read at the second time only: predict it again".to_string(),
            };
            self.line(names.of(number), Map::from_iter([("error".to_string(), Value::from(error))]))?;
        }
        Ok(self.out.flush()?)
    }

    fn line(&mut self, name: String, answer: Map<String, Value>) -> Result<()> {
        let mut line = Map::from_iter([("input".to_string(), Value::from(name))]);
        line.extend(answer);
        // As an error of the output, of which a pipe that was closed is none.
        serde_json::to_writer(&mut *self.out, &line).map_err(std::io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
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
