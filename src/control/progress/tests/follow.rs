//! Changes that are followed, as stories: what is seen at which second, and what is
//! asked and told then.

use std::time::Duration;

use super::super::{
    Cause, ConditionStatus, Direction, Ending, Finding, Follow, Goal, Lingering, Look, Next,
    Observation, Owner, PodView, Progress, ReadError, Remark, Right, Stage, WaitsFor,
};
use super::samples::{
    condition, container, crashing, goal, ordered, other_goal, pod, seen, set_goal, waiting,
};
use super::story::{START, Story, WALL, look};

fn ready(replicas: i32, after: u64, is_late: bool) -> Ending {
    Ending::Ready {
        replicas,
        after,
        remark: None,
        is_late,
    }
}

fn pulling() -> PodView {
    let unpulled = waiting("ImagePullBackOff", "not found");
    PodView {
        phase: "Pending".to_owned(),
        ..pod(vec![container(unpulled)])
    }
}

#[test]
fn a_start_is_told_when_it_is_ready_and_watched_until_it_has_settled() {
    let mut story = Story::new(goal(0, 3));
    story.goes_on(3, &seen([3, 0, 0, 0, 0]), &[]);
    story.goes_on(3, &seen([3, 3, 3, 1, 1]), &[]);
    let up = seen([3, 3, 3, 3, 3]);
    assert!(!story.goes_on(60, &up, &[]));
    assert_eq!(story.told, [(6, ready(3, 6_000, false))]);
    assert!(story.goes_on(60, &up, &[]), "it ends");
    assert_eq!(story.told.len(), 1, "it is told once");
    let progress = Progress {
        direction: Direction::Up,
        done: 1,
        of: 3,
        waits_for: Some(WaitsFor::Readiness),
        cause: None,
    };
    assert_eq!(story.edits, [(3, progress)]);
    assert!(story.looks.is_empty(), "{:?}", story.looks);
}

#[test]
fn it_is_read_ever_more_seldom() {
    let mut story = Story::new(goal(0, 1));
    story.goes_on(80, &seen([1, 1, 1, 0, 0]), &[]);
    let in_secs = |from, to| {
        let reads = story.reads.iter();
        reads.filter(|at| (from..to).contains(*at)).count()
    };
    assert_eq!(in_secs(0, 10), 10);
    assert_eq!(in_secs(10, 60), 25);
    assert_eq!(in_secs(60, 80), 4);
}

#[test]
fn what_sets_the_number_back_is_told_also_after_the_end() {
    let mut story = Story::new(goal(3, 0));
    let stopped = Observation {
        terminating: Some(0),
        ..seen([0; 5])
    };
    story.goes_on(20, &stopped, &[]);
    let back = Observation {
        owner: Some(Owner::ArgoCd),
        ..seen([2, 0, 0, 0, 0])
    };
    assert!(story.goes_on(60, &back, &[]));
    let stopped = Ending::Stopped {
        replicas: 0,
        after: 0,
        remark: None,
        is_late: false,
    };
    let changed = Ending::CountChanged {
        from: 0,
        to: 2,
        after: 30_000,
        by: Some(Owner::ArgoCd),
    };
    assert_eq!(story.told, [(0, stopped), (30, changed)]);
}

#[test]
fn a_cause_is_told_when_two_looks_agree_and_taken_back_when_it_is_gone() {
    let mut story = Story::new(goal(0, 1));
    let waits = seen([1, 1, 1, 0, 0]);
    story.goes_on(20, &waits, &[pulling()]);
    assert_eq!(story.looks, [5, 10], "the first agree");
    let causes = |story: &Story| -> Vec<(u64, Option<String>)> {
        let edits = story.edits.iter();
        edits
            .map(|(at, edit)| (*at, edit.cause.as_ref().map(|found| found.cause.sentence())))
            .collect()
    };
    let unpulled = "image app:1.2 cannot be pulled: not there".to_owned();
    assert_eq!(causes(&story), [(10, Some(unpulled.clone()))]);
    let running = pod(vec![container(super::super::ContainerState::Running)]);
    story.goes_on(10, &waits, &[running]);
    let runs = "it runs, but does not say that it is ready".to_owned();
    let told = [(10, Some(unpulled)), (20, Some(runs))];
    assert_eq!(causes(&story), told);
    story.goes_on(20, &waits, &[]);
    assert_eq!(causes(&story).last(), Some(&(30, None)));
}

#[test]
fn a_pull_that_fails_once_is_not_told() {
    let mut story = Story::new(goal(0, 1));
    let waits = seen([1, 1, 1, 0, 0]);
    story.goes_on(6, &waits, &[pulling()]);
    story.goes_on(20, &waits, &[]);
    assert_eq!(story.edits, []);
}

