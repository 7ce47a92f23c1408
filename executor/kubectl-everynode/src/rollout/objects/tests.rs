use serde_json::Value;

use super::*;

const DEFINITION: &str = include_str!("../../../../../deploy/base/crds/daemonsetrollouts.yaml");
const POLICY_DEFINITION: &str = include_str!("../../../../../deploy/base/crds/daemonsetrolloutpolicies.yaml");

/// The fields of a generated definition below a JSON pointer into its schema.
fn fields(definition: &str, pointer: &str) -> Vec<String> {
    let definition: Value = serde_saphyr::from_str(definition).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let fields = schema.pointer(pointer).and_then(Value::as_object);
    fields.unwrap().keys().cloned().collect()
}

#[test]
fn fields_that_are_read_are_those_of_the_kinds() {
    for (definition, pointer, read) in [
        (
            DEFINITION,
            "/properties/spec/properties",
            &["paused", "promote", "promoteFull", "abort", "retry", "release"][..],
        ),
        (
            DEFINITION,
            "/properties/spec/properties/release/properties",
            &["rollout", "nodes"],
        ),
        (
            DEFINITION,
            "/properties/spec/properties/promote/properties",
            &["rollout", "stage"],
        ),
        (
            DEFINITION,
            "/properties/status/properties",
            &[
                "rollout",
                "daemonSetUid",
                "daemonSetGeneration",
                "observedGeneration",
                "policyRef",
                "currentRevision",
                "updateRevision",
                "startedAt",
                "state",
                "phase",
                "stage",
                "reason",
                "message",
                "stages",
                "attempts",
                "desired",
                "updated",
                "updatedAvailable",
                "ignored",
                "ignoredNodes",
            ],
        ),
        (
            DEFINITION,
            "/properties/status/properties/stages/items/properties",
            &[
                "name",
                "openedAt",
                "updatedAt",
                "doneAt",
                "nodes",
                "desired",
                "updatedAvailable",
            ],
        ),
        (
            DEFINITION,
            "/properties/status/properties/attempts/items/properties",
            &["rollout", "updateRevision", "outcome", "endedAt"],
        ),
        (
            DEFINITION,
            "/properties/status/properties/policyRef/properties",
            &["kind", "name"],
        ),
        (
            POLICY_DEFINITION,
            "/properties/spec/properties",
            &["paused", "stages"],
        ),
        (
            POLICY_DEFINITION,
            "/properties/spec/properties/stages/items/properties",
            &["name", "soak"],
        ),
        (
            POLICY_DEFINITION,
            "/properties/status/properties",
            &["observedGeneration"],
        ),
    ] {
        let fields = fields(definition, pointer);
        for field in read {
            assert!(
                fields.iter().any(|defined| defined == field),
                "{pointer}: {field}: {fields:?}"
            );
        }
    }
}

#[test]
fn unknown_phases_and_missing_fields_are_read() {
    let rollout: Rollout = serde_json::from_str(
        r#"{"metadata": {"name": "agent"}, "spec": {"release": null},
            "status": {"phase": "Dreaming", "state": "Completed", "stages": [{"doneAt": null}]}}"#,
    )
    .unwrap();
    assert_eq!(rollout.status.phase, Phase::Unknown);
    assert_eq!(rollout.status.state, State::Completed);
    assert_eq!(rollout.spec, RolloutSpec::default());
    let empty: Rollout = serde_json::from_str("{}").unwrap();
    assert_eq!(empty, Rollout::default());
}

#[test]
fn soak_is_read_as_the_api_writes_it() {
    let stage = |soak: Option<&str>| PolicyStage {
        soak: soak.map(str::to_owned),
        ..PolicyStage::default()
    };
    assert_eq!(stage(None).soak(), Some(SignedDuration::ZERO));
    assert_eq!(stage(Some("10m")).soak(), Some(SignedDuration::from_mins(10)));
    assert_eq!(stage(Some("1h30m")).soak(), Some(SignedDuration::from_mins(90)));
    assert_eq!(stage(Some("soon")).soak(), None);
}
