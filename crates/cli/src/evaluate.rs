//! `bonfire evaluate`: the metrics of a trained model.

use crate::args::EvaluateArguments;
use crate::report::{Report, label};
use anyhow::{Context, Result};
use bonfire_checkpoint::write_atomically;
use bonfire_run::Pictures;
use bonfire_train::{ClassFigures, Evaluation};
use serde_json::{Value, json};
use std::io::{Write, stdout};

/// Runs the subcommand.
pub fn evaluate(arguments: &EvaluateArguments) -> Result<()> {
    let run = crate::open(&arguments.run)?;
    let device = run.device(arguments.device.as_deref())?;
    let set = run.evaluation_set(arguments.data.as_deref(), arguments.crops)?;
    let evaluation = run.evaluate(&set, &device)?;
    if let Some(summary) = set.unseen.as_ref().and_then(|unseen| unseen.summary()) {
        eprintln!("warning: {summary}");
    }
    let found = Figures {
        evaluation: &evaluation,
        labels: run.schema.labels(),
        skipped: set.loader.skipped().count(),
    };
    let text =
        if arguments.json { format!("{}\n", found.to_json(set.pictures.as_ref())) } else { found.to_text() };
    stdout().lock().write_all(text.as_bytes())?;
    let report = Report {
        name: &run.recipe.name,
        data: arguments.data.as_deref().unwrap_or("what the recipe holds out"),
        crops: set.views,
        evaluation: &evaluation,
        labels: found.labels,
        skipped: found.skipped,
        pictures: set.pictures.as_ref(),
    };
    let page = report.page();
    match &arguments.report {
        // The run's own report stays that of its test set.
        None if arguments.data.is_some() => {}
        Some(path) => {
            write_atomically(path, page.as_bytes())
                .with_context(|| format!("{}: expected a place to write to", path.display()))?;
            eprintln!("report: {}", path.display());
        }
        // The metrics have been printed: a run folder that is only to be read is no failure.
        None => match run.write_report(&page) {
            Ok(place) => eprintln!("report: {place}"),
            Err(error) => {
                let error = anyhow::Error::from(error);
                eprintln!("warning: no report (--report names another place): {error:#}");
            }
        },
    }
    Ok(())
}

/// Classes up to which JSON has the whole confusion matrix, and the pairs that occur above.
const MOST_IN_FULL: usize = 1_000;

/// The figures that are printed.
struct Figures<'a> {
    evaluation: &'a Evaluation,
    labels: &'a [String],
    skipped: u64,
}

