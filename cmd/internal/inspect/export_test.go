package inspect

import "time"

// Judge adds the problems to a state.
var Judge = judge

// RatesBetween returns the rates between two samples of accepted, completed, deliveries and the last delivered message.
func RatesBetween(after time.Duration, before, now [4]uint64) *Rates {
	began := time.Unix(0, 0)
	sampleOf := func(at time.Time, n [4]uint64) *sample {
		return &sample{at: at, accepted: n[0], completed: n[1], deliveries: n[2], delivered: n[3]}
	}
	return sampleOf(began.Add(after), now).since(sampleOf(began, before))
}