#[test]
fn a_start_that_does_not_come_is_told_once_and_up_after_all() {
    let mut story = Story::new(goal(0, 3));
    let crashes = seen([3, 3, 3, 1, 1]);
    story.goes_on(700, &crashes, &[pod(vec![crashing("Error", 1, 3)])]);
    let not_ready = Ending::NotReady {
        done: 1,
        of: 3,
        after: 600_000,
        cause: Some(Finding {
            cause: Cause::Crash {
                exit_code: 1,
                times: 4,
            },
            words: String::new(),
        }),
    };
    assert_eq!(story.told, [(600, not_ready.clone())]);
    let reads = story.reads.iter().filter(|at| **at > 600).count();
    assert!(reads <= 4, "{reads}");
    story.goes_on(680, &crashes, &[]);
    let at = story.secs();
    story.goes_on(30, &seen([3, 3, 3, 3, 3]), &[]);
    assert_eq!(story.endings(), [not_ready, ready(3, at * 1_000, true)]);
}

#[test]
fn a_start_that_never_comes_is_given_up_after_an_hour() {
    let mut story = Story::new(goal(0, 3));
    assert!(story.goes_on(5_000, &seen([3, 3, 3, 1, 1]), &[]));
    assert_eq!(story.told.len(), 1);
    assert_eq!(story.secs(), 600 + 3_600);
}

#[test]
fn a_cause_that_may_not_be_looked_for_is_a_right_that_is_missing() {
    let mut story = Story::new(goal(0, 3));
    let look = Look {
        pods: Err(ReadError::Forbidden),
        events: Err(ReadError::Forbidden),
    };
    story.passes(601, Ok(&seen([3, 3, 3, 1, 1])), &look);
    assert_eq!(story.edits, [], "not worth an edit");
    let Some((600, Ending::NotReady { cause, .. })) = story.told.first() else {
        panic!("{:?}", story.told);
    };
    let missing = cause.as_ref().and_then(|found| found.cause.missing_right());
    assert_eq!(missing, Some(Right::ListPods));
}

#[test]
fn edits_are_few_and_the_last_one_takes_a_cause_back() {
    let mut story = Story::new(goal(0, 50));
    for count in 0..40 {
        story.goes_on(5, &seen([50, count, count, count, count]), &[]);
    }
    let at: Vec<u64> = story.edits.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [5, 10, 20, 40]);
    story.goes_on(60, &seen([50, 40, 40, 40, 40]), &[pulling()]);
    story.goes_on(200, &seen([50, 40, 40, 40, 40]), &[]);
    let causes: Vec<bool> = story.edits.iter().map(|(_, e)| e.cause.is_some()).collect();
    assert_eq!(causes, [false, false, false, false, true, false]);
}

#[test]
fn a_stateful_set_that_deletes_no_pod_says_which_ones_hold_it_up() {
    let mut story = Story::new(set_goal(3, 0));
    let named = |name: &str| PodView {
        name: name.to_owned(),
        ..pod(vec![crashing("Error", 1, 3)])
    };
    let held = ordered([0, 3, 3, 1, 1]);
    story.goes_on(60, &held, &[named("web-2"), named("web-1")]);
    let why = Lingering::UnreadyPods {
        ordinals: vec![1, 2],
    };
    let still = Ending::StillStopping {
        pods: 3,
        replicas: 0,
        after: 30_000,
        why,
    };
    assert_eq!(story.told, [(30, still.clone())]);
    story.goes_on(60, &ordered([0; 5]), &[]);
    let [first, Ending::Stopped { is_late: true, .. }] = &story.endings()[..] else {
        panic!("{:?}", story.told);
    };
    assert_eq!(first, &still);
}

#[test]
fn a_pod_on_a_dead_node_is_told_a_minute_after_its_grace_period() {
    let mut story = Story::new(goal(3, 0));
    let left = Observation {
        terminating: Some(1),
        ..seen([0; 5])
    };
    story.goes_on(200, &left, &[]);
    let still = Ending::StillStopping {
        pods: 1,
        replicas: 0,
        after: 90_000,
        why: Lingering::GracePeriodOver,
    };
    assert_eq!(story.told, [(90, still)]);
}

#[test]
fn a_stop_that_moves_is_waited_for() {
    let mut story = Story::new(set_goal(9, 0));
    for left in (1..9).rev() {
        story.goes_on(80, &ordered([0, left, left, left, left]), &[]);
    }
    assert_eq!(story.told, []);
}

#[test]
fn an_ordered_stateful_set_says_which_pod_the_others_wait_for() {
    let mut story = Story::new(set_goal(0, 3));
    let other = PodView {
        name: "web-1".to_owned(),
        conditions: vec![condition("Ready", ConditionStatus::True, "", "")],
        ..pod(Vec::new())
    };
    let waits = ordered([3, 2, 2, 1, 1]);
    story.goes_on(12, &waits, &[other, pod(Vec::new())]);
    let waits_for: Vec<_> = story.edits.iter().map(|(_, edit)| edit.waits_for).collect();
    assert_eq!(waits_for, [Some(WaitsFor::Pod { ordinal: 0 })]);
}

