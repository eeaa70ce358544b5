//! The schema of the file says what the program knows, and the document of the gateway has
//! a row for each setting.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::backend::{MAX_HOSTS, QUIET_AGENTS, QUIET_PATHS};
use super::super::words::{IDLE_STOPS, ON_COLD, OPEN, ROUTES, WAKE_BY};
use super::super::{GATEWAY_SETTINGS, keys, outline, roles, trust};
use super::{read, target};
use crate::config::document::MOST_REPLICAS;
use crate::control::access::Action;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/gateway.schema.json")).unwrap()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    let object = object["properties"].as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn the_schema_has_the_keys_that_are_read() {
    let schema = schema();
    let defs = &schema["$defs"];
    assert_eq!(keys(&schema), BTreeSet::from(outline::KEYS));
    for (name, known) in [
        ("target", &keys::KEYS[..]),
        ("role", &roles::KEYS),
        ("k8sTrust", &trust::KEYS),
        ("identity", &trust::IDENTITY_KEYS),
    ] {
        assert_eq!(keys(&defs[name]), known.iter().copied().collect(), "{name}");
        assert_eq!(defs[name]["additionalProperties"], false, "{name}");
    }
    // A file that has no gateway of another program has these alone.
    let own = texts(&schema["anyOf"][1]["propertyNames"]["enum"]);
    assert_eq!(own, outline::KEYS);
    // Without hosts there is nothing of what needs one.
    let hostless = schema["$defs"]["target"]["oneOf"][2]["properties"].clone();
    let hostless: BTreeSet<&str> = hostless
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .filter(|key| !key.starts_with("host"))
        .collect();
    assert_eq!(hostless, keys::OF_HOST.iter().copied().collect());
    let auth = &schema["properties"]["gateway"]["properties"]["auth"];
    assert_eq!(keys(auth), BTreeSet::from(["k8sTrust"]));
    let (first, last) = (keys::OF_HOST.first(), keys::OF_HOST.last());
    assert_eq!((first, last), (Some(&"idle"), Some(&"identityHeaders")));
}

#[test]
fn the_schema_requires_what_is_required() {
    let schema = schema();
    let text = "{\"k8sTrust\": {}, \"roles\": {\"r\": {}}, \"targets\": {\"a\": {}}}";
    let identity = "{\"k8sTrust\": {\"enabled\": true, \"allowedIdentities\": [{}]}, \"targets\": \
        {}}";
    let mut told = read(text).unwrap_err();
    told.extend(read(identity).unwrap_err());
    for (name, place) in [
        ("target", "has target \"a\" (line 1)"),
        ("role", "has role \"r\" (line 1)"),
        ("k8sTrust", "has k8sTrust (line 1)"),
        ("identity", "has identity 1 (line 1)"),
    ] {
        let start = format!("{place}, which has no ");
        let missing: Vec<_> = told
            .iter()
            .filter_map(|fault| fault.strip_prefix(&start)?.split(':').next())
            .collect();
        let of = &schema["$defs"][name];
        let mut required = texts(&of["required"]);
        // Of trust that is not enabled nothing more is.
        if name == "k8sTrust" {
            let disabled = json!({"properties": {"enabled": {"const": false}}});
            assert_eq!(of["anyOf"][0], disabled);
            required.extend(texts(&of["anyOf"][1]["required"]));
        }
        assert_eq!(required, missing, "{told:#?}");
    }
    assert_eq!(texts(&schema["required"]), ["targets"]);
    assert!(read("{}").unwrap_err()[0].starts_with("has no targets"));
}

