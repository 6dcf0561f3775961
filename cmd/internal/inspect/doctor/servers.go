package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// monitorTimeout bounds the wait for the monitoring port of one server, or for the answers of all to one request.
const monitorTimeout = 3 * time.Second

// Server is what a NATS server says about itself on its monitoring port or to its system account. It has no secrets.
type Server struct {
	Name    string    `json:"server_name"`
	Version string    `json:"version"`
	Now     time.Time `json:"now"`
	Memory  int64     `json:"mem"`
	// MemoryLimit is its GOMEMLIMIT in bytes, or 0.
	MemoryLimit int64     `json:"gomemlimit"`
	Certificate time.Time `json:"tls_cert_not_after,omitzero"` // when it expires
	JetStream   struct {
		Config *struct {
			SyncAlways bool  `json:"sync_always"`
			MaxStore   int64 `json:"max_storage"`
		} `json:"config,omitzero"`
		Stats *struct {
			Store uint64 `json:"storage"`
		} `json:"stats,omitzero"`
	} `json:"jetstream"`
	Cluster struct {
		Name        string    `json:"name,omitzero"`
		Certificate time.Time `json:"tls_cert_not_after,omitzero"`
	} `json:"cluster"`

	// Asked and Answered are the times of this machine around the answer.
	Asked    time.Time `json:"-"`
	Answered time.Time `json:"-"`
}

// Servers returns what the servers say that can be asked.
func Servers(ctx context.Context, cfg Config) []Server {
	found, _ := servers(ctx, cfg)
	return found
}

// servers asks every server that can be asked. An error is about one of them.
func servers(ctx context.Context, cfg Config) (found []Server, errs []error) {
	ctx, cancel := context.WithTimeout(ctx, monitorTimeout)
	defer cancel()
	for _, monitor := range cfg.Monitors {
		s, err := monitored(ctx, monitor)
		if err != nil { // which has the URL
			errs = append(errs, fmt.Errorf("monitoring port: %w", err))
			continue
		}
		found = append(found, s)
	}
	if cfg.SystemError != nil {
		errs = append(errs, fmt.Errorf("system account: %w", cfg.SystemError))
	}
	if cfg.System != nil {
		answers, err := answering(ctx, cfg.System)
		if err != nil {
			errs = append(errs, fmt.Errorf("system account: %w", err))
		}
		found = append(found, answers...)
	}
	return found, errs
}

// monitored asks the monitoring port of one server.
func monitored(ctx context.Context, url string) (s Server, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", http.NoBody)
	if err != nil {
		return s, err
	}
	s.Asked = time.Now()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s: %s", r.URL.Redacted(), response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	s.Answered = time.Now()
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// answering asks all servers through their system account. It returns when none has answered for a while.
func answering(ctx context.Context, nc *nats.Conn) (found []Server, err error) {
	answers, err := nc.SubscribeSync(nc.NewRespInbox())
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	asked := time.Now()
	if err := nc.PublishRequest("$SYS.REQ.SERVER.PING.VARZ", answers.Subject, nil); err != nil {
		return nil, err
	}
	for wait := monitorTimeout; ; wait = monitorTimeout / 6 {
		msg, err := answers.NextMsg(wait)
		if errors.Is(err, nats.ErrTimeout) && len(found) > 0 {
			return found, nil
		}
		if err != nil || ctx.Err() != nil {
			return found, err
		}
		answer := struct {
			Data Server `json:"data"`
		}{}
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return found, err
		}
		answer.Data.Asked, answer.Data.Answered = asked, time.Now()
		found = append(found, answer.Data)
	}
}
