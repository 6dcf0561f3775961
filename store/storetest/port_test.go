package storetest_test

import (
	"testing"

	"clientele/store/storetest"
)

// A server that starts later finds its port free.
func TestFreePortsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 2_000 {
		port, err := storetest.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %d is returned twice", port)
		}
		seen[port] = true
	}
}
