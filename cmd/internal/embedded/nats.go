// Package embedded runs a NATS server inside this process, with JetStream on disk.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// startTimeout is how long the server may take to recover its streams.
const startTimeout = time.Minute

// NATSConfig configures StartNATS.
type NATSConfig struct {
	// Dir keeps the streams. It must not be empty, and no other server may use it.
	Dir string
	// Listen is the address for other programs, as host:port. With port 0 the server picks a free one.
	Listen string
	Log    zerolog.Logger
}

// NATS is a running server.
type NATS struct {
	*server.Server

	dir  string      // of the streams
	info os.FileInfo // of dir, when the server had opened it
}

// StartNATS returns a server that answers; its streams are recovered. Every write is synced before it is acknowledged.
func StartNATS(cfg NATSConfig) (*NATS, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded NATS: the directory is empty")
	}
	host, portText, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q is not a number from 0 to 65535", portText)
	}
	// The server reports a port that is taken only to its log: see for ourselves.
	probe, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	if err := probe.Close(); err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: "clientele",
		Host:       host,
		Port:       int(port),
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   cfg.Dir,
		SyncAlways: true,
	}
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLoggerV2(natsLog{cfg.Log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS is not ready after %s, see the log above", startTimeout)
	}
	dir := s.JetStreamConfig().StoreDir
	info, err := os.Stat(dir)
	if err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	return &NATS{s, dir, info}, nil
}

// Health returns nil while the server can keep what it is given. An error is final: it takes a person to see to the disk,
// and a new start, as the server refuses to write to a stream once a write to it has failed.
func (n *NATS) Health() error {
	info, err := os.Stat(n.dir)
	if err != nil {
		return fmt.Errorf("the streams are gone, bring them back and start again: %w", err)
	}
	if !os.SameFile(info, n.info) {
		return fmt.Errorf("%s was replaced while in use: bring back the one that was there, and start again", n.dir)
	}
	if status := n.Healthz(nil); status.Error != "" {
		return fmt.Errorf("the embedded NATS cannot go on, see to the disk of %s and start again: %s", n.dir, status.Error)
	}
	return nil
}

// Stop ends the server and returns when its files are closed. Connections must be closed before.
func (n *NATS) Stop() {
	n.Shutdown()
	n.WaitForShutdown()
}

// natsLog writes the server's log into ours. What it notices in its daily work is of interest only when looking closely.
type natsLog struct{ log zerolog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warn().Msgf(format, v...) }
func (l natsLog) Fatalf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l natsLog) Debugf(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }
func (l natsLog) Tracef(string, ...any)           {}
