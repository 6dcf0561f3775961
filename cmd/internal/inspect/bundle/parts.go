package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"clientele/cmd/internal/inspect"

	"github.com/nats-io/nats.go/jetstream"
)

// The limits of one admin listener.
const (
	adminTimeout = 5 * time.Second
	adminLimit   = 4 << 20
)

// stream is a stream and its durable consumers.
type stream struct {
	Info      jetstream.StreamInfo      `json:"info"`
	Consumers []*jetstream.ConsumerInfo `json:"consumers"`
}

// look returns the status and the streams. Without NATS, the status says why.
func look(ctx context.Context, cfg Config) (inspect.Status, map[string]stream) {
	streams := map[string]stream{}
	if cfg.Conn == nil {
		return inspect.Status{Health: inspect.Fail, Problems: []inspect.Finding{unreachable(cfg, cfg.NATSError)}}, streams
	}
	looker, err := inspect.New(cfg.Config.Config)
	if err != nil {
		return inspect.Status{Health: inspect.Fail, Problems: []inspect.Finding{unreachable(cfg, err)}}, streams
	}
	defer looker.Close()
	status, err := looker.Look(ctx)
	if err == nil {
		select { // for rates
		case <-ctx.Done():
		case <-time.After(time.Second):
			status, err = looker.Look(ctx)
		}
	}
	if err != nil {
		status.Health, status.Problems = inspect.Fail, []inspect.Finding{unreachable(cfg, err)}
		return status, streams
	}
	js, err := jetstream.New(cfg.Conn)
	for _, name := range inspect.Streams {
		if err == nil {
			if s, err := streamOf(ctx, js, name); err == nil {
				streams[name] = s // one that is missing is in the status
			}
		}
	}
	return status, streams
}

func unreachable(cfg Config, err error) inspect.Finding {
	if err == nil {
		err = errors.New("no connection")
	}
	if cfg.Explain != nil {
		err = cfg.Explain(err)
	}
	return inspect.Finding{Name: "NATS", Result: inspect.Fail, Found: err.Error(), See: inspect.SeeServers}
}

// streamOf returns a stream and its durable consumers. Others can have the id of a client in their subjects.
func streamOf(ctx context.Context, js jetstream.JetStream, name string) (s stream, err error) {
	opened, err := js.Stream(ctx, name)
	if err != nil {
		return s, err
	}
	s.Info = *opened.CachedInfo()
	s.Info.Config.Metadata = marks(s.Info.Config.Metadata)
	for consumer := range opened.ListConsumers(ctx).Info() {
		if consumer.Config.Durable != "" {
			consumer.Config.Metadata = marks(consumer.Config.Metadata)
			s.Consumers = append(s.Consumers, consumer)
		}
	}
	return s, nil
}

// marks returns the metadata without values that Clientele or NATS has not chosen: the secret of the ids is among them.
func marks(metadata map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range metadata {
		if !strings.HasPrefix(key, "_nats.") && value != "true" {
			value = "(removed)"
		}
		kept[key] = value
	}
	return kept
}

// read returns what the admin listener of a process responds, or why it does not.
func read(ctx context.Context, admin, path string) string {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+path, http.NoBody)
	if err != nil {
		return err.Error() + "\n"
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error() + "\n"
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, adminLimit))
	if err != nil {
		return err.Error() + "\n"
	}
	if response.StatusCode != http.StatusOK && path == "/metrics" {
		return fmt.Sprintf("%s: %s\n", r.URL.Redacted(), response.Status)
	}
	return string(body)
}
