// Command node bundles the components that a node runs beside its container runtime. It runs the component whose name
// it is started as, so a folder of symbolic links to one binary provides kubelet, kube-proxy and CoreDNS. They are
// built apart from the control plane, because only the real node needs them.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubeproxyapp "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps the name that the program is started as to that component's main function.
var components = map[string]func(){
	"kubelet":    func() { os.Exit(cli.Run(kubeletapp.NewKubeletCommand(context.Background()))) },
	"kube-proxy": func() { os.Exit(cli.Run(kubeproxyapp.NewProxyCommand())) },
	"coredns":    coremain.Run,
}

func main() {
	name := filepath.Base(os.Args[0])
	component, known := components[name]
	if !known {
		names := make([]string, 0, len(components))
		for n := range components {
			names = append(names, n)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "node was started as %q; start it through a link named as one of: %s\n", name, strings.Join(names, ", "))
		os.Exit(2)
	}
	component()
}
