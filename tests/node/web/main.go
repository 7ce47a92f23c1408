// Command web is the workload of the DaemonSet on a real node: a web server that identifies itself and calls other
// servers.
//
// With the argument "pause", it only waits for a signal to end. The pause container of a pod needs to do no more.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	if !(len(os.Args) == 2 && os.Args[1] == "pause") {
		go serve()
		if url := os.Getenv("PUSH_TO"); url != "" {
			go push(url)
		}
	}
	<-ended
}

// self identifies this pod to callers: the version from the template, the pod's name and its node.
func self() string {
	return fmt.Sprintf("version=%s pod=%s node=%s\n", os.Getenv("VERSION"), os.Getenv("POD_NAME"), os.Getenv("NODE_NAME"))
}

func serve() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Lets a test query a URL from inside the cluster, where the cluster's DNS resolves the name.
		if url := r.URL.Query().Get("ask"); url != "" {
			ask(w, url)
			return
		}
		_, _ = io.WriteString(w, self())
	})
	log.Fatal(http.ListenAndServe(":8080", handler))
}

func ask(w http.ResponseWriter, url string) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	_, _ = io.Copy(w, answer.Body)
}

// push posts this pod's identity to a URL, once a second until one attempt succeeds.
func push(url string) {
	client := http.Client{Timeout: 5 * time.Second}
	for {
		answer, err := client.Post(url, "text/plain", strings.NewReader(self()))
		if err == nil {
			_ = answer.Body.Close()
			return
		}
		log.Print(err)
		time.Sleep(time.Second)
	}
}
