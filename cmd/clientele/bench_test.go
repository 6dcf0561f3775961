package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"

	"github.com/nats-io/nats.go"
)

// fill appends commands to the log.
func fill(t testing.TB, nc *nats.Conn, n int) {
	t.Helper()
	log, err := publisher.OpenLog(context.Background(), publisher.LogConfig{Conn: nc})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	details, err := domain.Parse([]byte(full), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tokens := make(chan struct{})
	var wg sync.WaitGroup
	for range min(n, 1000) {
		wg.Go(func() {
			for range tokens {
				id, err := domain.NewID()
				if err != nil {
					t.Error(err)
					continue
				}
				c, err := domain.NewCreateClient(id, "anonymous", time.Now(), details)
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := log.Append(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range n {
		tokens <- struct{}{}
	}
	close(tokens)
	wg.Wait()
}
