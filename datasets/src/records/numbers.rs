//! Numbers as a schema keeps them.

/// Rounds to 12 significant digits, far beyond what an f32 tells apart: few enough for JSON to give back the
/// same f64, so that a saved schema encodes bit for bit like the fresh one.
pub(crate) fn round(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

/// Rounds days since 1970 to as many digits as JSON gives back the same f64 of: those of a whole number below
/// 2^53. 12 digits would move a time of our days by milliseconds.
pub(crate) fn round_days(days: f64) -> f64 {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let written = format!("{days:.15e}");
    let digits: String = written.bytes().take_while(|&byte| byte != b'e').map(char::from).collect();
    let is_exact = digits.replace(['-', '.'], "").parse().is_ok_and(|digits: f64| digits < LARGEST);
    let rounded = if is_exact { written } else { format!("{days:.14e}") };
    rounded.parse().unwrap_or(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{days, spelled_day};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounded_days_are_the_same_time_and_come_back_from_json(
            seconds in -5_000_000_000i64..7_000_000_000, milliseconds in 0u32..1000,
        ) {
            let exact = days(seconds, milliseconds * 1_000_000);
            let rounded = round_days(exact);
            prop_assert_eq!(spelled_day(rounded), spelled_day(exact));
            let json = serde_json::to_string(&rounded).unwrap();
            prop_assert_eq!(serde_json::from_str::<f64>(&json).unwrap(), rounded, "{}", json);
        }
    }
}
