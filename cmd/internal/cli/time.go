package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeFlag is a flag's point in time: a time, or a duration before or after now. The zero value means that the flag is not set.
type timeFlag struct {
	from   time.Time
	offset time.Duration
}

// UnmarshalText parses a time (RFC 3339) or a duration, such as 24h or 90d.
func (f *timeFlag) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			s = strconv.FormatUint(n*24, 10) + "h"
		}
	}
	if offset, err := time.ParseDuration(s); err == nil && offset >= 0 {
		*f = timeFlag{time.Now(), offset}
		return nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("%q is neither a time (RFC 3339), such as 2026-11-23T18:00:00Z, nor a duration, such as 24h or 90d", text)
	}
	*f = timeFlag{from: at}
	return nil
}

func (f timeFlag) isSet() bool { return !f.from.IsZero() }

// past returns the time; a duration counts back from now. It returns the zero time if the flag is not set.
func (f timeFlag) past() time.Time { return f.from.Add(-f.offset) }

// future returns the time; a duration counts from now. It returns the zero time if the flag is not set.
func (f timeFlag) future() time.Time { return f.from.Add(f.offset) }
