package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	helpers "k8s.io/component-helpers/resource"
	"k8s.io/klog/v2"
	defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/scheduler/util"
)

// question is one JSON value of judge's input. It asks for a verdict on every pair of DaemonSet and node, for the
// demand of every pod template, or for the documents in every file.
type question struct {
	DaemonSets []apps.DaemonSet       `json:"daemonSets"`
	Nodes      []core.Node            `json:"nodes"`
	Templates  []core.PodTemplateSpec `json:"templates"`
	Files      [][]byte               `json:"files"`
}

// contents is what kubectl reads from a file: its documents up to the first error.
type contents struct {
	Documents []json.RawMessage `json:"documents"`
	Error     string            `json:"error"`
}

// demand is what a pod of a template needs, according to the scheduler.
type demand struct {
	Requests  map[core.ResourceName]string `json:"requests"`
	HostPorts []hostPort                   `json:"hostPorts"`
}

type hostPort struct {
	IP       string        `json:"ip"`
	Protocol core.Protocol `json:"protocol"`
	Port     int32         `json:"port"`
}

// judge answers questions with Kubernetes' own code. It reads questions from standard input and writes one line for
// each. For a question about DaemonSets, the line has a list for each DaemonSet, with the verdict of
// kube-controller-manager's DaemonSet controller on each node: "RUN" (the node should run a pod), "KEEP" (an existing
// pod may stay) or "EXCLUDE". For a question about templates, the line is a list with the demand of each template. For a
// question about files, it is a list with the contents of each file.
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
		if asked.Templates != nil {
			demands := make([]demand, 0, len(asked.Templates))
			for i := range asked.Templates {
				demands = append(demands, demandOf(&asked.Templates[i]))
			}
			if err := encoder.Encode(demands); err != nil {
				return fmt.Errorf("answer %d: %w", number, err)
			}
			continue
		}
		if asked.Files != nil {
			read := make([]contents, 0, len(asked.Files))
			for _, file := range asked.Files {
				read = append(read, contentsOf(file))
			}
			if err := encoder.Encode(read); err != nil {
				return fmt.Errorf("answer %d: %w", number, err)
			}
			continue
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

// demandOf makes a pod from the template, applies the API server's defaults, and computes its demand with the
// scheduler's own functions.
func demandOf(template *core.PodTemplateSpec) demand {
	pod := core.Pod{Spec: template.Spec}
	defaults.SetObjectDefaults_Pod(&pod)
	found := demand{Requests: map[core.ResourceName]string{}, HostPorts: []hostPort{}}
	for name, quantity := range helpers.PodRequests(&pod, helpers.PodResourcesOptions{}) {
		// A quantity that was only parsed prints as it was written. Adding zero makes it print in canonical form.
		quantity.Add(resource.Quantity{})
		found.Requests[name] = quantity.String()
	}
	for _, port := range util.GetHostPorts(&pod) {
		found.HostPorts = append(found.HostPorts, hostPort{IP: port.HostIP, Protocol: port.Protocol, Port: port.HostPort})
	}
	return found
}

// contentsOf reads a file as kubectl does. Mirrors FileVisitor and StreamVisitor of k8s.io/cli-runtime.
func contentsOf(file []byte) contents {
	found := contents{Documents: []json.RawMessage{}}
	text := transform.NewReader(bytes.NewReader(file), unicode.BOMOverride(unicode.UTF8.NewDecoder()))
	decoder := yaml.NewYAMLOrJSONDecoder(text, 4096)
	for {
		document := runtime.RawExtension{}
		if err := decoder.Decode(&document); err == io.EOF {
			return found
		} else if err != nil {
			found.Error = err.Error()
			return found
		}
		raw := bytes.TrimSpace(document.Raw)
		if len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
			found.Documents = append(found.Documents, raw)
		}
	}
}
