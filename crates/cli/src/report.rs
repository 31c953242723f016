//! `report.html` of a run folder: the metrics of a model on its test set, and the pictures of the highest
//! loss.

use crate::page::{self, escaped, figure};
use bonfire_datasets::image::Shown;
use bonfire_run::Pictures;
use bonfire_train::{Calibration, ClassFigures, Confusion, Evaluation, Worst};
use std::fmt::Write;

/// Above so many classes, the confusions that occur most often take the place of the matrix.
const MOST_CLASSES: usize = 40;

/// Confusions listed then.
const CONFUSIONS: usize = 40;

/// The content of a report.
pub struct Report<'a> {
    /// The run's name.
    pub name: &'a str,
    /// The data that were evaluated on, in words.
    pub data: &'a str,
    /// Crops of each picture, whose probabilities were averaged.
    pub crops: usize,
    pub evaluation: &'a Evaluation,
    /// The names of the classes.
    pub labels: &'a [String],
    /// Corrupt samples that were left out.
    pub skipped: u64,
    /// The set that the pictures of the highest loss are fetched from, where the data are pictures.
    pub pictures: Option<&'a Pictures>,
}

impl Report<'_> {
    /// The page. Pictures that cannot be read again are named in their place.
    pub fn page(&self) -> String {
        let Evaluation { metrics, confusion, calibration, worst, samples, not_finite } = self.evaluation;
        let mut page = page::begin(&format!("{}: evaluation", self.name));
        let _ = write!(page, "<p>{samples} samples of {}", escaped(self.data));
        if self.skipped > 0 {
            let _ = write!(page, "; {} corrupt ones were skipped", self.skipped);
        }
        if *not_finite > 0 {
            let _ = write!(page, "; about {not_finite} the model says numbers that are not finite");
        }
        if self.crops > 1 {
            let _ = write!(page, "; probabilities are means over {} crops", self.crops);
        }
        page += ".</p>\n<table>\n";
        for metric in metrics {
            let _ =
                writeln!(page, "<tr><th>{}</th>{}</tr>", escaped(&metric.name), number(Some(metric.value)));
        }
        page += "</table>\n";
        if let (Some(pictures), false) = (self.pictures, worst.is_empty()) {
            page += "<h2>Pictures of the highest loss</h2>\n";
            worst.iter().for_each(|worst| page += &self.hard(worst, pictures));
        }
        if let Some(calibration) = calibration {
            reliability(&mut page, calibration);
        }
        classes(&mut page, self.labels, &self.evaluation.per_class());
        if let Some(confusion) = confusion {
            match confusion.classes() <= MOST_CLASSES {
                true => matrix(&mut page, self.labels, &confusion.rows()),
                false => confusions(&mut page, self.labels, confusion),
            }
        }
        page + "</html>\n"
    }

    fn hard(&self, worst: &Worst, pictures: &Pictures) -> String {
        let (class, predicted) = (label(self.labels, worst.class), label(self.labels, worst.predicted));
        let caption = format!(
            "{}<br>predicted {} {:.1} %<br>loss {:.2}<br>",
            escaped(class),
            escaped(predicted),
            worst.probability * 100.0,
            worst.loss
        );
        match pictures.show(worst.sample) {
            Ok(Shown { place, picture }) => figure(class, &picture, &(caption + &escaped(&place))),
            Err(error) => format!("<figure>{caption}{}</figure>\n", escaped(&error.to_string())),
        }
    }
}

/// The name of a class.
pub fn label(labels: &[String], class: usize) -> &str {
    labels.get(class).map_or("?", String::as_str)
}

/// A cell of a figure; a dash where there is none.
fn number(value: Option<f64>) -> String {
    match value {
        Some(value) => format!("<td class=\"number\">{value:.4}</td>"),
        None => "<td class=\"number\">–</td>".to_string(),
    }
}

/// Accuracy by confidence, a row a bin, with a bar for the accuracy.
fn reliability(page: &mut String, calibration: &Calibration) {
    let _ = writeln!(
        page,
        "<h2>Reliability</h2>\n<p>Expected calibration error {:.4} (Guo et al. 2017, {} bins): how far the accuracy is \
         from the confidence, on average.</p>\n<table>\n<tr><th>confidence</th><th>samples</th><th>mean \
         confidence</th><th>accuracy</th></tr>",
        calibration.error(),
        calibration.bins.len()
    );
    for (at, bin) in calibration.bins.iter().enumerate() {
        let [low, high] = calibration.bounds(at);
        let _ = writeln!(
            page,
            "<tr><th>{low:.2} to {high:.2}</th><td class=\"number\">{}</td>{}{}<td><meter value=\"{:.4}\">\
             </meter></td></tr>",
            bin.samples,
            number(bin.confidence()),
            number(bin.accuracy()),
            bin.accuracy().unwrap_or(0.0)
        );
    }
    *page += "</table>\n";
}

