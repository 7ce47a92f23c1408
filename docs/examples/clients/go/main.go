// Asks the planner as an autoscaler would: what do DaemonSets request on nodes that don't exist yet, and which of these
// nodes is the cheapest that has room for a pod?
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	planner "everynode.example/simulate/gen/everynode/planner/v1"
)

// Node templates in order of price: an m5.large in an unknown zone, and a node with a GPU and a taint.
var templates = []*planner.NodeTemplate{{
	Name:          "m5.large",
	Labels:        map[string]string{"kubernetes.io/os": "linux"},
	Capacity:      map[string]string{"cpu": "1930m", "memory": "7097Mi", "pods": "29"},
	UnknownLabels: []string{"topology.kubernetes.io/zone"},
}, {
	Name:     "g5.xlarge",
	Labels:   map[string]string{"kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "eu-1a"},
	Taints:   []*planner.Taint{{Key: "nvidia.com/gpu", Value: "present", Effect: "NoSchedule"}},
	Capacity: map[string]string{"cpu": "3920m", "memory": "15096Mi", "pods": "58", "nvidia.com/gpu": "1"},
}}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: simulate HOST:PORT FILE|- [RESOURCE=QUANTITY...] (the file: kubectl get daemonsets -A -o json)")
	}
	wanted := map[string]string{"pods": "1"}
	for _, argument := range os.Args[3:] {
		name, quantity, _ := strings.Cut(argument, "=")
		wanted[name] = quantity
	}
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	request := &planner.SimulateNodesRequest{DaemonSets: []*structpb.Struct{read(os.Args[2])}, NodeTemplates: templates}
	answer, err := simulate(planner.NewPlannerServiceClient(connection), request)
	check(err)

	demands := map[string]map[string]string{}
	for _, demand := range answer.DaemonSets {
		demands[demand.DaemonSet] = demand.Requests
	}
	cheapest := "none of them"
	for _, node := range slices.Backward(answer.Nodes) {
		if fits(node, demands, wanted) {
			cheapest = node.NodeTemplate
		}
	}
	for _, node := range answer.Nodes {
		fmt.Printf("%s\n  runs %s\n", node.NodeTemplate, strings.Join(node.DaemonSets, ", "))
		fmt.Printf("  takes %s\n  left %s\n", list(node.Requests), list(node.Left))
		for _, conflict := range node.Conflicts {
			fmt.Printf("  only one gets port %d: %s\n", conflict.HostPort.Port, strings.Join(conflict.DaemonSets, ", "))
		}
		for _, undecided := range node.Undecided {
			fmt.Printf("  perhaps %s: %s\n", undecided.DaemonSet, undecided.Message)
		}
	}
	for _, problem := range answer.Problems {
		// A newer planner may send codes that this program doesn't know. String then returns the number.
		fmt.Printf("%s %s: %s\n", problem.Code, problem.Object, problem.Message)
	}
	fmt.Printf("a pod with %s fits on %s\n", list(wanted), cheapest)
}

// simulate calls the planner, and retries after the delay in RetryInfo if the planner is busy. Without RetryInfo, the
// request itself is too large, so a retry wouldn't help.
func simulate(client planner.PlannerServiceClient, request *planner.SimulateNodesRequest) (*planner.SimulateNodesResponse, error) {
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		answer, err := client.SimulateNodes(ctx, request)
		cancel()
		retry := retryInfo(err)
		if retry == nil || attempt == 5 {
			return answer, err
		}
		log.Printf("the planner is busy: asking again in %s", retry.RetryDelay.AsDuration())
		time.Sleep(retry.RetryDelay.AsDuration())
	}
}

func retryInfo(err error) *errdetails.RetryInfo {
	if status.Code(err) == codes.ResourceExhausted {
		for _, detail := range status.Convert(err).Details() {
			if retry, ok := detail.(*errdetails.RetryInfo); ok {
				return retry
			}
		}
	}
	return nil
}

// fits reports whether the wanted resources fit. Undecided DaemonSets count as running: a node that is too large is
// better than a pod that stays pending.
func fits(node *planner.NodeSimulation, demands map[string]map[string]string, wanted map[string]string) bool {
	for name, quantity := range wanted {
		left := number(node.Left[name])
		for _, undecided := range node.Undecided {
			left -= number(demands[undecided.DaemonSet][name])
		}
		if left < number(quantity) {
			return false
		}
	}
	return true
}

// number parses a Kubernetes quantity, such as -100m or 2Gi.
func number(quantity string) float64 {
	if quantity == "" {
		return 0
	}
	digits := strings.TrimRight(quantity, "mkKMGTPEi")
	units := map[string]float64{"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
	value, err := strconv.ParseFloat(digits, 64)
	check(err)
	if unit, ok := units[quantity[len(digits):]]; ok {
		value *= unit
	}
	return value
}

func list(resources map[string]string) string {
	var words []string
	for name, quantity := range resources {
		words = append(words, name+" "+quantity)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func read(path string) *structpb.Struct {
	file := os.Stdin
	if path != "-" {
		var err error
		file, err = os.Open(path)
		check(err)
	}
	text, err := io.ReadAll(file)
	check(err)
	daemonSets := &structpb.Struct{}
	check(daemonSets.UnmarshalJSON(text))
	return daemonSets
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
