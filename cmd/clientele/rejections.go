package main

import (
	"errors"
	"fmt"
	"time"

	"clientele/domain"
	"clientele/publisher"

	"github.com/nats-io/nats.go"
)

// rejectionsCmd are the operator's commands for dead letters. Unlike the commands that serve, they do not wait for servers.
type rejectionsCmd struct {
	Ls    rejectionsLsCmd    `cmd:"" help:"List rejections, without personal data."`
	Show  rejectionsShowCmd  `cmd:"" help:"Show one rejection."`
	Retry rejectionsRetryCmd `cmd:"" help:"Put rejected commands on the log again, once what kept them from being stored is mended."`
	Drop  rejectionsDropCmd  `cmd:"" help:"Delete rejections and their commands for good."`
}

// operatorFlags are natsFlags for a person at the machine on which serve runs.
type operatorFlags struct {
	NatsURL      string `name:"nats-url" default:"nats://127.0.0.1:4222" placeholder:"URL" help:"NATS servers to use (${default}, where serve has its own); several with commas."`
	natsTLSFlags `embed:""`
}

// open returns the rejections of the servers that the flags name, and the connection, for the caller to close.
func (f operatorFlags) open(e env) (*publisher.Rejections, *nats.Conn, error) {
	nc, err := natsFlags(f).connectNow(e, "operator")
	if err != nil {
		return nil, nil, err
	}
	rejections, err := publisher.OpenRejections(e.ctx, nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return rejections, nc, nil
}

// filterFlags select rejections by what is in them.
type filterFlags struct {
	Reason []domain.Code `enum:"invalid,idempotency-key-reused,undecodable,unstorable,unreadable" placeholder:"REASON" help:"Only with one of these reasons: ${enum}."`
	Since  moment        `placeholder:"TIME" help:"Only rejected at this time or later: by RFC 3339, or a duration ago such as 24h."`
	Until  moment        `placeholder:"TIME" help:"Only rejected at this time or earlier: by RFC 3339, or a duration ago such as 24h."`
}

// given says whether the flags leave anything out.
func (f filterFlags) given() bool {
	return len(f.Reason) > 0 || !f.Since.IsZero() || !f.Until.IsZero()
}

// validate returns what is wrong with the flags.
func (f filterFlags) validate() error {
	if !f.Until.IsZero() && f.Until.Before(f.Since.Time) {
		return errors.New("--until must not be before --since")
	}
	return nil
}

func (f filterFlags) filter() publisher.RejectionFilter {
	return publisher.RejectionFilter{Reasons: f.Reason, Since: f.Since.Time, Until: f.Until.Time}
}

// moment is a flag's point in time.
type moment struct{ time.Time }

// UnmarshalText reads a time by RFC 3339, or a duration before now.
func (m *moment) UnmarshalText(text []byte) error {
	s := string(text)
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("%q is neither a time by RFC 3339, such as 2026-11-23T18:00:00Z, nor a duration ago, such as 24h", s)
	}
	m.Time = t
	return nil
}

// rejectionID returns the id that an operator typed as the stream has it: a UUID in lower case, anything else unquoted.
func rejectionID(typed string) string {
	if id, err := domain.ParseID(typed); err == nil {
		return id.String()
	}
	return parseDisplayed(typed)
}
