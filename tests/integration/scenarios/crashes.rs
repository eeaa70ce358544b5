//! The bot dies at every commit and at every request, and nobody notices.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::monitor::turn;
use crate::support::story::{Moment, Place, Point, Told, tell};

/// Stories told side by side: they mostly wait.
const THREADS: usize = 8;

/// The most stories that are told for one point that has to be there, until one of
/// them comes to it.
const ATTEMPTS: usize = 3;

/// Requests and commits at the end of a story that another telling may not need:
/// they are tried where they come, and not demanded.
const VAGUE: usize = 6;

/// Stories told without a crash, to learn how many moments there are.
const REHEARSALS: usize = 3;

/// The number of moments of each kind in a story.
fn counts(told: &Told) -> [(Place, usize); 3] {
    [
        (Place::Commit, told.commits),
        (Place::Homeserver, told.requests.len()),
        (Place::ApiServer, told.calls.len()),
    ]
}

/// Every moment of any of these stories, with whether all of them have it: now
/// and then one sync sees what otherwise two do.
fn points(rehearsals: &[Told]) -> Vec<(Point, bool)> {
    let mut points = Vec::new();
    for kind in 0..3 {
        let of = |told: &Told| counts(told)[kind].1;
        let least = rehearsals.iter().map(of).min().unwrap();
        let most = rehearsals.iter().map(of).max().unwrap();
        let place = counts(&rehearsals[0])[kind].0;
        assert!(least > 0, "nothing to try: {place:?}");
        for nth in 1..=most {
            for moment in [Moment::Before, Moment::After] {
                // How many syncs the end of a story takes, each with a commit,
                // depends on what the machine does beside it, and nothing comes
                // to answer the last.
                let vague = match place {
                    Place::Homeserver | Place::Commit => VAGUE,
                    Place::ApiServer => 0,
                };
                let sure = nth + vague <= least;
                points.push((Point { place, nth, moment }, sure));
            }
        }
    }
    points
}

/// The story in which the bot died at this point, None if no story came to it, or
/// an error that says what is wrong.
fn try_point(point: Point, attempts: usize) -> Result<Option<Told>, String> {
    for _ in 0..attempts {
        let told = catch_unwind(AssertUnwindSafe(|| tell(Some(point)))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("{point}: {}", text.unwrap_or("it panicked"))
        })?;
        if told.reached {
            return Ok(Some(told));
        }
    }
    Ok(None)
}

/// The name of a point in the table: a commit, or the kind of the request.
fn kind(point: Point, told: &Told) -> String {
    let request = match point.place {
        Place::Commit => return "a commit".into(),
        Place::Homeserver => &told.requests[point.nth - 1],
        Place::ApiServer => &told.calls[point.nth - 1],
    };
    let (method, path) = request.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let known = [
        "login",
        "sync",
        "keys/upload",
        "keys/query",
        "keys/claim",
        "join",
        "members",
        "sendToDevice",
        "send/m.room.encrypted",
        "scale",
        "deployments",
    ];
    let name = known.iter().find(|name| path.contains(*name));
    let dry = if query.contains("dryRun") {
        " (dry run)"
    } else {
        ""
    };
    format!("{method} {}{dry}", name.copied().unwrap_or(path))
}

/// Rules 34, 35 and 4, and "it survives": no command lost or done after its
/// reply, no reply lost or said twice, no key used twice.
#[test]
fn a_crash_at_any_commit_or_request_is_not_noticed() {
    let _turn = turn();
    let started = Instant::now();
    let rehearsals: Vec<Told> = (0..REHEARSALS).map(|_| tell(None)).collect();
    let points = points(&rehearsals);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((point, sure)) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let attempts = if *sure { ATTEMPTS } else { 1 };
                    let outcome = match try_point(*point, attempts) {
                        Ok(None) if *sure => Err(format!("{point}: no story came to it")),
                        outcome => outcome,
                    };
                    outcomes.lock().unwrap().insert(*point, outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    assert_eq!(outcomes.len(), points.len(), "each point has an outcome");
    let failed: Vec<&String> = outcomes.values().filter_map(|o| o.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} points: {failed:#?}", failed.len());

    let mut rows: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for (point, outcome) in &outcomes {
        if let Ok(Some(told)) = outcome {
            let row = rows.entry(kind(*point, told)).or_default();
            row[usize::from(point.moment == Moment::After)] += 1;
            row[2] += told.repeated;
        }
    }
    println!("| the bot dies at | before it | after it | scalings done again |");
    println!("|---|---|---|---|");
    let mut tried = 0;
    for (kind, [before, after, repeated]) in rows {
        println!("| `{kind}` | {before} | {after} | {repeated} |");
        tried += before + after;
    }
    println!(
        "{tried} crashes in {:?}: nothing lost, nothing said twice",
        started.elapsed()
    );
}