fn classes(page: &mut String, labels: &[String], figures: &[ClassFigures]) {
    if figures.is_empty() {
        return;
    }
    *page += "<h2>Classes</h2>\n<table>\n<tr><th>class</th><th>samples</th><th>precision</th><th>recall</th>\
              <th>F1</th></tr>\n";
    for (class, ClassFigures { samples, precision, recall, f1 }) in figures.iter().enumerate() {
        let _ = writeln!(
            page,
            "<tr><th>{}</th><td class=\"number\">{samples}</td>{}{}{}</tr>",
            escaped(label(labels, class)),
            number(*precision),
            number(*recall),
            number(*f1)
        );
    }
    *page += "</table>\n";
}

/// The whole matrix, each cell as dark as its share of its row.
fn matrix(page: &mut String, labels: &[String], confusion: &[Vec<u64>]) {
    *page +=
        "<h2>Confusion</h2>\n<p>A row is a true class, a column a predicted one.</p>\n<table>\n<tr><th></th>";
    for class in 0..confusion.len() {
        let _ = write!(page, "<th>{}</th>", escaped(label(labels, class)));
    }
    *page += "</tr>\n";
    for (class, row) in confusion.iter().enumerate() {
        let total = row.iter().sum::<u64>().max(1) as f64;
        let _ = write!(page, "<tr><th>{}</th>", escaped(label(labels, class)));
        for count in row {
            let share = *count as f64 / total;
            let _ = write!(
                page,
                "<td class=\"number\" style=\"background: rgba(70, 130, 180, {share:.2})\">{count}</td>"
            );
        }
        *page += "</tr>\n";
    }
    *page += "</table>\n";
}

/// The confusions that occur most often.
fn confusions(page: &mut String, labels: &[String], confusion: &Confusion) {
    let wrong = confusion.pairs().filter(|(class, predicted, _)| class != predicted);
    let mut wrong: Vec<(u64, usize, usize)> =
        wrong.map(|(class, predicted, count)| (count, class, predicted)).collect();
    wrong.sort_by_key(|&(count, class, predicted)| (std::cmp::Reverse(count), class, predicted));
    *page += "<h2>The most frequent confusions</h2>\n<table>\n<tr><th>class</th><th>predicted</th>\
              <th>samples</th></tr>\n";
    for (count, class, predicted) in wrong.into_iter().take(CONFUSIONS) {
        let [class, predicted] = [class, predicted].map(|class| escaped(label(labels, class)));
        let _ =
            writeln!(page, "<tr><th>{class}</th><th>{predicted}</th><td class=\"number\">{count}</td></tr>");
    }
    *page += "</table>\n";
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_contract::{Metric, Output, Target};
    use bonfire_train::{Meter, MetricConfig};
    use burn::tensor::{Device, Tensor};

    /// Each of `classes` once, and class 1 also as class 0.
    fn evaluation(classes: usize) -> Evaluation {
        let device = Device::flex();
        let mut meter = Meter::new(&MetricConfig::default());
        let mut expected: Vec<i64> = (0..classes as i64).collect();
        let rows = Tensor::<2>::eye(classes, &device) * 3.0;
        let logits = Tensor::cat(vec![rows.clone(), rows.slice([0..1, 0..classes])], 0);
        expected.push(1);
        let target = Target::Classes(Tensor::from_data(&expected[..], &device));
        meter.add(Output::Logits(logits), target).unwrap();
        meter.finish()
    }

    fn page(classes: usize) -> String {
        let labels: Vec<String> = (0..classes).map(|class| format!("<{class}>")).collect();
        let evaluation = evaluation(classes);
        assert!(
            evaluation.metrics.contains(&Metric::higher("accuracy", classes as f64 / (classes + 1) as f64))
        );
        Report {
            name: "a & b",
            data: "test",
            crops: 5,
            evaluation: &evaluation,
            labels: &labels,
            skipped: 2,
            pictures: None,
        }
        .page()
    }

    #[test]
    fn a_page_has_a_row_a_class_and_a_bin_and_its_names_are_text() {
        let page = page(3);
        assert!(page.contains("<h1>a &amp; b: evaluation</h1>") && !page.contains("<0>"), "{page}");
        assert!(page.contains(
            "4 samples of test; 2 corrupt ones were skipped; probabilities are means over 5 crops"
        ));
        assert!(
            page.contains(
                "<tr><th>&lt;1&gt;</th><td class=\"number\">2</td><td class=\"number\">1.0000</td>"
            )
        );
        assert_eq!(page.matches("<meter").count(), 15);
        assert_eq!(page.matches("rgba").count(), 9);
    }

    #[test]
    fn of_many_classes_the_confusions_are_listed() {
        let page = page(MOST_CLASSES + 1);
        assert!(!page.contains("rgba"));
        assert!(
            page.contains("<tr><th>&lt;1&gt;</th><th>&lt;0&gt;</th><td class=\"number\">1</td></tr>"),
            "{page}"
        );
    }
}
