package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by builds that know it better than the build information does.
var version string

type versionCmd struct{}

// Run prints the version, else the commit that the program was built from, and what it was built with.
func (versionCmd) Run(e env) error {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
				v = s.Value
			}
		}
	}
	_, err := fmt.Fprintf(e.stdout, "clientele %s %s %s/%s\n", cmp.Or(v, "(devel)"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
