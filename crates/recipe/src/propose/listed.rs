//! What a table says of the pictures that it names: a class, a value, or several labels.

use super::lines::Lines;
use super::target::{Target, asks, classes, listed as some_of, target};
use super::{Asked, Parts, check_parts, refuse};
use crate::RecipeError;
use bonfire_datasets::look::{Candidate, ListedLook, Look, Question, Several};

/// Labels that are shown with their counts.
const SHOWN: usize = 6;

/// The question about pictures that a table names.
pub(super) enum Answers {
    /// One answer for each, in a column.
    One(Target),
    /// Any number of labels for each, and why they are taken for it.
    Several(Several, String),
}

impl Answers {
    /// The likely question, or the one that is asked for.
    ///
    /// # Errors
    /// When none is likely; when the table is none that training reads as it stands.
    pub(super) fn of(
        look: &Look,
        listed: &ListedLook,
        asked: &Asked,
        told: &mut Vec<String>,
    ) -> Result<Self, RecipeError> {
        if let Some(guess) =
            listed.rows.guesses.iter().find(|guess| ["encoding", "has_header"].contains(&guess.key))
        {
            let expected = "a table of pictures in UTF-8, whose first line names the columns";
            return Err(refuse(look, expected, format!("one of {} = {}", guess.key, guess.value)));
        }
        if let Some((count, first)) = &listed.lost
            && 2 * count > listed.rows.rows
        {
            let found =
                format!("{count} of {} rows whose picture is not there, such as `{first}`", listed.rows.rows);
            return Err(refuse(look, format!("names of pictures in `{}`", listed.column), found));
        }
        let answers = Answers::guess(look, listed, asked, told)?;
        if listed.contradicts(&answers.columns()) {
            let expected = format!("one answer for each picture that `{}` names", listed.column);
            return Err(refuse(look, expected, "rows that say different things of one picture"));
        }
        Ok(answers)
    }

    fn guess(
        look: &Look,
        listed: &ListedLook,
        asked: &Asked,
        told: &mut Vec<String>,
    ) -> Result<Self, RecipeError> {
        let several = |several: Several, why: &str, told: &mut Vec<String>| {
            told.push(format!("target: labels, {why}: {}", about(&several)));
            Answers::Several(several, why.to_string())
        };
        if let Some(labels) = asked.target.as_ref().and_then(|name| listed.labels_in(name)) {
            return Ok(several(labels, "as asked", told));
        }
        let likely = listed.rows.targets().likely;
        let in_cells = match &likely {
            Some(likely) => listed.labels_in(&likely.name),
            None => match &mut listed.several_in_cells()[..] {
                [only] => Some(only.clone()),
                _ => None,
            },
        };
        match (in_cells, listed.several_columns()) {
            _ if asked.target.is_some() => {}
            (Some(labels), _) => return Ok(several(labels, "a guess", told)),
            (None, Some(labels)) if likely.is_none() => {
                let answer = several(labels, "a guess", told);
                if let Answers::Several(Several::Columns { exclusive: true, .. }, _) = &answer {
                    told.push(
                        "each picture has exactly one of the labels: a column of class names would train a \
                         classifier"
                            .to_string(),
                    );
                }
                return Ok(answer);
            }
            _ => {}
        }
        let targets = listed.rows.targets();
        let is_answer = |other: &&Candidate| other.name != listed.column && other.unlikely.is_none();
        let mut answers = targets.others.iter().filter(is_answer);
        // Beside the names of the pictures, a table of two columns has only one that says something.
        if let (None, None, Some(only), None) =
            (&asked.target, &targets.likely, answers.next(), answers.next())
        {
            let why = "it is the only column beside the names of the pictures";
            told.push(format!("target: {}, a guess, as {why}", asks(only)));
            let (name, question) = (only.name.clone(), only.question);
            return Ok(Answers::One(Target { name, question, why: format!("a guess: {why}") }));
        }
        Ok(Answers::One(target(look, &listed.rows, asked, told)?))
    }

