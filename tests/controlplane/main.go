// Command controlplane is a whole Kubernetes control plane in one program. The name that it is started as selects the
// component, so a folder of symbolic links to one binary provides etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler, kubectl, kwok, and the judge of placement. The components share nearly all of their code, so separate
// binaries would multiply the link time and the disk space.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// components maps the name that the program is started as to the component's main function.
var components = map[string]func(){
	"etcd":                    etcd,
	"kube-apiserver":          apiserver,
	"kube-controller-manager": controllerManager,
	"kube-scheduler":          scheduler,
	"kubectl":                 kubectl,
	"kwok":                    kwok,
	"judge":                   judge,
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
		fmt.Fprintf(os.Stderr, "controlplane was started as %q; start it through a link named as one of: %s\n",
			name, strings.Join(names, ", "))
		os.Exit(2)
	}
	component()
}
