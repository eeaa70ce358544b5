//! The part of JSON Schema that the description uses
//! (<https://json-schema.org/draft/2020-12/json-schema-validation>).

use serde_json::Value;

/// The faults of a value by a schema, whose references are looked up in `document`.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "$", &mut faults);
    faults
}

/// The part of a document that a reference such as `#/components/schemas/Name` names.
pub(super) fn resolve<'a>(document: &'a Value, reference: &str) -> &'a Value {
    let pointer = reference.strip_prefix('#').expect(reference);
    document.pointer(pointer).expect(reference)
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let is_met = match keyword.as_str() {
            "$ref" => {
                let referred = resolve(document, rule.as_str().unwrap());
                check(document, referred, value, at, faults);
                true
            }
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                other => panic!("the validator knows no type {other}"),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value
                .as_i64()
                .is_none_or(|value| value >= rule.as_i64().unwrap()),
            "pattern" => value
                .as_str()
                .is_none_or(|text| matches(rule.as_str().unwrap(), text)),
            "format" => {
                assert_eq!(rule, "date-time");
                value
                    .as_str()
                    .is_none_or(|text| crate::util::rfc3339_ms(text).is_some())
            }
            "required" => value.as_object().is_none_or(|members| {
                let mut names = rule.as_array().unwrap().iter();
                names.all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        check(document, schema, member, &format!("{at}.{name}"), faults);
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(rule, false);
                let known = schema.get("properties");
                value.as_object().is_none_or(|members| {
                    members
                        .keys()
                        .all(|name| known.is_some_and(|known| known.get(name).is_some()))
                })
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(document, rule, item, &format!("{at}[]"), faults);
                }
                true
            }
            "anyOf" => {
                let mut schemas = rule.as_array().unwrap().iter();
                schemas.any(|schema| self::faults(document, schema, value).is_empty())
            }
            "not" => !self::faults(document, rule, value).is_empty(),
            "description" | "default" => true,
            other => panic!("the validator knows no keyword {other}"),
        };
        if !is_met {
            faults.push(format!("{at}: {keyword} {rule} is not met by {value}"));
        }
    }
}

/// The two patterns that there are.
fn matches(pattern: &str, text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match pattern {
        "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$" => {
            text.starts_with(|c: char| c.is_ascii_lowercase())
                && !text.ends_with('-')
                && text.len() <= 63
                && text.chars().all(is_inner)
        }
        "^([0-4]?[0-9]|50)s?$" => {
            let digits = text.strip_suffix('s').unwrap_or(text);
            let is_number = digits.chars().all(|c| c.is_ascii_digit());
            is_number && digits.len() <= 2 && digits.parse().is_ok_and(|number: u8| number <= 50)
        }
        other => panic!("the validator knows no pattern {other}"),
    }
}

#[test]
fn the_validator_finds_faults() {
    let document = serde_json::json!({"a": {"type": "integer", "minimum": 1}});
    let schema = serde_json::json!({
        "type": "object",
        "required": ["n"],
        "additionalProperties": false,
        "not": {"required": ["x", "y"]},
        "properties": {
            "n": {"$ref": "#/a"},
            "x": {"enum": [1, "two"]},
            "y": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        },
    });
    for (value, count) in [
        (serde_json::json!({"n": 1}), 0),
        (serde_json::json!({"n": 1, "x": "two"}), 0),
        (
            serde_json::json!({"n": 1, "y": ["2026-11-21T12:00:00Z"]}),
            0,
        ),
        // What is no object lacks no members either.
        (serde_json::json!([]), 2),
        (serde_json::json!({}), 1),
        (serde_json::json!({"n": 0}), 1),
        (serde_json::json!({"n": 1.5}), 1),
        (serde_json::json!({"n": "1"}), 1),
        (serde_json::json!({"n": 1, "m": 1}), 1),
        (serde_json::json!({"n": 1, "x": 2}), 1),
        (serde_json::json!({"n": 1, "y": ["noon", 3]}), 2),
        (serde_json::json!({"n": 1, "x": 1, "y": []}), 1),
    ] {
        let found = faults(&document, &schema, &value);
        assert_eq!(found.len(), count, "{value}: {found:?}");
    }
}
