package figures

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseTime parses a time (RFC 3339), or a duration, such as 24h or 90d. For a time, the duration is zero; for a duration, the time is.
func ParseTime(text string) (at time.Time, offset time.Duration, err error) {
	if offset, err := ParseDuration(text); err == nil && offset >= 0 {
		return time.Time{}, offset, nil
	}
	at, err = time.Parse(time.RFC3339, text)
	if err != nil {
		return at, 0, fmt.Errorf("%q is neither a time (RFC 3339), such as 2026-11-23T18:00:00Z, nor a duration, such as 24h or 90d", text)
	}
	return at, 0, nil
}

// ParseDuration parses a duration, such as 30m, 24h or 90d. Days have no other unit beside them.
func ParseDuration(text string) (time.Duration, error) {
	s := text
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			s = strconv.FormatUint(n*24, 10) + "h"
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration, such as 30m, 24h or 90d", text)
	}
	return d, nil
}