#[test]
fn the_schema_has_the_words_bounds_and_defaults_that_are_taken() {
    let schema = schema();
    let properties = &schema["$defs"]["target"]["properties"];
    fn words<T>(words: &[(&'static str, T)]) -> Vec<&'static str> {
        words.iter().map(|(word, _)| *word).collect()
    }
    for (key, wanted) in [
        ("idleStop", words(&IDLE_STOPS)),
        ("route", words(&ROUTES)),
        ("onCold", words(&ON_COLD)),
        ("wakeBy", words(&WAKE_BY)),
    ] {
        assert_eq!(texts(&properties[key]["enum"]), wanted, "{key}");
    }
    let open = texts(&properties["anonymous"]["items"]["enum"]);
    assert_eq!(open, OPEN.map(Action::as_str));
    let role = &schema["$defs"]["role"]["properties"];
    assert_eq!(
        texts(&role["verbs"]["items"]["enum"]),
        Action::ALL.map(Action::as_str)
    );
    for kind in texts(&properties["kind"]["anyOf"][0]["enum"]) {
        assert!(target(&format!("\"kind\": \"{kind}\"")).is_ok(), "{kind}");
    }
    for counts in [
        &properties["replicas"],
        &properties["max"],
        &role["maxReplicas"],
    ] {
        assert_eq!(
            (&counts["minimum"], &counts["maximum"]),
            (&json!(1), &json!(MOST_REPLICAS))
        );
    }
    assert_eq!(texts(&properties["noWakePaths"]["default"]), QUIET_PATHS);
    assert_eq!(texts(&properties["noWakeAgents"]["default"]), QUIET_AGENTS);

    let hosts = &properties["hosts"];
    assert_eq!(
        (&hosts["minItems"], &hosts["maxItems"]),
        (&json!(1), &json!(MAX_HOSTS))
    );
    assert_eq!(hosts["items"]["pattern"], properties["host"]["pattern"]);

    // What has a default is the same if the default is said.
    let defaults = properties
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(key, property)| {
            let value = property.get("default")?;
            Some(format!("\"{key}\": {value}"))
        });
    let said: Vec<String> = defaults.collect();
    assert_eq!(said.len(), 16);
    let needed = "\"host\": \"a.b\", \"service\": \"s\", \"port\": 1, \"idle\": \"1m\"";
    let mut plain = target(needed).unwrap();
    let mut full = target(&format!("{needed}, {}", said.join(", "))).unwrap();
    // In lists the order is no matter.
    for target in [&mut plain, &mut full] {
        let backend = target.backend.as_mut().unwrap();
        backend.no_wake_paths.sort();
        backend.no_wake_agents.sort();
    }
    assert_eq!(plain, full);
}

#[test]
fn everything_in_the_schema_is_described() {
    fn check(name: &str, object: &Value) {
        let Some(properties) = object.get("properties").and_then(Value::as_object) else {
            return;
        };
        for (key, property) in properties {
            let of = property["description"].as_str().unwrap_or_default();
            let is_described = of.len() > 10 || property.get("$ref").is_some();
            assert!(is_described, "{name}.{key}");
            check(key, property);
        }
    }
    let schema = schema();
    check("file", &schema);
    for (name, object) in schema["$defs"].as_object().unwrap() {
        assert!(object["description"].as_str().unwrap().len() > 10, "{name}");
        check(name, object);
    }
}

/// The document's table says what the help says; between its marks there is nothing else.
#[test]
fn the_document_has_a_row_for_each_setting() {
    let document = include_str!("../../../../docs/gateway.md");
    let (_, rest) = document.split_once("<!-- settings -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /settings -->").unwrap();
    let mut wanted = "\n| Variable | Default | Meaning |\n|---|---|---|\n".to_owned();
    for setting in GATEWAY_SETTINGS {
        let (name, help) = (setting.name, setting.help);
        let filed = match setting.file {
            Some(_) => format!(", `{}`", setting.file_name),
            None => String::new(),
        };
        let presence = setting
            .default()
            .map_or_else(|| setting.presence.in_words(), |value| format!("`{value}`"));
        wanted.push_str(&format!("| `{name}`{filed} | {presence} | {help} |\n"));
    }
    assert_eq!(
        table.trim(),
        wanted.trim(),
        "write between the marks:\n{wanted}"
    );
}

/// Every example of a file in the document is read.
#[test]
fn the_examples_of_the_document_are_read() {
    let document = include_str!("../../../../docs/gateway.md");
    for example in document.split("```json\n").skip(1) {
        let (example, _) = example.split_once("```").unwrap();
        if example.contains("\"targets\":") && example.trim_start().starts_with('{') {
            let told = read(example).map_err(|faults| format!("{faults:#?}\n{example}"));
            told.unwrap();
        }
    }
}
