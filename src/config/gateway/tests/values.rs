//! Values by a table, whose other columns are the schemas': a test of the chart compares them
//! with the same table.

use serde_json::{Value, json};

use super::read;

/// The file of the table with one value in it.
fn file(table: &Value, row: &Value, value: &Value) -> String {
    let mut file = table["base"].clone();
    let place = file.pointer_mut(row["at"].as_str().unwrap()).unwrap();
    if let Some(beside) = row.get("beside").and_then(Value::as_object) {
        for (key, value) in beside {
            place[key] = value.clone();
        }
    }
    if let Some(without) = row.get("without").and_then(Value::as_str) {
        place.as_object_mut().unwrap().remove(without);
    }
    place[row["key"].as_str().unwrap()] = value.clone();
    file.to_string()
}

#[test]
fn the_program_takes_what_the_table_says() {
    let table: Value =
        serde_json::from_str(include_str!("../../../../tests/gateway_file.json")).unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for row in table["rows"].as_array().unwrap() {
        for (column, is_taken) in [
            ("taken", true),
            // Schemas refuse these.
            ("strict", true),
            ("refused", false),
            // Schemas let these through.
            ("left", false),
            // These the chart refuses by a sentence of its own.
            ("sentence", false),
        ] {
            let none = json!([]);
            for value in row.get(column).unwrap_or(&none).as_array().unwrap() {
                count += 1;
                let told = read(&file(&table, row, value));
                if told.is_ok() != is_taken {
                    wrong.push(format!("{} {column} {value}: {told:?}", row["key"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 200, "{count} values");
}
