//! Judgements, a row for each state that an API server was seen to show.

use super::super::judge::{done, waiting};
use super::super::{Observation, Remark, State, UpdateStrategy, WaitsFor, judge};
use super::samples::{goal, ordered, other_goal, seen, set_goal};

#[test]
fn a_deployment_is_up_when_new_pods_are_available_and_no_old_ones_are_left() {
    // desired, replicas, updated, ready, available
    for (counts, state) in [
        ([3, 3, 3, 3, 3], done(None)),
        ([3, 0, 0, 0, 0], waiting(0, 3, Some(WaitsFor::NewPods))),
        ([3, 3, 3, 1, 1], waiting(1, 3, Some(WaitsFor::Readiness))),
        ([3, 3, 3, 3, 2], waiting(3, 3, Some(WaitsFor::Availability))),
        ([3, 4, 3, 3, 3], waiting(3, 3, Some(WaitsFor::OldPods))),
        ([3, 4, 1, 3, 3], waiting(1, 3, Some(WaitsFor::OldPods))),
        ([3, 2, 2, 2, 2], waiting(2, 3, Some(WaitsFor::NewPods))),
    ] {
        assert_eq!(judge(&goal(0, 3), &seen(counts)), state, "{counts:?}");
    }
}

#[test]
fn counts_of_before_are_not_believed() {
    let unseen = Observation {
        observed_generation: 1,
        ..seen([3, 3, 3, 3, 3])
    };
    let waits = Some(WaitsFor::Controller);
    assert_eq!(judge(&goal(1, 3), &unseen), waiting(3, 3, waits));
    // An API server that lags behind shows the specification of before.
    let lagging = Observation {
        generation: 1,
        observed_generation: 1,
        ..seen([1, 1, 1, 1, 1])
    };
    assert_eq!(judge(&goal(1, 3), &lagging), waiting(1, 3, waits));
    let stopping = Observation {
        observed_generation: 1,
        ..seen([0, 3, 3, 3, 3])
    };
    assert_eq!(judge(&goal(3, 0), &stopping), waiting(3, 0, waits));
    assert_eq!(judge(&set_goal(3, 0), &stopping), waiting(3, 0, waits));
}

#[test]
fn a_paused_deployment_has_three_cases() {
    let paused = |counts| Observation {
        is_paused: true,
        ..seen(counts)
    };
    let unchanged = paused([3, 3, 3, 3, 3]);
    assert_eq!(judge(&goal(0, 3), &unchanged), done(None));
    let changed = paused([3, 3, 0, 3, 3]);
    assert_eq!(judge(&goal(0, 3), &changed), done(Some(Remark::PausedOld)));
    let coming = paused([3, 3, 0, 1, 1]);
    assert_eq!(
        judge(&goal(0, 3), &coming),
        waiting(1, 3, Some(WaitsFor::Readiness))
    );
    let never = Observation {
        was_never_rolled_out: true,
        ..paused([3, 0, 0, 0, 0])
    };
    assert_eq!(judge(&goal(0, 3), &never), State::PausedEmpty);
    let stopped = Observation {
        desired: 0,
        terminating: Some(0),
        ..never
    };
    assert_eq!(judge(&goal(3, 0), &stopped), done(None));
}

#[test]
fn a_deployment_is_down_when_its_pods_have_ended() {
    for (counts, terminating, state) in [
        ([0, 0, 0, 0, 0], Some(0), done(None)),
        ([0, 0, 0, 0, 0], Some(2), waiting(2, 0, None)),
        ([0, 1, 1, 1, 1], Some(1), waiting(2, 0, None)),
        ([2, 2, 2, 2, 2], Some(3), waiting(5, 2, None)),
        ([2, 2, 2, 0, 0], Some(0), done(None)),
        ([0, 1, 1, 1, 1], None, waiting(1, 0, None)),
        (
            [0, 0, 0, 0, 0],
            None,
            done(Some(Remark::MayLinger { grace_secs: 30 })),
        ),
    ] {
        let seen = Observation {
            terminating,
            ..seen(counts)
        };
        let goal = goal(5, counts[0]);
        assert_eq!(judge(&goal, &seen), state, "{counts:?} {terminating:?}");
    }
    assert_eq!(judge(&goal(0, 0), &seen([0; 5])), done(None));
}

