//! Answers as rows: the names of their columns, and their cells.

use anyhow::{Result, bail};
use bonfire_models::spec::Question;
use bonfire_run::{Answer, Kept, KeptCell};
use serde_json::{Map, Value, json};

/// Names that answers have in one format or another.
const TAKEN: [&str; 10] = [
    "input",
    "label",
    "labels",
    "probability",
    "probabilities",
    "value",
    "values",
    "reconstruction_error",
    "text",
    "error",
];

/// An input with what is said about it.
#[derive(Clone, Debug)]
pub struct Row {
    pub input: String,
    /// Cells of the input that are carried along; fewer than were asked for where it could not be read.
    pub kept: Kept,
    /// The answer, or why there is none.
    pub answer: Result<Answer, String>,
}

/// The columns of answers about one run.
#[derive(Clone, Debug)]
pub struct Layout {
    labels: Vec<String>,
    /// The columns that are carried along, and the names that they are written under.
    kept: Vec<(String, String)>,
    /// The columns of an answer, between those that are carried along and the error.
    pub answer: Vec<Column>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// True for numbers, false for text.
    pub is_number: bool,
}

/// A cell of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Number(f64),
}

impl Layout {
    /// The columns of answers to a question, with those of `keep` beside them.
    ///
    /// # Errors
    /// When a column is to be kept twice.
    pub fn new(question: &Question, labels: Vec<String>, keep: &[String]) -> Result<Self> {
        let number = |name: String| Column { name, is_number: true };
        let text = |name: &str| Column { name: name.to_string(), is_number: false };
        let answer = match question {
            Question::Class(classes) => {
                let label = |class| format!("p_{}", name_of(&labels, class));
                let probabilities = (0..*classes).map(|class| number(label(class)));
                [text("label"), number("probability".into())].into_iter().chain(probabilities).collect()
            }
            Question::Labels(labels_of) => {
                let label = |at| number(format!("p_{}", name_of(&labels, at)));
                [text("labels")].into_iter().chain((0..*labels_of).map(label)).collect()
            }
            Question::Value(1) => vec![number("value".into())],
            Question::Value(values) => (1..=*values).map(|at| number(format!("value_{at}"))).collect(),
            Question::Reconstruction => vec![number("reconstruction_error".into())],
            Question::NextToken => vec![text("text")],
        };
        let mut layout = Layout { labels, kept: Vec::new(), answer };
        for column in keep {
            let taken =
                TAKEN.contains(&column.as_str()) || layout.answer.iter().any(|answer| answer.name == *column);
            let name = if taken { format!("input_{column}") } else { column.clone() };
            if layout.kept.iter().any(|(_, known)| *known == name) {
                bail!("--keep: expected each column once, found `{column}` again");
            }
            layout.kept.push((column.clone(), name));
        }
        Ok(layout)
    }

    /// The columns that are carried along under another name than their own.
    pub fn renamed(&self) -> impl Iterator<Item = (&str, &str)> {
        let kept = self.kept.iter().filter(|(column, name)| column != name);
        kept.map(|(column, name)| (column.as_str(), name.as_str()))
    }

    /// The names of the columns that are carried along.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|(_, name)| name.as_str())
    }

    /// The cells of an answer, one a column.
    ///
    /// # Errors
    /// When the answer is one to another question.
    pub fn cells(&self, answer: &Answer, digits: Option<u8>) -> Result<Vec<Cell>> {
        let number = |value: f64| Cell::Number(rounded(value, digits));
        let cells: Vec<Cell> = match answer {
            Answer::Class { class, probabilities } => {
                let of = |class: usize| number(f64::from(probabilities[class]));
                let first = [Cell::Text(name_of(&self.labels, *class)), of(*class)];
                first.into_iter().chain((0..probabilities.len()).map(of)).collect()
            }
            Answer::Labels { probabilities } => {
                let first = Cell::Text(self.likely(probabilities).join(" "));
                let all = probabilities.iter().map(|probability| number(f64::from(*probability)));
                [first].into_iter().chain(all).collect()
            }
            Answer::Values(values) => values.iter().map(|&value| number(value)).collect(),
            Answer::Reconstruction { error, .. } => vec![number(f64::from(*error))],
            Answer::Text(text) => vec![Cell::Text(text.clone())],
        };
        if cells.len() != self.answer.len() {
            bail!("expected an answer of {} columns, found {}", self.answer.len(), cells.len());
        }
        Ok(cells)
    }

    /// An answer as JSON: label or labels and probabilities, a value in the target's unit, the reconstruction
    /// error, or a text.
    pub fn object(&self, answer: &Answer, digits: Option<u8>) -> Map<String, Value> {
        let label = |class: usize| name_of(&self.labels, class);
        let single = |number: f32| match digits {
            None => json!(number),
            Some(_) => json!(rounded(f64::from(number), digits)),
        };
        let double = |number: f64| json!(rounded(number, digits));
        let object = match answer {
            Answer::Class { class, probabilities } => {
                let all: Map<String, Value> = probabilities
                    .iter()
                    .enumerate()
                    .map(|(class, probability)| (label(class), single(*probability)))
                    .collect();
                json!({ "label": label(*class), "probability": single(probabilities[*class]), "probabilities": all })
            }
            Answer::Labels { probabilities } => {
                let all: Map<String, Value> = probabilities
                    .iter()
                    .enumerate()
                    .map(|(at, probability)| (label(at), single(*probability)))
                    .collect();
                json!({ "labels": self.likely(probabilities), "probabilities": all })
            }
            Answer::Values(values) => match values[..] {
                [value] => json!({ "value": double(value) }),
                _ => json!({ "values": values.iter().map(|&value| double(value)).collect::<Vec<_>>() }),
            },
            Answer::Reconstruction { error, .. } => json!({ "reconstruction_error": single(*error) }),
            Answer::Text(text) => json!({ "text": text }),
        };
        let Value::Object(object) = object else { unreachable!("an object is written above") };
        object
    }

    /// The labels that are likelier than not.
    fn likely(&self, probabilities: &[f32]) -> Vec<String> {
        let likely = probabilities.iter().enumerate().filter(|(_, probability)| **probability > 0.5);
        likely.map(|(at, _)| name_of(&self.labels, at)).collect()
    }

    /// A row as a JSON object.
    pub fn line(&self, row: &Row, digits: Option<u8>) -> Map<String, Value> {
        let mut line = Map::from_iter([("input".to_string(), Value::from(row.input.clone()))]);
        for (at, name) in self.kept().enumerate() {
            line.insert(name.to_string(), row.kept.get(at).map_or(Value::Null, json_of));
        }
        match &row.answer {
            Ok(answer) => line.extend(self.object(answer, digits)),
            Err(error) => _ = line.insert("error".to_string(), Value::from(error.clone())),
        }
        line
    }
}

