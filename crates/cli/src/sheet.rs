//! The contact sheet of `bonfire predict --sheet`: pictures with what the model says of them.

use crate::output::OutputFile;
use crate::page::{self, escaped, figure};
use anyhow::Result;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;

/// Pictures on a sheet; more would be a page that no browser shows with ease.
const MOST: u64 = 500;

/// Classes below a picture.
const CLASSES: usize = 3;

/// A page that is written as answers come.
pub struct Sheet {
    file: OutputFile,
    /// Pictures that were answered for.
    pictures: u64,
    most: u64,
}

impl Sheet {
    /// Begins a page.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, name: &str) -> Result<Self> {
        let mut file = OutputFile::create(path)?;
        file.write_all(page::begin(&format!("{name}: predictions")).as_bytes())?;
        Ok(Sheet { file, pictures: 0, most: MOST })
    }

    /// Adds a picture, which is fetched unless the sheet is full, and its answer.
    ///
    /// # Errors
    /// When the picture cannot be read again, or the file not be written.
    pub fn add(
        &mut self,
        name: &str,
        answer: &Map<String, Value>,
        picture: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<()> {
        self.pictures += 1;
        if self.pictures <= self.most {
            let caption = format!("{}{}", said(answer), escaped(name));
            self.file.write_all(figure(name, &picture()?, &caption).as_bytes())?;
        }
        Ok(())
    }

    /// Ends the page.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        if self.pictures > self.most {
            let left_out = self.pictures - self.most;
            writeln!(
                self.file,
                "<p>A sheet shows {} pictures: {left_out} more are not on it.</p>",
                self.most
            )?;
            eprintln!("the sheet shows the first {} of {} pictures", self.most, self.pictures);
        }
        self.file.write_all(b"</html>\n")?;
        self.file.finish()
    }
}

/// The likeliest classes with their probabilities, or else the answer as it is; HTML.
fn said(answer: &Map<String, Value>) -> String {
    let percent = |probability: &Value| probability.as_f64().unwrap_or(f64::NAN) * 100.0;
    let lines: Vec<String> = match answer.get("probabilities") {
        Some(Value::Object(probabilities)) => {
            let mut classes: Vec<(&String, f64)> =
                probabilities.iter().map(|(label, probability)| (label, percent(probability))).collect();
            classes.sort_by(|a, b| b.1.total_cmp(&a.1));
            let line = |(label, percent): &(&String, f64)| format!("{} {percent:.1} %", escaped(label));
            classes.iter().take(CLASSES).map(line).collect()
        }
        _ => answer.iter().map(|(key, value)| escaped(&format!("{key} {value}"))).collect(),
    };
    lines.iter().map(|line| format!("{line}<br>")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pictures_have_their_likeliest_classes_and_a_full_sheet_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.html");
        let answer = json!({ "label": "b", "probabilities": { "a": 0.1, "<b>": 0.6, "c": 0.05, "d": 0.25 } });
        let mut sheet = Sheet { most: 2, ..Sheet::create(&path, "x & y").unwrap() };
        for name in ["1.png", "2.png", "3.png"] {
            let fetch = || {
                assert_ne!(name, "3.png", "a picture that is not shown is not fetched");
                Ok(vec![1, 2, 3])
            };
            sheet.add(name, answer.as_object().unwrap(), fetch).unwrap();
        }
        assert!(!path.exists());
        sheet.finish().unwrap();
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page.contains("x &amp; y: predictions") && page.ends_with("</html>\n"));
        assert!(page.contains("&lt;b&gt; 60.0 %<br>d 25.0 %<br>a 10.0 %<br>1.png"), "{page}");
        assert_eq!(page.matches("base64,AQID").count(), 2);
        assert!(page.contains("A sheet shows 2 pictures: 1 more are not on it."));
    }

    #[test]
    fn an_answer_without_classes_stands_as_it_is() {
        let answer = json!({ "reconstruction_error": 0.5 });
        assert_eq!(said(answer.as_object().unwrap()), "reconstruction_error 0.5<br>");
    }
}
