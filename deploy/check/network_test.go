package check

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// peer is a pod with the labels of its namespace.
type peer struct{ namespace, labels labels.Set }

func pod(namespace string, l labels.Set) peer {
	return peer{labels.Set{corev1.LabelMetadataName: namespace}, l}
}

// The pods that policies are about: those of Clientele, those that the chart of NATS and CloudNativePG create, and others.
var peers = map[string]peer{
	"ingress":       pod("clientele", labels.Set{"app.kubernetes.io/name": "clientele", "app.kubernetes.io/component": "ingress"}),
	"worker":        pod("clientele", labels.Set{"app.kubernetes.io/name": "clientele", "app.kubernetes.io/component": "worker"}),
	"forward":       pod("clientele", labels.Set{"app.kubernetes.io/name": "clientele", "app.kubernetes.io/component": "forward"}),
	"migrate":       pod("clientele", labels.Set{"app.kubernetes.io/name": "clientele", "app.kubernetes.io/component": "migrate"}),
	"nats":          pod("clientele", labels.Set{"app.kubernetes.io/name": "nats", "app.kubernetes.io/component": "nats"}),
	"postgres":      pod("clientele", labels.Set{"cnpg.io/cluster": "clientele-db", "cnpg.io/podRole": "instance"}),
	"neighbour":     pod("clientele", labels.Set{"app": "neighbour"}),
	"stranger":      pod("default", labels.Set{"app.kubernetes.io/name": "clientele", "app": "keda-operator"}),
	"caller":        {labels.Set{"clientele/calls": "true"}, nil},
	"subscriber":    {labels.Set{"clientele/subscribes": "true"}, nil},
	"prometheus":    {labels.Set{"clientele/monitors": "true"}, nil},
	"keda":          pod("keda", labels.Set{"app": "keda-operator"}),
	"cloudnativepg": pod("cnpg-system", labels.Set{"app.kubernetes.io/name": "cloudnative-pg"}),
}

// open has every connection that the policies must allow: from, to and ports. They must block all others.
var open = map[string]string{
	"caller ingress":         "8080",
	"prometheus ingress":     "9090",
	"prometheus worker":      "9090",
	"prometheus forward":     "9090",
	"prometheus migrate":     "9090",
	"ingress nats":           "4222",
	"worker nats":            "4222",
	"forward nats":           "4222",
	"migrate nats":           "4222",
	"subscriber nats":        "4222",
	"nats nats":              "6222",
	"prometheus nats":        "7777",
	"ingress postgres":       "5432",
	"worker postgres":        "5432",
	"forward postgres":       "5432",
	"migrate postgres":       "5432",
	"postgres postgres":      "5432",
	"cloudnativepg postgres": "5432 8000",
}

// connections checks that the policies allow exactly these connections between any two peers. With scaling, KEDA reaches NATS.
func connections(t *testing.T, policies []networkingv1.NetworkPolicy, scaling bool) {
	t.Helper()
	open := maps.Clone(open)
	if scaling {
		open["keda nats"] = "8222"
	}
	for fromName, from := range peers {
		for _, toName := range []string{"ingress", "worker", "forward", "migrate", "nats", "postgres", "neighbour"} {
			var ports []string
			for _, port := range []int32{4222, 5432, 6222, 7777, 8000, 8080, 8222, 9090, 9187} {
				in := allowed(t, policies, networkingv1.PolicyTypeIngress, peers[toName], from, port)
				out := allowed(t, policies, networkingv1.PolicyTypeEgress, from, peers[toName], port)
				if in && out {
					ports = append(ports, strconv.Itoa(int(port)))
				}
			}
			if got, want := strings.Join(ports, " "), open[fromName+" "+toName]; got != want {
				t.Errorf("%s reaches %s at the ports %q, want %q", fromName, toName, got, want)
			}
		}
	}
}

