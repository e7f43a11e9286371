use std::cmp::Reverse;

use proptest::prelude::*;

use super::state::{PlaceCounts, PlaceId, PlaceStatus, Places};
use crate::{
    log::Owner,
    session::{Busy, Limits},
};

fn places(limits: &Limits) -> Places {
    Places::new(limits)
}

fn limits(waiting: usize, per_owner: usize) -> Limits {
    Limits::default()
        .waiting(waiting)
        .waiting_per_owner(per_owner)
}

/// Starts a session and lets it wait. Returns its place, and the one that it makes give up.
fn waiting(places: &mut Places, owner: Option<&Owner>) -> (PlaceId, Option<PlaceId>) {
    let id = places.start(owner).expect("there is room to run");
    (id, places.wait(id))
}

fn counts(running: usize, waiting: usize, ending: usize) -> PlaceCounts {
    PlaceCounts {
        running,
        waiting,
        ending,
    }
}

#[test]
fn a_start_is_refused_at_each_limit_of_running_sessions_and_not_before() {
    let (ann, ben) = (Owner::new("ann"), Owner::new("ben"));
    let mut places = places(&Limits::default().running(3).running_per_owner(2));
    places.start(Some(&ann)).unwrap();
    let second = places.start(Some(&ann)).unwrap();
    assert_eq!(places.start(Some(&ann)), Err(Busy::RunningPerOwner));
    places.start(None).unwrap();
    assert_eq!(places.start(Some(&ben)), Err(Busy::Running));
    places.free(second);
    places.start(Some(&ann)).unwrap();
}

#[test]
fn sessions_that_wait_refuse_no_start() {
    let ann = Owner::new("ann");
    let limits = Limits::default().running(1).running_per_owner(1);
    let mut places = places(&limits.waiting(3).waiting_per_owner(3));
    for _ in 0..3 {
        waiting(&mut places, Some(&ann));
    }
    places.start(Some(&ann)).unwrap();
    assert_eq!(places.counts(), counts(1, 3, 0));
}

#[test]
fn the_limit_of_an_owner_takes_the_place_of_its_own_longest_wait() {
    let (ann, ben) = (Owner::new("ann"), Owner::new("ben"));
    let mut places = places(&limits(9, 2));
    let (_, none) = waiting(&mut places, Some(&ben));
    assert_eq!(none, None);
    let (first, none) = waiting(&mut places, Some(&ann));
    assert_eq!(none, None);
    let (second, none) = waiting(&mut places, Some(&ann));
    assert_eq!(none, None, "the limit itself passes");
    assert_eq!(waiting(&mut places, Some(&ann)).1, Some(first));
    assert_eq!(waiting(&mut places, Some(&ann)).1, Some(second));
    assert_eq!(places.counts(), counts(0, 3, 2));
}

#[test]
fn sessions_without_an_owner_have_the_limit_of_all_only() {
    let mut places = places(&limits(3, 1));
    for _ in 0..3 {
        assert_eq!(waiting(&mut places, None).1, None);
    }
    assert!(waiting(&mut places, None).1.is_some());
}

#[test]
fn the_limit_of_all_takes_the_place_of_whom_holds_most() {
    let (ann, ben) = (Owner::new("ann"), Owner::new("ben"));
    let mut places = places(&limits(4, 9));
    let (ann_first, _) = waiting(&mut places, Some(&ann));
    let (stranger, _) = waiting(&mut places, None);
    waiting(&mut places, None);
    waiting(&mut places, Some(&ann));
    // Both hold two; ann's has waited longest.
    assert_eq!(waiting(&mut places, Some(&ben)).1, Some(ann_first));
    assert_eq!(waiting(&mut places, Some(&ben)).1, Some(stranger));
}

#[test]
fn a_flood_without_an_owner_costs_no_owner_its_place() {
    let ann = Owner::new("ann");
    let mut places = places(&limits(3, 2));
    let (first, _) = waiting(&mut places, Some(&ann));
    for _ in 0..1000 {
        if let (_, Some(given_up)) = waiting(&mut places, None) {
            assert_ne!(given_up, first);
            places.free(given_up);
        }
    }
    assert!(!places.is_given_up(first));
    assert_eq!(places.counts(), counts(0, 3, 0));
}

