//! One spelling for one value, whatever the format that carried it.

use std::borrow::Cow;

/// Digits of a whole number that an f64 holds, whichever they are.
const EXACT_DIGITS: usize = 15;

/// The number that a text plainly is, so that nothing is lost with its spelling. A whole number with zeros in
/// front (a postal code), with a plus (a telephone number), or of more digits than an f64 holds may be a name as
/// well, and is none; nor are the infinite ones.
pub(super) fn plain_number(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits.as_bytes()),
        None => (false, text.as_bytes()),
    };
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole > 1 && digits[0] == b'0' {
        return None;
    }
    match digits.get(whole) {
        None if (1..=EXACT_DIGITS).contains(&whole) => {
            let number = digits.iter().fold(0, |number, &byte| 10 * number + u64::from(byte - b'0'));
            // Zero has no sign.
            Some(if negative { 0.0 - number as f64 } else { number as f64 })
        }
        Some(b'.' | b'e' | b'E') => {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number + 0.0)
        }
        _ => None,
    }
}

/// The one spelling of a value that has several: numbers in their shortest form, truth values in small letters.
/// Everything else is as it stands.
pub(crate) fn canonical(text: &str) -> Cow<'_, str> {
    if let Some(number) = plain_number(text) {
        let spelled = number.to_string();
        return if spelled == text { text.into() } else { spelled.into() };
    }
    match text {
        "True" | "TRUE" => "true".into(),
        "False" | "FALSE" => "false".into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_has_one_spelling() {
        for (spellings, value) in [
            (&["1", "1.0", "1.", "1e0", "1.00", "10E-1"][..], "1"),
            (&["0", "-0", "0.0", "-0.0", ".0"], "0"),
            (&["-2.5", "-2.50", "-25e-1"], "-2.5"),
            (&["true", "True", "TRUE"], "true"),
            (&["False"], "false"),
        ] {
            assert!(spellings.iter().all(|spelling| canonical(spelling) == value), "{spellings:?}");
        }
    }

    #[test]
    fn names_of_digits_are_left_as_they_are() {
        for name in ["01234", "007", "+49", "1234567890123456", "inf", "1e999", "-", ".", "", "1.2.3", "0x1f"]
        {
            assert_eq!((plain_number(name), &*canonical(name)), (None, name));
        }
    }

    proptest! {
        #[test]
        fn a_canonical_spelling_stays(text in "[-+]?[0-9]{0,18}[.eE]?[0-9]{0,3}") {
            let spelling = canonical(&text).into_owned();
            prop_assert_eq!(canonical(&spelling), spelling.as_str());
            if let Some(number) = plain_number(&text) {
                prop_assert_eq!(Ok(number), text.parse::<f64>().map(|number| number + 0.0));
                prop_assert_eq!(Ok(number), spelling.parse::<f64>());
            }
        }
    }
}
