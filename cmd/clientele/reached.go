//go:build !faults

package main

import "clientele/consumer"

// reached returns nothing: only the build for fault tests stops at points.
func reached() func(consumer.Point) { return nil }
