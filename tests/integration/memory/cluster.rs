//! Answers of the API server: anybody who may annotate a Deployment makes them
//! large.

use serde_json::{Value, json};

use super::cases::{Case, all, case};
use super::stage::Stage;
use crate::support::apiserver::{NAME, failure};
use crate::support::faults::Fault;
use crate::support::filling::{Shape, each, fill};
use crate::support::world::{BOT, ROOM};

/// The largest answer that is read.
const LARGE: usize = 4 * 1024 * 1024;

/// The largest object of a cluster: etcd's limit.
const OBJECT: usize = 1_400_000;

const READ: &str = "GET /deployments/";
const SCALE: &str = "PATCH /scale";

#[test]
fn an_answer_of_the_cluster_may_be_of_any_size() {
    let mut cases: Vec<Case> = Vec::new();
    for (size, said) in [
        (OBJECT, "1.4 MB"),
        (LARGE - 2000, "4 MiB"),
        (16 * LARGE, "64 MiB"),
    ] {
        for (place, shape) in [
            ("annotations", Shape::Flat),
            ("annotations", Shape::Members),
            ("managedFields", Shape::Dense),
            ("managedFields", Shape::Objects),
            ("conditions", Shape::Nested),
            ("conditions", Shape::Dense),
        ] {
            let name = format!("a Deployment of {said}, {shape:?} in {place}");
            let mut one = case(&name, move |stage| {
                read(stage, deployment(place, shape, size));
                // No object of a cluster is larger, and none has such conditions.
                stage.excused += usize::from(size > OBJECT || place == "conditions");
            });
            if size == OBJECT && shape == Shape::Dense {
                one = one.cheap();
            }
            cases.push(one);
        }
    }
    cases.push(case("a Deployment with 40,000 conditions", |stage| {
        let mut answer = deployment("annotations", Shape::Flat, 1);
        let condition = json!({"type": "T<i>", "status": "True", "message": "m<i>"});
        answer["status"]["conditions"] = json!([each(40_000, &condition)]);
        read(stage, answer);
        stage.excused += 1;
    }));
    for shape in [Shape::Dense, Shape::Flat, Shape::Members] {
        cases.push(case(
            &format!("a Scale of 4 MiB, {shape:?}"),
            move |stage| {
                let scale = json!({
                    "kind": "Scale", "apiVersion": "autoscaling/v1",
                    "metadata": {"managedFields": fill(shape, LARGE - 2000)},
                    "spec": {"replicas": 1},
                });
                scaled(stage, Fault::json(200, &scale));
            },
        ));
        cases.push(case(
            &format!("a Status of 4 MiB, {shape:?}"),
            move |stage| {
                let mut status = failure(403, "Forbidden", "no");
                status["details"] = json!({"causes": fill(shape, LARGE - 2000)});
                scaled(stage, Fault::json(403, &status));
            },
        ));
    }
    cases.push(case("a Status with a message of 64 MiB", |stage| {
        let mut status = failure(500, "InternalError", "no");
        status["message"] = fill(Shape::Flat, 16 * LARGE);
        scaled(stage, Fault::json(500, &status));
    }));
    cases.push(case("an answer that never ends", |stage| {
        let body = json!({"x": fill(Shape::Flat, usize::MAX)});
        scaled(stage, Fault::json(200, &body));
    }));
    all("the API server", &cases);
}

fn deployment(place: &str, shape: Shape, size: usize) -> Value {
    let mut answer = json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": NAME}, "spec": {"replicas": 0},
        "status": {"replicas": 0},
    });
    match place {
        "conditions" => answer["status"][place] = fill(shape, size),
        "annotations" if shape == Shape::Flat => {
            answer["metadata"][place] = json!({"x": fill(shape, size)});
        }
        _ => answer["metadata"][place] = fill(shape, size),
    }
    answer
}

/// The next look at the Deployment shows that; Alice's question is one.
fn read(stage: &mut Stage, answer: Value) {
    stage.world.api.fault(READ, 1, Fault::json(200, &answer));
}

/// A command to scale is answered by that, and the command by anything.
fn scaled(stage: &mut Stage, fault: Fault) {
    stage.world.api.fault(SCALE, 1, fault);
    stage.extra += 1;
    let before = stage.world.said(ROOM);
    stage.world.say("start");
    stage.world.hs.wait("an answer", |state| {
        (state.said(BOT, ROOM) > before).then_some(())
    });
}
