package main

import (
	"os"
	_ "time/tzdata" // CronJobs may name a time zone that the machine doesn't know.

	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserverapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanagerapp "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	schedulerapp "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func apiserver() {
	os.Exit(cli.Run(apiserverapp.NewAPIServerCommand()))
}

func controllerManager() {
	os.Exit(cli.Run(controllermanagerapp.NewControllerManagerCommand()))
}

func scheduler() {
	os.Exit(cli.Run(schedulerapp.NewSchedulerCommand()))
}

func kubectl() {
	// As in kubectl's own main: the verbosity must be set before the command is built, because building it already
	// handles plugins and .kuberc.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
