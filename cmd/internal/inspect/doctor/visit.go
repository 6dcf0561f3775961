package doctor

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/domain"
	"clientele/store"

	"github.com/nats-io/nats.go/jetstream"
)

// visit is what the checks of one run share.
type visit struct {
	Config

	status  inspect.Status
	looked  error // why there is no status
	js      jetstream.JetStream
	streams map[string]*jetstream.StreamInfo
	servers []Server
	errs    []error // about servers that could not be asked

	file *os.File // of a measurement

	description store.Description
	described   error
	// The times of this machine around the answer of a server.
	askedNATS, askedDatabase, answeredNATS, answeredDatabase time.Time
}

// newVisit looks at everything once.
func newVisit(ctx context.Context, cfg Config) *visit {
	if cfg.Explain == nil {
		cfg.Explain = func(err error) error { return err }
	}
	v := &visit{Config: cfg, streams: map[string]*jetstream.StreamInfo{}, looked: cfg.NATSError, described: cfg.StoreError}
	v.servers, v.errs = servers(ctx, cfg)
	if cfg.Store != nil {
		v.askedDatabase = time.Now()
		v.description, v.described = cfg.Store.Describe(ctx)
		v.answeredDatabase = time.Now()
	}
	if v.looked == nil && cfg.Conn == nil {
		v.looked = errors.New("no connection")
	}
	if v.looked == nil {
		v.looked = v.lookAtNATS(ctx)
	}
	return v
}

func (v *visit) lookAtNATS(ctx context.Context) error {
	looker, err := inspect.New(v.Config.Config)
	if err != nil {
		return err
	}
	defer looker.Close()
	if _, err := looker.Look(ctx); err != nil {
		return err
	}
	// Between two looks a worker that has just received commands asks again.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(300 * time.Millisecond):
	}
	if v.status, err = looker.Look(ctx); err != nil {
		return err
	}
	if v.js, err = jetstream.New(v.Conn); err != nil {
		return err
	}
	for _, name := range inspect.Streams {
		if stream, err := v.js.Stream(ctx, name); err == nil {
			v.streams[name] = stream.CachedInfo()
		}
	}
	v.askedNATS = time.Now()
	log, err := v.js.Stream(ctx, domain.StreamCommands)
	v.answeredNATS = time.Now()
	if err == nil {
		v.streams[domain.StreamCommands] = log.CachedInfo()
	}
	return nil // a stream that is missing is a problem of the status
}

// holders returns the names of the servers that keep the streams.
func (v *visit) holders() (names []string) {
	for _, info := range v.streams {
		if info.Cluster == nil {
			continue
		}
		names = append(names, info.Cluster.Leader)
		for _, peer := range info.Cluster.Replicas {
			names = append(names, peer.Name)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// unknown returns those of the holders that have not said anything about themselves.
func (v *visit) unknown() []string {
	return slices.DeleteFunc(v.holders(), func(name string) bool {
		return slices.ContainsFunc(v.servers, func(s Server) bool { return s.Name == name })
	})
}