#[test]
fn without_waiting_places_a_session_that_waits_gives_up_at_once() {
    let mut places = places(&limits(0, 0));
    let (place, given_up) = waiting(&mut places, None);
    assert_eq!(given_up, Some(place));
    assert!(places.is_given_up(place));
}

#[test]
fn a_session_that_goes_on_counts_as_running_even_past_the_limit() {
    let mut places = places(&limits(2, 2).running(1));
    let (place, _) = waiting(&mut places, None);
    let running = places.start(None).unwrap();
    places.run(place);
    assert_eq!(places.counts(), counts(2, 0, 0));
    assert_eq!(places.start(None), Err(Busy::Running));
    places.free(running);
    assert_eq!(places.start(None), Err(Busy::Running));
    places.free(place);
    places.start(None).unwrap();
}

#[test]
fn a_place_that_was_given_up_is_taken_back_by_a_session_that_goes_on() {
    let mut places = places(&limits(1, 1));
    let (first, _) = waiting(&mut places, None);
    assert_eq!(waiting(&mut places, None).1, Some(first));
    places.run(first);
    assert!(!places.is_given_up(first));
    assert_eq!(places.counts(), counts(1, 1, 0));
}

#[test]
fn a_second_question_does_not_begin_a_second_wait() {
    let mut places = places(&limits(2, 2));
    let (first, _) = waiting(&mut places, None);
    let (second, _) = waiting(&mut places, None);
    assert_eq!(places.wait(first), None);
    assert_eq!(waiting(&mut places, None).1, Some(first));
    assert_eq!(places.wait(first), None, "it ends");
    assert_eq!(waiting(&mut places, None).1, Some(second));
}

#[test]
fn nothing_is_kept_of_owners_whose_sessions_are_gone() {
    let mut places = places(&limits(1, 1));
    for owner in 0..50 {
        let owner = Owner::new(owner.to_string());
        let (place, given_up) = waiting(&mut places, Some(&owner));
        for place in [Some(place), given_up].into_iter().flatten() {
            places.free(place);
        }
    }
    assert_eq!(places.counts(), counts(0, 0, 0));
    assert!(places.groups.is_empty() && places.by_id.is_empty() && places.most.is_empty());
}

/// The model: every place in a list, counted anew for each step.
#[derive(Debug, Default)]
struct Model(Vec<ModelPlace>);

#[derive(Debug, Clone)]
struct ModelPlace {
    id: PlaceId,
    owner: Option<Owner>,
    status: PlaceStatus,
}

impl Model {
    fn waits(&self, owner: Option<&Owner>) -> Vec<(u64, PlaceId)> {
        let mut waits: Vec<_> = self
            .0
            .iter()
            .filter(|it| it.owner.as_ref() == owner)
            .collect();
        waits.retain(|it| matches!(it.status, PlaceStatus::Waiting(_)));
        let mut waits: Vec<_> = waits.iter().map(|it| (it.since(), it.id)).collect();
        waits.sort_unstable();
        waits
    }

    fn count(&self, is: impl Fn(&ModelPlace) -> bool) -> usize {
        self.0.iter().filter(|it| is(it)).count()
    }

    fn counts(&self) -> PlaceCounts {
        counts(
            self.count(|it| it.status == PlaceStatus::Running),
            self.count(|it| matches!(it.status, PlaceStatus::Waiting(_))),
            self.count(|it| it.status == PlaceStatus::Ending),
        )
    }

    fn start(&self, owner: Option<&Owner>, limits: &Limits) -> Result<(), Busy> {
        let runs = |it: &ModelPlace| it.status == PlaceStatus::Running;
        if self.count(runs) >= limits.running {
            Err(Busy::Running)
        } else if owner.is_some()
            && self.count(|it| runs(it) && it.owner.as_ref() == owner) >= limits.running_per_owner
        {
            Err(Busy::RunningPerOwner)
        } else {
            Ok(())
        }
    }