#[test]
fn what_cannot_be_read_ends_it_or_is_tried_again() {
    for (error, ending) in [
        (ReadError::Forbidden, Ending::MayNotLook),
        (ReadError::NotFound, Ending::Gone),
    ] {
        let mut story = Story::new(goal(0, 1));
        assert!(story.passes(5, Err(error), &look(&[])));
        assert_eq!(story.endings(), [ending]);
    }
    let mut story = Story::new(goal(0, 1));
    story.passes(700, Err(ReadError::Failed), &look(&[]));
    let [Ending::NotSeen { after }] = &story.endings()[..] else {
        panic!("{:?}", story.told);
    };
    assert!((615_000..650_000).contains(after), "{after}");
    let reads = story.reads.iter().filter(|at| **at < 600).count();
    assert!(reads < 60, "{reads}");
    story.goes_on(60, &seen([1, 1, 1, 1, 1]), &[]);
    assert_eq!(story.told.len(), 2, "up after all");
}

#[test]
fn what_others_do_ends_it_with_a_sentence_of_its_own() {
    let other = Observation {
        uid: "uid-new".to_owned(),
        ..seen([3, 0, 0, 0, 0])
    };
    let never = Observation {
        is_paused: true,
        was_never_rolled_out: true,
        ..seen([3, 0, 0, 0, 0])
    };
    let changed = Ending::CountChanged {
        from: 3,
        to: 5,
        after: 0,
        by: None,
    };
    for (cluster, ending) in [
        (other, Ending::Replaced),
        (never, Ending::PausedEmpty),
        (seen([5, 3, 3, 3, 3]), changed),
    ] {
        let mut story = Story::new(goal(0, 3));
        assert!(story.goes_on(5, &cluster, &[]));
        assert_eq!(story.endings(), [ending]);
    }
}

#[test]
fn the_first_read_tells_which_object_is_meant() {
    let unknown = Goal {
        uid: String::new(),
        generation: 0,
        ..goal(0, 3)
    };
    let mut story = Story::new(unknown);
    story.goes_on(2, &seen([3, 0, 0, 0, 0]), &[]);
    let other = Observation {
        uid: "uid-new".to_owned(),
        ..seen([3, 0, 0, 0, 0])
    };
    story.goes_on(2, &other, &[]);
    assert_eq!(story.endings(), [Ending::Replaced]);
}

#[test]
fn it_goes_on_after_a_restart() {
    let mut story = Story::new(other_goal(0, 3));
    let waits = Observation {
        is_scale_only: true,
        uid: "uid-web".to_owned(),
        desired: 3,
        ..Observation::default()
    };
    story.goes_on(30, &waits, &[]);
    let kept = story.follow.snapshot(story.now, WALL);
    assert_eq!(kept.started_at, WALL - 30_000);
    assert_eq!(kept.stage, Stage::Following);
    let kind = other_goal(0, 3).kind;
    let timeout = Duration::from_secs(600);
    // A minute later, and the monotonic clock begins anew.
    let restored = Follow::restore(kept.clone(), kind, timeout, 50, WALL + 60_000);
    assert_eq!(restored.snapshot(50, WALL + 60_000), kept);
    let mut again = Story {
        follow: restored,
        now: START,
        ..Story::new(other_goal(0, 3))
    };
    let up = Observation {
        replicas: 3,
        ..waits
    };
    let step = again.follow.on_observation(1_050, Ok(&up));
    again.take(&step);
    let [Ending::Ready { after, remark, .. }] = &again.endings()[..] else {
        panic!("{:?}", again.told);
    };
    assert_eq!((*after, *remark), (91_000, Some(Remark::ReadinessUnknown)));
    assert_eq!(again.follow.snapshot(1_050, WALL).stage, Stage::Settled);
}

#[test]
fn what_was_told_before_a_restart_is_not_told_again() {
    let kept = |stage, secs: u64| {
        let snapshot = Follow::new(goal(0, 3), 0, Duration::from_secs(600)).snapshot(0, WALL);
        let snapshot = super::super::Snapshot { stage, ..snapshot };
        let wall = WALL + secs * 1_000;
        let kind = goal(0, 3).kind;
        Follow::restore(snapshot, kind, Duration::from_secs(600), START, wall)
    };
    let waits = seen([3, 3, 3, 1, 1]);
    let step = kept(Stage::Late, 700).on_observation(START, Ok(&waits));
    assert_eq!(step.outcome, None);
    assert!(matches!(step.next, Next::Observe(_)));
    let step = kept(Stage::Late, 5_000).on_observation(START, Ok(&waits));
    assert_eq!((step.next, step.outcome), (Next::End, None));
    let up = seen([3, 3, 3, 3, 3]);
    let step = kept(Stage::Settled, 60).on_observation(START, Ok(&up));
    assert_eq!(step.outcome, None);
    for stage in [Stage::Following, Stage::Late, Stage::Settled] {
        assert_eq!(Stage::parse(stage.as_str()), Some(stage));
    }
    assert_eq!(Stage::parse("other"), None);
}

#[test]
fn fifty_at_once_are_small() {
    assert!(size_of::<Follow>() <= 768, "{}", size_of::<Follow>());
}
