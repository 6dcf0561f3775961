package perftest

import (
	"os"
	"testing"

	"clientele/cmd/internal/testcluster"
)

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m)) }
