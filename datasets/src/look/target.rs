//! The column to predict: which ones could be, and the one that its name says.

use super::columns::{ColumnKind, ColumnLook};

/// Different whole numbers up to which a column is read as classes, as training does.
const MOST_CLASSES: u64 = 20;

/// Names that say "this is to be predicted", in small letters.
const NAMED: [&str; 15] = [
    "target",
    "label",
    "labels",
    "class",
    "classes",
    "outcome",
    "response",
    "output",
    "result",
    "ground_truth",
    "groundtruth",
    "gold",
    "truth",
    "dependent",
    "to_predict",
];

/// Names of what people most often predict, in small letters: weaker than those of [`NAMED`].
const USUAL: [&str; 33] = [
    "survived",
    "churn",
    "churned",
    "exited",
    "attrition",
    "income",
    "spam",
    "is_spam",
    "sentiment",
    "species",
    "variety",
    "diagnosis",
    "fraud",
    "is_fraud",
    "isfraud",
    "default",
    "defaulted",
    "late",
    "is_late",
    "delayed",
    "price",
    "saleprice",
    "sale_price",
    "medv",
    "median_house_value",
    "quality",
    "rating",
    "stars",
    "score",
    "loan_status",
    "approved",
    "y",
    "category",
];

/// The question about a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which of so many classes.
    Class(u64),
    /// Which value.
    Value,
}

/// A column that could be predicted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// The question that it would be.
    pub question: Question,
    /// Why it is not guessed, though it could be asked for.
    pub unlikely: Option<&'static str>,
}

/// The columns that could be predicted.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The one that its name, or the lack of any other, says; none where no guess is sane.
    pub likely: Option<Candidate>,
    /// Why it is likely.
    pub why: String,
    /// Those of which each is as likely as the others, where no one is.
    pub equally_likely: Vec<Candidate>,
    /// All others, those of few classes first.
    pub others: Vec<Candidate>,
}

/// The question that training would take a column for; none where it cannot be predicted.
pub(super) fn question(column: &ColumnLook) -> Option<Question> {
    match column.kind {
        ColumnKind::Number => {
            let few = column.distinct.filter(|&distinct| distinct <= MOST_CLASSES);
            let whole = column.range.is_some_and(|range| range.whole);
            Some(few.filter(|_| whole).map_or(Question::Value, Question::Class))
        }
        ColumnKind::Category if column.refused.is_none() => column.distinct.map(Question::Class),
        _ => None,
    }
}

/// Why a column is not guessed to be the target, though it could be asked for.
fn unlikely(column: &ColumnLook, question: Question) -> Option<&'static str> {
    match question {
        Question::Class(classes) if column.values > 20 && 2 * classes >= column.values => {
            Some("it differs in nearly every row")
        }
        Question::Value if column.rises => Some("it rises from row to row"),
        _ => None,
    }
}

pub(super) fn targets(columns: &[ColumnLook]) -> Targets {
    let candidate = |column: &ColumnLook| {
        let question = question(column)?;
        Some(Candidate { name: column.name.clone(), question, unlikely: unlikely(column, question) })
    };
    let candidates: Vec<Candidate> = columns.iter().filter_map(candidate).collect();
    let sane: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.unlikely.is_none()).collect();
    // Beside `x` and `z`, `y` is a coordinate.
    let is_coordinate = |name: &str| name == "y" && columns.iter().any(|column| column.name == "z");
    let named = |names: &[&str]| -> Vec<&Candidate> {
        let is_named = |candidate: &&Candidate| {
            let name = candidate.name.to_lowercase();
            names.contains(&name.as_str()) && !is_coordinate(&name)
        };
        sane.iter().copied().filter(is_named).collect()
    };
    let has_text = columns.iter().any(|column| column.kind == ColumnKind::Text);
    let (likely, why) = match (named(&NAMED).as_slice(), named(&USUAL).as_slice(), sane.as_slice()) {
        ([one], _, _) => (Some((*one).clone()), "its name says so"),
        ([], [one], _) => {
            (Some((*one).clone()), "its name is one of what people predict; --target names another")
        }
        ([], [], [one]) if has_text => (Some((*one).clone()), "it is the only column beside the texts"),
        _ => (None, ""),
    };
    let equally_likely = match (&likely, named(&NAMED), named(&USUAL)) {
        (Some(_), ..) => Vec::new(),
        (None, named, _) if !named.is_empty() => named.into_iter().cloned().collect(),
        (None, _, usual) => usual.into_iter().cloned().collect(),
    };
    let mut others: Vec<Candidate> = candidates
        .into_iter()
        .filter(|candidate| likely.as_ref().is_none_or(|likely| likely.name != candidate.name))
        .collect();
    others.sort_by_key(|candidate| match candidate.question {
        Question::Class(classes) => classes,
        Question::Value => u64::MAX,
    });
    Targets { likely, why: why.to_string(), equally_likely, others }
}
