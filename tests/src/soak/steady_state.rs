//! Checks a cluster that has come to rest.

use super::picture::Picture;
use super::placement::Place;
use super::views::{SetView, Strategy};

/// The faults of a cluster in which nothing happens any more; empty if all is well.
pub(super) fn faults(picture: &Picture) -> Vec<String> {
    let sets = picture.sets.iter();
    sets.flat_map(|(uid, set)| of_one(picture, uid, set)).collect()
}

fn of_one(picture: &Picture, uid: &str, set: &SetView) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |words: String| faults.push(format!("{}: {words}", set.name));
    if set.deleting {
        fault("it is still being deleted".to_owned());
        return faults;
    }
    let mut counts = Counts::default();
    for (node, site) in &picture.nodes {
        let pods = picture
            .pods
            .values()
            .filter(|pod| pod.set == uid && pod.node == *node);
        let pods: Vec<_> = pods.collect();
        let place = set.wish.on(site);
        let right = match place {
            Place::Wanted => pods.len() == 1,
            Place::Tolerated => pods.len() <= 1,
            Place::Forbidden => pods.is_empty(),
        };
        if !right || pods.iter().any(|pod| !pod.is_available()) {
            fault(format!("on {node}, where a pod is {place:?}, there are {pods:?}"));
        }
        let current = pods.iter().filter(|pod| pod.version == set.version).count();
        if set.strategy != Strategy::OnDelete && current < pods.len() {
            fault(format!("on {node} there is an old pod: {pods:?}"));
        }
        if place == Place::Wanted {
            counts.desired += 1;
            counts.current += i32::from(!pods.is_empty());
            counts.ready += i32::from(pods.iter().any(|pod| pod.is_available()));
            counts.updated += i32::from(current > 0);
        } else {
            counts.misscheduled += i32::from(!pods.is_empty());
        }
    }
    // Pods that are bound to a missing node are left to the pod garbage collector, which takes its time.
    let homeless = picture
        .pods
        .values()
        .filter(|pod| pod.set == uid && pod.is_homeless(&picture.nodes));
    for pod in homeless {
        fault(format!("{pod:?} is for a node that there isn't"));
    }
    let status = &set.status;
    let said = Counts {
        desired: status.desired_number_scheduled,
        current: status.current_number_scheduled,
        misscheduled: status.number_misscheduled,
        ready: status.number_ready,
        updated: status.updated_number_scheduled.unwrap_or_default(),
    };
    if said != counts || status.number_available.unwrap_or_default() != counts.ready {
        fault(format!("its status says {said:?}, and there are {counts:?}"));
    }
    if status.observed_generation != Some(set.generation) {
        fault(format!(
            "its status is about generation {:?}, and it is at {}",
            status.observed_generation, set.generation
        ));
    }
    faults
}

/// The counters of a status.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    desired: i32,
    current: i32,
    misscheduled: i32,
    ready: i32,
    updated: i32,
}
