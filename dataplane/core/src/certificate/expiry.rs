//! When a certificate expires: one field of it, for a metric. Whether it is valid, rustls decides.

/// Tags of DER that lie on the way (ITU-T X.690).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of a certificate (RFC 5280, 4.1) in Unix seconds; `None` where there is none.
pub fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // Version, if it is said, then serial number, signature and issuer.
    let (tag, _, behind) = element(rest)?;
    let fields = if tag == VERSION { 3 } else { 2 };
    rest = behind;
    for _ in 0..fields {
        rest = element(rest)?.2;
    }
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (_, _, behind) = element(validity)?;
    match element(behind)? {
        // Two digits of the year: 50 and above are of the last century (RFC 5280, 4.1.2.5.1).
        (UTC_TIME, text, _) => {
            let year = digits(text.get(..2)?)?;
            unix(if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        (GENERALIZED_TIME, text, _) => unix(digits(text.get(..4)?)?, text.get(4..)?),
        _ => None,
    }
}

/// Tag and content of the first element, and what is behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match usize::from(first) {
        short @ ..0x80 => (short, rest),
        long => {
            let (length, rest) = rest.split_at_checked(long - 0x80)?;
            (length.iter().try_fold(0_usize, |sum, &byte| Some(sum.checked_mul(256)? | usize::from(byte)))?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Unix seconds of a year and `MMDDHHMMSSZ`.
fn unix(year: i64, text: &[u8]) -> Option<i64> {
    let at = |i: usize| digits(text.get(i..i + 2)?);
    let (month, day) = (at(0)?, at(2)?);
    // Days since 1970-01-01 in the proleptic Gregorian calendar, with years from March (Hinnant: chrono-compatible
    // low-level date algorithms, days_from_civil).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + at(4)?) * 60 + at(6)?) * 60 + at(8)?)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_certificate_was_made_with() {
        for (year, month, day, unix_s) in
            [(2031, 3, 1, 1_930_089_600), (2028, 2, 29, 1_835_395_200), (2051, 12, 31, 2_587_593_600)]
        {
            let mut params = rcgen::CertificateParams::new(["barrage-link".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(params.not_after.unix_timestamp(), unix_s);
            assert_eq!(not_after(certificate.der()), Some(unix_s));
        }
    }

    #[test]
    fn other_bytes_have_none() {
        let certificate = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert;
        for end in 0..60 {
            assert_eq!(not_after(&certificate.der()[..end]), None);
        }
        assert_eq!(not_after(&[0x30, 0xff]), None);
    }
}
