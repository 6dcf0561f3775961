package inspect

import (
	"context"
	"time"

	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// stream returns the state of a stream, and what the server says about it. The state also contains an error.
func (l *Looker) stream(ctx context.Context, name string) (Stream, *jetstream.StreamInfo, error) {
	stream, err := streams.Open(ctx, l.js, name)
	if err != nil {
		return Stream{Name: name, Error: l.failure(ctx, err)}, nil, err
	}
	info := stream.CachedInfo()
	s := Stream{
		Name: name, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: max(0, info.Config.MaxBytes),
		MaxAgeSeconds: info.Config.MaxAge.Seconds(), Replicas: info.Config.Replicas,
	}
	if info.State.LastTime.After(time.Unix(0, 0)) {
		s.Last = info.State.LastTime.UTC()
	}
	if info.Cluster == nil {
		return s, info, nil
	}
	s.Leader = info.Cluster.Leader
	for _, peer := range info.Cluster.Replicas {
		s.Followers = append(s.Followers, Replica{
			Server: peer.Name, Current: peer.Current, Offline: peer.Offline, Lag: peer.Lag, SeenSeconds: peer.Active.Seconds(),
		})
	}
	return s, info, nil
}

// ageOf returns how long ago a stream stored its first message from a sequence on, by the clock of its server. It returns 0 if there is
// none. Only the time of the message is used.
func ageOf(ctx context.Context, stream jetstream.Stream, sequence uint64, subject string) time.Duration {
	msg, err := stream.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(subject))
	if err != nil {
		return 0 // it was finished meanwhile, or the stream is a problem already
	}
	now := stream.CachedInfo().TimeStamp
	if now.IsZero() {
		now = time.Now()
	}
	return max(0, now.Sub(msg.Time))
}