    /// The columns of the answers.
    fn columns(&self) -> Vec<String> {
        match self {
            Answers::One(target) => vec![target.name.clone()],
            Answers::Several(Several::Cell { column, .. }, _) => vec![column.clone()],
            Answers::Several(Several::Columns { labels, .. }, _) => {
                labels.iter().map(|(name, _)| name.clone()).collect()
            }
        }
    }

    /// True where a picture has one class.
    pub(super) fn is_class(&self) -> bool {
        matches!(self, Answers::One(Target { question: Question::Class(_), .. }))
    }

    /// The parts of the set that have the answers.
    ///
    /// # Errors
    /// When samples to test on are asked for that have not.
    pub(super) fn parts<'a>(
        &self,
        look: &'a Look,
        listed: &ListedLook,
        asked: &'a Asked,
        told: &mut Vec<String>,
    ) -> Result<Parts<'a>, RecipeError> {
        check_parts(look, asked, &self.columns(), std::slice::from_ref(&listed.column), told)
    }

    /// The keys of the table. True where rows of it have to be left out.
    pub(super) fn write(&self, listed: &ListedLook, lines: &mut Lines, told: &mut Vec<String>) -> bool {
        if let Some(folder) = &listed.folder {
            lines.key("folder", folder, "the names in the table are relative to it");
        }
        lines.key("image_column", &listed.column, "the names of the pictures");
        let mut unanswered = 0;
        match self {
            Answers::One(target) => {
                lines.key("label_column", &target.name, &target.why);
                let column = listed.rows.column(&target.name);
                unanswered = column.map_or(0, |column| column.missing);
                match (target.question, column) {
                    (Question::Value, _) => lines.key("target", "value", "its numbers are many"),
                    (Question::Class(_), Some(column)) => {
                        let (counts, warning) = classes(column);
                        lines.key("target", "class", &counts);
                        told.extend(warning);
                    }
                    (Question::Class(_), None) => {}
                }
            }
            Answers::Several(several, why) => {
                lines.key("target", "labels", &format!("{why}: {}", about(several)));
                match several {
                    Several::Cell { column, separator, .. } => {
                        lines.key("label_column", column, "any number of labels for a picture");
                        lines.key("label_separator", separator, "stands between them");
                    }
                    Several::Columns { labels, .. } => {
                        let names: Vec<&String> = labels.iter().map(|(name, _)| name).collect();
                        lines.key("label_columns", names, "each says 0 or 1");
                    }
                }
            }
        }
        if unanswered > 0 {
            told.push(format!(
                "{unanswered} rows say nothing of their picture: they are left out, and counted"
            ));
        }
        let unused = listed.rows.columns.iter().map(|column| &column.name);
        let used = self.columns();
        let unused: Vec<String> =
            unused.filter(|name| **name != listed.column && !used.contains(name)).cloned().collect();
        if !unused.is_empty() {
            let unused = format!("not used: {}", some_of(unused.into_iter()));
            lines.comment(&unused);
            told.push(unused);
        }
        unanswered > 0 || listed.lost.is_some() || listed.rows.unreadable.is_some()
    }
}

/// Labels in a line: where they stand, and how many pictures have each.
fn about(several: &Several) -> String {
    let counts = |labels: &[(String, u64)]| {
        let shown = labels.iter().take(SHOWN).map(|(name, count)| format!("{name} {count}"));
        let more = labels.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        shown.collect::<Vec<_>>().join(", ") + &more
    };
    match several {
        Several::Cell { column, separator, labels, rows } => format!(
            "{} labels, several in {rows} cells of `{column}` with {separator:?} between them ({})",
            labels.len(),
            counts(labels)
        ),
        Several::Columns { labels, .. } => {
            format!("{} columns say 0 or 1 ({})", labels.len(), counts(labels))
        }
    }
}
