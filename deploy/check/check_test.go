// Package check has docker-compose.yml, the manifests in kubernetes and the contract of the API read by what will read them. It is
// a module of its own, as Kubernetes' types are large.
package check

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// The kinds that are not Kubernetes' own, each with the module that has its definition and the file in it.
var definitions = map[string][2]string{
	"ScaledObject": {"github.com/kedacore/keda/v2@v2.20.2", "config/crd/bases/keda.sh_scaledobjects.yaml"},
	"Cluster":      {"github.com/cloudnative-pg/cloudnative-pg@v1.27.0", "config/crd/bases/postgresql.cnpg.io_clusters.yaml"},
}

func TestOverlays(t *testing.T) {
	for overlay, kinds := range map[string]string{
		"development": "Deployment Deployment Deployment Job" + strings.Repeat(" NetworkPolicy", 6) + " Service",
		"production":  "Deployment Deployment Deployment Job" + strings.Repeat(" NetworkPolicy", 7) + " PodDisruptionBudget PodDisruptionBudget PodDisruptionBudget ScaledObject Service",
	} {
		t.Run(overlay, func(t *testing.T) {
			resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("../kubernetes/overlays", overlay))
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			var pods []corev1.PodTemplateSpec
			var selectors []*metav1.LabelSelector
			var policies []networkingv1.NetworkPolicy
			for _, r := range resources.Resources() {
				found = append(found, r.GetKind())
				text, err := r.AsYAML()
				if err != nil {
					t.Fatal(err)
				}
				if r.GetNamespace() != "clientele" {
					t.Errorf("%s is in namespace %q", r.CurId(), r.GetNamespace())
				}
				switch o := decode(t, r.GetKind(), text).(type) {
				case *appsv1.Deployment:
					pods = append(pods, o.Spec.Template)
					selectors = append(selectors, o.Spec.Selector)
				case *batchv1.Job:
					pods = append(pods, o.Spec.Template)
				case *corev1.Service:
					selectors = append(selectors, metav1.SetAsLabelSelector(o.Spec.Selector))
				case *policyv1.PodDisruptionBudget:
					selectors = append(selectors, o.Spec.Selector)
				case *networkingv1.NetworkPolicy:
					policies = append(policies, *o)
				}
			}
			slices.Sort(found)
			if strings.Join(found, " ") != kinds {
				t.Errorf("it has %v, want %s", found, kinds)
			}
			for _, s := range selectors {
				selects(t, s, pods)
			}
			connections(t, policies, overlay == "production")
			for _, p := range pods {
				restricted(t, p)
				configured(t, p.Spec)
			}
		})
	}
}

func TestPostgres(t *testing.T) {
	text, err := os.ReadFile("../kubernetes/postgres.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decode(t, "Cluster", text)
}

// decode reads an object as the API server will: a field that is misspelt or has another type is an error.
func decode(t *testing.T, kind string, text []byte) runtime.Object {
	t.Helper()
	if definition, ok := definitions[kind]; ok {
		validate(t, definition, text)
		return nil
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	object, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		t.Errorf("%v in:\n%s", err, text)
	}
	return object
}

// validate holds an object against the custom resource's definition.
func validate(t *testing.T, definition [2]string, text []byte) {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", definition[0]).Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Fatal(definition[0], err, string(out))
	}
	crd, err := os.ReadFile(filepath.Join(module.Dir, definition[1]))
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
	}
	var object any
	for text, to := range map[string]any{string(crd): &parsed, string(text): &object} {
		if err := yaml.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	schema := parsed.Spec.Versions[0].Schema.OpenAPIV3Schema
	closeObjects(schema)
	delete(schema["properties"].(map[string]any)["metadata"].(map[string]any), "additionalProperties") // Kubernetes' own
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("crd.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("crd.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(object); err != nil {
		t.Errorf("%v in:\n%s", err, text)
	}
}

// closeObjects makes a schema refuse members that it does not know, as the API server's strict validation does.
func closeObjects(schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	if properties != nil && schema["additionalProperties"] == nil && schema["x-kubernetes-preserve-unknown-fields"] != true {
		schema["additionalProperties"] = false
	}
	for _, p := range properties {
		closeObjects(p.(map[string]any))
	}
	for _, name := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[name].(map[string]any); ok {
			closeObjects(inner)
		}
	}
}

// selects fails the test unless a selector matches a pod.
func selects(t *testing.T, selector *metav1.LabelSelector, pods []corev1.PodTemplateSpec) {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(pods, func(p corev1.PodTemplateSpec) bool { return s.Matches(labels.Set(p.Labels)) }) {
		t.Errorf("%v selects nothing", s)
	}
}

// restricted checks a pod against the restricted level of the Pod Security Standards.
func restricted(t *testing.T, pod corev1.PodTemplateSpec) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("%v: %s: %s", pod.Labels, result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

// configured checks that the command exists and has a flag for each of its settings, that what is mounted is there, and that
// the files which settings name are mounted.
func configured(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	container := pod.Containers[0]
	help := help(t, container.Args)
	var mounts []string
	for _, m := range container.VolumeMounts {
		mounts = append(mounts, m.MountPath)
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			t.Errorf("%v: there is no volume %s", container.Args, m.Name)
		}
	}
	for _, e := range container.Env {
		if strings.HasPrefix(e.Name, "CLIENTELE_") && !strings.Contains(help, "$"+e.Name+")") {
			t.Errorf("%v has no setting %s", container.Args, e.Name)
		}
		for word := range strings.FieldsFuncSeq(e.Value, func(r rune) bool { return r == '=' || r == '&' }) {
			if strings.HasPrefix(word, "/etc/clientele") && !slices.Contains(mounts, filepath.Dir(word)) {
				t.Errorf("%v: nothing is mounted for %s", container.Args, word)
			}
		}
		for name := range strings.SplitSeq(e.Value, "$(") {
			if name, _, ok := strings.Cut(name, ")"); ok && !slices.ContainsFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == name }) {
				t.Errorf("%v: %s needs %s", container.Args, e.Name, name)
			}
		}
	}
}

// help is what clientele says of a command.
func help(t *testing.T, args []string) string {
	t.Helper()
	run := exec.Command("go", slices.Concat([]string{"run", "./cmd/clientele"}, args, []string{"--help"})...)
	run.Dir = "../.."
	out, err := run.Output()
	if err != nil {
		t.Fatal(args, err)
	}
	return string(out)
}