#[test]
fn a_stateful_set_is_up_when_enough_of_it_is_new_and_all_of_it_available() {
    for (partition, counts, state) in [
        (0, [3, 3, 3, 3, 3], done(None)),
        (2, [3, 3, 1, 3, 3], done(None)),
        (5, [3, 3, 0, 3, 3], done(None)),
        // For a moment of a restart.
        (0, [3, 3, 0, 3, 3], waiting(0, 3, Some(WaitsFor::OldPods))),
        (2, [3, 3, 0, 3, 3], waiting(2, 3, Some(WaitsFor::OldPods))),
        (
            0,
            [3, 3, 3, 3, 1],
            waiting(3, 3, Some(WaitsFor::Availability)),
        ),
        (0, [3, 2, 2, 1, 1], waiting(1, 3, Some(WaitsFor::Readiness))),
        (0, [3, 1, 1, 1, 1], waiting(1, 3, Some(WaitsFor::NewPods))),
    ] {
        let seen = Observation {
            strategy: UpdateStrategy::Rolling { partition },
            ..ordered(counts)
        };
        let row = format!("{partition} {counts:?}");
        assert_eq!(judge(&set_goal(0, 3), &seen), state, "{row}");
    }
}

#[test]
fn a_stateful_set_whose_pods_people_replace_is_up_with_old_ones() {
    let on_delete = |counts, has_old_revision| Observation {
        strategy: UpdateStrategy::OnDelete,
        has_old_revision,
        ..ordered(counts)
    };
    let goal = set_goal(0, 3);
    let old = on_delete([3, 3, 1, 3, 3], true);
    assert_eq!(judge(&goal, &old), done(Some(Remark::OldPods { pods: 2 })));
    // The revisions stay different for ever, also when all pods are new.
    let all_new = on_delete([3, 3, 3, 3, 3], true);
    assert_eq!(judge(&goal, &all_new), done(None));
    let coming = on_delete([3, 3, 0, 2, 2], true);
    assert_eq!(
        judge(&goal, &coming),
        waiting(2, 3, Some(WaitsFor::Readiness))
    );
}

#[test]
fn a_stateful_set_is_down_when_the_pods_that_end_are_gone() {
    let goal = set_goal(3, 0);
    assert_eq!(judge(&goal, &ordered([0, 2, 2, 0, 0])), waiting(2, 0, None));
    assert_eq!(judge(&goal, &ordered([0, 0, 0, 0, 0])), done(None));
    let goal = set_goal(3, 1);
    assert_eq!(judge(&goal, &ordered([1, 3, 3, 3, 3])), waiting(3, 1, None));
    assert_eq!(judge(&goal, &ordered([1, 1, 1, 1, 1])), done(None));
}

#[test]
fn of_another_kind_only_the_number_of_pods_is_known() {
    let scale = |desired, replicas| Observation {
        uid: "uid-web".to_owned(),
        is_scale_only: true,
        desired,
        replicas,
        ..Observation::default()
    };
    let (up, down) = (other_goal(0, 3), other_goal(3, 0));
    let unknown = Some(Remark::ReadinessUnknown);
    assert_eq!(judge(&up, &scale(3, 3)), done(unknown));
    let coming = waiting(1, 3, Some(WaitsFor::NewPods));
    assert_eq!(judge(&up, &scale(3, 1)), coming);
    assert_eq!(judge(&down, &scale(0, 1)), waiting(1, 0, None));
    assert_eq!(judge(&down, &scale(0, 0)), done(None));
    assert_eq!(judge(&up, &scale(2, 2)), State::CountChanged { to: 2 });
    // A Deployment whose Scale alone could be read.
    assert_eq!(judge(&goal(0, 3), &scale(3, 3)), done(unknown));
}

#[test]
fn what_others_do_to_it_comes_before_its_counts() {
    let changed = State::CountChanged { to: 5 };
    assert_eq!(judge(&goal(0, 3), &seen([5, 3, 3, 3, 3])), changed);
    let later = Observation {
        generation: 3,
        ..seen([5, 3, 3, 3, 3])
    };
    assert_eq!(judge(&goal(0, 3), &later), changed);
    let other = Observation {
        uid: "uid-new".to_owned(),
        ..seen([3, 3, 3, 3, 3])
    };
    assert_eq!(judge(&goal(0, 3), &other), State::Replaced);
    // A new template while it is followed: the controller has to see that, too.
    let template = Observation {
        generation: 3,
        ..seen([3, 3, 3, 3, 3])
    };
    let waits = waiting(3, 3, Some(WaitsFor::Controller));
    assert_eq!(judge(&goal(0, 3), &template), waits);
}
