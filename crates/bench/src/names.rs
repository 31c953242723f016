//! Looks up the names that were typed among the known ones.

use anyhow::{Result, bail};
use bonfire_contract::most_alike;

/// The items of `known` with a name in `asked`, in the order of `known`; all if `asked` is empty.
///
/// # Errors
/// When a name is not known. The message has the nearest known names.
pub(crate) fn chosen<'a, T>(
    kind: &str,
    known: &'a [T],
    name: impl Fn(&T) -> &str,
    asked: &[String],
) -> Result<Vec<&'a T>> {
    for asked in asked {
        if !known.iter().any(|known| name(known) == asked) {
            let names: Vec<&str> = known.iter().map(&name).collect();
            bail!(
                "{kind}: expected a known one such as {}, found '{asked}'",
                most_alike(asked, names, 3).join(", ")
            );
        }
    }
    let wanted = |known: &&T| asked.is_empty() || asked.iter().any(|asked| asked == name(known));
    Ok(known.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_the_nearest() {
        let known = ["mlp_b128", "cnn28_b64", "lstm_b64", "gru_b64"];
        let asked = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            chosen("case", &known, |name| name, &names).map(|found| found.len())
        };
        assert_eq!(asked(&[]).unwrap(), 4);
        assert_eq!(asked(&["gru_b64", "mlp_b128", "gru_b64"]).unwrap(), 2);
        let error = asked(&["mlp_b128", "cnn"]).unwrap_err().to_string();
        assert!(error.starts_with("case: expected a known one such as cnn28_b64, "), "{error}");
        assert!(error.ends_with("found 'cnn'"), "{error}");
    }
}
