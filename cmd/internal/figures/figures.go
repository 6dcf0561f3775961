// Package figures writes numbers and times as an operator reads them, on a terminal and in the console.
package figures

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Grouped returns a number with commas between groups of three digits.
func Grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// PerSecond returns a rate: one decimal below 10, none above.
func PerSecond(rate float64) string {
	if rate > 0 && rate < 10 {
		return fmt.Sprintf("%.1f/s", rate)
	}
	return Grouped(uint64(rate+0.5)) + "/s"
}

// Size returns a number of bytes with a unit.
func Size(n uint64) string {
	if n == 0 {
		return "0"
	}
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[unit]
}

// Duration returns a duration in its largest unit.
func Duration(d time.Duration) string {
	for _, unit := range []struct {
		name string
		d    time.Duration
	}{{"days", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}} {
		if d >= 2*unit.d {
			return fmt.Sprintf("%d %s", d/unit.d, unit.name)
		}
	}
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// Millis returns a number of seconds in milliseconds.
func Millis(seconds float64) string { return fmt.Sprintf("%.1f ms", 1000*seconds) }

// Ago returns how long ago something was.
func Ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	return Duration(max(0, now.Sub(then))) + " ago"
}
