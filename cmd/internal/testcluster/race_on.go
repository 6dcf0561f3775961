//go:build race

package testcluster

func init() { buildFlags = append(buildFlags, "-race") }
