//! Lenient reading of the fields of an answer that have a default: `null`, a value of
//! another kind or a number in another spelling costs the field, not the answer. What an
//! answer is useless without is read strictly.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value};

use crate::util::wiped_json;

/// A value that can be read from any JSON value.
pub trait Lenient: Default {
    /// Reads the value; None where it says nothing of this kind.
    fn of(value: Value) -> Option<Self>;
}

/// Reads a field for `#[serde(default, deserialize_with = "lenient")]`: the default where
/// the value is of another kind.
///
/// # Errors
/// The text is not JSON.
pub fn lenient<'de, D: Deserializer<'de>, T: Lenient>(from: D) -> Result<T, D::Error> {
    Ok(T::of(Value::deserialize(from)?).unwrap_or_default())
}

/// As [`lenient`], for a whole number that has no default: `5`, `5.0`, `"5"` or nothing.
///
/// # Errors
/// The value is anything else.
pub fn whole_number<'de, D: Deserializer<'de>, T: Lenient + TryFrom<i64>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        value => i64::of(value)
            .and_then(|number| T::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| D::Error::custom("no whole number")),
    }
}

/// Reads an answer, which has to be an object; None for any other text. Of members of one
/// name the last counts.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    // A list would do for a struct as well.
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    if let Ok(read) = serde_json::from_slice(body) {
        return Some(read);
    }
    // Where a name comes twice, it is read by way of an object, which costs more.
    let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    of_value(&Value::Object(object))
}

/// Reads a value; None where it is something else. It goes by way of its text, for which all
/// of the reading is compiled anyway; for values it would be once more for each type.
pub fn of_value<T: DeserializeOwned>(value: &Value) -> Option<T> {
    let text = wiped_json(value).ok()?;
    serde_json::from_slice(&text).ok()
}

impl Lenient for String {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Lenient for bool {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Bool(is) => Some(is),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            Value::Number(number) => Some(number.as_f64() != Some(0.0)),
            _ => None,
        }
    }
}

/// Towards zero, and to the nearest end where it is out of range.
impl Lenient for i64 {
    fn of(value: Value) -> Option<Self> {
        let number = match value {
            Value::Number(number) => number,
            Value::String(text) => serde_json::from_slice(text.trim().as_bytes()).ok()?,
            _ => return None,
        };
        if let Some(whole) = number.as_i64() {
            return Some(whole);
        }
        #[allow(clippy::cast_possible_truncation, reason = "it saturates")]
        number.as_f64().map(|number| number as i64)
    }
}

/// A negative number is 0.
impl Lenient for u64 {
    fn of(value: Value) -> Option<Self> {
        match &value {
            Value::Number(number) if number.is_u64() => number.as_u64(),
            _ => i64::of(value).map(|number| Self::try_from(number).unwrap_or_default()),
        }
    }
}

impl Lenient for i32 {
    fn of(value: Value) -> Option<Self> {
        i64::of(value).and_then(|number| Self::try_from(number).ok())
    }
}

impl<T: Lenient> Lenient for Option<T> {
    fn of(value: Value) -> Option<Self> {
        Some(T::of(value))
    }
}

/// Items of another kind are left out.
impl<T: Lenient> Lenient for Vec<T> {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Array(items) => Some(items.into_iter().filter_map(T::of).collect()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Answer {
        #[serde(default, deserialize_with = "lenient")]
        text: String,
        #[serde(default, deserialize_with = "lenient")]
        is: bool,
        #[serde(default, deserialize_with = "lenient")]
        count: Option<u64>,
        #[serde(default, deserialize_with = "lenient")]
        life: Option<i64>,
        #[serde(default, deserialize_with = "lenient")]
        names: Vec<String>,
    }

    fn answer(text: &str) -> Answer {
        read(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn null_absent_and_another_kind_are_the_default() {
        let nothing = answer("{}");
        for odd in ["null", "[]", "{}", r#"{"a":[1]}"#, "[[1]]"] {
            let text = format!(
                r#"{{"text":{odd},"is":{odd},"count":{odd},"life":{odd},"names":{odd},"more":{odd}}}"#
            );
            assert_eq!(answer(&text), nothing, "{odd}");
        }
        assert_eq!(nothing.names, Vec::<String>::new());
        assert_eq!((nothing.count, nothing.life), (None, None));
    }

    #[test]
    fn a_number_may_be_spelled_in_other_ways() {
        for (text, count, life) in [
            ("500", 500, 500),
            ("500.0", 500, 500),
            ("500.9", 500, 500),
            ("5e2", 500, 500),
            (r#""500""#, 500, 500),
            (r#"" 500 ""#, 500, 500),
            (r#""5e2""#, 500, 500),
            ("-7", 0, -7),
            ("-7.5", 0, -7),
            ("18446744073709551615", u64::MAX, i64::MAX),
            ("1e300", i64::MAX as u64, i64::MAX),
            ("-1e300", 0, i64::MIN),
        ] {
            let read = answer(&format!(r#"{{"count":{text},"life":{text}}}"#));
            assert_eq!((read.count, read.life), (Some(count), Some(life)), "{text}");
        }
        for text in [
            r#""""#,
            r#""soon""#,
            r#""5 s""#,
            "true",
            r#""NaN""#,
            r#""[]""#,
        ] {
            assert_eq!(
                answer(&format!(r#"{{"count":{text}}}"#)).count,
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn lists_and_words() {
        let read = answer(r#"{"names":["a",null,5,"b"],"is":"true"}"#);
        assert_eq!(read.names, ["a", "b"]);
        assert!(read.is);
        assert!(answer(r#"{"is":1}"#).is && !answer(r#"{"is":0}"#).is);
        assert!(!answer(r#"{"is":"yes"}"#).is);
        assert_eq!(answer(r#"{"text":"a","text":"b"}"#).text, "b");
        for text in ["", "[]", "null", "\"x\"", "<html>", "{"] {
            assert_eq!(super::read::<Answer>(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_number_that_counts_is_one_or_none() {
        #[derive(Deserialize)]
        struct Counted {
            #[serde(default, deserialize_with = "whole_number")]
            replicas: Option<i32>,
        }
        let counted = |text: &str| {
            let answer = format!(r#"{{"replicas":{text}}}"#);
            serde_json::from_str::<Counted>(&answer).map(|counted| counted.replicas)
        };
        for (text, number) in [
            ("3", Some(3)),
            ("3.0", Some(3)),
            (r#""3""#, Some(3)),
            ("null", None),
        ] {
            assert_eq!(counted(text).unwrap(), number, "{text}");
        }
        assert!(
            serde_json::from_str::<Counted>("{}")
                .unwrap()
                .replicas
                .is_none()
        );
        for text in ["[]", "{}", "true", r#""many""#, "3000000000"] {
            assert!(counted(text).is_err(), "{text}");
        }
    }
}
