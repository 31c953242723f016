//! `bonfire predict`: one JSON object a line for each picture, row, text or prompt.

use crate::args::PredictArguments;
use crate::output::OutputFile;
use crate::sheet::Sheet;
use anyhow::{Result, bail};
use bonfire_recipe::DataConfig;
use bonfire_run::{Answer, Answered, Generation, Run};
use serde_json::{Map, Value, json};
use std::io::{BufWriter, Write, stdout};
use std::ops::ControlFlow;

/// Runs the subcommand.
pub fn predict(arguments: &PredictArguments) -> Result<()> {
    let run = crate::open(&arguments.run)?;
    let Some(path) = &arguments.output else {
        return answer_all(&run, arguments, &mut BufWriter::new(stdout().lock()));
    };
    let mut file = OutputFile::create(path)?;
    answer_all(&run, arguments, &mut file)?;
    file.finish()
}

/// Writes one JSON object a line for each input.
fn answer_all(run: &Run, arguments: &PredictArguments, out: &mut dyn Write) -> Result<()> {
    let device = run.device(arguments.device.as_deref())?;
    let (data, generation) = (&run.recipe.data, generation(run, arguments)?);
    let sheet = match (&arguments.sheet, data) {
        (None, _) => None,
        (Some(path), DataConfig::Image(_)) => Some(Sheet::create(path, &run.recipe.name)?),
        (Some(_), _) => bail!("--sheet: expected a run on pictures, found one on {}s", data.kind()),
    };
    let mut predictor = run.predictor_with(device, arguments.crops, generation)?;
    let labels = predictor.labels().to_vec();
    let mut written = Written { out, sheet, labels: &labels };
    let mut refused = None;
    let unanswered = predictor.predict(&arguments.inputs, &mut |batch| match written.batch(batch) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            refused = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = refused {
        return Err(error);
    }
    if unanswered > 0 {
        eprintln!("warning: {unanswered} inputs have no answer");
    }
    written.sheet.map_or(Ok(()), Sheet::finish)?;
    Ok(out.flush()?)
}

/// The options of a language model, which no other model has.
fn generation(run: &Run, arguments: &PredictArguments) -> Result<Generation> {
    let given = [
        ("--tokens", arguments.tokens.is_some()),
        ("--temperature", arguments.temperature.is_some()),
        ("--top-k", arguments.top_k.is_some()),
        ("--seed", arguments.seed.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given && !run.is_language_model()) {
        bail!("{option}: expected a run of a language model, found a '{}'", run.recipe.model);
    }
    let default = Generation::default();
    Ok(Generation {
        tokens: arguments.tokens.unwrap_or(default.tokens),
        temperature: arguments.temperature.unwrap_or(default.temperature),
        top_k: arguments.top_k,
        seed: arguments.seed.unwrap_or(default.seed),
    })
}

/// The lines and the page that answers are written to.
struct Written<'a> {
    out: &'a mut dyn Write,
    sheet: Option<Sheet>,
    labels: &'a [String],
}

impl Written<'_> {
    /// Writes the answers of a batch, and hands them on before the next one is read.
    fn batch(&mut self, batch: Vec<Answered<'_>>) -> Result<()> {
        for answered in batch {
            let object = match &answered.answer {
                Ok(answer) => object(answer, self.labels),
                Err(error) => Map::from_iter([("error".to_string(), Value::from(error.to_string()))]),
            };
            if let (Some(sheet), Ok(_)) = (&mut self.sheet, &answered.answer) {
                sheet.add(&answered.input, &object, || {
                    Ok(answered.picture().transpose()?.unwrap_or_default())
                })?;
            }
            self.line(answered.input, object)?;
        }
        Ok(self.out.flush()?)
    }

    fn line(&mut self, input: String, answer: Map<String, Value>) -> Result<()> {
        let mut line = Map::from_iter([("input".to_string(), Value::from(input))]);
        line.extend(answer);
        // An error of the output itself, so that a pipe that was closed passes for an end.
        serde_json::to_writer(&mut *self.out, &line).map_err(std::io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }
}

/// An answer as JSON: label or labels and probabilities, a value in the target's unit, the reconstruction error, or a
/// text.
fn object(answer: &Answer, labels: &[String]) -> Map<String, Value> {
    let label = |class: usize| labels.get(class).cloned().unwrap_or_else(|| class.to_string());
    let object = match answer {
        Answer::Class { class, probabilities } => {
            let all: Map<String, Value> = probabilities
                .iter()
                .enumerate()
                .map(|(class, probability)| (label(class), json!(probability)))
                .collect();
            json!({ "label": label(*class), "probability": probabilities[*class], "probabilities": all })
        }
        Answer::Labels { probabilities } => {
            let all: Map<String, Value> = probabilities
                .iter()
                .enumerate()
                .map(|(at, probability)| (label(at), json!(probability)))
                .collect();
            let likely = probabilities.iter().enumerate().filter(|(_, probability)| **probability > 0.5);
            let likely: Vec<String> = likely.map(|(at, _)| label(at)).collect();
            json!({ "labels": likely, "probabilities": all })
        }
        Answer::Values(values) => match values[..] {
            [value] => json!({ "value": value }),
            _ => json!({ "values": values }),
        },
        Answer::Reconstruction { error, .. } => json!({ "reconstruction_error": error }),
        Answer::Text(text) => json!({ "text": text }),
    };
    let Value::Object(object) = object else { unreachable!("an object is written above") };
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_that_are_likelier_than_not() {
        let labels = ["sea".to_string(), "sky".to_string()];
        let answer = Answer::Labels { probabilities: vec![0.25, 0.75] };
        assert_eq!(
            Value::Object(object(&answer, &labels)),
            json!({ "labels": ["sky"], "probabilities": { "sea": 0.25, "sky": 0.75 } })
        );
    }

    #[test]
    fn a_class_names_its_label_and_all_probabilities() {
        let labels = ["ham".to_string(), "spam".to_string()];
        let answer = Answer::Class { class: 1, probabilities: vec![0.25, 0.75] };
        assert_eq!(
            Value::Object(object(&answer, &labels)),
            json!({ "label": "spam", "probability": 0.75, "probabilities": { "ham": 0.25, "spam": 0.75 } })
        );
    }
}
