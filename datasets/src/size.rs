//! Numbers of bytes as people write them.

/// `1234567` bytes as `1.2 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut amount = bytes as f64;
    let mut unit = "bytes";
    for larger in UNITS {
        if amount < 1000.0 {
            break;
        }
        (amount, unit) = (amount / 1000.0, larger);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

/// Bytes out of `256MB`, `64MiB`, `1GB` or a plain number.
///
/// # Errors
/// Says what was expected, and what was found.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => {
            return Err(format!(
                "expected a number and kB, MB, GB, TB, KiB, MiB, GiB or TiB, found {text:?}"
            ));
        }
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or(format!("expected a size above 0, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        assert_eq!(parse_size("256MB"), Ok(256_000_000));
        assert_eq!(parse_size("64 MiB"), Ok(64 << 20));
        assert_eq!(parse_size("2TB"), Ok(2_000_000_000_000));
        assert_eq!(parse_size("9"), Ok(9));
        for wrong in ["", "MB", "0", "1.5GB", "5 apples", "99999999999GB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            [7, 1_234, 256_000_000, u64::MAX].map(size),
            ["7 bytes", "1.2 kB", "256.0 MB", "18446.7 PB"]
        );
    }
}