    /// Lets the place wait. Returns the place that must be given up.
    fn wait(&mut self, at: usize, number: u64, limits: &Limits) -> Option<PlaceId> {
        if self.0[at].status != PlaceStatus::Running {
            return None;
        }
        self.0[at].status = PlaceStatus::Waiting(number);
        let owner = self.0[at].owner.clone();
        let owner = owner.as_ref();
        let given_up = if owner.is_some() && self.waits(owner).len() > limits.waiting_per_owner {
            self.waits(owner)[0].1
        } else if self.counts().waiting > limits.waiting {
            let owners = self.0.iter().map(|it| self.waits(it.owner.as_ref()));
            let most = owners.max_by_key(|waits| (waits.len(), Reverse(waits.first().copied())));
            most.expect("one waits")[0].1
        } else {
            return None;
        };
        let place = self.0.iter_mut().find(|it| it.id == given_up);
        place.expect("it is among them").status = PlaceStatus::Ending;
        Some(given_up)
    }
}

impl ModelPlace {
    fn since(&self) -> u64 {
        match self.status {
            PlaceStatus::Waiting(since) => since,
            _ => u64::MAX,
        }
    }
}

#[derive(Debug, Clone)]
enum PlaceStep {
    Start(Option<u8>),
    Wait(prop::sample::Index),
    Run(prop::sample::Index),
    Free(prop::sample::Index),
}

fn step() -> impl Strategy<Value = PlaceStep> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => prop::option::of(0..3_u8).prop_map(PlaceStep::Start),
        4 => at().prop_map(PlaceStep::Wait),
        2 => at().prop_map(PlaceStep::Run),
        1 => at().prop_map(PlaceStep::Free),
    ]
}

proptest! {
    #[test]
    fn every_schedule_counts_and_gives_up_as_the_model(
        steps in prop::collection::vec(step(), 0..80),
        (running, running_per_owner) in (0..6_usize, 0..4_usize),
        (waiting, waiting_per_owner) in (0..5_usize, 0..4_usize),
    ) {
        let limits = limits(waiting, waiting_per_owner)
            .running(running)
            .running_per_owner(running_per_owner);
        let mut places = Places::new(&limits);
        let mut model = Model::default();
        for step in steps {
            let len = model.0.len();
            match step {
                PlaceStep::Start(owner) => {
                    let owner = owner.map(|owner| Owner::new(owner.to_string()));
                    let started = places.start(owner.as_ref());
                    prop_assert_eq!(started.map(drop), model.start(owner.as_ref(), &limits));
                    if let Ok(id) = started {
                        let status = PlaceStatus::Running;
                        model.0.push(ModelPlace { id, owner, status });
                    }
                }
                PlaceStep::Wait(at) if len > 0 => {
                    let at = at.index(len);
                    let given_up = places.wait(model.0[at].id);
                    prop_assert_eq!(given_up, model.wait(at, places.next, &limits));
                }
                PlaceStep::Run(at) if len > 0 => {
                    let place = &mut model.0[at.index(len)];
                    places.run(place.id);
                    place.status = PlaceStatus::Running;
                }
                PlaceStep::Free(at) if len > 0 => {
                    places.free(model.0.swap_remove(at.index(len)).id);
                }
                _ => {}
            }
            let counts = places.counts();
            prop_assert_eq!(counts, model.counts());
            prop_assert!(counts.waiting <= limits.waiting);
            for ModelPlace { id, owner, status } in &model.0 {
                prop_assert_eq!(places.is_given_up(*id), *status == PlaceStatus::Ending);
                let waits = model.waits(owner.as_ref()).len();
                prop_assert!(owner.is_none() || waits <= limits.waiting_per_owner);
            }
        }
        for place in model.0 {
            places.free(place.id);
        }
        prop_assert!(places.groups.is_empty() && places.most.is_empty());
        prop_assert_eq!(places.counts(), PlaceCounts::default());
    }
}
