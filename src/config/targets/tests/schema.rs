//! The schema of the file says what the program knows, and the examples of the README are
//! read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::with_file;
use crate::config::document::{MOST_REPLICAS, kind_word};
use crate::config::targets::{entry, fields, file};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/targets.schema.json")).unwrap()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn the_schema_has_the_keys_that_are_read() {
    let schema = schema();
    let target = &schema["$defs"]["target"];
    assert_eq!(keys(&schema["properties"]), BTreeSet::from(file::KEYS));
    assert_eq!(keys(&target["properties"]), BTreeSet::from(entry::KEYS));
    for object in [&schema, target] {
        assert_eq!(object["additionalProperties"], false);
    }
}

#[test]
fn the_schema_requires_what_is_required() {
    let schema = schema();
    let told = with_file("{}", &[]).unwrap_err();
    let required = texts(&schema["required"]);
    assert_eq!(required, ["targets"]);
    assert!(told.contains("has no \"targets\""), "{told}");
    let told = with_file("{\"targets\": [{}]}", &[]).unwrap_err();
    let missing: Vec<_> = told
        .lines()
        .map(|line| line.split("which has no ").nth(1).unwrap())
        .map(|rest| rest.split(':').next().unwrap())
        .collect();
    assert_eq!(texts(&schema["$defs"]["target"]["required"]), missing);
}

#[test]
fn the_schema_has_the_words_and_bounds_that_are_taken() {
    let schema = schema();
    let properties = &schema["$defs"]["target"]["properties"];
    let words = |words: [(&'static str, bool); 2]| words.map(|(word, _)| word);
    for (key, wanted) in [
        ("confirm", words(fields::CONFIRM)),
        ("data", words(fields::DATA)),
        ("details", words(fields::DETAILS)),
    ] {
        assert_eq!(texts(&properties[key]["enum"]), wanted, "{key}");
    }
    let kinds = texts(&properties["kind"]["anyOf"][0]["enum"]);
    for kind in &kinds {
        assert!(kind_word(kind).is_some(), "{kind}");
    }
    assert_eq!(kinds.len(), 2);
    let start = &properties["start"]["anyOf"];
    assert_eq!(texts(&start[1]["enum"]), [fields::PREVIOUS]);
    for counts in [&start[0], &properties["max"]] {
        assert_eq!(counts["minimum"], 1);
        assert_eq!(counts["maximum"], MOST_REPLICAS);
    }
}

#[test]
fn everything_in_the_schema_is_described() {
    let schema = schema();
    let properties = &schema["$defs"]["target"]["properties"];
    for (key, property) in properties.as_object().unwrap() {
        assert!(
            property["description"].as_str().unwrap().len() > 10,
            "{key}"
        );
    }
}

#[test]
fn the_examples_of_the_readme_are_read() {
    let readme = include_str!("../../../../README.md");
    let (_, section) = readme.split_once("\n## Several workloads\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let extra = [
        ("ALLOWED_USERS", "@alice:example.com,@bob:example.com"),
        ("VIEWERS", "@carol:example.com"),
    ];
    let mut examples = 0;
    for example in section.split("```json\n").skip(1) {
        let (example, _) = example.split_once("```").unwrap();
        with_file(example, &extra).unwrap();
        examples += 1;
    }
    for example in section.split("TARGETS=\"").skip(1) {
        let (example, _) = example.split_once('"').unwrap();
        super::with_list(example, &extra).unwrap();
        examples += 1;
    }
    assert!(examples >= 2, "{examples} examples");
}
