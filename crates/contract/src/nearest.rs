//! The known names that are most like a mistyped one, for messages.

use std::fmt::Display;

/// The likeness that a known name needs to be taken for the one that was meant.
const MEANT: f64 = 0.8;

/// The known name that was meant by a typed one, if any is near enough.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let meant = scored(typed, known).filter(|(likeness, _)| *likeness > MEANT);
    meant.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The end of a message about a mistyped name: the one that was `meant`, if any.
pub fn did_you_mean(meant: Option<impl Display>) -> String {
    meant.map_or(String::new(), |meant| format!("; did you mean '{meant}'?"))
}

/// The known names most like a typed one, at most `most` of them, the most alike first.
pub fn most_alike<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = scored(typed, known).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(most).map(|(_, name)| name).collect()
}

/// The likeness of a name of three letters or more with one slip: a letter too many, too few, wrong or
/// swapped.
const ONE_SLIP: f64 = 0.9;

/// Each known name with its likeness, from 0 to 1 (Jaro and Winkler, or that of one slip), whatever is
/// written in capitals.
fn scored<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = (f64, &'a str)> {
    let typed = typed.to_lowercase();
    known.into_iter().map(move |name| {
        let lower = name.to_lowercase();
        let likeness = strsim::jaro_winkler(&typed, &lower);
        let one_slip = typed.chars().count() >= 3 && strsim::osa_distance(&typed, &lower) == 1;
        (if one_slip { likeness.max(ONE_SLIP) } else { likeness }, name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_none() {
        let known = ["learning_rate", "epochs", "batch_size"];
        assert_eq!(nearest("learnig_rate", known), Some("learning_rate"));
        assert_eq!(nearest("Epoch", known), Some("epochs"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest("gtp", ["gru", "gpt"]), Some("gpt"));
        assert_eq!(nearest("epochs", []), None);
        assert_eq!(did_you_mean(nearest("epoch", known)), "; did you mean 'epochs'?");
        assert_eq!(did_you_mean(nearest("zzz", known)), "");
    }

    #[test]
    fn the_most_alike_come_first() {
        let known = ["mlp_b128", "cnn28_b64", "lstm_b64", "gru_b64"];
        assert_eq!(most_alike("cnn", known, 1), ["cnn28_b64"]);
        assert_eq!(most_alike("LSTM_B64", known, 2)[0], "lstm_b64");
        assert_eq!(most_alike("x", known, 9).len(), 4);
    }
}