// allowed reports whether the policies let the pod connect to the other one (egress), or the other one to it (ingress): whether no
// policy of the direction selects the pod, or one of those that do allows the connection.
func allowed(t *testing.T, policies []networkingv1.NetworkPolicy, direction networkingv1.PolicyType, pod, other peer, port int32) bool {
	t.Helper()
	isolated := false
	for _, p := range policies {
		if p.Namespace != pod.namespace[corev1.LabelMetadataName] || !slices.Contains(p.Spec.PolicyTypes, direction) || !matches(t, &p.Spec.PodSelector, pod.labels) {
			continue
		}
		isolated = true
		admits := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) bool {
			return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool { return isPeer(t, p.Namespace, peer, other) }) &&
				slices.ContainsFunc(ports, func(to networkingv1.NetworkPolicyPort) bool { return to.Port.IntVal == port && to.EndPort == nil })
		}
		for _, rule := range p.Spec.Ingress {
			if direction == networkingv1.PolicyTypeIngress && admits(rule.From, rule.Ports) {
				return true
			}
		}
		for _, rule := range p.Spec.Egress {
			if direction == networkingv1.PolicyTypeEgress && admits(rule.To, rule.Ports) {
				return true
			}
		}
	}
	return !isolated
}

// isPeer reports whether a policy of the namespace means this pod.
func isPeer(t *testing.T, namespace string, p networkingv1.NetworkPolicyPeer, pod peer) bool {
	t.Helper()
	if p.IPBlock != nil { // pods have private addresses
		if !slices.Contains(p.IPBlock.Except, "10.0.0.0/8") || !slices.Contains(p.IPBlock.Except, "169.254.0.0/16") {
			t.Errorf("a policy allows private addresses: %v", p.IPBlock)
		}
		return false
	}
	if p.NamespaceSelector == nil {
		return pod.namespace[corev1.LabelMetadataName] == namespace && matches(t, p.PodSelector, pod.labels)
	}
	return matches(t, p.NamespaceSelector, pod.namespace) && (p.PodSelector == nil || matches(t, p.PodSelector, pod.labels))
}

func matches(t *testing.T, selector *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(set)
}

// TestRoutesOfTheChart checks that the values of the NATS chart give each server a password and a verified certificate for its routes.
func TestRoutesOfTheChart(t *testing.T) {
	text, err := os.ReadFile("../kubernetes/nats.values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Config struct {
			Cluster struct {
				Replicas int
				TLS      struct {
					Enabled         bool
					SecretName, Dir string
					Merge           struct {
						CAFile string `json:"ca_file"`
						Verify bool
					}
				}
				Merge struct {
					Authorization struct{ User, Password string }
					Routes        string
				}
			}
		}
		Container struct{ Env map[string]any }
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	cluster := values.Config.Cluster
	if tls := cluster.TLS; !tls.Enabled || tls.SecretName == "" || !tls.Merge.Verify || tls.Merge.CAFile != tls.Dir+"/ca.crt" {
		t.Errorf("TLS: %+v", tls)
	}
	if merge := cluster.Merge; merge.Authorization.User != "server" || merge.Authorization.Password != "<< $NATS_CLUSTER_PASSWORD >>" || merge.Routes != "<< $NATS_ROUTES >>" {
		t.Errorf("authorization and routes: %+v", merge)
	}
	var routes []string
	for i := range cluster.Replicas {
		routes = append(routes, fmt.Sprintf("tls://server:$(NATS_CLUSTER_PASSWORD)@nats-%d.nats-headless:6222", i))
	}
	if got, want := values.Container.Env["NATS_ROUTES"], "["+strings.Join(routes, ", ")+"]"; got != want {
		t.Errorf("NATS_ROUTES is %v, want %s", got, want)
	}
	if values.Container.Env["NATS_CLUSTER_PASSWORD"] == nil {
		t.Error("NATS_CLUSTER_PASSWORD is not set")
	}
}
