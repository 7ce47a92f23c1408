package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/daemon"
)

// question is one JSON value of judge's input: every DaemonSet is judged on every node.
type question struct {
	DaemonSets []apps.DaemonSet `json:"daemonSets"`
	Nodes      []core.Node      `json:"nodes"`
}

// judge says what kube-controller-manager's own DaemonSet controller would: for each question on standard input a line with a list
// for each DaemonSet, in which each node has its verdict: "RUN" (it should run a pod), "KEEP" (a pod that is there may stay) or
// "EXCLUDE".
func judge() {
	if err := judgeAll(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judgeAll(input io.Reader, output io.Writer) error {
	out := bufio.NewWriter(output)
	decoder, encoder := json.NewDecoder(bufio.NewReader(input)), json.NewEncoder(out)
	for number := 1; decoder.More(); number++ {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			return fmt.Errorf("question %d: %w", number, err)
		}
		verdicts := make([][]string, 0, len(asked.DaemonSets))
		for i := range asked.DaemonSets {
			row := make([]string, 0, len(asked.Nodes))
			for j := range asked.Nodes {
				row = append(row, verdict(&asked.DaemonSets[i], &asked.Nodes[j]))
			}
			verdicts = append(verdicts, row)
		}
		if err := encoder.Encode(verdicts); err != nil {
			return fmt.Errorf("answer %d: %w", number, err)
		}
	}
	return out.Flush()
}

func verdict(set *apps.DaemonSet, node *core.Node) string {
	run, keep := daemon.NodeShouldRunDaemonPod(klog.Background(), node, set)
	switch {
	case run:
		return "RUN"
	case keep:
		return "KEEP"
	default:
		return "EXCLUDE"
	}
}
