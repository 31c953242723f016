//! TOML read with the line of every key, and changed by `--set`.

use crate::RecipeError;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A TOML document as nested values, with the place each key came from.
#[derive(Clone, Debug)]
pub struct Document {
    name: String,
    /// The document's values.
    pub root: Map<String, Value>,
    places: BTreeMap<String, String>,
}

impl Document {
    /// Reads TOML text; `name` stands in messages.
    ///
    /// # Errors
    /// When the text is not TOML, or holds a date.
    pub fn parse(name: &str, text: &str) -> Result<Self, RecipeError> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            RecipeError::Syntax { place: format!("{name}:{line}"), message: one_line(error.message()) }
        })?;
        let mut document = Document { name: name.to_string(), root: Map::new(), places: BTreeMap::new() };
        document.root = document.table(text, "", table.get_ref())?;
        Ok(document)
    }

    fn table(&mut self, text: &str, path: &str, table: &DeTable) -> Result<Map<String, Value>, RecipeError> {
        let mut values = Map::new();
        for (key, value) in table {
            let path = join(path, key.get_ref());
            let place = format!("{}:{}", self.name, line_of(text, key.span().start));
            self.places.insert(path.clone(), place);
            let value = self.value(text, &path, value)?;
            values.insert(key.get_ref().to_string(), value);
        }
        Ok(values)
    }

    fn value(&mut self, text: &str, path: &str, value: &Spanned<DeValue>) -> Result<Value, RecipeError> {
        Ok(match value.get_ref() {
            DeValue::String(string) => Value::String(string.to_string()),
            DeValue::Boolean(boolean) => Value::Bool(*boolean),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map(Value::from)
                .map_err(|_| self.wrong(path, "an integer of 64 bits", integer.as_str()))?,
            DeValue::Float(float) => float
                .as_str()
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map(Value::Number)
                .ok_or_else(|| self.wrong(path, "a finite number", float.as_str()))?,
            DeValue::Array(array) => Value::Array(
                array.iter().map(|element| self.value(text, path, element)).collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => Value::Object(self.table(text, path, table)?),
            DeValue::Datetime(date) => return Err(self.wrong(path, "no date", date.to_string())),
        })
    }

    /// Applies one `--set key.path=value`. The value is TOML; what is not TOML is a string.
    ///
    /// # Errors
    /// When there is no `=`, or the path goes through something that is not a table.
    pub fn set(&mut self, assignment: &str) -> Result<(), RecipeError> {
        let place = format!("--set {assignment}");
        let (path, text) = assignment.split_once('=').ok_or_else(|| RecipeError::Syntax {
            place: place.clone(),
            message: "expected key.path=value, found no '='".to_string(),
        })?;
        let (path, text) = (path.trim(), text.trim());
        let mut argument = Document { name: place.clone(), root: Map::new(), places: BTreeMap::new() };
        let line = format!("value = {text}");
        let value = match DeTable::parse(&line) {
            Ok(table) if table.get_ref().len() == 1 => {
                let values = argument.table(&line, "", table.get_ref());
                // The key that was typed, not the one that stands for it here.
                let values = values.map_err(|error| match error {
                    RecipeError::Value { place, expected, found, .. } => {
                        RecipeError::Value { place, key: path.to_string(), expected, found }
                    }
                    other => other,
                });
                values?.remove("value")
            }
            _ => None,
        };
        let value = value.unwrap_or_else(|| Value::String(text.to_string()));

        let mut table = &mut self.root;
        let mut keys: Vec<&str> = path.split('.').collect();
        let last = keys.pop().unwrap_or_default();
        let mut walked = String::new();
        for key in keys {
            walked = join(&walked, key);
            let next = table.entry(key).or_insert_with(|| Value::Object(Map::new()));
            let found = next.to_string();
            table = next.as_object_mut().ok_or_else(|| RecipeError::Value {
                place: place.clone(),
                key: walked.clone(),
                expected: "a table".to_string(),
                found,
            })?;
            self.places.entry(walked.clone()).or_insert_with(|| place.clone());
        }
        table.insert(last.to_string(), value);
        self.places.insert(path.to_string(), place);
        Ok(())
    }

    /// The place of a key: `recipe.toml:12`, or `--set train.epochs=2`.
    pub fn place(&self, path: &str) -> String {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place.clone();
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return self.name.clone(),
            }
        }
    }

    /// True where `--set` gave the key itself.
    pub fn is_argument(&self, path: &str) -> bool {
        self.places.get(path).is_some_and(|place| place.starts_with("--set "))
    }

    /// A [`RecipeError::Value`] about the key at `path`.
    pub fn wrong(&self, path: &str, expected: impl ToString, found: impl ToString) -> RecipeError {
        RecipeError::Value {
            place: self.place(path),
            key: path.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// `a.b` from `a` and `b`; `b` alone at the top.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_know_their_lines() {
        let document = Document::parse("r.toml", "seed = 1\n\n[train]\n# why\nepochs = 3\n").unwrap();
        assert_eq!(document.place("train.epochs"), "r.toml:5");
        assert_eq!(document.place("train.epochs.deeper"), "r.toml:5");
        assert_eq!(document.root["train"], json!({ "epochs": 3 }));
    }

    #[test]
    fn broken_toml_names_the_line() {
        let error = Document::parse("r.toml", "seed = 1\n[train\n").unwrap_err().to_string();
        assert!(error.starts_with("r.toml:2: "), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn set_reads_toml_values_and_falls_back_to_text() {
        let mut document = Document::parse("r.toml", "[train]\nepochs = 3").unwrap();
        for assignment in
            ["train.epochs=5", "train.batch_size=full", "model.widths=[8, 16]", "data.flip=true"]
        {
            document.set(assignment).unwrap();
        }
        assert_eq!(document.root["train"], json!({ "epochs": 5, "batch_size": "full" }));
        assert_eq!(document.root["model"], json!({ "widths": [8, 16] }));
        assert_eq!(document.root["data"], json!({ "flip": true }));
        assert_eq!(document.place("train.epochs"), "--set train.epochs=5");
        assert!(document.set("train.epochs").is_err());
        assert!(document.set("train.epochs.deeper=1").unwrap_err().to_string().contains("expected a table"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = Document::parse("r.toml", &text);
            if let Ok(mut document) = Document::parse("r.toml", "a = 1") {
                let _ = document.set(&text);
            }
        }

        #[test]
        fn numbers_survive(integer in any::<i64>(), float in -1e9f64..1e9) {
            let document = Document::parse("r.toml", &format!("i = {integer}\nf = {float:?}")).unwrap();
            prop_assert_eq!(document.root["i"].as_i64(), Some(integer));
            prop_assert_eq!(document.root["f"].as_f64(), Some(float));
        }
    }
}
