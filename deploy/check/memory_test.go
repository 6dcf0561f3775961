package check

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// TestMemoryOfNATS checks that a full command log of the default size fits into the memory of nats-server, by the formula that
// clientele serve --help states, and that the garbage collector knows the limit.
func TestMemoryOfNATS(t *testing.T) {
	text, err := os.ReadFile("../kubernetes/nats.values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Container struct {
			Env   map[string]any
			Merge struct {
				Resources struct {
					Limits struct{ Memory resource.Quantity }
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	limit := values.Container.Merge.Resources.Limits.Memory.Value()
	soft, _ := values.Container.Env["GOMEMLIMIT"].(string)
	collected := match(t, `^(\d+)MiB$`, soft) << 20
	usage := help(t, []string{"serve"})
	need := match(t, `(\d+)\s+GiB\s+for\s+a\s+new\s+stream`, usage)<<30 + match(t, `as\s+much\s+memory\s+plus\s+(\d+)\s+MiB`, usage)<<20
	if collected < need || collected > limit/10*9 {
		t.Errorf("a full log needs %d bytes of memory, GOMEMLIMIT is %d, and the limit of the container %d", need, collected, limit)
	}
}

// match returns the number in the group of the expression.
func match(t *testing.T, expression, text string) int64 {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("%q does not match %s", text, expression)
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
