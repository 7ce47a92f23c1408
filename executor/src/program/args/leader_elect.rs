//! Flags for leader election, the same as those of Kubernetes' own controllers.

use std::time::Duration;

use clap::ArgAction;
use everynode_serving::program::duration;

use crate::{
    apiserver::names::is_name,
    election::lease::{InvalidSettings, Settings},
};

/// The flags for leader election.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Leader election")]
pub struct LeaderElectArgs {
    /// Elect a leader by a Lease. Only the leader acts; the other executors stand by with warm caches. With false, a
    /// cluster must never have more than one executor.
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

    /// Time without a renewal of the Lease until another executor takes over, in whole seconds or with units.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_LEASE_DURATION",
        value_name = "TIME",
        default_value = "15s",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub leader_elect_lease_duration: Duration,

    /// Time for which the leader continues when it can't renew the Lease, in seconds or with units. After that, it
    /// writes nothing until it leads again.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RENEW_DEADLINE",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub leader_elect_renew_deadline: Duration,

    /// Interval between renewals of the Lease, in seconds or with units.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RETRY_PERIOD",
        value_name = "TIME",
        default_value = "2s",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub leader_elect_retry_period: Duration,

    /// Name of the Lease.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RESOURCE_NAME",
        value_name = "NAME",
        default_value = "everynode-executor"
    )]
    pub leader_elect_resource_name: String,

    /// Namespace of the Lease; by default the pod's namespace, or kube-system outside a pod.
    #[arg(
        long,
        env = "EVERYNODE_LEADER_ELECT_RESOURCE_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub leader_elect_resource_namespace: Option<String>,
}

/// Why the leader election flags are invalid.
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
    /// The election's settings; `None` if there is no election. `own_namespace` is the namespace of the executor's
    /// pod.
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
    fn election_is_enabled_in_the_own_namespace_by_default() {
        let default = settings(&[]).unwrap().unwrap();
        assert_eq!(
            (default.namespace.as_str(), default.name.as_str()),
            ("own", "everynode-executor")
        );
        assert_eq!(
            [default.duration, default.renew_deadline, default.retry_period].map(|time| time.as_secs()),
            [15, 10, 2]
        );
        assert_eq!(settings(&["--leader-elect"]).unwrap(), Some(default));
        assert_eq!(settings(&["--leader-elect=false"]).unwrap(), None);
        let elsewhere = settings(&["--leader-elect-resource-namespace=elsewhere"])
            .unwrap()
            .unwrap();
        assert_eq!(elsewhere.namespace, "elsewhere");
    }

    #[test]
    fn invalid_names_are_refused() {
        for (flag, value) in [
            ("--leader-elect-resource-name", "a/b"),
            ("--leader-elect-resource-namespace", "../x"),
        ] {
            let error = settings(&[&format!("{flag}={value}")]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn inconsistent_durations_are_named() {
        for (flag, expected) in [
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
            assert!(error.contains(expected), "{flag}: {error}");
        }
    }
}