/// The label of a class, or its number where it has none.
fn name_of(labels: &[String], class: usize) -> String {
    labels.get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// A cell that is carried along: a number where its format has one and JSON spells it alike, or else text.
fn json_of(cell: &KeptCell) -> Value {
    match cell {
        KeptCell::Missing => Value::Null,
        KeptCell::Text(text) => Value::from(text.clone()),
        KeptCell::Number(text) => match serde_json::from_str(text) {
            Ok(Value::Number(number)) if number.to_string() == *text => Value::Number(number),
            _ => Value::from(text.clone()),
        },
    }
}

/// A number with so many digits behind the point.
fn rounded(number: f64, digits: Option<u8>) -> f64 {
    let Some(digits) = digits else { return number };
    let text = format!("{number:.*}", usize::from(digits));
    // Zero has no sign.
    text.parse().map_or(number, |rounded: f64| rounded + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(keep: &[&str]) -> Layout {
        let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
        Layout::new(&Question::Class(2), vec!["ham".into(), "spam".into()], &keep).unwrap()
    }

    #[test]
    fn a_class_names_its_label_and_all_probabilities() {
        let answer = Answer::Class { class: 1, probabilities: vec![0.25, 0.75] };
        assert_eq!(
            Value::Object(layout(&[]).object(&answer, None)),
            json!({ "label": "spam", "probability": 0.75, "probabilities": { "ham": 0.25, "spam": 0.75 } })
        );
    }

    #[test]
    fn labels_are_those_that_are_likelier_than_not() {
        let names = ["sea", "sky", "dog"].map(String::from).to_vec();
        let layout = Layout::new(&Question::Labels(3), names, &[]).unwrap();
        let answer = Answer::Labels { probabilities: vec![0.25, 0.75, 1.0] };
        assert_eq!(
            Value::Object(layout.object(&answer, None)),
            json!({ "labels": ["sky", "dog"], "probabilities": { "sea": 0.25, "sky": 0.75, "dog": 1.0 } })
        );
        let columns: Vec<&str> = layout.answer.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(columns, ["labels", "p_sea", "p_sky", "p_dog"]);
        assert_eq!(layout.cells(&answer, None).unwrap()[0], Cell::Text("sky dog".into()));
    }

    #[test]
    fn numbers_are_rounded_where_that_is_asked_for_alone() {
        let answer = Answer::Class { class: 0, probabilities: vec![0.123_456_79, 0.876_543_2] };
        let whole = Value::Object(layout(&[]).object(&answer, None)).to_string();
        assert!(whole.contains(&json!(0.123_456_79f32).to_string()), "{whole}");
        let cells = layout(&[]).cells(&answer, Some(2)).unwrap();
        assert_eq!(
            cells,
            [Cell::Text("ham".into()), Cell::Number(0.12), Cell::Number(0.12), Cell::Number(0.88)]
        );
        let value = Layout::new(&Question::Value(1), Vec::new(), &[]).unwrap();
        let object =
            |number: f64| Value::Object(value.object(&Answer::Values(vec![number]), Some(0))).to_string();
        assert_eq!([object(1234.5678), object(-0.2)], ["{\"value\":1235.0}", "{\"value\":0.0}"]);
        assert!(value.cells(&answer, None).is_err());
    }

    #[test]
    fn cells_that_are_kept_are_spelled_as_they_were_and_never_take_the_place_of_an_answer() {
        let layout = layout(&["id", "label", "p_ham"]);
        let renamed: Vec<_> = layout.renamed().collect();
        assert_eq!(renamed, [("label", "input_label"), ("p_ham", "input_p_ham")]);
        let number = |text: &str| KeptCell::Number(text.into());
        let row = |kept: Kept| Row { input: "x:1".into(), kept, answer: Err("none".into()) };
        let kept = vec![number("17"), KeptCell::Text("007".into()), KeptCell::Missing];
        assert_eq!(
            Value::Object(layout.line(&row(kept), None)),
            json!({ "input": "x:1", "id": 17, "input_label": "007", "input_p_ham": null, "error": "none" })
        );
        // More digits than JSON's numbers keep.
        let long = layout.line(&row(vec![number("12345678901234567890123")]), None);
        assert_eq!(long["id"], "12345678901234567890123");
        let twice = ["id".to_string(), "id".to_string()];
        assert!(Layout::new(&Question::Value(1), Vec::new(), &twice).is_err());
    }
}
