package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is set by release builds. Other builds use the build information.
var version string

type versionCmd struct{}

// Run prints the version, and the versions of Go and the platform.
func (versionCmd) Run(e env) error {
	_, err := fmt.Fprintln(e.stdout, versionLine())
	return err
}

func versionLine() string {
	return fmt.Sprintf("clientele %s %s %s/%s", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// userAgent returns the name and version that HTTP servers see. HTTP allows no parentheses in a version.
func userAgent() string { return "Clientele/" + strings.Trim(buildVersion(), "()") }

// buildVersion returns the version, or the commit if the build has no version.
func buildVersion() string {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
				v = s.Value
			}
		}
	}
	return cmp.Or(v, "(devel)")
}
