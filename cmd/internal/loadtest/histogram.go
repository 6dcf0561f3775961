package loadtest

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// newHistogram is of times in microseconds, up to an hour, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, time.Hour.Microseconds(), 3) }
