package cli

import (
	"reflect"
	"time"

	"clientele/cmd/internal/figures"

	"github.com/alecthomas/kong"
)

// timeFlag is a flag's point in time: a time, or a duration before or after now. The zero value means that the flag is not set.
type timeFlag struct {
	from   time.Time
	offset time.Duration
}

// UnmarshalText parses a time (RFC 3339) or a duration, such as 24h or 90d.
func (f *timeFlag) UnmarshalText(text []byte) error {
	at, offset, err := figures.ParseTime(string(text))
	if err != nil {
		return err
	}
	if at.IsZero() {
		at = time.Now()
	}
	*f = timeFlag{at, offset}
	return nil
}

func (f timeFlag) isSet() bool { return !f.from.IsZero() }

// past returns the time; a duration counts back from now. It returns the zero time if the flag is not set.
func (f timeFlag) past() time.Time { return f.from.Add(-f.offset) }

// future returns the time; a duration counts from now. It returns the zero time if the flag is not set.
func (f timeFlag) future() time.Time { return f.from.Add(f.offset) }

// parseDuration parses the value of a flag of type time.Duration. Days are allowed, as for a timeFlag.
func parseDuration(c *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := c.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := figures.ParseDuration(text)
	if err == nil {
		target.SetInt(int64(d))
	}
	return err
}
