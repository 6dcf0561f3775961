//go:build race && processes

package testcluster

func init() { buildFlags = append(buildFlags, "-race") }
