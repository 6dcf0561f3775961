package inspect

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// sample is what rates need.
type sample struct {
	at                  time.Time // by the clock of the server
	accepted, completed uint64
	deliveries          uint64
	delivered           uint64 // the last message that was delivered
	idle                bool   // no worker has commands or fetches some
}

// newSample returns nil if one of the two is nil.
func newSample(log *jetstream.StreamInfo, worker *jetstream.ConsumerInfo) *sample {
	if log == nil || worker == nil {
		return nil
	}
	return &sample{
		at: log.TimeStamp, accepted: log.State.LastSeq, completed: worker.AckFloor.Stream,
		deliveries: worker.Delivered.Consumer, delivered: worker.Delivered.Stream,
		idle: worker.NumWaiting == 0 && worker.NumAckPending == 0,
	}
}

// since returns the rates since an earlier sample, or nil if there is none, or if the stream was created again meanwhile.
func (s *sample) since(before *sample) *Rates {
	if before == nil || !s.at.After(before.at) || s.accepted < before.accepted || s.deliveries < before.deliveries {
		return nil
	}
	seconds := s.at.Sub(before.at).Seconds()
	rate := func(now, before uint64) float64 { return float64(now-min(now, before)) / seconds }
	return &Rates{
		Seconds:   seconds,
		Accepted:  rate(s.accepted, before.accepted),
		Completed: rate(s.completed, before.completed),
		// Each message is delivered once, so the other deliveries repeat.
		Redeliveries: rate(s.deliveries-before.deliveries, s.delivered-min(s.delivered, before.delivered)),
	}
}
