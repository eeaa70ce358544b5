//! A table of what is done to the bot, and what runs it.

use std::time::Instant;

use super::stage::{Row, Stage, Store, measured, run, say, show};
use crate::support::filling::Shape;

/// The padding for an answer to anything, and its name in words: less than the
/// program once read, with its length announced; more, and in chunks.
pub const PADDING: [(Shape, usize, &str); 4] = [
    (Shape::Dense, 60_000_000, "60 MB dense"),
    (Shape::Flat, 60_000_000, "60 MB flat"),
    (Shape::Dense, 65 * 1024 * 1024, "65 MiB dense"),
    (Shape::Deep, 65 * 1024 * 1024, "65 MiB deep"),
];

type Attack = Box<dyn Fn(&mut Stage)>;

/// Something that is done to the bot.
pub struct Case {
    name: String,
    attack: Attack,
    /// The number of times it is done in a row, after it was done alone.
    row: usize,
    /// A part of plain `cargo test`.
    quick: bool,
    /// Where it is done.
    stage: fn(Store) -> Stage,
}

/// One that is done alone.
pub fn case(name: &str, attack: impl Fn(&mut Stage) + 'static) -> Case {
    Case {
        name: name.to_owned(),
        attack: Box::new(attack),
        row: 1,
        quick: false,
        stage: Stage::new,
    }
}

impl Case {
    /// It costs little here: it is done a hundred times in a row as well.
    pub fn cheap(mut self) -> Self {
        self.row = 100;
        self
    }

    /// The bot has 50 targets.
    pub fn of_targets(mut self) -> Self {
        self.stage = Stage::of_targets;
        self
    }

    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }
}

/// Runs the cases: each alone from an empty store, then all of them one after the
/// other, alone and in a row, in one life of a bot that is warm. Where nothing is
/// measured, only the quick ones from an empty store.
pub fn all(endpoint: &'static str, cases: &[Case]) {
    let only = std::env::var("CASE").unwrap_or_default();
    let wanted = |case: &&Case| (measured() || case.quick) && case.name.contains(&only);
    let cases: Vec<&Case> = cases.iter().filter(wanted).collect();
    let mut rows = Vec::new();
    for case in &cases {
        rows.push(one(endpoint, &case.name, Store::Empty, case, 1, &mut None));
    }
    let mut stage = None;
    for case in cases.iter().filter(|_| measured()) {
        rows.push(one(endpoint, &case.name, Store::Full, case, 1, &mut stage));
        if case.row > 1 {
            let name = format!("{}, {} in a row", case.name, case.row);
            rows.push(one(
                endpoint,
                &name,
                Store::Full,
                case,
                case.row,
                &mut stage,
            ));
        }
    }
    end(&rows);
}

/// Runs one case on this stage, or a new one; afterwards there is one if the bot
/// came through it.
fn one(
    endpoint: &'static str,
    name: &str,
    store: Store,
    case: &Case,
    times: usize,
    stage: &mut Option<Stage>,
) -> Row {
    let mut used = stage.take().unwrap_or_else(|| (case.stage)(store));
    let started = Instant::now();
    used.again = false;
    let row = run(endpoint, name, store, &mut used, &|stage| {
        for number in 0..times {
            // A bot that does not keep up shows it in the end.
            if number > 0 && started.elapsed().as_secs() > 30 {
                panic!("{number} of {times} took half a minute");
            }
            stage.again = number > 0;
            (case.attack)(stage);
            if times > 1 {
                stage.world.hs.wait_next_sync();
            }
        }
    });
    show(&row);
    if row.failed.is_some() && std::env::var_os("CASE").is_some() {
        say(&used.world.bot().log_tail());
    }
    if row.failed.is_none() {
        *stage = Some(used);
    }
    row
}

/// Fails the test if a case has failed.
pub fn end(rows: &[Row]) {
    let failed: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            Some(format!(
                "{:?} {}: {}",
                row.store,
                row.name,
                row.failed.as_ref()?
            ))
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed:\n{}",
        failed.len(),
        rows.len(),
        failed.join("\n")
    );
}
