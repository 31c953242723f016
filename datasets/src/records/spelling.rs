//! One spelling for one value, whatever the format that carried it.

use std::borrow::Cow;

/// The characters between the digits of numbers, as a recipe has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberFormat {
    /// Between groups of digits; none where digits stand side by side.
    pub thousands: Option<char>,
    /// Before the fraction.
    pub decimal: char,
}

impl Default for NumberFormat {
    fn default() -> Self {
        NumberFormat { thousands: None, decimal: '.' }
    }
}

impl NumberFormat {
    /// The number that a text is; none for not-a-number.
    pub(super) fn number(self, text: &str) -> Option<f64> {
        self.plain(text)?.parse().ok().filter(|number: &f64| !number.is_nan())
    }

    /// The number that a text plainly is: see [`plain_number`].
    pub(super) fn plain_number(self, text: &str) -> Option<f64> {
        plain_number(&self.plain(text)?)
    }

    /// A number without marks between its digits and with a point; none for a text that is not of the format.
    pub(super) fn plain(self, text: &str) -> Option<Cow<'_, str>> {
        if self == NumberFormat::default() {
            return Some(text.into());
        }
        let (whole, fraction) = match text.split_once(self.decimal) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let is_thousands = |c: char| self.thousands.is_some_and(|mark| same_mark(mark, c));
        let groups: Vec<&str> = whole.split(is_thousands).collect();
        let fits = groups.len() == 1 || are_groups(&groups);
        let rest = groups.iter().copied().chain(fraction);
        if !fits || rest.clone().any(|part| part.contains(['.', ','])) {
            return None;
        }
        let mut plain = groups.concat();
        if let Some(fraction) = fraction {
            plain = plain + "." + fraction;
        }
        Some(plain.into())
    }
}

/// True where a character stands for a mark between digits: any space for a space, either apostrophe for an
/// apostrophe.
fn same_mark(mark: char, c: char) -> bool {
    const SPACES: [char; 4] = [' ', '\u{a0}', '\u{202f}', '\u{2009}'];
    const APOSTROPHES: [char; 2] = ['\'', '\u{2019}'];
    mark == c || [&SPACES[..], &APOSTROPHES].iter().any(|same| same.contains(&mark) && same.contains(&c))
}

/// True for groups of digits as thousands are written: three in the last, two or three in those between, as in
/// India, and one to three in the first, behind its sign.
fn are_groups(groups: &[&str]) -> bool {
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    let [first, between @ .., last] = groups else { return false };
    let first = first.strip_prefix(['-', '+']).unwrap_or(first);
    digits(first)
        && first.len() <= 3
        && between.iter().all(|group| digits(group) && (2..=3).contains(&group.len()))
        && digits(last)
        && last.len() == 3
}

/// True for a text that is a number with marks between its digits, or with a comma before its fraction: `1,234`,
/// `1.234.567`, `1 234,5`, `0,25`. Which it is, its letters do not say.
pub(crate) fn is_grouped(text: &str) -> bool {
    const MARKS: [(Option<char>, char); 7] = [
        (Some(','), '.'),
        (Some(' '), '.'),
        (Some('\''), '.'),
        (Some('.'), ','),
        (Some(' '), ','),
        (Some('\''), ','),
        (None, ','),
    ];
    // Most texts have other characters, too.
    let may_be = |c: char| c.is_ascii_digit() || "+-,. '\u{a0}\u{202f}\u{2009}\u{2019}".contains(c);
    if !text.chars().all(may_be) {
        return false;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let of = |(thousands, decimal)| NumberFormat { thousands, decimal }.plain(text);
    (2..=18).contains(&digits)
        && text.parse::<f64>().is_err()
        && MARKS.into_iter().filter_map(of).any(|plain| are_digits(&plain))
}

/// True for a number of digits with a sign and a fraction or without.
fn are_digits(plain: &str) -> bool {
    plain.bytes().any(|byte| byte.is_ascii_digit())
        && plain.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.'))
        && plain.parse::<f64>().is_ok()
}

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

    #[test]
    fn numbers_of_a_format_are_read_and_others_are_none() {
        let of = |thousands, decimal: char, text: &str| NumberFormat { thousands, decimal }.number(text);
        // As pandas.read_csv reads them with `thousands` and `decimal`.
        for (thousands, decimal, text, number) in [
            (Some(','), '.', "1,234", 1234.0),
            (Some(','), '.', "-1,234,567.5", -1_234_567.5),
            (Some('.'), ',', "1.234,56", 1234.56),
            (Some('.'), ',', "1234,56", 1234.56),
            (Some(' '), ',', "1\u{202f}234,5", 1234.5),
            (Some('\''), '.', "1\u{2019}234", 1234.0),
            (Some(','), '.', "12,34,567", 1_234_567.0),
            (None, ',', "0,25", 0.25),
            (None, ',', "2,5e3", 2500.0),
            (None, '.', "2.5", 2.5),
        ] {
            assert_eq!(of(thousands, decimal, text), Some(number), "{text}");
        }
        for (thousands, decimal, text) in [
            (Some(','), '.', "1,23"),
            (Some(','), '.', "1,2345"),
            (Some(','), '.', "1,234.5,678"),
            (Some('.'), ',', "1.5"),
            (None, ',', "1.5"),
            (None, ',', "1,2,3"),
            (None, '.', "1,234"),
            (None, '.', "nan"),
        ] {
            assert_eq!(of(thousands, decimal, text), None, "{text}");
        }
    }

    #[test]
    fn numbers_that_may_have_marks_between_their_digits_are_known() {
        for text in ["1,234", "1.234.567", "1 234", "1,234.5", "1.234,5", "0,25", "-1'234", "12\u{a0}345,5"] {
            assert!(is_grouped(text), "{text}");
        }
        for text in ["1234", "1.234", "a,b", "1,2,3", "", ",", "12:30", "2024-01-02", "$1,200", "12%", "1 2"]
        {
            assert!(!is_grouped(text), "{text}");
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
