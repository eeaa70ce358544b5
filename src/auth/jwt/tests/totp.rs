//! One-time passwords.

use super::*;

/// `12345678901234567890` in base32, the key of the RFC for SHA-1.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn fault(text: &str) -> TotpError {
    Totp::parse(text).unwrap_err()
}

#[test]
fn the_vectors_of_the_rfc() {
    // RFC 6238, appendix B.
    let sha256 = format!("{}GEZA", &SECRET.repeat(2)[..48]);
    let sha512 = format!("{}GEZDGNA", SECRET.repeat(3));
    let uri = |secret: &str, hash: &str| {
        let uri = format!("otpauth://totp/r:bot?secret={secret}&algorithm={hash}&digits=8");
        Totp::parse(&uri).unwrap()
    };
    let kinds = [
        uri(SECRET, "SHA1"),
        uri(&sha256, "SHA256"),
        uri(&sha512, "sha512"),
    ];
    for (time, codes) in [
        (59, ["94287082", "46119246", "90693936"]),
        (1_111_111_109, ["07081804", "68084774", "25091201"]),
        (1_111_111_111, ["14050471", "67062674", "99943326"]),
        (1_234_567_890, ["89005924", "91819424", "93441116"]),
        (2_000_000_000, ["69279037", "90698825", "38618901"]),
        (20_000_000_000, ["65353130", "77737706", "47863826"]),
    ] {
        for (totp, code) in kinds.iter().zip(codes) {
            assert_eq!(totp.code(at(time)).text.expose(), code, "{time}");
        }
    }
}

#[test]
fn a_secret_is_read_as_people_get_it() {
    for text in [
        SECRET,
        "gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n",
        "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ==",
        "OTPAUTH://TOTP/x?issuer=a%20b&secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq%3D&period=30",
    ] {
        let totp = Totp::parse(text).unwrap();
        assert_eq!(totp.code(at(59)).text.expose(), "287082", "{text}");
        let shown = format!("{totp:?}{:?}", totp.code(at(59)));
        assert!(
            !shown.contains("287082") && !shown.contains("123456"),
            "{shown}"
        );
    }
    let slow = Totp::parse(&format!("otpauth://totp/x?secret={SECRET}&period=60")).unwrap();
    assert_eq!(slow.code(at(119)).step, 1);
    assert_eq!(slow.code(at(119)).valid_for, Duration::from_secs(1));
}

#[test]
fn what_is_no_secret_is_named() {
    for text in [
        "",
        "=",
        "GEZDGNBV1",
        "GEZDGNBVGY3TQOJQG",
        "ü",
        "GEZDGNBVGY3TQOJQ=A",
    ] {
        let expected = match text {
            "" | "=" => TotpError::Length(0),
            _ => TotpError::Base32,
        };
        assert_eq!(fault(text), expected, "{text}");
    }
    assert_eq!(fault("234567"), TotpError::Base32);
    assert_eq!(fault("2345672"), TotpError::Length(4));
    let long = "A".repeat(208);
    assert_eq!(fault(&long), TotpError::Length(130));
    assert_eq!(fault("otpauth://hotp/x?secret=A"), TotpError::Kind);
    assert_eq!(fault("otpauth://totp"), TotpError::Kind);
    assert_eq!(fault("otpauth://totp/x"), TotpError::NoSecret);
    assert_eq!(fault("otpauth://totp/x?digits=6"), TotpError::NoSecret);
    let with = |parameter: &str| fault(&format!("otpauth://totp/x?secret={SECRET}&{parameter}"));
    for digits in ["5", "9", "-6", "", "99999999999"] {
        assert_eq!(with(&format!("digits={digits}")), TotpError::Digits);
    }
    for period in ["0", "301", "x"] {
        assert_eq!(with(&format!("period={period}")), TotpError::Period);
    }
    assert_eq!(with("algorithm=MD5"), TotpError::Algorithm);
}

#[test]
fn a_code_is_given_away_once() {
    let totp = Totp::parse(SECRET).unwrap();
    assert_eq!(totp.take(at(65)).unwrap(), totp.code(at(65)));
    assert_eq!(totp.take(at(65)), Err(Duration::from_secs(25)));
    assert_eq!(totp.take(at(89)), Err(Duration::from_secs(1)));
    assert_eq!(totp.take(at(90)).unwrap().step, 3);
    // A clock that was set back does not bring codes back.
    assert!(totp.take(at(65)).is_err());
    // One that was far ahead is no reason to wait until it is caught up with.
    assert_eq!(totp.take(at(30_000)).unwrap().step, 1000);
    assert_eq!(totp.take(at(125)).unwrap().step, 4);
    assert!(totp.take(at(125)).is_err());
    let early = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(totp.code(early), totp.code(UNIX_EPOCH));
}
