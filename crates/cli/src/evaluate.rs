//! `bonfire evaluate`: the metrics of a trained model.

use crate::args::EvaluateArguments;
use crate::feed::{AnyLoader, Fed, Unwrapped};
use crate::registry::{Built, Visit};
use crate::run::Run;
use anyhow::Result;
use bonfire_contract::Task;
use bonfire_train::Evaluation;
use serde_json::{Value, json};
use std::io::{Write, stdout};

/// Runs the subcommand.
pub fn evaluate(arguments: &EvaluateArguments) -> Result<()> {
    let run = Run::open(&arguments.run, arguments.device.as_deref())?;
    let data = run.recipe.data.open_evaluation(&run.schema, arguments.data.as_deref(), run.recipe.seed)?;
    let evaluation = run.visit(Measure { run: &run, data: &data })?;
    let skipped = data.skipped();
    let text = match arguments.json {
        true => format!("{}\n", to_json(&evaluation, run.schema.labels(), skipped)),
        false => to_text(&evaluation, run.schema.labels(), skipped),
    };
    Ok(stdout().lock().write_all(text.as_bytes())?)
}

struct Measure<'a> {
    run: &'a Run,
    data: &'a AnyLoader,
}

impl Visit for Measure<'_> {
    type Output = Evaluation;

    fn visit<M: Task>(self, model: M, _: Built) -> Result<Evaluation>
    where
        M::Input: Fed,
    {
        let train = &self.run.recipe.train;
        let metrics = self.run.schema.metrics(train.top_k);
        let loader = Unwrapped(self.data.as_ref());
        Ok(bonfire_train::evaluate(&model, &loader, &metrics, train.evaluate_batch_size, &self.run.device)?)
    }
}

fn to_json(evaluation: &Evaluation, labels: &[String], skipped: u64) -> Value {
    let mut object = json!({ "samples": evaluation.samples });
    for metric in &evaluation.metrics {
        object[&metric.name] = json!(metric.value);
    }
    if skipped > 0 {
        object["skipped"] = json!(skipped);
    }
    if let Some(confusion) = &evaluation.confusion {
        object["labels"] = json!(labels);
        object["confusion"] = json!(confusion);
    }
    object
}

/// The metrics, and for few classes the confusion matrix with a row a true class.
fn to_text(evaluation: &Evaluation, labels: &[String], skipped: u64) -> String {
    let mut text = format!("{:<22} {}\n", "samples", evaluation.samples);
    if skipped > 0 {
        text += &format!("{:<22} {skipped}\n", "skipped (corrupt)");
    }
    for metric in &evaluation.metrics {
        text += &format!("{:<22} {:.4}\n", metric.name, metric.value);
    }
    const MOST_CLASSES: usize = 12;
    if let Some(confusion) = evaluation.confusion.as_ref().filter(|rows| rows.len() <= MOST_CLASSES) {
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).clamp(6, 14);
        let cell = |label: &str| format!("{label:>width$.width$}");
        text += "\nconfusion (a row a true class, a column a predicted one)\n";
        text += &format!(
            "{} {}\n",
            cell(""),
            labels.iter().map(|label| cell(label)).collect::<Vec<_>>().join(" ")
        );
        for (label, row) in labels.iter().zip(confusion) {
            let counts: Vec<String> = row.iter().map(|count| cell(&count.to_string())).collect();
            text += &format!("{} {}\n", cell(label), counts.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_contract::Metric;

    fn evaluation() -> Evaluation {
        Evaluation {
            metrics: vec![Metric::higher("accuracy", 0.75)],
            confusion: Some(vec![vec![2, 0], vec![1, 1]]),
            samples: 4,
        }
    }

    #[test]
    fn json_holds_every_metric_and_the_confusion() {
        let labels = ["ham".to_string(), "spam".to_string()];
        let value = to_json(&evaluation(), &labels, 3);
        assert_eq!(
            value,
            json!({ "samples": 4, "skipped": 3, "accuracy": 0.75, "labels": labels, "confusion": [[2, 0], [1, 1]] })
        );
    }

    #[test]
    fn text_has_a_row_a_class() {
        let text = to_text(&evaluation(), &["ham".to_string(), "spam".to_string()], 0);
        assert!(text.contains("accuracy               0.7500\n"), "{text}");
        assert!(text.ends_with("   ham      2      0\n  spam      1      1\n"), "{text}");
    }
}