impl Figures<'_> {
    fn to_json(&self, pictures: Option<&Pictures>) -> Value {
        let Figures { evaluation, labels, skipped } = self;
        let mut object = json!({ "samples": evaluation.samples });
        for metric in &evaluation.metrics {
            object[&metric.name] = json!(metric.value);
        }
        if *skipped > 0 {
            object["skipped"] = json!(skipped);
        }
        if let Some(confusion) = &evaluation.confusion {
            object["labels"] = json!(labels);
            match confusion.classes() <= MOST_IN_FULL {
                true => object["confusion"] = json!(confusion.rows()),
                // `[true class, predicted class, samples]`.
                false => object["confusions"] = confusion.pairs().map(|pair| json!(pair)).collect(),
            }
            let class = |(class, figures): (usize, ClassFigures)| {
                let ClassFigures { samples, precision, recall, f1 } = figures;
                let label = label(labels, class);
                json!({
                    "label": label, "samples": samples, "precision": precision, "recall": recall, "f1": f1
                })
            };
            object["classes"] = evaluation.per_class().into_iter().enumerate().map(class).collect();
        }
        if let Some(calibration) = &evaluation.calibration {
            let bin = |(at, bin): (usize, &bonfire_train::Bin)| {
                let [above, up_to] = calibration.bounds(at);
                let (confidence, accuracy) = (bin.confidence(), bin.accuracy());
                json!({
                    "above": above, "up_to": up_to, "samples": bin.samples,
                    "confidence": confidence, "accuracy": accuracy
                })
            };
            object["calibration"] = calibration.bins.iter().enumerate().map(bin).collect();
        }
        if let Some(pictures) = pictures {
            let worst = evaluation.worst.iter().map(|worst| {
                json!({
                    "input": pictures.place(worst.sample),
                    "loss": worst.loss,
                    "label": label(labels, worst.class),
                    "predicted": label(labels, worst.predicted),
                    "probability": worst.probability,
                })
            });
            object["worst"] = worst.collect();
        }
        object
    }

    /// The metrics; for not too many classes the figures of each; and for few the confusion matrix with a row
    /// a true class.
    fn to_text(&self) -> String {
        let Figures { evaluation, labels, skipped } = self;
        let mut text = format!("{:<22} {}\n", "samples", evaluation.samples);
        if *skipped > 0 {
            text += &format!("{:<22} {skipped}\n", "skipped (corrupt)");
        }
        for metric in &evaluation.metrics {
            text += &format!("{:<22} {:.4}\n", metric.name, metric.value);
        }
        const MOST_CLASSES_LISTED: usize = 50;
        let classes = evaluation.per_class();
        if (1..=MOST_CLASSES_LISTED).contains(&classes.len()) {
            text += &format!(
                "\n{:<22} {:>8} {:>10} {:>8} {:>8}\n",
                "class", "samples", "precision", "recall", "f1"
            );
            let share = |share: Option<f64>| share.map_or("-".to_string(), |share| format!("{share:.4}"));
            for (class, ClassFigures { samples, precision, recall, f1 }) in classes.into_iter().enumerate() {
                let [precision, recall, f1] = [precision, recall, f1].map(share);
                let label = label(labels, class);
                text += &format!("{label:<22} {samples:>8} {precision:>10} {recall:>8} {f1:>8}\n");
            }
        }
        const MOST_CLASSES: usize = 12;
        if let Some(confusion) =
            evaluation.confusion.as_ref().filter(|counts| counts.classes() <= MOST_CLASSES)
        {
            let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).clamp(6, 14);
            let cell = |label: &str| format!("{label:>width$.width$}");
            text += "\nconfusion (a row a true class, a column a predicted one)\n";
            text += &format!(
                "{} {}\n",
                cell(""),
                labels.iter().map(|label| cell(label)).collect::<Vec<_>>().join(" ")
            );
            for (label, row) in labels.iter().zip(confusion.rows()) {
                let counts: Vec<String> = row.iter().map(|count| cell(&count.to_string())).collect();
                text += &format!("{} {}\n", cell(label), counts.join(" "));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_contract::Metric;
    use bonfire_train::Confusion;

    fn evaluation() -> Evaluation {
        Evaluation {
            metrics: vec![Metric::higher("accuracy", 0.75)],
            confusion: Some(Confusion::of_rows(&[vec![2, 0], vec![1, 1]])),
            calibration: None,
            worst: Vec::new(),
            samples: 4,
            not_finite: 0,
        }
    }

    #[test]
    fn json_holds_every_metric_the_classes_and_the_confusion() {
        let labels = ["ham".to_string(), "spam".to_string()];
        let value = Figures { evaluation: &evaluation(), labels: &labels, skipped: 3 }.to_json(None);
        let ham = json!({ "label": "ham", "samples": 2, "precision": 2.0 / 3.0, "recall": 1.0, "f1": 0.8 });
        let spam = json!({ "label": "spam", "samples": 2, "precision": 1.0, "recall": 0.5, "f1": 2.0 / 3.0 });
        let classes = [ham, spam];
        let confusion = [[2, 0], [1, 1]];
        assert_eq!(
            value,
            json!({
                "samples": 4, "skipped": 3, "accuracy": 0.75,
                "labels": labels, "confusion": confusion, "classes": classes
            })
        );
    }

    #[test]
    fn text_has_a_row_a_class() {
        let labels = ["ham".to_string(), "spam".to_string()];
        let text = Figures { evaluation: &evaluation(), labels: &labels, skipped: 0 }.to_text();
        assert!(text.contains("accuracy               0.7500\n"), "{text}");
        assert!(text.contains("ham                           2     0.6667   1.0000   0.8000\n"), "{text}");
        assert!(text.ends_with("   ham      2      0\n  spam      1      1\n"), "{text}");
    }
}
