//! Flags for the leader election among executors. They are the flags of Kubernetes' own controllers.

use std::time::Duration;

use clap::ArgAction;
use everynode_serving::program::duration;

use crate::{
    apiserver::names::is_name,
    election::lease::{InvalidSettings, Settings},
};

/// The flags of leader election.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Leader election")]
pub struct LeaderElectArgs {
    /// Whether only the executor that holds a Lease acts, while others stand by with warm caches. Without it there must never
    /// be more than one executor in a cluster.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub leader_elect: bool,

    /// After how long without a sign of the leader another executor takes over, in whole seconds.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_LEASE_DURATION",
        value_name = "TIME",
        default_value = "15s",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub leader_elect_lease_duration: Duration,

    /// How long the leader goes on when it can't renew the Lease. After that it writes nothing until it leads again.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RENEW_DEADLINE",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub leader_elect_renew_deadline: Duration,

    /// How often the Lease is renewed.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RETRY_PERIOD",
        value_name = "TIME",
        default_value = "2s",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub leader_elect_retry_period: Duration,

    /// The name of the Lease.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RESOURCE_NAME",
        value_name = "NAME",
        default_value = "everynode-executor"
    )]
    pub leader_elect_resource_name: String,

    /// The namespace of the Lease; when not given, that of the pod that this runs in, or else kube-system.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RESOURCE_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub leader_elect_resource_namespace: Option<String>,
}

/// Why the flags of leader election can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaderElectError {
    /// The durations contradict each other.
    #[error(transparent)]
    Durations(#[from] InvalidSettings),
    /// A name can't be part of a URL.
    #[error("{flag}: {name:?} is not a valid Kubernetes name")]
    Name {
        /// The flag.
        flag: &'static str,
        /// The name as it was given.
        name: String,
    },
}

impl LeaderElectArgs {
    /// The election's settings; `None` if there is no election. `own_namespace` is the namespace of the pod that this
    /// runs in.
    ///
    /// # Errors
    /// The durations contradict each other, or a name can't be part of a URL.
    pub fn settings(&self, own_namespace: Option<String>) -> Result<Option<Settings>, LeaderElectError> {
        if !self.leader_elect {
            return Ok(None);
        }
        let namespace = self.leader_elect_resource_namespace.clone().or(own_namespace);
        let settings = Settings {
            name: self.leader_elect_resource_name.clone(),
            namespace: namespace.unwrap_or_else(|| "kube-system".to_owned()),
            duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
        };
        settings.check()?;
        // Both become part of the Lease's URL.
        for (flag, name) in [
            ("--leader-elect-resource-name", &settings.name),
            ("--leader-elect-resource-namespace", &settings.namespace),
        ] {
            if !is_name(name) {
                return Err(LeaderElectError::Name {
                    flag,
                    name: name.clone(),
                });
            }
        }
        Ok(Some(settings))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::program::args::Args;

    fn settings(flags: &[&str]) -> Result<Option<super::Settings>, super::LeaderElectError> {
        let flags = ["executor", "--planner=http://planner:1"].iter().chain(flags);
        Args::parse_from(flags)
            .leader_elect
            .settings(Some("own".to_owned()))
    }

    #[test]
    fn there_is_an_election_in_the_own_namespace_unless_something_else_is_said() {
        let usual = settings(&[]).unwrap().unwrap();
        assert_eq!(
            (usual.namespace.as_str(), usual.name.as_str()),
            ("own", "everynode-executor")
        );
        assert_eq!(
            [usual.duration, usual.renew_deadline, usual.retry_period].map(|time| time.as_secs()),
            [15, 10, 2]
        );
        assert_eq!(settings(&["--leader-elect"]).unwrap(), Some(usual));
        assert_eq!(settings(&["--leader-elect=false"]).unwrap(), None);
        let elsewhere = settings(&["--leader-elect-resource-namespace=elsewhere"])
            .unwrap()
            .unwrap();
        assert_eq!(elsewhere.namespace, "elsewhere");
    }

    #[test]
    fn names_that_cant_be_in_a_url_are_refused() {
        for (flag, value) in [
            ("--leader-elect-resource-name", "a/b"),
            ("--leader-elect-resource-namespace", "../x"),
        ] {
            let error = settings(&[&format!("{flag}={value}")]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn times_that_dont_go_together_are_named() {
        for (flag, named) in [
            (
                "--leader-elect-lease-duration=10s",
                "--leader-elect-lease-duration",
            ),
            ("--leader-elect-lease-duration=15500ms", "whole seconds"),
            (
                "--leader-elect-renew-deadline=2s",
                "--leader-elect-renew-deadline",
            ),
        ] {
            let error = settings(&[flag]).unwrap_err().to_string();
            assert!(error.contains(named), "{flag}: {error}");
        }
    }
}
